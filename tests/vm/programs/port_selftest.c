/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port_selftest.c - a network port on an emulated NIC, e1000e or virtio, against the kernel's driver at the other end
 * of the line.
 *
 *   port_selftest ADDR PEER            everything that ends by itself; PEER is the kernel's interface, up, mtu 9000
 *   port_selftest --link ADDR          say the state of the link, and each change, asleep in between, until it is up
 * again port_selftest --load ADDR PEER     send and receive until the port dies, say of what, give all back
 *
 * One line a check, as tests/lib.sh has them: "ok NAME" or "not ok NAME" and the reason. Exits 1 if one failed.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <linux/if_ether.h>

#include "port_line.h"

#define BURST 32u

/* The checks. */

static bool is_virtio(void)
{
	return !strcmp(lab.info.driver, "virtio");
}

static void check_open(void)
{
	check((is_virtio() || !strcmp(lab.info.driver, "e1000e")) && lab.info.mac[0] == 0x52,
	      "open: %s, %02x:%02x:%02x:%02x:%02x:%02x", lab.info.driver, lab.info.mac[0], lab.info.mac[1],
	      lab.info.mac[2], lab.info.mac[3], lab.info.mac[4], lab.info.mac[5]);
}

static void check_link(void)
{
	uint32_t mbit_per_s = is_virtio() ? 10000 : 1000;
	struct quoll_port_link link;

	check(wait_link(true), "open: the link is up");
	quoll_port_link(lab.port, &link);
	check(link.mbit_per_s == mbit_per_s && link.full_duplex, "open: %u Mbit/s, full duplex", mbit_per_s);
}

/* One frame of each length, each way. */
static void check_lengths(const char *what, uint32_t from, uint32_t to, uint32_t step, uint32_t link)
{
	static uint8_t frame[FRAME_MAX + 4];
	uint32_t nr = 0, nr_in = 0, nr_out = 0, links = 0;
	int tci;

	for (uint32_t len = from; len <= to; len += step, nr++) {
		struct quoll_buf *buf;

		make_frame(frame, lab.peer_mac, lab.info.mac, len, nr);
		if (port_send(to_buf(frame, len, link)))
			nr_out += is_frame(frame, peer_receive(frame, &tci, lab.info.mac), len, nr);
		make_frame(frame, lab.info.mac, lab.peer_mac, len, nr + 1);
		if (!peer_send(frame, len))
			continue;
		buf = port_receive();
		if (!buf)
			continue;
		links = buf->nr_links > links ? buf->nr_links : links;
		nr_in += buf->total_bytes == len && is_frame(frame, flatten(buf, frame), len, nr + 1);
		quoll_buf_put_chain(lab.cache, buf);
	}
	check(nr_out == nr, "%s: %u of %u frames of %u to %u bytes went out unchanged", what, nr_out, nr, from, to);
	check(nr_in == nr, "%s: %u of %u came in unchanged, in up to %u links", what, nr_in, nr, links);
}

/* Many at once, both ways, through several turns of the ring. */
static void check_bursts(void)
{
	static uint8_t frame[FRAME_MAX + 4];
	struct quoll_buf *bufs[BURST];
	uint32_t sent = 0, seen = 0, back = 0, total = 100 * BURST;
	struct quoll_port_stats before, after;
	int tci;

	quoll_port_stats(lab.port, &before);
	while (sent < total) {
		unsigned int n;

		for (unsigned int i = 0; i < BURST; i++) {
			make_frame(frame, lab.peer_mac, lab.info.mac, 60 + (sent + i) % 1400, sent + i);
			bufs[i] = to_buf(frame, 60 + (sent + i) % 1400, 2048);
		}
		for (n = 0; n < BURST;)
			n += quoll_tx(lab.txq, bufs + n, BURST - n);
		for (n = 0; n < BURST; n++) {
			uint32_t got = peer_receive(frame, &tci, lab.info.mac);

			if (!got)
				break;
			seen += is_frame(frame, got, 60 + (sent + n) % 1400, sent + n);
			header(frame, lab.info.mac, lab.peer_mac, ETHERTYPE);
			back += peer_send(frame, got);
		}
		for (unsigned int got = 0; got < n;) {
			struct quoll_buf *buf = port_receive();

			if (!buf)
				break;
			back -= is_frame(frame, flatten(buf, frame), 60 + (sent + got) % 1400, sent + got);
			quoll_buf_put_chain(lab.cache, buf);
			got++;
		}
		sent += BURST;
	}
	check(seen == total && !back, "bursts: %u of %u frames there, %u lost on the way back", seen, total, back);
	quoll_port_stats(lab.port, &after);
	check(after.tx_packets - before.tx_packets == total && after.rx_packets - before.rx_packets >= total &&
		      !after.rx_bad && !after.tx_bad && !after.rx_errors && !after.rx_missed,
	      "bursts: the counters say so: out %" PRIu64 ", in %" PRIu64 ", bad %" PRIu64 " %" PRIu64,
	      after.tx_packets - before.tx_packets, after.rx_packets - before.rx_packets, after.rx_bad, after.tx_bad);
}

/* Offloads. */

static uint32_t flags_of(const uint8_t *frame, uint32_t len)
{
	struct quoll_buf *buf = peer_send(frame, len) ? port_receive() : NULL;
	uint32_t flags = buf ? buf->flags : UINT32_MAX;

	if (buf)
		quoll_buf_put_chain(lab.cache, buf);
	return flags;
}

static void check_checksums(void)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};
	static uint8_t frame[FRAME_MAX + 4], got[FRAME_MAX + 4];
	const uint32_t len = 300;
	int tci;

	for (unsigned int i = 0; i < 2; i++) {
		const char *name = i ? "UDP" : "TCP";
		struct quoll_buf *buf;

		make_ip(frame, lab.peer_mac, lab.info.mac, len, protos[i]);
		for (unsigned int links = 1; links <= 3; links += 2) {
			buf = to_buf(frame, len, len / links);
			put_be16((uint8_t *)quoll_buf_data(buf) + 24, 0);
			put_be16((uint8_t *)quoll_buf_data(buf) + csum_field(protos[i]),
				 pseudo_sum(frame, len, protos[i]));
			buf->flags = QUOLL_BUF_TX_IP_CSUM | (i ? QUOLL_BUF_TX_UDP_CSUM : QUOLL_BUF_TX_TCP_CSUM);
			buf->l2_bytes = 14;
			buf->l3_bytes = 20;
			check(port_send(buf) && peer_receive(got, &tci, lab.info.mac) == len &&
				      !memcmp(got, frame, len),
			      "offloads: %s and IPv4 checksums are filled in, %u links", name, links);
		}
		make_ip(frame, lab.info.mac, lab.peer_mac, len, protos[i]);
		check(flags_of(frame, len) == (QUOLL_BUF_RX_IP_GOOD | QUOLL_BUF_RX_L4_GOOD),
		      "offloads: good %s is good", name);
		frame[200] ^= 1;
		check(flags_of(frame, len) == (QUOLL_BUF_RX_IP_GOOD | QUOLL_BUF_RX_L4_BAD), "offloads: bad %s is bad",
		      name);
		frame[200] ^= 1;
		frame[24] ^= 1;
		check(flags_of(frame, len) == (QUOLL_BUF_RX_IP_BAD | QUOLL_BUF_RX_L4_GOOD),
		      "offloads: a bad IPv4 header is bad (%s)", name);
	}
	make_frame(frame, lab.info.mac, lab.peer_mac, len, 1);
	check(!flags_of(frame, len), "offloads: of what is no IP nothing is said");
}

static void check_tags(void)
{
	static uint8_t frame[FRAME_MAX + 4], got[FRAME_MAX + 4];
	struct quoll_buf *buf;
	uint32_t len;
	int tci = 0;

	make_frame(frame, lab.peer_mac, lab.info.mac, 200, 1);
	buf = to_buf(frame, 200, 2048);
	buf->flags = QUOLL_BUF_TX_VLAN;
	buf->vlan_tci = 0x6123;
	len = port_send(buf) ? peer_receive(got, &tci, lab.info.mac) : 0;
	check(len == 200 && tci == 0x6123 && !memcmp(got, frame, 200), "offloads: a tag is inserted (%u bytes, %#x)",
	      len, (unsigned int)tci);
	make_frame(frame, lab.info.mac, lab.peer_mac, 204, 1);
	put_be16(frame + 12, ETH_P_8021Q);
	put_be16(frame + 14, 0x2345);
	buf = peer_send(frame, 204) ? port_receive() : NULL;
	check(buf && buf->total_bytes == 200 && buf->flags == QUOLL_BUF_RX_VLAN && buf->vlan_tci == 0x2345 &&
		      !memcmp((uint8_t *)quoll_buf_data(buf) + 12, frame + 16, 188),
	      "offloads: a tag is stripped and told");
	quoll_buf_put_chain(lab.cache, buf);
}

/* Filters. */

/* @mac is sent to, then our own address: does the first come in? */
static bool comes_in(const uint8_t *mac)
{
	uint8_t frame[64], first;
	struct quoll_buf *buf;

	make_frame(frame, mac, lab.peer_mac, sizeof(frame), 1);
	if (!peer_send(frame, sizeof(frame)))
		return false;
	make_frame(frame, lab.info.mac, lab.peer_mac, sizeof(frame), 2);
	frame[20] = 'e';
	if (!peer_send(frame, sizeof(frame)))
		return false;
	buf = port_receive();
	first = buf ? ((uint8_t *)quoll_buf_data(buf))[20] : 0;
	quoll_buf_put_chain(lab.cache, buf);
	if (first != 'e') {
		buf = port_receive();
		quoll_buf_put_chain(lab.cache, buf);
	}
	return first != 'e';
}

static void check_filters(void)
{
	static const uint8_t other[6] = {0x02, 1, 2, 3, 4, 5}, multi[6] = {0x01, 0x00, 0x5e, 1, 2, 3};
	static const uint8_t broad[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct quoll_port_settings s = {.nr_macs = 2};

	check(comes_in(broad) && !comes_in(other) && !comes_in(multi), "filters: own address and broadcast only");
	memcpy(s.macs[0], other, 6);
	memcpy(s.macs[1], multi, 6);
	check(!quoll_port_apply(lab.port, &s, &lab.err) && comes_in(other) && comes_in(multi),
	      "filters: two addresses more");
	s = (struct quoll_port_settings){.all_multicast = true};
	check(!quoll_port_apply(lab.port, &s, &lab.err) && !comes_in(other) && comes_in(multi),
	      "filters: all multicast");
	s = (struct quoll_port_settings){.promiscuous = true};
	check(!quoll_port_apply(lab.port, &s, &lab.err) && comes_in(other) && comes_in(multi), "filters: promiscuous");
	check(!quoll_port_apply(lab.port, NULL, &lab.err) && !comes_in(other), "filters: as before");
}

static void check_errors_are_counted(void)
{
	static uint8_t frame[1800];
	struct quoll_port_stats before, after;

	quoll_port_stats(lab.port, &before);
	make_frame(frame, lab.info.mac, lab.peer_mac, sizeof(frame), 1);
	check(peer_send(frame, sizeof(frame)) && !comes_in((const uint8_t[6]){0x02}),
	      "counters: after too long a frame others come");
	quoll_port_stats(lab.port, &after);
	check(after.rx_errors == before.rx_errors + 1 && after.rx_bad == before.rx_bad,
	      "counters: the device counts it: %" PRIu64 " errors", after.rx_errors - before.rx_errors);
}

/* Sleeping. */

static bool readable(unsigned int limit_ms)
{
	struct pollfd fd = {.fd = quoll_rxq_fd(lab.rxq), .events = POLLIN};

	return poll(&fd, 1, (int)limit_ms) == 1;
}

/*
 * Armed and quiet. A message that the device's throttling held back may still come after its frame was polled: such a
 * sleeper finds nothing and sleeps again. Return: how often that was, or -1 if it did not become quiet.
 */
static int fall_asleep(void)
{
	for (int again = 0; again < 10; again++) {
		int found = quoll_rxq_arm(lab.rxq);

		if (!found && !readable(0))
			return again;
		quoll_rxq_disarm(lab.rxq);
		if (found)
			return -1;
	}
	return -1;
}

static void check_sleep(void)
{
	unsigned int woken = 0, came = 0, found = 0, rounds = 50;
	uint64_t end = deadline_in(LIMIT_MS);
	uint8_t frame[64];
	struct quoll_buf *buf;
	int early = 0;

	make_frame(frame, lab.info.mac, lab.peer_mac, sizeof(frame), 1);
	for (unsigned int i = 0; i < rounds; i++) {
		int again = fall_asleep();

		if (again < 0)
			continue;
		early += again;
		if (peer_send(frame, sizeof(frame)))
			woken += readable(LIMIT_MS);
		quoll_rxq_disarm(lab.rxq);
		buf = port_receive();
		came += !!buf;
		quoll_buf_put_chain(lab.cache, buf);
	}
	check(woken == rounds && came == rounds, "sleep: %u of %u frames woke a sleeper, %u came, %d times for nothing",
	      woken, rounds, came, early);
	(void)peer_send(frame, sizeof(frame));
	while (!found && !passed(end)) {
		found = quoll_rxq_arm(lab.rxq) == 1;
		quoll_rxq_disarm(lab.rxq);
	}
	check(found, "sleep: a frame that is there keeps one from falling asleep");
	quoll_buf_put_chain(lab.cache, port_receive());
}

/* Two queues. */

static uint32_t toeplitz(const uint8_t *data, uint32_t len)
{
	/* Of the verification suite of receive-side scaling. */
	static const uint8_t key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
					0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
					0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
					0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
	uint32_t hash = 0;

	for (uint32_t bit = 0; bit < len * 8; bit++) {
		uint32_t window = 0;

		for (uint32_t i = bit; i < bit + 32; i++)
			window = window << 1 | (key[i / 8] >> (7 - i % 8) & 1);
		if (data[bit / 8] >> (7 - bit % 8) & 1)
			hash ^= window;
	}
	return hash;
}

static void check_two_queues(void)
{
	unsigned int per_queue[2] = {0, 0}, right = 0, sent = 0;
	static uint8_t frame[FRAME_MAX];
	int tci;

	for (unsigned int flow = 0; flow < 64; flow++) {
		uint64_t end = deadline_in(LIMIT_MS);
		struct quoll_buf *buf = NULL;
		unsigned int q = 0;

		make_ip(frame, lab.info.mac, lab.peer_mac, 100, IPPROTO_TCP);
		frame[34] = (uint8_t)(flow * 37); /* the port; its checksum is of no matter here */
		if (!peer_send(frame, 100))
			continue;
		for (; !buf && !passed(end); q = !q)
			buf = port_receive_on(quoll_port_rxq(lab.port, q), 0);
		if (!buf)
			continue;
		q = !q;
		per_queue[q]++;
		right +=
			buf->flags & QUOLL_BUF_RX_HASH && buf->hash == toeplitz(frame + 26, 12) && (buf->hash & 1) == q;
		quoll_buf_put_chain(lab.cache, buf);
	}
	check(per_queue[0] + per_queue[1] == 64 && per_queue[0] > 16 && per_queue[1] > 16,
	      "two queues: 64 flows are shared out: %u and %u", per_queue[0], per_queue[1]);
	check(right == 64, "two queues: %u of 64 hashes are right, and on their queue", right);
	for (unsigned int i = 0; i < 2; i++) {
		lab.txq = quoll_port_txq(lab.port, i);
		make_frame(frame, lab.peer_mac, lab.info.mac, 100, i);
		sent += port_send(to_buf(frame, 100, 2048)) &&
			is_frame(frame, peer_receive(frame, &tci, lab.info.mac), 100, i);
	}
	check(sent == 2, "two queues: both send");
}

static void run(const char *what, unsigned int nr_queues, const struct quoll_port_settings *settings,
		void (*checks)(void))
{
	if (start(nr_queues, settings))
		checks();
	else
		check(false, "%s: start", what);
	stop(what);
}

static void plain(void)
{
	check_link();
	check_lengths("plain", 60, 1514, 97, 2048);
	check_lengths("chains", 60, 1514, 97, 100);
	check_bursts();
	check_filters();
	/* A virtio device counts nothing. */
	if (!is_virtio())
		check_errors_are_counted();
	check_sleep();
}

static void jumbo(void)
{
	check_lengths("jumbo", 1500, 9014, 683, 2048);
	check_lengths("jumbo, short links", 5000, 9014, 803, 500);
}

static void offloads(void)
{
	check_checksums();
	check_tags();
}

static int self_test(const char *addr, const char *peer_name)
{
	const struct quoll_port_settings big = {.mtu = 9000, .offloads = QUOLL_OFFLOAD_RX_SCATTER};
	const struct quoll_port_settings all = {.offloads = QUOLL_OFFLOAD_RX_CSUM | QUOLL_OFFLOAD_TX_CSUM |
							    QUOLL_OFFLOAD_VLAN_STRIP | QUOLL_OFFLOAD_VLAN_INSERT};

	check(peer_open(peer_name), "the peer %s", peer_name);
	check(open_all(addr), "open: the port");
	if (!lab.port)
		return 1;
	check_open();
	run("plain", 1, NULL, plain);
	run("jumbo", 1, &big, jumbo);
	/* Of these QEMU's virtio has none where its back end is a hub. */
	if ((lab.info.offloads & all.offloads) == all.offloads)
		run("offloads", 1, &all, offloads);
	else
		check(is_virtio(), "open: offloads %#x", lab.info.offloads);
	if (lab.info.max_rxqs > 1)
		run("two queues", 2, NULL, check_two_queues);
	else
		check(is_virtio(), "open: one queue");
	close_all();
	return lab.failures ? 1 : 0;
}

/* Until the link has come up again after it was down, or the port died; asleep as long as nothing happens. */
static int watch_link(const char *addr)
{
	struct quoll_port_link link, last;
	uint64_t end;

	if (!open_all(addr) || !start(1, NULL)) {
		check(false, "link: open and start");
		return 1;
	}
	end = deadline_in(60000);
	quoll_port_link(lab.port, &last);
	printf("link is %s\n", last.up ? "up" : "down");
	fflush(stdout);
	for (unsigned int ups = 0; ups < 1 && !passed(end) && !quoll_port_error(lab.port);) {
		struct quoll_buf *buf;

		if (!quoll_rxq_arm(lab.rxq))
			(void)readable(10000);
		quoll_rxq_disarm(lab.rxq);
		while (quoll_rx(lab.rxq, &buf, 1))
			quoll_buf_put_chain(lab.cache, buf);
		quoll_port_link(lab.port, &link);
		if (link.nr_changes == last.nr_changes)
			continue;
		printf("link is %s after %u changes\n", link.up ? "up" : "down", link.nr_changes);
		fflush(stdout);
		ups += link.up;
		last = link;
	}
	stop("link");
	close_all();
	return lab.failures ? 1 : 0;
}

/* Both directions as fast as it goes until the port dies. */
static int load(const char *addr, const char *peer_name)
{
	static uint8_t frame[1514];
	struct quoll_port_stats stats;
	uint64_t end;
	int rc;

	if (!peer_open(peer_name) || !open_all(addr) || !start(1, NULL)) {
		check(false, "load: open and start");
		return 1;
	}
	end = deadline_in(120000);
	printf("ready\n");
	fflush(stdout);
	while (!quoll_port_error(lab.port) && !passed(end)) {
		struct quoll_buf *bufs[BURST];
		unsigned int n;

		for (unsigned int i = 0; i < BURST / 2; i++) {
			make_frame(frame, lab.info.mac, lab.peer_mac, sizeof(frame), i);
			(void)peer_send(frame, sizeof(frame));
			make_frame(frame, lab.peer_mac, lab.info.mac, sizeof(frame), i);
			bufs[i] = to_buf(frame, sizeof(frame), i % 2 ? 500 : 2048);
		}
		n = quoll_tx(lab.txq, bufs, BURST / 2);
		for (; n < BURST / 2; n++)
			quoll_buf_put_chain(lab.cache, bufs[n]);
		n = quoll_rx(lab.rxq, bufs, BURST);
		for (unsigned int i = quoll_tx(lab.txq, bufs, n); i < n; i++)
			quoll_buf_put_chain(lab.cache, bufs[i]);
	}
	rc = quoll_port_error(lab.port);
	quoll_port_stats(lab.port, &stats);
	printf("died of %d after %" PRIu64 " frames in and %" PRIu64 " out, %" PRIu64 " bad\n", rc, stats.rx_packets,
	       stats.tx_packets, stats.rx_bad + stats.tx_bad);
	check(rc == -ENODEV && quoll_port_stop(lab.port) == rc, "load: the port says that the device is gone");
	close_all();
	return lab.failures ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--link"))
		return watch_link(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "--load"))
		return load(argv[2], argv[3]);
	if (argc == 3 && argv[1][0] != '-')
		return self_test(argv[1], argv[2]);
	fprintf(stderr, "port_selftest: wrong use, see the head of its source\n");
	return 2;
}
