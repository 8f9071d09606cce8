/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_rpc.c - any bytes as what comes in on the control socket: cut into documents as the socket does, each answered
 * with one document of JSON-RPC or with nothing. The methods have all kinds of parameters, and do nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "target/rpc.h"

#include "fuzz_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const words[] = {
	"{\"jsonrpc\":\"2.0\",",
	"\"method\":\"run\",",
	"\"method\":",
	"\"params\":{",
	"\"params\":[",
	"\"id\":1}",
	"\"id\":",
	"\"number\":1",
	"\"number\":0",
	"\"text\":\"",
	"\"list\":[",
	"null",
	"\",",
	"],",
	"},",
	"}",
	"]",
	"[",
	",",
};

static void need(bool fact)
{
	if (!fact)
		abort();
}

/* Parameters are of the kinds that were asked for; the error quotes what came in. */
static int run(void *arg, const json_t *params, json_t **result, struct quoll_error *err)
{
	const json_t *text = json_object_get(params, "text"), *number = json_object_get(params, "number");
	const json_t *list = json_object_get(params, "list");

	(void)arg;
	need(!text || json_is_string(text));
	need(json_is_integer(number));
	need(!list || json_is_array(list));
	if (text)
		return quoll_error_set(err, json_integer_value(number) ? EBUSY : EINVAL, "run", json_string_value(text),
				       "%s", json_string_value(text));
	*result = json_integer(json_integer_value(number));
	return 0;
}

static const struct rpc_method methods[] = {
	{"run",
	 {{"number", JSON_INTEGER, true},
	  {"text", JSON_STRING, false},
	  {"list", JSON_ARRAY, false},
	  {NULL, JSON_NULL, false}},
	 run},
	{NULL, {{NULL, JSON_NULL, false}}, NULL},
};

static void check_answer(char *line)
{
	json_t *answer;

	if (!line)
		return;
	need(!strchr(line, '\n'));
	answer = json_loads(line, 0, NULL);
	need(answer &&
	     (json_is_array(answer) ? json_array_size(answer) > 0
				    : !json_object_get(answer, "error") != !json_object_get(answer, "result")));
	json_decref(answer);
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rpc_scanner scanner = {.at = 0};
	size_t len, left;
	char *text = fuzz_words(data, size, words, sizeof(words) / sizeof(words[0]), &left), *at = text;

	while ((len = rpc_scan(&scanner, at, left))) {
		need(len <= left);
		check_answer(rpc_answer(methods, NULL, at, len));
		at += len;
		left -= len;
		scanner = (struct rpc_scanner){.at = 0};
	}
	free(text);
	return 0;
}
