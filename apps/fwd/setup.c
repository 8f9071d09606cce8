/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * setup.c - bringing a forwarder up and down: devices, ports, pool, threads' caches and loops, paths between queues.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "quoll/guard.h"

#include "fwd.h"

#define MIN_CACHE_SIZE 512u

static int open_ports(struct fwd_run *run, const struct quoll_addr *addrs, unsigned int nr_addrs,
		      struct quoll_error *err)
{
	struct quoll_device *devices[FWD_MAX_PORTS] = {NULL};
	int ret = 0;

	for (unsigned int i = 0; !ret && i < nr_addrs; i++) {
		if (addrs[i].scheme != QUOLL_ADDR_PCI)
			continue;
		ret = claims_device(&run->claims, &addrs[i], &devices[i], err);
	}
	if (!ret)
		ret = claims_heap(&run->claims, run->opts.pages, run->opts.heap_bytes, err);
	if (!ret)
		ret = quoll_net_create(run->claims.env, run->claims.heap, &run->net, err);
	/* Without it only peers' memory that is sealed is taken. */
	if (!ret)
		(void)guard_add_net(run->net);
	for (unsigned int i = 0; !ret && i < nr_addrs; i++) {
		struct fwd_port *port = &run->ports[i];

		ret = quoll_port_open(run->net, &addrs[i], devices[i], &port->port, err);
		if (ret)
			break;
		run->nr_ports++;
		quoll_port_info(port->port, &port->info);
	}
	return ret;
}

/* What a port makes of --entries, at most: it has its own default, and may round up. */
static unsigned int ring_entries(const struct fwd_run *run, const struct quoll_port_info *info)
{
	unsigned int entries = run->opts.entries ? run->opts.entries : QUOLL_PORT_DEFAULT_ENTRIES;

	if (entries > info->max_entries)
		entries = info->max_entries;
	if (entries < info->min_entries)
		entries = info->min_entries;
	return quoll_round_up_pow2(entries);
}

static int make_pool(struct fwd_run *run, struct quoll_error *err)
{
	struct quoll_pool_opts opts = {.headroom_bytes = PLAN_HEADROOM_BYTES};
	uint32_t nr_entries = 0;
	int ret;

	for (unsigned int i = 0; i < run->nr_ports; i++)
		nr_entries += 2 * run->opts.nr_queues * ring_entries(run, &run->ports[i].info);
	run->cache_size = 4 * run->opts.burst > MIN_CACHE_SIZE ? 4 * run->opts.burst : MIN_CACHE_SIZE;
	run->nr_bufs = run->opts.nr_bufs;
	if (!run->nr_bufs)
		run->nr_bufs = plan_nr_bufs(nr_entries, run->nr_threads, run->cache_size, run->opts.burst);
	if (run->cache_size > run->nr_bufs / run->nr_threads)
		run->cache_size = run->nr_bufs / run->nr_threads;
	run->buf_bytes = run->opts.buf_bytes ? run->opts.buf_bytes
					     : plan_buf_bytes(run->opts.mtu ? run->opts.mtu : QUOLL_PORT_DEFAULT_MTU);
	opts.nr_bufs = run->nr_bufs;
	opts.buf_bytes = run->buf_bytes;
	ret = quoll_arena_create(run->claims.heap, "fwd", QUOLL_ARENA_DEVICE_READ_WRITE, 0, &run->arena, err);
	if (!ret)
		ret = quoll_pool_create(run->arena, &opts, &run->pool, err);
	return ret;
}

static int make_threads(struct fwd_run *run, struct quoll_error *err)
{
	struct quoll_loop_opts opts = {.never_sleep = run->opts.never_sleep};
	int ret = 0;

	for (unsigned int i = 0; !ret && i < run->nr_threads; i++) {
		struct fwd_thread *thread = &run->threads[i];

		thread->run = run;
		thread->core = run->opts.nr_cores ? (int)run->opts.cores[i] : -1;
		thread->node = thread->core < 0 ? -1 : quoll_cpu_numa_node((unsigned int)thread->core);
		ret = quoll_buf_cache_create(run->pool, run->cache_size, &thread->cache, err);
		if (!ret)
			ret = quoll_loop_create(run->claims.env, &opts, &thread->loop, err);
	}
	if (ret || (run->nr_threads == 1 && !run->opts.nr_cores)) {
		run->control = run->threads[0].loop;
		return ret;
	}
	run->own_control = true;
	return quoll_loop_create(run->claims.env, NULL, &run->control, err);
}

/* Where a frame would not fit into one buffer, it comes as a chain if the port can do that. */
static uint32_t offloads_for(const struct fwd_run *run, const struct quoll_port_info *info)
{
	unsigned int mtu = run->opts.mtu ? run->opts.mtu : QUOLL_PORT_DEFAULT_MTU;

	return run->buf_bytes < plan_buf_bytes(mtu) ? info->offloads & QUOLL_OFFLOAD_RX_SCATTER : 0;
}

static int start_port(struct fwd_run *run, unsigned int idx, struct quoll_error *err)
{
	struct quoll_buf_cache *rx_caches[QUOLL_PORT_MAX_QUEUES], *tx_caches[QUOLL_PORT_MAX_QUEUES];
	struct fwd_port *port = &run->ports[idx];
	struct quoll_port_settings settings = {
		.mtu = run->opts.mtu, .promiscuous = run->opts.promiscuous, .offloads = offloads_for(run, &port->info)};
	struct quoll_port_queues queues = {.nr_rxqs = run->opts.nr_queues,
					   .nr_txqs = run->opts.nr_queues,
					   .entries = run->opts.entries,
					   .rx_caches = rx_caches,
					   .tx_caches = tx_caches};
	int ret;

	for (unsigned int i = 0; i < run->nr_paths; i++) {
		const struct plan_queue *plan = &run->paths[i].plan;

		if (plan->port == idx)
			rx_caches[plan->queue] = run->threads[plan->thread].cache;
		if (plan->out_port == idx)
			tx_caches[plan->queue] = run->threads[plan->thread].cache;
	}
	ret = quoll_port_start(port->port, &queues, &settings, err);
	if (ret)
		return ret;
	port->started = true;
	quoll_port_link(port->port, &port->link);
	return 0;
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

	if (done >= max)
		return 0;
	path->burst = max - done < run->opts.burst ? (unsigned int)(max - done) : run->opts.burst;
	n = path->plain(path);
	if (n && fwd_packets(run) >= max)
		quoll_loop_stop(run->control);
	return n;
}

static void choose_poll(const struct fwd_run *run, struct fwd_path *path)
{
	const struct fwd_opts *opts = &run->opts;
	const struct fwd_port *out = &run->ports[path->plan.out_port];
	unsigned int dst = opts->nr_dst_macs > 1 ? path->plan.out_port : 0;

	memcpy(path->macs, opts->dst_macs[dst], QUOLL_MAC_BYTES);
	memcpy(path->macs + QUOLL_MAC_BYTES, out->info.mac, QUOLL_MAC_BYTES);
	path->plain = !opts->rewrite ? fwd_poll_plain : opts->nr_dst_macs ? fwd_poll_both : fwd_poll_source;
	path->poller.poll = opts->max_packets ? poll_limited : path->plain;
}

static int join(struct fwd_run *run, struct fwd_path *path, struct quoll_error *err)
{
	struct fwd_thread *thread = &run->threads[path->plan.thread];
	int ret;

	path->run = run;
	path->rxq = quoll_port_rxq(run->ports[path->plan.port].port, path->plan.queue);
	path->txq = quoll_port_txq(run->ports[path->plan.out_port].port, path->plan.queue);
	path->cache = thread->cache;
	path->burst = run->opts.burst;
	path->clock = run->clock;
	choose_poll(run, path);
	path->poller.arg = path;
	path->poller.fd = quoll_rxq_fd(path->rxq);
	if (path->poller.fd >= 0) {
		path->poller.arm = arm;
		path->poller.disarm = disarm;
	}
	ret = quoll_loop_add(thread->loop, &path->poller);
	if (ret)
		return quoll_error_set(err, -ret, "loop", run->ports[path->plan.port].info.name,
				       "queue %u cannot be put into the poll loop", path->plan.queue);
	return 0;
}

static int make_paths(struct fwd_run *run, struct quoll_error *err)
{
	unsigned int nr = run->nr_ports * run->opts.nr_queues;
	struct plan_queue *plan = calloc(nr, sizeof(*plan));
	void *mem = NULL;

	if (!plan || posix_memalign(&mem, QUOLL_CACHE_LINE_BYTES, nr * sizeof(*run->paths))) {
		free(plan);
		return quoll_error_set(err, ENOMEM, "memory", "", "out of memory");
	}
	run->paths = memset(mem, 0, nr * sizeof(*run->paths));
	run->nr_paths = nr;
	plan_queues(run->nr_ports, run->opts.nr_queues, run->nr_threads, plan);
	for (unsigned int i = 0; i < nr; i++)
		run->paths[i].plan = plan[i];
	free(plan);
	return 0;
}

int fwd_open(struct fwd_run *run, const struct quoll_addr *addrs, unsigned int nr_addrs, struct quoll_error *err)
{
	int ret;

	quoll_clock_init(&run->clock);
	run->nr_threads = run->opts.nr_threads;
	ret = open_ports(run, addrs, nr_addrs, err);
	if (!ret)
		ret = make_pool(run, err);
	if (!ret)
		ret = make_threads(run, err);
	if (!ret)
		ret = make_paths(run, err);
	for (unsigned int i = 0; !ret && i < run->nr_ports; i++)
		ret = start_port(run, i, err);
	for (unsigned int i = 0; !ret && i < run->nr_paths; i++)
		ret = join(run, &run->paths[i], err);
	return ret;
}

int fwd_stop(struct fwd_run *run, struct quoll_error *err)
{
	int first = 0;

	for (unsigned int i = 0; i < run->nr_paths; i++)
		quoll_loop_remove(&run->paths[i].poller);
	for (unsigned int i = 0; i < run->nr_ports; i++) {
		struct fwd_port *port = &run->ports[i];
		int ret = port->started ? quoll_port_stop(port->port) : 0;

		port->started = false;
		/* A port that died is reported by the loop, and has stopped. */
		if (ret && !first && !quoll_port_error(port->port))
			first = quoll_error_set(err, -ret, "stop", port->info.name, "the port did not stop by itself");
	}
	if (!run->pool)
		return first;
	run->nr_missing = run->nr_bufs - quoll_pool_nr_free(run->pool);
	if (run->nr_missing && !first)
		first = quoll_error_set(err, EBUSY, "stop", "", "%u of %u buffers did not come back",
					(unsigned int)run->nr_missing, (unsigned int)run->nr_bufs);
	return first;
}

void fwd_close(struct fwd_run *run)
{
	fwd_stop(run, NULL);
	if (run->own_control)
		quoll_loop_destroy(run->control);
	while (run->nr_ports)
		quoll_port_close(run->ports[--run->nr_ports].port);
	for (unsigned int i = 0; i < run->nr_threads; i++) {
		if (run->threads[i].loop)
			quoll_loop_destroy(run->threads[i].loop);
		if (run->threads[i].cache)
			quoll_buf_cache_destroy(run->threads[i].cache);
	}
	/* Refused while buffers are missing; the heap's memory goes with the heap. */
	quoll_pool_destroy(run->pool);
	guard_remove_net(run->net);
	if (run->net)
		quoll_net_destroy(run->net);
	claims_close(&run->claims);
	free(run->paths);
	run->paths = NULL;
	run->nr_paths = 0;
}
