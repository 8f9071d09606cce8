# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# kmod-iommufd.sh - quoll.ko beside VFIO over an iommufd: who has passed VFIO's question before the group is claimed gets a file,
# of which he has nothing. Then: the kernel's log is clean, and the module goes.

: "${cases:?set by run}" "${sys:?set by lib.sh}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"
selftest=/quoll/build/tests/vm/programs/kmod_edge
edu=$(addr edu0)
dmesg -C
check 'kmod-iommufd: the module loads' insmod /lab/quoll.ko
kmod_bind "$edu" quoll
kmod_run contest "$edu" 200
check 'kmod-iommufd: nobody has the module' wait_for 20 grep -qx 0 /sys/module/quoll/refcnt
kmod_bind "$edu"
check 'kmod-iommufd: the module goes' rmmod quoll
expect 'kmod-iommufd: the kernel has nothing to complain about' 1 -- splats
