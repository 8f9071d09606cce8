/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.c - a virtio device on PCI: capabilities, registers, reset, interrupts; the transport that the rest sees.
 *
 * Each start resets the device and brings it up anew, as the specification's device initialization has it (3.1.1).
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pci.h"

#define ARENA_BYTES (16u * 1024 * 1024)
#define RESET_LIMIT_MS 2000u
#define CTRL_LIMIT_MS 5000u
#define CONFIG_TRIES 8u
#define MAX_CAPS 48u
#define MIN_CAP_BYTES 16u
#define MIN_NOTIFY_CAP_BYTES 20u
#define MIN_NOTIFY_BYTES 2u
#define MAX_DEVICE_PAIRS 0x7fffu /* so that the control queue's number is one of 16 bits */
/* What may be agreed on only together with the control queue (5.1.3.1). */
#define CTRL_FEATURES (VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_MAC_ADDR | VIRTIO_NET_F_MQ | VIRTIO_NET_F_RSS)

/* Registers. */

static uint8_t read_status(const struct virtio_pci *p)
{
	return quoll_mmio_read8(p->common + VIRTIO_DEVICE_STATUS);
}

/* No device has all bits set: it is gone. */
static bool is_gone(const struct virtio_pci *p)
{
	return read_status(p) == UINT8_MAX;
}

static int gone(const struct virtio_pci *p, const char *stage, struct quoll_error *err)
{
	return quoll_error_set(err, ENODEV, stage, p->v.port.name,
			       "the device does not answer: its registers read all ones");
}

static void add_status(struct virtio_pci *p, uint8_t bits)
{
	quoll_mmio_write8(p->common + VIRTIO_DEVICE_STATUS, read_status(p) | bits);
}

static uint64_t read_features(const struct virtio_pci *p)
{
	uint64_t features = 0;

	for (uint32_t i = 0; i < 2; i++) {
		quoll_mmio_write32(p->common + VIRTIO_DEVICE_FEATURE_SELECT, i);
		features |= (uint64_t)quoll_mmio_read32(p->common + VIRTIO_DEVICE_FEATURE) << 32 * i;
	}
	return features;
}

static void write_features(struct virtio_pci *p, uint64_t features)
{
	for (uint32_t i = 0; i < 2; i++) {
		quoll_mmio_write32(p->common + VIRTIO_DRIVER_FEATURE_SELECT, i);
		quoll_mmio_write32(p->common + VIRTIO_DRIVER_FEATURE, (uint32_t)(features >> 32 * i));
	}
}

/* Each field by one access of its width (4.1.3.1); those that the device does not have are 0. */
static void copy_config(const struct virtio_pci *p, struct virtio_config *config)
{
	static const uint8_t widths[] = {1, 1, 1, 1, 1, 1, 2, 2, 2, 4, 1, 1, 2, 4};
	uint8_t *to = (uint8_t *)config;

	memset(config, 0, sizeof(*config));
	for (unsigned int i = 0, at = 0; i < sizeof(widths) && at + widths[i] <= p->device_bytes; at += widths[i++]) {
		if (widths[i] == 1)
			to[at] = quoll_mmio_read8(p->device + at);
		else if (widths[i] == 2)
			*(quoll_le16 *)(void *)(to + at) = quoll_cpu_to_le16(quoll_mmio_read16(p->device + at));
		else
			*(quoll_le32 *)(void *)(to + at) = quoll_cpu_to_le32(quoll_mmio_read32(p->device + at));
	}
}

/* As a whole: the device counts its changes. Return: 0, or -EAGAIN: it changes all the time, and what was read is not
 * used. */
static int read_config(struct virtio_pci *p)
{
	struct virtio_config copy;

	for (unsigned int i = 0; i < CONFIG_TRIES; i++) {
		uint8_t before = quoll_mmio_read8(p->common + VIRTIO_CONFIG_GENERATION);

		copy_config(p, &copy);
		if (before == quoll_mmio_read8(p->common + VIRTIO_CONFIG_GENERATION)) {
			p->v.config = copy;
			return 0;
		}
	}
	return -EAGAIN;
}

static int reset(struct virtio_pci *p)
{
	struct quoll_wait wait;
	bool more;

	quoll_wait_start(&wait, &p->v.port.clock, RESET_LIMIT_MS * UINT64_C(1000000));
	quoll_mmio_write8(p->common + VIRTIO_DEVICE_STATUS, 0);
	for (more = true;; more = quoll_wait_more(&wait)) {
		uint8_t status = read_status(p);

		if (!status)
			return 0;
		if (status == UINT8_MAX)
			return -ENODEV;
		if (!more)
			return -ETIMEDOUT;
	}
}

/* Capabilities. */

struct cap {
	uint8_t cap_bytes;
	uint8_t type;
	uint8_t bar;
	uint32_t offset;
	uint32_t bytes;
	uint32_t multiplier;
};

static int read_cap(struct virtio_pci *p, unsigned int at, struct cap *cap)
{
	uint32_t value[6] = {0};
	int rc = 0;

	for (unsigned int i = 0; !rc && i < 5; i++)
		rc = quoll_pci_config_read(p->v.port.dev, at + 4 * i, 4, &value[i]);
	cap->cap_bytes = (uint8_t)(value[0] >> 16);
	cap->type = (uint8_t)(value[0] >> 24);
	cap->bar = (uint8_t)value[1];
	cap->offset = value[2];
	cap->bytes = value[3];
	cap->multiplier = value[4];
	return rc;
}

static volatile uint8_t *map_cap(struct virtio_pci *p, const struct cap *cap, struct quoll_error *err)
{
	if (cap->bar > 5 || !cap->bytes)
		return NULL;
	if (!p->bars[cap->bar] && quoll_region_map(p->v.port.dev, cap->bar, &p->bars[cap->bar], err))
		return NULL;
	return quoll_region_ptr(p->bars[cap->bar], cap->offset, cap->bytes);
}

/* The first of each type that can be used: the device lists them in its order of preference. */
static void take_cap(struct virtio_pci *p, const struct cap *cap, struct quoll_error *err)
{
	if (cap->type == VIRTIO_PCI_COMMON && !p->common && cap->bytes >= VIRTIO_COMMON_BYTES && !(cap->offset & 3))
		p->common = map_cap(p, cap, err);
	if (cap->type == VIRTIO_PCI_NOTIFY && !p->notify && cap->cap_bytes >= MIN_NOTIFY_CAP_BYTES &&
	    cap->bytes >= MIN_NOTIFY_BYTES && !(cap->offset & 1)) {
		p->notify = map_cap(p, cap, err);
		p->notify_bytes = cap->bytes;
		p->notify_multiplier = cap->multiplier;
	}
	if (cap->type == VIRTIO_PCI_DEVICE && !p->device && !(cap->offset & 3)) {
		p->device = map_cap(p, cap, err);
		p->device_bytes = cap->bytes;
	}
}

static int find_caps(struct virtio_pci *p, struct quoll_error *err)
{
	struct quoll_device *dev = p->v.port.dev;
	uint32_t at = 0, head = 0;
	struct cap cap;
	int rc = quoll_pci_config_read(dev, PCI_CAPABILITY_LIST, 1, &at);

	for (unsigned int i = 0; !rc && (at &= 0xfc) && i < MAX_CAPS; i++) {
		rc = quoll_pci_config_read(dev, at, 2, &head);
		if (!rc && (head & 0xff) == PCI_CAP_ID_VNDR && at <= 0x100 - 20) {
			rc = read_cap(p, at, &cap);
			if (!rc && cap.cap_bytes >= MIN_CAP_BYTES)
				take_cap(p, &cap, err);
		}
		at = head >> 8;
	}
	if (rc)
		return quoll_error_set(err, -rc, "capabilities", p->v.port.name, "config space cannot be read");
	if (p->common && p->notify && p->device)
		return 0;
	return quoll_error_set(err, ENOTSUP, "capabilities", p->v.port.name,
			       "the device has no registers of version 1 (%s%s%s missing)", p->common ? "" : "common ",
			       p->notify ? "" : "notification ", p->device ? "" : "device ");
}

/* Interrupts. */

static void irqs_close(struct virtio_pci *p)
{
	if (p->nr_vectors)
		(void)quoll_irq_disable(p->v.port.dev, QUOLL_PCI_IRQ_MSIX);
	p->nr_vectors = 0;
}

/* One for changes of the configuration, one a receive queue. */
static int irqs_open(struct virtio_pci *p)
{
	int fds[VIRTIO_PCI_MAX_VECTORS] = {p->config_fd};
	unsigned int nr = 1 + p->v.port.queues.nr_rxqs;
	int rc;

	for (unsigned int i = 1; i < nr; i++)
		fds[i] = ((struct virtio_rxq *)p->v.port.rxqs[i - 1])->call_fd;
	rc = quoll_irq_enable(p->v.port.dev, QUOLL_PCI_IRQ_MSIX, fds, nr, NULL);
	if (!rc)
		p->nr_vectors = nr;
	else
		quoll_log(net_env(&p->v.port), QUOLL_LOG_WARN, "net",
			  "%s: no MSI-X (errno %d): nobody is woken by frames, and the link is polled", p->v.port.name,
			  -rc);
	return 0;
}

/* Bring-up. */

unsigned int virtio_pci_ring_entries(struct virtio_pci *p, uint16_t i)
{
	quoll_mmio_write16(p->common + VIRTIO_QUEUE_SELECT, i);
	return quoll_mmio_read16(p->common + VIRTIO_QUEUE_SIZE);
}

/* What the device allows of each of its rings. */
static unsigned int smallest_ring(struct virtio_pci *p, unsigned int nr)
{
	unsigned int least = VIRTIO_MAX_ENTRIES;

	for (unsigned int i = 0; i < nr; i++) {
		unsigned int entries = virtio_pci_ring_entries(p, (uint16_t)i);

		least = entries < least ? entries : least;
	}
	return least;
}

static unsigned int max_pairs(const struct virtio_pci *p)
{
	unsigned int pairs = quoll_le16_to_cpu(p->v.config.max_pairs);

	if (!(p->v.device_features & VIRTIO_NET_F_MQ))
		return 1;
	return pairs < VIRTIO_MAX_PAIRS ? pairs : VIRTIO_MAX_PAIRS;
}

static int link_update(struct virtio_pci *p)
{
	const struct virtio_config *config = &p->v.config;
	uint32_t mbit_per_s = quoll_le32_to_cpu(config->mbit_per_s);
	int rc = read_config(p);
	bool up;

	if (is_gone(p))
		return -ENODEV;
	if (rc)
		return rc;
	up = !virtio_has(&p->v, VIRTIO_NET_F_STATUS) || quoll_le16_to_cpu(config->status) & VIRTIO_NET_S_LINK_UP;
	if (!virtio_has(&p->v, VIRTIO_NET_F_SPEED_DUPLEX) || mbit_per_s > INT32_MAX)
		mbit_per_s = 0;
	net_port_set_link(&p->v.port, up, up, up ? mbit_per_s : 0);
	return 0;
}

/* What the device says of itself, as far as it may be believed. */
static int read_device(struct virtio_pci *p, struct quoll_error *err)
{
	struct virtio_port *v = &p->v;
	unsigned int pairs;
	int rc;

	v->device_features = read_features(p);
	rc = read_config(p);
	if (is_gone(p))
		return gone(p, "configuration", err);
	if (rc)
		return quoll_error_set(err, EIO, "configuration", v->port.name,
				       "it changed in each of %u attempts to read it", CONFIG_TRIES);
	if (!(v->device_features & VIRTIO_NET_F_CTRL_VQ))
		v->device_features &= ~CTRL_FEATURES;
	pairs = quoll_le16_to_cpu(v->config.max_pairs);
	if (v->device_features & (VIRTIO_NET_F_MQ | VIRTIO_NET_F_RSS) && (!pairs || pairs > MAX_DEVICE_PAIRS))
		return quoll_error_set(err, EPROTO, "configuration", v->port.name, "%u queue pairs", pairs);
	if (v->device_features & VIRTIO_F_ACCESS_PLATFORM)
		return 0;
	rc = quoll_error_set(err, ENOTSUP, "features", v->port.name,
			     "the device reaches memory past the IOMMU: it does not offer ACCESS_PLATFORM");
	quoll_error_hint(err, "with QEMU: iommu_platform=on");
	return rc;
}

static int begin(struct virtio_port *v, struct quoll_error *err)
{
	struct virtio_pci *p = virtio_pci(v);
	int rc = reset(p);

	if (rc == -ENODEV)
		return gone(p, "reset", err);
	if (rc)
		return quoll_error_set(err, -rc, "reset", v->port.name, "the reset did not end within %u ms",
				       RESET_LIMIT_MS);
	add_status(p, VIRTIO_STATUS_ACKNOWLEDGE);
	add_status(p, VIRTIO_STATUS_DRIVER);
	return read_device(p, err);
}

static int agree(struct virtio_pci *p, struct quoll_error *err)
{
	write_features(p, p->v.features);
	add_status(p, VIRTIO_STATUS_FEATURES_OK);
	if (is_gone(p))
		return gone(p, "features", err);
	if (read_status(p) & VIRTIO_STATUS_FEATURES_OK)
		return 0;
	return quoll_error_set(err, EPROTO, "features", p->v.port.name, "the device does not take what it offered");
}

static void write_area(struct virtio_pci *p, enum virtio_reg reg, const void *va)
{
	quoll_mmio_write64_lohi(p->common + reg, quoll_heap_iova(net_heap(&p->v.port), va, 1));
}

static int ring_setup(struct virtio_pci *p, struct virtio_ring *ring, uint16_t vector, struct quoll_error *err)
{
	uint64_t off;

	if (virtio_pci_ring_entries(p, ring->idx) < ring->size)
		return quoll_error_set(err, EPROTO, "queues", p->v.port.name,
				       "ring %u is shorter than when the port was opened", ring->idx);
	quoll_mmio_write16(p->common + VIRTIO_QUEUE_SIZE, ring->size);
	write_area(p, VIRTIO_QUEUE_DESC, ring->desc);
	write_area(p, VIRTIO_QUEUE_DRIVER, ring->driver);
	write_area(p, VIRTIO_QUEUE_DEVICE, ring->device);
	quoll_mmio_write16(p->common + VIRTIO_QUEUE_VECTOR, vector);
	if (quoll_mmio_read16(p->common + VIRTIO_QUEUE_VECTOR) != vector)
		return quoll_error_set(err, ENOSPC, "interrupt", p->v.port.name, "no vector for ring %u", ring->idx);
	off = (uint64_t)quoll_mmio_read16(p->common + VIRTIO_QUEUE_NOTIFY_OFF) * p->notify_multiplier;
	if (off > p->notify_bytes - MIN_NOTIFY_BYTES || off & 1)
		return quoll_error_set(err, EPROTO, "registers", p->v.port.name,
				       "ring %u is told of news where no register is", ring->idx);
	ring->kick_reg = p->notify + off;
	quoll_mmio_write16(p->common + VIRTIO_QUEUE_ENABLE, 1);
	return 0;
}

static int rings_setup(struct virtio_pci *p, struct quoll_error *err)
{
	int rc = 0;

	quoll_mmio_write16(p->common + VIRTIO_CONFIG_VECTOR, p->nr_vectors ? 0 : VIRTIO_NO_VECTOR);
	for (unsigned int i = 0; !rc && i < p->v.nr_rings; i++) {
		bool wakes = p->nr_vectors && !(i & 1) && p->v.port.rxqs[i / 2];

		rc = ring_setup(p, &p->v.rings[i], wakes ? (uint16_t)(i / 2 + 1) : VIRTIO_NO_VECTOR, err);
	}
	if (!rc && p->ctrl)
		rc = ring_setup(p, p->ctrl, VIRTIO_NO_VECTOR, err);
	return rc;
}

static int wakes_open(struct virtio_pci *p, struct quoll_error *err)
{
	int fds[] = {p->config_fd, quoll_device_event_fd(p->v.port.dev)}, rc = 0;

	for (unsigned int i = 0; !rc && p->nr_vectors && i < p->v.port.queues.nr_rxqs; i++)
		rc = virtio_wake_open(&p->v, i, fds, 2, err);
	return rc;
}

static int go(struct virtio_port *v, struct quoll_error *err)
{
	struct virtio_pci *p = virtio_pci(v);
	int rc = agree(p, err);

	if (!rc)
		rc = virtio_ctrl_make(p, err);
	if (!rc)
		rc = irqs_open(p);
	if (!rc)
		rc = wakes_open(p, err);
	if (!rc)
		rc = rings_setup(p, err);
	if (!rc)
		rc = quoll_pci_bus_master(v->port.dev, true);
	if (rc)
		return rc;
	add_status(p, VIRTIO_STATUS_DRIVER_OK);
	rc = virtio_ctrl_start(p, err);
	if (rc)
		return rc;
	/* Buffers were posted before the device looked at all. */
	for (unsigned int i = 0; i < v->port.queues.nr_rxqs; i++)
		quoll_mmio_write16(v->rings[2 * i].kick_reg, v->rings[2 * i].idx);
	/* One that changes just now is looked at again by check. */
	rc = link_update(p);
	p->has_news = rc == -EAGAIN;
	return rc == -ENODEV ? gone(p, "start", err) : 0;
}

static int halt(struct virtio_port *v)
{
	struct virtio_pci *p = virtio_pci(v);
	int rc = net_port_dead(&v->port);

	/* DMA is off already if it is dead, and no register may be touched. */
	if (!rc) {
		rc = reset(p);
		if (rc && quoll_pci_bus_master(v->port.dev, false))
			rc = -ENODEV;
		rc = rc == -ETIMEDOUT ? -EIO : rc;
	}
	irqs_close(p);
	virtio_ctrl_free(p);
	return rc;
}

static const struct virtio_transport transport = {
	.features = VIRTIO_F_ACCESS_PLATFORM | VIRTIO_F_ORDER_PLATFORM | VIRTIO_NET_F_CTRL_VQ | CTRL_FEATURES |
		    VIRTIO_NET_F_SPEED_DUPLEX,
	.begin = begin,
	.go = go,
	.halt = halt,
};

/* While it runs. */

static bool config_changed(const struct virtio_pci *p)
{
	uint64_t count;

	return p->nr_vectors && read(p->config_fd, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

static int pci_check(struct quoll_port *port)
{
	struct virtio_pci *p = virtio_pci(virtio_port(port));
	unsigned int events = quoll_device_events(port->dev);
	uint8_t status;
	int rc;

	/* Before any register access: those of a removed device may fault. */
	if (events & (QUOLL_DEVICE_GONE | QUOLL_DEVICE_REMOVE_REQUESTED))
		return -ENODEV;
	if (events & QUOLL_DEVICE_ERROR || virtio_is_broken(&p->v))
		return -EIO;
	virtio_look(&p->v);
	if (config_changed(p))
		p->has_news = true;
	/* Without news now and then all the same: registers may read all ones long before config space does. */
	if (!p->has_news && ++p->nr_checks % VIRTIO_CHECKS_A_LOOK)
		return 0;
	status = read_status(p);
	if (status == UINT8_MAX)
		return -ENODEV;
	if (status & VIRTIO_STATUS_NEEDS_RESET)
		return -EIO;
	if (!(status & VIRTIO_STATUS_DRIVER_OK) || (p->nr_vectors && !p->has_news))
		return 0;
	rc = link_update(p);
	p->has_news = rc == -EAGAIN;
	return p->has_news ? 0 : rc;
}

static int pci_apply(struct quoll_port *port, const struct quoll_port_settings *settings, struct quoll_error *err)
{
	struct virtio_pci *p = virtio_pci(virtio_port(port));
	int rc = p->ctrl ? virtio_ctrl_apply(p, settings, err) : 0;

	/* All or nothing. If it refuses what it had before, too, nothing is left to be done. */
	if (rc == -EIO)
		(void)virtio_ctrl_apply(p, &port->settings, NULL);
	return rc;
}

static void pci_dma_off(struct quoll_port *port)
{
	(void)quoll_pci_bus_master(port->dev, false);
}

/* Open and close. */

static void fill_info(struct virtio_pci *p)
{
	struct quoll_port_info *info = &p->v.port.info;
	unsigned int entries = quoll_le16_to_cpu(p->v.config.rss_max_entries);

	if (p->v.device_features & VIRTIO_NET_F_CTRL_RX)
		info->max_macs = QUOLL_PORT_MAX_MACS - 1;
	if (!(p->v.device_features & VIRTIO_NET_F_RSS) || p->v.config.rss_max_key_bytes < QUOLL_RSS_KEY_BYTES ||
	    entries < 2)
		return;
	if (entries > QUOLL_RSS_MAX_ENTRIES)
		entries = QUOLL_RSS_MAX_ENTRIES;
	while (entries & (entries - 1))
		entries &= entries - 1;
	info->rss_table_entries = entries;
	info->rss_types =
		quoll_le32_to_cpu(p->v.config.hash_types) &
		(QUOLL_RSS_IPV4 | QUOLL_RSS_TCP4 | QUOLL_RSS_UDP4 | QUOLL_RSS_IPV6 | QUOLL_RSS_TCP6 | QUOLL_RSS_UDP6);
}

static void pci_close(struct quoll_port *port)
{
	struct virtio_pci *p = virtio_pci(virtio_port(port));
	bool is_off;

	if (p->common && !net_port_dead(port))
		(void)reset(p);
	is_off = !quoll_pci_bus_master(port->dev, false) || net_port_dead(port) == -ENODEV;
	if (p->config_fd >= 0)
		close(p->config_fd);
	/* If it cannot be switched off, the arena goes with the heap, which unmaps in the IOMMU first. */
	if (p->v.arena && is_off)
		quoll_arena_destroy(p->v.arena);
	for (unsigned int i = 0; i < 6; i++)
		if (p->bars[i])
			quoll_region_unmap(p->bars[i]);
}

/* Its own, or a random one where it leaves that to the driver (5.1.5). */
static int choose_mac(struct virtio_pci *p, struct quoll_error *err)
{
	static const uint8_t none[QUOLL_MAC_BYTES];
	uint8_t *mac = p->v.config.mac;
	int rc = 0;

	if (!(p->v.device_features & VIRTIO_NET_F_MAC))
		rc = virtio_random_mac(mac);
	if (rc)
		return quoll_error_set(err, -rc, "open", p->v.port.name, "no random address");
	if (mac[0] & 1 || !memcmp(mac, none, sizeof(none)))
		return quoll_error_set(err, EPROTO, "open", p->v.port.name, "its address is no unicast address");
	return 0;
}

static int bring_up(struct virtio_pci *p, struct quoll_error *err)
{
	struct virtio_port *v = &p->v;
	int rc = find_caps(p, err);

	/* Off already, unless somebody else was at it. */
	if (!rc && quoll_pci_bus_master(v->port.dev, false))
		rc = quoll_error_set(err, EIO, "open", v->port.name, "bus mastering could not be switched off");
	if (!rc)
		rc = begin(v, err);
	if (!rc)
		rc = choose_mac(p, err);
	if (rc)
		return rc;
	v->max_ring_entries = smallest_ring(p, 2 * max_pairs(p));
	v->config.max_pairs = quoll_cpu_to_le16((uint16_t)max_pairs(p));
	return virtio_fill_info(v, err);
}

static int pci_open(struct quoll_port *port, const struct quoll_addr *addr, struct quoll_error *err)
{
	struct virtio_pci *p = virtio_pci(virtio_port(port));
	const char *packed = quoll_addr_option(addr, "packed");
	int rc = 0;

	p->v.transport = &transport;
	p->ctrl_limit_ms = CTRL_LIMIT_MS;
	p->config_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->config_fd < 0)
		rc = quoll_error_set(err, errno, "open", port->name, "no eventfd");
	if (!rc && packed && strcmp(packed, "0") != 0 && strcmp(packed, "1") != 0)
		rc = quoll_error_set(err, EINVAL, "address", port->name, "packed: \"%s\" is neither 0 nor 1", packed);
	p->v.wants_packed = packed && packed[0] == '1';
	if (!rc)
		rc = bring_up(p, err);
	if (!rc)
		rc = quoll_arena_create(net_heap(port), "virtio", QUOLL_ARENA_DEVICE_READ_WRITE, ARENA_BYTES,
					&p->v.arena, err);
	if (rc) {
		pci_close(port);
		return rc;
	}
	fill_info(p);
	return 0;
}

static const struct net_device_id ids[] = {
	{VIRTIO_PCI_VENDOR_ID, VIRTIO_PCI_NET_ID}, {VIRTIO_PCI_VENDOR_ID, VIRTIO_PCI_NET_TRANSITIONAL_ID}, {0}};
static const char *const options[] = {"packed", NULL};

const struct net_driver net_virtio = {
	.name = "virtio",
	.scheme = QUOLL_ADDR_PCI,
	.ids = ids,
	.port_bytes = sizeof(struct virtio_pci),
	.memory = QUOLL_PORT_MEMORY_STREAMED,
	.front_bytes = VIRTIO_HDR_BYTES,
	.options = options,
	.open = pci_open,
	.close = pci_close,
	.start = virtio_start,
	.stop = virtio_stop,
	.apply = pci_apply,
	.arm = virtio_arm,
	.disarm = virtio_disarm,
	.check = pci_check,
	.dma_off = pci_dma_off,
};
