/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvme_fixture.h - everything from the fake controller up to one queue, and down again, for the tests of this folder.
 */
#ifndef QUOLL_TESTS_NVME_FIXTURE_H
#define QUOLL_TESTS_NVME_FIXTURE_H

#include <quoll/device.h>

#include "fake_nvme.h"
#include "nvme/nvme.h"

struct nvme_fixture {
	struct fake_nvme fake;
	struct quoll_ioas *ioas;
	struct quoll_group *group;
	struct quoll_device *dev;
	struct quoll_heap *heap;
	struct quoll_arena *arena;
	struct quoll_nvme *nvme;
	struct quoll_nvme_queue *queue;
	struct quoll_error err;
	uint8_t *buf; /* FIXTURE_BUF_BYTES of DMA memory */
	int close_rc;
	/* What fixture_run() has collected. */
	struct quoll_nvme_completion comps[256];
	unsigned int nr_comps;
};

#define FIXTURE_BUF_BYTES (8u << 20)

/* fake_nvme_init(); tests turn the knobs after that. */
void fixture_init(struct nvme_fixture *fx);
/* From the IOAS to the open controller, the pump running meanwhile. Return: what quoll_nvme_open() did. */
int fixture_open(struct nvme_fixture *fx, const struct quoll_nvme_opts *opts);
/* Open, and a queue; any failure is fatal for the test. */
void fixture_open_queue(struct nvme_fixture *fx, unsigned int entries);
struct quoll_nvme_queue *fixture_queue(struct nvme_fixture *fx, unsigned int entries);
void fixture_queue_destroy(struct nvme_fixture *fx, struct quoll_nvme_queue *queue);
int fixture_admin(struct nvme_fixture *fx, const struct quoll_nvme_cmd *cmd, uint32_t *result);
/* Close what is open (close_rc is what quoll_nvme_close() said) and check that the fake saw no violation. */
void fixture_fini(struct nvme_fixture *fx);
/* With a queue for each of @nr; any failure is fatal. */
void fixture_open_queues(struct nvme_fixture *fx, const struct quoll_nvme_opts *opts,
			 const struct quoll_nvme_queue_opts *queue_opts, struct quoll_nvme_queue **queues,
			 unsigned int nr);
/* Let the device and the controller's thread work and poll @queue, until @done() or ten seconds are over, which fails.
 */
void fixture_run(struct nvme_fixture *fx, struct quoll_nvme_queue *queue, bool (*done)(void));
/* Let the device work and poll until @nr requests have come back; fails the test after a hundred thousand rounds. */
void fixture_collect(struct nvme_fixture *fx, struct quoll_nvme_queue *queue, struct quoll_nvme_completion *comps,
		     unsigned int nr);
void fixture_fill_random(struct nvme_fixture *fx, void *buf, size_t len);

#endif
