/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stream.h - memory outside of a heap, made reachable for devices for the time of one I/O.
 *
 * A stream is one thread's, and of one IOAS. For each piece of memory it picks the cheapest way that is safe, and says
 * which. What devices may reach, and for how long:
 *
 *   heap        exactly what the heap lets them reach anyway; nothing is done
 *   registered  the whole pages around the memory, for the time and the direction of the I/O: mapped by the kernel and
 *               unmapped, in a buffer that was registered, and so pinned, before
 *   window      the same for any memory, which the kernel also pins and unpins
 *   cached      the whole pages around the memory, readable, and writable if an I/O was to write there: from the first
 *               I/O on until the registration is thrown out for another, the memory goes away, it is forgotten, or the
 *               stream goes
 *   bounce      a buffer of the stream's in the heap, never the memory itself
 *
 * registered and window are two system calls for the segments of one map and unmap, and need quoll.ko (the back-end
 * kmod). A registered buffer must stay mapped where it is until quoll_stream_unregister(): devices reach the pages that
 * were there when it was registered, and nobody watches. A window pins what is there at each I/O, so the question does
 * not arise.
 *
 * A cached registration pins the pages that are there when it is made. When the process puts others in their place,
 * devices go on reaching the old ones, which stay this process's: nobody else's memory is in danger, but an I/O at that
 * address would get wrong data. So the memory is watched, by a userfaultfd and a thread, asleep mostly, for all streams
 * of the process: once munmap(), mmap() over it, mremap(), madvise() (MADV_DONTNEED, MADV_FREE, MADV_REMOVE), brk(), or
 * a free() that does one of these has returned, no I/O is mapped by a registration of what was there. One that is under
 * way keeps its pages until it ends. Each of those calls waits for the thread to wake and read, if memory that was
 * cached, now or before, is concerned; it has the CPUs and the scheduling of the thread that made the first such
 * stream, and must get to run. The kernel tells of munmap() only when the memory has gone already, and another thread
 * may have got its address by then; see enum quoll_cached_watch. What is not seen at all, and needs
 * quoll_stream_forget(): I/Os that are begun in memory which another thread is just giving up by madvise(); shared
 * memory whose file is cut or punched by ftruncate() or fallocate(), or by MADV_REMOVE through another mapping; and
 * what the kernel does not tell a userfaultfd of: shmat() with SHM_REMAP, shmdt() of hugepages, remap_file_pages(),
 * MADV_GUARD_INSTALL.
 *
 * Anonymous memory can be watched, and where the kernel has PTE_MARKER_UFFD_WP (5.19 and later; distributions do)
 * memory files, tmpfs and hugepages; memory of other files and of devices, System V's and what is shared and may not be
 * written to can't, nor where the program has a userfaultfd of its own (it gets EBUSY in turn for memory that was
 * cached first). All that goes the next way (struct quoll_stream_stats has the number and why), each time after up to
 * three system calls for nothing that take the lock of the process's memory map: for much of it, leave cached out. What
 * is cached anew costs one such call as well, two where another registration has to go for it, besides the pinning; up
 * to 16,384 places stay watched, each of which may take two areas more of what the process may have (vm.max_map_count).
 * Devices reach cached memory for good: a program must ask for this way.
 *
 * A program that closes the file of the watch (closefrom()) ends caching, until its last stream that cached has gone.
 * The child of a fork() has neither file nor thread. No privilege is needed, nor vm.unprivileged_userfaultfd.
 */
#ifndef QUOLL_STREAM_H
#define QUOLL_STREAM_H

#include <quoll/heap.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quoll_stream;

enum quoll_stream_way {
	QUOLL_WAY_HEAP,
	QUOLL_WAY_REGISTERED,
	QUOLL_WAY_WINDOW,
	QUOLL_WAY_CACHED,
	QUOLL_WAY_BOUNCE,
	QUOLL_NR_WAYS,
};

/* A set of ways. */
#define QUOLL_WAY_BIT(way) (1u << (way))

/**
 * quoll_stream_way_name() - "heap", "registered", "window", "cached", "bounce"; "unknown" for what is none
 */
QUOLL_API const char *quoll_stream_way_name(enum quoll_stream_way way);

/**
 * enum quoll_cached_watch - how the cached way learns that memory has gone
 * @QUOLL_CACHED_CHECKED: it is watched, and each quoll_stream_map() with memory for this way asks the kernel (a short
 *                        system call, for up to 511 segs one) whether somebody is just taking memory that was cached
 *                        away, and lets them end
 * @QUOLL_CACHED_WATCHED: it is watched, and the kernel not asked: a hit is a load and a comparison. For programs in
 *                        which no thread gets (mmap(), malloc()) an address that was cached before the call by which
 *                        another one gives it up has returned
 * @QUOLL_CACHED_FORGETS: nothing is watched, there is no thread, and memory of any kind is cached. The program keeps
 *                        its memory, or calls quoll_stream_forget() before it goes away
 */
enum quoll_cached_watch {
	QUOLL_CACHED_CHECKED,
	QUOLL_CACHED_WATCHED,
	QUOLL_CACHED_FORGETS,
};

/**
 * struct quoll_stream_opts - which ways, and how much of each
 * @ways:           of QUOLL_WAY_BIT(): each of them must be possible here. 0: all that are possible, and safe whatever
 *                  the program does with its memory: heap, registered (where that was asked for), window, bounce
 * @window_bytes:   of IOVAs, for what is mapped at a time: whole pages, at most 16 GiB. 0 for 16 MiB. The first stream
 *                  of an address space makes the kernel's window up to eight times as large, for those that follow, as
 *                  long as that is not more than half of what may still be pinned; all of it counts against
 *                  RLIMIT_MEMLOCK until its group is released
 * @bounce_bytes:   of buffers, rounded up to whole pages: what I/Os that bounce may have on their way together. 0 for
 *                  4 MiB
 * @cached_bytes:   so much at most is registered at a time, whole pages; it counts against RLIMIT_MEMLOCK. 0 for 64
 *                  MiB, or half of what this process may still pin
 * @cached_entries: so many registrations at most. 0 for 1,024, or half of what the IOAS has room for
 * @cached_watch:   how it is learnt that memory has gone
 */
struct quoll_stream_opts {
	unsigned int ways;
	uint64_t window_bytes;
	uint64_t bounce_bytes;
	uint64_t cached_bytes;
	unsigned int cached_entries;
	enum quoll_cached_watch cached_watch;
};

/**
 * quoll_stream_create() - a stream of one thread
 * @ioas:   with a group in it already; outlives the stream
 * @heap:   attached to @ioas; outlives the stream
 * @opts:   NULL for the defaults
 * @stream: freed by quoll_stream_destroy()
 * @err:    -EINVAL: the heap is not attached there, no such way, a number is out of range; -ENOTSUP: a way that @opts
 *          asks for is not possible (says why: devices in other processes reach only memory with a file behind it, so
 *          nothing can be registered for them; windows need quoll.ko, and one group in @ioas; memory cannot be
 *          watched where userfaultfd(2) is refused); -ERANGE, -ENOSPC: no room for a window of IOVAs; -ENXIO: no
 *          group in @ioas; -ENOMEM: RLIMIT_MEMLOCK, or no memory; else as quoll_arena_create() and quoll_arena_alloc()
 *
 * Thread rule: set-up, in the thread of @ioas and @heap. Afterwards the stream may go to another one, and any number of
 * streams may map in one IOAS at a time; but groups are claimed and released there only while none does, and -EBUSY is
 * said while a stream has a part of a window. A forked child has none of it, and makes its own.
 */
QUOLL_API int quoll_stream_create(struct quoll_ioas *ioas, struct quoll_heap *heap,
				  const struct quoll_stream_opts *opts, struct quoll_stream **stream,
				  struct quoll_error *err);

/**
 * quoll_stream_destroy() - take all mappings back, free; devices must be quiet. What is mapped then is not copied back
 *
 * Thread rule: set-up, in the thread of its IOAS and heap.
 */
QUOLL_API void quoll_stream_destroy(struct quoll_stream *stream);

#define QUOLL_SEG_READ (1u << 0)  /* by the device */
#define QUOLL_SEG_WRITE (1u << 1) /* by the device */

/**
 * struct quoll_stream_seg - one contiguous piece of memory of an I/O
 * @va, @bytes:  any memory of this process; at least 1 byte
 * @dir:         QUOLL_SEG_*
 * @way:         out, by map: enum quoll_stream_way
 * @iova:        out, by map: where devices find the first byte, the others follow
 * @valid_bytes: out, by map: @bytes. In, for unmap: how much of it, from the start, the device has written if that was
 *               what @dir said: no more is copied back, so that what an I/O that failed has left untouched stays so
 */
struct quoll_stream_seg {
	void *va;
	uint64_t bytes;
	unsigned int dir;
	unsigned int way;
	quoll_iova_t iova;
	uint64_t valid_bytes;
	/* private: */
	uint32_t token;
};

/**
 * quoll_stream_map() - give memory IOVAs, as many of @segs, from the first on, as is possible now
 * @segs: @n of them; va, bytes and dir are filled in
 *
 * To be read by a device: the memory must hold the data now. To be written: the memory is not to be touched until
 * unmap.
 *
 * Return: how many got an IOVA; if the first didn't: -EAGAIN: the room for it is taken, unmap something first; -E2BIG:
 * there is never so much; -EFAULT: outside the heap, and heap is the only way, or the kernel finds no such memory
 * there; -ENOTSUP: memory that cannot be watched, and cached is the only way; -EINVAL: no bytes, no dir, or the memory
 * wraps round; else -errno of a mapping. An address without memory is a SIGSEGV where it bounces. Thread rule: the
 * stream's; hot path, but what is not registered yet is a system call.
 */
QUOLL_API int quoll_stream_map(struct quoll_stream *stream, struct quoll_stream_seg *segs, unsigned int n);

/**
 * quoll_stream_unmap() - the I/O is over: copy back what bounced, and let its room be used for others. Devices reach
 * nothing in the window any more when it returns; many segments of one call share a flush of the IOMMU
 * @segs: as map filled them in, each once
 *
 * Thread rule: the stream's; hot path.
 */
QUOLL_API void quoll_stream_unmap(struct quoll_stream *stream, const struct quoll_stream_seg *segs, unsigned int n);

/**
 * quoll_stream_sync() - what was written of a segment since it was mapped is to be seen by the other side now, too
 * @seg: as map filled it in, still mapped
 * @dir: QUOLL_SEG_WRITE: what the device has written, valid_bytes of it, is seen at va. QUOLL_SEG_READ: what is at va
 *       is seen by the device
 *
 * A copy where it bounces; by the other ways both see the same memory, and nothing is done. Thread rule: the stream's.
 */
QUOLL_API void quoll_stream_sync(struct quoll_stream *stream, const struct quoll_stream_seg *seg, unsigned int dir);

/**
 * quoll_stream_register() - pin a buffer, so that I/Os in it need no pinning
 * @va, @bytes: whole pages; no overlap with another one
 * @dir:        QUOLL_SEG_*: of the I/Os
 *
 * Return: 0; -ENOTSUP: the way registered is not this stream's; -EINVAL; -EEXIST; -ENOSPC: more than 256, or than the
 * kernel has room for; -EFAULT: no memory there, or not writable; -ENOMEM: RLIMIT_MEMLOCK, or no memory; -EINTR: the
 * process is killed; -ENODEV: the group is lost. Thread rule: the stream's; may block.
 */
QUOLL_API int quoll_stream_register(struct quoll_stream *stream, void *va, uint64_t bytes, unsigned int dir);

/**
 * quoll_stream_unregister() - a buffer by its @va, before its memory goes away
 *
 * Return: 0; -ENOTSUP; -ENOENT: none begins there; -EBUSY: an I/O is in it. Thread rule: the stream's; may block.
 */
QUOLL_API int quoll_stream_unregister(struct quoll_stream *stream, const void *va);

/**
 * quoll_stream_forget() - no registration is kept of any page of this memory: before it is unmapped, or moved, where
 * nobody watches (QUOLL_CACHED_FORGETS), or to have it unpinned now
 *
 * Return: 0; -EBUSY: an I/O is at some of it, and it must stay; what is registered of it will go with the last unmap.
 * -EIO: the kernel did not let go of a mapping. Thread rule: the stream's; a system call for each registration.
 */
QUOLL_API int quoll_stream_forget(struct quoll_stream *stream, const void *va, uint64_t bytes);

/**
 * struct quoll_stream_stats - what a stream has done
 * @segs, @bytes:       by way
 * @hits, @misses:      of the cached way: registered already, or for this
 * @evicted:            registrations that had to make room for others
 * @gone:               registrations whose memory went away. They are unmapped, and the pages unpinned, at the next I/O
 *                      that takes the cached way
 * @unwatched:          segs that were not cached since their memory cannot be watched
 * @unwatched_errno:    why, the last of them; the log says so too when it changes. EINVAL: memory of a kind that can't
 *                      be, or none; EPERM: shared memory of a file that may not be written to; EBUSY: another
 *                      userfaultfd has it; EBADF: the program has closed the library's, and nothing is cached any more;
 *                      ENOMEM: the process has as many areas as it may (vm.max_map_count)
 * @registered_bytes, @registrations: there now
 */
struct quoll_stream_stats {
	uint64_t segs[QUOLL_NR_WAYS];
	uint64_t bytes[QUOLL_NR_WAYS];
	uint64_t hits;
	uint64_t misses;
	uint64_t evicted;
	uint64_t gone;
	uint64_t unwatched;
	int unwatched_errno;
	uint64_t registered_bytes;
	uint64_t registrations;
};

/**
 * quoll_stream_stats() - read the counters. Thread rule: any thread; each is right, together they may be from different
 * moments.
 */
QUOLL_API void quoll_stream_stats(const struct quoll_stream *stream, struct quoll_stream_stats *stats);

/**
 * quoll_stream_ways() - the ways that this one may take, a set of QUOLL_WAY_BIT()
 */
QUOLL_API unsigned int quoll_stream_ways(const struct quoll_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
