/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_stage.h - between a queue's user and its driver, where buffers lie outside of the heap: they are mapped by the
 * queue's stream before the driver gets them, and unmapped before the user does.
 *
 * A driver meets nothing new: its cache is that of an annex (pool.h), in which all buffers are mapped. So a buffer is
 * within the device's reach while the driver has it: on the ring, or about to be posted to receive into, which the
 * device can only write then.
 */
#ifndef QUOLL_NET_STAGE_H
#define QUOLL_NET_STAGE_H

#include "net_driver.h"

/**
 * net_stages_open() - before the driver's start: stages for the queues that need one; their caches take the places of
 * the user's in port->rx_caches and port->tx_caches. Receive queues get their buffers. On failure net_stages_close()
 */
int net_stages_open(struct quoll_port *port, const struct quoll_port_queues *queues, struct quoll_error *err);

/* After start: the queues' bursts are the stages'. */
void net_stages_enter(struct quoll_port *port);

/* After the driver's stop: all is unmapped and in the user's caches. */
void net_stages_close(struct quoll_port *port);

#endif
