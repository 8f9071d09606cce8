/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_iommu_faults.c - faults of a verb's devices are told, with the buffer and paced; others' are not. A file is in
 * place of /dev/kmsg.
 */
#include <quoll/fault.h>
#include <quoll/pace.h>

#include "fault_world.h"

#define SECOND 1000000000ull
#define MAX_LINES 16

static struct fault_world w;
static struct iommu_faults *faults;
static unsigned int nr_lines;
static char lines[MAX_LINES][QUOLL_FAULT_TEXT_BYTES + 64];

static void listen_to(void *arg, const char *line)
{
	CU_ASSERT_PTR_EQUAL(arg, &w);
	if (nr_lines < MAX_LINES)
		snprintf(lines[nr_lines], sizeof(lines[0]), "%s", line);
	nr_lines++;
}

static void begin_without(void)
{
	nr_lines = 0;
	fault_world_open(&w);
	CU_ASSERT_EQUAL_FATAL(claims_heap(&w.claims, QUOLL_PAGES_4K, 64 << 20, NULL), 0);
}

static void begin(void)
{
	begin_without();
	fault_log_add(&w.log, "03:00.0", 0x7000); /* of somebody before */
	faults = iommu_faults_open(&w.claims, listen_to, &w);
	CU_ASSERT_PTR_NOT_NULL_FATAL(faults);
}

static void end(void)
{
	iommu_faults_close(faults);
	faults = NULL;
	fault_world_close(&w);
}

static json_int_t counted(void)
{
	json_t *doc = json_object();

	iommu_faults_describe(faults, doc);
	return faults_counted(doc);
}

static void a_fault_is_told_with_its_buffer(void)
{
	struct quoll_arena *arena;
	char expected[256];
	quoll_iova_t iova;
	void *va;

	begin();
	CU_ASSERT_EQUAL_FATAL(quoll_arena_create(w.claims.heap, "pkt", QUOLL_ARENA_DEVICE_READ, 1 << 20, &arena, NULL),
			      0);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_alloc(arena, 8192, 4096, &va, NULL), 0);
	iova = quoll_heap_iova(w.claims.heap, va, 8192) + 4096;
	iommu_faults_look(faults, SECOND);
	CU_ASSERT_EQUAL(nr_lines, 0);
	fault_log_add(&w.log, "03:00.0", iova);
	iommu_faults_look(faults, 2 * SECOND);
	CU_ASSERT_EQUAL_FATAL(nr_lines, 1);
	snprintf(expected, sizeof(expected),
		 "0000:03:00.0: the IOMMU stopped a write at IOVA 0x%llx (arena \"pkt\", offset 0x1000, va %p, devices "
		 "may only read it): PTE Write access is not set",
		 (unsigned long long)iova, (void *)((uint8_t *)va + 4096));
	CU_ASSERT_STRING_EQUAL(lines[0], expected);
	CU_ASSERT_EQUAL(counted(), 1);
	end();
}

static void other_devices_faults_are_not_told(void)
{
	begin();
	fault_log_add(&w.log, "04:00.0", 0x1000);
	fault_log_add(&w.log, "0001:03:00.0", 0x1000);
	iommu_faults_look(faults, SECOND);
	CU_ASSERT_EQUAL(nr_lines, 0);
	CU_ASSERT_EQUAL(counted(), 0);
	fault_log_add(&w.log, "0000:03:00.0", 0x1000);
	iommu_faults_look(faults, 2 * SECOND);
	CU_ASSERT_EQUAL_FATAL(nr_lines, 1);
	CU_ASSERT(strstr(lines[0], "at IOVA 0x1000 (no memory of this program)") != NULL);
	end();
}

static void many_are_told_by_few_lines_and_all_are_counted(void)
{
	begin();
	for (unsigned int i = 0; i < 10; i++)
		fault_log_add(&w.log, "03:00.0", 0x1000 * (i + 1));
	iommu_faults_look(faults, SECOND);
	CU_ASSERT_EQUAL(nr_lines, QUOLL_PACE_AT_ONCE);
	CU_ASSERT_EQUAL(counted(), 10);
	iommu_faults_look(faults, SECOND + SECOND / 2);
	CU_ASSERT_EQUAL(nr_lines, QUOLL_PACE_AT_ONCE);
	iommu_faults_look(faults, 2 * SECOND);
	CU_ASSERT_EQUAL_FATAL(nr_lines, QUOLL_PACE_AT_ONCE + 1);
	CU_ASSERT(strstr(lines[QUOLL_PACE_AT_ONCE], "IOVA 0xa000") != NULL);
	CU_ASSERT(strstr(lines[QUOLL_PACE_AT_ONCE], "the last of 6 faults") != NULL);
	/* At the end there is no waiting. */
	for (unsigned int i = 0; i < 3; i++)
		fault_log_add(&w.log, "03:00.0", 0x10000);
	iommu_faults_finish(faults);
	CU_ASSERT_EQUAL_FATAL(nr_lines, QUOLL_PACE_AT_ONCE + 2);
	CU_ASSERT(strstr(lines[QUOLL_PACE_AT_ONCE + 1], "the last of 3 faults") != NULL);
	CU_ASSERT_EQUAL(counted(), 13);
	iommu_faults_finish(faults);
	CU_ASSERT_EQUAL(nr_lines, QUOLL_PACE_AT_ONCE + 2);
	end();
}

static void it_looks_ten_times_a_second_at_most(void)
{
	begin();
	iommu_faults_look(faults, SECOND);
	fault_log_add(&w.log, "03:00.0", 0x1000);
	iommu_faults_look(faults, SECOND + SECOND / 10 - 1);
	CU_ASSERT_EQUAL(nr_lines, 0);
	iommu_faults_look(faults, SECOND + SECOND / 10);
	CU_ASSERT_EQUAL(nr_lines, 1);
	end();
}

static void memory_of_streams_is_found(void)
{
	const struct quoll_stream_opts cached = {.ways = QUOLL_WAY_BIT(QUOLL_WAY_CACHED),
						 .cached_watch = QUOLL_CACHED_FORGETS};
	const struct quoll_stream_opts bounce = {.ways = QUOLL_WAY_BIT(QUOLL_WAY_BOUNCE)};
	static uint8_t memory[8192];
	struct quoll_stream *streams[3] = {NULL};
	struct quoll_stream_seg seg = {.va = memory, .bytes = 4096, .dir = QUOLL_SEG_READ}, other = seg;
	char text[64];

	begin();
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(w.claims.ioases[0], w.claims.heap, &cached, &streams[1], NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(w.claims.ioases[0], w.claims.heap, &bounce, &streams[2], NULL), 0);
	iommu_faults_streams(faults, streams, 3);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_map(streams[1], &seg, 1), 1);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_map(streams[2], &other, 1), 1);
	fault_log_add(&w.log, "03:00.0", seg.iova & ~4095ull);
	fault_log_add(&w.log, "03:00.0", other.iova);
	iommu_faults_look(faults, SECOND);
	CU_ASSERT_EQUAL_FATAL(nr_lines, 2);
	CU_ASSERT(strstr(lines[0], "(stream, cached, offset 0x0, va 0x") != NULL);
	CU_ASSERT(strstr(lines[0], "mapped, to be read)") != NULL);
	CU_ASSERT(strstr(lines[1], "(arena \"stream\", offset 0x") != NULL);
	snprintf(text, sizeof(text), "where a stream bounces 4096 bytes at %p)", (void *)memory);
	CU_ASSERT(strstr(lines[1], text) != NULL);
	quoll_stream_unmap(streams[1], &seg, 1);
	quoll_stream_unmap(streams[2], &other, 1);
	iommu_faults_streams(faults, NULL, 0);
	quoll_stream_destroy(streams[1]);
	quoll_stream_destroy(streams[2]);
	fault_log_add(&w.log, "03:00.0", seg.iova & ~4095ull);
	iommu_faults_look(faults, 2 * SECOND);
	CU_ASSERT_EQUAL_FATAL(nr_lines, 3);
	CU_ASSERT(strstr(lines[2], "(no memory of this program)") != NULL);
	end();
}

static void without_the_log_or_devices_nothing_is_told_and_nothing_fails(void)
{
	const struct claims none = {.env = &w.log.env};

	begin_without();
	unlink(w.log.kmsg);
	faults = iommu_faults_open(&w.claims, listen_to, &w);
	CU_ASSERT_PTR_NULL(faults);
	iommu_faults_streams(faults, NULL, 0);
	iommu_faults_look(faults, SECOND);
	iommu_faults_finish(faults);
	CU_ASSERT_EQUAL(nr_lines, 0);
	CU_ASSERT_EQUAL(counted(), -1);
	fault_log_add(&w.log, "03:00.0", 0x1000);
	CU_ASSERT_PTR_NULL(iommu_faults_open(&none, listen_to, &w));
	end();
}

static const struct unit_test tests[] = {
	{"a fault is told with its buffer", a_fault_is_told_with_its_buffer},
	{"other devices' faults are not told", other_devices_faults_are_not_told},
	{"many are told by few lines, and all are counted", many_are_told_by_few_lines_and_all_are_counted},
	{"it looks ten times a second at most", it_looks_ten_times_a_second_at_most},
	{"memory of streams is found", memory_of_streams_is_found},
	{"without the log, or devices, nothing is told and nothing fails",
	 without_the_log_or_devices_nothing_is_told_and_nothing_fails},
};

UNIT_MAIN("apps/quoll/iommu_faults", tests)
