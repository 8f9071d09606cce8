/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * setup.c - bringing a generator up and down: devices, ports, pools, source and sink in their threads' loops.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fwd/plan.h"

#include "gen.h"

#define CACHE_SIZE 512u

static int open_ports(struct gen_run *run, const struct quoll_addr *addrs, unsigned int nr_addrs,
		      struct quoll_error *err)
{
	struct quoll_device *devices[GEN_MAX_PORTS] = {NULL};
	int ret = 0;

	for (unsigned int i = 0; !ret && i < nr_addrs; i++)
		if (addrs[i].scheme == QUOLL_ADDR_PCI)
			ret = claims_device(&run->claims, &addrs[i], &devices[i], err);
	if (!ret)
		ret = claims_heap(&run->claims, run->opts.pages, run->opts.heap_bytes, err);
	if (!ret)
		ret = quoll_net_create(run->claims.env, run->claims.heap, &run->net, err);
	for (unsigned int i = 0; !ret && i < nr_addrs; i++) {
		ret = quoll_port_open(run->net, &addrs[i], devices[i], &run->ports[i].port, err);
		if (ret)
			break;
		run->nr_ports++;
		quoll_port_info(run->ports[i].port, &run->ports[i].info);
	}
	return ret;
}

static unsigned int ring_entries(const struct gen_run *run, const struct quoll_port_info *info)
{
	unsigned int entries = run->opts.entries ? run->opts.entries : QUOLL_PORT_DEFAULT_ENTRIES;

	if (entries > info->max_entries)
		entries = info->max_entries;
	if (entries < info->min_entries)
		entries = info->min_entries;
	return quoll_round_up_pow2(entries);
}

/* A pool each for the two directions: where a device only reads, it cannot write into what is sent. */
static int make_pool(struct gen_run *run, unsigned int which, const struct quoll_port_info *info,
		     struct quoll_error *err)
{
	enum quoll_arena_access access =
		which == GEN_TX_CACHE && !info->tx_writable ? QUOLL_ARENA_DEVICE_READ : QUOLL_ARENA_DEVICE_READ_WRITE;
	struct quoll_pool_opts opts = {.headroom_bytes = PLAN_HEADROOM_BYTES};
	struct quoll_arena *arena;
	int ret;

	/* Between two ring: ports those that were sent wait in both ends' rings. */
	opts.nr_bufs = plan_nr_bufs(2 * ring_entries(run, info), 2, CACHE_SIZE, run->opts.burst);
	opts.buf_bytes = plan_buf_bytes(run->opts.mtu);
	run->nr_bufs[which] = opts.nr_bufs;
	ret = quoll_arena_create(run->claims.heap, which == GEN_TX_CACHE ? "gen-tx" : "gen-rx", access, 0, &arena, err);
	if (!ret)
		ret = quoll_pool_create(arena, &opts, &run->pools[which], err);
	return ret ? ret : quoll_buf_cache_create(run->pools[which], CACHE_SIZE, &run->caches[which], err);
}

static void *zeroed(size_t nr, size_t bytes)
{
	void *mem;

	if (posix_memalign(&mem, QUOLL_CACHE_LINE_BYTES, nr * bytes))
		return NULL;
	return memset(mem, 0, nr * bytes);
}

static int make_ends(struct gen_run *run, struct quoll_error *err)
{
	unsigned int nr_flows = run->opts.flow.nr_flows;

	run->flows = zeroed(nr_flows, sizeof(*run->flows));
	run->tracks = zeroed(nr_flows, sizeof(*run->tracks));
	run->source = run->opts.send ? zeroed(1, sizeof(*run->source)) : NULL;
	run->sink = run->opts.receive ? zeroed(1, sizeof(*run->sink)) : NULL;
	if (!run->flows || !run->tracks || (run->opts.send && !run->source) || (run->opts.receive && !run->sink))
		return quoll_error_set(err, ENOMEM, "memory", "", "out of memory");
	for (unsigned int i = 0; i < nr_flows; i++)
		track_init(&run->tracks[i], run->opts.send);
	return 0;
}

static bool all_zero(const uint8_t *mac)
{
	static const uint8_t none[QUOLL_MAC_BYTES];

	return !memcmp(mac, none, sizeof(none));
}

/* What the user did not say: from one port to the other; locally administered ones where a port has none. */
static void complete_macs(struct gen_run *run)
{
	static const uint8_t own[QUOLL_MAC_BYTES] = {2, 0, 0, 0, 0, 1}, other[QUOLL_MAC_BYTES] = {2, 0, 0, 0, 0, 2};
	struct flow_opts *flow = &run->opts.flow;
	const uint8_t *src = gen_tx_port(run)->info.mac, *dst = gen_rx_port(run)->info.mac;

	if (all_zero(flow->src_mac))
		memcpy(flow->src_mac, all_zero(src) ? own : src, QUOLL_MAC_BYTES);
	if (all_zero(flow->dst_mac))
		memcpy(flow->dst_mac, all_zero(dst) || run->nr_ports == 1 ? other : dst, QUOLL_MAC_BYTES);
}

static int start_port(struct gen_run *run, struct gen_port *port, struct quoll_error *err)
{
	struct quoll_port_settings settings = {.mtu = run->opts.mtu, .promiscuous = true};
	struct quoll_port_queues queues = {
		.nr_txqs = run->source && port == gen_tx_port(run),
		.nr_rxqs = run->sink && port == gen_rx_port(run),
		.entries = run->opts.entries,
		.rx_caches = &run->caches[GEN_RX_CACHE],
		.tx_caches = &run->caches[GEN_TX_CACHE],
	};
	int ret;

	ret = quoll_port_start(port->port, &queues, &settings, err);
	port->started = !ret;
	return ret;
}

static int join(struct gen_thread *thread, struct quoll_poller *poller, struct quoll_error *err)
{
	int ret = quoll_loop_add(thread->loop, poller);

	return ret ? quoll_error_set(err, -ret, "loop", "", "a queue cannot be put into the poll loop") : 0;
}

static int make_source(struct gen_run *run, struct quoll_error *err)
{
	struct source *s = run->source;
	struct quoll_port_link link;
	int ret;

	quoll_port_link(gen_tx_port(run)->port, &link);
	ret = shape_pace(&run->opts.rate, run->clock.tick_hz, link.mbit_per_s, &s->pace);
	if (ret)
		return quoll_error_set(err, -ret, "rate", gen_tx_port(run)->info.name,
				       ret == -ENOTSUP ? "this port's line has no rate that a percentage could be of"
						       : "less than a frame an hour");
	s->unlimited = run->opts.rate.unit == SHAPE_UNLIMITED;
	s->txq = quoll_port_txq(gen_tx_port(run)->port, 0);
	s->cache = run->caches[GEN_TX_CACHE];
	s->flows = run->flows;
	s->nr_flows = run->opts.flow.nr_flows;
	s->sizes = run->opts.sizes;
	s->nr_sizes = run->opts.nr_sizes;
	s->burst = run->opts.burst;
	s->clock = run->clock;
	flow_make(&run->opts.flow, run->opts.key, run->flows, &s->layout);
	s->poller = (struct quoll_poller){.poll = source_poll, .arg = s, .fd = -1};
	return join(&run->threads[0], &s->poller, err);
}

static int arm(void *arg)
{
	return quoll_rxq_arm(((struct sink *)arg)->rxq);
}

static void disarm(void *arg)
{
	quoll_rxq_disarm(((struct sink *)arg)->rxq);
}

static int make_sink(struct gen_run *run, struct quoll_error *err)
{
	struct sink *s = run->sink;

	s->rxq = quoll_port_rxq(gen_rx_port(run)->port, 0);
	s->caches[0] = run->caches[GEN_RX_CACHE];
	s->caches[1] = run->nr_threads == 1 ? run->caches[GEN_TX_CACHE] : NULL;
	s->tracks = run->tracks;
	s->nr_flows = run->opts.flow.nr_flows;
	s->burst = run->opts.burst;
	s->clock = run->clock;
	s->by_arrival = !run->source;
	s->stamps_tell = run->source || run->opts.same_clock;
	flow_make(&run->opts.flow, run->opts.key, run->flows, &s->layout);
	quoll_hist_reset(&s->latency);
	s->poller = (struct quoll_poller){.poll = sink_poll, .arg = s, .fd = quoll_rxq_fd(s->rxq)};
	if (s->poller.fd >= 0) {
		s->poller.arm = arm;
		s->poller.disarm = disarm;
	}
	return join(&run->threads[run->nr_threads - 1], &s->poller, err);
}

/* What sends does not sleep: frames would be late. */
static int make_loops(struct gen_run *run, struct quoll_error *err)
{
	struct quoll_loop_opts opts = {.never_sleep = run->opts.send};
	int ret = 0;

	run->nr_threads = run->source && run->sink ? run->opts.nr_threads : 1;
	for (unsigned int i = 0; !ret && i < run->nr_threads; i++) {
		run->threads[i].run = run;
		ret = quoll_loop_create(run->claims.env, &opts, &run->threads[i].loop, err);
	}
	run->control = run->threads[0].loop;
	if (ret || (run->nr_threads == 1 && !run->opts.nr_cores))
		return ret;
	run->own_control = true;
	return quoll_loop_create(run->claims.env, NULL, &run->control, err);
}

int gen_open(struct gen_run *run, const struct quoll_addr *addrs, unsigned int nr_addrs, struct quoll_error *err)
{
	int ret;

	quoll_clock_init(&run->clock);
	ret = open_ports(run, addrs, nr_addrs, err);
	if (!ret)
		ret = make_pool(run, GEN_TX_CACHE, &gen_tx_port(run)->info, err);
	if (!ret)
		ret = make_pool(run, GEN_RX_CACHE, &gen_rx_port(run)->info, err);
	if (!ret)
		ret = make_ends(run, err);
	if (!ret)
		ret = make_loops(run, err);
	if (ret)
		return ret;
	complete_macs(run);
	for (unsigned int i = 0; !ret && i < run->nr_ports; i++)
		ret = start_port(run, &run->ports[i], err);
	if (!ret && run->source)
		ret = make_source(run, err);
	if (!ret && run->sink)
		ret = make_sink(run, err);
	return ret;
}

static uint32_t missing(const struct gen_run *run)
{
	uint32_t nr = 0;

	for (unsigned int i = 0; i < 2; i++)
		if (run->pools[i])
			nr += run->nr_bufs[i] - quoll_pool_nr_free(run->pools[i]);
	return nr;
}

int gen_stop(struct gen_run *run, struct quoll_error *err)
{
	int first = 0;

	if (run->source && run->source->txq) {
		quoll_loop_remove(&run->source->poller);
		source_give_back(run->source);
	}
	if (run->sink && run->sink->rxq)
		quoll_loop_remove(&run->sink->poller);
	for (unsigned int i = 0; i < run->nr_ports; i++) {
		struct gen_port *port = &run->ports[i];
		int ret = port->started ? quoll_port_stop(port->port) : 0;

		port->started = false;
		if (ret && !first && !quoll_port_error(port->port))
			first = quoll_error_set(err, -ret, "stop", port->info.name, "the port did not stop by itself");
	}
	run->nr_missing = missing(run);
	if (run->nr_missing && !first)
		first = quoll_error_set(err, EBUSY, "stop", "", "%u buffers did not come back",
					(unsigned int)run->nr_missing);
	return first;
}

void gen_close(struct gen_run *run)
{
	gen_stop(run, NULL);
	if (run->own_control)
		quoll_loop_destroy(run->control);
	while (run->nr_ports)
		quoll_port_close(run->ports[--run->nr_ports].port);
	for (unsigned int i = 0; i < run->nr_threads; i++)
		if (run->threads[i].loop)
			quoll_loop_destroy(run->threads[i].loop);
	for (unsigned int i = 0; i < 2; i++) {
		if (run->caches[i])
			quoll_buf_cache_destroy(run->caches[i]);
		if (run->pools[i])
			quoll_pool_destroy(run->pools[i]);
	}
	if (run->net)
		quoll_net_destroy(run->net);
	claims_close(&run->claims);
	free(run->source);
	free(run->sink);
	free(run->flows);
	free(run->tracks);
}
