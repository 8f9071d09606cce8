/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * render.h - text from JSON: the tables and lists of facts that verbs print are made from the document --json prints.
 */
#ifndef QUOLL_APPS_RENDER_H
#define QUOLL_APPS_RENDER_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

enum render_kind {
	RENDER_PLAIN, /* strings as they are, lists with commas between, true "yes", false "no", null "-" */
	RENDER_BYTES, /* 4096 as "4 KiB" */
	RENDER_NS,    /* 12345 as "12.35 us" */
	RENDER_HEX,   /* 2 as "0x2" */
};

/**
 * struct render_field - one column of a table, or one line of a list
 * @heading: NULL ends the array
 * @key:     in the object
 * @kind:    how values look
 * @right:   aligned to the right
 */
struct render_field {
	const char *heading;
	const char *key;
	enum render_kind kind;
	bool right;
};

/**
 * render_cell() - text of one value; control characters become '?'
 * Return: to be freed with free(); NULL without memory.
 */
char *render_cell(const json_t *value, enum render_kind kind);

/**
 * render_table() - a heading and one line an object of @rows; prints nothing without rows
 */
void render_table(FILE *f, const json_t *rows, const struct render_field *fields, const char *indent);

/**
 * render_facts() - "heading: value" lines, values aligned; keys that the object lacks are left out
 */
void render_facts(FILE *f, const json_t *object, const struct render_field *fields, const char *indent);

/**
 * render_string() - a string's text, "" if the object has none under this key
 */
const char *render_string(const json_t *object, const char *key);

/**
 * render_text() - a JSON string of any bytes: what is not UTF-8 becomes '?'. Return: NULL without memory.
 */
json_t *render_text(const char *text);

#endif
