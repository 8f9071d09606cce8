/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_rpc.c - JSON-RPC 2.0 as its specification has it: answers, errors by code, notifications, batches; and where
 * documents end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "target/rpc.h"
#include "unit.h"

static unsigned int nr_calls;

static int add(void *arg, const json_t *params, json_t **result, struct quoll_error *err)
{
	json_int_t b = json_integer_value(json_object_get(params, "b"));

	(void)err;
	nr_calls++;
	CU_ASSERT_PTR_EQUAL(arg, &nr_calls);
	*result = json_integer(json_integer_value(json_object_get(params, "a")) + b);
	return 0;
}

static int fail(void *arg, const json_t *params, json_t **result, struct quoll_error *err)
{
	(void)arg;
	(void)params;
	(void)result;
	quoll_error_set(err, EBUSY, "fail", "x", "it is busy");
	quoll_error_hint(err, "wait");
	return -EBUSY;
}

static int refuse(void *arg, const json_t *params, json_t **result, struct quoll_error *err)
{
	(void)arg;
	(void)params;
	(void)result;
	return quoll_error_set(err, EINVAL, "refuse", "", "7 is not even");
}

#define END                                                                                                            \
	{                                                                                                              \
		NULL, JSON_NULL, false                                                                                 \
	}

static const struct rpc_method methods[] = {
	{"add", {{"a", JSON_INTEGER, true}, {"b", JSON_INTEGER, false}, END}, add},
	{"fail", {END}, fail},
	{"refuse", {END}, refuse},
	{NULL, {END}, NULL},
};

/* What it is answered with is exactly this; NULL: nothing. */
static void expect(const char *request, const char *wanted)
{
	char *answer = rpc_answer(methods, &nr_calls, request, strlen(request));

	if (!wanted) {
		CU_ASSERT_PTR_NULL(answer);
	} else {
		CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
		CU_ASSERT_STRING_EQUAL(answer, wanted);
		if (strcmp(answer, wanted))
			printf("%s\n", answer);
	}
	free(answer);
}

static void methods_are_called_by_name_or_position(void)
{
	expect("{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"params\":{\"a\":2,\"b\":3},\"id\":1}",
	       "{\"jsonrpc\":\"2.0\",\"result\":5,\"id\":1}");
	expect("{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"params\":[2,4],\"id\":\"x\"}",
	       "{\"jsonrpc\":\"2.0\",\"result\":6,\"id\":\"x\"}");
	expect("{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"params\":[2],\"id\":null}",
	       "{\"jsonrpc\":\"2.0\",\"result\":2,\"id\":null}");
}

/* Begins with this code for this id. */
static void expect_error(const char *request, int code, const char *id)
{
	char *answer = rpc_answer(methods, &nr_calls, request, strlen(request));
	json_t *document = answer ? json_loads(answer, 0, NULL) : NULL;
	json_t *error = json_object_get(document, "error");
	char *got = json_dumps(json_object_get(document, "id"), JSON_ENCODE_ANY);

	CU_ASSERT_EQUAL(json_integer_value(json_object_get(error, "code")), code);
	CU_ASSERT_TRUE(json_is_string(json_object_get(error, "message")));
	CU_ASSERT_PTR_NULL(json_object_get(document, "result"));
	CU_ASSERT_STRING_EQUAL(got ? got : "", id);
	free(got);
	json_decref(document);
	free(answer);
}

static void errors_have_the_codes_of_the_specification(void)
{
	expect_error("{\"jsonrpc\": \"2.0\", \"method\"", RPC_PARSE_ERROR, "null");
	expect_error("\xff\xfe{", RPC_PARSE_ERROR, "null");
	expect_error("{\"a\": \"\xc3\"}", RPC_PARSE_ERROR, "null");
	expect_error("1", RPC_PARSE_ERROR, "null"); /* jansson takes objects and arrays only */
	expect_error("{}", RPC_INVALID_REQUEST, "null");
	expect_error("{\"jsonrpc\":\"1.0\",\"method\":\"add\",\"id\":1}", RPC_INVALID_REQUEST, "null");
	expect_error("{\"jsonrpc\":\"2.0\",\"method\":1,\"id\":1}", RPC_INVALID_REQUEST, "null");
	expect_error("{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"params\":1,\"id\":1}", RPC_INVALID_REQUEST, "null");
	expect_error("{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"params\":[1],\"id\":{}}", RPC_INVALID_REQUEST, "null");
	expect_error("{\"jsonrpc\":\"2.0\",\"method\":\"sub\",\"id\":1}", RPC_NO_METHOD, "1");
	expect_error("{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"id\":1}", RPC_INVALID_PARAMS, "1");
	expect_error("{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"params\":{\"a\":\"2\"},\"id\":1}", RPC_INVALID_PARAMS,
		     "1");
	expect_error("{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"params\":{\"a\":2,\"c\":1},\"id\":1}",
		     RPC_INVALID_PARAMS, "1");
	expect_error("{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"params\":[1,2,3],\"id\":1}", RPC_INVALID_PARAMS, "1");
	expect_error("{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"params\":[1,2,3,4,5,6,7,8,9],\"id\":1}",
		     RPC_INVALID_PARAMS, "1");
	expect("{\"jsonrpc\":\"2.0\",\"method\":\"refuse\",\"id\":4}",
	       "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32602,\"message\":\"7 is not even\"},\"id\":4}");
	expect("{\"jsonrpc\":\"2.0\",\"method\":\"fail\",\"id\":4}",
	       "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32000,\"message\":\"x: it is busy\",\"data\":{\"errno\":"
	       "\"EBUSY\",\"try\":\"wait\"}},\"id\":4}");
}

static void notifications_are_not_answered(void)
{
	nr_calls = 0;
	expect("{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"params\":[1]}", NULL);
	CU_ASSERT_EQUAL(nr_calls, 1);
	expect("{\"jsonrpc\":\"2.0\",\"method\":\"fail\"}", NULL);
	expect("{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}", NULL);
	expect("[{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"params\":[1]}]", NULL);
	CU_ASSERT_EQUAL(nr_calls, 2);
}

static void batches_are_answered_together(void)
{
	char batch[8192] = "[";

	expect("[{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"params\":[1,1],\"id\":1},"
	       "{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"params\":[1]},"
	       "{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"params\":[1,2],\"id\":2}]",
	       "[{\"jsonrpc\":\"2.0\",\"result\":2,\"id\":1},{\"jsonrpc\":\"2.0\",\"result\":3,\"id\":2}]");
	expect_error("[]", RPC_INVALID_REQUEST, "null");
	expect("[1]", "[{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32600,\"message\":\"a request is an "
		      "object\"},\"id\":null}]");
	nr_calls = 0;
	for (unsigned int i = 0; i <= RPC_MAX_BATCH; i++)
		strcat(batch, "{\"jsonrpc\":\"2.0\",\"method\":\"add\",\"params\":[1],\"id\":1},");
	strcpy(batch + strlen(batch) - 1, "]");
	expect_error(batch, RPC_INVALID_REQUEST, "null");
	CU_ASSERT_EQUAL(nr_calls, 0);
}

/* Fed byte by byte, documents end where they are said to. */
static void expect_ends(const char *stream, const size_t *lengths, unsigned int nr)
{
	struct rpc_scanner scanner = {.at = 0};
	size_t begin = 0, whole;
	unsigned int n = 0;

	for (size_t end = 1; end <= strlen(stream); end++) {
		size_t len = rpc_scan(&scanner, stream + begin, end - begin);

		if (!len)
			continue;
		CU_ASSERT_TRUE_FATAL(n < nr);
		CU_ASSERT_EQUAL(len, lengths[n]);
		n++;
		begin += len;
		scanner = (struct rpc_scanner){.at = 0};
	}
	CU_ASSERT_EQUAL(n, nr);
	/* And at once. */
	scanner = (struct rpc_scanner){.at = 0};
	whole = rpc_scan(&scanner, stream, strlen(stream));
	CU_ASSERT_EQUAL(whole, nr ? lengths[0] : 0);
}

static void documents_end_with_their_brackets_or_their_line(void)
{
	expect_ends("{}", (size_t[]){2}, 1);
	expect_ends("{\"a\": [1, {}]}{}\n{}", (size_t[]){14, 2, 3}, 3);
	expect_ends("{\"}\\\"}\": 1}", (size_t[]){11}, 1);
	expect_ends("  \n [1,\n2]\n", (size_t[]){10}, 1);
	expect_ends("hello\n{}", (size_t[]){6, 2}, 2);
	expect_ends("]\n[}", (size_t[]){2, 2}, 2);
	expect_ends("{\"a\": \"b\n", NULL, 0);
	expect_ends("\"{\"\n", (size_t[]){4}, 1);
	expect_ends("[[", NULL, 0);
}

static const struct unit_test tests[] = {
	{"methods are called by name or position", methods_are_called_by_name_or_position},
	{"errors have the codes of the specification", errors_have_the_codes_of_the_specification},
	{"notifications are not answered", notifications_are_not_answered},
	{"batches are answered together", batches_are_answered_together},
	{"documents end with their brackets, or their line", documents_end_with_their_brackets_or_their_line},
};

UNIT_MAIN("apps/target/rpc", tests)
