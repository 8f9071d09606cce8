# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# fwd-kill.sh - SIGKILL of a forwarder under traffic: nothing leaks, the next one works at once, and so does the kernel's
# network after restore.

: "${sys:?set by lib.sh}"
# shellcheck source=net.sh
. "${BASH_SOURCE[0]%/*}/net.sh"
net_up
quoll bind "${ports[@]}" --user quoll >/dev/null || fail 'fwd-kill: bind'
free=$(hugepages_free)
for round in 1 2 3; do
	fwd_start "fwd, kill -9, round $round" || return 0
	in_c ping -q -i 0.002 -s 1000 192.0.2.3 >/dev/null 2>&1 &
	traffic=$!
	check "fwd, kill -9, round $round: frames go through" ping_through 3
	kill -9 "$fwd_pid"
	wait "$fwd_pid" 2>/dev/null
	check "fwd, kill -9, round $round: hugepages free before = after" same "$free" "$(hugepages_free)"
	kill "$traffic"
	wait "$traffic" 2>/dev/null
done
fwd_start 'fwd, kill -9: again' || return 0
check 'fwd, kill -9: the next forwarder works at once' ping_through 5
fwd_stop
check 'fwd, kill -9: and ends with 0' test "$fwd_status" = 0
expect 'fwd, kill -9: restore' 0 -- quoll restore "${ports[@]}"
wait_for 20 test -d "$sys/${ports[0]}/net"
port=$(ls "$sys/${ports[0]}/net")
ip addr add 192.0.2.9/24 dev "$port"
ip link set "$port" up
check "fwd, kill -9: the kernel's driver receives and sends on that port again" \
	wait_for 30 in_c ping -q -c 1 -W 1 192.0.2.9
ip addr flush dev "$port"
ip link set "$port" down
net_down
