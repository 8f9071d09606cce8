# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# icount-stream.sh - what it costs to map and unmap a piece of memory for one I/O, by each way there is: VFIO's type1, iommufd where the
# kernel has it, quoll.ko by a call each, in its window in batches, registered; a cached registration, of memory that nobody watches,
# that is watched, and with the kernel asked (enum quoll_cached_watch); a copy. programs/stream_cost.c does it. With --icount (one
# CPU) a nanosecond of virtual time is one instruction, and aims, which are about these, are said to be met or not, as in
# benchmarks/. Without it is wall time: of a processor that QEMU emulates, unless there is KVM; so no check goes by it.

: "${cases:?set by run}" "${sys:?set by lib.sh}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"
program=/quoll/build/tests/vm/programs/stream_cost
case ${LAB_ACCEL:?} in
icount) unit=instructions ;;
kvm) unit='ns' ;;
*) unit='ns of emulated time' ;;
esac
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
		echo "figure | $unit of a read of $bytes bytes | --buffers $buffers | $(median <<<"${rounds# }")"
	done
	figure icount-stream "$bytes byte reads" "$unit a read" "${reads[@]/#heap=/quoll=}"
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
		line="figure | $unit to map and unmap $bytes bytes, batches of $batch"
		for who in vfio:ioas iommufd:ioas kmod:ioas kmod:window kmod:registered kmod:cached kmod:cached-watched \
			kmod:cached-checked kmod:bounce; do
			this=$(cost "${who%:*}" "${who#*:}" "$bytes" "$batch" true)
			[ -z "$this" ] || line="$line | $who $(median <<<"$this")"
		done
		echo "$line"
		figure icount-stream "$bytes bytes, batches of $batch" "$unit a map and unmap" "quoll=$window" \
			"registered=$(cost kmod registered "$bytes" "$batch" true)" "quoll.ko, a call each=$(cost kmod ioas "$bytes" "$batch" true)" \
			"type1=$(cost vfio ioas "$bytes" "$batch" true)" "iommufd=$(cost iommufd ioas "$bytes" "$batch" true)" \
			"cached=$(cost kmod cached "$bytes" "$batch" true)" "cached, watched=$(cost kmod cached-watched "$bytes" "$batch" true)" \
			"cached, checked=$(cost kmod cached-checked "$bytes" "$batch" true)" "bounce=$(cost kmod bounce "$bytes" "$batch" true)"
	done
done

# Where each wins: the cheapest of all; and of those by which devices reach the memory during the I/O only, which a cached registration
# does not see to.
jq -rs --arg unit "$unit" '
	def median: sort | .[(length - 1) / 2 | floor];
	def name: {"vfio:ioas": "type1", "iommufd:ioas": "iommufd", "kmod:ioas": "quoll.ko, a call each", "kmod:window": "window",
		"kmod:registered": "registered", "kmod:cached": "cached", "kmod:bounce": "copied"}["\(.backend):\(.way)"];
	def cheapest: min_by(.cost) | "\(.name) \(.cost)";
	[.[] | select(.scattered and name) | {name: name, bytes, batch, cost: (.ns | median)}] | group_by([.bytes, .batch])[] |
	"figure | cheapest to map and unmap \(.[0].bytes) bytes, batches of \(.[0].batch) (\($unit)) | \(cheapest) | " +
	"reached during the I/O only: \(map(select(.name != "cached")) | cheapest)" +
	" | and without a copy or registering: \(map(select(.name != "cached" and .name != "copied" and .name != "registered")) | cheapest)"
	' "$costs"
[ "$unit" = instructions ] || return 0

# aim WHAT PART COST: at least so many times fewer instructions than type1
type1=$(cost vfio ioas 4096 64 true | median)
aim() { echo "figure | aim: $1: type1's $type1 by $2 | $3 | $(awk -v a="$type1" -v b="$3" -v n="$2" 'BEGIN { print b * n <= a ? "met" : "not met" }')"; }
aim '4 KiB, batches of 64, scattered' 5 "$(cost kmod window 4096 64 true | median)"
aim '4 KiB, batches of 64, contiguous' 6 "$(cost kmod window 4096 64 false | median)"
aim '4 KiB, batches of 64, registered' 12 "$(cost kmod registered 4096 64 true | median)"
check 'icount-stream: a batch of 64 is cheaper than type1' awk -v a="$type1" -v b="$(cost kmod window 4096 64 true | median)" \
	'BEGIN { exit !(b > 0 && b < a) }'

# Packets: 12,800 frames of 60 bytes in bursts of 32, from net0 to net1, and the buffers lie where --buffers says; the first use of each
# buffer is among them, and the first burst, which is one of those that are timed.
icount_fwd=("$(addr net0)" "$(addr net1)") frames=()
fwd_links_up() { [ "$(grep -c 'link up' /tmp/fwd.log)" = 2 ]; }
fwd_ended() { ! kill -0 "$fwd_pid" 2>/dev/null; }
check 'icount-stream: the module loads again' insmod /lab/quoll.ko
interface net2
sysctl -qw net.ipv6.conf.net2.disable_ipv6=1
ip link set net2 up
wait_for 30 grep -q 1 /sys/class/net/net2/carrier
for port in "${icount_fwd[@]}"; do kmod_bind "$port" quoll; done
for buffers in heap registered stream cached bounce; do
	rounds=''
	for ((i = 0; i < 5; i++)); do
		: >/tmp/fwd.log
		QUOLL_BACKEND=kmod quoll fwd "${icount_fwd[@]}" --burst 32 --buffers "$buffers" --packets 12800 --json \
			>/tmp/fwd.json 2>/tmp/fwd.log &
		fwd_pid=$!
		wait_for 60 grep -q " ${icount_fwd[1]} " /tmp/fwd.log
		wait_for 3 fwd_links_up # told only if they were not before
		/quoll/build/tests/vm/programs/frames net2 12800 32 60 1000 >/dev/null
		wait_for 20 fwd_ended || kill -TERM $fwd_pid # when QEMU hands the last ones over is the host's affair
		wait $fwd_pid
		rounds="$rounds $(jq 'select(.ports[1].tx_packets == 12800 and .bufs_missing == 0) | .useful_ns_per_packet' /tmp/fwd.json)"
	done
	check "icount-stream: frames forwarded, --buffers $buffers" test "$(wc -w <<<"$rounds")" = 5
	frames+=("$buffers=${rounds# }")
	echo "figure | instructions of a forwarded frame | --buffers $buffers | $(median <<<"${rounds# }")"
done
figure icount-stream 'forward 60-byte frames, bursts of 32' 'instructions a frame' "${frames[@]/#heap=/quoll=}"
for port in "${icount_fwd[@]}"; do kmod_bind "$port"; done
check 'icount-stream: the module goes again' rmmod quoll
