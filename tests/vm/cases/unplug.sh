# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# unplug.sh - drives leave in the middle of I/O: one by the slot's button, one pulled out without a word. Last of its boot:
# they stay out.

: "${sys:?set by lib.sh}" "${user[0]:?}"
# leaves HOW COMMAND ID REGEX: what the program that uses the drive does when COMMAND takes it away
leaves() {
	local how=$1 command=$2 id=$3 said=$4 disk free pid reads status=0
	disk=$(addr "$id")
	quoll bind "$disk" --user quoll >/dev/null || fail "$how: bind"
	free=$(hugepages_free) reads=$(lab-reads "$id")
	"${user[@]}" quoll nvme perf "$disk" --nsid 1 --qd 32 --time 120 >/tmp/unplug.log 2>&1 &
	pid=$!
	check "$how: the drive is used" wait_for 30 reads_more "$id" "$reads"
	"$command" "$id"
	if wait_for 40 sh -c "! kill -0 $pid"; then pass "$how: the program ends in bounded time"; else
		fail "$how: the program ends in bounded time"
		kill -9 "$pid"
	fi
	wait "$pid" || status=$?
	check "$how: it ends with status 1" test "$status" = 1
	check "$how: the error says so" grep -Eqi "quoll nvme perf: .*($said)" /tmp/unplug.log
	check "$how: what was done until then is still reported" grep -q IOPS /tmp/unplug.log
	check "$how: the kernel lets the slot go" wait_for 40 test ! -e "$sys/$disk"
	check "$how: hugepages free before = after" same "$free" "$(hugepages_free)"
	expect "$how: groups are described without it" 0 "!$disk" -- quoll groups
	expect "$how: restore forgets a device that is not there any more, and says so" 0 "$disk" -- quoll restore
}

leaves unplug lab-unplug nvme1 'gone|remov|request'
leaves 'surprise removal' lab-yank nvme0 'gone|remov|request|not there|answer'
