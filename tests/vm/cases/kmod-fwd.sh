# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# kmod-fwd.sh - Quoll forwards between two NICs over quoll.ko, and its buffers are its own memory, not the heap's: mapped for
# each burst in a window, or registered. Frames come through, all are counted, each went that way, and nothing stays pinned.

: "${cases:?set by run}" "${sys:?set by lib.sh}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"
# shellcheck source=net.sh
. "$cases/net.sh"
who=("${net_user[@]}")
# shellcheck disable=SC2034 # for net.sh
net_user=(env QUOLL_BACKEND=kmod)

dmesg -C
net_up
# Else the kernel asks for its neighbour some seconds after it has last heard of it, while no forwarder is there to count that.
in_c ip neigh replace 192.0.2.3 lladdr "$(in_d cat "/sys/class/net/${peers[1]}/address")" dev "${peers[0]}" nud permanent
in_d ip neigh replace 192.0.2.2 lladdr "$(in_c cat "/sys/class/net/${peers[0]}/address")" dev "${peers[1]}" nud permanent
check 'kmod-fwd: the module loads' insmod /lab/quoll.ko
for port in "${ports[@]}"; do kmod_bind "$port" quoll; done
pins=$(pinned)
for way in registered:registered window:stream; do
	buffers=${way#*:} way=${way%:*}
	counts=$(kernel_counts)
	fwd_start "kmod-fwd: --buffers $buffers" --buffers "$buffers" || continue
	[ "$way" != window ] || check 'kmod-fwd: TCP goes through' iperf -t 1
	check "kmod-fwd: --buffers $buffers: ping goes through, and none is lost" ping_through 20
	fwd_stop
	check "kmod-fwd: --buffers $buffers: ends with 0" test "$fwd_status" = 0
	check "kmod-fwd: --buffers $buffers: every frame is counted on both sides, and every buffer is back" \
		all_counted "$counts" "$(kernel_counts)"
	# shellcheck disable=SC2016 # jq's
	check "kmod-fwd: --buffers $buffers: each went that way" jq -e --arg way "$way" --arg buffers "$buffers" \
		'.buffers == $buffers and .streamed[$way] >= 40 and (.streamed | del(.registrations, .[$way]) | add) == 0' /tmp/fwd.json
	check "kmod-fwd: --buffers $buffers: as many pages are pinned as before" wait_for 20 is_pinned "$pins"
done
# Killed in the middle of it.
fwd_start 'kmod-fwd: to be killed' --buffers registered
check 'kmod-fwd: it has pages pinned' test "$(pinned)" -gt "$pins"
kill -9 "$fwd_pid"
wait "$fwd_pid" 2>/dev/null
check 'kmod-fwd: SIGKILL: as many pages are pinned as before' wait_for 20 is_pinned "$pins"
for port in "${ports[@]}"; do kmod_bind "$port" vfio-pci; done
expect 'kmod-fwd: VFIO has no windows, and says what has' 1 'no windows' 'try:.*quoll.ko' \
	-- env QUOLL_BACKEND=vfio quoll fwd "${ports[@]}" --buffers registered --time 1
for port in "${ports[@]}"; do kmod_bind "$port"; done
check 'kmod-fwd: the module goes' rmmod quoll
net_down
expect 'kmod-fwd: the IOMMU has stopped nothing' 1 -- sh -c 'dmesg | grep "DMAR: .*fault"'
expect 'kmod-fwd: the kernel has nothing to complain about' 1 -- splats
net_user=("${who[@]}") # for the cases that follow
