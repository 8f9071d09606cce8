# shellcheck shell=bash disable=SC2154 # what lib.sh sets
# SPDX-License-Identifier: BSD-3-Clause
# target-control.sh - the control socket, through quoll rpc and through somebody else's client.

target_start --listen "vfio-user:$sock" --control "$ctl" --ns mem:1M
expect 'rpc: a namespace is added' 0 '"nsid": 2' -- "$quoll" rpc "$ctl" ns.add 'address=mem:4M?bs=4096'
expect 'rpc: hosts find it' 0 '^ +2 +4 MiB +1024 +4096' -- nvme identify
expect 'rpc: one of a number that is taken is refused' 1 'NSID 2 is taken' -- \
	"$quoll" rpc "$ctl" ns.add address=mem:1M nsid=2
expect 'rpc: and removed' 0 '"nsid": 1' -- "$quoll" rpc "$ctl" ns.remove nsid=1
expect 'rpc: hosts do not find it any more' 0 '!^ +1 ' -- nvme identify
expect 'rpc: a method that is not there is refused with those that are' 1 'no such method' 'there are target.info .*fault.set' \
	-- "$quoll" rpc "$ctl" ns.destroy
expect 'rpc: a parameter of the wrong kind' 1 '"nsid" must be a whole number' -- "$quoll" rpc "$ctl" ns.remove nsid=one
expect 'rpc: a word that is no parameter is wrong use' 2 'NAME=VALUE' -- "$quoll" rpc "$ctl" ns.remove 1
expect 'rpc: no target there' 1 'ENOENT' '^try: ' -- "$quoll" rpc "$dir/none" ns.list
load_start --nsid 2 --rw randread
expect 'rpc: counters are shown while a client is busy' 0 '"state": "enabled"' '"io_queues": 1' -- \
	"$quoll" rpc "$ctl" listener.list
expect 'rpc: a namespace that is in use is removed, and the target serves on' 0 -- "$quoll" rpc "$ctl" ns.remove nsid=2
expect 'rpc: its user gets an error' 1 'quoll nvme perf: ' -- load_end_shown
expect 'rpc: a new one is used' 0 '"nsid": 1' -- "$quoll" rpc "$ctl" ns.add address=mem:1M
expect 'rpc: and works' 0 -- nvme verify --writes 100
check "rpc: Python's JSON and socket, a batch with a notification" python3 "$here/rpc_client.py" "$ctl"
target_end
