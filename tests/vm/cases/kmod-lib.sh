# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# kmod-lib.sh - what the cases of quoll.ko share: devices are bound, programs run or started, pinned pages counted, the kernel's
# log searched. They set $selftest, the program.

: "${results:?set by lib.sh}" "${sys:?}"

# kmod_bind ADDR [DRIVER]: to a driver by name, from whatever it is with; without one as at boot.
kmod_bind() {
	echo "${2-}" >"$sys/$1/driver_override"
	[ -z "$(driver "$1")" ] || echo "$1" >"$sys/$1/driver/unbind"
	echo "$1" >/sys/bus/pci/drivers_probe
}

# kmod_run TEST ADDR [ARGUMENT...]: its lines are results.
kmod_run() {
	local status=0
	timeout 300 "${selftest:?}" "$@" >/tmp/kmod.log 2>&1 || status=$?
	cat /tmp/kmod.log
	grep -E '^(ok|not ok) ' /tmp/kmod.log >>"$results"
	check "kmod: $1 ends with 0" test "$status" = 0
}

# kmod_start TEST ADDR...: in the background, its input open; returns once it is ready. $kmod_pid, and $kmod_said is its line.
kmod_start() {
	rm -f /run/kmod.in
	mkfifo /run/kmod.in
	: >/tmp/kmod.log
	"${selftest:?}" "$@" </run/kmod.in >/tmp/kmod.log 2>&1 &
	kmod_pid=$!
	exec 7>/run/kmod.in
	wait_for 60 grep -q '^ready' /tmp/kmod.log || fail "kmod: $1 gets ready" /tmp/kmod.log
	# shellcheck disable=SC2034 # for the caller
	kmod_said=$(grep '^ready' /tmp/kmod.log)
}

# kmod_end NAME: what was started ends by itself, and its lines are results.
kmod_end() {
	local status=0
	exec 7>&-
	wait_for 90 sh -c "! kill -0 $kmod_pid" || kill -9 "$kmod_pid"
	wait "$kmod_pid" || status=$?
	cat /tmp/kmod.log
	grep -E '^(ok|not ok) ' /tmp/kmod.log >>"$results"
	check "kmod: $1 ends with 0" test "$status" = 0
}

# Pages that are pinned: taken less given back. Each CPU has a share of the counters, which has to be added up first.
pinned() { echo 1 >/proc/sys/vm/stat_refresh; awk '$1 == "nr_foll_pin_acquired" { n += $2 } $1 == "nr_foll_pin_released" { n -= $2 } END { print n }' /proc/vmstat; }
is_pinned() { [ "$(pinned)" = "$1" ]; }
# [FILTER...]: what it takes out of the log is not looked at.
splats() { dmesg | "${@:-cat}" | grep -E 'WARNING:|BUG:|kernel BUG|Oops|Call Trace|KASAN|UBSAN|INFO: lockdep|refcount_t|possible (recursive|circular)|INFO: task|DMA-API: .*(warn|error|disabling)'; }
# Whether the group opens, and is VFIO's before and after.
opens() { /quoll/build/tests/vm/programs/kmod_selftest turns "$1" >/tmp/kmod.turns 2>&1; }

# Checks of the kernel 6.12-debug. Locks: after a first report, and when its tables are full, it is off.
debug_locks() { grep -qx ' *debug_locks: *1' /proc/lockdep_stats; }
debug_dma() { grep -qx N /sys/kernel/debug/dma-api/disabled && grep -qx 0 /sys/kernel/debug/dma-api/error_count; }
# What was allocated and no pointer leads to: from now on, and since then. An object is reported when a second scan has found it as it was.
debug_clear() { echo scan >/sys/kernel/debug/kmemleak && echo clear >/sys/kernel/debug/kmemleak; }
debug_lost() { echo scan >/sys/kernel/debug/kmemleak && echo scan >/sys/kernel/debug/kmemleak && cat /sys/kernel/debug/kmemleak; }
not() { ! "$@"; }
