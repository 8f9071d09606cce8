/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_bus.c - the fake controller's bus side: registers in a memfd, config space, the back-end ops, the pump thread.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <quoll/pci.h>

#include "fake_internal.h"

static uint32_t reg(const struct fake_nvme *fake, uint64_t offset)
{
	return __atomic_load_n((const uint32_t *)(fake->bar + offset), __ATOMIC_ACQUIRE);
}

static void reg_set(struct fake_nvme *fake, uint64_t offset, uint32_t value)
{
	__atomic_store_n((uint32_t *)(fake->bar + offset), value, __ATOMIC_RELEASE);
}

uint32_t fake_doorbell(const struct fake_nvme *fake, uint16_t qid, unsigned int is_cq)
{
	return reg(fake, nvme_doorbell_offset(NVME_CAP_DSTRD(fake->cap), qid, is_cq));
}

void fake_doorbell_reset(struct fake_nvme *fake, uint16_t qid, unsigned int is_cq)
{
	reg_set(fake, nvme_doorbell_offset(NVME_CAP_DSTRD(fake->cap), qid, is_cq), 0);
}

uint32_t fake_nvme_sq_tail(struct fake_nvme *fake, uint16_t qid)
{
	return fake_doorbell(fake, qid, 0);
}

uint32_t fake_nvme_cq_head(struct fake_nvme *fake, uint16_t qid)
{
	return fake_doorbell(fake, qid, 1);
}

bool fake_nvme_bus_master(const struct fake_nvme *fake)
{
	return fake->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

static uint64_t reg64(const struct fake_nvme *fake, uint64_t offset)
{
	return reg(fake, offset) | (uint64_t)reg(fake, offset + 4) << 32;
}

static void controller_reset(struct fake_nvme *fake)
{
	memset(fake->sq, 0, sizeof(fake->sq));
	memset(fake->cq, 0, sizeof(fake->cq));
	reg_set(fake, NVME_REG_CSTS, 0);
}

static void controller_enable(struct fake_nvme *fake, uint32_t cc)
{
	uint32_t aqa = reg(fake, NVME_REG_AQA);

	if (NVME_CC_IOSQES(cc) != 6 || NVME_CC_IOCQES(cc) != 4 || NVME_CC_MPS(cc))
		fake_violation(fake, "CC is 0x%08x: entry sizes or page size wrong", cc);
	if (reg64(fake, NVME_REG_ASQ) & 4095 || reg64(fake, NVME_REG_ACQ) & 4095)
		fake_violation(fake, "admin queues are not page aligned");
	fake->sq[0] =
		(struct fake_sq){.live = true, .iova = reg64(fake, NVME_REG_ASQ), .entries = NVME_AQA_ASQS(aqa) + 1u};
	fake->cq[0] = (struct fake_cq){
		.live = true, .iova = reg64(fake, NVME_REG_ACQ), .entries = NVME_AQA_ACQS(aqa) + 1u, .phase = 1};
	fake_doorbell_reset(fake, 0, 0);
	fake_doorbell_reset(fake, 0, 1);
	if (fake->fatal_on_enable)
		reg_set(fake, NVME_REG_CSTS, NVME_SET(1, CSTS_CFS));
	else if (!fake->never_ready)
		reg_set(fake, NVME_REG_CSTS, NVME_SET(1, CSTS_RDY));
}

static void look_at_cc(struct fake_nvme *fake)
{
	uint32_t cc = reg(fake, NVME_REG_CC);
	uint32_t changed = cc ^ fake->cc_seen;

	if (!changed)
		return;
	if (NVME_CC_EN(changed) && !NVME_CC_EN(cc))
		controller_reset(fake);
	else if (NVME_CC_EN(changed))
		controller_enable(fake, cc);
	else if (NVME_CC_EN(cc) && (changed & ~(uint32_t)NVME_SET(NVME_CC_SHN_MASK, CC_SHN)))
		fake_violation(fake, "CC changed from 0x%08x to 0x%08x while enabled", fake->cc_seen, cc);
	if (NVME_CC_SHN(cc) && NVME_CC_EN(cc)) {
		for (unsigned int i = 1; i < FAKE_MAX_QUEUES; i++)
			if (fake->sq[i].live && !NVME_CSTS_CFS(reg(fake, NVME_REG_CSTS)) && fake_nvme_bus_master(fake))
				fake_violation(fake, "shutdown with I/O queues still there");
		if (!fake->never_shut_down) {
			fake->shut_down = true;
			reg_set(fake, NVME_REG_CSTS,
				reg(fake, NVME_REG_CSTS) | (uint32_t)(NVME_CSTS_SHST_CMPLT << NVME_CSTS_SHST_SHIFT));
		}
	}
	fake->cc_seen = cc;
}

static void step_locked(struct fake_nvme *fake)
{
	if (reg(fake, NVME_REG_CSTS) == UINT32_MAX)
		return;
	look_at_cc(fake);
	if (NVME_CSTS_RDY(reg(fake, NVME_REG_CSTS)))
		fake_run_queues(fake);
}

void fake_nvme_step(struct fake_nvme *fake)
{
	pthread_mutex_lock(&fake->lock);
	step_locked(fake);
	pthread_mutex_unlock(&fake->lock);
}

static void *pump(void *arg)
{
	struct fake_nvme *fake = arg;

	while (!__atomic_load_n(&fake->pump_stop, __ATOMIC_ACQUIRE)) {
		fake_nvme_step(fake);
		sched_yield();
	}
	return NULL;
}

void fake_nvme_pump_start(struct fake_nvme *fake)
{
	fake->pump_stop = false;
	if (pthread_create(&fake->pump, NULL, pump, fake))
		abort();
}

void fake_nvme_pump_stop(struct fake_nvme *fake)
{
	__atomic_store_n(&fake->pump_stop, true, __ATOMIC_RELEASE);
	pthread_join(fake->pump, NULL);
}

void fake_nvme_yank(struct fake_nvme *fake)
{
	pthread_mutex_lock(&fake->lock);
	memset(fake->config, 0xff, sizeof(fake->config));
	for (uint64_t i = 0; i < fake->bar_bytes; i += 4)
		reg_set(fake, i, UINT32_MAX);
	pthread_mutex_unlock(&fake->lock);
}

void fake_nvme_set_fatal(struct fake_nvme *fake)
{
	reg_set(fake, NVME_REG_CSTS, reg(fake, NVME_REG_CSTS) | (uint32_t)NVME_SET(1, CSTS_CFS));
}

void fake_nvme_request_removal(struct fake_nvme *fake)
{
	uint64_t one = 1;

	if (write(fake->req_fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

/* Back-end ops. The fake is found through the ioas; one at a time while it opens. */
static struct fake_nvme *opening;

static int ops_probe(const struct quoll_env *env, struct quoll_error *err)
{
	(void)env;
	(void)err;
	return 0;
}

static int ops_ioas_open(struct quoll_ioas *ioas, struct quoll_error *err)
{
	(void)err;
	ioas->priv = opening;
	return 0;
}

static void ops_ioas_close(struct quoll_ioas *ioas)
{
	(void)ioas;
}

static int ops_ioas_info(struct quoll_ioas *ioas, struct quoll_ioas_info *info, struct quoll_error *err)
{
	(void)ioas;
	(void)err;
	info->page_sizes = 1ull << 12 | 1ull << 21 | 1ull << 30;
	info->nr_ranges = 1;
	info->ranges[0] = (struct quoll_iova_range){.first = 0, .last = (1ull << 39) - 1};
	info->maps_avail = UINT32_MAX;
	info->memlock_bytes = UINT64_MAX;
	return 0;
}

static int ops_map(struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err)
{
	struct fake_nvme *fake = ioas->priv;

	if (fake->nr_maps == FAKE_MAX_MAPS)
		return quoll_error_set(err, ENOSPC, "map", "fake", "too many mappings");
	fake->maps[fake->nr_maps++] = *m;
	return 0;
}

static int ops_unmap(struct quoll_ioas *ioas, quoll_iova_t iova, uint64_t len_bytes)
{
	struct fake_nvme *fake = ioas->priv;

	for (unsigned int i = 0; i < fake->nr_maps; i++) {
		if (fake->maps[i].iova != iova || fake->maps[i].len_bytes != len_bytes)
			continue;
		fake->maps[i] = fake->maps[--fake->nr_maps];
		return 0;
	}
	return -ENOENT;
}

static int ops_claim(struct quoll_group *group, const struct quoll_addr *addr, struct quoll_error *err)
{
	(void)err;
	group->id = 1;
	group->names = calloc(1, sizeof(*group->names));
	group->nr_devices = 1;
	snprintf(group->names[0], sizeof(group->names[0]), "%s", addr->target);
	return 0;
}

static void ops_release(struct quoll_group *group)
{
	free(group->names);
}

static int ops_device_open(struct quoll_device *dev, struct quoll_error *err)
{
	(void)err;
	dev->info.bus = QUOLL_BUS_PCI;
	dev->info.nr_regions = QUOLL_PCI_VGA + 1;
	dev->info.nr_irqs = QUOLL_PCI_IRQ_REQ + 1;
	return 0;
}

static void ops_device_close(struct quoll_device *dev)
{
	(void)dev;
}

static int ops_device_reset(struct quoll_device *dev)
{
	(void)dev;
	return -ENOTTY;
}

static int ops_region_info(struct quoll_device *dev, unsigned int idx, struct quoll_region_info *info)
{
	struct fake_nvme *fake = dev->group->ioas->priv;

	if (idx == QUOLL_PCI_CONFIG) {
		info->size_bytes = sizeof(fake->config);
		info->flags = QUOLL_REGION_READ | QUOLL_REGION_WRITE;
	} else if (idx == QUOLL_PCI_BAR0) {
		info->size_bytes = fake->bar_bytes;
		info->flags = QUOLL_REGION_READ | QUOLL_REGION_WRITE;
		if (!fake->bar_by_message) {
			info->flags |= QUOLL_REGION_MMAP;
			info->nr_areas = 1;
			info->areas[0].size_bytes = fake->doorbells_by_message ? 4096 : fake->bar_bytes;
		}
	}
	return 0;
}

static int ops_region_map(struct quoll_device *dev, unsigned int idx, uint64_t offset, uint64_t len, void *va)
{
	struct fake_nvme *fake = dev->group->ioas->priv;

	(void)idx;
	if (mmap(va, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fake->bar_fd, (off_t)offset) == MAP_FAILED)
		return -errno;
	return 0;
}

static int ops_region_rw(struct quoll_device *dev, unsigned int idx, uint64_t offset, void *buf, size_t len, bool write)
{
	struct fake_nvme *fake = dev->group->ioas->priv;
	uint8_t *at = idx == QUOLL_PCI_CONFIG ? fake->config + offset : fake->bar + offset;

	pthread_mutex_lock(&fake->lock);
	if (!write)
		memcpy(buf, at, len);
	else if (!(idx == QUOLL_PCI_CONFIG && fake->config[0] == 0xff)) /* nobody takes it any more */
		memcpy(at, buf, len);
	pthread_mutex_unlock(&fake->lock);
	return 0;
}

static int ops_irq_info(struct quoll_device *dev, unsigned int idx, struct quoll_irq_info *info)
{
	(void)dev;
	info->nr_vectors = idx == QUOLL_PCI_IRQ_MSIX ? FAKE_MAX_QUEUES : 1;
	info->flags = QUOLL_IRQ_EVENTFD;
	return 0;
}

static int ops_irq_set(struct quoll_device *dev, unsigned int idx, unsigned int first, unsigned int nr,
		       const int *eventfds)
{
	struct fake_nvme *fake = dev->group->ioas->priv;
	int fd = nr && !first ? eventfds[0] : -1;

	if (idx == QUOLL_PCI_IRQ_REQ)
		fake->req_fd = fd;
	if (idx == QUOLL_PCI_IRQ_ERR)
		fake->err_fd = fd;
	return 0;
}

static int ops_irq_unmask(struct quoll_device *dev, unsigned int idx, unsigned int vector)
{
	(void)dev;
	(void)idx;
	(void)vector;
	return 0;
}

static const struct backend_ops fake_ops = {
	.name = "fake",
	.probe = ops_probe,
	.ioas_open = ops_ioas_open,
	.ioas_close = ops_ioas_close,
	.ioas_info = ops_ioas_info,
	.map = ops_map,
	.unmap = ops_unmap,
	.claim = ops_claim,
	.release = ops_release,
	.device_open = ops_device_open,
	.device_close = ops_device_close,
	.device_reset = ops_device_reset,
	.region_info = ops_region_info,
	.region_map = ops_region_map,
	.region_rw = ops_region_rw,
	.irq_info = ops_irq_info,
	.irq_set = ops_irq_set,
	.irq_unmask = ops_irq_unmask,
};

int fake_nvme_ioas_open(struct fake_nvme *fake, struct quoll_ioas **ioas)
{
	int rc;

	reg_set(fake, NVME_REG_CAP, (uint32_t)fake->cap);
	reg_set(fake, NVME_REG_CAP + 4, (uint32_t)(fake->cap >> 32));
	reg_set(fake, NVME_REG_VS, fake->version);
	reg_set(fake, NVME_REG_CRTO, fake->crto);
	opening = fake;
	rc = ioas_open_ops(&fake->env, &fake_ops, ioas, NULL);
	opening = NULL;
	return rc;
}

void fake_nvme_add_ns(struct fake_nvme *fake, uint32_t nsid, uint64_t nr_lbas, unsigned int lba_shift, uint16_t noiob)
{
	struct fake_ns *ns = &fake->ns[fake->nr_ns++];

	*ns = (struct fake_ns){.nsid = nsid, .nr_lbas = nr_lbas, .lba_shift = lba_shift, .noiob = noiob};
	ns->disk = calloc(nr_lbas, 1ull << lba_shift);
	if (!ns->disk)
		abort();
}

int fake_nvme_init(struct fake_nvme *fake)
{
	memset(fake, 0, sizeof(*fake));
	pthread_mutex_init(&fake->lock, NULL);
	fake->seed = 1;
	fake->req_fd = -1;
	fake->err_fd = -1;
	fake->bar_bytes = 16384;
	fake->cap = 1023ull << NVME_CAP_MQES_SHIFT | 1ull << NVME_CAP_CQR_SHIFT | 1ull << NVME_CAP_TO_SHIFT |
		    (uint64_t)NVME_CAP_CSS_NVM << NVME_CAP_CSS_SHIFT;
	fake->version = 0x10400;
	fake->queues_less_1 = 3;
	memset(fake->id.sn, ' ', sizeof(fake->id.sn));
	memset(fake->id.mn, ' ', sizeof(fake->id.mn));
	memcpy(fake->id.sn, "FAKE0001", 8);
	memcpy(fake->id.mn, "Quoll fake", 10);
	memcpy(fake->id.fr, "1.0     ", 8);
	snprintf(fake->id.subnqn, sizeof(fake->id.subnqn), "nqn.2026-01.test:fake");
	fake->id.mdts = 5;
	fake->id.sqes = 0x66;
	fake->id.cqes = 0x44;
	fake->id.vwc = NVME_CTRL_VWC_PRESENT;
	fake->id.nn = quoll_cpu_to_le32(64);
	fake->config[PCI_VENDOR_ID] = 0x36;
	fake->config[PCI_VENDOR_ID + 1] = 0x1b;
	fake->config[PCI_DEVICE_ID] = 0x10;
	fake->config[PCI_CLASS_PROG] = 0x02;
	fake->config[PCI_CLASS_DEVICE] = 0x08;
	fake->config[PCI_CLASS_DEVICE + 1] = 0x01;
	fake->bar_fd = memfd_create("fake-bar0", MFD_CLOEXEC);
	if (fake->bar_fd < 0 || ftruncate(fake->bar_fd, 1 << 20))
		return -errno;
	fake->bar = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fake->bar_fd, 0);
	if (fake->bar == MAP_FAILED)
		return -errno;
	fake_nvme_add_ns(fake, 1, 16384, 9, 0);
	return 0;
}

void fake_nvme_fini(struct fake_nvme *fake)
{
	for (unsigned int i = 0; i < fake->nr_ns; i++)
		free(fake->ns[i].disk);
	munmap(fake->bar, 1 << 20);
	close(fake->bar_fd);
	pthread_mutex_destroy(&fake->lock);
}
