# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# isolation.sh - two I/O address spaces in one process: a NIC that is made to write into the disk's memory, or into memory
# that devices may only read, is stopped by the IOMMU, and the kernel's log says so (programs/isolation.c).

: "${results:?set by lib.sh}" "${sys:?}" "${net_user:?}"
nic=$(addr net0)
disk=$(addr nvme1)
quoll bind "$nic" "$disk" --user quoll >/dev/null || fail 'isolation: bind'
# Nothing but our frames is to be on the line.
interface net2
sysctl -qw net.ipv6.conf.net2.disable_ipv6=1
ip link set net2 up
status=0
timeout 120 /quoll/build/tests/vm/programs/isolation "$nic" "$disk" net2 >/tmp/isolation.log 2>&1 || status=$?
cat /tmp/isolation.log
grep -E '^(ok|not ok) ' /tmp/isolation.log >>"$results"
check 'isolation: the program ends with 0' test "$status" = 0
place='offset 0x0, va 0x[0-9a-f]+'
check "isolation: a fault's line names the buffer" grep -qE \
	"the IOMMU stopped a write at IOVA 0x[0-9a-f]+ \(arena \"own\", $place\): ." /tmp/isolation.log
check 'isolation: and what devices may do there' grep -qE \
	"the IOMMU stopped a write at IOVA 0x[0-9a-f]+ \(arena \"shared ro\", $place, devices may only read it\): ." \
	/tmp/isolation.log
[ "${QUOLL_BACKEND-}" != kmod ] || check 'isolation: also if a stream had it, which has unmapped it' grep -qE \
	"\(stream, window, offset 0x0, va 0x[0-9a-f]+, of 4096 bytes at 0x[0-9a-f]+, unmapped before, to be written\): ." \
	/tmp/isolation.log
# Commands tell of faults. No command makes a device misbehave, so another file is the kernel's log, and says that one did.
# tells NAME ADDR WORDS...
tells() {
	local name=$1 bdf=$2 status=0 pid kmsg=/tmp/isolation.kmsg
	shift 2
	: >"$kmsg"
	unshare -m sh -c "mount --bind $kmsg /dev/kmsg && exec quoll $* --json --time 60" >/tmp/isolation.json 2>/tmp/isolation.err &
	pid=$!
	# shellcheck disable=SC2016 # for the shell that is started
	wait_for 40 sh -c 'echo "3,1,1,-;DMAR: [DMA Write NO_PASID] Request device [$1] fault addr 0x1000 [fault reason 0x05] No" >>"$2"
		grep -q stopped /tmp/isolation.err' sh "${bdf#0000:}" "$kmsg"
	kill -TERM "$pid"
	wait "$pid" || status=$?
	check "isolation: $name tells of a fault" grep -qF \
		"quoll $name: $bdf: the IOMMU stopped a write at IOVA 0x1000 (no memory of this program): No" /tmp/isolation.err
	check "isolation: $name counts them, and ends with 0" jq -e ".faults > 0 and $status == 0" /tmp/isolation.json
}
tells fwd "$nic" fwd "$nic"
tells gen "$nic" gen "$nic" --rate 1kpps
tells 'nvme perf' "$disk" nvme perf "$disk"
# What fault.h says to users who may not read the kernel's log; root is shown the same by its file's mode.
sysctl -qw kernel.dmesg_restrict=1
expect 'isolation: faults cannot be read by everybody: says how' 1 'kernel.s log cannot be read' 'CAP_SYSLOG|dmesg_restrict' \
	-- as_user /quoll/build/tests/vm/programs/isolation --log
expect 'isolation: a command whose user may not read them says nothing, and counts none' 0 '"faults": null' '!kmsg|.s log' \
	-- "${net_user[@]}" quoll fwd "$nic" --json --time 1
ip link set net2 down
sysctl -qw net.ipv6.conf.net2.disable_ipv6=0
quoll restore "$nic" "$disk" >/dev/null || fail 'isolation: restore'
wait_for 20 has_block "$disk"
wait_for 20 test -d "$sys/$nic/net"
check 'isolation: both are with the kernel again' test "$(driver "$nic") $(driver "$disk")" = 'e1000e nvme'
