/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault.h - what the IOMMU stopped, as the kernel's log tells it.
 *
 * The kernel has no interface by which a VFIO user learns of its devices' faults; it writes them to its log. What is
 * here reads that (/dev/kmsg) and knows the lines of Intel's VT-d, AMD-Vi and ARM's SMMUv3, Linux 5.14 to 6.18. The
 * kernel limits how many lines it writes (VT-d: ten in five seconds): a missing fault proves nothing, one that is there
 * does. Which buffer it was, where.h knows.
 */
#ifndef QUOLL_FAULT_H
#define QUOLL_FAULT_H

#include <stdbool.h>

#include <quoll/env.h>
#include <quoll/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum quoll_fault_access {
	QUOLL_FAULT_UNKNOWN,
	QUOLL_FAULT_READ,      /* the device wanted to read memory */
	QUOLL_FAULT_WRITE,     /* the device wanted to write memory */
	QUOLL_FAULT_INTERRUPT, /* an interrupt message that is none of its own; there is no address */
};

/**
 * struct quoll_fault - one access that was stopped
 * @device: as the kernel spells it: "03:00.0" (VT-d tells no PCI domain), "0000:03:00.0", or "sid 0x300" if SMMUv3 does
 *          not say whose stream that is; see quoll_fault_is_of()
 * @iova:   where; VT-d tells only the page
 * @access: what the device wanted
 * @reason: why it was stopped, in the IOMMU driver's words; may be empty
 * @log_us: when, in microseconds since boot, as the log has it
 * @mark:   its place in the log, for quoll_fault_log_open()
 */
struct quoll_fault {
	char device[32];
	uint64_t iova;
	enum quoll_fault_access access;
	char reason[96];
	uint64_t log_us;
	uint64_t mark;
};

struct quoll_fault_log;
struct quoll_where;

/* quoll_fault_log_open(): only what is logged from now on. Other marks: what is behind the fault of that mark. */
#define QUOLL_FAULT_NOW UINT64_MAX

/**
 * quoll_fault_log_open() - begin to read the kernel's log
 * @env:  its dev_root has kmsg; NULL for the ordinary machine
 * @mark: QUOLL_FAULT_NOW, the mark of an earlier fault, or 0 for all that the log still has
 * @log:  closed by quoll_fault_log_close()
 * @err:  -EACCES, -EPERM: only for root, or dmesg_restrict is on (the way out is named); -ENOENT; -ENOMEM
 *
 * Thread rule: set-up; a log belongs to one thread at a time.
 */
QUOLL_API int quoll_fault_log_open(const struct quoll_env *env, uint64_t mark, struct quoll_fault_log **log,
				   struct quoll_error *err);
QUOLL_API void quoll_fault_log_close(struct quoll_fault_log *log);

/**
 * quoll_fault_log_next() - the next fault, without waiting
 *
 * Return: 1, and @fault is filled in; 0: none there now; -errno of the read. Costs system calls: not for the hot path.
 */
QUOLL_API int quoll_fault_log_next(struct quoll_fault_log *log, struct quoll_fault *fault);

/**
 * quoll_fault_log_fd() - becomes readable when the kernel logs anything, for a loop's watch; owned by the log
 */
QUOLL_API int quoll_fault_log_fd(const struct quoll_fault_log *log);

/**
 * quoll_fault_log_lost() - how often lines were overwritten before they could be read
 */
QUOLL_API uint64_t quoll_fault_log_lost(const struct quoll_fault_log *log);

/**
 * quoll_fault_is_of() - whether a fault is of this device, as far as its log line tells
 * @name: as quoll_device_info() spells it, "0000:03:00.0"
 */
QUOLL_API bool quoll_fault_is_of(const struct quoll_fault *fault, const char *name);

/* Room for the line of quoll_fault_text(), but for a name of the caller's. */
#define QUOLL_FAULT_TEXT_BYTES 512

/**
 * quoll_fault_text() - a fault in one line, without a line break:
 *   0000:03:00.0: the IOMMU stopped a write at IOVA 0x140000000 (arena "rx", offset 0x2000, va 0x7f0000002000): not ...
 * @name:  of the device; NULL for the log's
 * @where: what is at its IOVA, by quoll_heap_where() and quoll_stream_where() (where.h); NULL: nobody has looked
 * @text:  @text_bytes; what does not fit is cut
 *
 * Thread rule: any thread, does not block.
 */
QUOLL_API void quoll_fault_text(const struct quoll_fault *fault, const char *name, const struct quoll_where *where,
				char *text, size_t text_bytes);

#ifdef __cplusplus
}
#endif
#endif
