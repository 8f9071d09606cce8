# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# vfio-user.sh - drives that `quoll target` serves on the host, QEMU being its client and the kernel's own nvme driver their
# user: user0 with trapped doorbells, user1 with mapped ones, each with namespaces 1 (mem:, blocks of 512 bytes) and 2 (file:,
# 4096). Started by tests/vm/vfio-user, whose answers lab-host brings; vfio-user-load.sh has been there before.
#
# A drive is not unplugged: QEMU 11.1.3 aborts when a vfio-user-pci with MSI-X goes (memory_region_del_subregion).

# shellcheck source=nvme.sh
. "${cases:?set by run}/nvme.sh"

survived() { # survived DEVICE SUMS: what the guest that was killed had synced
	local result=0
	recovered "$1" && mount_at "$1" /mnt || return
	sums_hold /mnt "$2" || result=$?
	umount /mnt
	return $result
}

# silent trapped|mapped: whether I/O needs no messages: doorbells are memory, and no IOMMU has QEMU map each buffer
silent() { [ "$1" = mapped ] && [ -z "$(ls -A /sys/kernel/iommu_groups 2>/dev/null)" ]; }

# rings NAME DEVICE trapped|mapped: I/O begins with a message, or needs none
rings() {
	local nr
	nr=$(lab-host show "$1" messages)
	verify "$2" >/dev/null || return
	nr=$(($(lab-host show "$1" messages) - nr))
	echo "$nr messages"
	if silent "$3"; then
		[ $nr -lt 10 ] # an interrupt's setting may change meanwhile
	else
		[ $nr -gt 0 ]
	fi
}

usual() { # usual NAME ADDR trapped|mapped: what a drive is used for
	local ns
	expect "$1: identify" 0 'Quoll' -- nvme id-ctrl "$(controller "$2")"
	for ns in 1 2; do
		file_system "$1: namespace $ns" "$(block "$2" $ns)" /tmp/tree
		check "$1: namespace $ns: fio verify" verify "$(block "$2" $ns)"
		check "$1: namespace $ns: Write Zeroes" zeroed "$(block "$2" $ns)"
	done
	check "$1: doorbells are $3" rings "$1" "$(block "$2" 1)" "$3"
	for log in smart error fw effects; do expect "$1: nvme $log-log" 0 -- nvme $log-log "$(controller "$2")"; done
}

again() { # again NAME ADDR: it goes and comes back, with its data
	local sum
	check "$1: controller resets under load" resets_under_load "$(block "$2" 1)" "$(controller "$2")"
	sum=$(sum "$(block "$2" 2)")
	check "$1: unbound, reset as a function and bound" rebound "$2"
	check "$1: the data is there" same "$sum" "$(sum "$(block "$2" 2)")"
}

come_and_go() { # come_and_go NAME ADDR: a namespace that is made while the guest looks on
	local nsid
	nsid=$(lab-host add "$1" mem:32M)
	check "$1: a namespace that is added appears" wait_for 30 has_block "$2" "$nsid"
	check "$1: it can be used" verify "$(block "$2" "$nsid")" --size=8M
	expect "$1: it is removed" 0 -- lab-host remove "$1" "$nsid"
	check "$1: and disappears" wait_for 30 gone "$2" "$nsid"
	check "$1: the others stay" has_block "$2" 2
}

gone() { ! has_block "$@"; }

# dead ADDR: the kernel has given the controller up, or removed it (6.1)
dead() { ! grep -qsv dead "$sys/$1"/nvme/nvme*/state; }
load() { verify "$1" --time_based --runtime=600 --do_verify=0 >/tmp/load.log 2>&1; }

# target_dies NAME ADDR trapped|mapped: by SIGKILL, in the middle of I/O that needs no messages, else before it: QEMU 11.1.3 aborts
# when the target leaves messages unread. What was synced must be in the file then.
target_dies() {
	local device pid before
	device=$(block "$2" 2)
	check "$1: the last files on file:" made_and_copied /tmp/tree "$device"
	sum "$device" >"/out/$1.last"
	device=$(block "$2" 1)
	before=$(writes "$device")
	if silent "$3"; then
		load "$device" &
		pid=$!
		check "$1: the drive is busy" wait_for 30 wrote_more "$device" "$before"
		expect "$1: the target is killed" 0 -- lab-host kill "$1"
	else
		expect "$1: the target is killed" 0 -- lab-host kill "$1"
		load "$device" &
		pid=$!
	fi
	check "$1: I/O ends with an error, in bounded time" ends_with 1 $pid
	check "$1: the kernel takes the drive for dead" wait_for 60 dead "$2"
}

made_and_copied() { mkfs.ext4 -q -F "$2" && copied "$1" "$2"; }

# Loads the kernel's driver anew: a dead drive is given 10 s, and I/O to it ends. With multipath, which the guest before had, the
# kernel keeps I/O to the last path that died for another one to come.
reload_driver() {
	modprobe -r nvme nvme_core && modprobe nvme_core multipath=N io_timeout=10 admin_timeout=10 && modprobe nvme
}

for id in user0 user1; do check "$id: the kernel's driver finds the drive" wait_for 30 has_block "$(addr $id)" 2; done
check 'the driver is unloaded, and loaded again' reload_driver
make_tree /tmp/tree
for drive in user0:trapped user1:mapped; do
	id=${drive%:*}
	disk=$(addr "$id")
	check "$id: the kernel's driver finds the drive again" wait_for 30 has_block "$disk" 2
	check "$id: what a killed guest had synced to mem: is there" survived "$(block "$disk" 1)" "/out/$id-1.sums"
	check "$id: what a killed guest had synced to file: is there" survived "$(block "$disk" 2)" "/out/$id-2.sums"
	usual "$id" "$disk" "${drive#*:}"
	again "$id" "$disk"
	come_and_go "$id" "$disk"
	target_dies "$id" "$disk" "${drive#*:}"
done
