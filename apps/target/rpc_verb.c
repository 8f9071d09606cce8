/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rpc_verb.c - `quoll rpc`: one call over a target's control socket.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "quoll/verbs.h"

#include "control.h"

#define PATIENCE_S 30
#define MAX_ANSWER_BYTES (16u << 20)

/* VALUE is what JSON makes of it (4, true, ["a"]), or else a string. */
static json_t *parse_value(const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

	return value ? value : json_string(text);
}

static json_t *make_request(const struct cli *cli, int *status)
{
	json_t *params = json_object();

	for (unsigned int i = 2; i < cli->nr_args; i++) {
		char *equals = strchr(cli->args[i], '=');

		if (!equals || equals == cli->args[i]) {
			*status = cli_wrong(cli, "%s: a parameter is NAME=VALUE", cli->args[i]);
			json_decref(params);
			return NULL;
		}
		*equals = '\0';
		json_object_set_new(params, cli->args[i], parse_value(equals + 1));
		*equals = '=';
	}
	return json_pack("{s:s, s:s, s:o, s:i}", "jsonrpc", "2.0", "method", cli->args[1], "params", params, "id", 1);
}

/* One document. Return: its text, to be freed; NULL with an error. */
static char *receive(int fd, const char *path, struct quoll_error *err)
{
	struct rpc_scanner scanner = {.at = 0};
	char *text = malloc(MAX_ANSWER_BYTES);
	size_t len = 0;
	ssize_t got = 1;

	while (text && got > 0 && len < MAX_ANSWER_BYTES - 1) {
		got = recv(fd, text + len, MAX_ANSWER_BYTES - 1 - len, 0);
		if (got > 0)
			len += (size_t)got;
		if (rpc_scan(&scanner, text, len)) {
			text[len] = '\0';
			return text;
		}
	}
	quoll_error_set(err, got < 0 ? errno : EPROTO, "rpc", path, "%s",
			got < 0 ? "no answer" : "it hung up before it had answered");
	free(text);
	return NULL;
}

static json_t *exchange(int fd, const char *path, const json_t *request, struct quoll_error *err)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	char *text = json_dumps(request, JSON_COMPACT);
	json_t *answer = NULL;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!text || send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text)) {
		quoll_error_set(err, errno, "rpc", path, "can't be written to");
		free(text);
		return NULL;
	}
	free(text);
	text = receive(fd, path, err);
	if (!text)
		return NULL;
	answer = json_loads(text, 0, NULL);
	if (!answer)
		quoll_error_set(err, EPROTO, "rpc", path, "what it answers is no JSON");
	free(text);
	return answer;
}

static void result_text(FILE *f, const json_t *result)
{
	json_dumpf(result, f, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
	fputc('\n', f);
}

static int print_answer(const struct cli *cli, const json_t *answer)
{
	const json_t *error = json_object_get(answer, "error"), *data = json_object_get(error, "data");
	json_t *result = json_object_get(answer, "result");
	const char *message = json_string_value(json_object_get(error, "message"));
	const char *hint = json_string_value(json_object_get(data, "try"));
	const json_t *methods = json_object_get(data, "methods");
	struct quoll_error err = {0};
	const json_t *name;
	size_t i;

	if (result)
		return cli_emit(cli, json_incref(result), result_text);
	quoll_error_set(&err, 0, "rpc", cli->args[1], "%s", message ? message : "an answer without result or error");
	if (hint)
		quoll_error_hint(&err, "%s", hint);
	json_array_foreach(methods, i, name)
		quoll_error_append(&err, "%s%s", i ? " " : "\nthere are ", json_string_value(name));
	return cli_error(cli, &err);
}

static int run_rpc(struct cli *cli, const void *values)
{
	struct quoll_error err = {0};
	json_t *request, *answer;
	int status = CLI_FAILED;
	int fd;

	(void)values;
	request = make_request(cli, &status);
	if (!request)
		return status;
	fd = control_connect(cli->args[0], &err);
	answer = fd < 0 ? NULL : exchange(fd, cli->args[0], request, &err);
	status = answer ? print_answer(cli, answer) : cli_error(cli, &err);
	if (fd >= 0)
		close(fd);
	json_decref(answer);
	json_decref(request);
	return status;
}

const struct cli_verb verb_rpc = {
	.name = "rpc",
	.args = "SOCKET METHOD [NAME=VALUE…]",
	.min_args = 2,
	.max_args = 2 + RPC_MAX_PARAMS,
	.summary = "ask or tell a running target something",
	.details = "SOCKET is the path that quoll target --control was given. The methods:\n"
		   "  target.info, target.stats, listener.list, ns.list\n"
		   "  ns.add address=ADDR [nsid=N], ns.remove nsid=N\n"
		   "  fault.set 'faults=[\"FAULT\", …]' [listener=N]\n"
		   "The result is printed as JSON. Any client of JSON-RPC 2.0 will do as well:\n"
		   "  echo '{\"jsonrpc\": \"2.0\", \"method\": \"ns.list\", \"id\": 1}' | nc -NU SOCKET",
	.run = run_rpc,
};
