/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault.c - the table of faults: from text, and which command it picks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"

/* Where the parser is, and for whom. */
struct words {
	const char *text;
	const char *at; /* the present word */
	char key[16];
	char value[32];
	bool has_value;
	struct quoll_error *err;
};

struct name {
	const char *name;
	uint32_t value;
};

static const struct name actions[] = {
	{"delay", TGT_FAULT_DELAY},	{"drop", TGT_FAULT_DROP},
	{"corrupt", TGT_FAULT_CORRUPT}, {"repeat", TGT_FAULT_REPEAT},
	{"status", TGT_FAULT_STATUS},	{"csts", TGT_FAULT_CSTS},
	{"gone", TGT_FAULT_GONE},	{NULL, 0},
};

static const struct name corruptions[] = {
	{"cid", TGT_CORRUPT_CID},     {"sqid", TGT_CORRUPT_SQID}, {"sqhd", TGT_CORRUPT_SQHD},
	{"phase", TGT_CORRUPT_PHASE}, {"data", TGT_CORRUPT_DATA}, {NULL, 0},
};

static const struct name csts[] = {{"stuck", TGT_CSTS_STUCK}, {"fatal", TGT_CSTS_FATAL}, {NULL, 0}};

static const struct name times[] = {
	{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}, {NULL, 0},
};

static const struct name opcodes[] = {
	{"flush", nvme_cmd_flush},
	{"write", nvme_cmd_write},
	{"read", nvme_cmd_read},
	{"compare", nvme_cmd_compare},
	{"write-zeroes", nvme_cmd_write_zeroes},
	{"dsm", nvme_cmd_dsm},
	{NULL, 0},
};

static const struct name *name_find(const struct name *names, const char *text)
{
	for (; names->name; names++)
		if (!strcmp(names->name, text))
			return names;
	return NULL;
}

static int wrong(const struct words *words, const char *expected)
{
	return quoll_error_set(words->err, EINVAL, "fault", words->text, "character %zu, '%s%s%s': expected %s",
			       (size_t)(words->at - words->text) + 1, words->key, words->has_value ? "=" : "",
			       words->value, expected);
}

static int wrong_name(const struct words *words, const struct name *names)
{
	int rc = wrong(words, "one of");

	for (; names->name; names++)
		quoll_error_append(words->err, " %s", names->name);
	return rc;
}

/* The next word. Return: 1, 0 at the end, -EINVAL. */
static int words_next(struct words *words, const char **rest)
{
	size_t len = strcspn(*rest, ",");
	size_t key = strcspn(*rest, ",=");

	words->at = *rest;
	words->has_value = key < len;
	words->key[0] = words->value[0] = '\0';
	if (!**rest)
		return 0;
	if (!key || key >= sizeof(words->key) || (words->has_value && len - key - 1 >= sizeof(words->value)))
		return wrong(words, "a word of at most 15 characters, a value of at most 31");
	memcpy(words->key, *rest, key);
	words->key[key] = '\0';
	if (words->has_value) {
		memcpy(words->value, *rest + key + 1, len - key - 1);
		words->value[len - key - 1] = '\0';
	}
	*rest += len;
	if (**rest == ',' && !*++*rest)
		return wrong(words, "another word behind the comma");
	return 1;
}

/* A number up to @max with its unit out of @units, if there are any. */
static int number(const struct words *words, const struct name *units, uint64_t max, uint64_t *value)
{
	const struct name *unit = NULL;
	char *end;

	if (words->value[0] < '0' || words->value[0] > '9')
		return wrong(words, "a number");
	errno = 0;
	*value = strtoull(words->value, &end, 0);
	if (units) {
		unit = name_find(units, end);
		if (!unit)
			return wrong(words, "a time with ns, us, ms or s");
	} else if (*end) {
		return wrong(words, "a number");
	}
	if (errno || *value > max / (unit ? unit->value : 1))
		return wrong(words, "a smaller number");
	*value *= unit ? unit->value : 1;
	return 0;
}

static int named(const struct words *words, const struct name *names, uint64_t *value)
{
	const struct name *name = name_find(names, words->value);

	if (!name)
		return wrong_name(words, names);
	*value = name->value;
	return 0;
}

static int parse_action(const struct words *words, struct tgt_fault *fault)
{
	const struct name *action = name_find(actions, words->key);

	if (!action)
		return wrong_name(words, actions);
	fault->action = action->value;
	switch (fault->action) {
	case TGT_FAULT_DELAY:
		return number(words, times, 3600000000000u, &fault->value);
	case TGT_FAULT_CORRUPT:
		return named(words, corruptions, &fault->value);
	case TGT_FAULT_CSTS:
		return named(words, csts, &fault->value);
	case TGT_FAULT_STATUS:
		if (number(words, NULL, 0x7ff, &fault->value))
			return -EINVAL;
		return fault->value ? 0 : wrong(words, "a status other than success");
	case TGT_FAULT_REPEAT:
		fault->value = 1;
		return words->has_value ? number(words, NULL, 1000, &fault->value) : 0;
	default:
		return words->has_value ? wrong(words, "no value") : 0;
	}
}

static int parse_queue(const struct words *words, struct tgt_fault *fault)
{
	uint64_t value;

	if (!strcmp(words->value, "admin") || !strcmp(words->value, "io")) {
		fault->sqid = words->value[0] == 'a' ? 0 : TGT_FAULT_IO;
		return 0;
	}
	if (number(words, NULL, UINT16_MAX, &value))
		return wrong(words, "admin, io or the number of a queue");
	fault->sqid = (int32_t)value;
	return 0;
}

static int parse_opcode(const struct words *words, struct tgt_fault *fault)
{
	const struct name *name = name_find(opcodes, words->value);
	uint64_t value;

	if (!name && number(words, NULL, 0xff, &value)) {
		wrong_name(words, opcodes);
		quoll_error_append(words->err, " or a number up to 0xff");
		return -EINVAL;
	}
	fault->opcode = name ? (int32_t)name->value : (int32_t)value;
	return 0;
}

static int parse_key(const struct words *words, struct tgt_fault *fault)
{
	uint64_t value;
	int rc;

	if (!strcmp(words->key, "queue"))
		return parse_queue(words, fault);
	if (!strcmp(words->key, "op"))
		return parse_opcode(words, fault);
	if (!strcmp(words->key, "skip"))
		return number(words, NULL, UINT64_MAX, &fault->skip);
	if (!strcmp(words->key, "count"))
		return number(words, NULL, UINT64_MAX, &fault->count);
	if (!strcmp(words->key, "every")) {
		rc = number(words, NULL, UINT64_MAX, &fault->every);
		return rc || fault->every ? rc : wrong(words, "1 or more");
	}
	if (!strcmp(words->key, "nsid")) {
		rc = number(words, NULL, UINT32_MAX, &value);
		fault->nsid = rc ? 0 : (uint32_t)value;
		return rc;
	}
	return wrong(words, "one of queue, op, nsid, skip, every, count");
}

int tgt_fault_parse(const char *text, struct tgt_fault *fault, struct quoll_error *err)
{
	struct words words = {.text = text, .err = err};
	int rc = words_next(&words, &text);

	*fault = (struct tgt_fault){.sqid = TGT_FAULT_ANY, .opcode = TGT_FAULT_ANY, .every = 1, .count = UINT64_MAX};
	if (rc <= 0)
		return rc ? rc : wrong_name(&words, actions);
	rc = parse_action(&words, fault);
	while (!rc) {
		rc = words_next(&words, &text);
		if (rc <= 0)
			break;
		rc = parse_key(&words, fault);
	}
	/* Opcodes mean something else on the admin queue, so a name without a queue is an I/O command. */
	if (!rc && fault->opcode != TGT_FAULT_ANY && fault->sqid == TGT_FAULT_ANY)
		fault->sqid = TGT_FAULT_IO;
	return rc;
}

static bool fault_fits(const struct tgt_fault *fault, const struct tgt_req *req)
{
	if (fault->sqid == TGT_FAULT_IO ? !req->sq->id
					: fault->sqid != TGT_FAULT_ANY && fault->sqid != (int32_t)req->sq->id)
		return false;
	if (fault->opcode != TGT_FAULT_ANY && fault->opcode != (int32_t)req->cmd.opcode)
		return false;
	return !fault->nsid || fault->nsid == tgt_req_nsid(req);
}

const struct tgt_fault *tgt_fault_match(struct tgt_fault *faults, unsigned int nr, const struct tgt_req *req)
{
	const struct tgt_fault *picked = NULL;

	for (unsigned int i = 0; i < nr; i++) {
		struct tgt_fault *fault = &faults[i];

		if (!fault_fits(fault, req))
			continue;
		fault->seen++;
		if (picked || fault->seen <= fault->skip || fault->hits >= fault->count ||
		    (fault->seen - fault->skip) % fault->every)
			continue;
		fault->hits++;
		picked = fault;
	}
	return picked;
}
