/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_server.h - a vfio-user server in a thread, on a socket in a directory of its own: keeps to the protocol, except
 * where a test gives it a lie.
 *
 * Region 0 is memory behind a memfd, region 7 config space of an NVMe-like device. Tests set it up before
 * fake_server_start(), and read what it has seen after a call that it has answered, or after fake_server_stop().
 */
#ifndef QUOLL_TESTS_FAKE_SERVER_H
#define QUOLL_TESTS_FAKE_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include <linux/vfio.h>

#include "backend/vfio_user.h"

#define SERVER_BAR_BYTES 0x4000u
#define SERVER_MAX_MAPS 64
#define SERVER_MAX_VECTORS 128

struct fake_map {
	struct vuser_dma_map map;
	int fd; /* -1 if none came */
};

/**
 * struct fake_server
 * @caps:     JSON as it goes into VERSION; NULL for nothing
 * @areas:    sparse ones of region 0; @nr_area_fds: fds that come with its description, 1 unless changed
 * @lie:      called with each command in conn; true: it has done what there is to do
 * @step:     called when nothing comes from the client; for what the server does by itself
 * @sent_fd:  an fd to send instead of BAR 0's; -1
 * @silent:   does not answer any more
 */
struct fake_server {
	char dir[64];
	char path[128];
	int listen_fd;
	pthread_t thread;
	struct vuser_conn conn;
	const char *caps;
	int twin[2];
	struct vuser_version version;
	uint32_t device_flags;
	uint32_t nr_regions;
	uint32_t nr_irqs;
	uint32_t nr_vectors;
	uint8_t config[256];
	int bar_fd;
	uint8_t *bar;
	unsigned int nr_areas;
	struct vfio_region_sparse_mmap_area areas[32];
	unsigned int nr_area_fds;
	int area_fds[32];
	bool (*lie)(struct fake_server *server);
	void (*step)(struct fake_server *server);
	atomic_bool stop;
	atomic_bool silent;
	atomic_uint nr_commands[32];
	atomic_uint nr_clients;
	unsigned int nr_maps;
	struct fake_map maps[SERVER_MAX_MAPS];
	int eventfds[SERVER_MAX_VECTORS]; /* of MSI-X */
	unsigned int most_fds;		  /* in one SET_IRQS */
	uint32_t largest_access;
	void *arg; /* a test's own */
};

/* Well-behaved: PCI, BAR 0 of 16 KiB behind a memfd, MSI-X of 65 vectors, resets. */
void fake_server_init(struct fake_server *server);
void fake_server_start(struct fake_server *server);
/* The client is hung up on, the socket gone; what came in stays. Works once started or not. */
void fake_server_stop(struct fake_server *server);
/* Frees what is left; the server is stopped. */
void fake_server_free(struct fake_server *server);

/* Answer the command in conn: for lies. */
void fake_reply(struct fake_server *server, const void *head, size_t head_bytes);
void fake_reply_fds(struct fake_server *server, const void *head, size_t head_bytes, const int *fds,
		    unsigned int nr_fds);
/* Bytes as they are. */
void fake_send_raw(struct fake_server *server, const void *bytes, size_t len);
/* What the server would have done without a lie. */
void fake_answer(struct fake_server *server);

/*
 * Have the client's memory read or written by message, over the twin socket if there is one. Return: 0, -errno as the
 * client answers, -EBADMSG if it answers wrongly.
 */
int fake_dma(struct fake_server *server, quoll_iova_t iova, void *buf, size_t len, bool write);

#endif
