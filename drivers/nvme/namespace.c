/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * namespace.c - which namespaces there are and what prep needs of each. What a controller says is checked here, once:
 * a namespace with impossible data is listed, but refuses I/O, and its neighbours work.
 *
 * Base Specification 2.0, 5.17.2.2 (active list), 5.17.2.4 (descriptors); NVM Command Set 1.0, 4.1.5.1.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvme_internal.h"

#define IDS_PER_LIST (PRP_PAGE_BYTES / sizeof(quoll_le32))
#define NSID_LAST 0xfffffffdu /* FFFFFFFEh and FFFFFFFFh are not namespaces */
#define MAX_NS_BYTES (1ull << 63)

/* One page of ids into @ids, checked to ascend from @after. Return: how many, or -errno. */
static int read_list_page(struct quoll_nvme *nvme, uint32_t after, uint32_t *ids, struct quoll_error *err)
{
	int rc = identify_exec(nvme, NVME_IDENTIFY_CNS_NS_ACTIVE_LIST, after);
	unsigned int n;

	if (rc)
		return nvme_admin_error(nvme, rc, "Identify (active namespaces)", err);
	memcpy(ids, nvme->admin.data, PRP_PAGE_BYTES);
	for (n = 0; n < IDS_PER_LIST; n++) {
		ids[n] = quoll_le32_to_cpu(ids[n]);
		if (!ids[n])
			break;
		if (ids[n] <= after || ids[n] > NSID_LAST)
			return quoll_error_set(err, EPROTO, "identify", nvme->name,
					       "list of active namespaces is out of order: 0x%x after 0x%x", ids[n],
					       after);
		after = ids[n];
	}
	return (int)n;
}

static int read_list(struct quoll_nvme *nvme, uint32_t **ids_out, unsigned int *nr_out, struct quoll_error *err)
{
	uint32_t *ids = NULL;
	unsigned int nr = 0;
	int n;

	do {
		uint32_t *more = realloc(ids, (nr + IDS_PER_LIST) * sizeof(*ids));

		if (!more) {
			free(ids);
			return quoll_error_set(err, ENOMEM, "identify", nvme->name, "out of memory");
		}
		ids = more;
		n = read_list_page(nvme, nr ? ids[nr - 1] : 0, ids + nr, err);
		if (n < 0) {
			free(ids);
			return n;
		}
		nr += (unsigned int)n;
	} while (n == IDS_PER_LIST && nr < NVME_MAX_NAMESPACES && ids[nr - 1] < NSID_LAST);
	if (n == IDS_PER_LIST && nr >= NVME_MAX_NAMESPACES)
		quoll_log(quoll_device_env(nvme->dev), QUOLL_LOG_WARN, "nvme",
			  "%s: more than %u namespaces; those after 0x%x are ignored", nvme->name, NVME_MAX_NAMESPACES,
			  ids[nr - 1]);
	*ids_out = ids;
	*nr_out = nr;
	return 0;
}

/* Format in use: bits 3:0, and with more than 16 formats bits 6:5 above them. Return: index, or -1 if out of range. */
static int format_index(const struct nvme_id_ns *id)
{
	unsigned int nr_formats = (unsigned int)id->nlbaf + id->nulbaf + 1;
	unsigned int idx = id->flbas & NVME_NS_FLBAS_LOWER_MASK;

	if (nr_formats > 16)
		idx |= (id->flbas & NVME_NS_FLBAS_HIGHER_MASK) >> 1;
	if (idx >= nr_formats || idx >= sizeof(id->lbaf) / sizeof(id->lbaf[0]))
		return -1;
	return (int)idx;
}

void nvme_ns_parse(struct nvme_namespace *ns, const struct nvme_id_ns *id, uint8_t csi, uint32_t max_transfer_bytes)
{
	int idx = format_index(id);

	ns->nr_lbas = quoll_le64_to_cpu(id->nsze);
	ns->boundary_lbas = quoll_le16_to_cpu(id->noiob);
	ns->boundary_recip = ns->boundary_lbas ? UINT64_MAX / ns->boundary_lbas : 0;
	ns->refuse = -EPROTO;
	if (idx < 0)
		return;
	ns->metadata_bytes = quoll_le16_to_cpu(id->lbaf[idx].ms);
	ns->lba_shift = id->lbaf[idx].ds;
	if (ns->lba_shift < NVME_LBA_SHIFT_MIN || ns->lba_shift > NVME_LBA_SHIFT_MAX) {
		ns->lba_shift = 0;
		return;
	}
	if (ns->nr_lbas > MAX_NS_BYTES >> ns->lba_shift)
		return;
	ns->max_lbas = max_transfer_bytes >> ns->lba_shift;
	if (ns->max_lbas > 1u << 16)
		ns->max_lbas = 1u << 16;
	/* Metadata needs a buffer of its own or room between the blocks; we have neither. */
	ns->refuse = csi != 0 || ns->metadata_bytes || !ns->max_lbas ? -ENOTSUP : 0;
	if (ns->refuse || (ns->boundary_lbas & (ns->boundary_lbas - 1)))
		return;
	ns->boundary_mask = ns->boundary_lbas ? ~(uint64_t)(ns->boundary_lbas - 1) : 0;
	ns->short_lbas = ns->max_lbas < ns->nr_lbas ? ns->max_lbas : (uint32_t)ns->nr_lbas;
}

/* The command set of a namespace from its descriptors (NIDT 4); NVM (0) if it has none. @list: one page. */
static uint8_t descriptor_csi(const uint8_t *list)
{
	size_t off = 0;

	/* Header: type, length, two reserved bytes. A length of 0 ends the list. */
	while (off + 4 < PRP_PAGE_BYTES && list[off + 1]) {
		if (list[off] == NVME_NIDT_CSI)
			return list[off + 4];
		off += 4u + list[off + 1];
	}
	return 0;
}

static int read_one(struct quoll_nvme *nvme, struct nvme_namespace *ns, struct quoll_error *err)
{
	uint8_t list[PRP_PAGE_BYTES];
	uint8_t csi = 0;
	int rc = identify_exec(nvme, NVME_IDENTIFY_CNS_NS, ns->nsid);

	if (rc < 0)
		return nvme_admin_error(nvme, rc, "Identify Namespace", err);
	ns->id = calloc(1, sizeof(*ns->id));
	if (!ns->id)
		return quoll_error_set(err, ENOMEM, "identify", nvme->name, "out of memory");
	/* A status: namespaces of another command set may not know this structure. Listed, without I/O. */
	if (rc > 0) {
		ns->refuse = -ENOTSUP;
		return 0;
	}
	memcpy(ns->id, nvme->admin.data, sizeof(*ns->id));
	if (NVME_CAP_CSS(nvme->cap) & NVME_CAP_CSS_CSI) {
		rc = identify_exec(nvme, NVME_IDENTIFY_CNS_NS_DESC_LIST, ns->nsid);
		if (rc < 0)
			return nvme_admin_error(nvme, rc, "Identify (namespace descriptors)", err);
		if (!rc) {
			memcpy(list, nvme->admin.data, sizeof(list));
			csi = descriptor_csi(list);
		}
	}
	nvme_ns_parse(ns, ns->id, csi, nvme->max_transfer_bytes);
	return 0;
}

int nvme_namespaces_read(struct quoll_nvme *nvme, struct quoll_error *err)
{
	unsigned int nr = 0;
	uint32_t *ids = NULL;
	int rc = read_list(nvme, &ids, &nr, err);

	if (rc)
		return rc;
	if (nr > NVME_MAX_NAMESPACES)
		nr = NVME_MAX_NAMESPACES;
	nvme->namespaces = aligned_alloc(QUOLL_CACHE_LINE_BYTES, (nr + 1) * sizeof(*nvme->namespaces));
	if (!nvme->namespaces) {
		free(ids);
		return quoll_error_set(err, ENOMEM, "identify", nvme->name, "out of memory");
	}
	memset(nvme->namespaces, 0, (nr + 1) * sizeof(*nvme->namespaces));
	for (unsigned int i = 0; i < nr && !rc; i++) {
		struct nvme_namespace *ns = &nvme->namespaces[i];

		ns->nsid = ids[i];
		nvme->nr_namespaces = i + 1;
		if (ns->nsid < NVME_NS_TABLE_SIZE)
			nvme->ns_table[ns->nsid] = ns;
		rc = read_one(nvme, ns, err);
	}
	free(ids);
	return rc;
}

void nvme_namespaces_free(struct quoll_nvme *nvme)
{
	for (unsigned int i = 0; i < nvme->nr_namespaces; i++)
		free(nvme->namespaces[i].id);
	free(nvme->namespaces);
}

struct nvme_namespace *nvme_ns_lookup(const struct quoll_nvme *nvme, uint32_t nsid)
{
	unsigned int lo = 0;
	unsigned int hi = nvme->nr_namespaces;

	if (nsid < NVME_NS_TABLE_SIZE)
		return nvme->ns_table[nsid];
	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (nvme->namespaces[mid].nsid == nsid)
			return &nvme->namespaces[mid];
		if (nvme->namespaces[mid].nsid < nsid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

void nvme_ns_mark_stale(struct quoll_nvme *nvme, uint32_t nsid)
{
	for (unsigned int i = 0; i < nvme->nr_namespaces; i++) {
		struct nvme_namespace *ns = &nvme->namespaces[i];

		if (nsid != ns->nsid && nsid != NVME_NSID_ALL)
			continue;
		__atomic_store_n(&ns->refuse, -ESTALE, __ATOMIC_RELAXED);
		__atomic_store_n(&ns->short_lbas, 0, __ATOMIC_RELAXED);
	}
}

static void fill_info(const struct nvme_namespace *ns, struct quoll_nvme_ns_info *info)
{
	*info = (struct quoll_nvme_ns_info){
		.nsid = ns->nsid,
		.nr_lbas = ns->nr_lbas,
		.lba_bytes = ns->lba_shift ? 1u << ns->lba_shift : 0,
		.metadata_bytes = ns->metadata_bytes,
		.boundary_lbas = ns->boundary_lbas,
		.usable = ns->refuse,
	};
	memcpy(info->nguid, ns->id->nguid, sizeof(info->nguid));
	memcpy(info->eui64, ns->id->eui64, sizeof(info->eui64));
}

int quoll_nvme_ns_at(const struct quoll_nvme *nvme, unsigned int i, struct quoll_nvme_ns_info *info)
{
	if (i >= nvme->nr_namespaces)
		return -ENOENT;
	fill_info(&nvme->namespaces[i], info);
	return 0;
}

int quoll_nvme_ns_find(const struct quoll_nvme *nvme, uint32_t nsid, struct quoll_nvme_ns_info *info)
{
	const struct nvme_namespace *ns = nvme_ns_lookup(nvme, nsid);

	if (!ns)
		return -ENOENT;
	fill_info(ns, info);
	return 0;
}

const struct nvme_id_ns *quoll_nvme_id_ns(const struct quoll_nvme *nvme, uint32_t nsid)
{
	const struct nvme_namespace *ns = nvme_ns_lookup(nvme, nsid);

	return ns ? ns->id : NULL;
}
