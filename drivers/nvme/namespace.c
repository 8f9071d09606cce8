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

void nvme_ns_reader_init(struct nvme_ns_reader *reader)
{
	*reader = (struct nvme_ns_reader){.cns = NVME_IDENTIFY_CNS_NS_ACTIVE_LIST};
}

void nvme_ns_reader_fini(struct nvme_ns_reader *reader)
{
	nvme_ns_set_free(reader->set);
	free(reader->ids);
	*reader = (struct nvme_ns_reader){.done = true};
}

bool nvme_ns_reader_next(const struct quoll_nvme *nvme, const struct nvme_ns_reader *reader, struct nvme_sqe *cmd)
{
	uint32_t nsid;

	if (reader->done)
		return false;
	if (reader->cns == NVME_IDENTIFY_CNS_NS_ACTIVE_LIST)
		nsid = reader->nr_ids ? reader->ids[reader->nr_ids - 1] : 0;
	else
		nsid = reader->ids[reader->i];
	*cmd = identify_cmd(nvme, reader->cns, nsid);
	return true;
}

/* One page of ids after those that we have, checked to ascend. Return: how many, or -errno. */
static int take_ids(struct quoll_nvme *nvme, struct nvme_ns_reader *reader, struct quoll_error *err)
{
	uint32_t after = reader->nr_ids ? reader->ids[reader->nr_ids - 1] : 0;
	uint32_t *ids = realloc(reader->ids, (reader->nr_ids + IDS_PER_LIST) * sizeof(*ids));
	unsigned int n;

	if (!ids)
		return quoll_error_set(err, ENOMEM, "identify", nvme->name, "out of memory");
	reader->ids = ids;
	ids += reader->nr_ids;
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
	reader->nr_ids += n;
	return (int)n;
}

static struct nvme_ns_set *set_new(unsigned int nr)
{
	struct nvme_ns_set *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->ns = aligned_alloc(QUOLL_CACHE_LINE_BYTES, (nr + 1) * sizeof(*set->ns));
	if (!set->ns) {
		free(set);
		return NULL;
	}
	memset(set->ns, 0, (nr + 1) * sizeof(*set->ns));
	return set;
}

/* The list is complete: its namespaces are next. */
static int begin_set(struct quoll_nvme *nvme, struct nvme_ns_reader *reader, struct quoll_error *err)
{
	reader->set = set_new(reader->nr_ids);
	if (!reader->set)
		return quoll_error_set(err, ENOMEM, "identify", nvme->name, "out of memory");
	reader->cns = NVME_IDENTIFY_CNS_NS;
	reader->done = !reader->nr_ids;
	return 0;
}

static int take_list(struct quoll_nvme *nvme, struct nvme_ns_reader *reader, struct quoll_error *err)
{
	int n = take_ids(nvme, reader, err);

	if (n < 0)
		return n;
	if (n == IDS_PER_LIST && reader->nr_ids < NVME_MAX_NAMESPACES && reader->ids[reader->nr_ids - 1] < NSID_LAST)
		return 0;
	if (n == IDS_PER_LIST && reader->nr_ids >= NVME_MAX_NAMESPACES)
		quoll_log(quoll_device_env(nvme->dev), QUOLL_LOG_WARN, "nvme",
			  "%s: more than %u namespaces; those after 0x%x are ignored", nvme->name, NVME_MAX_NAMESPACES,
			  reader->ids[reader->nr_ids - 1]);
	if (reader->nr_ids > NVME_MAX_NAMESPACES)
		reader->nr_ids = NVME_MAX_NAMESPACES;
	return begin_set(nvme, reader, err);
}

static void take_next(struct nvme_ns_reader *reader)
{
	reader->cns = NVME_IDENTIFY_CNS_NS;
	reader->done = ++reader->i == reader->nr_ids;
}

/* Identify Namespace data. The descriptors come after it, if there can be another command set. */
static int take_ns(struct quoll_nvme *nvme, struct nvme_ns_reader *reader, int rc, struct quoll_error *err)
{
	struct nvme_ns_set *set = reader->set;
	struct nvme_namespace *ns = &set->ns[reader->i];

	ns->nsid = reader->ids[reader->i];
	ns->id = calloc(1, sizeof(*ns->id));
	if (!ns->id)
		return quoll_error_set(err, ENOMEM, "identify", nvme->name, "out of memory");
	set->nr = reader->i + 1;
	if (ns->nsid < NVME_NS_TABLE_SIZE)
		set->table[ns->nsid] = ns;
	/* A status: namespaces of another command set may not know this structure. Listed, without I/O. */
	if (rc > 0) {
		ns->refuse = -ENOTSUP;
		take_next(reader);
		return 0;
	}
	memcpy(ns->id, nvme->admin.data, sizeof(*ns->id));
	if (NVME_CAP_CSS(nvme->cap) & NVME_CAP_CSS_CSI) {
		reader->cns = NVME_IDENTIFY_CNS_NS_DESC_LIST;
		return 0;
	}
	nvme_ns_parse(ns, ns->id, 0, nvme->max_transfer_bytes);
	take_next(reader);
	return 0;
}

static void take_descriptors(struct quoll_nvme *nvme, struct nvme_ns_reader *reader, int rc)
{
	struct nvme_namespace *ns = &reader->set->ns[reader->i];
	uint8_t list[PRP_PAGE_BYTES];

	memcpy(list, nvme->admin.data, sizeof(list));
	nvme_ns_parse(ns, ns->id, rc ? 0 : descriptor_csi(list), nvme->max_transfer_bytes);
	take_next(reader);
}

int nvme_ns_reader_take(struct quoll_nvme *nvme, struct nvme_ns_reader *reader, int rc, struct quoll_error *err)
{
	if (reader->cns == NVME_IDENTIFY_CNS_NS_ACTIVE_LIST)
		return rc ? nvme_admin_error(nvme, rc, "Identify (active namespaces)", err)
			  : take_list(nvme, reader, err);
	if (rc < 0)
		return nvme_admin_error(nvme, rc, "Identify Namespace", err);
	if (reader->cns == NVME_IDENTIFY_CNS_NS)
		return take_ns(nvme, reader, rc, err);
	take_descriptors(nvme, reader, rc);
	return 0;
}

int nvme_namespaces_read(struct quoll_nvme *nvme, struct quoll_error *err)
{
	struct nvme_ns_reader reader;
	struct nvme_sqe cmd;
	int rc = 0;

	nvme_ns_reader_init(&reader);
	while (!rc && nvme_ns_reader_next(nvme, &reader, &cmd))
		rc = nvme_ns_reader_take(nvme, &reader, nvme_admin_exec(nvme, &cmd, NULL), err);
	if (!rc) {
		nvme->set = reader.set;
		reader.set = NULL;
	}
	nvme_ns_reader_fini(&reader);
	return rc;
}

void nvme_ns_set_free(struct nvme_ns_set *set)
{
	while (set) {
		struct nvme_ns_set *older = set->older;

		for (unsigned int i = 0; i < set->nr; i++)
			free(set->ns[i].id);
		free(set->ns);
		free(set);
		set = older;
	}
}

struct nvme_namespace *nvme_ns_lookup(const struct nvme_ns_set *set, uint32_t nsid)
{
	unsigned int lo = 0;
	unsigned int hi = set->nr;

	if (nsid < NVME_NS_TABLE_SIZE)
		return set->table[nsid];
	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (set->ns[mid].nsid == nsid)
			return &set->ns[mid];
		if (set->ns[mid].nsid < nsid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static bool ns_same(const struct nvme_namespace *a, const struct nvme_namespace *b)
{
	return a->nsid == b->nsid && a->nr_lbas == b->nr_lbas && a->lba_shift == b->lba_shift &&
	       a->refuse == b->refuse && a->max_lbas == b->max_lbas && a->boundary_lbas == b->boundary_lbas &&
	       a->metadata_bytes == b->metadata_bytes && !memcmp(a->id->nguid, b->id->nguid, sizeof(a->id->nguid)) &&
	       !memcmp(a->id->eui64, b->id->eui64, sizeof(a->id->eui64));
}

bool nvme_ns_set_same(const struct nvme_ns_set *a, const struct nvme_ns_set *b)
{
	bool same = a->nr == b->nr;

	for (unsigned int i = 0; same && i < a->nr; i++)
		same = ns_same(&a->ns[i], &b->ns[i]);
	return same;
}

void nvme_ns_mark_stale(struct quoll_nvme *nvme, uint32_t nsid)
{
	for (unsigned int i = 0; i < nvme->set->nr; i++) {
		struct nvme_namespace *ns = &nvme->set->ns[i];

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
	if (i >= nvme->set->nr)
		return -ENOENT;
	fill_info(&nvme->set->ns[i], info);
	return 0;
}

int quoll_nvme_ns_find(const struct quoll_nvme *nvme, uint32_t nsid, struct quoll_nvme_ns_info *info)
{
	const struct nvme_namespace *ns = nvme_ns_lookup(nvme->set, nsid);

	if (!ns)
		return -ENOENT;
	fill_info(ns, info);
	return 0;
}

const struct nvme_id_ns *quoll_nvme_id_ns(const struct quoll_nvme *nvme, uint32_t nsid)
{
	const struct nvme_namespace *ns = nvme_ns_lookup(nvme->set, nsid);

	return ns ? ns->id : NULL;
}
