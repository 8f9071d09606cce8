/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost.h - what the files of the vhost-user back end share.
 *
 * vhost.c: the port; peer.c: front ends come and go, the regular check; requests.c: what they say; memory.c: the memory
 * that they offer; vring.c: rings are handed to the queues' threads and taken back; inflight.c: where a ring was when
 * we died; ring.h, rx.c, tx.c: frames.
 *
 * A front end is another program and may be hostile: what it says or writes is copied once and checked, no wait for it
 * is longer than bounded, and nothing of it outlives its session.
 */
#ifndef VHOST_H
#define VHOST_H

#include <quoll/listen.h>

#include "../net_driver.h"
#include "../net_frame.h"
#include "../net_guard.h"
#include "../vhost_user/vhost_msg.h"
#include "../virtq/virtq.h"
#include "vfio_user/server_signal.h"

#define VHOST_MAX_VRINGS (2 * QUOLL_PORT_MAX_QUEUES)
/* Areas of memory: each is a mapping of this process, and a guard of the net. */
#define VHOST_MAX_SLOTS 32u
/* Frames a call moves at most. */
#define VHOST_BATCH 64u
/* Descriptors that a call uses at most, in buffers of the guest: those of the last frame may go beyond VHOST_BATCH. */
#define VHOST_MAX_USED 256u
#define VHOST_HDR_BYTES ((uint32_t)sizeof(struct virtio_net_hdr))
/* The longest frame that is still to be cut up: 64 KiB of IP packet, Ethernet header and one tag. */
#define VHOST_MAX_GSO_BYTES (65535u + NET_FRAME_OVERHEAD_BYTES)
#define VHOST_MAX_MTU 65535u

/**
 * struct vhost_area - memory of the guest
 * @guest:  physical address, @bytes from there on
 * @user:   the same in the front end's process
 * @va:     the same here
 * @base, @base_bytes: what was mapped for it
 * @guard:  of the net, for as long as the file may get shorter; -1: it is sealed
 */
struct vhost_area {
	uint64_t guest;
	uint64_t bytes;
	uint8_t *va;
	uint64_t user;
	void *base;
	size_t base_bytes;
	int guard;
};

/* By rising guest address; they do not overlap. */
struct vhost_memory {
	unsigned int nr;
	struct vhost_area areas[VHOST_MAX_SLOTS];
};

/* In the length of a chain, of packed rings only: the next chain holds more of the same frame. */
#define VHOST_USED_MORE (1u << 31)

/* What is to be given back to the guest: a chain, and the bytes that were written into it. */
struct vhost_used {
	uint16_t id;
	uint16_t slots; /* packed: that it takes in the ring */
	uint32_t bytes;
};

/* struct vhost_inflight's area of one ring, as the specification lays it out; see inflight.c. */
struct vhost_inflight_split;
struct vhost_inflight_packed;

/**
 * struct vhost_ring - a ring as its queue's thread sees it; nobody else touches it while it is published
 * @desc, @avail, @used:              split
 * @packed, @driver_event, @device_event: packed
 * @next:     split: index, running on, of the next chain that comes in, and of the next one given back, as none is kept
 *            between calls; packed: the slot of both
 * @wrap:     packed: of @next
 * @broken:   what the guest wrote makes no sense; the session is about to end
 * @area:     where the last buffer was
 * @nr_done:  chains in @done, which are given back at the end of the call
 * @joined:   some of them belong together, see VHOST_USED_MORE
 */
struct vhost_ring {
	union {
		const struct virtq_desc *desc;
		struct virtq_packed_desc *packed;
	};
	union {
		const struct virtq_avail *avail;
		const struct virtq_packed_event *driver_event;
	};
	union {
		struct virtq_used *used;
		struct virtq_packed_event *device_event;
	};
	const struct vhost_area *area;
	uint32_t size;
	uint16_t next;
	bool wrap;
	bool is_packed;
	bool event_idx;
	bool indirect;
	bool mergeable;
	bool broken;
	bool joined;
	uint16_t nr_done;
	const struct vhost_memory *memory;
	uint64_t features;
	union {
		struct vhost_inflight_split *inflight_split;
		struct vhost_inflight_packed *inflight_packed;
	};
	struct vhost_used done[VHOST_MAX_USED];
};

/**
 * struct vhost_vring - a virtqueue: what the front end said of it, and the hand-over to the queue's thread
 * @active: atomic: the ring, for the queue's thread to use; NULL: there is none now
 * @busy:   atomic, the thread's: it may be using the ring. See vring.c
 * @fenced: there is no membarrier(2), so the thread has to fence
 * @call_fd: -1: the guest does not want to be told, ever
 * @nr_calls: counted
 * @started: a kick fd came, or the word that there is none
 */
struct vhost_vring {
	struct vhost_ring *active;
	unsigned int busy;
	bool fenced;
	int call_fd;
	struct server_signal signal;
	uint64_t nr_calls;

	struct vhost_ring ring QUOLL_CACHE_ALIGNED;

	uint32_t size;
	struct vhost_vring_addr addr;
	bool has_addr;
	bool started;
	bool enabled;
	bool fresh; /* base came, and the ring has not been used since */
	int kick_fd;
	int epoll_fd; /* of who sleeps on this ring; -1: it is none that we receive from */
	int wake_fd;  /* an eventfd of ours in it */
};

struct vhost_rxq {
	struct quoll_rxq rxq;
	struct vhost_vring *vring;
	uint32_t room;	     /* of a buffer */
	uint32_t max_bytes;  /* longest frame */
	uint32_t max_excess; /* over the shortest: of frames that need one buffer only */
	bool scatter;
	unsigned int rarp; /* atomic: a frame to be made up, see vhost_rarp() */
} QUOLL_CACHE_ALIGNED;

struct vhost_txq {
	struct quoll_txq txq;
	struct vhost_vring *vring;
	struct net_tx_rules rules;
} QUOLL_CACHE_ALIGNED;

/**
 * struct vhost_port - a port
 * @nr_pairs: pairs of rings that the front end may have
 * @offered:  virtio features
 * @held:     the message in conn waits for queues' threads to leave their rings
 * @leaving:  the session ends as soon as they have
 * @pending:  atomic: either of these, so nobody may sleep
 * @nr_sessions and so on: counted, read by any thread
 */
struct vhost_port {
	struct quoll_port port;
	bool client;
	bool packed;
	bool fenced;
	bool runs;
	unsigned int max_queues;
	unsigned int nr_pairs;
	struct quoll_listen listen;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int timer_fd;
	bool timer_runs;
	uint64_t next_try_ns;

	uint64_t offered;
	struct vhost_conn conn;
	bool connected;
	bool held;
	bool leaving;
	unsigned int pending;
	uint64_t features;
	uint64_t protocol;
	uint8_t status;
	uint8_t rarp_mac[QUOLL_MAC_BYTES];
	struct vhost_memory memory;
	struct vhost_vring *vrings;
	void *inflight;
	size_t inflight_bytes;
	uint16_t inflight_queues;
	uint16_t inflight_size;
	bool inflight_packed;

	uint64_t nr_sessions;
	uint64_t nr_bad_sessions;
	uint64_t nr_refused;
	struct quoll_pace bad_pace; /* of lines about them */
	struct quoll_pace refused_pace;
	uint64_t nr_calls; /* of sessions that are over */
};

/* peer.c */
int vhost_peer_open(struct vhost_port *vp, struct quoll_error *err);
void vhost_peer_close(struct vhost_port *vp);
/* One round: connections, messages. Bounded. */
void vhost_peer_check(struct vhost_port *vp);
/* The session ends here and now: nobody polls. */
void vhost_session_end(struct vhost_port *vp);
/* A queue's sleeper is woken by listener and timer, too. Return: 0, -errno. */
int vhost_watch(struct vhost_port *vp, int epoll_fd);

/* requests.c: what becomes of the message that was received; all rings are parked. Return: 0; -errno: the session must
 * end. */
int vhost_request_serve(struct vhost_port *vp);
uint64_t vhost_offer(const struct vhost_port *vp);

/* memory.c: rings are parked. Return: 0, -errno. The fd stays the caller's. */
int vhost_memory_add(struct vhost_port *vp, const struct vhost_region *region, int fd);
int vhost_memory_remove(struct vhost_port *vp, const struct vhost_region *region);
void vhost_memory_drop(struct vhost_port *vp);
/* All of it in one area, or NULL. */
void *vhost_memory_user(const struct vhost_memory *memory, uint64_t user, uint64_t bytes);
const struct vhost_area *vhost_memory_find(const struct vhost_memory *memory, uint64_t guest);
/* Whether the file has these bytes; *sealed: and keeps them. Return: the size of its pages; 0: it is not for mapping.
 */
uint64_t vhost_file_page_bytes(int fd, uint64_t offset, uint64_t len, bool *sealed);

/* vring.c */
int vhost_vrings_create(struct vhost_port *vp);
void vhost_vrings_destroy(struct vhost_port *vp);
/* Take all rings back. Return: false: some thread is still at it, ask again. */
bool vhost_vrings_park(struct vhost_port *vp);
/* Hand out those that are complete. Return: 0; -EPROTO: addresses or size make no sense. */
int vhost_vrings_publish(struct vhost_port *vp);
/* For quoll_txq_lacks(), after features have changed. */
void vhost_vrings_tell_lacks(const struct vhost_port *vp);
void vhost_vring_stop(struct vhost_vring *vring);
/* As at the beginning of a session. */
void vhost_vrings_reset(struct vhost_port *vp);

/* inflight.c: rings are parked. */
int vhost_inflight_make(struct vhost_port *vp, struct vhost_inflight *what);
int vhost_inflight_set(struct vhost_port *vp, const struct vhost_inflight *what, int fd);
void vhost_inflight_drop(struct vhost_port *vp);
/* Where a ring begins: @ring has next and wrap as the front end said. */
void vhost_inflight_begin(struct vhost_port *vp, unsigned int idx, struct vhost_ring *ring);
/* It was given back in good order: what was noted is worth nothing. */
void vhost_inflight_end(struct vhost_ring *ring);

/* rx.c, tx.c */
unsigned int vhost_rx(struct quoll_rxq *rxq, struct quoll_buf **bufs, unsigned int n);
unsigned int vhost_tx(struct quoll_txq *txq, struct quoll_buf *const *bufs, unsigned int n);
/* Whether the guest shall tell us of chains. */
void vhost_want_kicks(struct vhost_ring *ring, bool wanted);
int vhost_rx_arm(struct quoll_rxq *rxq);
void vhost_rx_disarm(struct quoll_rxq *rxq);

#endif
