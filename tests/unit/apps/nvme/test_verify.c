/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_verify.c - random writes read back: an honest device passes, a lying one does not.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "nvme/verify.h"
#include "session_fixture.h"
#include "unit.h"

#define OPC_WRITE 0x01
#define OPC_READ 0x02

static void start(struct session_fixture *sf, struct verify *run, const struct verify_job *job)
{
	session_fixture_open(sf);
	*run = (struct verify){.t.session = &sf->session, .t.ns = sf->ns, .t.stall_ms = 2000, .job = *job};
}

static void finish(struct session_fixture *sf, struct verify *run)
{
	verify_close(run);
	session_fixture_fini(sf);
}

static const struct verify_job job = {
	.lba = 100, .nr_lbas = 4000, .nr_writes = 300, .seed = 3, .max_bytes = 200 << 10, .depth = 5};

static void an_honest_device_passes_and_keeps_to_the_range(void)
{
	struct session_fixture sf;
	struct verify run;
	uint8_t *disk;

	session_fixture_init(&sf);
	sf.fx.fake.shuffle = true;
	disk = sf.fx.fake.ns[0].disk;
	start(&sf, &run, &job);
	CU_ASSERT_EQUAL_FATAL(verify_open(&run, &sf.err), 0);
	CU_ASSERT_EQUAL(verify_run(&run, &sf.err), 0);
	CU_ASSERT_EQUAL(run.nr_mismatches, 0);
	CU_ASSERT_EQUAL(run.nr_writes, 300);
	/* 300 writes of 17 KiB on average into 2 MiB: nearly every block was met */
	CU_ASSERT(run.read_lbas > 3500 && run.read_lbas <= 4000);
	CU_ASSERT(run.written_lbas > run.read_lbas);
	for (unsigned int i = 0; i < 100 * 512; i++)
		CU_ASSERT_EQUAL(disk[i], 0);
	for (unsigned int i = 4100 * 512; i < 4200 * 512; i++)
		CU_ASSERT_EQUAL(disk[i], 0);
	finish(&sf, &run);
}

static atomic_uint nr_reads;

/* Before the tenth read one bit of the block that it starts with changes. */
static uint16_t spoil(struct fake_nvme *fake, uint16_t qid, const union nvme_sq_slot *sqe)
{
	const uint8_t *bytes = (const uint8_t *)sqe;
	uint64_t lba;

	(void)qid;
	memcpy(&lba, bytes + 40, sizeof(lba));
	if (bytes[0] == OPC_READ && atomic_fetch_add(&nr_reads, 1) == 9)
		fake->ns[0].disk[lba * 512 + 511] ^= 1;
	return 0;
}

static void one_wrong_bit_is_found_and_its_block_named(void)
{
	struct session_fixture sf;
	struct verify run;

	session_fixture_init(&sf);
	atomic_store(&nr_reads, 0);
	sf.fx.fake.on_io = spoil;
	start(&sf, &run, &job);
	CU_ASSERT_EQUAL_FATAL(verify_open(&run, &sf.err), 0);
	CU_ASSERT_EQUAL(verify_run(&run, &sf.err), 0);
	CU_ASSERT_EQUAL(run.nr_mismatches, 1);
	CU_ASSERT(run.mismatches[0] >= 100 && run.mismatches[0] < 4100);
	finish(&sf, &run);
}

static uint16_t refuse_writes(struct fake_nvme *fake, uint16_t qid, const union nvme_sq_slot *sqe)
{
	(void)fake;
	(void)qid;
	return *(const uint8_t *)sqe == OPC_WRITE ? 0x120 : 0; /* namespace is write protected: 020h */
}

static void a_refused_write_ends_the_run_with_its_status(void)
{
	struct session_fixture sf;
	struct verify run;

	session_fixture_init(&sf);
	sf.fx.fake.on_io = refuse_writes;
	start(&sf, &run, &job);
	CU_ASSERT_EQUAL_FATAL(verify_open(&run, &sf.err), 0);
	CU_ASSERT_EQUAL(verify_run(&run, &sf.err), -EIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(sf.err.what, "write of "));
	CU_ASSERT_PTR_NOT_NULL(strstr(sf.err.what, "0x120"));
	finish(&sf, &run);
}

/* A device that takes requests and answers none shows how many there are at a time. */
static unsigned int in_flight_within(uint64_t nr_lbas)
{
	struct verify_job narrow = job;
	struct session_fixture sf;
	struct verify run;
	unsigned int nr;

	session_fixture_init(&sf);
	narrow.nr_lbas = nr_lbas;
	narrow.max_bytes = 512;
	start(&sf, &run, &narrow);
	run.t.stall_ms = 100;
	CU_ASSERT_EQUAL_FATAL(verify_open(&run, &sf.err), 0);
	sf.fx.fake.mute_io = true;
	CU_ASSERT_EQUAL(verify_run(&run, &sf.err), -ETIMEDOUT);
	nr = run.t.nr_busy;
	finish(&sf, &run);
	return nr;
}

static void writes_that_overlap_are_never_in_flight_together(void)
{
	CU_ASSERT_EQUAL(in_flight_within(1), 1);
	CU_ASSERT_EQUAL(in_flight_within(1000000 / 512), 5);
}

static void a_range_beyond_the_namespace_is_refused(void)
{
	struct verify_job beyond = job;
	struct session_fixture sf;
	struct verify run;

	session_fixture_init(&sf);
	beyond.lba = 16000;
	start(&sf, &run, &beyond);
	CU_ASSERT_EQUAL(verify_open(&run, &sf.err), -ERANGE);
	CU_ASSERT(sf.err.hint[0] != '\0');
	finish(&sf, &run);
}

static void a_fault_of_the_iommu_is_told_and_known_not_to_be_known(void)
{
	struct session_fixture sf;
	json_t *doc = json_object();
	struct verify run;

	session_fixture_init(&sf);
	start(&sf, &run, &job);
	CU_ASSERT_EQUAL_FATAL(verify_open(&run, &sf.err), 0);
	nvme_recovery_describe(&sf.session, doc);
	CU_ASSERT(json_is_null(json_object_get(doc, "faults")));
	session_fixture_watch_faults(&sf);
	session_fixture_fault(&sf, 0x1000);
	CU_ASSERT_EQUAL(verify_run(&run, &sf.err), 0);
	CU_ASSERT_EQUAL(sf.log.nr_told, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(sf.log.told, "at IOVA 0x1000 (no memory of this program): PTE"));
	nvme_recovery_describe(&sf.session, doc);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(doc, "faults")), 1);
	json_decref(doc);
	finish(&sf, &run);
}

static const struct unit_test tests[] = {
	{"an honest device passes, and the range is kept to", an_honest_device_passes_and_keeps_to_the_range},
	{"one wrong bit is found and its block named", one_wrong_bit_is_found_and_its_block_named},
	{"a refused write ends the run with its status", a_refused_write_ends_the_run_with_its_status},
	{"writes that overlap are never in flight together", writes_that_overlap_are_never_in_flight_together},
	{"a range beyond the namespace is refused", a_range_beyond_the_namespace_is_refused},
	{"a fault of the IOMMU is told, and known not to be known",
	 a_fault_of_the_iommu_is_told_and_known_not_to_be_known},
};

UNIT_MAIN("random writes read back", tests)
