# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# by-kmod.sh - quoll.ko for the cases that follow, with which they run over its back-end; the files that bind hands over, and who
# holds a group by which way.

: "${cases:?set by run}" "${sys:?set by lib.sh}" "${user[0]:?}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"
disk=$(addr nvme1)
expect 'kmod: without the module the way to it is told' 1 'quoll.ko is not loaded' '^try: .*insmod' -- quoll nvme identify "$disk"
expect 'kmod: without the module doctor does without it' 0 '^OK +kmod .*not loaded' -- env -u QUOLL_BACKEND quoll doctor
expect 'kmod: but not if it was asked for' 1 '^FAIL +kmod .*not loaded' '^ +try: .*insmod' -- quoll doctor
dmesg -C
# shellcheck disable=SC2034 # for by-kmod-end.sh
pins=$(pinned)
# A user who was asked has time to let go, as with VFIO, on a slow machine too.
check 'kmod: the module loads' insmod /lab/quoll.ko remove_wait_ms=30000
quoll bind "$disk" --user quoll --backend vfio >/dev/null || fail 'kmod: bind for VFIO'
expect 'kmod: a drive that is with vfio-pci is refused with the way out' 1 'no device of group .* driver quoll' "$disk +vfio-pci" \
	"^try: sudo quoll bind $disk --driver quoll" -- quoll nvme identify "$disk"
expect 'kmod: bind takes it over from vfio-pci' 0 -- quoll bind "$disk" --user quoll
check 'kmod: it is with the module' test "$(driver "$disk")" = quoll
for file in "/dev/quoll/$(group "$disk")" "/dev/vfio/$(group "$disk")"; do
	check "kmod: bind --user gives $file" test "$(stat -c %U "$file")" = quoll
done
expect 'kmod: doctor: whose the file is' 0 "^OK +kmod .*groups $(group "$disk") \\(you may open it\\)" -- as_user quoll doctor
expect 'kmod: list: it is ready' 0 "$disk.* ready" -- as_user quoll nvme list
for pair in 'vfio kmod' 'kmod vfio' 'kmod kmod'; do
	QUOLL_BACKEND=${pair% *} "${user[@]}" quoll nvme perf "$disk" --time 100 >/tmp/held.log 2>&1 &
	pid=$!
	wait_for 30 group_open "$(group "$disk")" "$pid"
	expect "kmod: held by ${pair% *}, refused to ${pair#* }, and by whom" 1 "claimed by process $pid \\(quoll\\)" '^try: ' \
		-- as_user quoll nvme identify "$disk" --backend "${pair#* }"
	expect "kmod: held by ${pair% *}: restore names the process, too" 1 "process $pid \\(quoll\\)" -- quoll restore "$disk"
	kill -INT "$pid"
	check "kmod: ${pair% *} ends when told to" wait "$pid"
done
quoll restore "$disk" >/dev/null || fail 'kmod: restore'
check 'kmod: the drive is with its driver' test "$(driver "$disk")" = nvme
