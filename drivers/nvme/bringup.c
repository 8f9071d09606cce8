/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bringup.c - the controller's states: capabilities, disable, enable, shutdown. Base Specification 2.0, 3.1.3
 * (registers), 3.5.1 (initialisation), 3.6.1 (shutdown).
 */
#include <errno.h>
#include <inttypes.h>

#include "nvme_internal.h"

#define MS 1000000ull
#define READY_UNIT_NS (500 * MS) /* of CAP.TO and CRTO */
#define READY_MAX_UNITS 600	 /* five minutes; CRTO could claim nine hours */
#define SHUTDOWN_MIN_NS (2000 * MS)
#define SHUTDOWN_MAX_NS (30000 * MS)

static int gone(struct quoll_nvme *nvme, const char *stage, struct quoll_error *err)
{
	return quoll_error_set(err, ENODEV, stage, nvme->name,
			       "the device does not answer: its registers read all ones (removed, or without power)");
}

/* CAP.TO with one unit of grace, or CRTO if that is longer (3.1.3.1, 3.1.3.23). */
static uint64_t ready_timeout_ns(struct quoll_nvme *nvme)
{
	uint64_t units = NVME_CAP_TO(nvme->cap);

	/* We enable with CC.CRIME 0, so the time until media is ready counts. */
	if (NVME_CAP_CRMS(nvme->cap)) {
		uint64_t with_media = NVME_CRTO_CRWMT(nvme_reg_read32(nvme, NVME_REG_CRTO));

		if (with_media > units)
			units = with_media;
	}
	return ((units < READY_MAX_UNITS ? units : READY_MAX_UNITS) + 1) * READY_UNIT_NS;
}

int nvme_ctrl_read_cap(struct quoll_nvme *nvme, struct quoll_error *err)
{
	uint32_t lo = nvme_reg_read32(nvme, NVME_REG_CAP);
	uint32_t hi = nvme_reg_read32(nvme, NVME_REG_CAP + 4);

	nvme->cap = lo | (uint64_t)hi << 32;
	nvme->version = nvme_reg_read32(nvme, NVME_REG_VS);
	if (nvme->cap == UINT64_MAX || nvme->version == UINT32_MAX)
		return gone(nvme, "capabilities", err);
	nvme->dstrd = NVME_CAP_DSTRD(nvme->cap);
	nvme->max_queue_entries = NVME_CAP_MQES(nvme->cap) + 1;
	if (nvme->max_queue_entries < 2)
		return quoll_error_set(err, EPROTO, "capabilities", nvme->name,
				       "CAP.MQES is 0, but a queue has two entries at least (CAP 0x%016" PRIx64 ")",
				       nvme->cap);
	if (!(NVME_CAP_CSS(nvme->cap) & (NVME_CAP_CSS_NVM | NVME_CAP_CSS_CSI)))
		return quoll_error_set(err, ENOTSUP, "capabilities", nvme->name,
				       "no NVM command set: CAP.CSS is 0x%02x", (unsigned int)NVME_CAP_CSS(nvme->cap));
	if (NVME_CAP_MPSMIN(nvme->cap) > 0)
		return quoll_error_set(err, ENOTSUP, "capabilities", nvme->name,
				       "smallest memory page is %u KiB, the driver's is 4 KiB",
				       4u << NVME_CAP_MPSMIN(nvme->cap));
	nvme->ready_timeout_ns = ready_timeout_ns(nvme);
	return 0;
}

/* A controller that reads all ones is gone. Fatal status ends the wait for ready only: disabling is what clears it. */
int nvme_ctrl_ready_look(struct quoll_nvme *nvme, unsigned int want, const char *stage, struct quoll_error *err)
{
	uint32_t csts = nvme_reg_read32(nvme, NVME_REG_CSTS);

	if (csts == UINT32_MAX)
		return gone(nvme, stage, err);
	if (want && NVME_CSTS_CFS(csts))
		return quoll_error_set(err, EIO, stage, nvme->name, "controller fatal status, CSTS is 0x%08x", csts);
	return NVME_CSTS_RDY(csts) == want ? 0 : -EAGAIN;
}

/* Wait until CSTS.RDY is @want. */
static int wait_ready(struct quoll_nvme *nvme, unsigned int want, const char *stage, struct quoll_error *err)
{
	struct quoll_wait wait;
	uint32_t csts;
	bool more = true;

	quoll_wait_start(&wait, &nvme->clock, nvme->ready_timeout_ns);
	for (;;) {
		int rc = nvme_ctrl_ready_look(nvme, want, stage, err);

		if (rc != -EAGAIN)
			return rc;
		if (!more)
			break;
		more = quoll_wait_more(&wait);
	}
	csts = nvme_reg_read32(nvme, NVME_REG_CSTS);
	quoll_error_set(err, ETIMEDOUT, stage, nvme->name,
			"CSTS is 0x%08x (%s) after %" PRIu64 " ms; ready bit %u awaited, CAP.TO is %u ms", csts,
			nvme_csts_text(csts), quoll_wait_elapsed_ms(&wait), want,
			(unsigned int)NVME_CAP_TO(nvme->cap) * 500);
	quoll_error_hint(err, "reset or power-cycle the device");
	return -ETIMEDOUT;
}

void nvme_ctrl_disable_begin(struct quoll_nvme *nvme)
{
	uint32_t cc = nvme_reg_read32(nvme, NVME_REG_CC);

	if (cc == UINT32_MAX || !NVME_CC_EN(cc))
		return;
	cc &= ~(uint32_t)(NVME_SET(NVME_CC_EN_MASK, CC_EN) | NVME_SET(NVME_CC_SHN_MASK, CC_SHN));
	nvme_reg_write32(nvme, NVME_REG_CC, cc);
}

int nvme_ctrl_disable(struct quoll_nvme *nvme, struct quoll_error *err)
{
	uint32_t cc = nvme_reg_read32(nvme, NVME_REG_CC);
	uint32_t csts = nvme_reg_read32(nvme, NVME_REG_CSTS);
	int rc;

	if (cc == UINT32_MAX || csts == UINT32_MAX)
		return gone(nvme, "disable", err);
	if (NVME_CC_EN(cc)) {
		/* On its way up: EN may fall only once RDY has risen. If it never does, try all the same. */
		if (!NVME_CSTS_RDY(csts) && !NVME_CSTS_CFS(csts) && !nvme->enabled)
			(void)wait_ready(nvme, 1, "disable", NULL);
		nvme_ctrl_disable_begin(nvme);
	}
	rc = wait_ready(nvme, 0, "disable", err);
	if (!rc)
		nvme->enabled = false;
	return rc;
}

static void write_iova(struct quoll_nvme *nvme, unsigned int offset, quoll_iova_t iova)
{
	nvme_reg_write32(nvme, offset, (uint32_t)iova);
	nvme_reg_write32(nvme, offset + 4, (uint32_t)(iova >> 32));
}

int nvme_ctrl_enable_begin(struct quoll_nvme *nvme, struct quoll_error *err)
{
	struct nvme_admin *admin = &nvme->admin;
	uint32_t css = NVME_CAP_CSS(nvme->cap) & NVME_CAP_CSS_NVM ? NVME_CC_CSS_NVM : NVME_CC_CSS_CSI;
	uint32_t cc = (uint32_t)(NVME_SET(css, CC_CSS) | NVME_SET(PRP_PAGE_SHIFT - 12, CC_MPS) |
				 NVME_SET(NVME_CC_AMS_RR, CC_AMS) | NVME_SET(NVME_SQES_SHIFT, CC_IOSQES) |
				 NVME_SET(NVME_CQES_SHIFT, CC_IOCQES));
	int rc = nvme_admin_start(nvme, err);

	if (rc)
		return rc;
	nvme_reg_write32(nvme, NVME_REG_AQA,
			 (uint32_t)(NVME_SET(admin->entries - 1, AQA_ASQS) | NVME_SET(admin->entries - 1, AQA_ACQS)));
	write_iova(nvme, NVME_REG_ASQ, admin->sq_iova);
	write_iova(nvme, NVME_REG_ACQ, admin->cq_iova);
	/* EN last and by itself: the other fields may change only while it is 0. */
	nvme_reg_write32(nvme, NVME_REG_CC, cc);
	quoll_mmio_wmb();
	nvme_reg_write32(nvme, NVME_REG_CC, cc | (uint32_t)NVME_SET(1, CC_EN));
	return 0;
}

int nvme_ctrl_enable(struct quoll_nvme *nvme, struct quoll_error *err)
{
	int rc = nvme_ctrl_enable_begin(nvme, err);

	if (rc)
		return rc;
	nvme->enabled = true;
	return wait_ready(nvme, 1, "enable", err);
}

/* RTD3 Entry Latency is the controller's own figure for a shutdown, in microseconds; 0 if it has none. */
static uint64_t shutdown_timeout_ns(const struct quoll_nvme *nvme)
{
	uint64_t ns = nvme->id ? quoll_le32_to_cpu(nvme->id->rtd3e) * 1000ull : 0;

	if (ns < SHUTDOWN_MIN_NS)
		return SHUTDOWN_MIN_NS;
	return ns > SHUTDOWN_MAX_NS ? SHUTDOWN_MAX_NS : ns;
}

static int wait_shutdown(struct quoll_nvme *nvme)
{
	struct quoll_wait wait;
	bool more = true;

	quoll_wait_start(&wait, &nvme->clock, shutdown_timeout_ns(nvme));
	for (;;) {
		uint32_t csts = nvme_reg_read32(nvme, NVME_REG_CSTS);

		if (csts == UINT32_MAX)
			return -ENODEV;
		if (NVME_CSTS_SHST(csts) == NVME_CSTS_SHST_CMPLT)
			return 0;
		if (!more || NVME_CSTS_CFS(csts))
			return -ETIMEDOUT;
		more = quoll_wait_more(&wait);
	}
}

int nvme_ctrl_shutdown(struct quoll_nvme *nvme)
{
	int dead = nvme_ctrl_dead(nvme);
	int rc_disable;
	uint32_t cc;
	int rc;

	/* No register is touched once the device said that it is gone; one that is only wanted back still answers. */
	if (quoll_device_events(nvme->dev) & QUOLL_DEVICE_GONE)
		return -ENODEV;
	cc = nvme_reg_read32(nvme, NVME_REG_CC);
	if (cc == UINT32_MAX)
		return -ENODEV;
	/* Given up in the middle of a reset: there is nobody who would acknowledge. */
	if (!NVME_CC_EN(cc))
		return dead == -ENODEV ? -ENODEV : -ETIMEDOUT;
	cc &= ~(uint32_t)NVME_SET(NVME_CC_SHN_MASK, CC_SHN);
	nvme_reg_write32(nvme, NVME_REG_CC, cc | (uint32_t)NVME_SET(NVME_CC_SHN_NORMAL, CC_SHN));
	rc = wait_shutdown(nvme);
	if (rc == -ENODEV)
		return rc;
	rc_disable = nvme_ctrl_disable(nvme, NULL);
	if (rc)
		return rc;
	if (rc_disable)
		return rc_disable;
	return dead == -ENODEV ? -ENODEV : dead ? -ETIMEDOUT : 0;
}
