/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kmod_fuzz.h - what the parts of the fuzzer of quoll.ko share: kmod_fuzz.c (processes that live and are killed, the
 * verdict), kmod_fuzz_calls.c (requests), kmod_fuzz_ring.c (what is in rings), kmod_fuzz_device.c (devices' files).
 *
 * What is tried is valid but for one thing in a few, so that it gets far; the threads of a life race with each other on
 * purpose, so what they keep of what is mapped is a guess.
 */
#ifndef KMOD_FUZZ_H
#define KMOD_FUZZ_H

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>

#include "kmod_ring.h"

/* What is counted, by errno. The first are the requests of quoll_uapi.h in the order of their numbers. */
enum call {
	GROUP_REQUESTS,
	CONTROL_REQUESTS = GROUP_REQUESTS + 13,
	OPEN_GROUP = CONTROL_REQUESTS + 4, /* 0 .. 2, all others */
	DEV_INFO,
	DEV_REGION,
	DEV_IRQ,
	DEV_SET_IRQS,
	DEV_RESET,
	DEV_OTHER,
	DEV_READ,
	DEV_WRITE,
	DEV_MMAP,
	ENTRY_MAP,
	ENTRY_REGISTERED,
	ENTRY_UNMAP,
	ENTRY_FENCE,
	ENTRY_OTHER,
	NR_CALLS,
};

#define NR_ERRNOS 160u /* what is larger counts as the last */

/*
 * struct tally - in memory that all processes share
 * @counts:   by errno, 0: it went well
 * @in_child: calls of forked children: refused with EPERM; not
 * @leaks:    lives that ended by themselves and had memory locked after that; @clean: that had none
 * @begun:    the life that runs has the group, and the device's file if it is to use that
 * @end:      and is to end
 */
struct tally {
	_Atomic uint32_t counts[NR_CALLS][NR_ERRNOS];
	_Atomic uint32_t in_child[2];
	_Atomic uint32_t leaks;
	_Atomic uint32_t clean;
	_Atomic uint32_t begun;
	_Atomic uint32_t end;
};

/* Kinds of memory that requests name. */
enum area {
	AREA_PLAIN,
	AREA_SHARED, /* a memory file's */
	AREA_READ_ONLY,
	AREA_FILE, /* the program itself */
	AREA_LARGE,
	AREA_MOVING, /* another thread maps and unmaps it */
	AREA_NONE,
	NR_AREAS,
};

#define AREA_PAGES 64u
#define HOT_SLOTS 192u /* of the window, so that threads meet */
#define HOT_MAPS 48u
#define NR_BUFFERS 16u
#define NR_RINGS 5u /* one each thread, one for all of them, one more */
#define RING_COMMON 3u
#define RING_SPARE 4u
#define NR_THREADS 3u

struct fuzz_ring {
	_Atomic uint32_t id; /* less 1 */
	uint32_t nr;
	struct quoll_stream_head *head;
	size_t bytes;
	uint32_t tail;
	unsigned int refused; /* calls in a row whose indexes made no sense */
};

/* struct life - a process that has the group */
struct life {
	struct tally *tally;
	const char *addr;
	bool edu;
	bool limited; /* by RLIMIT_MEMLOCK */
	bool with_device;
	int group;
	int control;
	int null;
	int events;
	_Atomic int dev;
	uint8_t *areas[NR_AREAS];
	uint64_t window, window_bytes;
	struct fuzz_ring rings[NR_RINGS];
	_Atomic uint32_t buffers[NR_BUFFERS]; /* less 1 */
	_Atomic uint32_t slots[HOT_SLOTS];    /* pages of the mapping that may begin there */
	_Atomic uint32_t maps[HOT_MAPS];
	_Atomic bool over;
};

/* struct fuzzer - a thread of it */
struct fuzzer {
	struct life *life;
	unsigned int index;
	pthread_t thread;
	uint64_t random;
	uint8_t *args;	      /* two pages, then none */
	uint8_t *args_twin;   /* the same memory, read-only */
	uint8_t *bar;	      /* a page of the device's, or NULL */
	sigjmp_buf bus_error; /* where a touch of it goes on, while @touching */
	volatile bool touching;
};

/* kmod_fuzz_calls.c */
uint64_t random_next(uint64_t *state);
static inline uint32_t below(struct fuzzer *f, uint32_t n)
{
	return (uint32_t)((random_next(&f->random) >> 32) * n >> 32);
}
static inline bool one_in(struct fuzzer *f, uint32_t n)
{
	return !below(f, n);
}
/* A number at which arithmetic goes wrong. */
uint64_t odd_number(struct fuzzer *f);
/* Memory to name, and how much; mostly there and of whole pages. */
uint64_t some_va(struct fuzzer *f, __u64 *bytes);
/* Where the kernel is to find @arg; spoiled one time in a few. */
void *arg_put(struct fuzzer *f, const void *arg, size_t size);
void count(struct life *life, enum call call, int errnum);
/* 0 or more, -errno; counted. */
int call(struct fuzzer *f, enum call which, int fd, unsigned long request, void *arg);
void ask_window(struct fuzzer *f, uint64_t iova, uint64_t bytes);
void request_some(struct fuzzer *f);
/* In a forked child: every request. */
void request_all_refused(struct life *life, uint8_t *page);

/* kmod_fuzz_ring.c */
void ring_renew(struct fuzzer *f, struct fuzz_ring *ring, uint32_t nr);
void ring_use(struct fuzzer *f);
void ring_scribble(struct fuzzer *f);
int ring_enter_as(struct fuzzer *f, uint32_t id, uint32_t nr);

/* kmod_fuzz_device.c */
void device_use(struct fuzzer *f);
void device_close(struct life *life);
/* What a file does whose group has been closed. */
void device_dead(struct fuzzer *f);
void device_refused(struct life *life, uint8_t *page);

#endif
