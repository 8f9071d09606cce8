# shellcheck shell=bash disable=SC2154 # what lib.sh sets
# SPDX-License-Identifier: BSD-3-Clause
# target-config.sh - what the command line and a configuration may say, and how wrong ones are refused.

json() { printf '%s\n' "$1" >"$dir/target.json"; }

expect 'config: nowhere to listen is wrong use' 2 'nowhere to listen' '^try: --listen' -- \
	timeout 20 "$quoll" target --ns mem:1M
expect 'config: an address that is none is wrong use' 2 "character 9 is ':'" -- \
	timeout 20 "$quoll" target --listen vfio-use:/x
expect 'config: an option of the address that is none likewise' 2 'doorbell' -- \
	timeout 20 "$quoll" target --listen "vfio-user:$sock?doorbell=mapped"
expect 'config: a fault that is none likewise, with where' 2 'character 1.*delay drop' -- \
	timeout 20 "$quoll" target --listen "vfio-user:$sock" --fault drip
expect 'config: more cores than threads' 2 '2 cores for 1 threads' -- \
	timeout 20 "$quoll" target --listen "vfio-user:$sock" --cores 0,1
expect 'config: a namespace that cannot be opened fails, and names it' 1 "file:$dir/none: .*ENOENT" -- \
	timeout 20 "$quoll" target --listen "vfio-user:$sock" --ns "file:$dir/none"
expect 'config: a file that is not there' 1 "$dir/target.json: can't be read" -- \
	timeout 20 "$quoll" target --config "$dir/target.json"
json '{"listeners": ["vfio-user:/x"], "treads": 1}'
expect 'config: a key that nobody knows' 1 'no key "treads"; known are .*threads' -- \
	timeout 20 "$quoll" target --config "$dir/target.json"
json '{"listeners": [],}'
expect 'config: what is no JSON, with line and column' 1 'line 1, column 18' -- \
	timeout 20 "$quoll" target --config "$dir/target.json"
check 'config: nothing of it left a socket' test ! -e "$sock"

json '{
  "subsystem": {"nqn": "nqn.2026-01.org.example:disks", "serial": "S-1", "model": "Example"},
  "listeners": [{"address": "vfio-user:'"$sock"'", "doorbells": "trapped"}],
  "namespaces": [{"address": "mem:4M?bs=4096", "nsid": 7}],
  "faults": ["status=0x281,op=compare"],
  "threads": 2,
  "control": "'"$ctl"'"
}'
target_start --config "$dir/target.json" --ns mem:2M --listen "vfio-user:$dir/q1.sock"
expect 'config: the file and options add up' 0 'Example' 'S-1' 'nqn.2026-01.org.example:disks' '^ +1 +2 MiB' \
	'^ +7 +4 MiB' -- nvme identify
expect 'config: the control socket shows them' 0 '"doorbells": "trapped"' "\"address\": \"vfio-user:$dir/q1.sock\"" \
	'"doorbells": "mapped"' -- "$quoll" rpc "$ctl" listener.list
expect 'config: it ends on SIGINT too' 0 -- target_end INT

# names OPTION...: NQN and serial number of a target, as a client sees them
names() {
	target_start --ns mem:1M "$@" || return 1
	nvme identify --json | jq -r '.controller | .subnqn, .serial'
	target_end >/dev/null
}
first=$(names --listen "vfio-user:$sock")
check 'config: a target has a name and a serial number of its own' grep -qPz '^nqn\..*:uuid:[0-9a-f-]{36}\nQUOLL[0-9a-f]{15}\n$' \
	<<<"$first"
check 'config: and has them again' test "$first" = "$(names --listen "vfio-user:$sock")"
second=$(names --listen "vfio-user:$dir/q1.sock" --listen "vfio-user:$sock")
check 'config: another one has others' test "$first" != "$second" -a -n "$second"
check 'config: unless they are given' test "$(names --listen "vfio-user:$sock" --nqn nqn.2026-01.org.example:a --serial 7)" = \
	$'nqn.2026-01.org.example:a\n7'
expect 'config: a serial number that is too long is wrong use' 2 '1 to 20' -- \
	timeout 20 "$quoll" target --listen "vfio-user:$sock" --serial 123456789012345678901
