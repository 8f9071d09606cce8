/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_e1000e.h - an 82574 in the test's own process, on fake_pci.h. It keeps to the datasheet strictly, and breaks it
 * only where a knob or a hook says so. It acts at the moment a register is written (mmio_trap.h), or, where that cannot
 * be had (valgrind), in fake_e1000e_step().
 */
#ifndef QUOLL_TESTS_FAKE_E1000E_H
#define QUOLL_TESTS_FAKE_E1000E_H

#include "net/e1000e/e1000e_regs.h"

#include "../../fake_pci.h"
#include "../../mmio_trap.h"

#define FAKE_MAX_FRAME 16384
#define FAKE_MAX_SENT 4096

/* A frame that the device sent, as it would be on the line, without FCS. */
struct fake_sent {
	uint8_t *data;
	uint32_t len;
	uint32_t nr_descs; /* that held data */
	unsigned int queue;
};

struct fake_e1000e {
	struct fake_pci pci;

	/* Knobs. */
	bool untrapped;	      /* registers are plain memory, looked at in fake_e1000e_step() */
	bool never_resets;    /* CTRL.RST stays */
	bool keeps_registers; /* over a reset */
	bool master_stuck;    /* requests stay pending */
	bool no_auto_read;
	bool no_mdio;	 /* firmware keeps the MDIO bus */
	bool phy_silent; /* MDIC never gets ready */
	bool phy_error;
	bool mute_tx;	   /* descriptors are not even fetched */
	bool discard_sent; /* frames go nowhere */
	bool link_up;
	uint32_t speed_code; /* STATUS.SPEED */
	uint64_t mac;	     /* as in RAL and RAH after a reset */
	bool mac_valid;
	bool registers_dead; /* they read all ones, and writes are lost */
	uint32_t gone_after; /* that many accesses from now everything reads all ones; 0: never */

	/* Hooks; NULL for none. */
	void *arg;
	/* Change a receive descriptor on its way out. Return: false to leave it unwritten. */
	bool (*on_rx_desc)(struct fake_e1000e *fake, unsigned int queue, struct e1000e_rx_desc *desc);

	/* What was seen. */
	uint16_t phy[32];
	uint32_t nr_resets;
	uint32_t nr_msix_at_reset; /* vectors that were on at the last one */
	uint64_t nr_interrupts[E1000E_NR_VECTORS];
	uint64_t nr_contexts; /* context descriptors */
	uint64_t nr_rdt_writes;
	uint64_t nr_tdt_writes;
	uint64_t nr_reports; /* descriptors that asked for status */
	uint8_t *frames;     /* memory of the next two */
	unsigned int nr_sent;
	struct fake_sent sent[FAKE_MAX_SENT];

	/* The machine. */
	struct mmio_trap trap;
	uint32_t counter_read; /* to be cleared at the next access */
	uint32_t icr;
	uint32_t ims;
	uint32_t asserted;
	uint64_t context[2][2];
	bool has_context[2];
	struct fake_sent frame[2]; /* as far as its descriptors have come */
	uint32_t rdt_seen[2];
	uint32_t tdt_seen[2];
};

/* Return: 0, -errno. */
int fake_e1000e_init(struct fake_e1000e *fake);
void fake_e1000e_fini(struct fake_e1000e *fake);

static inline uint32_t fake_reg(const struct fake_e1000e *fake, unsigned int reg)
{
	return fake_pci_reg(&fake->pci, reg);
}

/* A frame comes in. Return: whether it was stored; what was filtered or had no room is counted as hardware does. */
bool fake_e1000e_receive(struct fake_e1000e *fake, const uint8_t *frame, uint32_t len);
/* Without traps: look at registers once, carry out what is there. */
void fake_e1000e_step(struct fake_e1000e *fake);
/* Send what is there, after mute_tx. */
void fake_e1000e_run_tx(struct fake_e1000e *fake);
/* Forget the frames sent. */
void fake_e1000e_forget(struct fake_e1000e *fake);
void fake_e1000e_set_link(struct fake_e1000e *fake, bool up);
/* A cause comes up. */
void fake_e1000e_cause(struct fake_e1000e *fake, uint32_t cause);
void fake_e1000e_yank(struct fake_e1000e *fake);
/* Descriptors in the host's memory; NULL if there is no ring. */
struct e1000e_rx_desc *fake_e1000e_rx_desc(struct fake_e1000e *fake, unsigned int queue, uint32_t idx);
struct e1000e_tx_desc *fake_e1000e_tx_desc(struct fake_e1000e *fake, unsigned int queue, uint32_t idx);
uint32_t fake_e1000e_toeplitz(const uint8_t *key, const uint8_t *data, uint32_t len);

#endif
