/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_fault.c - faults from text, what is said of wrong text, and which commands are picked.
 */
#include <errno.h>
#include <string.h>

#include "target/fault.h"

#include "unit.h"

static struct tgt_sq admin_sq = {.id = 0}, io_sq = {.id = 3};

static struct tgt_req request(uint16_t sqid, uint8_t opcode, uint32_t nsid)
{
	return (struct tgt_req){.sq = sqid ? &io_sq : &admin_sq, .cmd = {.opcode = opcode, .nsid = nsid}};
}

static void every_action_has_its_value(void)
{
	static const struct {
		const char *text;
		enum tgt_fault_action action;
		uint64_t value;
	} good[] = {
		{"delay=3ms", TGT_FAULT_DELAY, 3000000},
		{"delay=2s", TGT_FAULT_DELAY, 2000000000},
		{"delay=7us", TGT_FAULT_DELAY, 7000},
		{"delay=9ns", TGT_FAULT_DELAY, 9},
		{"drop", TGT_FAULT_DROP, 0},
		{"corrupt=cid", TGT_FAULT_CORRUPT, TGT_CORRUPT_CID},
		{"corrupt=sqid", TGT_FAULT_CORRUPT, TGT_CORRUPT_SQID},
		{"corrupt=sqhd", TGT_FAULT_CORRUPT, TGT_CORRUPT_SQHD},
		{"corrupt=phase", TGT_FAULT_CORRUPT, TGT_CORRUPT_PHASE},
		{"corrupt=data", TGT_FAULT_CORRUPT, TGT_CORRUPT_DATA},
		{"repeat", TGT_FAULT_REPEAT, 1},
		{"repeat=4", TGT_FAULT_REPEAT, 4},
		{"status=0x281", TGT_FAULT_STATUS, 0x281},
		{"csts=stuck", TGT_FAULT_CSTS, TGT_CSTS_STUCK},
		{"csts=fatal", TGT_FAULT_CSTS, TGT_CSTS_FATAL},
		{"gone", TGT_FAULT_GONE, 0},
	};
	struct tgt_fault fault;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		CU_ASSERT_EQUAL(tgt_fault_parse(good[i].text, &fault, NULL), 0);
		CU_ASSERT_EQUAL(fault.action, good[i].action);
		CU_ASSERT_EQUAL(fault.value, good[i].value);
		CU_ASSERT_EQUAL(fault.sqid, TGT_FAULT_ANY);
	}
}

static void keys_say_which_commands(void)
{
	struct tgt_fault fault;

	CU_ASSERT_EQUAL(tgt_fault_parse("drop,queue=admin,op=6,nsid=0,skip=2,every=3,count=4", &fault, NULL), 0);
	CU_ASSERT_EQUAL(fault.sqid, 0);
	CU_ASSERT_EQUAL(fault.opcode, 6);
	CU_ASSERT_EQUAL(fault.skip, 2);
	CU_ASSERT_EQUAL(fault.every, 3);
	CU_ASSERT_EQUAL(fault.count, 4);
	CU_ASSERT_EQUAL(tgt_fault_parse("drop,op=write-zeroes", &fault, NULL), 0);
	CU_ASSERT_EQUAL(fault.opcode, nvme_cmd_write_zeroes);
	CU_ASSERT_EQUAL(fault.sqid, TGT_FAULT_IO);
	CU_ASSERT_EQUAL(tgt_fault_parse("drop,queue=64", &fault, NULL), 0);
	CU_ASSERT_EQUAL(fault.sqid, 64);
}

static void wrong_text_is_pointed_at(void)
{
	static const struct {
		const char *text;
		const char *where;
		const char *expected;
	} bad[] = {
		{"", "character 1", "delay"},
		{"smash", "character 1, 'smash'", "corrupt"},
		{"delay", "character 1", "number"},
		{"delay=5", "character 1, 'delay=5'", "with ns"},
		{"delay=5h", "character 1", "with ns"},
		{"delay=-5ms", "character 1", "number"},
		{"delay=99999999999999999999s", "character 1", "smaller"},
		{"delay=3601s", "character 1", "smaller"},
		{"drop=1", "character 1", "no value"},
		{"corrupt=bits", "character 1", "phase"},
		{"status=0", "character 1", "other than success"},
		{"status=0x800", "character 1", "smaller"},
		{"drop,every=0", "character 6, 'every=0'", "1 or more"},
		{"drop,op=explode", "character 6", "write-zeroes"},
		{"drop,op=0x100", "character 6", "read"},
		{"drop,queue=all", "character 6", "admin"},
		{"drop,color=red", "character 6", "queue"},
		{"drop,", "character 1", "another word"},
		{"drop,,gone", "character 6", "word"},
		{"drop,=3", "character 6", "word"},
		{"a-word-that-is-far-too-long", "character 1", "at most 15"},
	};
	struct tgt_fault fault;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct quoll_error err = {0};

		CU_ASSERT_EQUAL(tgt_fault_parse(bad[i].text, &fault, &err), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.what, bad[i].where));
		CU_ASSERT_PTR_NOT_NULL(strstr(err.what, bad[i].expected));
		CU_ASSERT_STRING_EQUAL(err.subject, bad[i].text);
	}
}

static void only_what_fits_is_picked(void)
{
	struct tgt_req read = request(3, nvme_cmd_read, 1), write = request(3, nvme_cmd_write, 1),
		       other = request(3, nvme_cmd_read, 2), log = request(0, nvme_admin_get_log_page, 1);
	struct tgt_fault fault;

	/* Read and Get Log Page have the same opcode. */
	tgt_fault_parse("drop,op=read,nsid=1", &fault, NULL);
	CU_ASSERT_PTR_EQUAL(tgt_fault_match(&fault, 1, &read), &fault);
	CU_ASSERT_PTR_NULL(tgt_fault_match(&fault, 1, &write));
	CU_ASSERT_PTR_NULL(tgt_fault_match(&fault, 1, &other));
	CU_ASSERT_PTR_NULL(tgt_fault_match(&fault, 1, &log));
	tgt_fault_parse("drop,queue=admin", &fault, NULL);
	CU_ASSERT_PTR_NULL(tgt_fault_match(&fault, 1, &read));
	CU_ASSERT_PTR_EQUAL(tgt_fault_match(&fault, 1, &log), &fault);
	tgt_fault_parse("drop,queue=3", &fault, NULL);
	CU_ASSERT_PTR_EQUAL(tgt_fault_match(&fault, 1, &read), &fault);
	CU_ASSERT_PTR_NULL(tgt_fault_match(&fault, 1, &log));
}

static void skip_every_and_count_pick_from_those(void)
{
	struct tgt_req read = request(3, nvme_cmd_read, 1);
	struct tgt_fault fault;
	char picks[32] = "";

	tgt_fault_parse("drop,skip=4,every=3,count=2", &fault, NULL);
	for (unsigned int i = 0; i < 16; i++)
		strcat(picks, tgt_fault_match(&fault, 1, &read) ? "x" : ".");
	CU_ASSERT_STRING_EQUAL(picks, "......x..x......");
	CU_ASSERT_EQUAL(fault.hits, 2);
	CU_ASSERT_EQUAL(fault.seen, 16);
}

static void the_first_line_that_picks_wins(void)
{
	struct tgt_req read = request(3, nvme_cmd_read, 1);
	struct tgt_fault faults[2];

	tgt_fault_parse("delay=1ms,every=2", &faults[0], NULL);
	tgt_fault_parse("drop", &faults[1], NULL);
	CU_ASSERT_PTR_EQUAL(tgt_fault_match(faults, 2, &read), &faults[1]);
	CU_ASSERT_PTR_EQUAL(tgt_fault_match(faults, 2, &read), &faults[0]);
	CU_ASSERT_PTR_NULL(tgt_fault_match(NULL, 0, &read));
}

static const struct unit_test tests[] = {
	{"every action has its value", every_action_has_its_value},
	{"keys say which commands", keys_say_which_commands},
	{"wrong text is pointed at", wrong_text_is_pointed_at},
	{"only what fits is picked", only_what_fits_is_picked},
	{"skip, every and count pick from those", skip_every_and_count_pick_from_those},
	{"the first line that picks wins", the_first_line_that_picks_wins},
};

UNIT_MAIN("apps/target/fault", tests)
