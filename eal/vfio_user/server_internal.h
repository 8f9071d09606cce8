/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server_internal.h - what the files of the vfio-user server share.
 *
 * server.c: clients come and go, the poll; server_serve.c: the commands; server_irq.c and server_signal.c: interrupts;
 * server_maps.c: memory that is offered; server_dma.c: memory by message.
 *
 * A client is another program and may be hostile: what it says is checked against what the device declared, every wait
 * for it is bounded, and nothing of it outlives its session.
 */
#ifndef QUOLL_EAL_VFIO_USER_SERVER_INTERNAL_H
#define QUOLL_EAL_VFIO_USER_SERVER_INTERNAL_H

#include <pthread.h>
#include <sys/types.h>

#include <quoll/listen.h>
#include <quoll/server.h>

#include "vfio_user/caps.h"
#include "vfio_user/message.h"
#include "vfio_user/server_signal.h"

/* What we announce: QEMU ends the connection if a server states more than 16. Up to VUSER_MAX_FDS are taken. */
#define SERVER_MSG_FDS 16u
/* Entries of the table. Not all of them are mapped: see server_maps.c. */
#define SERVER_DMA_MAPS 16384u
/* The kernel's default of vm.max_map_count, and how much of the 128 TiB that a process has servers may map. */
#define SERVER_PROCESS_MAPS 65530u
#define SERVER_PROCESS_BYTES (64ull << 40)
#define SERVER_PAGE_BYTES 4096u
/* Connections that have not said yet what they want, or wait for a place. */
#define SERVER_VISITORS 4u
/* Messages in one poll, so that one client's flood does not keep the device from its work. */
#define SERVER_POLL_MESSAGES 32u
/* Commands that come in while we wait for the answer to a DMA message, and all their bytes. */
#define SERVER_HELD_MESSAGES 1024u
#define SERVER_HELD_BYTES (4u << 20)
/* And all their files: a process has not many, and other clients' messages need some. */
#define SERVER_HELD_FDS 256u
/* Less than a neighbour in the same thread gives a server to answer, which is 5 s with our own clients. */
#define SERVER_DMA_TIMEOUT_NS 3000000000ull
/*
 * What a client's memory may keep the device waiting for: see server_dma.c. A tenth of a second a poll is many times
 * what the largest command needs of a live client; and a neighbour, who sends a message a poll, can still open.
 */
#define SERVER_DMA_ROUND_NS 100000000ull
#define SERVER_DMA_REFILL 10u
/* Data of one DMA message: as the client back-end, well below what a socket's buffer holds. */
#define SERVER_DMA_PIECE_BYTES (64u << 10)
/* What a reply holds besides data: the largest is a region with all its areas. */
#define SERVER_HEAD_BYTES 512u

enum server_state {
	SERVER_FREE,
	SERVER_SERVING,
	SERVER_LEAVING, /* the client is gone, the device has not let go yet */
};

/* See server_dma.c. */
enum dma_layout {
	DMA_LAYOUT_UNKNOWN,
	DMA_LAYOUT_WIDE,
	DMA_LAYOUT_NARROW,
};

/**
 * struct server_map - memory that the client offers
 * @base, @base_bytes: what was mapped for it: more than it, where the file has huge pages
 */
struct server_map {
	struct quoll_server_dma dma;
	void *base;
	size_t base_bytes;
};

struct server_vector {
	int eventfd;
	bool masked;
	bool pending;
};

struct server_visitor {
	struct vuser_conn conn;
	uint64_t since_ns;
	bool there;
	bool parked; /* its first message is in conn, and it waits */
};

/**
 * struct quoll_server
 * @listen:       its fd is -1 once it is stopped
 * @listen_watched: it is in the event set; not while there is no file descriptor left for another connection
 * @stall_ns, @dma_timeout_ns: how long a client may take
 * @dma_round_ns: waiting for its memory that costs it nothing, from one poll to the next
 * @dma_left_ns: its allowance for more, as of @dma_left_at_ns; at most @dma_timeout_ns
 * @dma_waited_ns: since the last poll
 * @timer_ns:     what the timer is set to; 0: not
 * @introduced:   the device knows of the client
 * @waiting:      the command in @conn waits for the device
 * @nr_written:   of the writes of one message, before the one that waits
 * @reading:      within the device's region_read(), which fills in @data
 * @watched:      the events of @conn that are watched
 * @held:         commands that came in early, in their order
 * @maps:         by IOVA, ascending
 * @nr_mapped, @mapped_bytes: of them that are mapped, as they are
 * @process_maps: that servers of this process may have, all together
 * @bus_error:    set by a signal handler
 * @thread:       that polled last
 * @irq_lock:     of the vectors: the device may signal from any thread
 * @data:         for replies with data
 */
struct quoll_server {
	struct quoll_env env;
	struct quoll_server_device device;
	struct quoll_listen listen;
	bool listen_watched;
	int epoll_fd;
	int timer_fd;
	uint64_t timer_ns;
	uint64_t stall_ns;
	uint64_t dma_timeout_ns;
	uint64_t dma_round_ns;
	uint64_t dma_left_ns;
	uint64_t dma_left_at_ns;
	uint64_t dma_waited_ns;
	uint64_t accept_again_ns;
	char *caps_text;
	struct server_visitor visitors[SERVER_VISITORS];
	enum server_state state;
	bool introduced;
	bool waiting;
	bool reading;
	uint64_t nr_written;
	uint32_t watched;
	struct vuser_conn conn;
	struct vuser_caps caps;
	enum dma_layout dma_layout;
	uint16_t next_id;
	struct vuser_held *held;
	struct vuser_held **held_tail;
	unsigned int nr_held;
	size_t held_bytes;
	unsigned int held_fds;
	struct server_map *maps;
	unsigned int nr_maps;
	unsigned int maps_room;
	unsigned int nr_mapped;
	uint64_t mapped_bytes;
	unsigned int process_maps;
	bool bus_error;
	pthread_t thread;
	bool told_not_mapped;
	pthread_mutex_t irq_lock;
	struct server_signal signal;
	struct server_vector *vectors[QUOLL_SERVER_MAX_IRQS];
	uint8_t head[SERVER_HEAD_BYTES];
	uint8_t *data;
	size_t data_room;
	struct quoll_server_stats stats;
};

/*
 * Carry out the command in server->conn and reply to it. Return: 0; -EAGAIN: the device is not done with it; else the
 * connection is at its end.
 */
int server_serve(struct quoll_server *server);
/*
 * The same for a REGION_READ that comes in while the device reaches for memory; the client is waited for until it takes
 * the reply.
 */
int server_serve_read(struct quoll_server *server, uint64_t deadline_ns);
/* The same for the first message of a connection, which must be VERSION. Return: 0, or -errno: it was sent away. */
int server_serve_version(struct quoll_server *server);
/* Answer a first message with an error. */
void server_refuse(struct vuser_conn *conn, int errnum);

int server_irqs_create(struct quoll_server *server);
/* Signal nobody any more: all eventfds are closed, nothing is masked. */
void server_irqs_drop(struct quoll_server *server);
void server_irqs_destroy(struct quoll_server *server);
/* Commands: 0, or -errno for the client. */
int server_irq_info(struct quoll_server *server, struct vuser_out *out);
int server_irq_set(struct quoll_server *server);

/* Look at what the kernel allows. */
void server_maps_init(struct quoll_server *server);
int server_dma_map(struct quoll_server *server);
/* Return: -EAGAIN as well. */
int server_dma_unmap(struct quoll_server *server, struct vuser_out *out);
/* The first map that ends behind iova; server->nr_maps: there is none. */
unsigned int server_map_find(const struct quoll_server *server, uint64_t iova);
/* Unmap everything; the device has let go of it. */
void server_maps_drop(struct quoll_server *server);

/* The next of the commands that came in early becomes the message in conn. Return: whether there was one. */
bool server_held_next(struct quoll_server *server);
void server_held_drop(struct quoll_server *server);

#endif
