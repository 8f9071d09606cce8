# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# fwd.sh - the main job of packets: Quoll forwards between net0 and net1 as an unprivileged user, the kernel's driver sits
# at the other ends in two network namespaces; ping, TCP and UDP go through, and every frame is accounted for.

: "${sys:?set by lib.sh}"
# shellcheck source=net.sh
. "${BASH_SOURCE[0]%/*}/net.sh"
before_drivers=$(drivers "${ports[@]}")
free=$(hugepages_free)
net_up
iommu_mode 0666
expect 'fwd: ports that are with their kernel driver: refused with the way out' 1 'e1000e' '^try: .*quoll bind' \
	-- as_user quoll fwd "${ports[@]}"
iommu_mode 0600
quoll bind "${ports[@]}" --user quoll >/dev/null || fail 'fwd: bind'

counts=$(kernel_counts)
fwd_start fwd || return 0
pass 'fwd: runs as an unprivileged user'
check 'fwd: ping goes through, and none is lost' ping_through 20
check 'fwd: TCP goes through' iperf -t 2
echo "figure | TCP through Quoll, emulated | $(jq -r '.end.sum_received.bits_per_second / 1e6 | round' /tmp/iperf.json) Mbit/s"
check 'fwd: TCP goes through in the other direction' iperf -t 1 -R
check 'fwd: UDP goes through' iperf -u -b 4M -l 1000 -t 2
check 'fwd: no datagram was lost or came twice' \
	jq -e '.end.sum.packets > 100 and .end.sum.lost_packets == 0' /tmp/iperf.json
fwd_stop
after=$(kernel_counts)
check 'fwd: ends with 0 on SIGTERM' test "$fwd_status" = 0
check 'fwd: every frame is counted on both sides, and every buffer is back' all_counted "$counts" "$after"
check 'fwd: no hugepage was lost' same "$free" "$(hugepages_free)"

# Short frames in bursts as fast as the kernel sends: what is dropped has a reason.
counts=$(kernel_counts)
fwd_start 'fwd: small rings' --entries 64 --bufs 1024
check 'fwd: small rings, UDP in bursts' iperf -u -b 0 -l 64 -t 1
fwd_stop
check 'fwd: small rings: every frame is forwarded or named as dropped' all_counted "$counts" "$(kernel_counts)"

# Several queues, each with its thread; flows are spread by a hash.
counts=$(kernel_counts)
fwd_start 'fwd: two queues' --queues 2 --threads 2
check 'fwd: two queues: TCP in several flows' iperf -t 1 -P 6
check 'fwd: two queues: UDP in several flows' iperf -u -b 500K -l 500 -t 1 -P 6
fwd_stop
jq -c '[.queues[] | {port, queue, thread, packets}]' /tmp/fwd.json
check 'fwd: two queues: each of them, of both ports, saw frames' jq -e '.queues | length == 4 and all(.packets > 0)' /tmp/fwd.json
check 'fwd: two queues: every frame is counted on both sides' all_counted "$counts" "$(kernel_counts)"

# Without frames it sleeps, and the interrupt wakes it.
cpu_ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }
fwd_start 'fwd: idle'
ticks=$(cpu_ticks "$fwd_pid") seconds=$SECONDS
wait_for 10 sh -c "[ \$(cut -d. -f1 /proc/uptime) -ge $(($(cut -d. -f1 /proc/uptime) + 3)) ]"
echo "figure | idle forwarder, emulated | $(($(cpu_ticks "$fwd_pid") - ticks)) ticks of 10 ms in $((SECONDS - seconds)) s"
check 'fwd: asleep, it wakes up for a ping' ping_through 3
fwd_stop
check 'fwd: it slept meanwhile' jq -e '.threads | all(.sleeps > 0 and .sleep_percent > 0)' /tmp/fwd.json

expect 'restore: both ports' 0 "${ports[0]}" "${ports[1]}" -- quoll restore "${ports[@]}"
check 'restore: both are with their driver' same "$before_drivers" "$(drivers "${ports[@]}")"
net_down
