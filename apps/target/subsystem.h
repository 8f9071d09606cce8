/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * subsystem.h - one NVM subsystem: its name, its namespaces, its controllers, the hosts that may connect.
 *
 * Thread rule: any thread. Changes take the subsystem's lock; controllers learn of them by a generation that they read
 * in each poll, and take part on their own thread (controller.h).
 */
#ifndef QUOLL_TARGET_SUBSYSTEM_H
#define QUOLL_TARGET_SUBSYSTEM_H

#include <pthread.h>

#include <quoll/env.h>

#include "ns.h"

#define TGT_MAX_NAMESPACES 256u /* NN: NSIDs are 1 to that */
#define TGT_MAX_CONTROLLERS 1024u
#define TGT_MAX_HOSTS 64u
#define TGT_NQN_BYTES 224u /* Base 2.0, 4.5: 223 and the terminator */

struct tgt_ctrl;

#define TGT_SERIAL_BYTES 21u /* Base 2.0, Figure 275: 20, and our terminator */
#define TGT_MODEL_BYTES 41u

/**
 * struct tgt_subsys_opts - what a subsystem calls itself; NULL members have defaults
 * @nqn:    name of the subsystem
 * @serial: at most 20 ASCII characters
 * @model:  at most 40 ASCII characters
 */
struct tgt_subsys_opts {
	const char *nqn;
	const char *serial;
	const char *model;
};

/**
 * struct tgt_subsys - the subsystem; all but the names under @lock
 * @generation: grows with each change of @ns; read without the lock
 * @ns:         by NSID - 1
 * @ctrls:      by controller id - 1
 * @hosts:      NQNs that may connect, if not @any_host
 */
struct tgt_subsys {
	struct quoll_env env;
	char nqn[TGT_NQN_BYTES];
	char serial[TGT_SERIAL_BYTES];
	char model[TGT_MODEL_BYTES];
	uint32_t generation;
	pthread_mutex_t lock;
	struct tgt_ns *ns[TGT_MAX_NAMESPACES];
	struct tgt_ctrl *ctrls[TGT_MAX_CONTROLLERS];
	char hosts[TGT_MAX_HOSTS][TGT_NQN_BYTES];
	unsigned int nr_hosts;
	bool any_host;
};

/**
 * tgt_subsys_create() - a subsystem without namespaces that lets any host in
 * @env: copied; NULL for the ordinary machine
 * @err: -EINVAL: a name that is too long or not of its alphabet; -ENOMEM
 */
int tgt_subsys_create(const struct quoll_env *env, const struct tgt_subsys_opts *opts, struct tgt_subsys **subsys,
		      struct quoll_error *err);

/**
 * tgt_subsys_destroy() - with its namespaces; all controllers must be gone
 */
void tgt_subsys_destroy(struct tgt_subsys *subsys);

/**
 * tgt_subsys_add_ns() - a namespace becomes active in all controllers, which tell their hosts
 * @ns:   the subsystem's from now on, also on error
 * @nsid: the wanted one; 0: the first that is free
 * Return: the NSID; -EEXIST: taken; -ERANGE: not 1 to TGT_MAX_NAMESPACES; -ENOSPC: all are taken.
 */
int tgt_subsys_add_ns(struct tgt_subsys *subsys, struct tgt_ns *ns, uint32_t nsid, struct quoll_error *err);

/**
 * tgt_subsys_remove_ns() - and is no more: commands in flight end as they would, new ones are refused
 * Its memory or file is let go when the last controller has. Return: 0, -ENOENT.
 */
int tgt_subsys_remove_ns(struct tgt_subsys *subsys, uint32_t nsid, struct quoll_error *err);

/**
 * tgt_subsys_allow_host() - let this one in; from the first on, only those named
 * Return: 0, -EINVAL: not an NQN; -EEXIST, -ENOSPC.
 */
int tgt_subsys_allow_host(struct tgt_subsys *subsys, const char *nqn, struct quoll_error *err);
bool tgt_subsys_host_allowed(struct tgt_subsys *subsys, const char *nqn);

/* For controllers. */

/**
 * tgt_subsys_shared() - whether there is more than one controller, so that a host may find two ways to a namespace
 */
bool tgt_subsys_shared(struct tgt_subsys *subsys);

/**
 * tgt_subsys_attach() - Return: a controller id of 1 up, or -ENOSPC. tgt_subsys_detach() gives it back.
 */
int tgt_subsys_attach(struct tgt_subsys *subsys, struct tgt_ctrl *ctrl);
void tgt_subsys_detach(struct tgt_subsys *subsys, uint16_t cntlid);

/**
 * tgt_subsys_ids() - controller ids from @first on. Return: how many went to @ids.
 */
unsigned int tgt_subsys_ids(struct tgt_subsys *subsys, uint16_t first, uint16_t *ids, unsigned int max);

/**
 * tgt_subsys_get_ns() - the namespace with a reference, or NULL; tgt_subsys_put_ns() gives that back
 */
struct tgt_ns *tgt_subsys_get_ns(struct tgt_subsys *subsys, uint32_t nsid);
void tgt_subsys_put_ns(struct tgt_subsys *subsys, struct tgt_ns *ns);

static inline uint32_t tgt_subsys_generation(const struct tgt_subsys *subsys)
{
	/* What changed is read under the lock; this only says that there is something. */
	return __atomic_load_n(&subsys->generation, __ATOMIC_RELAXED);
}

#endif
