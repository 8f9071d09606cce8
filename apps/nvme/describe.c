/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * describe.c - Identify data decoded into JSON. Field names in comments are the NVM Express Base Specification's.
 */
#include <inttypes.h>
#include <nvme/types.h>
#include <stdlib.h>
#include <string.h>

#include "quoll/render.h"

#include "describe.h"

struct flag {
	uint32_t mask;
	const char *name;
};

/* ONCS and OACS: what the controller can do beyond reading and writing. */
static const struct flag optional_nvm[] = {
	{NVME_CTRL_ONCS_COMPARE, "compare"},
	{NVME_CTRL_ONCS_WRITE_UNCORRECTABLE, "write uncorrectable"},
	{NVME_CTRL_ONCS_DSM, "dataset management"},
	{NVME_CTRL_ONCS_WRITE_ZEROES, "write zeroes"},
	{NVME_CTRL_ONCS_RESERVATIONS, "reservations"},
	{NVME_CTRL_ONCS_TIMESTAMP, "timestamp"},
	{NVME_CTRL_ONCS_VERIFY, "verify"},
	{0, NULL},
};

static const struct flag optional_admin[] = {
	{NVME_CTRL_OACS_SECURITY, "security"},
	{NVME_CTRL_OACS_FORMAT, "format"},
	{NVME_CTRL_OACS_FW, "firmware"},
	{NVME_CTRL_OACS_NS_MGMT, "namespace management"},
	{NVME_CTRL_OACS_SELF_TEST, "self-test"},
	{NVME_CTRL_OACS_DIRECTIVES, "directives"},
	{NVME_CTRL_OACS_NVME_MI, "MI send and receive"},
	{NVME_CTRL_OACS_VIRT_MGMT, "virtualization management"},
	{NVME_CTRL_OACS_DBBUF_CFG, "doorbell buffers"},
	{0, NULL},
};

static json_t *describe_flags(uint32_t bits, const struct flag *flags)
{
	json_t *list = json_array();

	for (; flags->name; flags++)
		if (bits & flags->mask)
			json_array_append_new(list, json_string(flags->name));
	return list;
}

static json_t *hex(const uint8_t *bytes, size_t nr)
{
	char text[65] = "";
	bool any = false;

	for (size_t i = 0; i < nr && 2 * i + 2 < sizeof(text); i++) {
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
		any |= bytes[i] != 0;
	}
	return any ? json_string(text) : json_null();
}

/* 128-bit little-endian byte count: 0 means that it is not reported; beyond 63 bits there is no JSON integer. */
static json_t *bytes_128(const uint8_t *le)
{
	uint64_t value = 0;

	for (int i = 15; i >= 0; i--) {
		if (value >> 55)
			return json_null();
		value = value << 8 | le[i];
	}
	return value ? json_integer((json_int_t)value) : json_null();
}

json_t *describe_controller(const struct nvme_session *s)
{
	const struct nvme_id_ctrl *id = quoll_nvme_id_ctrl(s->nvme);
	struct quoll_nvme_info info;
	char version[32];

	quoll_nvme_info(s->nvme, &info);
	snprintf(version, sizeof(version), "%u.%u.%u", info.version >> 16, info.version >> 8 & 0xff,
		 info.version & 0xff);
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:i, s:i, s:s, s:I, s:I, s:i, s:i, s:i, s:b, s:I, s:o, s:o, s:o}",
			 "device", render_text(s->name), "model", render_text(info.model), "serial",
			 render_text(info.serial), "firmware", render_text(info.firmware), "subnqn",
			 render_text(info.subnqn), "vendor_id", info.vendor_id, "controller_id", info.controller_id,
			 "version", version, "max_transfer_bytes", (json_int_t)info.max_transfer_bytes, "page_bytes",
			 (json_int_t)info.page_bytes, "max_io_queues", (int)info.max_io_queues, "max_queue_entries",
			 (int)info.max_queue_entries, "nr_namespaces", (int)info.nr_namespaces, "volatile_cache",
			 info.volatile_cache, "ready_timeout_ms", (json_int_t)((info.cap >> 24 & 0xff) * 500),
			 "capacity_bytes", bytes_128(id->tnvmcap), "nvm_commands",
			 describe_flags(quoll_le16_to_cpu(id->oncs), optional_nvm), "admin_commands",
			 describe_flags(quoll_le16_to_cpu(id->oacs), optional_admin));
}

/* LBAF: the formats that the namespace can be given. */
static json_t *describe_formats(const struct nvme_id_ns *id)
{
	json_t *list = json_array();
	unsigned int in_use = (id->flbas & 0xf) | (id->flbas >> 1 & 0x30);

	for (unsigned int i = 0; i <= id->nlbaf && i < 64; i++) {
		if (id->lbaf[i].ds < 9 || id->lbaf[i].ds > 30)
			continue;
		json_array_append_new(list, json_pack("{s:i, s:I, s:i, s:i, s:b}", "format", (int)i, "lba_bytes",
						      (json_int_t)(1u << id->lbaf[i].ds), "metadata_bytes",
						      (int)quoll_le16_to_cpu(id->lbaf[i].ms), "relative_performance",
						      id->lbaf[i].rp & 3, "in_use", i == in_use));
	}
	return list;
}

json_t *describe_namespace(const struct nvme_session *s, const struct quoll_nvme_ns_info *ns)
{
	const struct nvme_id_ns *id = quoll_nvme_id_ns(s->nvme, ns->nsid);
	uint64_t used = id ? quoll_le64_to_cpu(id->nuse) : 0;

	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:o, s:o, s:b, s:o}", "nsid", (json_int_t)ns->nsid,
			 "nr_lbas", (json_int_t)ns->nr_lbas, "lba_bytes", (json_int_t)ns->lba_bytes, "size_bytes",
			 (json_int_t)(ns->nr_lbas * ns->lba_bytes), "used_bytes", (json_int_t)(used * ns->lba_bytes),
			 "metadata_bytes", (json_int_t)ns->metadata_bytes, "boundary_lbas", (int)ns->boundary_lbas,
			 "nguid", hex(ns->nguid, 16), "eui64", hex(ns->eui64, 8), "usable", ns->usable == 0, "formats",
			 id ? describe_formats(id) : json_array());
}

json_t *describe_namespaces(const struct nvme_session *s)
{
	struct quoll_nvme_ns_info ns;
	json_t *list = json_array();

	for (unsigned int i = 0; !quoll_nvme_ns_at(s->nvme, i, &ns); i++) {
		if (json_array_append_new(list, describe_namespace(s, &ns))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}
