# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# icount-fwd.sh - instructions and MMIO accesses a forwarded frame: Quoll beside DPDK's testpmd and the kernel's bridge, on
# the same two NICs: e1000e, then virtio with packed rings, then with split ones. One CPU, and a nanosecond of virtual time is
# one instruction.
#
# A sender, an e1000e of the kernel's, sends bursts of 32 frames of 60 bytes, with a rest between them; they come in on the first
# NIC and leave by the second one, whose peers are down, so that nobody's reception is counted. Each forwarder's own share is got
# at as its nature allows:
#   bridge   all that is not idle, less the same with the cable of the first one pulled: the sender's; without rests, as idle
#            time is the host's
#   testpmd  its own count of cycles in polls that received something, burst by burst, and the median: the sender, on the
#            same CPU, interrupts a poll in the middle now and then, and is counted there with a hundred times the cost
#   quoll    useful_ns_per_packet of `quoll fwd`: it sleeps when a burst comes, so that its polls are not interrupted
# MMIO accesses are QEMU's trace of accesses to the BARs of both while bursts are forwarded; Quoll polls then. What is read now and
# then and not by frame is left out: CTRL, STATUS and statistics of an e1000e, all but the doorbells of virtio.

: "${sys:?set by lib.sh}" "${net_user[0]:?}"
frames=/quoll/build/tests/vm/programs/frames
rounds=${ICOUNT_ROUNDS:-5}
nr=1600
events='memory_region_ops_*' # reads, writes
mkdir -p /tmp/user && chmod 777 /tmp/user

send() { "$frames" "$sender" "$1" 32 60 1000 "${@:2}"; } # a millisecond's rest: longer than Quoll stays awake without work
# busy_a_frame [OUT]: of each round; what they say is read when all are over, so that nothing else runs meanwhile
busy_a_frame() {
	local i said=''
	for ((i = 0; i <= rounds; i++)); do
		said+=$("$frames" "$sender" $nr 32 60 0 "$@")
		((i > 0)) || said='' # the first one only warms up
	done
	jq '.busy_ns / .sent' <<<"$said"
}

# Where the registers that count are, as an expression: of e1000e in BAR 0, all below 64 KiB; of virtio the last 4 of
# 16 KiB of BAR 4, as QEMU lays them out.
registers_e1000e() {
	local start
	read -r start _ <"$sys/$1/resource"
	printf '%x(00[c-f]|0[1-9a-f]|[1-35-9a-f])' $((start >> 16))
}
registers_virtio() {
	local start first
	read -r start _ < <(sed -n 5p "$sys/$1/resource")
	first=$((start >> 12 & 15))
	printf '%x%x' $((start >> 16)) $((first + 3))
}

# mmio [OUT]: accesses to both BARs a frame, while some are sent, round by round. With virtio each poll that finds something is a doorbell,
# so a round is one burst: of many in a row one that is late would come with the next, whoever forwards.
mmio() {
	local i before n=$nr nr_rounds=$rounds
	[ "$driver" != virtio ] || n=32 nr_rounds=9
	for ((i = 0; i < nr_rounds; i++)); do
		before=$(stat -c %s /out/trace 2>/dev/null) # it grows to many MB
		lab-trace on "$events"
		send $n "$@" >/dev/null
		lab-trace off "$events"
		tail -c +$((${before:-0} + 1)) /out/trace | grep -Ec "$in_bars" | awk -v n=$n '{ print $1 / n }'
	done | xargs
}

# bridge_run: sets bridge and bridge_mmio
bridge_run() {
	local i before alone with_bridge
	for i in "$sender" "$in" "$out"; do
		interface "$i"
		sysctl -qw "net.ipv6.conf.$i.disable_ipv6=1" # nothing but our frames is to be on the lines
		ip link set "$i" up
	done
	wait_for 30 grep -q 1 "/sys/class/net/$sender/carrier"
	wait_for 30 grep -q 1 "/sys/class/net/$in/carrier"
	lab-link "$in" off
	alone=$(busy_a_frame)
	lab-link "$in" on
	sysctl -qw net.ipv6.conf.default.disable_ipv6=1 # nor the bridge's own
	ip link add br0 type bridge mcast_snooping 0 # with it, it reports groups of its own
	ip link set "$in" master br0
	ip link set "$out" master br0
	ip link set br0 up
	wait_for 30 bridge_forwards
	before=$(cat "/sys/class/net/$out/statistics/tx_packets")
	with_bridge=$(busy_a_frame "$out")
	check "$what: the bridge forwarded every frame" \
		wait_for 10 has_sent $((before + (rounds + 1) * nr)) "/sys/class/net/$out/statistics"
	bridge=$(paste <(echo "$with_bridge") <(echo "$alone") | awk '{ print $1 - $2 }' | xargs)
	bridge_mmio=$(mmio "$out")
	ip link del br0
	ip link set "$in" down
	ip link set "$out" down
}
bridge_forwards() { [ "$(bridge link | grep -c 'state forwarding')" = 2 ]; }
# has_sent NR DIRECTORY: of an interface's statistics; the last ones may be on their way
has_sent() { [ "$(cat "$2/tx_packets")" = "$1" ]; }

# testpmd_run: sets testpmd and testpmd_mmio
testpmd_run() {
	local i pid
	rm -f /tmp/testpmd.in
	mkfifo /tmp/testpmd.in
	: >/tmp/testpmd.log
	stdbuf -oL dpdk-testpmd --lcores '(0-1)@0' --main-lcore 0 --no-telemetry -a "${ports[0]}" -a "${ports[1]}" -- -i --nb-cores=1 \
		--total-num-mbufs=4096 --rxd="$entries" --txd="$entries" --burst=32 --forward-mode=io --record-core-cycles \
		--no-lsc-interrupt --disable-link-check </tmp/testpmd.in >/tmp/testpmd.log 2>&1 &
	pid=$!
	exec 7>/tmp/testpmd.in
	wait_for 120 grep -q 'testpmd>' /tmp/testpmd.log || return 1
	echo start >&7
	wait_for 10 grep -q 'packets/burst' /tmp/testpmd.log || return 1
	send 1024 >/dev/null # until its transmit ring is full, it has nothing to clean
	echo 'clear fwd stats all' >&7
	# Some are polled in two pieces; how many depends on the host.
	for ((i = 0; i < 300; i++)); do
		((i < 30)) || (($(testpmd_bursts | wc -l) < 9)) || break
		send 32 >/dev/null
		echo 'show fwd stats all' >&7
		echo 'clear fwd stats all' >&7
		read -r -t 0.002 <> <(:) || true
	done
	testpmd_mmio=$(mmio)
	echo stop >&7
	echo quit >&7
	exec 7>&-
	wait $pid
	testpmd=$(testpmd_bursts | xargs)
}

# testpmd_bursts: cycles a frame of those that it polled whole
testpmd_bursts() {
	sed -nE 's/.*total cycles=([0-9]+) .* packets=32\).*/\1/p' /tmp/testpmd.log | awk '$1 > 0 { print $1 / 32 }'
}

# quoll_start OPTION...: until both links are up, which takes a while after the reset
quoll_start() {
	: >/tmp/user/fwd.log # what the one before said is not to be taken for this one's
	"${net_user[@]}" quoll fwd "${ports[@]/%/$options}" --burst 32 --entries "$entries" --json "$@" >/tmp/user/fwd.json 2>/tmp/user/fwd.log &
	fwd_pid=$!
	wait_for 60 grep -q " ${ports[1]} " /tmp/user/fwd.log
	wait_for 10 links_up
}
links_up() { [ "$driver" = virtio ] || [ "$(grep -c 'link up' /tmp/user/fwd.log)" = 2 ]; } # told only if they were not before
quoll_stop() {
	kill -TERM $fwd_pid
	wait $fwd_pid
}
# quoll_done: it was told after how many frames to end; when QEMU hands the last ones over is the host's affair
quoll_done() {
	wait_for 20 fwd_ended || kill -TERM $fwd_pid
	wait $fwd_pid
}
fwd_ended() { ! kill -0 $fwd_pid 2>/dev/null; }
# quoll_run: sets quoll and quoll_mmio
quoll_run() {
	local i forwarded=0 mine frames_out
	quoll='' quoll_mmio=''
	for ((i = 0; i < rounds; i++)); do
		quoll_start --packets $((2 * nr))
		send $((2 * nr)) >/dev/null
		quoll_done
		[ -s /tmp/user/fwd.json ] || { fail "$what: Quoll forwards" /tmp/user/fwd.log; return; }
		read -r mine frames_out < <(jq -r '"\(.useful_ns_per_packet) \(.ports[1].tx_packets)"' /tmp/user/fwd.json)
		quoll+=" $mine"
		forwarded=$((forwarded + frames_out))
	done
	check "$what: Quoll forwarded every frame" test $forwarded = $((rounds * 2 * nr))
	quoll_start --never-sleep
	send 1024 >/dev/null
	quoll_mmio=$(mmio)
	quoll_stop
}

# at_most FACTOR PEER WHICH: Quoll's median against a peer's; WHICH of the two figures. Instructions and accesses are repeatable,
# so the aims can be tests.
at_most() {
	tail -n 2 /out/figures.jsonl | jq -es --argjson factor "$1" --arg peer "$2" --argjson which "$3" \
		'.[$which] | .quoll.median > 0 and .peers[$peer].median > 0 and .quoll.median <= $factor * .peers[$peer].median'
}

# row DRIVER NAME SENDER IN OUT ENTRIES [OPTIONS of Quoll's addresses]
row() {
	driver=$1 sender=$3 in=$4 out=$5 entries=$6 options=${7-}
	local name="forward 60-byte frames, $2, bursts of 32"
	what="icount-fwd, $2"
	ports=("$(addr "$in")" "$(addr "$out")")
	in_bars="addr 0x($("registers_$driver" "${ports[0]}")|$("registers_$driver" "${ports[1]}"))"
	bridge_run
	quoll bind "${ports[@]}" --user quoll >/dev/null || fail "$what: bind"
	testpmd='' testpmd_mmio=''
	if ! type -P dpdk-testpmd >/dev/null; then
		skip "$what: testpmd" 'DPDK is not in the guest'
	elif testpmd_run; then
		check "$what: testpmd counted whole bursts" test "$(wc -w <<<"$testpmd")" -ge 9
	else
		fail "$what: testpmd forwards" /tmp/testpmd.log
	fi
	quoll_run
	quoll restore "${ports[@]}" >/dev/null || fail "$what: restore"
	figure icount-fwd "$name" 'instructions a frame' "quoll=$quoll" "DPDK testpmd=$testpmd" "kernel bridge=$bridge"
	figure icount-fwd "$name" 'MMIO accesses a frame' "quoll=$quoll_mmio" "DPDK testpmd=$testpmd_mmio" \
		"kernel bridge=$bridge_mmio"
	tail -n 2 /out/figures.jsonl | jq -r '
		def shown: if . then "\(.median * 100 | round / 100) (\(.min * 100 | round / 100)-\(.max * 100 | round / 100), n \(.n))"
			else "-" end;
		"figure | \(.unit), \(.name) | quoll \(.quoll | shown)" +
			(.peers | to_entries | map(" | \(.key) \(.value | shown)") | add)'
	check "$what: at most a tenth of the bridge's instructions" at_most 0.1 'kernel bridge' 0
	[ -z "$testpmd" ] || check "$what: at most 0.7 of testpmd's instructions" at_most 0.7 'DPDK testpmd' 0
	[ -z "$testpmd" ] || check "$what: no more MMIO accesses than testpmd" at_most 1 'DPDK testpmd' 1
}

row e1000e e1000e net2 net0 net1 512
# QEMU's ring has 256 entries. DPDK's driver takes packed rings where they are offered.
row virtio 'virtio, packed' multi1 virtio1 virtio2 256 '?packed=1'
for id in virtio1 virtio2; do
	lab-unplug "$id"
	sed -i "/^$id /s/packed=on/packed=off/" /lab/devices
	lab-plug "$id"
done
row virtio 'virtio, split' multi1 virtio1 virtio2 256
