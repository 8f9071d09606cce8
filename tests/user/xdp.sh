# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# xdp.sh - AF_XDP ports on veth: Linux on the other end of each, ping and iperf3 through Quoll, and every way to end.
#
# Sourced by run.

: "${here:?the folder of this file}"
# shellcheck source=netns.sh
. "$here/netns.sh"

join_hosts() { # two pairs: eth0 of a host, and vA or vB in the middle
	local host
	netns_up || return 1
	for host in a b; do
		ip -n "$ns-m" link add "v$host" type veth peer name eth0 netns "$ns-$host" &&
			ip -n "$ns-m" link set "v$host" up || return 1
	done
	netns_host a 10.99.0.1 && netns_host b 10.99.0.2
}

ports=('xdp:va' 'xdp:vb')

has_program() { # of Quoll, or anybody's
	ip -d -n "$ns-m" link show va | grep -q 'prog/xdp'
}

no_program() { ! has_program; }

# same_counts: what a host has sent is what Quoll received, sent, and what the other host received
same_counts() {
	local before=() after=() i
	for i in a b; do before+=("$(counter $i tx_packets)" "$(counter $i rx_packets)"); done
	fwd_start "${ports[@]}" --json --entries 4096 && a_pings_b -f -c 1000 && iperf_moved -u -b 5M -t 1 || return 1
	for i in a b; do after+=("$(counter $i tx_packets)" "$(counter $i rx_packets)"); done
	fwd_end INT >"$dir/said" || { cat "$dir/said"; return 1; }
	for i in 0 1 2 3; do echo $((after[i] - before[i])); done >"$dir/hosts"
	jq '.ports[] | .rx_packets, .tx_packets' "$dir/fwd.log" >"$dir/quoll"
	echo 'hosts:' && cat "$dir/hosts" && jq '.ports' "$dir/fwd.log" && cmp "$dir/hosts" "$dir/quoll"
}

forwards_again_after_kill() {
	fwd_start "${ports[@]}" && has_program && a_pings_b -c 2 -i 0.1 || return 1
	{ kill -9 "$fwd_pid" && wait "$fwd_pid"; } 2>/dev/null
	wait_for 10 no_program && fwd_start "${ports[@]}" && a_pings_b -c 5 -i 0.1 && fwd_end INT
}

wakes_from_sleep() { # the loop sleeps between these
	fwd_start "${ports[@]}" && a_pings_b -c 4 -i 0.4 && fwd_end INT
}

set_mtu() {
	local host
	for host in a b; do
		ip -n "$ns-$host" link set eth0 mtu "$1" && ip -n "$ns-m" link set "v$host" mtu "$1" || return 1
	done
}

jumbo_frames() {
	set_mtu 9000 && fwd_start "${ports[@]}" --mtu 9000 --buf-bytes 4096 && a_pings_b -c 20 -i 0.05 -M 'do' -s 8900 && fwd_end INT && set_mtu 1500
}

other_queues_go_to_the_kernel() { # Quoll has queue 1 of two; the host sends by queue 0, and the kernel answers
	ip -n "$ns-m" link add vq numrxqueues 2 numtxqueues 2 type veth peer name eth1 numrxqueues 2 numtxqueues 1 netns "$ns-a" &&
		in_ns m ethtool -L vq rx 2 && ip -n "$ns-m" link set vq up && ip -n "$ns-a" link set eth1 up &&
		ip -n "$ns-m" address add 10.98.0.2/24 dev vq && ip -n "$ns-a" address add 10.98.0.1/24 dev eth1 || return 1
	fwd_start 'xdp:vq?queues=1' ring:nobody && in_ns a ping -q -c 5 -i 0.1 -w 10 10.98.0.2 && fwd_end INT
}

interface_goes() {
	fwd_start "${ports[@]}" && a_pings_b -c 2 -i 0.1 && ip -n "$ns-m" link del va && fwd_end
}

tcp_gets_through() {
	fwd_start "${ports[@]}" --entries 4096 && iperf_moved -t 2 && fwd_end INT
}

second_is_refused() {
	fwd_start "${ports[@]}" && ! in_ns m "$quoll" fwd xdp:va null: >"$dir/second" 2>&1 && cat "$dir/second" &&
		grep -q '^try: another' "$dir/second" && a_pings_b -c 2 -i 0.1 && fwd_end INT
}

same_counts_with() { # same_counts_with OPTION: of both ports
	local ports=("xdp:va?$1" "xdp:vb?$1")
	same_counts
}

# Buffers that are the program's own memory: the kernel pins them itself, whatever way is asked for.
outside_of_the_heap() {
	fwd_start "${ports[@]}" --json --entries 4096 --buffers "$1" && a_pings_b -f -c 200 && iperf_moved -t 1 && fwd_end INT &&
		jq -e --arg buffers "$1" '.buffers == $buffers and .bufs_missing == 0 and (.streamed | add) == 0' "$dir/fwd.log"
}

mtu_of() { # mtu_of INTERFACE
	in_ns m cat "/sys/class/net/$1/mtu"
}

# Too few buffers to fill a ring, which is found out after the mtu was raised; one of its own is left alone.
refused_start_leaves_the_mtu() {
	local before
	before=$(mtu_of va)
	in_ns m "$quoll" fwd xdp:va null: --mtu "$((before + 100))" --buf-bytes 4096 --bufs 64 --time 1 >"$dir/refused" 2>&1
	[ $? = 1 ] && cat "$dir/refused" && grep -q 'a ring takes 512 buffers' "$dir/refused" && [ "$(mtu_of va)" = "$before" ]
}

reason=$(netns_missing xdp)
if [ -n "$reason" ]; then
	skip 'xdp: veth to veth through AF_XDP' "$reason"
else
	trap netns_cleanup EXIT
	check 'xdp: two hosts on veth' join_hosts
	check 'xdp: nothing gets through before' eval '! a_pings_b -c 1 -W 1'
	check 'xdp: ping and UDP; frames in equal frames out, on all counters' same_counts
	check 'xdp: TCP' tcp_gets_through
	check 'xdp: no program is left behind' no_program
	check 'xdp: sleeps, and wakes for a frame' wakes_from_sleep
	check 'xdp: killed, nothing is left behind, and started again' forwards_again_after_kill
	check 'xdp: with busy polling' same_counts_with busy=64
	check 'xdp: with generic XDP' same_counts_with mode=generic
	check 'xdp: buffers outside of the heap, as they are' outside_of_the_heap stream
	check 'xdp: buffers outside of the heap, registered' outside_of_the_heap registered
	check 'xdp: frames of other queues go to the kernel' other_queues_go_to_the_kernel
	check 'xdp: a start that is refused leaves the mtu as it was' refused_start_leaves_the_mtu
	check 'xdp: a second one is refused while the first one runs' second_is_refused
	expect 'xdp: no interface of that name' 1 'no such interface' 'try: ip -br link' -- in_ns m "$quoll" fwd xdp:nosuch null:
	expect 'xdp: options that make no sense' 1 'queues: "3": the interface has 1' -- in_ns m "$quoll" fwd 'xdp:va?queues=3' null:
	expect 'xdp: zero copy on veth is refused' 1 'try: .*zerocopy=auto' -- in_ns m "$quoll" fwd 'xdp:va?zerocopy=on' null: \
		--buf-bytes 2048 --mtu 1400
	expect 'xdp: zero copy into buffers across pages is refused' 1 'try: huge pages' -- in_ns m "$quoll" fwd \
		'xdp:va?zerocopy=on' null: --pages 4k
	expect 'xdp: without privilege, says what it needs' 1 'CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF' -- \
		in_ns m setpriv --bounding-set -all "$quoll" fwd xdp:va null:
	expect 'xdp: those privileges and CAP_IPC_LOCK are enough' 0 'forwarded until time' -- in_ns m \
		setpriv --bounding-set -all,+net_raw,+net_admin,+bpf,+ipc_lock "$quoll" fwd xdp:va xdp:vb --time 1
	expect 'xdp: with little locked memory, says so' 1 'try: more locked memory: ulimit -l' -- in_ns m prlimit --memlock=1048576 \
		setpriv --bounding-set -all,+net_raw,+net_admin,+bpf "$quoll" fwd xdp:va xdp:vb --time 1
	if in_ns m "$quoll" fwd xdp:va null: --buf-bytes 4096 --mtu 9000 --time 1 2>&1 | grep -q 'no frames of several buffers'; then
		skip 'xdp: jumbo frames in several buffers' 'the kernel has no AF_XDP with several buffers a frame (6.6)'
	else
		check 'xdp: jumbo frames in several buffers' jumbo_frames
	fi
	expect 'xdp: an interface that goes ends it' 1 'the device is gone' -- interface_goes
	netns_down
	trap user_cleanup EXIT
fi
