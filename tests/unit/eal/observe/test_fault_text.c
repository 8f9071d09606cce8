/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_fault_text.c - a fault in words: with and without a place, of each kind of place, and cut where there is no
 * room.
 */
#include <string.h>

#include <quoll/fault.h>
#include <quoll/where.h>

#include "unit.h"

#define VA ((const void *)0x7f0000002000)

static const struct quoll_fault write_fault = {
	.device = "03:00.0", .iova = 0x140002000, .access = QUOLL_FAULT_WRITE, .reason = "PTE Write access is not set"};
static char text[QUOLL_FAULT_TEXT_BYTES];

static void expect(const struct quoll_where *where, const char *place)
{
	char line[512];

	quoll_fault_text(&write_fault, "0000:03:00.0", where, text, sizeof(text));
	snprintf(line, sizeof(line),
		 "0000:03:00.0: the IOMMU stopped a write at IOVA 0x140002000%s: PTE Write access is not set", place);
	CU_ASSERT_STRING_EQUAL(text, line);
	if (strcmp(text, line))
		printf("\n%s\n%s\n", text, line);
}

static void without_a_place_it_is_what_the_log_says(void)
{
	struct quoll_fault fault = write_fault;

	expect(NULL, "");
	quoll_fault_text(&fault, NULL, NULL, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text,
			       "03:00.0: the IOMMU stopped a write at IOVA 0x140002000: PTE Write access is not set");
	fault.access = QUOLL_FAULT_READ;
	fault.reason[0] = '\0';
	quoll_fault_text(&fault, NULL, NULL, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "03:00.0: the IOMMU stopped a read at IOVA 0x140002000");
	fault.access = QUOLL_FAULT_UNKNOWN;
	quoll_fault_text(&fault, NULL, NULL, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "03:00.0: the IOMMU stopped an access at IOVA 0x140002000");
}

static void an_interrupt_has_no_place(void)
{
	const struct quoll_where where = {.state = QUOLL_WHERE_NOWHERE};
	struct quoll_fault fault = write_fault;

	fault.access = QUOLL_FAULT_INTERRUPT;
	quoll_fault_text(&fault, NULL, &where, text, sizeof(text));
	CU_ASSERT_STRING_EQUAL(text, "03:00.0: the IOMMU stopped an interrupt: PTE Write access is not set");
}

static void memory_of_a_heap(void)
{
	struct quoll_where where = {.state = QUOLL_WHERE_IN_USE,
				    .way = QUOLL_WAY_HEAP,
				    .dir = QUOLL_SEG_READ | QUOLL_SEG_WRITE,
				    .arena = "pkt",
				    .offset = 0x2000,
				    .va = VA};

	expect(&where, " (arena \"pkt\", offset 0x2000, va 0x7f0000002000)");
	where.dir = QUOLL_SEG_READ;
	expect(&where, " (arena \"pkt\", offset 0x2000, va 0x7f0000002000, devices may only read it)");
	where.dir |= QUOLL_SEG_WRITE;
	where.state = QUOLL_WHERE_FREE;
	expect(&where, " (arena \"pkt\", offset 0x2000, va 0x7f0000002000, not allocated)");
	where.state = QUOLL_WHERE_EMPTY;
	where.va = NULL;
	expect(&where, " (arena \"pkt\", offset 0x2000, where no memory is)");
	where.arena[0] = '\0';
	expect(&where, " (in the heap's window, where no arena is)");
}

static void memory_of_a_stream(void)
{
	struct quoll_where where = {.state = QUOLL_WHERE_IN_USE,
				    .way = QUOLL_WAY_WINDOW,
				    .dir = QUOLL_SEG_READ,
				    .offset = 0x3000,
				    .va = VA,
				    .piece = VA,
				    .piece_bytes = 4096};

	expect(&where, " (stream, window, offset 0x3000, va 0x7f0000002000, of 4096 bytes at 0x7f0000002000, mapped, "
		       "to be read)");
	where.state = QUOLL_WHERE_UNMAPPED;
	where.way = QUOLL_WAY_REGISTERED;
	where.dir = QUOLL_SEG_WRITE;
	expect(&where, " (stream, registered, offset 0x3000, va 0x7f0000002000, of 4096 bytes at 0x7f0000002000, "
		       "unmapped before, to be written)");
	where.state = QUOLL_WHERE_UNMAPPING;
	where.dir |= QUOLL_SEG_READ;
	expect(&where, " (stream, registered, offset 0x3000, va 0x7f0000002000, of 4096 bytes at 0x7f0000002000, "
		       "unmapped, before the fence, to be read and written)");
	where.state = QUOLL_WHERE_EMPTY;
	where.way = QUOLL_WAY_CACHED;
	expect(&where, " (stream, cached, offset 0x3000, where nothing is mapped)");
	where = (struct quoll_where){.state = QUOLL_WHERE_IN_USE,
				     .way = QUOLL_WAY_BOUNCE,
				     .dir = QUOLL_SEG_READ | QUOLL_SEG_WRITE,
				     .arena = "stream",
				     .va = VA};
	expect(&where, " (arena \"stream\", offset 0x0, va 0x7f0000002000, where a stream bounces)");
	where.held = (const uint8_t *)VA + 0x5000;
	where.held_bytes = 1500;
	expect(&where, " (arena \"stream\", offset 0x0, va 0x7f0000002000, where a stream bounces 1500 bytes at "
		       "0x7f0000007000)");
	where = (struct quoll_where){.state = QUOLL_WHERE_NOWHERE};
	expect(&where, " (no memory of this program)");
}

static void what_does_not_fit_is_cut(void)
{
	char full[QUOLL_FAULT_TEXT_BYTES];
	size_t len;

	quoll_fault_text(&write_fault, NULL, NULL, full, sizeof(full));
	len = strlen(full);
	for (size_t bytes = 1; bytes <= len + 1; bytes++) {
		memset(text, 'x', sizeof(text));
		quoll_fault_text(&write_fault, NULL, NULL, text, bytes);
		CU_ASSERT_EQUAL(strlen(text), bytes - 1);
		CU_ASSERT_EQUAL(strncmp(text, full, bytes - 1), 0);
		CU_ASSERT_EQUAL(text[bytes], 'x');
	}
}

static const struct unit_test tests[] = {
	{"without a place it is what the log says", without_a_place_it_is_what_the_log_says},
	{"an interrupt has no place", an_interrupt_has_no_place},
	{"memory of a heap", memory_of_a_heap},
	{"memory of a stream", memory_of_a_stream},
	{"what does not fit is cut", what_does_not_fit_is_cut},
};

UNIT_MAIN("eal/observe/fault_text", tests)
