# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # the lab sets what is "referenced but not assigned"
# A QEMU for hosts whose own is older than a run needs: Debian's package of a later suite, with its own loader and libraries in a
# folder of the cache, never installed. It has vfio-user-pci, which is the newest thing that is needed.

qemu_wanted=10.1       # the first with vfio-user-pci
qemu_maps_at_once=8.2  # the first whose CPUs change to a new memory map and forget what they know of the old one in one step

qemu_key() { printf 'qemu-%s\n' "$(recipe "$lab"/lib/{qemu,later}.sh)"; }

# qemu_suites: where it is looked for, best first: each line is what apt is to prefer, and what it takes the rest from.
qemu_suites() {
	echo trixie-backports trixie trixie-security
	echo sid
}

build_qemu() {
	local out=$1 suites state deb
	while read -ra suites; do
		if state=$(apt_state "qemu-${suites[0]}" "${suites[@]}") && qemu_offered "$state" "${suites[0]}"; then break; fi
		state=''
	done < <(qemu_suites)
	[[ -n $state ]] || { say "no QEMU >= $qemu_wanted in $(qemu_suites | paste -sd' ')"; return 1; }
	say "fetching a QEMU >= $qemu_wanted"
	mkdir "$out/debs"
	make_tree "$out/tree"
	fetch_closure "$state" "$out/debs" -t "${suites[0]}" qemu-system-x86
	for deb in "$out"/debs/*.deb; do unpack "$deb" "$out/tree" --no-same-permissions --exclude='./usr/share/doc/*'; done
	choose_qemu "$out/tree" "$out"
	rm -rf "$out/tree" "$out/debs"
}

qemu_offered() {
	local version
	version=$(private_apt "$1" apt-cache -t "$2" policy qemu-system-x86 | sed -n 's/^ *Candidate: \([0-9]*:\)\?//p')
	[[ $version == [0-9]* ]] && dpkg --compare-versions "$version" ge "$qemu_wanted"
}

# choose_qemu TREE OUT: the program, the libraries that it names, its loader and firmware; not the rest of their packages.
choose_qemu() {
	local tree=$1 out=$2
	mkdir "$out/share"
	cp "$tree/usr/bin/qemu-system-x86_64" "$out/"
	later_libraries "$tree" "$out/qemu-system-x86_64" "$out/lib"
	cp -L "$tree"/usr/share/qemu/*.bin "$tree"/usr/share/seabios/*.bin "$out/share/"
	qemu_command "$out"
	has_vfio_user
}

# qemu_command QEMU-IMAGE: fills the array `qemu_program`.
qemu_command() {
	qemu_program=("$1/lib/ld-linux-x86-64.so.2" --library-path "$1/lib" "$1/qemu-system-x86_64" -L "$1/share")
}

# has_vfio_user: `-device help` would load all modules, the host's among them.
has_vfio_user() { "${qemu_program[@]}" -device vfio-user-pci,help 2>/dev/null | grep socket= >/dev/null; }

# maps_at_once: whether the host's QEMU can do this run (../README.md, "QEMU"). One CPU has nobody to change the map under it.
maps_at_once() {
	local version
	if [[ $opt_accel != tcg ]] || ((opt_cpus == 1)); then return 0; fi
	version=$(qemu-system-x86_64 --version | sed -n '1s/.* version \([0-9.]*\).*/\1/p')
	dpkg --compare-versions "${version:-0}" ge "$qemu_maps_at_once"
}
