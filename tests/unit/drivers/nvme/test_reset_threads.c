/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_reset_threads.c - resets while the controller's thread, the queues' threads and the device go on side by side,
 * awake and asleep. For TSan above all.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include <quoll/loop.h>

#include "nvme/nvme_internal.h"
#include "nvme_fixture.h"
#include "unit.h"

#define MS 1000000ull

#define DEPTH 12u
#define NR_RESETS 12u

static struct nvme_fixture fx;

/* A thread with a queue: writes and reads blocks of its own, each request with the number of its slot. */
struct worker {
	pthread_t thread;
	struct quoll_nvme_queue *queue;
	uint64_t first_lba;
	uint8_t *buf;
	bool busy[DEPTH];
	bool is_read[DEPTH];
	uint8_t value[DEPTH];  /* that the slot's block holds; 0: unknown, or written by a request that was cut off */
	uint8_t writes[DEPTH]; /* that the request writes */
	uint64_t nr_ok;
	unsigned int nr_canceled;
	unsigned int nr_wrong;
	bool stop;
	bool asleep; /* sleeps when there is nothing to do */
};

static void worker_wrong(struct worker *w)
{
	__atomic_store_n(&w->nr_wrong, w->nr_wrong + 1, __ATOMIC_RELAXED);
}

static void worker_send(struct worker *w, unsigned int slot)
{
	uint8_t *va = w->buf + (size_t)slot * 4096;
	uint64_t lba = w->first_lba + slot;
	int rc;

	w->is_read[slot] = w->value[slot] && (w->nr_ok + slot) % 2;
	if (w->is_read[slot]) {
		memset(va, 0, 512);
		rc = quoll_nvme_prep_read(w->queue, 1, va, lba, 1, slot);
	} else {
		w->writes[slot] = (uint8_t)(1 + (w->nr_ok + slot) % 255);
		memset(va, w->writes[slot], 512);
		rc = quoll_nvme_prep_write(w->queue, 1, va, lba, 1, slot);
	}
	w->busy[slot] = !rc;
	if (rc && rc != -EAGAIN)
		worker_wrong(w);
}

static void worker_take(struct worker *w, const struct quoll_nvme_completion *comp)
{
	unsigned int slot = (unsigned int)comp->user_data;

	if (slot >= DEPTH || !w->busy[slot] || comp->status || (comp->error && comp->error != -ECANCELED)) {
		worker_wrong(w);
		return;
	}
	w->busy[slot] = false;
	if (comp->error) {
		w->nr_canceled++;
		w->value[slot] = w->is_read[slot] ? w->value[slot] : 0;
		return;
	}
	if (w->is_read[slot]) {
		if (w->buf[(size_t)slot * 4096 + 511] != w->value[slot])
			worker_wrong(w);
	} else {
		w->value[slot] = w->writes[slot];
	}
	__atomic_store_n(&w->nr_ok, w->nr_ok + 1, __ATOMIC_RELAXED);
}

static unsigned int worker_busy(const struct worker *w)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < DEPTH; i++)
		nr += w->busy[i];
	return nr;
}

static void worker_sleep(struct worker *w)
{
	struct pollfd p = {.fd = quoll_nvme_queue_fd(w->queue), .events = POLLIN};

	/* Thirty seconds: nothing was to come, or it was lost. */
	if (!quoll_nvme_queue_arm(w->queue) && poll(&p, 1, 30000) != 1)
		worker_wrong(w);
	quoll_nvme_queue_disarm(w->queue);
}

static void *worker_run(void *arg)
{
	struct quoll_nvme_completion comps[4];
	struct worker *w = arg;

	while (!w->nr_wrong) {
		bool stop = __atomic_load_n(&w->stop, __ATOMIC_RELAXED);
		unsigned int n;

		for (unsigned int i = 0; i < DEPTH && !stop; i++)
			if (!w->busy[i])
				worker_send(w, i);
		quoll_nvme_submit(w->queue);
		n = quoll_nvme_poll(w->queue, comps, 4);
		for (unsigned int i = 0; i < n; i++)
			worker_take(w, &comps[i]);
		if (stop && !worker_busy(w))
			break;
		if (!n && w->asleep)
			worker_sleep(w);
		else if (!n)
			sched_yield();
	}
	return NULL;
}

static void worker_start(struct worker *w, unsigned int idx, enum quoll_nvme_on_reset on_reset, bool asleep)
{
	const struct quoll_nvme_queue_opts opts = {.entries = 16, .interrupts = asleep, .on_reset = on_reset};

	*w = (struct worker){.first_lba = 100 * idx, .buf = fx.buf + (size_t)idx * DEPTH * 4096, .asleep = asleep};
	CU_ASSERT_EQUAL_FATAL(quoll_nvme_queue_create(fx.nvme, &opts, &w->queue, &fx.err), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&w->thread, NULL, worker_run, w), 0);
}

static uint64_t resets(void)
{
	struct quoll_nvme_state state;

	quoll_nvme_state(fx.nvme, &state);
	return state.resets;
}

/* Until @w has seen more requests through than it can have had in flight, or something is wrong. */
static void wait_for_progress(const struct worker *w)
{
	uint64_t until = __atomic_load_n(&w->nr_ok, __ATOMIC_RELAXED) + 3 * DEPTH;

	while (__atomic_load_n(&w->nr_ok, __ATOMIC_RELAXED) < until &&
	       !__atomic_load_n(&w->nr_wrong, __ATOMIC_RELAXED) && quoll_nvme_ctrl_poll(fx.nvme) >= 0)
		sched_yield();
}

/* @shadows: registers are messages, doorbells in memory, and the controller sleeps when it can. */
static void resets_under_load(bool asleep, bool shadows)
{
	const struct quoll_nvme_opts opts = {.max_io_queues = 4, .recovery = QUOLL_NVME_ABORT};
	static struct worker workers[2];

	fixture_init(&fx);
	fx.fake.shuffle = true;
	fx.fake.naps = fx.fake.pci.bar_by_message = shadows;
	fx.fake.id.oacs = quoll_cpu_to_le16(shadows ? NVME_CTRL_OACS_DBBUF_CFG : 0);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, &opts), 0);
	fake_nvme_pump_start(&fx.fake);
	worker_start(&workers[0], 0, QUOLL_NVME_RESET_FAIL, asleep);
	worker_start(&workers[1], 1, QUOLL_NVME_RESET_RESUBMIT, asleep);
	for (unsigned int i = 1; i <= NR_RESETS; i++) {
		wait_for_progress(&workers[0]);
		wait_for_progress(&workers[1]);
		CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
		/* Every third begins before the queues are back from the last. */
		while ((resets() < i || (i % 3 && quoll_nvme_ctrl_poll(fx.nvme) > 0)) &&
		       quoll_nvme_ctrl_poll(fx.nvme) >= 0)
			sched_yield();
	}
	for (unsigned int i = 0; i < 2; i++) {
		wait_for_progress(&workers[i]);
		__atomic_store_n(&workers[i].stop, true, __ATOMIC_RELAXED);
		pthread_join(workers[i].thread, NULL);
		CU_ASSERT_EQUAL(workers[i].nr_wrong, 0);
		CU_ASSERT_EQUAL(worker_busy(&workers[i]), 0);
	}
	fake_nvme_pump_stop(&fx.fake);
	CU_ASSERT_EQUAL(resets(), NR_RESETS);
	CU_ASSERT_EQUAL(fx.fake.nr_dbbufs, shadows ? NR_RESETS + 1 : 0);
	CU_ASSERT_EQUAL(workers[1].nr_canceled, 0);
	fixture_fini(&fx);
	CU_ASSERT_EQUAL(fx.close_rc, 0);
}

static void requests_come_back_once_through_resets_under_load(void)
{
	resets_under_load(false, false);
}

static void threads_that_sleep_are_woken_for_each_step_of_a_reset(void)
{
	resets_under_load(true, false);
}

static void with_shadow_doorbells_it_is_the_same(void)
{
	resets_under_load(false, true);
	resets_under_load(true, true);
}

/* The controller ends while its queues' threads sleep in a reset that cannot go on. */
static void threads_that_sleep_in_a_reset_are_woken_by_its_failure(void)
{
	const struct quoll_nvme_opts opts = {.max_io_queues = 1};
	struct quoll_nvme_queue_opts queue_opts = {.interrupts = true};
	struct quoll_nvme_completion comp;
	struct pollfd p = {.events = POLLIN};
	unsigned int n = 0;

	fixture_init(&fx);
	fixture_open_queues(&fx, &opts, &queue_opts, &fx.queue, 1);
	p.fd = quoll_nvme_queue_fd(fx.queue);
	fx.fake.hold_io = true;
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 1), 0);
	quoll_nvme_submit(fx.queue);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), 0);
	CU_ASSERT_EQUAL(poll(&p, 1, 0), 0);
	fx.fake.never_disabled = true;
	fx.nvme->ready_timeout_ns = 1000 * MS;
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	CU_ASSERT_EQUAL(poll(&p, 1, 0), 1);
	quoll_nvme_queue_disarm(fx.queue);
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), 1); /* there is something to do */
	quoll_nvme_queue_disarm(fx.queue);
	while (!fx.queue->paused)
		CU_ASSERT_EQUAL_FATAL(quoll_nvme_poll(fx.queue, &comp, 1), 0);
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), 0);
	CU_ASSERT_EQUAL(poll(&p, 1, 0), 0);
	while (quoll_nvme_ctrl_poll(fx.nvme) >= 0)
		fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(poll(&p, 1, 0), 1);
	quoll_nvme_queue_disarm(fx.queue);
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), 1);
	quoll_nvme_queue_disarm(fx.queue);
	for (unsigned int i = 0; !n && i < 100000; i++)
		n = quoll_nvme_poll(fx.queue, &comp, 1);
	CU_ASSERT_EQUAL(n, 1);
	CU_ASSERT_EQUAL(comp.error, -EIO);
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, &comp, 1), 0);
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), -EIO);
	fixture_fini(&fx);
}

/* In a loop: the queue's poller, and the controller's work by a timer; the device dies and is reset again and again. */
struct reader {
	struct quoll_poller poller;
	struct quoll_timer attend;
	struct quoll_timer rescue;
	struct quoll_loop *loop;
	bool busy;
	unsigned int nr_done;
	unsigned int done_before; /* the reset */
	unsigned int nr_resets;	  /* asked for */
	unsigned int nr_rescued;
};

static int reader_poll(void *arg)
{
	struct quoll_nvme_completion comp;
	struct reader *r = arg;
	int work = 0;

	if (quoll_nvme_poll(fx.queue, &comp, 1)) {
		r->busy = false;
		r->nr_done++;
		work = 1;
	}
	if (!r->busy && !quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 0)) {
		quoll_nvme_submit(fx.queue);
		r->busy = true;
		work = 1;
	}
	return work;
}

static int reader_arm(void *arg)
{
	(void)arg;
	return quoll_nvme_queue_arm(fx.queue);
}

static void reader_disarm(void *arg)
{
	(void)arg;
	quoll_nvme_queue_disarm(fx.queue);
}

static void attend(void *arg)
{
	struct reader *r = arg;

	(void)quoll_nvme_ctrl_poll(fx.nvme);
	/* Reads go on, after the last reset too. */
	if (resets() < r->nr_resets || r->nr_done <= r->done_before + 2)
		return;
	if (r->nr_resets == 5) {
		quoll_loop_stop(r->loop);
		return;
	}
	r->nr_resets++;
	r->done_before = r->nr_done;
	fake_nvme_set_fatal(&fx.fake);
}

static void rescue(void *arg)
{
	struct reader *r = arg;

	r->nr_rescued++;
	quoll_loop_stop(r->loop);
}

static void in_a_loop_a_fatal_controller_is_reset_while_its_poller_sleeps(void)
{
	static const struct quoll_loop_opts sleepy = {.spin_ns = 1, .sleep_ns = 1};
	const struct quoll_nvme_opts opts = {.recovery = QUOLL_NVME_RESET};
	const struct quoll_nvme_queue_opts queue_opts = {.interrupts = true};
	struct reader r = {
		.poller = {.poll = reader_poll, .arm = reader_arm, .disarm = reader_disarm, .arg = &r},
		.attend = {.fn = attend, .arg = &r},
		.rescue = {.fn = rescue, .arg = &r},
	};

	fixture_init(&fx);
	fixture_open_queues(&fx, &opts, &queue_opts, &fx.queue, 1);
	r.poller.fd = quoll_nvme_queue_fd(fx.queue);
	fake_nvme_pump_start(&fx.fake);
	CU_ASSERT_EQUAL_FATAL(quoll_loop_create(NULL, &sleepy, &r.loop, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_loop_add(r.loop, &r.poller), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_timer_start(r.loop, &r.attend, 2 * MS, 2 * MS), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_timer_start(r.loop, &r.rescue, 30000 * MS, 0), 0);
	CU_ASSERT_EQUAL(quoll_loop_run(r.loop), 0);
	fake_nvme_pump_stop(&fx.fake);
	CU_ASSERT_EQUAL(r.nr_rescued, 0);
	CU_ASSERT_EQUAL(resets(), 5);
	quoll_loop_destroy(r.loop);
	fixture_fini(&fx);
}

static const struct unit_test tests[] = {
	{"requests come back once through resets under load", requests_come_back_once_through_resets_under_load},
	{"threads that sleep are woken for each step of a reset",
	 threads_that_sleep_are_woken_for_each_step_of_a_reset},
	{"with shadow doorbells it is the same", with_shadow_doorbells_it_is_the_same},
	{"threads that sleep in a reset are woken by its failure",
	 threads_that_sleep_in_a_reset_are_woken_by_its_failure},
	{"in a loop a fatal controller is reset while its poller sleeps",
	 in_a_loop_a_fatal_controller_is_reset_while_its_poller_sleeps},
};

UNIT_MAIN("nvme resets with threads", tests)
