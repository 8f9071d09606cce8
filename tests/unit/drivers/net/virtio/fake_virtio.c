/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_virtio.c - see fake_virtio.h.
 */
#include <string.h>

#include <linux/pci_regs.h>

#include "fake_virtio.h"

#define BAR_BYTES 0x4000u
#define DEVICE_AT 0x1000u
#define NOTIFY_AT 0x2000u
#define NOTIFY_BYTES 0x1000u
#define MULTIPLIER 4u
#define CTRL (FAKE_VIRTIO_RINGS - 1)

static const struct {
	uint8_t type;
	uint32_t offset;
	uint32_t bytes;
} caps[] = {
	{5, 0, 0}, /* the window in config space, which nobody needs */
	{VIRTIO_PCI_COMMON, 0, VIRTIO_COMMON_BYTES},
	{VIRTIO_PCI_ISR, 0x3000, 4},
	{VIRTIO_PCI_DEVICE, DEVICE_AT, 24},
	{VIRTIO_PCI_NOTIFY, NOTIFY_AT, NOTIFY_BYTES},
};
#define NR_CAPS (sizeof(caps) / sizeof(caps[0]))

static uint32_t cap_at(size_t i)
{
	return 0x80 + (uint32_t)i * 20;
}

static void put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

static uint32_t reg(const struct fake_virtio *fake, uint32_t offset)
{
	return fake_pci_reg(&fake->pci, offset);
}

static void reg_set(struct fake_virtio *fake, uint32_t offset, uint32_t value)
{
	fake_pci_reg_set(&fake->pci, offset, value);
}

static bool is_gone(const struct fake_virtio *fake)
{
	return fake->pci.config[0] == 0xff;
}

static void *at(void *arg, uint64_t addr, uint64_t len, bool write)
{
	return fake_pci_dma(arg, addr, len, write);
}

/* Where ring @q's state is kept; FAKE_VIRTIO_RINGS: nowhere. */
static unsigned int bank_of(const struct fake_virtio *fake, uint32_t q)
{
	if (q == fake->ctrl_at)
		return CTRL;
	return q < CTRL ? q : FAKE_VIRTIO_RINGS;
}

static void show_status(struct fake_virtio *fake)
{
	reg_set(fake, VIRTIO_DEVICE_STATUS,
		fake->status | (uint32_t)fake->generation << 8 | (uint32_t)fake->selected << 16);
}

static void reset(struct fake_virtio *fake)
{
	fake->nr_resets++;
	fake->status = 0;
	fake->agreed = 0;
	memset(fake->banks, 0, sizeof(fake->banks));
	memset(fake->driver_features, 0, sizeof(fake->driver_features));
	for (unsigned int i = 0; i < FAKE_VIRTIO_RINGS; i++) {
		fake->rings[i] = (struct fake_ring){.nr_violations = fake->rings[i].nr_violations};
		fake->banks[i].size = i == CTRL ? fake->ctrl_size : fake->max_size;
		fake->vectors[i] = VIRTIO_NO_VECTOR;
	}
	fake->config_vector = VIRTIO_NO_VECTOR;
}

static void write_status(struct fake_virtio *fake, uint8_t status)
{
	if (!status) {
		if (!fake->never_resets)
			reset(fake);
		return;
	}
	if (status & ~fake->status & VIRTIO_STATUS_FEATURES_OK) {
		fake->agreed = fake->driver_features[0] | (uint64_t)fake->driver_features[1] << 32;
		if (fake->agreed & ~fake->features)
			fake_pci_violation(&fake->pci, "features that were not offered");
		if (fake->refuses_features)
			status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	}
	if (status & ~fake->status & VIRTIO_STATUS_DRIVER_OK && !(status & VIRTIO_STATUS_FEATURES_OK))
		fake_pci_violation(&fake->pci, "DRIVER_OK without FEATURES_OK");
	fake->status = status;
}

/* What the registers of the selected queue read as. */
static void show_queue(struct fake_virtio *fake)
{
	unsigned int q = bank_of(fake, fake->selected);
	uint32_t off = q == 1 && fake->notify_off ? fake->notify_off : fake->selected;

	for (uint32_t r = VIRTIO_QUEUE_SIZE; r < VIRTIO_COMMON_BYTES; r += 4)
		reg_set(fake, r, 0);
	if (q >= FAKE_VIRTIO_RINGS && fake->selected < fake->ctrl_at)
		reg_set(fake, VIRTIO_QUEUE_SIZE, fake->max_size);
	if (q >= FAKE_VIRTIO_RINGS)
		return;
	reg_set(fake, VIRTIO_QUEUE_SIZE, fake->banks[q].size | (uint32_t)fake->vectors[q] << 16);
	reg_set(fake, VIRTIO_QUEUE_ENABLE, fake->banks[q].enabled | off << 16);
	for (uint32_t i = 0; i < 6; i++)
		reg_set(fake, VIRTIO_QUEUE_DESC + 4 * i, fake->banks[q].addrs[i]);
}

static void *area(struct fake_virtio *fake, unsigned int q, unsigned int i)
{
	const uint32_t *addrs = fake->banks[q].addrs;
	uint64_t addr = addrs[2 * i] | (uint64_t)addrs[2 * i + 1] << 32;

	/* Bus mastering may still be off: nothing is fetched yet. */
	for (unsigned int j = 0; j < fake->pci.nr_maps; j++) {
		const struct ioas_mapping *m = &fake->pci.maps[j];

		if (addr >= m->iova && addr - m->iova < m->len_bytes)
			return (uint8_t *)m->va + (addr - m->iova);
	}
	fake_pci_violation(&fake->pci, "a ring where nothing is mapped");
	return NULL;
}

static void enable(struct fake_virtio *fake, unsigned int q)
{
	if (fake->banks[q].enabled || !(fake->status & VIRTIO_STATUS_FEATURES_OK))
		fake_pci_violation(&fake->pci, "queue %u enabled out of turn", q);
	fake->banks[q].enabled = true;
	fake->rings[q] = (struct fake_ring){.desc = area(fake, q, 0),
					    .driver = area(fake, q, 1),
					    .device = area(fake, q, 2),
					    .size = fake->banks[q].size,
					    .packed = fake->agreed & VIRTIO_F_RING_PACKED,
					    .event_idx = fake->agreed & VIRTIO_F_EVENT_IDX,
					    .nr_violations = fake->rings[q].nr_violations,
					    .at = at,
					    .arg = &fake->pci};
}

static void write_queue(struct fake_virtio *fake, uint32_t offset, uint32_t value)
{
	unsigned int q = bank_of(fake, fake->selected);

	if (q >= FAKE_VIRTIO_RINGS)
		return;
	if (offset >= VIRTIO_QUEUE_DESC) {
		fake->banks[q].addrs[(offset - VIRTIO_QUEUE_DESC) / 4] = value;
	} else if (offset == VIRTIO_QUEUE_SIZE) {
		fake->banks[q].size = (uint16_t)value;
		fake->vectors[q] = fake->refuses_vectors ? VIRTIO_NO_VECTOR : (uint16_t)(value >> 16);
	} else if (value & 1) {
		enable(fake, q);
	}
	show_queue(fake);
}

/* All commands that are there. */
void fake_virtio_run_ctrl(struct fake_virtio *fake)
{
	struct fake_ring *ring = &fake->rings[CTRL];
	struct fake_chain chain;

	while (!fake->mute_ctrl && fake_ring_pop(ring, &chain)) {
		struct fake_command *command = &fake->commands[fake->nr_commands++ % FAKE_VIRTIO_COMMANDS];

		if (chain.nr_segs != 2 || !chain.segs[1].write || chain.segs[0].write || chain.segs[0].bytes < 2 ||
		    chain.segs[0].bytes > 2 + sizeof(command->data)) {
			fake_pci_violation(&fake->pci, "a command of another shape");
			return;
		}
		command->class = chain.segs[0].va[0];
		command->what = chain.segs[0].va[1];
		command->bytes = chain.segs[0].bytes - 2;
		memcpy(command->data, chain.segs[0].va + 2, command->bytes);
		*chain.segs[1].va = fake->refuses_commands;
		fake_ring_push(ring, &(struct fake_used){chain.id, 1, chain.nr}, 1);
	}
}

static void kick(struct fake_virtio *fake, uint32_t offset)
{
	uint32_t number = (uint16_t)reg(fake, offset);
	unsigned int q = bank_of(fake, number);

	if (q >= FAKE_VIRTIO_RINGS || !fake->rings[q].desc || !(fake->status & VIRTIO_STATUS_DRIVER_OK) ||
	    offset != NOTIFY_AT + number * MULTIPLIER) {
		fake_pci_violation(&fake->pci, "a kick of ring %u at 0x%x", number, offset);
		return;
	}
	fake->nr_kicks[q]++;
	if (q == CTRL)
		fake_virtio_run_ctrl(fake);
}

static void before_read(void *arg, uint32_t offset)
{
	struct fake_virtio *fake = arg;

	if (is_gone(fake)) {
		reg_set(fake, offset, UINT32_MAX);
		return;
	}
	if (offset == VIRTIO_DEVICE_FEATURE)
		reg_set(fake, offset, (uint32_t)(fake->features >> 32 * (reg(fake, VIRTIO_DEVICE_FEATURE_SELECT) & 1)));
	if (offset == (VIRTIO_DEVICE_STATUS & ~3u)) {
		fake->generation += fake->never_settles;
		show_status(fake);
	}
	if (offset >= DEVICE_AT && offset < DEVICE_AT + sizeof(fake->config))
		memcpy(fake->pci.bar + DEVICE_AT, fake->config, sizeof(fake->config));
}

static void after_write(void *arg, uint32_t offset, uint32_t old)
{
	struct fake_virtio *fake = arg;
	uint32_t value = reg(fake, offset);

	if (is_gone(fake)) {
		reg_set(fake, offset, UINT32_MAX);
	} else if (offset == VIRTIO_DRIVER_FEATURE) {
		fake->driver_features[reg(fake, VIRTIO_DRIVER_FEATURE_SELECT) & 1] = value;
	} else if (offset == (VIRTIO_CONFIG_VECTOR & ~3u)) {
		fake->config_vector = (uint16_t)value;
	} else if (offset == (VIRTIO_DEVICE_STATUS & ~3u)) {
		if ((uint8_t)value != (uint8_t)old || !(uint8_t)value)
			if (value >> 16 == old >> 16)
				write_status(fake, (uint8_t)value);
		fake->selected = (uint16_t)(value >> 16);
		show_status(fake);
		show_queue(fake);
	} else if (offset >= VIRTIO_QUEUE_SIZE && offset < VIRTIO_COMMON_BYTES) {
		write_queue(fake, offset, value);
	} else if (offset >= NOTIFY_AT && offset < NOTIFY_AT + NOTIFY_BYTES) {
		kick(fake, offset);
	}
}

static void on_map(struct fake_pci *pci, void *va, uint64_t len)
{
	struct fake_virtio *fake = (struct fake_virtio *)pci;

	fake->trap = (struct mmio_trap){.va = va,
					.len = len,
					.memory = pci->bar,
					.arg = fake,
					.before_read = before_read,
					.after_write = after_write};
	mmio_trap_set(&fake->trap);
}

static void list_caps(struct fake_virtio *fake)
{
	uint8_t *config = fake->pci.config;

	config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	config[PCI_CAPABILITY_LIST] = (uint8_t)cap_at(0);
	for (size_t i = 0; i < NR_CAPS; i++) {
		uint8_t *cap = config + cap_at(i);

		memset(cap, 0, 20);
		cap[0] = PCI_CAP_ID_VNDR;
		cap[1] = i + 1 < NR_CAPS ? (uint8_t)cap_at(i + 1) : 0;
		cap[2] = 20;
		cap[3] = caps[i].type;
		put32(cap + 8, caps[i].offset);
		put32(cap + 12, caps[i].bytes);
		put32(cap + 16, MULTIPLIER);
	}
}

unsigned int fake_virtio_cap(uint8_t type)
{
	for (size_t i = 0; i < NR_CAPS; i++)
		if (caps[i].type == type)
			return cap_at(i);
	return 0;
}

void fake_virtio_hide(struct fake_virtio *fake, uint8_t type)
{
	fake->pci.config[fake_virtio_cap(type) + 3] = 99;
}

static void config_changed(struct fake_virtio *fake)
{
	fake->generation++;
	if (fake->config_vector != VIRTIO_NO_VECTOR)
		fake_pci_interrupt(&fake->pci, fake->config_vector);
}

void fake_virtio_set_link(struct fake_virtio *fake, bool up)
{
	fake->config[6] = up;
	config_changed(fake);
}

void fake_virtio_set_status(struct fake_virtio *fake, uint8_t status)
{
	fake->status |= status;
	config_changed(fake);
}

int fake_virtio_init(struct fake_virtio *fake)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0, 0, 0, 0x40};
	int rc;

	memset(fake, 0, sizeof(*fake));
	rc = fake_pci_init(&fake->pci, BAR_BYTES, VIRTIO_PCI_VENDOR_ID, VIRTIO_PCI_NET_ID, 0x020000);
	if (rc)
		return rc;
	fake->pci.nr_msix = 6;
	fake->pci.on_map = on_map;
	fake->max_size = 256;
	fake->ctrl_at = CTRL;
	fake->ctrl_size = 64;
	fake->features = VIRTIO_F_VERSION_1 | VIRTIO_F_ACCESS_PLATFORM | VIRTIO_F_RING_PACKED | VIRTIO_F_EVENT_IDX |
			 VIRTIO_NET_F_MAC | VIRTIO_NET_F_STATUS | VIRTIO_NET_F_MTU | VIRTIO_NET_F_CTRL_VQ |
			 VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_MAC_ADDR | VIRTIO_NET_F_MQ | VIRTIO_NET_F_RSS |
			 VIRTIO_NET_F_SPEED_DUPLEX | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_CSUM |
			 VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_HOST_TSO4;
	memcpy(fake->config, mac, sizeof(mac));
	fake->config[6] = 1;
	fake->config[8] = 4;
	fake->config[10] = 0xdc; /* 1500 */
	fake->config[11] = 0x05;
	put32(fake->config + 12, 10000);
	fake->config[16] = 1;
	fake->config[17] = 40;
	fake->config[18] = 128;
	put32(fake->config + 20, 0x3f);
	list_caps(fake);
	reset(fake);
	/* As some driver left it. */
	fake->status = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK;
	fake->nr_resets = 0;
	show_status(fake);
	return 0;
}

void fake_virtio_fini(struct fake_virtio *fake)
{
	mmio_trap_clear();
	fake_pci_fini(&fake->pci);
}
