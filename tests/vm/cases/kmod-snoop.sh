# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# kmod-snoop.sh - quoll.ko with an IOMMU that can enforce snooping: it does. In a VM of its own (--iommu snoop-control=on).

: "${cases:?set by run}" "${sys:?set by lib.sh}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"
selftest=/quoll/build/tests/vm/programs/kmod_edge
edu=$(addr edu0)
check 'kmod-snoop: the IOMMU can' test "$((0x$(cat /sys/class/iommu/dmar0/intel-iommu/ecap) & 128))" != 0
check 'kmod-snoop: the module loads' insmod /lab/quoll.ko
kmod_bind "$edu" quoll
kmod_run coherent "$edu"
kmod_bind "$edu"
check 'kmod-snoop: the module goes' rmmod quoll
expect 'kmod-snoop: the kernel has nothing to complain about' 1 -- splats
