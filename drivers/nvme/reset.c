/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reset.c - a controller reset from step to step, in the controller's thread and without waiting; then its queues are
 * created again, each once its thread has cleared its rings. Base Specification 2.0, 3.7.2 (controller reset), 3.5.1
 * (initialisation).
 *
 * What a queue's thread does meanwhile is in recover.c; they talk through struct nvme_link and the two numbers
 * reset_nr and stopped_nr. A step that fails or takes too long ends the controller.
 */
#include <errno.h>
#include <inttypes.h>

#include "nvme_internal.h"

/* So long the doorbells of queues whose threads poll get to fall silent. Those of the others are harmless, if rude. */
#define QUIESCE_NS 10000000u
#define FINISH_NS 3600000000000ull /* paces the waits; each step has its own limit */

static void next_stage(struct quoll_nvme *nvme, enum nvme_reset_stage stage, uint64_t limit_ns)
{
	nvme->reset.stage = stage;
	nvme->reset.since = quoll_ticks(&nvme->clock);
	nvme->reset.limit_ticks = quoll_ns_to_ticks(&nvme->clock, limit_ns);
	nvme->reset.asked = false;
}

/* To be asked before the look that it limits, so that nothing is late because the thread was held up. */
static bool is_over(const struct quoll_nvme *nvme)
{
	return quoll_ticks(&nvme->clock) - nvme->reset.since >= nvme->reset.limit_ticks;
}

static void wake_queues(struct quoll_nvme *nvme)
{
	for (unsigned int i = 0; i < nvme->max_io_queues; i++)
		if (nvme->queues[i])
			nvme_queue_wake(nvme->queues[i]);
}

static void set_resetting(struct quoll_nvme *nvme, bool resetting)
{
	nvme_ctrl_lock(nvme);
	__atomic_store_n(&nvme->shared.resetting, resetting, __ATOMIC_RELAXED);
	__atomic_store_n(&nvme->shared.reset_wanted, 0, __ATOMIC_RELAXED);
	nvme_ctrl_unlock(nvme);
}

static void set_enabled(struct quoll_nvme *nvme, bool enabled)
{
	nvme_ctrl_lock(nvme);
	nvme->enabled = enabled;
	nvme_ctrl_unlock(nvme);
}

static void reset_begin(struct quoll_nvme *nvme, const char *why)
{
	if (nvme->reset.stage != NVME_RESET_NONE)
		return;
	quoll_log(quoll_device_env(nvme->dev), QUOLL_LOG_WARN, "nvme", "%s: controller reset: %s", nvme->name, why);
	set_resetting(nvme, true);
	nvme->reset.queue = NULL;
	next_stage(nvme, NVME_RESET_QUIESCE, QUIESCE_NS);
	/* Pairs with the acquire in nvme_queue_look(). */
	__atomic_store_n(&nvme->shared.reset_nr, nvme->shared.reset_nr + 1, __ATOMIC_RELEASE);
	wake_queues(nvme);
}

bool nvme_reset_own(struct quoll_nvme *nvme, const char *why)
{
	struct nvme_reset *reset = &nvme->reset;
	uint64_t now = quoll_ticks(&nvme->clock), *start = &reset->own_starts[reset->nr_own % reset->max_own];

	if (reset->stage != NVME_RESET_NONE)
		return true;
	/* Where this one's start goes stands that of the oldest. */
	if (reset->nr_own >= reset->max_own && now - *start < reset->own_ticks) {
		quoll_log(quoll_device_env(nvme->dev), QUOLL_LOG_ERROR, "nvme",
			  "%s: no reset, after %u within a minute: %s", nvme->name, reset->max_own, why);
		nvme_ctrl_kill(nvme, -EIO);
		return false;
	}
	*start = now;
	reset->nr_own++;
	reset_begin(nvme, why);
	return true;
}

static bool all_paused(const struct quoll_nvme *nvme)
{
	uint32_t paused = nvme_link_state(nvme->shared.reset_nr, NVME_LINK_PAUSED);

	for (unsigned int i = 0; i < nvme->max_io_queues; i++)
		if (nvme->queues[i] && __atomic_load_n(&nvme->queues[i]->link.state, __ATOMIC_ACQUIRE) != paused)
			return false;
	return true;
}

/* The steps. Return: 1: done, on to the next; 0: not yet; -errno and @err. */
static int step_quiesce(struct quoll_nvme *nvme, struct quoll_error *err)
{
	bool over = is_over(nvme);

	(void)err;
	if (!all_paused(nvme) && !over)
		return 0;
	set_enabled(nvme, false);
	nvme_ctrl_disable_begin(nvme);
	next_stage(nvme, NVME_RESET_DISABLE, nvme->ready_timeout_ns);
	return 1;
}

static int wait_ready(struct quoll_nvme *nvme, unsigned int want, struct quoll_error *err)
{
	bool over = is_over(nvme);
	int rc = nvme_ctrl_ready_look(nvme, want, "reset", err);

	if (rc != -EAGAIN)
		return rc ? rc : 1;
	if (!over)
		return 0;
	return quoll_error_set(err, ETIMEDOUT, "reset", nvme->name, "CSTS.RDY has not become %u within %" PRIu64 " ms",
			       want, nvme->ready_timeout_ns / 1000000);
}

/*
 * CSTS.RDY is 0, which is the controller's word that it has stopped. Buffers are given back on the strength of that and
 * of bus mastering being off.
 */
static int cut_off(struct quoll_nvme *nvme, struct quoll_error *err)
{
	int rc;

	nvme_ctrl_lock(nvme);
	rc = quoll_pci_bus_master(nvme->dev, false);
	if (!rc)
		nvme_set_dma_off(nvme, true);
	nvme_ctrl_unlock(nvme);
	if (rc)
		return quoll_error_set(err, -rc, "reset", nvme->name, "bus mastering could not be switched off");
	for (unsigned int i = 0; i < nvme->max_io_queues; i++)
		if (nvme->queues[i])
			nvme->queues[i]->sq_created = nvme->queues[i]->cq_created = false;
	nvme_abort_forget_all(nvme);
	/* Pairs with the acquire in recover.c: who sees it also knows that DMA was off. */
	__atomic_store_n(&nvme->shared.stopped_nr, nvme->shared.reset_nr, __ATOMIC_RELEASE);
	wake_queues(nvme);
	return 0;
}

/* Another thread may have ended the controller meanwhile: then it stays off. */
static int let_in(struct quoll_nvme *nvme, struct quoll_error *err)
{
	int rc = 0;

	nvme_ctrl_lock(nvme);
	rc = nvme_ctrl_dead(nvme);
	if (!rc) {
		rc = quoll_pci_bus_master(nvme->dev, true);
		nvme_set_dma_off(nvme, false);
	}
	nvme_ctrl_unlock(nvme);
	return rc ? quoll_error_set(err, -rc, "reset", nvme->name, "bus mastering could not be switched on") : 0;
}

static int step_disable(struct quoll_nvme *nvme, struct quoll_error *err)
{
	int rc = wait_ready(nvme, 0, err);
	uint64_t cap;

	if (rc <= 0)
		return rc;
	rc = cut_off(nvme, err);
	if (rc)
		return rc;
	cap = nvme_reg_read32(nvme, NVME_REG_CAP) | (uint64_t)nvme_reg_read32(nvme, NVME_REG_CAP + 4) << 32;
	if (cap != nvme->cap)
		return quoll_error_set(err, cap == UINT64_MAX ? ENODEV : EIO, "reset", nvme->name,
				       "its capabilities were 0x%016" PRIx64 " and are 0x%016" PRIx64, nvme->cap, cap);
	rc = let_in(nvme, err);
	if (!rc)
		rc = nvme_ctrl_enable_begin(nvme, err);
	next_stage(nvme, NVME_RESET_ENABLE, nvme->ready_timeout_ns);
	return rc ? rc : 1;
}

static int step_enable(struct quoll_nvme *nvme, struct quoll_error *err)
{
	int rc = wait_ready(nvme, 1, err);

	if (rc <= 0)
		return rc;
	set_enabled(nvme, true);
	next_stage(nvme, NVME_RESET_IDENTIFY, 0);
	return 1;
}

/* A stage's command: sent once, then asked for. Return: as nvme_admin_answer(). */
static int ask(struct quoll_nvme *nvme, const struct nvme_sqe *cmd, uint32_t *result)
{
	int rc;

	if (!nvme->reset.asked) {
		nvme->reset.asked = nvme_admin_send(nvme, NVME_ADMIN_STEP, cmd);
		return -EINPROGRESS;
	}
	rc = nvme_admin_answer(nvme, NVME_ADMIN_STEP, result);
	if (rc != -EINPROGRESS)
		nvme->reset.asked = false;
	return rc;
}

static int step_identify(struct quoll_nvme *nvme, struct quoll_error *err)
{
	struct nvme_sqe cmd = identify_cmd(nvme, NVME_IDENTIFY_CNS_CTRL, NVME_NSID_NONE);
	int rc = ask(nvme, &cmd, NULL);

	if (rc == -EINPROGRESS)
		return 0;
	rc = identify_controller_again(nvme, rc, err);
	next_stage(nvme, NVME_RESET_QUEUES, 0);
	return rc ? rc : 1;
}

static int step_queues(struct quoll_nvme *nvme, struct quoll_error *err)
{
	struct nvme_sqe cmd = nvme_queues_cmd(nvme->max_io_queues);
	uint32_t granted = 0;
	int rc = ask(nvme, &cmd, &granted);

	if (rc == -EINPROGRESS)
		return 0;
	if (rc)
		return nvme_admin_error(nvme, rc, "Set Features (Number of Queues)", err);
	for (unsigned int i = nvme_queues_granted(granted); i < nvme->max_io_queues; i++)
		if (nvme->queues[i])
			return quoll_error_set(err, EIO, "reset", nvme->name,
					       "it grants %u I/O queues, too few for those that there were",
					       nvme_queues_granted(granted));
	next_stage(nvme, NVME_RESET_DOORBELLS, 0);
	return 1;
}

/* The controller has forgotten shadow doorbells too. Before any queue, so that none begins without. */
static int step_doorbells(struct quoll_nvme *nvme, struct quoll_error *err)
{
	if (nvme->doorbells.on) {
		struct nvme_sqe cmd = nvme_shadow_cmd(nvme);
		int rc = ask(nvme, &cmd, NULL);

		if (rc == -EINPROGRESS)
			return 0;
		rc = nvme_shadow_answer(nvme, rc, err);
		if (rc)
			return rc;
	}
	nvme_ns_reader_init(&nvme->reset.reader);
	next_stage(nvme, NVME_RESET_NAMESPACES, 0);
	return 1;
}

/* If anything has changed, queues get the new set when they are created; the old one stays where they look now. */
static void take_namespaces(struct quoll_nvme *nvme)
{
	struct nvme_ns_set *set = nvme->reset.reader.set;

	if (!nvme_ns_set_same(nvme->set, set)) {
		nvme->reset.reader.set = NULL;
		nvme_count(&nvme->reset.nr_ns_changes);
		set->older = nvme->set;
		/* Pairs with the acquire in recover.c. */
		__atomic_store_n(&nvme->set, set, __ATOMIC_RELEASE);
	}
	nvme_ns_reader_fini(&nvme->reset.reader);
}

/* A queue that runs has taken the set that there is since the last reset, and left the others for good. */
static void free_older_sets(struct quoll_nvme *nvme)
{
	uint32_t running = nvme_link_state(nvme->shared.reset_nr, NVME_LINK_RUNNING);

	for (unsigned int i = 0; i < nvme->max_io_queues; i++)
		if (nvme->queues[i] && __atomic_load_n(&nvme->queues[i]->link.state, __ATOMIC_ACQUIRE) != running)
			return;
	nvme_ns_set_free(nvme->set->older);
	nvme->set->older = NULL;
}

static int step_namespaces(struct quoll_nvme *nvme, struct quoll_error *err)
{
	struct nvme_ns_reader *reader = &nvme->reset.reader;
	struct nvme_sqe cmd;
	int rc;

	if (nvme_ns_reader_next(nvme, reader, &cmd)) {
		rc = ask(nvme, &cmd, NULL);
		if (rc == -EINPROGRESS)
			return 0;
		rc = nvme_ns_reader_take(nvme, reader, rc, err);
		return rc ? rc : 1;
	}
	take_namespaces(nvme);
	next_stage(nvme, NVME_RESET_NONE, 0);
	nvme_count(&nvme->reset.nr_done);
	set_resetting(nvme, false);
	return 0;
}

static void reset_fail(struct quoll_nvme *nvme, int rc, const struct quoll_error *err)
{
	quoll_log(quoll_device_env(nvme->dev), QUOLL_LOG_ERROR, "nvme", "%s: the reset failed: %s", nvme->name,
		  err->what);
	nvme_ctrl_kill(nvme, rc == -ENODEV ? -ENODEV : -EIO);
	nvme_ns_reader_fini(&nvme->reset.reader);
	next_stage(nvme, NVME_RESET_NONE, 0);
}

static void reset_work(struct quoll_nvme *nvme)
{
	static int (*const steps[])(struct quoll_nvme *, struct quoll_error *) = {
		[NVME_RESET_QUIESCE] = step_quiesce,	   [NVME_RESET_DISABLE] = step_disable,
		[NVME_RESET_ENABLE] = step_enable,	   [NVME_RESET_IDENTIFY] = step_identify,
		[NVME_RESET_QUEUES] = step_queues,	   [NVME_RESET_DOORBELLS] = step_doorbells,
		[NVME_RESET_NAMESPACES] = step_namespaces,
	};
	struct quoll_error err = {0};
	int rc;

	do
		rc = steps[nvme->reset.stage](nvme, &err);
	while (rc > 0);
	if (rc < 0)
		reset_fail(nvme, rc, &err);
}

/* A queue whose thread has cleared its rings; or NULL. */
static struct quoll_nvme_queue *find_clean(const struct quoll_nvme *nvme)
{
	uint32_t clean = nvme_link_state(nvme->shared.reset_nr, NVME_LINK_CLEAN);

	for (unsigned int i = 0; i < nvme->max_io_queues; i++)
		if (nvme->queues[i] && __atomic_load_n(&nvme->queues[i]->link.state, __ATOMIC_ACQUIRE) == clean)
			return nvme->queues[i];
	return NULL;
}

/* Return: true: there may be more to do. */
static bool create_work(struct quoll_nvme *nvme)
{
	struct nvme_reset *reset = &nvme->reset;
	struct nvme_sqe cmd;
	int rc;

	if (!reset->queue) {
		reset->queue = find_clean(nvme);
		reset->queue_has_cq = false;
		if (!reset->queue)
			return false;
	}
	cmd = nvme_queue_create_cmd(reset->queue, reset->queue_has_cq);
	rc = ask(nvme, &cmd, NULL);
	if (rc == -EINPROGRESS)
		return false;
	if (rc) {
		struct quoll_error err = {0};

		(void)nvme_admin_error(nvme, rc, "to create a queue again", &err);
		reset_fail(nvme, rc, &err);
		return false;
	}
	if (!reset->queue_has_cq) {
		reset->queue->cq_created = true;
		reset->queue->rings_nr = nvme->shared.reset_nr;
		reset->queue_has_cq = true;
		return true;
	}
	reset->queue->sq_created = true;
	/* Pairs with the acquire in nvme_queue_look(). */
	__atomic_store_n(&reset->queue->link.state, nvme_link_state(nvme->shared.reset_nr, NVME_LINK_CREATED),
			 __ATOMIC_RELEASE);
	nvme_queue_wake(reset->queue);
	reset->queue = NULL;
	return true;
}

int nvme_ctrl_work(struct quoll_nvme *nvme)
{
	int dead = nvme_ctrl_check(nvme);

	nvme_ctrl_attend(nvme);
	if (dead)
		return dead;
	if (__atomic_load_n(&nvme->shared.reset_wanted, __ATOMIC_ACQUIRE) &&
	    !nvme_reset_own(nvme, "commands are late, or its status is fatal or not ready"))
		return nvme_ctrl_dead(nvme);
	if (nvme->reset.stage == NVME_RESET_NONE) {
		if (nvme->set && nvme->set->older)
			free_older_sets(nvme);
		while (create_work(nvme))
			;
		nvme_abort_work(nvme);
	}
	if (nvme->reset.stage != NVME_RESET_NONE)
		reset_work(nvme);
	return nvme_ctrl_dead(nvme);
}

int nvme_reset_finish(struct quoll_nvme *nvme)
{
	struct quoll_wait wait;
	int dead = nvme_ctrl_dead(nvme);

	quoll_wait_start(&wait, &nvme->clock, FINISH_NS);
	while (!dead && (nvme->reset.stage != NVME_RESET_NONE || nvme->reset.queue)) {
		dead = nvme_ctrl_work(nvme);
		(void)quoll_wait_more(&wait);
	}
	return dead;
}

int nvme_reset_wait_stopped(struct quoll_nvme *nvme)
{
	struct quoll_wait wait;
	int dead = nvme_ctrl_dead(nvme);

	quoll_wait_start(&wait, &nvme->clock, FINISH_NS);
	while (!dead && (nvme->reset.stage == NVME_RESET_QUIESCE || nvme->reset.stage == NVME_RESET_DISABLE)) {
		dead = nvme_ctrl_work(nvme);
		(void)quoll_wait_more(&wait);
	}
	return dead;
}

int quoll_nvme_ctrl_poll(struct quoll_nvme *nvme)
{
	int dead = nvme_ctrl_work(nvme);

	return dead ? dead : nvme->reset.stage != NVME_RESET_NONE || nvme->reset.queue || nvme->admin.nr_busy;
}

int quoll_nvme_reset(struct quoll_nvme *nvme)
{
	int dead = nvme_ctrl_dead(nvme);

	if (dead)
		return dead;
	reset_begin(nvme, "asked for");
	return 0;
}

void quoll_nvme_state(const struct quoll_nvme *nvme, struct quoll_nvme_state *state)
{
	int dead = nvme_ctrl_dead(nvme);
	bool resetting = __atomic_load_n(&nvme->shared.resetting, __ATOMIC_RELAXED);

	*state = (struct quoll_nvme_state){
		.phase = dead	     ? QUOLL_NVME_DEAD
			 : resetting ? QUOLL_NVME_RESETTING
				     : QUOLL_NVME_RUNNING,
		.error = dead,
		.cut_off = dead && __atomic_load_n(&nvme->dma_off, __ATOMIC_RELAXED),
		.timeouts = __atomic_load_n(&nvme->shared.nr_timeouts, __ATOMIC_RELAXED),
		.aborts = __atomic_load_n(&nvme->nr_aborts, __ATOMIC_RELAXED),
		.aborted = __atomic_load_n(&nvme->nr_aborted, __ATOMIC_RELAXED),
		.resets = __atomic_load_n(&nvme->reset.nr_done, __ATOMIC_RELAXED),
		.ns_changes = __atomic_load_n(&nvme->reset.nr_ns_changes, __ATOMIC_RELAXED),
	};
}
