/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * identify.c - the Identify command and what the controller says of itself. Base Specification 2.0, 5.17.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvme_internal.h"

static_assert(sizeof(struct nvme_id_ctrl) == PRP_PAGE_BYTES, "Identify Controller data is one page");
static_assert(sizeof(struct nvme_id_ns) == PRP_PAGE_BYTES, "Identify Namespace data is one page");

struct nvme_sqe identify_cmd(const struct quoll_nvme *nvme, uint8_t cns, uint32_t nsid)
{
	return (struct nvme_sqe){
		.opcode = nvme_admin_identify,
		.nsid = quoll_cpu_to_le32(nsid),
		.prp1 = quoll_cpu_to_le64(nvme->admin.data_iova),
		.cdw10 = quoll_cpu_to_le32(cns),
	};
}

void nvme_text_copy(char *dst, const char *src, size_t len)
{
	size_t start = 0;
	size_t end = strnlen(src, len);
	size_t n = 0;

	while (start < end && src[start] == ' ')
		start++;
	while (end > start && src[end - 1] == ' ')
		end--;
	for (size_t i = start; i < end; i++)
		dst[n++] = src[i] >= 0x20 && src[i] < 0x7f ? src[i] : '?';
	dst[n] = '\0';
}

/* MDTS counts in smallest pages, ours are 4 KiB then; 0 is no limit. */
static uint32_t max_transfer(uint8_t mdts)
{
	uint32_t bytes = PRP_MAX_BYTES;

	if (mdts && mdts < 20 && (PRP_PAGE_BYTES << mdts) < bytes)
		bytes = PRP_PAGE_BYTES << mdts;
	return bytes;
}

static int check_entry_sizes(struct quoll_nvme *nvme, struct quoll_error *err)
{
	uint8_t sqes = nvme->id->sqes;
	uint8_t cqes = nvme->id->cqes;

	if ((sqes & 0xf) > NVME_SQES_SHIFT || sqes >> 4 < NVME_SQES_SHIFT || (cqes & 0xf) > NVME_CQES_SHIFT ||
	    cqes >> 4 < NVME_CQES_SHIFT)
		return quoll_error_set(
			err, EPROTO, "identify", nvme->name,
			"the controller excludes queue entries of 64 and 16 bytes: SQES 0x%02x, CQES 0x%02x", sqes,
			cqes);
	return 0;
}

int identify_controller(struct quoll_nvme *nvme, struct quoll_error *err)
{
	struct nvme_sqe cmd = identify_cmd(nvme, NVME_IDENTIFY_CNS_CTRL, NVME_NSID_NONE);
	int rc = nvme_admin_exec(nvme, &cmd, NULL);

	if (rc)
		return nvme_admin_error(nvme, rc, "Identify Controller", err);
	nvme->id = malloc(sizeof(*nvme->id));
	if (!nvme->id)
		return quoll_error_set(err, ENOMEM, "identify", nvme->name, "out of memory");
	memcpy(nvme->id, nvme->admin.data, sizeof(*nvme->id));
	/* 0 is a controller older than the field, 1 an I/O controller; discovery and administrative ones do no I/O. */
	if (nvme->id->cntrltype > 1)
		return quoll_error_set(err, ENOTSUP, "identify", nvme->name, "not an I/O controller: CNTRLTYPE is %u",
				       nvme->id->cntrltype);
	rc = check_entry_sizes(nvme, err);
	if (rc)
		return rc;
	nvme->max_transfer_bytes = max_transfer(nvme->id->mdts);
	nvme->prp_list_bytes = prp_list_bytes(nvme->max_transfer_bytes);
	return 0;
}

/* Firmware may have changed, it is what many resets are for. */
static bool is_same_controller(const struct nvme_id_ctrl *a, const struct nvme_id_ctrl *b)
{
	return a->vid == b->vid && a->cntlid == b->cntlid && !memcmp(a->sn, b->sn, sizeof(a->sn)) &&
	       !memcmp(a->mn, b->mn, sizeof(a->mn)) && !memcmp(a->subnqn, b->subnqn, sizeof(a->subnqn));
}

int identify_controller_again(struct quoll_nvme *nvme, int rc, struct quoll_error *err)
{
	struct nvme_id_ctrl was = *nvme->id;
	uint32_t bytes;

	if (rc)
		return nvme_admin_error(nvme, rc, "Identify Controller", err);
	memcpy(nvme->id, nvme->admin.data, sizeof(*nvme->id));
	if (!is_same_controller(&was, nvme->id))
		return quoll_error_set(err, EIO, "reset", nvme->name,
				       "it says that it is another controller than before");
	rc = check_entry_sizes(nvme, err);
	/* Slots' lists were made for the size that was. */
	bytes = max_transfer(nvme->id->mdts);
	if (bytes < nvme->max_transfer_bytes)
		nvme->max_transfer_bytes = bytes;
	return rc;
}
