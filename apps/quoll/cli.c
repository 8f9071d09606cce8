/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cli.c - running a verb, errors, signals, progress and output. Options are parsed in options.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"

static volatile sig_atomic_t stop_signal;
static bool progress_shown;

static void on_signal(int signum)
{
	stop_signal = signum;
}

void cli_catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool cli_stopped(void)
{
	return stop_signal != 0;
}

bool cli_progress_wanted(void)
{
	return isatty(STDERR_FILENO);
}

void cli_progress(const char *fmt, ...)
{
	va_list ap;

	if (!cli_progress_wanted())
		return;
	fputs("\r\033[K", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fflush(stderr);
	progress_shown = true;
}

void cli_progress_end(void)
{
	if (!progress_shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress_shown = false;
}

void cli_log(void *arg, enum quoll_log_level level, const char *area, const char *line)
{
	static const char *const names[] = {"", "error", "warning", "info", "debug"};
	const struct cli *cli = arg;

	cli_progress_end();
	fprintf(cli->err, "quoll: %s: %s: %s\n", names[level], area, line);
}

void cli_say(void *arg, const char *line)
{
	const struct cli *cli = arg;

	cli_progress_end();
	fprintf(cli->err, "quoll %s: %s\n", cli->verb->name, line);
}

/* Print text whose further lines are indented; note stands at the end of the first line. */
static void print_lines(FILE *f, const char *text, const char *note)
{
	size_t first = strcspn(text, "\n");

	fprintf(f, "%.*s%s\n", (int)first, text, note);
	for (text += first; *text == '\n';) {
		size_t len = strcspn(++text, "\n");

		if (len)
			fprintf(f, "  %.*s\n", (int)len, text);
		text += len;
	}
}

int cli_error(const struct cli *cli, const struct quoll_error *err)
{
	const char *name = strerrorname_np(err->errnum);
	char note[32] = "";

	cli_progress_end();
	if (err->errnum)
		snprintf(note, sizeof(note), " (%s)", name ? name : "unknown error");
	fprintf(cli->err, "quoll %s: ", cli->verb->name);
	if (err->subject[0])
		fprintf(cli->err, "%s: ", err->subject);
	print_lines(cli->err, err->what, note);
	if (err->hint[0]) {
		fputs("try: ", cli->err);
		print_lines(cli->err, err->hint, "");
	}
	return CLI_FAILED;
}

int cli_addr_error(const struct cli *cli, const struct quoll_error *err)
{
	int status = cli_error(cli, err);

	return err->errnum == EINVAL && !strcmp(err->stage, "address") ? CLI_WRONG_USE : status;
}

int cli_wrong(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	fprintf(cli->err, "quoll %s: ", cli->verb->name);
	va_start(ap, fmt);
	vfprintf(cli->err, fmt, ap);
	va_end(ap);
	fprintf(cli->err, "\ntry: quoll %s --help\n", cli->verb->name);
	return CLI_WRONG_USE;
}

static int parse_without_options(const char *text, struct quoll_addr *addr, struct quoll_error *err)
{
	static const char *const no_options[] = {NULL};
	int ret = quoll_addr_parse(text, addr, err);

	return ret ? ret : quoll_addr_options_known(addr, no_options, err);
}

static int parse_pci(const char *text, struct quoll_addr *addr, struct quoll_error *err)
{
	int ret = parse_without_options(text, addr, err);

	if (!ret && addr->scheme != QUOLL_ADDR_PCI)
		ret = quoll_error_set(err, EINVAL, "address", text, "not the address of a PCI device");
	return ret;
}

static int parse_device(const char *text, struct quoll_addr *addr, struct quoll_error *err)
{
	int ret = parse_without_options(text, addr, err);

	if (!ret && addr->scheme != QUOLL_ADDR_PCI && addr->scheme != QUOLL_ADDR_VFIO_USER)
		ret = quoll_error_set(err, EINVAL, "address", text, "not the address of a device");
	return ret;
}

static int parse_addrs(const struct cli *cli,
		       int (*parse)(const char *text, struct quoll_addr *addr, struct quoll_error *err),
		       const char *example, struct quoll_addr **addrs)
{
	struct quoll_error err;

	*addrs = calloc(cli->nr_args ? cli->nr_args : 1, sizeof(**addrs));
	if (!*addrs) {
		quoll_error_set(&err, ENOMEM, "address", "", "out of memory");
		return cli_error(cli, &err);
	}
	for (unsigned int i = 0; i < cli->nr_args; i++) {
		if (!parse(cli->args[i], &(*addrs)[i], &err))
			continue;
		if (!err.hint[0])
			quoll_error_hint(&err, "an address like %s", example);
		cli_error(cli, &err);
		free(*addrs);
		*addrs = NULL;
		return CLI_WRONG_USE;
	}
	return 0;
}

int cli_addrs(const struct cli *cli, struct quoll_addr **addrs)
{
	return parse_addrs(cli, parse_pci, "pci:0000:01:00.0; quoll groups lists them", addrs);
}

int cli_device_addrs(const struct cli *cli, struct quoll_addr **addrs)
{
	return parse_addrs(cli, parse_device, "pci:0000:01:00.0 or vfio-user:/run/x.sock", addrs);
}

int cli_port_addrs(const struct cli *cli, struct quoll_addr **addrs)
{
	return parse_addrs(cli, quoll_addr_parse,
			   "pci:0000:01:00.0, xdp:eth0, tap:NAME, vhost:/run/y.sock, null: or ring:NAME", addrs);
}

const struct quoll_addr **cli_addr_list(const struct cli *cli, const struct quoll_addr *addrs)
{
	const struct quoll_addr **list = calloc(cli->nr_args + 1, sizeof(*list));
	struct quoll_error err;

	if (!list) {
		quoll_error_set(&err, ENOMEM, "address", "", "out of memory");
		cli_error(cli, &err);
		return NULL;
	}
	for (unsigned int i = 0; i < cli->nr_args; i++)
		list[i] = &addrs[i];
	return list;
}

static int no_document(const struct cli *cli)
{
	struct quoll_error err;

	quoll_error_set(&err, ENOMEM, "print", "", "out of memory for the output");
	return cli_error(cli, &err);
}

int cli_emit_start(const struct cli *cli, json_t *doc, void (*text)(FILE *f, const json_t *doc))
{
	FILE *f = cli->json ? cli->err : cli->out;

	if (!doc)
		return no_document(cli);
	text(f, doc);
	fflush(f);
	json_decref(doc);
	return CLI_DONE;
}

int cli_emit(const struct cli *cli, json_t *doc, void (*text)(FILE *f, const json_t *doc))
{
	struct quoll_error err;
	int ret = 0;

	cli_progress_end();
	if (!doc)
		return no_document(cli);
	if (cli->json)
		ret = json_dumpf(doc, cli->out, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) ||
		      fputc('\n', cli->out) == EOF;
	else
		text(cli->out, doc);
	json_decref(doc);
	if (fflush(cli->out) || ferror(cli->out) || ret) {
		quoll_error_set(&err, errno ? errno : EIO, "print", "output", "cannot be written");
		return cli_error(cli, &err);
	}
	return CLI_DONE;
}

int cli_run(struct cli *cli, int argc, char **argv)
{
	const struct cli_verb *verb = cli->verb;
	void *values = calloc(1, verb->values_bytes + 1);
	struct quoll_error err;
	int status;

	if (!values) {
		quoll_error_set(&err, ENOMEM, "start", "", "out of memory");
		return cli_error(cli, &err);
	}
	if (verb->values_bytes)
		memcpy(values, verb->defaults, verb->values_bytes);
	status = options_parse(cli, argc, argv, values);
	if (status == OPTIONS_GO_ON)
		status = verb->run(cli, values);
	free(values);
	return status;
}
