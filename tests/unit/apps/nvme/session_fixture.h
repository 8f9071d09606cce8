/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session_fixture.h - a session of the command on the driver's fake controller, which works in a thread of its own.
 */
#ifndef QUOLL_TESTS_SESSION_FIXTURE_H
#define QUOLL_TESTS_SESSION_FIXTURE_H

#include <string.h>

#include "nvme/session.h"
#include "nvme_fixture.h"
#include "unit.h"

struct session_fixture {
	struct nvme_fixture fx;
	struct nvme_session session;
	struct quoll_nvme_ns_info ns;
	struct quoll_error err;
	struct quoll_nvme_opts opts;
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

static inline void session_fixture_fini(struct session_fixture *sf)
{
	fake_nvme_pump_stop(&sf->fx.fake);
	fixture_fini(&sf->fx);
}

#endif
