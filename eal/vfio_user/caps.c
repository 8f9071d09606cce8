/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * caps.c - {"capabilities": {"max_msg_fds": 8, …}} to struct vuser_caps and back, with jansson.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "caps.h"

void vuser_caps_default(struct vuser_caps *caps)
{
	*caps = (struct vuser_caps){
		.max_msg_fds = VUSER_DEFAULT_MSG_FDS,
		.max_data_bytes = VUSER_DEFAULT_DATA_BYTES,
		.max_dma_maps = VUSER_DEFAULT_DMA_MAPS,
		.pgsizes = VUSER_DEFAULT_PGSIZES,
		.twin_fd_index = -1,
	};
}

/* A number of the object, if it is there. Return: 0, -EPROTO if it is no number of min or more. */
static int read_number(const json_t *object, const char *key, json_int_t min, uint64_t max, uint64_t *value)
{
	const json_t *member = json_object_get(object, key);
	json_int_t number;

	if (!member)
		return 0;
	number = json_integer_value(member);
	if (!json_is_integer(member) || number < min)
		return -EPROTO;
	*value = (uint64_t)number < max ? (uint64_t)number : max;
	return 0;
}

static int read_u32(const json_t *object, const char *key, json_int_t min, uint32_t *value)
{
	uint64_t number = *value;
	int rc = read_number(object, key, min, UINT32_MAX, &number);

	*value = (uint32_t)number;
	return rc;
}

static int read_bool(const json_t *object, const char *key, bool *value)
{
	const json_t *member = json_object_get(object, key);

	if (!member)
		return 0;
	*value = json_is_true(member);
	return json_is_boolean(member) ? 0 : -EPROTO;
}

static int read_twin(const json_t *twin, struct vuser_caps *caps)
{
	uint64_t index = 0;
	int rc;

	if (!twin)
		return 0;
	if (!json_is_object(twin))
		return -EPROTO;
	rc = read_bool(twin, "supported", &caps->twin_socket);
	if (!rc)
		rc = read_number(twin, "fd_index", 0, INT32_MAX, &index);
	if (!rc && json_object_get(twin, "fd_index"))
		caps->twin_fd_index = (int)index;
	return rc;
}

static int read_caps(const json_t *object, struct vuser_caps *caps)
{
	int rc;

	if (!object)
		return 0;
	if (!json_is_object(object))
		return -EPROTO;
	rc = read_u32(object, "max_msg_fds", 0, &caps->max_msg_fds);
	if (!rc)
		rc = read_u32(object, "max_data_xfer_size", 1, &caps->max_data_bytes);
	if (!rc)
		rc = read_u32(object, "max_dma_maps", 0, &caps->max_dma_maps);
	if (!rc)
		rc = read_number(object, "pgsizes", 1, UINT64_MAX, &caps->pgsizes);
	if (!rc)
		rc = read_bool(object, "write_multiple", &caps->write_multiple);
	if (!rc)
		rc = read_twin(json_object_get(object, "twin_socket"), caps);
	return rc;
}

int vuser_caps_parse(const void *text, size_t bytes, struct vuser_caps *caps)
{
	json_error_t why;
	json_t *doc;
	int rc;

	vuser_caps_default(caps);
	if (!bytes)
		return 0;
	if (bytes > VUSER_CAPS_MAX_BYTES || ((const char *)text)[bytes - 1])
		return -EPROTO;
	doc = json_loadb(text, bytes - 1, 0, &why);
	if (!doc)
		return json_error_code(&why) == json_error_out_of_memory ? -ENOMEM : -EPROTO;
	rc = json_is_object(doc) ? read_caps(json_object_get(doc, "capabilities"), caps) : -EPROTO;
	json_decref(doc);
	return rc;
}

static json_t *twin_json(const struct vuser_caps *caps)
{
	if (caps->twin_fd_index < 0)
		return json_pack("{s:b}", "supported", 1);
	return json_pack("{s:b, s:i}", "supported", 1, "fd_index", caps->twin_fd_index);
}

char *vuser_caps_print(const struct vuser_caps *caps)
{
	json_t *object, *doc;
	char *text;
	int rc = 0;

	object = json_pack("{s:I, s:I, s:I, s:I}", "max_msg_fds", (json_int_t)caps->max_msg_fds, "max_data_xfer_size",
			   (json_int_t)caps->max_data_bytes, "max_dma_maps", (json_int_t)caps->max_dma_maps, "pgsizes",
			   (json_int_t)(caps->pgsizes & INT64_MAX));
	if (!object)
		return NULL;
	if (caps->write_multiple)
		rc |= json_object_set_new(object, "write_multiple", json_true());
	if (caps->twin_socket)
		rc |= json_object_set_new(object, "twin_socket", twin_json(caps));
	doc = json_pack("{s:o}", "capabilities", object);
	text = doc && !rc ? json_dumps(doc, JSON_COMPACT) : NULL;
	json_decref(doc);
	return text;
}
