/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server_signal.c - signal an eventfd that a client holds as well, without ever waiting for it.
 *
 * write() waits as long as an eventfd's counter is full, unless it is non-blocking, and both are in the client's hand
 * at any time: a hostile one would stop whoever signals, for good if it dies then. The kernel's own way to signal does
 * not wait, and asynchronous I/O offers it: an operation that is done at once (a byte written to /dev/null) tells so by
 * an eventfd of one's choice. Its reports lie in a ring, which is emptied now and then.
 *
 * Where the kernel lacks it (or a sandbox forbids it) it is write() after all, with the eventfd made non-blocking when
 * it comes.
 *
 * Source: io_submit(2), IOCB_FLAG_RESFD. The C library has no functions for these calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "server_signal.h"

#define REPORTS 64

void server_signal_open(struct server_signal *signal)
{
	signal->context = 0;
	signal->nr_reports = 0;
	signal->sink_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (signal->sink_fd >= 0 && syscall(SYS_io_setup, REPORTS, &signal->context))
		signal->context = 0;
}

void server_signal_close(struct server_signal *signal)
{
	if (signal->context)
		syscall(SYS_io_destroy, signal->context);
	if (signal->sink_fd >= 0)
		close(signal->sink_fd);
	signal->context = 0;
	signal->sink_fd = -1;
}

/*
 * An operation that comes to nothing: the eventfd is looked at first (EINVAL), then that the sink cannot be read from
 * (EBADF). Unlike fstat() this never waits, whatever file it is.
 */
static bool is_eventfd(const struct server_signal *signal, int fd)
{
	struct iocb op = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)signal->sink_fd,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)fd,
	};
	struct iocb *ops = &op;

	return syscall(SYS_io_submit, signal->context, 1, &ops) < 0 && errno == EBADF;
}

bool server_signal_prepare(const struct server_signal *signal, int eventfd)
{
	struct stat st;
	int flags;

	if (signal->context)
		return is_eventfd(signal, eventfd);
	/* Eventfds have no type among files; pipes, sockets and all that have a place in a file system do. */
	if (fstat(eventfd, &st) || st.st_mode & S_IFMT)
		return false;
	flags = fcntl(eventfd, F_GETFL);
	return flags >= 0 && (flags & O_NONBLOCK || !fcntl(eventfd, F_SETFL, flags | O_NONBLOCK));
}

static void reports_drop(struct server_signal *signal)
{
	const struct timespec now = {0};
	struct io_event reports[REPORTS];

	syscall(SYS_io_getevents, signal->context, 0, REPORTS, reports, &now);
	signal->nr_reports = 0;
}

void server_signal(struct server_signal *signal, int eventfd)
{
	static const uint64_t one = 1;
	struct iocb op = {
		.aio_lio_opcode = IOCB_CMD_PWRITE,
		.aio_fildes = (uint32_t)signal->sink_fd,
		.aio_buf = (uintptr_t)&one,
		.aio_nbytes = 1,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)eventfd,
	};
	struct iocb *ops = &op;
	ssize_t n;

	if (!signal->context) {
		n = write(eventfd, &one, sizeof(one)); /* one that is full has been signalled */
		(void)n;
		return;
	}
	if (++signal->nr_reports >= REPORTS)
		reports_drop(signal);
	syscall(SYS_io_submit, signal->context, 1,
		&ops); /* fails if it is no eventfd after all: the client's own loss */
}
