/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_claims.c - devices of one verb: a group is claimed once, everything goes back in order, also after a failure.
 */
#include "eal/backend/fake_backend.h"
#include "eal/backend/fake_server.h"
#include "quoll/claims.h"
#include "unit.h"

/* Addresses, as claims_device() sees them; the fake's groups have the claimed device and "other" in them. */
static const struct quoll_addr first = {.target = "0000:01:00.0"}, second = {.target = "0000:02:00.0"},
			       neighbour = {.target = "other"};

static void start(struct claims *claims)
{
	fake_reset();
	memset(claims, 0, sizeof(*claims));
	CU_ASSERT_EQUAL_FATAL(ioas_open_ops(NULL, &fake_ops, &claims->ioases[0], NULL), 0);
	claims->nr_ioases = 1; /* of the back-end that PCI addresses go to */
	fake_forget_calls();
}

static unsigned int calls_of(const char *name)
{
	unsigned int nr = 0;

	for (const char *at = fake.calls; (at = strstr(at, name)); at += strlen(name))
		nr++;
	return nr;
}

static void two_devices_of_one_group_claim_it_once(void)
{
	struct claims claims;
	struct quoll_device *one, *two;

	start(&claims);
	CU_ASSERT_EQUAL(claims_device(&claims, &first, &one, NULL), 0);
	CU_ASSERT_EQUAL(claims_device(&claims, &neighbour, &two, NULL), 0);
	CU_ASSERT_EQUAL(claims.nr_devices, 2);
	CU_ASSERT_EQUAL(claims.nr_groups, 1);
	CU_ASSERT_EQUAL(calls_of("claim()"), 1);
	CU_ASSERT_EQUAL(calls_of("device_open()"), 2);
	CU_ASSERT_PTR_NOT_EQUAL(one, two);
	claims_close(&claims);
	CU_ASSERT_EQUAL(calls_of("device_close()"), 2);
	CU_ASSERT_EQUAL(calls_of("release()"), 1);
	CU_ASSERT_EQUAL(calls_of("ioas_close()"), 1);
}

static void devices_of_two_groups_share_a_heap_and_go_back_in_order(void)
{
	struct claims claims;
	struct quoll_device *device;
	struct quoll_arena *arena;
	const char *last_device, *unmap;
	void *va;

	start(&claims);
	CU_ASSERT_EQUAL(claims_device(&claims, &first, &device, NULL), 0);
	CU_ASSERT_EQUAL(claims_device(&claims, &second, &device, NULL), 0);
	CU_ASSERT_EQUAL(claims.nr_groups, 2);
	CU_ASSERT_EQUAL_FATAL(claims_heap(&claims, QUOLL_PAGES_4K, 0, NULL), 0);
	CU_ASSERT_EQUAL(quoll_arena_create(claims.heap, "a", QUOLL_ARENA_DEVICE_READ_WRITE, 1 << 20, &arena, NULL), 0);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 4096, 4096, &va, NULL), 0);
	CU_ASSERT_EQUAL(calls_of("map("), 1); /* one address space */
	fake_forget_calls();
	claims_close(&claims);
	last_device = strstr(fake.calls, "device_close()");
	unmap = strstr(fake.calls, "unmap(");
	CU_ASSERT_PTR_NOT_NULL_FATAL(last_device);
	last_device = strstr(last_device + 1, "device_close()");
	CU_ASSERT_PTR_NOT_NULL_FATAL(unmap);
	CU_ASSERT(last_device && last_device < unmap && unmap < strstr(fake.calls, "release()"));
	CU_ASSERT(strstr(fake.calls, "release()") < strstr(fake.calls, "ioas_close()"));
	CU_ASSERT_PTR_NULL(claims.heap);
	CU_ASSERT_EQUAL(claims.nr_ioases, 0);
}

static void a_device_in_another_process_has_its_own_address_space_and_the_same_heap(void)
{
	struct quoll_addr addr = {.scheme = QUOLL_ADDR_VFIO_USER};
	struct quoll_device *device;
	struct fake_server server;
	struct quoll_heap_info info;
	struct quoll_arena *arena;
	struct claims claims;
	void *va;

	start(&claims);
	fake_server_init(&server);
	fake_server_start(&server);
	addr.target = server.path;
	CU_ASSERT_EQUAL(claims_device(&claims, &first, &device, NULL), 0);
	CU_ASSERT_EQUAL(claims_device(&claims, &addr, &device, NULL), 0);
	CU_ASSERT_EQUAL(claims_device(&claims, &second, &device, NULL), 0);
	CU_ASSERT_EQUAL(claims.nr_ioases, 2);
	CU_ASSERT_EQUAL(claims_device(&claims, &addr, &device, NULL), -EBUSY); /* open already */
	CU_ASSERT_EQUAL_FATAL(claims_heap(&claims, QUOLL_PAGES_4K, 1 << 30, NULL), 0);
	quoll_heap_info(claims.heap, &info);
	CU_ASSERT_EQUAL(info.nr_ioases, 2);
	CU_ASSERT_EQUAL(quoll_arena_create(claims.heap, "a", QUOLL_ARENA_DEVICE_READ_WRITE, 1 << 20, &arena, NULL), 0);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 4096, 4096, &va, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(server.nr_maps, 1);
	CU_ASSERT_EQUAL(server.maps[0].map.iova, fake.mapped[0].iova);
	claims_close(&claims);
	CU_ASSERT_EQUAL(server.nr_maps, 0);
	CU_ASSERT_EQUAL(claims.nr_ioases, 0);
	fake_server_free(&server);
}

static void a_device_that_does_not_open_leaves_the_others(void)
{
	struct claims claims;
	struct quoll_device *device;
	struct quoll_error err = {0};

	start(&claims);
	CU_ASSERT_EQUAL(claims_device(&claims, &first, &device, &err), 0);
	fake.fail_call = "claim";
	fake.fail_rc = -EBUSY;
	CU_ASSERT_EQUAL(claims_device(&claims, &second, &device, &err), -EBUSY);
	CU_ASSERT_EQUAL(claims.nr_devices, 1);
	CU_ASSERT_EQUAL(claims.nr_groups, 1);
	fake.fail_call = "device_open";
	fake.fail_skip = 0;
	CU_ASSERT_EQUAL(claims_device(&claims, &second, &device, &err), -EBUSY);
	CU_ASSERT_EQUAL(claims.nr_devices, 1);
	CU_ASSERT_EQUAL(claims.nr_groups, 2); /* given back with the rest */
	claims_close(&claims);
	CU_ASSERT_EQUAL(calls_of("release()"), 2);
	CU_ASSERT_EQUAL(calls_of("ioas_close()"), 1);
}

static void without_devices_there_is_a_heap_and_no_address_space(void)
{
	struct claims claims = {0};
	struct quoll_heap_info info;

	CU_ASSERT_EQUAL_FATAL(claims_heap(&claims, QUOLL_PAGES_4K, 8 << 20, NULL), 0);
	quoll_heap_info(claims.heap, &info);
	CU_ASSERT_EQUAL(info.size_bytes, 8 << 20);
	CU_ASSERT_EQUAL(info.nr_ioases, 0);
	CU_ASSERT_EQUAL(claims.nr_ioases, 0);
	claims_close(&claims);
	CU_ASSERT_PTR_NULL(claims.heap);
}

static void the_heap_is_near_the_devices_only_if_they_agree(void)
{
	struct quoll_device devices[] = {{.info.numa_node = 1}, {.info.numa_node = 1}, {.info.numa_node = 0}};
	struct claims claims = {.devices = {&devices[0], &devices[1], &devices[2]}};

	CU_ASSERT_EQUAL(claims_node(&claims), -1);
	claims.nr_devices = 2;
	CU_ASSERT_EQUAL(claims_node(&claims), 1);
	claims.nr_devices = 3;
	CU_ASSERT_EQUAL(claims_node(&claims), -1);
}

/* Its ids, and what then becomes of memory that is for devices to read. */
static void memory_of_spdks_target_is_all_writable(void)
{
	static const struct {
		uint8_t ids[4];
		uint8_t subsystem[4];
	} devices[] = {
		{{0x58, 0x4e, 0x01, 0x00}, {0x58, 0x4e, 0x00, 0x00}},
		{{0x58, 0x4e, 0x01, 0x00}, {0x58, 0x4e, 0x01, 0x00}}, /* Quoll's */
		{{0x58, 0x4e, 0x02, 0x00}, {0x58, 0x4e, 0x00, 0x00}},
		{{0x36, 0x1b, 0x01, 0x00}, {0x58, 0x4e, 0x00, 0x00}},
	};
	struct quoll_device *device;
	struct quoll_arena *arena;
	struct claims claims;
	void *va;

	for (unsigned int i = 0; i < 4; i++) {
		start(&claims);
		memcpy(fake.config, devices[i].ids, 4);
		memcpy(fake.config + 0x2c, devices[i].subsystem, 4);
		CU_ASSERT_EQUAL(claims_device(&claims, &first, &device, NULL), 0);
		CU_ASSERT_EQUAL_FATAL(claims_heap(&claims, QUOLL_PAGES_4K, 0, NULL), 0);
		CU_ASSERT_EQUAL(quoll_arena_create(claims.heap, "a", QUOLL_ARENA_DEVICE_READ, 1 << 20, &arena, NULL),
				0);
		CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 4096, 4096, &va, NULL), 0);
		CU_ASSERT_EQUAL(fake.mapped[0].access, i == 0 ? MAP_DEVICE_READ | MAP_DEVICE_WRITE : MAP_DEVICE_READ);
		claims_close(&claims);
	}
}

static const struct unit_test tests[] = {
	{"two devices of one group claim it once", two_devices_of_one_group_claim_it_once},
	{"devices of two groups share a heap and go back in order",
	 devices_of_two_groups_share_a_heap_and_go_back_in_order},
	{"a device in another process has its own address space and the same heap",
	 a_device_in_another_process_has_its_own_address_space_and_the_same_heap},
	{"a device that does not open leaves the others", a_device_that_does_not_open_leaves_the_others},
	{"without devices there is a heap and no address space", without_devices_there_is_a_heap_and_no_address_space},
	{"memory of SPDK's target is all writable", memory_of_spdks_target_is_all_writable},
	{"the heap is near the devices only if they agree", the_heap_is_near_the_devices_only_if_they_agree},
};

UNIT_MAIN("claims of a verb", tests)
