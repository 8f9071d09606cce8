/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvme_recovery.h - commands that take too long, and controllers that have to be reset. Part of nvme.h, which includes
 * it.
 *
 * Who does what. A queue's thread notices late commands and pauses its queue for a reset, both in its polls, once a
 * millisecond; the controller's thread sends Abort commands and takes a reset from step to step, in
 * quoll_nvme_ctrl_poll(). Neither waits for the other:
 *
 *	controller's thread                     queue's thread, each in a poll
 *	reset begins                        ->  queue paused: prep says -EAGAIN, doorbells go nowhere
 *	controller disabled, DMA cut off    ->  what was in flight is handed back, or kept to be sent again; rings
 *cleared enabled, identified this queue created again            ->  what was kept is sent again; prep works
 *
 * A queue whose thread does not poll stays paused and holds up nobody else.
 *
 * Buffers. A request that is late or being aborted has not ended: its buffer is the device's until poll hands the
 * request back. That is after the device has answered it, or after the device was cut off from memory; with one
 * exception, a vfio-user server that is gone, or seems so: nobody can cut that off (@cut_off of struct
 * quoll_nvme_state).
 */
#ifndef QUOLL_NVME_RECOVERY_H
#define QUOLL_NVME_RECOVERY_H

#include <stdbool.h>

#include <quoll/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quoll_nvme;
struct quoll_nvme_queue;

/* io_timeout_ms of struct quoll_nvme_opts: wait for ever. */
#define QUOLL_NVME_NO_TIMEOUT UINT32_MAX

/**
 * enum quoll_nvme_recovery - what is done about a late command, and about a controller with fatal status or not ready
 * @QUOLL_NVME_GIVE_UP: the controller is dead, everything comes back with -EIO
 * @QUOLL_NVME_TELL:    late commands are told by quoll_nvme_timeouts(), and waited for; what to do is the caller's
 *                      choice. Fatal status: dead
 * @QUOLL_NVME_ABORT:   a late command is aborted; if it is still there after one more time-out, or the Abort command is
 *                      not answered, the controller is reset. Fatal status: reset
 * @QUOLL_NVME_RESET:   the controller is reset
 *
 * A controller that resets do not mend is dead after @max_resets of struct quoll_nvme_opts.
 *
 * The last two need somebody who calls quoll_nvme_ctrl_poll(). Where nobody does for as long as the time-out (30 s if
 * there is none), the queue's thread gives the controller up. Not in this: a device that is gone, wanted back, or
 * reports an uncorrectable error is always dead.
 */
enum quoll_nvme_recovery {
	QUOLL_NVME_GIVE_UP,
	QUOLL_NVME_TELL,
	QUOLL_NVME_ABORT,
	QUOLL_NVME_RESET,
};

/**
 * enum quoll_nvme_on_reset - what becomes of a queue's requests when the controller is reset
 * @QUOLL_NVME_RESET_FAIL:     each comes back with -ECANCELED, late ones with -ETIMEDOUT: nobody knows what the device
 *                             has done of them
 * @QUOLL_NVME_RESET_RESUBMIT: they are sent again, also what was prepared and not submitted; late and aborted ones come
 *                             back as above, and so do those that were sent again three times. All come back, with
 *                             -ESTALE, if a namespace has changed. For requests that may be carried out twice:
 *                             overlapping ones must not be in flight together. Submitting costs some 30 instructions
 *                             more a request
 */
enum quoll_nvme_on_reset {
	QUOLL_NVME_RESET_FAIL,
	QUOLL_NVME_RESET_RESUBMIT,
};

/**
 * quoll_nvme_ctrl_poll() - look after the controller: health, Abort commands, a reset's next step, queues to be created
 * again
 *
 * Return: 0; 1: a reset or an abort is under way, which goes on as often as this is called; -ENODEV, -EIO: dead.
 * Thread rule: the controller's thread. Never blocks: some microseconds while nothing is wrong, some hundred in a
 * reset. Ten times a second is often enough while all is well.
 */
QUOLL_API int quoll_nvme_ctrl_poll(struct quoll_nvme *nvme);

/**
 * quoll_nvme_reset() - begin a controller reset (CC.EN; Base Specification 2.0, 3.7.2); ctrl_poll and polls carry it on
 *
 * Disabled and enabled again within CAP.TO each, identified again. A controller that fails in that, or that says it is
 * another one (serial number, model, capabilities), is dead. Namespaces: those that are gone say -ENOENT afterwards,
 * new ones are there, the size is the present one; quoll_nvme_ns_at() tells, and pointers from quoll_nvme_id_ns() are
 * void. -ESTALE after a Format is over. Requests: see enum quoll_nvme_on_reset; prep says -EAGAIN meanwhile.
 * quoll_nvme_admin() waits for its end, and so do queues that are made or destroyed.
 *
 * Return: 0, also if one is under way; -ENODEV, -EIO: dead. Thread rule: the controller's thread.
 */
QUOLL_API int quoll_nvme_reset(struct quoll_nvme *nvme);

/**
 * enum quoll_nvme_phase - what a controller does
 */
enum quoll_nvme_phase {
	QUOLL_NVME_RUNNING,
	QUOLL_NVME_RESETTING,
	QUOLL_NVME_DEAD,
};

/**
 * struct quoll_nvme_state - how a controller fares; counters since it was opened
 * @phase:       now
 * @error:       -ENODEV or -EIO if dead
 * @cut_off:     dead, and it can't write into memory any more: bus mastering is off, or it was pulled. False of a dead
 *               vfio-user device whose server does not answer: buffers that were its own may change until the heap is
 *               destroyed, see heap.h
 * @timeouts:    I/O commands that were late, parts of split requests counted one by one
 * @aborts:      Abort commands that were answered
 * @aborted:     of them, those that said that the command was aborted
 * @resets:      that ended well
 * @ns_changes:  resets after which the namespaces were not the same as before
 */
struct quoll_nvme_state {
	enum quoll_nvme_phase phase;
	int error;
	bool cut_off;
	uint64_t timeouts;
	uint64_t aborts;
	uint64_t aborted;
	uint64_t resets;
	uint64_t ns_changes;
};

/**
 * quoll_nvme_state() - Thread rule: any thread; each value is right at some moment.
 */
QUOLL_API void quoll_nvme_state(const struct quoll_nvme *nvme, struct quoll_nvme_state *state);

/**
 * quoll_nvme_abort() - ask the device to abort what was prepared with @user_data
 *
 * Best effort (Base Specification 2.0, 5.1): a request may still end well; one that was aborted comes back with status
 * 007h (Command Abort Requested). Of a split request no further part is sent, and it comes back with -ECANCELED at
 * least. One Abort command a queue is under way at a time, and no more than the controller takes (ACL).
 *
 * Return: 0: asked for; -ENOENT: nothing in flight has that; -ENODEV: dead. Thread rule: the queue's thread; looks at
 * each slot, so not for the hot path.
 */
QUOLL_API int quoll_nvme_abort(struct quoll_nvme_queue *queue, uint64_t user_data);

/**
 * quoll_nvme_timeouts() - requests in flight that are late and were not told yet, each once
 * @user_data: array of @max entries
 *
 * Return: number filled in. Thread rule: the queue's thread; a look at one word if there is none.
 */
QUOLL_API unsigned int quoll_nvme_timeouts(struct quoll_nvme_queue *queue, uint64_t *user_data, unsigned int max);

#ifdef __cplusplus
}
#endif
#endif
