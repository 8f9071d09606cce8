# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# by-kmod-end.sh - what by-kmod.sh and the cases after it leave: nothing.

: "${cases:?set by run}" "${pins:?set by by-kmod.sh}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"
check 'kmod: as many pages are pinned as before all the cases' wait_for 20 is_pinned "$pins"
check 'kmod: the module goes after all the cases' rmmod quoll
expect 'kmod: the kernel has nothing to complain about after them' 1 -- splats
