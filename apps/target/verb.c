/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verb.c - `quoll target`: options, and the order of things.
 */
#include <errno.h>
#include <stdlib.h>

#include "quoll/cores.h"
#include "quoll/verbs.h"

#include "target.h"

struct target_values {
	const char *config;
	struct cli_list listen;
	struct cli_list ns;
	struct cli_list faults;
	const char *nqn;
	const char *serial;
	const char *control;
	uint64_t nr_threads;
	const char *cores;
	bool never_sleep;
	uint64_t interval;
};

static const struct target_values defaults = {.interval = 1};

static const struct cli_option options[] = {
	{"listen", CLI_LIST, offsetof(struct target_values, listen), "ADDR",
	 "offer a controller there: vfio-user:/run/x.sock[?doorbells=mapped|trapped]; mapped unless told otherwise.\n"
	 "May be given again, as --ns and --fault may",
	 0, 0},
	{"ns", CLI_LIST, offsetof(struct target_values, ns), "ADDR",
	 "a namespace: mem:SIZE, null:?size=SIZE or file:PATH; [?bs=512|4096&uuid=UUID], and for a file\n"
	 "registered=1: the clients' memory is registered with the kernel, and pinned, while they are there",
	 0, 0},
	{"config", CLI_TEXT, offsetof(struct target_values, config), "FILE",
	 "JSON with all of this; options add to it, or come before it", 0, 0},
	{"nqn", CLI_TEXT, offsetof(struct target_values, nqn), "NQN",
	 "qualified name of the subsystem; else one made from the machine's id and the first socket's path", 0, 0},
	{"serial", CLI_TEXT, offsetof(struct target_values, serial), "TEXT",
	 "serial number, up to 20 characters; else one made likewise", 0, 0},
	{"control", CLI_TEXT, offsetof(struct target_values, control), "PATH",
	 "of a socket that takes JSON-RPC 2.0; see quoll rpc", 0, 0},
	{"fault", CLI_LIST, offsetof(struct target_values, faults), "FAULT",
	 "what shall go wrong: ACTION[=VALUE][,KEY=VALUE]…, with\n"
	 "delay=TIME, drop, corrupt=cid|sqid|sqhd|phase|data, repeat[=N], status=0xNNN, csts=stuck|fatal, gone\n"
	 "and queue=admin|io|N, op=NAME|N, nsid=N, skip=N, every=N, count=N",
	 0, 0},
	{"threads", CLI_NUMBER, offsetof(struct target_values, nr_threads), "N",
	 "that listeners are dealt out over; 1 unless told otherwise", 1, CONFIG_MAX_THREADS},
	{"cores", CLI_TEXT, offsetof(struct target_values, cores), "LIST",
	 "pin the threads to these, one each: 2,3 or 2-5; else they are not pinned", 0, 0},
	{"never-sleep", CLI_FLAG, offsetof(struct target_values, never_sleep), NULL,
	 "poll without end: a CPU a thread, for the lowest latency", 0, 0},
	{"stats-interval", CLI_NUMBER, offsetof(struct target_values, interval), "SECONDS",
	 "of the live line on a terminal; 1 unless told otherwise", 1, 1000000},
	{NULL, CLI_FLAG, 0, NULL, NULL, 0, 0},
};

static void show_live(const char *line)
{
	cli_progress("%s", line);
}

static int take_lists(const struct target_values *v, struct target_config *config, struct quoll_error *err)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < v->listen.nr; i++)
		rc = config_add_listener(config, v->listen.values[i], err);
	for (unsigned int i = 0; !rc && i < v->ns.nr; i++)
		rc = config_add_ns(config, v->ns.values[i], 0, err);
	for (unsigned int i = 0; !rc && i < v->faults.nr; i++)
		rc = config_add_fault(config, v->faults.values[i], err);
	if (!rc && v->nqn)
		rc = config_set_nqn(config, v->nqn, err);
	if (!rc && v->serial)
		rc = config_set_serial(config, v->serial, err);
	if (!rc && v->control)
		rc = config_set_control(config, v->control, err);
	return rc;
}

/* The file, then options. Return: 0, or an exit status after the error was printed. */
static int take_config(const struct cli *cli, const struct target_values *v, struct target_config *config)
{
	struct quoll_error err = {0};
	int status;

	if (v->config && config_load(config, v->config, &err))
		return cli_error(cli, &err);
	if (v->nr_threads)
		config->nr_threads = (unsigned int)v->nr_threads;
	if (v->never_sleep)
		config->never_sleep = true;
	status = v->cores ? cores_option(cli, v->cores, config->cores, CONFIG_MAX_THREADS, &config->nr_cores) : 0;
	if (status)
		return status;
	if (take_lists(v, config, &err) || config_check(config, &err)) {
		cli_error(cli, &err);
		return CLI_WRONG_USE;
	}
	return 0;
}

static int serve(struct cli *cli, struct target *target)
{
	struct quoll_error err = {0}, close_err = {0};
	int status, rc;

	rc = target_open(target, &err);
	if (rc) {
		target_close(target, &close_err);
		return cli_error(cli, &err);
	}
	status = cli_emit_start(cli, target_describe(target), target_start_text); /* before anybody can come */
	if (!status) {
		rc = target_run(target, &err);
		status = cli_emit(cli, target_describe(target), target_text);
		if (rc)
			status = cli_error(cli, &err);
	}
	if (target_close(target, &close_err))
		status = cli_error(cli, &close_err);
	return status;
}

static int run_target(struct cli *cli, const void *values)
{
	const struct target_values *v = values;
	struct target_config *config = calloc(1, sizeof(*config));
	struct target *target = calloc(1, sizeof(*target));
	struct quoll_error err;
	int status;

	if (!config || !target) {
		quoll_error_set(&err, ENOMEM, "start", "", "out of memory");
		status = cli_error(cli, &err);
	} else {
		target->env = &cli->env;
		target->config = config;
		target->live_ns = v->interval * 1000000000u;
		target->live = cli_progress_wanted() ? show_live : NULL;
		status = take_config(cli, v, config);
		if (!status)
			status = serve(cli, target);
	}
	free(target);
	free(config);
	return status;
}

const struct cli_verb verb_target = {
	.name = "target",
	.args = "",
	.summary = "an NVMe controller in this process, for others to use over vfio-user",
	.details =
		"Each listener is a controller that one client at a time may have; all show the same namespaces.\n"
		"SIGINT and SIGTERM end it: commands in flight end first, and files are flushed. A second one doesn't\n"
		"wait for commands. With mapped doorbells a client rings by memory, and the target looks every 0.1 ms\n"
		"while idle; with trapped ones it sleeps, and is quick for clients that use shadow doorbells.\n"
		"For example:\n"
		"  truncate -s 1G disk.img\n"
		"  quoll target --listen vfio-user:/run/q0.sock --ns mem:1G --ns file:disk.img\n"
		"  quoll nvme identify vfio-user:/run/q0.sock",
	.has_json = true,
	.options = options,
	.defaults = &defaults,
	.values_bytes = sizeof(defaults),
	.run = run_target,
};
