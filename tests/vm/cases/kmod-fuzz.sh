# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# kmod-fuzz.sh - quoll.ko under bad input (programs/kmod_fuzz.c), two groups at a time: edu and a drive. Then: the kernel's log is
# clean, nothing is pinned, the module goes, memory is as before, the drive works.
#
# QUOLL_FUZZ_SECONDS: 60 unless told otherwise. QUOLL_FUZZ_SEED: of the first, else at random; the second's is one more.

: "${cases:?set by run}" "${sys:?set by lib.sh}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"
# shellcheck source=nvme.sh
. "$cases/nvme.sh"
selftest=/quoll/build/tests/vm/programs/kmod_fuzz
fuzz_seconds=${QUOLL_FUZZ_SECONDS:-60}
fuzz_seed=${QUOLL_FUZZ_SEED:-0x$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')}

# Memory that the kernel has for itself, KiB.
kernel_kb() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	awk '/^(SUnreclaim|KernelStack|PageTables|VmallocUsed|Percpu):/ { n += $2 } END { print n }' /proc/meminfo
}
is_kernel_kb() { [ "$(kernel_kb)" -lt "$1" ]; }

# 6.1's vfio_pci_core, whoever's the file is, gives back what a BAR's mapping has reserved when it resets the device or switches its
# memory off, with munmap() doing the same meanwhile; who comes second says so, and it is not looked at. The module's own way to take
# a mapping away (device_close()) does not, as kmod-edge's unmap shows.
without_others() {
	awk '/WARNING: .* untrack_pfn\+/ { inside = 1 }
		inside { block = block $0 "\n" }
		!inside
		inside && /---\[ end trace/ { if (block ~ /device_close/) printf "%s", block; inside = 0; block = "" }
		END { printf "%s", block }'
}

disk=$(addr nvme1) edu=$(addr edu0)
dmesg -C
check 'kmod-fuzz: the module loads' insmod /lab/quoll.ko max_mappings=24
kmod_bind "$disk" quoll
kmod_bind "$edu" quoll
pins=$(pinned) huge=$(hugepages_free) kernel=$(kernel_kb)
fuzz_pids=()
for device in "$edu" "$disk"; do
	timeout -k 10 $((3 * fuzz_seconds + 180)) "$selftest" "$device" "$fuzz_seconds" "$fuzz_seed" >"/tmp/fuzz.$device" 2>&1 &
	fuzz_pids+=($!)
	fuzz_seed=$(printf '0x%x' $((fuzz_seed + 1)))
done
for device in "$edu" "$disk"; do
	status=0
	wait "${fuzz_pids[0]}" || status=$?
	fuzz_pids=("${fuzz_pids[@]:1}")
	sed "s/kmod: /kmod-fuzz: $device: /" "/tmp/fuzz.$device"
	sed "s/kmod: /kmod-fuzz: $device: /" "/tmp/fuzz.$device" | grep -E '^(ok|not ok) ' >>"$results"
	check "kmod-fuzz: $device: ends with 0" test "$status" = 0
done
check 'kmod-fuzz: as many pages are pinned as before' wait_for 20 is_pinned "$pins"
check 'kmod-fuzz: as many huge pages are free' test "$(hugepages_free)" = "$huge"
check 'kmod-fuzz: nobody has the module' wait_for 20 grep -qx 0 /sys/module/quoll/refcnt
# What the lives of one run have at a time is less than this; what one in ten of them loses is more. A kernel that checks itself keeps
# what was freed, and says itself what is lost (debug-end.sh).
[ "$LAB_KERNEL" = 6.12-debug ] ||
	check "kmod-fuzz: the kernel's own memory has not grown: $(kernel_kb) KiB, before $kernel" wait_for 20 is_kernel_kb $((kernel + 4096))
kmod_bind "$disk"
kmod_bind "$edu"
check 'kmod-fuzz: the module goes' rmmod quoll
check 'kmod-fuzz: the drive is the kernel'\''s again' wait_for 30 has_block "$disk"
make_tree /tmp/fuzz.tree
file_system 'kmod-fuzz: the drive' "$(block "$disk")" /tmp/fuzz.tree
rm -rf /tmp/fuzz.tree
others='cat'
[[ $LAB_KERNEL != 6.1 ]] || others=without_others
expect 'kmod-fuzz: the kernel has nothing to complain about' 1 -- splats "$others"
