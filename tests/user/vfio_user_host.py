# SPDX-License-Identifier: BSD-3-Clause
# vfio_user_host.py - what the NVMe hosts without manners share: a vfio-user client that enables the controller of a target.
import array
import socket
import struct
import sys

VERSION, DMA_MAP, REGION_READ, REGION_WRITE, DMA_READ, DMA_WRITE = 1, 2, 9, 10, 11, 12
BAR0, CONFIG = 0, 7
COMMAND, CC, CSTS, AQA, ASQ, ACQ, DOORBELL = 0x04, 0x14, 0x1C, 0x24, 0x28, 0x30, 0x1000
REPLY, ERROR = 1, 0x20
SQ_AT, CQ_AT = 0x0000, 0x4000


class Host:
    """@memory_command answers the target's DMA_READ (without data) and DMA_WRITE; None: there is nothing to ask for."""

    def __init__(self, path, memory_command=None):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(path)
        self.count = 0
        self.memory_command = memory_command
        self.ask(VERSION, struct.pack("<HH", 0, 1) + b'{"capabilities": {}}\x00')

    def take(self, size):
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                raise ConnectionResetError
            data += more
        return data

    def next(self):
        """Header and payload of what comes next; commands are answered."""
        while True:
            ident, command, size, flags, error = struct.unpack("<HHIII", self.take(16))
            payload = self.take(size - 16)
            if flags & 0xF == REPLY:
                return command, flags, error, payload
            answer = self.memory_command(command, *struct.unpack("<QQ", payload[:16]), payload[16:])
            self.sock.sendall(struct.pack("<HHIII", ident, command, 32 + len(answer), REPLY, 0) + payload[:16] + answer)

    def ask(self, command, payload, fds=()):
        """The payload of the answer; an error is one of ours too."""
        self.count += 1
        header = struct.pack("<HHIII", self.count, command, 16 + len(payload), 0, 0)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([header + payload], rights)
        _, flags, error, answer = self.next()
        if flags & ERROR:
            sys.exit(f"command {command}: error {error}")
        return answer

    def map(self, size, fds=()):
        self.ask(DMA_MAP, struct.pack("<IIQQQ", 32, 3, 0, 0, size), fds)

    def write(self, region, offset, value, size=4):
        self.ask(REGION_WRITE, struct.pack("<QII", offset, region, size) + value.to_bytes(size, "little"))

    def read(self, region, offset, size=4):
        return int.from_bytes(self.ask(REGION_READ, struct.pack("<QII", offset, region, size))[16:], "little")

    def enable(self):
        """With admin queues of 16 entries, at SQ_AT and CQ_AT."""
        self.write(CONFIG, COMMAND, self.read(CONFIG, COMMAND, 2) | 6, 2)
        self.write(BAR0, AQA, 0x000F000F)
        self.write(BAR0, ASQ, SQ_AT, 8)
        self.write(BAR0, ACQ, CQ_AT, 8)
        self.write(BAR0, CC, 1 | 6 << 16 | 4 << 20)
        for _ in range(10000):
            if self.read(BAR0, CSTS) & 1:
                return
        sys.exit("the controller doesn't get ready")
