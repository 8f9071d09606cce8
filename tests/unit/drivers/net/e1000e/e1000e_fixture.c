/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * e1000e_fixture.c - see e1000e_fixture.h.
 */
#include <stdio.h>
#include <string.h>

#include <linux/pci_regs.h>
#include <quoll/claim.h>

#include "e1000e_fixture.h"
#include "unit.h"

void fixture_init(struct e1000e_fixture *fx)
{
	memset(fx, 0, sizeof(*fx));
	CU_ASSERT_EQUAL_FATAL(fake_e1000e_init(&fx->fake), 0);
}

static void open_pool(struct e1000e_fixture *fx)
{
	struct quoll_pool_opts opts = {.nr_bufs = fx->nr_bufs ? fx->nr_bufs : FIXTURE_NR_BUFS,
				       .buf_bytes = fx->buf_bytes ? fx->buf_bytes : FIXTURE_HEADROOM + 2048,
				       .headroom_bytes = FIXTURE_HEADROOM};

	fx->nr_bufs = opts.nr_bufs;
	CU_ASSERT_EQUAL_FATAL(
		quoll_arena_create(fx->heap, "frames", QUOLL_ARENA_DEVICE_READ_WRITE, 40u << 20, &fx->arena, &fx->err),
		0);
	CU_ASSERT_EQUAL_FATAL(quoll_pool_create(fx->arena, &opts, &fx->pool, &fx->err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_cache_create(fx->pool, 128, &fx->cache, &fx->err), 0);
}

int fixture_open(struct e1000e_fixture *fx)
{
	struct quoll_heap_opts heap_opts = {
		.size_bytes = 64u << 20, .pages = QUOLL_PAGES_4K, .numa_node = -1, .ioases = &fx->ioas, .nr_ioases = 1};
	struct quoll_addr addr;

	CU_ASSERT_EQUAL_FATAL(fake_pci_ioas_open(&fx->fake.pci, &fx->ioas), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_addr_parse("pci:0000:01:00.0", &addr, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_group_claim(fx->ioas, &addr, &fx->group, &fx->err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_device_open(fx->group, addr.target, &fx->dev, &fx->err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(NULL, &heap_opts, &fx->heap, &fx->err), 0);
	open_pool(fx);
	CU_ASSERT_EQUAL_FATAL(quoll_net_create(&fx->fake.pci.env, fx->heap, &fx->net, &fx->err), 0);
	return quoll_port_open(fx->net, &addr, fx->dev, &fx->port, &fx->err);
}

int fixture_start(struct e1000e_fixture *fx, unsigned int nr_queues, unsigned int entries,
		  const struct quoll_port_settings *settings)
{
	struct quoll_buf_cache *caches[] = {fx->cache, fx->cache};
	struct quoll_port_queues queues = {.nr_rxqs = nr_queues,
					   .nr_txqs = nr_queues,
					   .entries = entries,
					   .rx_caches = caches,
					   .tx_caches = caches};
	int rc = quoll_port_start(fx->port, &queues, settings, &fx->err);

	fx->rxq = (struct e1000e_rxq *)quoll_port_rxq(fx->port, 0);
	fx->txq = (struct e1000e_txq *)quoll_port_txq(fx->port, 0);
	return rc;
}

void fixture_run(struct e1000e_fixture *fx, uint32_t offloads)
{
	struct quoll_port_settings settings = {.offloads = offloads};
	int rc = fixture_open(fx);

	if (!rc)
		rc = fixture_start(fx, 1, 128, &settings);
	if (rc)
		printf("%s: %s\n", fx->err.stage, fx->err.what);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
}

int fixture_stop(struct e1000e_fixture *fx)
{
	int rc = quoll_port_stop(fx->port);

	CU_ASSERT_EQUAL(quoll_pool_nr_free(fx->pool), fx->nr_bufs);
	fx->rxq = NULL;
	fx->txq = NULL;
	return rc;
}

void fixture_fini(struct e1000e_fixture *fx)
{
	if (fx->port) {
		(void)fixture_stop(fx);
		quoll_port_close(fx->port);
	}
	CU_ASSERT_FALSE(fake_pci_bus_master(&fx->fake.pci) && fx->fake.pci.config[0] != 0xff);
	for (unsigned int i = 0; i < FAKE_PCI_MAX_VECTORS; i++)
		CU_ASSERT_EQUAL(fx->fake.pci.msix_fds[i], -1);
	CU_ASSERT_EQUAL(quoll_net_destroy(fx->net), 0);
	quoll_buf_cache_destroy(fx->cache);
	CU_ASSERT_EQUAL(quoll_pool_destroy(fx->pool), 0);
	quoll_arena_destroy(fx->arena);
	mmio_trap_clear();
	quoll_device_close(fx->dev);
	quoll_heap_destroy(fx->heap);
	CU_ASSERT_EQUAL(quoll_group_release(fx->group), 0);
	CU_ASSERT_EQUAL(quoll_ioas_close(fx->ioas), 0);
	CU_ASSERT_EQUAL(fx->fake.pci.nr_violations, 0);
	if (fx->fake.pci.nr_violations)
		printf("violation: %s\n", fx->fake.pci.violation);
	fake_e1000e_fini(&fx->fake);
}

struct quoll_port_stats fixture_stats(const struct e1000e_fixture *fx)
{
	struct quoll_port_stats stats;

	quoll_port_stats(fx->port, &stats);
	return stats;
}

static const uint8_t other_mac[6] = {0x02, 0, 0, 0, 0, 0x99};

void fixture_make_frame(const struct e1000e_fixture *fx, uint8_t *frame, uint32_t len, uint32_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(seed * 131 + i * 7 + (i >> 8));
	memcpy(frame, fx->port->info.mac, 6);
	memcpy(frame + 6, other_mac, 6);
	frame[12] = 0x88;
	frame[13] = 0xb5;
}

static void put_be16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static uint32_t sum16(const uint8_t *at, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i < len; i++)
		sum += (uint32_t)at[i] << (i & 1 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

void fixture_make_ip(const struct e1000e_fixture *fx, uint8_t *frame, uint32_t len, uint8_t proto, uint32_t seed)
{
	uint8_t *ip = frame + 14, *l4 = ip + 20;
	uint32_t l4_len = len - 34, field = proto == 6 ? 16 : 6, sum;

	fixture_make_frame(fx, frame, len, seed);
	frame[12] = 0x08;
	frame[13] = 0;
	ip[0] = 0x45;
	ip[6] = ip[7] = 0;
	ip[9] = proto;
	put_be16(ip + 2, len - 14);
	put_be16(ip + 10, 0);
	put_be16(ip + 10, ~sum16(ip, 20, 0));
	if (proto == 17)
		put_be16(l4 + 4, l4_len);
	put_be16(l4 + field, 0);
	sum = ~sum16(l4, l4_len, proto + l4_len + sum16(ip + 12, 8, 0)) & 0xffff;
	put_be16(l4 + field, sum ? sum : 0xffff);
}

struct quoll_buf *fixture_buf(struct e1000e_fixture *fx, const uint8_t *frame, uint32_t len, uint32_t link)
{
	struct quoll_buf *first = NULL, **tail = &first, *buf;
	uint16_t nr_links = 0;

	for (uint32_t off = 0; off < len; off += buf->data_bytes) {
		CU_ASSERT_EQUAL_FATAL(quoll_buf_get(fx->cache, &buf, 1), 0);
		buf->data_bytes = len - off < link ? len - off : link;
		memcpy(quoll_buf_data(buf), frame + off, buf->data_bytes);
		*tail = buf;
		tail = &buf->next;
		nr_links++;
	}
	first->total_bytes = len;
	first->nr_links = nr_links;
	return first;
}

struct quoll_buf *fixture_pass(struct e1000e_fixture *fx, const uint8_t *frame, uint32_t len)
{
	struct quoll_buf *buf = NULL;

	(void)fake_e1000e_receive(&fx->fake, frame, len);
	return quoll_rx(&fx->rxq->q, &buf, 1) ? buf : NULL;
}

bool fixture_is(const struct quoll_buf *buf, const uint8_t *frame, uint32_t len)
{
	uint32_t off = 0;
	uint16_t nr_links = 0;

	if (!buf || buf->total_bytes != len)
		return false;
	for (const struct quoll_buf *link = buf; link; off += link->data_bytes, link = link->next, nr_links++)
		if (link->data_bytes > len - off || memcmp(quoll_buf_data(link), frame + off, link->data_bytes) != 0)
			return false;
	return off == len && nr_links == buf->nr_links;
}

void fixture_put(struct e1000e_fixture *fx, struct quoll_buf *buf)
{
	quoll_buf_put_chain(fx->cache, buf);
}

int fixture_check(struct e1000e_fixture *fx)
{
	return quoll_port_check(fx->port);
}
