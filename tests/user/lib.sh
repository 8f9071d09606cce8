# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# lib.sh - what the native cases share: targets that are started, waited for and ended, and a directory of their own.
#
# Sourced by tests/user/run, behind tests/lib.sh. $quoll is the command under test.

: "${quoll:?names the command under test}"

dir=$(mktemp -d)
target_pid=''
sock=$dir/q0.sock
ctl=$dir/control

user_cleanup() {
	[ -z "$target_pid" ] || kill -9 "$target_pid" 2>/dev/null
	rm -rf "$dir"
}

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $until ] || return 1
		sleep 0.02
	done
}

# target_start OPTION...: a target in the background that listens, or has ended; its output is in $dir/target.log
target_start() {
	: >"$dir/target.log"
	"$quoll" target "$@" >"$dir/target.log" 2>&1 &
	target_pid=$!
	wait_for 30 target_listens || { cat "$dir/target.log"; return 1; }
}

# shellcheck disable=SC2317 # called through wait_for
target_listens() {
	grep -q 'listens on' "$dir/target.log" || ! kill -0 "$target_pid"
}

# target_end [SIGNAL]: returns its exit status; within 30 s, or it is killed
target_end() {
	local rc=0
	kill -"${1:-TERM}" "$target_pid"
	wait_for 30 target_ended || { kill -9 "$target_pid"; echo 'it does not end'; }
	wait "$target_pid" 2>/dev/null || rc=$?
	target_pid=''
	return $rc
}

# shellcheck disable=SC2317 # called through wait_for
target_ended() {
	[ ! -e "/proc/$target_pid" ] || grep -q '^State:.Z' "/proc/$target_pid/status"
}

nvme() { # nvme VERB OPTION...: on the first listener
	local verb=$1
	shift
	timeout 60 "$quoll" nvme "$verb" "vfio-user:$sock" "$@"
}

# load_start OPTION...: I/O in the background that goes on until something ends it; returns once the target has seen some
load_start() {
	"$quoll" nvme perf "vfio-user:$sock" --time 60 "$@" >"$dir/load.log" 2>&1 &
	load_pid=$!
	wait_for 30 busy || { cat "$dir/load.log"; return 1; }
}

# shellcheck disable=SC2317 # called through wait_for
busy() {
	"$quoll" rpc "$ctl" listener.list | jq -e '[.[] | .reads + .writes] | add > 1000'
}

# load_end: waits for what was begun by load_start; returns its exit status
load_end() {
	local rc=0
	wait_for 30 sh -c "[ ! -e /proc/$load_pid ] || grep -q '^State:.Z' /proc/$load_pid/status" ||
		{ kill -9 "$load_pid"; echo 'it does not end'; }
	wait "$load_pid" 2>/dev/null || rc=$?
	return $rc
}

# shellcheck disable=SC2317 # called through expect
load_end_shown() {
	local rc=0
	load_end || rc=$?
	cat "$dir/load.log"
	return $rc
}

# same_blocks NSID LBA FILE: the namespace has there what the file has; blocks of 4,096 bytes
same_blocks() {
	nvme read --nsid "$1" --lba "$2" --blocks $(($(stat -c %s "$3") / 4096)) --output "$dir/back.bin" &&
		cmp "$3" "$dir/back.bin"
}
