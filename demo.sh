#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# demo.sh - on a Debian 12 or 13 machine, as root or with sudo, with no IOMMU and no NVMe: installs what is missing,
# builds, and does Quoll's main job: first natively an NVMe target and its host on a socket, and packets between two
# network namespaces and two vhost-user ports (half a minute); then in the lab VM: whole groups planned, bound and
# claimed, a drive read and written by a polled driver in user space on the kernel's real VFIO. Each part ends with a table.
#
#   ./demo.sh [--native] [--kernel 6.1|6.12] [--full]
#     --native  the first part only
#     --full    on both kernels, and then instructions an I/O and a frame beside the kernel and DPDK (minutes)
set -euo pipefail
cd "$(dirname "$0")"
kernels=(6.12)
full=0
native=0

while [ $# -gt 0 ]; do
	case $1 in
	--kernel) kernels=("${2:?--kernel needs a version}"); shift ;;
	--native) native=1 ;;
	--full) kernels=(6.12 6.1); full=1 ;;
	--help) sed -n '3,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
	*) sed -n '3,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
	shift
done

started=$SECONDS
if [ "$native" = 1 ]; then tests/setup --native; else tests/setup --demo; fi
status=0
tests/user/demo || status=$?
if [ "$native" = 1 ]; then exit $status; fi
for kernel in "${kernels[@]}"; do
	echo "demo: starting the lab VM (an emulated IOMMU, NVMe drives and NICs under Debian's kernel $kernel)"
	tests/vm/lab run --kernel "$kernel" --timeout 300 -- tests/vm/demo || status=$?
done
if [ "$full" = 1 ]; then
	echo 'demo: the lab VM again, now counting instructions'
	tests/vm/lab run --icount --timeout 1200 -- tests/vm/cases/run icount icount-fwd || status=$?
fi
echo "demo: $((SECONDS - started)) s in all"
exit $status
