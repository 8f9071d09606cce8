# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: BSD-3-Clause
# net.sh - what the cases with ports share: two network namespaces, c with net2 and d with net3, each the other end of a
# line of Quoll's (net0 - net2, net1 - net3); a forwarder between them; the frames that both sides counted.

: "${net_user[0]:?set by lib.sh}"
ports=("$(addr net0)" "$(addr net1)")

in_c() { ip netns exec c "$@"; }
in_d() { ip netns exec d "$@"; }

# net_up: c and d, silent until somebody in them speaks
net_up() {
	local ns link
	for ns in c:net2:2 d:net3:3; do
		IFS=: read -r ns link host <<<"$ns"
		ip netns add "$ns"
		ip link set "$link" netns "$ns"
		ip netns exec "$ns" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
		ip -n "$ns" link set lo up
		ip -n "$ns" addr add "192.0.2.$host/24" dev "$link"
		# the driver counts what is segmented by the device as one
		ip netns exec "$ns" ethtool -K "$link" tso off gso off gro off
		ip -n "$ns" link set "$link" up
	done
	wait_for 30 in_c grep -q 1 /sys/class/net/net2/carrier
	wait_for 30 in_d grep -q 1 /sys/class/net/net3/carrier
}

net_down() {
	ip -n c link set net2 netns 1
	ip -n d link set net3 netns 1
	ip netns del c
	ip netns del d
}

# fwd_start NAME OPTION...: Quoll forwards between net0 and net1, as the user; $fwd_pid. NAME is for a failure.
fwd_start() {
	local name=$1
	shift
	"${net_user[@]}" quoll fwd "${ports[@]}" --json "$@" >/tmp/fwd.json 2>/tmp/fwd.log &
	fwd_pid=$!
	if ! wait_for 30 fwd_ready || ! kill -0 "$fwd_pid" 2>/dev/null; then
		fail "$name: the forwarder starts" /tmp/fwd.log
		kill -9 "$fwd_pid" 2>/dev/null
		net_down
		return 1
	fi
}
# It prints which queue is served where once both ports are up; or it has ended.
fwd_ready() { ! kill -0 "$fwd_pid" || grep -q " ${ports[1]} .*e1000e" /tmp/fwd.log; }

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
	in_d iperf3 -s -1 >/tmp/iperf-server.log 2>&1 &
	server=$!
	wait_for 20 sh -c 'ip netns exec d ss -Hltn sport = :5201 | grep -q .' &&
		in_c timeout 60 iperf3 -c 192.0.2.3 -J "$@" >/tmp/iperf.json 2>/tmp/iperf.log
	local status=$?
	[ $status = 0 ] || kill "$server" 2>/dev/null
	wait "$server"
	return $status
}

# kernel_counts: "sent received lost" of net2, then of net3, since they were made
kernel_counts() {
	local ns
	for ns in c:net2 d:net3; do
		# shellcheck disable=SC2016 # for the inner shell
		ip netns exec "${ns%:*}" sh -c 'cd /sys/class/net/$0/statistics && cat tx_packets rx_packets &&
			echo $(($(cat rx_dropped) + $(cat rx_errors) + $(cat rx_missed_errors) + $(cat tx_errors)))' "${ns#*:}"
	done | xargs
}

# Every frame of the last forwarder, accounted for: what one side has sent the other has received or names as lost.
# all_counted BEFORE AFTER: kernel_counts before and after
all_counted() {
	echo "kernel, net2 and net3: sent received lost: $1; then $2"
	jq -c '{ports: [.ports[] | {rx_packets, tx_packets, rx_missed, rx_no_buf, rx_errors, rx_bad, tx_full, tx_bad, tx_errors}],
		bufs_missing}' /tmp/fwd.json
	jq -es --arg before "$1" --arg after "$2" '.[0] as $doc |
		[$before, $after | split(" ") | map(tonumber)] as [$b, $a] |
		[range(6) | $a[.] - $b[.]] as $kernel |
		$doc.bufs_missing == 0 and
		([0, 1] | all(. as $i | $doc.ports[$i] as $in | $doc.ports[1 - $i] as $out |
			$in.rx_packets + $in.rx_missed + $in.rx_no_buf + $in.rx_errors + $in.rx_bad == $kernel[3 * $i] and
			$in.rx_packets == $out.tx_packets + $out.tx_full + $out.tx_bad and
			$out.tx_packets == $out.tx_errors + $kernel[3 * (1 - $i) + 1] + $kernel[3 * (1 - $i) + 2]))' /tmp/fwd.json
}
