/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log.c - levels and the way to the caller's callback. The library itself never prints.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <quoll/env.h>

void quoll_log(const struct quoll_env *env, enum quoll_log_level level, const char *area, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (!env || !env->log || level == QUOLL_LOG_NONE || level > env->log_level)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	env->log(env->log_arg, level, area, line);
}

int quoll_log_level_parse(const char *name)
{
	static const char *const names[] = {"none", "error", "warn", "info", "debug"};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(name, names[i]))
			return (int)i;
	return -EINVAL;
}
