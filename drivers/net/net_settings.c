/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_settings.c - what start and apply may be asked for: settings and queues checked against what the port can, and
 * defaults put in place. A refusal names the value and the limit.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "net_driver.h"

#define MIN_MTU 68u /* RFC 791: what every IPv4 link must carry */

static const struct {
	uint32_t bit;
	const char *word;
} offload_words[] = {
	{QUOLL_OFFLOAD_RX_IP_CSUM, "rx-ip-csum"},     {QUOLL_OFFLOAD_RX_L4_CSUM, "rx-l4-csum"},
	{QUOLL_OFFLOAD_TX_IP_CSUM, "tx-ip-csum"},     {QUOLL_OFFLOAD_TX_L4_CSUM, "tx-l4-csum"},
	{QUOLL_OFFLOAD_VLAN_STRIP, "vlan-strip"},     {QUOLL_OFFLOAD_VLAN_INSERT, "vlan-insert"},
	{QUOLL_OFFLOAD_RX_SCATTER, "rx-scatter"},     {QUOLL_OFFLOAD_TX_TSO4, "tx-tso4"},
	{QUOLL_OFFLOAD_TX_TSO6, "tx-tso6"},	      {QUOLL_OFFLOAD_RX_GSO, "rx-gso"},
	{QUOLL_OFFLOAD_RX_TIMESTAMP, "rx-timestamp"},
};

static int refuse(const struct quoll_port *port, const char *what, unsigned int value, unsigned int max,
		  struct quoll_error *err)
{
	return quoll_error_set(err, EINVAL, "settings", port->name, "%s: %u is above this port's limit of %u", what,
			       value, max);
}

static int check_offloads(const struct quoll_port *port, uint32_t offloads, struct quoll_error *err)
{
	uint32_t lacks = offloads & ~port->info.offloads;

	if (!lacks && offloads & QUOLL_OFFLOAD_TX_TSO && !(offloads & QUOLL_OFFLOAD_TX_L4_CSUM))
		return quoll_error_set(err, EINVAL, "settings", port->name,
				       "offloads: tx-tso without tx-l4-csum; each segment needs its checksum");
	if (!lacks)
		return 0;
	quoll_error_set(err, ENOTSUP, "settings", port->name, "driver %s does not offer", port->info.driver);
	for (size_t i = 0; i < sizeof(offload_words) / sizeof(offload_words[0]); i++) {
		if (lacks & offload_words[i].bit)
			quoll_error_append(err, " %s", offload_words[i].word);
		lacks &= ~offload_words[i].bit;
	}
	if (lacks)
		quoll_error_append(err, " unknown offloads %#" PRIx32, lacks);
	return -ENOTSUP;
}

static bool mac_is_zero(const uint8_t *mac)
{
	static const uint8_t zero[QUOLL_MAC_BYTES];

	return !memcmp(mac, zero, sizeof(zero));
}

static int check_macs(const struct quoll_port *port, struct quoll_port_settings *s, struct quoll_error *err)
{
	if (mac_is_zero(s->mac))
		memcpy(s->mac, port->info.mac, QUOLL_MAC_BYTES);
	if (s->mac[0] & 1)
		return quoll_error_set(err, EINVAL, "settings", port->name,
				       "mac: %02x:%02x:%02x:%02x:%02x:%02x is a multicast address", s->mac[0],
				       s->mac[1], s->mac[2], s->mac[3], s->mac[4], s->mac[5]);
	if (s->nr_macs > port->info.max_macs || s->nr_macs > QUOLL_PORT_MAX_MACS)
		return refuse(port, "nr_macs", s->nr_macs, port->info.max_macs, err);
	for (unsigned int i = 0; i < s->nr_macs; i++)
		if (mac_is_zero(s->macs[i]))
			return quoll_error_set(err, EINVAL, "settings", port->name, "macs[%u]: is all zeroes", i);
	return 0;
}

int net_check_settings(const struct quoll_port *port, const struct quoll_port_settings *from, unsigned int nr_rxqs,
		       struct quoll_port_settings *to, struct quoll_error *err)
{
	int rc;

	memset(to, 0, sizeof(*to));
	if (from)
		*to = *from;
	if (!to->mtu)
		to->mtu = port->info.max_mtu < QUOLL_PORT_DEFAULT_MTU ? port->info.max_mtu : QUOLL_PORT_DEFAULT_MTU;
	if (to->mtu < MIN_MTU || to->mtu > port->info.max_mtu)
		return quoll_error_set(err, EINVAL, "settings", port->name, "mtu: %u is not %u to %u", to->mtu, MIN_MTU,
				       port->info.max_mtu);
	rc = check_offloads(port, to->offloads, err);
	if (!rc)
		rc = check_macs(port, to, err);
	return rc ? rc : net_check_rss(port, &to->rss, nr_rxqs, err);
}

unsigned int net_round_entries(const struct quoll_port *port, unsigned int entries)
{
	if (!entries)
		entries = QUOLL_PORT_DEFAULT_ENTRIES < port->info.max_entries ? QUOLL_PORT_DEFAULT_ENTRIES
									      : port->info.max_entries;
	return entries < port->info.min_entries ? port->info.min_entries : entries;
}

static int check_caches(const struct quoll_port *port, const char *what, struct quoll_buf_cache *const *caches,
			unsigned int n, struct quoll_error *err)
{
	if (n && !caches)
		return quoll_error_set(err, EINVAL, "settings", port->name, "%s: none given for %u queues", what, n);
	for (unsigned int i = 0; i < n; i++)
		if (!caches[i])
			return quoll_error_set(err, EINVAL, "settings", port->name, "%s[%u]: is NULL", what, i);
	return 0;
}

/* A frame that does not fit into a buffer would be dropped, each of them: better said now. */
static int check_room(const struct quoll_port *port, const struct quoll_port_queues *q,
		      const struct quoll_port_settings *s, struct quoll_error *err)
{
	unsigned int frame = s->mtu + NET_FRAME_OVERHEAD_BYTES, rc;

	if (s->offloads & QUOLL_OFFLOAD_RX_SCATTER)
		return 0;
	for (unsigned int i = 0; i < q->nr_rxqs; i++) {
		const struct quoll_buf_cache *cache = q->rx_caches[i];
		unsigned int room = quoll_pool_buf_bytes(cache->pool) - cache->headroom_bytes;

		if (room >= frame)
			continue;
		rc = quoll_error_set(err, EINVAL, "settings", port->name,
				     "rx_caches[%u]: its buffers have room for %u bytes, and a frame of mtu %u takes "
				     "%u",
				     i, room, s->mtu, frame);
		quoll_error_hint(err, "larger buffers, a smaller mtu%s",
				 port->info.offloads & QUOLL_OFFLOAD_RX_SCATTER ? ", or the offload rx-scatter" : "");
		return rc;
	}
	return 0;
}

/* Buffers outside of the heap are for ports that can do with them. */
static int check_memory(const struct quoll_port *port, struct quoll_buf_cache *const *caches,
			struct quoll_stream *const *streams, unsigned int n, struct quoll_error *err)
{
	for (unsigned int i = 0; i < n; i++) {
		if (port->info.memory == QUOLL_PORT_MEMORY_ANY || !quoll_pool_is_outside(caches[i]->pool))
			continue;
		if (port->info.memory == QUOLL_PORT_MEMORY_HEAP) {
			quoll_error_set(err, ENOTSUP, "settings", port->name,
					"driver %s takes buffers of the heap only, as that is what its other end is "
					"shown, and these are outside of it",
					port->info.driver);
			quoll_error_hint(err,
					 "a pool in an arena of the heap, for this port; quoll fwd: --buffers heap");
			return -ENOTSUP;
		}
		if (!streams || !streams[i])
			return quoll_error_set(err, EINVAL, "settings", port->name,
					       "queue %u has no stream, and its buffers are outside of the heap", i);
	}
	return 0;
}

int net_check_queues(const struct quoll_port *port, const struct quoll_port_queues *q,
		     const struct quoll_port_settings *s, struct quoll_error *err)
{
	int rc;

	if (!q || (!q->nr_rxqs && !q->nr_txqs))
		return quoll_error_set(err, EINVAL, "settings", port->name, "nr_rxqs, nr_txqs: no queue at all");
	if (q->nr_rxqs > port->info.max_rxqs)
		return refuse(port, "nr_rxqs", q->nr_rxqs, port->info.max_rxqs, err);
	if (q->nr_txqs > port->info.max_txqs)
		return refuse(port, "nr_txqs", q->nr_txqs, port->info.max_txqs, err);
	if (q->entries > port->info.max_entries)
		return refuse(port, "entries", q->entries, port->info.max_entries, err);
	rc = check_caches(port, "rx_caches", q->rx_caches, q->nr_rxqs, err);
	if (!rc)
		rc = check_caches(port, "tx_caches", q->tx_caches, q->nr_txqs, err);
	if (!rc)
		rc = check_memory(port, q->rx_caches, q->rx_streams, q->nr_rxqs, err);
	if (!rc)
		rc = check_memory(port, q->tx_caches, q->tx_streams, q->nr_txqs, err);
	return rc ? rc : check_room(port, q, s, err);
}
