# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# shared.sh - a group of two: claimed whole or not at all, bound whole, by one process, rolled back, restored.

: "${sys:?set by lib.sh}"
multi=$(addr multi0)
nic=$(addr multi1)
with=$(vfio_driver)
before=$(drivers "$multi" "$nic")

# By hand, as with the tools that know single devices only: one member of two.
echo "$with" >"$sys/$multi/driver_override"
echo "$multi" >"$sys/$multi/driver/unbind"
echo "$multi" >/sys/bus/pci/drivers_probe
check "shared group: one member is with $with, the other with its kernel driver" \
	test "$(driver "$multi") $(driver "$nic")" = "$with e1000e"
expect 'shared group: claiming one of two members is refused, naming the other and its driver' 1 \
	"$nic" 'e1000e' 'try: .*quoll bind' -- quoll nvme identify "$multi"
echo >"$sys/$multi/driver_override"
echo "$multi" >"$sys/$multi/driver/unbind"
echo "$multi" >/sys/bus/pci/drivers_probe

expect 'bind: --dry-run names both members and changes nothing' 0 "$multi" "$nic" -- quoll bind "$multi" --dry-run
check 'bind: nothing changed by the dry run' same "$before" "$(drivers "$multi" "$nic")"
expect 'bind: takes both members of the group' 0 "$multi" "$nic" -- quoll bind "$multi"
check "bind: both are with $with now" test "$(driver "$multi") $(driver "$nic")" = "$with $with"
expect 'bind: a second time finds nothing to do' 0 -- quoll bind "$multi"
expect 'shared group: the bound NVMe drive can be claimed' 0 'quoll-multi0' -- quoll nvme identify "$multi"

quoll nvme perf "$multi" --nsid 1 --qd 4 --time 60 >/tmp/perf.log 2>&1 &
holder=$!
wait_for 20 group_open "$(group "$multi")" "$holder"
expect 'shared group: a second process cannot claim it; the first is named' 1 "$holder" \
	-- quoll nvme identify "$multi"
expect 'restore: refuses while a process owns the group, and does not hang' 1 "$holder|in use|busy" \
	-- timeout 20 quoll restore "$multi"
check 'restore: the group is still bound' test "$(driver "$nic")" = "$with"
kill -INT "$holder"
wait "$holder"
check 'perf: ends cleanly on SIGINT, with its summary' grep -q IOPS /tmp/perf.log
expect 'restore: puts both drivers back' 0 "$multi" "$nic" -- quoll restore "$multi"
check 'restore: drivers and overrides are as before' same "$before" "$(drivers "$multi" "$nic")"

# Roll-back, for real: a file that cannot be written to lies over one member's driver_override, then over the probe file.
for target in "$sys/$multi/driver_override" "$sys/$nic/driver_override" /sys/bus/pci/drivers_probe \
	"/sys/bus/pci/drivers/nvme/unbind" "/sys/bus/pci/drivers/e1000e/unbind"; do
	mount --bind /dev/full "$target"
	expect "bind: fails when ${target#/sys/bus/pci/} cannot be written, and says what failed" 1 'quoll bind: ' \
		-- quoll bind "$multi"
	umount "$target"
	check "bind: rolled back, drivers as before (${target#/sys/bus/pci/})" \
		same "$before" "$(drivers "$multi" "$nic")"
done
expect 'restore: nothing is recorded after failed binds' 0 -- quoll restore
check 'restore: and nothing changed' same "$before" "$(drivers "$multi" "$nic")"
