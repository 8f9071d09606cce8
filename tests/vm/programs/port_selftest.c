/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port_selftest.c - a network port on an emulated NIC, against the kernel's driver at the other end of the line.
 *
 *   port_selftest ADDR PEER            everything that ends by itself; PEER is the kernel's interface, up, mtu 9000
 *   port_selftest --link ADDR          say the state of the link, and each change, asleep in between, until it is up
 * again port_selftest --load ADDR PEER     send and receive until the port dies, say of what, give all back
 *
 * One line a check, as tests/lib.sh has them: "ok NAME" or "not ok NAME" and the reason. Exits 1 if one failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <quoll/clock.h>

#include "net/net.h"

#define ETHERTYPE 0x88b5 /* for local experiments (IEEE 802) */
#define FRAME_MAX 9018
#define NR_BUFS 4096
#define HEADROOM 256
#define LIMIT_MS 5000
#define BURST 32u

static int failures;
static struct quoll_error err;

static struct quoll_ioas *ioas;
static struct quoll_group *group;
static struct quoll_device *dev;
static struct quoll_heap *heap;
static struct quoll_arena *arena;
static struct quoll_pool *pool;
static struct quoll_buf_cache *cache;
static struct quoll_net *net;
static struct quoll_port *port;
static struct quoll_port_info info;
static struct quoll_rxq *rxq;
static struct quoll_txq *txq;
static struct quoll_clock clk;

static int peer = -1;
static uint8_t peer_mac[6];

static void check(bool good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void check(bool good, const char *fmt, ...)
{
	va_list ap;

	printf(good ? "ok port: " : "not ok port: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	if (!good) {
		printf("    last error: %s: %s: %s (%s)\n    try: %s\n", err.stage, err.subject, err.what,
		       strerror(err.errnum), err.hint);
		failures++;
	}
	fflush(stdout);
}

/* Time. */

static uint64_t deadline_in(unsigned int ms)
{
	return quoll_ticks(&clk) + quoll_ns_to_ticks(&clk, ms * UINT64_C(1000000));
}

static bool passed(uint64_t deadline)
{
	return (int64_t)(quoll_ticks(&clk) - deadline) > 0;
}

/* The peer: a raw socket on the kernel's interface. */

static bool peer_open(const char *name)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int one = 1, bytes = 8 << 20;
	struct ifreq ifr;

	peer = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	if (peer < 0)
		return false;
	memset(&ifr, 0, sizeof(ifr));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(peer, SIOCGIFHWADDR, &ifr))
		return false;
	memcpy(peer_mac, ifr.ifr_hwaddr.sa_data, sizeof(peer_mac));
	addr.sll_ifindex = (int)if_nametoindex(name);
	(void)setsockopt(peer, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	(void)setsockopt(peer, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	(void)setsockopt(peer, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	return !setsockopt(peer, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)) &&
	       !bind(peer, (struct sockaddr *)&addr, sizeof(addr));
}

static bool peer_send(const uint8_t *frame, uint32_t len)
{
	return send(peer, frame, len, 0) == (ssize_t)len;
}

/*
 * The next frame of ours that comes in, within the limit. Return: its length, 0 for none; *tci is its tag, or -1. The
 * kernel's driver takes tags off.
 */
static uint32_t peer_receive(uint8_t *frame, int *tci, const uint8_t *src)
{
	uint64_t end = deadline_in(LIMIT_MS);

	while (!passed(end)) {
		struct pollfd pfd = {.fd = peer, .events = POLLIN};
		char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
		struct iovec iov = {.iov_base = frame, .iov_len = FRAME_MAX + 4};
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
		struct cmsghdr *cmsg;
		ssize_t n;

		if (poll(&pfd, 1, 100) <= 0)
			continue;
		n = recvmsg(peer, &msg, 0);
		if (n < 14 || memcmp(frame + 6, src, 6) != 0)
			continue;
		*tci = -1;
		cmsg = CMSG_FIRSTHDR(&msg);
		if (cmsg && cmsg->cmsg_type == PACKET_AUXDATA) {
			struct tpacket_auxdata aux;

			memcpy(&aux, CMSG_DATA(cmsg), sizeof(aux));
			if (aux.tp_status & TP_STATUS_VLAN_VALID)
				*tci = aux.tp_vlan_tci;
		}
		return (uint32_t)n;
	}
	return 0;
}

/* Frames. */

static void header(uint8_t *frame, const uint8_t *dst, const uint8_t *src, uint16_t type)
{
	memcpy(frame, dst, 6);
	memcpy(frame + 6, src, 6);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
}

static void fill(uint8_t *frame, uint32_t len, uint32_t seq)
{
	for (uint32_t i = 14; i < len; i++)
		frame[i] = (uint8_t)(seq * 131 + i * 7 + (i >> 8));
}

static void make_frame(uint8_t *frame, const uint8_t *dst, const uint8_t *src, uint32_t len, uint32_t seq)
{
	header(frame, dst, src, ETHERTYPE);
	fill(frame, len, seq);
}

static bool is_frame(const uint8_t *frame, uint32_t got, uint32_t len, uint32_t seq)
{
	static uint8_t want[FRAME_MAX];

	fill(want, len, seq);
	return got == len && !memcmp(frame + 14, want + 14, len - 14);
}

static uint32_t flatten(const struct quoll_buf *buf, uint8_t *frame)
{
	uint32_t len = 0;

	for (; buf; buf = buf->next) {
		if (len + buf->data_bytes > FRAME_MAX)
			return 0;
		memcpy(frame + len, quoll_buf_data(buf), buf->data_bytes);
		len += buf->data_bytes;
	}
	return len;
}

/* A frame as a buffer, or as a chain of links of at most @link bytes. */
static struct quoll_buf *to_buf(const uint8_t *frame, uint32_t len, uint32_t link)
{
	struct quoll_buf *first = NULL, **tail = &first, *buf;
	uint16_t nr_links = 0;

	for (uint32_t off = 0; off < len; off += buf->data_bytes) {
		if (quoll_buf_get(cache, &buf, 1))
			abort();
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

/* The next frame from the peer, within the limit; NULL for none. What is not from it goes back. */
static struct quoll_buf *port_receive_on(struct quoll_rxq *q, unsigned int limit_ms)
{
	uint64_t end = deadline_in(limit_ms);
	struct quoll_buf *buf;

	do {
		if (!quoll_rx(q, &buf, 1))
			continue;
		if (!memcmp((uint8_t *)quoll_buf_data(buf) + 6, peer_mac, 6))
			return buf;
		quoll_buf_put_chain(cache, buf);
	} while (!passed(end));
	return NULL;
}

static struct quoll_buf *port_receive(void)
{
	return port_receive_on(rxq, LIMIT_MS);
}

static bool port_send(struct quoll_buf *buf)
{
	uint64_t end = deadline_in(LIMIT_MS);

	while (!quoll_tx(txq, &buf, 1))
		if (passed(end))
			return false;
	return true;
}

/* Set-up. */

static void log_line(void *arg, enum quoll_log_level level, const char *area, const char *line)
{
	(void)arg;
	(void)level;
	printf("    %s: %s\n", area, line);
}

static bool open_all(const char *name)
{
	struct quoll_env env = {.log = log_line, .log_level = QUOLL_LOG_INFO};
	struct quoll_heap_opts heap_opts = {.size_bytes = 256 << 20, .numa_node = -1, .ioases = &ioas, .nr_ioases = 1};
	struct quoll_pool_opts pool_opts = {
		.nr_bufs = NR_BUFS, .buf_bytes = HEADROOM + 2048, .headroom_bytes = HEADROOM};
	struct quoll_addr addr;

	(void)quoll_clock_init(&clk);
	if (quoll_addr_parse(name, &addr, &err) || quoll_ioas_open(&env, "vfio", &ioas, &err) ||
	    quoll_group_claim(ioas, &addr, &group, &err) || quoll_device_open(group, addr.target, &dev, &err) ||
	    quoll_heap_create(&env, &heap_opts, &heap, &err) ||
	    quoll_arena_create(heap, "frames", QUOLL_ARENA_DEVICE_READ_WRITE, 64 << 20, &arena, &err) ||
	    quoll_pool_create(arena, &pool_opts, &pool, &err) || quoll_buf_cache_create(pool, 512, &cache, &err) ||
	    quoll_net_create(&env, heap, &net, &err) || quoll_port_open(net, &addr, dev, &port, &err))
		return false;
	quoll_port_info(port, &info);
	return true;
}

static void close_all(void)
{
	quoll_port_close(port);
	check(quoll_pool_nr_free(pool) == NR_BUFS, "every buffer is back (%u of %u)", quoll_pool_nr_free(pool),
	      NR_BUFS);
	quoll_buf_cache_destroy(cache);
	check(!quoll_net_destroy(net) && !quoll_pool_destroy(pool), "nothing is left open");
	quoll_device_close(dev);
	quoll_heap_destroy(heap);
	check(!quoll_group_release(group) && !quoll_ioas_close(ioas), "all is given back");
}

static bool start(unsigned int nr_queues, const struct quoll_port_settings *settings)
{
	struct quoll_buf_cache *caches[] = {cache, cache};
	struct quoll_port_queues queues = {
		.nr_rxqs = nr_queues, .nr_txqs = nr_queues, .rx_caches = caches, .tx_caches = caches};

	if (quoll_port_start(port, &queues, settings, &err))
		return false;
	rxq = quoll_port_rxq(port, 0);
	txq = quoll_port_txq(port, 0);
	return true;
}

/* Stop, and all buffers are back. */
static void stop(const char *what)
{
	int rc = quoll_port_stop(port);

	check(!rc && quoll_pool_nr_free(pool) == NR_BUFS, "%s: stopped (%d), %u of %u buffers are back", what, rc,
	      quoll_pool_nr_free(pool), NR_BUFS);
}

static bool wait_link(bool up)
{
	uint64_t end = deadline_in(LIMIT_MS);
	struct quoll_port_link link;

	do {
		(void)quoll_port_check(port);
		quoll_port_link(port, &link);
	} while (link.up != up && !passed(end));
	return link.up == up;
}

/* The checks. */

static void check_open(void)
{
	struct quoll_port_link link;

	check(!strcmp(info.driver, "e1000e") && info.mac[0] == 0x52, "open: %s, %02x:%02x:%02x:%02x:%02x:%02x",
	      info.driver, info.mac[0], info.mac[1], info.mac[2], info.mac[3], info.mac[4], info.mac[5]);
	check(wait_link(true), "open: the link is up");
	quoll_port_link(port, &link);
	check(link.mbit_per_s == 1000 && link.full_duplex, "open: 1000 Mbit/s, full duplex");
}

/* One frame of each length, each way. */
static void check_lengths(const char *what, uint32_t from, uint32_t to, uint32_t step, uint32_t link)
{
	static uint8_t frame[FRAME_MAX + 4];
	uint32_t nr = 0, nr_in = 0, nr_out = 0, links = 0;
	int tci;

	for (uint32_t len = from; len <= to; len += step, nr++) {
		struct quoll_buf *buf;

		make_frame(frame, peer_mac, info.mac, len, nr);
		if (port_send(to_buf(frame, len, link)))
			nr_out += is_frame(frame, peer_receive(frame, &tci, info.mac), len, nr);
		make_frame(frame, info.mac, peer_mac, len, nr + 1);
		if (!peer_send(frame, len))
			continue;
		buf = port_receive();
		if (!buf)
			continue;
		links = buf->nr_links > links ? buf->nr_links : links;
		nr_in += buf->total_bytes == len && is_frame(frame, flatten(buf, frame), len, nr + 1);
		quoll_buf_put_chain(cache, buf);
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

	quoll_port_stats(port, &before);
	while (sent < total) {
		unsigned int n;

		for (unsigned int i = 0; i < BURST; i++) {
			make_frame(frame, peer_mac, info.mac, 60 + (sent + i) % 1400, sent + i);
			bufs[i] = to_buf(frame, 60 + (sent + i) % 1400, 2048);
		}
		for (n = 0; n < BURST;)
			n += quoll_tx(txq, bufs + n, BURST - n);
		for (n = 0; n < BURST; n++) {
			uint32_t got = peer_receive(frame, &tci, info.mac);

			if (!got)
				break;
			seen += is_frame(frame, got, 60 + (sent + n) % 1400, sent + n);
			header(frame, info.mac, peer_mac, ETHERTYPE);
			back += peer_send(frame, got);
		}
		for (unsigned int got = 0; got < n;) {
			struct quoll_buf *buf = port_receive();

			if (!buf)
				break;
			back -= is_frame(frame, flatten(buf, frame), 60 + (sent + got) % 1400, sent + got);
			quoll_buf_put_chain(cache, buf);
			got++;
		}
		sent += BURST;
	}
	check(seen == total && !back, "bursts: %u of %u frames there, %u lost on the way back", seen, total, back);
	quoll_port_stats(port, &after);
	check(after.tx_packets - before.tx_packets == total && after.rx_packets - before.rx_packets >= total &&
		      !after.rx_bad && !after.tx_bad && !after.rx_errors && !after.rx_missed,
	      "bursts: the counters say so: out %" PRIu64 ", in %" PRIu64 ", bad %" PRIu64 " %" PRIu64,
	      after.tx_packets - before.tx_packets, after.rx_packets - before.rx_packets, after.rx_bad, after.tx_bad);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "port_selftest: wrong use, see the head of its source\n");
		return 2;
	}
	if (!peer_open(argv[2])) {
		printf("not ok port: the peer %s: %s\n", argv[2], strerror(errno));
		return 1;
	}
	check(open_all(argv[1]), "open: the port");
	if (!port)
		return 1;
	check_open();
	if (start(1, NULL)) {
		check_lengths("plain", 60, 1514, 97, 2048);
		check_lengths("chains", 60, 1514, 97, 100);
		check_bursts();
	} else {
		check(false, "plain: start");
	}
	stop("plain");
	close_all();
	return failures ? 1 : 0;
}
