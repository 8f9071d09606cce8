/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault_text.c - a fault, and what was at its IOVA, in words.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include <quoll/fault.h>
#include <quoll/where.h>

struct line {
	char *text;
	size_t bytes;
	size_t used;
};

static void add(struct line *line, const char *fmt, ...) QUOLL_PRINTF(2, 3);

static void add(struct line *line, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (line->used >= line->bytes)
		return;
	va_start(ap, fmt);
	n = vsnprintf(line->text + line->used, line->bytes - line->used, fmt, ap);
	va_end(ap);
	line->used += n > 0 ? (size_t)n : 0;
}

static void add_arena(struct line *line, const struct quoll_where *where)
{
	if (!where->arena[0]) {
		add(line, "in the heap's window, where no arena is");
		return;
	}
	add(line, "arena \"%s\", offset 0x%" PRIx64, where->arena, where->offset);
	if (!where->va) {
		add(line, ", where no memory is");
		return;
	}
	add(line, ", va %p", where->va);
	if (where->way == QUOLL_WAY_BOUNCE)
		add(line, ", where a stream bounces");
	if (where->held)
		add(line, " %" PRIu64 " bytes at %p", where->held_bytes, where->held);
	if (where->dir == QUOLL_SEG_READ)
		add(line, ", devices may only read it");
	if (where->state == QUOLL_WHERE_FREE)
		add(line, ", not allocated");
}

static void add_piece(struct line *line, const struct quoll_where *where)
{
	static const char *const dirs[] = {"", ", to be read", ", to be written", ", to be read and written"};
	static const char *const states[] = {
		[QUOLL_WHERE_IN_USE] = "mapped",
		[QUOLL_WHERE_UNMAPPING] = "unmapped, before the fence",
		[QUOLL_WHERE_UNMAPPED] = "unmapped before",
	};

	add(line, "stream, %s, offset 0x%" PRIx64 ", ", quoll_stream_way_name(where->way), where->offset);
	if (where->state == QUOLL_WHERE_EMPTY) {
		add(line, "where nothing is mapped");
		return;
	}
	add(line, "va %p, of %" PRIu64 " bytes at %p, %s%s", where->va, where->piece_bytes, where->piece,
	    states[where->state], dirs[where->dir & (QUOLL_SEG_READ | QUOLL_SEG_WRITE)]);
}

static void add_where(struct line *line, const struct quoll_where *where)
{
	add(line, " (");
	if (where->state == QUOLL_WHERE_NOWHERE)
		add(line, "no memory of this program");
	else if (where->way == QUOLL_WAY_HEAP || where->way == QUOLL_WAY_BOUNCE)
		add_arena(line, where);
	else
		add_piece(line, where);
	add(line, ")");
}

void quoll_fault_text(const struct quoll_fault *fault, const char *name, const struct quoll_where *where, char *text,
		      size_t text_bytes)
{
	static const char *const accesses[] = {
		[QUOLL_FAULT_UNKNOWN] = "an access",
		[QUOLL_FAULT_READ] = "a read",
		[QUOLL_FAULT_WRITE] = "a write",
		[QUOLL_FAULT_INTERRUPT] = "an interrupt",
	};
	struct line line = {text, text_bytes, 0};

	add(&line, "%s: the IOMMU stopped %s", name ? name : fault->device, accesses[fault->access]);
	if (fault->access != QUOLL_FAULT_INTERRUPT) {
		add(&line, " at IOVA 0x%" PRIx64, fault->iova);
		if (where)
			add_where(&line, where);
	}
	if (fault->reason[0])
		add(&line, ": %s", fault->reason);
}
