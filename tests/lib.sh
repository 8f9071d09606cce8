# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# lib.sh - recording results: one line a test, on the terminal and in $results, which test.sh sums up.
#
# Sourced by test.sh and, in the lab VM, by tests/vm/cases. $results names a file; lines are "ok NAME", "not ok NAME" or
# "skip NAME # REASON"; details of a failure follow, indented by four.

: "${results:?names the file that results go to}"

pass() {
	printf 'ok %s\n' "$1" | tee -a "$results"
}

# fail NAME [FILE with details]
fail() {
	{
		printf 'not ok %s\n' "$1"
		if [ -n "${2:-}" ] && [ -s "$2" ]; then tail -n 40 "$2" | sed 's/^/    /'; fi
	} | tee -a "$results"
}

skip() {
	printf 'skip %s # %s\n' "$1" "$2" | tee -a "$results"
}

# check NAME COMMAND...: passes if the command exits with 0; its output is shown if not.
check() {
	local name=$1 out
	shift
	out=$(mktemp)
	if "$@" >"$out" 2>&1; then
		pass "$name"
	else
		echo "exit status $?: $*" >>"$out"
		fail "$name" "$out"
	fi
	rm -f "$out"
}

# expect NAME STATUS [REGEX...] -- COMMAND...: passes if the command exits with STATUS and its output (both streams)
# matches every extended regular expression; a regex that begins with '!' must not match. $output keeps the text.
expect() {
	local name=$1 want=$2 got=0 re bad='' out res=()
	shift 2
	while [ "$1" != -- ]; do
		res+=("$1")
		shift
	done
	shift
	out=$(mktemp)
	"$@" >"$out" 2>&1 || got=$?
	[ "$got" = "$want" ] || bad="exit status $got, not $want"
	for re in "${res[@]}"; do
		case $re in
		!*) ! grep -Eq -- "${re#!}" "$out" || bad="$bad; matches ${re#!}" ;;
		*) grep -Eq -- "$re" "$out" || bad="$bad; does not match $re" ;;
		esac
	done
	# shellcheck disable=SC2034 # for the caller
	output=$(cat "$out")
	if [ -z "$bad" ]; then
		pass "$name"
	else
		echo "$*: ${bad#; }" >>"$out"
		fail "$name" "$out"
	fi
	rm -f "$out"
}
