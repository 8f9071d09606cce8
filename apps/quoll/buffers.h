/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * buffers.h - the --buffers option of verbs that move data: memory of the heap's, or ordinary memory of the process
 * that goes through streams (quoll/stream.h), and what is told of that.
 */
#ifndef QUOLL_APPS_BUFFERS_H
#define QUOLL_APPS_BUFFERS_H

#include <jansson.h>

#include <quoll/stream.h>

enum buffers_where {
	BUFFERS_HEAP,
	BUFFERS_STREAM, /* the stream's choice */
	BUFFERS_REGISTERED,
	BUFFERS_CACHED,
	BUFFERS_BOUNCE,
};

/* The order of the words is that of enum buffers_where. */
#define BUFFERS_OPTION(type)                                                                                           \
	{                                                                                                              \
		"buffers", CLI_CHOICE, offsetof(type, buffers), "heap|stream|registered|cached|bounce",                \
			"the heap's; or ordinary memory, by a stream's choice or this way; heap unless told "          \
			"otherwise",                                                                                   \
			0, 0                                                                                           \
	}

/* The same in a verb's details. */
#define BUFFERS_DETAILS                                                                                                \
	"Buffers outside of the heap (all but --buffers heap) go through a stream: registered are pinned\n"            \
	"before and mapped for each request or frame, cached mapped at their first use and left so, bounce are\n"      \
	"copied.\n"

/**
 * buffers_ways() - for struct quoll_stream_opts; 0: the stream has the choice
 */
unsigned int buffers_ways(enum buffers_where where);

#define BUFFERS_PAGE_BYTES 4096ull

/* @bytes, rounded up to whole pages. */
uint64_t buffers_whole_pages(uint64_t bytes);

/**
 * buffers_map() - ordinary memory of whole pages, zeroed
 * @subject: of an error
 * Return: NULL and the reason if there is none.
 */
uint8_t *buffers_map(uint64_t bytes, const char *subject, struct quoll_error *err);
void buffers_unmap(uint8_t *va, uint64_t bytes);

/**
 * buffers_prepare() - what a stream needs to know before memory goes through it in this way
 * @writes: devices write to it
 */
int buffers_prepare(enum buffers_where where, struct quoll_stream *stream, uint8_t *va, uint64_t bytes, bool writes,
		    const char *subject, struct quoll_error *err);

/**
 * buffers_forget() - before that memory goes away; no device is at it
 */
void buffers_forget(enum buffers_where where, struct quoll_stream *stream, uint8_t *va, uint64_t bytes);

/**
 * buffers_describe() - into @doc: buffers, and streamed: how many pieces took which way, in all @n streams
 * @streams: some may be NULL
 */
void buffers_describe(enum buffers_where where, struct quoll_stream *const *streams, unsigned int n, json_t *doc);

#endif
