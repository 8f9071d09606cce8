#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# test.sh - sets the machine up, builds, and runs all tests; the last line is "N passed, N failed[, N skipped]".
#
#   ./test.sh [--long] [--native] [--kernel 6.1|6.12]
#     --long      also what takes more than half an hour
#     --native    without the lab VM
#     --kernel    the lab VM with this kernel only
set -uo pipefail
cd "$(dirname "$0")" || exit 1
export QUOLL_BUILD=${QUOLL_BUILD:-$PWD/build}
kernels=(6.12 6.1)
long=0
native=0

usage() { sed -n '3,8s/^# \{0,1\}//p' "$0"; }

while [ $# -gt 0 ]; do
	case $1 in
	--long) long=1 ;;
	--native) native=1 ;;
	--kernel) kernels=("${2:?--kernel needs a version}"); shift ;;
	--help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done
export long

results=$(mktemp)
work=$(mktemp -d)
icount_pid=''
# What was started in the background is ended with us.
trap 'kill $(jobs -p) ${icount_pid:+"-$icount_pid"} 2>/dev/null; rm -rf "$results" "$work"' EXIT
trap 'exit 130' INT TERM
. tests/lib.sh

section() { printf '\n== %s (at %d s)\n' "$*" $SECONDS; }

style() {
	section 'style'
	for name in $(tests/style); do
		if [ "$name" = format ] && ! clang-format --version | grep -q 'version 14'; then
			skip 'style: format' 'the layout is checked with clang-format 14 (Debian 12)'
		else
			check "style: $name" tests/style "$name"
		fi
	done
	check 'style: no warnings from clang' clang_build
}

clang_build() {
	meson_build clang "$work/clang" --werror
}

# meson_build COMPILER DIRECTORY OPTION...
meson_build() {
	local cc=$1 dir=$2
	shift 2
	CC=$cc meson setup "$dir" "$@" && ninja -C "$dir"
}

# Each CUnit test of each program counts: "  Test: behaviour ...passed", or "...skipped: reason passed" (unit_skip()). A
# program that dies without its summary fails.
unit() { # unit SECTION DIRECTORY [PATTERN of programs]
	local name=$1 dir=$2 pattern=${3:-.} prog area out rc
	section "$name"
	out=$work/unit.log
	while read -r prog; do
		area=${prog##*/test_}
		rc=0
		timeout 300 "$prog" >"$out" 2>&1 || rc=$?
		sed -n -e 's/^  Test: \(.*\) \.\.\.\(passed\|FAILED\)$/\2 \1/p' \
			-e 's/^  Test: \(.*\) \.\.\.skipped: \(.*\) passed$/skipped \1|\2/p' "$out" | while read -r verdict behaviour; do
			case $verdict in
			skipped) skip "$name: $area: ${behaviour%|*}" "${behaviour#*|}" ;;
			passed) pass "$name: $area: $behaviour" ;;
			FAILED)
				grep -A 12 -F "Test: $behaviour " "$out" >"$out.one"
				fail "$name: $area: $behaviour" "$out.one"
				;;
			esac
		done
		if [ $rc -ne 0 ] && ! grep -q 'FAILED$' "$out" || ! grep -q '^Run Summary' "$out"; then
			echo "exit status $rc" >>"$out"
			fail "$name: $area: runs to its end" "$out"
		fi
	done < <(find "$dir/tests/unit" "$dir/tests/user" -maxdepth 3 -type f -name 'test_*' -perm -u+x | grep -E "$pattern" | sort)
}

# Target and driver, generator and forwarder against each other; prints results in the same form.
native() { # native SECTION COMMAND [PACKETS [SECONDS]]: so many go through each kind of port, see flow.sh
	local name=$1 log=$work/native.log rc=0
	section "$name"
	QUOLL=$2 packets=${3:-1000000} results=$work/native.results timeout "${4:-900}" tests/user/run 2>&1 | tee "$log" |
		sed -u "s/^\\(ok\\|not ok\\|skip\\) /\\1 $name: /" | tee -a "$results"
	rc=${PIPESTATUS[0]}
	if [ "$rc" -ne 0 ] && ! grep -q '^not ok' "$log"; then
		echo "exit status $rc" >>"$log"
		fail "$name: the cases run to their end" "$log"
	fi
	rm -f "$work/native.results"
}

# Instructions are repeatable, so that a rise can be a failure: one line a path.
instructions() {
	local path rc
	section 'instructions'
	for path in $(tests/instructions/run --list); do
		rc=0
		tests/instructions/run --build "$QUOLL_BUILD" "$path" >"$work/count" 2>&1 || rc=$?
		case $rc in
		0) pass "instructions: $path: no dearer than recorded" ;;
		77) skip "instructions: $path" "$(tail -n 1 "$work/count")" ;;
		*) fail "instructions: $path: no dearer than recorded" "$work/count" ;;
		esac
		[ "$rc" = 77 ] || sed -n "s/^$path: /figure | instructions | &/p" "$work/count"
	done
}

# Each test of Python's unittest counts: "test_behaviour (where) ... ok".
python_unit() { # python_unit FILE...
	local file rc verdict behaviour out=$work/unit.log
	section 'unit, Python'
	for file in "$@"; do
		rc=0
		python3 -B -m unittest -v "$file" >"$out" 2>&1 || rc=$?
		while read -r verdict behaviour; do
			case $verdict in
			ok) pass "${file%/*}: ${behaviour//_/ }" ;;
			*) fail "${file%/*}: ${behaviour//_/ }" "$out" ;;
			esac
		done < <(sed -n 's/^test_\([^ ]*\) .* \.\.\. \(ok\|FAIL\|ERROR\)$/\2 \1/p' "$out")
		if ! grep -q '^Ran [1-9]' "$out" || { [ $rc -ne 0 ] && ! grep -Eq '^(FAIL|ERROR): test_' "$out"; }; then
			echo "exit status $rc" >>"$out"
			fail "${file%/*}: runs to its end" "$out"
		fi
	done
}

# Other programs as peers, where they are in PATH: SPDK, DPDK.
peers() { # peers SECTION NAME PROGRAM
	local case rc
	section "$1"
	for case in $("$3" --list); do
		rc=0
		"$3" "$case" >"$work/peer" 2>&1 || rc=$?
		case $rc in
		0) pass "$2: $("$3" --describe "$case")" ;;
		77) skip "$2: $("$3" --describe "$case")" "$(tail -n 1 "$work/peer")" ;;
		*) fail "$2: $("$3" --describe "$case")" "$work/peer" ;;
		esac
	done
}

# That the benchmarks run and are reported, not what they measure.
benchmarks() {
	local report=$work/report line
	section 'benchmarks'
	check 'benchmarks: a quick run of all of them' benchmarks/run --quick --build "$QUOLL_BUILD" --out "$report"
	check 'benchmarks: report.json has every row that there is, each with our figure' report_rows "$report/report.json"
	check 'benchmarks: report.html has a plot of each group' report_plots "$report"
	jq -r '.rows[] | .name as $n | .peers[] | select(.missing) | "\($n) \(.missing)"' "$report/report.json" |
		while read -r line; do skip "benchmarks: the peer beside ${line%% *}" "${line#* }"; done
}

report_rows() {
	diff <(benchmarks/run --list | sed -n 's/^  \([a-z][a-z0-9_]*\)  .*/\1/p') <(jq -r '.rows[].name' "$1") &&
		jq -e '.errors == [] and all(.rows[]; .unit as $u | .quoll.missing or .quoll[$u].n > 0)' "$1"
}

report_plots() {
	[ "$(grep -c '<svg' "$1/report.html")" -ge "$(jq '[.rows[].group] | unique | length' "$1/report.json")" ]
}

sanitizers() {
	section 'sanitizers'
	# Our own checks and the sanitizers' stop a program; a leak counts.
	export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1
	if meson_build gcc "$work/asan" -Db_sanitize=address,undefined -Db_lundef=false -Dbuildtype=debugoptimized \
		>"$work/log" 2>&1; then
		unit 'ASan+UBSan' "$work/asan"
		native 'native, ASan+UBSan' "$work/asan/apps/quoll/quoll"
	else
		fail 'ASan+UBSan: builds' "$work/log"
	fi
	if meson_build gcc "$work/tsan" -Db_sanitize=thread -Db_lundef=false -Dbuildtype=debugoptimized \
		>"$work/log" 2>&1; then
		unit 'TSan' "$work/tsan" 'eal_run_(ring|loop|timer|watch|thread)|eal_mem_(pool|heap)|eal_stream_(threads|watch)|eal_(backend_)?vfio_user|eal_backend_iommufd|drivers_net|drivers_nvme_reset_threads|apps_(fwd|gen)_run|apps_target_(control|dptr|io|mq|run|worker)'
		native 'native, TSan' "$work/tsan/apps/quoll/quoll"
	else
		fail 'TSan: builds' "$work/log"
	fi
}

fuzz() {
	local prog name seconds seeds ended ran=0
	local -A running=()
	section 'fuzzing'
	if ! meson_build clang "$work/fuzz" -Db_sanitize=address,undefined -Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link \
		>"$work/log" 2>&1; then
		fail 'fuzz: builds' "$work/log"
		return
	fi
	for prog in "$work"/fuzz/tests/fuzz/fuzz_*; do
		if [ ! -x "$prog" ] || [ -d "$prog" ]; then continue; fi
		name=${prog##*/fuzz_}
		case $name in
		tgt_* | vfio_user_* | vhost_* | rpc | tap | target_config | virtio_ring | xdp_ring) seconds=30 ;; # what another process says at any time
		*) seconds=5 ;;
		esac
		[ "$long" = 0 ] || seconds=300
		seeds=$(find "tests/fuzz/seeds/$name" -type f 2>/dev/null | paste -sd,)
		# One a CPU, each with results of its own.
		if [ ${#running[@]} -ge "$(nproc)" ]; then
			wait -n -p ended "${!running[@]}"
			unset "running[$ended]"
		fi
		results=$work/fuzz-$name.results check "fuzz: $name survives $seconds s" "$prog" -max_total_time=$seconds -max_len=4200 \
			-print_final_stats=1 -artifact_prefix="$work/" ${seeds:+"-seed_inputs=$seeds"} &
		running[$!]=$name
		ran=1
	done
	wait "${!running[@]}"
	cat "$work"/fuzz-*.results >>"$results" 2>/dev/null
	[ "$ran" = 1 ] || skip 'fuzz' "clang's libFuzzer is not there"
}

cold_build() {
	local t0 t1
	section 'build time'
	t0=$(date +%s%N)
	check 'a cold build of library and command works' cold_build_run
	t1=$(date +%s%N)
	# The figure is reported, not judged: machines differ.
	echo "cold build: $(((t1 - t0) / 1000000)) ms on $(nproc) CPUs (aim: 15000 ms on 2)"
}

cold_build_run() {
	meson setup "$work/cold" && ninja -C "$work/cold" product
}

# For guest(), with its variables: rc and the results of one boot.
guest_once() { # guest_once COMMAND...
	"$@" 2>&1 | tee "$log" | sed -u "s/^\\(ok\\|not ok\\|skip\\) /\\1 $name: /" | tee "$log.results"
	rc=${PIPESTATUS[0]}
}

# The guest prints results in the same form, live.
guest() { # guest NAME COMMAND...
	local name=$1 log=$work/lab-${1//[^a-z0-9.]/-}.log rc=0
	shift
	section "lab VM: $name"
	guest_once "$@"
	if [ "$rc" = 75 ]; then # the emulator's defect, tests/vm/README.md: what the guest said while it stood still is no result
		echo "$name: once more"
		guest_once "$@"
	fi
	cat "$log.results" >>"$results"
	if [ "$rc" -ne 0 ] && ! grep -q '^not ok' "$log"; then
		echo "exit status $rc" >>"$log"
		fail "$name: the VM runs its cases to the end" "$log"
	fi
}

lab() { # lab NAME [LAB OPTION...] -- COMMAND...
	local name=$1
	shift
	guest "$name" tests/vm/lab run --timeout 2400 "$@"
}

# A VM of one CPU whose time is its instructions: it does not mind waiting for a CPU, and others leave it half of one. So it runs
# beside the sanitizers and fuzzers; its lines come when it is waited for.
icount_begin() {
	set -m # a process group of its own, to be ended as a whole
	results=$work/icount.results lab icount --kernel "${kernels[0]}" --icount -- tests/vm/cases/run icount icount-fwd \
		>"$work/icount.out" 2>&1 &
	icount_pid=$!
	set +m
}

icount_end() {
	wait "$icount_pid"
	icount_pid=''
	cat "$work/icount.out"
	cat "$work/icount.results" >>"$results"
}

# One at a time: their cases take a program that is slow for one that hangs.
lab_all() {
	local kernel
	icount_end
	for kernel in "${kernels[@]}"; do
		lab "$kernel" --kernel "$kernel" -- tests/vm/cases/run main
	done
	# a kernel of the lab's own, built on a first run
	if [[ " ${kernels[*]} " = *' 6.12 '* ]]; then
		lab iommufd --kernel 6.12-iommufd -- tests/vm/cases/run iommufd
		check 'kmod: checkpatch and sparse find nothing' tests/vm/kmod-style
	fi
	if [ "$long" = 1 ]; then
		for kernel in "${kernels[@]}"; do
			lab "kmod, $kernel" --kernel "$kernel" -- tests/vm/cases/run by-kmod-all
		done
		lab 'newest kernel' --kernel 7 -- tests/vm/cases/run kmod kmod-unplug kmod-stream kmod-nvme
		lab 'checks of the kernel' --kernel 6.12-debug --memory 4096 --timeout 3000 -- tests/vm/cases/run debug
	else
		lab "kmod, ${kernels[0]}" --kernel "${kernels[0]}" -- tests/vm/cases/run by-kmod
	fi
	lab 'no IOMMU' --kernel "${kernels[0]}" --no-iommu -- tests/vm/cases/run no-iommu
	lab 'snooping enforced' --kernel "${kernels[-1]}" --iommu snoop-control=on -- tests/vm/cases/run kmod-snoop
	for kernel in "${kernels[@]}"; do
		lab "interrupts not remapped, $kernel" --kernel "$kernel" --append intremap=off -- tests/vm/cases/run kmod-remap
	done
	guest 'vfio-user' tests/vm/vfio-user --kernel "${kernels[0]}" --no-iommu
	guest 'vfio-user, IOMMU' tests/vm/vfio-user --kernel "${kernels[-1]}"
	for kernel in "${kernels[@]}"; do
		guest "vhost-user, $kernel" tests/vm/vhost-user --kernel "$kernel"
	done
}

summary() {
	local passed failed skipped
	passed=$(grep -c '^ok ' "$results")
	failed=$(grep -c '^not ok ' "$results")
	skipped=$(grep -c '^skip ' "$results")
	[ "$skipped" -eq 0 ] || { section 'skipped'; grep '^skip ' "$results"; }
	# Last, with their details: the end is what is looked at, and at times all that was kept.
	if [ "$failed" -gt 0 ]; then
		section 'failed'
		awk '/^not ok / { n = 0; on = 1 } /^(ok|skip) / { on = 0 } on && n++ < 20' "$results"
	fi
	echo
	printf '%d passed, %d failed' "$passed" "$failed"
	[ "$skipped" -eq 0 ] || printf ', %d skipped' "$skipped"
	echo
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

section 'setup'
tests/setup || { fail 'the set-up'; summary; exit 1; }
style
cold_build
unit 'unit' "$QUOLL_BUILD"
python_unit tests/*/test_*.py
if [ "$long" = 1 ]; then
	native 'native' "$QUOLL_BUILD/apps/quoll/quoll" 1000000000 3600
else
	native 'native' "$QUOLL_BUILD/apps/quoll/quoll" 10000000
fi
instructions
peers 'SPDK, both ways' SPDK tests/user/spdk
peers 'DPDK as back end of virtio-user' virtio-user tests/user/virtio-user
benchmarks
[ "$native" = 1 ] || icount_begin
sanitizers
fuzz
if [ "$native" = 1 ]; then
	skip 'lab VM' 'left out by --native'
else
	lab_all
fi
summary
