# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# flow.sh - packets in are packets out: `quoll gen` sends numbered frames through `quoll fwd` and receives them again, with
# vhost-user or the kernel between the two. Below saturation none is lost, none overtakes another of its flow, none comes
# twice; and whatever does get lost, on a machine that is busy with other things, somebody has counted.
#
# $packets: how many go through null:, ring: and vhost: for each buffer to be back at the end; a million unless told otherwise.

: "${here:?the folder of this file}"
# shellcheck source=netns.sh
. "$here/netns.sh"

packets=${packets:-1000000}
inside=() # what runs a command where the ports are

forwarder_start() { # forwarder_start PORT PORT OPTION...
	rm -f "$dir"/fwd.{json,err}
	touch "$dir/fwd.err"
	"${inside[@]}" "$quoll" fwd "$@" --json >"$dir/fwd.json" 2>"$dir/fwd.err" &
	fwd_pid=$!
	if ! wait_for 30 forwards || fwd_ended; then
		cat "$dir/fwd.err"
		return 1
	fi
}

# shellcheck disable=SC2317 # called through wait_for
forwards() { grep -q '^1  ' "$dir/fwd.err" || fwd_ended; }

forwarder_end() {
	local rc=0
	kill -INT "$fwd_pid"
	wait_for 30 fwd_ended || { kill -9 "$fwd_pid"; echo 'it does not end'; }
	wait "$fwd_pid" 2>/dev/null || rc=$?
	fwd_pid=''
	cat "$dir/fwd.err"
	return $rc
}

generate() { # generate OPTION...: one run; adds it to those of the case
	"${inside[@]}" timeout $((600 + packets / 500000)) "$quoll" gen "$@" --json >"$dir/gen.json" 2>"$dir/gen.err" || { cat "$dir/gen.err"; return 1; }
	jq -c '{sent, received, frames}' "$dir/gen.json"
	cat "$dir/gen.json" >>"$dir/runs.json"
	jq -e '.bufs_missing == 0 and .sent.unsent == 0 and .received.odd_packets == 0 and
		(.frames | .reordered + .duplicates + .late + .far_ahead == 0)' "$dir/gen.json" >"$dir/verdict" ||
		{ echo 'out of order, there twice, or not back'; return 1; }
}

nothing_lost() { jq -e '.frames | .lost == 0 and .sent == .received' "$dir/gen.json" >"$dir/verdict"; }

# The interfaces of a kernel that is in between, as JSON.
interfaces() {
	if [ ${#inside[@]} -gt 0 ]; then ip -s -s -j -n "$ns-m" link; else echo '[]'; fi
}

# accounted exactly|known: what is missing was counted where it was dropped, and what was not dropped arrived. The kernel
# may count a frame in two places, and its bridges have some of their own to send.
accounted() {
	interfaces >"$dir/interfaces.json"
	jq -n --arg how "$1" --slurpfile runs "$dir/runs.json" --slurpfile fwd "$dir/fwd.json" --slurpfile all "$dir/interfaces.json" '
		def sum(f): map(f) | add // 0;
		{ sent: ($runs | sum(.sent.packets + .sent.warm_up_packets)),
		  received: ($runs | sum(.received.packets + .received.warm_up_packets)),
		  missed: ($runs | sum(.received.rx_missed + .received.rx_no_buf + .received.rx_bad)),
		  fwd_in: ($fwd[0].ports | sum(.rx_packets)), fwd_out: ($fwd[0].ports | sum(.tx_packets)),
		  dropped: ($fwd[0].ports | sum(.rx_missed + .rx_no_buf + .rx_errors + .rx_bad + .tx_full + .tx_bad + .tx_errors)),
		  kernel: ($all[0] | sum(.stats64 | .rx.dropped + .rx.errors + .rx.missed_errors + .tx.dropped + .tx.errors)),
		  bufs_missing: $fwd[0].bufs_missing } |
		. + { lost: (.sent - .received), counted: (.missed + .dropped + .kernel) } |
		. + { good: (.bufs_missing == 0 and .lost >= 0 and .lost <= .counted and
			($how != "exactly" or .lost == .counted) and
			(.counted > 0 or (.fwd_in == .fwd_out and .fwd_in >= .sent and ($how != "exactly" or .fwd_in == .sent)))) }' >"$dir/sums.json"
	cat "$dir/sums.json"
	[ "$(jq .good "$dir/sums.json")" = true ]
}

# flows_through HOW PORT PORT OPTION... -- PORT PORT OPTION...: the ports of `quoll fwd`, then those of `quoll gen`. The
# rate goes down until nothing is lost: a machine that is busy does not have to be fast.
flows_through() {
	local how=$1 fwd=() kpps
	shift
	while [ "$1" != -- ]; do fwd+=("$1") && shift; done
	shift
	: >"$dir/runs.json"
	forwarder_start "${fwd[@]}" || return 1
	for kpps in 50 25 12 6 3 1; do
		generate "$@" --rate ${kpps}kpps --count ${kpps}000 --linger 10000 || break
		nothing_lost && break
	done
	forwarder_end && accounted "$how" && nothing_lost
}

# spread QUEUES: the first port's frames came by so many queues.
spread() {
	[ "$(jq '[.queues[] | select(.port == 0 and .packets > 0)] | length' "$dir/fwd.json")" = "$1" ] ||
		{ jq -c '.queues[]' "$dir/fwd.json"; return 1; }
}

through_vhost() { # through_vhost OPTIONS of virtio-user [QUEUES]
	local queues=${2:-1}
	rm -f "$dir"/[ab].sock
	flows_through exactly "vhost:$dir/a.sock" "vhost:$dir/b.sock" --queues "$queues" --threads "$queues" -- \
		"virtio-user:$dir/a.sock?$1" "virtio-user:$dir/b.sock?$1" --flows 64 --both --queues "$queues" --entries 4096 --warmup 1
}

# Two pairs of veth: we have one end of each, and `quoll fwd` the other.
through_xdp() { # through_xdp OPTION... of `quoll fwd` and `quoll gen`
	flows_through known xdp:va xdp:vb --entries 4096 "$@" -- xdp:ga xdp:gb --flows 64 --both --entries 4096 "$@"
}

veth_up() {
	local i
	for i in a b; do
		ip -n "$ns-m" link add "g$i" numrxqueues 2 numtxqueues 2 type veth peer name "v$i" numrxqueues 2 numtxqueues 2 &&
			in_ns m ethtool -L "g$i" rx 2 tx 2 && in_ns m ethtool -L "v$i" rx 2 tx 2 && ip -n "$ns-m" link set "g$i" up && ip -n "$ns-m" link set "v$i" up || return 1
	done
}

# The kernel bridges a TAP interface of the forwarder's and the other end of a veth pair: it is the kernel that spreads
# flows over the TAP's queues.
through_tap() { # through_tap OPTION... of `quoll fwd`
	flows_through known tap:ta tap:tb "$@" -- xdp:ga xdp:gb --flows 64 --queues 2 --entries 4096
}

bridges_up() {
	local i
	for i in a b; do
		ip -n "$ns-m" tuntap add "t$i" mode tap multi_queue && ip -n "$ns-m" link add "br$i" type bridge &&
			ip -n "$ns-m" link set "t$i" txqueuelen 4000 && ip -n "$ns-m" link set "v$i" master "br$i" &&
			ip -n "$ns-m" link set "t$i" master "br$i" && ip -n "$ns-m" link set "t$i" up && ip -n "$ns-m" link set "br$i" up || return 1
	done
}

# Every buffer is back, and the counts agree, after so many packets that a leak of one in a million would show.

many_through_null() {
	"$quoll" fwd null: null: --queues 2 --threads 2 --packets "$packets" --json >"$dir/fwd.json" &&
		jq -e --argjson n "$packets" '.bufs_missing == 0 and .packets >= $n and (.ports | all(.tx_bad + .rx_no_buf == 0)) and
			(.packets == (.ports | map(.rx_packets) | add)) and (.packets == (.ports | map(.tx_packets) | add))' "$dir/fwd.json"
}

many_through_ring() {
	"$quoll" gen ring:a ring:a --threads 2 --flows 16 --count "$packets" --linger 60000 --json >"$dir/gen.json" &&
		jq -c '{sent, received, frames}' "$dir/gen.json" &&
		jq -e --argjson n "$packets" '.bufs_missing == 0 and .frames == {sent: $n, received: $n, lost: 0, reordered: 0, duplicates: 0, late: 0, far_ahead: 0}' "$dir/gen.json"
}

# At full speed, so some are dropped on the way out: just those that the forwarder has counted.
many_through_vhost() {
	rm -f "$dir"/[ab].sock
	: >"$dir/runs.json"
	forwarder_start "vhost:$dir/a.sock" "vhost:$dir/b.sock" || return 1
	generate "virtio-user:$dir/a.sock" "virtio-user:$dir/b.sock" --flows 16 --count "$packets" --linger 1000
	forwarder_end && accounted exactly && jq -e --argjson n "$packets" '.sent == $n and .received > 0' "$dir/sums.json"
}

# shellcheck disable=SC2317 # called by a trap
flow_cleanup() {
	[ -z "$fwd_pid" ] || kill -9 "$fwd_pid" 2>/dev/null
	netns_cleanup
}

trap flow_cleanup EXIT
check 'flow: vhost, split rings, both ways: none lost, none out of order' through_vhost packed=0
check 'flow: vhost, packed rings, both ways, two queues on two threads: none lost, none out of order' through_vhost 'queues=2&packed=1' 2
check 'flow: and both queues had some' spread 2
check "flow: $packets packets through null: ports, every buffer is back" many_through_null
check "flow: $packets packets through ring: ports, every buffer is back" many_through_ring
check "flow: $packets packets through vhost: ports, every buffer is back" many_through_vhost
reason=$(netns_missing xdp tap bridge)
if [ -n "$reason" ]; then
	skip 'flow: the kernel between' "$reason"
else
	inside=(ip netns exec "$ns-m")
	check 'flow: a namespace with veth' eval 'netns_up && veth_up'
	check 'flow: veth and AF_XDP, both ways, two queues on two threads: none lost, none out of order' through_xdp --queues 2 --threads 2
	check 'flow: and both queues had some' spread 2
	check 'flow: bridges to TAP interfaces' bridges_up
	check 'flow: TAP: none lost, none out of order' through_tap
	check 'flow: TAP, two queues on two threads: none lost, none out of order' through_tap --queues 2 --threads 2
	check 'flow: and both queues had some' spread 2
	inside=()
	netns_down
fi
trap user_cleanup EXIT
