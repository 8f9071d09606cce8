/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rpc.h - JSON-RPC 2.0: from text to calls of methods, and from what they return to text. Where one document ends is
 * told by its brackets, so that they may follow each other with or without line breaks.
 *
 * Source: JSON-RPC 2.0 Specification (2013-01-04).
 * Nothing of this blocks or knows of sockets.
 */
#ifndef QUOLL_TARGET_RPC_H
#define QUOLL_TARGET_RPC_H

#include <stdbool.h>

#include <jansson.h>

#include <quoll/error.h>

#define RPC_MAX_BYTES 65536u /* of one document */
#define RPC_MAX_BATCH 64u
#define RPC_MAX_PARAMS 8u

enum rpc_code {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_NO_METHOD = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_INTERNAL_ERROR = -32603,
	RPC_FAILED = -32000, /* the method did not succeed; data has the errno's name, and what mends it */
};

/**
 * struct rpc_param - one parameter, by name or, in this order, by position
 * @name: NULL ends the list
 * @type: as jansson names it
 */
struct rpc_param {
	const char *name;
	json_type type;
	bool required;
};

/**
 * struct rpc_method - what can be called
 * @run: @params is an object, checked against @params. Return: 0 with *@result, given to the caller, NULL if it ran out
 *       of memory; -errno with @err: RPC_FAILED, but -EINVAL: RPC_INVALID_PARAMS
 */
struct rpc_method {
	const char *name;
	struct rpc_param params[RPC_MAX_PARAMS];
	int (*run)(void *arg, const json_t *params, json_t **result, struct quoll_error *err);
};

/**
 * rpc_answer() - what one document is answered with
 * @methods: a NULL name at the end
 * Return: text without a line break, to be freed; NULL: nothing (notifications only), or out of memory.
 */
char *rpc_answer(const struct rpc_method *methods, void *arg, const char *text, size_t len);

/**
 * struct rpc_scanner - how far a document has been looked at; zeroed for a new one
 */
struct rpc_scanner {
	size_t at;
	unsigned int depth;
	bool in_string;
	bool escaped;
	bool is_line;
};

/**
 * rpc_scan() - whether a document is complete
 * @buf: begins with it; the first scanner->at bytes are as at the last call
 * Return: its length, line break included; 0: there is more to come. What begins with no bracket is a line.
 */
size_t rpc_scan(struct rpc_scanner *scanner, const char *buf, size_t len);

#endif
