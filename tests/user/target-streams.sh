# shellcheck shell=bash disable=SC2154 # what lib.sh sets
# SPDX-License-Identifier: BSD-3-Clause
# target-streams.sh - buffers in and outside of the heap on a device in another process, which reaches only memory with
# a file behind it: what is outside bounces, and nothing is registered or mapped for one request.

target_start --listen "vfio-user:$sock" --control "$ctl" --ns 'mem:64M?bs=4096' --ns mem:64M
expect 'streams: buffers of the heap go their own way' 0 '"buffers": "heap"' '"bounce": 0' '"errors": 0' \
	-- nvme perf --nsid 1 --rw randrw --ios 4000 --json
for buffers in stream bounce; do
	expect "streams: --buffers $buffers: every request bounces" 0 "\"buffers\": \"$buffers\"" '"heap": 0' '"window": 0' '"cached": 0' \
		'"bounce": 4000' '"ios": 4000' '"errors": 0' -- nvme perf --nsid 1 --rw randrw --ios 4000 --buffers $buffers --json
	expect "streams: --buffers $buffers: requests of many commands" 0 '"bounce": 200' '"errors": 0' \
		-- nvme perf --nsid 2 --rw rw --size 1M --qd 4 --ios 200 --buffers $buffers --json
	expect "streams: --buffers $buffers: data of random size and place is right" 0 '"mismatches": 0' '"complete": true' \
		-- nvme verify --nsid 2 --writes 500 --buffers $buffers --json
done
expect 'streams: --buffers cached is refused, and says why' 1 'a file behind it' 'try:.*bounce' \
	-- nvme perf --nsid 1 --ios 10 --buffers cached
expect 'streams: --buffers registered is refused, and says what it needs' 1 'no windows' 'try:.*quoll.ko' \
	-- nvme perf --nsid 1 --ios 10 --buffers registered
check 'streams: the target ends' target_end
