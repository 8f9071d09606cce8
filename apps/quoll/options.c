/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.c - getopt_long() over a verb's option table; the options that every verb has; --help.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

#define MAX_OPTIONS 96 /* of a verb, common ones included */

struct common_values {
	bool help;
	bool json;
	const char *log;
	const char *root;
	const char *backend;
};

static const struct cli_option common_options[] = {
	{"json", CLI_FLAG, offsetof(struct common_values, json), NULL, "print one JSON document", 0, 0},
	{"log", CLI_TEXT, offsetof(struct common_values, log), "LEVEL",
	 "what the library says on stderr: none, error, warn (default), info, debug", 0, 0},
	{"root", CLI_TEXT, offsetof(struct common_values, root), "DIR",
	 "look at DIR/sys, DIR/proc, DIR/dev and DIR/run/quoll in place of this machine's", 0, 0},
	{"backend", CLI_TEXT, offsetof(struct common_values, backend), "NAME",
	 "by which way of the kernel's to reach PCI devices: vfio, iommufd or kmod; else what\n"
	 "QUOLL_BACKEND says, else the best that the kernel offers",
	 0, 0},
	{"help", CLI_FLAG, offsetof(struct common_values, help), NULL, "print this", 0, 0},
	{NULL, CLI_FLAG, 0, NULL, NULL, 0, 0},
};

#define NR_COMMON (sizeof(common_options) / sizeof(common_options[0]) - 1)

/* Both tables as one array of pointers; common ones last. Return: their number. */
static unsigned int gather(const struct cli_verb *verb, const struct cli_option **all)
{
	unsigned int nr = 0;

	for (const struct cli_option *o = verb->options; o && o->name && nr < MAX_OPTIONS - NR_COMMON; o++)
		all[nr++] = o;
	for (const struct cli_option *o = common_options; o->name; o++)
		if (verb->has_json || strcmp(o->name, "json"))
			all[nr++] = o;
	return nr;
}

static bool is_common(const struct cli_option *option)
{
	return option >= common_options && option < common_options + sizeof(common_options) / sizeof(*common_options);
}

static void print_option(FILE *f, const struct cli_option *option)
{
	const char *help = option->help;
	int width = fprintf(f, "  --%s%s%s", option->name, option->arg ? " " : "", option->arg ? option->arg : "");

	if (width > 23) {
		fputc('\n', f);
		width = 0;
	}
	while (*help) {
		size_t len = strcspn(help, "\n");

		fprintf(f, "%*s%.*s\n", 25 - width, "", (int)len, help);
		help += len + (help[len] == '\n');
		width = 0;
	}
}

void options_help(FILE *f, const struct cli_verb *verb)
{
	const struct cli_option *all[MAX_OPTIONS];
	unsigned int nr = gather(verb, all);

	fprintf(f, "usage: quoll %s [OPTIONS]%s%s\n\n%s\n", verb->name, verb->args[0] ? " " : "", verb->args,
		verb->summary);
	if (verb->details)
		fprintf(f, "\n%s\n", verb->details);
	fputc('\n', f);
	for (unsigned int i = 0; i < nr; i++)
		print_option(f, all[i]);
}

static bool parse_number(const char *text, uint64_t *value)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 0);
	return !errno && !*end;
}

/* Position of a word in "one|two|three". */
static bool parse_choice(const char *choices, const char *word, unsigned int *value)
{
	size_t len = strlen(word);

	for (unsigned int i = 0;; i++) {
		size_t n = strcspn(choices, "|");

		if (n == len && !strncmp(choices, word, n)) {
			*value = i;
			return true;
		}
		if (!choices[n])
			return false;
		choices += n + 1;
	}
}

static int wrong_range(const struct cli *cli, const struct cli_option *option, const char *text)
{
	if (option->max)
		return cli_wrong(cli, "--%s %s: must be %llu to %llu", option->name, text,
				 (unsigned long long)option->min, (unsigned long long)option->max);
	return cli_wrong(cli, "--%s %s: must be at least %llu", option->name, text, (unsigned long long)option->min);
}

/* Store one value. Return: 0, or an exit status after a message. */
static int store(const struct cli *cli, const struct cli_option *option, const char *text, char *values)
{
	void *to = values + option->offset;
	uint64_t number;

	switch (option->kind) {
	case CLI_FLAG:
		*(bool *)to = true;
		return 0;
	case CLI_TEXT:
		*(const char **)to = text;
		return 0;
	case CLI_LIST:
		if (((struct cli_list *)to)->nr == CLI_LIST_MAX)
			return cli_wrong(cli, "--%s %s: given %u times; %u are the most", option->name, text,
					 CLI_LIST_MAX + 1, CLI_LIST_MAX);
		((struct cli_list *)to)->values[((struct cli_list *)to)->nr++] = text;
		return 0;
	case CLI_CHOICE:
		if (!parse_choice(option->arg, text, to))
			return cli_wrong(cli, "--%s %s: must be one of %s", option->name, text, option->arg);
		return 0;
	case CLI_NUMBER:
		if (!parse_number(text, &number))
			return cli_wrong(cli, "--%s %s: not a number", option->name, text);
		break;
	case CLI_SIZE:
		if (quoll_size_parse(text, &number))
			return cli_wrong(cli, "--%s %s: not a size; one looks like 512, 4k or 1M", option->name, text);
		break;
	}
	if (number < option->min || (option->max && number > option->max))
		return wrong_range(cli, option, text);
	*(uint64_t *)to = number;
	return 0;
}

/* What --log, --root and --backend mean to the library. */
static int apply_common(struct cli *cli, const struct common_values *common)
{
	static const char *const below[] = {"sys", "proc", "dev", "run/quoll"};
	const char **roots[] = {&cli->env.sysfs_root, &cli->env.proc_root, &cli->env.dev_root, &cli->env.run_root};
	int level = common->log ? quoll_log_level_parse(common->log) : QUOLL_LOG_WARN;

	if (level < 0)
		return cli_wrong(cli, "--log %s: must be one of none, error, warn, info, debug", common->log);
	cli->env.log = cli_log;
	cli->env.log_arg = cli;
	cli->env.log_level = (enum quoll_log_level)level;
	cli->env.backend = common->backend ? common->backend : getenv("QUOLL_BACKEND");
	if (cli->env.backend && !cli->env.backend[0])
		cli->env.backend = NULL;
	cli->json = common->json;
	for (unsigned int i = 0; common->root && i < 4; i++) {
		int len = snprintf(cli->roots[i], sizeof(cli->roots[i]), "%s/%s", common->root, below[i]);

		if (len >= (int)sizeof(cli->roots[i]))
			return cli_wrong(cli, "--root %s: too long", common->root);
		*roots[i] = cli->roots[i];
	}
	return 0;
}

static int check_args(struct cli *cli, int argc, char **argv)
{
	const struct cli_verb *verb = cli->verb;

	cli->nr_args = (unsigned int)(argc - optind);
	cli->args = argv + optind;
	if (cli->nr_args < verb->min_args)
		return cli_wrong(cli, "%s is missing", verb->args);
	if (cli->nr_args > verb->max_args)
		return cli_wrong(cli, "%s: one argument too many", cli->args[verb->max_args]);
	return OPTIONS_GO_ON;
}

int options_parse(struct cli *cli, int argc, char **argv, void *values)
{
	const struct cli_option *all[MAX_OPTIONS];
	struct option longs[MAX_OPTIONS + 1] = {0};
	unsigned int nr = gather(cli->verb, all);
	struct common_values common = {0};
	int key, status = 0, idx = 0;

	for (unsigned int i = 0; i < nr; i++)
		longs[i] = (struct option){all[i]->name, all[i]->kind == CLI_FLAG ? no_argument : required_argument,
					   NULL, (int)i + 256};
	optind = 0; /* glibc: start afresh */
	opterr = 0;
	while (!status && (key = getopt_long(argc, argv, ":h", longs, &idx)) != -1) {
		if (key == 'h')
			common.help = true;
		else if (key == ':')
			return cli_wrong(cli, "%s: needs a value", argv[optind - 1]);
		else if (key < 256)
			return cli_wrong(cli, "%s: no such option", argv[optind - 1]);
		else
			status = store(cli, all[key - 256], optarg,
				       is_common(all[key - 256]) ? (char *)&common : (char *)values);
	}
	if (!status && common.help) {
		options_help(cli->out, cli->verb);
		return CLI_DONE;
	}
	if (!status)
		status = apply_common(cli, &common);
	return status ? status : check_args(cli, argc, argv);
}
