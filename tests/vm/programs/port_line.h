/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port_line.h - both ends of a line, for port_selftest.c: a port of ours, and a raw socket on the kernel's interface at
 * the other end; frames, and what checks report.
 */
#ifndef QUOLL_TESTS_PORT_LINE_H
#define QUOLL_TESTS_PORT_LINE_H

#include <quoll/clock.h>

#include "net/net.h"

#define ETHERTYPE 0x88b5 /* for local experiments (IEEE 802) */
#define FRAME_MAX 9018
#define NR_BUFS 4096
#define LIMIT_MS 5000

/* The one port of the program, and all that it needs; the first queues while it runs. */
struct port_lab {
	struct quoll_ioas *ioas;
	struct quoll_group *group;
	struct quoll_device *dev;
	struct quoll_heap *heap;
	struct quoll_arena *arena;
	struct quoll_pool *pool;
	struct quoll_buf_cache *cache;
	struct quoll_net *net;
	struct quoll_port *port;
	struct quoll_port_info info;
	struct quoll_rxq *rxq;
	struct quoll_txq *txq;
	struct quoll_clock clk;
	struct quoll_error err;
	int peer; /* the raw socket */
	uint8_t peer_mac[6];
	int failures;
};

extern struct port_lab lab;

/* A result line; what is not good also shows the last error. */
void check(bool good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
uint64_t deadline_in(unsigned int ms);
bool passed(uint64_t deadline);

bool peer_open(const char *name);
bool peer_send(const uint8_t *frame, uint32_t len);
/*
 * The next frame of ours that comes in, within the limit. Return: its length, 0 for none; *tci is its tag, or -1. The
 * kernel's driver takes tags off.
 */
uint32_t peer_receive(uint8_t *frame, int *tci, const uint8_t *src);

bool open_all(const char *name);
void close_all(void);
bool start(unsigned int nr_queues, const struct quoll_port_settings *settings);
/* Stop, and all buffers are back. */
void stop(const char *what);
bool wait_link(bool up);
/* The next frame from the peer, within the limit; NULL for none. What is not from it goes back. */
struct quoll_buf *port_receive_on(struct quoll_rxq *q, unsigned int limit_ms);
struct quoll_buf *port_receive(void);
bool port_send(struct quoll_buf *buf);

void put_be16(uint8_t *at, uint32_t v);
void header(uint8_t *frame, const uint8_t *dst, const uint8_t *src, uint16_t type);
/* Filled with what follows from length and number. */
void make_frame(uint8_t *frame, const uint8_t *dst, const uint8_t *src, uint32_t len, uint32_t seq);
bool is_frame(const uint8_t *frame, uint32_t got, uint32_t len, uint32_t seq);
/* IPv4 with TCP or UDP inside; checksums right. */
void make_ip(uint8_t *frame, const uint8_t *dst, const uint8_t *src, uint32_t len, uint8_t proto);
uint32_t csum_field(uint8_t proto);
uint32_t pseudo_sum(const uint8_t *frame, uint32_t len, uint8_t proto);
uint32_t flatten(const struct quoll_buf *buf, uint8_t *frame);
/* A frame as a buffer, or as a chain of links of at most @link bytes. */
struct quoll_buf *to_buf(const uint8_t *frame, uint32_t len, uint32_t link);

#endif
