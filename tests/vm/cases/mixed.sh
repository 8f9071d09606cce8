# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# mixed.sh - packets and blocks in one process and one thread, as an unprivileged user: forwarding beside NVMe reads, and
# the payload of UDP packets written to a disk without a copy, read back by the kernel.

: "${sys:?set by lib.sh}"
# shellcheck source=net.sh
. "${BASH_SOURCE[0]%/*}/net.sh"
examples=/quoll/build/apps/examples
disk=$(addr nvme1)
wait_for 30 has_block "$disk"
before_drivers=$(drivers "${ports[@]}" "$disk")
net_up
quoll bind "${ports[@]}" "$disk" --user quoll >/dev/null || fail 'mixed: bind'
free=$(hugepages_free)

"${net_user[@]}" "$examples/fwd_and_read" "${ports[@]}" "$disk" >/tmp/mixed.log 2>&1 &
pid=$!
wait_for 30 group_open "$(group "$disk")" "$pid"
check 'mixed: ping goes through while blocks are read' ping_through 50
status=0
kill -INT "$pid"
wait "$pid" || status=$?
check 'mixed: one process, one thread: it ends with 0' test "$status" = 0
cat /tmp/mixed.log
read -r _ there back _ dropped _ blocks_read _ failed_reads < <(grep '^forwarded' /tmp/mixed.log)
check 'mixed: both made progress, nothing was dropped, no read failed' test "${there:-0}" -ge 50 -a "${back:-0}" -ge 50 \
	-a "$dropped" = 0 -a "${blocks_read:-0}" -gt 100 -a "$failed_reads" = 0

# 256 datagrams of a block each, in order, to net0's own address.
blocks=256
head -c $((blocks * 512)) /dev/urandom >/tmp/payload.bin
in_c ip neigh replace 192.0.2.9 lladdr 52:54:00:00:00:10 dev net2
"${net_user[@]}" "$examples/rx_to_nvme" "${ports[0]}" "$disk" $blocks >/tmp/rx.log 2>&1 &
pid=$!
wait_for 30 group_open "$(group "$disk")" "$pid"
# Its loop runs, and so does the receiver, once it naps in epoll_pwait2(), which is system call 441.
wait_for 30 grep -q '^441 ' "/proc/$pid/syscall"
in_c socat -u -b 512 OPEN:/tmp/payload.bin UDP-SENDTO:192.0.2.9:9
status=0
wait_for 30 sh -c "! kill -0 $pid" || kill -INT "$pid"
wait "$pid" || status=$?
cat /tmp/rx.log
check 'mixed: packets to disk: every block was written' grep -q "^written $blocks, failed 0," /tmp/rx.log
check 'mixed: packets to disk: it ends with 0' test "$status" = 0
check 'mixed: no hugepage was lost' same "$free" "$(hugepages_free)"
quoll restore "${ports[@]}" "$disk" >/dev/null || fail 'mixed: restore'
check 'mixed: all three are with their drivers' same "$before_drivers" "$(drivers "${ports[@]}" "$disk")"
wait_for 30 has_block "$disk"
dd if="$(block "$disk")" of=/tmp/blocks.bin bs=512 count=$blocks iflag=direct 2>/dev/null
check 'mixed: packets to disk: the kernel reads from the disk what was sent, byte by byte' cmp /tmp/payload.bin /tmp/blocks.bin
net_down
rm -f /tmp/payload.bin /tmp/blocks.bin
