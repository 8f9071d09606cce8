/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_config.c - any bytes as config space: capability lists that run in circles or out of it end.
 */
#include <stdlib.h>
#include <string.h>

#include "group/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *c = calloc(1, sizeof(*c));
	int acs;

	if (!c)
		return 0;
	c->len = (unsigned int)(size < sizeof(c->bytes) ? size : sizeof(c->bytes));
	memcpy(c->bytes, data, c->len);
	acs = config_acs(c);
	if (acs < -1 || acs > 1 || config_port_type(c) < PORT_CONVENTIONAL || (int)config_port_type(c) > 15)
		abort();
	free(c);
	return 0;
}
