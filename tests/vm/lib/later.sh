# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2154 # the lab sets what is "referenced but not assigned"
# Programs of a Debian that is later than the host's: each is run by its own loader with its own libraries, from a folder of the
# cache; nothing is installed.

# later_libraries TREE PROGRAM FOLDER: copies the loader and the libraries that the program names from TREE into FOLDER.
later_libraries() {
	local libs=$1/usr/lib/x86_64-linux-gnu program=$2 folder=$3 list library
	mkdir -p "$folder"
	cp -L "$libs/ld-linux-x86-64.so.2" "$folder/"
	list=$("$libs/ld-linux-x86-64.so.2" --library-path "$libs" --list "$program")
	! grep 'not found' <<<"$list" >&2
	while read -r library; do cp -L "$library" "$folder/"; done < <(sed -n 's/^.* => \(\/.*\) (0x.*/\1/p' <<<"$list")
}

# later_programs FOLDER...: the programs in them that want a loader.
later_programs() {
	local file
	find "$@" -type f -perm -u+x | while read -r file; do
		! readelf -lW "$file" 2>/dev/null | grep -q 'interpreter: /lib64/ld-linux-x86-64' || printf '%s\n' "$file"
	done
}

# wrap_later TREE LIBRARIES PROGRAM: a script in its place runs it with the libraries, wherever the folder of both is moved.
wrap_later() {
	local program=$3
	later_libraries "$1" "$program" "$2"
	mv "$program" "$program.elf"
	# shellcheck disable=SC2016 # the script's variables
	printf '#!/bin/sh\nlib=${0%%/*}/%s\nexec "$lib/ld-linux-x86-64.so.2" --library-path "$lib" --argv0 "$0" "$0.elf" "$@"\n' \
		"$(realpath --relative-to="${program%/*}" "$2")" >"$program"
	chmod 755 "$program"
}
