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

# What the kernel leaves undone: checksums, and segments, which come as frames of up to 64 KiB.

tcp_both_ways() { iperf_moved -t 1 && iperf_moved -t 1 -R; }

no_bad_checksums() {
	local host
	for host in a b; do
		in_ns $host cat /proc/net/snmp >"$dir/snmp" && awk '/^(Tcp|Udp|Ip):/ && !($1 in name) { name[$1] = $0; next }
			/^(Tcp|Udp|Ip):/ { n = split(name[$1], key, " "); for (i = 2; i <= n; i++) if (key[i] ~ /InCsumErrors|InHdrErrors/ && $i != 0) { print $1, key[i], $i; bad = 1 } }
			END { exit bad }' "$dir/snmp" || return 1
	done
}

# fwd_said JQ: of the summary of the forwarder that has ended
fwd_said() {
	fwd_end INT >"$dir/said" || { cat "$dir/said"; return 1; }
	jq -c '.ports[], .queues[]' "$dir/fwd.log"
	jq -e "all(.ports[]; .undone + .rx_bad + .tx_bad + .rx_no_buf == 0) and ($1)" "$dir/fwd.log"
}

# Both do all of it: frames stay whole.
whole_frames_pass() { # whole_frames_pass OPTION... of `quoll fwd`
	start_pair --offloads --json "$@" && tcp_both_ways && iperf_moved -u -b 20M -l 3000 -t 1 && no_bad_checksums &&
		fwd_said 'all(.queues[]; .cut_up == 0) and (.ports[0].rx_bytes > 4000 * .ports[0].rx_packets)'
}

vlan_of_hosts() {
	local host address=1
	for host in a b; do
		ip -n "$ns-$host" link add link eth0 name v7 type vlan id 7 && ip -n "$ns-$host" address flush dev eth0 &&
			ip -n "$ns-$host" address add "10.99.0.$address/24" dev v7 && ip -n "$ns-$host" link set v7 up || return 1
		address=2
	done
}

tagged_frames_pass() {
	start_pair --offloads --json && vlan_of_hosts && tcp_both_ways && no_bad_checksums &&
		fwd_said 'all(.queues[]; .cut_up == 0) and (.ports[0].rx_bytes > 4000 * .ports[0].rx_packets)'
}

jumbo_frames_pass() {
	local host
	start_pair --offloads --json --mtu 9000 || return 1
	for host in a b; do ip -n "$ns-$host" link set eth0 mtu 9000 || return 1; done
	a_pings_b -c 20 -i 0.05 -M 'do' -s 8900 && tcp_both_ways && no_bad_checksums && fwd_said true
}

# The kernel cuts up what it is given whole, for a line that can't, and the host at its end checks the sums.
segments_of_the_kernel() {
	fwd_start tap:ta tap:tb --offloads --json && ip -n "$ns-m" link set ta netns "$ns-a" && ip -n "$ns-a" link set ta name eth0 &&
		ip -n "$ns-a" address add 10.99.0.1/24 dev eth0 && ip -n "$ns-a" link set eth0 up &&
		ip -n "$ns-m" link add br0 type bridge && ip -n "$ns-m" link add vb type veth peer name eth0 netns "$ns-b" &&
		in_ns m ethtool -K vb tx off tso off gso off >/dev/null && ip -n "$ns-m" link set vb master br0 && ip -n "$ns-m" link set tb master br0 &&
		ip -n "$ns-m" link set vb up && ip -n "$ns-m" link set tb up && ip -n "$ns-m" link set br0 up && netns_host b 10.99.0.2 || return 1
	tcp_both_ways && no_bad_checksums && fwd_said 'all(.queues[]; .cut_up == 0)' && ip -n "$ns-m" link del br0 && ip -n "$ns-m" link del vb
}

# AF_XDP does nothing of it: frames from the TAP interface are cut up, and their checksums filled in, which the host on
# veth checks.
frames_are_cut_up() { # frames_are_cut_up OPTION... of `quoll fwd`
	ip -n "$ns-m" link add vb type veth peer name eth0 netns "$ns-b" && ip -n "$ns-m" link set vb up && netns_host b 10.99.0.2 &&
		fwd_start tap:ta xdp:vb --offloads --json "$@" && ip -n "$ns-m" link set ta netns "$ns-a" &&
		ip -n "$ns-a" link set ta name eth0 && ip -n "$ns-a" address add 10.99.0.1/24 dev eth0 && ip -n "$ns-a" link set eth0 up || return 1
	tcp_both_ways && iperf_moved -u -b 5M -t 1 && no_bad_checksums &&
		fwd_said '.queues[0] | .cut_up > 0 and .segments >= 2 * .cut_up' && ip -n "$ns-m" link del vb
}

# Two forwarders with vhost-user between them, as between two virtual machines: whole all the way.
whole_frames_pass_vhost() {
	local second rc=0
	ip netns exec "$ns-m" "$quoll" fwd "vhost:$dir/t.sock" tap:tb --offloads --json >"$dir/second.log" 2>&1 &
	second=$!
	wait_for 30 test -S "$dir/t.sock" && fwd_start tap:ta "virtio-user:$dir/t.sock" --offloads --json && give_to_hosts &&
		tcp_both_ways && no_bad_checksums && fwd_said 'all(.queues[]; .cut_up == 0) and (.ports[0].rx_bytes > 4000 * .ports[0].rx_packets)' || rc=1
	kill -INT $second
	wait_for 30 sh -c "[ ! -e /proc/$second ] || grep -q '^State:.Z' /proc/$second/status" || kill -9 $second
	wait $second || rc=1
	[ $rc = 0 ] || cat "$dir/second.log"
	return $rc
}

reason=$(netns_missing tap)
no_bridge=$(netns_missing bridge)
no_xdp=$(netns_missing xdp)
no_vlan=$(netns_missing vlan)
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
	check 'tap: offloads: frames that the kernel has not cut up pass whole' whole_frames_pass
	check 'tap: offloads: the same with two queues on two threads' whole_frames_pass --queues 2 --threads 2
	check 'tap: offloads: the same with vhost-user between two forwarders' whole_frames_pass_vhost
	check 'tap: offloads: jumbo frames' jumbo_frames_pass
	if [ -n "$no_vlan" ]; then
		skip 'tap: offloads: frames with a tag' "$no_vlan"
	else
		check 'tap: offloads: frames with a tag' tagged_frames_pass
	fi
	if [ -n "$no_bridge" ]; then
		skip 'tap: offloads: frames that the kernel cuts up behind us' "$no_bridge"
	else
		check 'tap: offloads: frames that the kernel cuts up behind us' segments_of_the_kernel
	fi
	reason=$no_xdp
	if [ -n "$reason" ]; then
		skip 'tap: offloads: frames are cut up for AF_XDP' "$reason"
	else
		check 'tap: offloads: frames are cut up for AF_XDP, checksums filled in' frames_are_cut_up
	fi
	check 'tap: an interface with one queue, which was there already' single_queue_interface
	expect 'tap: without privilege, says what it needs' 1 'try: give the program CAP_NET_ADMIN' -- \
		in_ns m setpriv --bounding-set -all "$quoll" fwd tap:ta null:
	expect 'tap: a name that is something else already' 1 'no queue of the TAP interface' -- in_ns m "$quoll" fwd tap:lo null:
	expect 'tap: an interface that goes ends it' 1 'the device is gone' -- interface_goes
	netns_down
	trap user_cleanup EXIT
fi
