# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# vfio-user-load.sh - a guest that is killed in the middle of I/O to the drives of `quoll target`: leaves files that it has
# synced, and their checksums in /out, for vfio-user.sh. Does not come to its end.

# shellcheck source=nvme.sh
. "${cases:?set by run}/nvme.sh"

filled() { mkfs.ext4 -q -F "$1" && mount_at "$1" "$2" && cp -r /tmp/tree/. "$2/" && sync; }

make_tree /tmp/tree
for id in user0 user1; do
	disk=$(addr $id)
	wait_for 30 has_block "$disk" 2 || fail "$id: the kernel's driver finds the drive"
	for ns in 1 2; do
		device=$(block "$disk" $ns)
		check "$id: namespace $ns: files" filled "$device" "/mnt/$id-$ns"
		sums_of "/mnt/$id-$ns" >"/out/$id-$ns.sums"
		mkdir "/mnt/$id-$ns/load"
		before=$(writes "$device")
		verify "/mnt/$id-$ns/load/file" --fsync=32 --time_based --runtime=600 --do_verify=0 >/dev/null 2>&1 &
		wait_for 30 wrote_more "$device" $((before + 100)) || fail "$id: namespace $ns: load"
	done
done
lab-host kill-guest
fail 'this guest was to be killed'
