/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_record.c - any bytes as the record of a device's driver: what is believed can become part of a path.
 */
#include <stdlib.h>
#include <string.h>

#include "group/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct record r;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (!record_parse(text, &r)) {
		if ((r.driver[0] && !driver_name_valid(r.driver)) ||
		    (r.override[0] && !driver_name_valid(r.override)) || (r.bound[0] && !driver_name_valid(r.bound)))
			abort();
		if (strchr(r.driver, '/') || strchr(r.override, '/') || r.driver[0] == '.')
			abort();
	}
	free(text);
	return 0;
}
