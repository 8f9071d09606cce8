# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# icount.sh - instructions an I/O at QD 1 and 32, Quoll beside the kernel's driver. One CPU, and a nanosecond of virtual
# time is one instruction. The kernel's figure is all that is not idle (system call, interrupt, scheduling) of a thin
# io_uring loop, and of fio; Quoll's is prep, submit and the polls that returned something.

disk=$(addr nvme1)
loop=/quoll/build/benchmarks/uring_loop
ios=${ICOUNT_IOS:-3000}
wait_for 60 has_block "$disk"
dev=$(block "$disk")

# All that is not idle since boot, in ns; /proc/stat would round to 10 ms.
busy() { awk '/^now at/ { now = $3 } /idle_sleeptime|iowait_sleeptime/ { idle += $3 } END { printf "%.0f", now - idle }' /proc/timer_list; }
fio_busy() { # fio_busy QD IOS: busy time of a run
	local before
	before=$(busy)
	fio --name=lab --filename="$dev" --ioengine=io_uring --direct=1 --fixedbufs=1 --registerfiles=1 --rw=randread \
		--bs=4k --iodepth="$1" --number_ios="$2" --output-format=terse >/dev/null
	echo $(($(busy) - before))
}

fio_busy 1 100 >/dev/null # the first start also reads fio from the image
for qd in 1 32; do
	"$loop" --qd $qd --ios "$ios" "$dev" >"/tmp/loop-$qd"
done
# Start and end of fio cost more than the I/O: the difference of two runs is what an I/O costs. At QD 1 that difference
# swings by a factor of eight from pair to pair, for a reason not found, so it is not given.
short=$(fio_busy 32 "$ios")
long=$(fio_busy 32 $((3 * ios)))
fio_32=$(((long - short) / (2 * ios)))
quoll bind "$disk" --user quoll >/dev/null || fail 'icount: bind'
for qd in 1 32; do
	batch=$((qd < 8 ? qd : 8))
	as_user quoll nvme perf "$disk" --qd $qd --batch $batch --ios $((3 * ios)) --json >"/tmp/icount-$qd"
done
quoll restore "$disk" >/dev/null
for qd in 1 32; do
	mine=$(jq '.useful_ns_per_io | round' "/tmp/icount-$qd")
	thin=$(jq .busy_ns_per_io "/tmp/loop-$qd")
	fio=-
	[ $qd = 1 ] || fio=$fio_32
	check "icount: QD $qd: Quoll and the thin loop counted" test "${mine:-0}" -gt 0 -a "${thin:-0}" -gt 0
	echo "figure | instructions an I/O, randread 4 KiB | QD $qd | quoll $mine | thin io_uring loop $thin | fio io_uring $fio |" \
		"ratio to the thin loop 1:$((thin / (mine > 0 ? mine : 1)))," \
		"doorbells an I/O $(jq -r '.sq_doorbells_per_io + .cq_doorbells_per_io' "/tmp/icount-$qd")"
	figure icount "randread 4 KiB, QD $qd" 'instructions an I/O' "quoll=$mine" "thin io_uring loop=$thin" \
		"fio io_uring=${fio#-}"
	figure icount "randread 4 KiB, QD $qd" 'doorbells an I/O' \
		"quoll=$(jq -r '.sq_doorbells_per_io + .cq_doorbells_per_io' "/tmp/icount-$qd")"
done
check 'icount: fio counted at QD 32' test "$fio_32" -gt 0
# An instruction count is repeatable, so the aim can be tested: a fifth of the kernel's at QD 1.
check 'icount: at QD 1 Quoll needs at most a fifth of the instructions of the kernel behind a thin loop' \
	test "$(($(jq '.useful_ns_per_io | ceil' /tmp/icount-1) * 5))" -le "$(jq .busy_ns_per_io /tmp/loop-1)"
