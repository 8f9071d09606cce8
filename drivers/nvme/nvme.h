/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvme.h - the NVMe host driver: controllers, namespaces, queues, polled.
 *
 * PCIe and vfio-user controllers are the same code over quoll_device. Wire structures come from libnvme's headers.
 * Sources: NVM Express Base Specification 2.0, NVM Command Set 1.0, PCIe Transport 1.0.
 *
 * A queue belongs to one thread. prep… any number of times, submit once, poll: the doorbell is written once a batch.
 */
#ifndef QUOLL_NVME_H
#define QUOLL_NVME_H

#include <quoll/device.h>
#include <quoll/heap.h>
#include <quoll/stream.h>

#include "nvme_recovery.h"
#include "nvme_stats.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Base class, sub-class and programming interface that quoll_nvme_open() takes. */
#define QUOLL_NVME_CLASS_CODE 0x010802u

struct nvme_id_ctrl;
struct nvme_id_ns;
struct quoll_nvme;
struct quoll_nvme_queue;

/**
 * enum quoll_nvme_shadow - doorbells in memory (Doorbell Buffer Config, Base Specification 2.0, 5.8 and Annex B.5): the
 * controller reads them there, and says when it wants a register written
 * @QUOLL_NVME_SHADOW_AUTO:   where it offers that and registers can't be mapped, so that each write of one is a
 * message. A mapped register is cheaper than the full fence that shadows need a batch
 * @QUOLL_NVME_SHADOW_NEVER:  registers only
 * @QUOLL_NVME_SHADOW_ALWAYS: for mapped registers that are dear all the same: a hypervisor traps their writes, which
 *                            the driver can't see. Controllers that don't offer it are refused
 */
enum quoll_nvme_shadow {
	QUOLL_NVME_SHADOW_AUTO,
	QUOLL_NVME_SHADOW_NEVER,
	QUOLL_NVME_SHADOW_ALWAYS,
};

/**
 * struct quoll_nvme_opts - how to bring a controller up
 * @max_io_queues:     ask the controller for so many; 0 for 1
 * @admin_entries:     size of the admin queues, 2 .. 4096; 0 for 32; Abort commands need 4
 * @admin_timeout_ms:  longest wait for an admin command; 0 for 10,000
 * @io_timeout_ms:     an I/O command is late after that, and a quarter more at most; 0 for 30,000, less than 8 is 8
 * @recovery:          what is done then
 * @max_resets:        resets within a minute that nobody asked for, .. 64; one more and it is dead; 0 for 10
 * @shadow:            whether I/O queues have shadow doorbells
 */
struct quoll_nvme_opts {
	unsigned int max_io_queues;
	unsigned int admin_entries;
	unsigned int admin_timeout_ms;
	unsigned int io_timeout_ms;
	enum quoll_nvme_recovery recovery;
	unsigned int max_resets;
	enum quoll_nvme_shadow shadow;
};

/**
 * struct quoll_nvme_info - what a controller says of itself; strings trimmed and made printable
 * @max_transfer_bytes: of one command: from MDTS, and what one PRP list holds; larger I/O is split
 * @max_io_queues:      granted by the controller
 * @max_queue_entries:  CAP.MQES + 1
 * @nr_namespaces:      active ones
 * @page_bytes:         CC.MPS
 * @volatile_cache:     VWC: writes may be lost before a flush
 * @shadow_doorbells:   I/O queues have them; no more after a reset in which the controller refused
 */
struct quoll_nvme_info {
	char model[41];
	char serial[21];
	char firmware[9];
	char subnqn[257];
	uint16_t vendor_id;
	uint16_t controller_id;
	uint32_t version;
	uint64_t cap;
	uint32_t max_transfer_bytes;
	unsigned int max_io_queues;
	unsigned int max_queue_entries;
	unsigned int nr_namespaces;
	uint32_t page_bytes;
	bool volatile_cache;
	bool shadow_doorbells;
};

/**
 * struct quoll_nvme_ns_info - an active namespace
 * @boundary_lbas: NOIOB: I/O that crosses a multiple of this is split; 0 for none
 * @usable:        0, or why reads and writes are refused: -ENOTSUP (a format with metadata, blocks larger than one
 * command may be, another command set), -EPROTO (impossible format or size), -ESTALE (an admin command passed through
 * has formatted, created, deleted or detached it: open the controller anew)
 */
struct quoll_nvme_ns_info {
	uint32_t nsid;
	uint64_t nr_lbas;
	uint32_t lba_bytes;
	uint32_t metadata_bytes;
	uint32_t boundary_lbas;
	uint8_t nguid[16];
	uint8_t eui64[8];
	int usable;
};

/**
 * quoll_nvme_open() - reset and enable a controller, identify it and its namespaces
 * @dev:  an open device of class 01 08 02; stays the caller's
 * @heap: attached to the device's IOAS; queues and PRP lists are allocated in arenas of the driver's own
 * @opts: NULL for the defaults
 * @nvme: closed by quoll_nvme_close()
 * @err:  -ETIMEDOUT: not ready within CAP.TO (CSTS is quoted); -EIO: fatal status or a failed command (status named);
 *        -ENODEV: gone, or not of that class; -EPROTO: the controller says something impossible; -ENOTSUP: no NVM
 *        command set, page size, shadow doorbells that @opts insists on; -EINVAL: @opts; -ENOSPC, -ENOMEM: as
 * quoll_arena_create() and quoll_arena_alloc()
 *
 * Thread rule: set-up, blocks up to CAP.TO plus the admin time-outs. The controller belongs to one thread at a time,
 * each of its queues to one thread, which may be another. Until it is closed quoll_device_events() is the driver's: it
 * looks in whichever thread polls.
 */
QUOLL_API int quoll_nvme_open(struct quoll_device *dev, struct quoll_heap *heap, const struct quoll_nvme_opts *opts,
			      struct quoll_nvme **nvme, struct quoll_error *err);

/**
 * quoll_nvme_close() - delete what queues are left, shut down (CC.SHN, waits for CSTS.SHST), disable, free
 *
 * A controller that is gone or does not answer is left after its time-outs; memory is freed only once bus mastering is
 * off. Return: 0, or -ETIMEDOUT or -ENODEV if the shutdown was not clean.
 */
QUOLL_API int quoll_nvme_close(struct quoll_nvme *nvme);

QUOLL_API void quoll_nvme_info(const struct quoll_nvme *nvme, struct quoll_nvme_info *info);

/**
 * quoll_nvme_id_ctrl() - Identify Controller data (CNS 01h) as the controller sent it, little-endian
 */
QUOLL_API const struct nvme_id_ctrl *quoll_nvme_id_ctrl(const struct quoll_nvme *nvme);

/**
 * quoll_nvme_ns_at(), quoll_nvme_ns_find() - the i-th active namespace, ascending by id; by id. Return: 0, -ENOENT.
 */
QUOLL_API int quoll_nvme_ns_at(const struct quoll_nvme *nvme, unsigned int i, struct quoll_nvme_ns_info *info);
QUOLL_API int quoll_nvme_ns_find(const struct quoll_nvme *nvme, uint32_t nsid, struct quoll_nvme_ns_info *info);

/**
 * quoll_nvme_id_ns() - Identify Namespace data (CNS 00h) as the controller sent it; NULL if there is no such namespace.
 * Until the controller's thread next calls something that may carry on a reset (quoll_nvme_ctrl_poll() and what waits)
 */
QUOLL_API const struct nvme_id_ns *quoll_nvme_id_ns(const struct quoll_nvme *nvme, uint32_t nsid);

/**
 * struct quoll_nvme_cmd - an admin command to pass through
 * @data, @data_bytes: buffer in the heap, or NULL and 0; at most max_transfer_bytes
 */
struct quoll_nvme_cmd {
	uint8_t opcode;
	uint32_t nsid;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
	void *data;
	uint32_t data_bytes;
};

/**
 * quoll_nvme_admin() - one admin command, waited for
 * @result: completion dword 0; may be NULL
 *
 * Return: 0; a positive NVMe status (SCT << 8 | SC, see quoll_nvme_status_name()); -EINVAL, -EFAULT (@data is not in
 * the heap), -ETIMEDOUT, -ENODEV, -EIO, -ECANCELED (cut off by a reset). After a time-out the controller is dead, or
 * with recovery ABORT and RESET being reset, its bus mastering off first, so that it cannot write into @data later;
 * give slow commands an admin_timeout_ms to match. Refused with -EPERM: what creates or deletes queues, doorbell
 * buffers, and asynchronous event requests, which are not answered.
 */
QUOLL_API int quoll_nvme_admin(struct quoll_nvme *nvme, const struct quoll_nvme_cmd *cmd, uint32_t *result);

/**
 * quoll_nvme_status_name() - text for a status (SCT << 8 | SC), from libnvme; never NULL
 */
QUOLL_API const char *quoll_nvme_status_name(uint16_t status);

/**
 * struct quoll_nvme_queue_opts - how to make an I/O queue pair
 * @entries: 2 .. max_queue_entries, rounded up to a power of two if that fits, and to 256 where there are shadow
 *           doorbells; one less are in flight, and 32,767 at most. 0 for 256
 * @interrupts: its thread wants to sleep: an MSI-X vector of its own, masked but for quoll_nvme_queue_arm(). Polling
 *              costs no more with it
 * @on_reset: what becomes of its requests when the controller is reset
 * @stream: of the queue's thread, outlives it: memory that is not in the heap goes through that, and what bounces stays
 *          as it was if a read fails. NULL: such memory is refused
 */
struct quoll_nvme_queue_opts {
	unsigned int entries;
	bool interrupts;
	enum quoll_nvme_on_reset on_reset;
	struct quoll_stream *stream;
};

/**
 * quoll_nvme_queue_create() - one more queue pair
 * @opts:  NULL for the defaults
 * @queue: deleted by quoll_nvme_queue_destroy(), or with the controller
 * @err:   -EINVAL: entries out of range; -ENOSPC: all max_io_queues exist, the driver's arenas are full, or no vector
 *         is left for @interrupts (they are not shared); -ENOTSUP: no MSI-X; -ENOMEM; -ENODEV: gone or given up; -EIO:
 *         a failed command (status named); -ETIMEDOUT; -ECANCELED: three resets; as quoll_irq_enable()
 *
 * Thread rule: the controller's thread; blocks up to the admin time-out.
 */
QUOLL_API int quoll_nvme_queue_create(struct quoll_nvme *nvme, const struct quoll_nvme_queue_opts *opts,
				      struct quoll_nvme_queue **queue, struct quoll_error *err);

/**
 * quoll_nvme_queue_destroy() - delete the queue pair; commands still in flight end unseen
 *
 * Thread rule: the controller's thread, once the queue's own has left it; blocks up to the admin time-outs.
 */
QUOLL_API void quoll_nvme_queue_destroy(struct quoll_nvme_queue *queue);

/**
 * struct quoll_nvme_completion - one finished request
 * @user_data: as given to prep
 * @error:     0: the device answered, see @status; -ENODEV: device gone or being removed; -EIO: fatal status, broken;
 *             -ESTALE: formatted in the middle of a split request; -ECANCELED, -ETIMEDOUT: nvme_recovery.h; or prep's
 * @status:    NVMe status without the phase bit: SCT << 8 | SC; 0 is success. Of a split request: the first failure
 * @dnr:       do not retry
 * @result:    completion dword 0
 */
struct quoll_nvme_completion {
	uint64_t user_data;
	int32_t error;
	uint16_t status;
	bool dnr;
	uint32_t result;
};

/**
 * quoll_nvme_prep_read(), quoll_nvme_prep_write(), quoll_nvme_prep_flush() - a request more, not yet seen
 * @nsid:      namespace
 * @va:        buffer in the heap, or any with a stream; dword aligned, nr_lbas × lba_bytes, the device's until
 * completion
 * @lba:       first block
 * @nr_lbas:   1 .. 2^32-1; what exceeds max_transfer_bytes or crosses boundary_lbas is split, and completes once
 * @user_data: handed back
 *
 * Return: 0; -EAGAIN: no room until poll (of any queue of the stream's) returns something, or a reset goes on: poll;
 * -ENOENT: no such namespace; -ERANGE: beyond its end; -EFAULT: not DMA-able memory; -EINVAL: alignment or length 0;
 * -ENODEV: gone; else the namespace's @usable, or as quoll_stream_map(). Flush takes one namespace, not FFFFFFFFh, and
 * has no errors of memory. With a window of quoll.ko's submit maps, once for all: what that says is the completion's
 * @error; without room requests wait. Thread rule: the queue's thread; hot path.
 */
QUOLL_API int quoll_nvme_prep_read(struct quoll_nvme_queue *queue, uint32_t nsid, void *va, uint64_t lba,
				   uint32_t nr_lbas, uint64_t user_data);
QUOLL_API int quoll_nvme_prep_write(struct quoll_nvme_queue *queue, uint32_t nsid, const void *va, uint64_t lba,
				    uint32_t nr_lbas, uint64_t user_data);
QUOLL_API int quoll_nvme_prep_flush(struct quoll_nvme_queue *queue, uint32_t nsid, uint64_t user_data);

/**
 * quoll_nvme_submit() - let the device see what was prepared: one doorbell write for all of it, none if there is none
 */
QUOLL_API void quoll_nvme_submit(struct quoll_nvme_queue *queue);

/**
 * quoll_nvme_poll() - collect finished requests
 * @comps: array of @max entries
 *
 * Return: number filled in, 0 if nothing came. Once the device is gone (surprise removal, request interrupt, fatal
 * status; looked at once a millisecond) every request in flight is handed back with @error set, and prep says -ENODEV.
 * One doorbell write a batch. Also sends on what remains of split requests; where it does, the device sees what was
 * prepared before it, submitted or not. A poll takes @max completions of commands at most, parts of split requests
 * among them, so fewer than @max requests may come back though more are ready.
 */
QUOLL_API unsigned int quoll_nvme_poll(struct quoll_nvme_queue *queue, struct quoll_nvme_completion *comps,
				       unsigned int max);

/**
 * quoll_nvme_queue_fd(), quoll_nvme_queue_arm(), quoll_nvme_queue_disarm() - sleep instead of polling in vain: for a
 * poller of the loop (loop.h), which see, or around epoll_wait() on the descriptor
 *
 * Between arm and disarm fd is readable once a completion may be there, when the device has an event, or when the
 * controller is dead; it may be so without a reason. What was prepared and not submitted does not keep arm from its 0.
 * A controller that stops without a word (fatal status, hung) raises no interrupt: it is noticed in polls, so a thread
 * with requests in flight that nothing else wakes has a timer of a second or so; to be woken is enough.
 *
 * fd returns -1 without opts->interrupts. arm returns 0; 1: poll and prep first, something is there or a reset is over;
 * -ENODEV, -EIO: the controller is dead and everything was handed back; -ENOTSUP: without opts->interrupts; -errno of
 * quoll_irq_attach(). Thread rule: the queue's thread; system calls, so for the idle edge only.
 */
QUOLL_API int quoll_nvme_queue_fd(const struct quoll_nvme_queue *queue);
QUOLL_API int quoll_nvme_queue_arm(struct quoll_nvme_queue *queue);
QUOLL_API void quoll_nvme_queue_disarm(struct quoll_nvme_queue *queue);

#ifdef __cplusplus
}
#endif
#endif
