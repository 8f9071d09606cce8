# shellcheck shell=bash disable=SC2034 # $detail is for done_if
# SPDX-License-Identifier: BSD-3-Clause
# demo-ports.sh - the native part of the demo, packets: two hosts in network namespaces of their own, joined first by
# Quoll, then by the kernel's bridge; ping, TCP and small UDP packets through either. Needs root.
#
# Sourced by demo.

# shellcheck source=netns.sh
. "${here:?the folder of this file}/netns.sh"
rows=("${rows[@]}") # of demo-lib.sh

wire_hosts() {
	local host
	netns_up || return 1
	for host in a b; do
		ip -n "$ns-m" link add "v$host" type veth peer name eth0 netns "$ns-$host" &&
			ip -n "$ns-m" link set "v$host" up || return 1
	done
	netns_host a 10.99.0.1 && netns_host b 10.99.0.2
}

through_bridge() {
	ip -n "$ns-m" link add br0 type bridge && ip -n "$ns-m" link set br0 up &&
		ip -n "$ns-m" link set va master br0 && ip -n "$ns-m" link set vb master br0
}

ping_shown() {
	a_pings_b -c 50 -i 0.01 >ping.txt || { cat ping.txt; return 1; }
	detail=$(sed -n 's|^rtt min/avg/max/mdev = [^/]*/\([^/]*\)/.*|\1 ms round trip|p' ping.txt)
}

tcp_shown() {
	iperf_moved -t 2 >/dev/null || return 1
	detail=$(jq -r '"\(.end.sum_received.bits_per_second / 1e9 * 100 | round / 100) Gbit/s"' "$dir/iperf.json")
}

# As many as the host can send: what arrives counts.
udp_shown() {
	iperf_moved -u -b 0 -l 18 -t 2 >/dev/null || return 1
	detail=$(jq -r '.end.sum | "\((.packets - .lost_packets) / .seconds / 1e6 * 1000 | round / 1000) Mpps"' "$dir/iperf.json")
}

measure_through() { # measure_through WHO
	done_if "ping through $1" ping_shown
	done_if "iperf3 through $1: TCP" tcp_shown
	done_if "iperf3 through $1: UDP, 60-byte frames" udp_shown
	printf '  %s\n' "${rows[@]: -3}"
}

packets() {
	done_if 'two hosts, with Quoll between them' wire_hosts
	echo '  $ quoll fwd xdp:va xdp:vb --entries 4096 &'
	done_if 'forwarding from veth to veth through AF_XDP' fwd_start xdp:va xdp:vb --entries 4096
	measure_through Quoll
	done_if 'SIGINT: it ends, and no program is left behind' forwarder_ends
	done_if "the kernel's bridge in its place" through_bridge
	measure_through "the kernel's bridge"
}

# shellcheck disable=SC2317 # called through done_if
forwarder_ends() {
	fwd_end INT >fwd.txt && ! ip -d -n "$ns-m" link show va | grep -q 'prog/xdp'
}

step '5. Packets: two hosts, ping and iperf3 through Quoll, then through the kernel (checksums, segments: the hosts do them)'
reason=$(netns_missing xdp bridge)
if [ -n "$reason" ]; then
	echo "  left out: $reason"
	row 'packets between two hosts' "left out: $reason"
else
	trap netns_cleanup EXIT
	packets
fi
