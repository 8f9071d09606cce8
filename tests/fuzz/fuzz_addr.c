/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_addr.c - any bytes as an address: every string of the result lies in the struct, every refusal says why.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <quoll/addr.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const struct quoll_addr *addr, const char *s)
{
	const char *end = addr->text + sizeof(addr->text);

	if (s < addr->text || s >= end || !memchr(s, '\0', (size_t)(end - s)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct quoll_addr addr, again;
	struct quoll_error err = {0};
	char *text = malloc(size + 1);
	int rc;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	rc = quoll_addr_parse(text, &addr, &err);
	if (rc && ((rc != -EINVAL && rc != -ENAMETOOLONG) || err.errnum != -rc || !err.what[0]))
		abort();
	if (!rc) {
		inside(&addr, addr.target);
		if (addr.host[0])
			inside(&addr, addr.host);
		if (addr.path[0])
			inside(&addr, addr.path);
		for (unsigned int i = 0; i < addr.nr_options; i++) {
			inside(&addr, addr.keys[i]);
			inside(&addr, addr.values[i]);
		}
		/* the canonical form of a PCI address is a PCI address, and its own canonical form */
		if (addr.scheme == QUOLL_ADDR_PCI &&
		    (quoll_addr_parse(addr.target, &again, NULL) || strcmp(addr.target, again.target)))
			abort();
	}
	free(text);
	return 0;
}
