/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_lane.c - making and freeing lanes; sleeping and waking.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ring_lane.h"

bool ring_lane_can_sleep(void)
{
	/* Linux 4.14; refused in some containers. Registering again is allowed and changes nothing. */
	return !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

int ring_lane_make(struct ring_lane *lane, unsigned int entries, bool can_sleep)
{
	uint32_t size = quoll_round_up_pow2(entries);
	int rc;

	if (lane->ring)
		return 0;
	lane->fd = -1;
	if (can_sleep) {
		lane->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (lane->fd < 0)
			return -errno;
	}
	lane->sums = calloc(size, sizeof(*lane->sums));
	rc = lane->sums ? quoll_spsc_create(size, &lane->ring) : -ENOMEM;
	if (rc) {
		free(lane->sums);
		if (lane->fd >= 0)
			close(lane->fd);
	}
	return rc;
}

void ring_lane_free(struct ring_lane *lane)
{
	if (!lane->ring)
		return;
	if (lane->fd >= 0)
		close(lane->fd);
	quoll_spsc_destroy(lane->ring);
	free(lane->sums);
	*lane = (struct ring_lane){0};
}

int ring_lane_arm(struct ring_lane *lane)
{
	if (lane->fd < 0)
		return -ENOTSUP;
	/* Relaxed: the barrier below orders it, here and in the sender; see ring_lane_filled(). */
	__atomic_store_n(&lane->armed, 1, __ATOMIC_RELAXED);
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
		return -errno;
	return quoll_spsc_count(lane->ring) ? 1 : 0;
}

void ring_lane_disarm(struct ring_lane *lane)
{
	uint64_t rings;

	if (lane->fd < 0)
		return;
	__atomic_store_n(&lane->armed, 0, __ATOMIC_RELAXED);
	/* Also if nobody seems to have rung: a sender may have been about to, last time. */
	if (read(lane->fd, &rings, sizeof(rings)) < 0)
		return;
}

void ring_lane_wake(struct ring_lane *lane)
{
	uint64_t one = 1;

	/* Only the first after arm rings. A counter that is full is readable all the same. */
	if (__atomic_exchange_n(&lane->armed, 0, __ATOMIC_RELAXED) && write(lane->fd, &one, sizeof(one)) < 0)
		return;
}
