#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# build.sh BUILDER ARGUMENTS... FOLDER: runs build_root, build_kernel, build_own_kernel, build_kmod or build_qemu. A process of its own, so that any command that
# fails ends it (a function that is called in a condition would go on).
set -euo pipefail

lab=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
for part in common apt image later root kernel own-kernel kmod qemu; do
	# shellcheck source=/dev/null
	. "$lab/lib/$part.sh"
done
"$@"
