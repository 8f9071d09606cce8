/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vfio_user_serve.c - what vfio-user servers may reach by message: a look-up in what is mapped.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend/vfio_user.h"
#include "unit.h"

#define PAGE 4096u

static void space_init(struct vfio_user_space *space)
{
	memset(space, 0, sizeof(*space));
	pthread_mutex_init(&space->lock, NULL);
}

static void space_free(struct vfio_user_space *space)
{
	pthread_mutex_destroy(&space->lock);
	maps_free(&space->maps);
}

static void add(struct vfio_user_space *space, void *va, quoll_iova_t iova, unsigned int access)
{
	struct ioas_mapping m = {.va = va, .iova = iova, .len_bytes = PAGE, .access = access, .fd = -1};

	CU_ASSERT_EQUAL_FATAL(vfio_user_space_add(space, &m), 0);
}

static void nothing_is_reached_while_nothing_is_mapped(void)
{
	struct vfio_user_space space;
	uint8_t memory[PAGE] = {0}, byte;

	space_init(&space);
	CU_ASSERT_EQUAL(vfio_user_space_copy(&space, PAGE, &byte, 1, false), -EFAULT);
	add(&space, memory, PAGE, MAP_DEVICE_READ);
	CU_ASSERT_EQUAL(vfio_user_space_copy(&space, PAGE, &byte, 1, false), 0);
	vfio_user_space_remove(&space, PAGE);
	CU_ASSERT_EQUAL(vfio_user_space_copy(&space, PAGE, &byte, 1, false), -EFAULT);
	CU_ASSERT_EQUAL(vfio_user_space_copy(&space, 0, &byte, UINT64_MAX, false), -EFAULT);
	CU_ASSERT_EQUAL(vfio_user_space_copy(&space, UINT64_MAX, &byte, 2, false), -EFAULT);
	space_free(&space);
}

static void a_range_may_span_mappings_that_touch(void)
{
	struct vfio_user_space space;
	static uint8_t one[PAGE], two[PAGE];
	uint8_t data[8];

	space_init(&space);
	add(&space, two, 2 * PAGE, MAP_DEVICE_READ | MAP_DEVICE_WRITE);
	add(&space, one, PAGE, MAP_DEVICE_READ | MAP_DEVICE_WRITE);
	CU_ASSERT_EQUAL(vfio_user_space_copy(&space, 2 * PAGE - 4, "abcdefgh", 8, true), 0);
	CU_ASSERT_EQUAL(memcmp(one + PAGE - 4, "abcd", 4), 0);
	CU_ASSERT_EQUAL(memcmp(two, "efgh", 4), 0);
	CU_ASSERT_EQUAL(vfio_user_space_copy(&space, 2 * PAGE - 4, data, 8, false), 0);
	CU_ASSERT_EQUAL(memcmp(data, "abcdefgh", 8), 0);
	space_free(&space);
}

static void a_range_that_is_refused_in_part_is_not_copied_at_all(void)
{
	struct vfio_user_space space;
	uint8_t one[PAGE] = {0}, two[PAGE] = {0};

	space_init(&space);
	add(&space, one, PAGE, MAP_DEVICE_READ | MAP_DEVICE_WRITE);
	add(&space, two, 2 * PAGE, MAP_DEVICE_READ);
	CU_ASSERT_EQUAL(vfio_user_space_copy(&space, 2 * PAGE - 4, "abcdefgh", 8, true), -EPERM);
	CU_ASSERT_EQUAL(one[PAGE - 4], 0);
	vfio_user_space_remove(&space, 2 * PAGE);
	CU_ASSERT_EQUAL(vfio_user_space_copy(&space, 2 * PAGE - 4, "abcdefgh", 8, true), -EFAULT);
	CU_ASSERT_EQUAL(one[PAGE - 4], 0);
	space_free(&space);
}

static uint8_t *pages;
static uint64_t seen_first;

/* The second page is written for the first time: what does the first one hold by then? */
static void on_fault(int sig)
{
	(void)sig;
	memcpy(&seen_first, pages + PAGE - 8, sizeof(seen_first));
	mprotect(pages + PAGE, PAGE, PROT_READ | PROT_WRITE);
}

/* A completion entry ends with the word that says it is there, and another thread polls that. */
static void what_is_written_comes_in_the_order_of_its_addresses(void)
{
	struct sigaction sa = {.sa_handler = on_fault}, old;
	const uint64_t entry[2] = {0x1122334455667788, 0x99aabbccddeeff00};
	struct vfio_user_space space;
	uint8_t odd[13], copy[13];

	pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_TRUE_FATAL(pages != MAP_FAILED);
	space_init(&space);
	add(&space, pages, PAGE, MAP_DEVICE_READ | MAP_DEVICE_WRITE);
	space.maps.at[0].len_bytes = 2 * PAGE;
	mprotect(pages + PAGE, PAGE, PROT_READ);
	sigaction(SIGSEGV, &sa, &old);
	CU_ASSERT_EQUAL(vfio_user_space_copy(&space, 2 * PAGE - 8, (void *)(uintptr_t)entry, 16, true), 0);
	sigaction(SIGSEGV, &old, NULL);
	CU_ASSERT_EQUAL(seen_first, entry[0]);
	CU_ASSERT_EQUAL(memcmp(pages + PAGE - 8, entry, 16), 0);
	for (unsigned int i = 0; i < sizeof(odd); i++)
		odd[i] = (uint8_t)(i + 1);
	for (unsigned int at = 0; at < 8; at++) {
		for (size_t len = 1; len <= sizeof(odd); len++) {
			memset(pages, 0, 64);
			CU_ASSERT_EQUAL(vfio_user_space_copy(&space, PAGE + 8 + at, odd, len, true), 0);
			CU_ASSERT_EQUAL(vfio_user_space_copy(&space, PAGE + 8 + at, copy, len, false), 0);
			CU_ASSERT_EQUAL(memcmp(copy, odd, len), 0);
			CU_ASSERT_EQUAL(pages[8 + at - 1], 0);
			CU_ASSERT_EQUAL(pages[8 + at + len], 0);
		}
	}
	munmap(pages, 2 * PAGE);
	space_free(&space);
}

static void many_mappings_are_told_apart(void)
{
	static uint8_t memory[200][PAGE];
	struct vfio_user_space space;
	uint8_t byte = 0;

	space_init(&space);
	for (unsigned int i = 0; i < 200; i++) {
		unsigned int n = i * 77 % 200; /* every number, in another order */

		memory[n][5] = (uint8_t)n;
		add(&space, memory[n], (2 * n + 1) * (quoll_iova_t)PAGE, MAP_DEVICE_READ);
	}
	for (unsigned int n = 0; n < 200; n++) {
		CU_ASSERT_EQUAL(vfio_user_space_copy(&space, (2 * n + 1) * (quoll_iova_t)PAGE + 5, &byte, 1, false), 0);
		CU_ASSERT_EQUAL(byte, n);
		CU_ASSERT_EQUAL(vfio_user_space_copy(&space, 2 * n * (quoll_iova_t)PAGE + 5, &byte, 1, false), -EFAULT);
	}
	space_free(&space);
}

static const struct unit_test tests[] = {
	{"nothing is reached while nothing is mapped", nothing_is_reached_while_nothing_is_mapped},
	{"a range may span mappings that touch", a_range_may_span_mappings_that_touch},
	{"a range that is refused in part is not copied at all", a_range_that_is_refused_in_part_is_not_copied_at_all},
	{"what is written comes in the order of its addresses", what_is_written_comes_in_the_order_of_its_addresses},
	{"many mappings are told apart", many_mappings_are_told_apart},
};

UNIT_MAIN("eal/backend/vfio_user_serve", tests)
