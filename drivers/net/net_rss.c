/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_rss.c - receive-side scaling: what is asked for, checked; defaults.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "net_driver.h"

const uint8_t quoll_rss_key_default[QUOLL_RSS_KEY_BYTES] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static bool is_zero(const uint8_t *bytes, size_t n)
{
	uint8_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= bytes[i];
	return !any;
}

static int check_table(const struct quoll_port *port, const struct quoll_rss *rss, unsigned int nr_rxqs,
		       struct quoll_error *err)
{
	if (rss->nr_entries != port->info.rss_table_entries)
		return quoll_error_set(err, EINVAL, "settings", port->name,
				       "rss.nr_entries: %" PRIu32 ", and this port's table has %u", rss->nr_entries,
				       port->info.rss_table_entries);
	for (unsigned int i = 0; i < rss->nr_entries; i++)
		if (rss->table[i] >= nr_rxqs)
			return quoll_error_set(err, EINVAL, "settings", port->name,
					       "rss.table[%u]: queue %u, and there are %u", i, rss->table[i], nr_rxqs);
	return 0;
}

int net_check_rss(const struct quoll_port *port, struct quoll_rss *rss, unsigned int nr_rxqs, struct quoll_error *err)
{
	uint32_t lacks = rss->types & ~port->info.rss_types;

	if (lacks)
		return quoll_error_set(err, ENOTSUP, "settings", port->name,
				       "rss.types: driver %s offers %#" PRIx32 ", not %#" PRIx32, port->info.driver,
				       port->info.rss_types, lacks);
	if (is_zero(rss->key, sizeof(rss->key)))
		memcpy(rss->key, quoll_rss_key_default, sizeof(rss->key));
	else if (!port->info.rss_types)
		return quoll_error_set(err, ENOTSUP, "settings", port->name, "rss.key: driver %s takes none",
				       port->info.driver);
	/* One queue needs no hash; who wants it with each frame all the same, names the types. */
	if (!rss->types && nr_rxqs > 1)
		rss->types = port->info.rss_types;
	if (rss->nr_entries)
		return check_table(port, rss, nr_rxqs, err);
	rss->nr_entries = port->info.rss_table_entries;
	for (unsigned int i = 0; nr_rxqs && i < rss->nr_entries; i++)
		rss->table[i] = (uint16_t)(i % nr_rxqs);
	return 0;
}
