/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_words.h - text out of bytes: those from 128 on stand for a word of a list, so that a fuzzer that knows nothing
 * of a language says something in it; below that each is itself. Bytes from 128 on as such come as "\x01" and the byte.
 */
#ifndef QUOLL_FUZZ_WORDS_H
#define QUOLL_FUZZ_WORDS_H

#include <stdlib.h>
#include <string.h>

#include <quoll/types.h>

#define FUZZ_WORD_BYTES 64u

/* Return: text of @len bytes, to be freed. */
static inline char *fuzz_words(const uint8_t *data, size_t size, const char *const *words, size_t nr_words, size_t *len)
{
	char *text = malloc(size * FUZZ_WORD_BYTES + 1);
	size_t at = 0;

	for (size_t i = 0; text && i < size; i++) {
		if (data[i] == 1 && i + 1 < size) {
			text[at++] = (char)data[++i];
		} else if (data[i] < 128) {
			text[at++] = (char)data[i];
		} else {
			const char *word = words[data[i] % nr_words];
			size_t bytes = strnlen(word, FUZZ_WORD_BYTES);

			memcpy(text + at, word, bytes);
			at += bytes;
		}
	}
	*len = at;
	return text;
}

#endif
