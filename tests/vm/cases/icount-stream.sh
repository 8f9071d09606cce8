# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# icount-stream.sh - instructions to map and unmap a piece of memory for one I/O, by each way there is: VFIO's type1, iommufd where the
# kernel has it, quoll.ko by a call each, in its window in batches, registered; a cached registration; a copy. programs/stream_cost.c
# does it. One CPU, and a nanosecond of virtual time is one instruction. Aims are said to be met or not, as in benchmarks/.

: "${cases:?set by run}" "${sys:?set by lib.sh}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"
program=/quoll/build/tests/vm/programs/stream_cost
costs=/tmp/stream-costs

median() { tr ' ' '\n' | sort -g | awk '{ at[NR] = $1 } END { print at[int((NR + 1) / 2)] }'; }

disk=$(addr nvme1)
rm -f "$costs" && touch "$costs"
kmod_bind "$disk" vfio-pci
backends='vfio kmod'
[ ! -e /dev/iommu ] || backends='vfio iommufd kmod'
for backend in $backends; do
	[ "$backend" != kmod ] || check 'icount-stream: the module loads' insmod /lab/quoll.ko
	[ "$backend" != kmod ] || kmod_bind "$disk" quoll
	check "icount-stream: $backend: each way is measured" sh -c "QUOLL_BACKEND=$backend $program $disk >>$costs"
done

# End to end: 2,000 reads each; the first use of each buffer is among them.
reads=()
for bytes in 4096 65536; do
	for buffers in heap registered stream cached bounce; do
		rounds=''
		for ((i = 0; i < 5; i++)); do
			rounds="$rounds $(QUOLL_BACKEND=kmod quoll nvme perf "$disk" --nsid 1 --size "$bytes" --qd 32 --batch 8 --ios 2000 \
				--buffers "$buffers" --json | jq 'select(.errors == 0 and .ios == 2000) | .useful_ns_per_io')"
		done
		check "icount-stream: reads of $bytes bytes, --buffers $buffers" test "$(wc -w <<<"$rounds")" = 5
		reads+=("$buffers=${rounds# }")
		echo "figure | instructions of a read of $bytes bytes | --buffers $buffers | $(median <<<"${rounds# }")"
	done
	figure icount-stream "$bytes byte reads" 'instructions a read' "${reads[@]/#heap=/quoll=}"
	reads=()
done
kmod_bind "$disk"
check 'icount-stream: the module goes' rmmod quoll

# cost BACKEND WAY BYTES BATCH SCATTERED: the rounds, with blanks between
cost() {
	jq -r --arg backend "$1" --arg way "$2" --argjson bytes "$3" --argjson batch "$4" --argjson scattered "$5" \
		'select(.backend == $backend and .way == $way and .bytes == $bytes and .batch == $batch and .scattered == $scattered) |
		.ns | map(tostring) | join(" ")' "$costs"
}

# Scattered, as I/Os are: pieces that do not touch.
for bytes in 4096 65536 2097152; do
	for batch in 1 4 16 64 256; do
		window=$(cost kmod window "$bytes" "$batch" true)
		[ -n "$window" ] || continue
		line="figure | instructions to map and unmap $bytes bytes, batches of $batch"
		for who in vfio:ioas iommufd:ioas kmod:ioas kmod:window kmod:registered kmod:cached kmod:bounce; do
			this=$(cost "${who%:*}" "${who#*:}" "$bytes" "$batch" true)
			[ -z "$this" ] || line="$line | $who $(median <<<"$this")"
		done
		echo "$line"
		figure icount-stream "$bytes bytes, batches of $batch" 'instructions a map and unmap' "quoll=$window" \
			"registered=$(cost kmod registered "$bytes" "$batch" true)" "quoll.ko, a call each=$(cost kmod ioas "$bytes" "$batch" true)" \
			"type1=$(cost vfio ioas "$bytes" "$batch" true)" "iommufd=$(cost iommufd ioas "$bytes" "$batch" true)" \
			"cached=$(cost kmod cached "$bytes" "$batch" true)" "bounce=$(cost kmod bounce "$bytes" "$batch" true)"
	done
done

# aim WHAT PART COST: at least so many times fewer instructions than type1
type1=$(cost vfio ioas 4096 64 true | median)
aim() { echo "figure | aim: $1: type1's $type1 by $2 | $3 | $(awk -v a="$type1" -v b="$3" -v n="$2" 'BEGIN { print b * n <= a ? "met" : "not met" }')"; }
aim '4 KiB, batches of 64, scattered' 5 "$(cost kmod window 4096 64 true | median)"
aim '4 KiB, batches of 64, contiguous' 6 "$(cost kmod window 4096 64 false | median)"
aim '4 KiB, batches of 64, registered' 12 "$(cost kmod registered 4096 64 true | median)"
check 'icount-stream: a batch of 64 is cheaper than type1' awk -v a="$type1" -v b="$(cost kmod window 4096 64 true | median)" \
	'BEGIN { exit !(b > 0 && b < a) }'
