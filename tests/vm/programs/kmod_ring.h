/* SPDX-License-Identifier: BSD-3-Clause */
/* kmod_ring.h - a program's side of quoll.ko's streaming: a window, a ring, entries one by one or many at once. */
#ifndef KMOD_RING_H
#define KMOD_RING_H

#include "kmod_lib.h"

#define WINDOW (32ull << 20) /* below 256 MiB: edu's addresses have 28 bits */
#define WINDOW_BYTES (32ull << 20)
#define RW (QUOLL_STREAM_READ | QUOLL_STREAM_WRITE)

struct ring {
	int fd;
	uint32_t id, nr;
	struct quoll_stream_head *head;
	struct quoll_stream_entry *entries;
	struct quoll_stream_done *dones;
	uint32_t tail, done_head;
};

size_t ring_bytes(uint32_t nr_entries);
/* 0, -errno */
int window_set(int fd, uint64_t iova, uint64_t bytes);
int ring_make(int fd, void *memory, uint64_t bytes, uint32_t nr_entries, uint32_t *id);
int ring_give(int fd, uint32_t id);
int buffer_register(int fd, void *memory, uint64_t bytes, uint32_t flags, uint32_t *id);
int buffer_unregister(int fd, uint32_t id);
/* In memory of its own; aborts where that fails. */
struct ring ring_open(int fd, uint32_t nr_entries);
void ring_close(struct ring *ring);

void push(struct ring *ring, const struct quoll_stream_entry *entry);
void push_map(struct ring *ring, const void *va, uint64_t iova, uint64_t bytes, uint8_t flags);
void push_unmap(struct ring *ring, uint64_t iova, uint64_t bytes);
void push_fence(struct ring *ring);
/* How many entries were taken, -errno. */
int enter(struct ring *ring);
/* The next completion's; NO_RESULT: there is none. */
#define NO_RESULT 1000
int result(struct ring *ring);
/* One entry, its result. */
int one(struct ring *ring, const struct quoll_stream_entry *entry);
int one_map(struct ring *ring, const void *va, uint64_t iova, uint64_t bytes, uint8_t flags);
/* A part of a registered buffer, mapped where the window begins. */
int one_registered(struct ring *ring, uint32_t buffer, uint64_t offset, uint64_t bytes, uint8_t flags);
int one_unmap(struct ring *ring, uint64_t iova, uint64_t bytes);
int one_fence(struct ring *ring);
/* What was pushed is done, each entry with 0. */
bool all_good(struct ring *ring);

/* kmod_stream_io.c */
void test_edu_stream(const char *addr);
void test_nvme_stream(const char *addr);
void test_threads(const char *addr);
void test_waiting(const char *addr);
void test_rounds(const char *addr, const char *nr_rounds);
void hammer(const char *addr);
void hammer_child(const char *addr);
void lose_stream(const char *addr);
void lose_waiting(const char *addr);

#endif
