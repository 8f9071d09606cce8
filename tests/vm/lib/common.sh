# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # the lab sets what is "referenced but not assigned"
# What every part of the lab uses: messages, the error form, the list of host packages, the cache folder. The lab sets
# `lab` (its folder) and the opt_* variables before it calls anything here or in the other parts.

say() { printf 'lab: %s\n' "$*" >&2; }

# fail SUBJECT WHAT-HAPPENED [WHAT-TO-TRY]: the lab itself failed; always exit status 125.
fail() {
	printf 'lab: %s: %s\n' "$1" "$2" >&2
	[[ -z ${3-} ]] || printf 'try: %s\n' "$3" >&2
	exit 125
}

# list FILE: its lines without comments and blank lines.
list() { sed -e 's/[[:space:]]*#.*//' -e '/^[[:space:]]*$/d' "$1"; }

cache_dir() { printf '%s\n' "${QUOLL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/quoll}/lab"; }

check_host() {
	local missing=() tool package
	while read -r tool package; do
		PATH=$PATH:/usr/sbin:/sbin type -P "$tool" >/dev/null || missing+=("$package")
	done <<-'TOOLS'
		strip binutils
		busybox busybox-static
		cpio cpio
		gcc gcc
		depmod kmod
		make make
		qemu-system-x86_64 qemu-system-x86
		mksquashfs squashfs-tools
		xz xz-utils
		zstd zstd
	TOOLS
	((${#missing[@]} == 0)) ||
		fail host "not installed: ${missing[*]}" "apt-get install --no-install-recommends ${missing[*]}"
}
