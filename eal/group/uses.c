/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * uses.c - the list of what a machine would lose with a device.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

void use_add(struct use_list *list, enum quoll_use_kind kind, const char *fmt, ...)
{
	struct quoll_use use = {.kind = kind}, *grown;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(use.detail, sizeof(use.detail), fmt, ap);
	va_end(ap);
	printable(use.detail);
	for (unsigned int i = 0; i < list->nr; i++)
		if (list->uses[i].kind == kind && !strcmp(list->uses[i].detail, use.detail))
			return;
	grown = array_grow(list->uses, list->nr, sizeof(*grown));
	if (!grown) {
		list->rc = -ENOMEM;
		return;
	}
	list->uses = grown;
	list->uses[list->nr++] = use;
}
