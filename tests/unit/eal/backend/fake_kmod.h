/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_kmod.h - a kernel with quoll.ko behind ordinary files: this program's own open() and ioctl(), which keep what is
 * mapped in each group, and fail, or lie, where a test tells them to.
 *
 * The machine is eal/group's: a drive of its own, and a slot of two functions in one group, all with the driver quoll.
 */
#ifndef QUOLL_TESTS_FAKE_KMOD_H
#define QUOLL_TESTS_FAKE_KMOD_H

#include <quoll_uapi.h>

#include "backend/kmod.h"
#include "eal/group/fake.h"

#define FAKE_MAX_GROUPS 8
#define FAKE_MAX_MAPS 128
#define FAKE_MAX_RINGS 4
#define FAKE_MAX_BUFFERS 4
#define FAKE_MAX_STREAMED 1024

struct fake_map {
	uint64_t iova, len_bytes, va;
	uint32_t flags;
};

/* struct quoll_cap_reserved with its ranges, as it is in a chain. */
struct fake_reserved {
	struct vfio_info_cap_header header;
	uint32_t nr_ranges;
	uint32_t reserved;
	struct quoll_reserved_range ranges[2];
};

struct fake_stream_ring {
	struct quoll_stream_head *shared; /* NULL: there is none */
	uint32_t nr_entries;
	uint32_t head;
	uint32_t done_tail;
};

struct fake_buffer {
	uint64_t va, bytes; /* 0: there is none */
	bool write;
	unsigned int uses;
};

/* A mapping in the window. */
struct fake_streamed {
	uint64_t iova, bytes; /* 0: there is none */
	uint64_t va;
	unsigned int flags;
	unsigned int ring; /* that has zapped it */
	struct fake_buffer *buffer;
	bool zapped;
};

/* What has been asked of a window, and how it is to fail. */
struct fake_stream {
	uint64_t iova, bytes; /* 0: there is no window */
	struct fake_stream_ring rings[FAKE_MAX_RINGS];
	struct fake_buffer buffers[FAKE_MAX_BUFFERS];
	struct fake_streamed maps[FAKE_MAX_STREAMED];
	unsigned int nr_enters;
	unsigned int nr_entries;
	unsigned int nr_fences;
	unsigned int at_once;	/* an ENTER takes no more entries; 0: all */
	int enter_result;	/* 0, or what an ENTER says, having done nothing */
	unsigned int fail_op;	/* 0, or an entry of this kind fails */
	unsigned int fail_skip; /* but so many work before; then all work again */
	int fail_errno;
	uint64_t no_memory, no_memory_bytes; /* memory there is none to be mapped */
	uint32_t jump;			     /* done_tail is so much too large */
	bool lie_user_data;		     /* completions name entries that there are not */
};

struct fake_quoll_group {
	struct fake_stream stream;
	unsigned int nr_maps;
	struct fake_map maps[FAKE_MAX_MAPS];
	bool lost;	/* its devices have gone */
	bool unclaimed; /* open, but not viable */
	uint64_t page_sizes, aperture_last, reserved_first, reserved_last;
	uint32_t max_maps;
};

struct fake_kmod {
	struct fake_quoll_group groups[FAKE_MAX_GROUPS]; /* by number */
	int version;
	int open_errno;		  /* opening any group fails with it */
	unsigned int interrupts;  /* and before that so many times with EINTR */
	unsigned long fail_ioctl; /* this one fails with fail_errno, once */
	unsigned int fail_skip;	  /* but works so many times before */
	int fail_errno;
	uint64_t unmap_short_bytes; /* says that it has unmapped so much less */
	uint32_t nr_regions;
	uint32_t nr_reserved; /* as the answer has it; there is one */
};

extern struct fake_kmod fake_kmod;

/* A well-behaved kernel, and the machine; f->env is to be used. */
void fake_kmod_open(struct fake *f);
void fake_kmod_close(struct fake *f);

/* fake_kmod_stream.c: the requests of streaming. Return: as ioctl(); -1, ENOTTY for others. */
int fake_stream_ioctl(struct fake_stream *stream, unsigned long request, void *arg);
/* What a device finds at @iova, if it may do @access (QUOLL_STREAM_READ, _WRITE) there; NULL. */
uint8_t *fake_stream_at(const struct fake_stream *stream, uint64_t iova, unsigned int access);
/* Mappings that are there, zapped ones too. */
unsigned int fake_stream_maps(const struct fake_stream *stream);

#endif
