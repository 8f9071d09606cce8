/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_parse.c - frames that Linux sent, the same cut short, split over links, and with each length field lying.
 */
#include <stdlib.h>
#include <string.h>

#include <net/net_parse.h>

#include "frames.h"
#include "unit.h"

#define MAX_BYTES 512

/* A frame that is put together, or changed. */
struct made {
	uint8_t data[MAX_BYTES];
	uint32_t bytes;
};

static void add(struct made *m, const void *data, uint32_t bytes)
{
	CU_ASSERT_FATAL(m->bytes + bytes <= MAX_BYTES);
	memcpy(m->data + m->bytes, data, bytes);
	m->bytes += bytes;
}

static void add_byte(struct made *m, unsigned int value, uint32_t times)
{
	while (times--)
		add(m, &(uint8_t){(uint8_t)value}, 1);
}

static void add_be16(struct made *m, unsigned int value)
{
	add_byte(m, value >> 8, 1);
	add_byte(m, value & 255, 1);
}

/* Parsed where one byte more would be another object's: ASan tells. */
static unsigned int parse(const void *data, uint32_t bytes, struct quoll_frame *f)
{
	void *copy = malloc(bytes ? bytes : 1);
	unsigned int ret;

	CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
	memcpy(copy, data, bytes);
	ret = quoll_frame_parse_bytes(copy, bytes, f);
	free(copy);
	CU_ASSERT_EQUAL(ret, f->bad_layer);
	CU_ASSERT_EQUAL(f->frame_bytes, bytes);
	return ret;
}

static const struct {
	const uint8_t *data;
	uint32_t bytes;
	struct quoll_frame is;
} recorded[] = {
	{frame_udp4,
	 sizeof(frame_udp4),
	 {.l3_end = 69,
	  .l4_end = 69,
	  .l2_bytes = 14,
	  .l3_bytes = 20,
	  .l4_bytes = 8,
	  .ethertype = 0x800,
	  .l3 = 1,
	  .l4 = 2,
	  .ip_proto = 17}},
	{frame_udp6,
	 sizeof(frame_udp6),
	 {.l3_end = 76,
	  .l4_end = 76,
	  .l2_bytes = 14,
	  .l3_bytes = 40,
	  .l4_bytes = 8,
	  .ethertype = 0x86dd,
	  .l3 = 2,
	  .l4 = 2,
	  .ip_proto = 17}},
	{frame_tcp4,
	 sizeof(frame_tcp4),
	 {.l3_end = 74,
	  .l4_end = 74,
	  .l2_bytes = 14,
	  .l3_bytes = 20,
	  .l4_bytes = 40,
	  .ethertype = 0x800,
	  .l3 = 1,
	  .l4 = 1,
	  .ip_proto = 6}},
	{frame_tcp6,
	 sizeof(frame_tcp6),
	 {.l3_end = 94,
	  .l4_end = 94,
	  .l2_bytes = 14,
	  .l3_bytes = 40,
	  .l4_bytes = 40,
	  .ethertype = 0x86dd,
	  .l3 = 2,
	  .l4 = 1,
	  .ip_proto = 6}},
	{frame_opt,
	 sizeof(frame_opt),
	 {.l3_end = 61,
	  .l4_end = 61,
	  .l2_bytes = 14,
	  .l3_bytes = 32,
	  .l4_bytes = 8,
	  .ethertype = 0x800,
	  .l3 = 1,
	  .l4 = 2,
	  .ip_proto = 17}},
	{frame_ext,
	 sizeof(frame_ext),
	 {.l3_end = 86,
	  .l4_end = 86,
	  .l2_bytes = 14,
	  .l3_bytes = 56,
	  .l4_bytes = 8,
	  .ethertype = 0x86dd,
	  .l3 = 2,
	  .l4 = 2,
	  .ip_proto = 17}},
};
#define NR_RECORDED (sizeof(recorded) / sizeof(recorded[0]))

static void same(const struct quoll_frame *a, const struct quoll_frame *b)
{
	CU_ASSERT_EQUAL(a->l3_end, b->l3_end);
	CU_ASSERT_EQUAL(a->l4_end, b->l4_end);
	CU_ASSERT_EQUAL(a->l2_bytes, b->l2_bytes);
	CU_ASSERT_EQUAL(a->l3_bytes, b->l3_bytes);
	CU_ASSERT_EQUAL(a->l4_bytes, b->l4_bytes);
	CU_ASSERT_EQUAL(a->ethertype, b->ethertype);
	CU_ASSERT_EQUAL(a->vlan_tci, b->vlan_tci);
	CU_ASSERT_EQUAL(a->nr_vlans, b->nr_vlans);
	CU_ASSERT_EQUAL(a->l3, b->l3);
	CU_ASSERT_EQUAL(a->l4, b->l4);
	CU_ASSERT_EQUAL(a->ip_proto, b->ip_proto);
	CU_ASSERT_EQUAL(a->fragment, b->fragment);
	CU_ASSERT_EQUAL(a->routed, b->routed);
	CU_ASSERT_EQUAL(a->bad_layer, b->bad_layer);
}

static void recorded_frames_are_understood(void)
{
	struct quoll_frame f;

	for (size_t i = 0; i < NR_RECORDED; i++) {
		CU_ASSERT_EQUAL(parse(recorded[i].data, recorded[i].bytes, &f), 0);
		same(&f, &recorded[i].is);
	}
}

/* The IP header says how long it is, so that one byte less is too few for it. */
static void frames_cut_short_say_where(void)
{
	struct quoll_frame f;

	for (size_t i = 0; i < NR_RECORDED; i++)
		for (uint32_t bytes = 0; bytes < recorded[i].bytes; bytes++) {
			unsigned int bad = bytes < 14 ? 2 : 3;

			CU_ASSERT_EQUAL(parse(recorded[i].data, bytes, &f), bad);
			CU_ASSERT_EQUAL(f.l2_bytes, bad == 3 ? 14 : 0);
			CU_ASSERT_EQUAL(f.l3, QUOLL_L3_NONE);
			CU_ASSERT_EQUAL(f.l3_bytes, 0);
			CU_ASSERT_EQUAL(f.l4_bytes, 0);
			CU_ASSERT_EQUAL(f.l4_end, 0);
		}
}

static void headers_may_lie_across_links(void)
{
	struct quoll_buf links[128];
	struct quoll_frame f;

	for (size_t i = 0; i < NR_RECORDED; i++)
		for (uint32_t step = 1; step < recorded[i].bytes; step++) {
			uint32_t nr = 0;

			memset(links, 0, sizeof(links));
			for (uint32_t at = 0; at < recorded[i].bytes; at += step, nr++) {
				uint32_t rest = recorded[i].bytes - at;

				links[nr].va = (uint8_t *)(uintptr_t)recorded[i].data + at;
				links[nr].data_bytes = rest < step ? rest : step;
				links[nr].next = rest > step ? &links[nr + 1] : NULL;
			}
			links[0].nr_links = (uint16_t)nr;
			links[0].total_bytes = recorded[i].bytes;
			CU_ASSERT_EQUAL(quoll_frame_parse(links, &f), 0);
			same(&f, &recorded[i].is);
			/* It says that it is longer than its links are. */
			if (step > 13)
				continue;
			links[1].next = NULL;
			CU_ASSERT_NOT_EQUAL(quoll_frame_parse(links, &f), 0);
		}
}

/* The first 12 bytes of a recorded frame, tags, the rest of it. */
static void tagged(struct made *m, unsigned int nr_tags)
{
	m->bytes = 0;
	add(m, frame_udp4, 12);
	for (unsigned int i = 0; i < nr_tags; i++) {
		add_be16(m, i % 2 || nr_tags == 1 ? 0x8100 : 0x88a8);
		add_be16(m, 0x2000 + i);
	}
	add(m, frame_udp4 + 12, sizeof(frame_udp4) - 12);
}

static void tags_are_counted(void)
{
	struct quoll_frame f;
	struct made m;

	for (unsigned int nr = 1; nr <= QUOLL_FRAME_MAX_VLANS; nr++) {
		tagged(&m, nr);
		CU_ASSERT_EQUAL(parse(m.data, m.bytes, &f), 0);
		CU_ASSERT_EQUAL(f.nr_vlans, nr);
		CU_ASSERT_EQUAL(f.vlan_tci, 0x2000);
		CU_ASSERT_EQUAL(f.l2_bytes, 14 + 4 * nr);
		CU_ASSERT_EQUAL(f.ethertype, 0x800);
		CU_ASSERT_EQUAL(f.l4, QUOLL_L4_UDP);
		CU_ASSERT_EQUAL(f.l4_end, 69 + 4 * nr);
		/* Cut within the tags, there is no type to go by. */
		for (uint32_t bytes = 0; bytes < 14 + 4 * nr; bytes++)
			CU_ASSERT_EQUAL(parse(m.data, bytes, &f), 2);
	}
	tagged(&m, QUOLL_FRAME_MAX_VLANS + 1);
	CU_ASSERT_EQUAL(parse(m.data, m.bytes, &f), 2);
	CU_ASSERT_EQUAL(f.nr_vlans, 0);
}

static void frames_of_8023_have_a_length(void)
{
	struct quoll_frame f;
	struct made m = {.bytes = 0};

	add(&m, frame_udp4, 12);
	add_be16(&m, 46);
	add_byte(&m, 0xaa, 46);
	CU_ASSERT_EQUAL(parse(m.data, m.bytes, &f), 0);
	CU_ASSERT_EQUAL(f.l3, QUOLL_L3_NONE);
	CU_ASSERT_EQUAL(f.l3_end, 60);
	CU_ASSERT_EQUAL(f.ethertype, 46);
	CU_ASSERT_EQUAL(parse(m.data, m.bytes - 1, &f), 2);
	m.data[12] = 0x88; /* a type that nobody here knows */
	CU_ASSERT_EQUAL(parse(m.data, 14, &f), 0);
	CU_ASSERT_EQUAL(f.l3, QUOLL_L3_NONE);
}

/* A recorded frame with the byte at @at replaced. */
static unsigned int with(const uint8_t *frame, uint32_t bytes, uint32_t at, unsigned int value, struct quoll_frame *f)
{
	struct made m = {.bytes = 0};

	add(&m, frame, bytes);
	m.data[at] = (uint8_t)value;
	return parse(m.data, m.bytes, f);
}
#define WITH(frame, at, value) with(frame, sizeof(frame), at, value, &f)

static void lies_of_ip_headers_are_found(void)
{
	struct quoll_frame f;

	CU_ASSERT_EQUAL(WITH(frame_udp4, 14, 0x65), 3); /* version */
	CU_ASSERT_EQUAL(WITH(frame_udp4, 14, 0x44), 3); /* header length: below 20 */
	CU_ASSERT_EQUAL(WITH(frame_udp4, 14, 0x4f), 3); /* more than the packet */
	CU_ASSERT_EQUAL(WITH(frame_udp4, 17, 19), 3);	/* packet shorter than its header */
	CU_ASSERT_EQUAL(WITH(frame_udp4, 17, 56), 3);	/* longer than the frame */
	CU_ASSERT_EQUAL(WITH(frame_udp4, 16, 0xff), 3);
	CU_ASSERT_EQUAL(WITH(frame_udp4, 23, 47), 0); /* another protocol */
	CU_ASSERT_EQUAL(f.l4, QUOLL_L4_NONE);
	CU_ASSERT_EQUAL(f.ip_proto, 47);
	CU_ASSERT_EQUAL(WITH(frame_udp6, 14, 0x50), 3);
	CU_ASSERT_EQUAL(WITH(frame_udp6, 19, 23), 3); /* payload longer than the frame */
	CU_ASSERT_EQUAL(WITH(frame_udp6, 18, 0xff), 3);
	CU_ASSERT_EQUAL(WITH(frame_ext, 55, 4), 3); /* extension header longer than the packet */
	CU_ASSERT_EQUAL(WITH(frame_ext, 55, 255), 3);
	CU_ASSERT_EQUAL(WITH(frame_ext, 54, 0), 3); /* hop-by-hop options, but not first */
	CU_ASSERT_EQUAL(f.l3_bytes, 0);
}

static void lies_of_tcp_and_udp_headers_are_found(void)
{
	struct quoll_frame f;

	CU_ASSERT_EQUAL(WITH(frame_tcp4, 46, 0x40), 4); /* below 20 */
	CU_ASSERT_EQUAL(WITH(frame_tcp4, 46, 0xb0), 4); /* more than there is */
	CU_ASSERT_EQUAL(f.l3_bytes, 20);
	CU_ASSERT_EQUAL(f.l4, QUOLL_L4_NONE);
	CU_ASSERT_EQUAL(f.l4_bytes, 0);
	CU_ASSERT_EQUAL(WITH(frame_tcp4, 17, 39), 4); /* the packet ends within the TCP header */
	CU_ASSERT_EQUAL(WITH(frame_udp4, 39, 7), 4);
	CU_ASSERT_EQUAL(WITH(frame_udp4, 39, 36), 4);
	CU_ASSERT_EQUAL(WITH(frame_udp4, 38, 0xff), 4);
	CU_ASSERT_EQUAL(WITH(frame_udp4, 17, 27), 4);
	CU_ASSERT_EQUAL(WITH(frame_udp4, 39, 34), 0); /* shorter than the packet: the rest is no part of it */
	CU_ASSERT_EQUAL(f.l4_end, 68);
	CU_ASSERT_EQUAL(f.l3_end, 69);
}

static void fragments_have_no_ports(void)
{
	struct quoll_frame f;
	struct made m = {.bytes = 0};

	add(&m, frame_frag, sizeof(frame_frag));
	m.data[16] = 0;
	m.data[17] = sizeof(frame_frag) - 14;
	CU_ASSERT_EQUAL(parse(m.data, m.bytes, &f), 0);
	CU_ASSERT_TRUE(f.fragment);
	CU_ASSERT_EQUAL(f.l3, QUOLL_L3_IPV4);
	CU_ASSERT_EQUAL(f.l4, QUOLL_L4_NONE);
	CU_ASSERT_EQUAL(f.ip_proto, 17);
	m.data[20] = 0x1f; /* not the first one any more */
	CU_ASSERT_EQUAL(parse(m.data, m.bytes, &f), 0);
	CU_ASSERT_TRUE(f.fragment);
	m.data[20] = 0x40; /* don't fragment: now its UDP header counts, which is that of 1,600 bytes */
	CU_ASSERT_EQUAL(parse(m.data, m.bytes, &f), 4);
	CU_ASSERT_FALSE(f.fragment);
}

/* IPv6 with @nr headers of 8 bytes, each of them @header, then UDP. */
static void extended(struct made *m, unsigned int header, unsigned int nr)
{
	m->bytes = 0;
	add(m, frame_udp6, 14 + 40);
	m->data[19] = (uint8_t)(m->data[19] + 8 * nr);
	m->data[20] = (uint8_t)header;
	for (unsigned int i = 0; i < nr; i++) {
		add_byte(m, i + 1 == nr ? 17 : header, 1);
		add_byte(m, 0, 7);
	}
	add(m, frame_udp6 + 54, sizeof(frame_udp6) - 54);
}

static void extension_headers_are_walked(void)
{
	static const uint8_t headers[] = {43, 44, 51, 60, 135, 139, 140};
	struct quoll_frame f;
	struct made m;

	for (size_t i = 0; i < sizeof(headers); i++) {
		extended(&m, headers[i], 1);
		CU_ASSERT_EQUAL(parse(m.data, m.bytes, &f), 0);
		CU_ASSERT_EQUAL(f.l3_bytes, 48);
		CU_ASSERT_EQUAL(f.l4, QUOLL_L4_UDP);
		CU_ASSERT_EQUAL(f.l4_end, 84);
		CU_ASSERT_FALSE(f.fragment);
		CU_ASSERT_FALSE(f.routed);
	}
	extended(&m, 60, QUOLL_FRAME_MAX_EXTENSIONS);
	CU_ASSERT_EQUAL(parse(m.data, m.bytes, &f), 0);
	CU_ASSERT_EQUAL(f.l3_bytes, 40 + 8 * QUOLL_FRAME_MAX_EXTENSIONS);
	CU_ASSERT_EQUAL(f.ip_proto, 17);
	extended(&m, 60, QUOLL_FRAME_MAX_EXTENSIONS + 1);
	CU_ASSERT_EQUAL(parse(m.data, m.bytes, &f), 3);
	extended(&m, 50, 1); /* encrypted: what follows can't be known */
	CU_ASSERT_EQUAL(parse(m.data, m.bytes, &f), 0);
	CU_ASSERT_EQUAL(f.l3_bytes, 40);
	CU_ASSERT_EQUAL(f.l4, QUOLL_L4_NONE);
}

static void extension_headers_that_change_what_follows(void)
{
	struct quoll_frame f;
	struct made m;

	extended(&m, 43, 1);
	m.data[14 + 40 + 3] = 1; /* segments left */
	CU_ASSERT_EQUAL(parse(m.data, m.bytes, &f), 0);
	CU_ASSERT_TRUE(f.routed);
	CU_ASSERT_EQUAL(f.l4, QUOLL_L4_UDP);
	extended(&m, 44, 1);
	m.data[14 + 40 + 3] = 1; /* more fragments */
	CU_ASSERT_EQUAL(parse(m.data, m.bytes, &f), 0);
	CU_ASSERT_TRUE(f.fragment);
	CU_ASSERT_EQUAL(f.l3_bytes, 48);
	CU_ASSERT_EQUAL(f.l4, QUOLL_L4_NONE);
	m.data[14 + 40 + 3] = 8; /* the last one */
	CU_ASSERT_EQUAL(parse(m.data, m.bytes, &f), 0);
	CU_ASSERT_TRUE(f.fragment);
	/* What follows a fragment's header is not looked at: it says that it is one more header. */
	m.data[14 + 40] = 60;
	CU_ASSERT_EQUAL(parse(m.data, m.bytes, &f), 0);
	CU_ASSERT_EQUAL(f.l3_bytes, 48);
	m.data[14 + 40 + 3] = 6; /* reserved bits only: the packet is whole */
	m.data[14 + 40] = 17;
	CU_ASSERT_EQUAL(parse(m.data, m.bytes, &f), 0);
	CU_ASSERT_FALSE(f.fragment);
	CU_ASSERT_EQUAL(f.l4, QUOLL_L4_UDP);
}

static void padding_and_giants_are_not_the_packets(void)
{
	uint8_t *giant = calloc(1, 100000);
	struct quoll_frame f;
	struct made m = {.bytes = 0};

	add(&m, frame_opt, sizeof(frame_opt));
	add_byte(&m, 0xee, 30);
	CU_ASSERT_EQUAL(parse(m.data, m.bytes, &f), 0);
	CU_ASSERT_EQUAL(f.l3_end, 61);
	CU_ASSERT_EQUAL(f.l4_end, 61);
	CU_ASSERT_EQUAL(f.frame_bytes, 91);
	CU_ASSERT_PTR_NOT_NULL_FATAL(giant);
	memcpy(giant, frame_udp6, sizeof(frame_udp6));
	giant[18] = giant[19] = 0xff;
	giant[58] = giant[59] = 0xff;
	CU_ASSERT_EQUAL(parse(giant, 100000, &f), 0);
	CU_ASSERT_EQUAL(f.l3_end, 54 + 65535);
	CU_ASSERT_EQUAL(f.l4_end, 54 + 65535);
	free(giant);
}

static const struct unit_test tests[] = {
	{"recorded frames are understood", recorded_frames_are_understood},
	{"frames cut short say where", frames_cut_short_say_where},
	{"headers may lie across links", headers_may_lie_across_links},
	{"tags are counted, and nine are too many", tags_are_counted},
	{"frames of 802.3 have a length", frames_of_8023_have_a_length},
	{"lies of IP headers are found", lies_of_ip_headers_are_found},
	{"lies of TCP and UDP headers are found", lies_of_tcp_and_udp_headers_are_found},
	{"fragments have no ports", fragments_have_no_ports},
	{"extension headers are walked, 16 at most", extension_headers_are_walked},
	{"extension headers that change what follows", extension_headers_that_change_what_follows},
	{"padding and giants: what the packet does not count is not its", padding_and_giants_are_not_the_packets},
};

UNIT_MAIN("drivers/net/net_parse", tests)
