# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# perf.sh - `quoll nvme perf` beside fio with io_uring on the kernel's driver: same drive, same boot, interleaved,
# medians of five. Under emulation the rates are no evidence: the table is there for the ratio's order and to show that
# the tools work; what is tested is that both do the I/O and account for all of it.

disk=$(addr nvme1)
rounds=${PERF_ROUNDS:-5}
seconds=${PERF_SECONDS:-1}
qds=${PERF_QDS:-1 32}
kernel_ways=${PERF_KERNEL:-interrupt iopoll}
rm -f /tmp/perf-*

# fio_round: all rows of the kernel, one after the other in one fio, whose start costs more than the I/O here
fio_round() {
	local qd way job=(--rw=randread --bs=4k --ioengine=io_uring --direct=1 --fixedbufs=1 --registerfiles=1 --time_based
		--runtime="$seconds" --filename="$(block "$disk")" --stonewall) jobs=()
	for qd in $qds; do
		jobs+=(--name="interrupt-$qd" "--iodepth=$qd" "${job[@]}")
		[[ $kernel_ways != *iopoll* ]] || jobs+=(--name="iopoll-$qd" "--iodepth=$qd" "${job[@]}" --hipri)
	done
	fio --output-format=json "${jobs[@]}" >/tmp/fio.json
	for job in $(for qd in $qds; do for way in $kernel_ways; do echo "$way-$qd"; done; done); do
		jq -c --arg job "$job" '.jobs[] | select(.jobname == $job).read |
			{iops, p50_ns: .clat_ns.percentile["50.000000"], p99_ns: .clat_ns.percentile["99.000000"]}' \
			/tmp/fio.json >>"/tmp/perf-$job"
	done
}

# IOPOLL needs queues of its own, which the driver makes when it is loaded.
[[ $kernel_ways != *iopoll* ]] || { modprobe -r nvme && modprobe nvme poll_queues=1; }
wait_for 30 has_block "$disk"
# What was never written costs the drive's model nothing to read.
[ "${PERF_FILL:-1}" = 0 ] || dd if=/dev/urandom of="$(block "$disk")" bs=1M oflag=direct 2>/dev/null
for ((round = 0; round < rounds; round++)); do
	wait_for 30 has_block "$disk"
	fio_round
	quoll bind "$disk" --user quoll >/dev/null || fail "perf: bind, round $round"
	for qd in $qds; do
		as_user quoll nvme perf "$disk" --rw randread --size 4k --qd "$qd" --time "$seconds" --json |
			jq -c '{iops, p50_ns: .latency.p50_ns, p99_ns: .latency.p99_ns, bad: .bad_completions, errors}' \
				>>"/tmp/perf-quoll-$qd"
	done
	quoll restore "$disk" >/dev/null || fail "perf: restore, round $round"
done

# One line a row: medians and spread, or nothing if a round is missing or without I/O. A single jq, whose start is slow here.
summary() { # summary FILE
	jq -sr --argjson rounds "$rounds" '
		def median: sort | .[length / 2 | floor];
		select(length == $rounds and all(.[]; .iops > 0 and .p50_ns > 0 and .p99_ns >= .p50_ns)) |
		"\(map(.iops) | median | round) IOPS (\(map(.iops) | min | round)-\(map(.iops) | max | round)) | " +
		"p50 \(map(.p50_ns) | median / 1000 | floor) us, p99 \(map(.p99_ns) | median / 1000 | floor) us"' "$1"
}

for name in quoll $kernel_ways; do
	for qd in $qds; do
		row=$(summary "/tmp/perf-$name-$qd")
		check "perf: $name, QD $qd: $rounds rounds, each with I/O and percentiles" test -n "$row"
		label=$name
		[ "$name" = quoll ] || label="fio io_uring, $name"
		[ -z "$row" ] || echo "figure | randread 4 KiB | QD $qd | $label | $row"
	done
done
for qd in $qds; do
	peers=()
	for way in $kernel_ways; do peers+=("fio io_uring, $way=$(jq -r .iops "/tmp/perf-$way-$qd" | xargs)"); done
	figure perf "randread 4 KiB, QD $qd" IOPS "quoll=$(jq -r .iops "/tmp/perf-quoll-$qd" | xargs)" "${peers[@]}"
done
check 'perf: no bad completion, no error' jq -es 'all(.bad == 0 and .errors == 0)' /tmp/perf-quoll-*
