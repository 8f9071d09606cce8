/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port_line.c - see port_line.h.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "port_line.h"

#define HEADROOM 256

struct port_lab lab = {.peer = -1};

void check(bool good, const char *fmt, ...)
{
	va_list ap;

	printf(good ? "ok port: " : "not ok port: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	if (!good) {
		printf("    last error: %s: %s: %s (%s)\n    try: %s\n", lab.err.stage, lab.err.subject, lab.err.what,
		       strerror(lab.err.errnum), lab.err.hint);
		lab.failures++;
	}
	fflush(stdout);
}

/* Time. */

uint64_t deadline_in(unsigned int ms)
{
	return quoll_ticks(&lab.clk) + quoll_ns_to_ticks(&lab.clk, ms * UINT64_C(1000000));
}

bool passed(uint64_t deadline)
{
	return (int64_t)(quoll_ticks(&lab.clk) - deadline) > 0;
}

/* The peer: a raw socket on the kernel's interface. */

bool peer_open(const char *name)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int one = 1, bytes = 8 << 20;
	struct ifreq ifr;

	lab.peer = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	if (lab.peer < 0)
		return false;
	memset(&ifr, 0, sizeof(ifr));
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(lab.peer, SIOCGIFHWADDR, &ifr))
		return false;
	memcpy(lab.peer_mac, ifr.ifr_hwaddr.sa_data, sizeof(lab.peer_mac));
	addr.sll_ifindex = (int)if_nametoindex(name);
	(void)setsockopt(lab.peer, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	(void)setsockopt(lab.peer, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	(void)setsockopt(lab.peer, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	return !setsockopt(lab.peer, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)) &&
	       !bind(lab.peer, (struct sockaddr *)&addr, sizeof(addr));
}

bool peer_send(const uint8_t *frame, uint32_t len)
{
	return send(lab.peer, frame, len, 0) == (ssize_t)len;
}

/*
 * The next frame of ours that comes in, within the limit. Return: its length, 0 for none; *tci is its tag, or -1. The
 * kernel's driver takes tags off.
 */
uint32_t peer_receive(uint8_t *frame, int *tci, const uint8_t *src)
{
	uint64_t end = deadline_in(LIMIT_MS);

	while (!passed(end)) {
		struct pollfd pfd = {.fd = lab.peer, .events = POLLIN};
		char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
		struct iovec iov = {.iov_base = frame, .iov_len = FRAME_MAX + 4};
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
		struct cmsghdr *cmsg;
		ssize_t n;

		if (poll(&pfd, 1, 100) <= 0)
			continue;
		n = recvmsg(lab.peer, &msg, 0);
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

void header(uint8_t *frame, const uint8_t *dst, const uint8_t *src, uint16_t type)
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

void make_frame(uint8_t *frame, const uint8_t *dst, const uint8_t *src, uint32_t len, uint32_t seq)
{
	header(frame, dst, src, ETHERTYPE);
	fill(frame, len, seq);
}

bool is_frame(const uint8_t *frame, uint32_t got, uint32_t len, uint32_t seq)
{
	static uint8_t want[FRAME_MAX];

	fill(want, len, seq);
	return got == len && !memcmp(frame + 14, want + 14, len - 14);
}

uint32_t flatten(const struct quoll_buf *buf, uint8_t *frame)
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
struct quoll_buf *to_buf(const uint8_t *frame, uint32_t len, uint32_t link)
{
	struct quoll_buf *first = NULL, **tail = &first, *buf;
	uint16_t nr_links = 0;

	for (uint32_t off = 0; off < len; off += buf->data_bytes) {
		if (quoll_buf_get(lab.cache, &buf, 1))
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
struct quoll_buf *port_receive_on(struct quoll_rxq *q, unsigned int limit_ms)
{
	uint64_t end = deadline_in(limit_ms);
	struct quoll_buf *buf;

	do {
		if (!quoll_rx(q, &buf, 1))
			continue;
		if (!memcmp((uint8_t *)quoll_buf_data(buf) + 6, lab.peer_mac, 6))
			return buf;
		quoll_buf_put_chain(lab.cache, buf);
	} while (!passed(end));
	return NULL;
}

struct quoll_buf *port_receive(void)
{
	return port_receive_on(lab.rxq, LIMIT_MS);
}

bool port_send(struct quoll_buf *buf)
{
	uint64_t end = deadline_in(LIMIT_MS);

	while (!quoll_tx(lab.txq, &buf, 1))
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

bool open_all(const char *name)
{
	struct quoll_env env = {.log = log_line, .log_level = QUOLL_LOG_INFO};
	struct quoll_heap_opts heap_opts = {
		.size_bytes = 256 << 20, .numa_node = -1, .ioases = &lab.ioas, .nr_ioases = 1};
	struct quoll_pool_opts pool_opts = {
		.nr_bufs = NR_BUFS, .buf_bytes = HEADROOM + 2048, .headroom_bytes = HEADROOM};
	struct quoll_addr addr;

	(void)quoll_clock_init(&lab.clk);
	if (quoll_addr_parse(name, &addr, &lab.err) ||
	    quoll_ioas_open(&env, getenv("QUOLL_BACKEND"), &lab.ioas, &lab.err) ||
	    quoll_group_claim(lab.ioas, &addr, &lab.group, &lab.err) ||
	    quoll_device_open(lab.group, addr.target, &lab.dev, &lab.err) ||
	    quoll_heap_create(&env, &heap_opts, &lab.heap, &lab.err) ||
	    quoll_arena_create(lab.heap, "frames", QUOLL_ARENA_DEVICE_READ_WRITE, 64 << 20, &lab.arena, &lab.err) ||
	    quoll_pool_create(lab.arena, &pool_opts, &lab.pool, &lab.err) ||
	    quoll_buf_cache_create(lab.pool, 512, &lab.cache, &lab.err) ||
	    quoll_net_create(&env, lab.heap, &lab.net, &lab.err) ||
	    quoll_port_open(lab.net, &addr, lab.dev, &lab.port, &lab.err))
		return false;
	quoll_port_info(lab.port, &lab.info);
	return true;
}

void close_all(void)
{
	quoll_port_close(lab.port);
	check(quoll_pool_nr_free(lab.pool) == NR_BUFS, "every buffer is back (%u of %u)", quoll_pool_nr_free(lab.pool),
	      NR_BUFS);
	quoll_buf_cache_destroy(lab.cache);
	check(!quoll_net_destroy(lab.net) && !quoll_pool_destroy(lab.pool), "nothing is left open");
	quoll_device_close(lab.dev);
	quoll_heap_destroy(lab.heap);
	check(!quoll_group_release(lab.group) && !quoll_ioas_close(lab.ioas), "all is given back");
}

bool start(unsigned int nr_queues, const struct quoll_port_settings *settings)
{
	struct quoll_buf_cache *caches[] = {lab.cache, lab.cache};
	struct quoll_port_queues queues = {
		.nr_rxqs = nr_queues, .nr_txqs = nr_queues, .rx_caches = caches, .tx_caches = caches};

	if (quoll_port_start(lab.port, &queues, settings, &lab.err))
		return false;
	lab.rxq = quoll_port_rxq(lab.port, 0);
	lab.txq = quoll_port_txq(lab.port, 0);
	return true;
}

/* Stop, and all buffers are back. */
void stop(const char *what)
{
	int rc = quoll_port_stop(lab.port);

	check(!rc && quoll_pool_nr_free(lab.pool) == NR_BUFS, "%s: stopped (%d), %u of %u buffers are back", what, rc,
	      quoll_pool_nr_free(lab.pool), NR_BUFS);
}

bool wait_link(bool up)
{
	uint64_t end = deadline_in(LIMIT_MS);
	struct quoll_port_link link;

	do {
		(void)quoll_port_check(lab.port);
		quoll_port_link(lab.port, &link);
	} while (link.up != up && !passed(end));
	return link.up == up;
}

static uint32_t sum16(const uint8_t *at, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i < len; i++)
		sum += (uint32_t)at[i] << (i & 1 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

void put_be16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

uint32_t csum_field(uint8_t proto)
{
	return proto == IPPROTO_TCP ? 34 + 16 : 34 + 6;
}

uint32_t pseudo_sum(const uint8_t *frame, uint32_t len, uint8_t proto)
{
	return sum16(frame + 26, 8, proto + len - 34);
}

/* IPv4 with TCP or UDP inside; checksums right. */
void make_ip(uint8_t *frame, const uint8_t *dst, const uint8_t *src, uint32_t len, uint8_t proto)
{
	static const uint8_t ip[20] = {0x45, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 10, 9, 8, 7, 10, 9, 8, 6};
	uint32_t field = csum_field(proto);

	make_frame(frame, dst, src, len, len);
	put_be16(frame + 12, ETH_P_IP);
	memcpy(frame + 14, ip, sizeof(ip));
	put_be16(frame + 16, len - 14);
	frame[23] = proto;
	put_be16(frame + 24, ~sum16(frame + 14, 20, 0));
	if (proto == IPPROTO_UDP)
		put_be16(frame + 38, len - 34);
	else
		frame[46] = 0x50;
	put_be16(frame + field, 0);
	put_be16(frame + field, ~sum16(frame + 34, len - 34, pseudo_sum(frame, len, proto)));
}
