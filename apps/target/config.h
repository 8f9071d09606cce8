/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config.h - what a target is to be: from a JSON file, from options, or both.
 *
 * The file is read strictly: a key that nobody knows, twice the same key, or a value of the wrong kind is an error that
 * says where. What belongs to namespaces' addresses is checked when they are opened.
 */
#ifndef QUOLL_TARGET_CONFIG_H
#define QUOLL_TARGET_CONFIG_H

#include <quoll/addr.h>

#include "fault.h"
#include "subsystem.h"

#define CONFIG_MAX_LISTENERS 64u
#define CONFIG_MAX_FAULTS 64u
#define CONFIG_MAX_THREADS 64u
#define CONFIG_MAX_BYTES (1u << 20) /* of a file */
#define CONFIG_PATH_BYTES 108u	    /* of a socket, terminator included (struct sockaddr_un) */

/**
 * struct config_listener - where a controller is offered
 * @text:   the address, for messages
 * @path:   of the socket
 * @mapped: doorbells may be mapped
 */
struct config_listener {
	char text[QUOLL_ADDR_MAX_BYTES];
	char path[CONFIG_PATH_BYTES];
	bool mapped;
};

/**
 * struct config_ns - a namespace
 * @nsid: 0: the first that is free
 */
struct config_ns {
	char text[QUOLL_ADDR_MAX_BYTES];
	uint32_t nsid;
};

/**
 * struct target_config - a target; zeroed it is one without listeners
 * @nqn, @serial: "" for one that this target has always (names.h)
 * @model:      "" for the default
 * @nr_threads: 0: one
 * @nr_cores:   0, or as many as threads: they are pinned
 * @control:    path of the control socket, or ""
 */
struct target_config {
	char nqn[TGT_NQN_BYTES];
	char serial[TGT_SERIAL_BYTES];
	char model[TGT_MODEL_BYTES];
	unsigned int nr_listeners;
	unsigned int nr_ns;
	unsigned int nr_faults;
	unsigned int nr_threads;
	unsigned int nr_cores;
	struct config_listener listeners[CONFIG_MAX_LISTENERS];
	struct config_ns ns[TGT_MAX_NAMESPACES];
	struct tgt_fault faults[CONFIG_MAX_FAULTS];
	unsigned int cores[CONFIG_MAX_THREADS];
	char control[CONFIG_PATH_BYTES];
	bool never_sleep;
};

/**
 * config_add_listener(), config_add_ns(), config_add_fault() - one more, as options have it
 * @text: vfio-user:PATH[?doorbells=mapped|trapped]; mem:SIZE and the like; a line as in fault.h
 * @err:  -EINVAL; -ENAMETOOLONG; -ENOSPC: there are too many
 */
int config_add_listener(struct target_config *config, const char *text, struct quoll_error *err);
int config_add_ns(struct target_config *config, const char *text, uint32_t nsid, struct quoll_error *err);
int config_add_fault(struct target_config *config, const char *text, struct quoll_error *err);

/**
 * config_set_nqn(), config_set_serial() - what the subsystem is called; their alphabets are checked when it is made
 */
int config_set_nqn(struct target_config *config, const char *nqn, struct quoll_error *err);
int config_set_serial(struct target_config *config, const char *serial, struct quoll_error *err);

/**
 * config_set_control() - the path of the control socket
 */
int config_set_control(struct target_config *config, const char *path, struct quoll_error *err);

/**
 * config_parse() - add what a JSON text says; on error @config is of no use
 * @name: of the file, for messages
 * @err:  -EINVAL: "line 3, column 7: …" or "listeners[1].doorbells: …"; -ENOSPC; -ENOMEM
 */
int config_parse(struct target_config *config, const char *text, size_t len, const char *name, struct quoll_error *err);

/**
 * config_load() - the same from a file
 * @err: also -errno of reading it; -EFBIG
 */
int config_load(struct target_config *config, const char *path, struct quoll_error *err);

/**
 * config_check() - whether it all goes together: there is a listener, and a core a thread
 */
int config_check(const struct target_config *config, struct quoll_error *err);

#endif
