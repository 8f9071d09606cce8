/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_fault.c - reading the kernel's log, with a file in place of /dev/kmsg.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <quoll/fault.h>

#include "unit.h"

#define DMAR_WRITE                                                                                                     \
	"DMAR: [DMA Write NO_PASID] Request device [03:00.0] fault addr 0x%x000 [fault reason 0x05] "                  \
	"PTE Write access is not set\n"

static char dir[] = "/tmp/test_fault.XXXXXX";
static char path[64];
static struct quoll_env env = {.dev_root = dir};
static struct quoll_error err;

static FILE *log_file(const char *mode)
{
	FILE *f = fopen(path, mode);

	CU_ASSERT_FATAL(f != NULL);
	return f;
}

static void write_log(const char *text)
{
	FILE *f = log_file("w");

	fputs(text, f);
	fclose(f);
}

/* A record of the kernel: one page further with each number. */
static void append_fault(unsigned int number)
{
	FILE *f = log_file("a");

	fprintf(f, "3,%u,%u,-;", number, number * 10);
	fprintf(f, DMAR_WRITE, number);
	fprintf(f, " SUBSYSTEM=pci\n DEVICE=+pci:0000:03:00.0\n");
	fclose(f);
}

static struct quoll_fault_log *open_log(uint64_t mark)
{
	struct quoll_fault_log *log = NULL;

	CU_ASSERT_FATAL(!quoll_fault_log_open(&env, mark, &log, &err));
	CU_ASSERT(quoll_fault_log_fd(log) >= 0);
	return log;
}

static void from_now_on_only_what_comes(void)
{
	struct quoll_fault_log *log;
	struct quoll_fault fault;

	write_log("");
	append_fault(1);
	log = open_log(QUOLL_FAULT_NOW);
	CU_ASSERT_EQUAL(quoll_fault_log_next(log, &fault), 0);
	append_fault(2);
	CU_ASSERT_EQUAL(quoll_fault_log_next(log, &fault), 1);
	CU_ASSERT_EQUAL(fault.iova, 0x2000);
	CU_ASSERT_EQUAL(fault.log_us, 20);
	CU_ASSERT_EQUAL(fault.mark, 2);
	CU_ASSERT_EQUAL(quoll_fault_log_next(log, &fault), 0);
	quoll_fault_log_close(log);
}

static void all_of_the_log_or_from_a_mark_on(void)
{
	struct quoll_fault_log *log;
	struct quoll_fault fault;

	write_log("6,0,1,-;Linux version 6.12\n");
	for (unsigned int i = 1; i <= 3; i++)
		append_fault(i);
	log = open_log(0);
	for (unsigned int i = 1; i <= 3; i++) {
		CU_ASSERT_EQUAL(quoll_fault_log_next(log, &fault), 1);
		CU_ASSERT_EQUAL(fault.iova, i << 12);
	}
	CU_ASSERT_EQUAL(quoll_fault_log_next(log, &fault), 0);
	quoll_fault_log_close(log);
	log = open_log(2);
	CU_ASSERT_EQUAL(quoll_fault_log_next(log, &fault), 1);
	CU_ASSERT_EQUAL(fault.mark, 3);
	CU_ASSERT_EQUAL(quoll_fault_log_next(log, &fault), 0);
	quoll_fault_log_close(log);
}

static void what_programs_have_written_to_the_log_is_no_fault(void)
{
	struct quoll_fault_log *log;
	struct quoll_fault fault;
	FILE *f;

	write_log("");
	f = log_file("a");
	fprintf(f, "12,1,1,-;" DMAR_WRITE, 1); /* facility 1: user */
	fclose(f);
	log = open_log(0);
	CU_ASSERT_EQUAL(quoll_fault_log_next(log, &fault), 0);
	quoll_fault_log_close(log);
}

static void lines_that_are_no_records_are_passed_over(void)
{
	struct quoll_fault_log *log;
	struct quoll_fault fault;
	FILE *f;

	write_log("\n;\n3\n3,1\n-3,1,1,-;x\n3,99999999999999999999,1,-;x\n3,1,1,-\n DMAR: [DMA\n\\x00\n3,,1,-;\n");
	f = log_file("a");
	for (unsigned int i = 0; i < 40000; i++) /* longer than any record */
		fputc('x', f);
	fputs("\n", f);
	fclose(f);
	append_fault(5);
	log = open_log(0);
	CU_ASSERT_EQUAL(quoll_fault_log_next(log, &fault), 1);
	CU_ASSERT_EQUAL(fault.iova, 0x5000);
	CU_ASSERT_EQUAL(quoll_fault_log_next(log, &fault), 0);
	CU_ASSERT_EQUAL(quoll_fault_log_lost(log), 0);
	quoll_fault_log_close(log);
}

static void a_line_that_is_not_whole_yet_waits(void)
{
	struct quoll_fault_log *log;
	struct quoll_fault fault;
	FILE *f;

	write_log("3,1,1,-;DMAR: [DMA Read NO_PASID] Request device [03:00.0] fault addr 0x7000 ");
	log = open_log(0);
	CU_ASSERT_EQUAL(quoll_fault_log_next(log, &fault), 0);
	f = log_file("a");
	fputs("[fault reason 0x06] PTE Read access is not set\n", f);
	fclose(f);
	CU_ASSERT_EQUAL(quoll_fault_log_next(log, &fault), 1);
	CU_ASSERT_EQUAL(fault.access, QUOLL_FAULT_READ);
	CU_ASSERT_EQUAL(fault.iova, 0x7000);
	quoll_fault_log_close(log);
}

static void an_event_of_several_lines_and_one_after_it(void)
{
	struct quoll_fault_log *log;
	struct quoll_fault fault;

	write_log("3,1,1,-;arm-smmu-v3 arm-smmu-v3.0.auto: event 0x10 received:\n"
		  "3,2,1,-;arm-smmu-v3 arm-smmu-v3.0.auto: \\x090x0000030000000010\n"
		  "3,3,1,-;arm-smmu-v3 arm-smmu-v3.0.auto: \\x090x0000020000000000\n"
		  "3,4,1,-;arm-smmu-v3 arm-smmu-v3.0.auto: \\x090x0000000000008000\n"
		  "3,5,1,-;arm-smmu-v3 arm-smmu-v3.0.auto: \\x090x0000000000008000\n");
	append_fault(6);
	log = open_log(0);
	CU_ASSERT_EQUAL(quoll_fault_log_next(log, &fault), 1);
	CU_ASSERT_EQUAL(fault.iova, 0x8000);
	CU_ASSERT_EQUAL(fault.mark, 1);
	CU_ASSERT_EQUAL(quoll_fault_log_next(log, &fault), 1);
	CU_ASSERT_EQUAL(fault.iova, 0x6000);
	CU_ASSERT_EQUAL(quoll_fault_log_next(log, &fault), 0);
	quoll_fault_log_close(log);
}

static void no_log_and_no_right_to_it_are_explained(void)
{
	struct quoll_fault_log *log = NULL;

	unlink(path);
	CU_ASSERT_EQUAL(quoll_fault_log_open(&env, 0, &log, &err), -ENOENT);
	CU_ASSERT(strstr(err.hint, "kmsg") != NULL);
	if (!geteuid()) /* root may read all files: let it be another that may not */
		return;
	write_log("");
	chmod(path, 0);
	CU_ASSERT_EQUAL(quoll_fault_log_open(&env, 0, &log, &err), -EACCES);
	CU_ASSERT(strstr(err.hint, "dmesg_restrict") != NULL);
	unlink(path);
}

static const struct unit_test tests[] = {
	{"from now on: only what comes", from_now_on_only_what_comes},
	{"all of the log, or from a mark on", all_of_the_log_or_from_a_mark_on},
	{"what programs have written to the log is no fault", what_programs_have_written_to_the_log_is_no_fault},
	{"lines that are no records are passed over", lines_that_are_no_records_are_passed_over},
	{"a line that is not whole yet waits", a_line_that_is_not_whole_yet_waits},
	{"an event of several lines, and one right after it", an_event_of_several_lines_and_one_after_it},
	{"no log, and no right to it, are explained", no_log_and_no_right_to_it_are_explained},
};

int main(void)
{
	int rc;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/kmsg", dir);
	rc = unit_main("fault", tests, sizeof(tests) / sizeof(tests[0]));
	unlink(path);
	rmdir(dir);
	return rc;
}
