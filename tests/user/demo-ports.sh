# shellcheck shell=bash disable=SC2034 # $detail is for done_if
# SPDX-License-Identifier: BSD-3-Clause
# demo-ports.sh - the native part of the demo, packets: two hosts in network namespaces of their own, joined first by
# Quoll, then by the kernel's bridge; ping, TCP and small UDP packets through either. Then the ports of virtual machines:
# frames from one vhost-user port to another, and between the kernel's counterparts, two TAP interfaces on its bridge.
# Needs root, but for the vhost-user ports.
#
# Sourced by demo.

# shellcheck source=netns.sh
. "${here:?the folder of this file}/netns.sh"
rows=("${rows[@]}") # of demo-lib.sh
cores=("${cores[@]}") pinned=("${pinned[@]}") # of demo

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

# frames_shown [COMMAND...] -- PORT PORT [OPTION...]: of the generator, which COMMAND runs
frames_shown() {
	local inside=()
	while [ "$1" != -- ]; do inside+=("$1") && shift; done
	shift
	"${inside[@]}" "${pinned[@]}" timeout 30 "$quoll" gen "$@" --size 64 --time 2 --json >gen.json || return 1
	detail=$(jq -r '"\(.received.packets_per_s / 1e6 * 1000 | round / 1000) Mpps"' gen.json)
	jq -e '.received.packets > 0 and .frames.reordered + .frames.duplicates == 0' gen.json >/dev/null
}

frames_through_quoll() {
	fwd_in=() # sockets are no matter of namespaces
	echo "  \$ quoll fwd vhost:a.sock vhost:b.sock ${cores[*]} & quoll gen virtio-user:a.sock virtio-user:b.sock --size 64"
	done_if 'forwarding between two vhost-user ports' fwd_start vhost:a.sock vhost:b.sock --entries 1024 "${cores[@]}"
	done_if 'quoll gen through Quoll, 64-byte frames' frames_shown -- virtio-user:a.sock virtio-user:b.sock --entries 1024
	printf '  %s\n' "${rows[@]: -1}"
	done_if 'SIGINT: it ends' ports_end
}

# shellcheck disable=SC2317 # called through done_if
ports_end() { fwd_end INT >fwd.txt; }

taps_on_bridge() {
	local tap
	netns_up && ip -n "$ns-m" link add br0 type bridge && ip -n "$ns-m" link set br0 up || return 1
	for tap in ta tb; do
		ip -n "$ns-m" tuntap add "$tap" mode tap multi_queue && ip -n "$ns-m" link set "$tap" up master br0 || return 1
	done
}

frames_through_bridge() {
	done_if "two TAP interfaces on the kernel's bridge in their place" taps_on_bridge
	done_if "quoll gen through the kernel's bridge, 64-byte frames" frames_shown in_ns m -- tap:ta tap:tb
	printf '  %s\n' "${rows[@]: -1}"
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

step "6. Packets between virtual machines' ports: through Quoll, then through the kernel"
trap netns_cleanup EXIT
frames_through_quoll
netns_down
reason=$(netns_missing tap bridge)
if [ -n "$reason" ]; then
	echo "  the kernel's side is left out: $reason"
	row 'the same between TAP interfaces' "left out: $reason"
else
	frames_through_bridge
fi
