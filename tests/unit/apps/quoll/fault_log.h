/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault_log.h - a file in place of the kernel's log, in which the IOMMU stops devices, and what a verb says of that.
 */
#ifndef QUOLL_TESTS_FAULT_LOG_H
#define QUOLL_TESTS_FAULT_LOG_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quoll/env.h>

#include "unit.h"

/**
 * struct fault_log - @env: of a program that finds it
 * @nr_told, @told: lines that fault_log_hear() got, and the last of them
 */
struct fault_log {
	struct quoll_env env;
	char dev[32], kmsg[40]; /* a folder in place of /dev, and the file in it */
	unsigned int nr_faults;
	unsigned int nr_told;
	char told[640];
};

static inline void fault_log_open(struct fault_log *log)
{
	FILE *f;

	memset(log, 0, sizeof(*log));
	strcpy(log->dev, "/tmp/fault_log.XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(log->dev) != NULL);
	snprintf(log->kmsg, sizeof(log->kmsg), "%s/kmsg", log->dev);
	f = fopen(log->kmsg, "w");
	CU_ASSERT_FATAL(f != NULL);
	fclose(f);
	log->env.dev_root = log->dev;
}

static inline void fault_log_close(const struct fault_log *log)
{
	unlink(log->kmsg);
	rmdir(log->dev);
}

/* The device, as the kernel spells it, was to write there. */
static inline void fault_log_add(struct fault_log *log, const char *device, uint64_t iova)
{
	FILE *f = fopen(log->kmsg, "a");

	CU_ASSERT_FATAL(f != NULL);
	log->nr_faults++;
	fprintf(f,
		"3,%u,%u,-;DMAR: [DMA Write NO_PASID] Request device [%s] fault addr 0x%llx [fault reason 0x05] "
		"PTE Write access is not set\n",
		log->nr_faults, log->nr_faults, device, (unsigned long long)iova);
	fclose(f);
}

/* For whoever says lines; @arg is the log. */
static inline void fault_log_hear(void *arg, const char *line)
{
	struct fault_log *log = arg;

	log->nr_told++;
	snprintf(log->told, sizeof(log->told), "%s", line);
}

#endif
