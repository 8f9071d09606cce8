/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pcie.h - an NVMe controller as a PCI Express function: config space, registers, doorbells, MSI-X. What a server of a
 * device needs is in tgt_pcie_describe(); queues are behind it (mq.h).
 *
 * Sources: NVMe Base 2.0, 3.1.3 (properties), 3.5 and 3.6 (reset, shutdown); NVMe PCIe Transport 1.0.
 * Thread rule: one thread, which is that of the controller and of the server.
 */
#ifndef QUOLL_TARGET_PCIE_H
#define QUOLL_TARGET_PCIE_H

#include <quoll/server.h>

#include "mq.h"

struct tgt_pcie;

/**
 * struct tgt_pcie_ops - what is before the function
 * @irq:  an MSI-X vector is to be signalled
 * @doorbells: the doorbells' page is in this file from now on: a client has come, and gets one that no other has had.
 *         Return: 0, or -errno: it is sent away. NULL, if doorbells aren't mapped
 * @dma_read, @dma_write: memory that the host offers but that isn't mapped here, see struct tgt_guest_ops
 */
struct tgt_pcie_ops {
	void (*irq)(void *arg, unsigned int vector);
	int (*doorbells)(void *arg, int fd);
	int (*dma_read)(void *arg, uint64_t iova, void *dst, size_t len);
	int (*dma_write)(void *arg, uint64_t iova, const void *src, size_t len);
};

/**
 * struct tgt_pcie_opts - a function
 * @mapped: the host may map the doorbells' page; else each write of one is a message
 */
struct tgt_pcie_opts {
	const struct tgt_pcie_ops *ops;
	void *arg;
	bool mapped;
};

/**
 * tgt_pcie_create() - a function with a controller of the subsystem behind it, as after power-on
 * @err: as tgt_mq_create(); -EMFILE, -ENOMEM: no memory file for the doorbells
 */
int tgt_pcie_create(struct tgt_subsys *subsys, const struct tgt_pcie_opts *opts, struct tgt_pcie **pcie,
		    struct quoll_error *err);

/**
 * tgt_pcie_destroy() - it must be idle
 */
void tgt_pcie_destroy(struct tgt_pcie *pcie);

/**
 * tgt_pcie_describe() - regions, interrupts and callbacks, for quoll_server_create()
 */
void tgt_pcie_describe(struct tgt_pcie *pcie, struct quoll_server_device *device);

/**
 * tgt_pcie_poll() - queues, and what registers have begun: resets, shutdowns
 * Return: how much was done.
 */
unsigned int tgt_pcie_poll(struct tgt_pcie *pcie);

/**
 * tgt_pcie_arm(), tgt_pcie_disarm() - as tgt_mq_arm() and tgt_mq_disarm()
 */
int tgt_pcie_arm(struct tgt_pcie *pcie);
void tgt_pcie_disarm(struct tgt_pcie *pcie);

/**
 * tgt_pcie_watch() - add the back ends' file descriptors to an epoll set, those that are not in it
 */
void tgt_pcie_watch(struct tgt_pcie *pcie, int epoll_fd);

/**
 * enum tgt_pcie_bell - where doorbells come from now
 * @TGT_BELL_NONE:    there are no queues
 * @TGT_BELL_MESSAGE: each is a message
 * @TGT_BELL_MEMORY:  I/O queues' by memory, and by a message when we sleep
 * @TGT_BELL_SILENT:  by memory only: a sleeper is not woken
 */
enum tgt_pcie_bell {
	TGT_BELL_NONE,
	TGT_BELL_MESSAGE,
	TGT_BELL_MEMORY,
	TGT_BELL_SILENT,
};

enum tgt_pcie_bell tgt_pcie_bell(const struct tgt_pcie *pcie);

/**
 * tgt_pcie_gone() - an injected fault took the device away: hang up
 */
bool tgt_pcie_gone(const struct tgt_pcie *pcie);

/**
 * tgt_pcie_hold() - the target ends: nothing is fetched any more, what is in flight ends and is answered
 */
void tgt_pcie_hold(struct tgt_pcie *pcie);

/**
 * tgt_pcie_pace() - see tgt_mq_pace()
 */
void tgt_pcie_pace(struct tgt_pcie *pcie, enum tgt_mq_pace pace);

/**
 * tgt_pcie_end() - disable, and flush the namespaces; call and poll until it is 0
 * Return: 0; -EAGAIN: commands are in flight.
 */
int tgt_pcie_end(struct tgt_pcie *pcie);

/**
 * tgt_pcie_abandon() - whatever is in flight: from now on the host may be let go of, and the function isn't destroyed
 */
void tgt_pcie_abandon(struct tgt_pcie *pcie);

struct tgt_ctrl *tgt_pcie_ctrl(struct tgt_pcie *pcie);
/* I/O queues, and whether the host has enabled the controller, for those who show it. */
unsigned int tgt_pcie_nr_queues(const struct tgt_pcie *pcie);
bool tgt_pcie_ready(const struct tgt_pcie *pcie);

#endif
