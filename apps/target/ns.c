/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ns.c - namespaces from their addresses; what the back ends share.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "ns.h"

/* RFC 4122 text form, 8-4-4-4-12 digits. */
static int uuid_parse(const char *text, uint8_t uuid[16])
{
	size_t i = 0;

	if (strlen(text) != 36)
		return -EINVAL;
	for (size_t at = 0; at < 36;) {
		int high, low;

		if (at == 8 || at == 13 || at == 18 || at == 23) {
			if (text[at++] != '-')
				return -EINVAL;
			continue;
		}
		high = quoll_hex_digit(text[at++]);
		low = quoll_hex_digit(text[at++]);
		if (high < 0 || low < 0)
			return -EINVAL;
		uuid[i++] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

void tgt_uuid_text(const uint8_t uuid[16], char text[TGT_UUID_CHARS])
{
	size_t at = 0;

	for (unsigned int i = 0; i < 16; i++)
		at += (size_t)snprintf(text + at, TGT_UUID_CHARS - at, "%s%02x",
				       i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

/* RFC 9562, 5.8: version 8 is free of form. Two 64-bit FNV-1a sums with different starts, over the file's path. */
static void uuid_from_path(const char *path, uint8_t uuid[16])
{
	char real[PATH_MAX];
	uint64_t sums[2] = {0xcbf29ce484222325u, 0x6c62272e07bb0142u};

	if (!realpath(path, real))
		snprintf(real, sizeof(real), "%s", path);
	for (const char *c = real; *c; c++)
		for (int i = 0; i < 2; i++)
			sums[i] = (sums[i] ^ (uint8_t)*c) * 0x100000001b3u;
	memcpy(uuid, sums, 16);
}

static int uuid_make(const struct tgt_ns_spec *spec, uint8_t uuid[16], struct quoll_error *err)
{
	if (spec->has_uuid) {
		memcpy(uuid, spec->uuid, 16);
		return 0;
	}
	if (spec->addr->scheme == QUOLL_ADDR_FILE) {
		uuid_from_path(spec->addr->target, uuid);
		uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x80);
	} else {
		if (getrandom(uuid, 16, 0) != 16)
			return quoll_error_set(err, errno, "namespace", spec->text, "no random numbers for a UUID");
		uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	}
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
	return 0;
}

static int spec_options(struct tgt_ns_spec *spec, struct quoll_error *err)
{
	static const char *const known[] = {"bs", "uuid", NULL};
	static const char *const known_null[] = {"bs", "uuid", "size", NULL};
	static const char *const known_file[] = {"bs", "uuid", "registered", NULL};
	const enum quoll_addr_scheme scheme = spec->addr->scheme;
	const char *value;
	int rc = quoll_addr_options_known(spec->addr,
					  scheme == QUOLL_ADDR_NULL   ? known_null
					  : scheme == QUOLL_ADDR_FILE ? known_file
								      : known,
					  err);

	if (rc)
		return rc;
	value = quoll_addr_option(spec->addr, "bs");
	if (value && strcmp(value, "512") && strcmp(value, "4096"))
		return quoll_error_set(err, EINVAL, "namespace", spec->text, "bs is 512 or 4096, not '%s'", value);
	spec->lba_shift = value && !strcmp(value, "4096") ? 12 : 9;
	value = quoll_addr_option(spec->addr, "uuid");
	if (value && uuid_parse(value, spec->uuid))
		return quoll_error_set(err, EINVAL, "namespace", spec->text,
				       "'%s' is no UUID: 8-4-4-4-12 hexadecimal digits", value);
	spec->has_uuid = value;
	value = quoll_addr_option(spec->addr, "registered");
	if (value && strcmp(value, "0") && strcmp(value, "1"))
		return quoll_error_set(err, EINVAL, "namespace", spec->text, "registered is 0 or 1, not '%s'", value);
	spec->registered = value && *value == '1';
	value = quoll_addr_option(spec->addr, "size");
	spec->bytes = scheme == QUOLL_ADDR_MEM ? spec->addr->size_bytes : 1ull << 30;
	if (value && quoll_size_parse(value, &spec->bytes))
		return quoll_error_set(err, EINVAL, "namespace", spec->text,
				       "'%s' is not a size; one looks like 512M or 1G", value);
	if (spec->bytes >> spec->lba_shift == 0)
		return quoll_error_set(err, EINVAL, "namespace", spec->text, "smaller than one block of %u bytes",
				       1u << spec->lba_shift);
	return 0;
}

static int spec_open(const struct tgt_ns_spec *spec, struct tgt_ns **ns, struct quoll_error *err)
{
	int rc;

	switch (spec->addr->scheme) {
	case QUOLL_ADDR_MEM:
		return tgt_ns_mem_open(spec, ns, err);
	case QUOLL_ADDR_NULL:
		return tgt_ns_null_open(spec, ns, err);
	case QUOLL_ADDR_FILE:
		return tgt_ns_file_open(spec, ns, err);
	default:
		rc = quoll_error_set(err, EINVAL, "namespace", spec->text,
				     "a namespace can't be made of %s:", quoll_addr_scheme_name(spec->addr->scheme));
		quoll_error_hint(err, "mem:SIZE, null:?size=SIZE or file:PATH");
		return rc;
	}
}

int tgt_ns_open(const char *text, struct tgt_ns **ns, struct quoll_error *err)
{
	struct quoll_addr addr;
	struct tgt_ns_spec spec = {.addr = &addr, .text = text};
	uint8_t uuid[16];
	int rc;

	rc = quoll_addr_parse(text, &addr, err);
	if (rc)
		return rc;
	rc = spec_options(&spec, err);
	if (rc)
		return rc;
	rc = uuid_make(&spec, uuid, err);
	if (rc)
		return rc;
	rc = spec_open(&spec, ns, err);
	if (rc)
		return rc;
	(*ns)->lba_shift = spec.lba_shift;
	memcpy((*ns)->uuid, uuid, sizeof(uuid));
	snprintf((*ns)->text, sizeof((*ns)->text), "%s", text);
	return 0;
}

void tgt_iov_gather(const struct iovec *iov, unsigned int nr, void *dst, size_t len)
{
	uint8_t *to = dst;

	for (unsigned int i = 0; i < nr && len; i++) {
		size_t piece = iov[i].iov_len < len ? iov[i].iov_len : len;

		memcpy(to, iov[i].iov_base, piece);
		to += piece;
		len -= piece;
	}
}

void tgt_iov_scatter(const struct iovec *iov, unsigned int nr, const void *src, size_t len)
{
	const uint8_t *from = src;

	for (unsigned int i = 0; i < nr && len; i++) {
		size_t piece = iov[i].iov_len < len ? iov[i].iov_len : len;

		memcpy(iov[i].iov_base, from, piece);
		from += piece;
		len -= piece;
	}
}

bool tgt_iov_equal(const struct iovec *iov, unsigned int nr, const void *with, size_t len)
{
	const uint8_t *at = with;

	for (unsigned int i = 0; i < nr && len; i++) {
		size_t piece = iov[i].iov_len < len ? iov[i].iov_len : len;

		if (memcmp(at, iov[i].iov_base, piece))
			return false;
		at += piece;
		len -= piece;
	}
	return true;
}
