# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# kmod-remap.sh - quoll.ko where interrupts are not remapped: no group is handed out. In a VM of its own, whose kernel line has
# intremap=off.

: "${cases:?set by run}" "${sys:?set by lib.sh}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"
selftest=/quoll/build/tests/vm/programs/kmod_edge
edu=$(addr edu0)
check 'kmod-remap: the module loads' insmod /lab/quoll.ko
kmod_bind "$edu" quoll
kmod_run refused "$edu"
kmod_bind "$edu"
check 'kmod-remap: the module goes' rmmod quoll
