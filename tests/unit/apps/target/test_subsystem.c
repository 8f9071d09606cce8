/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_subsystem.c - names, namespaces by NSID and who holds them, controller ids, hosts.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "target/subsystem.h"

#include "unit.h"

static unsigned int nr_destroyed;

static void fake_destroy(struct tgt_ns *ns)
{
	nr_destroyed++;
	free(ns);
}

static const struct tgt_ns_ops fake_ops = {.destroy = fake_destroy};

static struct tgt_ns *fake_ns(void)
{
	struct tgt_ns *ns = calloc(1, sizeof(*ns));

	ns->ops = &fake_ops;
	return ns;
}

static struct tgt_subsys *make(void)
{
	struct tgt_subsys *subsys = NULL;

	CU_ASSERT_EQUAL_FATAL(tgt_subsys_create(NULL, NULL, &subsys, NULL), 0);
	nr_destroyed = 0;
	return subsys;
}

static void names_are_checked(void)
{
	char longest[TGT_NQN_BYTES + 1];
	struct tgt_subsys_opts good = {.nqn = "nqn.2014-08.org.nvmexpress:x", .serial = "12345678901234567890"};
	struct tgt_subsys_opts bad[] = {
		{.nqn = "iqn.2014"},
		{.nqn = ""},
		{.nqn = longest},
		{.serial = "123456789012345678901"},
		{.serial = ""},
		{.model = "tab\there"},
		{.model = "12345678901234567890123456789012345678901"},
	};
	struct tgt_subsys *subsys;

	memset(longest, 'a', TGT_NQN_BYTES);
	memcpy(longest, "nqn.", 4);
	longest[TGT_NQN_BYTES] = '\0';
	CU_ASSERT_EQUAL(tgt_subsys_create(NULL, &good, &subsys, NULL), 0);
	CU_ASSERT_STRING_EQUAL(subsys->serial, "12345678901234567890");
	tgt_subsys_destroy(subsys);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct quoll_error err = {0};

		CU_ASSERT_EQUAL(tgt_subsys_create(NULL, &bad[i], &subsys, &err), -EINVAL);
		CU_ASSERT_NOT_EQUAL(err.what[0], '\0');
	}
	longest[TGT_NQN_BYTES - 1] = '\0';
	good.nqn = longest;
	CU_ASSERT_EQUAL(tgt_subsys_create(NULL, &good, &subsys, NULL), 0);
	tgt_subsys_destroy(subsys);
}

static void namespaces_get_the_first_free_nsid_or_the_one_they_want(void)
{
	struct tgt_subsys *subsys = make();
	struct quoll_error err = {0};

	CU_ASSERT_EQUAL(tgt_subsys_add_ns(subsys, fake_ns(), 0, &err), 1);
	CU_ASSERT_EQUAL(tgt_subsys_add_ns(subsys, fake_ns(), 3, &err), 3);
	CU_ASSERT_EQUAL(tgt_subsys_add_ns(subsys, fake_ns(), 0, &err), 2);
	CU_ASSERT_EQUAL(tgt_subsys_add_ns(subsys, fake_ns(), 0, &err), 4);
	CU_ASSERT_EQUAL(tgt_subsys_add_ns(subsys, fake_ns(), 3, &err), -EEXIST);
	CU_ASSERT_EQUAL(tgt_subsys_add_ns(subsys, fake_ns(), TGT_MAX_NAMESPACES + 1, &err), -ERANGE);
	CU_ASSERT_EQUAL(nr_destroyed, 2);
	CU_ASSERT_EQUAL(tgt_subsys_remove_ns(subsys, 2, &err), 0);
	CU_ASSERT_EQUAL(tgt_subsys_remove_ns(subsys, 2, &err), -ENOENT);
	CU_ASSERT_EQUAL(tgt_subsys_remove_ns(subsys, 0, &err), -ENOENT);
	CU_ASSERT_EQUAL(tgt_subsys_remove_ns(subsys, UINT32_MAX, &err), -ENOENT);
	CU_ASSERT_EQUAL(tgt_subsys_add_ns(subsys, fake_ns(), 0, &err), 2);
	tgt_subsys_destroy(subsys);
	CU_ASSERT_EQUAL(nr_destroyed, 7);
}

static void a_full_subsystem_takes_no_more_namespaces(void)
{
	struct tgt_subsys *subsys = make();

	for (unsigned int i = 0; i < TGT_MAX_NAMESPACES; i++)
		CU_ASSERT_EQUAL(tgt_subsys_add_ns(subsys, fake_ns(), 0, NULL), (int)i + 1);
	CU_ASSERT_EQUAL(tgt_subsys_add_ns(subsys, fake_ns(), 0, NULL), -ENOSPC);
	CU_ASSERT_EQUAL(nr_destroyed, 1);
	tgt_subsys_destroy(subsys);
}

static void a_namespace_lives_until_its_last_user_lets_go(void)
{
	struct tgt_subsys *subsys = make();
	struct tgt_ns *one, *two;
	uint32_t generation;

	tgt_subsys_add_ns(subsys, fake_ns(), 1, NULL);
	one = tgt_subsys_get_ns(subsys, 1);
	two = tgt_subsys_get_ns(subsys, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(one);
	generation = tgt_subsys_generation(subsys);
	CU_ASSERT_EQUAL(tgt_subsys_remove_ns(subsys, 1, NULL), 0);
	CU_ASSERT_NOT_EQUAL(tgt_subsys_generation(subsys), generation);
	CU_ASSERT_PTR_NULL(tgt_subsys_get_ns(subsys, 1));
	tgt_subsys_put_ns(subsys, one);
	CU_ASSERT_EQUAL(nr_destroyed, 0);
	tgt_subsys_put_ns(subsys, two);
	CU_ASSERT_EQUAL(nr_destroyed, 1);
	tgt_subsys_destroy(subsys);
}

static void controllers_have_ids_of_their_own(void)
{
	struct tgt_subsys *subsys = make();
	struct tgt_ctrl *some = (struct tgt_ctrl *)subsys;
	uint16_t ids[8];

	for (unsigned int i = 1; i <= TGT_MAX_CONTROLLERS; i++)
		CU_ASSERT_EQUAL(tgt_subsys_attach(subsys, some), (int)i);
	CU_ASSERT_EQUAL(tgt_subsys_attach(subsys, some), -ENOSPC);
	tgt_subsys_detach(subsys, 5);
	CU_ASSERT_EQUAL(tgt_subsys_ids(subsys, 4, ids, 2), 2);
	CU_ASSERT_EQUAL(ids[0], 4);
	CU_ASSERT_EQUAL(ids[1], 6);
	CU_ASSERT_EQUAL(tgt_subsys_ids(subsys, 0, ids, 1), 1);
	CU_ASSERT_EQUAL(ids[0], 1);
	CU_ASSERT_EQUAL(tgt_subsys_ids(subsys, TGT_MAX_CONTROLLERS + 1, ids, 8), 0);
	CU_ASSERT_EQUAL(tgt_subsys_attach(subsys, some), 5);
	tgt_subsys_destroy(subsys);
}

static void hosts_named_are_the_only_ones_let_in(void)
{
	struct tgt_subsys *subsys = make();

	CU_ASSERT_TRUE(tgt_subsys_host_allowed(subsys, "nqn.a"));
	CU_ASSERT_EQUAL(tgt_subsys_allow_host(subsys, "a", NULL), -EINVAL);
	CU_ASSERT_TRUE(tgt_subsys_host_allowed(subsys, "nqn.a"));
	CU_ASSERT_EQUAL(tgt_subsys_allow_host(subsys, "nqn.b", NULL), 0);
	CU_ASSERT_EQUAL(tgt_subsys_allow_host(subsys, "nqn.b", NULL), -EEXIST);
	CU_ASSERT_FALSE(tgt_subsys_host_allowed(subsys, "nqn.a"));
	CU_ASSERT_FALSE(tgt_subsys_host_allowed(subsys, "nqn.bb"));
	CU_ASSERT_TRUE(tgt_subsys_host_allowed(subsys, "nqn.b"));
	tgt_subsys_destroy(subsys);
}

static const struct unit_test tests[] = {
	{"names are checked", names_are_checked},
	{"namespaces get the first free NSID, or the one they want",
	 namespaces_get_the_first_free_nsid_or_the_one_they_want},
	{"a full subsystem takes no more namespaces", a_full_subsystem_takes_no_more_namespaces},
	{"a namespace lives until its last user lets go", a_namespace_lives_until_its_last_user_lets_go},
	{"controllers have ids of their own", controllers_have_ids_of_their_own},
	{"hosts that are named are the only ones let in", hosts_named_are_the_only_ones_let_in},
};

UNIT_MAIN("apps/target/subsystem", tests)
