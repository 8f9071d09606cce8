/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio_fixture.h - a virtio-user port, started, with the test as its device: on net_fixture.h and fake_back_end.h.
 */
#ifndef QUOLL_TESTS_VIRTIO_FIXTURE_H
#define QUOLL_TESTS_VIRTIO_FIXTURE_H

#include "net/virtio/user.h"

#include "../chains.h"
#include "../net_fixture.h"
#include "fake_back_end.h"

#define VFX_ENTRIES 64u

struct vfx {
	struct fix f;
	struct fake_back_end be;
	struct quoll_port *port;
	struct virtio_rxq *rxq;
	struct virtio_txq *txq;
	struct fake_ring *rx; /* the device's side of the first pair */
	struct fake_ring *tx;
};

static inline void vfx_init(struct vfx *v, uint32_t buf_bytes)
{
	v->port = NULL;
	fake_back_end_init(&v->be);
	fix_open_with(&v->f, FIX_BUFS, buf_bytes);
}

static inline int vfx_open(struct vfx *v, const char *options)
{
	char text[256];

	snprintf(text, sizeof(text), "virtio-user:%s?mac=02:00:00:00:00:01%s", v->be.path, options);
	return fix_port_try(&v->f, text, &v->port);
}

static inline int vfx_start_n(struct vfx *v, unsigned int n, uint32_t offloads)
{
	struct quoll_port_settings settings = {.offloads = offloads};
	struct quoll_buf_cache *caches[QUOLL_PORT_MAX_QUEUES];
	struct quoll_port_queues queues = {
		.nr_rxqs = n, .nr_txqs = n, .entries = VFX_ENTRIES, .rx_caches = caches, .tx_caches = caches};
	int rc;

	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES; i++)
		caches[i] = v->f.caches[0];
	rc = quoll_port_start(v->port, &queues, &settings, &v->f.err);
	v->rxq = (struct virtio_rxq *)quoll_port_rxq(v->port, 0);
	v->txq = (struct virtio_txq *)quoll_port_txq(v->port, 0);
	v->rx = &v->be.rings[0];
	v->tx = &v->be.rings[1];
	return rc;
}

/* One queue pair, all from the back end on, which does not offer the features @without. */
static inline void vfx_run_without(struct vfx *v, uint64_t without, bool packed, uint32_t offloads)
{
	int rc;

	vfx_init(v, FIX_BUF_BYTES);
	v->be.features &= ~without;
	fake_back_end_run(&v->be);
	rc = vfx_open(v, packed ? "&packed=1" : "");
	if (!rc)
		rc = vfx_start_n(v, 1, offloads);
	if (rc)
		printf("%s: %s\n", v->f.err.stage, v->f.err.what);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	CU_ASSERT_EQUAL(v->rx->packed, packed);
}

static inline void vfx_run(struct vfx *v, bool packed, uint32_t offloads)
{
	vfx_run_without(v, 0, packed, offloads);
}

static inline void vfx_fini(struct vfx *v)
{
	unsigned int nr_violations = 0;

	for (unsigned int i = 0; i < FAKE_MAX_RINGS; i++)
		nr_violations += v->be.rings[i].nr_violations;
	CU_ASSERT_EQUAL(nr_violations, 0);
	if (v->port) {
		(void)quoll_port_stop(v->port);
		CU_ASSERT_EQUAL(quoll_pool_nr_free(v->f.pool), FIX_BUFS);
		quoll_port_close(v->port);
	}
	fake_back_end_fini(&v->be);
	fix_close(&v->f);
}

static inline struct quoll_port_stats vfx_stats(const struct vfx *v)
{
	struct quoll_port_stats stats;

	quoll_port_stats(v->port, &stats);
	return stats;
}

/* One frame in; what came of it, or NULL. */
static inline struct quoll_buf *vfx_pass(struct vfx *v, const struct virtio_net_hdr *hdr, const uint8_t *frame,
					 uint32_t len)
{
	struct quoll_buf *buf = NULL;

	CU_ASSERT(fake_ring_receive(v->rx, hdr, frame, len));
	return quoll_rx(&v->rxq->q, &buf, 1) ? buf : NULL;
}

static inline void vfx_put(struct vfx *v, struct quoll_buf *buf)
{
	quoll_buf_put_chain(v->f.caches[0], buf);
}

/* A chain of links of at most @link bytes with this data. */
static inline struct quoll_buf *vfx_buf(struct vfx *v, const uint8_t *frame, uint32_t len, uint32_t link)
{
	return chain_make(v->f.caches[0], frame, len, link);
}

#endif
