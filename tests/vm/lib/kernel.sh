# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # the lab sets what is "referenced but not assigned"
# A kernel image folder, from Debian's image package of a series: the kernel (as ELF, where it can be had), an initramfs
# with the early modules, the chosen modules as a squashfs, and the headers that modules are built against.

# kernel_suites SERIES: where this series is looked for, best first.
kernel_suites() {
	case $1:$(host_codename) in
	6.1:*) echo bookworm ;;
	6.12:bookworm) echo bookworm-backports trixie ;;
	7*) echo sid ;;
	*) echo trixie bookworm-backports ;;
	esac
}

# kernel_state SUITE: the private apt state in which kernels of a suite are, its security updates with them.
kernel_state() {
	local suites=("$1")
	[[ $1 == *-* || $1 == sid ]] || suites+=("$1-security")
	apt_state "kernel-$1" "${suites[@]}"
}

# newest_kernel STATE SERIES: the name of the newest plain amd64 image package of the series.
newest_kernel() {
	private_apt "$1" apt-cache pkgnames "linux-image-$2" |
		grep -E "^linux-image-${2//./\\.}\\.[0-9.]+[-+~a-z0-9]*-amd64\$" | grep -vE 'cloud|rt-amd64' | sort -V | tail -n 1
}

build_kernel() {
	local series=$1 out=$2 suite state package='' version
	for suite in $(kernel_suites "$series"); do
		if state=$(kernel_state "$suite"); then
			package=$(newest_kernel "$state" "$series") || true
			[[ -z $package ]] || break
		fi
	done
	[[ -n $package ]] || { say "no kernel $series in $(kernel_suites "$series")"; return 1; }
	version=${package#linux-image-}
	printf '%s\n' "$version" >"$out/version"
	say "fetching $package"
	unpack_parts "$state" "$package" 'linux-(base|binary|modules)-[0-9][^ ]*' "$out/tree" --exclude='./usr/share/*'
	cp "$(kernel_file "$out/tree" vmlinuz "$version")" "$out/vmlinuz"
	cp "$(kernel_file "$out/tree" config "$version")" "$out/config"
	extract_vmlinux "$out/vmlinuz" "$out/vmlinux"
	say "choosing the modules of $version"
	build_modules "$out" "$version"
	say "fetching the headers of $version"
	unpack_headers "$state" "$version" "$out/headers"
	[[ $suite != sid ]] || unpack_compiler "$state" "$version" "$out/headers"
	rm -rf "$out/tree"
}

# kernel_file TREE NAME VERSION: since 7.x they are in several packages, and beside the modules.
kernel_file() {
	local file=$1/boot/$2-$3
	[[ -e $file ]] || file=$1/usr/lib/modules/$3/$2
	printf '%s\n' "$file"
}

# unpack_parts STATE PACKAGE REGEX FOLDER TAR-ARGS...: the package, and those of what it depends on that REGEX matches.
unpack_parts() {
	local state=$1 package=$2 regex=$3 folder=$4 deb
	shift 4
	mkdir -p "$folder"
	while read -r package; do
		deb=$(fetch_one "$state" "$package")
		unpack "$deb" "$folder" "$@"
	done < <(printf '%s\n' "$package" && private_apt "$state" apt-cache show --no-all-versions "$package" |
		sed -n 's/^Depends: //p' | sed 's/[,|]/\n/g' | sed -nE "s/^ *($regex).*/\\1/p")
}

# unpack_headers STATE VERSION FOLDER: with FOLDER/build as a module's KDIR. Debian's makefile names its other half by an
# absolute path, which would be the host's.
unpack_headers() {
	local version=$2 folder=$3
	unpack_parts "$1" "linux-headers-$version" 'linux-headers-[^ ]*-common|linux-kbuild-[^ ]*' "$folder" \
		--exclude='./usr/share/*' --exclude='vmlinux'
	# shellcheck disable=SC2016 # make's variables
	sed -i 's@/usr/src/@$(dir $(realpath $(lastword $(MAKEFILE_LIST))))../@' "$folder/usr/src/linux-headers-$version/Makefile"
	ln -s "usr/src/linux-headers-$version" "$folder/build"
}

# unpack_compiler STATE VERSION FOLDER: for a kernel of a Debian that is later than the host's: the compiler that its headers want, as
# FOLDER/tools/usr/bin/gcc with what it calls, and their own programs, run on the host.
unpack_compiler() {
	local folder=$3 tree=$3/tree tools=$3/tools deb name program
	mkdir -p "$tools/debs" "$tools/usr/bin"
	make_tree "$tree"
	fetch_closure "$1" "$tools/debs" "linux-headers-$2"
	for deb in "$tools"/debs/*.deb; do
		[[ ${deb##*/} == linux-* ]] || unpack "$deb" "$tree" --no-same-permissions --exclude='./usr/share/*'
	done
	for name in as ld nm objcopy objdump ar strip readelf; do cp "$tree/usr/bin/x86_64-linux-gnu-$name" "$tools/usr/bin/"; done
	cp "$tree"/usr/bin/x86_64-linux-gnu-gcc-[0-9]* "$tools/usr/bin/gcc"
	for program in "$tree"/usr/libexec/gcc/x86_64-linux-gnu/*/cc1; do
		mkdir -p "$tools$(dirname "${program#"$tree"}")"
		cp "$program" "$tools${program#"$tree"}"
	done
	while read -r program; do wrap_later "$tree" "$tools/lib" "$program"; done < <(later_programs "$tools/usr" "$folder/usr")
	rm -rf "$tree" "$tools/debs"
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
