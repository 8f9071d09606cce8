# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # the lab sets what is "referenced but not assigned"
# The module of kmod/ for a kernel image: built from a copy, so that nothing is left in the source tree.

# build_kmod KERNEL-IMAGE OUT: OUT/quoll.ko. Without type data, which needs a program of the kernel's own packages.
build_kmod() {
	local kernel=$1 out=$2
	say "building quoll.ko for $(cat "$kernel/version")"
	cp -r "$lab/../../kmod" "$out/tree"
	# with the compiler of a later Debian where the kernel is one
	if ! PATH="$kernel/headers/tools/usr/bin:$PATH" make -C "$out/tree" KDIR="$kernel/headers/build" CC=gcc CONFIG_DEBUG_INFO_BTF_MODULES= >"$out/make.log" 2>&1; then
		tail -n 40 "$out/make.log" >&2
		return 1
	fi
	if grep -i 'warning:' "$out/make.log" | grep -vE '(compiler|pahole version) differs' >&2; then
		say 'quoll.ko: built with warnings'
		return 1
	fi
	strip --strip-debug -o "$out/quoll.ko" "$out/tree/quoll.ko"
	rm -rf "$out/tree"
}
