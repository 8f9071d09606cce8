# SPDX-License-Identifier: BSD-3-Clause
# slow_memory.py - an NVMe host over vfio-user whose memory is reached by messages, each of which it answers, but only
# after so many seconds; it has commands without end. Exit status 0 if the target hangs up on it.
#
#   slow_memory.py SOCKET SECONDS MARK: the file MARK is made once a message has been answered so
import struct
import sys
import time

from vfio_user_host import BAR0, CQ_AT, DMA_READ, DOORBELL, Host

MEMORY_BYTES = 0x10000
ENTRIES = 16
DATA_AT = 0x8000
IDENTIFY = struct.pack("<IIQQQQIIIIII", 6, 0, 0, 0, DATA_AT, 0, 1, 0, 0, 0, 0, 0)

path, seconds, mark = sys.argv[1], float(sys.argv[2]), sys.argv[3]
memory = bytearray(MEMORY_BYTES)
completed = 0


def answer(command, iova, count, data):
    global completed
    time.sleep(seconds)  # it is that slow
    if command == DMA_READ:
        return bytes(memory[iova : iova + count])
    memory[iova : iova + count] = data
    if CQ_AT <= iova < CQ_AT + 16 * ENTRIES:
        completed += 1
    open(mark, "w").close()
    return b""


host = Host(path, answer)
memory[0 : 64 * ENTRIES] = IDENTIFY * ENTRIES
host.map(MEMORY_BYTES)
host.enable()
tail = 0
try:
    while True:
        tail = (tail + 1) % ENTRIES
        host.write(BAR0, DOORBELL, tail)
        before = completed
        while completed == before:
            host.read(BAR0, 0)
        host.write(BAR0, DOORBELL + 4, tail)
except (ConnectionResetError, BrokenPipeError):
    sys.exit(0)
