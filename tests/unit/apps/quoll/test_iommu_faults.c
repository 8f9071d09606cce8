/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_iommu_faults.c - faults of a verb's devices are told, with the buffer and paced; others' are not. A file is in
 * place of /dev/kmsg.
 */
#include <quoll/fault.h>
#include <quoll/pace.h>

#include "eal/backend/fake_backend.h"
#include "quoll/iommu_faults.h"
#include "unit.h"

#define SECOND 1000000000ull
#define MAX_LINES 16

static const struct quoll_addr nic = {.target = "0000:03:00.0"};

static char dir[] = "/tmp/test_iommu_faults.XXXXXX";
static char path[64];
static const struct quoll_env env = {.dev_root = dir};
static struct claims claims;
static struct iommu_faults *faults;
static unsigned int nr_lines;
static char lines[MAX_LINES][QUOLL_FAULT_TEXT_BYTES + 64];

static void listen_to(void *arg, const char *line)
{
	CU_ASSERT_PTR_EQUAL(arg, &claims);
	if (nr_lines < MAX_LINES)
		snprintf(lines[nr_lines], sizeof(lines[0]), "%s", line);
	nr_lines++;
}

static void log_fault(const char *device, uint64_t iova)
{
	static unsigned int number;
	FILE *f = fopen(path, "a");

	CU_ASSERT_FATAL(f != NULL);
	number++;
	fprintf(f,
		"3,%u,%u,-;DMAR: [DMA Write NO_PASID] Request device [%s] fault addr 0x%llx [fault reason 0x05] "
		"PTE Write access is not set\n",
		number, number, device, (unsigned long long)iova);
	fclose(f);
}

static void begin_without(void)
{
	struct quoll_device *device;

	fake_reset();
	memset(&claims, 0, sizeof(claims));
	claims.env = &env;
	nr_lines = 0;
	CU_ASSERT_EQUAL_FATAL(ioas_open_ops(NULL, &fake_ops, &claims.ioases[0], NULL), 0);
	claims.nr_ioases = 1; /* of the back-end that PCI addresses go to */
	CU_ASSERT_EQUAL_FATAL(claims_device(&claims, &nic, &device, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(claims_heap(&claims, QUOLL_PAGES_4K, 64 << 20, NULL), 0);
}

static void begin(void)
{
	FILE *f = fopen(path, "w");

	CU_ASSERT_FATAL(f != NULL);
	fclose(f);
	log_fault("03:00.0", 0x7000); /* of somebody before */
	begin_without();
	faults = iommu_faults_open(&claims, listen_to, &claims);
	CU_ASSERT_PTR_NOT_NULL_FATAL(faults);
}

static void end(void)
{
	iommu_faults_close(faults);
	faults = NULL;
	claims_close(&claims);
}

static json_int_t counted(void)
{
	json_t *doc = json_object(), *nr;
	json_int_t value;

	iommu_faults_describe(faults, doc);
	nr = json_object_get(doc, "faults");
	CU_ASSERT_PTR_NOT_NULL(nr);
	value = json_is_null(nr) ? -1 : json_integer_value(nr);
	json_decref(doc);
	return value;
}

static void a_fault_is_told_with_its_buffer(void)
{
	struct quoll_arena *arena;
	char expected[256];
	quoll_iova_t iova;
	void *va;

	begin();
	CU_ASSERT_EQUAL_FATAL(quoll_arena_create(claims.heap, "pkt", QUOLL_ARENA_DEVICE_READ, 1 << 20, &arena, NULL),
			      0);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_alloc(arena, 8192, 4096, &va, NULL), 0);
	iova = quoll_heap_iova(claims.heap, va, 8192) + 4096;
	iommu_faults_look(faults, SECOND);
	CU_ASSERT_EQUAL(nr_lines, 0);
	log_fault("03:00.0", iova);
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
	log_fault("04:00.0", 0x1000);
	log_fault("0001:03:00.0", 0x1000);
	iommu_faults_look(faults, SECOND);
	CU_ASSERT_EQUAL(nr_lines, 0);
	CU_ASSERT_EQUAL(counted(), 0);
	log_fault("0000:03:00.0", 0x1000);
	iommu_faults_look(faults, 2 * SECOND);
	CU_ASSERT_EQUAL_FATAL(nr_lines, 1);
	CU_ASSERT(strstr(lines[0], "at IOVA 0x1000 (no memory of this program)") != NULL);
	end();
}

static void many_are_told_by_few_lines_and_all_are_counted(void)
{
	begin();
	for (unsigned int i = 0; i < 10; i++)
		log_fault("03:00.0", 0x1000 * (i + 1));
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
		log_fault("03:00.0", 0x10000);
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
	log_fault("03:00.0", 0x1000);
	iommu_faults_look(faults, SECOND + SECOND / 10 - 1);
	CU_ASSERT_EQUAL(nr_lines, 0);
	iommu_faults_look(faults, SECOND + SECOND / 10);
	CU_ASSERT_EQUAL(nr_lines, 1);
	end();
}

static void memory_of_streams_is_found(void)
{
	const struct quoll_stream_opts cached = {.ways = QUOLL_WAY_BIT(QUOLL_WAY_CACHED)};
	const struct quoll_stream_opts bounce = {.ways = QUOLL_WAY_BIT(QUOLL_WAY_BOUNCE)};
	static uint8_t memory[8192];
	struct quoll_stream *streams[3] = {NULL};
	struct quoll_stream_seg seg = {.va = memory, .bytes = 4096, .dir = QUOLL_SEG_READ}, other = seg;
	char text[64];

	begin();
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(claims.ioases[0], claims.heap, &cached, &streams[1], NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(claims.ioases[0], claims.heap, &bounce, &streams[2], NULL), 0);
	iommu_faults_streams(faults, streams, 3);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_map(streams[1], &seg, 1), 1);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_map(streams[2], &other, 1), 1);
	log_fault("03:00.0", seg.iova & ~4095ull);
	log_fault("03:00.0", other.iova);
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
	log_fault("03:00.0", seg.iova & ~4095ull);
	iommu_faults_look(faults, 2 * SECOND);
	CU_ASSERT_EQUAL_FATAL(nr_lines, 3);
	CU_ASSERT(strstr(lines[2], "(no memory of this program)") != NULL);
	end();
}

static void without_the_log_or_devices_nothing_is_told_and_nothing_fails(void)
{
	static const struct claims none = {.env = &env};

	unlink(path);
	begin_without();
	faults = iommu_faults_open(&claims, listen_to, &claims);
	CU_ASSERT_PTR_NULL(faults);
	iommu_faults_streams(faults, NULL, 0);
	iommu_faults_look(faults, SECOND);
	iommu_faults_finish(faults);
	CU_ASSERT_EQUAL(nr_lines, 0);
	CU_ASSERT_EQUAL(counted(), -1);
	end();
	log_fault("03:00.0", 0x1000);
	CU_ASSERT_PTR_NULL(iommu_faults_open(&none, listen_to, &claims));
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

int main(void)
{
	int rc;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/kmsg", dir);
	rc = unit_main("apps/quoll/iommu_faults", tests, sizeof(tests) / sizeof(tests[0]));
	unlink(path);
	rmdir(dir);
	return rc;
}
