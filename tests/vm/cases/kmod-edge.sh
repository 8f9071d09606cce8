# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# kmod-edge.sh - quoll.ko where things go wrong half-way, or come while the group is owned (programs/kmod_edge.c): a mapping that the
# IOMMU has no tables for, entries that take long while the device goes, a device that is added, an owner that has lost the
# group; what the kernel is asked for a batch, and the order in which a process's end is seen to, by the kernel's own tracing.

: "${cases:?set by run}" "${sys:?set by lib.sh}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"
selftest=/quoll/build/tests/vm/programs/kmod_edge
tracing=/sys/kernel/tracing
traced='pin_user_pages_fast iommu_map_sg iommu_unmap_fast iommu_unmap intel_iommu_tlb_sync pci_clear_master __pci_reset_function_locked
	unpin_user_pages_dirty_lock iommu_detach_group iommu_group_release_dma_owner'

trace_on() { : >$tracing/trace && echo 1 >$tracing/tracing_on; }
# What was called since, a name a line.
trace_off() {
	echo 0 >$tracing/tracing_on
	awk '/<-/ { sub(/.*: /, ""); print $1 }' $tracing/trace
}
said_twice() { [ "$(grep -c '^ready' /tmp/kmod.log)" = 2 ]; }
# calls FUNCTION NR: as many in /tmp/calls
calls() { [ "$(grep -cx "$1" /tmp/calls)" = "$2" ]; }
# in_order FUNCTION...: after the first call of each comes one of the next
in_order() {
	awk -v want="$*" 'BEGIN { n = split(want, w, " "); i = 1 } i <= n && $1 == w[i] { i++ } END { exit i <= n }' /tmp/calls
}

# can_send NIC: its driver has a link, and the IOMMU lets a frame be read
can_send() {
	local name
	[ "$(driver "$1")" = e1000e ] && name=$(ls "$sys/$1/net") && ip link set "$name" up &&
		[ "$(cat "/sys/class/net/$name/carrier")" = 1 ] &&
		/quoll/build/tests/vm/programs/frames "$name" 1 1 60 0 "$name" && ! dmesg | grep "DMAR:.*${1#0000:}"
}

edu=$(addr edu0) multi0=$(addr multi0) multi1=$(addr multi1)
dmesg -C
check 'kmod-edge: the module loads' insmod /lab/quoll.ko
kmod_bind "$edu" quoll
pins=$(pinned)
kmod_run reserved "$edu"
kmod_run intx "$edu"
kmod_run coherent "$edu"
rounds=20
[[ $LAB_KERNEL != 6.1 ]] || rounds=300 # where what a mapping has reserved could be given back twice
kmod_run unmap "$edu" "$rounds"
expect 'kmod-edge: and nothing was given back twice' 1 -- sh -c "dmesg | grep 'freeing invalid memtype'"

mount -t tracefs tracefs $tracing
# shellcheck disable=SC2086 # words
printf '%s\n' $traced >$tracing/set_ftrace_filter
echo function >$tracing/current_tracer
echo 0 >$tracing/tracing_on
kmod_start batch "$edu"
echo "$kmod_pid" >$tracing/set_ftrace_pid
trace_on
echo >&7
wait_for 30 said_twice
trace_off >/tmp/calls
check 'kmod-edge: neighbours are pinned by one call' calls pin_user_pages_fast 1
check 'kmod-edge: and mapped by one' calls iommu_map_sg 1
check 'kmod-edge: and unmapped by one' calls iommu_unmap_fast 1
check 'kmod-edge: and flushed by one' calls intel_iommu_tlb_sync 1
check 'kmod-edge: and only then unpinned' in_order iommu_unmap_fast intel_iommu_tlb_sync unpin_user_pages_dirty_lock
echo >&7
kmod_end batch
echo >$tracing/set_ftrace_pid

selftest=/quoll/build/tests/vm/programs/kmod_stream
kmod_start hammer "$edu"
kill -STOP "$kmod_pid"
trace_on
kill -9 "$kmod_pid"
wait "$kmod_pid" 2>/dev/null
wait_for 20 is_pinned "$pins"
trace_off >/tmp/calls
check 'kmod-edge: SIGKILL: bus mastering off, reset, unmapped, flushed, detached, given back, unpinned, in that order' \
	in_order pci_clear_master __pci_reset_function_locked iommu_unmap_fast intel_iommu_tlb_sync iommu_detach_group \
	iommu_group_release_dma_owner unpin_user_pages_dirty_lock
sed '/__pci_reset_function_locked/Q' /tmp/calls >/tmp/calls.before
check 'kmod-edge: nothing is unmapped or unpinned before the reset' \
	sh -c '! grep -E "unmap|unpin|detach" /tmp/calls.before'
echo nop >$tracing/current_tracer
umount $tracing
selftest=/quoll/build/tests/vm/programs/kmod_edge

kmod_start long "$edu"
began=$(date +%s)
check 'kmod-edge: unbind returns while long entries are looked at' timeout 60 sh -c "echo $edu >/sys/bus/pci/drivers/quoll/unbind"
check "kmod-edge: in no time: $(($(date +%s) - began)) s" test $(($(date +%s) - began)) -le 3
kmod_end long
kmod_bind "$edu" quoll
expect 'kmod-edge: the kernel has nothing to complain about' 1 -- splats

# a cgroup that is out of memory leaves a trace of its own in the log
if [[ $LAB_KERNEL == 6.1 ]]; then
	: # its IOMMU driver takes the memory of tables from nobody's account
else
	mkdir /tmp/cgroup
	mount -t cgroup2 cgroup2 /tmp/cgroup
	echo +memory >/tmp/cgroup/cgroup.subtree_control
	mkdir /tmp/cgroup/quoll
	kmod_run memory "$edu" /tmp/cgroup/quoll
	expect 'kmod-edge: and no page was left in a table' 1 -- sh -c "dmesg | grep -E 'already set|WARNING:'"
	check 'kmod-edge: as many pages are pinned as before' wait_for 20 is_pinned "$pins"
	rmdir /tmp/cgroup/quoll
	umount /tmp/cgroup
fi
dmesg -C

kmod_bind "$multi0" quoll
echo 1 >"$sys/$multi1/remove"
kmod_start added "$multi0" "$multi1"
echo 1 >/sys/bus/pci/rescan
check 'kmod-edge: a device that is added is there' wait_for 20 test -d "$sys/$multi1"
check 'kmod-edge: in the same group' test "$(group "$multi0")" = "$(group "$multi1")"
check 'kmod-edge: it got no driver' test -z "$(driver "$multi1")"
check 'kmod-edge: nor does it by being told' sh -c "! echo $multi1 >/sys/bus/pci/drivers/e1000e/bind"
check 'kmod-edge: but this module' sh -c "echo quoll >$sys/$multi1/driver_override && echo $multi1 >/sys/bus/pci/drivers_probe"
check 'kmod-edge: which has it' test "$(driver "$multi1")" = quoll
echo >&7
kmod_end added
kmod_bind "$multi0"
# The kernel has not set the IOMMU up for a device that came while its group was somebody else's, nor does it later on: the kernel's
# own driver would be stopped at its first DMA.
echo 1 >"$sys/$multi1/remove"
echo 1 >/sys/bus/pci/rescan
wait_for 20 test -d "$sys/$multi1"
check "kmod-edge: it is its own driver's when it comes again, and works" wait_for 20 can_send "$multi1"
kmod_bind "$edu"
check 'kmod-edge: the module goes' rmmod quoll

check 'kmod-edge: it comes again, for all groups' insmod /lab/quoll.ko all_groups=1
kmod_bind "$edu" quoll
kmod_start stale "$edu"
echo "$edu" >/sys/bus/pci/drivers/quoll/unbind
kmod_bind "$edu" quoll
echo >&7
kmod_end stale
kmod_bind "$edu"
check 'kmod-edge: the module goes again' rmmod quoll
check 'kmod-edge: the drive is the kernel'\''s again' wait_for 30 has_block "$multi0"
expect 'kmod-edge: the kernel has nothing to complain about' 1 -- splats
