/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ports.c - see ports.h.
 */
#include <errno.h>

#include "quoll/guard.h"
#include "quoll/signals.h"

#include "ports.h"

int ports_open(struct ports *p, const struct quoll_addr *addrs, unsigned int nr_addrs, enum quoll_heap_pages pages,
	       uint64_t heap_bytes, struct quoll_error *err)
{
	struct quoll_device *devices[PORTS_MAX] = {NULL};
	int ret = 0;

	quoll_clock_init(&p->clock);
	for (unsigned int i = 0; !ret && i < nr_addrs; i++)
		if (addrs[i].scheme == QUOLL_ADDR_PCI)
			ret = claims_device(&p->claims, &addrs[i], &devices[i], err);
	if (!ret)
		ret = claims_heap(&p->claims, pages, heap_bytes, err);
	if (!ret)
		ret = quoll_net_create(p->claims.env, p->claims.heap, &p->net, err);
	/* Without it only peers' memory that is sealed is taken. */
	if (!ret)
		(void)guard_add_net(p->net);
	for (unsigned int i = 0; !ret && i < nr_addrs; i++) {
		struct ports_port *port = &p->ports[i];

		ret = quoll_port_open(p->net, &addrs[i], devices[i], &port->port, err);
		if (ret)
			break;
		port->ioas = claims_ioas(&p->claims, devices[i]);
		p->nr_ports++;
		quoll_port_info(port->port, &port->info);
	}
	return ret;
}

unsigned int ports_ring_entries(const struct quoll_port_info *info, unsigned int entries)
{
	if (!entries)
		entries = QUOLL_PORT_DEFAULT_ENTRIES;
	if (entries > info->max_entries)
		entries = info->max_entries;
	if (entries < info->min_entries)
		entries = info->min_entries;
	return quoll_round_up_pow2(entries);
}

int ports_make_pool(struct ports *p, unsigned int which, const char *name, enum quoll_arena_access access,
		    const struct quoll_pool_opts *opts, struct quoll_error *err)
{
	struct quoll_arena *arena;
	int ret = quoll_arena_create(p->claims.heap, name, access, 0, &arena, err);

	p->nr_bufs[which] = opts->nr_bufs;
	if (!ret)
		ret = quoll_pool_create(arena, opts, &p->pools[which], err);
	/* The arena has a part of the heap's addresses, and people know of the heap only. */
	if (ret == -ENOSPC)
		quoll_error_hint(err,
				 "--heap SIZE, larger: an eighth of it is for these buffers; or smaller --entries");
	return ret;
}

int ports_make_threads(struct ports *p, unsigned int nr, const unsigned int *cores, bool never_sleep,
		       struct quoll_error *err)
{
	struct quoll_loop_opts opts = {.never_sleep = never_sleep};
	int ret = 0;

	p->nr_threads = nr;
	for (unsigned int i = 0; !ret && i < nr; i++) {
		struct ports_thread *thread = &p->threads[i];

		thread->ports = p;
		thread->core = cores ? (int)cores[i] : -1;
		thread->node = cores ? quoll_cpu_numa_node(cores[i]) : -1;
		ret = quoll_loop_create(p->claims.env, &opts, &thread->loop, err);
	}
	if (ret || (nr == 1 && !cores)) {
		p->control = p->threads[0].loop;
		return ret;
	}
	p->own_control = true;
	return quoll_loop_create(p->claims.env, NULL, &p->control, err);
}

int ports_start(struct ports_port *port, const struct quoll_port_queues *queues,
		const struct quoll_port_settings *settings, struct quoll_error *err)
{
	int ret = quoll_port_start(port->port, queues, settings, err);

	port->started = !ret;
	return ret;
}

int ports_start_control(struct ports *p, const struct ports_control *control, struct quoll_error *err)
{
	sigset_t set;
	int ret;

	p->look_timer = (struct quoll_timer){.fn = control->look, .arg = control->arg};
	p->live_timer = (struct quoll_timer){.fn = control->live, .arg = control->arg};
	signals_that_end(&set);
	ret = quoll_loop_signals(p->control, &set, control->on_signal, control->arg);
	if (!ret)
		ret = quoll_timer_start(p->control, &p->look_timer, control->look_ns, control->look_ns);
	if (!ret && control->live)
		ret = quoll_timer_start(p->control, &p->live_timer, control->live_ns, control->live_ns);
	return ret ? quoll_error_set(err, -ret, "start", "", "signals and timers cannot be set up") : 0;
}

void ports_stop_control(struct ports *p)
{
	quoll_timer_cancel(&p->look_timer);
	quoll_timer_cancel(&p->live_timer);
}

static int thread_main(void *arg)
{
	struct ports_thread *thread = arg;
	const struct quoll_clock *clock = &thread->ports->clock;

	thread->start_ticks = quoll_ticks(clock);
	thread->ret = quoll_loop_run(thread->loop);
	thread->end_ticks = quoll_ticks(clock);
	quoll_loop_stop(thread->ports->control);
	return 0;
}

int ports_run(struct ports *p, const char *name, struct quoll_error *err)
{
	int ret = 0;

	if (!p->own_control)
		return thread_main(&p->threads[0]);
	for (unsigned int i = 0; !ret && i < p->nr_threads; i++) {
		struct quoll_thread_opts opts = {.name = name, .cpu = p->threads[i].core};

		ret = quoll_thread_start(&opts, thread_main, &p->threads[i], &p->threads[i].handle, err);
	}
	if (!ret)
		quoll_loop_run(p->control);
	for (unsigned int i = 0; i < p->nr_threads; i++)
		if (p->threads[i].handle)
			quoll_loop_stop(p->threads[i].loop);
	for (unsigned int i = 0; i < p->nr_threads; i++)
		if (p->threads[i].handle)
			quoll_thread_join(p->threads[i].handle);
	return ret;
}

int ports_failure(const struct ports *p, struct quoll_error *err)
{
	for (unsigned int i = 0; i < p->nr_ports; i++) {
		int error = quoll_port_error(p->ports[i].port);

		if (error)
			return quoll_error_set(err, -error, "port", p->ports[i].info.name, "%s",
					       error == -ENODEV ? "the device is gone, or the kernel wants it back"
								: "the device does not work any more");
	}
	for (unsigned int i = 0; i < p->nr_threads; i++)
		if (p->threads[i].ret)
			return quoll_error_set(err, -p->threads[i].ret, "loop", "", "the loop of thread %u ended", i);
	return 0;
}

int ports_stop(struct ports *p, struct quoll_error *err)
{
	uint32_t nr_bufs = 0, nr_free = 0;
	int first = 0;

	for (unsigned int i = 0; i < p->nr_ports; i++) {
		struct ports_port *port = &p->ports[i];
		int ret = port->started ? quoll_port_stop(port->port) : 0;

		port->started = false;
		/* A port that died is reported by ports_failure(), and has stopped. */
		if (ret && !first && !quoll_port_error(port->port))
			first = quoll_error_set(err, -ret, "stop", port->info.name, "the port did not stop by itself");
	}
	for (unsigned int i = 0; i < PORTS_MAX_POOLS; i++)
		if (p->pools[i]) {
			nr_bufs += p->nr_bufs[i];
			nr_free += quoll_pool_nr_free(p->pools[i]);
		}
	p->nr_missing = nr_bufs - nr_free;
	if (p->nr_missing && !first)
		first = quoll_error_set(err, EBUSY, "stop", "", "%u of %u buffers did not come back",
					(unsigned int)p->nr_missing, (unsigned int)nr_bufs);
	return first;
}

static void close_thread(struct ports_thread *thread)
{
	if (thread->loop)
		quoll_loop_destroy(thread->loop);
	for (unsigned int i = 0; i < PORTS_MAX_POOLS; i++)
		if (thread->caches[i])
			quoll_buf_cache_destroy(thread->caches[i]);
}

void ports_close(struct ports *p)
{
	ports_stop(p, NULL);
	if (p->own_control)
		quoll_loop_destroy(p->control);
	while (p->nr_ports)
		quoll_port_close(p->ports[--p->nr_ports].port);
	while (p->nr_threads)
		close_thread(&p->threads[--p->nr_threads]);
	/* Refused while buffers are missing; the heap's memory goes with the heap. */
	for (unsigned int i = 0; i < PORTS_MAX_POOLS; i++)
		if (p->pools[i])
			quoll_pool_destroy(p->pools[i]);
	ports_outside_close(p);
	guard_remove_net(p->net);
	if (p->net)
		quoll_net_destroy(p->net);
	claims_close(&p->claims);
}
