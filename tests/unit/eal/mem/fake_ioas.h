/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_ioas.h - an IOAS that records what is mapped in it, refuses overlaps as an IOMMU does, and fails when told to.
 */
#ifndef QUOLL_TESTS_FAKE_IOAS_H
#define QUOLL_TESTS_FAKE_IOAS_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <backend/backend.h>

#define FAKE_MAX_MAPS 4096

struct fake {
	struct quoll_ioas *ioas;
	struct quoll_ioas_info limits; /* as told; maps_avail and memlock_bytes shrink with each mapping */
	unsigned int nr_maps;
	struct ioas_mapping maps[FAKE_MAX_MAPS];
	unsigned int nr_map_calls;
	unsigned int fail_map_call; /* this one fails, counted from 1; 0: none */
	int fail_errno;		    /* with that; EIO unless told otherwise */
	bool fail_unmap;
};

static inline int fake_open(struct quoll_ioas *ioas, struct quoll_error *err)
{
	(void)err;
	ioas->fd = -1;
	return 0;
}

static inline void fake_close(struct quoll_ioas *ioas)
{
	(void)ioas;
}

static inline int fake_info(struct quoll_ioas *ioas, struct quoll_ioas_info *info, struct quoll_error *err)
{
	const struct fake *fake = ioas->priv;

	(void)err;
	*info = fake->limits;
	return 0;
}

static inline int fake_map(struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err)
{
	struct fake *fake = ioas->priv;

	if (++fake->nr_map_calls == fake->fail_map_call)
		return quoll_error_set(err, fake->fail_errno ? fake->fail_errno : EIO, "map", "fake", "told to fail");
	for (unsigned int i = 0; i < fake->nr_maps; i++)
		if (m->iova < fake->maps[i].iova + fake->maps[i].len_bytes &&
		    fake->maps[i].iova < m->iova + m->len_bytes)
			return quoll_error_set(err, EEXIST, "map", "fake", "overlap");
	if (fake->nr_maps == FAKE_MAX_MAPS)
		return quoll_error_set(err, ENOSPC, "map", "fake", "full");
	fake->maps[fake->nr_maps++] = *m;
	fake->limits.maps_avail--;
	fake->limits.memlock_bytes -= m->len_bytes;
	return 0;
}

/* Only what was mapped, and all of it, as type1v2 has it. */
static inline int fake_unmap(struct quoll_ioas *ioas, quoll_iova_t iova, uint64_t len_bytes)
{
	struct fake *fake = ioas->priv;

	if (fake->fail_unmap)
		return -EIO;
	for (unsigned int i = 0; i < fake->nr_maps; i++) {
		if (fake->maps[i].iova != iova || fake->maps[i].len_bytes != len_bytes)
			continue;
		fake->maps[i] = fake->maps[--fake->nr_maps];
		fake->limits.maps_avail++;
		fake->limits.memlock_bytes += len_bytes;
		return 0;
	}
	return -ENOENT;
}

static const struct backend_ops fake_ops = {
	.name = "fake",
	.ioas_open = fake_open,
	.ioas_close = fake_close,
	.ioas_info = fake_info,
	.map = fake_map,
	.unmap = fake_unmap,
};

/* 39 bits without the MSI window, no limits. Return: NULL if there is no memory. */
static inline struct fake *fake_new(void)
{
	struct fake *fake = calloc(1, sizeof(*fake));

	if (!fake || ioas_open_ops(NULL, &fake_ops, &fake->ioas, NULL)) {
		free(fake);
		return NULL;
	}
	fake->ioas->priv = fake;
	fake->limits = (struct quoll_ioas_info){
		.page_sizes = 4096 | 2ull << 20 | 1ull << 30,
		.nr_ranges = 2,
		.ranges = {{0, 0xfedfffff}, {0xfef00000, (1ull << 39) - 1}},
		.maps_avail = 65535,
		.memlock_bytes = 1ull << 40,
	};
	return fake;
}

static inline int fake_delete(struct fake *fake)
{
	int rc = quoll_ioas_close(fake->ioas);

	if (!rc)
		free(fake);
	return rc;
}

/* Whether devices reach [va, va + len) at [iova, iova + len) with exactly this access. */
static inline bool fake_reaches(const struct fake *fake, const void *va, quoll_iova_t iova, uint64_t len,
				unsigned int access)
{
	for (uint64_t done = 0; done < len;) {
		const struct ioas_mapping *m = NULL;

		for (unsigned int i = 0; i < fake->nr_maps && !m; i++)
			if (iova + done >= fake->maps[i].iova &&
			    iova + done < fake->maps[i].iova + fake->maps[i].len_bytes)
				m = &fake->maps[i];
		if (!m || m->access != access || (uintptr_t)va + done - (uintptr_t)m->va != iova + done - m->iova)
			return false;
		done = m->iova + m->len_bytes - iova;
	}
	return true;
}

#endif
