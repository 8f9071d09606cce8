/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_copy.c - data between a namespace and files, on the fake controller.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "nvme/copy.h"
#include "session_fixture.h"
#include "unit.h"

#define LBA 512u

struct fixture {
	struct session_fixture sf;
	struct copy copy;
	uint8_t *data; /* the file's bytes */
};

/* Open a copy of blocks from LBA 7 on, with a file of random bytes behind it. */
static void open_copy(struct fixture *f, uint64_t nr_lbas, size_t file_bytes)
{
	f->data = malloc(file_bytes + 1);
	fixture_fill_random(&f->sf.fx, f->data, file_bytes);
	f->copy = (struct copy){.t.session = &f->sf.session,
				.t.ns = f->sf.ns,
				.t.stall_ms = 20000,
				.fd = memfd_create("copy", MFD_CLOEXEC),
				.path = "file",
				.lba = 7,
				.nr_lbas = nr_lbas};
	CU_ASSERT_EQUAL_FATAL(write(f->copy.fd, f->data, file_bytes), (ssize_t)file_bytes);
	lseek(f->copy.fd, 0, SEEK_SET);
	CU_ASSERT_EQUAL_FATAL(transfer_open(&f->copy.t, COPY_SLOTS, COPY_SLOT_BYTES, &f->sf.err), 0);
}

static void close_copy(struct fixture *f)
{
	close(f->copy.fd);
	transfer_close(&f->copy.t);
	session_fixture_fini(&f->sf);
	free(f->data);
}

static void start(struct fixture *f, uint64_t nr_lbas, size_t file_bytes)
{
	session_fixture_init(&f->sf);
	session_fixture_open(&f->sf);
	open_copy(f, nr_lbas, file_bytes);
}

static const uint8_t *disk(struct fixture *f)
{
	return f->sf.fx.fake.ns[0].disk + 7 * LBA;
}

static void a_file_goes_to_the_blocks_and_nowhere_else(void)
{
	size_t bytes = 11 * COPY_SLOT_BYTES + 3 * LBA; /* more than the ring holds, and an odd end */
	struct fixture f;

	start(&f, UINT64_MAX, bytes);
	CU_ASSERT_EQUAL(copy_check_input(&f.copy, &f.sf.err), 0);
	CU_ASSERT_EQUAL(copy_write(&f.copy, &f.sf.err), 0);
	CU_ASSERT_EQUAL(f.copy.done_lbas, bytes / LBA);
	CU_ASSERT_EQUAL(memcmp(disk(&f), f.data, bytes), 0);
	CU_ASSERT_TRUE(f.copy.crc_known);
	CU_ASSERT_EQUAL(f.copy.crc, crc32_z(0, f.data, bytes));
	for (unsigned int i = 0; i < 7 * LBA; i++)
		CU_ASSERT_EQUAL(f.sf.fx.fake.ns[0].disk[i], 0);
	CU_ASSERT_EQUAL(disk(&f)[bytes], 0);
	close_copy(&f);
}

static void blocks_come_back_in_order_although_the_device_shuffles(void)
{
	size_t bytes = 11 * COPY_SLOT_BYTES + 3 * LBA;
	struct fixture f;
	uint8_t *back;

	start(&f, bytes / LBA, bytes);
	f.sf.fx.fake.shuffle = true;
	memcpy(f.sf.fx.fake.ns[0].disk + 7 * LBA, f.data, bytes);
	CU_ASSERT_EQUAL(ftruncate(f.copy.fd, 0), 0);
	CU_ASSERT_EQUAL(copy_read(&f.copy, &f.sf.err), 0);
	CU_ASSERT_EQUAL(f.copy.done_lbas, bytes / LBA);
	CU_ASSERT_EQUAL(f.copy.crc, crc32_z(0, f.data, bytes));
	back = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, f.copy.fd, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(back, MAP_FAILED);
	CU_ASSERT_EQUAL(memcmp(back, f.data, bytes), 0);
	munmap(back, bytes);
	close_copy(&f);
}

static void input_that_does_not_fit_is_refused_before_anything_is_written(void)
{
	static const struct {
		uint64_t nr_lbas;
		size_t bytes;
		int ret;
		const char *what;
	} cases[] = {
		{UINT64_MAX, 1000, -EINVAL, "1000 bytes are not whole blocks of 512 bytes"},
		{4, 3 * LBA, -EINVAL, "it ends after 1536 bytes; 4 blocks of 512 bytes need 2048"},
		{UINT64_MAX, 8 << 20, -ENOSPC, "it is longer than the 16377 blocks"},
		{4, 9 * LBA, 0, NULL},
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f;

		start(&f, cases[i].nr_lbas, cases[i].bytes);
		CU_ASSERT_EQUAL(copy_check_input(&f.copy, &f.sf.err), cases[i].ret);
		if (cases[i].what) {
			CU_ASSERT_EQUAL(strncmp(f.sf.err.what, cases[i].what, strlen(cases[i].what)), 0);
			CU_ASSERT(f.sf.err.hint[0] != '\0');
		}
		CU_ASSERT_EQUAL(f.sf.fx.fake.nr_io, 0);
		close_copy(&f);
	}
}

/* A pipe tells its length only at its end. */
static void put_pipe(struct fixture *f, size_t bytes)
{
	int ends[2];

	CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
	CU_ASSERT_EQUAL_FATAL(write(ends[1], f->data, bytes), (ssize_t)bytes);
	close(ends[1]);
	close(f->copy.fd);
	f->copy.fd = ends[0];
}

static void a_pipe_with_half_a_block_is_an_error_without_pad(void)
{
	struct fixture f;

	start(&f, UINT64_MAX, 2 * LBA + 100);
	put_pipe(&f, 2 * LBA + 100);
	CU_ASSERT_EQUAL(copy_check_input(&f.copy, &f.sf.err), 0);
	CU_ASSERT_EQUAL(copy_write(&f.copy, &f.sf.err), -EINVAL);
	CU_ASSERT_EQUAL(f.copy.done_lbas, 0);
	close_copy(&f);
}

static void padding_fills_with_zeroes(void)
{
	struct fixture f;
	uint8_t zeroes[3 * LBA] = {0};

	start(&f, 5, 2 * LBA + 100);
	put_pipe(&f, 2 * LBA + 100);
	f.copy.pad = true;
	memset(f.sf.fx.fake.ns[0].disk, 0xee, 20 * LBA);
	CU_ASSERT_EQUAL(copy_check_input(&f.copy, &f.sf.err), 0);
	CU_ASSERT_EQUAL(copy_write(&f.copy, &f.sf.err), 0);
	CU_ASSERT_EQUAL(f.copy.done_lbas, 5);
	CU_ASSERT_EQUAL(memcmp(disk(&f), f.data, 2 * LBA + 100), 0);
	CU_ASSERT_EQUAL(memcmp(disk(&f) + 2 * LBA + 100, zeroes, 3 * LBA - 100), 0);
	CU_ASSERT_EQUAL(disk(&f)[5 * LBA], 0xee);
	close_copy(&f);
}

static uint16_t fail_third_slot(struct fake_nvme *fake, uint16_t qid, const union nvme_sq_slot *sqe)
{
	uint64_t lba;

	(void)fake;
	(void)qid;
	memcpy(&lba, (const uint8_t *)sqe + 40, sizeof(lba));	 /* CDW10 and 11 */
	return lba >= 7 + 2 * COPY_SLOT_BYTES / LBA ? 0x286 : 0; /* access denied */
}

static void a_failed_write_is_named_and_what_came_before_it_counted(void)
{
	struct fixture f;

	session_fixture_init(&f.sf);
	f.sf.fx.fake.on_io = fail_third_slot;
	session_fixture_open(&f.sf);
	open_copy(&f, UINT64_MAX, 12 * COPY_SLOT_BYTES);
	CU_ASSERT_EQUAL(copy_write(&f.copy, &f.sf.err), -EIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.sf.err.what, "write of 512 blocks at LBA "));
	CU_ASSERT_PTR_NOT_NULL(strstr(f.sf.err.what, "0x286"));
	CU_ASSERT(f.copy.done_lbas <= 2 * COPY_SLOT_BYTES / LBA);
	CU_ASSERT_FALSE(f.copy.crc_known);
	f.sf.fx.fake.on_io = NULL;
	close_copy(&f);
}

static void a_device_that_answers_no_more_is_given_up(void)
{
	struct fixture f;

	session_fixture_init(&f.sf);
	session_fixture_open(&f.sf);
	open_copy(&f, 4, 4 * LBA);
	f.copy.t.stall_ms = 200;
	f.sf.fx.fake.mute_io = true;
	CU_ASSERT_EQUAL(copy_read(&f.copy, &f.sf.err), -ETIMEDOUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.sf.err.what, "1 requests in flight and no answer for 200 ms"));
	close_copy(&f);
}

static void a_device_that_is_gone_is_said_to_be_gone(void)
{
	struct fixture f;

	session_fixture_init(&f.sf);
	session_fixture_open(&f.sf);
	open_copy(&f, 4, 4 * LBA);
	f.copy.t.stall_ms = 5000;
	f.sf.fx.fake.mute_io = true;
	fake_pci_yank(&f.sf.fx.fake.pci);
	CU_ASSERT_EQUAL(copy_read(&f.copy, &f.sf.err), -ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.sf.err.what, "gone"));
	close_copy(&f);
}

/* Whatever ends a copy, what was taken is still waited for; and the device may be gone by then. */
static void a_device_that_goes_after_the_input_failed_is_survived(void)
{
	struct fixture f;

	session_fixture_init(&f.sf);
	session_fixture_open(&f.sf);
	open_copy(&f, UINT64_MAX, COPY_SLOT_BYTES + 100);
	f.copy.t.stall_ms = 5000;
	f.sf.fx.fake.mute_io = true;
	fake_pci_yank(&f.sf.fx.fake.pci);
	CU_ASSERT_EQUAL(copy_write(&f.copy, &f.sf.err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.sf.err.what, "not whole blocks"));
	CU_ASSERT_EQUAL(f.copy.done_lbas, 0);
	CU_ASSERT_FALSE(f.copy.crc_known);
	close_copy(&f);
}

/* What hangs or kills: the device's thread counts the commands that reach it. */
static struct {
	unsigned int arrived;
	unsigned int hold_at; /* 0: never */
	unsigned int fatal_at;
	bool hold_lba_7;
} trouble;

static bool make_trouble(struct fake_nvme *fake, uint16_t qid, const union nvme_sq_slot *sqe)
{
	(void)qid;
	trouble.arrived++;
	if (trouble.arrived == trouble.fatal_at)
		fake_nvme_set_fatal(fake);
	return trouble.arrived == trouble.hold_at || trouble.arrived == trouble.fatal_at ||
	       (trouble.hold_lba_7 && sqe->cmd.opcode != nvme_cmd_flush && sqe->rw.slba == 7);
}

static void start_in_trouble(struct fixture *f, size_t file_bytes)
{
	trouble.arrived = 0;
	session_fixture_init(&f->sf);
	f->sf.fx.fake.on_hold = make_trouble;
	f->sf.opts.io_timeout_ms = 50;
	f->sf.opts.recovery = QUOLL_NVME_ABORT;
	session_fixture_open(&f->sf);
	open_copy(f, UINT64_MAX, file_bytes);
	f->copy.t.stall_ms = 20000;
}

/* A flush too, which comes last. */
static void what_hangs_once_or_is_cut_off_by_a_reset_is_written_all_the_same(void)
{
	for (unsigned int at = 1; at < 26; at += 4) {
		for (int fatal = 0; fatal < 2; fatal++) {
			struct quoll_nvme_state state;
			struct fixture f;

			trouble.hold_at = fatal ? 0 : at;
			trouble.fatal_at = fatal ? at : 0;
			start_in_trouble(&f, 12 * COPY_SLOT_BYTES);
			CU_ASSERT_EQUAL(copy_write(&f.copy, &f.sf.err), 0);
			CU_ASSERT_EQUAL(f.copy.done_lbas, 12 * COPY_SLOT_BYTES / LBA);
			CU_ASSERT_EQUAL(f.copy.crc, (uint32_t)crc32_z(0, f.data, 12 * COPY_SLOT_BYTES));
			CU_ASSERT_EQUAL(memcmp(disk(&f), f.data, 12 * COPY_SLOT_BYTES), 0);
			quoll_nvme_state(f.sf.session.nvme, &state);
			CU_ASSERT(fatal ? state.resets >= 1 : state.timeouts >= 1);
			close_copy(&f);
		}
	}
	trouble.hold_at = trouble.fatal_at = 0;
}

static void what_hangs_again_and_again_is_an_error(void)
{
	struct fixture f;

	trouble.hold_lba_7 = true;
	start_in_trouble(&f, 4 * LBA);
	CU_ASSERT_EQUAL(copy_write(&f.copy, &f.sf.err), -EIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.sf.err.what, "write of 4 blocks at LBA 7 "));
	CU_ASSERT_PTR_NOT_NULL(strstr(f.sf.err.what, "Abort"));
	CU_ASSERT_EQUAL(f.copy.done_lbas, 0);
	CU_ASSERT_EQUAL(trouble.arrived, TRANSFER_MAX_TRIES);
	trouble.hold_lba_7 = false;
	close_copy(&f);
}

struct asker {
	struct fake_nvme *fake;
	int fd;
};

/* Once something has come through the pipe, so that nothing is in flight. */
static void *ask_when_readable(void *arg)
{
	struct asker *asker = arg;
	struct pollfd fd = {.fd = asker->fd, .events = POLLIN};

	if (poll(&fd, 1, -1) == 1)
		fake_pci_request_removal(&asker->fake->pci);
	return NULL;
}

/* The driver notices by itself, with nothing in flight: the fake takes DMA after that for a violation. */
static void wait_until_given_up(struct fixture *f)
{
	struct quoll_nvme_completion comp;

	while (fake_pci_bus_master(&f->sf.fx.fake.pci))
		CU_ASSERT_EQUAL(quoll_nvme_poll(f->copy.t.queue, &comp, 1), 0);
}

/* A pipe that has nothing, or takes nothing any more, while the kernel wants the device back. */
static void a_silent_pipe_does_not_keep_the_device_from_the_kernel(void)
{
	for (int writing = 0; writing < 2; writing++) {
		struct asker asker;
		struct fixture f;
		pthread_t thread;
		int ends[2];

		start(&f, COPY_SLOT_BYTES / LBA, 0);
		CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC), 0);
		close(f.copy.fd);
		f.copy.fd = ends[!writing];
		asker = (struct asker){.fake = &f.sf.fx.fake, .fd = ends[0]};
		alarm(20); /* ends a program that waits for the pipe */
		if (writing)
			fake_pci_request_removal(&f.sf.fx.fake.pci);
		else
			CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, ask_when_readable, &asker), 0);
		CU_ASSERT_EQUAL((writing ? copy_write : copy_read)(&f.copy, &f.sf.err), -ENODEV);
		CU_ASSERT_PTR_NOT_NULL(strstr(f.sf.err.what, "the kernel requested the device back"));
		wait_until_given_up(&f);
		alarm(0);
		if (!writing)
			pthread_join(thread, NULL);
		close(ends[writing]);
		close_copy(&f);
	}
}

/* What a pipe takes bit by bit arrives whole. */
static void a_pipe_gets_all_blocks(void)
{
	size_t bytes = 3 * COPY_SLOT_BYTES, got = 0;
	uint8_t *back = malloc(bytes);
	struct fixture f;
	int ends[2];
	pid_t pid;
	int status = 1;
	ssize_t n;

	start(&f, bytes / LBA, bytes);
	memcpy(f.sf.fx.fake.ns[0].disk + 7 * LBA, f.data, bytes);
	CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		/* the child only reads, and tells by its status whether all of it came */
		close(ends[1]);
		while (got < bytes && (n = read(ends[0], back + got, bytes - got)) > 0)
			got += (size_t)n;
		_exit(got == bytes && !memcmp(back, f.data, bytes) ? 0 : 1);
	}
	close(ends[0]);
	close(f.copy.fd);
	f.copy.fd = ends[1];
	CU_ASSERT_EQUAL(copy_read(&f.copy, &f.sf.err), 0);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	free(back);
	close_copy(&f);
}

static const struct unit_test tests[] = {
	{"a file goes to the blocks and nowhere else", a_file_goes_to_the_blocks_and_nowhere_else},
	{"blocks come back in order although the device shuffles",
	 blocks_come_back_in_order_although_the_device_shuffles},
	{"input that does not fit is refused before anything is written",
	 input_that_does_not_fit_is_refused_before_anything_is_written},
	{"a pipe with half a block is an error without --pad", a_pipe_with_half_a_block_is_an_error_without_pad},
	{"padding fills with zeroes", padding_fills_with_zeroes},
	{"a failed write is named, and what came before it counted",
	 a_failed_write_is_named_and_what_came_before_it_counted},
	{"a device that answers no more is given up", a_device_that_answers_no_more_is_given_up},
	{"a device that is gone is said to be gone", a_device_that_is_gone_is_said_to_be_gone},
	{"a device that goes after the input failed is survived",
	 a_device_that_goes_after_the_input_failed_is_survived},
	{"what hangs once, or is cut off by a reset, is written all the same",
	 what_hangs_once_or_is_cut_off_by_a_reset_is_written_all_the_same},
	{"what hangs again and again is an error", what_hangs_again_and_again_is_an_error},
	{"a silent pipe does not keep the device from the kernel",
	 a_silent_pipe_does_not_keep_the_device_from_the_kernel},
	{"a pipe gets all blocks", a_pipe_gets_all_blocks},
};

UNIT_MAIN("copying between namespace and file", tests)
