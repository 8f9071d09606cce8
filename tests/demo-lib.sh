# shellcheck shell=bash disable=SC2034 # $failed is for who sources this
# SPDX-License-Identifier: BSD-3-Clause
# demo-lib.sh - how the parts of the demo tell what they do: steps, commands as typed, and rows of a closing table.
#
# Sourced by tests/user/demo and, in the lab VM, by tests/vm/demo. $failed is 1 if a step failed.

rows=()
failed=0
detail='' # set by a step: what its row says in place of "yes"

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }

show() { # show COMMAND...: as typed, then what it prints, indented
	echo "  \$ $*"
	"$@" 2>&1 | sed 's/^/    /'
	return "${PIPESTATUS[0]}"
}

row() { rows+=("$(printf '%-62s %s' "$1" "$2")"); }

done_if() { # done_if WHAT COMMAND...: a row of the closing table
	local what=$1
	shift
	if "$@"; then row "$what" "${detail:-yes}"; else row "$what" 'NO'; failed=1; fi
	detail=''
}

# shellcheck disable=SC2317 # called through done_if
refuses() { ! show "$@"; }
