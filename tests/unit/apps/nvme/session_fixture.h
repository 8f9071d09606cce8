/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session_fixture.h - a session of the command on the driver's fake controller, which works in a thread of its own.
 */
#ifndef QUOLL_TESTS_SESSION_FIXTURE_H
#define QUOLL_TESTS_SESSION_FIXTURE_H

#include <string.h>

#include "apps/quoll/fault_log.h"
#include "nvme/session.h"
#include "nvme_fixture.h"
#include "unit.h"

struct session_fixture {
	struct nvme_fixture fx;
	struct nvme_session session;
	struct quoll_nvme_ns_info ns;
	struct quoll_error err;
	struct quoll_nvme_opts opts;
	struct fault_log log; /* with session_fixture_watch_faults() */
};

/* After this sf->opts, and knobs and hooks of sf->fx.fake may be set, then session_fixture_open(). */
static inline void session_fixture_init(struct session_fixture *sf)
{
	memset(sf, 0, sizeof(*sf));
	fixture_init(&sf->fx);
	sf->opts.max_io_queues = 4;
}

static inline void session_fixture_open(struct session_fixture *sf)
{
	CU_ASSERT_EQUAL_FATAL(fixture_open(&sf->fx, &sf->opts), 0);
	strcpy(sf->session.name, "0000:01:00.0");
	sf->session.device = sf->fx.dev;
	sf->session.heap = sf->fx.heap;
	sf->session.nvme = sf->fx.nvme;
	CU_ASSERT_EQUAL_FATAL(nvme_session_ns(&sf->session, 0, &sf->ns, &sf->err), 0);
	fake_nvme_pump_start(&sf->fx.fake);
}

/* The kernel's log says that the controller was to write to @iova. */
static inline void session_fixture_fault(struct session_fixture *sf, quoll_iova_t iova)
{
	fault_log_add(&sf->log, "01:00.0", iova);
}

/* The session looks for faults of the IOMMU's in a file of the test's. */
static inline void session_fixture_watch_faults(struct session_fixture *sf)
{
	struct claims *claims = &sf->session.claims;

	fault_log_open(&sf->log);
	*claims = (struct claims){.env = &sf->log.env,
				  .nr_ioases = 1,
				  .ioases = {sf->fx.ioas},
				  .heap = sf->fx.heap,
				  .nr_devices = 1,
				  .devices = {sf->fx.dev}};
	sf->session.faults = iommu_faults_open(claims, fault_log_hear, &sf->log);
	CU_ASSERT_PTR_NOT_NULL_FATAL(sf->session.faults);
}

static inline void session_fixture_fini(struct session_fixture *sf)
{
	if (sf->session.faults) {
		iommu_faults_close(sf->session.faults);
		fault_log_close(&sf->log);
	}
	fake_nvme_pump_stop(&sf->fx.fake);
	fixture_fini(&sf->fx);
}

#endif
