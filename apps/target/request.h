/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * request.h - one command on its way: the copy of its submission queue entry, what the checks made of it, and what came
 * of it. Transport, controller and namespace hand it on; whoever has it owns it.
 */
#ifndef QUOLL_TARGET_REQUEST_H
#define QUOLL_TARGET_REQUEST_H

#include <stdbool.h>
#include <sys/uio.h>

#include <nvme/types.h>

#include <nvme/nvme_wire.h>
#include <quoll/types.h>

/* The most that one command moves, and what Identify says of it: MDTS counts 4 KiB pages. */
#define TGT_MDTS 8u
#define TGT_MAX_BYTES (4096u << TGT_MDTS)
/* One a page, one for a first page that is not whole, and some for pages that straddle the host's ranges. */
#define TGT_MAX_SEGS 264u
#define TGT_MAX_BATCH 32u

/* Status as struct tgt_req has it: SC, SCT << 8 and NVME_SC_DNR, which is to say bits 31:17 of completion dword 3. */
#define TGT_SC(name) ((uint16_t)(NVME_SC_##name | NVME_SC_DNR))
#define TGT_SC_CMD(name) ((uint16_t)(NVME_SCT_CMD_SPECIFIC << NVME_SCT_SHIFT | NVME_SC_##name | NVME_SC_DNR))
#define TGT_SC_MEDIA(name) ((uint16_t)(NVME_SCT_MEDIA << NVME_SCT_SHIFT | NVME_SC_##name))

enum tgt_op {
	TGT_OP_READ,
	TGT_OP_WRITE,
	TGT_OP_COMPARE,
	TGT_OP_FLUSH,
	TGT_OP_ZEROES,
	TGT_OP_DISCARD, /* of the extents; what was there reads as zeroes, or as before */
};

/**
 * union tgt_seg - one element of a request's list
 * @mem:    host memory, mapped here
 * @remote: host memory by its address, if the request is remote
 * @extent: a piece of the namespace, for TGT_OP_DISCARD
 */
union tgt_seg {
	struct iovec mem;
	struct {
		uint64_t iova;
		size_t len;
	} remote;
	struct {
		uint64_t offset;
		size_t len;
	} extent;
};

static_assert(sizeof(union tgt_seg) == sizeof(struct iovec), "a list of mapped segments is one of struct iovec");

struct tgt_fault;
struct tgt_ns_slot;

/**
 * struct tgt_sq - what the controller knows of a submission queue; transports put their own fields behind it
 * @id:       0 is the admin queue
 * @nr_inflight: requests that came from it and have not completed
 */
struct tgt_sq {
	uint16_t id;
	uint32_t nr_inflight;
};

/**
 * struct tgt_req - a command
 * @cmd:     the entry, copied once
 * @iov:     data for the back end; @segs, or the bounce buffer
 * @offset:  where in the namespace, in bytes
 * @bytes:   how much
 * @nr_iov:  elements of @iov; extents for TGT_OP_DISCARD
 * @op:      enum tgt_op
 * @fua:     durable before it completes
 * @remote:  @segs are addresses; data goes through @bounce
 * @waits:   answered by an event, not by the end of this call
 * @status:  see TGT_SC()
 * @result:  completion dword 0
 * @slot:    the namespace, while the back end has the request
 * @sq:      where it came from
 * @next:    of the list that it is in
 * @phase, @cursor, @private: the back end's, all 0 when it gets the request and not looked at when it hands it back
 * @bounce:  data of a remote request
 * @due:     when a delayed completion may go, in clock ticks
 * @fault:   what is to go wrong with it, or NULL
 */
struct tgt_req {
	struct nvme_sqe cmd;
	struct iovec *iov;
	uint64_t offset;
	uint32_t bytes;
	uint16_t nr_iov;
	uint8_t op;
	bool fua;
	bool remote;
	bool waits;
	uint8_t phase;
	uint16_t status;
	uint32_t result;
	struct tgt_ns_slot *slot;
	struct tgt_sq *sq;
	struct tgt_req *next;
	union tgt_seg *segs;
	uint16_t nr_segs;
	uint64_t cursor;
	void *private;
	void *bounce;
	struct iovec bounce_iov;
	uint64_t due;
	const struct tgt_fault *fault;
};

static inline uint16_t tgt_req_cid(const struct tgt_req *req)
{
	return quoll_le16_to_cpu(req->cmd.cid);
}

static inline uint32_t tgt_req_nsid(const struct tgt_req *req)
{
	return quoll_le32_to_cpu(req->cmd.nsid);
}

/* First in, first out. */
struct tgt_fifo {
	struct tgt_req *head;
	struct tgt_req **tail;
};

static inline void tgt_fifo_init(struct tgt_fifo *fifo)
{
	fifo->head = NULL;
	fifo->tail = &fifo->head;
}

static inline void tgt_fifo_push(struct tgt_fifo *fifo, struct tgt_req *req)
{
	req->next = NULL;
	*fifo->tail = req;
	fifo->tail = &req->next;
}

static inline struct tgt_req *tgt_fifo_pop(struct tgt_fifo *fifo)
{
	struct tgt_req *req = fifo->head;

	if (req) {
		fifo->head = req->next;
		if (!fifo->head)
			fifo->tail = &fifo->head;
	}
	return req;
}

#endif
