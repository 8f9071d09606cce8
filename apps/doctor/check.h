/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check.h - one check of `quoll doctor`: what it looks at and how it reports.
 */
#ifndef QUOLL_APPS_CHECK_H
#define QUOLL_APPS_CHECK_H

#include <jansson.h>
#include <quoll/env.h>
#include <stdbool.h>

enum check_status {
	CHECK_OK,
	CHECK_WARN, /* works, but not as well as it could, or only for some */
	CHECK_FAIL, /* Quoll cannot drive devices like this */
};

/**
 * struct check - the outcome of one check
 * @status: how it is
 * @found:  what was seen, a sentence without a full stop
 * @hint:   what mends it, or ""
 * @facts:  object with what was found for --json, or NULL; owned by whoever runs the check
 */
struct check {
	enum check_status status;
	char found[512];
	char hint[512];
	json_t *facts;
};

void check_kernel(const struct quoll_env *env, struct check *check);
void check_iommu(const struct quoll_env *env, struct check *check);
void check_isolation(const struct quoll_env *env, struct check *check);
void check_vfio_module(const struct quoll_env *env, struct check *check);
void check_vfio_file(const struct quoll_env *env, struct check *check);
void check_iommufd(const struct quoll_env *env, struct check *check);
void check_kmod(const struct quoll_env *env, struct check *check);
void check_hugepages(const struct quoll_env *env, struct check *check);
void check_memlock(const struct quoll_env *env, struct check *check);
void check_clock(const struct quoll_env *env, struct check *check);
void check_nvme(const struct quoll_env *env, struct check *check);
void check_records(const struct quoll_env *env, struct check *check);

/* Fill in the outcome. */
void check_found(struct check *check, enum check_status status, const char *fmt, ...) QUOLL_PRINTF(3, 4);
void check_hint(struct check *check, const char *fmt, ...) QUOLL_PRINTF(2, 3);

/**
 * check_read() - first line of a file, without its line break
 * Return: false if it cannot be read.
 */
bool check_read(char *line, int line_bytes, const char *fmt, ...) QUOLL_PRINTF(3, 4);

#endif
