# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# iommufd.sh - the two ways to the same device beside each other: files that are handed over and come back, who holds a group
# by which way, and memory that is charged to the user and not to one process.

: "${sys:?set by lib.sh}" "${user[0]:?}"
disk=$(addr nvme1)
multi=$(addr multi0)
expect 'iommufd: doctor knows of it' 0 '^OK +iommufd .*--backend iommufd' -- quoll doctor
check 'iommufd: /dev/iommu is root.s at first' test "$(stat -c %U /dev/iommu)" = root
quoll bind "$disk" "$multi" --user quoll >/dev/null || fail 'iommufd: bind'
for file in /dev/iommu "$(cdev "$disk")" "$(cdev "$multi")" "/dev/vfio/$(group "$disk")"; do
	check "iommufd: bind --user gives $file" test "$(stat -c %U "$file")" = quoll
done

# held FIRST: a process of the user has the drive by this way; $pid
held() {
	QUOLL_BACKEND=$1 "${user[@]}" quoll nvme perf "$disk" --time 100 >/tmp/held.log 2>&1 &
	pid=$!
	wait_for 30 group_open "$(group "$disk")" "$pid" && wait_for 30 test -e "/proc/$pid"
}
let_go() {
	kill -INT "$pid"
	check "iommufd: $1 ends when told to" wait "$pid"
}

for pair in 'vfio iommufd' 'iommufd vfio' 'iommufd iommufd'; do
	held "${pair% *}"
	expect "iommufd: held by ${pair% *}, refused to ${pair#* }, and by whom" 1 "claimed by process $pid \\(quoll\\)" '^try: ' \
		-- as_user quoll nvme identify "$disk" --backend "${pair#* }"
	expect "iommufd: held by ${pair% *}: restore names the process, too" 1 "process $pid \\(quoll\\)" -- quoll restore "$disk"
	let_go "${pair% *}"
done

# The default of 8 MiB is enough for identify (limits.sh), but not on top of what the first pins: that is the user's account.
QUOLL_BACKEND=iommufd prlimit --memlock=268435456:268435456 "${user[@]}" quoll nvme perf "$disk" --qd 128 --size 128k \
	--time 100 >/tmp/held.log 2>&1 &
pid=$!
# pinned_kib PID AT-LEAST
pinned_kib() { awk -v least="$2" '/^VmPin:/ { enough = $2 >= least } END { exit !enough }' "/proc/$1/status"; }
check 'iommufd: what is mapped is pinned' wait_for 30 pinned_kib "$pid" 8192
limit=(prlimit --memlock=8388608:8388608 "${user[@]}")
expect 'iommufd: what the first pins counts against the second' 1 '[0-9]+ of all of the user.s processes' '^try: .*memlock' \
	-- "${limit[@]}" quoll nvme identify "$multi" --backend iommufd
expect 'iommufd: with VFIO.s groups it does not' 0 'quoll-multi0' \
	-- "${limit[@]}" quoll nvme identify "$multi" --backend vfio
let_go 'the first'
quoll restore >/dev/null || fail 'iommufd: restore'
check 'iommufd: restore gives /dev/iommu back' test "$(stat -c %U /dev/iommu)" = root
check 'iommufd: the drives are with their driver' test "$(driver "$disk") $(driver "$multi")" = 'nvme nvme'
