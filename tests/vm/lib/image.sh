# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# The lab's images, in the cache: a root file system (squashfs of Debian packages of the host's own release, so that
# binaries built on the host run in it) and, for each kernel series, the kernel, an initramfs and a squashfs of modules.
# Each is named by a hash of its recipe, built in a temporary folder and renamed into place under a lock.

# recipe FILE...: a short hash of these files' contents and of the host's release.
recipe() { { host_codename; cat "$@"; } | sha256sum | cut -c1-12; }

root_key() { printf 'root-%s-%s\n' "$(host_codename)" "$(recipe "$lab/lib/image.sh" "$lab/guest/packages")"; }
kernel_key() { printf 'kernel-%s-%s\n' "$1" "$(recipe "$lab/lib/image.sh" "$lab/guest/modules")"; }

# image KIND-PREFIX KEY BUILDER ARGS...: prints the image folder, building it when it is not there. An older image of
# the same kind serves when building fails because no package can be fetched.
image() {
	local prefix=$1 key=$2 cache new old
	shift 2
	cache=$(cache_dir)/images
	mkdir -p "$cache"
	if [[ ! -d $cache/$key ]]; then
		(
			flock 9
			[[ ! -d $cache/$key ]] || exit 0
			new=$(mktemp -d "$cache/.new.XXXXXX")
			trap 'rm -rf "$new"' EXIT
			"$@" "$new" && chmod 755 "$new" && mv -T "$new" "$cache/$key" && say "$key is ready"
		) 9>"$cache/.lock.$prefix" >&2 || true
	fi
	if [[ -d $cache/$key ]]; then
		for old in "$cache/$prefix"-*; do # keep the one before, for other checkouts
			[[ $old == "$cache/$key" || -n $(find "$old" -maxdepth 0 -mtime -14) ]] || rm -rf "$old"
		done
		touch "$cache/$key"
		printf '%s\n' "$cache/$key"
		return
	fi
	old=$(find "$cache" -maxdepth 1 -name "$prefix-*" -printf '%T@ %p\n' | sort -rn | sed -n '1s/^[^ ]* //p')
	[[ -n $old ]] || return 1
	say "could not build $key; using ${old##*/}, made from an older recipe"
	printf '%s\n' "$old"
}

# unpack DEB ROOT TAR-ARGS...: /lib, /bin and /sbin may be links into /usr.
unpack() {
	local deb=$1 root=$2
	shift 2
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink --no-same-owner "$@"
}

# choose_packages STATE: guest/packages with the alternatives resolved.
choose_packages() {
	local state=$1 line name
	while read -r line; do
		for name in ${line//|/ }; do
			if private_apt "$state" apt-cache show "$name" >/dev/null 2>&1; then
				printf '%s\n' "$name"
				continue 2
			fi
		done
		say "no package for $line in $(host_codename); left out"
	done < <(list "$lab/guest/packages")
}

build_root() {
	local out=$1 state root deb codename packages
	codename=$(host_codename)
	state=$(apt_state "$codename" "$codename" "$codename-updates" "$codename-security") ||
		{ say "no package lists for $codename"; return 1; }
	root=$out/tree
	mkdir -p "$out/debs" "$root"/usr/{bin,sbin,lib,lib64}
	for deb in bin sbin lib lib64; do ln -s "usr/$deb" "$root/$deb"; done
	mapfile -t packages < <(choose_packages "$state")
	say "fetching the guest's packages (${#packages[@]} and what they need)"
	fetch_closure "$state" "$out/debs" "${packages[@]}" || return 1
	say "making the root file system"
	for deb in "$out"/debs/*.deb; do
		unpack "$deb" "$root" --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' \
			--exclude='./usr/share/locale/*' --exclude='./usr/share/info/*' --exclude='*/__pycache__/*' || return 1
	done
	finish_root "$root"
	mksquashfs "$root" "$out/root.sqfs" -all-root -noappend -no-progress -noI -noD -noF -noX >"$out/mksquashfs.log" ||
		return 1
	rm -rf "$root" "$out/debs"
}

# finish_root ROOT: what packages' scripts would have done, as far as the lab needs it.
finish_root() {
	local root=$1
	mkdir -p "$root"/{proc,sys,dev,run,tmp,root,quoll,out,home/quoll,usr/lib/modules,var/log}
	chmod 1777 "$root/tmp"
	printf '%s\n' 'root:x:0:0:root:/root:/bin/bash' 'quoll:x:1000:1000:quoll:/home/quoll:/bin/bash' \
		'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin' >"$root/etc/passwd"
	printf '%s\n' 'root:x:0:' 'tty:x:5:' 'disk:x:6:' 'kvm:x:104:' 'quoll:x:1000:' 'nogroup:x:65534:' >"$root/etc/group"
	printf '%s\n' 'root:*:19000:0:99999:7:::' 'quoll:*:19000:0:99999:7:::' >"$root/etc/shadow"
	printf '%s\n' 'passwd: files' 'group: files' 'hosts: files' >"$root/etc/nsswitch.conf"
	printf '%s\n' '127.0.0.1 localhost lab' >"$root/etc/hosts"
	printf 'lab\n' >"$root/etc/hostname"
	mkdir -p "$root/etc/pam.d"
	printf '%s required pam_permit.so\n' auth account password session >"$root/etc/pam.d/other"
	cp "$root/etc/pam.d/other" "$root/etc/pam.d/su"
	cp "$root/etc/pam.d/other" "$root/etc/pam.d/runuser"
	ln -sf /proc/mounts "$root/etc/mtab"
	[[ -e $root/usr/bin/awk ]] || ln -s mawk "$root/usr/bin/awk"
	[[ -e $root/usr/bin/sh ]] || ln -s bash "$root/usr/bin/sh"
	PATH=$PATH:/usr/sbin:/sbin ldconfig -r "$root"
}

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
	deb=$(fetch_one "$state" "$package") || return 1
	mkdir "$out/tree"
	unpack "$deb" "$out/tree" --exclude='./usr/share/*' || return 1
	version=${package#linux-image-}
	printf '%s\n' "$version" >"$out/version"
	cp "$out/tree/boot/vmlinuz-$version" "$out/vmlinuz"
	cp "$out/tree/boot/config-$version" "$out/config"
	extract_vmlinux "$out/vmlinuz" "$out/vmlinux"
	say "choosing the modules of $version"
	build_modules "$out" "$version" || return 1
	rm -rf "$out/tree"
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
	chosen_modules "$from" 'early |' | while read -r module; do
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
		>"$out/mksquashfs.log" || return 1
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
	done < <(chosen_modules "$from" 'early ') >"$tree/modules/order"
	(cd "$tree" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0) >"$out/initrd"
	rm -rf "$tree"
}
