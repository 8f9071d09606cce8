# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# kmod-unplug.sh - a device that quoll.ko has is unplugged: under DMA of mappings, under streaming, while a call waits for user
# memory. It completes, the owner is told, nothing stays pinned; the device works when it is back.

: "${cases:?set by run}" "${sys:?set by lib.sh}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"

edu=$(addr edu0)
dmesg -C
check 'kmod-unplug: the module loads' insmod /lab/quoll.ko
kmod_bind "$edu" quoll
pins=$(pinned)

# unplugged TEST PROGRAM
unplugged() {
	selftest=/quoll/build/tests/vm/programs/$1
	kmod_start "$2" "$edu"
	check "kmod-unplug: $1 $2: the unplug completes" lab-unplug edu0
	[[ $2 != lose-waiting ]] || echo >&7
	kmod_end "$2"
	check "kmod-unplug: $1 $2: as many pages are pinned as before" wait_for 20 is_pinned "$pins"
	lab-plug edu0
	check "kmod-unplug: $1 $2: the device is back" wait_for 20 test -d "$sys/$edu"
	kmod_bind "$edu" quoll
}
unplugged kmod_selftest lose
unplugged kmod_stream lose
unplugged kmod_stream lose-waiting
selftest=/quoll/build/tests/vm/programs/kmod_selftest
kmod_run edu "$edu"
kmod_bind "$edu"
check 'kmod-unplug: the module goes' rmmod quoll
expect 'kmod-unplug: the kernel has nothing to complain about' 1 -- splats
