# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # the lab sets what is "referenced but not assigned"
# The guest's root file system: a squashfs of Debian packages of the host's own release, so that binaries built on the
# host run in it. The packages' scripts are not run; finish_root does what the lab needs of their work.

# choose_packages STATE: guest/packages with the alternatives resolved.
choose_packages() {
	local state=$1 line name names
	names=$(private_apt "$state" apt-cache pkgnames)
	[[ -n $names ]] || { say "the package lists of $(host_codename) are empty"; return 1; }
	while read -r line; do
		for name in ${line//|/ }; do
			if grep -qxF "$name" <<<"$names"; then
				printf '%s\n' "$name"
				continue 2
			fi
		done
		say "no package for $line in $(host_codename); left out"
	done < <(list "$lab/guest/packages" | grep -v '^!')
}

# assume_installed STATE: "!name" in guest/packages: what needs it gets on without it.
assume_installed() {
	local name
	list "$lab/guest/packages" | sed -n 's/^!//p' | while read -r name; do
		printf 'Package: %s\nStatus: install ok installed\nVersion: 999\nArchitecture: amd64\nMaintainer: lab\n' "$name"
		printf 'Multi-Arch: same\nDescription: assumed\n\n'
	done >"$1/status"
}

build_root() {
	local out=$1 state root deb codename packages
	codename=$(host_codename)
	state=$(apt_state "$codename" "$codename" "$codename-updates" "$codename-security") ||
		{ say "no package lists for $codename"; return 1; }
	root=$out/tree
	mkdir -p "$out/debs" "$root"/usr/{bin,sbin,lib,lib64}
	for deb in bin sbin lib lib64; do ln -s "usr/$deb" "$root/$deb"; done
	assume_installed "$state"
	packages=$(choose_packages "$state")
	mapfile -t packages <<<"$packages"
	say "fetching the guest's packages (${#packages[@]} and what they need)"
	fetch_closure "$state" "$out/debs" "${packages[@]}"
	say "making the root file system"
	for deb in "$out"/debs/*.deb; do
		unpack "$deb" "$root" --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' \
			--exclude='./usr/share/locale/*' --exclude='./usr/share/info/*' --exclude='*/__pycache__/*'
	done
	finish_root "$root"
	mksquashfs "$root" "$out/root.sqfs" -all-root -noappend -no-progress -noI -noD -noF -noX >"$out/mksquashfs.log"
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
	[[ -e $root/usr/bin/sh ]] || ln -s dash "$root/usr/bin/sh"
	PATH=$PATH:/usr/sbin:/sbin ldconfig -r "$root"
}
