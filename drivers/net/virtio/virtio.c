/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio.c - what both ways to a device share around the queues: features, what the port can do, sleeping.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "virtio.h"

#define TSO4_NEEDS (VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4)
#define TSO6_NEEDS (VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO6)
#define GUEST_TSO (VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6)

/* Features. */

static bool offers(const struct virtio_port *v, uint64_t features)
{
	return (v->device_features & features) == features;
}

static uint32_t offloads_of(const struct virtio_port *v)
{
	uint32_t offloads = 0;

	if (offers(v, VIRTIO_NET_F_GUEST_CSUM))
		offloads |= QUOLL_OFFLOAD_RX_L4_CSUM;
	if (offers(v, VIRTIO_NET_F_CSUM))
		offloads |= QUOLL_OFFLOAD_TX_L4_CSUM;
	if (offers(v, TSO4_NEEDS))
		offloads |= QUOLL_OFFLOAD_TX_TSO4;
	if (offers(v, TSO6_NEEDS))
		offloads |= QUOLL_OFFLOAD_TX_TSO6;
	if (offers(v, VIRTIO_NET_F_MRG_RXBUF))
		offloads |= QUOLL_OFFLOAD_RX_SCATTER;
	/* Without mergeable buffers each one would have to hold 64 KiB. */
	if (offers(v, VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_MRG_RXBUF) && v->device_features & GUEST_TSO)
		offloads |= QUOLL_OFFLOAD_RX_GSO;
	return offloads;
}

/*
 * Who agrees on the device's mtu takes frames of it (1.3, 5.1.4.2), and ring and buffers are made for the port's own. A
 * back end over vhost-user tells none, and that is 0.
 */
static bool takes_mtu(const struct virtio_port *v)
{
	unsigned int mtu = quoll_le16_to_cpu(v->config.mtu);

	return mtu >= VIRTIO_MIN_MTU && mtu <= v->port.settings.mtu;
}

uint64_t virtio_wanted_features(const struct virtio_port *v)
{
	uint32_t offloads = v->port.settings.offloads;
	uint64_t want = VIRTIO_F_EVENT_IDX | VIRTIO_NET_F_MAC | VIRTIO_NET_F_STATUS | v->transport->features;

	if (takes_mtu(v))
		want |= VIRTIO_NET_F_MTU;
	if (v->wants_packed)
		want |= VIRTIO_F_RING_PACKED;
	if (offloads & (QUOLL_OFFLOAD_RX_SCATTER | QUOLL_OFFLOAD_RX_GSO))
		want |= VIRTIO_NET_F_MRG_RXBUF;
	if (offloads & (QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_RX_GSO))
		want |= VIRTIO_NET_F_GUEST_CSUM;
	if (offloads & QUOLL_OFFLOAD_RX_GSO)
		want |= GUEST_TSO;
	if (offloads & QUOLL_OFFLOAD_TX_L4_CSUM)
		want |= VIRTIO_NET_F_CSUM;
	if (offloads & QUOLL_OFFLOAD_TX_TSO4)
		want |= VIRTIO_NET_F_HOST_TSO4;
	if (offloads & QUOLL_OFFLOAD_TX_TSO6)
		want |= VIRTIO_NET_F_HOST_TSO6;
	return (want & v->device_features) | VIRTIO_F_VERSION_1;
}

int virtio_check_features(const struct virtio_port *v, struct quoll_error *err)
{
	uint64_t lost = v->offered & ~v->device_features;

	if (!offers(v, VIRTIO_F_VERSION_1))
		return quoll_error_set(err, ENOTSUP, "features", v->port.name,
				       "the device is of before version 1 of the specification");
	if (v->wants_packed && !offers(v, VIRTIO_F_RING_PACKED))
		return quoll_error_set(err, ENOTSUP, "features", v->port.name, "the device has no packed rings");
	if (lost)
		return quoll_error_set(err, EPROTO, "features", v->port.name,
				       "the device is another one than when it was opened: it lacks 0x%" PRIx64, lost);
	return 0;
}

/* What the port can do. */

int virtio_random_mac(uint8_t *mac)
{
	if (getrandom(mac, QUOLL_MAC_BYTES, 0) != QUOLL_MAC_BYTES)
		return -errno;
	mac[0] = (mac[0] & 0xfc) | 2;
	return 0;
}

int virtio_fill_info(struct virtio_port *v, struct quoll_error *err)
{
	struct quoll_port_info *info = &v->port.info;
	unsigned int pairs = quoll_le16_to_cpu(v->config.max_pairs), mtu = quoll_le16_to_cpu(v->config.mtu);
	int rc = virtio_check_features(v, err);

	if (rc)
		return rc;
	v->offered = v->device_features;
	info->offloads = offloads_of(v);
	info->max_rxqs = info->max_txqs = pairs < VIRTIO_MAX_PAIRS ? pairs : VIRTIO_MAX_PAIRS;
	info->min_entries = VIRTIO_MIN_ENTRIES;
	info->max_entries = v->max_ring_entries < VIRTIO_MAX_ENTRIES ? v->max_ring_entries : VIRTIO_MAX_ENTRIES;
	info->max_mtu =
		offers(v, VIRTIO_NET_F_MTU) && mtu >= VIRTIO_MIN_MTU && mtu < VIRTIO_MAX_MTU ? mtu : VIRTIO_MAX_MTU;
	info->max_tx_links = VIRTIO_MAX_TX_LINKS;
	info->max_tso_bytes = info->offloads & QUOLL_OFFLOAD_TX_TSO ? VIRTIO_MAX_GSO_BYTES : 0;
	for (unsigned int i = 0; i < QUOLL_MAC_BYTES; i++)
		info->mac[i] = v->config.mac[i];
	if (info->max_entries < VIRTIO_MIN_ENTRIES || !pairs)
		return quoll_error_set(err, EPROTO, "queues", v->port.name, "%u queues, of %u entries at most", pairs,
				       v->max_ring_entries);
	return 0;
}

/* Sleeping. */

static int watch(int set, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

int virtio_wake_open(struct virtio_port *v, unsigned int i, const int *fds, unsigned int nr_fds,
		     struct quoll_error *err)
{
	const struct virtio_rxq *rxq = (const struct virtio_rxq *)v->port.rxqs[i];
	int rc, *set = &v->port.rx_fds[i];

	*set = epoll_create1(EPOLL_CLOEXEC);
	rc = *set < 0 ? -errno : watch(*set, rxq->call_fd);
	for (unsigned int j = 0; !rc && j < nr_fds; j++)
		if (fds[j] >= 0)
			rc = watch(*set, fds[j]);
	return rc ? quoll_error_set(err, -rc, "interrupt", v->port.name, "no event set for queue %u", i) : 0;
}

int virtio_wake_add(struct virtio_port *v, unsigned int i, int fd)
{
	return watch(v->port.rx_fds[i], fd);
}

void virtio_wake_drop(struct virtio_port *v, unsigned int i, int fd)
{
	if (v->port.rxqs[i] && v->port.rx_fds[i] >= 0)
		(void)epoll_ctl(v->port.rx_fds[i], EPOLL_CTL_DEL, fd, NULL);
}

static void empty(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		return; /* it was empty */
}

int virtio_arm(struct quoll_rxq *q)
{
	struct virtio_rxq *rxq = (struct virtio_rxq *)q;
	bool ready;

	if (net_port_dead(q->port))
		return 1;
	/* Before the look at the ring: what is told after that stays. */
	empty(rxq->call_fd);
	/* No device: whoever brings it back writes to call_fd. */
	if (!virtio_enter(&rxq->turn))
		return 0;
	virtio_ring_interrupts(rxq->ring, rxq->used, true);
	/* Pairs with the device's own: it says that it has finished something, then looks whether we want to hear. */
	quoll_dma_mb();
	ready = virtio_rx_ready(rxq);
	for (unsigned int i = 0; !ready && i < 2; i++)
		virtio_ring_look_before_sleep(&virtio_port(q->port)->rings[2 * q->id + i]);
	virtio_leave(&rxq->turn);
	return ready;
}

void virtio_disarm(struct quoll_rxq *q)
{
	struct virtio_rxq *rxq = (struct virtio_rxq *)q;

	if (virtio_enter(&rxq->turn)) {
		virtio_ring_interrupts(rxq->ring, rxq->used, false);
		virtio_leave(&rxq->turn);
	}
	empty(rxq->call_fd);
}
