/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * setup.c - bringing a forwarder up and down: devices, ports, pool, threads' caches and loops, paths between queues.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fwd.h"

#define MIN_CACHE_SIZE 512u
#define MAX_FRAME_BYTES 65536u /* that a peer left to be cut up */
#define RX_UNDONE (QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_RX_GSO | QUOLL_OFFLOAD_RX_SCATTER)
#define TX_UNDONE (QUOLL_OFFLOAD_TX_CSUM | QUOLL_OFFLOAD_TX_TSO)

/* For a burst of the longest frames, which are not cut up yet, for one that is, and for what queues read into. */
static uint32_t nr_bufs_undone(const struct fwd_run *run)
{
	uint32_t nr_links = MAX_FRAME_BYTES / (run->buf_bytes - PLAN_HEADROOM_BYTES) + 2;

	if (!run->opts.offloads)
		return 0;
	return run->opts.nr_threads * (run->opts.burst * nr_links + FWD_MAX_CUT) +
	       run->p.nr_ports * run->opts.nr_queues * nr_links;
}

/* For what queues have mapped beside their rings. */
static uint32_t nr_bufs_outside(const struct fwd_run *run)
{
	return run->opts.buffers == BUFFERS_HEAP ? 0 : run->p.nr_ports * run->opts.nr_queues * QUOLL_PORT_MORE_MAPPED;
}

static int make_pool(struct fwd_run *run, struct quoll_error *err)
{
	struct quoll_pool_opts opts = {.nr_bufs = run->opts.nr_bufs, .headroom_bytes = PLAN_HEADROOM_BYTES};
	uint32_t nr_entries = 0, nr_threads = run->opts.nr_threads;

	run->buf_bytes = run->opts.buf_bytes ? run->opts.buf_bytes
					     : plan_buf_bytes(run->opts.mtu ? run->opts.mtu : QUOLL_PORT_DEFAULT_MTU);
	for (unsigned int i = 0; i < run->p.nr_ports; i++)
		nr_entries += 2 * run->opts.nr_queues * ports_ring_entries(&run->p.ports[i].info, run->opts.entries);
	run->cache_size = 4 * run->opts.burst > MIN_CACHE_SIZE ? 4 * run->opts.burst : MIN_CACHE_SIZE;
	if (!opts.nr_bufs)
		opts.nr_bufs = plan_nr_bufs(nr_entries, nr_threads, run->cache_size, run->opts.burst) +
			       nr_bufs_undone(run) + nr_bufs_outside(run);
	if (run->cache_size > opts.nr_bufs / nr_threads)
		run->cache_size = opts.nr_bufs / nr_threads;
	opts.buf_bytes = run->buf_bytes;
	if (run->opts.buffers != BUFFERS_HEAP)
		return ports_make_pool_outside(&run->p, run->opts.buffers, &opts, err);
	return ports_make_pool(&run->p, 0, "fwd", QUOLL_ARENA_DEVICE_READ_WRITE, &opts, err);
}

static int make_threads(struct fwd_run *run, struct quoll_error *err)
{
	const struct fwd_opts *opts = &run->opts;
	int ret = ports_make_threads(&run->p, opts->nr_threads, opts->nr_cores ? opts->cores : NULL, opts->never_sleep,
				     err);

	for (unsigned int i = 0; !ret && i < run->p.nr_threads; i++)
		ret = quoll_buf_cache_create(run->p.pools[0], run->cache_size, &run->p.threads[i].caches[0], err);
	return ret;
}

/* What a port is asked for. Where a frame would not fit into one buffer, it comes as a chain if the port can do that.
 */
static uint32_t offloads_for(const struct fwd_run *run, const struct quoll_port_info *info)
{
	unsigned int mtu = run->opts.mtu ? run->opts.mtu : QUOLL_PORT_DEFAULT_MTU;
	uint32_t offloads = run->buf_bytes < plan_buf_bytes(mtu) ? QUOLL_OFFLOAD_RX_SCATTER : 0;

	if (run->opts.offloads) {
		offloads |= RX_UNDONE | TX_UNDONE;
		if (!(info->offloads & QUOLL_OFFLOAD_RX_SCATTER))
			offloads &= ~QUOLL_OFFLOAD_RX_GSO;
	}
	return info->offloads & offloads;
}

/* A port's queues as a thread's stream sees them: each may have its share mapped. */
static unsigned int nr_mapped(const struct fwd_run *run, unsigned int port, unsigned int thread)
{
	unsigned int entries = ports_ring_entries(&run->p.ports[port].info, run->opts.entries), nr = 0;

	for (unsigned int i = 0; i < run->nr_paths; i++) {
		const struct plan_queue *plan = &run->paths[i].plan;

		if (plan->thread == thread)
			nr += (plan->port == port) + (plan->out_port == port);
	}
	return nr * (entries + QUOLL_PORT_MORE_MAPPED);
}

static int find_streams(struct fwd_run *run, unsigned int idx, struct quoll_stream **rx, struct quoll_stream **tx,
			struct quoll_error *err)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < run->nr_paths; i++) {
		const struct plan_queue *plan = &run->paths[i].plan;
		unsigned int nr = nr_mapped(run, idx, plan->thread);

		if (plan->port == idx)
			ret = ports_stream(&run->p, plan->thread, idx, nr, &rx[plan->queue], err);
		if (!ret && plan->out_port == idx)
			ret = ports_stream(&run->p, plan->thread, idx, nr, &tx[plan->queue], err);
	}
	return ret;
}

static int start_port(struct fwd_run *run, unsigned int idx, struct quoll_error *err)
{
	struct quoll_buf_cache *rx_caches[QUOLL_PORT_MAX_QUEUES], *tx_caches[QUOLL_PORT_MAX_QUEUES];
	struct quoll_stream *rx_streams[QUOLL_PORT_MAX_QUEUES], *tx_streams[QUOLL_PORT_MAX_QUEUES];
	struct ports_port *port = &run->p.ports[idx];
	struct quoll_port_settings settings = {
		.mtu = run->opts.mtu, .promiscuous = run->opts.promiscuous, .offloads = offloads_for(run, &port->info)};
	struct quoll_port_queues queues = {.nr_rxqs = run->opts.nr_queues,
					   .nr_txqs = run->opts.nr_queues,
					   .entries = run->opts.entries,
					   .rx_caches = rx_caches,
					   .tx_caches = tx_caches,
					   .rx_streams = rx_streams,
					   .tx_streams = tx_streams};
	int ret = find_streams(run, idx, rx_streams, tx_streams, err);

	if (ret)
		return ret;

	for (unsigned int i = 0; i < run->nr_paths; i++) {
		const struct plan_queue *plan = &run->paths[i].plan;

		if (plan->port == idx)
			rx_caches[plan->queue] = run->p.threads[plan->thread].caches[0];
		if (plan->out_port == idx)
			tx_caches[plan->queue] = run->p.threads[plan->thread].caches[0];
	}
	ret = ports_start(port, &queues, &settings, err);
	if (!ret)
		quoll_port_link(port->port, &run->seen[idx].link);
	return ret;
}

static int arm(void *arg)
{
	return quoll_rxq_arm(((struct fwd_path *)arg)->rxq);
}

static void disarm(void *arg)
{
	quoll_rxq_disarm(((struct fwd_path *)arg)->rxq);
}

/* With a limit, a burst is no longer than what is missing: exact on one thread, and as near as bursts allow on more. */
static int poll_limited(void *arg)
{
	struct fwd_path *path = arg;
	struct fwd_run *run = path->run;
	uint64_t done = fwd_packets(run), max = run->opts.max_packets;
	int n;

	/* Two threads that come to it at once may each have seen the other's count of before. */
	if (done >= max) {
		quoll_loop_stop(run->p.control);
		return 0;
	}
	path->burst = max - done < run->opts.burst ? (unsigned int)(max - done) : run->opts.burst;
	n = path->plain(path);
	if (n && fwd_packets(run) >= max)
		quoll_loop_stop(run->p.control);
	return n;
}

static void choose_poll(const struct fwd_run *run, struct fwd_path *path)
{
	const struct fwd_opts *opts = &run->opts;
	const struct ports_port *out = &run->p.ports[path->plan.out_port];
	unsigned int dst = opts->nr_dst_macs > 1 ? path->plan.out_port : 0;

	memcpy(path->macs, opts->dst_macs[dst], QUOLL_MAC_BYTES);
	memcpy(path->macs + QUOLL_MAC_BYTES, out->info.mac, QUOLL_MAC_BYTES);
	path->edit_off = !opts->rewrite ? 2 * QUOLL_MAC_BYTES : opts->nr_dst_macs ? 0 : QUOLL_MAC_BYTES;
	path->missing = TX_UNDONE & ~out->info.offloads;
	path->max_tso_bytes = out->info.max_tso_bytes;
	path->max_links = out->info.max_tx_links;
	path->plain = !opts->rewrite ? fwd_poll_plain : opts->nr_dst_macs ? fwd_poll_both : fwd_poll_source;
	if (opts->offloads)
		path->plain = fwd_poll_offloads;
	path->poller.poll = opts->max_packets ? poll_limited : path->plain;
}

static int join(struct fwd_run *run, struct fwd_path *path, struct quoll_error *err)
{
	struct ports_thread *thread = &run->p.threads[path->plan.thread];
	int ret;

	path->run = run;
	path->rxq = quoll_port_rxq(run->p.ports[path->plan.port].port, path->plan.queue);
	path->txq = quoll_port_txq(run->p.ports[path->plan.out_port].port, path->plan.queue);
	path->cache = thread->caches[0];
	path->burst = run->opts.burst;
	path->clock = run->p.clock;
	choose_poll(run, path);
	path->poller.arg = path;
	path->poller.fd = quoll_rxq_fd(path->rxq);
	if (path->poller.fd >= 0) {
		path->poller.arm = arm;
		path->poller.disarm = disarm;
	}
	ret = quoll_loop_add(thread->loop, &path->poller);
	if (ret)
		return quoll_error_set(err, -ret, "loop", run->p.ports[path->plan.port].info.name,
				       "queue %u cannot be put into the poll loop", path->plan.queue);
	return 0;
}

static int make_paths(struct fwd_run *run, struct quoll_error *err)
{
	unsigned int nr = run->p.nr_ports * run->opts.nr_queues;
	struct plan_queue *plan = calloc(nr, sizeof(*plan));
	void *mem = NULL;

	if (!plan || posix_memalign(&mem, QUOLL_CACHE_LINE_BYTES, nr * sizeof(*run->paths))) {
		free(plan);
		return quoll_error_set(err, ENOMEM, "memory", "", "out of memory");
	}
	run->paths = memset(mem, 0, nr * sizeof(*run->paths));
	run->nr_paths = nr;
	plan_queues(run->p.nr_ports, run->opts.nr_queues, run->p.nr_threads, plan);
	for (unsigned int i = 0; i < nr; i++)
		run->paths[i].plan = plan[i];
	free(plan);
	return 0;
}

int fwd_open(struct fwd_run *run, const struct quoll_addr *addrs, unsigned int nr_addrs, struct quoll_error *err)
{
	int ret;

	/* A window of quoll.ko's is of one group. */
	run->p.claims.separate = run->opts.buffers != BUFFERS_HEAP;
	ret = ports_open(&run->p, addrs, nr_addrs, run->opts.pages, run->opts.heap_bytes, err);
	if (!ret && run->opts.say)
		run->faults = iommu_faults_open(&run->p.claims, run->opts.say, run->opts.say_arg);
	if (!ret)
		ret = make_pool(run, err);
	if (!ret)
		ret = make_threads(run, err);
	if (!ret)
		ret = make_paths(run, err);
	for (unsigned int i = 0; !ret && i < run->p.nr_ports; i++)
		ret = start_port(run, i, err);
	iommu_faults_streams(run->faults, run->p.outside.streams, run->p.outside.nr_streams);
	for (unsigned int i = 0; !ret && i < run->nr_paths; i++)
		ret = join(run, &run->paths[i], err);
	return ret;
}

int fwd_stop(struct fwd_run *run, struct quoll_error *err)
{
	int ret;

	for (unsigned int i = 0; i < run->nr_paths; i++)
		quoll_loop_remove(&run->paths[i].poller);
	ret = ports_stop(&run->p, err);
	iommu_faults_finish(run->faults);
	return ret;
}

void fwd_close(struct fwd_run *run)
{
	fwd_stop(run, NULL);
	iommu_faults_close(run->faults);
	run->faults = NULL;
	ports_close(&run->p);
	free(run->paths);
	run->paths = NULL;
	run->nr_paths = 0;
}
