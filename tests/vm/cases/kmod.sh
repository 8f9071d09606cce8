# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# kmod.sh - quoll.ko by its own interface (programs/kmod_selftest.c): groups, owners, mappings, devices, what is refused, what is
# lost, what is killed; that pinned pages and the kernel's log are as before.
#
# QUOLL_ROUNDS: of open and close; the time limit is 300 s.

: "${cases:?set by run}" "${sys:?set by lib.sh}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"
selftest=/quoll/build/tests/vm/programs/kmod_selftest

disk=$(addr nvme1) edu=$(addr edu0) multi0=$(addr multi0) multi1=$(addr multi1)
dmesg -C
check 'kmod: the module loads' insmod /lab/quoll.ko
expect 'kmod: everybody may ask the control node' 0 '^666$' -- stat -c %a /dev/quoll/control
check 'kmod: no group has a node without a member that is bound' test ! -e "/dev/quoll/$(group "$edu")"
kmod_bind "$disk" quoll
kmod_bind "$edu" quoll
expect 'kmod: a group has a node then, for root' 0 '^600$' -- stat -c %a "/dev/quoll/$(group "$edu")"
pins=$(pinned)
kmod_run group "$edu"
kmod_run edu "$edu"
check 'kmod: the IOMMU has stopped the writes' sh -c "dmesg | grep -E 'DMAR: .*DMA Write.*\[?${edu#0000:}\]?'"
kmod_run nvme "$disk"
kmod_run turns "$disk"
kmod_run rounds "$edu" "${QUOLL_ROUNDS:-1000}"
check 'kmod: as many pages are pinned as before' wait_for 20 is_pinned "$pins"

kmod_start hold "$edu"
check 'kmod: a process under DMA has pages pinned' test "$(pinned)" -gt "$pins"
kill -9 "$kmod_pid"
wait "$kmod_pid" 2>/dev/null
check 'kmod: SIGKILL under DMA: as many pages are pinned as before' wait_for 20 is_pinned "$pins"
check 'kmod: the group is free at once' opens "$edu"
kmod_start child "$edu"
kill -9 "$kmod_pid"
wait "$kmod_pid" 2>/dev/null
check 'kmod: SIGKILL with a forked child that has the files: no pages are pinned' wait_for 20 is_pinned "$pins"
check 'kmod: the group is free while the child still has them' opens "$edu"
kill -9 "${kmod_said##* }"

kmod_start lose "$edu"
check 'kmod: unbind under load returns' timeout 20 sh -c "echo $edu >/sys/bus/pci/drivers/quoll/unbind"
kmod_end lose
check 'kmod: the node has gone with the device' test ! -e "/dev/quoll/$(group "$edu")"
kmod_bind "$edu" quoll
kmod_start wait "$edu"
check 'kmod: unbind of a device that is not open returns' timeout 20 sh -c "echo $edu >/sys/bus/pci/drivers/quoll/unbind"
kmod_end wait
kmod_bind "$edu" quoll

kmod_bind "$multi0" quoll
kmod_run blocked "$multi0" "$multi1" e1000e
kmod_bind "$multi0"
kmod_bind "$disk"
kmod_bind "$edu"
check 'kmod: the module goes' rmmod quoll
check 'kmod: it comes again, for all groups' insmod /lab/quoll.ko all_groups=1
check 'kmod: each group has a node' test "$(find /dev/quoll -name '[0-9]*' | wc -l)" = "$(find /sys/kernel/iommu_groups -mindepth 1 -maxdepth 1 | wc -l)"
kmod_bind "$edu" quoll
kmod_start wait "$edu"
check 'kmod: unbind leaves the node, as there is one for each group' sh -c "echo $edu >/sys/bus/pci/drivers/quoll/unbind && test -e /dev/quoll/$(group "$edu")"
kmod_end wait
kmod_bind "$edu" quoll
kmod_run rounds "$edu" 1
kmod_run beside "$edu"
kmod_bind "$edu"
kmod_bind "$multi0" quoll
kmod_start blocked "$multi0" "$multi1" e1000e all
kmod_bind "$multi1" quoll
echo >&7
kmod_end blocked
kmod_bind "$multi0"
kmod_bind "$multi1"
check 'kmod: the module goes again' rmmod quoll
check 'kmod: the drives are the kernel'\''s again' wait_for 30 has_block "$disk"
wait_for 20 interface multi1
expect 'kmod: the kernel has nothing to complain about' 1 -- splats
