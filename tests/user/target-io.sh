# shellcheck shell=bash disable=SC2154 # what lib.sh sets
# SPDX-License-Identifier: BSD-3-Clause
# target-io.sh - all back ends in both formats, with mapped and trapped doorbells: identified, written, read back,
# verified, loaded.

counters() { "$quoll" rpc "$ctl" target.stats | jq '{reads: .listeners[0].reads, messages: .listeners[0].messages, sleeps: .threads[0].sleeps}'; }

# A doorbell for each request and one for each completion would be more messages than requests. A target that slept in
# between, as on a machine where others take its CPU, is woken by two: the tail, and the head that the wake-up made.
few_messages() {
	local before after
	before=$(counters) && nvme perf --nsid 1 --qd 32 --batch 1 --time 1 >/dev/null && after=$(counters) || return 1
	echo "before: $before, after: $after"
	jq -en --argjson a "$before" --argjson b "$after" \
		'($b.messages - $a.messages - 2 * ($b.sleeps - $a.sleeps)) * 2 < $b.reads - $a.reads'
}

# Of namespace 4 the host's memory is registered while it is there, unless the limit of locked memory forbids it; of 3
# nothing but copy buffers, which aligned data does not need.
registered() {
	local now
	now=$("$quoll" rpc "$ctl" ns.list | jq '[.[] | .buffers]') || return 1
	echo "$now"
	jq -e '.[3] | if .refused_pieces == 0 then .fixed_transfers > 4000 else .plain_transfers > 4000 end' <<<"$now" &&
		jq -e '.[2].fixed_transfers == 0 and .[2].plain_transfers > 2000 and .[0] == null' <<<"$now" &&
		wait_for 10 registered_nothing
}

# shellcheck disable=SC2317 # called through wait_for
registered_nothing() {
	"$quoll" rpc "$ctl" ns.list | jq -e '.[3].buffers.registered_bytes == 0'
}

truncate -s 64M "$dir/disk512" "$dir/disk4096"
head -c 4M /dev/urandom >"$dir/data.bin"
for doorbells in mapped trapped; do
	target_start --listen "vfio-user:$sock?doorbells=$doorbells" --control "$ctl" --ns mem:64M --ns 'mem:64M?bs=4096' \
		--ns "file:$dir/disk512" --ns "file:$dir/disk4096?bs=4096&registered=1" --ns 'null:?size=64M' --ns 'null:?size=64M&bs=4096'
	expect "$doorbells: identify shows the controller and its namespaces" 0 'Quoll target' '^ +1 +64 MiB +131072 +512' \
		'^ +2 +64 MiB +16384 +4096' '^ +6 +64 MiB +16384' -- nvme identify
	for nsid in 2 4; do
		expect "$doorbells: namespace $nsid, 4 MiB written" 0 -- nvme write --nsid $nsid --lba 100 --input "$dir/data.bin"
		check "$doorbells: namespace $nsid, read back as they were" same_blocks $nsid 100 "$dir/data.bin"
	done
	check "$doorbells: the file has them where they belong" \
		cmp <(dd if="$dir/disk4096" bs=4096 skip=100 count=1024 2>/dev/null) "$dir/data.bin"
	for nsid in 1 2 3 4; do
		expect "$doorbells: namespace $nsid, 2,000 writes of random size and place verified" 0 '2,?000 writes' \
			-- nvme verify --nsid $nsid --writes 2000 --seed 4$nsid
	done
	for nsid in 1 4 5; do
		expect "$doorbells: namespace $nsid under load of four queues has no errors" 0 '"errors": 0' '"bad_completions": 0' \
			-- nvme perf --nsid $nsid --rw randrw --queues 4 --qd 32 --time 1 --json
	done
	check "$doorbells: registered memory is used, and not held when its owner has gone" registered
	[ $doorbells = mapped ] || check 'trapped: under load, few doorbells are messages' few_messages
	expect "$doorbells: it ends with a summary" 0 -- target_end
	check "$doorbells: the summary counts what was done" grep -Eq "vfio-user:$sock.* +[0-9]+ +[0-9]+ +[0-9]+ .* 0$" \
		"$dir/target.log"
	check "$doorbells: the socket is gone" test ! -e "$sock"
done
rm -f "$dir"/disk*
