# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# port.sh - the e1000e driver against the kernel's at the other end of the line (programs/port_selftest): frames of all lengths,
# chains, jumbo, offloads, filters, two queues, sleep; then the cable, then removal under load, orderly and not.

: "${sys:?set by lib.sh}" "${results:?set by lib.sh}"
selftest=/quoll/build/tests/vm/programs/port_selftest
nic=$(addr net0)
peer=net2

# port_program SECONDS ARGUMENT...: its own result lines are results
port_program() {
	local limit=$1 status=0
	shift
	timeout "$limit" "$selftest" "$@" >/tmp/port.log 2>&1 || status=$?
	cat /tmp/port.log
	grep -E '^(ok|not ok) ' /tmp/port.log >>"$results"
	check "port: $* ends with 0" test "$status" = 0
}

# Nothing but our frames is to be on the line.
interface $peer
sysctl -qw net.ipv6.conf.$peer.disable_ipv6=1
ip link set "$peer" mtu 9000 up
wait_for 20 grep -q 1 "/sys/class/net/$peer/carrier"
quoll bind "$nic" >/dev/null || fail 'port: bind'
port_program 200 "$nic" "$peer"

# The cable.
"$selftest" --link "$nic" >/tmp/link.log 2>&1 &
pid=$!
wait_for 20 grep -q '^link is up' /tmp/link.log
lab-link net0 off
check 'port: a cable that is pulled is seen by a sleeper' wait_for 10 grep -q '^link is down after' /tmp/link.log
lab-link net0 on
check 'port: and that it is back' wait_for 10 grep -q '^link is up after' /tmp/link.log
status=0
wait "$pid" || status=$?
cat /tmp/link.log
grep -E '^(ok|not ok) ' /tmp/link.log >>"$results"
check 'port: the link program ends with 0' test "$status" = 0

# leaves_under_load NAME COMMAND...: the port says so and gives all back, in bounded time
leaves_under_load() {
	local name=$1 pid status=0
	shift
	: >/tmp/load.log
	"$selftest" --load "$nic" "$peer" >/tmp/load.log 2>&1 &
	pid=$!
	wait_for 20 grep -q '^ready' /tmp/load.log
	read -r -t 1 <> <(:) || true # some load
	"$@"
	check "port: $name: the program ends in bounded time" wait_for 40 sh -c "! kill -0 $pid" || kill -9 "$pid"
	wait "$pid" || status=$?
	cat /tmp/load.log
	grep -E '^(ok|not ok) ' /tmp/load.log >>"$results"
	check "port: $name: it ends with 0" test "$status" = 0
	check "port: $name: the kernel lets the slot go" wait_for 40 test ! -e "$sys/$nic"
}
leaves_under_load 'an orderly unplug under load' lab-unplug --no-wait net0
lab-plug net0
wait_for 20 test -e "$sys/$nic"
# This device has no reset of its own: when the program closes it vfio-pci resets the slot, with hotplug events off
# meanwhile. On 6.1 that and the removal get in each other's way, and the kernel never lets the card go.
if [ "$LAB_KERNEL" = 6.1 ]; then
	skip 'port: a card that is gone under load' 'kernel 6.1 loses the event while vfio-pci resets the slot'
else
	quoll bind "$nic" >/dev/null || fail 'port: bind again'
	leaves_under_load 'a card that is gone under load' lab-yank net0
	lab-plug net0
	check 'port: a card in the slot again' wait_for 20 test -e "$sys/$nic"
fi
wait_for 20 test -e "$sys/$nic/driver"
quoll restore "$nic" >/dev/null 2>&1 || true
ip link set "$peer" mtu 1500 down
sysctl -qw net.ipv6.conf.$peer.disable_ipv6=0
check 'port: the kernel has its driver back' wait_for 20 test "$(driver "$nic")" = e1000e
