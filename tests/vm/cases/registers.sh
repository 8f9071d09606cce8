# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# registers.sh - what the other cases rely on: each CPU's accesses to registers get where they belong, also while the other one
# changes the memory map, as every reset of a function does (programs/register_race.c; ../README.md, "QEMU").

: "${sys:?set by lib.sh}"
disk=$(addr nvme1) edu=$(addr edu0)
echo "$disk" >"$sys/$disk/driver/unbind"
for device in "$disk" "$edu"; do echo 1 >"$sys/$device/enable"; done
# 8: the version of NVMe (NVM Express Base Specification 2.0c, 3.1.3.2)
expect 'registers: a register reads the same while other registers go and come' 0 '0x10400 read [1-9][0-9]* times, something else 0 times' -- \
	/quoll/build/tests/vm/programs/register_race "$disk" 8 "$edu" 15
for device in "$disk" "$edu"; do echo 0 >"$sys/$device/enable"; done
echo "$disk" >/sys/bus/pci/drivers/nvme/bind
check 'registers: the drive is there again' wait_for 30 has_block "$disk"
