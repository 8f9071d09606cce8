/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_rings.c - the fake 82574's receiver and transmitter: filters, descriptors, checksums, tags, RSS.
 */
#include <string.h>

#include "../be16.h"
#include "fake_internal.h"

#define TYPE_IPV4 0x0800
#define PROTO_TCP 6
#define PROTO_UDP 17
#define MRQ_TYPE_TCPIPV4 1u
#define MRQ_TYPE_IPV4 2u

static uint32_t queue_reg(const struct fake_e1000e *fake, uint32_t offset, unsigned int queue)
{
	return fake_pci_reg(&fake->pci, offset + queue * E1000E_QUEUE_STRIDE);
}

static void count(struct fake_e1000e *fake, uint32_t offset)
{
	fake_pci_reg_set(&fake->pci, offset, fake_pci_reg(&fake->pci, offset) + 1);
}

static uint32_t ring_size(const struct fake_e1000e *fake, uint32_t length_reg, unsigned int queue)
{
	return queue_reg(fake, length_reg, queue) / 16;
}

static quoll_iova_t ring_iova(const struct fake_e1000e *fake, uint32_t base_reg, unsigned int queue)
{
	return queue_reg(fake, base_reg, queue) | (uint64_t)queue_reg(fake, base_reg + 4, queue) << 32;
}

struct e1000e_rx_desc *fake_e1000e_rx_desc(struct fake_e1000e *fake, unsigned int queue, uint32_t idx)
{
	return fake_pci_dma(&fake->pci, ring_iova(fake, E1000E_RDBAL, queue) + idx * 16, 16, true);
}

struct e1000e_tx_desc *fake_e1000e_tx_desc(struct fake_e1000e *fake, unsigned int queue, uint32_t idx)
{
	return fake_pci_dma(&fake->pci, ring_iova(fake, E1000E_TDBAL, queue) + idx * 16, 16, true);
}

static uint16_t be16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* Receive. */

static bool is_mac(const struct fake_e1000e *fake, unsigned int i, const uint8_t *mac)
{
	uint32_t low = fake_pci_reg(&fake->pci, E1000E_RAL + i * 8),
		 high = fake_pci_reg(&fake->pci, E1000E_RAH + i * 8);

	return high & E1000E_RAH_AV && (uint8_t)low == mac[0] && (uint8_t)(low >> 8) == mac[1] &&
	       (uint8_t)(low >> 16) == mac[2] && (uint8_t)(low >> 24) == mac[3] && (uint8_t)high == mac[4] &&
	       (uint8_t)(high >> 8) == mac[5];
}

static bool is_wanted(const struct fake_e1000e *fake, const uint8_t *dst)
{
	static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint32_t rctl = fake_pci_reg(&fake->pci, E1000E_RCTL);

	if (!memcmp(dst, broadcast, 6))
		return rctl & E1000E_RCTL_BAM;
	if (rctl & (dst[0] & 1 ? E1000E_RCTL_MPE : E1000E_RCTL_UPE))
		return true;
	for (unsigned int i = 0; i < E1000E_NR_RAR; i++)
		if (is_mac(fake, i, dst))
			return true;
	return false;
}

static uint32_t buffer_bytes(const struct fake_e1000e *fake)
{
	uint32_t rctl = fake_pci_reg(&fake->pci, E1000E_RCTL);
	uint32_t flx = rctl >> E1000E_RCTL_FLXBUF_SHIFT & E1000E_RCTL_FLXBUF_MASK;
	uint32_t code = rctl >> E1000E_RCTL_BSIZE_SHIFT & E1000E_RCTL_BSIZE_MASK;

	if (flx)
		return flx * 1024;
	return rctl & E1000E_RCTL_BSEX ? 32768u >> code : 2048u >> code;
}

uint32_t fake_e1000e_toeplitz(const uint8_t *key, const uint8_t *data, uint32_t len)
{
	uint32_t hash = 0;

	for (uint32_t bit = 0; bit < len * 8; bit++) {
		uint32_t window = 0;

		if (!(data[bit / 8] >> (7 - bit % 8) & 1))
			continue;
		for (uint32_t i = 0; i < 32; i++)
			window = window << 1 | (key[(bit + i) / 8] >> (7 - (bit + i) % 8) & 1);
		hash ^= window;
	}
	return hash;
}

/* The first half of the descriptor to be written back, and the queue. */
static unsigned int rss(struct fake_e1000e *fake, const uint8_t *frame, uint32_t len, uint64_t *first)
{
	bool is_tcp;
	uint8_t reta;
	uint32_t hash;

	*first = 0;
	if (!(fake_pci_reg(&fake->pci, E1000E_MRQC) & E1000E_MRQC_RSS_2Q))
		return 0;
	if (!(fake_pci_reg(&fake->pci, E1000E_RXCSUM) & E1000E_RXCSUM_PCSD))
		fake_pci_violation(&fake->pci, "RSS without RXCSUM.PCSD");
	if (len < 54 || be16(frame + 12) != TYPE_IPV4)
		return 0;
	is_tcp = frame[23] == PROTO_TCP;
	hash = fake_e1000e_toeplitz(fake->pci.bar + E1000E_RSSRK, frame + 26, is_tcp ? 12 : 8);
	*first = (is_tcp ? MRQ_TYPE_TCPIPV4 : MRQ_TYPE_IPV4) | (uint64_t)hash << E1000E_RX_RSS_SHIFT;
	reta = fake->pci.bar[E1000E_RETA + (hash & 127)];
	return reta >> 7;
}

/* Status and errors of a whole frame; IPv4 without options. */
static uint64_t checksum_status(const struct fake_e1000e *fake, const uint8_t *frame, uint32_t len)
{
	uint32_t rxcsum = fake_pci_reg(&fake->pci, E1000E_RXCSUM);
	const uint8_t *ip = frame + 14;
	uint32_t l4_len, pseudo;
	uint64_t status = 0;

	if (len < 34 || be16(frame + 12) != TYPE_IPV4 || ip[0] != 0x45)
		return 0;
	if (rxcsum & E1000E_RXCSUM_IPOFLD) {
		status |= E1000E_RX_IPCS;
		if (sum16(ip, 20, 0) != 0xffff)
			status |= E1000E_RX_IPE;
	}
	l4_len = be16(ip + 2) - 20u;
	if (!(rxcsum & E1000E_RXCSUM_TUOFLD) || (ip[9] != PROTO_TCP && ip[9] != PROTO_UDP) || l4_len > len - 34)
		return status;
	pseudo = ip[9] + l4_len + sum16(ip + 12, 8, 0);
	status |= ip[9] == PROTO_TCP ? E1000E_RX_TCPCS : E1000E_RX_UDPCS;
	if (sum16(ip + 20, l4_len, pseudo) != 0xffff)
		status |= E1000E_RX_TCPE;
	return status;
}

static bool check_receiver(struct fake_e1000e *fake)
{
	uint32_t rctl = fake_pci_reg(&fake->pci, E1000E_RCTL);

	if (!(rctl & E1000E_RCTL_EN))
		return false;
	if (!(rctl & E1000E_RCTL_SECRC) || !(fake_pci_reg(&fake->pci, E1000E_RFCTL) & E1000E_RFCTL_EXSTEN))
		fake_pci_violation(&fake->pci, "receiver on without SECRC or extended descriptors");
	return true;
}

static void write_back(struct fake_e1000e *fake, unsigned int queue, uint32_t head, struct e1000e_rx_desc desc)
{
	struct e1000e_rx_desc *host = fake_e1000e_rx_desc(fake, queue, head);

	if (!host || (fake->on_rx_desc && !fake->on_rx_desc(fake, queue, &desc)))
		return;
	host->first = desc.first;
	/* The half with the done bit last. */
	__atomic_store_n(&host->second, desc.second, __ATOMIC_RELEASE);
}

static void store(struct fake_e1000e *fake, unsigned int queue, const uint8_t *frame, uint32_t len, uint64_t first,
		  uint64_t status)
{
	uint32_t size = ring_size(fake, E1000E_RDLEN, queue), head = queue_reg(fake, E1000E_RDH, queue);
	uint32_t room = buffer_bytes(fake);

	for (uint32_t off = 0; off < len; head = (head + 1) % size) {
		const struct e1000e_rx_desc *given = fake_e1000e_rx_desc(fake, queue, head);
		uint32_t part = len - off < room ? len - off : room;
		struct e1000e_rx_desc desc = {0, 0};
		void *host = given ? fake_pci_dma(&fake->pci, given->first, part, true) : NULL;

		if (host)
			memcpy(host, frame + off, part);
		off += part;
		desc.second = E1000E_RX_DD | (uint64_t)part << E1000E_RX_LENGTH_SHIFT;
		if (off == len) {
			desc.first = first;
			desc.second |= E1000E_RX_EOP | status;
		}
		write_back(fake, queue, head, desc);
	}
	fake_pci_reg_set(&fake->pci, E1000E_RDH + queue * E1000E_QUEUE_STRIDE, head);
}

bool fake_e1000e_receive(struct fake_e1000e *fake, const uint8_t *frame, uint32_t len)
{
	uint32_t rctl = fake_pci_reg(&fake->pci, E1000E_RCTL), size, room, given;
	uint8_t copy[FAKE_MAX_FRAME];
	uint64_t status, first;
	unsigned int queue;

	if (!check_receiver(fake) || !is_wanted(fake, frame))
		return false;
	if (len > 1522 && !(rctl & E1000E_RCTL_LPE)) {
		count(fake, E1000E_ROC);
		count(fake, E1000E_RLEC);
		return false;
	}
	memcpy(copy, frame, len);
	status = 0;
	if (fake_pci_reg(&fake->pci, E1000E_CTRL) & E1000E_CTRL_VME &&
	    be16(frame + 12) == fake_pci_reg(&fake->pci, E1000E_VET)) {
		status = E1000E_RX_VP | (uint64_t)be16(frame + 14) << E1000E_RX_VLAN_SHIFT;
		memmove(copy + 12, copy + 16, len - 16);
		len -= 4;
	}
	status |= checksum_status(fake, copy, len);
	queue = rss(fake, copy, len, &first);
	size = ring_size(fake, E1000E_RDLEN, queue);
	room = buffer_bytes(fake);
	given = size ? (queue_reg(fake, E1000E_RDT, queue) + size - queue_reg(fake, E1000E_RDH, queue)) % size : 0;
	if (given < (len + room - 1) / room) {
		count(fake, E1000E_MPC);
		fake_e1000e_cause(fake, FAKE_INT_RXO);
		return false;
	}
	store(fake, queue, copy, len, first, status);
	fake_e1000e_cause(fake, E1000E_INT_RXQ0 << queue);
	return true;
}

void fake_rdt_written(struct fake_e1000e *fake, unsigned int queue)
{
	uint32_t size = ring_size(fake, E1000E_RDLEN, queue), tail = queue_reg(fake, E1000E_RDT, queue);
	uint32_t head = queue_reg(fake, E1000E_RDH, queue);
	uint32_t i = fake->rdt_seen[queue];

	fake->rdt_seen[queue] = tail;
	if (!tail && !(fake_pci_reg(&fake->pci, E1000E_RCTL) & E1000E_RCTL_EN))
		return; /* a ring is set up */
	if (!size) {
		if (tail)
			fake_pci_violation(&fake->pci, "RDT without a ring");
		return;
	}
	if (tail >= size || (tail + size - head) % size < (i + size - head) % size) {
		fake_pci_violation(&fake->pci, "RDT is %u of %u, head %u, before %u", tail, size, head, i);
		return;
	}
	for (; i != tail; i = (i + 1) % size) {
		const struct e1000e_rx_desc *desc = fake_e1000e_rx_desc(fake, queue, i);

		if (desc && (desc->second || !desc->first))
			fake_pci_violation(&fake->pci, "receive descriptor %u was given unfit", i);
	}
}

/* Transmit. */

static void insert_tag(struct fake_e1000e *fake, struct fake_sent *frame, uint16_t tci)
{
	if (!(fake_pci_reg(&fake->pci, E1000E_CTRL) & E1000E_CTRL_VME))
		fake_pci_violation(&fake->pci, "VLE without CTRL.VME");
	memmove(frame->data + 16, frame->data + 12, frame->len - 12);
	put_be16(frame->data + 12, (uint16_t)fake_pci_reg(&fake->pci, E1000E_VET));
	put_be16(frame->data + 14, tci);
	frame->len += 4;
}

static void insert_checksums(struct fake_e1000e *fake, struct fake_sent *frame, unsigned int queue, uint64_t second)
{
	uint64_t c = fake->context[queue][0];
	uint32_t ipcss = c & 255, ipcso = c >> 8 & 255, ipcse = c >> 16 & 0xffff, tucss = c >> 32 & 255;
	uint32_t tucso = c >> 40 & 255, tucse = c >> 48;
	uint16_t sum;

	if (!fake->has_context[queue] || !(second & E1000E_TX_DEXT) || tucse) {
		fake_pci_violation(&fake->pci, "checksum without a context, or one that ends early");
		return;
	}
	if (second & E1000E_TX_TXSM) {
		sum = (uint16_t)~sum16(frame->data + tucss, frame->len - tucss, 0);
		put_be16(frame->data + tucso, sum ? sum : 0xffff);
	}
	if (second & E1000E_TX_IXSM) {
		if (!(fake->context[queue][1] & E1000E_TX_TUCMD_IP))
			fake_pci_violation(&fake->pci, "IPv4 checksum with a context that says otherwise");
		put_be16(frame->data + ipcso, (uint16_t)~sum16(frame->data + ipcss, ipcse - ipcss + 1, 0));
	}
}

static void frame_ends(struct fake_e1000e *fake, unsigned int queue, uint64_t second)
{
	struct fake_sent *frame = &fake->frame[queue];

	if (!(second & E1000E_TX_IFCS))
		fake_pci_violation(&fake->pci, "a frame without FCS");
	if (frame->len < 14 || frame->len > 9018)
		fake_pci_violation(&fake->pci, "a frame of %u bytes", frame->len);
	if (second & (E1000E_TX_TXSM | E1000E_TX_IXSM))
		insert_checksums(fake, frame, queue, second);
	if (second & E1000E_TX_VLE)
		insert_tag(fake, frame, (uint16_t)(second >> E1000E_TX_VLAN_SHIFT));
	if (frame->len < 60 && fake_pci_reg(&fake->pci, E1000E_TCTL) & E1000E_TCTL_PSP) {
		memset(frame->data + frame->len, 0, 60 - frame->len);
		frame->len = 60;
	}
	frame->queue = queue;
	if (!fake->discard_sent && fake->nr_sent < FAKE_MAX_SENT) {
		uint8_t *spare = fake->sent[fake->nr_sent].data;

		fake->sent[fake->nr_sent] = *frame;
		frame->data = spare;
	}
	if (!fake->discard_sent)
		fake->nr_sent++;
	frame->len = 0;
	frame->nr_descs = 0;
}

static void data_desc(struct fake_e1000e *fake, unsigned int queue, uint64_t first, uint64_t second)
{
	struct fake_sent *frame = &fake->frame[queue];
	uint32_t len = second & (second & E1000E_TX_DEXT ? 0xfffff : 0xffff);
	const void *host = fake_pci_dma(&fake->pci, first, len, false);

	if (!len || frame->len + len > FAKE_MAX_FRAME) {
		fake_pci_violation(&fake->pci, "a descriptor of %u bytes after %u", len, frame->len);
		return;
	}
	if (host && !fake->discard_sent)
		memcpy(frame->data + frame->len, host, len);
	frame->len += len;
	frame->nr_descs++;
	if (second & E1000E_TX_EOP)
		frame_ends(fake, queue, second);
}

static void run_queue(struct fake_e1000e *fake, unsigned int queue)
{
	uint32_t size = ring_size(fake, E1000E_TDLEN, queue), tail = queue_reg(fake, E1000E_TDT, queue);
	uint32_t head = queue_reg(fake, E1000E_TDH, queue);

	if (!(fake_pci_reg(&fake->pci, E1000E_TCTL) & E1000E_TCTL_EN))
		return;
	for (; size && head != tail; head = (head + 1) % size) {
		struct e1000e_tx_desc *desc = fake_e1000e_tx_desc(fake, queue, head);

		if (!desc)
			return;
		if (desc->second & E1000E_TX_DD)
			fake_pci_violation(&fake->pci, "transmit descriptor %u was given done", head);
		if ((desc->second & (E1000E_TX_DEXT | E1000E_TX_DTYP_DATA)) == E1000E_TX_DEXT) {
			fake->context[queue][0] = desc->first;
			fake->context[queue][1] = desc->second;
			fake->has_context[queue] = true;
			fake->nr_contexts++;
		} else {
			data_desc(fake, queue, desc->first, desc->second);
		}
		if (desc->second & E1000E_TX_RS) {
			fake->nr_reports++;
			__atomic_store_n(&desc->second, desc->second | E1000E_TX_DD, __ATOMIC_RELEASE);
		}
	}
	fake_pci_reg_set(&fake->pci, E1000E_TDH + queue * E1000E_QUEUE_STRIDE, head);
}

void fake_e1000e_run_tx(struct fake_e1000e *fake)
{
	for (unsigned int i = 0; i < E1000E_MAX_QUEUES; i++)
		run_queue(fake, i);
}

void fake_tdt_written(struct fake_e1000e *fake, unsigned int queue)
{
	uint32_t size = ring_size(fake, E1000E_TDLEN, queue), tail = queue_reg(fake, E1000E_TDT, queue);

	fake->tdt_seen[queue] = tail;
	if (size ? tail >= size : tail)
		fake_pci_violation(&fake->pci, "TDT is %u of %u", tail, size);
	else if (!fake->mute_tx)
		run_queue(fake, queue);
}

void fake_e1000e_forget(struct fake_e1000e *fake)
{
	fake->nr_sent = 0;
}
