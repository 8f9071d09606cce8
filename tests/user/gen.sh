# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# gen.sh - what `quoll gen` sends, as the kernel and tcpdump see it: how many frames, of which sizes, of which flows, with
# right checksums, and no faster than it was told.
#
# Sourced by run.

: "${here:?the folder of this file}"
# shellcheck source=netns.sh
. "$here/netns.sh"

# captured COUNT OPTION...: so many frames sent with these options; what tcpdump makes of them is in $dir/frames, a line each
captured() {
	local count=$1 pid rc=0
	shift
	in_ns m timeout 60 tcpdump -i p0 -n -c "$count" --immediate-mode -s 2048 -B 16384 -w "$dir/frames.pcap" >"$dir/tcpdump" 2>&1 &
	pid=$!
	wait_for 30 grep -q 'listening on' "$dir/tcpdump" || { cat "$dir/tcpdump"; return 1; }
	in_ns m "$quoll" gen xdp:g0 --tx-only --count "$count" --src-port 3000 "$@" --json >"$dir/gen.json" 2>"$dir/gen.err" || { cat "$dir/gen.err"; rc=1; }
	[ $rc = 0 ] || kill "$pid"
	wait "$pid" || rc=1
	# What begins with space belongs to the line before.
	tcpdump -n -t -vv -e -r "$dir/frames.pcap" 2>/dev/null |
		awk '/^[^ \t]/ { if (line) print line; line = $0; next } { sub(/^[ \t]*/, " "); line = line $0 } END { print line }' >"$dir/frames"
	head -n 3 "$dir/frames"
	jq -c .sent "$dir/gen.json"
	return $rc
}

# tally SED: how often there is what SED makes of a line, as "COUNT TEXT", one after the other
tally() { sed -n "$1" "$dir/frames" | sort | uniq -c | awk '{ printf "%s%s %s", sep, $1, $2; sep = ", " }'; }

same() { [ "$1" = "$2" ] || { echo "$1, not $2"; return 1; }; }

imix_of_thirteen_flows() {
	captured 1200 --size imix --flows 13 --rate 20kpps && same "$(grep -c 'udp sum ok' "$dir/frames")" 1200 &&
		same "$(tally 's/.*, length \([0-9]*\): (tos.*/\1/p')" '100 1514, 400 590, 700 60' &&
		same "$(tally 's/.* 198\.18\.0\.1\.\([0-9]*\) > 198\.19\.0\.1\.9: .*/\1/p' | wc -w)" 26 &&
		same "$(tally 's/.* 198\.18\.0\.1\.\([0-9]*\) > 198\.19\.0\.1\.9: .*/x/p')" '1200 x'
}

tagged_v6() {
	captured 100 --src-ip 2001:db8::1 --dst-ip 2001:db8::ffff --vary dst-ip --flows 2 --vlan 7 --size 100 --rate 20kpps &&
		same "$(grep -c 'vlan 7, p 0, .*udp sum ok' "$dir/frames")" 100 &&
		same "$(tally 's/.* 2001:db8::1\.3000 > \(.*\)\.9: .*/\1/p')" '50 2001:db8::1:0, 50 2001:db8::ffff'
}

# Never ahead of what is due, the first of which is so at once; behind it is as much as the machine is busy.
no_faster_than() { # no_faster_than PPS RATE SIZE
	captured 2000 --rate "$2" --size "$3" && jq -e ".sent.packets == 2000 and .sent.packets_per_s <= $1 * 1.01" "$dir/gen.json"
}

line_up() {
	ip -n "$ns-m" link add g0 type veth peer name p0 && ip -n "$ns-m" link set g0 up && ip -n "$ns-m" link set p0 up
}

expect 'gen: no frame comes from a group of stations' 2 'src-mac 01:00:00:00:00:01: .*multicast' '^try: quoll gen --help' -- \
	"$quoll" gen null: --src-mac 01:00:00:00:00:01 --count 1
reason=$(netns_missing xdp)
command -v tcpdump >/dev/null || reason='tcpdump is not installed'
if [ -n "$reason" ]; then
	skip 'gen: frames as tcpdump sees them' "$reason"
else
	trap netns_cleanup EXIT
	check 'gen: a namespace with veth' eval 'netns_up && line_up'
	check 'gen: IMIX, flows, checksums, as tcpdump sees them' imix_of_thirteen_flows
	check 'gen: IPv6 with a tag, too' tagged_v6
	check 'gen: a rate in packets' no_faster_than 10000 10kpps 64
	check 'gen: a rate in bits, FCS included' no_faster_than 10000 8.08Mbit/s 64-138
	check "gen: a rate in percent of the line, preamble and gap included" no_faster_than 10000 0.0672% 64
	netns_down
	trap user_cleanup EXIT
fi
