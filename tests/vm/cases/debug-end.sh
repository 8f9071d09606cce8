# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# debug-end.sh - on the kernel 6.12-debug, after the cases that it has judged: its checks are still on, but that of locks
# (debug-locks.sh), and no memory is lost; then that mistakes are seen by those cases: some are made, on order, by the kernel's own
# module for that. It is the last case of a boot.

: "${cases:?set by run}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"

check 'debug: DMA mappings are still checked' debug_dma
expect 'debug: no memory is lost' 0 '!unreferenced' -- debug_lost

# plant MISTAKE REGEX: the kernel makes it, in a process that may not survive, and splats() sees it.
plant() {
	dmesg -C
	sh -c "echo $1 >/sys/kernel/debug/provoke-crash/DIRECT" 2>/dev/null
	expect "debug: $1 is seen" 0 "$2" -- splats
}
modprobe lkdtm
plant READ_AFTER_FREE 'KASAN: slab-use-after-free'
plant ARRAY_BOUNDS 'UBSAN: array-index-out-of-bounds'
plant CORRUPT_LIST_ADD 'kernel BUG|WARNING:'
