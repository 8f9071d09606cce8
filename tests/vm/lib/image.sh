# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # the lab sets what is "referenced but not assigned"
# The lab's images, in the cache: a root file system (root.sh) and, for each kernel series, a kernel with its modules
# (kernel.sh, own-kernel.sh). Each is named by a hash of its recipe, built in a temporary folder and renamed into place under a lock.

# recipe FILE...: a short hash of these files' contents and of the host's release.
recipe() { { host_codename; cat "$@"; } | sha256sum | cut -c1-12; }

root_key() { printf 'root-%s-%s\n' "$(host_codename)" "$(recipe "$lab/lib/root.sh" "$lab/guest/packages")"; }
# The module's sources decide, and the kernel that it is for: $1 is that image.
kmod_key() {
	printf 'kmod-%s-%s\n' "$opt_kernel" "$( (printf '%s\n' "${1##*/}"; recipe "$lab/lib/kmod.sh" "$lab"/../../kmod/*) | sha256sum | cut -c1-12)"
}
kernel_key() { printf 'kernel-%s-%s\n' "$1" "$(recipe "$lab"/lib/{kernel,later}.sh "$lab/guest/modules")"; }
# own_configs SERIES: the files with the options of a kernel that is built here; one for debugging has more of them.
own_configs() {
	printf '%s\n' "$lab/guest/config-6.12-iommufd"
	[[ $1 == *-iommufd ]] || printf '%s\n' "$lab/guest/config-$1"
}
own_kernel_key() {
	local configs
	mapfile -t configs < <(own_configs "$1")
	printf 'own-%s-%s\n' "$1" "$(recipe "$lab"/lib/{own-kernel,kernel}.sh "$lab/guest/modules" "${configs[@]}")"
}

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
			find "$cache" -maxdepth 1 -name '.new.*' -mtime +1 -exec rm -rf {} +
			new=$(mktemp -d "$cache/.new.XXXXXX")
			trap 'rm -rf "$new"' EXIT
			"$lab/lib/build.sh" "$@" "$new" && chmod 755 "$new" && mv -T "$new" "$cache/$key" &&
				say "$key is ready"
		) 9>"$cache/.lock.$prefix" >&2 || true
	fi
	if [[ -d $cache/$key ]]; then
		touch "$cache/$key" # images that no run has used for two weeks go
		find "$cache" -maxdepth 1 -name "$prefix-*" -mtime +14 -exec rm -rf {} +
		printf '%s\n' "$cache/$key"
		return
	fi
	old=$(find "$cache" -maxdepth 1 -name "$prefix-*" -printf '%T@ %p\n' | sort -rn | sed -n '1s/^[^ ]* //p')
	[[ -n $old ]] || return 1
	say "could not build $key; using ${old##*/}, made from an older recipe"
	printf '%s\n' "$old"
}

# make_tree TREE: a folder to unpack packages into.
make_tree() {
	local name
	mkdir -p "$1"/usr/{bin,sbin,lib,lib64}
	for name in bin sbin lib lib64; do ln -s "usr/$name" "$1/$name"; done
}

# unpack DEB ROOT TAR-ARGS...: /lib, /bin and /sbin may be links into /usr.
unpack() {
	local deb=$1 root=$2
	shift 2
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink --no-same-owner "$@"
}
