# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: BSD-3-Clause
# net.sh - what the cases with ports share: two network namespaces, c with net2 and d with net3, each the other end of a
# line of Quoll's (net0 - net2, net1 - net3); a forwarder between them; the frames that both sides counted. A case may have
# other ports and peers.

: "${net_user[0]:?set by lib.sh}"
ports=("$(addr net0)" "$(addr net1)")
peers=(net2 net3)
links_told=2 # of the ports, how many have a link that comes up some time after they were opened

in_c() { ip netns exec c "$@"; }
in_d() { ip netns exec d "$@"; }

# net_up: c and d, silent until somebody in them speaks
net_up() {
	local ns link host
	for ns in "c:${peers[0]}:2" "d:${peers[1]}:3"; do
		IFS=: read -r ns link host <<<"$ns"
		interface "$link" || return 1
		ip netns add "$ns"
		ip link set "$link" netns "$ns"
		# the driver counts what is segmented by the device as one
		ip netns exec "$ns" sh -c "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
			ethtool -K $link tso off gso off gro off"
		printf '%s\n' 'link set lo up' "address add 192.0.2.$host/24 dev $link" "link set $link up" |
			ip -n "$ns" -batch -
	done
	wait_for 30 in_c grep -q 1 "/sys/class/net/${peers[0]}/carrier"
	wait_for 30 in_d grep -q 1 "/sys/class/net/${peers[1]}/carrier"
}

net_down() {
	ip -n c link set "${peers[0]}" netns 1
	ip -n d link set "${peers[1]}" netns 1
	ip netns del c
	ip netns del d
}

# fwd_start NAME OPTION...: Quoll forwards between the ports, as the user; $fwd_pid. NAME is for a failure.
fwd_start() {
	local name=$1 last=${ports[1]#pci:}
	last=${last%%\?*}
	shift
	: >/tmp/fwd.log # what the one before said is not to be taken for this one's
	"${net_user[@]}" quoll fwd "${ports[@]}" --json "$@" >/tmp/fwd.json 2>/tmp/fwd.log &
	fwd_pid=$!
	# It prints which queue is served where once the ports are open; the links are up some time after the reset, and that is
	# told only if they were not before.
	wait_for 30 sh -c "! kill -0 $fwd_pid || grep -q ' $last ' /tmp/fwd.log"
	wait_for 5 sh -c "! kill -0 $fwd_pid || [ \"\$(grep -c 'link up' /tmp/fwd.log)\" -ge $links_told ]"
	kill -0 "$fwd_pid" 2>/dev/null && grep -q " $last " /tmp/fwd.log && return 0
	fail "$name: the forwarder starts" /tmp/fwd.log
	kill -9 "$fwd_pid" 2>/dev/null
	net_down
	return 1
}

# fwd_stop: as a user would end it; $fwd_status
fwd_stop() {
	fwd_status=0
	kill -TERM "$fwd_pid"
	wait "$fwd_pid" || fwd_status=$?
	grep -A 1 '^quoll fwd: .*(E' /tmp/fwd.log
}

ping_through() { in_c ping -q -c "${1:-3}" -i 0.02 -W 10 192.0.2.3; }

# iperf OPTION...: from c to d, JSON into /tmp/iperf.json
iperf() {
	local server
	ip netns exec d iperf3 -s -1 >/tmp/iperf-server.log 2>&1 & # not by in_d: $! is to be the server
	server=$!
	wait_for 20 sh -c 'ip netns exec d ss -Hltn sport = :5201 | grep -q .' &&
		in_c timeout 60 iperf3 -c 192.0.2.3 -J "$@" >/tmp/iperf.json 2>/tmp/iperf.log
	local status=$?
	[ $status = 0 ] || kill "$server" 2>/dev/null
	wait "$server"
	return $status
}

# runts NAMESPACE INTERFACE: frames of less than 60 bytes, which are received and counted as errors, too; virtio does not
# fill them up, and QEMU's e1000e sends them as they are
runts() { ip netns exec "$1" ethtool -S "$2" | awk '/rx_short_length_errors/ { n = $2 } END { print n + 0 }'; }

# kernel_counts: sent, received, and four kinds of loss of the peer in c, then of the one in d, since they were made
kernel_counts() {
	local ns kinds='{tx_packets,rx_packets,rx_dropped,rx_errors,rx_missed_errors,tx_errors}'
	for ns in "c:${peers[0]}" "d:${peers[1]}"; do
		ip netns exec "${ns%:*}" bash -c "cat /sys/class/net/${ns#*:}/statistics/$kinds" |
			awk -v runts="$(runts "${ns%:*}" "${ns#*:}")" '{ print NR == 4 ? $1 - runts : $1 }'
	done | xargs
}

# Every frame of the last forwarder, accounted for: what one side has sent the other has received or names as lost.
# all_counted BEFORE AFTER: kernel_counts before and after
all_counted() {
	printf 'kernel, %s: %s\nthen: %s\n' "${peers[*]}" "$1" "$2"
	jq -ces --arg before "$1" --arg after "$2" '.[0] as $doc |
		[$before, $after | split(" ") | map(tonumber)] as [$b, $a] |
		[range(12) | $a[.] - $b[.]] as $k |
		[0, 1 | {sent: $k[6 * .], received: $k[6 * . + 1], lost: ($k[6 * . + 2: 6 * . + 6] | add)}] as $kernel |
		[$doc.ports[] | {rx_packets, tx_packets, rx_missed, rx_no_buf, rx_errors, rx_bad, tx_full, tx_bad, tx_errors}],
		$kernel, $doc.bufs_missing == 0 and
		([0, 1] | all($doc.ports[.] as $in | $doc.ports[1 - .] as $out | $kernel[.] as $from | $kernel[1 - .] as $to |
			$in.rx_packets + $in.rx_missed + $in.rx_no_buf + $in.rx_errors + $in.rx_bad == $from.sent and
			$in.rx_packets == $out.tx_packets + $out.tx_full + $out.tx_bad and
			$out.tx_packets == $out.tx_errors + $to.received + $to.lost))' /tmp/fwd.json
}
