# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# unplug.sh - the drive is pulled out in the middle of I/O. Last of its boot: the drive stays out.

: "${sys:?set by lib.sh}"
disk=$(addr nvme1)
quoll bind "$disk" >/dev/null || fail 'unplug: bind'
free=$(hugepages_free)
quoll nvme perf "$disk" --qd 32 --time 120 >/tmp/unplug.log 2>&1 &
pid=$!
wait_for 30 group_open "$(group "$disk")" "$pid"
lab-unplug nvme1
if wait_for 40 sh -c "! kill -0 $pid"; then pass 'unplug: the program ends in bounded time'; else
	fail 'unplug: the program ends in bounded time'
	kill -9 "$pid"
fi
status=0
wait "$pid" || status=$?
check 'unplug: it ends with status 1' test "$status" = 1
check 'unplug: the error says that the device is gone or asked for' grep -Eqi 'quoll nvme perf: .*(gone|remov|request)' /tmp/unplug.log
check 'unplug: what was done until then is still reported' grep -q IOPS /tmp/unplug.log
check 'unplug: the kernel lets the slot go' wait_for 40 test ! -e "$sys/$disk"
check 'unplug: hugepages free before = after' same "$free" "$(hugepages_free)"
expect 'unplug: groups are described without it' 0 "!$disk" -- quoll groups
expect 'unplug: restore forgets a device that is not there any more, and says so' 0 -- quoll restore
