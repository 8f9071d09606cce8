/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fwd_and_read.c - packets and blocks in one loop, on one thread: forward between two ports, and read random blocks of
 * an NVMe namespace meanwhile.
 *
 *   fwd_and_read PORT PORT NVME [SECONDS]
 *
 * The ports share an address space, the disk has its own; the heap is attached to both.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <net/net.h>
#include <nvme/nvme.h>
#include <quoll/loop.h>

#define BURST 32
#define QD 32
#define READ_BYTES 4096

struct path {
	struct quoll_rxq *rxq;
	struct quoll_txq *txq;
	struct quoll_buf_cache *cache;
	struct quoll_poller poller;
	uint64_t forwarded;
	uint64_t dropped;
};

struct reader {
	struct quoll_nvme_queue *queue;
	struct quoll_nvme_ns_info ns;
	struct quoll_poller poller;
	uint8_t *data;
	uint32_t read_lbas;
	uint64_t random;
	unsigned int in_flight;
	bool stop;
	uint64_t done;
	uint64_t failed;
};

/* What is open; all of it is taken apart in the other order. */
struct app {
	struct quoll_ioas *ioases[2]; /* ports, disk */
	struct quoll_group *groups[3];
	struct quoll_device *devices[3]; /* two ports, disk; NULL for ports without a device */
	struct quoll_heap *heap;
	struct quoll_arena *arena;
	struct quoll_pool *pool;
	struct quoll_buf_cache *cache;
	struct quoll_net *net;
	struct quoll_port *ports[2];
	struct quoll_nvme *nvme;
	struct quoll_loop *loop;
	struct path paths[2];
	struct reader reader;
};

static int forward(void *arg)
{
	struct path *path = arg;
	struct quoll_buf *bufs[BURST];
	unsigned int n = quoll_rx(path->rxq, bufs, BURST), sent;

	if (!n)
		return 0;
	sent = quoll_tx(path->txq, bufs, n);
	for (unsigned int i = sent; i < n; i++)
		quoll_buf_put_chain(path->cache, bufs[i]);
	path->forwarded += sent;
	path->dropped += n - sent;
	return (int)n;
}

/* Read some place into the buffer of this slot. */
static int start_read(struct reader *r, uint64_t slot)
{
	uint64_t place;

	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	place = r->random % (r->ns.nr_lbas / r->read_lbas); /* a division, but there are not millions of these */
	if (quoll_nvme_prep_read(r->queue, r->ns.nsid, r->data + slot * READ_BYTES, place * r->read_lbas, r->read_lbas,
				 slot)) {
		r->failed++;
		return -EIO;
	}
	r->in_flight++;
	return 0;
}

static int read_blocks(void *arg)
{
	struct quoll_nvme_completion comps[QD];
	struct reader *r = arg;
	unsigned int n = quoll_nvme_poll(r->queue, comps, QD);
	int rc = 0;

	for (unsigned int i = 0; i < n; i++) {
		r->in_flight--;
		if (comps[i].error || comps[i].status) {
			r->failed++;
			rc = -EIO; /* ends the loop */
			continue;
		}
		r->done++;
		if (!r->stop && !rc)
			rc = start_read(r, comps[i].user_data);
	}
	quoll_nvme_submit(r->queue);
	return rc ? rc : (int)n;
}

static int open_device(struct app *app, unsigned int i, const struct quoll_addr *addr, struct quoll_error *err)
{
	struct quoll_ioas **ioas = &app->ioases[i / 2];
	int rc = *ioas ? 0 : quoll_ioas_open(NULL, NULL, ioas, err);

	if (!rc)
		rc = quoll_group_claim(*ioas, addr, &app->groups[i], err);
	if (!rc)
		rc = quoll_device_open(app->groups[i], addr->target, &app->devices[i], err);
	return rc;
}

static int open_memory(struct app *app, struct quoll_error *err)
{
	struct quoll_ioas *ioases[2];
	struct quoll_heap_opts heap = {.numa_node = -1, .ioases = ioases};
	struct quoll_pool_opts pool = {.nr_bufs = 8192, .buf_bytes = 2176, .headroom_bytes = 128};
	void *va;
	int rc;

	for (unsigned int i = 0; i < 2; i++)
		if (app->ioases[i])
			ioases[heap.nr_ioases++] = app->ioases[i];
	rc = quoll_heap_create(NULL, &heap, &app->heap, err);
	if (!rc)
		rc = quoll_arena_create(app->heap, "data", QUOLL_ARENA_DEVICE_READ_WRITE, 0, &app->arena, err);
	if (!rc)
		rc = quoll_pool_create(app->arena, &pool, &app->pool, err);
	if (!rc)
		rc = quoll_buf_cache_create(app->pool, 0, &app->cache, err);
	if (!rc)
		rc = quoll_arena_alloc(app->arena, QD * READ_BYTES, 4096, &va, err);
	if (!rc)
		app->reader.data = va;
	return rc;
}

static int open_ports(struct app *app, const struct quoll_addr *addrs, struct quoll_error *err)
{
	struct quoll_buf_cache *caches[] = {app->cache};
	struct quoll_port_queues queues = {.nr_rxqs = 1, .nr_txqs = 1, .rx_caches = caches, .tx_caches = caches};
	struct quoll_port_settings settings = {.promiscuous = true};
	int rc = quoll_net_create(NULL, app->heap, &app->net, err);

	for (unsigned int i = 0; i < 2 && !rc; i++) {
		rc = quoll_port_open(app->net, &addrs[i], app->devices[i], &app->ports[i], err);
		if (!rc)
			rc = quoll_port_start(app->ports[i], &queues, &settings, err);
	}
	for (unsigned int i = 0; i < 2 && !rc; i++) {
		struct path *path = &app->paths[i];

		path->rxq = quoll_port_rxq(app->ports[i], 0);
		path->txq = quoll_port_txq(app->ports[!i], 0);
		path->cache = app->cache;
		path->poller = (struct quoll_poller){.poll = forward, .arg = path, .fd = -1};
		rc = quoll_loop_add(app->loop, &path->poller);
	}
	return rc;
}

static int open_disk(struct app *app, struct quoll_error *err)
{
	struct reader *r = &app->reader;
	int rc = quoll_nvme_open(app->devices[2], app->heap, NULL, &app->nvme, err);

	if (!rc)
		rc = quoll_nvme_queue_create(app->nvme, NULL, &r->queue, err);
	if (rc)
		return rc;
	if (quoll_nvme_ns_at(app->nvme, 0, &r->ns) || r->ns.usable || READ_BYTES % r->ns.lba_bytes ||
	    r->ns.nr_lbas < READ_BYTES / r->ns.lba_bytes)
		return quoll_error_set(err, ENOTSUP, "namespace", "", "the drive has no namespace to read 4 KiB from");
	r->read_lbas = READ_BYTES / r->ns.lba_bytes;
	r->random = 88172645463325252u;
	r->poller = (struct quoll_poller){.poll = read_blocks, .arg = r, .fd = -1};
	return quoll_loop_add(app->loop, &r->poller);
}

static int open_all(struct app *app, char **argv, struct quoll_error *err)
{
	struct quoll_addr addrs[3];
	int rc = quoll_loop_create(NULL, NULL, &app->loop, err);

	for (unsigned int i = 0; i < 3 && !rc; i++) {
		rc = quoll_addr_parse(argv[i], &addrs[i], err);
		if (!rc && (i == 2 || addrs[i].scheme == QUOLL_ADDR_PCI))
			rc = open_device(app, i, &addrs[i], err);
	}
	if (!rc)
		rc = open_memory(app, err);
	if (!rc)
		rc = open_disk(app, err);
	if (!rc)
		rc = open_ports(app, addrs, err);
	return rc;
}

static void close_all(struct app *app)
{
	if (app->loop)
		quoll_loop_destroy(app->loop);
	for (unsigned int i = 0; i < 2; i++)
		if (app->ports[i])
			quoll_port_close(app->ports[i]);
	if (app->nvme)
		quoll_nvme_close(app->nvme);
	if (app->net)
		quoll_net_destroy(app->net);
	quoll_buf_cache_destroy(app->cache);
	if (quoll_pool_destroy(app->pool))
		fputs("fwd_and_read: buffers are missing\n", stderr);
	for (unsigned int i = 0; i < 3; i++)
		if (app->devices[i])
			quoll_device_close(app->devices[i]);
	if (app->heap)
		quoll_heap_destroy(app->heap);
	for (unsigned int i = 0; i < 3; i++)
		quoll_group_release(app->groups[i]);
	for (unsigned int i = 0; i < 2; i++)
		if (app->ioases[i])
			quoll_ioas_close(app->ioases[i]);
}

static void stop(void *arg)
{
	quoll_loop_stop(arg);
}

static int run(struct app *app, unsigned int seconds, struct quoll_error *err)
{
	struct quoll_timer end = {.fn = stop, .arg = app->loop};
	struct reader *r = &app->reader;
	sigset_t signals;
	int rc;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	rc = quoll_loop_signals(app->loop, &signals, NULL, NULL);
	if (!rc && seconds)
		rc = quoll_timer_start(app->loop, &end, seconds * 1000000000ull, 0);
	for (uint64_t slot = 0; slot < QD && !rc; slot++)
		rc = start_read(r, slot);
	quoll_nvme_submit(r->queue);
	if (!rc)
		rc = quoll_loop_run(app->loop);
	/* What is in flight comes back, with an error if the device does not answer any more. */
	for (r->stop = true; r->in_flight && !rc;)
		rc = read_blocks(r) < 0 ? -EIO : 0;
	quoll_timer_cancel(&end);
	for (unsigned int i = 0; i < 2 && !rc; i++)
		rc = quoll_port_error(app->ports[i]);
	printf("forwarded %" PRIu64 " %" PRIu64 " dropped %" PRIu64 " read %" PRIu64 " failed %" PRIu64 "\n",
	       app->paths[0].forwarded, app->paths[1].forwarded, app->paths[0].dropped + app->paths[1].dropped, r->done,
	       r->failed);
	return rc ? quoll_error_set(err, -rc, "run", "fwd_and_read", "a device failed") : 0;
}

int main(int argc, char **argv)
{
	struct quoll_error err = {0};
	static struct app app;
	int rc;

	if (argc < 4) {
		fputs("usage: fwd_and_read PORT PORT NVME [SECONDS]\n", stderr);
		return 2;
	}
	rc = open_all(&app, argv + 1, &err);
	if (!rc)
		rc = run(&app, argc > 4 ? (unsigned int)atoi(argv[4]) : 0, &err);
	if (rc)
		fprintf(stderr, "%s: %s\n%s%s", err.subject, err.what, err.hint, err.hint[0] ? "\n" : "");
	close_all(&app);
	return rc ? 1 : 0;
}
