/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_names.c - default names: the same for the same target, others for others, and nothing of the machine's id.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target/names.h"

#include "unit.h"

static char dir[32];
static char ids[2][64];

static void write_id(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	fclose(f);
}

static void start(void)
{
	strcpy(dir, "/tmp/test_names.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	for (unsigned int i = 0; i < 2; i++)
		snprintf(ids[i], sizeof(ids[i]), "%s/id%u", dir, i);
	write_id(ids[0], "0123456789abcdef0123456789abcdef\n");
	write_id(ids[1], "0123456789abcdef0123456789abcdee\n");
}

static void end(void)
{
	for (unsigned int i = 0; i < 2; i++)
		unlink(ids[i]);
	rmdir(dir);
}

/* The vectors of the authors' reference code: key 00 to 0f, input 00, 01, 02 and so on. */
static void the_sum_is_siphash(void)
{
	static const uint8_t none[16] = {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6,
					 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93};
	static const uint8_t one[16] = {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44,
					0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45};
	static const uint8_t fifteen[16] = {0x54, 0x93, 0xe9, 0x99, 0x33, 0xb0, 0xa8, 0x11,
					    0x7e, 0x08, 0xec, 0x0f, 0x97, 0xcf, 0xc3, 0xd9};
	uint8_t key[16], sum[16];

	for (unsigned int i = 0; i < 16; i++)
		key[i] = (uint8_t)i;
	tgt_siphash(key, key, 0, sum);
	CU_ASSERT_EQUAL(memcmp(sum, none, 16), 0);
	tgt_siphash(key, key, 1, sum);
	CU_ASSERT_EQUAL(memcmp(sum, one, 16), 0);
	tgt_siphash(key, key, 15, sum);
	CU_ASSERT_EQUAL(memcmp(sum, fifteen, 16), 0);
}

static void names_are_well_formed(void)
{
	struct tgt_subsys_opts opts;
	struct tgt_subsys *subsys;
	struct tgt_names names;

	start();
	tgt_names_make(ids[0], "/run/q0.sock", &names);
	CU_ASSERT_EQUAL(strncmp(names.nqn, "nqn.2014-08.org.nvmexpress:uuid:", 32), 0);
	CU_ASSERT_EQUAL(strlen(names.nqn), 32 + 36);
	CU_ASSERT_EQUAL(names.nqn[32 + 14], '8');
	CU_ASSERT_EQUAL(strlen(names.serial), 20);
	CU_ASSERT_EQUAL(strncmp(names.serial, "QUOLL", 5), 0);
	opts = (struct tgt_subsys_opts){.nqn = names.nqn, .serial = names.serial};
	CU_ASSERT_EQUAL_FATAL(tgt_subsys_create(NULL, &opts, &subsys, NULL), 0);
	tgt_subsys_destroy(subsys);
	end();
}

static bool same(const struct tgt_names *a, const struct tgt_names *b)
{
	bool nqn = !strcmp(a->nqn, b->nqn);

	CU_ASSERT_EQUAL(nqn, !strcmp(a->serial, b->serial));
	return nqn;
}

static void a_target_keeps_its_names_and_others_have_others(void)
{
	struct tgt_names first, again, other;
	char path[96], around[128];

	start();
	snprintf(path, sizeof(path), "%s/q0.sock", dir);
	snprintf(around, sizeof(around), "%s/../%s/./q0.sock", dir, dir + 5);
	tgt_names_make(ids[0], path, &first);
	tgt_names_make(ids[0], around, &again);
	CU_ASSERT_TRUE(same(&first, &again));
	tgt_names_make(ids[1], path, &other);
	CU_ASSERT_FALSE(same(&first, &other));
	path[strlen(path) - 1] = 'l';
	tgt_names_make(ids[0], path, &other);
	CU_ASSERT_FALSE(same(&first, &other));
	end();
}

/* In a container there may be none, or one that is empty. */
static void without_a_machine_id_there_are_names_too(void)
{
	static const char *const texts[] = {"", "uninitialized\n", "0123456789abcdef0123456789abcdeg\n"};
	struct tgt_names none, names, other;

	start();
	tgt_names_make("/dev/null/x", "/run/q0.sock", &none);
	tgt_names_make("/dev/null/x", "/run/q1.sock", &other);
	CU_ASSERT_FALSE(same(&none, &other));
	for (unsigned int i = 0; i < 3; i++) {
		write_id(ids[1], texts[i]);
		tgt_names_make(ids[1], "/run/q0.sock", &names);
		CU_ASSERT_TRUE(same(&none, &names));
	}
	end();
}

static const struct unit_test tests[] = {
	{"the sum is SipHash", the_sum_is_siphash},
	{"names are well formed", names_are_well_formed},
	{"a target keeps its names, and others have others", a_target_keeps_its_names_and_others_have_others},
	{"without a machine's id there are names too", without_a_machine_id_there_are_names_too},
};

UNIT_MAIN("apps/target/names", tests)
