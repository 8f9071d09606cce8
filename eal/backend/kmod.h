/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kmod.h - what the files of the back-end for quoll.ko share.
 *
 * kmod.c: an address space over the groups' files, limits, map, unmap, the table of ops; kmod_group.c: claim, release,
 * and getting a device's file; kmod_stream.c: memory for one I/O at a time. A device behind such a file is
 * vfio_device.c's.
 */
#ifndef QUOLL_EAL_KMOD_H
#define QUOLL_EAL_KMOD_H

#include "backend/backend.h"

#define KMOD_DRIVER "quoll"

/*
 * QUOLL_GROUP_GET_INFO's answer of bytes (header and chain) to limits: page_sizes, ranges, maps_avail. Return: 0,
 * -EPROTO, -ELOOP.
 */
int kmod_info_parse(const void *buf, size_t bytes, struct quoll_ioas_info *info);

/* What both allow, to a: page sizes, ranges, mappings. */
void kmod_info_narrow(struct quoll_ioas_info *a, const struct quoll_ioas_info *b);

/* One mapping in one group. Return: 0, -errno. */
int kmod_group_map(const struct quoll_group *group, const struct ioas_mapping *m);

int kmod_claim(struct quoll_group *group, const struct quoll_addr *addr, struct quoll_error *err);
void kmod_release(struct quoll_group *group);
int kmod_device_open(struct quoll_device *dev, struct quoll_error *err);

extern const struct stream_ops kmod_stream;

#endif
