# SPDX-License-Identifier: BSD-3-Clause
# bad_clients.py - connects to a UNIX socket so many times, says something odd or nothing, and drops.
import socket
import struct
import sys

path, times = sys.argv[1], int(sys.argv[2])
version = b'\x00\x00\x00\x00{"capabilities": {}}\x00'
words = [
    b"",
    b"\x00",
    b"\xff" * 64,
    # vfio-user: a header that promises more than comes, one that is too short, an unknown command, half a VERSION, a
    # whole one (which is answered, or not: we are gone)
    struct.pack("<HHIII", 1, 1, 1 << 20, 0, 0),
    struct.pack("<HHIII", 1, 1, 3, 0, 0),
    struct.pack("<HHIII", 1, 999, 16, 0, 0),
    struct.pack("<HHIII", 1, 1, 16 + len(version), 0, 0) + version[:7],
    struct.pack("<HHIII", 1, 1, 16 + len(version), 0, 0) + version,
    # JSON-RPC: half a request, nonsense
    b'{"jsonrpc": "2.0", "method": "target.st',
    b"{}{}{}[[[",
]

for i in range(times):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)  # waits while there is no room for one more to wait in
    sock.settimeout(10)
    try:
        sock.sendall(words[i % len(words)])
    except (BrokenPipeError, ConnectionResetError):
        pass  # sent away at once, because the one before is still being let go of
    sock.close()
