# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# kmod-stream.sh - quoll.ko's streaming by its own interface (programs/kmod_stream.c): windows, rings, entries, registered buffers;
# DMA of devices through them; threads; processes that are killed and devices that are taken away in the middle of it, or while a
# call waits for user memory; that pinned pages and the kernel's log are as before.
#
# QUOLL_ROUNDS: of open and close; the time limit is 300 s.

: "${cases:?set by run}" "${sys:?set by lib.sh}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"
selftest=/quoll/build/tests/vm/programs/kmod_stream

disk=$(addr nvme1) edu=$(addr edu0)
dmesg -C
check 'kmod-stream: the module loads' insmod /lab/quoll.ko
kmod_bind "$disk" quoll
kmod_bind "$edu" quoll
pins=$(pinned)
kmod_run window "$edu"
check 'kmod-stream: what was left mapped, zapped, registered: as many pages are pinned as before' wait_for 20 is_pinned "$pins"
kmod_run edu "$edu"
check 'kmod-stream: the IOMMU has stopped writes into the window' sh -c "dmesg | grep -E 'DMAR: .*DMA Write.*\[?${edu#0000:}\]?.*fault addr 0x2'"
kmod_run nvme "$disk"
kmod_run threads "$edu"
kmod_run waiting "$edu"
kmod_run rounds "$edu" "${QUOLL_ROUNDS:-1000}"
check 'kmod-stream: as many pages are pinned as before' wait_for 20 is_pinned "$pins"

for program in hammer lose-waiting; do
	kmod_start "$program" "$edu"
	check "kmod-stream: $program has pages pinned" test "$(pinned)" -gt "$pins"
	kill -9 "$kmod_pid"
	wait "$kmod_pid" 2>/dev/null
	check "kmod-stream: SIGKILL of $program: as many pages are pinned as before" wait_for 20 is_pinned "$pins"
	check "kmod-stream: the group is free after $program" opens "$edu"
done

kmod_start child "$edu"
kill -9 "$kmod_pid"
wait "$kmod_pid" 2>/dev/null
check 'kmod-stream: SIGKILL with a forked child that has the files: no pages are pinned' wait_for 20 is_pinned "$pins"
check 'kmod-stream: the group is free while the child still has them' opens "$edu"
kill -9 "${kmod_said##* }"

kmod_start lose "$edu"
check 'kmod-stream: unbind under streaming returns' timeout 20 sh -c "echo $edu >/sys/bus/pci/drivers/quoll/unbind"
kmod_end lose
kmod_bind "$edu" quoll
kmod_start lose-waiting "$edu"
check 'kmod-stream: unbind returns while a call waits for user memory' timeout 20 sh -c "echo $edu >/sys/bus/pci/drivers/quoll/unbind"
echo >&7
kmod_end lose-waiting
check 'kmod-stream: lost: as many pages are pinned as before' wait_for 20 is_pinned "$pins"

kmod_bind "$disk"
kmod_bind "$edu"
check 'kmod-stream: the module goes' rmmod quoll
check 'kmod-stream: the drive is the kernel'\''s again' wait_for 30 has_block "$disk"
expect 'kmod-stream: the kernel has nothing to complain about' 1 -- splats
