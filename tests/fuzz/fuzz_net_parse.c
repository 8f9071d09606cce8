/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_net_parse.c - any bytes as a received frame: what is said of it lies within it, and is the same in whatever
 * links it comes; so are its checksums and its hash.
 *
 * The first byte of the input is the length of the links, the rest is the frame.
 */
#include <stdlib.h>
#include <string.h>

#include <net/net.h>
#include <net/net_soft.h>

#define MAX_LINKS 8192u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check(const struct quoll_frame *f, uint32_t bytes, unsigned int bad)
{
	uint32_t l4 = (uint32_t)f->l2_bytes + f->l3_bytes;

	must(f->frame_bytes == bytes && f->bad_layer == bad && (!bad || (bad >= 2 && bad <= 4)));
	must(bad == 2 ? !f->l2_bytes : f->l2_bytes == 14u + 4u * f->nr_vlans);
	must(l4 + f->l4_bytes <= f->l3_end && f->l3_end <= bytes && f->l4_end <= f->l3_end);
	must(f->l3 == QUOLL_L3_NONE ? !f->l3_bytes : f->l3_bytes >= (f->l3 == QUOLL_L3_IPV4 ? 20 : 40));
	must(f->l4 == QUOLL_L4_NONE ? !f->l4_bytes && !f->l4_end : l4 + f->l4_bytes <= f->l4_end && !f->fragment);
	must(bad != 4 || f->l3 != QUOLL_L3_NONE);
}

/* Each link in memory of its own, so that ASan sees what is read past it. */
static void make_links(struct quoll_buf *links, const uint8_t *data, uint32_t bytes, uint32_t step)
{
	uint32_t nr = 0;

	for (uint32_t at = 0; at < bytes || !nr; nr++) {
		uint32_t n = bytes - at < step || nr == MAX_LINKS - 1 ? bytes - at : step;

		links[nr] = (struct quoll_buf){.va = malloc(n ? n : 1), .data_bytes = n, .next = &links[nr + 1]};
		must(links[nr].va);
		memcpy(links[nr].va, data + at, n);
		at += n;
	}
	links[nr - 1].next = NULL;
	links[0].nr_links = (uint16_t)nr;
	links[0].total_bytes = bytes;
}

static void free_links(struct quoll_buf *links)
{
	for (struct quoll_buf *link = links; link; link = link->next)
		free(link->va);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct quoll_buf whole, links[MAX_LINKS];
	static struct quoll_rss_hasher hasher;
	struct quoll_frame f, g;
	struct quoll_buf *bufs[2] = {&whole, links};
	int done[2];

	if (!size)
		return 0;
	quoll_rss_hasher_init(&hasher, quoll_rss_key_default);
	make_links(&whole, data + 1, (uint32_t)size - 1, (uint32_t)size);
	make_links(links, data + 1, (uint32_t)size - 1, data[0] ? data[0] : 256);
	check(&f, (uint32_t)size - 1, quoll_frame_parse(&whole, &f));
	check(&g, (uint32_t)size - 1, quoll_frame_parse(links, &g));
	must(!memcmp(&f, &g, sizeof(f)));
	must(quoll_rss_hash_frame(&hasher, 0x3f, &whole, &f) == quoll_rss_hash_frame(&hasher, 0x3f, links, &g));
	must(whole.hash == links[0].hash);
	quoll_soft_rx(QUOLL_OFFLOAD_RX_CSUM, bufs, 2);
	must(whole.flags == links[0].flags);
	/* A peer that says that it left the checksum undone, of anything. */
	for (unsigned int i = 0; i < 2; i++) {
		bufs[i]->flags = QUOLL_BUF_RX_L4_PARTIAL;
		done[i] = quoll_soft_complete(bufs[i]);
	}
	must(done[0] == done[1] && whole.flags == links[0].flags);
	quoll_soft_rx(QUOLL_OFFLOAD_RX_CSUM, bufs, 2);
	must(whole.flags == links[0].flags);
	/* Last: a tag that lies across links stays, and from here on they are two frames. */
	quoll_soft_rx(QUOLL_OFFLOAD_VLAN_STRIP, bufs, 2);
	quoll_frame_parse(&whole, &g);
	must(!(whole.flags & QUOLL_BUF_RX_VLAN) || (g.nr_vlans + 1u == f.nr_vlans && whole.vlan_tci == f.vlan_tci) ||
	     f.bad_layer == 2);
	free_links(&whole);
	free_links(links);
	return 0;
}
