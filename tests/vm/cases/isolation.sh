# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# isolation.sh - two I/O address spaces in one process: a NIC that is made to write into the disk's memory, or into memory
# that devices may only read, is stopped by the IOMMU, and the kernel's log says so (programs/isolation.c).

: "${results:?set by lib.sh}" "${sys:?}"
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
# What fault.h says to users who may not read the kernel's log; root is shown the same by its file's mode.
sysctl -qw kernel.dmesg_restrict=1
expect 'isolation: faults cannot be read by everybody: says how' 1 'kernel.s log cannot be read' 'CAP_SYSLOG|dmesg_restrict' \
	-- as_user /quoll/build/tests/vm/programs/isolation --log
ip link set net2 down
sysctl -qw net.ipv6.conf.net2.disable_ipv6=0
quoll restore "$nic" "$disk" >/dev/null || fail 'isolation: restore'
wait_for 20 has_block "$disk"
wait_for 20 test -d "$sys/$nic/net"
check 'isolation: both are with the kernel again' test "$(driver "$nic") $(driver "$disk")" = 'e1000e nvme'
