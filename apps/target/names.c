/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * names.c - default names: a keyed sum of the socket's path. The key is the machine's id (machine-id(5): nobody outside
 * the machine may learn it, so that it goes into nothing that could be turned back).
 */
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "names.h"

static uint64_t le64_get(const uint8_t *bytes)
{
	quoll_le64 value;

	memcpy(&value, bytes, sizeof(value));
	return quoll_le64_to_cpu(value);
}

static void le64_put(uint8_t *bytes, uint64_t value)
{
	quoll_le64 le = quoll_cpu_to_le64(value);

	memcpy(bytes, &le, sizeof(le));
}

static uint64_t rotl(uint64_t x, unsigned int by)
{
	return x << by | x >> (64 - by);
}

static void sip_rounds(uint64_t v[4], unsigned int n)
{
	while (n--) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotl(v[1], 13) ^ v[0];
		v[3] = rotl(v[3], 16) ^ v[2];
		v[0] = rotl(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotl(v[1], 17) ^ v[2];
		v[3] = rotl(v[3], 21) ^ v[0];
		v[2] = rotl(v[2], 32);
	}
}

static void sip_block(uint64_t v[4], uint64_t block)
{
	v[3] ^= block;
	sip_rounds(v, 2);
	v[0] ^= block;
}

void tgt_siphash(const uint8_t key[16], const void *text, size_t len, uint8_t sum[16])
{
	uint64_t k0 = le64_get(key), k1 = le64_get(key + 8);
	uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du ^ 0xee, k0 ^ 0x6c7967656e657261u,
			 k1 ^ 0x7465646279746573u};
	const uint8_t *at = text;
	uint8_t last[8] = {0};

	last[7] = (uint8_t)len;
	for (; len >= 8; at += 8, len -= 8)
		sip_block(v, le64_get(at));
	memcpy(last, at, len);
	sip_block(v, le64_get(last));
	v[2] ^= 0xee;
	sip_rounds(v, 4);
	le64_put(sum, v[0] ^ v[1] ^ v[2] ^ v[3]);
	v[1] ^= 0xdd;
	sip_rounds(v, 4);
	le64_put(sum + 8, v[0] ^ v[1] ^ v[2] ^ v[3]);
}

/* 32 hexadecimal digits. Return: false: it is none, and @key is as it was. */
static bool machine_key(const char *path, uint8_t key[16])
{
	char text[33] = "";
	uint8_t read_key[16];
	FILE *f = fopen(path, "re");
	size_t len = f ? fread(text, 1, 32, f) : 0;

	if (f)
		fclose(f);
	if (len != 32)
		return false;
	for (unsigned int i = 0; i < 16; i++) {
		int high = quoll_hex_digit(text[2 * i]), low = quoll_hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		read_key[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(key, read_key, 16);
	return true;
}

/* The directory as the kernel knows it, so that a relative path and a link give the same name. */
static void socket_where(const char *path, char *where, size_t bytes)
{
	char dir[PATH_MAX], base[PATH_MAX], real[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s", path);
	snprintf(base, sizeof(base), "%s", path);
	if (realpath(dirname(dir), real))
		snprintf(where, bytes, "%s/%s", real, basename(base));
	else
		snprintf(where, bytes, "%s", path);
}

void tgt_names_make(const char *machine_id, const char *path, struct tgt_names *names)
{
	char text[2 * PATH_MAX + HOST_NAME_MAX + 2] = "";
	uint8_t key[16] = {0}, sum[16];
	char uuid[TGT_UUID_CHARS];
	size_t at = 0;

	if (!machine_key(machine_id ? machine_id : "/etc/machine-id", key)) {
		gethostname(text, HOST_NAME_MAX);
		at = strlen(text) + 1;
	}
	socket_where(path, text + at, sizeof(text) - at);
	tgt_siphash(key, text, at + strlen(text + at), sum);
	snprintf(names->serial, sizeof(names->serial), "QUOLL%07llx%08x", (unsigned long long)(le64_get(sum) >> 36),
		 (unsigned int)le64_get(sum));
	/* RFC 9562, 5.8: version 8 is free of form. */
	sum[6] = (uint8_t)((sum[6] & 0x0f) | 0x80);
	sum[8] = (uint8_t)((sum[8] & 0x3f) | 0x80);
	tgt_uuid_text(sum, uuid);
	snprintf(names->nqn, sizeof(names->nqn), "nqn.2014-08.org.nvmexpress:uuid:%s", uuid);
}
