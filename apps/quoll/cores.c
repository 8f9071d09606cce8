/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cores.c - see cores.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "cores.h"

#define MAX_CORE 4095u

/* A number at *text, which is moved behind it. */
static bool take_core(const char **text, unsigned int *core)
{
	unsigned long value;
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	value = strtoul(*text, &end, 10);
	*text = end;
	*core = value > MAX_CORE ? MAX_CORE + 1 : (unsigned int)value;
	return true;
}

int cores_parse(const char *text, unsigned int *cores, unsigned int max)
{
	unsigned int nr = 0, first, last;

	for (;;) {
		if (!take_core(&text, &first))
			return -EINVAL;
		last = first;
		if (*text == '-' && (text++, !take_core(&text, &last)))
			return -EINVAL;
		if (last < first)
			return -EINVAL;
		if (last > MAX_CORE || last - first >= max - nr)
			return -ERANGE;
		while (first <= last)
			cores[nr++] = first++;
		if (!*text)
			return (int)nr;
		if (*text++ != ',')
			return -EINVAL;
	}
}

int cores_option(const struct cli *cli, const char *text, unsigned int *cores, unsigned int max, unsigned int *nr)
{
	int rc = cores_parse(text, cores, max);

	if (rc < 0)
		return cli_wrong(cli, "--cores %s: %s", text,
				 rc == -ERANGE ? "too many, or too high a number" : "not a list like 2,4-6");
	*nr = (unsigned int)rc;
	return 0;
}
