/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * render.c - cells, tables and lists of facts from JSON values.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "render.h"

#define MAX_FIELDS 24

json_t *render_text(const char *text)
{
	json_t *value = json_string(text);
	char *copy;

	if (value)
		return value;
	copy = strdup(text);
	if (!copy)
		return NULL;
	for (char *c = copy; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	value = json_string(copy);
	free(copy);
	return value;
}

const char *render_string(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void put_bytes(FILE *f, double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	unsigned int unit = 0;

	while (bytes >= 1024 && unit < 5) {
		bytes /= 1024;
		unit++;
	}
	if (bytes == (double)(uint64_t)bytes)
		fprintf(f, "%.0f %s", bytes, units[unit]);
	else
		fprintf(f, "%.2f %s", bytes, units[unit]);
}

static void put_ns(FILE *f, double ns)
{
	if (ns < 1e3)
		fprintf(f, "%.0f ns", ns);
	else if (ns < 1e6)
		fprintf(f, "%.2f us", ns / 1e3);
	else if (ns < 1e9)
		fprintf(f, "%.2f ms", ns / 1e6);
	else
		fprintf(f, "%.2f s", ns / 1e9);
}

static void put_number(FILE *f, const json_t *value, enum render_kind kind)
{
	if (kind == RENDER_BYTES)
		put_bytes(f, json_number_value(value));
	else if (kind == RENDER_NS)
		put_ns(f, json_number_value(value));
	else if (kind == RENDER_HEX)
		fprintf(f, "0x%llx", (unsigned long long)json_integer_value(value));
	else if (json_is_integer(value))
		fprintf(f, "%lld", (long long)json_integer_value(value));
	else
		fprintf(f, "%.2f", json_real_value(value));
}

static void put_value(FILE *f, const json_t *value, enum render_kind kind)
{
	const json_t *element;
	size_t i;

	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		fputs(json_string_length(value) ? json_string_value(value) : "-", f);
		break;
	case JSON_INTEGER:
	case JSON_REAL:
		put_number(f, value, kind);
		break;
	case JSON_TRUE:
		fputs("yes", f);
		break;
	case JSON_FALSE:
		fputs("no", f);
		break;
	case JSON_ARRAY:
		json_array_foreach(value, i, element) {
			fputs(i ? ", " : "", f);
			put_value(f, element, kind);
		}
		if (!json_array_size(value))
			fputc('-', f);
		break;
	default:
		fputc('-', f);
	}
}

char *render_cell(const json_t *value, enum render_kind kind)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	put_value(f, value, kind);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	return text;
}

/* Columns a UTF-8 string takes, near enough: one a code point. */
static int width_of(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void put_padded(FILE *f, const char *text, int width, bool right)
{
	int pad = width - width_of(text);

	if (pad < 0)
		pad = 0;
	fprintf(f, "%*s%s%*s", right ? pad : 0, "", text, right ? 0 : pad, "");
}

static void put_row(FILE *f, const json_t *row, const struct render_field *fields, const int *widths)
{
	for (unsigned int i = 0; i < MAX_FIELDS && fields[i].heading; i++) {
		bool last = i + 1 == MAX_FIELDS || !fields[i + 1].heading;
		char *cell = row ? render_cell(json_object_get(row, fields[i].key), fields[i].kind) : NULL;

		put_padded(f, row ? (cell ? cell : "?") : fields[i].heading, last && !fields[i].right ? 0 : widths[i],
			   fields[i].right);
		fputs(last ? "\n" : "  ", f);
		free(cell);
	}
}

void render_table(FILE *f, const json_t *rows, const struct render_field *fields, const char *indent)
{
	int widths[MAX_FIELDS] = {0};
	const json_t *row;
	size_t r;

	if (!json_array_size(rows))
		return;
	for (unsigned int i = 0; i < MAX_FIELDS && fields[i].heading; i++) {
		widths[i] = width_of(fields[i].heading);
		json_array_foreach(rows, r, row) {
			char *cell = render_cell(json_object_get(row, fields[i].key), fields[i].kind);

			if (cell && width_of(cell) > widths[i])
				widths[i] = width_of(cell);
			free(cell);
		}
	}
	fputs(indent, f);
	put_row(f, NULL, fields, widths);
	json_array_foreach(rows, r, row) {
		fputs(indent, f);
		put_row(f, row, fields, widths);
	}
}

void render_facts(FILE *f, const json_t *object, const struct render_field *fields, const char *indent)
{
	int width = 0;

	for (const struct render_field *field = fields; field->heading; field++)
		if (json_object_get(object, field->key) && width_of(field->heading) > width)
			width = width_of(field->heading);
	for (const struct render_field *field = fields; field->heading; field++) {
		const json_t *value = json_object_get(object, field->key);
		char *cell = value ? render_cell(value, field->kind) : NULL;

		if (cell) {
			fprintf(f, "%s%s:%*s %s\n", indent, field->heading, width - width_of(field->heading), "", cell);
			free(cell);
		}
	}
}
