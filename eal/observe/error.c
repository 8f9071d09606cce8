/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * error.c - filling in struct quoll_error. Owns nothing; never prints.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <quoll/error.h>

static void copy_cut(char *dst, size_t size, const char *src)
{
	snprintf(dst, size, "%s", src ? src : "");
}

int quoll_error_set(struct quoll_error *err, int errnum, const char *stage, const char *subject, const char *fmt, ...)
{
	struct quoll_error tmp; /* arguments may point into *err */
	va_list ap;

	if (!err)
		return -errnum;
	tmp.errnum = errnum;
	tmp.hint[0] = '\0';
	copy_cut(tmp.stage, sizeof(tmp.stage), stage);
	copy_cut(tmp.subject, sizeof(tmp.subject), subject);
	va_start(ap, fmt);
	vsnprintf(tmp.what, sizeof(tmp.what), fmt, ap);
	va_end(ap);
	*err = tmp;
	return -errnum;
}

void quoll_error_append(struct quoll_error *err, const char *fmt, ...)
{
	size_t used;
	va_list ap;

	if (!err)
		return;
	used = strlen(err->what);
	va_start(ap, fmt);
	vsnprintf(err->what + used, sizeof(err->what) - used, fmt, ap);
	va_end(ap);
}

void quoll_error_hint(struct quoll_error *err, const char *fmt, ...)
{
	char tmp[sizeof(err->hint)];
	va_list ap;

	if (!err)
		return;
	va_start(ap, fmt);
	vsnprintf(tmp, sizeof(tmp), fmt, ap);
	va_end(ap);
	memcpy(err->hint, tmp, sizeof(tmp));
}
