# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# nvme.sh - what cases do to drives that are with the kernel's nvme driver: file systems, fio with verification, resets, other
# drivers' comings and goings. Functions whose first argument is a name record results under it.

: "${sys:?set by lib.sh}"

# controller ADDR: /dev/nvmeN
controller() {
	local dir
	for dir in "$sys/$1"/nvme/nvme*; do :; done
	[ -d "$dir" ] && echo "/dev/${dir##*/}"
}

# make_tree DIR: some files to copy, of 16 MB
make_tree() {
	mkdir -p "$1"
	cp -r /usr/sbin "$1/"
	head -c 8M /dev/urandom >"$1/random"
}

sums_of() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }
sums_hold() { (cd "$1" && sha256sum --quiet -c "$2"); }
mount_at() { mkdir -p "$2" && mount -t ext4 "$1" "$2"; }

# sound DEVICE: fsck finds nothing to mend. recovered DEVICE: nothing that replaying the journal doesn't mend.
sound() { e2fsck -fn "$1"; }
recovered() { e2fsck -fp "$1" || [ $? = 1 ]; }

# file_system NAME DEVICE TREE: made, filled, read back from the drive and checked
file_system() {
	expect "$1: mkfs" 0 -- mkfs.ext4 -q -F "$2"
	check "$1: files are copied" copied "$3" "$2"
	check "$1: and read back from the drive" read_back "$3" "$2"
	check "$1: fsck finds nothing wrong" sound "$2"
}

copied() { mount_at "$2" /mnt && cp -r "$1/." /mnt/ && sync && umount /mnt; }

read_back() {
	local result=0
	echo 3 >/proc/sys/vm/drop_caches
	mount_at "$2" /mnt || return
	diff -r --no-dereference --exclude=lost+found "$1" /mnt || result=$?
	umount /mnt
	return $result
}

# verify DEVICE [FIO-OPTION...]: random writes of many sizes, each read back and checked
verify() {
	local device=$1
	shift
	fio --name=verify --filename="$device" --rw=randwrite --bsrange=4k-256k --ioengine=libaio --direct=1 --iodepth=16 \
		--size=32M --randseed=7 --verify=crc32c --verify_fatal=1 --verify_state_save=0 "$@"
}

# zeroed DEVICE: data that is written, then cleared by Write Zeroes, and by a discard and Write Zeroes
zeroed() {
	dd if=/dev/urandom of="$1" bs=1M count=4 oflag=direct status=none &&
		blkdiscard --zeroout --offset 1M --length 1M "$1" && blkdiscard --offset 2M --length 1M "$1" &&
		blkdiscard --zeroout --offset 2M --length 1M "$1" &&
		cmp <(dd if="$1" bs=1M skip=1 count=2 iflag=direct status=none) <(head -c 2M /dev/zero)
}

# sum DEVICE: of its first 8 MiB
sum() { dd if="$1" bs=1M count=8 iflag=direct status=none | sha256sum; }

# writes DEVICE: requests that the kernel has completed. With multipath older kernels count them only at the path.
writes() {
	local name=${1##*/}
	cat "/sys/block/$name/stat" "/sys/block/${name%n*}"c*"n${name##*n}/stat" 2>/dev/null | awk '{ n += $5 } END { print n }'
}

# wrote_more DEVICE NUMBER: than that, for wait_for
wrote_more() { [ "$(writes "$1")" -gt "$2" ]; }

# ends_with STATUS PID: in bounded time
ends_with() {
	local status=0
	wait_for 120 sh -c "! kill -0 $2" || { echo 'does not end'; kill -9 "$2"; return 1; }
	wait "$2" || status=$?
	[ $status = "$1" ] || { echo "exit status $status"; return 1; }
}

# resets_under_load DEVICE CONTROLLER: while fio, slowed down, writes and checks; at least one, at most five
resets_under_load() {
	local pid before result=0 nr=0
	before=$(writes "$1")
	verify "$1" --rate=8m >/tmp/load.log 2>&1 &
	pid=$!
	wait_for 30 wrote_more "$1" "$before" || result=1
	while [ $nr -lt 5 ] && kill -0 $pid; do
		nvme reset "$2" || result=1
		nr=$((nr + 1))
	done
	ends_with 0 $pid || result=1
	[ $nr -gt 0 ] || result=1
	[ $result = 0 ] || tail -n 20 /tmp/load.log
	return $result
}

# rebound ADDR: away from its driver, reset as a function, back again
rebound() {
	echo "$1" >/sys/bus/pci/drivers/nvme/unbind || return
	[ -z "$(driver "$1")" ] && echo 1 >"$sys/$1/reset" && echo "$1" >/sys/bus/pci/drivers/nvme/bind &&
		wait_for 30 has_block "$1" 2
}
