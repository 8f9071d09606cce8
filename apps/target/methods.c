/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * methods.c - what the control socket can be asked. Parameters have been checked for names and kinds.
 */
#include <errno.h>
#include <string.h>

#include "target.h"

static int target_info(void *arg, const json_t *params, json_t **result, struct quoll_error *err)
{
	(void)params;
	(void)err;
	*result = target_describe_info(arg);
	return 0;
}

static int target_stats(void *arg, const json_t *params, json_t **result, struct quoll_error *err)
{
	(void)params;
	(void)err;
	*result = target_describe(arg);
	return 0;
}

static int listener_list(void *arg, const json_t *params, json_t **result, struct quoll_error *err)
{
	(void)params;
	(void)err;
	*result = target_describe_listeners(arg);
	return 0;
}

static int ns_list(void *arg, const json_t *params, json_t **result, struct quoll_error *err)
{
	(void)params;
	(void)err;
	*result = target_describe_namespaces(arg);
	return 0;
}

/* An NSID of the parameters. Return: 0 to TGT_MAX_NAMESPACES, -EINVAL. */
static int take_nsid(const json_t *params, struct quoll_error *err)
{
	json_int_t nsid = json_integer_value(json_object_get(params, "nsid"));

	if (nsid < 0 || nsid > TGT_MAX_NAMESPACES)
		return quoll_error_set(err, EINVAL, "namespace", "", "an NSID is 1 to %u", TGT_MAX_NAMESPACES);
	return (int)nsid;
}

static int ns_add(void *arg, const json_t *params, json_t **result, struct quoll_error *err)
{
	int nsid = take_nsid(params, err);

	if (nsid >= 0)
		nsid = target_add_ns(arg, json_string_value(json_object_get(params, "address")), (uint32_t)nsid, err);
	if (nsid < 0)
		return nsid;
	*result = json_pack("{s:i}", "nsid", nsid);
	return 0;
}

static int ns_remove(void *arg, const json_t *params, json_t **result, struct quoll_error *err)
{
	int nsid = take_nsid(params, err);
	int rc = nsid < 0 ? nsid : target_remove_ns(arg, (uint32_t)nsid, err);

	if (!rc)
		*result = json_pack("{s:i}", "nsid", nsid);
	return rc;
}

static int take_faults(const json_t *list, struct tgt_fault *faults, struct quoll_error *err)
{
	size_t i;
	json_t *text;

	if (json_array_size(list) > CONFIG_MAX_FAULTS)
		return quoll_error_set(err, EINVAL, "faults", "", "more than %u", CONFIG_MAX_FAULTS);
	json_array_foreach(list, i, text) {
		int rc;

		if (!json_is_string(text))
			return quoll_error_set(err, EINVAL, "faults", "", "number %zu is no string", i + 1);
		rc = tgt_fault_parse(json_string_value(text), &faults[i], err);
		if (rc)
			return rc;
	}
	return 0;
}

/* Of all listeners, or of one by its number in listener.list. */
static int fault_set(void *arg, const json_t *params, json_t **result, struct quoll_error *err)
{
	const json_t *list = json_object_get(params, "faults"), *which = json_object_get(params, "listener");
	struct target *target = arg;
	struct tgt_fault faults[CONFIG_MAX_FAULTS];
	json_int_t idx = which ? json_integer_value(which) : -1;
	int rc;

	if (which && (idx < 0 || idx >= target->nr_listeners))
		return quoll_error_set(err, EINVAL, "listener", "", "there are listeners 0 to %u",
				       target->nr_listeners - 1);
	rc = take_faults(list, faults, err);
	if (rc)
		return rc;
	rc = target_set_faults(target, (int)idx, faults, (unsigned int)json_array_size(list));
	if (rc)
		return quoll_error_set(err, -rc, "listener", "", "its thread does not answer: see listener.list");
	*result = json_pack("{s:i}", "faults", (int)json_array_size(list));
	return 0;
}

#define NO_MORE                                                                                                        \
	{                                                                                                              \
		NULL, JSON_NULL, false                                                                                 \
	}

const struct rpc_method control_methods[] = {
	{"target.info", {NO_MORE}, target_info},
	{"target.stats", {NO_MORE}, target_stats},
	{"listener.list", {NO_MORE}, listener_list},
	{"ns.list", {NO_MORE}, ns_list},
	{"ns.add", {{"address", JSON_STRING, true}, {"nsid", JSON_INTEGER, false}, NO_MORE}, ns_add},
	{"ns.remove", {{"nsid", JSON_INTEGER, true}, NO_MORE}, ns_remove},
	{"fault.set", {{"faults", JSON_ARRAY, true}, {"listener", JSON_INTEGER, false}, NO_MORE}, fault_set},
	{NULL, {NO_MORE}, NULL},
};
