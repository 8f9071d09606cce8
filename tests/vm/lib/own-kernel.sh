# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # the lab sets what is "referenced but not assigned"
# A kernel image folder, as kernel.sh makes it, of a kernel that is built here from Debian's linux-source package, with the
# options of guest/config-* and no others: for what distributions' kernels have switched off.

own_kernel_timeout=3600 # seconds, for each of its steps

check_build_host() {
	local missing=() tool package
	while read -r tool package; do
		type -P "$tool" >/dev/null || missing+=("$package")
	done <<-'TOOLS'
		bc bc
		bison bison
		flex flex
		gcc gcc
		make make
	TOOLS
	[[ -e /usr/include/libelf.h ]] || missing+=(libelf-dev)
	((${#missing[@]} == 0)) ||
		fail host "not installed: ${missing[*]}" "apt-get install --no-install-recommends ${missing[*]}"
}

# fetch_source SERIES: prints the path of the package with the kernel's source.
fetch_source() {
	local suite state
	for suite in $(kernel_suites "$1"); do
		if state=$(kernel_state "$suite") && fetch_one "$state" "linux-source-$1"; then return; fi
	done
	say "no source of kernel $1 in $(kernel_suites "$1")"
	return 1
}

build_own_kernel() {
	local series=$1 out=$2 base=${1%-*} deb version
	check_build_host
	say "fetching the source of kernel $base"
	deb=$(fetch_source "$base")
	mkdir "$out/source" "$out/tree"
	dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/src/linux-source-$base.tar.xz" | xz -dc |
		tar -x -C "$out/source" --strip-components=1 --no-same-owner --exclude='*/Documentation/*/*' --exclude='*/tools/testing'
	own_configs "$series" | xargs cat >"$out/wanted"
	own_make "$out" KCONFIG_ALLCONFIG="$out/wanted" allnoconfig
	check_config "$out/source/.config" "$out/wanted"
	say "building it (some five minutes on two idle cores, twelve for debugging; once)"
	own_make "$out" bzImage modules
	own_make "$out" INSTALL_MOD_PATH="$out/tree" INSTALL_MOD_STRIP=1 DEPMOD=true modules_install
	version=$(<"$out/source/include/config/kernel.release")
	printf '%s\n' "$version" >"$out/version"
	cp "$out/source/arch/x86/boot/bzImage" "$out/vmlinuz"
	cp "$out/source/.config" "$out/config"
	strip -o "$out/vmlinux" "$out/source/vmlinux"
	build_modules "$out" "$version"
	own_headers "$out"
	rm -rf "$out/source" "$out/tree" "$out/wanted"
}

# own_headers OUT: what modules are built against, as a package of headers has it.
own_headers() {
	mkdir "$1/headers"
	(cd "$1/source" && srctree=. SRCARCH=x86 CC=gcc HOSTCC=gcc sh scripts/package/install-extmod-build "../headers/build" >"../headers.log")
}

# own_make OUT TARGET...: not for ever; its last words if it fails.
own_make() {
	local out=$1
	shift
	PATH=$PATH:/usr/sbin:/sbin timeout --foreground "$own_kernel_timeout" make -C "$out/source" -j"$(nproc)" \
		LOCALVERSION=-quoll KBUILD_BUILD_USER=lab KBUILD_BUILD_HOST=lab "$@" >"$out/make.log" 2>&1 ||
		{ tail -n 20 "$out/make.log" >&2; return 1; }
}

# check_config CONFIG WANTED: what was asked for is there: an option whose dependency is missing is dropped in silence.
check_config() {
	local line lost=0
	while read -r line; do
		grep -qxF "$line" "$1" || { say "the kernel's configuration has lost $line"; lost=1; }
	done < <(list "$2")
	((!lost))
}
