/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_error.c - struct quoll_error and the log callback.
 */
#include <errno.h>
#include <string.h>

#include <quoll/env.h>
#include <quoll/error.h>

#include "unit.h"

static void set_returns_minus_errno_and_fills_every_field(void)
{
	struct quoll_error err;

	memset(&err, 0xff, sizeof(err));
	CU_ASSERT_EQUAL(quoll_error_set(&err, EBUSY, "claim", "pci:1", "held by %s", "nvme"), -EBUSY);
	CU_ASSERT_EQUAL(err.errnum, EBUSY);
	CU_ASSERT_STRING_EQUAL(err.stage, "claim");
	CU_ASSERT_STRING_EQUAL(err.subject, "pci:1");
	CU_ASSERT_STRING_EQUAL(err.what, "held by nvme");
	CU_ASSERT_STRING_EQUAL(err.hint, "");
}

static void null_error_still_returns_the_number(void)
{
	CU_ASSERT_EQUAL(quoll_error_set(NULL, EPERM, "a", "b", "c"), -EPERM);
	quoll_error_append(NULL, "x");
	quoll_error_hint(NULL, "x");
}

static void long_text_is_cut_and_terminated(void)
{
	struct quoll_error err;
	char big[4096];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	quoll_error_set(&err, EIO, big, big, "%s", big);
	quoll_error_append(&err, "%s", big);
	quoll_error_hint(&err, "%s", big);
	CU_ASSERT_EQUAL(strlen(err.stage), sizeof(err.stage) - 1);
	CU_ASSERT_EQUAL(strlen(err.subject), sizeof(err.subject) - 1);
	CU_ASSERT_EQUAL(strlen(err.what), sizeof(err.what) - 1);
	CU_ASSERT_EQUAL(strlen(err.hint), sizeof(err.hint) - 1);
}

static void an_error_can_be_rewritten_from_its_own_text(void)
{
	struct quoll_error err;

	quoll_error_set(&err, EIO, "map", "heap", "inner");
	quoll_error_set(&err, EAGAIN, err.stage, err.subject, "outer: %s", err.what);
	CU_ASSERT_STRING_EQUAL(err.what, "outer: inner");
	CU_ASSERT_STRING_EQUAL(err.stage, "map");
}

static int lines;

static void count_line(void *arg, enum quoll_log_level level, const char *area, const char *line)
{
	(void)arg;
	(void)level;
	(void)area;
	(void)line;
	lines++;
}

static void log_lines_above_the_level_are_dropped(void)
{
	struct quoll_env env = {.log = count_line, .log_level = QUOLL_LOG_WARN};

	quoll_log(&env, QUOLL_LOG_ERROR, "test", "one");
	quoll_log(&env, QUOLL_LOG_WARN, "test", "two");
	quoll_log(&env, QUOLL_LOG_INFO, "test", "dropped");
	quoll_log(NULL, QUOLL_LOG_ERROR, "test", "dropped");
	CU_ASSERT_EQUAL(lines, 2);
	CU_ASSERT_EQUAL(quoll_log_level_parse("debug"), QUOLL_LOG_DEBUG);
	CU_ASSERT_EQUAL(quoll_log_level_parse("loud"), -EINVAL);
}

static const struct unit_test tests[] = {
	{"set returns -errno and fills every field", set_returns_minus_errno_and_fills_every_field},
	{"NULL error still returns the number", null_error_still_returns_the_number},
	{"long text is cut and terminated", long_text_is_cut_and_terminated},
	{"an error can be rewritten from its own text", an_error_can_be_rewritten_from_its_own_text},
	{"log lines above the level are dropped", log_lines_above_the_level_are_dropped},
};

UNIT_MAIN("error and log", tests)
