/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_e1000e.c - the fake 82574's registers, interrupts, reset; its rings are in fake_rings.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <quoll/pci.h>

#include "fake_internal.h"

#define FRAME_BYTES (FAKE_MAX_FRAME + 8u) /* and a tag */
#define FRAMES_BYTES ((size_t)FRAME_BYTES * (FAKE_MAX_SENT + E1000E_MAX_QUEUES))

static uint32_t reg(const struct fake_e1000e *fake, uint32_t offset)
{
	return fake_pci_reg(&fake->pci, offset);
}

static void reg_set(struct fake_e1000e *fake, uint32_t offset, uint32_t value)
{
	fake_pci_reg_set(&fake->pci, offset, value);
}

static bool is_gone(const struct fake_e1000e *fake)
{
	return fake->pci.config[0] == 0xff || fake->registers_dead;
}

/* Interrupts: a message when a cause that is unmasked comes up, or a cause that is up is unmasked. */

static const struct {
	uint32_t cause;
	unsigned int shift; /* in IVAR */
} vectors[] = {
	{E1000E_INT_RXQ0, E1000E_IVAR_RXQ0_SHIFT},
	{E1000E_INT_RXQ0 << 1, E1000E_IVAR_RXQ1_SHIFT},
	{E1000E_INT_OTHER, E1000E_IVAR_OTHER_SHIFT},
};

static void look_at_interrupts(struct fake_e1000e *fake)
{
	uint32_t up = fake->icr & fake->ims, ivar = reg(fake, E1000E_IVAR);

	if (is_gone(fake))
		return;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		uint32_t entry = ivar >> vectors[i].shift & 15;

		if (!(up & ~fake->asserted & vectors[i].cause))
			continue;
		if (!(entry & E1000E_IVAR_VALID) || (entry & 7) >= E1000E_NR_VECTORS) {
			fake_pci_violation(&fake->pci, "cause 0x%08x has no vector", vectors[i].cause);
			continue;
		}
		fake->nr_interrupts[entry & 7]++;
		fake_pci_interrupt(&fake->pci, entry & 7);
	}
	fake->asserted = up;
}

void fake_e1000e_cause(struct fake_e1000e *fake, uint32_t cause)
{
	fake->icr |= cause;
	if (cause & (E1000E_INT_LSC | FAKE_INT_RXO))
		fake->icr |= E1000E_INT_OTHER;
	look_at_interrupts(fake);
}

void fake_e1000e_set_link(struct fake_e1000e *fake, bool up)
{
	if (up == fake->link_up)
		return;
	fake->link_up = up;
	fake_e1000e_cause(fake, E1000E_INT_LSC);
}

/* Registers. */

static void reset(struct fake_e1000e *fake)
{
	fake->nr_resets++;
	fake->nr_msix_at_reset = fake->pci.nr_msix_on;
	if (reg(fake, E1000E_STATUS) & E1000E_STATUS_GIO_MASTER_ENABLE && !fake->master_stuck)
		fake_pci_violation(&fake->pci, "reset with the master enabled");
	if (fake_pci_bus_master(&fake->pci))
		fake_pci_violation(&fake->pci, "reset with bus mastering on");
	if (!fake->keeps_registers)
		memset(fake->pci.bar, 0, E1000E_REGS_BYTES);
	fake->icr = fake->ims = fake->asserted = 0;
	memset(fake->has_context, 0, sizeof(fake->has_context));
	memset(fake->rdt_seen, 0, sizeof(fake->rdt_seen));
	memset(fake->tdt_seen, 0, sizeof(fake->tdt_seen));
	reg_set(fake, E1000E_CTRL, reg(fake, E1000E_CTRL) & ~E1000E_CTRL_RST);
	reg_set(fake, E1000E_RAL, (uint32_t)fake->mac);
	reg_set(fake, E1000E_RAH, (uint32_t)(fake->mac >> 32) | (fake->mac_valid ? E1000E_RAH_AV : 0));
	reg_set(fake, E1000E_EECD, fake->no_auto_read ? 0 : E1000E_EECD_AUTO_RD);
	for (uint32_t r = E1000E_CRCERRS; r <= E1000E_STATS_LAST; r += 4)
		reg_set(fake, r, 12345); /* whatever was there: the driver clears it by reading */
}

static void set_status(struct fake_e1000e *fake)
{
	uint32_t status = fake->speed_code << E1000E_STATUS_SPEED_SHIFT;

	if (fake->link_up)
		status |= E1000E_STATUS_LU | E1000E_STATUS_FD;
	if (!(reg(fake, E1000E_CTRL) & E1000E_CTRL_GIO_MASTER_DISABLE) || fake->master_stuck)
		status |= E1000E_STATUS_GIO_MASTER_ENABLE;
	reg_set(fake, E1000E_STATUS, status);
}

static void set_mdic(struct fake_e1000e *fake)
{
	uint32_t mdic = reg(fake, E1000E_MDIC), phy_reg = mdic >> E1000E_MDIC_REG_SHIFT & 31;

	if (fake->phy_silent)
		return;
	if (!(mdic & E1000E_MDIC_PHY_1) || fake->phy_error) {
		reg_set(fake, E1000E_MDIC, mdic | E1000E_MDIC_READY | E1000E_MDIC_ERROR);
		return;
	}
	if (mdic & E1000E_MDIC_OP_WRITE)
		fake->phy[phy_reg] = (uint16_t)mdic;
	mdic = (mdic & ~E1000E_MDIC_DATA_MASK) | fake->phy[phy_reg] | E1000E_MDIC_READY;
	reg_set(fake, E1000E_MDIC, mdic);
}

static void set_ctrl(struct fake_e1000e *fake)
{
	if (reg(fake, E1000E_CTRL) & E1000E_CTRL_RST && !fake->never_resets)
		reset(fake);
}

static bool is_counter(uint32_t offset)
{
	return offset >= E1000E_CRCERRS && offset <= E1000E_STATS_LAST;
}

static bool countdown(struct fake_e1000e *fake)
{
	if (fake->gone_after && !--fake->gone_after)
		fake_e1000e_yank(fake);
	return is_gone(fake);
}

static void before_read(void *arg, uint32_t offset)
{
	struct fake_e1000e *fake = arg;

	/* The last counter read is cleared now: nobody else looks at them. */
	if (fake->counter_read)
		reg_set(fake, fake->counter_read, 0);
	fake->counter_read = 0;
	if (countdown(fake)) {
		reg_set(fake, offset, UINT32_MAX);
		return;
	}
	if (offset == E1000E_STATUS)
		set_status(fake);
	else if (offset == E1000E_EXTCNF_CTRL && fake->no_mdio)
		reg_set(fake, offset, reg(fake, offset) & ~E1000E_EXTCNF_CTRL_MDIO_SW_OWNERSHIP);
	else if (is_counter(offset))
		fake->counter_read = offset;
}

static void write_tail(struct fake_e1000e *fake, uint32_t offset)
{
	for (unsigned int i = 0; i < E1000E_MAX_QUEUES; i++) {
		if (offset == E1000E_RDT + i * E1000E_QUEUE_STRIDE) {
			fake->nr_rdt_writes++;
			fake_rdt_written(fake, i);
		}
		if (offset == E1000E_TDT + i * E1000E_QUEUE_STRIDE) {
			fake->nr_tdt_writes++;
			fake_tdt_written(fake, i);
		}
	}
}

static void after_write(void *arg, uint32_t offset, uint32_t old)
{
	struct fake_e1000e *fake = arg;
	uint32_t value = reg(fake, offset);

	if (countdown(fake)) {
		reg_set(fake, offset, UINT32_MAX);
		return;
	}
	switch (offset) {
	case E1000E_CTRL:
		set_ctrl(fake);
		break;
	case E1000E_MDIC:
		set_mdic(fake);
		break;
	case E1000E_ICR:
		fake->icr &= ~value;
		reg_set(fake, offset, fake->icr);
		look_at_interrupts(fake);
		break;
	case E1000E_IMS:
		fake->ims |= value;
		look_at_interrupts(fake);
		break;
	case E1000E_IMC:
		fake->ims &= ~value;
		look_at_interrupts(fake);
		break;
	case E1000E_STATUS:
	case E1000E_EECD:
		reg_set(fake, offset, old);
		break;
	default:
		write_tail(fake, offset);
	}
}

static void on_map(struct fake_pci *pci, void *va, uint64_t len)
{
	struct fake_e1000e *fake = (struct fake_e1000e *)pci;

	if (fake->untrapped)
		return;
	fake->trap = (struct mmio_trap){.va = va,
					.len = len,
					.memory = pci->bar,
					.arg = fake,
					.before_read = before_read,
					.after_write = after_write};
	mmio_trap_set(&fake->trap);
}

void fake_e1000e_step(struct fake_e1000e *fake)
{
	pthread_mutex_lock(&fake->pci.lock);
	if (!is_gone(fake)) {
		set_ctrl(fake);
		set_status(fake);
		if (!(reg(fake, E1000E_MDIC) & E1000E_MDIC_READY))
			set_mdic(fake);
		for (unsigned int i = 0; i < E1000E_MAX_QUEUES; i++) {
			uint32_t stride = i * E1000E_QUEUE_STRIDE;

			if (reg(fake, E1000E_RDT + stride) != fake->rdt_seen[i])
				write_tail(fake, E1000E_RDT + stride);
			if (reg(fake, E1000E_TDT + stride) != fake->tdt_seen[i])
				write_tail(fake, E1000E_TDT + stride);
		}
	}
	pthread_mutex_unlock(&fake->pci.lock);
}

void fake_e1000e_yank(struct fake_e1000e *fake)
{
	fake_pci_yank(&fake->pci);
}

/* Room for all frames at once: registers are written from a signal handler, where nothing may be allocated. */
static int frames_init(struct fake_e1000e *fake)
{
	void *va = mmap(NULL, FRAMES_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (va == MAP_FAILED)
		return -errno;
	fake->frames = va;
	for (unsigned int i = 0; i < FAKE_MAX_SENT; i++)
		fake->sent[i].data = fake->frames + i * FRAME_BYTES;
	for (unsigned int i = 0; i < E1000E_MAX_QUEUES; i++)
		fake->frame[i].data = fake->frames + (FAKE_MAX_SENT + i) * FRAME_BYTES;
	return 0;
}

int fake_e1000e_init(struct fake_e1000e *fake)
{
	int rc;

	memset(fake, 0, sizeof(*fake));
	rc = frames_init(fake);
	if (rc)
		return rc;
	rc = fake_pci_init(&fake->pci, E1000E_REGS_BYTES, E1000E_VENDOR_ID, E1000E_DEVICE_ID, 0x020000);
	if (rc) {
		munmap(fake->frames, FRAMES_BYTES);
		return rc;
	}
	fake->pci.nr_msix = E1000E_NR_VECTORS;
	fake->pci.on_map = on_map;
	fake->mac = 0x0100a1b2c302;
	fake->mac_valid = true;
	fake->link_up = true;
	fake->speed_code = 2;
	fake->phy[E1000E_PHY_CONTROL] = E1000E_PHY_CONTROL_AN_ENABLE;
	/* As some driver left it: running, with interrupts, and a promiscuous receiver. */
	reg_set(fake, E1000E_RCTL, E1000E_RCTL_EN | E1000E_RCTL_UPE);
	reg_set(fake, E1000E_TCTL, E1000E_TCTL_EN);
	fake->ims = E1000E_INT_RXQ0;
	return 0;
}

void fake_e1000e_fini(struct fake_e1000e *fake)
{
	mmio_trap_clear();
	fake_e1000e_forget(fake);
	fake_pci_fini(&fake->pci);
	munmap(fake->frames, FRAMES_BYTES);
}
