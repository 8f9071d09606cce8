# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# groups.sh - `quoll groups` and `quoll plan` against what sysfs says of the lab's real groups.

multi=$(addr multi0)
nic=$(addr multi1)
old=$(addr old0)

quoll groups --json >/tmp/groups.json
check 'groups: every group of sysfs is listed, with all its members' \
	diff <(for g in /sys/kernel/iommu_groups/*; do
		echo "${g##*/} $(cd "$g/devices" && printf "%s\n" * | sort | xargs)"
	done | sort -n) <(jq -r '.groups[] | "\(.id) \([.members[].name] | sort | join(" "))"' /tmp/groups.json | sort -n)
expect 'groups: the slot without ACS is shown as one group, with why' 0 "$multi" "$nic" 'ACS|function|slot' \
	-- quoll groups "$multi"
expect 'groups: members behind a PCIe-to-PCI bridge share a group, with why' 0 "$old" "$(addr old1)" 'bridge' \
	-- quoll groups "$old"
expect 'groups: a group with members at kernel drivers is not viable and says which' 0 'e1000e' \
	-- quoll groups "$multi"
expect 'groups: names come from the PCI database' 0 'NVM Express|Non-Volatile' -- quoll groups "$multi"
expect 'groups: as an unprivileged user' 0 "$multi" -- as_user quoll groups
expect 'plan: both members of the shared group are bound, the command says so and changes nothing' 0 \
	"$multi" "$nic" 'vfio-pci' -- quoll plan "$multi"
check 'plan: nothing changed' test "$(driver "$multi") $(driver "$nic")" = 'nvme e1000e'
expect 'plan: bridges are left alone' 0 "$(addr bridge)" -- quoll plan "$old"

expect 'bad input: a malformed address names the wrong character' 2 'character|position|column' '^try: ' \
	-- quoll plan 0000:0g:00.0
expect 'bad input: an unknown address scheme' 2 'scheme|ftp' '^try: ' -- quoll plan ftp:0000:01:00.0
expect 'bad input: no such device' 1 '0000:7f:00.0' -- quoll plan 0000:7f:00.0
expect 'bad input: no such verb' 2 -- quoll frobnicate
expect 'bad input: no such option' 2 -- quoll groups --frobnicate
expect 'doctor: passes where the lab is in order' 0 'IOMMU' -- quoll doctor
