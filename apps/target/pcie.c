/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pcie.c - registers and the controller's states behind them: enable, reset, shutdown, function reset, the host's
 * memory coming and going.
 *
 * What takes time (commands of back ends that have to end first) is begun by a register write and finished in polls.
 * A host that takes our right to reach its memory (bus mastering, power, a function reset) is answered when nothing
 * moves there any more: it may use that memory for something else then.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <quoll/pci.h>

#include "controller_internal.h"
#include "pci_config.h"
#include "pcie.h"

#define CAP_TIMEOUT 20u /* of 500 ms: back ends may have to finish first */
#define MPS_MAX 4u	/* pages of 4 KiB << this */
#define CC_WRITABLE 0x00fffff1u
/* What only a disabled controller takes (Base 2.0, 3.1.3.5). */
#define CC_DISABLED                                                                                                    \
	((uint32_t)NVME_CC_MPS_MASK << NVME_CC_MPS_SHIFT | (uint32_t)NVME_CC_CSS_MASK << NVME_CC_CSS_SHIFT |           \
	 (uint32_t)NVME_CC_AMS_MASK << NVME_CC_AMS_SHIFT)
#define CC_IOSQES ((uint32_t)NVME_CC_IOSQES_MASK << NVME_CC_IOSQES_SHIFT)
#define CC_IOCQES ((uint32_t)NVME_CC_IOCQES_MASK << NVME_CC_IOCQES_SHIFT)
#define AQA_WRITABLE 0x0fff0fffu
#define DOORBELLS 0x1000u
#define DOORBELLS_BYTES 0x1000u
#define MSIX_ENTRY_BYTES 16u
#define MSIX_ENTRY_MASK 12u /* offset of Vector Control, whose bit 0 is set after a reset */
/*
 * How long such a host is kept waiting at most: what a function reset may take (PCI Express Base 4.0, 6.6.2). A back
 * end that takes longer can't be stopped, as the kernel has the host's pages.
 */
#define QUIET_MS 100u

/*
 * @PCIE_OFF:      CC.EN and CSTS.RDY are 0
 * @PCIE_ON:       the controller works
 * @PCIE_STOPPING: CC.EN was cleared; commands in flight end
 * @PCIE_QUIETING: CC.SHN was set; they end before a flush
 * @PCIE_FLUSHING: the namespaces are being flushed
 * @PCIE_SHUT:     shutdown is complete: only a reset helps
 */
enum pcie_state {
	PCIE_OFF,
	PCIE_ON,
	PCIE_STOPPING,
	PCIE_QUIETING,
	PCIE_FLUSHING,
	PCIE_SHUT,
};

/**
 * struct tgt_pcie - the function
 * @dma:       config space lets it reach the host's memory
 * @ready:     CSTS.RDY
 * @failed:    CSTS.CFS
 * @stuck:     an injected fault: CSTS stays @stuck_csts, whatever the host writes
 * @restart:   enabled while a disabled controller shuts down: it starts when that is done
 * @told_cc:   a change of CC that is none was logged
 * @quieting:  a write waits for the end of what moves in the host's memory, until @quiet_until in clock ticks
 * @ended:     by tgt_pcie_end(): flushed, and no host may begin anew
 */
struct tgt_pcie {
	struct tgt_mq *mq;
	struct tgt_guest guest;
	enum pcie_state state;
	bool mapped;
	bool dma;
	bool ready;
	bool failed;
	bool stuck;
	bool gone;
	bool restart;
	bool told_cc;
	bool quieting;
	bool held;
	bool ended;
	bool abandoned;
	uint64_t quiet_until;
	uint32_t stuck_csts;
	uint32_t cc;
	uint32_t intms;
	uint32_t aqa;
	uint64_t asq;
	uint64_t acq;
	struct tgt_pci_config config;
	uint8_t msix[TGT_MAX_VECTORS * MSIX_ENTRY_BYTES];
	int fd; /* of BAR0's file, the client's own; -1: doorbells aren't mapped */
	uint8_t *bar0;
	const struct tgt_pcie_ops *ops;
	void *arg;
	const struct quoll_env *env;
};

static void pcie_log(const struct tgt_pcie *pcie, const char *what, int rc)
{
	quoll_log(pcie->env, QUOLL_LOG_WARN, "target", "%s (%s)", what, strerrordesc_np(-rc));
}

/* States. */

static uint64_t pcie_cap(void)
{
	return (uint64_t)(TGT_MAX_ENTRIES - 1) | 1ull << 16 /* CQR */ | (uint64_t)CAP_TIMEOUT << 24 |
	       1ull << 37 /* CSS: NVM */ | (uint64_t)MPS_MAX << 52 | 1ull << 59 /* CRMS: ready with media */;
}

static uint32_t pcie_csts(const struct tgt_pcie *pcie)
{
	uint32_t shst = NVME_CSTS_SHST_NORMAL;

	if (pcie->stuck)
		return pcie->stuck_csts;
	if (pcie->state == PCIE_QUIETING || pcie->state == PCIE_FLUSHING)
		shst = NVME_CSTS_SHST_OCCUR;
	else if (pcie->state == PCIE_SHUT)
		shst = NVME_CSTS_SHST_CMPLT;
	return (uint32_t)pcie->ready | (uint32_t)pcie->failed << NVME_CSTS_CFS_SHIFT | shst << NVME_CSTS_SHST_SHIFT;
}

/* CC is complete and nothing is in flight. What can't be is a fatal status (Base 2.0, 3.1.3.5: CC.EN, CC.MPS). */
static void pcie_start(struct tgt_pcie *pcie)
{
	struct tgt_mq_admin admin = {
		.asq = pcie->asq,
		.acq = pcie->acq,
		.sq_entries = (uint16_t)((pcie->aqa & 0xfff) + 1),
		.cq_entries = (uint16_t)((pcie->aqa >> 16 & 0xfff) + 1),
		.page_shift = (uint8_t)(NVME_CC_MPS(pcie->cc) + 12),
	};
	int rc = -EINVAL;

	if (NVME_CC_MPS(pcie->cc) <= MPS_MAX && !NVME_CC_CSS(pcie->cc) && !NVME_CC_AMS(pcie->cc))
		rc = tgt_mq_enable(pcie->mq, &admin);
	pcie->state = PCIE_ON;
	pcie->ready = !rc;
	pcie->failed = rc;
	if (rc)
		pcie_log(pcie, "the host enables the controller with values that don't go", rc);
	else if (!pcie->dma)
		quoll_log(pcie->env, QUOLL_LOG_WARN, "target", "the host enables the controller without bus mastering");
}

/* One step of what a register write has begun. Return: whether there was one. */
static bool pcie_settle(struct tgt_pcie *pcie)
{
	if (!tgt_mq_idle(pcie->mq))
		return false;
	switch (pcie->state) {
	case PCIE_STOPPING:
		pcie->state = PCIE_OFF;
		pcie->ready = false;
		return true;
	case PCIE_QUIETING:
		pcie->ready = pcie->ready && NVME_CC_EN(pcie->cc);
		tgt_ctrl_flush(tgt_mq_ctrl(pcie->mq));
		pcie->state = PCIE_FLUSHING;
		return true;
	case PCIE_FLUSHING:
		pcie->state = pcie->restart ? PCIE_OFF : PCIE_SHUT;
		pcie->restart = false;
		return true;
	case PCIE_OFF:
		/* Enabled again before it was off, or only now. */
		if (!NVME_CC_EN(pcie->cc) || pcie->ended)
			return false;
		pcie_start(pcie);
		return true;
	default:
		return false;
	}
}

static void pcie_stop(struct tgt_pcie *pcie, enum pcie_state towards)
{
	tgt_mq_disable(pcie->mq);
	pcie->state = towards;
	pcie->restart = false;
}

/*
 * What the host makes of CC, once it is enabled: sizes of entries until there are queues with them. Other changes are
 * not defined: here nothing changes, and the host sees that in the register.
 */
static uint32_t pcie_cc_change(struct tgt_pcie *pcie, uint32_t value)
{
	uint32_t fixed = CC_DISABLED;

	if (!NVME_CC_EN(pcie->cc) || !NVME_CC_EN(value))
		return value;
	if (tgt_mq_nr_sqs(pcie->mq))
		fixed |= CC_IOSQES;
	if (tgt_mq_nr_cqs(pcie->mq))
		fixed |= CC_IOCQES;
	if ((value ^ pcie->cc) & fixed && !pcie->told_cc) {
		pcie->told_cc = true;
		quoll_log(
			pcie->env, QUOLL_LOG_WARN, "target",
			"the host changes CC of an enabled controller from 0x%08x to 0x%08x: only what may change does",
			pcie->cc, value);
	}
	return (value & ~fixed) | (pcie->cc & fixed);
}

/* CC.EN was set. What is being stopped starts again by itself, see pcie_settle(). */
static void pcie_enable(struct tgt_pcie *pcie)
{
	pcie->told_cc = false;
	if (pcie->state == PCIE_SHUT)
		pcie->state = PCIE_OFF;
	pcie->restart = pcie->state == PCIE_QUIETING || pcie->state == PCIE_FLUSHING;
}

static void pcie_write_cc(struct tgt_pcie *pcie, uint32_t value)
{
	uint32_t old = pcie->cc;

	value = pcie_cc_change(pcie, value & CC_WRITABLE);
	pcie->cc = value;
	tgt_mq_entry_sizes(pcie->mq, NVME_CC_IOSQES(value), NVME_CC_IOCQES(value));
	if (pcie->stuck || pcie->ended)
		return;
	if (NVME_CC_EN(old) && !NVME_CC_EN(value)) {
		pcie->failed = false;
		pcie_stop(pcie, PCIE_STOPPING);
	} else if (!NVME_CC_EN(old) && NVME_CC_EN(value)) {
		pcie_enable(pcie);
	}
	while (pcie_settle(pcie))
		;
	if (!NVME_CC_SHN(old) && NVME_CC_SHN(value)) {
		pcie->restart = false;
		if (pcie->state < PCIE_QUIETING)
			pcie_stop(pcie, PCIE_QUIETING);
	}
	while (pcie_settle(pcie))
		;
}

/* How far the queues may work, as config space and the target's end have it. */
static void pcie_hold(struct tgt_pcie *pcie)
{
	if (!pcie->dma)
		tgt_mq_hold(pcie->mq, TGT_MQ_CUT_OFF);
	else
		tgt_mq_hold(pcie->mq, pcie->held ? TGT_MQ_ANSWER : TGT_MQ_RUN);
}

/*
 * A function reset: registers as after power-on at once, and what was in flight is forgotten. Return: whether all of it
 * has ended; until then the host can't enable the controller, though it may have begun to.
 */
static bool pcie_reset(struct tgt_pcie *pcie)
{
	tgt_mq_disable(pcie->mq);
	pcie->state = tgt_mq_idle(pcie->mq) ? PCIE_OFF : PCIE_STOPPING;
	pcie->ready = pcie->failed = pcie->stuck = pcie->gone = pcie->quieting = pcie->restart = false;
	pcie->cc = pcie->intms = pcie->aqa = 0;
	pcie->asq = pcie->acq = 0;
	tgt_pci_config_reset(&pcie->config, TGT_MAX_VECTORS);
	pcie->dma = false;
	pcie_hold(pcie);
	memset(pcie->msix, 0, sizeof(pcie->msix));
	for (unsigned int i = 0; i < TGT_MAX_VECTORS; i++)
		pcie->msix[i * MSIX_ENTRY_BYTES + MSIX_ENTRY_MASK] = 1;
	return pcie->state == PCIE_OFF;
}

/* Return: 0: nothing moves in the host's memory, or we have waited long enough for that; -EAGAIN. */
static int pcie_quiet(struct tgt_pcie *pcie)
{
	const struct tgt_ctrl *ctrl = tgt_mq_ctrl(pcie->mq);
	unsigned int moving = tgt_ctrl_moving(ctrl);
	uint64_t now = quoll_ticks(&ctrl->clock);

	if (!pcie->quieting)
		pcie->quiet_until = now + quoll_ns_to_ticks(&ctrl->clock, QUIET_MS * 1000000ull);
	pcie->quieting = moving && now < pcie->quiet_until;
	if (pcie->quieting)
		return -EAGAIN;
	if (moving)
		quoll_log(pcie->env, QUOLL_LOG_WARN, "target",
			  "%u commands still move data of a host that took its memory out of reach %u ms ago", moving,
			  QUIET_MS);
	return 0;
}

unsigned int tgt_pcie_poll(struct tgt_pcie *pcie)
{
	unsigned int n = tgt_mq_poll(pcie->mq);

	if (QUOLL_LIKELY(pcie->state == PCIE_ON))
		return n;
	while (pcie_settle(pcie))
		n++;
	return n;
}

/* Registers. */

static uint32_t pcie_read_reg(const struct tgt_pcie *pcie, uint64_t offset)
{
	switch (offset) {
	case NVME_REG_CAP:
		return (uint32_t)pcie_cap();
	case NVME_REG_CAP + 4:
		return (uint32_t)(pcie_cap() >> 32);
	case NVME_REG_VS:
		return TGT_VERSION;
	case NVME_REG_INTMS:
	case NVME_REG_INTMC:
		return pcie->intms;
	case NVME_REG_CC:
		return pcie->cc;
	case NVME_REG_CSTS:
		return pcie_csts(pcie);
	case NVME_REG_AQA:
		return pcie->aqa;
	case NVME_REG_ASQ:
		return (uint32_t)pcie->asq;
	case NVME_REG_ASQ + 4:
		return (uint32_t)(pcie->asq >> 32);
	case NVME_REG_ACQ:
		return (uint32_t)pcie->acq;
	case NVME_REG_ACQ + 4:
		return (uint32_t)(pcie->acq >> 32);
	case NVME_REG_CRTO:
		return CAP_TIMEOUT;
	default: /* reserved, optional and not there, or a doorbell */
		return 0;
	}
}

static void set_half(uint64_t *reg, bool high, uint32_t value)
{
	*reg = high ? (uint32_t)*reg | (uint64_t)value << 32 : (*reg & ~(uint64_t)UINT32_MAX) | (value & ~0xfffu);
}

static void pcie_write_reg(struct tgt_pcie *pcie, uint64_t offset, uint32_t value)
{
	if (offset >= DOORBELLS) {
		if (!pcie->stuck && offset < DOORBELLS + DOORBELLS_BYTES)
			tgt_mq_doorbell(pcie->mq, (unsigned int)(offset - DOORBELLS) / 4, value);
		return;
	}
	switch (offset) {
	case NVME_REG_INTMS: /* of pin and MSI interrupts, which are not there */
		pcie->intms |= value;
		break;
	case NVME_REG_INTMC:
		pcie->intms &= ~value;
		break;
	case NVME_REG_CC:
		pcie_write_cc(pcie, value);
		break;
	case NVME_REG_AQA:
		pcie->aqa = value & AQA_WRITABLE;
		break;
	case NVME_REG_ASQ:
	case NVME_REG_ASQ + 4:
		set_half(&pcie->asq, offset & 4, value);
		break;
	case NVME_REG_ACQ:
	case NVME_REG_ACQ + 4:
		set_half(&pcie->acq, offset & 4, value);
		break;
	default: /* read-only, or reserved */
		break;
	}
}

static void bar0_read(const struct tgt_pcie *pcie, uint64_t offset, uint8_t *to, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t at = offset + i;

		to[i] = (uint8_t)(pcie_read_reg(pcie, at & ~3ull) >> 8 * (at & 3));
	}
}

/* Properties are written by whole dwords, or two of them (Base 2.0, 3.1.3); anything else reaches nothing. */
static int bar0_write(struct tgt_pcie *pcie, uint64_t offset, const uint8_t *from, size_t len)
{
	if (offset % 4 || len % 4)
		return -EINVAL;
	for (size_t i = 0; i < len; i += 4) {
		quoll_le32 value;

		memcpy(&value, from + i, sizeof(value));
		pcie_write_reg(pcie, offset + i, quoll_le32_to_cpu(value));
	}
	return 0;
}

/*
 * The MSI-X table keeps what is written: who is signalled, and what is masked, vfio-user says by messages of its own.
 * The pending bits behind it are the server's, and read as 0.
 */
static void bar4_read(const struct tgt_pcie *pcie, uint64_t offset, uint8_t *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = offset + i < sizeof(pcie->msix) ? pcie->msix[offset + i] : 0;
}

static void bar4_write(struct tgt_pcie *pcie, uint64_t offset, const uint8_t *from, size_t len)
{
	for (size_t i = 0; i < len && offset + i < sizeof(pcie->msix); i++)
		pcie->msix[offset + i] = from[i];
}

/* Return: 0; -EAGAIN: the same comes again. */
static int config_write(struct tgt_pcie *pcie, uint64_t offset, const void *buf, size_t len)
{
	bool was = pcie->dma;
	bool reset;

	if (pcie->quieting)
		return pcie_quiet(pcie);
	reset = tgt_pci_config_write(&pcie->config, offset, buf, len);
	pcie->dma = tgt_pci_config_may_dma(&pcie->config);
	pcie_hold(pcie);
	if (reset && !pcie->ended)
		pcie_reset(pcie);
	return was && !pcie->dma ? pcie_quiet(pcie) : 0;
}

/* What the server calls. */

static int pcie_region_read(void *arg, unsigned int idx, uint64_t offset, void *buf, size_t len)
{
	const struct tgt_pcie *pcie = arg;

	switch (idx) {
	case QUOLL_PCI_BAR0:
		bar0_read(pcie, offset, buf, len);
		return 0;
	case QUOLL_PCI_BAR4:
		bar4_read(pcie, offset, buf, len);
		return 0;
	default:
		tgt_pci_config_read(&pcie->config, offset, buf, len);
		return 0;
	}
}

static int pcie_region_write(void *arg, unsigned int idx, uint64_t offset, const void *buf, size_t len)
{
	struct tgt_pcie *pcie = arg;

	switch (idx) {
	case QUOLL_PCI_BAR0:
		return bar0_write(pcie, offset, buf, len);
	case QUOLL_PCI_BAR4:
		bar4_write(pcie, offset, buf, len);
		return 0;
	default:
		return config_write(pcie, offset, buf, len);
	}
}

static int pcie_dma_map(void *arg, const struct quoll_server_dma *dma)
{
	struct tgt_pcie *pcie = arg;
	struct tgt_guest_range range = {.iova = dma->iova, .len = dma->len, .va = dma->va};

	range.prot =
		(dma->prot & QUOLL_DMA_READ ? TGT_GUEST_READ : 0) | (dma->prot & QUOLL_DMA_WRITE ? TGT_GUEST_WRITE : 0);
	return tgt_guest_add(&pcie->guest, &range);
}

/* New commands find it no more from the first call on; those that point there already have to end. */
static int pcie_dma_unmap(void *arg, const struct quoll_server_dma *dma)
{
	struct tgt_pcie *pcie = arg;

	if (!tgt_guest_remove(&pcie->guest, dma->iova, dma->len))
		tgt_mq_remap(pcie->mq);
	return !dma->va || tgt_ctrl_let_go(tgt_mq_ctrl(pcie->mq), dma->va, dma->len) ? 0 : -EAGAIN;
}

static int pcie_server_reset(void *arg)
{
	const struct tgt_pcie *pcie = arg;

	if (pcie->ended)
		return -ESHUTDOWN;
	return pcie_reset(arg) ? 0 : -EAGAIN;
}

/* Sealed, so that no client can cut it short under us. Return: 0, -errno. */
static int bar0_file(int *fd, uint8_t **bar0)
{
	int rc;

	*fd = memfd_create("quoll-doorbells", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0)
		return -errno;
	if (!ftruncate(*fd, TGT_PCI_BAR0_BYTES) &&
	    !fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		*bar0 = mmap(NULL, TGT_PCI_BAR0_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
		if (*bar0 != MAP_FAILED)
			return 0;
	}
	rc = -errno;
	close(*fd);
	return rc;
}

static void bar0_drop(struct tgt_pcie *pcie)
{
	if (pcie->fd < 0)
		return;
	munmap(pcie->bar0, TGT_PCI_BAR0_BYTES);
	close(pcie->fd);
	pcie->fd = -1;
}

/* Who has had the doorbells before may have them mapped still, and ring: the next one's are elsewhere. */
static int pcie_fresh_doorbells(struct tgt_pcie *pcie)
{
	uint8_t *bar0;
	int fd;
	int rc = bar0_file(&fd, &bar0);

	if (!rc && (rc = pcie->ops->doorbells(pcie->arg, fd))) {
		munmap(bar0, TGT_PCI_BAR0_BYTES);
		close(fd);
	}
	if (rc) {
		pcie_log(pcie, "a client is sent away, as there are no doorbells for it", rc);
		return rc;
	}
	tgt_mq_doorbells(pcie->mq, (quoll_le32 *)(bar0 + DOORBELLS));
	bar0_drop(pcie);
	pcie->fd = fd;
	pcie->bar0 = bar0;
	return 0;
}

static int pcie_connect(void *arg)
{
	struct tgt_pcie *pcie = arg;

	if (pcie->ended)
		return -ESHUTDOWN;
	return pcie->mapped ? pcie_fresh_doorbells(pcie) : 0;
}

static int pcie_disconnect(void *arg)
{
	struct tgt_pcie *pcie = arg;

	if (pcie->ended)
		tgt_mq_disable(pcie->mq);
	else if (!pcie_reset(pcie) && !pcie->abandoned)
		return -EAGAIN;
	while (pcie->guest.nr_ranges) {
		/* From the end: the others need not move up. */
		const struct tgt_guest_range *range = &pcie->guest.ranges[pcie->guest.nr_ranges - 1];

		/* Nothing is in flight that could register it again. */
		if (range->va && !tgt_ctrl_let_go(tgt_mq_ctrl(pcie->mq), range->va, range->len) && !pcie->ended)
			return -EAGAIN;
		tgt_guest_remove(&pcie->guest, range->iova, range->len);
	}
	return 0;
}

static const struct quoll_server_ops server_ops = {
	.connect = pcie_connect,
	.disconnect = pcie_disconnect,
	.region_read = pcie_region_read,
	.region_write = pcie_region_write,
	.dma_map = pcie_dma_map,
	.dma_unmap = pcie_dma_unmap,
	.reset = pcie_server_reset,
};

void tgt_pcie_describe(struct tgt_pcie *pcie, struct quoll_server_device *device)
{
	const unsigned int rw = QUOLL_REGION_READ | QUOLL_REGION_WRITE;
	struct quoll_server_region *bar0 = &device->regions[QUOLL_PCI_BAR0];

	*device = (struct quoll_server_device){
		.bus = QUOLL_BUS_PCI,
		.nr_regions = QUOLL_PCI_VGA + 1,
		.nr_irqs = QUOLL_PCI_IRQ_REQ + 1,
		.ops = &server_ops,
		.arg = pcie,
	};
	for (unsigned int i = 0; i < device->nr_regions; i++)
		device->regions[i].fd = -1;
	bar0->size_bytes = TGT_PCI_BAR0_BYTES;
	bar0->flags = rw;
	if (pcie->mapped) {
		bar0->flags |= QUOLL_REGION_MMAP;
		bar0->fd = pcie->fd;
		bar0->nr_areas = 1;
		bar0->areas[0] = (struct quoll_region_area){DOORBELLS, DOORBELLS_BYTES};
	}
	device->regions[QUOLL_PCI_BAR4].size_bytes = TGT_PCI_BAR4_BYTES;
	device->regions[QUOLL_PCI_BAR4].flags = rw;
	device->regions[QUOLL_PCI_CONFIG].size_bytes = TGT_PCI_CONFIG_BYTES;
	device->regions[QUOLL_PCI_CONFIG].flags = rw;
	device->irqs[QUOLL_PCI_IRQ_MSIX] = (struct quoll_irq_info){TGT_MAX_VECTORS, QUOLL_IRQ_EVENTFD};
	/* Never signalled, as QEMU stops its guest then; but a PCI Express device has one, and QEMU warns otherwise. */
	device->irqs[QUOLL_PCI_IRQ_ERR] = (struct quoll_irq_info){1, QUOLL_IRQ_EVENTFD};
}

/* What the queues call. */

static void pcie_interrupt(void *arg, uint16_t vector)
{
	struct tgt_pcie *pcie = arg;

	pcie->ops->irq(pcie->arg, vector);
}

static void pcie_fault(void *arg, const struct tgt_fault *fault)
{
	struct tgt_pcie *pcie = arg;

	if (fault->action == TGT_FAULT_GONE) {
		pcie->gone = true;
	} else if (fault->value == TGT_CSTS_FATAL) {
		pcie->failed = true;
	} else {
		pcie->stuck_csts = pcie_csts(pcie);
		pcie->stuck = true;
	}
}

static const struct tgt_mq_ops mq_ops = {.interrupt = pcie_interrupt, .fault = pcie_fault};

static int guest_read(void *arg, uint64_t iova, void *dst, size_t len)
{
	struct tgt_pcie *pcie = arg;

	return pcie->ops->dma_read(pcie->arg, iova, dst, len);
}

static int guest_write(void *arg, uint64_t iova, const void *src, size_t len)
{
	struct tgt_pcie *pcie = arg;

	return pcie->ops->dma_write(pcie->arg, iova, src, len);
}

static const struct tgt_guest_ops guest_ops = {.read = guest_read, .write = guest_write};

static void pcie_free(struct tgt_pcie *pcie)
{
	bar0_drop(pcie);
	tgt_guest_fini(&pcie->guest);
	free(pcie);
}

int tgt_pcie_create(struct tgt_subsys *subsys, const struct tgt_pcie_opts *opts, struct tgt_pcie **pcie,
		    struct quoll_error *err)
{
	struct tgt_pcie *made = calloc(1, sizeof(*made));
	struct tgt_mq_opts mq_opts = {
		.ops = &mq_ops,
		.arg = made,
		.nr_vectors = TGT_MAX_VECTORS,
		.vid = TGT_PCI_VENDOR,
		.ssvid = TGT_PCI_VENDOR,
	};
	int rc = 0;

	if (!made)
		return quoll_error_set(err, ENOMEM, "controller", subsys->nqn, "out of memory");
	made->ops = opts->ops;
	made->arg = opts->arg;
	made->env = &subsys->env;
	made->mapped = opts->mapped;
	made->fd = -1;
	tgt_guest_init(&made->guest, &guest_ops, made);
	mq_opts.guest = &made->guest;
	if (opts->mapped && (rc = bar0_file(&made->fd, &made->bar0)))
		quoll_error_set(err, -rc, "controller", "doorbells", "no memory file");
	if (!rc)
		rc = tgt_mq_create(subsys, &mq_opts, &made->mq, err);
	if (rc) {
		pcie_free(made);
		return rc;
	}
	pcie_reset(made);
	*pcie = made;
	return 0;
}

void tgt_pcie_destroy(struct tgt_pcie *pcie)
{
	tgt_mq_destroy(pcie->mq);
	pcie_free(pcie);
}

/* For the loop. */

int tgt_pcie_arm(struct tgt_pcie *pcie)
{
	const struct tgt_ctrl *ctrl = tgt_mq_ctrl(pcie->mq);

	/* A namespace that leaves, and a completion that an injected fault delays, have nothing that would wake us. */
	if ((ctrl->late && !ctrl->halted) || ctrl->leaving)
		return 1;
	return tgt_mq_arm(pcie->mq);
}

void tgt_pcie_disarm(struct tgt_pcie *pcie)
{
	tgt_mq_disarm(pcie->mq);
}

void tgt_pcie_watch(struct tgt_pcie *pcie, int epoll_fd)
{
	const struct tgt_ctrl *ctrl = tgt_mq_ctrl(pcie->mq);

	for (unsigned int i = 0; i < ctrl->nr_polled; i++) {
		struct epoll_event event = {.events = EPOLLIN};
		int fd = ctrl->slots[ctrl->polled[i]].chan->fd;

		/* One that is in it already stays; one that is closed has left by itself. */
		if (fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) && errno != EEXIST)
			pcie_log(pcie, "a back end can't wake the loop", -errno);
	}
}

enum tgt_pcie_bell tgt_pcie_bell(const struct tgt_pcie *pcie)
{
	if (!pcie->ready || !pcie->dma)
		return TGT_BELL_NONE;
	if (pcie->mapped)
		return TGT_BELL_SILENT;
	return tgt_mq_has_shadow(pcie->mq) ? TGT_BELL_MEMORY : TGT_BELL_MESSAGE;
}

bool tgt_pcie_gone(const struct tgt_pcie *pcie)
{
	return pcie->gone;
}

void tgt_pcie_hold(struct tgt_pcie *pcie)
{
	pcie->held = true;
	pcie_hold(pcie);
}

void tgt_pcie_pace(struct tgt_pcie *pcie, enum tgt_mq_pace pace)
{
	tgt_mq_pace(pcie->mq, pace);
}

int tgt_pcie_end(struct tgt_pcie *pcie)
{
	if (!pcie->ended) {
		pcie->ended = true;
		pcie_stop(pcie, PCIE_QUIETING);
	}
	while (pcie_settle(pcie))
		;
	return pcie->state == PCIE_SHUT ? 0 : -EAGAIN;
}

void tgt_pcie_abandon(struct tgt_pcie *pcie)
{
	pcie->ended = pcie->abandoned = true;
}

struct tgt_ctrl *tgt_pcie_ctrl(struct tgt_pcie *pcie)
{
	return tgt_mq_ctrl(pcie->mq);
}

unsigned int tgt_pcie_nr_queues(const struct tgt_pcie *pcie)
{
	return tgt_mq_nr_sqs(pcie->mq);
}

bool tgt_pcie_ready(const struct tgt_pcie *pcie)
{
	return pcie->ready;
}
