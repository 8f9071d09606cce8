/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_stage.h - between a queue's user and its driver, where buffers lie outside of the heap: they are mapped by the
 * queue's stream before the driver gets them, and unmapped before the user does.
 *
 * A driver meets nothing new: its cache is that of an annex (pool.h), in which all buffers are mapped. So a buffer is
 * within the device's reach while the driver has it: on the ring, or about to be posted to receive into, which the
 * device can only write then. Where buffers bounce, what the device sees of them is a copy: a driver that reads itself
 * what was received, or writes to a frame that it has to send, says so.
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

/* How often a buffer for a receive queue could not be mapped, and another one was taken. */
uint64_t net_stage_unmappable(const struct net_stage *stage);

/* Whether a queue that the driver makes is behind one. */
static inline bool net_rx_is_staged(const struct quoll_rxq *rxq)
{
	return rxq->port->rx_stages[rxq->id];
}

static inline bool net_tx_is_staged(const struct quoll_txq *txq)
{
	return txq->port->tx_stages[txq->id];
}

/*
 * For the driver of a staged queue, once for each buffer that it hands out: the @bytes that the device wrote there,
 * from front_bytes before its data on, can be read, and what the driver writes there stays.
 */
void net_stage_received(const struct quoll_rxq *rxq, const struct quoll_buf *buf, uint32_t bytes);
/* Likewise: the driver has written to the data of a frame that it has to send. */
void net_stage_written(const struct quoll_txq *txq, const struct quoll_buf *frame);

#endif
