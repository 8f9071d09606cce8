# shellcheck shell=bash disable=SC2154 # what lib.sh sets
# SPDX-License-Identifier: BSD-3-Clause
# recovery.sh - the driver against a target that swallows requests, is slow, reports a fatal status or hangs: what is
# lost is aborted and sent again, the controller is reset, and nothing waits for ever.

target_start --listen "vfio-user:$sock" --control "$ctl" --ns mem:64M
fault() { "$quoll" rpc "$ctl" fault.set "faults=[\"$1\"]" >/dev/null; }
faults() { "$quoll" rpc "$ctl" fault.set "faults=[\"$1\",\"$2\"]" >/dev/null; }

for op in write read; do
	fault drop,op=$op,skip=20,count=1
	expect "recovery: a $op that is never answered is aborted and sent again" 0 '[1-9][0-9]* time-outs' \
		'each checksum is right' -- nvme verify --writes 500 --timeout 300
done
fault drop,op=flush,count=1
head -c 4M /dev/urandom >"$dir/data.bin"
expect 'recovery: a flush that is never answered is sent again' 0 '[1-9][0-9]* time-outs' \
	-- nvme write --input "$dir/data.bin" --timeout 300
expect 'recovery: what was written is there' 0 -- nvme read --blocks 8192 --output "$dir/back.bin"
check 'recovery: to the last byte' cmp "$dir/data.bin" "$dir/back.bin"
fault drop,op=read,skip=1000,count=3
expect 'recovery: perf counts what was aborted, and goes on to the end' 1 '"ended_by": "ios"' '"errors": [1-9]' \
	'"timeouts": [1-9]' 'try: --timeout' -- nvme perf --qd 8 --ios 20000 --timeout 300 --json
fault delay=2s,op=read,skip=20,count=3
expect 'recovery: requests that take too long are aborted and sent again' 0 '[1-9][0-9]* time-outs' \
	'each checksum is right' -- nvme verify --writes 500 --timeout 300
fault csts=fatal,op=write,skip=100,count=1
expect 'recovery: a fatal status is mended by a reset, and no write is lost' 0 '[1-9][0-9]* resets' \
	'each checksum is right' -- nvme verify --writes 500
fault csts=fatal,op=read,skip=100,count=1
expect 'recovery: perf goes on after a reset' 1 '"ended_by": "ios"' '"resets": [1-9]' \
	-- nvme perf --qd 8 --ios 20000 --json
faults drop,op=read,skip=20,count=1 drop,queue=admin,op=8
expect 'recovery: an abort whose own answer is lost has helped all the same' 0 '[1-9][0-9]* time-outs, 0 aborts' \
	-- nvme read --output /dev/null --timeout 300
fault csts=stuck,op=read,skip=100,count=1
expect 'recovery: a controller that cannot be reset is given up' 1 'the reset failed' 'CSTS' \
	-- nvme perf --qd 8 --ios 20000 --timeout 300
fault drop,op=compare
expect 'recovery: the next client finds it as new' 0 'each checksum is right' -- nvme verify --writes 100
expect 'recovery: the target ends' 0 -- target_end
