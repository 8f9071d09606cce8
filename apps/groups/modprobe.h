/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * modprobe.h - load a kernel module where a verb needs its driver. The library never does this.
 */
#ifndef QUOLL_APPS_MODPROBE_H
#define QUOLL_APPS_MODPROBE_H

#include <quoll/env.h>
#include <quoll/error.h>

/**
 * modprobe_driver() - have a PCI driver registered, loading the module of its name if need be
 *
 * With another sysfs_root than the machine's own nothing is loaded. Return: 0, -errno.
 */
int modprobe_driver(const struct quoll_env *env, const char *driver, struct quoll_error *err);

#endif
