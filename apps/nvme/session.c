/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.c - opening and closing an NVMe controller for a verb, and checks of namespaces and ranges.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

static int check_class(const struct nvme_session *s, struct quoll_error *err)
{
	struct quoll_device_info info;

	quoll_device_info(s->device, &info);
	if (info.class_code == QUOLL_NVME_CLASS_CODE)
		return 0;
	quoll_error_set(err, ENODEV, "open", s->name, "not an NVMe controller: its class is %06" PRIx32,
			info.class_code);
	quoll_error_hint(err, "quoll nvme list");
	return -ENODEV;
}

int nvme_session_open(const struct quoll_env *env, const struct quoll_addr *addr, const struct nvme_session_opts *opts,
		      struct nvme_session *s, struct quoll_error *err)
{
	struct quoll_nvme_opts nvme_opts = {.max_io_queues = opts->nr_queues, .recovery = QUOLL_NVME_ABORT};
	int ret;

	memset(s, 0, sizeof(*s));
	s->timeout_ms = opts->timeout_ms ? opts->timeout_ms : NVME_SESSION_TIMEOUT_MS;
	nvme_opts.io_timeout_ms = s->timeout_ms;
	/* As the user may write it: it ends up in commands that are suggested. */
	quoll_addr_short(addr, s->name, sizeof(s->name));
	s->claims.env = env;
	ret = claims_device(&s->claims, addr, &s->device, err);
	if (!ret)
		ret = check_class(s, err);
	if (!ret)
		ret = claims_heap(&s->claims, opts->pages, 0, err);
	s->heap = s->claims.heap;
	if (!ret && opts->say)
		s->faults = iommu_faults_open(&s->claims, opts->say, opts->say_arg);
	if (!ret)
		ret = quoll_nvme_open(s->device, s->heap, &nvme_opts, &s->nvme, err);
	if (ret)
		nvme_session_close(s);
	return ret;
}

int nvme_session_close(struct nvme_session *s)
{
	int ret = 0;

	if (s->nvme)
		ret = quoll_nvme_close(s->nvme);
	iommu_faults_finish(s->faults);
	iommu_faults_close(s->faults);
	claims_close(&s->claims);
	memset(s, 0, sizeof(*s));
	return ret;
}

int nvme_session_start(const struct cli *cli, const struct nvme_session_opts *opts, struct nvme_session *s)
{
	struct nvme_session_opts with_say = *opts;
	struct quoll_error err = {0};
	struct quoll_addr *addrs;
	int status = cli_device_addrs(cli, &addrs);

	if (status)
		return status;
	with_say.say = cli_say;
	with_say.say_arg = (void *)(uintptr_t)cli;
	if (nvme_session_open(&cli->env, &addrs[0], &with_say, s, &err))
		status = cli_error(cli, &err);
	free(addrs);
	return status;
}

/* "1, 2, 7" */
static void list_namespaces(const struct nvme_session *s, char *text, size_t text_bytes)
{
	struct quoll_nvme_ns_info ns;
	size_t used = 0;

	text[0] = '\0';
	for (unsigned int i = 0; !quoll_nvme_ns_at(s->nvme, i, &ns) && used < text_bytes; i++)
		used += (size_t)snprintf(text + used, text_bytes - used, "%s%" PRIu32, i ? ", " : "", ns.nsid);
}

int nvme_session_ns(const struct nvme_session *s, uint64_t nsid, struct quoll_nvme_ns_info *ns, struct quoll_error *err)
{
	struct quoll_nvme_ns_info second;
	char text[256];

	list_namespaces(s, text, sizeof(text));
	if (nsid ? quoll_nvme_ns_find(s->nvme, (uint32_t)nsid, ns) : quoll_nvme_ns_at(s->nvme, 0, ns)) {
		if (nsid)
			quoll_error_set(err, ENOENT, "namespace", s->name, "namespace %" PRIu64 " does not exist; %s%s",
					nsid, text[0] ? "there is " : "there is none", text);
		else
			quoll_error_set(err, ENOENT, "namespace", s->name, "the controller has no active namespace");
		quoll_error_hint(err, "quoll nvme identify %s", s->name);
		return -ENOENT;
	}
	if (!nsid && !quoll_nvme_ns_at(s->nvme, 1, &second)) {
		quoll_error_set(err, EINVAL, "namespace", s->name, "it has several namespaces: %s", text);
		quoll_error_hint(err, "--nsid with one of them");
		return -EINVAL;
	}
	if (ns->usable) {
		quoll_error_set(err, -ns->usable, "namespace", s->name,
				"namespace %" PRIu32 " has a format that Quoll does not read or write: %" PRIu32
				" bytes a block, %" PRIu32 " of metadata",
				ns->nsid, ns->lba_bytes, ns->metadata_bytes);
		quoll_error_hint(err, "quoll nvme identify %s lists the formats it could be given", s->name);
		return ns->usable;
	}
	return 0;
}

unsigned int nvme_session_stall_ms(const struct nvme_session *s)
{
	/* A time-out, the abort's, and the reset with what the controller says that it may take. */
	return 3 * s->timeout_ms + 20000;
}

void nvme_recovery_describe(const struct nvme_session *s, json_t *doc)
{
	struct quoll_nvme_state state;

	quoll_nvme_state(s->nvme, &state);
	json_object_set_new(doc, "timeouts", json_integer((json_int_t)state.timeouts));
	json_object_set_new(doc, "aborts", json_integer((json_int_t)state.aborts));
	json_object_set_new(doc, "resets", json_integer((json_int_t)state.resets));
	/* What nobody has looked for since, such as a verb's last request's. */
	iommu_faults_finish(s->faults);
	iommu_faults_describe(s->faults, doc);
}

void nvme_recovery_text(FILE *f, const json_t *doc)
{
	json_int_t timeouts = json_integer_value(json_object_get(doc, "timeouts"));
	json_int_t aborts = json_integer_value(json_object_get(doc, "aborts"));
	json_int_t resets = json_integer_value(json_object_get(doc, "resets"));
	json_int_t faults = json_integer_value(json_object_get(doc, "faults"));

	if (timeouts || aborts || resets)
		fprintf(f, "on the way: %lld time-outs, %lld aborts, %lld resets\n", (long long)timeouts,
			(long long)aborts, (long long)resets);
	if (faults)
		fprintf(f, "the IOMMU stopped %lld accesses\n", (long long)faults);
}

int nvme_check_range(const struct nvme_session *s, const struct quoll_nvme_ns_info *ns, uint64_t lba, uint64_t nr_lbas,
		     struct quoll_error *err)
{
	if (lba < ns->nr_lbas && nr_lbas <= ns->nr_lbas - lba)
		return 0;
	quoll_error_set(err, ERANGE, "range", s->name,
			"%" PRIu64 " blocks from LBA %" PRIu64 " on are not all in namespace %" PRIu32
			", which has %" PRIu64 " blocks",
			nr_lbas, lba, ns->nsid, ns->nr_lbas);
	quoll_error_hint(err, "--lba and --blocks that end at LBA %" PRIu64 " at the latest", ns->nr_lbas - 1);
	return -ERANGE;
}
