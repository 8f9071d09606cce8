# SPDX-License-Identifier: BSD-3-Clause
# can_xdp.py - exits with 0 if whoever runs it may have AF_XDP's sockets, and its map of them, from this kernel.
import ctypes
import socket
import sys

AF_XDP = 44
BPF_MAP_TYPE_XSKMAP = 17

try:
    socket.socket(AF_XDP, socket.SOCK_RAW).close()
    sys.exit(ctypes.CDLL("libbpf.so.1").libbpf_probe_bpf_map_type(BPF_MAP_TYPE_XSKMAP, None) != 1)
except OSError as err:
    sys.exit(str(err))
