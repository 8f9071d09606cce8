/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rpc.c - requests checked, methods found and called, answers and errors made.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quoll/render.h"

#include "rpc.h"

/* Brackets and strings; whether the rest makes sense, the parser says. Blank space before a document belongs to it. */
size_t rpc_scan(struct rpc_scanner *scanner, const char *buf, size_t len)
{
	while (scanner->at < len) {
		char c = buf[scanner->at++];

		if (scanner->in_string) {
			if (!scanner->escaped && c == '"')
				scanner->in_string = false;
			scanner->escaped = !scanner->escaped && c == '\\';
		} else if (scanner->is_line) {
			if (c == '\n')
				return scanner->at;
		} else if (c == '{' || c == '[') {
			scanner->depth++;
		} else if (scanner->depth) {
			scanner->in_string = c == '"';
			if ((c == '}' || c == ']') && !--scanner->depth)
				return scanner->at;
		} else if (!strchr(" \t\r\n", c)) {
			scanner->is_line = true;
		}
	}
	return 0;
}

/* @id and @data are taken over; NULL @id: unknown, so null. */
static json_t *make_error(json_t *id, int code, const char *message, json_t *data)
{
	/* It may quote what came in, cut anywhere. */
	json_t *error = json_pack("{s:i, s:o}", "code", code, "message", render_text(message));

	if (data && error)
		json_object_set(error, "data", data);
	json_decref(data);
	return json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "error", error, "id", id ? id : json_null());
}

static const struct rpc_method *find_method(const struct rpc_method *methods, const char *name)
{
	for (; methods->name; methods++)
		if (!strcmp(methods->name, name))
			return methods;
	return NULL;
}

/* Names of all methods: who asks for one that isn't there would like to know. */
static json_t *list_methods(const struct rpc_method *methods)
{
	json_t *names = json_array();

	for (; names && methods->name; methods++)
		json_array_append_new(names, json_string(methods->name));
	return json_pack("{s:o}", "methods", names);
}

static const char *type_name(json_type type)
{
	switch (type) {
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a whole number";
	default:
		return "an array";
	}
}

static const struct rpc_param *find_param(const struct rpc_method *method, const char *name)
{
	for (const struct rpc_param *param = method->params; param->name; param++)
		if (!strcmp(param->name, name))
			return param;
	return NULL;
}

static int check_named(const struct rpc_method *method, const json_t *params, struct quoll_error *err)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)params, name, value) {
		const struct rpc_param *param = find_param(method, name);

		if (!param)
			return quoll_error_set(err, EINVAL, method->name, "", "there is no parameter \"%.40s\"", name);
		if (json_typeof(value) != param->type)
			return quoll_error_set(err, EINVAL, method->name, "", "\"%s\" must be %s", name,
					       type_name(param->type));
	}
	for (const struct rpc_param *param = method->params; param->name; param++)
		if (param->required && !json_object_get(params, param->name))
			return quoll_error_set(err, EINVAL, method->name, "", "\"%s\" is missing", param->name);
	return 0;
}

/* By position becomes by name. Return: a new object; NULL with an error. */
static json_t *name_params(const struct rpc_method *method, const json_t *params, struct quoll_error *err)
{
	json_t *named = json_is_object(params) ? json_incref((json_t *)params) : json_object();

	for (size_t i = 0; json_is_array(params) && i < json_array_size(params); i++) {
		if (i == RPC_MAX_PARAMS || !method->params[i].name) {
			quoll_error_set(err, EINVAL, method->name, "", "too many parameters");
			json_decref(named);
			return NULL;
		}
		json_object_set(named, method->params[i].name, json_array_get(params, i));
	}
	if (named && check_named(method, named, err)) {
		json_decref(named);
		return NULL;
	}
	return named;
}

static json_t *call_failed(json_t *id, const struct quoll_error *err)
{
	const char *name = strerrorname_np(err->errnum);
	char message[sizeof(err->subject) + sizeof(err->what) + 4];
	json_t *data;

	snprintf(message, sizeof(message), "%s%s%s", err->subject, err->subject[0] ? ": " : "", err->what);
	if (err->errnum == EINVAL)
		return make_error(id, RPC_INVALID_PARAMS, message, NULL);
	data = json_pack("{s:s}", "errno", name ? name : "unknown");
	if (data && err->hint[0])
		json_object_set_new(data, "try", json_string(err->hint));
	return make_error(id, RPC_FAILED, message, data);
}

/* Takes @id over, which is NULL for a notification: then the answer is never sent. */
static json_t *call(const struct rpc_method *methods, void *arg, const json_t *request, json_t *id)
{
	const struct rpc_method *method = find_method(methods, json_string_value(json_object_get(request, "method")));
	struct quoll_error err = {0};
	json_t *params, *result = NULL;
	int rc;

	if (!method)
		return make_error(id, RPC_NO_METHOD, "there is no such method", list_methods(methods));
	params = name_params(method, json_object_get(request, "params"), &err);
	if (!params)
		return call_failed(id, &err);
	rc = method->run(arg, params, &result, &err);
	json_decref(params);
	if (rc)
		return call_failed(id, &err);
	if (!result)
		return make_error(id, RPC_INTERNAL_ERROR, "out of memory", NULL);
	return json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "result", result, "id", id ? id : json_null());
}

/* What makes a request one (4): its version, its method's name, and the kinds of its params and id. */
static const char *request_fault(const json_t *request)
{
	const json_t *version = json_object_get(request, "jsonrpc");
	const json_t *params = json_object_get(request, "params");
	const json_t *id = json_object_get(request, "id");

	if (!json_is_object(request))
		return "a request is an object";
	if (!json_is_string(version) || strcmp(json_string_value(version), "2.0"))
		return "\"jsonrpc\" must be \"2.0\"";
	if (!json_is_string(json_object_get(request, "method")))
		return "\"method\" must be a string";
	if (params && !json_is_object(params) && !json_is_array(params))
		return "\"params\" must be an object or an array";
	if (id && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
		return "\"id\" must be a string, a number or null";
	return NULL;
}

/* Return: NULL: a notification, which is not answered, whatever comes of it. */
static json_t *answer_one(const struct rpc_method *methods, void *arg, const json_t *request)
{
	const char *fault = request_fault(request);
	json_t *id = json_object_get(request, "id"), *answer;

	if (fault)
		return make_error(NULL, RPC_INVALID_REQUEST, fault, NULL);
	answer = call(methods, arg, request, json_incref(id));
	if (id)
		return answer;
	json_decref(answer);
	return NULL;
}

static json_t *answer_batch(const struct rpc_method *methods, void *arg, const json_t *batch)
{
	json_t *answers;
	size_t i;
	json_t *request;

	if (!json_array_size(batch))
		return make_error(NULL, RPC_INVALID_REQUEST, "an empty batch", NULL);
	if (json_array_size(batch) > RPC_MAX_BATCH)
		return make_error(NULL, RPC_INVALID_REQUEST, "too many requests in one batch", NULL);
	answers = json_array();
	json_array_foreach(batch, i, request) {
		json_t *answer = answer_one(methods, arg, request);

		if (answer)
			json_array_append_new(answers, answer);
	}
	if (json_array_size(answers))
		return answers;
	json_decref(answers);
	return NULL;
}

char *rpc_answer(const struct rpc_method *methods, void *arg, const char *text, size_t len)
{
	json_error_t cause;
	json_t *document = json_loadb(text, len, 0, &cause), *answer;
	char message[32 + JSON_ERROR_TEXT_LENGTH];
	char *line;

	if (!document) {
		snprintf(message, sizeof(message), "byte %d: %s", cause.position, cause.text);
		answer = make_error(NULL, RPC_PARSE_ERROR, message, NULL);
	} else if (json_is_array(document)) {
		answer = answer_batch(methods, arg, document);
	} else {
		answer = answer_one(methods, arg, document);
	}
	line = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
	json_decref(answer);
	json_decref(document);
	return line;
}
