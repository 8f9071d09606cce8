/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * copy.c - a bounded ring of buffers between a namespace and a file.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "copy.h"

static uint32_t slot_lbas(const struct copy *c)
{
	return (uint32_t)(c->t.slot_bytes / c->t.ns.lba_bytes);
}

static void progress(struct copy *c, const char *verb)
{
	uint64_t now = quoll_ticks(&c->t.clock), total = c->nr_lbas == UINT64_MAX ? 0 : c->nr_lbas;
	double seconds, mib = (double)c->done_lbas * c->t.ns.lba_bytes / (1 << 20);

	if (now < c->next_progress_ticks || !cli_progress_wanted())
		return;
	c->next_progress_ticks = now + c->t.clock.tick_hz / 4;
	seconds = (double)(now - c->started_ticks) / (double)c->t.clock.tick_hz;
	if (total)
		cli_progress("%s %.1f of %.1f MiB, %.1f MiB/s", verb, mib,
			     (double)total * c->t.ns.lba_bytes / (1 << 20), mib / (seconds + 1e-9));
	else
		cli_progress("%s %.1f MiB, %.1f MiB/s", verb, mib, mib / (seconds + 1e-9));
}

static int file_error(const struct copy *c, int errnum, struct quoll_error *err)
{
	if (errnum == EINTR)
		return -EINTR;
	return quoll_error_set(err, errnum, "file", c->path, "%s", strerror(errnum));
}

/*
 * Wait for a pipe, but not longer than the device is ours: the kernel waits for us to let go of it, and nothing else
 * looks while we are held up here. Events are looked at first, because a poll of the queue may have taken the signal.
 */
static int wait_for_file(const struct copy *c, short events, struct quoll_error *err)
{
	const struct quoll_nvme_completion gone = {.error = -ENODEV};
	struct quoll_device *dev = c->t.session->device;
	struct pollfd fds[] = {{.fd = c->fd, .events = events}, {.fd = quoll_device_event_fd(dev), .events = POLLIN}};

	if (poll(fds, 1, 0) > 0)
		return 0;
	for (;;) {
		if (quoll_device_events(dev) & (QUOLL_DEVICE_GONE | QUOLL_DEVICE_REMOVE_REQUESTED))
			return transfer_failed(c->t.session, &gone, "the copy", err);
		if (poll(fds, 2, -1) < 0) {
			if (errno == EINTR && !cli_stopped())
				continue;
			return file_error(c, errno, err);
		}
		if (fds[0].revents)
			return 0;
	}
}

static void begin(struct copy *c)
{
	struct stat st;

	c->is_file = !fstat(c->fd, &st) && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
	c->started_ticks = quoll_ticks(&c->t.clock);
}

static int write_all(const struct copy *c, const uint8_t *data, size_t len, struct quoll_error *err)
{
	while (len) {
		/* no more than a pipe that is ready takes at once, so that write() does not wait */
		size_t once = c->is_file || len < PIPE_BUF ? len : PIPE_BUF;
		int ret = c->is_file ? 0 : wait_for_file(c, POLLOUT, err);
		ssize_t n;

		if (ret)
			return ret;
		n = write(c->fd, data, once);
		if (n < 0 && errno == EINTR && !cli_stopped())
			continue;
		if (n < 0)
			return file_error(c, errno, err);
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* As much as there is, up to len. Return: 0, -errno; *got tells how much. */
static int read_all(const struct copy *c, uint8_t *data, size_t len, size_t *got, struct quoll_error *err)
{
	*got = 0;
	while (*got < len) {
		int ret = c->is_file ? 0 : wait_for_file(c, POLLIN, err);
		ssize_t n;

		if (ret)
			return ret;
		n = read(c->fd, data + *got, len - *got);
		if (!n)
			break;
		if (n < 0 && errno == EINTR && !cli_stopped())
			continue;
		if (n < 0)
			return file_error(c, errno, err);
		*got += (size_t)n;
	}
	return 0;
}

/* Have the next blocks read into every slot that is free. */
static int start_reads(struct copy *c, uint64_t *started, struct quoll_error *err)
{
	int ret = 0;

	while (!ret && *started < c->nr_lbas) {
		struct transfer_slot *slot = &c->t.slots[*started / slot_lbas(c) % c->t.nr_slots];
		uint64_t left = c->nr_lbas - *started;

		if (slot->state != TRANSFER_FREE)
			break;
		slot->op = TRANSFER_READ;
		slot->lba = c->lba + *started;
		slot->nr_lbas = left < slot_lbas(c) ? (uint32_t)left : slot_lbas(c);
		*started += slot->nr_lbas;
		ret = transfer_start(&c->t, slot, err);
	}
	return ret;
}

int copy_read(struct copy *c, struct quoll_error *err)
{
	uint64_t started = 0;
	int ret = 0;

	begin(c);
	c->crc_known = true;
	while (!ret && c->done_lbas < c->nr_lbas) {
		struct transfer_slot *head = &c->t.slots[c->done_lbas / slot_lbas(c) % c->t.nr_slots];
		size_t bytes;

		if (cli_stopped())
			return -EINTR;
		ret = start_reads(c, &started, err);
		while (!ret && head->state == TRANSFER_BUSY)
			ret = transfer_wait(&c->t, err);
		if (ret)
			break;
		bytes = (size_t)head->nr_lbas * c->t.ns.lba_bytes;
		ret = write_all(c, head->va, bytes, err);
		if (ret)
			break;
		c->crc = (uint32_t)crc32_z(c->crc, head->va, bytes);
		c->done_lbas += head->nr_lbas;
		head->state = TRANSFER_FREE;
		progress(c, "read");
	}
	return ret;
}

static int short_input(const struct copy *c, uint64_t bytes, struct quoll_error *err)
{
	if (c->nr_lbas == UINT64_MAX)
		quoll_error_set(err, EINVAL, "input", c->path,
				"%" PRIu64 " bytes are not whole blocks of %" PRIu32 " bytes", bytes,
				c->t.ns.lba_bytes);
	else
		quoll_error_set(err, EINVAL, "input", c->path,
				"it ends after %" PRIu64 " bytes; %" PRIu64 " blocks of %" PRIu32
				" bytes need %" PRIu64,
				bytes, c->nr_lbas, c->t.ns.lba_bytes, c->nr_lbas * c->t.ns.lba_bytes);
	quoll_error_hint(err, "--pad to fill what is missing with zeroes");
	return -EINVAL;
}

static int long_input(const struct copy *c, struct quoll_error *err)
{
	quoll_error_set(err, ENOSPC, "input", c->path,
			"it is longer than the %" PRIu64 " blocks from LBA %" PRIu64
			" to the end of namespace %" PRIu32,
			c->t.ns.nr_lbas - c->lba, c->lba, c->t.ns.nsid);
	quoll_error_hint(err, "--blocks %" PRIu64 " to take only the beginning of it", c->t.ns.nr_lbas - c->lba);
	return -ENOSPC;
}

int copy_check_input(const struct copy *c, struct quoll_error *err)
{
	uint64_t room = (c->t.ns.nr_lbas - c->lba) * c->t.ns.lba_bytes, bytes;
	struct stat st;
	off_t at;

	if (fstat(c->fd, &st))
		return quoll_error_set(err, errno, "input", c->path, "%s", strerror(errno));
	at = S_ISREG(st.st_mode) ? lseek(c->fd, 0, SEEK_CUR) : -1;
	if (at < 0 || at > st.st_size)
		return 0;
	bytes = (uint64_t)(st.st_size - at);
	if (c->nr_lbas == UINT64_MAX && bytes > room)
		return long_input(c, err);
	if (c->pad)
		return 0;
	if (c->nr_lbas == UINT64_MAX ? bytes % c->t.ns.lba_bytes : bytes / c->t.ns.lba_bytes < c->nr_lbas)
		return short_input(c, bytes, err);
	return 0;
}

/* Fill a slot from the file. Return: bytes for the device, 0 at the end, -errno. */
static int64_t fill(struct copy *c, struct transfer_slot *slot, uint64_t taken, struct quoll_error *err)
{
	uint64_t left = c->nr_lbas == UINT64_MAX ? UINT64_MAX : c->nr_lbas - taken;
	size_t want = left < slot_lbas(c) ? (size_t)left * c->t.ns.lba_bytes : c->t.slot_bytes, got = 0;
	size_t whole;
	int ret;

	if (!want)
		return 0;
	ret = read_all(c, slot->va, want, &got, err);
	if (ret)
		return ret;
	if (c->nr_lbas != UINT64_MAX && c->pad)
		whole = want;
	else
		whole = (got + c->t.ns.lba_bytes - 1) / c->t.ns.lba_bytes * c->t.ns.lba_bytes;
	if (c->nr_lbas == UINT64_MAX && whole / c->t.ns.lba_bytes > c->t.ns.nr_lbas - c->lba - taken)
		return long_input(c, err);
	if (!c->pad && (whole != got || (c->nr_lbas != UINT64_MAX && got < want)))
		return short_input(c, taken * c->t.ns.lba_bytes + got, err);
	memset(slot->va + got, 0, whole - got);
	return (int64_t)whole;
}

static int flush(struct copy *c, struct quoll_error *err)
{
	struct transfer_slot *slot = &c->t.slots[0];
	int ret = transfer_drain(&c->t, err); /* a flush covers what was completed before it */

	if (ret)
		return ret;
	slot->op = TRANSFER_FLUSH;
	ret = transfer_start(&c->t, slot, err);
	return ret ? ret : transfer_drain(&c->t, err);
}

/* Blocks before the first that failed or was not answered. */
static uint64_t written_before(const struct copy *c, uint64_t taken)
{
	uint64_t done = taken;

	for (unsigned int i = 0; i < c->t.nr_slots; i++) {
		const struct transfer_slot *slot = &c->t.slots[i];

		if ((slot->state == TRANSFER_BUSY || slot->failed) && slot->lba - c->lba < done)
			done = slot->lba - c->lba;
	}
	return done;
}

int copy_write(struct copy *c, struct quoll_error *err)
{
	uint64_t taken = 0;
	struct quoll_error second; /* the first one is told */
	int ret = 0, drained;

	begin(c);
	for (unsigned int i = 0; !ret; i++) {
		struct transfer_slot *slot = &c->t.slots[i % c->t.nr_slots];
		int64_t bytes;

		while (!ret && slot->state == TRANSFER_BUSY)
			ret = transfer_wait(&c->t, err);
		if (!ret && cli_stopped())
			ret = -EINTR;
		bytes = ret ? ret : fill(c, slot, taken, err);
		if (bytes <= 0) {
			ret = (int)bytes;
			break;
		}
		slot->op = TRANSFER_WRITE;
		slot->lba = c->lba + taken;
		slot->nr_lbas = (uint32_t)((uint64_t)bytes / c->t.ns.lba_bytes);
		c->crc = (uint32_t)crc32_z(c->crc, slot->va, (size_t)bytes);
		taken += slot->nr_lbas;
		ret = transfer_start(&c->t, slot, err);
		c->done_lbas = taken;
		progress(c, "wrote");
	}
	/* what was taken from the input is written, even if the rest cannot be had */
	if (!ret || ret == -EINTR || ret == -EINVAL || ret == -ENOSPC) {
		drained = flush(c, ret ? &second : err);
		ret = ret ? ret : drained;
	}
	c->done_lbas = written_before(c, taken);
	c->crc_known = c->done_lbas == taken;
	return ret;
}
