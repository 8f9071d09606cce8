# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# icount-fwd.sh - instructions and MMIO accesses a forwarded frame: Quoll beside DPDK's testpmd and the kernel's bridge, on
# the same two e1000e. One CPU, and a nanosecond of virtual time is one instruction.
#
# net2 sends bursts of 32 frames of 60 bytes, with a rest between them; they come in on net0 and leave by net1 for net3,
# which is down, so that nobody's reception is counted. Each forwarder's own share is got at as its nature allows:
#   bridge   all that is not idle, less the same with net0 down: the sender's; without rests, as idle time is the host's
#   testpmd  its own count of cycles in polls that received something, burst by burst, and the median: the sender, on the
#            same CPU, interrupts a poll in the middle now and then, and is counted there with a hundred times the cost
#   quoll    useful_ns_per_packet of `quoll fwd`: it sleeps when a burst comes, so that its polls are not interrupted
# MMIO accesses are QEMU's trace of accesses to the BARs of net0 and net1 while bursts are forwarded; Quoll polls then. CTRL,
# STATUS and statistics, which are read now and then and not by frame, are left out.

: "${sys:?set by lib.sh}" "${net_user[0]:?}"
frames=/quoll/build/tests/vm/programs/frames
ports=("$(addr net0)" "$(addr net1)")
rounds=${ICOUNT_ROUNDS:-5}
nr=1600
events=(memory_region_ops_read memory_region_ops_write)
mkdir -p /tmp/user && chmod 777 /tmp/user

send() { "$frames" net2 "$1" 32 60 1000; } # a millisecond's rest: longer than Quoll stays awake without work
busy_a_frame() { "$frames" net2 $nr 32 60 0 | jq ".busy_ns / .sent"; }

# bar ADDR: the addresses of registers in its BAR 0 that count, as an expression; all are below 64 KiB
bar() {
	local start
	read -r start _ <"$sys/$1/resource"
	printf '%x' $((start >> 16))
}
in_bars="addr 0x($(bar "${ports[0]}")|$(bar "${ports[1]}"))(00[c-f]|0[1-9a-f]|[1-35-9a-f])"

# mmio: accesses to both BARs a frame, while some are sent
mmio() {
	local before
	before=$(wc -l 2>/dev/null </out/trace)
	lab-trace on "${events[@]}"
	send $nr >/dev/null
	lab-trace off "${events[@]}"
	tail -n +$((${before:-0} + 1)) /out/trace | grep -Ec "$in_bars" | jq ". / $nr"
}

for i in 0 1 2; do
	interface net$i
	sysctl -qw "net.ipv6.conf.net$i.disable_ipv6=1" # nothing but our frames is to be on the lines
	ip link set net$i up
done
wait_for 30 grep -q 1 /sys/class/net/net2/carrier
wait_for 30 grep -q 1 /sys/class/net/net0/carrier
ip link set net0 down
busy_a_frame >/dev/null
alone=$(for ((i = 0; i < rounds; i++)); do busy_a_frame; done)
ip link set net0 up
sysctl -qw net.ipv6.conf.default.disable_ipv6=1 # nor the bridge's own
ip link add br0 type bridge
ip link set net0 master br0
ip link set net1 master br0
ip link set br0 up
bridge_forwards() { [ "$(bridge link | grep -c 'state forwarding')" = 2 ]; }
wait_for 30 bridge_forwards
busy_a_frame >/dev/null
before=$(cat /sys/class/net/net1/statistics/tx_packets)
with_bridge=$(for ((i = 0; i < rounds; i++)); do busy_a_frame; done)
check 'icount-fwd: the bridge forwarded every frame' \
	test $(($(cat /sys/class/net/net1/statistics/tx_packets) - before)) = $((rounds * nr))
bridge=$(paste <(echo "$with_bridge") <(echo "$alone") | awk '{ print $1 - $2 }' | xargs)
bridge_mmio=$(mmio)
ip link del br0
ip link set net0 down
ip link set net1 down

quoll bind "${ports[@]}" --user quoll >/dev/null || fail 'icount-fwd: bind'
# testpmd_run: fills the arrays testpmd and testpmd_mmio
testpmd_run() {
	local i pid
	rm -f /tmp/testpmd.in
	mkfifo /tmp/testpmd.in
	stdbuf -oL dpdk-testpmd --lcores '(0-1)@0' --main-lcore 0 --no-telemetry -a "${ports[0]}" -a "${ports[1]}" -- -i --nb-cores=1 \
		--total-num-mbufs=4096 --rxd=512 --txd=512 --burst=32 --forward-mode=io --record-core-cycles \
		--no-lsc-interrupt --disable-link-check </tmp/testpmd.in >/tmp/testpmd.log 2>&1 &
	pid=$!
	exec 7>/tmp/testpmd.in
	wait_for 120 grep -q 'testpmd>' /tmp/testpmd.log || return 1
	echo start >&7
	wait_for 10 grep -q 'packets/burst' /tmp/testpmd.log || return 1
	send 1024 >/dev/null # until its transmit ring is full, it has nothing to clean
	echo 'clear fwd stats all' >&7
	for ((i = 0; i < 30; i++)); do
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
	testpmd=$(sed -nE 's/.*total cycles=([0-9]+) .* packets=32\).*/\1/p' /tmp/testpmd.log | awk '$1 > 0 { print $1 / 32 }' |
		xargs)
}
testpmd='' testpmd_mmio=''
if ! type -P dpdk-testpmd >/dev/null; then
	skip 'icount-fwd: testpmd' 'DPDK is not in the guest'
elif testpmd_run; then
	check 'icount-fwd: testpmd counted whole bursts' test "$(wc -w <<<"$testpmd")" -ge 9
else
	fail 'icount-fwd: testpmd forwards' /tmp/testpmd.log
fi

# quoll_start OPTION...: until both links are up, which takes a while after the reset
quoll_start() {
	"${net_user[@]}" quoll fwd "${ports[@]}" --burst 32 --entries 512 --json "$@" >/tmp/user/fwd.json 2>/tmp/user/fwd.log &
	fwd_pid=$!
	wait_for 60 grep -q " ${ports[1]} " /tmp/user/fwd.log
	wait_for 10 links_up # told only if they were not up before
}
links_up() { [ "$(grep -c 'link up' /tmp/user/fwd.log)" = 2 ]; }
quoll_stop() {
	kill -TERM $fwd_pid
	wait $fwd_pid
}
quoll='' forwarded=0
for ((i = 0; i < rounds; i++)); do
	quoll_start
	send $((2 * nr)) >/dev/null
	quoll_stop
	quoll+=" $(jq .useful_ns_per_packet /tmp/user/fwd.json)"
	forwarded=$((forwarded + $(jq '.ports[1].tx_packets' /tmp/user/fwd.json)))
done
check 'icount-fwd: Quoll forwarded every frame' test $forwarded = $((rounds * 2 * nr))
quoll_start --never-sleep
send 1024 >/dev/null
quoll_mmio=$(mmio)
quoll_stop
quoll restore "${ports[@]}" >/dev/null || fail 'icount-fwd: restore'

figure icount-fwd 'forward 60-byte frames, e1000e, bursts of 32' 'instructions a frame' "quoll=$quoll" \
	"DPDK testpmd=$testpmd" "kernel bridge=$bridge"
figure icount-fwd 'forward 60-byte frames, e1000e, bursts of 32' 'MMIO accesses a frame' "quoll=$quoll_mmio" \
	"DPDK testpmd=$testpmd_mmio" "kernel bridge=$bridge_mmio"
tail -n 2 /out/figures.jsonl | jq -r '
	def shown: if . then "\(.median * 100 | round / 100) (\(.min * 100 | round / 100)-\(.max * 100 | round / 100), n \(.n))"
		else "-" end;
	"figure | \(.unit), \(.name) | quoll \(.quoll | shown)" + (.peers | to_entries | map(" | \(.key) \(.value | shown)") | add)'
# Instructions and accesses are repeatable, so the aims can be tests.
at_most() { # at_most FACTOR PEER: Quoll's medians against a peer's
	tail -n 2 /out/figures.jsonl | jq -es --argjson factor "$1" --arg peer "$2" --argjson which "$3" \
		'.[$which] | .quoll.median > 0 and .peers[$peer].median > 0 and .quoll.median <= $factor * .peers[$peer].median'
}
check "icount-fwd: at most a tenth of the bridge's instructions" at_most 0.1 'kernel bridge' 0
[ -z "$testpmd" ] || check "icount-fwd: at most 0.7 of testpmd's instructions" at_most 0.7 'DPDK testpmd' 0
[ -z "$testpmd" ] || check 'icount-fwd: no more MMIO accesses than testpmd' at_most 1 'DPDK testpmd' 1
