/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * listener.h - a controller offered on a vfio-user socket: the function (pcie.h), the server, and their place in a
 * loop.
 *
 * Thread rule: the thread that runs the loop; before it runs and after it has ended, the one that made the listener.
 */
#ifndef QUOLL_TARGET_LISTENER_H
#define QUOLL_TARGET_LISTENER_H

#include <quoll/loop.h>

#include "config.h"
#include "pcie.h"

struct listener;

/**
 * struct listener_stats - what it has done, and how it is now
 * @connected: a client is there
 * @ready:     and has enabled the controller
 * @nr_queues: I/O queues that it has made
 * @cntlid:    the controller's id
 * @counters:  of commands, since the listener was made
 * @nr_errors: commands that ended with an error
 * @fault_hits: commands that an injected fault picked
 */
struct listener_stats {
	struct quoll_server_stats server;
	bool connected;
	bool ready;
	unsigned int nr_queues;
	uint16_t cntlid;
	struct tgt_counters counters;
	uint64_t nr_errors;
	uint64_t fault_hits;
};

/**
 * listener_create() - listen, with pollers in @loop
 * @config: copied
 * @err:    as quoll_server_create() and tgt_pcie_create()
 */
int listener_create(struct tgt_subsys *subsys, const struct config_listener *config, struct quoll_loop *loop,
		    struct listener **listener, struct quoll_error *err);

const struct config_listener *listener_config(const struct listener *listener);
void listener_stats(const struct listener *listener, struct listener_stats *stats);

/**
 * listener_faults() - what is to go wrong from now on, in place of what was; counting begins anew
 * @faults: copied, at most CONFIG_MAX_FAULTS
 */
void listener_faults(struct listener *listener, const struct tgt_fault *faults, unsigned int nr);

/**
 * listener_drain() - no further client, no further command; listener_drained() - what was in flight has ended
 */
void listener_drain(struct listener *listener);
bool listener_drained(const struct listener *listener);

/**
 * listener_destroy() - flush the namespaces, send the client away, remove the socket; the loop doesn't run any more
 * @wait_ms: how long back ends may take
 * Return: 0; -ETIMEDOUT: they took longer; the socket is gone, but the function and its subsystem must stay.
 */
int listener_destroy(struct listener *listener, unsigned int wait_ms);

#endif
