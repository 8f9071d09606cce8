/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plan.h - what the options of `quoll fwd` come to, worked out without touching a device: which queue is forwarded to
 * which port by which thread, how many buffers that takes, and lists of MAC addresses.
 */
#ifndef QUOLL_APPS_FWD_PLAN_H
#define QUOLL_APPS_FWD_PLAN_H

#include <quoll/types.h>

#define PLAN_HEADROOM_BYTES 128u

/**
 * struct plan_queue - one receive queue: frames of queue @queue of @port leave by queue @queue of @out_port
 */
struct plan_queue {
	unsigned int port;
	unsigned int queue;
	unsigned int out_port;
	unsigned int thread;
};

/**
 * plan_out_port() - first and second port are a pair, third and fourth, …; a single port is its own partner
 */
unsigned int plan_out_port(unsigned int nr_ports, unsigned int port);

/**
 * plan_queues() - deal all receive queues out to threads
 * @queues: room for @nr_ports * @nr_queues, filled in pair by pair, queue by queue, both directions side by side.
 *          Threads take consecutive runs of it that differ in length by one at most, so both directions of a queue pair
 *          stay on one thread where there are no more threads than pairs of queues
 * Every thread has work if there are no more threads than queues.
 */
void plan_queues(unsigned int nr_ports, unsigned int nr_queues, unsigned int nr_threads, struct plan_queue *queues);

/**
 * plan_nr_bufs() - how many buffers keep every queue going
 * @nr_ring_entries: descriptors of all receive and transmit rings; each may hold a buffer
 * @cache_size:      of each thread's cache, whose buffers nobody else gets
 */
uint32_t plan_nr_bufs(uint32_t nr_ring_entries, unsigned int nr_threads, uint32_t cache_size, unsigned int burst);

/**
 * plan_buf_bytes() - a buffer for one frame of that MTU, with headroom, and room for what devices round sizes up to
 */
uint32_t plan_buf_bytes(unsigned int mtu);

/**
 * plan_parse_macs() - "02:00:00:00:00:01,02:00:00:00:00:02"
 * Return: how many, -EINVAL (malformed), -ERANGE (more than @max).
 */
int plan_parse_macs(const char *text, uint8_t macs[][6], unsigned int max);

#endif
