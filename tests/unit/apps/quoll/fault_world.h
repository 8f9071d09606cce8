/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault_world.h - a verb's claims with a device in no hardware, 0000:03:00.0, whose faults are in a fault_log.
 */
#ifndef QUOLL_TESTS_FAULT_WORLD_H
#define QUOLL_TESTS_FAULT_WORLD_H

#include "eal/backend/fake_backend.h"
#include "quoll/iommu_faults.h"

#include "fault_log.h"

struct fault_world {
	struct fault_log log;
	struct claims claims;
};

static inline void fault_world_open(struct fault_world *w)
{
	static const struct quoll_addr nic = {.target = "0000:03:00.0"};
	struct quoll_device *device;

	fault_log_open(&w->log);
	fake_reset();
	w->claims = (struct claims){.env = &w->log.env};
	CU_ASSERT_EQUAL_FATAL(ioas_open_ops(NULL, &fake_ops, &w->claims.ioases[0], NULL), 0);
	w->claims.nr_ioases = 1; /* of the back-end that PCI addresses go to */
	CU_ASSERT_EQUAL_FATAL(claims_device(&w->claims, &nic, &device, NULL), 0);
}

static inline void fault_world_close(struct fault_world *w)
{
	claims_close(&w->claims);
	fault_log_close(&w->log);
}

/* How many there were by a verb's document, which is dropped; -1: it knows of none, as there are no devices. */
static inline json_int_t faults_counted(json_t *doc)
{
	const json_t *nr = json_object_get(doc, "faults");
	json_int_t value = json_is_integer(nr) ? json_integer_value(nr) : -1;

	CU_ASSERT(json_is_null(nr) || json_is_integer(nr));
	json_decref(doc);
	return value;
}

#endif
