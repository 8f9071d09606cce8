/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * describe.h - an open controller and its namespaces as JSON, for `quoll nvme list` and `quoll nvme identify`.
 */
#ifndef QUOLL_APPS_NVME_DESCRIBE_H
#define QUOLL_APPS_NVME_DESCRIBE_H

#include <jansson.h>

#include "session.h"

/* Return: a new object or array, NULL without memory. */
json_t *describe_controller(const struct nvme_session *s);
json_t *describe_namespaces(const struct nvme_session *s);
json_t *describe_namespace(const struct nvme_session *s, const struct quoll_nvme_ns_info *ns);

#endif
