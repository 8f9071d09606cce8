# SPDX-License-Identifier: BSD-3-Clause
# short_memory.py - an NVMe host over vfio-user whose memory is a file that can get shorter, and does, once its queues are
# in it and a command waits there. Exit status 0 if the target then hangs up on it.
import array
import os
import socket
import struct
import sys

VERSION, DMA_MAP, REGION_READ, REGION_WRITE = 1, 2, 9, 10
BAR0, CONFIG = 0, 7
COMMAND, CC, CSTS, AQA, ASQ, ACQ, DOORBELL = 0x04, 0x14, 0x1C, 0x24, 0x28, 0x30, 0x1000
MEMORY_BYTES = 0x10000

sock = socket.socket(socket.AF_UNIX)
sock.settimeout(10)
sock.connect(sys.argv[1])
count = 0


def ask(command, payload, fds=()):
    """The payload of the answer; an error is one of ours too."""
    global count
    count += 1
    header = struct.pack("<HHIII", count, command, 16 + len(payload), 0, 0)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([header + payload], rights)
    answer = take(16)
    _, _, size, flags, error = struct.unpack("<HHIII", answer)
    if flags & 0x20:
        sys.exit(f"command {command}: error {error}")
    return take(size - 16)


def take(size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise ConnectionResetError
        data += more
    return data


def write(region, offset, value, size=4):
    ask(REGION_WRITE, struct.pack("<QII", offset, region, size) + value.to_bytes(size, "little"))


def read(region, offset, size=4):
    return int.from_bytes(ask(REGION_READ, struct.pack("<QII", offset, region, size))[16:], "little")


ask(VERSION, struct.pack("<HH", 0, 1) + b'{"capabilities": {}}\x00')
memory = os.memfd_create("host")
os.ftruncate(memory, MEMORY_BYTES)
ask(DMA_MAP, struct.pack("<IIQQQ", 32, 3, 0, 0, MEMORY_BYTES), [memory])
write(CONFIG, COMMAND, read(CONFIG, COMMAND, 2) | 6, 2)
write(BAR0, AQA, 0x000F000F)
write(BAR0, ASQ, 0x0000, 8)
write(BAR0, ACQ, 0x4000, 8)
write(BAR0, CC, 1 | 6 << 16 | 4 << 20)
for _ in range(10000):
    if read(BAR0, CSTS) & 1:
        break
else:
    sys.exit("the controller doesn't get ready")
os.ftruncate(memory, 0)
try:
    write(BAR0, DOORBELL, 1)
    for _ in range(10000):
        read(BAR0, CSTS)
except (ConnectionResetError, BrokenPipeError):
    sys.exit(0)
sys.exit("the target doesn't mind")
