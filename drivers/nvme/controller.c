/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controller.c - the controller object: open, close, register access, and noticing that it is dead.
 *
 * Order on the way down: whatever may still do DMA is stopped (shutdown, disable, bus mastering off) before memory is
 * given back; if that cannot be done, the memory stays with the heap.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "nvme_internal.h"

#define MIB (1024u * 1024u)
#define IO_DEFAULT_TIMEOUT_MS 30000u
#define MINUTE_NS 60000000000ull

uint32_t nvme_reg_read32(struct quoll_nvme *nvme, unsigned int offset)
{
	quoll_le32 value;

	if (nvme->regs)
		return quoll_mmio_read32(nvme->regs + offset);
	/* As a removed device would answer: a transport that fails is a device that is gone. */
	if (quoll_region_read(nvme->dev, QUOLL_PCI_BAR0, offset, &value, sizeof(value)))
		return UINT32_MAX;
	return quoll_le32_to_cpu(value);
}

void nvme_reg_write32(struct quoll_nvme *nvme, unsigned int offset, uint32_t value)
{
	quoll_le32 le = quoll_cpu_to_le32(value);

	if (nvme->regs)
		quoll_mmio_write32(nvme->regs + offset, value);
	else
		(void)quoll_region_write(nvme->dev, QUOLL_PCI_BAR0, offset, &le, sizeof(le));
}

volatile void *nvme_doorbell_ptr(struct quoll_nvme *nvme, uint16_t qid, unsigned int is_cq)
{
	if (!nvme->bar)
		return NULL;
	return quoll_region_ptr(nvme->bar, nvme_doorbell_offset(nvme->dstrd, qid, is_cq), sizeof(uint32_t));
}

void nvme_doorbell_message(struct quoll_nvme *nvme, uint16_t qid, unsigned int is_cq, uint32_t value)
{
	quoll_le32 le = quoll_cpu_to_le32(value);

	/* A failure shows in the next check, which reads CSTS the same way. */
	(void)quoll_region_write(nvme->dev, QUOLL_PCI_BAR0, nvme_doorbell_offset(nvme->dstrd, qid, is_cq), &le,
				 sizeof(le));
}

const char *nvme_csts_text(uint32_t csts)
{
	if (csts == UINT32_MAX)
		return "it does not answer any more";
	if (NVME_CSTS_CFS(csts))
		return "fatal status is set";
	if (NVME_CSTS_SHST(csts) == NVME_CSTS_SHST_OCCUR)
		return "a shutdown is going on";
	return NVME_CSTS_RDY(csts) ? "ready" : "not ready";
}

int nvme_ctrl_dead(const struct quoll_nvme *nvme)
{
	/* Pairs with the release in nvme_ctrl_kill(): who sees it also knows that DMA is off. */
	return __atomic_load_n(&nvme->shared.dead, __ATOMIC_ACQUIRE);
}

void nvme_ctrl_lock(struct quoll_nvme *nvme)
{
	pthread_mutex_lock(&nvme->lock);
}

void nvme_ctrl_unlock(struct quoll_nvme *nvme)
{
	pthread_mutex_unlock(&nvme->lock);
}

static void kill_locked(struct quoll_nvme *nvme, int why)
{
	static const uint64_t one = 1;

	if (nvme_ctrl_dead(nvme))
		return;
	/* Requests are about to be handed back: the device must not write into their buffers after that. */
	nvme_set_dma_off(nvme, !quoll_pci_bus_master(nvme->dev, false) || quoll_device_is_cut_off(nvme->dev));
	quoll_log(quoll_device_env(nvme->dev), QUOLL_LOG_ERROR, "nvme", "%s: controller given up: %s", nvme->name,
		  why == -ENODEV ? "device gone or to be removed" : "fatal status, error or time-out");
	__atomic_store_n(&nvme->shared.dead, why, __ATOMIC_RELEASE);
	/* After it: who is woken by this finds the controller dead. */
	if (write(nvme->dead_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		quoll_log(quoll_device_env(nvme->dev), QUOLL_LOG_WARN, "nvme", "%s: sleepers cannot be woken",
			  nvme->name);
}

void nvme_ctrl_kill(struct quoll_nvme *nvme, int why)
{
	nvme_ctrl_lock(nvme);
	kill_locked(nvme, why);
	nvme_ctrl_unlock(nvme);
}

void nvme_ctrl_attend(struct quoll_nvme *nvme)
{
	__atomic_store_n(&nvme->shared.idle_periods, 0, __ATOMIC_RELAXED);
}

static void want_reset_locked(struct quoll_nvme *nvme)
{
	if (nvme->shared.reset_wanted || nvme->shared.resetting)
		return;
	nvme_ctrl_attend(nvme); /* whoever is to, has time from now on */
	__atomic_store_n(&nvme->shared.reset_wanted, 1, __ATOMIC_RELEASE);
}

void nvme_ctrl_want_reset(struct quoll_nvme *nvme)
{
	nvme_ctrl_lock(nvme);
	want_reset_locked(nvme);
	nvme_ctrl_unlock(nvme);
}

bool nvme_ctrl_unattended(const struct quoll_nvme *nvme)
{
	return __atomic_load_n(&nvme->shared.idle_periods, __ATOMIC_RELAXED) > NVME_IDLE_PERIODS;
}

/* Periods count in which somebody looked, so that threads which did not run have not been idle. */
static void count_idle_locked(struct quoll_nvme *nvme, uint64_t now)
{
	if (now - nvme->shared.idle_since < nvme->idle_ticks)
		return;
	nvme->shared.idle_since = now;
	__atomic_add_fetch(&nvme->shared.idle_periods, 1, __ATOMIC_RELAXED);
}

static bool recovers(const struct quoll_nvme *nvme)
{
	return nvme->up && (nvme->recovery == QUOLL_NVME_ABORT || nvme->recovery == QUOLL_NVME_RESET);
}

bool nvme_ctrl_trouble(struct quoll_nvme *nvme, const char *why)
{
	if (recovers(nvme) && !nvme_ctrl_dead(nvme))
		return nvme_reset_own(nvme, why);
	nvme_ctrl_kill(nvme, -EIO);
	return false;
}

/* Return: 0, -errno: dead, 1: it needs a reset. */
static int ctrl_look(struct quoll_nvme *nvme, uint64_t now)
{
	bool by_message = !nvme->regs;
	unsigned int events = quoll_device_events(nvme->dev);
	uint32_t csts;

	/* Before any register access: those of a removed device may fault. */
	if (events & (QUOLL_DEVICE_GONE | QUOLL_DEVICE_REMOVE_REQUESTED))
		return -ENODEV;
	/* By message a register is a round trip, for which some servers (SPDK's) take a millisecond. */
	if (by_message && !events && now - nvme->shared.last_csts < nvme->csts_ticks)
		return 0;
	nvme->shared.last_csts = now;
	csts = nvme_reg_read32(nvme, NVME_REG_CSTS);
	if (csts == UINT32_MAX)
		return -ENODEV;
	if (events & QUOLL_DEVICE_ERROR)
		return -EIO;
	/* Not ready without our having asked for that is as good as broken: its queues are no more. */
	if (!nvme->shared.resetting && (NVME_CSTS_CFS(csts) || (nvme->enabled && !NVME_CSTS_RDY(csts))))
		return recovers(nvme) ? 1 : -EIO;
	return 0;
}

int nvme_ctrl_check(struct quoll_nvme *nvme)
{
	int dead = nvme_ctrl_dead(nvme);
	uint64_t now;

	if (dead)
		return dead;
	/* Somebody else looking is as good. */
	if (pthread_mutex_trylock(&nvme->lock))
		return 0;
	now = quoll_ticks(&nvme->clock);
	if (now - nvme->shared.last_check >= nvme->check_ticks) {
		nvme->shared.last_check = now;
		dead = ctrl_look(nvme, now);
		if (dead > 0)
			want_reset_locked(nvme);
		count_idle_locked(nvme, now);
		/* Somebody wanted a reset, and nobody cares. */
		if (dead >= 0 && nvme->shared.reset_wanted && nvme_ctrl_unattended(nvme))
			dead = -EIO;
		if (dead < 0)
			kill_locked(nvme, dead);
	}
	nvme_ctrl_unlock(nvme);
	return nvme_ctrl_dead(nvme);
}

static int bar_open(struct quoll_nvme *nvme, struct quoll_error *err)
{
	struct quoll_region_info info;
	int rc = quoll_region_info(nvme->dev, QUOLL_PCI_BAR0, &info, err);

	if (rc)
		return rc;
	nvme->bar_bytes = info.size_bytes;
	if (info.size_bytes < NVME_DOORBELLS_OFFSET + 2 * sizeof(uint32_t))
		return quoll_error_set(err, EPROTO, "registers", nvme->name,
				       "BAR 0 has %" PRIu64 " bytes, too few for an NVMe controller's registers",
				       info.size_bytes);
	rc = quoll_region_map(nvme->dev, QUOLL_PCI_BAR0, &nvme->bar, err);
	if (rc == -EPERM) {
		/* Registers by message then, as with vfio-user servers that want to see each access. */
		nvme->bar = NULL;
		return 0;
	}
	if (rc)
		return rc;
	nvme->regs = quoll_region_ptr(nvme->bar, 0, NVME_REG_CRTO + sizeof(uint32_t));
	return 0;
}

/*
 * Parts of the window for queues. Address space only, memory comes with the first use; but windows may be small, and
 * several controllers may share one.
 */
static int arenas_create(struct quoll_nvme *nvme, unsigned int nr_queues, struct quoll_error *err)
{
	struct quoll_heap_info heap;
	uint64_t wish;
	uint64_t least = (uint64_t)MIB * 2 * (1 + (uint64_t)nr_queues);
	uint64_t rw = (uint64_t)MIB * (2 + (uint64_t)nr_queues);
	int rc;

	quoll_heap_info(nvme->heap, &heap);
	wish = heap.size_bytes / 256;
	if (wish > 256 * (uint64_t)MIB)
		wish = 256 * (uint64_t)MIB;
	if (least > heap.size_bytes / 4)
		least = heap.size_bytes / 4;
	if (rw > heap.size_bytes / 8)
		rw = heap.size_bytes / 8;
	rc = quoll_arena_create(nvme->heap, "nvme-read", QUOLL_ARENA_DEVICE_READ, wish > least ? wish : least,
				&nvme->arena_read, err);
	if (rc)
		return rc;
	return quoll_arena_create(nvme->heap, "nvme-write", QUOLL_ARENA_DEVICE_READ_WRITE, rw, &nvme->arena_rw, err);
}

/* Everything but the device; the controller is disabled or dead. */
static void ctrl_free(struct quoll_nvme *nvme)
{
	nvme_vectors_disable(nvme);
	if (!nvme->dma_off)
		(void)quoll_pci_bus_master(nvme->dev, false);
	/*
	 * They are unmapped in the IOMMU before memory is freed, so a device that could not be stopped finds nothing
	 * there. A server whose session is over keeps their files, which nobody else ever had or will have.
	 */
	quoll_arena_destroy(nvme->arena_read);
	quoll_arena_destroy(nvme->arena_rw);
	if (nvme->bar)
		quoll_region_unmap(nvme->bar);
	if (nvme->dead_fd >= 0)
		close(nvme->dead_fd);
	nvme_ns_reader_fini(&nvme->reset.reader);
	nvme_ns_set_free(nvme->set);
	free(nvme->queues);
	free(nvme->id);
	pthread_mutex_destroy(&nvme->lock);
	free(nvme);
}

static int open_check_args(struct quoll_device *dev, struct quoll_heap *heap, const struct quoll_nvme_opts *opts,
			   struct quoll_error *err)
{
	struct quoll_device_info info;

	if (!dev || !heap)
		return quoll_error_set(err, EINVAL, "open", NULL, "no device or no heap given");
	quoll_device_info(dev, &info);
	if (info.bus != QUOLL_BUS_PCI || info.class_code != QUOLL_NVME_CLASS_CODE)
		return quoll_error_set(err, ENODEV, "open", info.name, "not an NVMe controller: class %06x, not %06x",
				       info.class_code, QUOLL_NVME_CLASS_CODE);
	if (opts && (opts->admin_entries == 1 || opts->admin_entries > 4096 || opts->max_io_queues > 65535))
		return quoll_error_set(err, EINVAL, "open", info.name,
				       "options out of range: %u admin entries (2 .. 4096), %u I/O queues (.. 65535)",
				       opts->admin_entries, opts->max_io_queues);
	if (opts && (unsigned int)opts->recovery > QUOLL_NVME_RESET)
		return quoll_error_set(err, EINVAL, "open", info.name, "recovery is %u, of 0 to %u",
				       (unsigned int)opts->recovery, QUOLL_NVME_RESET);
	if (opts && opts->max_resets > NVME_MAX_RESETS)
		return quoll_error_set(err, EINVAL, "open", info.name, "max_resets is %u, of 0 to %u", opts->max_resets,
				       NVME_MAX_RESETS);
	if (opts && (unsigned int)opts->shadow > QUOLL_NVME_SHADOW_ALWAYS)
		return quoll_error_set(err, EINVAL, "open", info.name, "shadow is %u, of 0 to %u",
				       (unsigned int)opts->shadow, QUOLL_NVME_SHADOW_ALWAYS);
	return 0;
}

struct nvme_sqe nvme_queues_cmd(unsigned int wanted)
{
	return (struct nvme_sqe){
		.opcode = nvme_admin_set_features,
		.cdw10 = quoll_cpu_to_le32(NVME_FEAT_FID_NUM_QUEUES),
		.cdw11 = quoll_cpu_to_le32((wanted - 1) << 16 | (wanted - 1)),
	};
}

unsigned int nvme_queues_granted(uint32_t result)
{
	unsigned int sqs = NVME_GET(result, FEAT_NRQS_NSQR) + 1;
	unsigned int cqs = NVME_GET(result, FEAT_NRQS_NCQR) + 1;

	return sqs < cqs ? sqs : cqs;
}

/* Ask for I/O queues; what is granted is cut to what was asked for and to what has doorbells within BAR 0. */
static int queues_negotiate(struct quoll_nvme *nvme, unsigned int wanted, struct quoll_error *err)
{
	struct nvme_sqe cmd = nvme_queues_cmd(wanted);
	uint32_t granted = 0;
	uint64_t last_qid;
	unsigned int n;
	int rc = nvme_admin_exec(nvme, &cmd, &granted);

	if (rc)
		return nvme_admin_error(nvme, rc, "Set Features (Number of Queues)", err);
	n = nvme_queues_granted(granted);
	if (n > wanted)
		n = wanted;
	last_qid = ((nvme->bar_bytes - NVME_DOORBELLS_OFFSET) >> (2 + nvme->dstrd)) / 2;
	if (last_qid < 2)
		return quoll_error_set(err, EPROTO, "queues", nvme->name,
				       "BAR 0 of %" PRIu64 " bytes has no room for the doorbells of an I/O queue",
				       nvme->bar_bytes);
	if (n > last_qid - 1)
		n = (unsigned int)(last_qid - 1);
	nvme->max_io_queues = n;
	nvme->queues = calloc(n, sizeof(struct quoll_nvme_queue *));
	return nvme->queues ? 0 : quoll_error_set(err, ENOMEM, "queues", nvme->name, "out of memory");
}

static int bring_up(struct quoll_nvme *nvme, const struct quoll_nvme_opts *opts, struct quoll_error *err)
{
	unsigned int wanted = opts && opts->max_io_queues ? opts->max_io_queues : 1;
	int rc = bar_open(nvme, err);

	if (!rc)
		rc = nvme_ctrl_read_cap(nvme, err);
	if (!rc)
		rc = nvme_ctrl_disable(nvme, err);
	if (!rc)
		rc = arenas_create(nvme, wanted, err);
	if (!rc)
		rc = nvme_admin_init(nvme, opts, err);
	if (rc)
		return rc;
	/* Off since the device was opened, or an earlier quoll_nvme_close(); the controller is disabled by now. */
	rc = quoll_pci_bus_master(nvme->dev, true);
	if (rc)
		return quoll_error_set(err, -rc, "enable", nvme->name, "bus mastering could not be switched on");
	nvme_set_dma_off(nvme, false);
	rc = nvme_ctrl_enable(nvme, err);
	if (!rc)
		rc = identify_controller(nvme, err);
	if (!rc)
		rc = queues_negotiate(nvme, wanted, err);
	if (!rc)
		rc = nvme_shadow_init(nvme, err);
	if (!rc)
		rc = nvme_namespaces_read(nvme, err);
	return rc;
}

static void set_limits(struct quoll_nvme *nvme, const struct quoll_nvme_opts *opts)
{
	uint64_t ms = opts && opts->io_timeout_ms ? opts->io_timeout_ms : IO_DEFAULT_TIMEOUT_MS;

	nvme->recovery = opts ? opts->recovery : QUOLL_NVME_GIVE_UP;
	nvme->check_ticks = quoll_ns_to_ticks(&nvme->clock, NVME_CHECK_PERIOD_NS);
	nvme->csts_ticks = quoll_ns_to_ticks(&nvme->clock, NVME_CSTS_BY_MESSAGE_PERIOD_NS);
	nvme->reset.max_own = opts && opts->max_resets ? opts->max_resets : NVME_DEFAULT_RESETS;
	nvme->reset.own_ticks = quoll_ns_to_ticks(&nvme->clock, MINUTE_NS);
	nvme->doorbells.wanted = opts ? opts->shadow : QUOLL_NVME_SHADOW_AUTO;
	if (ms == QUOLL_NVME_NO_TIMEOUT)
		ms = IO_DEFAULT_TIMEOUT_MS;
	else
		nvme->io_timeout_ticks = quoll_ns_to_ticks(&nvme->clock, ms * 1000000);
	nvme->idle_ticks = quoll_ns_to_ticks(&nvme->clock, ms * 1000000) / NVME_IDLE_PERIODS;
	nvme->shared.idle_since = quoll_ticks(&nvme->clock);
}

int quoll_nvme_open(struct quoll_device *dev, struct quoll_heap *heap, const struct quoll_nvme_opts *opts,
		    struct quoll_nvme **nvme_out, struct quoll_error *err)
{
	struct quoll_device_info info;
	struct quoll_nvme *nvme;
	int rc = open_check_args(dev, heap, opts, err);

	if (rc)
		return rc;
	quoll_device_info(dev, &info);
	nvme = aligned_alloc(QUOLL_CACHE_LINE_BYTES, sizeof(*nvme));
	if (!nvme)
		return quoll_error_set(err, ENOMEM, "open", info.name, "out of memory");
	memset(nvme, 0, sizeof(*nvme));
	pthread_mutex_init(&nvme->lock, NULL);
	nvme->dev = dev;
	nvme->heap = heap;
	nvme->name = info.name;
	nvme->no_ns.refuse = -ENOENT;
	(void)quoll_clock_init(&nvme->clock); /* a system clock is good enough */
	set_limits(nvme, opts);
	nvme->dead_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (nvme->dead_fd < 0)
		rc = quoll_error_set(err, errno, "open", info.name, "no eventfd: %s", strerrordesc_np(errno));
	else
		rc = bring_up(nvme, opts, err);
	if (rc) {
		if (nvme->enabled && rc != -ENODEV)
			(void)nvme_ctrl_disable(nvme, NULL);
		ctrl_free(nvme);
		return rc;
	}
	nvme->up = true;
	*nvme_out = nvme;
	return 0;
}

int quoll_nvme_close(struct quoll_nvme *nvme)
{
	int rc;

	if (!nvme)
		return 0;
	(void)nvme_reset_finish(nvme);
	for (unsigned int i = 0; i < nvme->max_io_queues; i++)
		if (nvme->queues[i])
			quoll_nvme_queue_destroy(nvme->queues[i]);
	rc = nvme_ctrl_shutdown(nvme);
	if (rc == -ETIMEDOUT)
		quoll_log(quoll_device_env(nvme->dev), QUOLL_LOG_WARN, "nvme",
			  "%s: the shutdown did not end in time: what the drive had cached and not flushed may be lost",
			  nvme->name);
	ctrl_free(nvme);
	return rc;
}

void quoll_nvme_info(const struct quoll_nvme *nvme, struct quoll_nvme_info *info)
{
	const struct nvme_id_ctrl *id = nvme->id;

	memset(info, 0, sizeof(*info));
	nvme_text_copy(info->model, id->mn, sizeof(id->mn));
	nvme_text_copy(info->serial, id->sn, sizeof(id->sn));
	nvme_text_copy(info->firmware, id->fr, sizeof(id->fr));
	nvme_text_copy(info->subnqn, id->subnqn, sizeof(id->subnqn));
	info->vendor_id = quoll_le16_to_cpu(id->vid);
	info->controller_id = quoll_le16_to_cpu(id->cntlid);
	info->version = nvme->version;
	info->cap = nvme->cap;
	info->max_transfer_bytes = nvme->max_transfer_bytes;
	info->max_io_queues = nvme->max_io_queues;
	info->max_queue_entries = nvme->max_queue_entries;
	info->nr_namespaces = nvme->set->nr;
	info->page_bytes = PRP_PAGE_BYTES;
	info->shadow_doorbells = __atomic_load_n(&nvme->doorbells.on, __ATOMIC_RELAXED);
	info->volatile_cache = id->vwc & NVME_CTRL_VWC_PRESENT;
}

const struct nvme_id_ctrl *quoll_nvme_id_ctrl(const struct quoll_nvme *nvme)
{
	return nvme->id;
}
