/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.h - a virtio device on PCI. pci.c has its registers and its life, ctrl.c the control queue: filters, queue pairs,
 * receive-side scaling.
 */
#ifndef QUOLL_VIRTIO_PCI_H
#define QUOLL_VIRTIO_PCI_H

#include <quoll/pci.h>
#include <quoll/wait.h>

#include "virtio.h"
#include "virtio_regs.h"

#define VIRTIO_PCI_MAX_VECTORS (VIRTIO_MAX_PAIRS + 1) /* changes of configuration, then one a receive queue */
#define VIRTIO_CHECKS_A_LOOK 16u
#define CTRL_BYTES 4096u

/**
 * struct virtio_pci - a port on PCI
 * @bars:       those that capabilities lead to, mapped
 * @common, @notify, @device: registers; @device is NULL if there are none
 * @notify_bytes, @device_bytes: how much of them
 * @vectors:    how many MSI-X vectors are used; 0: nobody is woken
 * @config_fd:  of vector 0
 * @ctrl:       the control queue's ring, or NULL
 * @ctrl_mem:   where commands are put together; the device's answer is its last byte
 * @ctrl_tail:  commands so far
 * @ctrl_lost:  one was not answered: none is given any more until the next start
 * @ctrl_limit_ms: for an answer
 * @has_news:   the configuration changed, and has not been read as a whole since
 */
struct virtio_pci {
	struct virtio_port v;
	struct quoll_region *bars[6];
	volatile uint8_t *common;
	volatile uint8_t *notify;
	volatile uint8_t *device;
	uint64_t notify_bytes;
	uint64_t device_bytes;
	uint32_t notify_multiplier;
	unsigned int nr_vectors;
	int config_fd;
	struct virtio_ring *ctrl;
	struct virtio_ring ctrl_ring;
	uint8_t *ctrl_mem;
	uint16_t ctrl_tail;
	bool ctrl_lost;
	bool has_news;
	uint32_t ctrl_limit_ms;
	uint32_t nr_checks;
};

static inline struct virtio_pci *virtio_pci(struct virtio_port *v)
{
	return (struct virtio_pci *)v;
}

/* pci.c: how long ring @i may be, which is the selected one from then on; 0: there is none. */
unsigned int virtio_pci_ring_entries(struct virtio_pci *p, uint16_t i);

/* ctrl.c */

/* Its ring, if one was agreed on; not told to the device yet. */
int virtio_ctrl_make(struct virtio_pci *p, struct quoll_error *err);
void virtio_ctrl_free(struct virtio_pci *p);
/* Filters and table, by commands. Return: 0; -EIO: refused; -ETIMEDOUT: not answered, now or before. */
int virtio_ctrl_apply(struct virtio_pci *p, const struct quoll_port_settings *s, struct quoll_error *err);
/* The same, and the queue pairs, once the device works. */
int virtio_ctrl_start(struct virtio_pci *p, struct quoll_error *err);

#endif
