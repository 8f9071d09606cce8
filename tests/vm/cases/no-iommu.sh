# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# no-iommu.sh - on a machine without an IOMMU every verb says so, and how to switch it on.

for verb in "groups" "plan $(addr nvme1)" "bind $(addr nvme1)" "nvme identify $(addr nvme1)"; do
	# shellcheck disable=SC2086
	expect "no IOMMU: quoll $verb says so, and how to switch it on" 1 'IOMMU' '^try: .*(iommu=|BIOS|firmware)' -- quoll $verb
done
expect 'no IOMMU: doctor fails on it' 1 'IOMMU' 'try: ' -- quoll doctor
check 'no IOMMU: the drive keeps its driver' test "$(driver "$(addr nvme1)")" = nvme
