# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # the lab sets what is "referenced but not assigned"
# A kernel image folder, from Debian's image package of a series: the kernel (as ELF, where it can be had), an initramfs
# with the early modules, the chosen modules as a squashfs, and the headers that modules are built against.

# kernel_suites SERIES: where this series is looked for, best first.
kernel_suites() {
	case $1:$(host_codename) in
	6.1:*) echo bookworm ;;
	6.12:bookworm) echo bookworm-backports trixie ;;
	*) echo trixie bookworm-backports ;;
	esac
}

# newest_kernel STATE SERIES: the name of the newest plain amd64 image package of the series.
newest_kernel() {
	private_apt "$1" apt-cache pkgnames "linux-image-$2" |
		grep -E "^linux-image-${2//./\\.}\\.[0-9.]+[-+~a-z0-9]*-amd64\$" | grep -vE 'cloud|rt-amd64' | sort -V | tail -n 1
}

build_kernel() {
	local series=$1 out=$2 suite state package='' deb version
	for suite in $(kernel_suites "$series"); do
		suites=("$suite")
		[[ $suite == *-* ]] || suites+=("$suite-security")
		if state=$(apt_state "kernel-$suite" "${suites[@]}"); then
			package=$(newest_kernel "$state" "$series") || true
			[[ -z $package ]] || break
		fi
	done
	[[ -n $package ]] || { say "no kernel $series in $(kernel_suites "$series")"; return 1; }
	say "fetching $package"
	deb=$(fetch_one "$state" "$package")
	mkdir "$out/tree"
	unpack "$deb" "$out/tree" --exclude='./usr/share/*'
	version=${package#linux-image-}
	printf '%s\n' "$version" >"$out/version"
	cp "$out/tree/boot/vmlinuz-$version" "$out/vmlinuz"
	cp "$out/tree/boot/config-$version" "$out/config"
	extract_vmlinux "$out/vmlinuz" "$out/vmlinux"
	say "choosing the modules of $version"
	build_modules "$out" "$version"
	say "fetching the headers of $version"
	unpack_headers "$state" "$version" "$out/headers"
	rm -rf "$out/tree"
}

# unpack_headers STATE VERSION FOLDER: with FOLDER/build as a module's KDIR. Debian's makefile names its other half by an
# absolute path, which would be the host's.
unpack_headers() {
	local state=$1 version=$2 folder=$3 package deb
	mkdir -p "$folder"
	while read -r package; do
		deb=$(fetch_one "$state" "$package")
		unpack "$deb" "$folder" --exclude='./usr/share/*' --exclude='vmlinux'
	done < <(printf 'linux-headers-%s\n' "$version" && private_apt "$state" apt-cache show --no-all-versions "linux-headers-$version" |
		sed -n 's/^Depends: //p' | sed 's/[,|]/\n/g' | sed -nE 's/^ *(linux-headers-[^ ]*-common|linux-kbuild-[^ ]*).*/\1/p')
	# shellcheck disable=SC2016 # make's variables
	sed -i 's@/usr/src/@$(dir $(realpath $(lastword $(MAKEFILE_LIST))))../@' "$folder/usr/src/linux-headers-$version/Makefile"
	ln -s "usr/src/linux-headers-$version" "$folder/build"
}

# extract_vmlinux BZIMAGE OUT: the ELF kernel inside (boot protocol: payload_offset and payload_length, 2.08), so that
# it need not unpack itself under emulation. Without one the lab boots the bzImage.
extract_vmlinux() {
	local sects offset length start tool
	sects=$(od -An -tu1 -j $((0x1f1)) -N1 "$1")
	offset=$(od -An -tu4 -j $((0x248)) -N4 "$1")
	length=$(od -An -tu4 -j $((0x24c)) -N4 "$1")
	start=$(((sects + 1) * 512 + offset))
	for tool in xz zstd gzip lz4; do
		type -P "$tool" >/dev/null || continue
		tail -c +$((start + 1)) "$1" | head -c "$length" | "$tool" -dc >"$2" 2>/dev/null || true
		[[ $(head -c 4 "$2" | od -An -c | tr -d ' ') != '177ELF' ]] || return 0
	done
	rm -f "$2"
}

# build_modules OUT VERSION: the chosen modules, unpacked and without their signatures and type data (checking and
# parsing them costs time under emulation), as modules.sqfs, and the initramfs with the early ones.
build_modules() {
	local out=$1 version=$2 from to module
	from=$out/tree/lib/modules/$version
	[[ -d $from ]] || from=$out/tree/usr/lib/modules/$version
	to=$out/chosen/usr/lib/modules/$version
	mkdir -p "$to"
	PATH=$PATH:/usr/sbin:/sbin depmod -b "${from%/lib/modules/*}" "$version"
	chosen_modules "$from" 'early |boot |' | while read -r module; do
		mkdir -p "$to/${module%/*}"
		case $module in
		*.xz) xz -dc "$from/$module" >"$to/${module%.xz}" ;;
		*.zst) zstd -qdc "$from/$module" >"$to/${module%.zst}" ;;
		*) cp "$from/$module" "$to/$module" ;;
		esac
	done
	find "$to" -name '*.ko' -exec strip --strip-debug -R .BTF {} +
	cp "$from"/modules.{order,builtin,builtin.modinfo} "$to/"
	PATH=$PATH:/usr/sbin:/sbin depmod -b "$out/chosen/usr" "$version"
	mksquashfs "$out/chosen/usr/lib/modules" "$out/modules.sqfs" -all-root -noappend -no-progress -noI -noD -noF -noX \
		>"$out/mksquashfs.log"
	build_initrd "$out" "$to" "$from"
	rm -rf "$out/chosen"
}

# chosen_modules FROM PREFIX: paths of the modules that guest/modules names with PREFIX, dependencies first.
chosen_modules() {
	local from=$1 prefix=$2
	list "$lab/guest/modules" | sed -nE "s@^($prefix)([^ ]+)\$@kernel/\2@p" | awk '
		FNR == NR { want[++n] = $1; next }
		{ sub(":", "", $1); deps[$1] = ""; for (i = NF; i > 1; i--) deps[$1] = deps[$1] " " $i }
		function emit(path,   d, k, c) {
			if (done[path]++) return
			c = split(deps[path], d, " ")
			for (k = 1; k <= c; k++) emit(d[k])
			print path
		}
		END {
			for (w = 1; w <= n; w++)
				for (path in deps)
					if (index(path, want[w] "/") == 1 || index(path, want[w] ".ko") == 1) emit(path)
		}' - "$from/modules.dep"
}

build_initrd() {
	local out=$1 to=$2 from=$3 tree=$1/initrd.tree module
	mkdir -p "$tree"/{bin,modules,proc,sys,dev,ro,rw,mod}
	cp "$(type -P busybox)" "$tree/bin/busybox"
	ln -s busybox "$tree/bin/sh"
	while read -r module; do
		module=${module%.xz} module=${module%.zst}
		cp "$to/$module" "$tree/modules/"
		printf '/modules/%s\n' "${module##*/}"
	done < <(chosen_modules "$from" 'early ') >"$tree/modules/early"
	chosen_modules "$from" 'boot ' | sed -E "s@^(.*\.ko)(\..*)?\$@/usr/lib/modules/${to##*/}/\1@" |
		grep -vE "/($(sed -E 's@.*/@@' "$tree/modules/early" | paste -sd'|'))\$" >"$tree/modules/boot"
	(cd "$tree" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0) >"$out/initrd"
	rm -rf "$tree"
}
