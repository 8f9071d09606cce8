/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * uring_loop.c - the kernel's best case, to hold Quoll against: a thin loop of random reads through io_uring with
 * O_DIRECT, registered buffers and file, optionally IOPOLL. Thinner than fio, so that fio's own cost is not counted as
 * the kernel's. Prints one JSON document; under an instruction-counting VM, busy_ns_per_io is instructions an I/O.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <liburing.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>

#define MAX_QD 256

struct options {
	const char *path;
	unsigned int qd;
	uint64_t ios;
	unsigned int size_bytes;
	int iopoll;
};

struct usage {
	uint64_t now_ns;
	uint64_t idle_ns;
};

/* All CPUs' idle time to the nanosecond, which /proc/stat rounds to 10 ms. Root only; without it idle counts as busy.
 */
static struct usage read_usage(void)
{
	struct usage u = {0};
	struct timespec ts;
	unsigned long long v;
	char line[256];
	FILE *f = fopen("/proc/timer_list", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " .idle_sleeptime : %llu", &v) == 1 ||
		    sscanf(line, " .iowait_sleeptime : %llu", &v) == 1)
			u.idle_ns += v;
	if (f)
		fclose(f);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	u.now_ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	return u;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static int run(struct io_uring *ring, const struct options *o, uint8_t *bufs, uint64_t nr_blocks)
{
	uint64_t submitted = 0, completed = 0, rnd = 88172645463325252u;
	unsigned int ready[MAX_QD], nr_ready = o->qd;
	struct io_uring_cqe *cqes[MAX_QD];

	for (unsigned int i = 0; i < o->qd; i++)
		ready[i] = i;
	while (completed < o->ios) {
		unsigned int n;

		while (nr_ready && submitted < o->ios) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
			unsigned int slot = ready[--nr_ready];
			uint64_t block = (uint64_t)(((unsigned __int128)next_random(&rnd) * nr_blocks) >> 64);

			io_uring_prep_read_fixed(sqe, 0, bufs + (size_t)slot * o->size_bytes, o->size_bytes,
						 block * o->size_bytes, (int)slot);
			sqe->flags |= IOSQE_FIXED_FILE;
			io_uring_sqe_set_data64(sqe, slot);
			submitted++;
		}
		if (io_uring_submit_and_wait(ring, 1) < 0)
			return -EIO;
		n = io_uring_peek_batch_cqe(ring, cqes, MAX_QD);
		for (unsigned int i = 0; i < n; i++) {
			if (cqes[i]->res != (int)o->size_bytes)
				return cqes[i]->res < 0 ? cqes[i]->res : -EIO;
			ready[nr_ready++] = (unsigned int)cqes[i]->user_data;
		}
		io_uring_cq_advance(ring, n);
		completed += n;
	}
	return 0;
}

static int set_up(struct io_uring *ring, const struct options *o, int fd, uint8_t *bufs)
{
	struct iovec iov[MAX_QD];
	int rc = io_uring_queue_init(o->qd, ring, o->iopoll ? IORING_SETUP_IOPOLL : 0);

	for (unsigned int i = 0; i < o->qd; i++)
		iov[i] = (struct iovec){bufs + (size_t)i * o->size_bytes, o->size_bytes};
	if (!rc)
		rc = io_uring_register_buffers(ring, iov, o->qd);
	if (!rc)
		rc = io_uring_register_files(ring, &fd, 1);
	return rc;
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"qd", 1, 0, 'q'}, {"ios", 1, 0, 'n'}, {"size", 1, 0, 's'}, {"iopoll", 0, 0, 'p'}, {0, 0, 0, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'q')
			o->qd = (unsigned int)strtoul(optarg, NULL, 0);
		else if (c == 'n')
			o->ios = strtoull(optarg, NULL, 0);
		else if (c == 's')
			o->size_bytes = (unsigned int)strtoul(optarg, NULL, 0);
		else if (c == 'p')
			o->iopoll = 1;
		else
			return -EINVAL;
	}
	o->path = argv[optind];
	if (!o->path || !o->qd || o->qd > MAX_QD || !o->ios || !o->size_bytes)
		return -EINVAL;
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = {.qd = 1, .ios = 10000, .size_bytes = 4096};
	struct io_uring ring;
	struct usage a, b;
	uint64_t dev_bytes = 0, busy_ns;
	void *bufs;
	int fd, rc;

	if (parse(argc, argv, &o)) {
		fprintf(stderr, "usage: uring_loop [--qd N] [--ios N] [--size BYTES] [--iopoll] BLOCK-DEVICE\n");
		return 2;
	}
	fd = open(o.path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &dev_bytes) || dev_bytes < o.size_bytes) {
		perror(o.path);
		return 1;
	}
	if (posix_memalign(&bufs, 4096, (size_t)o.qd * o.size_bytes))
		return 1;
	memset(bufs, 0, (size_t)o.qd * o.size_bytes);
	rc = set_up(&ring, &o, fd, bufs);
	a = read_usage();
	if (!rc)
		rc = run(&ring, &o, bufs, dev_bytes / o.size_bytes);
	b = read_usage();
	if (rc) {
		fprintf(stderr, "uring_loop: %s: %s\n", o.path, strerror(-rc));
		return 1;
	}
	/* idle_ns is the sum over CPUs */
	busy_ns = (b.now_ns - a.now_ns) * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN) - (b.idle_ns - a.idle_ns);
	printf("{\"ios\": %llu, \"qd\": %u, \"elapsed_ns\": %llu, \"iops\": %.0f, \"busy_ns_per_io\": %.0f}\n",
	       (unsigned long long)o.ios, o.qd, (unsigned long long)(b.now_ns - a.now_ns),
	       (double)o.ios * 1e9 / (double)(b.now_ns - a.now_ns), (double)busy_ns / (double)o.ios);
	io_uring_queue_exit(&ring);
	close(fd);
	free(bufs);
	return 0;
}
