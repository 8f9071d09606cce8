/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session_fixture.h - a session of the command on the driver's fake controller, which works in a thread of its own.
 */
#ifndef QUOLL_TESTS_SESSION_FIXTURE_H
#define QUOLL_TESTS_SESSION_FIXTURE_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvme/session.h"
#include "nvme_fixture.h"
#include "unit.h"

struct session_fixture {
	struct nvme_fixture fx;
	struct nvme_session session;
	struct quoll_nvme_ns_info ns;
	struct quoll_error err;
	struct quoll_nvme_opts opts;
	/* With session_fixture_watch_faults(): a folder in place of /dev, and what was said. */
	struct quoll_env env;
	char dev[64], kmsg[80];
	unsigned int nr_told;
	char told[640];
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

static inline void session_fixture_hear(void *arg, const char *line)
{
	struct session_fixture *sf = arg;

	sf->nr_told++;
	snprintf(sf->told, sizeof(sf->told), "%s", line);
}

/* The kernel's log says that the controller was to write to @iova. */
static inline void session_fixture_fault(const struct session_fixture *sf, quoll_iova_t iova)
{
	FILE *f = fopen(sf->kmsg, "a");

	CU_ASSERT_FATAL(f != NULL);
	fprintf(f,
		"3,1,1,-;DMAR: [DMA Write NO_PASID] Request device [01:00.0] fault addr 0x%llx [fault reason 0x05] "
		"PTE Write access is not set\n",
		(unsigned long long)iova);
	fclose(f);
}

/* The session looks for faults of the IOMMU's in a file of the test's. */
static inline void session_fixture_watch_faults(struct session_fixture *sf)
{
	struct claims *claims = &sf->session.claims;
	FILE *f;

	strcpy(sf->dev, "/tmp/session_fixture.XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(sf->dev) != NULL);
	snprintf(sf->kmsg, sizeof(sf->kmsg), "%s/kmsg", sf->dev);
	f = fopen(sf->kmsg, "w");
	CU_ASSERT_FATAL(f != NULL);
	fclose(f);
	sf->env.dev_root = sf->dev;
	*claims = (struct claims){.env = &sf->env,
				  .nr_ioases = 1,
				  .ioases = {sf->fx.ioas},
				  .heap = sf->fx.heap,
				  .nr_devices = 1,
				  .devices = {sf->fx.dev}};
	sf->session.faults = iommu_faults_open(claims, session_fixture_hear, sf);
	CU_ASSERT_PTR_NOT_NULL_FATAL(sf->session.faults);
}

static inline void session_fixture_fini(struct session_fixture *sf)
{
	if (sf->session.faults) {
		iommu_faults_close(sf->session.faults);
		unlink(sf->kmsg);
		rmdir(sf->dev);
	}
	fake_nvme_pump_stop(&sf->fx.fake);
	fixture_fini(&sf->fx);
}

#endif
