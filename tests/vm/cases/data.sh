# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# data.sh - the main job: what the kernel's driver wrote Quoll reads, and the other way; 10,000 writes verified; all as
# an unprivileged user once the drive is bound.

disk=$(addr nvme0)
wait_for 30 has_block "$disk" 2
before=$(drivers "$disk")
head -c 8M /dev/urandom >/tmp/kernel.bin
head -c 4M /dev/urandom >/tmp/quoll.bin
chmod a+r /tmp/*.bin
for ns in 1 2; do dd if=/tmp/kernel.bin of="$(block "$disk" $ns)" bs=1M seek=$((ns * 3)) oflag=direct 2>/dev/null; done

expect 'bind: hands the group to a user' 0 -- quoll bind "$disk" --user quoll
expect 'identify: as the user' 0 'quoll-nvme0' '512' '4096' -- as_user quoll nvme identify "$disk"
expect 'list: as the user' 0 "$disk" -- as_user quoll nvme list

# in blocks: namespace 1 has 512 bytes, namespace 2 has 4096
lba() { echo $(($2 * 1048576 / ($1 == 1 ? 512 : 4096))); }
for ns in 1 2; do
	expect "read: namespace $ns, 8 MiB that the kernel wrote" 0 -- as_user quoll nvme read "$disk" --nsid $ns \
		--lba "$(lba $ns $((ns * 3)))" --blocks "$(lba $ns 8)" --output /tmp/read-$ns.bin
	check "read: namespace $ns is identical to what the kernel wrote" cmp /tmp/kernel.bin /tmp/read-$ns.bin
	expect "write: namespace $ns, 4 MiB" 0 -- as_user quoll nvme write "$disk" --nsid $ns \
		--lba "$(lba $ns 16)" --input /tmp/quoll.bin
	expect "verify: namespace $ns, 10,000 writes of random size and place by checksum" 0 '10,?000' \
		-- as_user quoll nvme verify "$disk" --nsid $ns --writes 10000 --seed 7$ns --lba "$(lba $ns 32)"
done
expect 'restore: as an ordinary user it is refused with the way out' 1 '^try: ' -- as_user quoll restore "$disk"
expect 'restore: as root' 0 "$disk" -- quoll restore "$disk"
check 'restore: the drive is with its driver' same "$before" "$(drivers "$disk")"
wait_for 30 has_block "$disk" 2
for ns in 1 2; do
	dd if="$(block "$disk" $ns)" of=/tmp/back-$ns.bin bs=1M skip=16 count=4 iflag=direct 2>/dev/null
	check "restore: the kernel reads what Quoll wrote, namespace $ns" cmp /tmp/quoll.bin /tmp/back-$ns.bin
	dd if="$(block "$disk" $ns)" of=/tmp/back-$ns.bin bs=1M skip=$((ns * 3)) count=8 iflag=direct 2>/dev/null
	check "restore: what Quoll did not write is unchanged, namespace $ns" cmp /tmp/kernel.bin /tmp/back-$ns.bin
done
rm -f /tmp/*.bin
