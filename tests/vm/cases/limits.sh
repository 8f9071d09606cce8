# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# limits.sh - bad input and missing means: each is refused with a reason and a way out, and leaves nothing behind.

: "${sys:?set by lib.sh}"
disk=$(addr nvme1)
expect 'claim: a drive that is with its kernel driver' 1 "$disk" 'nvme' 'try: .*quoll bind' -- quoll nvme identify "$disk"
expect 'claim: a NIC that is with its kernel driver' 1 -- quoll nvme identify "$(addr net0)"
quoll bind "$disk" >/dev/null || fail 'limits: bind'
free=$(hugepages_free)

expect 'no permission: the command that grants it is named' 1 'try: .*quoll bind .*--user' \
	-- as_user quoll nvme identify "$disk"
expect 'namespace out of range' 1 'namespace' -- quoll nvme read "$disk" --nsid 9 --lba 0 --blocks 1 --output /dev/null
expect 'LBA out of range' 1 'LBA|block' -- quoll nvme read "$disk" --nsid 1 --lba 99999999 --blocks 1 --output /dev/null
expect 'LBA range that wraps' 1 'LBA|block' \
	-- quoll nvme read "$disk" --nsid 1 --lba 18446744073709551615 --blocks 2 --output /dev/null
expect 'a number that is none' 2 -- quoll nvme read "$disk" --nsid 1 --lba twelve --blocks 1 --output /dev/null
expect 'no hugepages of a size: says how many are free and how to get them' 1 'try: ' \
	-- quoll nvme perf "$disk" --pages 1g --time 1

chmod a+rw "$(claim_file "$disk")"
iommu_mode 0666
expect 'memlock too small: the number needed and the command that grants it' 1 'memlock|lock' 'try: .*(prlimit|ulimit|memlock)' \
	-- as_user prlimit --memlock=65536:65536 quoll nvme identify "$disk"
expect 'memlock: the default of 8 MiB is enough for QD 32' 0 'IOPS' \
	-- as_user prlimit --memlock=8388608:8388608 quoll nvme perf "$disk" --qd 32 --ios 2000
chmod go-rw "$(claim_file "$disk")"
iommu_mode 0600
nr=$(cat /proc/sys/vm/nr_hugepages)
echo 0 >/proc/sys/vm/nr_hugepages
expect 'no hugepages at all: runs on 4 KiB pages' 0 'IOPS' -- quoll nvme perf "$disk" --qd 32 --ios 2000
expect 'no hugepages at all: asked for, they are an error with the way out' 1 'try: .*hugepages' \
	-- quoll nvme perf "$disk" --pages 2m --ios 1
echo "$nr" >/proc/sys/vm/nr_hugepages

reads=$(lab-reads nvme1)
quoll nvme perf "$disk" --time 60 >/tmp/asked.log 2>&1 &
pid=$!
check 'the kernel asks for the device back: it is used' wait_for 30 reads_more nvme1 "$reads"
# The write returns once the user let go.
check 'the kernel asks for the device back while it is used: it gets it' \
	timeout 40 sh -c "echo $disk >$sys/$disk/driver/unbind"
status=0
wait "$pid" || status=$?
check 'the kernel asks for the device back: the program ends with status 1' test "$status" = 1
check 'the kernel asks for the device back: and says so' grep -Eqi 'quoll nvme perf: .*(request|remov|gone|back)' /tmp/asked.log
check 'the kernel asks for the device back: nothing is warned of' sh -c '! grep warning: /tmp/asked.log >&2'
wait_for 10 test ! -e "$sys/$disk/driver"
check 'the kernel asks for the device back: it got it' test ! -e "$sys/$disk/driver"
echo "$disk" >"/sys/bus/pci/drivers/$(vfio_driver)/bind"
check 'limits: no hugepage was lost' same "$free" "$(hugepages_free)"
quoll restore "$disk" >/dev/null
check 'limits: the drive is with its kernel driver again' test "$(driver "$disk")" = nvme
