/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_io.c - commands of the NVM command set: what they do, and each refusal with its status.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "target/mq_internal.h"
#include "tgt_fixture.h"

static struct host host;

/* Both formats, and each back end that keeps data. */
static const char *const backends[] = {"mem:16M", "mem:16M?bs=4096", "file:%s", "file:%s?bs=4096"};
#define NR_BACKENDS (sizeof(backends) / sizeof(backends[0]))

static char file_path[64];
static int file_fd;
static uint32_t block;

static void start(const char *backend)
{
	char text[128];

	strcpy(file_path, "/tmp/test_io.XXXXXX");
	file_fd = mkstemp(file_path);
	CU_ASSERT_EQUAL_FATAL(ftruncate(file_fd, 16 << 20), 0);
	if (strstr(backend, "%s"))
		snprintf(text, sizeof(text), "file:%s%s", file_path, strchr(backend, '?') ? "?bs=4096" : "");
	else
		snprintf(text, sizeof(text), "%s", backend);
	block = strstr(backend, "4096") ? 4096 : 512;
	host_start_io(&host, text);
}

static void stop(void)
{
	host_end(&host);
	close(file_fd);
	unlink(file_path);
}

static uint8_t *data(void)
{
	return host_va(&host, HOST_DATA);
}

static void pattern(uint8_t *bytes, size_t n, unsigned int seed)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)((i * 2654435761u >> 11) + seed);
}

static bool all_bytes(const uint8_t *bytes, size_t n, uint8_t value)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

static uint16_t rw(uint8_t opcode, uint64_t lba, uint32_t nr)
{
	return host_io(&host, host_rw(&host, opcode, lba, nr, block));
}

static void what_was_written_is_read_in_all_sizes(void)
{
	uint8_t *want = malloc(TGT_MAX_BYTES);

	for (size_t b = 0; b < NR_BACKENDS; b++) {
		start(backends[b]);
		for (uint32_t nr = 1; nr <= TGT_MAX_BYTES / block; nr *= 2) {
			pattern(want, nr * block, nr);
			memcpy(data(), want, nr * block);
			CU_ASSERT_EQUAL(rw(nvme_cmd_write, 7, nr), 0);
			memset(data(), 0, nr * block);
			CU_ASSERT_EQUAL(rw(nvme_cmd_read, 7, nr), 0);
			CU_ASSERT_EQUAL(memcmp(data(), want, nr * block), 0);
			CU_ASSERT_EQUAL(rw(nvme_cmd_compare, 7, nr), 0);
			data()[nr * block - 1] ^= 0x80;
			CU_ASSERT_EQUAL(rw(nvme_cmd_compare, 7, nr), MEDIA(COMPARE_FAILED));
		}
		stop();
	}
	free(want);
}

static void sgls_carry_data_as_prps_do(void)
{
	for (size_t b = 0; b < NR_BACKENDS; b++) {
		struct nvme_sqe cmd;
		quoll_le64 *list = host_va(&host, HOST_LIST);

		start(backends[b]);
		pattern(data(), 8192, 1);
		CU_ASSERT_EQUAL(rw(nvme_cmd_write, 0, 8192 / block), 0);
		cmd = host_rw(&host, nvme_cmd_read, 0, 8192 / block, block);
		/* To two places with odd addresses. */
		list[0] = HOST_PAGE(100) + 1;
		list[1] = 5000;
		list[2] = HOST_PAGE(200) + 77;
		list[3] = 3192;
		cmd.flags = 1 << 6;
		cmd.prp1 = HOST_LIST;
		cmd.prp2 = 32 | 0x30ull << 56;
		CU_ASSERT_EQUAL(host_io(&host, cmd), 0);
		CU_ASSERT_EQUAL(memcmp(host_va(&host, HOST_PAGE(100) + 1), data(), 5000), 0);
		CU_ASSERT_EQUAL(memcmp(host_va(&host, HOST_PAGE(200) + 77), data() + 5000, 3192), 0);
		cmd.flags = 2 << 6; /* the same for data */
		CU_ASSERT_EQUAL(host_io(&host, cmd), 0);
		cmd.flags = 3 << 6;
		CU_ASSERT_EQUAL(host_io(&host, cmd), NVME_SC_INVALID_FIELD);
		cmd.flags = 1 << 6;
		list[3]--;
		CU_ASSERT_EQUAL(host_io(&host, cmd), NVME_SC_SGL_INVALID_DATA);
		stop();
	}
}

static void ranges_beyond_the_namespace_are_refused(void)
{
	static const uint8_t ops[] = {nvme_cmd_read, nvme_cmd_write, nvme_cmd_compare, nvme_cmd_write_zeroes};

	for (size_t b = 0; b < NR_BACKENDS; b++) {
		uint64_t end;

		start(backends[b]);
		end = (16 << 20) / block;
		for (size_t i = 0; i < sizeof(ops); i++) {
			struct host_cqe cqe;

			CU_ASSERT_EQUAL(rw(ops[i], end - 2, 3), NVME_SC_LBA_RANGE);
			CU_ASSERT_EQUAL(rw(ops[i], end, 1), NVME_SC_LBA_RANGE);
			CU_ASSERT_EQUAL(rw(ops[i], UINT64_MAX, 1), NVME_SC_LBA_RANGE);
			CU_ASSERT_EQUAL(rw(ops[i], UINT64_MAX - 7, 16), NVME_SC_LBA_RANGE);
			CU_ASSERT_EQUAL(rw(ops[i], 1ull << 52, 8), NVME_SC_LBA_RANGE);
			cqe = host_run(&host, &host.io, host_rw(&host, ops[i], end - 2, 65536, block));
			CU_ASSERT_EQUAL(cqe.status, NVME_SC_LBA_RANGE);
			CU_ASSERT_TRUE(cqe.dnr);
			CU_ASSERT_EQUAL(rw(nvme_cmd_write, end - 2, 2), 0);
			CU_ASSERT_EQUAL(rw(ops[i], end - 2, 2), 0);
		}
		stop();
	}
}

static void transfers_above_mdts_are_refused(void)
{
	for (size_t b = 0; b < 2; b++) {
		start(backends[b]);
		CU_ASSERT_EQUAL(rw(nvme_cmd_read, 0, TGT_MAX_BYTES / block), 0);
		CU_ASSERT_EQUAL(rw(nvme_cmd_read, 0, TGT_MAX_BYTES / block + 1), NVME_SC_INVALID_FIELD);
		CU_ASSERT_EQUAL(rw(nvme_cmd_write, 0, TGT_MAX_BYTES / block + 1), NVME_SC_INVALID_FIELD);
		CU_ASSERT_EQUAL(rw(nvme_cmd_compare, 0, TGT_MAX_BYTES / block + 1), NVME_SC_INVALID_FIELD);
		stop();
	}
}

static void namespaces_that_are_not_there_are_refused(void)
{
	static const uint32_t invalid[] = {0, TGT_MAX_NAMESPACES + 1, 0x80000001, HOST_ALL};
	static const uint8_t ops[] = {nvme_cmd_flush,	nvme_cmd_read,	       nvme_cmd_write,
				      nvme_cmd_compare, nvme_cmd_write_zeroes, nvme_cmd_dsm};

	start(backends[0]);
	for (size_t i = 0; i < sizeof(ops); i++) {
		struct nvme_sqe cmd = host_rw(&host, ops[i], 0, 1, block);

		for (size_t j = 0; j < sizeof(invalid) / sizeof(invalid[0]); j++) {
			cmd.nsid = invalid[j];
			CU_ASSERT_EQUAL(host_io(&host, cmd), NVME_SC_INVALID_NS);
		}
		cmd.nsid = 2;
		CU_ASSERT_EQUAL(host_io(&host, cmd), NVME_SC_INVALID_FIELD);
		cmd.nsid = 1;
		CU_ASSERT_EQUAL(host_io(&host, cmd), 0);
		cmd.flags = 1; /* fused */
		CU_ASSERT_EQUAL(host_io(&host, cmd), NVME_SC_INVALID_FIELD);
		cmd.flags = 2;
		CU_ASSERT_EQUAL(host_io(&host, cmd), NVME_SC_INVALID_FIELD);
	}
	stop();
}

static void directives_are_refused(void)
{
	struct nvme_sqe cmd;

	start(backends[0]);
	cmd = host_rw(&host, nvme_cmd_write, 0, 1, block);
	cmd.cdw12 |= 1 << 20;
	CU_ASSERT_EQUAL(host_io(&host, cmd), NVME_SC_INVALID_FIELD);
	stop();
}

static void zeroes_are_written_without_data(void)
{
	for (size_t b = 0; b < NR_BACKENDS; b++) {
		struct nvme_sqe cmd;

		start(backends[b]);
		for (unsigned int fua = 0; fua < 2; fua++) {
			memset(data(), 0x33, 16 * block);
			rw(nvme_cmd_write, 0, 16);
			cmd = host_rw(&host, nvme_cmd_write_zeroes, 3, 10, block);
			cmd.prp1 = cmd.prp2 = 0x1001;
			cmd.cdw12 |= fua << 30 | fua << 25; /* and deallocate */
			CU_ASSERT_EQUAL(host_io(&host, cmd), 0);
			CU_ASSERT_EQUAL(rw(nvme_cmd_read, 0, 16), 0);
			CU_ASSERT_TRUE(all_bytes(data(), 3 * block, 0x33));
			CU_ASSERT_TRUE(all_bytes(data() + 3 * block, 10 * block, 0));
			CU_ASSERT_TRUE(all_bytes(data() + 13 * block, 3 * block, 0x33));
		}
		/* No limit but the namespace: MDTS is for data. */
		if (block == 512)
			CU_ASSERT_EQUAL(rw(nvme_cmd_write_zeroes, 0, 32768), 0);
		stop();
	}
}

static struct nvme_sqe dsm(const struct nvme_dsm_range *ranges, uint32_t nr, uint32_t attributes)
{
	memcpy(data(), ranges, nr * sizeof(*ranges));
	return (struct nvme_sqe){
		.opcode = nvme_cmd_dsm, .nsid = 1, .prp1 = HOST_DATA, .cdw10 = nr - 1, .cdw11 = attributes};
}

static void deallocated_blocks_read_as_zeroes(void)
{
	static const struct nvme_dsm_range ranges[] = {
		{.slba = 8, .nlb = 8}, {.slba = 3, .nlb = 0}, {.slba = 24, .nlb = 8}};

	for (size_t b = 0; b < NR_BACKENDS; b++) {
		start(backends[b]);
		memset(data(), 0x44, 40 * block);
		rw(nvme_cmd_write, 0, 40);
		CU_ASSERT_EQUAL(host_io(&host, dsm(ranges, 3, NVME_DSMGMT_IDR)), 0); /* a hint, and no more */
		rw(nvme_cmd_read, 0, 40);
		CU_ASSERT_TRUE(all_bytes(data(), 40 * block, 0x44));
		CU_ASSERT_EQUAL(host_io(&host, dsm(ranges, 3, NVME_DSMGMT_AD)), 0);
		rw(nvme_cmd_read, 0, 40);
		CU_ASSERT_TRUE(all_bytes(data(), 8 * block, 0x44));
		CU_ASSERT_TRUE(all_bytes(data() + 8 * block, 8 * block, 0));
		CU_ASSERT_TRUE(all_bytes(data() + 16 * block, 8 * block, 0x44));
		CU_ASSERT_TRUE(all_bytes(data() + 24 * block, 8 * block, 0));
		CU_ASSERT_TRUE(all_bytes(data() + 32 * block, 8 * block, 0x44));
		stop();
	}
}

static void a_wrong_range_deallocates_nothing(void)
{
	struct nvme_dsm_range ranges[256];

	for (size_t b = 0; b < NR_BACKENDS; b++) {
		struct nvme_sqe cmd;

		start(backends[b]);
		memset(data(), 0x44, 8 * block);
		rw(nvme_cmd_write, 0, 8);
		for (unsigned int i = 0; i < 256; i++)
			ranges[i] = (struct nvme_dsm_range){.slba = i % 8, .nlb = 1};
		ranges[255] = (struct nvme_dsm_range){.slba = (16 << 20) / block - 1, .nlb = 2};
		CU_ASSERT_EQUAL(host_io(&host, dsm(ranges, 256, NVME_DSMGMT_AD)), NVME_SC_LBA_RANGE);
		ranges[255] = (struct nvme_dsm_range){.slba = UINT64_MAX, .nlb = 0xffffffff};
		CU_ASSERT_EQUAL(host_io(&host, dsm(ranges, 256, NVME_DSMGMT_AD)), NVME_SC_LBA_RANGE);
		rw(nvme_cmd_read, 0, 8);
		CU_ASSERT_TRUE(all_bytes(data(), 8 * block, 0x44));
		cmd = dsm(ranges, 256, NVME_DSMGMT_AD);
		cmd.prp1 = 0x5000;
		CU_ASSERT_EQUAL(host_io(&host, cmd), NVME_SC_DATA_XFER_ERROR);
		ranges[255].nlb = 0;
		ranges[255].slba = 0;
		CU_ASSERT_EQUAL(host_io(&host, dsm(ranges, 256, NVME_DSMGMT_AD)), 0);
		rw(nvme_cmd_read, 0, 8);
		CU_ASSERT_TRUE(all_bytes(data(), 8 * block, 0));
		stop();
	}
}

static void flush_and_fua_succeed(void)
{
	for (size_t b = 0; b < NR_BACKENDS; b++) {
		struct nvme_sqe cmd;

		start(backends[b]);
		cmd = host_rw(&host, nvme_cmd_write, 5, 1, block);
		pattern(data(), block, 9);
		cmd.cdw12 |= 1u << 30;
		CU_ASSERT_EQUAL(host_io(&host, cmd), 0);
		if (strstr(backends[b], "file")) {
			uint8_t in[4096];

			CU_ASSERT_EQUAL(pread(file_fd, in, block, 5 * block), block);
			CU_ASSERT_EQUAL(memcmp(in, data(), block), 0);
		}
		CU_ASSERT_EQUAL(host_io(&host, (struct nvme_sqe){.opcode = nvme_cmd_flush, .nsid = 1}), 0);
		stop();
	}
}

static uint8_t far_memory[65536];
static unsigned int far_calls;

static int far_read(void *arg, uint64_t iova, void *dst, size_t len)
{
	(void)arg;
	far_calls++;
	memcpy(dst, far_memory + (iova & 0xffff), len);
	return 0;
}

static int far_write(void *arg, uint64_t iova, const void *src, size_t len)
{
	(void)arg;
	far_calls++;
	memcpy(far_memory + (iova & 0xffff), src, len);
	return 0;
}

static void unmapped_data_goes_by_messages_or_fails_its_command(void)
{
	static const struct tgt_guest_ops ops = {.read = far_read, .write = far_write};
	struct tgt_guest_range range = {.iova = 0x10000, .len = 65536, .prot = HOST_RW};

	for (size_t b = 0; b < NR_BACKENDS; b++) {
		struct nvme_sqe cmd;

		start(backends[b]);
		CU_ASSERT_EQUAL(tgt_guest_add(&host.guest, &range), 0);
		cmd = host_rw(&host, nvme_cmd_write, 0, 8192 / block, block);
		cmd.prp1 = 0x11000;
		CU_ASSERT_EQUAL(host_io(&host, cmd), NVME_SC_DATA_XFER_ERROR);
		host.guest.ops = &ops;
		pattern(far_memory, sizeof(far_memory), 2);
		pattern(data() + 4096, 4096, 3);
		CU_ASSERT_EQUAL(host_io(&host, cmd), 0);
		CU_ASSERT_EQUAL(rw(nvme_cmd_read, 0, 8192 / block), 0);
		CU_ASSERT_EQUAL(memcmp(data(), far_memory + 0x1000, 4096), 0);
		cmd.opcode = nvme_cmd_compare;
		CU_ASSERT_EQUAL(host_io(&host, cmd), 0);
		cmd.opcode = nvme_cmd_read;
		memset(far_memory, 0, sizeof(far_memory));
		CU_ASSERT_EQUAL(host_io(&host, cmd), 0);
		CU_ASSERT_EQUAL(memcmp(data(), far_memory + 0x1000, 4096), 0);
		CU_ASSERT_TRUE(far_calls > 0);
		stop();
	}
}

static void the_write_cache_can_be_switched_off(void)
{
	struct nvme_sqe cmd = {.opcode = nvme_admin_set_features, .cdw10 = NVME_FEAT_FID_VOLATILE_WC};

	start(backends[2]);
	CU_ASSERT_FALSE(host.ctrl->write_through);
	CU_ASSERT_EQUAL(host_admin(&host, cmd), 0);
	CU_ASSERT_TRUE(host.ctrl->write_through);
	CU_ASSERT_EQUAL(rw(nvme_cmd_write, 0, 8), 0);
	host_disable(&host);
	CU_ASSERT_EQUAL(host_enable(&host), 0);
	CU_ASSERT_FALSE(host.ctrl->write_through);
	stop();
}

/* Entries, lists and descriptors change while they are fetched; doorbells jump. Data stays where it is. */
struct writer {
	bool done;
	unsigned int seed;
};

static void store(uint64_t iova, uint64_t value)
{
	__atomic_store_n((quoll_le64 *)host_va(&host, iova), value, __ATOMIC_RELAXED);
}

static void *rewrite(void *arg)
{
	static const uint64_t pointers[] = {HOST_PAGE(100), HOST_PAGE(101), HOST_PAGE(102) + 4, 0, ~0ull, HOST_LIST};
	struct writer *writer = arg;
	uint64_t x = writer->seed;

	while (!__atomic_load_n(&writer->done, __ATOMIC_RELAXED)) {
		uint64_t slot, word;

		x = x * 6364136223846793005ull + 1442695040888963407ull;
		slot = x >> 33 & 63;
		word = x >> 40 & 7;
		/* Words 0, 5 and 6: opcode and NSID, LBA, length; the others are pointers. */
		store(host.io.sq + slot * 64 + word * 8,
		      word == 0	  ? (x >> 20 & 0xf) | (x >> 24 & 3) << 14 | (x >> 50 & 1) << 32
		      : word == 5 ? x >> 60
		      : word == 6 ? x >> 58
				  : pointers[(x >> 44) % 5]);
		store(HOST_LIST + (x >> 30 & 63) * 8, pointers[(x >> 48) % 5]);
		__atomic_store_n(&host.doorbells[2], (uint32_t)(x >> 55) % 70, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void a_host_that_rewrites_everything_gets_answers(void)
{
	struct writer writer = {.seed = 7};
	struct nvme_cqe *cqes = host_va(&host, host.io.cq);
	time_t until = time(NULL) + 30;
	uint64_t nr_done = 0;
	pthread_t thread;

	/* Nothing is transferred, so that the only races are those that are meant. */
	start("null:");
	cqes = host_va(&host, host.io.cq);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, rewrite, &writer), 0);
	while (nr_done < 50000 && time(NULL) < until) {
		nr_done += tgt_mq_poll(host.mq);
		/* Whatever came is read. */
		__atomic_store_n(&host.doorbells[3], host.mq->cqs[1]->tail, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&writer.done, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CU_ASSERT_TRUE(nr_done >= 50000);
	CU_ASSERT_EQUAL(nvme_cqe_sqid(cqes[0].sqhd_sqid), 1);
	/* And it serves on. */
	host_disable(&host);
	CU_ASSERT_EQUAL(host_enable(&host), 0);
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, HOST_ENTRIES), 0);
	CU_ASSERT_EQUAL(rw(nvme_cmd_read, 0, 8), 0);
	stop();
}

static const struct unit_test tests[] = {
	{"what was written is read, in all sizes", what_was_written_is_read_in_all_sizes},
	{"SGLs carry data as PRPs do", sgls_carry_data_as_prps_do},
	{"ranges beyond the namespace are refused", ranges_beyond_the_namespace_are_refused},
	{"transfers above MDTS are refused", transfers_above_mdts_are_refused},
	{"namespaces that are not there are refused", namespaces_that_are_not_there_are_refused},
	{"directives are refused", directives_are_refused},
	{"zeroes are written without data", zeroes_are_written_without_data},
	{"deallocated blocks read as zeroes", deallocated_blocks_read_as_zeroes},
	{"a wrong range deallocates nothing", a_wrong_range_deallocates_nothing},
	{"Flush and FUA succeed", flush_and_fua_succeed},
	{"unmapped data goes by messages, or fails its command", unmapped_data_goes_by_messages_or_fails_its_command},
	{"the write cache can be switched off", the_write_cache_can_be_switched_off},
	{"a host that rewrites everything gets answers", a_host_that_rewrites_everything_gets_answers},
};

UNIT_MAIN("apps/target/io", tests)
