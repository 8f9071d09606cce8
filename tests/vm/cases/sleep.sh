# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# sleep.sh - a thread that sleeps until an NVMe completion's interrupt, through the kernel's VFIO; no interrupt while it is
# busy; woken by the kernel asking for the device.

: "${sys:?set by lib.sh}" "${results:?set by lib.sh}"
sleeper=/quoll/build/tests/vm/programs/nvme_sleep
disk=$(addr nvme0)
before=$(drivers "$disk")
quoll bind "$disk" >/dev/null || fail 'sleep: bind'

# Its own "ok" and "not ok" lines are results.
status=0
"$sleeper" "$disk" >/tmp/sleep.log 2>&1 || status=$?
cat /tmp/sleep.log
grep -E '^(ok|not ok) ' /tmp/sleep.log >>"$results"
check 'sleep: the program ends with 0' test "$status" = 0

status=0
: >/tmp/sleep.log
"$sleeper" --removal "$disk" >/tmp/sleep.log 2>&1 &
pid=$!
wait_for 20 grep -q '^ready' /tmp/sleep.log
echo "$disk" >"$sys/$disk/driver/unbind" &
wait_for 40 sh -c "! kill -0 $pid" || kill -9 "$pid"
wait "$pid" || status=$?
cat /tmp/sleep.log
grep -E '^(ok|not ok) ' /tmp/sleep.log >>"$results"
check 'sleep: unbind ends the sleeper' test "$status" = 0
check 'sleep: the unbind ends' wait_for 20 test ! -e "$sys/$disk/driver"
quoll restore "$disk" >/dev/null || fail 'sleep: restore'
check 'sleep: the drive is with its driver' same "$before" "$(drivers "$disk")"
