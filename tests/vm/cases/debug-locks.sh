# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# debug-locks.sh - on the kernel 6.12-debug, after the cases whose locks it has judged: locks are still checked. They are no longer
# from here on: the kernel's own orderly unplug, whoever has the device, takes the slot's reset_lock with pci_rescan_remove_lock held
# and the other way round (pciehp_unconfigure_device()). That it is reported is also what shows that such mistakes are. What unplugs
# comes after this case.

: "${cases:?set by run}" "${sys:?set by lib.sh}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"

check 'debug: locks are still checked' debug_locks
edu=$(addr edu0)
dmesg -C
check 'debug: a device without a driver is unplugged' lab-unplug edu0
expect 'debug: the wrong order of locks in it is seen' 0 'possible circular' -- splats
expect 'debug: it is the kernel'\''s own' 1 -- sh -c "dmesg | grep 'Call Trace' -A 40 | grep -F '[quoll]'"
check 'debug: that locks are no longer checked is seen' not debug_locks
lab-plug edu0
check 'debug: the device is back' wait_for 20 test -d "$sys/$edu"
dmesg -C
