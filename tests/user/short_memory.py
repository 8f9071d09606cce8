# SPDX-License-Identifier: BSD-3-Clause
# short_memory.py - an NVMe host over vfio-user whose memory is a file that can get shorter, and does, once its queues are
# in it and a command waits there. Exit status 0 if the target then hangs up on it.
import os
import sys

from vfio_user_host import BAR0, CSTS, DOORBELL, Host

MEMORY_BYTES = 0x10000

host = Host(sys.argv[1])
memory = os.memfd_create("host")
os.ftruncate(memory, MEMORY_BYTES)
host.map(MEMORY_BYTES, [memory])
host.enable()
os.ftruncate(memory, 0)
try:
    host.write(BAR0, DOORBELL, 1)
    for _ in range(10000):
        host.read(BAR0, CSTS)
except (ConnectionResetError, BrokenPipeError):
    sys.exit(0)
sys.exit("the target doesn't mind")
