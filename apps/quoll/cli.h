/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cli.h - what every verb of the command shares: its description, option values, errors, signals, progress, output.
 *
 * A verb is one struct cli_verb: options are rows of a table that getopt_long() parses, --help prints and the values
 * structure receives. A verb's run() returns the exit status.
 */
#ifndef QUOLL_APPS_CLI_H
#define QUOLL_APPS_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>
#include <quoll/addr.h>
#include <quoll/env.h>

enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1,
	CLI_WRONG_USE = 2,
};

enum cli_option_kind {
	CLI_FLAG,   /* bool */
	CLI_TEXT,   /* const char * */
	CLI_NUMBER, /* uint64_t within min .. max */
	CLI_SIZE,   /* uint64_t within min .. max, with a suffix: 4k, 1M */
	CLI_CHOICE, /* unsigned int: position of the word in arg, "one|two|three" */
	CLI_LIST,   /* struct cli_list: given again it adds to the list */
};

#define CLI_LIST_MAX 64u

/* Values of an option that may be given several times. */
struct cli_list {
	unsigned int nr;
	const char *values[CLI_LIST_MAX];
};

/**
 * struct cli_option - one option of a verb
 * @name:   without the dashes; NULL ends the table
 * @kind:   type of the value
 * @offset: where it goes in the verb's values
 * @arg:    what --help calls the value; for CLI_CHOICE the words themselves
 * @help:   one or more lines
 * @min, @max: for numbers and sizes; @max 0 means no limit
 */
struct cli_option {
	const char *name;
	enum cli_option_kind kind;
	size_t offset;
	const char *arg;
	const char *help;
	uint64_t min;
	uint64_t max;
};

struct cli;

/**
 * struct cli_verb - one verb
 * @name:     "bind", "nvme perf"
 * @args:     what follows, for --help: "ADDR…"
 * @min_args, @max_args: how many of them
 * @summary:  one line
 * @details:  more for --help, or NULL
 * @has_json: prints facts, so it has --json
 * @options:  NULL, or a table
 * @defaults: initial values, @values_bytes long; NULL without options
 * @run:      does it and returns the exit status
 */
struct cli_verb {
	const char *name;
	const char *args;
	unsigned int min_args;
	unsigned int max_args;
	const char *summary;
	const char *details;
	bool has_json;
	const struct cli_option *options;
	const void *defaults;
	size_t values_bytes;
	int (*run)(struct cli *cli, const void *values);
};

/**
 * struct cli - one invocation
 * @verb:  which
 * @env:   for the library
 * @args:  @nr_args arguments that are not options
 * @json:  facts as JSON, not as text
 * @out:   where facts go: stdout, but stderr when stdout carries data
 * @err:   where errors go
 */
struct cli {
	const struct cli_verb *verb;
	struct quoll_env env;
	unsigned int nr_args;
	char **args;
	bool json;
	FILE *out;
	FILE *err;
	char roots[4][256];
};

/**
 * cli_run() - parse the options of a verb and run it
 * @argv: argv[0] is ignored
 * Return: exit status.
 */
int cli_run(struct cli *cli, int argc, char **argv);

/**
 * cli_error() - print "quoll VERB: subject: what (errno)", further lines of @err->what indented, and "try: hint"
 * Return: CLI_FAILED.
 */
int cli_error(const struct cli *cli, const struct quoll_error *err);

/**
 * cli_say() - print "quoll VERB: line" while the verb goes on
 * @cli: the struct cli, as an argument of callbacks
 */
void cli_say(void *cli, const char *line);

/**
 * cli_addr_error() - the same, after addresses were opened
 * Return: CLI_WRONG_USE if an address has an option that it may not have, or with a value that cannot be; else
 * CLI_FAILED.
 */
int cli_addr_error(const struct cli *cli, const struct quoll_error *err);

/**
 * cli_wrong() - print "quoll VERB: …" for wrong use and how to get help. Return: CLI_WRONG_USE.
 */
int cli_wrong(const struct cli *cli, const char *fmt, ...) QUOLL_PRINTF(2, 3);

/**
 * cli_addrs() - parse the arguments as addresses of PCI devices
 * @addrs: array of cli->nr_args addresses, to be freed with free(); the addresses point into themselves
 * Return: 0, or an exit status after the error was printed.
 */
int cli_addrs(const struct cli *cli, struct quoll_addr **addrs);

/**
 * cli_device_addrs() - the same, but also those of devices in other processes (vfio-user)
 */
int cli_device_addrs(const struct cli *cli, struct quoll_addr **addrs);

/**
 * cli_port_addrs() - the same, but any address; whoever opens it says whether it is that of a port
 */
int cli_port_addrs(const struct cli *cli, struct quoll_addr **addrs);

/**
 * cli_addr_list() - the addresses of cli_addrs() as what the library takes: an array of pointers to them
 * Return: to be freed with free(), also if there are none; NULL after the error was printed.
 */
const struct quoll_addr **cli_addr_list(const struct cli *cli, const struct quoll_addr *addrs);

/**
 * cli_emit() - print a document to cli->out: as JSON, or through @text, which renders the same document
 * @doc: given up to this function; NULL counts as out of memory
 * Return: CLI_DONE, or CLI_FAILED after the error was printed.
 */
int cli_emit(const struct cli *cli, json_t *doc, void (*text)(FILE *f, const json_t *doc));

/**
 * cli_emit_start() - print what there is before long work begins, as text: to cli->out, or to cli->err with --json,
 * whose one document comes at the end
 * @doc: as for cli_emit(); Return: likewise
 */
int cli_emit_start(const struct cli *cli, json_t *doc, void (*text)(FILE *f, const json_t *doc));

/**
 * cli_catch_signals() - from now on SIGINT and SIGTERM only set what cli_stopped() returns; a second one kills
 */
void cli_catch_signals(void);
bool cli_stopped(void);

/**
 * cli_progress() - rewrite the progress line, on a terminal only; cli_progress_end() wipes it
 */
bool cli_progress_wanted(void);
void cli_progress(const char *fmt, ...) QUOLL_PRINTF(1, 2);
void cli_progress_end(void);

#endif
