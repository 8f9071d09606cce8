/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_virtio.h - a virtio-net device on PCI in the test's own process, on fake_pci.h: capabilities, registers, the
 * control queue. It acts at the moment a register is written (mmio_trap.h); on its other rings the test works itself
 * (fake_ring.h).
 */
#ifndef QUOLL_TESTS_FAKE_VIRTIO_H
#define QUOLL_TESTS_FAKE_VIRTIO_H

#include "net/virtio/virtio_regs.h"

#include "../../fake_pci.h"
#include "../../mmio_trap.h"
#include "fake_ring.h"

#define FAKE_VIRTIO_RINGS 9 /* four pairs, and the control queue */
#define FAKE_VIRTIO_COMMANDS 32

struct fake_command {
	uint8_t class;
	uint8_t what;
	uint32_t bytes;
	uint8_t data[512];
};

struct fake_virtio {
	struct fake_pci pci;

	/* Knobs. */
	uint64_t features;
	uint8_t config[24];
	uint16_t max_size;
	uint16_t notify_off; /* of ring 1, instead of its own; 0: its own */
	uint16_t ctrl_at;    /* number of the control queue; those before it, from its usual one on, are only sizes */
	uint16_t ctrl_size;
	bool never_resets;
	bool refuses_features;
	bool refuses_vectors;
	bool refuses_commands;
	bool mute_ctrl;
	bool never_settles; /* the configuration changes at each look */

	/* What was seen. */
	uint64_t agreed;
	uint8_t status;
	unsigned int nr_resets;
	unsigned int nr_kicks[FAKE_VIRTIO_RINGS];
	uint16_t vectors[FAKE_VIRTIO_RINGS];
	unsigned int nr_commands;
	struct fake_command commands[FAKE_VIRTIO_COMMANDS];
	struct fake_ring rings[FAKE_VIRTIO_RINGS];

	/* The machine. */
	struct mmio_trap trap;
	uint8_t generation;
	uint16_t config_vector;
	uint16_t selected;
	uint32_t driver_features[2];
	struct {
		uint16_t size;
		bool enabled;
		uint32_t addrs[6];
	} banks[FAKE_VIRTIO_RINGS];
};

/* Return: 0, -errno. */
int fake_virtio_init(struct fake_virtio *fake);
void fake_virtio_fini(struct fake_virtio *fake);
/* A capability that is not one of type @type any more. */
void fake_virtio_hide(struct fake_virtio *fake, uint8_t type);
void fake_virtio_set_link(struct fake_virtio *fake, bool up);
void fake_virtio_set_status(struct fake_virtio *fake, uint8_t status);
/* Commands that it was mute about are answered. */
void fake_virtio_run_ctrl(struct fake_virtio *fake);
/* Where in config space capability @type is. */
unsigned int fake_virtio_cap(uint8_t type);

#endif
