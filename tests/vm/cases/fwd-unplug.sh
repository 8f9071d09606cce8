# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# fwd-unplug.sh - a port leaves under traffic, by the slot's button and pulled out without a word: the forwarder ends, names
# it, and still says what it did.

: "${sys:?set by lib.sh}"
# shellcheck source=net.sh
. "${BASH_SOURCE[0]%/*}/net.sh"
net_up

# port_leaves HOW COMMAND ID
port_leaves() {
	local how=$1 command=$2 id=$3 port free traffic status=0
	port=$(addr "$id")
	quoll bind "${ports[@]}" --user quoll >/dev/null || fail "fwd, $how: bind"
	free=$(hugepages_free)
	fwd_start "fwd, $how" || return 0
	in_c ping -q -i 0.01 192.0.2.3 >/dev/null 2>&1 &
	traffic=$!
	check "fwd, $how: frames go through" ping_through 3
	"$command" "$id"
	if wait_for 40 sh -c "! kill -0 $fwd_pid"; then pass "fwd, $how: it ends in bounded time"; else
		fail "fwd, $how: it ends in bounded time"
		kill -9 "$fwd_pid"
	fi
	wait "$fwd_pid" || status=$?
	kill "$traffic"
	wait "$traffic" 2>/dev/null
	check "fwd, $how: it ends with status 1" test "$status" = 1
	check "fwd, $how: the error names the port" grep -Eq "^quoll fwd: $port: .*(gone|wants it back)" /tmp/fwd.log
	check "fwd, $how: what was forwarded is still reported, and every buffer is back" \
		jq -e '.ended_by == "error" and .packets > 3 and .bufs_missing == 0' /tmp/fwd.json
	check "fwd, $how: the kernel lets the slot go" wait_for 40 test ! -e "$sys/$port"
	check "fwd, $how: hugepages free before = after" same "$free" "$(hugepages_free)"
	quoll restore >/dev/null
	lab-plug "$id"
	wait_for 20 test -e "$sys/$port/net"
}

port_leaves unplug lab-unplug net1
port_leaves 'surprise removal' lab-yank net0
net_down
