# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# netns.sh - for cases with ports on the kernel's interfaces: two hosts in network namespaces of their own, and a third
# one between them, in which Quoll forwards.
#
# Sourced behind lib.sh. Host a has 10.99.0.1, host b 10.99.0.2, each on eth0; what joins them is the case's.

: "${here:?the folder of this file}" "${dir:?comes from lib.sh}" "${quoll:?names the command under test}"

ns=quoll$$
no_ipv6=net.ipv6.conf.default.disable_ipv6=1 # of a kernel that has it
fwd_pid=''
fwd_in=(ip netns exec "$ns-m") # empty: forwards outside of the namespaces

# netns_missing WHAT...: why it cannot be done here, if it can't. WHAT: xdp, tap, bridge, vlan
netns_missing() {
	local word
	[ "$(id -u)" = 0 ] || { echo 'needs root: network namespaces'; return; }
	for word in ip ping iperf3 ethtool setpriv; do
		command -v $word >/dev/null || { echo "$word is not installed"; return; }
	done
	ip netns add "$ns-m" 2>/dev/null || { echo 'network namespaces cannot be made here'; return; }
	netns_lacks "$@"
	ip netns del "$ns-m"
}

# The first thing that the kernel, or who rules this machine, does not let a namespace have.
netns_lacks() {
	local word
	in_ns m sysctl -eqw "$no_ipv6" >/dev/null 2>&1 || { echo 'programs cannot run in network namespaces here, or set nothing there'; return; }
	ip -n "$ns-m" link add probe type veth peer name probe2 2>/dev/null || { echo 'the kernel has no veth'; return; }
	for word in "$@"; do
		case $word in
		xdp) in_ns m python3 -B "$here/../can_xdp.py" 2>/dev/null || { echo 'the kernel has no AF_XDP, or does not let us'; return; } ;;
		tap) ip -n "$ns-m" tuntap add probe3 mode tap 2>/dev/null || { echo 'the kernel has no tun, or does not let us'; return; } ;;
		vlan) ip -n "$ns-m" link add link probe name probe5 type vlan id 5 2>/dev/null || { echo 'the kernel has no VLAN interfaces'; return; } ;;
		bridge) ip -n "$ns-m" link add probe4 type bridge 2>/dev/null || { echo 'the kernel has no bridge'; return; } ;;
		esac
	done
}

in_ns() { # in_ns a|b|m COMMAND...
	local which=$1
	shift
	ip netns exec "$ns-$which" "$@"
}

netns_up() {
	local host
	for host in a b m; do
		ip netns add "$ns-$host" && ip -n "$ns-$host" link set lo up &&
			in_ns $host sysctl -eqw "$no_ipv6" || return 1
	done
}

# A host's eth0 has come: addresses; nobody is asked for them, so that every frame that is counted was meant. Checksums
# are filled in, and segments cut up, before they leave: what does not go through the kernel again takes them as they are.
netns_host() { # netns_host a|b ADDRESS
	in_ns "$1" ethtool -K eth0 tx off tso off gso off >/dev/null &&
		ip -n "$ns-$1" address add "$2/24" dev eth0 && ip -n "$ns-$1" link set eth0 up
}

netns_down() {
	local host
	[ -z "$fwd_pid" ] || kill -9 "$fwd_pid" 2>/dev/null
	for host in a b m; do
		ip netns pids "$ns-$host" 2>/dev/null | xargs -r kill -9 2>/dev/null
		ip netns del "$ns-$host" 2>/dev/null
	done
	fwd_pid=''
}

# shellcheck disable=SC2317 # called by a trap
netns_cleanup() {
	netns_down
	user_cleanup
}

# fwd_start OPTION...: forwards in the background; returns when it does; 1 if it has ended. Output in $dir/fwd.log, fwd.err
fwd_start() {
	rm -f "$dir/fwd.log" "$dir/fwd.err" # of an earlier one, which would look as if this one ran
	touch "$dir/fwd.log" "$dir/fwd.err"
	"${fwd_in[@]}" "$quoll" fwd "$@" >"$dir/fwd.log" 2>"$dir/fwd.err" &
	fwd_pid=$!
	if ! wait_for 30 fwd_runs || fwd_ended; then
		cat "$dir/fwd.log" "$dir/fwd.err"
		return 1
	fi
}

# shellcheck disable=SC2317 # called through wait_for
fwd_runs() {
	grep -q '^1  ' "$dir/fwd.err" "$dir/fwd.log" || fwd_ended
}

# shellcheck disable=SC2317 # called through wait_for
fwd_ended() {
	[ ! -e "/proc/$fwd_pid" ] || grep -q '^State:.Z' "/proc/$fwd_pid/status"
}

# fwd_end [SIGNAL]: shows what it said and returns its exit status; it ends by itself if there is no signal
fwd_end() {
	local rc=0
	[ -z "${1:-}" ] || kill -"$1" "$fwd_pid"
	wait_for 30 fwd_ended || { kill -9 "$fwd_pid"; echo 'it does not end'; }
	wait "$fwd_pid" 2>/dev/null || rc=$?
	fwd_pid=''
	cat "$dir/fwd.log" "$dir/fwd.err"
	return $rc
}

a_pings_b() { # a_pings_b OPTION...
	in_ns a ping -q -w 20 "$@" 10.99.0.2
}

# iperf OPTION...: from a to b; JSON of the client in $dir/iperf.json
iperf() {
	local rc=0 server
	in_ns b iperf3 -s -1 >/dev/null 2>&1 &
	server=$!
	wait_for 10 listens || { kill "$server"; return 1; }
	in_ns a timeout 30 iperf3 -c 10.99.0.2 -J "$@" >"$dir/iperf.json" || rc=$?
	[ $rc -eq 0 ] || kill "$server" 2>/dev/null
	wait "$server" 2>/dev/null
	[ $rc -eq 0 ] || cat "$dir/iperf.json"
	return $rc
}

# shellcheck disable=SC2317 # called through wait_for
listens() {
	in_ns b ss -Hltn 'sport = :5201' | grep -q LISTEN
}

iperf_moved() { # iperf_moved OPTION...: and something arrived
	iperf "$@" && jq -e '.end | (.sum_received // .sum).bytes > 100000' "$dir/iperf.json"
}

counter() { # counter a|b rx_packets|tx_packets
	in_ns "$1" cat "/sys/class/net/eth0/statistics/$2"
}
