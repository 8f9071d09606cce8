# shellcheck shell=bash disable=SC2154 # what lib.sh sets
# SPDX-License-Identifier: BSD-3-Clause
# vhost.sh - quoll fwd's vhost port and DPDK's virtio-user: split and packed rings, one queue and two, every packet
# counted on both sides; either side killed in the middle of traffic.

# testpmd ARG...: in the background, told what to do by pmd_do; it says what it has done in $dir/pmd.log
pmd_nr=0
# The first and the last CPU that we may use.
pmd_cpus=$(taskset -cp $$ | sed 's/.*: *\([0-9]*\)\(.*[-,]\)\{0,1\}\([0-9]*\)$/0@\1,1@\3/')
pmd_start() { # pmd_start VDEV-OPTIONS QUEUES MODE [START]
	rm -f "$dir/pmd.in"
	mkfifo "$dir/pmd.in"
	: >"$dir/pmd.log"
	pmd_nr=$((pmd_nr + 1)) # DPDK keeps a lock by that name, and who was killed may hold it yet
	pmd_prefix=quoll-$$-$pmd_nr
	timeout 120 stdbuf -oL dpdk-testpmd --no-huge -m 256 --no-pci --no-telemetry --file-prefix "$pmd_prefix" --lcores "$pmd_cpus" \
		--vdev "net_virtio_user0,path=$dir/vhost.sock,queues=$2,$1" -- -i --forward-mode="$3" --txq="$2" --rxq="$2" \
		--total-num-mbufs=8192 <"$dir/pmd.in" >"$dir/pmd.log" 2>&1 &
	pmd_pid=$!
	exec 9>"$dir/pmd.in"
	echo "${4:-start}" >&9
}

# As a server it says so before anybody connects.
pmd_ready() { wait_for 60 grep -q 'packet forwarding' "$dir/pmd.log"; }

pmd_do() { # pmd_do COMMAND PATTERN: and wait for it in what it prints from there on
	local from
	from=$(($(wc -l <"$dir/pmd.log") + 1))
	(echo "$1" >&9) # it may have died
	wait_for 30 sh -c "tail -n +$from '$dir/pmd.log' | grep -q '$2'"
}

pmd_count() { # pmd_count RX|TX: packets so far
	pmd_do 'show port stats 0' "$1-packets" || return 1
	grep "$1-packets" "$dir/pmd.log" | tail -n 1 | sed "s/.*$1-packets: *\\([0-9]*\\).*/\\1/"
}

pmd_moved() { [ "$(pmd_count "$1")" -ge "$2" ]; }
pmd_has() { [ "$(pmd_count "$1")" = "$2" ]; }

pmd_end() { # in order, or at once with KILL
	if [ -z "${1:-}" ]; then
		(echo quit >&9)
	else
		kill -9 "$(pgrep -P "$pmd_pid")" "$pmd_pid"
	fi
	exec 9>&-
	wait_for 30 sh -c "[ ! -e /proc/$pmd_pid ] || grep -q '^State:.Z' /proc/$pmd_pid/status" || kill -9 "$pmd_pid"
	wait "$pmd_pid" 2>/dev/null
	rm -rf "/var/run/dpdk/$pmd_prefix" "${XDG_RUNTIME_DIR:-/tmp}/dpdk/$pmd_prefix"
}

fwd_start() { # fwd_start FILE ARG...
	local out=$1
	shift
	"$quoll" fwd --json --time 120 "$@" >"$out" 2>"$dir/fwd.log" &
	fwd_pid=$!
}

# It sleeps only when there is nothing in any ring.
fwd_asleep() { grep -q '^State:.S' "/proc/$fwd_pid/status"; }
fwd_gone() { [ ! -e "/proc/$fwd_pid" ] || grep -q '^State:.Z' "/proc/$fwd_pid/status"; }

fwd_end() { # fwd_end [SIGNAL]: none: it ends by itself
	[ -z "${1:-}" ] || kill -"$1" "$fwd_pid"
	wait_for 60 fwd_gone || kill -9 "$fwd_pid"
	wait "$fwd_pid" 2>/dev/null
}

fwd_linked() { grep -q 'link up' "$dir/fwd.log"; }

# field FILE PORT NAME: of a port in a summary
field() { jq ".ports[$2].$3" "$1"; }

# DPDK's guest sends, and all of it is received.
vhost_from_guest() { # vhost_from_guest OPTIONS QUEUES
	local sent
	fwd_start "$dir/fwd.json" "vhost:$dir/vhost.sock" --queues "$2"
	wait_for 30 test -S "$dir/vhost.sock" || return 1
	pmd_start "$1" "$2" txonly
	pmd_ready && wait_for 60 pmd_moved TX 100000 && pmd_do stop 'Accumulated forward' && wait_for 30 fwd_asleep
	sent=$(pmd_count TX)
	pmd_end
	fwd_end INT
	echo "sent $sent, received $(field "$dir/fwd.json" 0 rx_packets)"
	[ "$sent" -ge 100000 ] && [ "$sent" = "$(field "$dir/fwd.json" 0 rx_packets)" ] &&
		[ "$(field "$dir/fwd.json" 0 rx_bad)" = 0 ]
}

# And what it is sent arrives: frames go round, and at the end the guest receives those on their way.
vhost_round() { # vhost_round OPTIONS QUEUES
	local sent rc=0
	fwd_start "$dir/fwd.json" "vhost:$dir/vhost.sock" --queues "$2"
	wait_for 30 test -S "$dir/vhost.sock" || return 1
	pmd_start "$1" "$2" io 'start tx_first 4'
	pmd_ready && wait_for 60 pmd_moved RX 100000 && pmd_do stop 'Accumulated forward' && wait_for 30 fwd_asleep || rc=1
	sent=$(pmd_count TX)
	pmd_do 'set fwd rxonly' 'Set rxonly' && pmd_do start 'packet forwarding' && wait_for 30 pmd_has RX "$sent" || rc=1
	echo "sent $sent, came back $(pmd_count RX)"
	pmd_end
	fwd_end INT
	jq -c '.ports[0] | [.rx_packets, .tx_packets, .rx_bad, .tx_full]' "$dir/fwd.json"
	[ $rc = 0 ] && [ "$(jq -c '.ports[0] | [.rx_packets, .tx_packets, .rx_bad, .tx_full]' "$dir/fwd.json")" = "[$sent,$sent,0,0]" ]
}

# A guest that is killed in the middle is nothing to the next one.
vhost_guest_killed() { # vhost_guest_killed OPTIONS QUEUES
	local rc=0
	fwd_start "$dir/fwd.json" "vhost:$dir/vhost.sock" --queues "$2"
	wait_for 30 test -S "$dir/vhost.sock" || return 1
	for _ in 1 2 3; do
		pmd_start "$1" "$2" txonly
		pmd_ready && wait_for 60 pmd_moved TX 20000 || rc=1
		pmd_end KILL
	done
	pmd_start "$1" "$2" txonly
	pmd_ready && wait_for 60 pmd_moved TX 20000 || rc=1
	pmd_end
	fwd_end INT
	cat "$dir/fwd.log"
	[ $rc = 0 ] && [ "$(field "$dir/fwd.json" 0 rx_packets)" -ge 80000 ] && [ "$(field "$dir/fwd.json" 0 rx_bad)" = 0 ]
}

# Nor is a forwarder that is killed to the guest: another one connects, and goes on.
vhost_killed() { # vhost_killed OPTIONS QUEUES
	local sent rc=0
	pmd_start "$1,server=1" "$2" txonly
	for _ in 1 2; do
		fwd_start "$dir/fwd.json" "vhost:$dir/vhost.sock?client=1" --queues "$2"
		pmd_ready && wait_for 60 fwd_linked || rc=1
		sent=$(pmd_count TX)
		wait_for 60 pmd_moved TX $((sent + 20000)) || rc=1
		fwd_end KILL
	done
	fwd_start "$dir/fwd.json" "vhost:$dir/vhost.sock?client=1" --queues "$2"
	wait_for 60 fwd_linked || rc=1
	sent=$(pmd_count TX)
	wait_for 60 pmd_moved TX $((sent + 20000)) || rc=1
	fwd_end INT
	pmd_end
	[ $rc = 0 ] && [ "$(field "$dir/fwd.json" 0 rx_packets)" -ge 20000 ] && [ "$(field "$dir/fwd.json" 0 rx_bad)" = 0 ]
}

if ! command -v dpdk-testpmd >/dev/null; then
	skip 'vhost: DPDK' 'no dpdk-testpmd (package dpdk)'
elif [ "$(nproc)" -lt 2 ]; then
	skip 'vhost: DPDK' 'testpmd wants two CPUs'
else
	for queues in 1 2; do
		for packed in 0 1; do
			name="$([ $packed = 1 ] && echo packed || echo split), queues=$queues"
			expect "vhost: DPDK's virtio-user, $name: what the guest sends comes, all of it" 0 'sent' -- \
				vhost_from_guest packed_vq=$packed $queues
			expect "vhost: DPDK's virtio-user, $name: what goes round arrives, all of it" 0 'sent' -- \
				vhost_round packed_vq=$packed $queues
		done
	done
	for packed in 0 1; do
		name=$([ $packed = 1 ] && echo packed || echo split)
		expect "vhost: DPDK's virtio-user, $name, killed in mid-traffic: the next is served" 0 'link down' -- \
			vhost_guest_killed packed_vq=$packed 2
		expect "vhost: killed in mid-traffic, $name: the next forwarder goes on" 0 -- vhost_killed packed_vq=$packed 2
	done
fi
