# shellcheck shell=bash disable=SC2154 # what lib.sh sets
# SPDX-License-Identifier: BSD-3-Clause
# target-clients.sh - clients without manners: a thousand that connect and drop, with and without a word; one whose memory gets
# shorter, one whose memory is slow; memory and file descriptors are afterwards what they were before.

open_files() { find "/proc/${target_pid:?}/fd" -mindepth 1 | wc -l; }
# shellcheck disable=SC2317 # called through wait_for
files_are() { [ "$(open_files)" = "$1" ]; }

# shellcheck disable=SC2317 # called through check
slow_is_sent_away() { wait "$slow_pid" || { cat "$dir/slow.log"; return 1; }; }

reads_of_first() { "$quoll" rpc "$ctl" listener.list | jq -e '.[0].reads'; }
# shellcheck disable=SC2317 # called through wait_for
reads_are_above() { [ "$(reads_of_first)" -gt "$1" ]; }
# The slow one is still there when the other has had its commands done.
served_beside() {
	local before
	before=$(reads_of_first) || return 1
	if ! wait_for 30 reads_are_above $((before + 100)); then
		echo "$before reads, and not 100 more"
		return 1
	fi
	if grep 'its memory' "$dir/target.log"; then return 1; fi
}

target_start --listen "vfio-user:$sock" --listen "vfio-user:$dir/q1.sock?doorbells=trapped" --control "$ctl" \
	--ns 'null:?size=1G'
expect 'clients: one that behaves' 0 -- nvme perf --queues 8 --qd 128 --time 1
files=$(open_files)
for name in q0.sock q1.sock control; do
	check "clients: 1,000 that drop, $name" timeout 120 python3 "$here/bad_clients.py" "$dir/$name" 1000
done
check 'clients: each of their file descriptors is closed' wait_for 20 files_are "$files"
for name in q0 q1; do
	check "clients: one that cuts its memory short is sent away, $name" timeout 60 python3 "$here/short_memory.py" "$dir/$name.sock"
done
# Beside one that behaves, in the same thread, and was there before: a claim takes dozens of messages within 5 s.
load_start --qd 32 --json
timeout 100 python3 "$here/slow_memory.py" "$dir/q1.sock" 0.06 "$dir/slow" >"$dir/slow.log" 2>&1 &
slow_pid=$!
check 'clients: one answers for its memory, slowly' wait_for 30 test -e "$dir/slow"
check 'clients: one beside it is served' served_beside
kill -INT "$load_pid"
expect 'clients: and has lost nothing' 0 '"errors": 0' '"timeouts": 0' -- load_end_shown
check 'clients: it is sent away' slow_is_sent_away
check 'clients: and the log says why' grep -q 'its memory' "$dir/target.log"
expect 'clients: the target serves on' 0 -- nvme perf --qd 32 --ios 1000
expect 'clients: and takes commands' 0 '"message_errors": [1-9]' -- "$quoll" rpc "$ctl" listener.list
if grep -q '__[at]san_init' <(nm -D "$quoll"); then
	skip 'clients: memory besides namespaces' 'a sanitizer takes its own'
else
	# Pages of the file system's cache that the program's own file takes are counted too.
	peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$target_pid/status")
	check "clients: at most 32 MiB of memory besides namespaces ($peak KiB at the most)" test "$peak" -le 32768
fi
expect 'clients: it ends' 0 -- target_end
