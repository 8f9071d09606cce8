/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_caps.c - capabilities as peers in the field state them, as ours are printed, and as nobody should.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"
#include "vfio_user/caps.h"

/* A copy that ends where the text does, so that a read beyond it is seen. */
static int parse(const char *text, struct vuser_caps *caps)
{
	size_t bytes = strlen(text) + 1;
	char *exact = malloc(bytes);
	int rc;

	CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
	memcpy(exact, text, bytes);
	rc = vuser_caps_parse(exact, bytes, caps);
	free(exact);
	return rc;
}

static void what_is_not_stated_has_its_default(void)
{
	static const char *const texts[] = {"", "{}", "{\"capabilities\": {}}",
					    "{\"capabilities\": {\"migration\": 1}}"};
	struct vuser_caps caps;

	for (unsigned int i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(i ? parse(texts[i], &caps) : vuser_caps_parse(NULL, 0, &caps), 0);
		CU_ASSERT_EQUAL(caps.max_msg_fds, 1);
		CU_ASSERT_EQUAL(caps.max_data_bytes, 1048576);
		CU_ASSERT_EQUAL(caps.max_dma_maps, 65535);
		CU_ASSERT_EQUAL(caps.pgsizes, 4096);
		CU_ASSERT_FALSE(caps.write_multiple);
		CU_ASSERT_FALSE(caps.twin_socket);
		CU_ASSERT_EQUAL(caps.twin_fd_index, -1);
	}
}

static void stated_values_are_taken(void)
{
	struct vuser_caps caps;

	CU_ASSERT_EQUAL(parse("{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":65536,\"max_dma_maps\":3,"
			      "\"pgsizes\":2101248,\"write_multiple\":true,\"migration\":{\"pgsize\":4096},"
			      "\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}",
			      &caps),
			0);
	CU_ASSERT_EQUAL(caps.max_msg_fds, 8);
	CU_ASSERT_EQUAL(caps.max_data_bytes, 65536);
	CU_ASSERT_EQUAL(caps.max_dma_maps, 3);
	CU_ASSERT_EQUAL(caps.pgsizes, 2101248);
	CU_ASSERT_TRUE(caps.write_multiple);
	CU_ASSERT_TRUE(caps.twin_socket);
	CU_ASSERT_EQUAL(caps.twin_fd_index, 0);
}

static void values_too_large_for_a_field_become_its_largest(void)
{
	struct vuser_caps caps;

	CU_ASSERT_EQUAL(parse("{\"capabilities\":{\"max_msg_fds\":4294967297,\"pgsizes\":9223372036854775807}}", &caps),
			0);
	CU_ASSERT_EQUAL(caps.max_msg_fds, UINT32_MAX);
	CU_ASSERT_EQUAL(caps.pgsizes, INT64_MAX);
}

static void what_makes_no_sense_is_refused(void)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{",
		"{}x",
		"{\"capabilities\": []}",
		"{\"capabilities\": {\"max_msg_fds\": -1}}",
		"{\"capabilities\": {\"max_msg_fds\": \"8\"}}",
		"{\"capabilities\": {\"max_msg_fds\": 1.5}}",
		"{\"capabilities\": {\"max_msg_fds\": 99999999999999999999}}",
		"{\"capabilities\": {\"max_data_xfer_size\": 0}}",
		"{\"capabilities\": {\"pgsizes\": 0}}",
		"{\"capabilities\": {\"write_multiple\": 1}}",
		"{\"capabilities\": {\"twin_socket\": true}}",
		"{\"capabilities\": {\"twin_socket\": {\"supported\": 1}}}",
		"{\"capabilities\": {\"twin_socket\": {\"supported\": true, \"fd_index\": -1}}}",
	};
	struct vuser_caps caps;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		CU_ASSERT_EQUAL(parse(texts[i], &caps), -EPROTO);
		if (parse(texts[i], &caps) != -EPROTO)
			printf("accepted: %s\n", texts[i]);
	}
}

static void text_without_its_end_or_too_long_is_refused(void)
{
	char *text = malloc(VUSER_CAPS_MAX_BYTES + 1);
	struct vuser_caps caps;

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	memset(text, ' ', VUSER_CAPS_MAX_BYTES + 1);
	memcpy(text, "{}", 2);
	CU_ASSERT_EQUAL(vuser_caps_parse(text, 2, &caps), -EPROTO);
	text[VUSER_CAPS_MAX_BYTES - 1] = '\0';
	CU_ASSERT_EQUAL(vuser_caps_parse(text, VUSER_CAPS_MAX_BYTES, &caps), 0);
	text[VUSER_CAPS_MAX_BYTES - 1] = ' ';
	text[VUSER_CAPS_MAX_BYTES] = '\0';
	CU_ASSERT_EQUAL(vuser_caps_parse(text, VUSER_CAPS_MAX_BYTES + 1, &caps), -EPROTO);
	text[5] = '\0'; /* a zero within is not the end */
	text[VUSER_CAPS_MAX_BYTES - 1] = '\0';
	CU_ASSERT_EQUAL(vuser_caps_parse(text, VUSER_CAPS_MAX_BYTES, &caps), -EPROTO);
	free(text);
}

static void what_is_printed_is_read_back(void)
{
	struct vuser_caps one = {.max_msg_fds = 64,
				 .max_data_bytes = 1 << 20,
				 .max_dma_maps = 1000,
				 .pgsizes = 0x201000,
				 .write_multiple = true,
				 .twin_socket = true,
				 .twin_fd_index = 2},
			  two;
	char *text = vuser_caps_print(&one);

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	CU_ASSERT_EQUAL(parse(text, &two), 0);
	free(text);
	CU_ASSERT_EQUAL(two.max_msg_fds, 64);
	CU_ASSERT_EQUAL(two.max_data_bytes, 1 << 20);
	CU_ASSERT_EQUAL(two.max_dma_maps, 1000);
	CU_ASSERT_EQUAL(two.pgsizes, 0x201000);
	CU_ASSERT_TRUE(two.write_multiple);
	CU_ASSERT_TRUE(two.twin_socket);
	CU_ASSERT_EQUAL(two.twin_fd_index, 2);
	one.write_multiple = one.twin_socket = false;
	text = vuser_caps_print(&one);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	CU_ASSERT_PTR_NULL(strstr(text, "twin"));
	CU_ASSERT_PTR_NULL(strstr(text, "write_multiple"));
	free(text);
}

static const struct unit_test tests[] = {
	{"what is not stated has its default", what_is_not_stated_has_its_default},
	{"stated values are taken", stated_values_are_taken},
	{"values too large for a field become its largest", values_too_large_for_a_field_become_its_largest},
	{"what makes no sense is refused", what_makes_no_sense_is_refused},
	{"text without its end, or too long, is refused", text_without_its_end_or_too_long_is_refused},
	{"what is printed is read back", what_is_printed_is_read_back},
};

UNIT_MAIN("eal/vfio_user/caps", tests)
