# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# kmod-nvme.sh - the NVMe driver over quoll.ko with buffers that are not in the heap: mapped for each request in a window, or
# registered, or one of the ways that need no window; that data is right, each request took that way, and nothing stays pinned.

: "${cases:?set by run}" "${sys:?set by lib.sh}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"

disk=$(addr nvme1)
dmesg -C
check 'kmod-nvme: the module loads' insmod /lab/quoll.ko
kmod_bind "$disk" quoll
pins=$(pinned)
for way in window:stream registered:registered cached:cached bounce:bounce; do
	buffers=${way#*:} way=${way%:*}
	expect "kmod-nvme: --buffers $buffers: data of random size and place is right" 0 '"mismatches": 0' '"complete": true' "\"$way\": [1-9]" \
		-- env QUOLL_BACKEND=kmod quoll nvme verify "$disk" --nsid 1 --writes 300 --buffers "$buffers" --json
	expect "kmod-nvme: --buffers $buffers: each request goes that way" 0 "\"$way\": 2000[^0-9]" '"heap": 0' '"ios": 2000' '"errors": 0' \
		-- env QUOLL_BACKEND=kmod quoll nvme perf "$disk" --nsid 1 --rw randrw --ios 2000 --buffers "$buffers" --json
	check "kmod-nvme: --buffers $buffers: as many pages are pinned as before" wait_for 20 is_pinned "$pins"
done
expect 'kmod-nvme: two queues, and requests of many commands' 0 '"window": 200[^0-9]' '"errors": 0' \
	-- env QUOLL_BACKEND=kmod quoll nvme perf "$disk" --nsid 1 --rw rw --size 1M --qd 4 --queues 2 --ios 200 --buffers stream --json
kmod_bind "$disk" vfio-pci
expect 'kmod-nvme: VFIO has no windows, and says what has' 1 'no windows' 'try:.*quoll.ko' -- quoll nvme perf "$disk" --nsid 1 --ios 10 --buffers registered
kmod_bind "$disk"
check 'kmod-nvme: the module goes' rmmod quoll
check 'kmod-nvme: the drive is the kernel'\''s again' wait_for 30 has_block "$disk"
expect 'kmod-nvme: the IOMMU has stopped nothing' 1 -- sh -c 'dmesg | grep "DMAR: .*fault"'
expect 'kmod-nvme: the kernel has nothing to complain about' 1 -- splats
