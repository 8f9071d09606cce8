/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ns_file.c - file:PATH - a namespace in a file or block device, through io_uring; one ring a channel.
 *
 * O_DIRECT where file system and block size let it. Host buffers that are not aligned for it, and Compare, go through a
 * copy buffer of ours, which is registered with the ring (pins.h) if it is small; with registered=1 the host's memory
 * is, too. Flush is fdatasync(), FUA is RWF_DSYNC: both reach the disk. A file that shrinks, and any other
 * error, is the status of the commands that met it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pins.h"

#define RING_ENTRIES 256u
#define BUFFER_ALIGN 4096u
#define ZERO_BYTES (64u << 10)
#define NR_COPIES 32u /* of COPY_BYTES, in one piece of registered memory; what is larger has the way of malloc() */
#define COPY_BYTES (16u << 10)

struct ns_file {
	struct tgt_ns ns;
	int fd;
	uint32_t mem_align; /* of buffers: 1 without O_DIRECT */
	uint8_t *zeroes;    /* ZERO_BYTES, for file systems that can't clear a piece of a file */
	bool registered;    /* the host's memory is to be */
	struct tgt_ns_buffers counters;
};

/* A buffer that stands in for the host's memory; @left: what is still to be transferred of it. */
struct file_buffer {
	struct iovec left;
	uint8_t *data;
};

/**
 * struct file_chan - a ring, and what is registered with it
 * @deferred:    found no room in the ring
 * @unsubmitted: the kernel didn't take all of the ring
 * @arena:       NULL, or the memory of @copies: made when the first is needed
 * @free_copies: a bit each
 * @nr_fixed, @nr_plain, @nr_copied: since the counters were last added to
 */
struct file_chan {
	struct tgt_ns_chan chan;
	struct io_uring ring;
	struct tgt_fifo deferred;
	bool unsubmitted;
	struct tgt_pins pins;
	uint8_t *arena;
	uint32_t free_copies;
	uint32_t nr_fixed;
	uint32_t nr_plain;
	uint32_t nr_copied;
	struct file_buffer copies[NR_COPIES];
};

/* What a request waits for. */
enum file_phase {
	PHASE_TRANSFER,
	PHASE_ZERO_RANGE,
	PHASE_ZERO_PUNCH,
	PHASE_ZERO_WRITE,
	PHASE_PUNCH,
	PHASE_SYNC,
};

static const struct ns_file *file_of(const struct file_chan *chan)
{
	return (const struct ns_file *)chan->chan.ns;
}

static uint16_t file_status(const struct tgt_req *req, int errnum)
{
	if (req->op == TGT_OP_READ || req->op == TGT_OP_COMPARE)
		return TGT_SC_MEDIA(READ_ERROR);
	return errnum == ENOSPC || errnum == EDQUOT ? TGT_SC(CAP_EXCEEDED) : TGT_SC_MEDIA(WRITE_FAULT);
}

/* What is still to be transferred. The request's own list stays as it is beside a buffer: see tgt_ctrl_uses(). */
static const struct iovec *file_left(const struct tgt_req *req, unsigned int *nr)
{
	const struct file_buffer *buffer = req->private;

	*nr = buffer ? 1 : req->nr_iov;
	return buffer ? &buffer->left : req->iov;
}

static void prep_transfer(struct file_chan *chan, struct io_uring_sqe *sqe, const struct tgt_req *req)
{
	unsigned int nr;
	const struct iovec *iov = file_left(req, &nr);
	int fd = file_of(chan)->fd;
	int slot = nr == 1 ? tgt_pins_find(&chan->pins, iov) : -1;
	uint64_t offset = req->offset + req->cursor;
	bool write = req->op == TGT_OP_WRITE;

	if (slot >= 0 && write)
		io_uring_prep_write_fixed(sqe, fd, iov->iov_base, (unsigned int)iov->iov_len, offset, slot);
	else if (slot >= 0)
		io_uring_prep_read_fixed(sqe, fd, iov->iov_base, (unsigned int)iov->iov_len, offset, slot);
	else if (write)
		io_uring_prep_writev(sqe, fd, iov, nr, offset);
	else
		io_uring_prep_readv(sqe, fd, iov, nr, offset);
	sqe->rw_flags = write && req->fua ? RWF_DSYNC : 0;
	chan->nr_fixed += slot >= 0;
	chan->nr_plain += slot < 0;
}

/* Put the phase that @req is in into the ring. */
static void file_prep(struct file_chan *chan, struct io_uring_sqe *sqe, struct tgt_req *req)
{
	const struct ns_file *file = file_of(chan);
	uint64_t left = req->bytes - req->cursor;
	const union tgt_seg *seg;

	switch (req->phase) {
	case PHASE_TRANSFER:
		prep_transfer(chan, sqe, req);
		break;
	case PHASE_ZERO_RANGE:
		io_uring_prep_fallocate(sqe, file->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)req->offset,
					(off_t)req->bytes);
		break;
	case PHASE_ZERO_PUNCH:
		io_uring_prep_fallocate(sqe, file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)req->offset,
					(off_t)req->bytes);
		break;
	case PHASE_ZERO_WRITE:
		io_uring_prep_write(sqe, file->fd, file->zeroes, left < ZERO_BYTES ? (unsigned int)left : ZERO_BYTES,
				    req->offset + req->cursor);
		break;
	case PHASE_PUNCH:
		seg = &req->segs[req->cursor];
		io_uring_prep_fallocate(sqe, file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					(off_t)seg->extent.offset, (off_t)seg->extent.len);
		break;
	default:
		io_uring_prep_fsync(sqe, file->fd, IORING_FSYNC_DATASYNC);
		break;
	}
	io_uring_sqe_set_data(sqe, req);
}

static void file_push(struct file_chan *chan, struct tgt_req *req)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&chan->ring);

	if (!sqe && io_uring_submit(&chan->ring) > 0)
		sqe = io_uring_get_sqe(&chan->ring);
	if (!sqe) {
		tgt_fifo_push(&chan->deferred, req);
		return;
	}
	file_prep(chan, sqe, req);
	chan->unsubmitted = true;
}

static void add_up(uint64_t *counter, uint32_t *nr)
{
	if (*nr)
		__atomic_fetch_add(counter, *nr, __ATOMIC_RELAXED);
	*nr = 0;
}

/* One system call a batch. What the kernel doesn't take now stays in the ring for the next poll. */
static void file_kick(struct file_chan *chan)
{
	struct tgt_ns_buffers *counters = chan->chan.ns->buffers;

	add_up(&counters->fixed, &chan->nr_fixed);
	add_up(&counters->plain, &chan->nr_plain);
	add_up(&counters->copied, &chan->nr_copied);
	io_uring_submit(&chan->ring);
	chan->unsubmitted = io_uring_sq_ready(&chan->ring) != 0;
}

static bool file_needs_buffer(const struct ns_file *file, const struct tgt_req *req)
{
	uintptr_t bits = 0;

	if (req->op == TGT_OP_COMPARE)
		return true;
	if (req->op != TGT_OP_READ && req->op != TGT_OP_WRITE)
		return false;
	for (unsigned int i = 0; i < req->nr_iov; i++)
		bits |= (uintptr_t)req->iov[i].iov_base | req->iov[i].iov_len;
	return bits & (file->mem_align - 1);
}

/* One of the registered ones, or NULL: none is free. */
static struct file_buffer *copy_take(struct file_chan *chan)
{
	unsigned int i;

	if (!chan->arena) {
		if (posix_memalign((void **)&chan->arena, BUFFER_ALIGN, NR_COPIES * COPY_BYTES))
			return NULL;
		chan->free_copies = UINT32_MAX;
		tgt_pins_add(&chan->pins, chan->arena, NR_COPIES * COPY_BYTES);
	}
	if (!chan->free_copies)
		return NULL;
	i = (unsigned int)__builtin_ctz(chan->free_copies);
	chan->free_copies &= chan->free_copies - 1;
	chan->copies[i].data = chan->arena + i * COPY_BYTES;
	return &chan->copies[i];
}

static struct file_buffer *copy_alloc(size_t bytes)
{
	struct file_buffer *buffer;
	void *mem;

	if (posix_memalign(&mem, BUFFER_ALIGN, BUFFER_ALIGN + bytes))
		return NULL;
	buffer = mem;
	buffer->data = (uint8_t *)mem + BUFFER_ALIGN;
	return buffer;
}

static void copy_release(struct file_chan *chan, struct file_buffer *buffer)
{
	if ((uintptr_t)buffer - (uintptr_t)chan->copies < sizeof(chan->copies))
		chan->free_copies |= 1u << (buffer - chan->copies);
	else
		free(buffer);
}

static int file_buffer(struct file_chan *chan, struct tgt_req *req)
{
	struct file_buffer *buffer = req->bytes <= COPY_BYTES ? copy_take(chan) : NULL;

	if (!buffer)
		buffer = copy_alloc(req->bytes);
	if (!buffer)
		return -ENOMEM;
	chan->nr_copied++;
	buffer->left = (struct iovec){.iov_base = buffer->data, .iov_len = req->bytes};
	if (req->op == TGT_OP_WRITE)
		tgt_iov_gather(req->iov, req->nr_iov, buffer->data, req->bytes);
	req->private = buffer;
	return 0;
}

/* Return: true if the request is finished already. */
static bool file_start(struct file_chan *chan, struct tgt_req *req)
{
	static const uint8_t first[] = {
		[TGT_OP_READ] = PHASE_TRANSFER,	    [TGT_OP_WRITE] = PHASE_TRANSFER, [TGT_OP_COMPARE] = PHASE_TRANSFER,
		[TGT_OP_ZEROES] = PHASE_ZERO_RANGE, [TGT_OP_DISCARD] = PHASE_PUNCH,  [TGT_OP_FLUSH] = PHASE_SYNC,
	};

	req->status = 0;
	req->phase = first[req->op];
	if (req->op == TGT_OP_DISCARD && !req->nr_iov)
		return true;
	if (file_needs_buffer(file_of(chan), req) && file_buffer(chan, req)) {
		req->status = NVME_SC_INTERNAL;
		return true;
	}
	file_push(chan, req);
	return false;
}

/* Part of a transfer is done, and there is more: the list shrinks from its front. */
static void file_advance(struct tgt_req *req, size_t done)
{
	struct file_buffer *buffer = req->private;

	if (buffer) {
		buffer->left.iov_base = (uint8_t *)buffer->left.iov_base + done;
		buffer->left.iov_len -= done;
		return;
	}
	while (done && req->nr_iov) {
		size_t piece = req->iov->iov_len < done ? req->iov->iov_len : done;

		req->iov->iov_base = (uint8_t *)req->iov->iov_base + piece;
		req->iov->iov_len -= piece;
		done -= piece;
		if (!req->iov->iov_len) {
			req->iov++;
			req->nr_iov--;
		}
	}
}

/* The step after one that succeeded with @res. Return: true if there is one. */
static bool file_next(struct tgt_req *req, unsigned int res)
{
	switch (req->phase) {
	case PHASE_TRANSFER:
		req->cursor += res;
		if (!res)
			req->status = file_status(req, EIO); /* the file has shrunk */
		if (!res || req->cursor >= req->bytes)
			return false;
		file_advance(req, res);
		return true;
	case PHASE_ZERO_WRITE:
		req->cursor += res;
		if (!res)
			req->status = file_status(req, EIO);
		if (res && req->cursor < req->bytes)
			return true;
		break;
	case PHASE_PUNCH:
		return ++req->cursor < req->nr_iov;
	case PHASE_SYNC:
		return false;
	default:
		break;
	}
	/* Zeroes that must last. */
	req->phase = PHASE_SYNC;
	return req->fua && !req->status;
}

/* The step after one that failed. Return: true if there is one. */
static bool file_failed(struct tgt_req *req, int errnum)
{
	if (errnum == EAGAIN || errnum == EINTR)
		return true;
	if (errnum == EOPNOTSUPP && (req->phase == PHASE_ZERO_RANGE || req->phase == PHASE_ZERO_PUNCH)) {
		req->phase++;
		return true;
	}
	/* Deallocation is a hint. */
	if (errnum == EOPNOTSUPP && req->phase == PHASE_PUNCH)
		return false;
	req->status = file_status(req, errnum);
	return false;
}

static void file_finish(struct file_chan *chan, struct tgt_req *req)
{
	struct file_buffer *buffer = req->private;

	if (!buffer)
		return;
	if (!req->status && req->op == TGT_OP_READ)
		tgt_iov_scatter(req->iov, req->nr_iov, buffer->data, req->bytes);
	if (!req->status && req->op == TGT_OP_COMPARE &&
	    !tgt_iov_equal(req->iov, req->nr_iov, buffer->data, req->bytes))
		req->status = TGT_SC_MEDIA(COMPARE_FAILED) | NVME_SC_DNR;
	copy_release(chan, buffer);
}

static unsigned int file_submit(struct tgt_ns_chan *base, struct tgt_req *const *reqs, unsigned int n,
				struct tgt_req **done)
{
	struct file_chan *chan = (struct file_chan *)base;
	unsigned int nr_done = 0;

	for (unsigned int i = 0; i < n; i++)
		if (file_start(chan, reqs[i]))
			done[nr_done++] = reqs[i];
	file_kick(chan);
	return nr_done;
}

static unsigned int file_poll(struct tgt_ns_chan *base, struct tgt_req **done, unsigned int max)
{
	struct file_chan *chan = (struct file_chan *)base;
	struct io_uring_cqe *cqes[TGT_MAX_BATCH];
	unsigned int nr_done = 0;
	unsigned int nr = io_uring_peek_batch_cqe(&chan->ring, cqes, max < TGT_MAX_BATCH ? max : TGT_MAX_BATCH);

	for (unsigned int i = 0; i < nr; i++) {
		struct tgt_req *req = io_uring_cqe_get_data(cqes[i]);
		int res = cqes[i]->res;

		if (QUOLL_UNLIKELY(tgt_pins_took(&chan->pins, io_uring_cqe_get_data64(cqes[i]))))
			continue;
		if (res < 0 ? file_failed(req, -res) : file_next(req, (unsigned int)res)) {
			file_push(chan, req);
		} else {
			file_finish(chan, req);
			done[nr_done++] = req;
		}
	}
	io_uring_cq_advance(&chan->ring, nr);
	while (QUOLL_UNLIKELY(chan->deferred.head) && io_uring_sq_space_left(&chan->ring))
		file_push(chan, tgt_fifo_pop(&chan->deferred));
	if (chan->unsubmitted)
		file_kick(chan);
	return nr_done;
}

static int chan_init(struct file_chan *chan, struct ns_file *file, const struct tgt_guest *guest)
{
	int rc = io_uring_queue_init(RING_ENTRIES, &chan->ring, IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);

	if (rc == -EINVAL) /* a kernel before 5.19 */
		rc = io_uring_queue_init(RING_ENTRIES, &chan->ring, 0);
	if (rc)
		return rc;
	rc = tgt_pins_init(&chan->pins, &chan->ring, file->registered ? guest : NULL, &file->counters);
	if (rc)
		io_uring_queue_exit(&chan->ring);
	return rc;
}

static int file_chan_open(struct tgt_ns *ns, const struct tgt_guest *guest, struct tgt_ns_chan **chan,
			  struct quoll_error *err)
{
	struct file_chan *made = calloc(1, sizeof(*made));
	int rc = made ? chan_init(made, (struct ns_file *)ns, guest) : -ENOMEM;

	if (rc) {
		free(made);
		quoll_error_set(err, -rc, "namespace", ns->text, "io_uring can't be set up");
		if (rc == -EPERM || rc == -ENOSYS)
			quoll_error_hint(err, "allow io_uring: sysctl kernel.io_uring_disabled=0, or the container's "
					      "seccomp profile");
		else if (rc == -ENOMEM) /* rings count as locked memory since 6.14 */
			quoll_error_hint(err, "more locked memory: ulimit -l, or LimitMEMLOCK= of the service");
		return rc;
	}
	tgt_fifo_init(&made->deferred);
	made->chan = (struct tgt_ns_chan){.ns = ns, .fd = made->ring.ring_fd};
	*chan = &made->chan;
	return 0;
}

static void file_chan_close(struct tgt_ns_chan *base)
{
	struct file_chan *chan = (struct file_chan *)base;

	tgt_pins_fini(&chan->pins);
	io_uring_queue_exit(&chan->ring);
	free(chan->arena);
	free(chan);
}

static bool file_forget(struct tgt_ns_chan *base, const void *va, uint64_t len)
{
	struct file_chan *chan = (struct file_chan *)base;

	return tgt_pins_forget(&chan->pins, va, len);
}

static void file_destroy(struct tgt_ns *ns)
{
	struct ns_file *file = (struct ns_file *)ns;

	close(file->fd);
	free(file->zeroes);
	free(file);
}

static const struct tgt_ns_ops file_ops = {
	.chan_open = file_chan_open,
	.chan_close = file_chan_close,
	.submit = file_submit,
	.poll = file_poll,
	.forget = file_forget,
	.destroy = file_destroy,
};

static int file_bytes(int fd, uint64_t *bytes)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	*bytes = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode))
		return ioctl(fd, BLKGETSIZE64, bytes) ? -errno : 0;
	return S_ISREG(st.st_mode) ? 0 : -EINVAL;
}

/* Try what O_DIRECT wants of a buffer for one block. Return: the alignment, or 0 if it doesn't go. */
static uint32_t file_try_direct(int fd, uint32_t block)
{
	uint8_t *buffer;
	uint32_t align = 0;

	if (posix_memalign((void **)&buffer, BUFFER_ALIGN, 2 * BUFFER_ALIGN))
		return 0;
	if (pread(fd, buffer + 512, block, block) >= 0)
		align = 512;
	else if (pread(fd, buffer, block, block) >= 0)
		align = BUFFER_ALIGN;
	free(buffer);
	return align;
}

static int file_open_fd(struct ns_file *file, const char *path, uint32_t block)
{
	file->fd = open(path, O_RDWR | O_CLOEXEC | O_DIRECT);
	if (file->fd >= 0) {
		file->mem_align = file_try_direct(file->fd, block);
		if (file->mem_align)
			return 0;
		close(file->fd);
	}
	file->mem_align = 1;
	file->fd = open(path, O_RDWR | O_CLOEXEC);
	return file->fd < 0 ? -errno : 0;
}

static int file_check(const struct ns_file *file, const struct tgt_ns_spec *spec, uint64_t *bytes,
		      struct quoll_error *err)
{
	int rc = file_bytes(file->fd, bytes);

	if (rc == -EINVAL)
		return quoll_error_set(err, EINVAL, "namespace", spec->text, "neither a file nor a block device");
	if (rc)
		return quoll_error_set(err, -rc, "namespace", spec->text, "its size can't be read");
	if (*bytes >> spec->lba_shift == 0) {
		quoll_error_set(err, EINVAL, "namespace", spec->text, "smaller than one block of %u bytes",
				1u << spec->lba_shift);
		quoll_error_hint(err, "truncate -s 1G %s", spec->addr->target);
		return -EINVAL;
	}
	if (flock(file->fd, LOCK_EX | LOCK_NB))
		return quoll_error_set(err, EBUSY, "namespace", spec->text, "another process has it locked");
	return 0;
}

int tgt_ns_file_open(const struct tgt_ns_spec *spec, struct tgt_ns **ns, struct quoll_error *err)
{
	struct ns_file *file = calloc(1, sizeof(*file));
	uint64_t bytes;
	int rc;

	if (!file || posix_memalign((void **)&file->zeroes, BUFFER_ALIGN, ZERO_BYTES)) {
		free(file);
		return quoll_error_set(err, ENOMEM, "namespace", spec->text, "out of memory");
	}
	memset(file->zeroes, 0, ZERO_BYTES);
	rc = file_open_fd(file, spec->addr->target, 1u << spec->lba_shift);
	if (rc) {
		quoll_error_set(err, -rc, "namespace", spec->text, "can't be opened for reading and writing");
		if (rc == -ENOENT)
			quoll_error_hint(err, "truncate -s 1G %s", spec->addr->target);
		goto err_free;
	}
	rc = file_check(file, spec, &bytes, err);
	if (rc)
		goto err_close;
	file->ns.ops = &file_ops;
	file->ns.nr_lbas = bytes >> spec->lba_shift;
	file->ns.volatile_cache = true;
	file->ns.buffers = &file->counters;
	file->registered = spec->registered;
	*ns = &file->ns;
	return 0;

err_close:
	close(file->fd);
err_free:
	free(file->zeroes);
	free(file);
	return rc;
}
