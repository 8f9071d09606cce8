# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# debug-begin.sh - on the kernel 6.12-debug, before the cases that it is to judge: its checks are on, and have found nothing yet.
# Most of them report once and then keep silent.

: "${cases:?set by run}"
# shellcheck source=kmod-lib.sh
. "$cases/kmod-lib.sh"

mount -t debugfs debugfs /sys/kernel/debug
expect 'debug: nothing was found while the kernel came up' 1 -- splats
check 'debug: locks are checked' debug_locks
check 'debug: DMA mappings are checked' debug_dma
check 'debug: memory that is lost is looked for' debug_clear
