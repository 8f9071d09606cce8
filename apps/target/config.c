/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config.c - from JSON and options to struct target_config. Each object is a table of its keys.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "config.h"

/* Where in the document we are, and for whom. */
struct reader {
	struct target_config *config;
	const char *name;
	char where[96];
	struct quoll_error *err;
};

/* A key of an object; @read is told the value and @to, which is what the object fills in. */
struct key {
	const char *name;
	int (*read)(struct reader *reader, const json_t *value, void *to);
	bool required;
};

static int wrong(const struct reader *reader, const char *fmt, ...) QUOLL_PRINTF(2, 3);

static int wrong(const struct reader *reader, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return quoll_error_set(reader->err, EINVAL, "configuration", reader->name, "%s%s%s", reader->where,
			       reader->where[0] ? ": " : "", text);
}

/* An error that says what is wrong with a text, now with where the text stands. */
static int wrong_at(const struct reader *reader, const struct quoll_error *cause)
{
	quoll_error_set(reader->err, cause->errnum, "configuration", reader->name, "%s: '%s': %s", reader->where,
			cause->subject, cause->what);
	if (cause->hint[0])
		quoll_error_hint(reader->err, "%s", cause->hint);
	return -cause->errnum;
}

/* Go down to a key or an element; the return value brings us back. */
static size_t enter(struct reader *reader, const char *fmt, ...) QUOLL_PRINTF(2, 3);

static size_t enter(struct reader *reader, const char *fmt, ...)
{
	size_t len = strlen(reader->where);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reader->where + len, sizeof(reader->where) - len, fmt, ap);
	va_end(ap);
	return len;
}

static void leave(struct reader *reader, size_t len)
{
	reader->where[len] = '\0';
}

static const struct key *find_key(const struct key *keys, const char *name)
{
	for (; keys->name; keys++)
		if (!strcmp(keys->name, name))
			return keys;
	return NULL;
}

/* What is quoted of a file is cut, and has no control characters. */
static const char *quote(const char *text, char buf[40])
{
	size_t len = strnlen(text, 39);

	for (size_t i = 0; i < len; i++)
		buf[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
	buf[len] = '\0';
	return buf;
}

static int unknown_key(const struct reader *reader, const struct key *keys, const char *name)
{
	char buf[40];
	int rc = wrong(reader, "there is no key \"%s\"; known are", quote(name, buf));

	for (; keys->name; keys++)
		quoll_error_append(reader->err, " %s", keys->name);
	return rc;
}

static int read_object(struct reader *reader, const json_t *object, const struct key *keys, void *to)
{
	const char *name;
	json_t *value;

	if (!json_is_object(object))
		return wrong(reader, "must be an object");
	json_object_foreach((json_t *)object, name, value) {
		const struct key *key = find_key(keys, name);
		size_t back;
		int rc;

		if (!key)
			return unknown_key(reader, keys, name);
		back = enter(reader, "%s%s", reader->where[0] ? "." : "", name);
		rc = key->read(reader, value, to);
		if (rc)
			return rc;
		leave(reader, back);
	}
	for (; keys->name; keys++)
		if (keys->required && !json_object_get(object, keys->name))
			return wrong(reader, "\"%s\" is missing", keys->name);
	return 0;
}

static int read_array(struct reader *reader, const json_t *array,
		      int (*read)(struct reader *reader, const json_t *value, void *to))
{
	size_t i;
	json_t *value;

	if (!json_is_array(array))
		return wrong(reader, "must be an array");
	json_array_foreach(array, i, value) {
		size_t back = enter(reader, "[%zu]", i);
		int rc = read(reader, value, NULL);

		if (rc)
			return rc;
		leave(reader, back);
	}
	return 0;
}

static int read_string(const struct reader *reader, const json_t *value, char *to, size_t bytes)
{
	if (!json_is_string(value))
		return wrong(reader, "must be a string");
	if (json_string_length(value) != strlen(json_string_value(value)))
		return wrong(reader, "has a zero byte in it");
	if (json_string_length(value) >= bytes)
		return wrong(reader, "is too long: %zu bytes, at most %zu", json_string_length(value), bytes - 1);
	memcpy(to, json_string_value(value), json_string_length(value) + 1);
	return 0;
}

static int read_number(const struct reader *reader, const json_t *value, unsigned int min, unsigned int max,
		       unsigned int *to)
{
	if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
		return wrong(reader, "must be a whole number from %u to %u", min, max);
	*to = (unsigned int)json_integer_value(value);
	return 0;
}

/* "subsystem" */

static int read_nqn(struct reader *reader, const json_t *value, void *to)
{
	(void)to;
	return read_string(reader, value, reader->config->nqn, sizeof(reader->config->nqn));
}

static int read_serial(struct reader *reader, const json_t *value, void *to)
{
	(void)to;
	return read_string(reader, value, reader->config->serial, sizeof(reader->config->serial));
}

static int read_model(struct reader *reader, const json_t *value, void *to)
{
	(void)to;
	return read_string(reader, value, reader->config->model, sizeof(reader->config->model));
}

static int read_subsystem(struct reader *reader, const json_t *value, void *to)
{
	static const struct key keys[] = {
		{"nqn", read_nqn, false},
		{"serial", read_serial, false},
		{"model", read_model, false},
		{NULL, NULL, false},
	};

	return read_object(reader, value, keys, to);
}

/* "namespaces": addresses, or {"address": …, "nsid": …} */

static int read_ns_address(struct reader *reader, const json_t *value, void *to)
{
	struct config_ns *ns = to;

	return read_string(reader, value, ns->text, sizeof(ns->text));
}

static int read_nsid(struct reader *reader, const json_t *value, void *to)
{
	struct config_ns *ns = to;

	return read_number(reader, value, 1, TGT_MAX_NAMESPACES, &ns->nsid);
}

static int read_ns(struct reader *reader, const json_t *value, void *to)
{
	static const struct key keys[] = {
		{"address", read_ns_address, true},
		{"nsid", read_nsid, false},
		{NULL, NULL, false},
	};
	struct config_ns ns = {.nsid = 0};
	struct quoll_error err = {0};
	int rc;

	(void)to;
	rc = json_is_string(value) ? read_ns_address(reader, value, &ns) : read_object(reader, value, keys, &ns);
	if (rc)
		return rc;
	return config_add_ns(reader->config, ns.text, ns.nsid, &err) ? wrong_at(reader, &err) : 0;
}

static int read_namespaces(struct reader *reader, const json_t *value, void *to)
{
	(void)to;
	return read_array(reader, value, read_ns);
}

/* "listeners": addresses, or {"address": …, "doorbells": …} */

struct listener_words {
	char text[QUOLL_ADDR_MAX_BYTES];
	char doorbells[16];
};

static int read_listener_address(struct reader *reader, const json_t *value, void *to)
{
	struct listener_words *words = to;

	return read_string(reader, value, words->text, sizeof(words->text));
}

static int read_doorbells(struct reader *reader, const json_t *value, void *to)
{
	struct listener_words *words = to;
	int rc = read_string(reader, value, words->doorbells, sizeof(words->doorbells));

	if (!rc && strcmp(words->doorbells, "mapped") && strcmp(words->doorbells, "trapped"))
		rc = wrong(reader, "must be \"mapped\" or \"trapped\"");
	return rc;
}

static int read_listener(struct reader *reader, const json_t *value, void *to)
{
	static const struct key keys[] = {
		{"address", read_listener_address, true},
		{"doorbells", read_doorbells, false},
		{NULL, NULL, false},
	};
	struct listener_words words = {.text = ""};
	struct quoll_error err = {0};
	int rc;

	(void)to;
	rc = json_is_string(value) ? read_listener_address(reader, value, &words)
				   : read_object(reader, value, keys, &words);
	if (rc)
		return rc;
	if (config_add_listener(reader->config, words.text, &err))
		return wrong_at(reader, &err);
	if (words.doorbells[0])
		reader->config->listeners[reader->config->nr_listeners - 1].mapped = !strcmp(words.doorbells, "mapped");
	return 0;
}

static int read_listeners(struct reader *reader, const json_t *value, void *to)
{
	(void)to;
	return read_array(reader, value, read_listener);
}

/* The rest of the document. */

static int read_fault(struct reader *reader, const json_t *value, void *to)
{
	struct quoll_error err = {0};
	char text[256];
	int rc = read_string(reader, value, text, sizeof(text));

	(void)to;
	if (rc)
		return rc;
	return config_add_fault(reader->config, text, &err) ? wrong_at(reader, &err) : 0;
}

static int read_faults(struct reader *reader, const json_t *value, void *to)
{
	(void)to;
	return read_array(reader, value, read_fault);
}

static int read_threads(struct reader *reader, const json_t *value, void *to)
{
	(void)to;
	return read_number(reader, value, 1, CONFIG_MAX_THREADS, &reader->config->nr_threads);
}

static int read_core(struct reader *reader, const json_t *value, void *to)
{
	struct target_config *config = reader->config;

	(void)to;
	if (config->nr_cores == CONFIG_MAX_THREADS)
		return wrong(reader, "more than %u", CONFIG_MAX_THREADS);
	return read_number(reader, value, 0, 4095, &config->cores[config->nr_cores++]);
}

static int read_cores(struct reader *reader, const json_t *value, void *to)
{
	(void)to;
	reader->config->nr_cores = 0;
	return read_array(reader, value, read_core);
}

static int read_control(struct reader *reader, const json_t *value, void *to)
{
	(void)to;
	return read_string(reader, value, reader->config->control, sizeof(reader->config->control));
}

static int read_never_sleep(struct reader *reader, const json_t *value, void *to)
{
	(void)to;
	if (!json_is_boolean(value))
		return wrong(reader, "must be true or false");
	reader->config->never_sleep = json_is_true(value);
	return 0;
}

static const struct key document_keys[] = {
	{"subsystem", read_subsystem, false},
	{"namespaces", read_namespaces, false},
	{"listeners", read_listeners, false},
	{"faults", read_faults, false},
	{"threads", read_threads, false},
	{"cores", read_cores, false},
	{"never_sleep", read_never_sleep, false},
	{"control", read_control, false},
	{NULL, NULL, false},
};

int config_parse(struct target_config *config, const char *text, size_t len, const char *name, struct quoll_error *err)
{
	struct reader reader = {.config = config, .name = name, .err = err};
	json_error_t cause;
	json_t *document = json_loadb(text, len, JSON_REJECT_DUPLICATES, &cause);
	char buf[40];
	int rc;

	if (!document)
		return wrong(&reader, "line %d, column %d: %s", cause.line, cause.column, quote(cause.text, buf));
	rc = read_object(&reader, document, document_keys, NULL);
	json_decref(document);
	return rc;
}

int config_load(struct target_config *config, const char *path, struct quoll_error *err)
{
	FILE *f = fopen(path, "re");
	char *text;
	size_t len;
	int rc;

	if (!f)
		return quoll_error_set(err, errno, "configuration", path, "can't be read: %s", strerrordesc_np(errno));
	text = malloc(CONFIG_MAX_BYTES + 1);
	len = text ? fread(text, 1, CONFIG_MAX_BYTES + 1, f) : 0;
	if (!text)
		rc = quoll_error_set(err, ENOMEM, "configuration", path, "out of memory");
	else if (ferror(f))
		rc = quoll_error_set(err, errno ? errno : EIO, "configuration", path, "can't be read");
	else if (len > CONFIG_MAX_BYTES)
		rc = quoll_error_set(err, EFBIG, "configuration", path, "more than %u bytes", CONFIG_MAX_BYTES);
	else
		rc = config_parse(config, text, len, path, err);
	free(text);
	fclose(f);
	return rc;
}

/* One by one. */

static int too_many(const char *subject, const char *what, unsigned int max, struct quoll_error *err)
{
	return quoll_error_set(err, ENOSPC, "configuration", subject, "more than %u %s", max, what);
}

int config_add_listener(struct target_config *config, const char *text, struct quoll_error *err)
{
	static const char *const known[] = {"doorbells", NULL};
	struct config_listener *listener = &config->listeners[config->nr_listeners];
	struct quoll_addr addr;
	const char *doorbells;
	int rc = quoll_addr_parse(text, &addr, err);

	if (rc)
		return rc;
	if (addr.scheme != QUOLL_ADDR_VFIO_USER) {
		quoll_error_set(err, EINVAL, "listener", text,
				"a target can't listen on %s:", quoll_addr_scheme_name(addr.scheme));
		quoll_error_hint(err, "vfio-user:/run/x.sock");
		return -EINVAL;
	}
	rc = quoll_addr_options_known(&addr, known, err);
	if (rc)
		return rc;
	if (config->nr_listeners == CONFIG_MAX_LISTENERS)
		return too_many(text, "listeners", CONFIG_MAX_LISTENERS, err);
	doorbells = quoll_addr_option(&addr, "doorbells");
	if (doorbells && strcmp(doorbells, "mapped") && strcmp(doorbells, "trapped"))
		return quoll_error_set(err, EINVAL, "listener", text, "doorbells are mapped or trapped, not '%s'",
				       doorbells);
	snprintf(listener->text, sizeof(listener->text), "%s", text);
	strcpy(listener->path, addr.target); /* the parser knows how long one may be */
	listener->mapped = !doorbells || !strcmp(doorbells, "mapped");
	config->nr_listeners++;
	return 0;
}

int config_add_ns(struct target_config *config, const char *text, uint32_t nsid, struct quoll_error *err)
{
	struct config_ns *ns = &config->ns[config->nr_ns];
	struct quoll_addr addr;
	int rc = quoll_addr_parse(text, &addr, err);

	if (rc)
		return rc;
	if (config->nr_ns == TGT_MAX_NAMESPACES)
		return too_many(text, "namespaces", TGT_MAX_NAMESPACES, err);
	snprintf(ns->text, sizeof(ns->text), "%s", text);
	ns->nsid = nsid;
	config->nr_ns++;
	return 0;
}

int config_add_fault(struct target_config *config, const char *text, struct quoll_error *err)
{
	int rc;

	if (config->nr_faults == CONFIG_MAX_FAULTS)
		return too_many(text, "faults", CONFIG_MAX_FAULTS, err);
	rc = tgt_fault_parse(text, &config->faults[config->nr_faults], err);
	if (!rc)
		config->nr_faults++;
	return rc;
}

static int set_text(char *to, size_t bytes, const char *text, const char *stage, const char *what,
		    struct quoll_error *err)
{
	if (!text[0] || strlen(text) >= bytes)
		return quoll_error_set(err, EINVAL, stage, text, "%s has 1 to %zu bytes", what, bytes - 1);
	strcpy(to, text);
	return 0;
}

int config_set_nqn(struct target_config *config, const char *nqn, struct quoll_error *err)
{
	return set_text(config->nqn, sizeof(config->nqn), nqn, "subsystem", "a qualified name", err);
}

int config_set_serial(struct target_config *config, const char *serial, struct quoll_error *err)
{
	return set_text(config->serial, sizeof(config->serial), serial, "subsystem", "a serial number", err);
}

int config_set_control(struct target_config *config, const char *path, struct quoll_error *err)
{
	return set_text(config->control, sizeof(config->control), path, "control", "a socket's path", err);
}

int config_check(const struct target_config *config, struct quoll_error *err)
{
	unsigned int nr_threads = config->nr_threads ? config->nr_threads : 1;

	if (!config->nr_listeners) {
		quoll_error_set(err, EINVAL, "configuration", "", "nowhere to listen");
		quoll_error_hint(err, "--listen vfio-user:/run/x.sock");
		return -EINVAL;
	}
	if (config->nr_cores && config->nr_cores != nr_threads)
		return quoll_error_set(err, EINVAL, "configuration", "", "%u cores for %u threads", config->nr_cores,
				       nr_threads);
	return 0;
}
