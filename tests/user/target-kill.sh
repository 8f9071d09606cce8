# shellcheck shell=bash disable=SC2154 # what lib.sh sets
# SPDX-License-Identifier: BSD-3-Clause
# target-kill.sh - either side killed under load, SIGTERM under load, sockets of dead and of live targets.

truncate -s 64M "$dir/disk" "$dir/load"
head -c 8M /dev/urandom >"$dir/data.bin"
args=(--listen "vfio-user:$sock" --control "$ctl" --ns "file:$dir/disk?bs=4096" --ns "file:$dir/load?bs=4096")

target_start "${args[@]}"
expect 'kill: 8 MiB written and flushed' 0 -- nvme write --nsid 1 --lba 64 --input "$dir/data.bin"
for round in 1 2 3; do
	load_start --nsid 2 --rw randrw --qd 32
	kill -9 "$load_pid"
	load_end 2>/dev/null
	expect "kill: a client killed under load, round $round: the next one is served" 0 -- nvme verify --nsid 2 --writes 100
done

load_start --nsid 2 --rw randwrite --qd 32
second=$(timeout 20 "$quoll" target --listen "vfio-user:$sock" --ns mem:1M 2>&1)
check "kill: a live target's socket is refused" grep -Eq "$sock: .*(EADDRINUSE)" <<<"$second"
second=$(timeout 20 "$quoll" target --listen "vfio-user:$dir/q2.sock" --control "$ctl" 2>&1)
check "kill: and its control socket" grep -Eq "$ctl: .*EADDRINUSE" <<<"$second"
second=$(timeout 20 "$quoll" target --listen "vfio-user:$dir/q2.sock" --ns "file:$dir/disk" 2>&1)
check 'kill: and its file' grep -q EBUSY <<<"$second"

target_end KILL 2>/dev/null
expect 'kill: a target killed under load: its client ends with an error' 1 'quoll nvme perf: ' -- load_end_shown
check 'kill: its sockets are left behind' test -S "$sock" -a -S "$ctl"
target_start "${args[@]}"
expect 'kill: a new one takes them over' 0 '"listeners": 1' -- "$quoll" rpc "$ctl" target.info
check 'kill: what was acknowledged and flushed is there' same_blocks 1 64 "$dir/data.bin"

load_start --nsid 2 --rw randrw --qd 32
expect 'kill: SIGTERM under load ends it in order' 0 -- target_end
check 'kill: with a summary' grep -q '^served for' "$dir/target.log"
expect 'kill: its client ends with an error' 1 'quoll nvme perf: ' -- load_end_shown
check 'kill: no socket is left' test ! -e "$sock" -a ! -e "$ctl"
target_start "${args[@]}"
check 'kill: what was written before is still there' same_blocks 1 64 "$dir/data.bin"
expect 'kill: it ends' 0 -- target_end
rm -f "$dir/disk" "$dir/load"
