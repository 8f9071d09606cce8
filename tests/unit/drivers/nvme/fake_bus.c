/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_bus.c - the fake controller's registers, and the pump thread.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_internal.h"

static uint32_t reg(const struct fake_nvme *fake, uint64_t offset)
{
	return fake_pci_reg(&fake->pci, offset);
}

static void reg_set(struct fake_nvme *fake, uint64_t offset, uint32_t value)
{
	fake_pci_reg_set(&fake->pci, offset, value);
}

static uint64_t reg64(const struct fake_nvme *fake, uint64_t offset)
{
	return reg(fake, offset) | (uint64_t)reg(fake, offset + 4) << 32;
}

static void controller_reset(struct fake_nvme *fake)
{
	memset(fake->sq, 0, sizeof(fake->sq));
	memset(fake->cq, 0, sizeof(fake->cq));
	fake->nr_held = 0;
	fake->nr_mute_aborts = 0;
	fake->dbbuf = fake->asleep = false;
	fake->nr_disables++;
	reg_set(fake, NVME_REG_CSTS, 0);
}

static void controller_enable(struct fake_nvme *fake, uint32_t cc)
{
	uint32_t aqa = reg(fake, NVME_REG_AQA);

	if (NVME_CC_IOSQES(cc) != 6 || NVME_CC_IOCQES(cc) != 4 || NVME_CC_MPS(cc))
		fake_pci_violation(&fake->pci, "CC is 0x%08x: entry sizes or page size wrong", cc);
	if (reg64(fake, NVME_REG_ASQ) & 4095 || reg64(fake, NVME_REG_ACQ) & 4095)
		fake_pci_violation(&fake->pci, "admin queues are not page aligned");
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
	if (NVME_CC_EN(changed) && !NVME_CC_EN(cc) && fake->never_disabled)
		return;
	if (NVME_CC_EN(changed) && !NVME_CC_EN(cc))
		controller_reset(fake);
	else if (NVME_CC_EN(changed))
		controller_enable(fake, cc);
	else if (NVME_CC_EN(cc) && (changed & ~(uint32_t)NVME_SET(NVME_CC_SHN_MASK, CC_SHN)))
		fake_pci_violation(&fake->pci, "CC changed from 0x%08x to 0x%08x while enabled", fake->cc_seen, cc);
	if (NVME_CC_SHN(cc) && NVME_CC_EN(cc)) {
		for (unsigned int i = 1; i < FAKE_MAX_QUEUES; i++)
			if (fake->sq[i].live && !NVME_CSTS_CFS(reg(fake, NVME_REG_CSTS)) &&
			    fake_pci_bus_master(&fake->pci))
				fake_pci_violation(&fake->pci, "shutdown with I/O queues still there");
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

/*
 * The device is a thread at times, and what it shares with the driver is registers and DMA, which have rules of their
 * own: TSan is to look at the driver's threads alone.
 */
#if defined(__SANITIZE_THREAD__)
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);

static void ignore_races(bool on)
{
	(on ? AnnotateIgnoreReadsBegin : AnnotateIgnoreReadsEnd)(__FILE__, __LINE__);
	(on ? AnnotateIgnoreWritesBegin : AnnotateIgnoreWritesEnd)(__FILE__, __LINE__);
}
#else
static void ignore_races(bool on)
{
	(void)on;
}
#endif

void fake_nvme_step(struct fake_nvme *fake)
{
	pthread_mutex_lock(&fake->pci.lock);
	ignore_races(true);
	step_locked(fake);
	ignore_races(false);
	pthread_mutex_unlock(&fake->pci.lock);
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

void fake_nvme_set_fatal(struct fake_nvme *fake)
{
	reg_set(fake, NVME_REG_CSTS, reg(fake, NVME_REG_CSTS) | (uint32_t)NVME_SET(1, CSTS_CFS));
}

void fake_nvme_reset_itself(struct fake_nvme *fake)
{
	pthread_mutex_lock(&fake->pci.lock);
	reg_set(fake, NVME_REG_CC, 0);
	fake->cc_seen = 0;
	controller_reset(fake);
	pthread_mutex_unlock(&fake->pci.lock);
}

int fake_nvme_ioas_open(struct fake_nvme *fake, struct quoll_ioas **ioas)
{
	reg_set(fake, NVME_REG_CAP, (uint32_t)fake->cap);
	reg_set(fake, NVME_REG_CAP + 4, (uint32_t)(fake->cap >> 32));
	reg_set(fake, NVME_REG_VS, fake->version);
	reg_set(fake, NVME_REG_CRTO, fake->crto);
	return fake_pci_ioas_open(&fake->pci, ioas);
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
	int rc;

	memset(fake, 0, sizeof(*fake));
	rc = fake_pci_init(&fake->pci, 16384, 0x1b36, 0x0010, 0x010802);
	if (rc)
		return rc;
	/* Ten seconds to get ready: the thread that is the device may be kept from a processor for long. */
	fake->cap = 1023ull << NVME_CAP_MQES_SHIFT | 1ull << NVME_CAP_CQR_SHIFT | 20ull << NVME_CAP_TO_SHIFT |
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
	fake_nvme_add_ns(fake, 1, 16384, 9, 0);
	return 0;
}

void fake_nvme_fini(struct fake_nvme *fake)
{
	for (unsigned int i = 0; i < fake->nr_ns; i++)
		free(fake->ns[i].disk);
	fake_pci_fini(&fake->pci);
}
