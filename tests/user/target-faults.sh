# shellcheck shell=bash disable=SC2154 # what lib.sh sets
# SPDX-License-Identifier: BSD-3-Clause
# target-faults.sh - faults that a target injects, as a host sees them.

target_start --listen "vfio-user:$sock" --control "$ctl" --ns mem:1M --fault status=0x281,op=read,skip=2,count=1
expect 'faults: a status is reported by its name' 1 'Unrecovered Read Error|0x281' -- nvme read --output /dev/null
expect 'faults: once means once' 0 -- nvme read --output /dev/null
fault() { "$quoll" rpc "$ctl" fault.set "faults=[\"$1\"]" >/dev/null; }
fault corrupt=data,op=read,skip=10,count=1
expect 'faults: wrong data is found by checksums' 1 'quoll nvme verify: ' -- nvme verify --writes 200
fault delay=300us,op=read
expect 'faults: a delay shows in the latency' 0 -- nvme perf --qd 1 --ios 200 --json
# Not early: that is what the fault promises, whatever the machine is busy with.
check 'faults: no read is quicker than its delay' jq -e '.latency.min_ns >= 300000' <<<"$output"
fault gone,op=read,skip=100
expect 'faults: a device that is gone ends the verb' 1 'gone|hung up|ENODEV' -- nvme perf --qd 8 --time 30
fault drop,op=compare
expect 'faults: the next client finds it as new' 0 -- nvme verify --writes 100
expect 'faults: it ends' 0 -- target_end
