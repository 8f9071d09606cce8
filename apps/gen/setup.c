/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * setup.c - bringing a generator up and down: ports, pools, sources and sinks in their threads' loops.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fwd/plan.h"

#include "gen.h"

#define CACHE_SIZE 512u

/* Sources come first, then sinks, in runs that differ in length by one at most. */
static struct ports_thread *thread_of(struct gen_run *run, unsigned int which, unsigned int lane)
{
	unsigned int nr = run->nr_lanes * (run->opts.send + run->opts.receive);
	unsigned int at = which == GEN_RX && run->opts.send ? run->nr_lanes + lane : lane;

	return &run->p.threads[at * run->opts.nr_threads / nr];
}

/* A pool each for the two ways: where a device only reads, it cannot write into what is sent. */
static int make_pool(struct gen_run *run, unsigned int which, struct quoll_error *err)
{
	struct quoll_pool_opts opts = {.headroom_bytes = PLAN_HEADROOM_BYTES,
				       .buf_bytes = plan_buf_bytes(run->opts.mtu)};
	enum quoll_arena_access access = which == GEN_TX ? QUOLL_ARENA_DEVICE_READ : QUOLL_ARENA_DEVICE_READ_WRITE;
	uint32_t nr_entries = 0;

	for (unsigned int i = 0; i < run->nr_directions; i++) {
		const struct quoll_port_info *info =
			which == GEN_TX ? &gen_tx_port(run, i)->info : &gen_rx_port(run, i)->info;

		/* Between two ring: ports those that were sent wait in both ends' rings. */
		nr_entries += 2 * run->opts.nr_queues * ports_ring_entries(info, run->opts.entries);
		if (info->tx_writable)
			access = QUOLL_ARENA_DEVICE_READ_WRITE;
	}
	opts.nr_bufs = plan_nr_bufs(nr_entries, run->opts.nr_threads + 1, CACHE_SIZE, run->opts.burst);
	return ports_make_pool(&run->p, which, which == GEN_TX ? "gen-tx" : "gen-rx", access, &opts, err);
}

static int make_caches(struct gen_run *run, struct quoll_error *err)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < run->p.nr_threads * 2; i++)
		ret = quoll_buf_cache_create(run->p.pools[i % 2], CACHE_SIZE, &run->p.threads[i / 2].caches[i % 2],
					     err);
	return ret;
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
	unsigned int nr_flows = gen_nr_flows(run);

	run->flows = zeroed(nr_flows, sizeof(*run->flows));
	run->sources = run->opts.send ? zeroed(run->nr_lanes, sizeof(*run->sources)) : NULL;
	run->sinks = run->opts.receive ? zeroed(run->nr_lanes, sizeof(*run->sinks)) : NULL;
	if (!run->flows || (run->opts.send && !run->sources) || (run->opts.receive && !run->sinks))
		return quoll_error_set(err, ENOMEM, "memory", "", "out of memory");
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
	const uint8_t *src = gen_tx_port(run, 0)->info.mac, *dst = gen_rx_port(run, 0)->info.mac;

	if (all_zero(flow->src_mac))
		memcpy(flow->src_mac, all_zero(src) ? own : src, QUOLL_MAC_BYTES);
	if (all_zero(flow->dst_mac))
		memcpy(flow->dst_mac, all_zero(dst) || run->p.nr_ports == 1 ? other : dst, QUOLL_MAC_BYTES);
}

static int start_port(struct gen_run *run, struct ports_port *port, struct quoll_error *err)
{
	struct quoll_buf_cache *caches[2][QUOLL_PORT_MAX_QUEUES];
	struct quoll_port_settings settings = {.mtu = run->opts.mtu, .promiscuous = true};
	struct quoll_port_queues queues = {
		.entries = run->opts.entries, .rx_caches = caches[GEN_RX], .tx_caches = caches[GEN_TX]};

	for (unsigned int lane = 0; lane < run->nr_lanes; lane++) {
		unsigned int direction = lane / run->opts.nr_queues;

		if (run->sources && port == gen_tx_port(run, direction))
			caches[GEN_TX][queues.nr_txqs++] = thread_of(run, GEN_TX, lane)->caches[GEN_TX];
		if (run->sinks && port == gen_rx_port(run, direction))
			caches[GEN_RX][queues.nr_rxqs++] = thread_of(run, GEN_RX, lane)->caches[GEN_RX];
	}
	return ports_start(port, &queues, &settings, err);
}

static int join(struct ports_thread *thread, struct quoll_poller *poller, struct quoll_error *err)
{
	int ret = quoll_loop_add(thread->loop, poller);

	return ret ? quoll_error_set(err, -ret, "loop", "", "a queue cannot be put into the poll loop") : 0;
}

/* Each queue sends at its part of the rate. */
static int make_pace(struct gen_run *run, const struct ports_port *port, struct shape_pace *pace,
		     struct quoll_error *err)
{
	struct quoll_port_link link;
	int ret;

	quoll_port_link(port->port, &link);
	ret = shape_pace(&run->opts.rate, run->p.clock.tick_hz, link.mbit_per_s, pace);
	pace->per_frame *= run->opts.nr_queues;
	pace->per_byte *= run->opts.nr_queues;
	if (!ret)
		return 0;
	return quoll_error_set(err, -ret, "rate", port->info.name,
			       ret == -ENOTSUP ? "this port's line has no rate that a percentage could be of"
					       : "less than a frame an hour");
}

static int make_source(struct gen_run *run, unsigned int lane, struct quoll_error *err)
{
	unsigned int nr = run->opts.nr_queues, direction = lane / nr, queue = lane % nr;
	unsigned int nr_flows = run->opts.flow.nr_flows, first = queue * nr_flows / nr;
	struct ports_thread *thread = thread_of(run, GEN_TX, lane);
	struct source *s = &run->sources[lane];
	int ret = make_pace(run, gen_tx_port(run, direction), &s->pace, err);

	if (ret)
		return ret;
	s->unlimited = run->opts.rate.unit == SHAPE_UNLIMITED;
	s->txq = quoll_port_txq(gen_tx_port(run, direction)->port, queue);
	s->cache = thread->caches[GEN_TX];
	s->flows = run->flows + direction * nr_flows + first;
	s->nr_flows = (queue + 1) * nr_flows / nr - first;
	s->sizes = run->opts.sizes;
	s->nr_sizes = run->opts.nr_sizes;
	s->size = queue * s->nr_sizes / nr;
	s->burst = run->opts.burst;
	s->clock = run->p.clock;
	s->poller = (struct quoll_poller){.poll = source_poll, .arg = s, .fd = -1};
	return join(thread, &s->poller, err);
}

static int arm(void *arg)
{
	return quoll_rxq_arm(((struct sink *)arg)->rxq);
}

static void disarm(void *arg)
{
	quoll_rxq_disarm(((struct sink *)arg)->rxq);
}

/* Of all queues of a thread: a flow that moves from one to another stays in one place. */
static struct track *make_tracks(struct gen_run *run, const struct ports_thread *thread)
{
	struct track **tracks = &run->tracks[thread - run->p.threads];
	unsigned int nr = gen_nr_flows(run);

	if (*tracks)
		return *tracks;
	*tracks = zeroed(nr, sizeof(**tracks));
	for (unsigned int i = 0; *tracks && i < nr; i++)
		track_init(&(*tracks)[i], run->sources != NULL);
	return *tracks;
}

static int make_sink(struct gen_run *run, unsigned int lane, struct quoll_error *err)
{
	unsigned int nr = run->opts.nr_queues, direction = lane / nr;
	struct ports_thread *thread = thread_of(run, GEN_RX, lane);
	struct track *tracks = make_tracks(run, thread);
	struct sink *s = &run->sinks[lane];

	if (!tracks)
		return quoll_error_set(err, ENOMEM, "memory", "", "out of memory");
	s->rxq = quoll_port_rxq(gen_rx_port(run, direction)->port, lane % nr);
	s->caches[0] = thread->caches[GEN_RX];
	s->caches[1] = thread->caches[GEN_TX];
	s->nr_flows = run->opts.flow.nr_flows;
	s->first_flow = direction * s->nr_flows;
	s->tracks = tracks;
	s->burst = run->opts.burst;
	s->clock = run->p.clock;
	s->by_arrival = !run->sources;
	s->stamps_tell = run->sources || run->opts.same_clock;
	quoll_hist_reset(&s->latency);
	s->poller = (struct quoll_poller){.poll = sink_poll, .arg = s, .fd = quoll_rxq_fd(s->rxq)};
	if (s->poller.fd >= 0) {
		s->poller.arm = arm;
		s->poller.disarm = disarm;
	}
	return join(thread, &s->poller, err);
}

/* Before sources and sinks: both know where things are in a frame. */
static void make_flows(struct gen_run *run)
{
	unsigned int nr = run->opts.flow.nr_flows;
	struct flow_opts opts = run->opts.flow;
	struct flow_layout layout;

	for (unsigned int i = 0; i < run->nr_directions; i++) {
		flow_make(&opts, i * nr, run->opts.key, run->flows + (size_t)i * nr, &layout);
		flow_reverse(&opts);
	}
	for (unsigned int i = 0; i < run->nr_lanes; i++) {
		if (run->sources)
			run->sources[i].layout = layout;
		if (run->sinks)
			run->sinks[i].layout = layout;
	}
}

int gen_open(struct gen_run *run, const struct quoll_addr *addrs, unsigned int nr_addrs, struct quoll_error *err)
{
	const struct gen_opts *opts = &run->opts;
	int ret = ports_open(&run->p, addrs, nr_addrs, opts->pages, opts->heap_bytes, err);

	if (!ret && opts->say)
		run->faults = iommu_faults_open(&run->p.claims, opts->say, opts->say_arg);
	run->nr_directions = opts->both ? 2 : 1;
	run->nr_lanes = run->nr_directions * opts->nr_queues;
	if (!ret)
		ret = make_pool(run, GEN_TX, err);
	if (!ret)
		ret = make_pool(run, GEN_RX, err);
	if (!ret)
		ret = make_ends(run, err);
	/* What sends does not sleep: frames would be late. */
	if (!ret)
		ret = ports_make_threads(&run->p, opts->nr_threads, opts->nr_cores ? opts->cores : NULL, opts->send,
					 err);
	if (!ret)
		ret = make_caches(run, err);
	if (ret)
		return ret;
	complete_macs(run);
	make_flows(run);
	for (unsigned int i = 0; !ret && i < run->p.nr_ports; i++)
		ret = start_port(run, &run->p.ports[i], err);
	for (unsigned int i = 0; !ret && run->sources && i < run->nr_lanes; i++)
		ret = make_source(run, i, err);
	for (unsigned int i = 0; !ret && run->sinks && i < run->nr_lanes; i++)
		ret = make_sink(run, i, err);
	return ret;
}

int gen_stop(struct gen_run *run, struct quoll_error *err)
{
	int ret;

	for (unsigned int i = 0; run->sources && i < run->nr_lanes; i++) {
		quoll_loop_remove(&run->sources[i].poller);
		source_give_back(&run->sources[i]);
	}
	for (unsigned int i = 0; run->sinks && i < run->nr_lanes; i++)
		quoll_loop_remove(&run->sinks[i].poller);
	ret = ports_stop(&run->p, err);
	iommu_faults_finish(run->faults);
	return ret;
}

void gen_close(struct gen_run *run)
{
	gen_stop(run, NULL);
	iommu_faults_close(run->faults);
	ports_close(&run->p);
	free(run->sources);
	free(run->sinks);
	free(run->flows);
	for (unsigned int i = 0; i < GEN_MAX_THREADS; i++)
		free(run->tracks[i]);
}
