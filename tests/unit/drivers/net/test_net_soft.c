/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_soft.c - checksums and tags in software, against frames whose checksums Linux worked out.
 */
#include <net/net_soft.h>

#include "frames.h"
#include "net_fixture.h"
#include "soft_frames.h"

#define RX_FLAGS (QUOLL_BUF_RX_IP_GOOD | QUOLL_BUF_RX_IP_BAD | QUOLL_BUF_RX_L4_GOOD | QUOLL_BUF_RX_L4_BAD)

static const struct sample {
	const uint8_t *data;
	uint32_t bytes;
	uint16_t l3_bytes;
	uint8_t l4_bytes;
	uint32_t asks; /* of transmit */
	bool v6;
} samples[] = {
	{frame_udp4, sizeof(frame_udp4), 20, 8, QUOLL_BUF_TX_IP_CSUM | QUOLL_BUF_TX_UDP_CSUM, false},
	{frame_udp6, sizeof(frame_udp6), 40, 8, QUOLL_BUF_TX_UDP_CSUM, true},
	{frame_tcp4, sizeof(frame_tcp4), 20, 40, QUOLL_BUF_TX_IP_CSUM | QUOLL_BUF_TX_TCP_CSUM, false},
	{frame_tcp6, sizeof(frame_tcp6), 40, 40, QUOLL_BUF_TX_TCP_CSUM, true},
	{frame_opt, sizeof(frame_opt), 32, 8, QUOLL_BUF_TX_IP_CSUM | QUOLL_BUF_TX_UDP_CSUM, false},
	{frame_ext, sizeof(frame_ext), 56, 8, QUOLL_BUF_TX_UDP_CSUM, true},
};
#define NR_SAMPLES (sizeof(samples) / sizeof(samples[0]))

/* What receive in software says of these bytes. */
static uint32_t judge(struct fix *f, const uint8_t *data, uint32_t bytes, uint32_t step, uint32_t missing)
{
	struct quoll_buf *buf = soft_frame(f->caches[0], data, bytes, step);
	uint32_t flags;

	CU_ASSERT_PTR_NOT_NULL_FATAL(buf);
	quoll_soft_rx(missing, &buf, 1);
	flags = buf->flags;
	quoll_buf_put_chain(f->caches[0], buf);
	return flags;
}

static uint32_t good_flags(const struct sample *s)
{
	return QUOLL_BUF_RX_L4_GOOD | (s->v6 ? 0 : QUOLL_BUF_RX_IP_GOOD);
}

static void linux_checksums_are_good(void)
{
	struct fix f;

	fix_open(&f);
	for (size_t i = 0; i < NR_SAMPLES; i++)
		for (uint32_t step = 1; step <= samples[i].bytes; step++)
			CU_ASSERT_EQUAL(judge(&f, samples[i].data, samples[i].bytes, step, QUOLL_OFFLOAD_RX_CSUM),
					good_flags(&samples[i]));
	fix_close(&f);
}

/* Each bit of what a checksum covers, one after the other; not of the headers' own lengths and kinds. */
static void one_wrong_bit_is_seen(void)
{
	uint8_t data[128];
	struct fix f;

	fix_open(&f);
	for (size_t i = 0; i < NR_SAMPLES; i++) {
		const struct sample *s = &samples[i];
		uint32_t l4 = 14u + s->l3_bytes;

		for (uint32_t at = l4 + s->l4_bytes; at < s->bytes; at++)
			for (unsigned int bit = 0; bit < 8; bit++) {
				memcpy(data, s->data, s->bytes);
				data[at] ^= (uint8_t)(1u << bit);
				CU_ASSERT_EQUAL(judge(&f, data, s->bytes, 33, QUOLL_OFFLOAD_RX_CSUM),
						(good_flags(s) & ~QUOLL_BUF_RX_L4_GOOD) | QUOLL_BUF_RX_L4_BAD);
			}
		if (s->v6)
			continue;
		memcpy(data, s->data, s->bytes);
		data[14 + 8] ^= 1; /* TTL: the IP header's only */
		CU_ASSERT_EQUAL(judge(&f, data, s->bytes, 33, QUOLL_OFFLOAD_RX_CSUM),
				QUOLL_BUF_RX_IP_BAD | QUOLL_BUF_RX_L4_GOOD);
	}
	fix_close(&f);
}

static void only_what_is_missing_is_looked_at(void)
{
	struct fix f;

	fix_open(&f);
	CU_ASSERT_EQUAL(judge(&f, frame_udp4, sizeof(frame_udp4), 99, QUOLL_OFFLOAD_RX_IP_CSUM), QUOLL_BUF_RX_IP_GOOD);
	CU_ASSERT_EQUAL(judge(&f, frame_udp4, sizeof(frame_udp4), 99, QUOLL_OFFLOAD_RX_L4_CSUM), QUOLL_BUF_RX_L4_GOOD);
	CU_ASSERT_EQUAL(judge(&f, frame_udp4, sizeof(frame_udp4), 99, 0), 0);
	CU_ASSERT_EQUAL(judge(&f, frame_udp4, sizeof(frame_udp4), 99, QUOLL_OFFLOAD_VLAN_STRIP), 0);
	fix_close(&f);
}

static void frames_without_a_checksum_are_not_judged(void)
{
	uint8_t data[128];
	struct quoll_buf *buf;
	struct fix f;

	fix_open(&f);
	memcpy(data, frame_udp4, sizeof(frame_udp4));
	data[40] = data[41] = 0;
	CU_ASSERT_EQUAL(judge(&f, data, sizeof(frame_udp4), 99, QUOLL_OFFLOAD_RX_L4_CSUM), 0);
	memcpy(data, frame_udp6, sizeof(frame_udp6)); /* IPv6 does not allow that */
	data[60] = data[61] = 0;
	CU_ASSERT_EQUAL(judge(&f, data, sizeof(frame_udp6), 99, QUOLL_OFFLOAD_RX_L4_CSUM), QUOLL_BUF_RX_L4_BAD);
	memcpy(data, frame_udp4, sizeof(frame_udp4));
	data[20] = 0x20; /* a fragment */
	CU_ASSERT_EQUAL(judge(&f, data, sizeof(frame_udp4), 99, QUOLL_OFFLOAD_RX_CSUM), QUOLL_BUF_RX_IP_BAD);
	CU_ASSERT_EQUAL(judge(&f, frame_udp4, 40, 99, QUOLL_OFFLOAD_RX_CSUM), 0); /* cut short */
	memcpy(data, frame_ext, sizeof(frame_ext));
	data[54] = 43; /* routing header, one segment left: the destination is elsewhere */
	data[64] = 0;
	data[65] = 1;
	CU_ASSERT_EQUAL(judge(&f, data, sizeof(frame_ext), 99, QUOLL_OFFLOAD_RX_L4_CSUM), 0);
	buf = soft_frame(f.caches[0], frame_udp6, sizeof(frame_udp6), 99);
	buf->flags = QUOLL_BUF_RX_L4_PARTIAL;
	((uint8_t *)quoll_buf_data(buf))[60] ^= 1;
	quoll_soft_rx(QUOLL_OFFLOAD_RX_L4_CSUM, &buf, 1);
	CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_L4_PARTIAL);
	quoll_buf_put_chain(f.caches[0], buf);
	fix_close(&f);
}

/* Addresses, protocol and length, summed up; 0 as length if it is to be left out. */
static void put_pseudo_sum(struct quoll_buf *buf, const struct sample *s, uint32_t length)
{
	uint8_t *ip = (uint8_t *)quoll_buf_data(buf) + 14, *l4 = ip + s->l3_bytes;
	bool tcp = s->asks & QUOLL_BUF_TX_TCP_CSUM;
	uint32_t sum = length + (tcp ? 6 : 17), from = s->v6 ? 8 : 12, n = s->v6 ? 32 : 8;
	uint8_t *field = l4 + (tcp ? 16 : 6);

	for (uint32_t i = 0; i < n; i += 2)
		sum += (uint32_t)ip[from + i] << 8 | ip[from + i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	field[0] = (uint8_t)(sum >> 8);
	field[1] = (uint8_t)sum;
	if (!s->v6)
		ip[10] = ip[11] = 0;
}

/* A sample that asks for its checksums. */
static struct quoll_buf *asking(struct fix *f, const struct sample *s)
{
	struct quoll_buf *buf = soft_frame(f->caches[0], s->data, s->bytes, s->bytes);

	CU_ASSERT_PTR_NOT_NULL_FATAL(buf);
	buf->flags = s->asks;
	buf->l2_bytes = 14;
	buf->l3_bytes = s->l3_bytes;
	buf->l4_bytes = s->l4_bytes;
	put_pseudo_sum(buf, s, s->bytes - 14 - s->l3_bytes);
	return buf;
}

static bool is_sample(const struct quoll_buf *buf, const struct sample *s)
{
	return buf->total_bytes == s->bytes && !memcmp(quoll_buf_data(buf), s->data, s->bytes);
}

static void filled_checksums_are_those_of_linux(void)
{
	struct quoll_buf *buf, *out;
	struct fix f;

	fix_open(&f);
	for (size_t i = 0; i < NR_SAMPLES; i++) {
		buf = asking(&f, &samples[i]);
		CU_ASSERT_FALSE(is_sample(buf, &samples[i]));
		CU_ASSERT_EQUAL(quoll_soft_tx(QUOLL_OFFLOAD_TX_CSUM, f.caches[0], buf, &out, 1), 1);
		CU_ASSERT_PTR_EQUAL(out, buf);
		CU_ASSERT_TRUE(is_sample(buf, &samples[i]));
		CU_ASSERT_EQUAL(buf->flags, 0);
		quoll_buf_put(f.caches[0], &buf, 1);
	}
	fix_close(&f);
}

static void what_the_port_does_is_left_to_it(void)
{
	struct quoll_buf *buf, *out;
	struct fix f;

	fix_open(&f);
	buf = asking(&f, &samples[0]);
	CU_ASSERT_EQUAL(quoll_soft_tx(QUOLL_OFFLOAD_TX_IP_CSUM, f.caches[0], buf, &out, 1), 1);
	CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_TX_UDP_CSUM);
	CU_ASSERT_EQUAL(memcmp((uint8_t *)quoll_buf_data(buf) + 24, frame_udp4 + 24, 2), 0);
	CU_ASSERT_NOT_EQUAL(memcmp((uint8_t *)quoll_buf_data(buf) + 40, frame_udp4 + 40, 2), 0);
	CU_ASSERT_EQUAL(quoll_soft_tx(QUOLL_OFFLOAD_TX_L4_CSUM, f.caches[0], buf, &out, 1), 1);
	CU_ASSERT_TRUE(is_sample(buf, &samples[0]));
	quoll_buf_put(f.caches[0], &buf, 1);
	CU_ASSERT_EQUAL(quoll_soft_tx_flags(0), 0);
	CU_ASSERT_EQUAL(quoll_soft_tx_flags(QUOLL_OFFLOAD_TX_L4_CSUM), QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM);
	CU_ASSERT_EQUAL(quoll_soft_tx_flags(QUOLL_OFFLOAD_TX_IP_CSUM), QUOLL_BUF_TX_IP_CSUM);
	CU_ASSERT_EQUAL(quoll_soft_tx_flags(QUOLL_OFFLOAD_VLAN_INSERT), QUOLL_BUF_TX_VLAN);
	CU_ASSERT_EQUAL(quoll_soft_tx_flags(QUOLL_OFFLOAD_TX_TSO6), QUOLL_BUF_TX_TSO);
	fix_close(&f);
}

/* A word of the payload is changed so that the sum comes to what means "no checksum" in UDP. */
static void checksum_of_zero_is_sent_as_ones(void)
{
	uint8_t data[sizeof(frame_udp6)];
	struct sample s = samples[1];
	struct quoll_buf *buf, *out;
	uint32_t word, csum;
	struct fix f;

	fix_open(&f);
	memcpy(data, frame_udp6, sizeof(data));
	csum = (uint32_t)data[60] << 8 | data[61];
	word = ((uint32_t)data[62] << 8 | data[63]) + csum;
	word = (word & 0xffff) + (word >> 16);
	data[62] = (uint8_t)(word >> 8);
	data[63] = (uint8_t)word;
	s.data = data;
	buf = asking(&f, &s);
	CU_ASSERT_EQUAL(quoll_soft_tx(QUOLL_OFFLOAD_TX_L4_CSUM, f.caches[0], buf, &out, 1), 1);
	CU_ASSERT_EQUAL(((uint8_t *)quoll_buf_data(buf))[60], 0xff);
	CU_ASSERT_EQUAL(((uint8_t *)quoll_buf_data(buf))[61], 0xff);
	quoll_soft_rx(QUOLL_OFFLOAD_RX_L4_CSUM, &buf, 1);
	CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_L4_GOOD);
	quoll_buf_put(f.caches[0], &buf, 1);
	fix_close(&f);
}

static void padding_is_no_part_of_the_sum(void)
{
	struct quoll_buf *buf, *out;
	struct fix f;

	fix_open(&f);
	for (size_t i = 0; i < NR_SAMPLES; i++) {
		buf = asking(&f, &samples[i]);
		memset((uint8_t *)quoll_buf_data(buf) + samples[i].bytes, 0xee, 9);
		buf->data_bytes += 9;
		buf->total_bytes += 9;
		CU_ASSERT_EQUAL(quoll_soft_tx(QUOLL_OFFLOAD_TX_CSUM, f.caches[0], buf, &out, 1), 1);
		CU_ASSERT_EQUAL(memcmp(quoll_buf_data(buf), samples[i].data, samples[i].bytes), 0);
		quoll_soft_rx(QUOLL_OFFLOAD_RX_CSUM, &buf, 1);
		CU_ASSERT_EQUAL(buf->flags, good_flags(&samples[i]));
		quoll_buf_put(f.caches[0], &buf, 1);
	}
	fix_close(&f);
}

static void lengths_that_lie_are_refused(void)
{
	static const struct {
		uint32_t asks;
		uint16_t l3_bytes;
		uint8_t l2_bytes;
	} wrong[] = {
		{QUOLL_BUF_TX_IP_CSUM, 20, 255}, {QUOLL_BUF_TX_IP_CSUM, 20, 60}, {QUOLL_BUF_TX_IP_CSUM, 24, 14},
		{QUOLL_BUF_TX_IP_CSUM, 0, 14},	 {QUOLL_BUF_TX_IP_CSUM, 20, 13}, {QUOLL_BUF_TX_UDP_CSUM, 65535, 14},
		{QUOLL_BUF_TX_TCP_CSUM, 16, 14},
	};
	struct quoll_buf *buf, *out = NULL;
	struct fix f;

	fix_open(&f);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		buf = soft_frame(f.caches[0], frame_udp4, sizeof(frame_udp4), 99);
		buf->flags = wrong[i].asks;
		buf->l2_bytes = wrong[i].l2_bytes;
		buf->l3_bytes = wrong[i].l3_bytes;
		CU_ASSERT_EQUAL(quoll_soft_tx(QUOLL_OFFLOAD_TX_CSUM, f.caches[0], buf, &out, 1), -EINVAL);
		CU_ASSERT_EQUAL(buf->flags, wrong[i].asks);
		CU_ASSERT_EQUAL(memcmp(quoll_buf_data(buf), frame_udp4, sizeof(frame_udp4)), 0);
		quoll_buf_put(f.caches[0], &buf, 1);
	}
	/* An IPv4 checksum of IPv6; a packet that ends within its TCP header. */
	buf = asking(&f, &samples[1]);
	buf->flags |= QUOLL_BUF_TX_IP_CSUM;
	CU_ASSERT_EQUAL(quoll_soft_tx(QUOLL_OFFLOAD_TX_CSUM, f.caches[0], buf, &out, 1), -EINVAL);
	quoll_buf_put(f.caches[0], &buf, 1);
	buf = asking(&f, &samples[2]);
	((uint8_t *)quoll_buf_data(buf))[17] = 39;
	CU_ASSERT_EQUAL(quoll_soft_tx(QUOLL_OFFLOAD_TX_L4_CSUM, f.caches[0], buf, &out, 1), -EINVAL);
	CU_ASSERT_EQUAL(quoll_soft_tx(QUOLL_OFFLOAD_TX_L4_CSUM, f.caches[0], buf, &out, 0), -ENOSPC);
	quoll_buf_put(f.caches[0], &buf, 1);
	fix_close(&f);
}

static void tags_go_in_and_come_out(void)
{
	struct quoll_buf *buf, *out;
	uint8_t *data;
	struct fix f;

	fix_open(&f);
	buf = asking(&f, &samples[0]);
	buf->flags |= QUOLL_BUF_TX_VLAN;
	buf->vlan_tci = 0xa123;
	CU_ASSERT_EQUAL(quoll_soft_tx(QUOLL_OFFLOAD_TX_CSUM | QUOLL_OFFLOAD_VLAN_INSERT, f.caches[0], buf, &out, 1), 1);
	CU_ASSERT_EQUAL(buf->flags, 0);
	CU_ASSERT_EQUAL(buf->l2_bytes, 18);
	CU_ASSERT_EQUAL(buf->total_bytes, sizeof(frame_udp4) + 4);
	data = quoll_buf_data(buf);
	CU_ASSERT_EQUAL(memcmp(data, frame_udp4, 12), 0);
	CU_ASSERT_EQUAL(memcmp(data + 12, "\x81\x00\xa1\x23", 4), 0);
	CU_ASSERT_EQUAL(memcmp(data + 16, frame_udp4 + 12, sizeof(frame_udp4) - 12), 0);
	buf->vlan_tci = 0;
	quoll_soft_rx(QUOLL_OFFLOAD_VLAN_STRIP | QUOLL_OFFLOAD_RX_CSUM, &buf, 1);
	CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_VLAN | good_flags(&samples[0]));
	CU_ASSERT_EQUAL(buf->vlan_tci, 0xa123);
	CU_ASSERT_TRUE(is_sample(buf, &samples[0]));
	quoll_soft_rx(QUOLL_OFFLOAD_VLAN_STRIP, &buf, 1); /* there is none any more */
	CU_ASSERT_TRUE(is_sample(buf, &samples[0]));
	quoll_buf_put(f.caches[0], &buf, 1);
	fix_close(&f);
}

static void tags_that_do_not_fit_leave_the_frame_as_it_is(void)
{
	uint8_t tagged[sizeof(frame_udp4) + 4];
	struct quoll_buf *buf, *out;
	struct fix f;

	fix_open(&f);
	buf = asking(&f, &samples[0]);
	buf->flags |= QUOLL_BUF_TX_VLAN;
	buf->data_off = 3;
	memcpy(quoll_buf_data(buf), frame_udp4, sizeof(frame_udp4));
	CU_ASSERT_EQUAL(quoll_soft_tx(QUOLL_OFFLOAD_VLAN_INSERT, f.caches[0], buf, &out, 1), -ENOBUFS);
	CU_ASSERT_EQUAL(buf->flags, samples[0].asks | QUOLL_BUF_TX_VLAN);
	CU_ASSERT_TRUE(is_sample(buf, &samples[0]));
	quoll_buf_put(f.caches[0], &buf, 1);
	buf = soft_frame(f.caches[0], frame_udp4, sizeof(frame_udp4), 11);
	buf->flags = QUOLL_BUF_TX_VLAN;
	CU_ASSERT_EQUAL(quoll_soft_tx(QUOLL_OFFLOAD_VLAN_INSERT, f.caches[0], buf, &out, 1), -EINVAL);
	quoll_buf_put_chain(f.caches[0], buf);
	/* Links that end within the tag are not stripped, and nothing is read past them. */
	memcpy(tagged, frame_udp4, 12);
	memcpy(tagged + 12, "\x81\x00\x00\x05", 4);
	memcpy(tagged + 16, frame_udp4 + 12, sizeof(frame_udp4) - 12);
	for (uint32_t step = 1; step < 20; step++)
		CU_ASSERT_EQUAL(judge(&f, tagged, sizeof(tagged), step, QUOLL_OFFLOAD_VLAN_STRIP),
				step < 18 ? 0 : QUOLL_BUF_RX_VLAN);
	fix_close(&f);
}

/* As a peer in software leaves it: the pseudo-header's sum in the field. */
static struct quoll_buf *partial(struct fix *f, const struct sample *s)
{
	struct quoll_buf *buf = asking(f, s);

	if (!s->v6)
		memcpy((uint8_t *)quoll_buf_data(buf) + 24, s->data + 24, 2);
	buf->flags = QUOLL_BUF_RX_L4_PARTIAL;
	buf->hash = 0;
	return buf;
}

static void partial_frames_are_completed(void)
{
	struct quoll_buf *buf, *out;
	struct fix f;

	fix_open(&f);
	for (size_t i = 0; i < NR_SAMPLES; i++) {
		buf = partial(&f, &samples[i]);
		CU_ASSERT_FALSE(is_sample(buf, &samples[i]));
		CU_ASSERT_EQUAL(quoll_soft_complete(buf), 0);
		CU_ASSERT_TRUE(is_sample(buf, &samples[i]));
		CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_L4_GOOD);
		CU_ASSERT_EQUAL(quoll_soft_complete(buf), 0); /* there is nothing to do */
		CU_ASSERT_TRUE(is_sample(buf, &samples[i]));
		quoll_buf_put(f.caches[0], &buf, 1);
		buf = partial(&f, &samples[i]);
		CU_ASSERT_EQUAL(quoll_soft_pass(buf), 0);
		CU_ASSERT_EQUAL(buf->flags, samples[i].asks & ~QUOLL_BUF_TX_IP_CSUM);
		CU_ASSERT_EQUAL(buf->l3_bytes, samples[i].l3_bytes);
		CU_ASSERT_EQUAL(buf->l4_bytes, samples[i].l4_bytes);
		CU_ASSERT_EQUAL(quoll_soft_tx(QUOLL_OFFLOAD_TX_L4_CSUM, f.caches[0], buf, &out, 1), 1);
		CU_ASSERT_TRUE(is_sample(buf, &samples[i]));
		quoll_buf_put(f.caches[0], &buf, 1);
	}
	fix_close(&f);
}

static void partial_frames_that_make_no_sense_are_refused(void)
{
	struct quoll_buf *buf;
	struct fix f;

	fix_open(&f);
	buf = partial(&f, &samples[0]);
	buf->data_bytes = --buf->total_bytes;
	CU_ASSERT_EQUAL(quoll_soft_pass(buf), -EINVAL);
	CU_ASSERT_EQUAL(quoll_soft_complete(buf), -EINVAL);
	CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_L4_PARTIAL);
	buf->data_bytes = ++buf->total_bytes;
	buf->flags |= QUOLL_BUF_RX_GSO; /* UDP cannot be cut up */
	buf->mss = 10;
	CU_ASSERT_EQUAL(quoll_soft_pass(buf), -EINVAL);
	CU_ASSERT_EQUAL(quoll_soft_complete(buf), -EINVAL);
	quoll_buf_put(f.caches[0], &buf, 1);
	buf = partial(&f, &samples[2]);
	buf->flags |= QUOLL_BUF_RX_GSO;
	buf->mss = 0;
	CU_ASSERT_EQUAL(quoll_soft_pass(buf), -EINVAL);
	buf->mss = 1;
	CU_ASSERT_EQUAL(quoll_soft_pass(buf), 0);
	CU_ASSERT(!memcmp((uint8_t *)quoll_buf_data(buf) + 24, "\0\0", 2)); /* asked for: IPv4's checksum */
	quoll_buf_put(f.caches[0], &buf, 1);
	fix_close(&f);
}

static const struct unit_test tests[] = {
	{"checksums of Linux are good, however the frame is cut into links", linux_checksums_are_good},
	{"one wrong bit is seen", one_wrong_bit_is_seen},
	{"only what is missing is looked at", only_what_is_missing_is_looked_at},
	{"frames without a checksum, or with one of something else, are not judged",
	 frames_without_a_checksum_are_not_judged},
	{"checksums filled in are those of Linux", filled_checksums_are_those_of_linux},
	{"what the port does is left to it", what_the_port_does_is_left_to_it},
	{"a UDP checksum of zero is sent as ones", checksum_of_zero_is_sent_as_ones},
	{"padding is no part of the sum", padding_is_no_part_of_the_sum},
	{"lengths that lie are refused", lengths_that_lie_are_refused},
	{"tags go in and come out", tags_go_in_and_come_out},
	{"tags that do not fit leave the frame as it is", tags_that_do_not_fit_leave_the_frame_as_it_is},
	{"partial frames are completed, or passed on", partial_frames_are_completed},
	{"partial frames that make no sense are refused", partial_frames_that_make_no_sense_are_refused},
};

UNIT_MAIN("drivers/net/net_soft", tests)
