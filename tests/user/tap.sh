# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# tap.sh - TAP ports: an interface each for two hosts, made by Quoll and moved to them; ping and iperf3 through Quoll, with
# several queues, and every way to end.
#
# Sourced by run.

: "${here:?the folder of this file}"
# shellcheck source=netns.sh
. "$here/netns.sh"

# give_to_hosts: the interfaces that Quoll made become eth0 of hosts; their checksums are Quoll's port's to ask for
give_to_hosts() {
	local host address=1
	for host in a b; do
		ip -n "$ns-m" link set "t$host" netns "$ns-$host" && ip -n "$ns-$host" link set "t$host" name eth0 &&
			ip -n "$ns-$host" address add "10.99.0.$address/24" dev eth0 && ip -n "$ns-$host" link set eth0 up || return 1
		address=2
	done
}

start_pair() { # start_pair OPTION...
	fwd_start 'tap:ta' 'tap:tb' "$@" && give_to_hosts
}

same_counts() { # start_pair's options
	local hosts=() i
	start_pair --json "$@" && a_pings_b -f -c 1000 && iperf_moved -u -b 5M -t 1 || return 1
	for i in a b; do hosts+=("$(counter $i tx_packets)" "$(counter $i rx_packets)"); done
	fwd_end INT >"$dir/said" || { cat "$dir/said"; return 1; }
	printf '%s\n' "${hosts[@]}" >"$dir/hosts"
	jq '.ports[] | .rx_packets, .tx_packets' "$dir/fwd.log" >"$dir/quoll"
	echo 'hosts:' && cat "$dir/hosts" && jq '.ports' "$dir/fwd.log" && cmp "$dir/hosts" "$dir/quoll"
}

tcp_gets_through() {
	start_pair "$@" && iperf_moved -t 2 -P 4 && fwd_end INT
}

no_interface() { ! ip -n "$ns-a" link show eth0; }

gone_after_kill() {
	start_pair && a_pings_b -c 2 -i 0.1 || return 1
	{ kill -9 "$fwd_pid" && wait "$fwd_pid"; } 2>/dev/null
	wait_for 10 no_interface && start_pair && a_pings_b -c 5 -i 0.1 && fwd_end INT
}

persists() {
	fwd_start 'tap:tp?persist=1' null: --time 1 && fwd_end && ip -n "$ns-m" link show tp &&
		fwd_start 'tap:tp?persist=0' null: --time 1 && fwd_end && ! ip -n "$ns-m" link show tp
}

single_queue_interface() {
	ip -n "$ns-m" tuntap add ts mode tap && fwd_start tap:ts ring:nobody --time 1 && fwd_end &&
		! in_ns m "$quoll" fwd tap:ts ring:nobody --queues 2 >"$dir/two" 2>&1 && cat "$dir/two" && grep -q 'limit of 1' "$dir/two"
}

interface_goes() {
	start_pair && a_pings_b -c 2 -i 0.1 && ip -n "$ns-a" link del eth0 && fwd_end
}

reason=$(netns_missing tap)
if [ -n "$reason" ]; then
	skip 'tap: host to host through TAP interfaces' "$reason"
else
	trap netns_cleanup EXIT
	check 'tap: two hosts' netns_up
	check 'tap: ping and UDP; frames in equal frames out, on all counters' same_counts
	check 'tap: the same with three queues on two threads' same_counts --queues 3 --threads 2
	check 'tap: TCP' tcp_gets_through
	check 'tap: TCP with four queues' tcp_gets_through --queues 4
	check 'tap: killed, its interfaces are gone, and started again' gone_after_kill
	check 'tap: an interface persists if it shall' persists
	check 'tap: an interface with one queue, which was there already' single_queue_interface
	expect 'tap: without privilege, says what it needs' 1 'try: give the program CAP_NET_ADMIN' -- \
		in_ns m setpriv --bounding-set -all "$quoll" fwd tap:ta null:
	expect 'tap: a name that is something else already' 1 'no queue of the TAP interface' -- in_ns m "$quoll" fwd tap:lo null:
	expect 'tap: an interface that goes ends it' 1 'the device is gone' -- interface_goes
	netns_down
	trap user_cleanup EXIT
fi
