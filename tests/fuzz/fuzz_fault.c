/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_fault.c - any bytes as lines of the kernel's log, and as the file that is read: what comes out is terminated,
 * printable and has a device.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "observe/fault_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct quoll_fault *fault)
{
	if (!memchr(fault->device, '\0', sizeof(fault->device)) || !memchr(fault->reason, '\0', sizeof(fault->reason)))
		abort();
	if (!fault->device[0] || fault->access > QUOLL_FAULT_INTERRUPT)
		abort();
	for (const char *c = fault->device; *c; c++)
		if (!isprint((unsigned char)*c))
			abort();
	for (const char *c = fault->reason; *c; c++)
		if (!isprint((unsigned char)*c))
			abort();
	quoll_fault_is_of(fault, "0000:03:00.0");
}

/* Each line by itself in memory of its own length, so that ASan sees a read behind it. */
static void as_lines(const uint8_t *data, size_t size)
{
	struct fault_lines lines = {0};
	struct quoll_fault fault;
	unsigned int again = 0;

	for (size_t at = 0, len; at < size; at += len + 1) {
		const uint8_t *end = memchr(data + at, '\n', size - at);
		char *text;

		len = end ? (size_t)(end - data) - at : size - at;
		text = malloc(len + 1);
		if (!text)
			return;
		memcpy(text, data + at, len);
		text[len] = '\0';
		for (again = 0;; again++) {
			enum fault_line what = fault_line(&lines, text, 1, 2, &fault);

			if (what != FAULT_LINE_NONE)
				check(&fault);
			if (what != FAULT_LINE_EARLIER)
				break;
			if (again)
				abort(); /* a line is handed in once more at most */
		}
		free(text);
	}
	if (fault_lines_end(&lines, &fault))
		check(&fault);
}

static void as_file(const uint8_t *data, size_t size)
{
	static const char *dir;
	static char template[] = "/tmp/fuzz_fault.XXXXXX", path[64];
	struct quoll_fault_log *log = NULL;
	struct quoll_env env = {0};
	struct quoll_fault fault;
	int fd;

	if (!dir) {
		dir = mkdtemp(template);
		if (!dir)
			abort();
		strcpy(path, dir);
		strcat(path, "/kmsg");
	}
	env.dev_root = dir;
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
	if (quoll_fault_log_open(&env, 0, &log, NULL))
		abort();
	while (quoll_fault_log_next(log, &fault) == 1)
		check(&fault);
	quoll_fault_log_close(log);
	unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_lines(data, size);
	as_file(data, size);
	return 0;
}
