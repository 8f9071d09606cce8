/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_features.c - features are set, got, back at their defaults after a reset, and refused where the specification
 * says so.
 */
#include "tgt_fixture.h"

static struct host host;

static struct host_cqe set(uint32_t cdw10, uint32_t cdw11, uint32_t nsid)
{
	return host_run(&host, &host.admin,
			(struct nvme_sqe){.opcode = nvme_admin_set_features,
					  .nsid = nsid,
					  .prp1 = HOST_DATA,
					  .cdw10 = cdw10,
					  .cdw11 = cdw11});
}

static struct host_cqe get(uint32_t cdw10, uint32_t cdw11, uint32_t nsid)
{
	return host_run(&host, &host.admin,
			(struct nvme_sqe){.opcode = nvme_admin_get_features,
					  .nsid = nsid,
					  .prp1 = HOST_DATA,
					  .cdw10 = cdw10,
					  .cdw11 = cdw11});
}

static void start(void)
{
	host_start_io(&host, "mem:1M");
	CU_ASSERT_EQUAL(host_add_ns(&host, "mem:1M"), 2);
	host_poll(&host, 1);
}

static const struct {
	uint8_t fid;
	uint32_t value;
	uint32_t kept;
	uint32_t fallback;
} plain[] = {
	{NVME_FEAT_FID_ARBITRATION, 0x11223303, 0x11223303, 7},
	{NVME_FEAT_FID_POWER_MGMT, 0x40, 0x40, 0},
	{NVME_FEAT_FID_VOLATILE_WC, 0xfffffffe, 0, 1},
	{NVME_FEAT_FID_IRQ_COALESCE, 0xabc12, 0xbc12, 0},
	{NVME_FEAT_FID_WRITE_ATOMIC, 1, 1, 0},
	{NVME_FEAT_FID_ASYNC_EVENT, 0xffffffff, 0x102, 0},
};

#define NR_PLAIN (sizeof(plain) / sizeof(plain[0]))

static void values_are_kept_until_a_reset(void)
{
	start();
	for (size_t i = 0; i < NR_PLAIN; i++) {
		CU_ASSERT_EQUAL(get(plain[i].fid, 0, 0).result, plain[i].fallback);
		CU_ASSERT_EQUAL(set(plain[i].fid, plain[i].value, 0).status, 0);
		CU_ASSERT_EQUAL(get(plain[i].fid, 0, 0).result, plain[i].kept);
		CU_ASSERT_EQUAL(get(plain[i].fid | NVME_GET_FEATURES_SEL_DEFAULT << 8, 0, 0).result, plain[i].fallback);
		CU_ASSERT_EQUAL(get(plain[i].fid | NVME_GET_FEATURES_SEL_SAVED << 8, 0, 0).result, plain[i].fallback);
		CU_ASSERT_EQUAL(get(plain[i].fid | NVME_GET_FEATURES_SEL_SUPPORTED << 8, 0, 0).result, 4);
	}
	host_disable(&host);
	CU_ASSERT_EQUAL(host_enable(&host), 0);
	for (size_t i = 0; i < NR_PLAIN; i++)
		CU_ASSERT_EQUAL(get(plain[i].fid, 0, 0).result, plain[i].fallback);
	host_end(&host);
}

static void nothing_is_saved(void)
{
	struct host_cqe cqe;

	start();
	for (size_t i = 0; i < NR_PLAIN; i++) {
		cqe = set(plain[i].fid | 1u << 31, plain[i].value, 0);
		CU_ASSERT_EQUAL(cqe.status, CMD(FEATURE_NOT_SAVEABLE));
		CU_ASSERT_TRUE(cqe.dnr);
		CU_ASSERT_EQUAL(get(plain[i].fid, 0, 0).result, plain[i].fallback);
	}
	host_end(&host);
}

static void unknown_features_and_selections_are_refused(void)
{
	static const uint8_t unknown[] = {0, 3, 0xc, 0xd, NVME_FEAT_FID_KATO, 0x10, 0x19, 0x7f, 0x80, 0x81, 0xc0, 0xff};

	start();
	for (size_t i = 0; i < sizeof(unknown); i++) {
		CU_ASSERT_EQUAL(set(unknown[i], 0, 0).status, NVME_SC_INVALID_FIELD);
		CU_ASSERT_EQUAL(get(unknown[i], 0, 0).status, NVME_SC_INVALID_FIELD);
	}
	for (uint32_t sel = 4; sel < 8; sel++)
		CU_ASSERT_EQUAL(get(NVME_FEAT_FID_ARBITRATION | sel << 8, 0, 0).status, NVME_SC_INVALID_FIELD);
	host_end(&host);
}

static void features_of_the_controller_have_no_namespace(void)
{
	start();
	CU_ASSERT_EQUAL(set(NVME_FEAT_FID_VOLATILE_WC, 1, 1).status, CMD(FEATURE_NOT_PER_NS));
	CU_ASSERT_EQUAL(set(NVME_FEAT_FID_VOLATILE_WC, 1, 9999).status, NVME_SC_INVALID_NS);
	CU_ASSERT_EQUAL(set(NVME_FEAT_FID_VOLATILE_WC, 1, HOST_ALL).status, 0);
	host_end(&host);
}

static void error_recovery_is_each_namespaces_own(void)
{
	const uint8_t fid = NVME_FEAT_FID_ERR_RECOVERY;

	start();
	CU_ASSERT_EQUAL(set(fid, 5, 1).status, 0);
	CU_ASSERT_EQUAL(get(fid, 0, 1).result, 5);
	CU_ASSERT_EQUAL(get(fid, 0, 2).result, 0);
	CU_ASSERT_EQUAL(set(fid, 6, HOST_ALL).status, 0);
	CU_ASSERT_EQUAL(get(fid, 0, 1).result, 6);
	CU_ASSERT_EQUAL(get(fid, 0, 2).result, 6);
	CU_ASSERT_EQUAL(get(fid | NVME_GET_FEATURES_SEL_SUPPORTED << 8, 0, 0).result,
			6); /* per namespace, changeable */
	CU_ASSERT_EQUAL(get(fid, 0, HOST_ALL).status, NVME_SC_INVALID_NS);
	CU_ASSERT_EQUAL(get(fid, 0, 0).status, NVME_SC_INVALID_NS);
	CU_ASSERT_EQUAL(get(fid, 0, 3).status, NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(set(fid, 0, 3).status, NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(set(fid, 1u << 16, 1).status, NVME_SC_INVALID_FIELD); /* DULBE */
	host_end(&host);
}

static void temperature_thresholds_are_for_the_composite_temperature(void)
{
	const uint8_t fid = NVME_FEAT_FID_TEMP_THRESH;

	start();
	CU_ASSERT_EQUAL(get(fid, 0, 0).result, TGT_WARN_TEMPERATURE);
	CU_ASSERT_EQUAL(get(fid, 1 << 20, 0).result, 0);
	CU_ASSERT_EQUAL(set(fid, 350, 0).status, 0);
	CU_ASSERT_EQUAL(set(fid, 1 << 20 | 200, 0).status, 0);
	CU_ASSERT_EQUAL(get(fid, 0, 0).result, 350);
	CU_ASSERT_EQUAL(get(fid, 1 << 20, 0).result, 200);
	CU_ASSERT_EQUAL(set(fid, 0xf << 16 | 360, 0).status, 0);
	CU_ASSERT_EQUAL(get(fid, 0, 0).result, 360);
	CU_ASSERT_EQUAL(set(fid, 1 << 16 | 350, 0).status, NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(set(fid, 2 << 20 | 350, 0).status, NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(get(fid, 0xf << 16, 0).status, NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(get(fid, 3 << 20, 0).status, NVME_SC_INVALID_FIELD);
	host_end(&host);
}

static void there_is_one_power_state(void)
{
	start();
	CU_ASSERT_EQUAL(set(NVME_FEAT_FID_POWER_MGMT, 1, 0).status, NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(set(NVME_FEAT_FID_POWER_MGMT, 3 << 5, 0).status, NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(set(NVME_FEAT_FID_POWER_MGMT, 2 << 5, 0).status, 0);
	host_end(&host);
}

static void queues_are_given_before_there_are_any(void)
{
	const uint8_t fid = NVME_FEAT_FID_NUM_QUEUES;

	host_start(&host, NULL);
	CU_ASSERT_EQUAL(get(fid, 0, 0).result, 63 << 16 | 63);
	CU_ASSERT_EQUAL(set(fid, 7 << 16 | 7, 0).result, 7 << 16 | 7);
	CU_ASSERT_EQUAL(get(fid, 0, 0).result, 7 << 16 | 7);
	CU_ASSERT_EQUAL(set(fid, 1000u << 16 | 500, 0).result, 63 << 16 | 63);
	CU_ASSERT_EQUAL(set(fid, 0xffff0000u, 0).status, NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(set(fid, 0x0000ffffu, 0).status, NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(set(fid, 1 << 16 | 1, 0).status, 0);
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 3, 16), CMD(QID_INVALID));
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 2, 16), 0);
	CU_ASSERT_EQUAL(set(fid, 7 << 16 | 7, 0).status, NVME_SC_CMD_SEQ_ERROR);
	host_end(&host);
}

static void vectors_beyond_the_last_have_no_configuration(void)
{
	const uint8_t fid = NVME_FEAT_FID_IRQ_CONFIG;

	start();
	CU_ASSERT_EQUAL(set(fid, 1 << 16 | 3, 0).status, 0);
	CU_ASSERT_EQUAL(get(fid, 3, 0).result, 1 << 16 | 3);
	CU_ASSERT_EQUAL(get(fid, 4, 0).result, 4);
	CU_ASSERT_EQUAL(set(fid, TGT_MAX_VECTORS, 0).status, NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(get(fid, 0xffff, 0).status, NVME_SC_INVALID_FIELD);
	host_end(&host);
}

static void the_timestamp_goes_on_from_where_it_was_set(void)
{
	quoll_le64 *data;
	uint64_t value = 0x123456789abcull;

	start();
	data = host_va(&host, HOST_DATA);
	CU_ASSERT_EQUAL(get(NVME_FEAT_FID_TIMESTAMP, 0, 0).status, 0);
	CU_ASSERT_EQUAL(*data >> 48, 0);
	*data = value | 0xffffull << 48;
	CU_ASSERT_EQUAL(set(NVME_FEAT_FID_TIMESTAMP, 0, 0).status, 0);
	*data = 0;
	CU_ASSERT_EQUAL(get(NVME_FEAT_FID_TIMESTAMP, 0, 0).status, 0);
	CU_ASSERT_EQUAL(*data >> 48, 2); /* origin: set by the host */
	CU_ASSERT_TRUE((*data & 0xffffffffffffull) >= value && (*data & 0xffffffffffffull) < value + 600000);
	host_end(&host);
}

static void host_behaviour_is_three_switches(void)
{
	uint8_t *data;

	start();
	data = host_va(&host, HOST_DATA);
	memset(data, 0, 512);
	data[0] = 1;
	data[2] = 1;
	CU_ASSERT_EQUAL(set(NVME_FEAT_FID_HOST_BEHAVIOR, 0, 0).status, 0);
	memset(data, 0xee, 512);
	CU_ASSERT_EQUAL(get(NVME_FEAT_FID_HOST_BEHAVIOR, 0, 0).status, 0);
	CU_ASSERT_EQUAL(data[0], 1);
	CU_ASSERT_EQUAL(data[1], 0);
	CU_ASSERT_EQUAL(data[2], 1);
	CU_ASSERT_EQUAL(data[511], 0);
	data[1] = 2;
	CU_ASSERT_EQUAL(set(NVME_FEAT_FID_HOST_BEHAVIOR, 0, 0).status, NVME_SC_INVALID_FIELD);
	host_end(&host);
}

static const struct unit_test tests[] = {
	{"values are kept until a reset", values_are_kept_until_a_reset},
	{"nothing is saved", nothing_is_saved},
	{"unknown features and selections are refused", unknown_features_and_selections_are_refused},
	{"features of the controller have no namespace", features_of_the_controller_have_no_namespace},
	{"error recovery is each namespace's own", error_recovery_is_each_namespaces_own},
	{"temperature thresholds are for the composite temperature",
	 temperature_thresholds_are_for_the_composite_temperature},
	{"there is one power state", there_is_one_power_state},
	{"queues are given before there are any", queues_are_given_before_there_are_any},
	{"vectors beyond the last have no configuration", vectors_beyond_the_last_have_no_configuration},
	{"the timestamp goes on from where it was set", the_timestamp_goes_on_from_where_it_was_set},
	{"host behaviour is three switches", host_behaviour_is_three_switches},
};

UNIT_MAIN("apps/target/features", tests)
