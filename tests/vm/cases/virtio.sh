# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# virtio.sh - the virtio driver on PCI, behind the IOMMU, with the kernel's drivers at the other end of the lines
# (virtio1 - multi1, virtio2 - old1): split and packed rings by programs/port_selftest (frames of all lengths, chains, jumbo,
# filters, sleep), the cable; forwarding to an e1000e with split rings and from one to the other with packed ones, with every
# frame accounted for, and going on after a peer has taken no frames for a while; kill -9 under traffic; removal under traffic,
# orderly and not.

: "${sys:?set by lib.sh}" "${results:?set by lib.sh}"
# shellcheck source=net.sh
. "${BASH_SOURCE[0]%/*}/net.sh"
selftest=/quoll/build/tests/vm/programs/port_selftest
nic=$(addr virtio1)
other=$(addr virtio2)
e1000e=$(addr net0)
before_drivers=$(drivers "$nic" "$other" "$e1000e")

# virtio_program SECONDS ARGUMENT...: its own result lines are results
virtio_program() {
	local limit=$1 status=0
	shift
	timeout "$limit" "$selftest" "$@" >/tmp/port.log 2>&1 || status=$?
	sed -E "s/^(ok|not ok) /\1 virtio, ${1#*\?}: /" /tmp/port.log | tee /tmp/port.named
	grep -E '^(ok|not ok) ' /tmp/port.named >>"$results"
	check "virtio, ${1#*\?}: the program ends with 0" test "$status" = 0
}

# Nothing but our frames is to be on the line.
interface multi1
sysctl -qw net.ipv6.conf.multi1.disable_ipv6=1
ip link set multi1 mtu 9000 up
wait_for 20 grep -q 1 /sys/class/net/multi1/carrier
iommu_mode 0666
expect 'virtio: a device that is with its kernel driver: refused with the way out' 1 'virtio-pci' '^try: .*quoll bind' \
	-- as_user quoll fwd "$nic" "$other"
iommu_mode 0600
quoll bind "$nic" "$other" "$e1000e" --user quoll >/dev/null || fail 'virtio: bind'
virtio_program 100 "pci:$nic?packed=0" multi1
virtio_program 100 "pci:$nic?packed=1" multi1

# The cable.
"$selftest" --link "$nic" >/tmp/link.log 2>&1 &
pid=$!
wait_for 20 grep -q '^link is up' /tmp/link.log
lab-link virtio1 off
check 'virtio: a cable that is pulled is seen by a sleeper' wait_for 10 grep -q '^link is down after' /tmp/link.log
lab-link virtio1 on
check 'virtio: and that it is back' wait_for 10 grep -q '^link is up after' /tmp/link.log
status=0
wait "$pid" || status=$?
check 'virtio: the link program ends with 0' test "$status" = 0
ip link set multi1 mtu 1500

# forwards NAME: ping, TCP and UDP go through, both sides' counts are equal
forwards() {
	local name=$1 counts
	net_up
	counts=$(kernel_counts)
	fwd_start "$name" || return
	check "$name: ping goes through, and none is lost" ping_through 20
	check "$name: TCP goes through" iperf -t 1
	echo "figure | TCP, $name, emulated | $(jq -r '.end.sum_received.bits_per_second / 1e6 | round' /tmp/iperf.json) Mbit/s"
	check "$name: UDP goes through" iperf -u -b 4M -l 1000 -t 1 -w 2M
	check "$name: no datagram was lost or came twice" jq -e '.end.sum.packets > 50 and .end.sum.lost_packets == 0' /tmp/iperf.json
	fwd_stop
	check "$name: ends with 0 on SIGTERM" test "$fwd_status" = 0
	check "$name: every frame is counted on both sides, and every buffer is back" all_counted "$counts" "$(kernel_counts)"
	check "$name: it slept meanwhile" jq -e '.threads | all(.sleeps > 0)' /tmp/fwd.json
	net_down
}
# A server that is kept from its socket loses nothing: it has room for all that comes in a second (-w).
sysctl -qw net.core.rmem_max=4194304 net.core.wmem_max=4194304
free=$(hugepages_free)
ports=("$e1000e" "$nic") peers=(net2 multi1) links_told=1
forwards 'virtio: e1000e to virtio, split'
# QEMU's e1000 loses what waited for it and finds no descriptor, and its count of that (MPC) is not cleared by a read: the kernel's
# driver adds it up once more every 2 s, so that what it names as missed is a multiple. It has descriptors for all that TCP sends
# ahead, then.
interface old1
ethtool -G old1 rx 4096
check 'virtio: the peer has descriptors for what TCP sends ahead' sh -c 'ethtool -g old1 | grep -c "^RX:[[:space:]]*4096$" | grep -qx 2'
ports=("pci:$nic?packed=1" "pci:$other?packed=1") peers=(multi1 old1) links_told=0
forwards 'virtio to virtio, packed'

# goes_on NAME: frames pile up in the device while its peer takes none. After that QEMU's leaves behind, with packed rings, a
# wish to be kicked that no later frame is worth.
goes_on() {
	local name=$1 i
	net_up
	fwd_start "$name" || return
	check "$name: ping goes through" ping_through 3
	for ((i = 0; i < 3; i++)); do
		ip -n d link set "${peers[1]}" down
		in_c ping -q -c 30 -i 0.02 -W 1 192.0.2.3 >/dev/null
		ip -n d link set "${peers[1]}" up
		check "$name: ping goes through again" ping_through 20
	done
	fwd_stop
	check "$name: nothing was dropped meanwhile, and every buffer is back" \
		jq -e '.bufs_missing == 0 and (.ports | all(.tx_full + .tx_bad + .rx_bad == 0))' /tmp/fwd.json
	net_down
}
goes_on 'virtio to virtio, packed, peer away'
ports=("$nic" "$other")
goes_on 'virtio to virtio, split, peer away'

# Killed under traffic, the next one works at once.
ports=("$nic" "$e1000e") peers=(multi1 net2) links_told=1
net_up
fwd_start 'virtio, kill -9' || return 0
in_c ping -q -i 0.002 -s 1000 192.0.2.3 >/dev/null 2>&1 &
traffic=$!
check 'virtio, kill -9: frames go through' ping_through 3
kill -9 "$fwd_pid"
wait "$fwd_pid" 2>/dev/null
kill "$traffic"
wait "$traffic" 2>/dev/null
check 'virtio, kill -9: no hugepage was lost' same "$free" "$(hugepages_free)"

# leaves NAME COMMAND: removed under traffic
leaves() {
	local name=$1 command=$2 traffic status=0
	fwd_start "$name" || return
	in_c ping -q -i 0.01 192.0.2.3 >/dev/null 2>&1 &
	traffic=$!
	check "$name: frames go through" ping_through 3
	"$command" virtio1
	check "$name: it ends in bounded time" wait_for 40 sh -c "! kill -0 $fwd_pid" || kill -9 "$fwd_pid"
	wait "$fwd_pid" || status=$?
	kill "$traffic"
	wait "$traffic" 2>/dev/null
	check "$name: it ends with status 1, and the error names the port" \
		grep -Eq "^1 quoll fwd: $nic: .*(gone|wants it back)" <(sed "s/^/$status /" /tmp/fwd.log)
	check "$name: what was forwarded is still reported, and every buffer is back" \
		jq -e '.ended_by == "error" and .packets > 3 and .bufs_missing == 0' /tmp/fwd.json
	check "$name: the kernel lets the slot go" wait_for 40 test ! -e "$sys/$nic"
	check "$name: hugepages free before = after" same "$free" "$(hugepages_free)"
	lab-plug virtio1
	wait_for 20 test -e "$sys/$nic/driver"
}
leaves 'virtio, unplug' lab-unplug
quoll bind "$nic" --user quoll >/dev/null || fail 'virtio: bind again'
leaves 'virtio, surprise removal' lab-yank
net_down
quoll restore >/dev/null
check 'virtio: all are with their drivers again' wait_for 20 same "$before_drivers" "$(drivers "$nic" "$other" "$e1000e")"
interface virtio1
interface virtio2
