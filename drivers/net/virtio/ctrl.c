/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ctrl.c - the control queue of a device on PCI: one command at a time, put together in memory that the device reads,
 * answered in its last byte, waited for with a limit.
 */
#include <errno.h>
#include <string.h>

#include "pci.h"

#define MAX_ENTRIES 64u
#define COMMAND_ENTRIES 2u
#define HEAD_BYTES 2u
#define ACK_AT (CTRL_BYTES - 1)
#define FLAGS_USED (VIRTQ_DESC_AVAIL | VIRTQ_DESC_USED)

/* Behind the last pair that the device has, whether that one is used or not (5.1.2). */
static uint16_t ctrl_idx(const struct virtio_pci *p)
{
	if (!virtio_has(&p->v, VIRTIO_NET_F_MQ | VIRTIO_NET_F_RSS))
		return 2;
	return (uint16_t)(2 * quoll_le16_to_cpu(p->v.config.max_pairs));
}

int virtio_ctrl_make(struct virtio_pci *p, struct quoll_error *err)
{
	unsigned int entries = MAX_ENTRIES, most;
	void *mem;
	int rc;

	if (!virtio_has(&p->v, VIRTIO_NET_F_CTRL_VQ))
		return 0;
	most = virtio_pci_ring_entries(p, ctrl_idx(p));
	while (entries > most)
		entries /= 2;
	if (entries < COMMAND_ENTRIES)
		return quoll_error_set(err, EPROTO, "control queue", p->v.port.name, "it has %u entries", most);
	rc = virtio_ring_make(&p->v, &p->ctrl_ring, entries, false, err);
	if (rc)
		return rc;
	p->ctrl = &p->ctrl_ring;
	p->ctrl->idx = ctrl_idx(p);
	p->ctrl_tail = 0;
	p->ctrl_lost = false;
	rc = quoll_arena_alloc(p->v.arena, CTRL_BYTES, CTRL_BYTES, &mem, err);
	if (!rc)
		p->ctrl_mem = mem;
	return rc;
}

void virtio_ctrl_free(struct virtio_pci *p)
{
	if (p->ctrl_mem)
		(void)quoll_arena_free(p->v.arena, p->ctrl_mem, CTRL_BYTES);
	if (p->ctrl)
		virtio_ring_free(&p->v, p->ctrl);
	p->ctrl_mem = NULL;
	p->ctrl = NULL;
}

/* Two descriptors: the command, and where its answer goes. */

static void post_split(struct virtio_pci *p, quoll_iova_t iova, uint32_t bytes)
{
	struct virtq_desc *desc = p->ctrl->desc;
	struct virtq_avail *avail = p->ctrl->driver;

	desc[0] = (struct virtq_desc){quoll_cpu_to_le64(iova), quoll_cpu_to_le32(bytes),
				      quoll_cpu_to_le16(VIRTQ_DESC_NEXT), quoll_cpu_to_le16(1)};
	desc[1] = (struct virtq_desc){quoll_cpu_to_le64(iova + ACK_AT), quoll_cpu_to_le32(1),
				      quoll_cpu_to_le16(VIRTQ_DESC_WRITE), 0};
	avail->ring[p->ctrl_tail & (p->ctrl->size - 1u)] = 0;
	quoll_dma_wmb();
	__atomic_store_n(&avail->idx, quoll_cpu_to_le16((uint16_t)(p->ctrl_tail + 1)), __ATOMIC_RELEASE);
}

static void post_packed(struct virtio_pci *p, quoll_iova_t iova, uint32_t bytes)
{
	/* Two for each command so far: they never go around the end. */
	uint16_t at = (uint16_t)(COMMAND_ENTRIES * p->ctrl_tail), size = p->ctrl->size;
	uint16_t flags = at & size ? VIRTQ_DESC_USED : VIRTQ_DESC_AVAIL;
	struct virtq_packed_desc *desc = (struct virtq_packed_desc *)p->ctrl->desc + (at & (size - 1u));

	desc[1] = (struct virtq_packed_desc){quoll_cpu_to_le64(iova + ACK_AT), quoll_cpu_to_le32(1), 0,
					     quoll_cpu_to_le16(flags | VIRTQ_DESC_WRITE)};
	desc[0].addr = quoll_cpu_to_le64(iova);
	desc[0].bytes = quoll_cpu_to_le32(bytes);
	desc[0].id = 0;
	quoll_dma_wmb();
	__atomic_store_n(&desc[0].flags, quoll_cpu_to_le16(flags | VIRTQ_DESC_NEXT), __ATOMIC_RELEASE);
}

static bool is_answered(const struct virtio_pci *p)
{
	const struct virtq_used *used = p->ctrl->device;
	const struct virtq_packed_desc *desc = p->ctrl->desc;
	uint16_t at = (uint16_t)(COMMAND_ENTRIES * p->ctrl_tail), size = p->ctrl->size, flags;

	if (!p->ctrl->packed)
		return quoll_le16_to_cpu(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE)) == (uint16_t)(p->ctrl_tail + 1);
	flags = quoll_le16_to_cpu(__atomic_load_n(&desc[at & (size - 1u)].flags, __ATOMIC_ACQUIRE));
	return (flags & FLAGS_USED) == (at & size ? 0 : FLAGS_USED);
}

/* @bytes of data lie behind the head already. */
static int command(struct virtio_pci *p, uint8_t class, uint8_t what, uint32_t bytes, struct quoll_error *err)
{
	quoll_iova_t iova = quoll_heap_iova(net_heap(&p->v.port), p->ctrl_mem, CTRL_BYTES);
	struct quoll_wait wait;
	uint8_t ack;

	/* It may come to the one before any time, and write its answer. */
	if (p->ctrl_lost)
		return quoll_error_set(err, ETIMEDOUT, "control queue", p->v.port.name,
				       "an earlier command was not answered: the port has to be stopped and started");
	p->ctrl_mem[0] = class;
	p->ctrl_mem[1] = what;
	p->ctrl_mem[ACK_AT] = UINT8_MAX;
	if (p->ctrl->packed)
		post_packed(p, iova, HEAD_BYTES + bytes);
	else
		post_split(p, iova, HEAD_BYTES + bytes);
	quoll_mmio_wmb();
	quoll_mmio_write16(p->ctrl->kick_reg, p->ctrl->idx);
	quoll_wait_start(&wait, &p->v.port.clock, p->ctrl_limit_ms * UINT64_C(1000000));
	for (bool more = true; !is_answered(p); more = quoll_wait_more(&wait)) {
		if (more)
			continue;
		p->ctrl_lost = true;
		return quoll_error_set(err, ETIMEDOUT, "control queue", p->v.port.name,
				       "no answer to command %u.%u within %u ms", class, what, p->ctrl_limit_ms);
	}
	quoll_dma_rmb();
	p->ctrl_tail++;
	ack = *(volatile uint8_t *)&p->ctrl_mem[ACK_AT];
	if (ack == VIRTIO_CTRL_OK)
		return 0;
	return quoll_error_set(err, EIO, "control queue", p->v.port.name, "the device refuses command %u.%u", class,
			       what);
}

/* Data of commands, piece by piece. */
static uint32_t put_le16(struct virtio_pci *p, uint32_t at, uint32_t value)
{
	p->ctrl_mem[HEAD_BYTES + at] = (uint8_t)value;
	p->ctrl_mem[HEAD_BYTES + at + 1] = (uint8_t)(value >> 8);
	return at + 2;
}

static uint32_t put_le32(struct virtio_pci *p, uint32_t at, uint32_t value)
{
	return put_le16(p, put_le16(p, at, value & UINT16_MAX), value >> 16);
}

static uint32_t put_bytes(struct virtio_pci *p, uint32_t at, const void *bytes, uint32_t n)
{
	memcpy(p->ctrl_mem + HEAD_BYTES + at, bytes, n);
	return at + n;
}

static int set_mode(struct virtio_pci *p, uint8_t what, bool on, struct quoll_error *err)
{
	p->ctrl_mem[HEAD_BYTES] = on;
	return command(p, VIRTIO_CTRL_RX, what, 1, err);
}

/* Two tables, each behind its number of entries: unicast, multicast. */
static int set_macs(struct virtio_pci *p, const struct quoll_port_settings *s, struct quoll_error *err)
{
	uint32_t at = 0;

	for (unsigned int multicast = 0; multicast < 2; multicast++) {
		uint32_t nr_at = at, nr = 0;

		at += 4;
		/* The port's own address, where it cannot be given another one. */
		if (!multicast && !virtio_has(&p->v, VIRTIO_NET_F_CTRL_MAC_ADDR)) {
			at = put_bytes(p, at, s->mac, QUOLL_MAC_BYTES);
			nr++;
		}
		for (unsigned int i = 0; i < s->nr_macs; i++) {
			if ((s->macs[i][0] & 1) != multicast)
				continue;
			at = put_bytes(p, at, s->macs[i], QUOLL_MAC_BYTES);
			nr++;
		}
		(void)put_le32(p, nr_at, nr);
	}
	return command(p, VIRTIO_CTRL_MAC, VIRTIO_CTRL_MAC_TABLE_SET, at, err);
}

/* Hash types have the same bits as ours. */
static int set_rss(struct virtio_pci *p, const struct quoll_rss *rss, struct quoll_error *err)
{
	uint32_t at = put_le32(p, 0, rss->types);

	at = put_le16(p, at, rss->nr_entries - 1);
	at = put_le16(p, at, rss->table[0]);
	for (unsigned int i = 0; i < rss->nr_entries; i++)
		at = put_le16(p, at, rss->table[i]);
	at = put_le16(p, at, p->v.nr_pairs);
	p->ctrl_mem[HEAD_BYTES + at++] = QUOLL_RSS_KEY_BYTES;
	at = put_bytes(p, at, rss->key, QUOLL_RSS_KEY_BYTES);
	return command(p, VIRTIO_CTRL_MQ, VIRTIO_CTRL_MQ_RSS_CONFIG, at, err);
}

int virtio_ctrl_apply(struct virtio_pci *p, const struct quoll_port_settings *s, struct quoll_error *err)
{
	int rc = 0;

	if (virtio_has(&p->v, VIRTIO_NET_F_CTRL_RX)) {
		rc = set_mode(p, VIRTIO_CTRL_RX_PROMISC, s->promiscuous, err);
		if (!rc)
			rc = set_mode(p, VIRTIO_CTRL_RX_ALLMULTI, s->all_multicast, err);
		if (!rc)
			rc = set_macs(p, s, err);
	}
	if (!rc && virtio_has(&p->v, VIRTIO_NET_F_CTRL_MAC_ADDR)) {
		(void)put_bytes(p, 0, s->mac, QUOLL_MAC_BYTES);
		rc = command(p, VIRTIO_CTRL_MAC, VIRTIO_CTRL_MAC_ADDR_SET, QUOLL_MAC_BYTES, err);
	}
	if (!rc && s->rss.types)
		rc = set_rss(p, &s->rss, err);
	return rc;
}

int virtio_ctrl_start(struct virtio_pci *p, struct quoll_error *err)
{
	int rc = 0;

	if (!p->ctrl)
		return 0;
	if (virtio_has(&p->v, VIRTIO_NET_F_MQ) && !p->v.port.settings.rss.types) {
		(void)put_le16(p, 0, p->v.nr_pairs);
		rc = command(p, VIRTIO_CTRL_MQ, VIRTIO_CTRL_MQ_PAIRS_SET, 2, err);
	}
	return rc ? rc : virtio_ctrl_apply(p, &p->v.port.settings, err);
}
