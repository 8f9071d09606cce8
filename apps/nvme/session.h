/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.h - an NVMe controller opened for a verb: address space, group, device, heap and driver, and back again.
 */
#ifndef QUOLL_APPS_NVME_SESSION_H
#define QUOLL_APPS_NVME_SESSION_H

#include <jansson.h>
#include <nvme/nvme.h>

#include "quoll/claims.h"
#include "quoll/cli.h"
#include "quoll/iommu_faults.h"

#define NVME_OPTION_NSID(type)                                                                                         \
	{                                                                                                              \
		"nsid", CLI_NUMBER, offsetof(type, nsid), "N", "namespace; the only one unless told otherwise", 1,     \
			0xfffffffe                                                                                     \
	}

/* Milliseconds, unless told otherwise. */
#define NVME_SESSION_TIMEOUT_MS 10000

#define NVME_OPTION_TIMEOUT(type)                                                                                      \
	{                                                                                                              \
		"timeout", CLI_NUMBER, offsetof(type, timeout_ms), "MS",                                               \
			"abort what takes longer, and reset the controller if that does not help; 10000 unless told",  \
			8, 3600000                                                                                     \
	}

/**
 * struct nvme_session - everything between a verb and its controller
 * @claims: what @device and @heap belong to
 * @faults: of the IOMMU; verbs that take long look there
 * @timeout_ms: of I/O commands; recovery is by abort and reset, for verbs that call quoll_nvme_ctrl_poll()
 */
struct nvme_session {
	char name[QUOLL_ADDR_MAX_BYTES];
	struct claims claims;
	struct iommu_faults *faults;
	struct quoll_device *device;
	struct quoll_heap *heap;
	struct quoll_nvme *nvme;
	unsigned int timeout_ms;
};

/**
 * struct nvme_session_opts - how to open one
 * @say, @say_arg: told of the IOMMU's faults; NULL: nobody is
 * @pages:     of the heap
 * @nr_queues: I/O queues to ask for; 0 for 1
 * @timeout_ms: of I/O commands; 0 for NVME_SESSION_TIMEOUT_MS
 */
struct nvme_session_opts {
	void (*say)(void *arg, const char *line);
	void *say_arg;
	enum quoll_heap_pages pages;
	unsigned int nr_queues;
	unsigned int timeout_ms;
};

/**
 * nvme_session_open() - claim the group, open the device, make a heap, bring the controller up
 * @s: filled in; closed again if this fails
 * Return: 0, -errno.
 */
int nvme_session_open(const struct quoll_env *env, const struct quoll_addr *addr, const struct nvme_session_opts *opts,
		      struct nvme_session *s, struct quoll_error *err);

/**
 * nvme_session_close() - in reverse order. Return: 0, or what quoll_nvme_close() says of an unclean shutdown.
 */
int nvme_session_close(struct nvme_session *s);

/**
 * nvme_session_start() - parse the first argument and open it, for a verb, which tells what there is to say
 * Return: 0, or an exit status after the error was printed.
 */
int nvme_session_start(const struct cli *cli, const struct nvme_session_opts *opts, struct nvme_session *s);

/**
 * nvme_session_ns() - look a namespace up for reading and writing
 * @nsid: 0 picks the only one, and is an error if there are several
 * Return: 0, -ENOENT (says which there are), -ENOTSUP (its format).
 */
int nvme_session_ns(const struct nvme_session *s, uint64_t nsid, struct quoll_nvme_ns_info *ns,
		    struct quoll_error *err);

/**
 * nvme_session_stall_ms() - so long recovery may take without any progress, at most
 */
unsigned int nvme_session_stall_ms(const struct nvme_session *s);

/**
 * nvme_recovery_describe(), nvme_recovery_text() - how often something had to be done: "timeouts", "aborts" and
 * "resets" of a document, and "faults" of the IOMMU; a line of text, if there was any
 */
void nvme_recovery_describe(const struct nvme_session *s, json_t *doc);
void nvme_recovery_text(FILE *f, const json_t *doc);

/**
 * nvme_check_range() - whether blocks are inside a namespace
 * Return: 0, -ERANGE (says how many blocks there are).
 */
int nvme_check_range(const struct nvme_session *s, const struct quoll_nvme_ns_info *ns, uint64_t lba, uint64_t nr_lbas,
		     struct quoll_error *err);

#endif
