# shellcheck shell=bash disable=SC2154 # what lib.sh sets
# SPDX-License-Identifier: BSD-3-Clause
# vhost-user.sh - NICs whose rings `quoll fwd` serves on the host, QEMU being its front end and the kernel's own virtio_net driver
# their user: vhost0 with split rings, vhost1 with packed ones and offloads, two queue pairs each. At the other end of each is a tap of the
# host's kernel, with an iperf3 server. Started by tests/vm/vhost-user, whose answers lab-host brings.

# peer ID: the host's address; ours ends in 2
peer() { echo "10.98.${1#vhost}.1"; }

# use ID: nobody is asked for addresses of IPv6, so that every frame that is counted was meant
use() {
	sysctl -eqw "net.ipv6.conf.$1.disable_ipv6=1" && ip link set "$1" up &&
		ip address add "10.98.${1#vhost}.2/24" dev "$1" && wait_for 30 carrier "$1"
}

carrier() { [ "$(cat "/sys/class/net/$1/carrier")" = 1 ]; }
no_carrier() { ! carrier "$1"; }

# agreed ID BIT: whether driver and device agreed on a feature
agreed() {
	local features
	features=$(cat "$sys/$(addr "$1")"/virtio*/features)
	[ "${features:$2:1}" = 1 ]
}

# rings ID split|packed: and what else belongs to them: several queues, mergeable buffers, indirect tables, event indexes
rings() {
	local bit
	for bit in 15 22 28 29 32; do agreed "$1" $bit || { echo "bit $bit is not agreed on"; return 1; }; done
	[ "$2" = "$(agreed "$1" 34 && echo packed || echo split)" ]
}

# offloads ID: checksums and TSO, both ways
offloads() {
	local bit
	for bit in 0 1 7 8 11 12; do agreed "$1" $bit || { echo "bit $bit is not agreed on"; return 1; }; done
}
no_offloads() { ! agreed "$1" 0 && ! agreed "$1" 1; }

counted() { cat "/sys/class/net/$1/statistics/$2"; }

# each_queue ID: carries frames to the host and back; each CPU sends by its own
each_queue() {
	local cpu
	for cpu in 0 1; do taskset -c $cpu ping -q -c 1 -w 10 "$(peer "$1")" || return 1; done
}

# all_counted ID: what either end of the way has sent the other one has received. A driver counts what it sent once it looks again,
# which it does when something is received on that queue.
all_counted() {
	each_queue "$1" || return 1
	[ "$(counted "$1" tx_packets)" = "$(lab-host show "$1" rx_packets)" ] &&
		[ "$(counted "$1" rx_packets)" = "$(lab-host show "$1" tx_packets)" ]
}

# same_counts ID: guest, either port of Quoll, tap; and each queue has carried frames in either direction
same_counts() {
	local guest tap
	wait_for 20 all_counted "$1" || echo 'guest and tap differ'
	lab-host stop "$1" >/tmp/fwd.json || return 1
	guest=$(counted "$1" tx_packets),$(counted "$1" rx_packets)
	tap=$(lab-host show "$1" rx_packets),$(lab-host show "$1" tx_packets)
	jq -c '.ports, .queues' /tmp/fwd.json
	echo "guest sent,received: $guest; tap received,sent: $tap"
	[ "$guest" = "$tap" ] && jq -e --argjson n "[$guest]" '
		(.ports[0] | [.rx_packets, .tx_packets]) == $n and (.ports[1] | [.tx_packets, .rx_packets]) == $n and
		([.ports[] | .rx_bad, .tx_bad, .rx_no_buf] | add) == 0 and all(.queues[]; .packets > 0)' /tmp/fwd.json
}

iperf() { # iperf ID OPTION...
	local id=$1
	shift
	timeout 60 iperf3 -c "$(peer "$id")" -J "$@" >/tmp/iperf.json || { cat /tmp/iperf.json; return 1; }
}

# moved ID OPTION...: and something arrived
moved() { iperf "$@" && jq -e '.end | (.sum_received // .sum).bytes > 1000000' /tmp/iperf.json; }

# in_large_frames ID OPTION...: so that segments come in frames larger than the line's
in_large_frames() {
	local before now
	read -ra before < <(both_ways "$1")
	moved "$@" || return 1
	read -ra now < <(both_ways "$1")
	echo "bytes and frames before, and now: ${before[*]} ${now[*]}"
	[ $((now[0] - before[0])) -gt $((1600 * (now[1] - before[1]))) ]
}

# both_ways ID: bytes and frames
both_ways() {
	echo $(($(counted "$1" tx_bytes) + $(counted "$1" rx_bytes))) $(($(counted "$1" tx_packets) + $(counted "$1" rx_packets)))
}

# udp ID OPTION...: and all of it arrived; so few that a ring has room for all, however late who reads it comes
udp() { iperf "$@" -u -b 2M -l 1000 -n 200000 && jq -e '.end.sum | .packets >= 200 and .lost_packets == 0' /tmp/iperf.json; }

# load ID: a connection either way that lasts until it is ended
load() {
	timeout 120 iperf3 -c "$(peer "$1")" --bidir -t 100 >/tmp/load.log 2>&1 &
	load_pid=$!
	goes_on "$1"
}

# goes_on ID: frames get there and come back
goes_on() { wait_for 30 more "$1" tx_packets $(($(counted "$1" tx_packets) + 300)) && wait_for 30 more "$1" rx_packets $(($(counted "$1" rx_packets) + 300)); }
more() { [ "$(counted "$1" "$2")" -ge "$3" ]; }

unload() {
	kill -INT "$load_pid" 2>/dev/null
	wait "$load_pid"
	tail -n 8 /tmp/load.log
}

# killed ID: the forwarder, in mid-traffic; the connection that was there outlives it
killed() {
	load "$1" || { echo 'there is no traffic'; unload; return 1; }
	lab-host kill "$1" && wait_for 20 no_carrier "$1" && lab-host start "$1" && wait_for 20 carrier "$1" && goes_on "$1" &&
		kill -0 "$load_pid" && each_queue "$1"
	set -- $?
	unload
	return "$1"
}

# rebound ID: the driver goes in mid-traffic, and another takes its place
rebound() {
	local device
	device=$(basename "$sys/$(addr "$1")"/virtio*)
	load "$1" || { echo 'there is no traffic'; unload; return 1; }
	echo "$device" >/sys/bus/virtio/drivers/virtio_net/unbind
	unload
	echo "$device" >/sys/bus/virtio/drivers/virtio_net/bind
	named "$1" "$device" && use "$1" && ping -q -c 5 -i 0.1 -w 20 "$(peer "$1")"
}

named() {
	local dir=/sys/bus/virtio/devices/$2/net
	wait_for 20 test -d "$dir" || return 1
	[ -d "$dir/$1" ] || ip link set "$(ls "$dir")" name "$1"
}

for nic in vhost0:split:no_offloads:moved vhost1:packed:offloads:in_large_frames; do
	IFS=: read -r id kind agreed tcp <<<"$nic"
	check "$id: rings are $kind" rings "$id" "$kind"
	check "$id: ${agreed/_/ }" "$agreed" "$id"
	check "$id: the link comes up" use "$id"
	expect "$id: ping" 0 ' 0% packet loss' -- ping -q -c 50 -i 0.02 -w 30 "$(peer "$id")"
	expect "$id: ping of 1500 bytes" 0 ' 0% packet loss' -- ping -q -c 50 -i 0.02 -w 30 -M 'do' -s 1472 "$(peer "$id")"
	check "$id: UDP to the host, all of it" udp "$id"
	check "$id: UDP from the host, all of it" udp "$id" -R
	check "$id: frames in equal frames out on all counters, by either queue" same_counts "$id"
	check "$id: another forwarder" lab-host start "$id"
	check "$id: and it is connected to" wait_for 20 carrier "$id"
	expect "$id: ping of several fragments" 0 ' 0% packet loss' -- ping -q -c 50 -i 0.02 -w 30 -s 4000 "$(peer "$id")"
	check "$id: TCP to the host" "$tcp" "$id" -n 4M -P 2
	check "$id: TCP from the host" "$tcp" "$id" -n 4M -P 2 -R
	check "$id: the forwarder is killed in mid-traffic, and started again" killed "$id"
	check "$id: the driver is unbound and bound in mid-traffic" rebound "$id"
	check "$id: TCP as before" "$tcp" "$id" -n 4M
done
