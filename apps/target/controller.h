/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controller.h - an NVMe I/O controller's logic: admin and I/O commands, features, log pages, events. Where commands
 * come from and completions go is the transport's business.
 *
 * A transport takes an empty request (tgt_ctrl_req()), fills in @cmd and @sq, hands it over (tgt_ctrl_admin(),
 * tgt_ctrl_io()), and gets it back through its complete(), sooner or later, exactly once.
 *
 * Sources: NVM Express Base Specification 2.0, NVM Command Set Specification 1.0.
 * Thread rule: a controller, its transport and its queues belong to one thread, which makes and destroys it too.
 */
#ifndef QUOLL_TARGET_CONTROLLER_H
#define QUOLL_TARGET_CONTROLLER_H

#include <quoll/clock.h>

#include "dptr.h"
#include "fault.h"
#include "subsystem.h"

#define TGT_MAX_IO_QUEUES 64u
#define TGT_MAX_REQS 1024u
#define TGT_MAX_AERS 4u
#define TGT_MAX_VECTORS (TGT_MAX_IO_QUEUES + 1)
#define TGT_NR_ERRORS 64u
#define TGT_NR_FEATURES 32u

/**
 * struct tgt_transport_ops - what a transport does for the controller
 * @complete: these are finished: tell the host, then give each back with tgt_ctrl_req_put(). A batch at most
 * @admin:    admin commands that are the transport's: the queues. Return: status, with @req->result; @req->waits set:
 * it completes it itself, later. NULL: there are none
 * @has_io_queues: whether the host has made any
 * @fault:    CSTS or the device is to fail (TGT_FAULT_CSTS, TGT_FAULT_GONE); no command will be answered any more
 */
struct tgt_transport_ops {
	void (*complete)(void *arg, struct tgt_req *const *reqs, unsigned int n);
	uint16_t (*admin)(void *arg, struct tgt_req *req);
	bool (*has_io_queues)(void *arg);
	void (*fault)(void *arg, const struct tgt_fault *fault);
};

/**
 * struct tgt_transport - what the controller knows of its transport
 * @guest:         the host's memory
 * @max_io_queues: at most TGT_MAX_IO_QUEUES
 * @nr_vectors:    interrupts; 0: there are none, nor features for them
 * @kas:           granularity of Keep Alive in 100 ms; 0: there is none
 * @vid, @ssvid:   PCI vendor and subsystem vendor
 * @doorbell_buffers: Doorbell Buffer Config is one of its admin commands
 */
struct tgt_transport {
	const struct tgt_transport_ops *ops;
	void *arg;
	struct tgt_guest *guest;
	uint16_t max_io_queues;
	uint16_t nr_vectors;
	uint16_t kas;
	uint16_t vid;
	uint16_t ssvid;
	bool doorbell_buffers;
};

/* One controller's hold on a namespace. */
struct tgt_ns_slot {
	const struct tgt_ns_ops *ops;
	struct tgt_ns_chan *chan;
	uint64_t nr_lbas; /* 0: not active */
	uint32_t lba_shift;
	uint32_t nr_inflight;
	struct tgt_ns *ns;
	uint32_t error_recovery; /* feature 05h, one a namespace */
	bool leaving;		 /* removed, but commands are in flight */
	bool changed;		 /* in the Changed Namespace List */
};

/* Features (features.c): plain values by identifier, and those that are more than a value. */
struct tgt_features {
	uint32_t values[TGT_NR_FEATURES];
	uint16_t temp_over;
	uint16_t temp_under;
	bool vector_plain[TGT_MAX_VECTORS]; /* coalescing disabled */
	uint64_t timestamp_ms;
	uint64_t timestamp_ticks;
	bool timestamp_set;
	uint8_t host_behavior[3];
};

/* Asynchronous events (events.c): what waits, and what happened while nothing did. One bit an event type. */
struct tgt_events {
	struct tgt_req *waiting[TGT_MAX_AERS];
	unsigned int nr_waiting;
	uint8_t pending;
	uint8_t masked;
	uint8_t info[8];
	uint8_t lid[8];
};

/* SMART / Health (log_page.c), counted by command. */
struct tgt_counters {
	uint64_t units_read; /* of 512 bytes */
	uint64_t units_written;
	uint64_t reads;
	uint64_t writes;
	uint64_t media_errors;
};

/**
 * struct tgt_ctrl - the controller
 * @batch:      commands that are begun, or ended, at once; TGT_MAX_BATCH, or 1 while the host's memory is slow
 * @halted:     by an injected fault: nothing is answered
 * @stopping:   reset: nothing is started, nothing is reported
 * @cut_off:    the transport's: the host's memory is out of reach
 * @generation: of the subsystem's namespaces that @slots shows
 * @polled:     slots whose back end wants to be polled
 * @late:       completions that an injected fault delays
 * @dropped:    those that it lost; Abort finds them
 */
struct tgt_ctrl {
	struct tgt_dptr dptr;
	struct tgt_req *free_reqs;
	uint32_t nr_taken;
	uint32_t batch;
	bool halted;
	bool stopping;
	bool cut_off;
	bool write_through; /* the volatile write cache is off: each write is durable */
	uint32_t generation;
	bool leaving;	   /* slots wait for their commands */
	uint32_t nr_syncs; /* grows whenever channels may have changed */
	struct tgt_fault *faults;
	unsigned int nr_faults;
	struct tgt_counters counters;
	struct tgt_ns_slot slots[TGT_MAX_NAMESPACES];
	uint16_t polled[TGT_MAX_NAMESPACES];
	unsigned int nr_polled;

	struct tgt_transport transport;
	struct tgt_subsys *subsys;
	struct quoll_clock clock;
	uint16_t cntlid;
	uint16_t nr_queues; /* allocated to the host by feature 07h, of each kind */
	struct tgt_features features;
	struct tgt_events events;
	struct nvme_error_log_page errors[TGT_NR_ERRORS];
	uint64_t nr_errors;
	uint64_t started_ticks;
	struct tgt_req *late;
	struct tgt_req *dropped;
	struct tgt_req *reqs;
	union tgt_seg *segs;
	struct tgt_sq own; /* where requests that are no host's come from */
};

/**
 * tgt_ctrl_create() - a controller of this subsystem, stopped
 * @transport: copied; its guest and arg must outlive the controller
 * @err: -ENOSPC: too many controllers; -ENOMEM
 */
int tgt_ctrl_create(struct tgt_subsys *subsys, const struct tgt_transport *transport, struct tgt_ctrl **ctrl,
		    struct quoll_error *err);

/**
 * tgt_ctrl_destroy() - it must be stopped; the transport has given all requests back
 */
void tgt_ctrl_destroy(struct tgt_ctrl *ctrl);

/**
 * tgt_ctrl_start() - the host has enabled it: features at their defaults, no events
 * @page_shift: of the host's memory pages: CC.MPS + 12
 */
void tgt_ctrl_start(struct tgt_ctrl *ctrl, unsigned int page_shift);

/**
 * tgt_ctrl_stop() - the host disables it, or is gone. What waits (events, delayed and dropped completions) comes back
 * to complete() at once, with status Command Abort Requested, and what is in flight as it ends; the host isn't told.
 */
void tgt_ctrl_stop(struct tgt_ctrl *ctrl);

/**
 * tgt_ctrl_abort_queue() - what an injected fault holds back of this queue's completions comes back at once, with
 * status Command Aborted due to SQ Deletion
 */
void tgt_ctrl_abort_queue(struct tgt_ctrl *ctrl, uint16_t sqid);

/**
 * tgt_ctrl_idle() - all requests have come back; poll until then
 */
static inline bool tgt_ctrl_idle(const struct tgt_ctrl *ctrl)
{
	return !ctrl->nr_taken;
}

/**
 * tgt_ctrl_busy() - back ends have requests; others (events, what an injected fault holds back) may wait for long
 */
bool tgt_ctrl_busy(const struct tgt_ctrl *ctrl);

/**
 * tgt_ctrl_uses() - back ends have requests whose data is in this memory of ours
 */
bool tgt_ctrl_uses(const struct tgt_ctrl *ctrl, const void *va, uint64_t len);

/**
 * tgt_ctrl_moving() - of how many requests back ends move data from and to the host's memory, by themselves
 * Those whose data goes by messages are not among them: it is we who send these.
 */
unsigned int tgt_ctrl_moving(const struct tgt_ctrl *ctrl);

/**
 * tgt_ctrl_let_go() - for a transport that takes away memory of ours; it isn't in the guest's view any more
 * Return: true: no request points there, and no back end has it registered; else ask again after a poll.
 */
bool tgt_ctrl_let_go(const struct tgt_ctrl *ctrl, const void *va, uint64_t len);

/**
 * tgt_ctrl_flush() - what the host has written becomes durable; the controller is stopped and idle
 * Over when it is idle again; what went wrong is logged. complete() gets requests then that are no host's.
 */
void tgt_ctrl_flush(struct tgt_ctrl *ctrl);

/**
 * tgt_ctrl_faults() - what is to go wrong from now on; the table is the caller's and must stay
 */
void tgt_ctrl_faults(struct tgt_ctrl *ctrl, struct tgt_fault *faults, unsigned int nr);

/**
 * tgt_ctrl_req() - an empty request, or NULL: all are taken, ask again after poll
 */
static inline struct tgt_req *tgt_ctrl_req(struct tgt_ctrl *ctrl)
{
	struct tgt_req *req = ctrl->free_reqs;

	if (QUOLL_LIKELY(req)) {
		ctrl->free_reqs = req->next;
		ctrl->nr_taken++;
	}
	return req;
}

static inline void tgt_ctrl_req_put(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	req->next = ctrl->free_reqs;
	ctrl->free_reqs = req;
	ctrl->nr_taken--;
}

/**
 * tgt_ctrl_admin() - one command of the admin queue
 */
void tgt_ctrl_admin(struct tgt_ctrl *ctrl, struct tgt_req *req);

/**
 * tgt_ctrl_io() - commands of I/O queues, at most TGT_MAX_BATCH
 */
void tgt_ctrl_io(struct tgt_ctrl *ctrl, struct tgt_req *const *reqs, unsigned int n);

/**
 * tgt_ctrl_complete() - for a request that waited: through injected faults and counters to the transport's complete()
 */
void tgt_ctrl_complete(struct tgt_ctrl *ctrl, struct tgt_req **reqs, unsigned int n);

/**
 * tgt_ctrl_poll() - back ends, delays, changes of namespaces
 * Return: how many requests finished.
 */
unsigned int tgt_ctrl_poll(struct tgt_ctrl *ctrl);

/**
 * tgt_ctrl_event() - something the host may want to hear of (Base 2.0, 5.2): at once, or with its next request for
 * events
 * @type: enum nvme_ae_type
 * @lid:  the log page that has more, and that clears it
 */
void tgt_ctrl_event(struct tgt_ctrl *ctrl, uint8_t type, uint8_t info, uint8_t lid);

#endif
