/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_render.c - text made from JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "quoll/render.h"

#include "unit.h"

static void expect_cell(json_t *value, enum render_kind kind, const char *wanted)
{
	char *cell = render_cell(value, kind);

	CU_ASSERT_PTR_NOT_NULL_FATAL(cell);
	CU_ASSERT_STRING_EQUAL(cell, wanted);
	free(cell);
	json_decref(value);
}

static void cells_read_like_a_person_writes(void)
{
	expect_cell(json_integer(-3), RENDER_PLAIN, "-3");
	expect_cell(json_real(1.005), RENDER_PLAIN, "1.00");
	expect_cell(json_true(), RENDER_PLAIN, "yes");
	expect_cell(json_false(), RENDER_PLAIN, "no");
	expect_cell(json_null(), RENDER_PLAIN, "-");
	expect_cell(json_string(""), RENDER_PLAIN, "-");
	expect_cell(json_pack("[s,i]", "a", 2), RENDER_PLAIN, "a, 2");
	expect_cell(json_array(), RENDER_PLAIN, "-");
	expect_cell(json_integer(512), RENDER_BYTES, "512 B");
	expect_cell(json_integer(4096), RENDER_BYTES, "4 KiB");
	expect_cell(json_integer(1536), RENDER_BYTES, "1.50 KiB");
	expect_cell(json_integer(1ll << 40), RENDER_BYTES, "1 TiB");
	expect_cell(json_integer(999), RENDER_NS, "999 ns");
	expect_cell(json_integer(12345), RENDER_NS, "12.35 us");
	expect_cell(json_integer(1500000000), RENDER_NS, "1.50 s");
	expect_cell(json_integer(255), RENDER_HEX, "0xff");
	expect_cell(NULL, RENDER_PLAIN, "-");
}

static void control_characters_of_devices_do_not_reach_the_terminal(void)
{
	expect_cell(json_string("a\x1b[2Jb\n"), RENDER_PLAIN, "a?[2Jb?");
	expect_cell(render_text("caf\xe9"), RENDER_PLAIN, "caf?");
	expect_cell(render_text("caf\xc3\xa9"), RENDER_PLAIN, "caf\xc3\xa9");
}

static char *table(const json_t *rows, const struct render_field *fields)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	render_table(f, rows, fields, " ");
	fclose(f);
	return text;
}

static void tables_line_up_and_have_no_trailing_blanks(void)
{
	static const struct render_field fields[] = {
		{"NAME", "name", RENDER_PLAIN, false},
		{"N", "n", RENDER_PLAIN, true},
		{"TEXT", "text", RENDER_PLAIN, false},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	json_t *rows = json_pack("[{s:s,s:i,s:s},{s:s,s:i}]", "name", "caf\xc3\xa9", "n", 7, "text", "x", "name",
				 "longer", "n", 123);
	char *text = table(rows, fields);

	CU_ASSERT_STRING_EQUAL(text, " NAME      N  TEXT\n"
				     " caf\xc3\xa9      7  x\n"
				     " longer  123  -\n");
	free(text);
	json_decref(rows);
	rows = json_array();
	text = table(rows, fields);
	CU_ASSERT_STRING_EQUAL(text, "");
	free(text);
	json_decref(rows);
}

static void facts_leave_out_what_is_not_there(void)
{
	static const struct render_field fields[] = {
		{"one", "a", RENDER_PLAIN, false},
		{"missing heading", "b", RENDER_PLAIN, false},
		{"three", "c", RENDER_BYTES, false},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	json_t *object = json_pack("{s:i,s:i}", "a", 1, "c", 2048);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	render_facts(f, object, fields, "");
	fclose(f);
	CU_ASSERT_STRING_EQUAL(text, "one:   1\nthree: 2 KiB\n");
	free(text);
	json_decref(object);
}

static const struct unit_test tests[] = {
	{"cells read like a person writes", cells_read_like_a_person_writes},
	{"control characters of devices do not reach the terminal",
	 control_characters_of_devices_do_not_reach_the_terminal},
	{"tables line up and have no trailing blanks", tables_line_up_and_have_no_trailing_blanks},
	{"facts leave out what is not there", facts_leave_out_what_is_not_there},
};

UNIT_MAIN("text from JSON", tests)
