/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ns.h - a namespace and what a back end implements. A back end knows bytes and offsets, which the controller has
 * checked; queues, blocks and hosts are not its business.
 *
 * Thread rule: a namespace may be used by several controllers, each on its own thread, each through a channel of its
 * own. A channel belongs to one thread. Opening and closing a namespace is the subsystem's.
 */
#ifndef QUOLL_TARGET_NS_H
#define QUOLL_TARGET_NS_H

#include <quoll/addr.h>
#include <quoll/error.h>

#include "guest.h"
#include "request.h"

struct tgt_ns;

/**
 * struct tgt_ns_chan - one thread's way into a namespace; back ends put their own fields behind it
 * @fd: readable when poll has something; -1: requests finish in submit
 */
struct tgt_ns_chan {
	struct tgt_ns *ns;
	int fd;
};

/**
 * struct tgt_ns_ops - a back end
 * @chan_open:  for the calling thread; requests have data in @guest, or in memory of the controller's own. NULL: only
 * that
 * @chan_close: no request is in flight
 * @submit:     start @n requests, at most TGT_MAX_BATCH. Those that finished at once go to @done, which may be @reqs
 * itself, with their status. Return: how many did. Never blocks for long
 * @poll:       hand back what finished meanwhile, at most @max; NULL: everything finishes in submit
 * @forget:     the host takes this memory back; it has left @guest, and no request points there. Return: true: the
 * back end has nothing to do with it any more; else ask again. NULL: it never has
 * @destroy:    all channels are closed; frees the namespace
 */
struct tgt_ns_ops {
	int (*chan_open)(struct tgt_ns *ns, const struct tgt_guest *guest, struct tgt_ns_chan **chan,
			 struct quoll_error *err);
	void (*chan_close)(struct tgt_ns_chan *chan);
	unsigned int (*submit)(struct tgt_ns_chan *chan, struct tgt_req *const *reqs, unsigned int n,
			       struct tgt_req **done);
	unsigned int (*poll)(struct tgt_ns_chan *chan, struct tgt_req **done, unsigned int max);
	bool (*forget)(struct tgt_ns_chan *chan, const void *va, uint64_t len);
	void (*destroy)(struct tgt_ns *ns);
};

/**
 * struct tgt_ns_buffers - how a back end with registered buffers moved data, over all channels; relaxed atomics
 * @fixed:   transfers from or to registered memory
 * @plain:   others
 * @copied:  of both, those that went through a copy buffer
 * @refused: pieces of memory that were not registered, because the kernel or their permission doesn't allow it
 * @registered_bytes: at present
 */
struct tgt_ns_buffers {
	uint64_t fixed;
	uint64_t plain;
	uint64_t copied;
	uint64_t refused;
	uint64_t registered_bytes;
};

/**
 * struct tgt_ns - a namespace
 * @lba_shift:    9 or 12
 * @volatile_cache: writes are durable after a Flush only
 * @reads_zeroes: what was deallocated reads as zeroes
 * @uuid:         of this namespace, the same each time for a file
 * @buffers:      NULL: the back end registers none
 * @text:         the address it was made from
 * @nsid:         given by the subsystem; 0 until then
 * @refs:         the subsystem's, under its lock
 */
struct tgt_ns {
	const struct tgt_ns_ops *ops;
	uint64_t nr_lbas;
	unsigned int lba_shift;
	bool volatile_cache;
	bool reads_zeroes;
	uint8_t uuid[16];
	struct tgt_ns_buffers *buffers;
	char text[QUOLL_ADDR_MAX_BYTES];
	uint32_t nsid;
	unsigned int refs;
};

/**
 * tgt_ns_open() - a namespace from its address: mem:SIZE, null:?size=SIZE, file:PATH; options bs=512|4096, uuid=UUID,
 * and for a file registered=0|1
 * @ns:  freed by ns->ops->destroy()
 * @err: -EINVAL: the address or an option; -ENOENT, -EACCES, -EBUSY: the file; -ENOMEM
 */
int tgt_ns_open(const char *text, struct tgt_ns **ns, struct quoll_error *err);

/* What tgt_ns_open() has read, for the back ends. They allocate the namespace; tgt_ns_open() fills in the common part.
 */
struct tgt_ns_spec {
	const struct quoll_addr *addr;
	const char *text;
	uint64_t bytes; /* mem:, null: */
	unsigned int lba_shift;
	uint8_t uuid[16];
	bool has_uuid;
	bool registered; /* file: */
};

int tgt_ns_mem_open(const struct tgt_ns_spec *spec, struct tgt_ns **ns, struct quoll_error *err);
int tgt_ns_null_open(const struct tgt_ns_spec *spec, struct tgt_ns **ns, struct quoll_error *err);
int tgt_ns_file_open(const struct tgt_ns_spec *spec, struct tgt_ns **ns, struct quoll_error *err);

/* RFC 9562, 4: the text of a UUID. */
#define TGT_UUID_CHARS 37u
void tgt_uuid_text(const uint8_t uuid[16], char text[TGT_UUID_CHARS]);

/* Copy between a request's list and memory; @len at most what the list holds. */
void tgt_iov_gather(const struct iovec *iov, unsigned int nr, void *dst, size_t len);
void tgt_iov_scatter(const struct iovec *iov, unsigned int nr, const void *src, size_t len);
/* Whether list and memory are the same. */
bool tgt_iov_equal(const struct iovec *iov, unsigned int nr, const void *with, size_t len);

#endif
