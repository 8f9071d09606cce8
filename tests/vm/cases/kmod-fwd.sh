# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# kmod-fwd.sh - Quoll forwards between two NICs over quoll.ko, and its buffers are its own memory, not the heap's: mapped for
# each burst in a window, registered, or copied. Frames come through, all are counted, each went that way, and nothing stays
# pinned. From e1000e to e1000e, and from virtio, with either kind of ring, to e1000e.

: "${cases:?set by run}" "${sys:?set by lib.sh}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"
# shellcheck source=net.sh
. "$cases/net.sh"
who=("${net_user[@]}")
# shellcheck disable=SC2034 # for net.sh
net_user=(env QUOLL_BACKEND=kmod)

# outside_up: the peers of the ports, which know each other; the ports are the module's
outside_up() {
	local port
	net_up
	# Else the kernel asks for its neighbour some seconds after it has last heard of it, while no forwarder is there to count that.
	in_c ip neigh replace 192.0.2.3 lladdr "$(in_d cat "/sys/class/net/${peers[1]}/address")" dev "${peers[0]}" nud permanent
	in_d ip neigh replace 192.0.2.2 lladdr "$(in_c cat "/sys/class/net/${peers[0]}/address")" dev "${peers[1]}" nud permanent
	for port in "${ports[@]}"; do kmod_bind "$(bare "$port")" quoll; done
}

bare() { # bare ADDR: without scheme and options
	local at=${1#pci:}
	echo "${at%%\?*}"
}

# forwards_by WAY BUFFERS NAME: with these buffers each frame goes that way
forwards_by() {
	local way=$1 buffers=$2 name="kmod-fwd: $3, --buffers $2" counts
	counts=$(kernel_counts)
	fwd_start "$name" --buffers "$buffers" || return
	[ "$way" != window ] || check "$name: TCP goes through" iperf -t 1
	check "$name: ping goes through, and none is lost" ping_through 20
	fwd_stop
	check "$name: ends with 0" test "$fwd_status" = 0
	check "$name: every frame is counted on both sides, and every buffer is back" all_counted "$counts" "$(kernel_counts)"
	# shellcheck disable=SC2016 # jq's
	check "$name: each went that way" jq -e --arg way "$way" --arg buffers "$buffers" \
		'.buffers == $buffers and .streamed[$way] >= 40 and (.streamed | del(.registrations, .[$way]) | add) == 0' /tmp/fwd.json
	check "$name: as many pages are pinned as before" wait_for 20 is_pinned "$pins"
}

dmesg -C
check 'kmod-fwd: the module loads' insmod /lab/quoll.ko
pins=$(pinned)
outside_up
forwards_by registered registered e1000e
forwards_by window stream e1000e
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
net_down

# virtio: the device has a header before each frame's data, which it writes and reads as well.
nic=$(addr virtio1) e1000e=${ports[1]}
# shellcheck disable=SC2034 # for net.sh
peers=(multi1 net3) links_told=1
for rings in split:0 packed:1; do
	ports=("pci:$nic?packed=${rings#*:}" "$e1000e")
	outside_up
	forwards_by registered registered "virtio, ${rings%:*}"
	forwards_by window stream "virtio, ${rings%:*}"
	forwards_by bounce bounce "virtio, ${rings%:*}"
	for port in "${ports[@]}"; do kmod_bind "$(bare "$port")"; done
	net_down
done
check 'kmod-fwd: the module goes' rmmod quoll
expect 'kmod-fwd: the IOMMU has stopped nothing' 1 -- sh -c 'dmesg | grep "DMAR: .*fault"'
expect 'kmod-fwd: the kernel has nothing to complain about' 1 -- splats
interface virtio1
net_user=("${who[@]}") # for the cases that follow
