# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # the lab sets what is "referenced but not assigned"
# Debian packages for the lab's images, fetched with a private apt state in the cache: the host's own apt configuration
# is read (where its packages come from, proxies) and never changed, and nothing is installed.

host_codename() { (. /etc/os-release && printf '%s\n' "$VERSION_CODENAME"); }

# repository SUITE: the address of the repository that should have SUITE, derived from where the host gets its own
# packages. Security updates may live elsewhere.
repository() {
	local suite=$1 base
	base=$(host_codename)
	[[ $suite != *-security ]] || base+=-security
	# shellcheck disable=SC2016 # apt's variables
	apt-get indextargets --format '$(CREATED_BY)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)' |
		awk -F'|' -v r="$base" '$1 == "Packages" && $2 == r && $3 == "main" { print $4; exit }'
}

# private_apt STATE COMMAND...: apt-get or apt-cache on the private state in folder STATE.
private_apt() {
	local state=$1 command=$2
	shift 2
	"$command" -q -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State="$state" -o Dir::State::lists=lists -o Dir::State::status="$state/status" \
		-o Dir::Cache="$state/cache" -o Dir::Cache::archives=archives -o APT::Sandbox::User="$(id -un)" \
		-o Acquire::Languages=none -o APT::Default-Release= "$@"
}

# apt_state NAME SUITE...: makes or refreshes the private state NAME and prints its folder; fails if no package list
# is to be had, neither from the server nor from an earlier run.
apt_state() {
	local name=$1 state suite uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg sources=''
	shift
	state=$(cache_dir)/apt/$name
	mkdir -p "$state"/{lists/partial,cache/archives/partial}
	: >"$state/status"
	for suite; do
		uri=$(repository "$suite")
		[[ -n $uri ]] || continue
		sources+="deb [signed-by=$keyring] $uri $suite main"$'\n'
	done
	[[ -n $sources ]] || return 1
	printf '%s' "$sources" >"$state/sources.list.new"
	if ! cmp -s "$state/sources.list.new" "$state/sources.list" ||
		[[ -z $(find "$state/fresh" -mmin -720 2>/dev/null) ]]; then
		mv "$state/sources.list.new" "$state/sources.list"
		say "reading the package lists of $*"
		if private_apt "$state" apt-get -o APT::Update::Error-Mode=any update >"$state/update.log" 2>&1; then
			touch "$state/fresh"
		elif compgen -G "$state/lists/*_Packages*" >/dev/null; then
			say "the package server cannot be reached; using the lists of an earlier run"
		else
			return 1
		fi
	fi
	printf '%s\n' "$state"
}

# The lists may name versions that the server no longer has: the next attempt reads them again.
fetch_failed() {
	tail -n 5 "$1/fetch.log" >&2
	rm -f "$1/fresh"
}

# fetch_closure STATE FOLDER PACKAGE...: all packages needed for PACKAGE... as .deb files linked into FOLDER.
fetch_closure() {
	local state=$1 folder=$2 name version arch file
	shift 2
	private_apt "$state" apt-get -y --no-install-recommends --download-only install "$@" >"$state/fetch.log" 2>&1 ||
		{ fetch_failed "$state"; return 1; }
	while read -r name version arch; do
		file=$state/cache/archives/${name}_${version//:/%3a}_$arch.deb
		[[ -e $file ]] || { say "not fetched: $file"; return 1; }
		ln -sf "$file" "$folder/"
	done < <(private_apt "$state" apt-get -s -y --no-install-recommends install "$@" |
		sed -nE 's/^Inst ([^ :]+)[^(]*\(([^ ]+) .*\[([a-z0-9]+)\].*/\1 \2 \3/p')
}

# fetch_one STATE PACKAGE: prints the path of its .deb file.
fetch_one() {
	local state=$1 package=$2 version arch file
	read -r version arch < <(private_apt "$state" apt-cache show --no-all-versions "$package" |
		awk '$1 == "Version:" { version = $2 } $1 == "Architecture:" { arch = $2 } END { print version, arch }')
	file=$state/cache/archives/${package}_${version//:/%3a}_$arch.deb
	if [[ ! -e $file ]]; then
		(cd "$state/cache/archives" && private_apt "$state" apt-get download "$package=$version") \
			>"$state/fetch.log" 2>&1 || { fetch_failed "$state"; return 1; }
	fi
	printf '%s\n' "$file"
}
