/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * env.h - what an instance of the library may look at and where it reports.
 *
 * There is no global state: each entry point takes a struct quoll_env (or an object made from one, which keeps a copy).
 * The roots exist so that a container, a chroot or a test can put another tree in place of /sys, /proc and /dev.
 */
#ifndef QUOLL_ENV_H
#define QUOLL_ENV_H

#include <quoll/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum quoll_log_level {
	QUOLL_LOG_NONE = 0,
	QUOLL_LOG_ERROR,
	QUOLL_LOG_WARN,
	QUOLL_LOG_INFO,
	QUOLL_LOG_DEBUG,
};

/**
 * quoll_log_fn - receives one log line
 * @arg:   the environment's log_arg
 * @level: how bad; never QUOLL_LOG_NONE
 * @area:  which part speaks ("group", "vfio", "heap", "nvme")
 * @line:  the text, terminated, without a line break
 *
 * Called on whichever thread the event happens on, never from a per-item path; it must not call back into the library.
 */
typedef void (*quoll_log_fn)(void *arg, enum quoll_log_level level, const char *area, const char *line);

/**
 * struct quoll_env - one instance's surroundings
 * @sysfs_root: NULL for "/sys"
 * @proc_root:  NULL for "/proc"
 * @dev_root:   NULL for "/dev"
 * @run_root:   NULL for "/run/quoll"; where bind leaves the records that restore reads
 * @backend:    which back-end devices of IOMMU groups are reached by, as for quoll_ioas_open(); NULL for the best that
 *              the kernel offers
 * @log:        NULL for silence
 * @log_arg:    handed to @log
 * @log_level:  the most talkative level that is passed on
 *
 * Zero-initialised it is the ordinary machine, silent. Strings and @log must outlive every object made from it.
 */
struct quoll_env {
	const char *sysfs_root;
	const char *proc_root;
	const char *dev_root;
	const char *run_root;
	const char *backend;
	quoll_log_fn log;
	void *log_arg;
	enum quoll_log_level log_level;
};

/**
 * quoll_env_sysfs(), quoll_env_proc(), quoll_env_dev(), quoll_env_run() - a root, or its default
 * @env: NULL for the ordinary machine
 */
static inline const char *quoll_env_sysfs(const struct quoll_env *env)
{
	return env && env->sysfs_root ? env->sysfs_root : "/sys";
}

static inline const char *quoll_env_proc(const struct quoll_env *env)
{
	return env && env->proc_root ? env->proc_root : "/proc";
}

static inline const char *quoll_env_dev(const struct quoll_env *env)
{
	return env && env->dev_root ? env->dev_root : "/dev";
}

static inline const char *quoll_env_run(const struct quoll_env *env)
{
	return env && env->run_root ? env->run_root : "/run/quoll";
}

/**
 * quoll_log() - pass one line on, if the level is wanted
 * @env: NULL is allowed and drops the line
 *
 * Lines over 511 bytes are cut. Thread rule: any thread; formats text, so not for the hot path.
 */
QUOLL_API void quoll_log(const struct quoll_env *env, enum quoll_log_level level, const char *area, const char *fmt,
			 ...) QUOLL_PRINTF(4, 5);

/**
 * quoll_log_level_parse() - "error", "warn", "info", "debug" or "none" to a level
 * Return: the level, or -EINVAL.
 */
QUOLL_API int quoll_log_level_parse(const char *name);

#ifdef __cplusplus
}
#endif
#endif
