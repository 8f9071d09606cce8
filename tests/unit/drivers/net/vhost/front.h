/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * front.h - a front end with a guest in it: memory, rings, frames in both directions, and the socket; so that tests can
 * do all of it right, and each part of it wrong.
 *
 * The guest's physical memory begins at FRONT_GUEST, its front end's at FRONT_USER; both differ from where it lies
 * here. Pair i of rings: FRONT_RING_BYTES each from (2 * i) * FRONT_RING_BYTES on; buffers from FRONT_BUFS on.
 */
#ifndef QUOLL_TESTS_VHOST_FRONT_H
#define QUOLL_TESTS_VHOST_FRONT_H

#include <net/net_driver.h>
#include <net/vhost_user/vhost_msg.h>
#include <net/virtq/virtq.h>

#include "../net_fixture.h"

#define FRONT_BYTES (4u << 20)
#define FRONT_GUEST UINT64_C(0x40000000)
#define FRONT_USER UINT64_C(0x7f0000000000)
#define FRONT_RING_BYTES 65536u
#define FRONT_AVAIL 16384u /* in a ring's memory: driver area */
#define FRONT_USED 32768u  /* device area */
#define FRONT_BUFS (1u << 20)
#define FRONT_BUF_BYTES 2048u
#define FRONT_SIZE 256u
#define FRONT_MAX_RINGS 8u
#define FRONT_FEATURES (VIRTIO_F_VERSION_1 | VHOST_F_PROTOCOL_FEATURES)
#define FRONT_PROTOCOL                                                                                                 \
	(VHOST_PROTOCOL_MQ | VHOST_PROTOCOL_RARP | VHOST_PROTOCOL_REPLY_ACK | VHOST_PROTOCOL_MTU |                     \
	 VHOST_PROTOCOL_INFLIGHT_SHMFD | VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS | VHOST_PROTOCOL_STATUS)

/**
 * struct front_ring - the guest's side of a ring
 * @next:   split: avail index; packed: slot of the next chain
 * @seen:   split: used index; packed: slot of the next one given back
 * @free_id: buffers are used in turn
 */
struct front_ring {
	uint8_t *mem;
	uint32_t size;
	uint16_t next;
	uint16_t seen;
	bool next_wrap;
	bool seen_wrap;
	uint16_t nr_out; /* chains that are the device's */
	int kick_fd;
	int call_fd;
};

struct front {
	struct fix fix;
	struct quoll_port *port;
	struct quoll_port_settings settings;
	char path[64];
	struct vhost_conn conn;
	uint8_t *mem;
	int mem_fd;
	uint64_t features;
	bool packed;
	unsigned int nr_pairs;
	uint32_t size; /* of each ring: FRONT_SIZE unless told otherwise */
	struct front_ring rings[FRONT_MAX_RINGS];
	unsigned int nr_fds_before;
};

/* One of a chain's descriptors. */
struct front_desc {
	uint64_t addr;
	uint32_t bytes;
	uint16_t flags;
};

/* A port "vhost:PATH" and whatever @options say, started with so many pairs of queues; nobody is connected yet. */
void front_open(struct front *f, const char *options, unsigned int nr_pairs);
void front_close(struct front *f);
void front_start(struct front *f);

/* Memory that may be cut, or not. */
void front_memory(struct front *f, bool sealed);
void front_connect(struct front *f);
void front_disconnect(struct front *f);
/* Let the port do its regular work, until it has nothing to do at once. */
void front_turn(struct front *f);
/* Until its link is as told; a failure if that takes longer than any machine may. */
void front_await_link(struct front *f, bool up);
bool front_link(const struct front *f);

/* One message; the port is not turned. */
void front_send(struct front *f, uint32_t request, const void *payload, uint32_t bytes, const int *fds,
		unsigned int nr_fds);
/* The same with NEED_REPLY. Return: what it was answered; UINT64_MAX: the connection ended. */
uint64_t front_ask(struct front *f, uint32_t request, const void *payload, uint32_t bytes, const int *fds,
		   unsigned int nr_fds);
/* A request that has an answer of its own, which is in f->conn then. Return: false: the connection ended. */
bool front_get(struct front *f, uint32_t request, const void *payload, uint32_t bytes);
uint64_t front_ask_u64(struct front *f, uint32_t request, uint64_t value);
uint64_t front_ask_state(struct front *f, uint32_t request, uint32_t idx, uint32_t num);
/* Whether the port has hung up. */
bool front_is_gone(struct front *f);

/* All that a front end says, with f->features; rings are at their beginning. */
void front_hello(struct front *f);
uint64_t front_set_mem_table(struct front *f);
struct vhost_region front_region(void);
uint64_t front_set_addr(struct front *f, unsigned int idx);
uint64_t front_set_kick(struct front *f, unsigned int idx, int fd);
void front_ring_init(struct front *f, unsigned int idx);
void front_start_ring(struct front *f, unsigned int idx);
/* open, memory, connect, hello with these features besides, and the link is up */
void front_up(struct front *f, uint64_t features, unsigned int nr_pairs);

/* The guest. */

/* Make a chain available, of any descriptors; one of them is given back as @id. */
void front_chain(struct front *f, unsigned int idx, uint16_t id, const struct front_desc *descs, unsigned int n);
/* A chain that was given back. Return: false: there is none. */
bool front_used(struct front *f, unsigned int idx, uint16_t *id, uint32_t *bytes, bool *written);
/* Of buffer i, in guest terms, and here. */
uint64_t front_buf(unsigned int i);
uint8_t *front_buf_va(struct front *f, unsigned int i);
/* A frame of that many bytes that says @tag, behind a header, in buffer i: put into ring 2 * pair + 1. */
void front_frame(struct front *f, unsigned int i, uint8_t tag, uint32_t bytes);
void front_send_frame(struct front *f, unsigned int pair, uint16_t i, uint8_t tag, uint32_t bytes);
/* Buffer i for the device to write, of that many bytes: put into ring 2 * pair. */
void front_post(struct front *f, unsigned int pair, uint16_t i, uint32_t bytes);

/* The port's side. */
unsigned int front_rx(struct front *f, unsigned int queue, struct quoll_buf **bufs, unsigned int n);
unsigned int front_tx(struct front *f, unsigned int queue, struct quoll_buf **bufs, unsigned int n);
struct quoll_port_stats front_stats(struct front *f);
uint64_t front_xstat(struct front *f, const char *name);
/* A frame with these bytes in it, all the same tag but for the first 14. */
struct quoll_buf *front_make(struct front *f, uint8_t tag, unsigned int bytes, unsigned int nr_links);
bool front_is(const struct quoll_buf *buf, uint8_t tag, uint32_t bytes);
void front_put(struct front *f, struct quoll_buf **bufs, unsigned int n);

/* A test with rings of both kinds. */
#define BOTH(name)                                                                                                     \
	static void name(void)                                                                                         \
	{                                                                                                              \
		name##_with(0);                                                                                        \
		name##_with(VIRTIO_F_RING_PACKED);                                                                     \
	}

#endif
