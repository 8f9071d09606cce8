# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# refusals.sh - `quoll bind` refuses what the machine is using, names the blocker and the override, and changes nothing.

disk=$(addr nvme1)
wait_for 30 has_block "$disk"
dev=$(block "$disk")

mkdir -p /mnt

refused() { # refused WHAT ADDR REGEX...
	local what=$1 a=$2 before
	shift 2
	before=$(driver "$a")
	expect "bind: refuses $what" 1 "$a" "$@" '^try: .*--in-use' -- quoll bind "$a"
	check "bind: $what keeps its driver" test "$(driver "$a")" = "$before"
	expect "plan: shows $what as blocked" 1 "$@" -- quoll plan "$a"
}

mkfs.ext4 -q "$dev" && mount "$dev" /mnt
refused 'a mounted disk' "$disk" /mnt
umount /mnt

mkswap "$dev" >/dev/null 2>&1 && swapon "$dev"
refused 'a swap disk' "$disk" 'swap'
swapoff "$dev"

# no udev in the guest to make the node
dmsetup create held --table "0 2048 linear $dev 0" && dmsetup mknodes held
refused 'a disk under device mapper' "$disk" 'dm-|held'
mkfs.ext4 -q /dev/mapper/held && mount /dev/mapper/held /mnt
refused 'a disk with a file system on a device mapper device' "$disk" /mnt
umount /mnt
dmsetup remove held

if mdadm --create /dev/md9 --run --force --level=1 --raid-devices=2 "$dev" missing >/tmp/md.log 2>&1; then
	refused 'a disk in an MD array' "$disk" 'md'
	mdadm --stop /dev/md9 >/dev/null 2>&1
	mdadm --zero-superblock "$dev"
else
	fail 'bind: refuses a disk in an MD array (mdadm could not make one)' /tmp/md.log
fi

dd if=/dev/zero of="$dev" bs=1M count=4 conv=fsync 2>/dev/null
# No udev in the guest: LVM makes its own nodes.
lvm='activation{udev_sync=0 udev_rules=0} devices{dir="/dev" scan="/dev" use_devicesfile=0}'
if { pvcreate --config "$lvm" -y "$dev" && vgcreate --config "$lvm" lab "$dev" &&
	lvcreate --config "$lvm" -y -Zn -Wn -L 16M -n one lab; } >/tmp/lvm.log 2>&1; then
	refused 'a disk in an LVM volume group' "$disk" 'dm-|lab-one|LVM'
	vgremove --config "$lvm" -f lab >/dev/null 2>&1
	pvremove --config "$lvm" "$dev" >/dev/null 2>&1
else
	fail 'bind: refuses a disk in an LVM volume group (could not make one)' /tmp/lvm.log
fi

nic=$(addr net0)
ip link set net0 up && ip addr add 192.0.2.1/24 dev net0
refused 'a NIC that is up with an address' "$nic" 'net0' '192.0.2.1|address'
ip addr flush dev net0
ip link add br0 type bridge && ip link set net0 master br0 && ip link set br0 up && ip addr add 192.0.2.2/24 dev br0
refused 'a NIC in a bridge' "$nic" 'br0'
ip link del br0
refused 'the NIC with the default route' "$(addr virtio0)" 'default route'

# The override does what it says, and what is idle needs none.
ip addr add 192.0.2.1/24 dev net0
expect 'bind: --in-use takes a NIC with an address' 0 "$nic" -- quoll bind --in-use "$nic"
check 'bind: it is with vfio-pci' test "$(driver "$nic")" = vfio-pci
expect 'restore: gives it back' 0 -- quoll restore "$nic"
wait_for 20 test -d "/sys/bus/pci/devices/$nic/net"
check 'restore: it is with e1000e' test "$(driver "$nic")" = e1000e
