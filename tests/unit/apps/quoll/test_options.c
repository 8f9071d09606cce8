/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_options.c - parsing a verb's options, and the form of its errors.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "quoll/cli.h"

#include "unit.h"

struct values {
	bool flag;
	const char *text;
	uint64_t number;
	uint64_t size;
	unsigned int choice;
	struct cli_list list;
};

static const struct values defaults = {.number = 7};
static struct values seen;
static unsigned int seen_args;
static bool seen_json, ran;
static char seen_sysfs[64], seen_backend[64];

static const struct cli_option rows[] = {
	{"flag", CLI_FLAG, offsetof(struct values, flag), NULL, "a flag", 0, 0},
	{"text", CLI_TEXT, offsetof(struct values, text), "TEXT", "a text", 0, 0},
	{"number", CLI_NUMBER, offsetof(struct values, number), "N", "a number", 1, 100},
	{"size", CLI_SIZE, offsetof(struct values, size), "SIZE", "a size\non two lines", 512, 0},
	{"choice", CLI_CHOICE, offsetof(struct values, choice), "one|two|three", "a choice", 0, 0},
	{"list", CLI_LIST, offsetof(struct values, list), "TEXT", "one of many", 0, 0},
	{NULL, CLI_FLAG, 0, NULL, NULL, 0, 0},
};

static int run(struct cli *cli, const void *values)
{
	ran = true;
	seen = *(const struct values *)values;
	seen_args = cli->nr_args;
	seen_json = cli->json;
	snprintf(seen_backend, sizeof(seen_backend), "%s", cli->env.backend ? cli->env.backend : "none");
	snprintf(seen_sysfs, sizeof(seen_sysfs), "%s", cli->env.sysfs_root ? cli->env.sysfs_root : "");
	return CLI_DONE;
}

static const struct cli_verb verb = {
	.name = "probe it",
	.args = "ADDR...",
	.min_args = 1,
	.max_args = 2,
	.summary = "a verb for tests",
	.has_json = true,
	.options = rows,
	.defaults = &defaults,
	.values_bytes = sizeof(defaults),
	.run = run,
};

/* Run the verb on words separated by single spaces; its output and errors are returned together, to be freed. */
static char *call(int *status, const char *words)
{
	char *argv[16] = {"it"}, *copy = strdup(words), *output = NULL, *save = NULL;
	struct cli cli = {.verb = &verb};
	size_t len;
	int argc = 1;

	for (char *word = strtok_r(copy, " ", &save); word && argc < 15; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	cli.out = cli.err = open_memstream(&output, &len);
	ran = false;
	*status = cli_run(&cli, argc, argv);
	fclose(cli.out);
	if (ran && seen.text)
		seen.text = !strcmp(seen.text, "word") ? "word" : "other";
	free(copy);
	return output;
}

static void expect(const char *words, int wanted, const char *wanted_output)
{
	int status;
	char *output = call(&status, words);

	CU_ASSERT_EQUAL(status, wanted);
	CU_ASSERT_STRING_EQUAL(output, wanted_output);
	free(output);
}

static void values_reach_the_verb(void)
{
	expect("pci:1 --flag --text word --number=0x10 --size 4k --choice two --json --root /x", CLI_DONE, "");
	CU_ASSERT_TRUE(ran);
	CU_ASSERT_TRUE(seen.flag);
	CU_ASSERT_STRING_EQUAL(seen.text, "word");
	CU_ASSERT_EQUAL(seen.number, 16);
	CU_ASSERT_EQUAL(seen.size, 4096);
	CU_ASSERT_EQUAL(seen.choice, 1);
	CU_ASSERT_EQUAL(seen_args, 1);
	CU_ASSERT_TRUE(seen_json);
	CU_ASSERT_STRING_EQUAL(seen_sysfs, "/x/sys");
}

static void the_back_end_is_the_options_or_the_environments(void)
{
	unsetenv("QUOLL_BACKEND");
	expect("pci:1", CLI_DONE, "");
	CU_ASSERT_STRING_EQUAL(seen_backend, "none");
	setenv("QUOLL_BACKEND", "iommufd", 1);
	expect("pci:1", CLI_DONE, "");
	CU_ASSERT_STRING_EQUAL(seen_backend, "iommufd");
	expect("pci:1 --backend vfio", CLI_DONE, "");
	CU_ASSERT_STRING_EQUAL(seen_backend, "vfio");
	setenv("QUOLL_BACKEND", "", 1);
	expect("pci:1", CLI_DONE, "");
	CU_ASSERT_STRING_EQUAL(seen_backend, "none");
	unsetenv("QUOLL_BACKEND");
}

/* As many as a large verb has; the last one counts. */
static void every_row_of_a_long_table_is_an_option(void)
{
	static struct cli_option many[61];
	static char names[60][8];
	struct cli_verb large = verb;
	struct cli cli = {.verb = &large};
	char *argv[] = {"it", "a", "--o59", "word", NULL}, *output = NULL;
	size_t len;

	for (int i = 0; i < 60; i++) {
		snprintf(names[i], sizeof(names[i]), "o%d", i);
		many[i] =
			(struct cli_option){names[i], CLI_TEXT, offsetof(struct values, text), "TEXT", "a text", 0, 0};
	}
	large.options = many;
	cli.out = cli.err = open_memstream(&output, &len);
	ran = false;
	CU_ASSERT_EQUAL(cli_run(&cli, 4, argv), CLI_DONE);
	CU_ASSERT_TRUE(ran);
	if (ran)
		CU_ASSERT_STRING_EQUAL(seen.text, "word");
	fclose(cli.out);
	free(output);
}

static void defaults_hold_without_options(void)
{
	expect("a b", CLI_DONE, "");
	CU_ASSERT_TRUE(ran);
	CU_ASSERT_FALSE(seen.flag);
	CU_ASSERT_PTR_NULL(seen.text);
	CU_ASSERT_EQUAL(seen.number, 7);
	CU_ASSERT_EQUAL(seen_args, 2);
	CU_ASSERT_STRING_EQUAL(seen_sysfs, "");
}

static void an_option_may_be_given_several_times_but_not_without_end(void)
{
	char *argv[2 * CLI_LIST_MAX + 4] = {"it", "a"}, *output = NULL;
	struct cli cli = {.verb = &verb};
	size_t len;

	expect("--list one pci:1 --list=two --list three", CLI_DONE, "");
	CU_ASSERT_EQUAL(seen.list.nr, 3);
	expect("pci:1", CLI_DONE, "");
	CU_ASSERT_EQUAL(seen.list.nr, 0);
	for (unsigned int i = 0; i <= CLI_LIST_MAX; i++) {
		argv[2 + 2 * i] = "--list";
		argv[3 + 2 * i] = "x";
	}
	cli.out = cli.err = open_memstream(&output, &len);
	CU_ASSERT_EQUAL(cli_run(&cli, 2 * CLI_LIST_MAX + 2, argv), CLI_DONE);
	CU_ASSERT_EQUAL(seen.list.nr, CLI_LIST_MAX);
	CU_ASSERT_STRING_EQUAL(seen.list.values[CLI_LIST_MAX - 1], "x");
	CU_ASSERT_EQUAL(cli_run(&cli, 2 * CLI_LIST_MAX + 4, argv), CLI_WRONG_USE);
	fclose(cli.out);
	CU_ASSERT_PTR_NOT_NULL(strstr(output, "--list x: given 65 times; 64 are the most"));
	free(output);
}

static void wrong_use_exits_2_and_says_what(void)
{
	static const char *const wrong[][2] = {
		{"", "ADDR... is missing"},
		{"a b c", "c: one argument too many"},
		{"a --frob", "--frob: no such option"},
		{"a -x", "-x: no such option"},
		{"a --number", "--number: needs a value"},
		{"a --number ten", "--number ten: not a number"},
		{"a --number -1", "--number -1: not a number"},
		{"a --number 5x", "--number 5x: not a number"},
		{"a --number 99999999999999999999", "--number 99999999999999999999: not a number"},
		{"a --number 0", "--number 0: must be 1 to 100"},
		{"a --number 101", "--number 101: must be 1 to 100"},
		{"a --size 4q", "--size 4q: not a size; one looks like 512, 4k or 1M"},
		{"a --size 511", "--size 511: must be at least 512"},
		{"a --choice four", "--choice four: must be one of one|two|three"},
		{"a --choice tw", "--choice tw: must be one of one|two|three"},
		{"a --log loud", "--log loud: must be one of none, error, warn, info, debug"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char text[256];

		snprintf(text, sizeof(text), "quoll probe it: %s\ntry: quoll probe it --help\n", wrong[i][1]);
		expect(wrong[i][0], CLI_WRONG_USE, text);
		CU_ASSERT_FALSE(ran);
	}
}

static void help_lists_every_option_and_exits_0(void)
{
	int status;
	char *output = call(&status, "--help");

	CU_ASSERT_EQUAL(status, CLI_DONE);
	CU_ASSERT_FALSE(ran);
	CU_ASSERT_PTR_NOT_NULL(strstr(output, "usage: quoll probe it [OPTIONS] ADDR..."));
	for (const struct cli_option *o = rows; o->name; o++)
		CU_ASSERT_PTR_NOT_NULL(strstr(output, o->name));
	CU_ASSERT_PTR_NOT_NULL(strstr(output, "--json"));
	CU_ASSERT_PTR_NOT_NULL(strstr(output, "\n                         on two lines\n"));
	free(output);
}

static void errors_have_the_form_that_scripts_and_people_know(void)
{
	struct quoll_error err;
	struct cli cli = {.verb = &verb};
	char *output = NULL;
	size_t len;

	cli.err = open_memstream(&output, &len);
	quoll_error_set(&err, EBUSY, "claim", "0000:01:00.0", "the group is not viable\n0000:01:00.1 is with e1000e\n");
	quoll_error_hint(&err, "quoll bind 0000:01:00.0");
	CU_ASSERT_EQUAL(cli_error(&cli, &err), CLI_FAILED);
	quoll_error_set(&err, 0, "stop", "", "stopped");
	cli_error(&cli, &err);
	fclose(cli.err);
	CU_ASSERT_STRING_EQUAL(output, "quoll probe it: 0000:01:00.0: the group is not viable (EBUSY)\n"
				       "  0000:01:00.1 is with e1000e\n"
				       "try: quoll bind 0000:01:00.0\n"
				       "quoll probe it: stopped\n");
	free(output);
}

static void addresses_are_pci_or_wrong_use(void)
{
	char *good[] = {"0000:01:00.0", "pci:02:00.1"}, *bad[] = {"0000:01:00.0", "null:"},
	     *unread[] = {"0000:01:00.0?speed=1"};
	struct cli cli = {.verb = &verb, .nr_args = 2, .args = good};
	struct quoll_addr *addrs = NULL;
	char *output = NULL;
	size_t len;

	cli.err = open_memstream(&output, &len);
	CU_ASSERT_EQUAL(cli_addrs(&cli, &addrs), 0);
	CU_ASSERT_STRING_EQUAL(addrs[1].target, "0000:02:00.1");
	free(addrs);
	cli.args = bad;
	CU_ASSERT_EQUAL(cli_addrs(&cli, &addrs), CLI_WRONG_USE);
	CU_ASSERT_PTR_NULL(addrs);
	cli.args = unread;
	cli.nr_args = 1;
	CU_ASSERT_EQUAL(cli_addrs(&cli, &addrs), CLI_WRONG_USE);
	fclose(cli.err);
	CU_ASSERT_PTR_NOT_NULL(strstr(output, "null:: not the address of a PCI device"));
	CU_ASSERT_PTR_NOT_NULL(strstr(output, "speed"));
	free(output);
}

static void addresses_of_devices_are_pci_or_vfio_user(void)
{
	char *good[] = {"0000:01:00.0", "vfio-user:/run/x.sock"}, *bad[] = {"null:"}, *unread[] = {"vfio-user:/x?a=1"};
	struct cli cli = {.verb = &verb, .nr_args = 2, .args = good};
	struct quoll_addr *addrs = NULL;
	char *output = NULL;
	size_t len;

	cli.err = open_memstream(&output, &len);
	CU_ASSERT_EQUAL(cli_device_addrs(&cli, &addrs), 0);
	CU_ASSERT_STRING_EQUAL(addrs[1].target, "/run/x.sock");
	free(addrs);
	cli.nr_args = 1;
	cli.args = bad;
	CU_ASSERT_EQUAL(cli_device_addrs(&cli, &addrs), CLI_WRONG_USE);
	cli.args = unread;
	CU_ASSERT_EQUAL(cli_device_addrs(&cli, &addrs), CLI_WRONG_USE);
	fclose(cli.err);
	CU_ASSERT_PTR_NOT_NULL(strstr(output, "not the address of a device"));
	CU_ASSERT_PTR_NOT_NULL(strstr(output, "vfio-user:/run/x.sock"));
	free(output);
}

static const struct unit_test tests[] = {
	{"values reach the verb", values_reach_the_verb},
	{"the back-end is the option's, or the environment's", the_back_end_is_the_options_or_the_environments},
	{"every row of a long table is an option", every_row_of_a_long_table_is_an_option},
	{"defaults hold without options", defaults_hold_without_options},
	{"an option may be given several times, but not without end",
	 an_option_may_be_given_several_times_but_not_without_end},
	{"wrong use exits 2 and says what", wrong_use_exits_2_and_says_what},
	{"help lists every option and exits 0", help_lists_every_option_and_exits_0},
	{"errors have the form that scripts and people know", errors_have_the_form_that_scripts_and_people_know},
	{"addresses are PCI, or wrong use", addresses_are_pci_or_wrong_use},
	{"addresses of devices are PCI or vfio-user", addresses_of_devices_are_pci_or_vfio_user},
};

UNIT_MAIN("options and errors of the command", tests)
