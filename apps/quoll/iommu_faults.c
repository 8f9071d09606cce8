/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iommu_faults.c - see iommu_faults.h.
 */
#include <stdlib.h>

#include <quoll/device.h>
#include <quoll/fault.h>
#include <quoll/pace.h>
#include <quoll/where.h>

#include "iommu_faults.h"

#define LOOK_NS 100000000u
#define MAX_A_LOOK 64 /* others wait for the next one */

/**
 * struct iommu_faults - @nr of them were seen; of those that were not told yet, @last is the latest
 */
struct iommu_faults {
	const struct claims *claims;
	struct quoll_fault_log *log;
	void (*say)(void *arg, const char *line);
	void *say_arg;
	struct quoll_stream *const *streams;
	unsigned int nr_streams;
	uint64_t next_ns;
	uint64_t nr;
	struct quoll_pace pace;
	char last[QUOLL_FAULT_TEXT_BYTES];
};

/* Its name; NULL: no device of the verb's. */
static const char *name_of(const struct claims *claims, const struct quoll_fault *fault)
{
	struct quoll_device_info info;

	for (unsigned int i = 0; i < claims->nr_devices; i++) {
		quoll_device_info(claims->devices[i], &info);
		if (info.bus == QUOLL_BUS_PCI && quoll_fault_is_of(fault, info.name))
			return info.name;
	}
	return NULL;
}

static bool any_pci(const struct claims *claims)
{
	for (unsigned int i = 0; i < claims->nr_ioases; i++)
		if (!claims->backends[i]) /* that of devices in groups */
			return true;
	return false;
}

struct iommu_faults *iommu_faults_open(const struct claims *claims, void (*say)(void *arg, const char *line),
				       void *say_arg)
{
	struct iommu_faults *faults = any_pci(claims) ? calloc(1, sizeof(*faults)) : NULL;

	if (!faults)
		return NULL;
	*faults = (struct iommu_faults){.claims = claims, .say = say, .say_arg = say_arg};
	if (!quoll_fault_log_open(claims->env, QUOLL_FAULT_NOW, &faults->log, NULL))
		return faults;
	free(faults);
	return NULL;
}

void iommu_faults_close(struct iommu_faults *faults)
{
	if (!faults)
		return;
	quoll_fault_log_close(faults->log);
	free(faults);
}

void iommu_faults_streams(struct iommu_faults *faults, struct quoll_stream *const *streams, unsigned int n)
{
	if (!faults)
		return;
	faults->streams = streams;
	faults->nr_streams = n;
}

/* Streams first: what bounces is in the heap, too. */
static void look_up(const struct iommu_faults *faults, quoll_iova_t iova, struct quoll_where *where)
{
	for (unsigned int i = 0; i < faults->nr_streams; i++)
		if (faults->streams[i] && quoll_stream_where(faults->streams[i], iova, where))
			return;
	*where = (struct quoll_where){.state = QUOLL_WHERE_NOWHERE};
	if (faults->claims->heap)
		(void)quoll_heap_where(faults->claims->heap, iova, where);
}

static void tell(struct iommu_faults *faults, uint32_t nr)
{
	char line[sizeof(faults->last) + 64];

	if (!nr)
		return;
	if (nr > 1)
		snprintf(line, sizeof(line), "%s, the last of %u faults", faults->last, nr);
	else
		snprintf(line, sizeof(line), "%s", faults->last);
	faults->say(faults->say_arg, line);
}

/* All that came in, told as far as it is time for it. */
static void take(struct iommu_faults *faults, uint64_t now_ns)
{
	struct quoll_fault fault;
	struct quoll_where where;
	const char *name;

	for (unsigned int n = 0; n < MAX_A_LOOK && quoll_fault_log_next(faults->log, &fault) == 1; n++) {
		name = name_of(faults->claims, &fault);
		if (!name)
			continue;
		/* At once: what was there then may be unmapped, or somebody else's, later. */
		look_up(faults, fault.iova, &where);
		quoll_fault_text(&fault, name, &where, faults->last, sizeof(faults->last));
		faults->nr++;
		faults->pace.nr_untold++;
		tell(faults, quoll_pace_take(&faults->pace, now_ns));
	}
}

void iommu_faults_look(struct iommu_faults *faults, uint64_t now_ns)
{
	if (!faults || now_ns < faults->next_ns)
		return;
	faults->next_ns = now_ns + LOOK_NS;
	take(faults, now_ns);
	tell(faults, quoll_pace_take(&faults->pace, now_ns));
}

void iommu_faults_finish(struct iommu_faults *faults)
{
	if (!faults)
		return;
	take(faults, faults->next_ns);
	tell(faults, faults->pace.nr_untold);
	faults->pace.nr_untold = 0;
}

void iommu_faults_describe(const struct iommu_faults *faults, json_t *doc)
{
	json_object_set_new(doc, "faults", faults ? json_integer((json_int_t)faults->nr) : json_null());
}
