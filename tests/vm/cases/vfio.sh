# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# vfio.sh - the back-end, vfio, iommufd or kmod, below the command: programs/vfio_selftest on groups of one and of two, refusals, and the
# kernel asking for a device back: by unbind, by an orderly unplug, by a card that is simply gone.

: "${sys:?set by lib.sh}" "${results:?set by lib.sh}"
selftest=/quoll/build/tests/vm/programs/vfio_selftest
disk=$(addr nvme1)
multi=$(addr multi0)
nic=$(addr multi1)
other=$(addr net3)
with=$(vfio_driver)

# By hand, so that this stands without `quoll bind`.
rebind() { # rebind DRIVER|'' ADDR...: '' for the kernel's own choice
	local want=$1 a
	shift
	for a in "$@"; do
		echo "$want" >"$sys/$a/driver_override"
		[ ! -e "$sys/$a/driver" ] || echo "$a" >"$sys/$a/driver/unbind"
		echo "$a" >/sys/bus/pci/drivers_probe
	done
}

# its_lines COMMAND...: the program's own "ok" and "not ok" lines are results; it must also exit with 0.
its_lines() {
	local status=0
	"$@" >/tmp/vfio.log 2>&1 || status=$?
	cat /tmp/vfio.log
	grep -E '^(ok|not ok) ' /tmp/vfio.log >>"$results"
	check "vfio: ${*##*/} ends with 0" test "$status" = 0
}

expect 'vfio: nothing bound: refused with every member, its driver and the way out' 1 \
	'not viable' "$multi +nvme" "$nic +e1000e" "^try: sudo quoll bind $multi" -- "$selftest" --refused "$multi"
rebind "$with" "$multi"
expect 'vfio: one of two bound: refused, the other is marked' 1 "$multi +$with" "$nic +e1000e.*in the way" \
	"^try: sudo quoll bind" -- "$selftest" --refused "$multi"
echo "$other" >"$sys/$other/driver/unbind"
expect 'vfio: a group with no driver at all: refused with the way out' 1 'no device of group' "$other +\(no driver\)" \
	"^try: sudo quoll bind $other" -- "$selftest" --refused "$other"
rebind "$with" "$nic" "$disk" "$other"
file=$(claim_file "$other")
rm "$file"
expect 'vfio: a container without the file: says which' 1 "$file is missing" "^try: .*--device $file" \
	-- "$selftest" --refused "$other"
rebind '' "$other"
rebind "$with" "$other"
its_lines "$selftest" "$multi" "$other"
its_lines "$selftest" "$disk"
iommu_mode 0666
expect 'vfio: no right to the group: the command that grants it is named' 1 'permission' \
	"^try: sudo quoll bind $disk --user quoll" -- as_user "$selftest" --refused "$disk"
chown quoll "$(claim_file "$disk")"
its_lines as_user "$selftest" "$disk"
iommu_mode 0600
if by_kmod; then
	limit=/sys/module/quoll/parameters/max_mappings
	said='6 are needed, 5 are possible'
	try='raise /sys/module/quoll/parameters/max_mappings'
else
	limit=/sys/module/vfio_iommu_type1/parameters/dma_entry_limit
	said='1 more are needed, 0 more'
	try='echo 6 '
fi
if ! by_iommufd; then # it counts no mappings
	old_limit=$(cat $limit)
	echo 5 >$limit
	expect 'vfio: too many mappings: the number and the command are named' 0 '^mapped 5$' "$said" \
		"^try: use larger pages, or:? $try" 'ok vfio: all of them are unmapped' -- "$selftest" --map-limit "$disk"
	echo "$old_limit" >$limit
fi

# wait_events NAME WANT ADDR COMMAND...: COMMAND runs once the device is open; the program must see the event and end.
wait_events() {
	local name=$1 want=$2 a=$3 pid status=0
	shift 3
	: >/tmp/events.log
	"$selftest" --events "$a" >/tmp/events.log 2>&1 &
	pid=$!
	wait_for 20 grep -q '^ready' /tmp/events.log
	"$@" &
	wait_for 40 sh -c "! kill -0 $pid" || kill -9 "$pid"
	wait "$pid" || status=$?
	expect "vfio: $name is seen, the device is let go" 0 "^events:.* $want" 'ok vfio: all is given back' \
		-- sh -c "cat /tmp/events.log; exit $status"
}
unbind() { echo "$1" >"$sys/$1/driver/unbind"; }
wait_events 'unbind' remove-requested "$other" unbind "$other"
check 'vfio: the unbind ends' wait_for 20 test ! -e "$sys/$other/driver"
wait_events 'an orderly unplug' remove-requested "$disk" lab-unplug --no-wait nvme1
check 'vfio: the kernel lets the slot go' wait_for 40 test ! -e "$sys/$disk"
lab-plug nvme1
wait_for 20 test -e "$sys/$disk"
rebind "$with" "$disk"
wait_events 'a card that is gone' gone "$disk" lab-yank nvme1
check 'vfio: the kernel lets the empty slot go' wait_for 40 test ! -e "$sys/$disk"
lab-plug nvme1
check 'vfio: a card in the slot again' wait_for 20 test -e "$sys/$disk"
rebind '' "$multi" "$nic" "$other" "$disk"
check 'vfio: the kernel has its drivers back' \
	test "$(driver "$multi") $(driver "$nic") $(driver "$other") $(driver "$disk")" = 'nvme e1000e e1000e nvme'
