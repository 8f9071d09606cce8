/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_claim.c - claims above a fake back-end: what is refused while something is in use, what a failure undoes.
 */
#include "eal/backend/fake_backend.h"
#include "unit.h"

static void a_claim_names_its_devices(void)
{
	struct quoll_group *group = NULL;
	struct quoll_ioas *ioas = NULL;
	struct quoll_addr addr;

	fake_reset();
	fake_address(&addr);
	CU_ASSERT_EQUAL_FATAL(ioas_open_ops(NULL, &fake_ops, &ioas, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_group_claim(ioas, &addr, &group, NULL), 0);
	CU_ASSERT_EQUAL(quoll_group_id(group), 7);
	CU_ASSERT_EQUAL(quoll_group_nr_devices(group), 2);
	CU_ASSERT_STRING_EQUAL(quoll_group_device_name(group, 0), "0000:01:00.0");
	CU_ASSERT_STRING_EQUAL(quoll_group_device_name(group, 1), "other");
	CU_ASSERT_PTR_NULL(quoll_group_device_name(group, 2));
	CU_ASSERT_PTR_NULL(quoll_group_device_name(group, UINT32_MAX));
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), -EBUSY);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), 0);
	CU_ASSERT_STRING_EQUAL(fake.calls, "ioas_open() claim() release() ioas_close() ");
}

static void groups_come_and_go_in_any_order(void)
{
	struct quoll_group *groups[3] = {NULL};
	struct quoll_device *dev = NULL;
	struct quoll_ioas *ioas = NULL;
	struct quoll_addr addr;

	fake_reset();
	fake_address(&addr);
	CU_ASSERT_EQUAL_FATAL(ioas_open_ops(NULL, &fake_ops, &ioas, NULL), 0);
	for (unsigned int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL_FATAL(quoll_group_claim(ioas, &addr, &groups[i], NULL), 0);
	CU_ASSERT_EQUAL(quoll_device_open(groups[2], "other", &dev, NULL), 0);
	CU_ASSERT_EQUAL(quoll_group_release(groups[0]), 0);
	CU_ASSERT_EQUAL(quoll_group_release(groups[2]), -EBUSY);
	CU_ASSERT_EQUAL(ioas->nr_groups, 2);
	CU_ASSERT_EQUAL(quoll_group_release(groups[1]), 0);
	quoll_device_close(dev);
	CU_ASSERT_EQUAL(quoll_group_release(groups[2]), 0);
	CU_ASSERT_EQUAL(ioas->nr_groups, 0);
	CU_ASSERT_EQUAL(quoll_group_claim(ioas, &addr, &groups[0], NULL), 0); /* open, close, open */
	CU_ASSERT_EQUAL(quoll_group_release(groups[0]), 0);
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), 0);
}

static void a_failed_claim_leaves_the_address_space_as_it_was(void)
{
	struct quoll_group *group = NULL;
	struct quoll_ioas *ioas = NULL;
	struct quoll_addr addr;

	fake_reset();
	fake_address(&addr);
	CU_ASSERT_EQUAL_FATAL(ioas_open_ops(NULL, &fake_ops, &ioas, NULL), 0);
	fake.fail_call = "claim";
	fake.fail_rc = -EACCES;
	CU_ASSERT_EQUAL(quoll_group_claim(ioas, &addr, &group, NULL), -EACCES);
	CU_ASSERT_PTR_NULL(group);
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), 0);
}

static void an_address_space_takes_so_many_groups_and_no_more(void)
{
	struct quoll_group *groups[IOAS_MAX_GROUPS] = {NULL}, *more = NULL;
	struct quoll_ioas *ioas = NULL;
	struct quoll_addr addr;

	fake_reset();
	fake_address(&addr);
	CU_ASSERT_EQUAL_FATAL(ioas_open_ops(NULL, &fake_ops, &ioas, NULL), 0);
	for (unsigned int i = 0; i < IOAS_MAX_GROUPS; i++)
		CU_ASSERT_EQUAL_FATAL(quoll_group_claim(ioas, &addr, &groups[i], NULL), 0);
	CU_ASSERT_EQUAL(quoll_group_claim(ioas, &addr, &more, NULL), -ENOSPC);
	for (unsigned int i = 0; i < IOAS_MAX_GROUPS; i++)
		CU_ASSERT_EQUAL(quoll_group_release(groups[i]), 0);
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), 0);
}

static const struct unit_test tests[] = {
	{"a claim names its devices", a_claim_names_its_devices},
	{"groups come and go in any order", groups_come_and_go_in_any_order},
	{"a failed claim leaves the address space as it was", a_failed_claim_leaves_the_address_space_as_it_was},
	{"an address space takes so many groups and no more", an_address_space_takes_so_many_groups_and_no_more},
};

UNIT_MAIN("claim", tests)
