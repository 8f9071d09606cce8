/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault.c - reads the kernel's log, a record a read, and hands its lines to fault_line.c.
 *
 * A record is "PRIORITY,SEQUENCE,MICROSECONDS,FLAGS[,...];TEXT\n", then lines that begin with a space
 * (Documentation/ABI/testing/dev-kmsg). What programs have written to the log has another facility than 0 and is passed
 * over: only the kernel can report a fault.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault_line.h"

#define RECORD_BYTES 8192 /* the kernel's records are no longer */
#define FACILITY_SHIFT 3

/**
 * struct quoll_fault_log - the log, and what of the last read is left
 * @next:  next line in @text
 * @after: marks up to this one are passed over
 */
struct quoll_fault_log {
	int fd;
	uint64_t lost;
	uint64_t after;
	struct fault_lines lines;
	size_t next;
	size_t used;
	char text[2 * RECORD_BYTES]; /* a read always has room for a record */
};

static int refused(const char *path, int errnum, struct quoll_error *err)
{
	quoll_error_set(err, errnum, "faults", path, "the kernel's log cannot be read: %s", strerror(errnum));
	if (errnum == EACCES || errnum == EPERM)
		quoll_error_hint(err, "run as root or with CAP_SYSLOG, or: sudo sysctl kernel.dmesg_restrict=0");
	else if (errnum == ENOENT)
		quoll_error_hint(err, "in a container: give it the device file /dev/kmsg");
	return -errnum;
}

int quoll_fault_log_open(const struct quoll_env *env, uint64_t mark, struct quoll_fault_log **out,
			 struct quoll_error *err)
{
	struct quoll_fault_log *log = calloc(1, sizeof(*log));
	char path[256];
	int rc;

	if (!log)
		return quoll_error_set(err, ENOMEM, "faults", "kmsg", "no memory");
	snprintf(path, sizeof(path), "%s/kmsg", quoll_env_dev(env));
	log->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log->fd < 0) {
		rc = refused(path, errno, err);
		goto err_free;
	}
	/* The first record is there to be read at once; its end is where "now" is. */
	if (lseek(log->fd, 0, mark == QUOLL_FAULT_NOW ? SEEK_END : SEEK_SET) < 0) {
		rc = refused(path, errno, err);
		goto err_close;
	}
	log->after = mark == QUOLL_FAULT_NOW ? 0 : mark;
	*out = log;
	return 0;

err_close:
	close(log->fd);
err_free:
	free(log);
	return rc;
}

void quoll_fault_log_close(struct quoll_fault_log *log)
{
	if (!log)
		return;
	close(log->fd);
	free(log);
}

/* Return: 1 with more in log->text, 0: nothing there now, -errno. */
static int read_more(struct quoll_fault_log *log)
{
	ssize_t n;

	/* What is left is the beginning of a line, or else too long to be one. */
	log->used -= log->next;
	if (log->used > RECORD_BYTES)
		log->used = 0;
	memmove(log->text, log->text + log->next, log->used);
	log->next = 0;
	for (;;) {
		n = read(log->fd, log->text + log->used, RECORD_BYTES);
		if (n >= 0)
			break;
		if (errno == EPIPE) /* overwritten; the next read gives the oldest that is left */
			log->lost++;
		else if (errno != EINTR)
			return errno == EAGAIN ? 0 : -errno;
	}
	log->used += (size_t)n;
	return n > 0;
}

/* The next whole line, terminated in place; NULL if there is none. */
static char *next_line(struct quoll_fault_log *log)
{
	char *line = log->text + log->next;
	char *end = memchr(line, '\n', log->used - log->next);

	if (!end)
		return NULL;
	*end = '\0';
	log->next = (size_t)(end - log->text) + 1;
	return line;
}

/* "PRIORITY,SEQUENCE,MICROSECONDS,": the text after the prefix, or NULL if it is not the kernel's. */
static const char *parse_prefix(const char *line, uint64_t *mark, uint64_t *log_us)
{
	uint64_t field[3];
	const char *text;
	char *end;

	if (line[0] == ' ') /* properties of the record before */
		return NULL;
	for (unsigned int i = 0; i < 3; i++) {
		if (*line < '0' || *line > '9')
			return NULL;
		errno = 0;
		field[i] = strtoull(line, &end, 10);
		if (errno || *end != ',')
			return NULL;
		line = end + 1;
	}
	text = strchr(line, ';');
	if (!text || field[0] >> FACILITY_SHIFT)
		return NULL;
	*mark = field[1];
	*log_us = field[2];
	return text + 1;
}

int quoll_fault_log_next(struct quoll_fault_log *log, struct quoll_fault *fault)
{
	uint64_t mark, log_us;
	enum fault_line what;
	const char *text;
	size_t start;
	char *line;
	int rc;

	for (;;) {
		start = log->next;
		line = next_line(log);
		if (!line) {
			rc = read_more(log);
			if (rc > 0)
				continue;
			return rc ? rc : fault_lines_end(&log->lines, fault);
		}
		text = parse_prefix(line, &mark, &log_us);
		if (!text || (log->after && mark <= log->after))
			continue;
		what = fault_line(&log->lines, text, log_us, mark, fault);
		if (what == FAULT_LINE_EARLIER) { /* the line stays the next one */
			log->text[log->next - 1] = '\n';
			log->next = start;
		}
		if (what != FAULT_LINE_NONE)
			return 1;
	}
}

int quoll_fault_log_fd(const struct quoll_fault_log *log)
{
	return log->fd;
}

uint64_t quoll_fault_log_lost(const struct quoll_fault_log *log)
{
	return log->lost;
}

bool quoll_fault_is_of(const struct quoll_fault *fault, const char *name)
{
	size_t told = strlen(fault->device), full = strlen(name);

	if (!told || told > full)
		return false;
	/* Without a domain it is a tail of the full name. */
	return !strcmp(name + full - told, fault->device) && (told == full || name[full - told - 1] == ':');
}
