/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * count_soft.c - software in the place of offloads, for callgrind to count: count_soft PATH, as count_paths.
 */
#include <stdio.h>
#include <string.h>

#include <net/net.h>
#include <net/net_chain.h>
#include <net/net_soft.h>

#define BATCH 32u
#define NR_BATCHES 256u
#define SUM_BYTES 1460u

/* Its own symbol, whatever the compiler would rather do. */
#ifdef __clang__
#define MEASURED __attribute__((noinline))
#else
#define MEASURED __attribute__((noipa))
#endif

/* TCP over IPv4 without options or payload, checksums right; padded to what the wire takes. */
static const uint8_t frame[60] = {0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00,
				  0x45, 0x00, 0x00, 0x28, 0x00, 0x00, 0x40, 0x00, 0x40, 0x06, 0x26, 0x08, 0x0a, 0x63,
				  0x00, 0x01, 0x0a, 0x63, 0x00, 0x02, 0x0f, 0xa2, 0x00, 0x50, 0x00, 0x00, 0x00, 0x01,
				  0x00, 0x00, 0x00, 0x00, 0x50, 0x10, 0x02, 0x00, 0x89, 0x19, 0x00, 0x00};

struct soft {
	struct quoll_rss_hasher hasher;
	struct quoll_buf headers[BATCH];
	struct quoll_buf *bufs[BATCH];
	uint8_t data[BATCH][2048] QUOLL_CACHE_ALIGNED;
};

static struct soft soft;

/* Items that came out as they should. */
MEASURED static uint32_t measured_soft_rx(struct soft *s)
{
	quoll_soft_rx(QUOLL_OFFLOAD_RX_CSUM | QUOLL_OFFLOAD_VLAN_STRIP, s->bufs, BATCH);
	return BATCH;
}

MEASURED static uint32_t measured_csum(struct soft *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < BATCH; i++)
		n += net_csum_fold(net_csum_add(0, s->data[i], SUM_BYTES)) != 0;
	return n;
}

MEASURED static uint32_t measured_rss(struct soft *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < BATCH; i++) {
		struct quoll_frame f;

		quoll_frame_parse(s->bufs[i], &f);
		n += quoll_rss_hash_frame(&s->hasher, QUOLL_RSS_TCP4, s->bufs[i], &f) == QUOLL_RSS_TCP4;
	}
	return n;
}

static void prepare(void)
{
	quoll_rss_hasher_init(&soft.hasher, quoll_rss_key_default);
	for (uint32_t i = 0; i < BATCH; i++) {
		memcpy(soft.data[i], frame, sizeof(frame));
		soft.bufs[i] = &soft.headers[i];
		soft.headers[i] = (struct quoll_buf){
			.va = soft.data[i], .data_bytes = sizeof(frame), .total_bytes = sizeof(frame), .nr_links = 1};
	}
}

static const struct {
	const char *name;
	uint32_t (*measured)(struct soft *s);
	uint32_t flags; /* of each frame afterwards */
} paths[] = {
	{"soft_rx", measured_soft_rx, QUOLL_BUF_RX_IP_GOOD | QUOLL_BUF_RX_L4_GOOD},
	{"csum", measured_csum, 0},
	{"rss", measured_rss, QUOLL_BUF_RX_HASH},
};

static int count(size_t path)
{
	prepare();
	for (uint32_t i = 0; i < NR_BATCHES; i++)
		if (paths[path].measured(&soft) != BATCH)
			return 1;
	for (uint32_t i = 0; i < BATCH; i++)
		if (soft.headers[i].flags != paths[path].flags)
			return 1;
	printf("items %u\n", NR_BATCHES * BATCH);
	return 0;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < sizeof(paths) / sizeof(paths[0]); i++)
		if (!strcmp(argv[1], paths[i].name))
			return count(i);
	fprintf(stderr, "usage: count_soft PATH\n");
	return 2;
}
