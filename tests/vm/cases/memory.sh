# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# memory.sh - cached registrations while the memory at an address changes (programs/stream_memory.c): devices reach what is there
# after quoll_stream_forget(), and without a word of the program's (userfaultfd); a fork needs none.

: "${sys:?set by lib.sh}" "${results:?set by lib.sh}"
disk=$(addr nvme0)
before=$(drivers "$disk")
quoll bind "$disk" >/dev/null || fail 'memory: bind'
# Its own "ok" and "not ok" lines are results.
status=0
/quoll/build/tests/vm/programs/stream_memory "$disk" >/tmp/memory.log 2>&1 || status=$?
cat /tmp/memory.log
grep -E '^(ok|not ok) ' /tmp/memory.log >>"$results"
check 'memory: the program ends with 0' test "$status" = 0
quoll restore "$disk" >/dev/null || fail 'memory: restore'
check 'memory: the drive is with its driver' same "$before" "$(drivers "$disk")"
