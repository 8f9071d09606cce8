/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_target_config.c - any bytes as the target's configuration: a result that fits its arrays, or an error with a
 * text.
 */
#include <stdlib.h>
#include <string.h>

#include "target/config.h"

#include "fuzz_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const words[] = {
	"{\"listeners\":[",
	"\"namespaces\":[",
	"\"faults\":[",
	"\"subsystem\":{",
	"\"threads\":",
	"\"cores\":[",
	"\"never_sleep\":",
	"\"control\":",
	"{\"address\":\"",
	"\"doorbells\":\"",
	"mapped\"",
	"trapped\"",
	"\"nsid\":",
	"\"nqn\":\"",
	"\"serial\":\"",
	"\"model\":\"",
	"\"vfio-user:/a",
	"?doorbells=",
	"\"mem:1M",
	"\"file:/x?bs=4096",
	"\"delay=1ms,op=read",
	"\"drop",
	"],",
	"},",
	"\",",
	"}",
	"]",
	"true",
	"\\u0000",
	"\\ud83d",
};

static void need(bool fact)
{
	if (!fact)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct target_config config;
	struct quoll_error err = {0};
	size_t len;
	char *text = fuzz_words(data, size, words, sizeof(words) / sizeof(words[0]), &len);
	int rc;

	memset(&config, 0, sizeof(config));
	rc = config_parse(&config, text, len, "fuzz", &err);
	free(text);
	need(rc <= 0);
	if (rc) {
		need(err.errnum == -rc && err.what[0]);
		return 0;
	}
	need(config.nr_listeners <= CONFIG_MAX_LISTENERS && config.nr_ns <= TGT_MAX_NAMESPACES &&
	     config.nr_faults <= CONFIG_MAX_FAULTS && config.nr_cores <= CONFIG_MAX_THREADS &&
	     config.nr_threads <= CONFIG_MAX_THREADS);
	for (unsigned int i = 0; i < config.nr_listeners; i++)
		need(config.listeners[i].path[0] && memchr(config.listeners[i].path, 0, CONFIG_PATH_BYTES));
	for (unsigned int i = 0; i < config.nr_ns; i++)
		need(config.ns[i].nsid <= TGT_MAX_NAMESPACES && config.ns[i].text[0]);
	return 0;
}
