# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# kill.sh - SIGKILL in the middle of I/O: nothing leaks, the group can be claimed again at once.

: "${user[0]:?set by lib.sh}"
disk=$(addr nvme1)
quoll bind "$disk" --user quoll >/dev/null || fail 'kill: bind'
free=$(hugepages_free)
for round in 1 2 3; do
	"${user[@]}" quoll nvme perf "$disk" --rw randwrite --qd 32 --time 60 >/dev/null 2>&1 &
	pid=$!
	wait_for 30 sh -c "[ \$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages) -lt $free ]" ||
		fail "kill: round $round never used hugepages"
	wait_for 30 group_open "$(group "$disk")" "$pid"
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	expect "kill -9, round $round: the group can be claimed again at once" 0 'quoll-nvme1' -- as_user quoll nvme identify "$disk"
	check "kill -9, round $round: hugepages free before = after" same "$free" "$(hugepages_free)"
done
quoll restore "$disk" >/dev/null
check 'kill -9: the kernel drives the disk again after restore' wait_for 30 has_block "$disk"
