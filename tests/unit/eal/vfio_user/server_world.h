/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server_world.h - a vfio-user server with a small device model, and a client that says what a test wants it to say.
 * Both in one thread: the client sends, the server is polled until the answer is there.
 *
 * Regions of the model: 0 is memory behind a memfd, its second page may be mapped; 2 can be read only, 4 written only;
 * 7 is config space. Interrupts: INTx with masks, MSI-X with 65 vectors.
 */
#ifndef QUOLL_TESTS_SERVER_WORLD_H
#define QUOLL_TESTS_SERVER_WORLD_H

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <linux/vfio.h>

#include <quoll/pci.h>

#include "open_fds.h"
#include "unit.h"
#include "vfio_user/server_internal.h"

#define MODEL_BAR_BYTES 0x4000u
#define MODEL_VECTORS 65u
#define MODEL_MAPS 64u
#define WORLD_PATIENCE_NS 20000000000ull

/**
 * struct server_world
 * @connect_rc, …:  what the model's callbacks return; @busy: how often dma_unmap, disconnect, reset and region_write
 *                  say -EAGAIN, the last one after the first @busy_writes
 * @maps:           what the model knows of the client's memory
 * @on_read, @on_write: called by the model for each access to a region
 */
struct server_world {
	char dir[64];
	char path[128];
	unsigned int fds_before;
	struct quoll_server *server;
	struct quoll_server_device device;
	struct quoll_server_ops ops;
	uint8_t *bar;
	uint8_t config[256];
	int connect_rc;
	int map_rc;
	int access_rc;
	unsigned int busy;
	unsigned int busy_writes;
	unsigned int nr_connects;
	unsigned int nr_disconnects;
	unsigned int nr_resets;
	unsigned int nr_reads;
	unsigned int nr_writes;
	unsigned int nr_maps;
	struct quoll_server_dma maps[MODEL_MAPS];
	void (*on_read)(struct server_world *w);
	void (*on_write)(struct server_world *w);
	struct vuser_conn client;
	uint16_t next_id;
};

/* The model, described but not offered yet; world_listen() offers it. */
void world_init(struct server_world *w);
void world_listen(struct server_world *w);
/* Nobody is left, and no file stays open. */
void world_close(struct server_world *w);

/* Connect without a word. */
int world_connect(const struct server_world *w);
/* Connect and agree on 0.2 with max_msg_fds 8: w->client then. Return: what the server answered. */
int world_hello(struct server_world *w);
/* The same with a version's bytes as they are. */
int world_hello_with(struct server_world *w, const void *version, size_t bytes);

/* A message as it is, with its own id. */
void world_send(struct server_world *w, uint16_t command, const void *payload, size_t bytes, const int *fds,
		unsigned int nr_fds);
/*
 * Poll until there is an answer. Return: bytes of its payload, which is in w->client; -errno as the server answers;
 * -ECONNRESET: it hung up.
 */
int world_answer(struct server_world *w);
/* Both. */
int world_ask(struct server_world *w, uint16_t command, const void *payload, size_t bytes);
int world_ask_fds(struct server_world *w, uint16_t command, const void *payload, size_t bytes, const int *fds,
		  unsigned int nr_fds);
/* Poll until the server has seen the client's end. */
void world_hang_up(struct server_world *w);
/* Poll until done says so. */
void world_until(struct server_world *w, bool (*done)(const struct server_world *w));
/* Memory of so many bytes, sealed against shrinking. */
int world_memfd(uint64_t bytes);
int world_map(struct server_world *w, uint64_t iova, uint64_t len, uint32_t flags, int fd, uint64_t offset);
int world_unmap(struct server_world *w, uint64_t iova, uint64_t len);

static inline bool world_is_free(const struct server_world *w)
{
	return w->server->state == SERVER_FREE;
}

#endif
