/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * e1000e_fixture.c - see e1000e_fixture.h.
 */
#include <stdio.h>
#include <string.h>

#include <linux/pci_regs.h>
#include <quoll/claim.h>

#include "../be16.h"
#include "e1000e_fixture.h"
#include "unit.h"

void fixture_init(struct e1000e_fixture *fx)
{
	memset(fx, 0, sizeof(*fx));
	fx->w.nr_bufs = FIXTURE_NR_BUFS;
	fx->w.buf_bytes = FIXTURE_HEADROOM + 2048;
	CU_ASSERT_EQUAL_FATAL(fake_e1000e_init(&fx->fake), 0);
}

int fixture_open(struct e1000e_fixture *fx)
{
	struct quoll_addr addr;

	pci_world_open(&fx->w, &fx->fake.pci);
	CU_ASSERT_EQUAL_FATAL(quoll_addr_parse("pci:0000:01:00.0", &addr, NULL), 0);
	return quoll_port_open(fx->w.net, &addr, fx->w.dev, &fx->w.port, &fx->w.err);
}

int fixture_start(struct e1000e_fixture *fx, unsigned int nr_queues, unsigned int entries,
		  const struct quoll_port_settings *settings)
{
	struct quoll_buf_cache *caches[] = {fx->w.cache, fx->w.cache};
	struct quoll_port_queues queues = {.nr_rxqs = nr_queues,
					   .nr_txqs = nr_queues,
					   .entries = entries,
					   .rx_caches = caches,
					   .tx_caches = caches};
	int rc = quoll_port_start(fx->w.port, &queues, settings, &fx->w.err);

	fx->rxq = (struct e1000e_rxq *)quoll_port_rxq(fx->w.port, 0);
	fx->txq = (struct e1000e_txq *)quoll_port_txq(fx->w.port, 0);
	return rc;
}

void fixture_run(struct e1000e_fixture *fx, uint32_t offloads)
{
	struct quoll_port_settings settings = {.offloads = offloads};
	int rc = fixture_open(fx);

	if (!rc)
		rc = fixture_start(fx, 1, 128, &settings);
	if (rc)
		printf("%s: %s\n", fx->w.err.stage, fx->w.err.what);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
}

int fixture_stop(struct e1000e_fixture *fx)
{
	fx->rxq = NULL;
	fx->txq = NULL;
	return pci_world_stop(&fx->w);
}

void fixture_fini(struct e1000e_fixture *fx)
{
	pci_world_close(&fx->w, &fx->fake.pci);
	fake_e1000e_fini(&fx->fake);
}

struct quoll_port_stats fixture_stats(const struct e1000e_fixture *fx)
{
	struct quoll_port_stats stats;

	quoll_port_stats(fx->w.port, &stats);
	return stats;
}

static const uint8_t other_mac[6] = {0x02, 0, 0, 0, 0, 0x99};

void fixture_make_frame(const struct e1000e_fixture *fx, uint8_t *frame, uint32_t len, uint32_t seed)
{
	frame_fill(frame, len, seed);
	memcpy(frame, fx->w.port->info.mac, 6);
	memcpy(frame + 6, other_mac, 6);
	frame[12] = 0x88;
	frame[13] = 0xb5;
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
	return chain_make(fx->w.cache, frame, len, link);
}

struct quoll_buf *fixture_pass(struct e1000e_fixture *fx, const uint8_t *frame, uint32_t len)
{
	struct quoll_buf *buf = NULL;

	(void)fake_e1000e_receive(&fx->fake, frame, len);
	return quoll_rx(&fx->rxq->q, &buf, 1) ? buf : NULL;
}

void fixture_put(struct e1000e_fixture *fx, struct quoll_buf *buf)
{
	quoll_buf_put_chain(fx->w.cache, buf);
}

int fixture_check(struct e1000e_fixture *fx)
{
	return quoll_port_check(fx->w.port);
}
