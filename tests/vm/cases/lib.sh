# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# lib.sh - what the cases in the lab VM share: the devices by the ids of tests/vm/lib/devices, their drivers, users.
#
# A case file is sourced by `run`; it leaves every device with the driver it found, or says so by failing.

results=${results:-/tmp/results}
# shellcheck source=../../lib.sh
. "${BASH_SOURCE[0]%/*}/../../lib.sh"

sys=/sys/bus/pci/devices

# addr ID: 0000:bb:dd.f of a device of the lab
lab_devices=$(lab-devices) # slow, and addresses stay
addr() {
	awk -v id="$1" '$1 == id { print $2 }' <<<"$lab_devices"
}

# driver ADDR: name of the kernel driver it is with, empty for none
driver() {
	local link
	link=$(readlink "$sys/$1/driver") || return 0
	echo "${link##*/}"
}

# interface ID: waits for the network interface of a device that is with its kernel driver, and gives it the name ID again: a
# device that was away comes back as eth0.
interface() {
	local dir name
	dir=$sys/$(addr "$1")
	wait_for 20 sh -c "ls -d $dir/net/* $dir/virtio*/net/* 2>/dev/null | grep -q ." || return 1
	for name in "$dir"/net/* "$dir"/virtio*/net/*; do
		[ ! -d "$name" ] || [ "${name##*/}" = "$1" ] ||
			{ ip link set "${name##*/}" down && ip link set "${name##*/}" name "$1"; }
	done
}

group() {
	local link
	link=$(readlink "$sys/$1/iommu_group")
	echo "${link##*/}"
}

# drivers ADDR...: one line a device, to compare before and after
drivers() {
	local a
	for a in "$@"; do echo "$a $(driver "$a") $(cat "$sys/$a/driver_override")"; done
}

# block ADDR [NSID]: /dev/nvmeXnY of an NVMe drive that is with the kernel's driver. Y is not the NSID: since namespaces
# are scanned asynchronously it is the order in which they were found.
block() {
	local dir
	for dir in "$sys/$1"/nvme/nvme*/nvme*n*; do
		[ "$(cat "$dir/nsid" 2>/dev/null)" = "${2:-1}" ] || continue
		dir=${dir##*/}
		# with native multipath the path nvmeXcYnZ belongs to the disk nvmeXnZ
		if [[ $dir =~ ^(nvme[0-9]+)c[0-9]+(n[0-9]+)$ ]]; then dir=${BASH_REMATCH[1]}${BASH_REMATCH[2]}; fi
		echo "/dev/$dir"
		return
	done
}

# has_block ADDR [NSID]: for wait_for
has_block() {
	local b
	b=$(block "$@")
	[ -n "$b" ] && [ -b "$b" ]
}

# reads_more ID READS: for wait_for; the drive has done more than that (lab-reads), so whoever has it is past its bring-up
reads_more() { [ "$(lab-reads "$1")" -gt "$2" ]; }

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		read -r -t 0.1 <> <(:) || true
	done
}

hugepages_free() { cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages; }

# as_user COMMAND...: as the unprivileged user, with no capability. In the background use "${user[@]}" COMMAND... &, whose $! is
# the command itself and not a shell around it.
user=(setpriv --reuid quoll --regid quoll --clear-groups --no-new-privs)
as_user() { "${user[@]}" "$@"; }
# Ring and buffers of ports on huge pages are more than the 8 MiB that a user may lock by default: as its
# limits.d/quoll.conf would let it.
# shellcheck disable=SC2034
net_user=(prlimit --memlock=268435456:268435456 "${user[@]}")

same() { [ "$1" = "$2" ] || { printf 'before:\n%s\nafter:\n%s\n' "$1" "$2"; return 1; }; }

# by_iommufd, by_kmod: whether the cases run over that back-end; programs and commands see the same variable
by_iommufd() { [ "${QUOLL_BACKEND:-}" = iommufd ]; }
by_kmod() { [ "${QUOLL_BACKEND:-}" = kmod ]; }

# vfio_driver: the driver that the back-end wants for its devices
vfio_driver() { if by_kmod; then echo quoll; else echo vfio-pci; fi; }

# cdev ADDR: a device's own file, as iommufd uses it, while the device is with vfio-pci
cdev() { echo "/dev/vfio/devices/$(ls "$sys/$1/vfio-dev")"; }

# iommu_mode MODE: for iommufd, so that what is in the way of a user without rights is the device's own file; 0600 before `bind`, which
# gives the file to its user only if not everybody may open it
iommu_mode() { ! by_iommufd || chmod "$1" /dev/iommu; }

# claim_file ADDR: the file by which the back-end claims it
claim_file() {
	if by_iommufd; then
		cdev "$1"
	else
		echo "/dev/$(by_kmod && echo quoll || echo vfio)/$(group "$1")"
	fi
}

# group_open GROUP PID: whether the process has the group's file open, or one of its members
group_open() {
	local fd to
	for fd in "/proc/$2/fd/"*; do
		to=$(readlink "$fd")
		[ "$to" != "/dev/vfio/$1" ] && [ "$to" != "/dev/quoll/$1" ] || return 0
		[ "${to%/*}" = /dev/vfio/devices ] || continue
		! ls -d "/sys/kernel/iommu_groups/$1/devices/"*"/vfio-dev/${to##*/}" >/dev/null 2>&1 || return 0
	done
	return 1
}

# figure SUITE NAME UNIT WHO=VALUES...: a figure for programs, one JSON object a line of /out/figures.jsonl: Quoll's and the
# peers' median, extremes and number of values. WHO is quoll or a peer's name, VALUES are numbers with blanks between.
figure() {
	local suite=$1 name=$2 unit=$3
	shift 3
	jq -cn --arg suite "$suite" --arg name "$name" --arg unit "$unit" '
		def stats: sort | {median: .[length / 2 | floor], min: .[0], max: .[-1], n: length};
		[$ARGS.positional[] | capture("^(?<key>[^=]*)=(?<values>.*)$") |
			{key, value: [.values | splits(" +") | select(. != "") | tonumber]} | select(.value != []) |
			.value |= stats] | from_entries |
		{suite: $suite, name: $name, unit: $unit, quoll, peers: del(.quoll)}' --args "$@" >>/out/figures.jsonl
}
