/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vring.c - virtqueues: from what the front end said to a ring that a queue's thread uses, and back.
 *
 * The threads that poll must not wait for the one that serves the socket, nor the other way round. So a ring is handed
 * out by a pointer (active), and to take it back the pointer is emptied, membarrier(2) makes that known to every CPU,
 * and then the thread's mark (busy) tells whether it may still be using the ring. If it is, we come back at the next
 * check, a millisecond later: nobody blocks, and a burst costs its thread two plain stores and a load. Where a
 * container forbids membarrier, threads fence.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ring.h"

/* How long we look for a thread to leave its ring before we come back later: about as long as a burst takes. */
#define PARK_NS 20000u

static void clear(struct vhost_vring *vring)
{
	vhost_vring_stop(vring);
	if (vring->call_fd >= 0)
		close(vring->call_fd);
	vring->call_fd = -1;
	vring->size = 0;
	vring->has_addr = false;
	vring->enabled = false;
	vring->fresh = true;
	vring->ring.next = 0;
	vring->ring.wrap = true;
	vring->ring.broken = false;
	vring->ring.inflight_split = NULL;
}

void vhost_vring_stop(struct vhost_vring *vring)
{
	vring->started = false;
	if (vring->kick_fd < 0)
		return;
	/* The front end holds the file as well, so closing it here would not end the watch. */
	epoll_ctl(vring->epoll_fd, EPOLL_CTL_DEL, vring->kick_fd, NULL);
	close(vring->kick_fd);
	vring->kick_fd = -1;
}

void vhost_vrings_reset(struct vhost_port *vp)
{
	for (unsigned int i = 0; i < 2 * vp->nr_pairs; i++)
		clear(&vp->vrings[i]);
}

/* Something to sleep on: the guest's kicks, the socket, the timer, and us when a ring is handed out. */
static int make_watch(struct vhost_port *vp, struct vhost_vring *vring)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};

	vring->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	vring->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vring->epoll_fd < 0 || vring->wake_fd < 0 ||
	    epoll_ctl(vring->epoll_fd, EPOLL_CTL_ADD, vring->wake_fd, &event))
		return -errno;
	return vhost_watch(vp, vring->epoll_fd);
}

int vhost_vrings_create(struct vhost_port *vp)
{
	int rc = 0;

	vp->vrings = net_alloc(2 * vp->nr_pairs * sizeof(*vp->vrings));
	if (!vp->vrings)
		return -ENOMEM;
	for (unsigned int i = 0; i < 2 * vp->nr_pairs; i++) {
		struct vhost_vring *vring = &vp->vrings[i];

		vring->fenced = vp->fenced;
		vring->call_fd = vring->kick_fd = vring->epoll_fd = vring->wake_fd = -1;
		server_signal_open(&vring->signal);
		clear(vring);
		/* What the guest sends is what we receive. */
		if (!rc && i % 2 && i / 2 < vp->port.queues.nr_rxqs)
			rc = make_watch(vp, vring);
	}
	return rc;
}

void vhost_vrings_destroy(struct vhost_port *vp)
{
	if (!vp->vrings)
		return;
	vhost_vrings_reset(vp);
	for (unsigned int i = 0; i < 2 * vp->nr_pairs; i++) {
		struct vhost_vring *vring = &vp->vrings[i];

		server_signal_close(&vring->signal);
		if (vring->epoll_fd >= 0)
			close(vring->epoll_fd);
		if (vring->wake_fd >= 0)
			close(vring->wake_fd);
		vp->nr_calls += vring->nr_calls;
	}
	free(vp->vrings);
	vp->vrings = NULL;
}

static bool any_busy(const struct vhost_port *vp)
{
	for (unsigned int i = 0; i < 2 * vp->nr_pairs; i++)
		/* Pairs with the release in vhost_leave(): what the thread did to the ring is done. */
		if (__atomic_load_n(&vp->vrings[i].busy, __ATOMIC_ACQUIRE))
			return true;
	return false;
}

bool vhost_vrings_park(struct vhost_port *vp)
{
	uint64_t start = quoll_ticks(&vp->port.clock), patience = quoll_ns_to_ticks(&vp->port.clock, PARK_NS);
	bool any = false;

	for (unsigned int i = 0; i < 2 * vp->nr_pairs; i++) {
		any |= vp->vrings[i].active != NULL;
		/* Relaxed: the barrier below makes it known, see vhost_enter(). */
		__atomic_store_n(&vp->vrings[i].active, NULL, __ATOMIC_RELAXED);
	}
	if (vp->fenced)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	else if (any)
		syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	while (any_busy(vp))
		if (quoll_ticks(&vp->port.clock) - start > patience)
			return false;
	return true;
}

/* Handing out. */

static bool aligned(uint64_t addr, uint64_t to)
{
	return !(addr & (to - 1));
}

/* Areas in our memory. Return: 0; -EPROTO; -EAGAIN: the memory is not there, which may yet come. */
static int place_split(const struct vhost_port *vp, const struct vhost_vring *vring, struct vhost_ring *ring)
{
	const struct vhost_vring_addr *addr = &vring->addr;

	if ((vring->size & (vring->size - 1)) || !aligned(addr->desc, 16) || !aligned(addr->avail, 2) ||
	    !aligned(addr->used, 4))
		return -EPROTO;
	ring->desc = vhost_memory_user(&vp->memory, addr->desc, (uint64_t)vring->size * VIRTQ_DESC_BYTES);
	ring->avail = vhost_memory_user(&vp->memory, addr->avail, virtq_avail_bytes(vring->size));
	ring->used = vhost_memory_user(&vp->memory, addr->used, virtq_used_bytes(vring->size));
	return ring->desc && ring->avail && ring->used ? 0 : -EAGAIN;
}

static int place_packed(const struct vhost_port *vp, const struct vhost_vring *vring, struct vhost_ring *ring)
{
	const struct vhost_vring_addr *addr = &vring->addr;

	if (ring->next >= vring->size || !aligned(addr->desc, 16) || !aligned(addr->avail, 4) ||
	    !aligned(addr->used, 4))
		return -EPROTO;
	ring->packed = vhost_memory_user(&vp->memory, addr->desc, (uint64_t)vring->size * VIRTQ_DESC_BYTES);
	ring->driver_event = vhost_memory_user(&vp->memory, addr->avail, sizeof(*ring->driver_event));
	ring->device_event = vhost_memory_user(&vp->memory, addr->used, sizeof(*ring->device_event));
	return ring->packed && ring->driver_event && ring->device_event ? 0 : -EAGAIN;
}

static bool complete(const struct vhost_port *vp, const struct vhost_vring *vring)
{
	return vring->has_addr && vring->size && vring->started && vp->memory.nr &&
	       (vring->enabled || !(vp->features & VHOST_F_PROTOCOL_FEATURES));
}

static int make_ring(struct vhost_port *vp, unsigned int idx)
{
	struct vhost_vring *vring = &vp->vrings[idx];
	struct vhost_ring *ring = &vring->ring;
	int rc;

	ring->is_packed = vp->features & VIRTIO_F_RING_PACKED;
	ring->event_idx = vp->features & VIRTIO_F_EVENT_IDX;
	ring->indirect = vp->features & VIRTIO_F_INDIRECT_DESC;
	ring->mergeable = vp->features & VIRTIO_NET_F_MRG_RXBUF;
	ring->features = vp->features;
	ring->memory = &vp->memory;
	ring->area = &vp->memory.areas[0];
	ring->size = vring->size;
	ring->nr_done = 0;
	rc = ring->is_packed ? place_packed(vp, vring, ring) : place_split(vp, vring, ring);
	if (rc || !vring->fresh)
		return rc;
	/* A back end that went before us may have died after it said in the ring how far it was. */
	if (!ring->is_packed)
		ring->next = __atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE);
	vhost_inflight_begin(vp, idx, ring);
	vring->fresh = false;
	return 0;
}

static void hand_out(struct vhost_vring *vring)
{
	uint64_t one = 1;

	vhost_want_kicks(&vring->ring, false);
	/* Pairs with the acquire in vhost_enter(). */
	__atomic_store_n(&vring->active, &vring->ring, __ATOMIC_RELEASE);
	/* Whoever sleeps would not be kicked, or was before we looked. */
	if (vring->wake_fd >= 0 && write(vring->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* What this guest does not take of what we were started with; without a guest it is all. */
static uint32_t lacks(const struct vhost_port *vp)
{
	uint32_t taken = vp->features & VIRTIO_NET_F_GUEST_CSUM ? QUOLL_OFFLOAD_TX_L4_CSUM : 0;

	taken |= vp->features & VIRTIO_NET_F_GUEST_TSO4 ? QUOLL_OFFLOAD_TX_TSO4 : 0;
	taken |= vp->features & VIRTIO_NET_F_GUEST_TSO6 ? QUOLL_OFFLOAD_TX_TSO6 : 0;
	/* Without checksums there are no segments to be made. */
	if (!(taken & QUOLL_OFFLOAD_TX_L4_CSUM))
		taken = 0;
	return vp->port.settings.offloads & (QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO) & ~taken;
}

void vhost_vrings_tell_lacks(const struct vhost_port *vp)
{
	uint32_t now = lacks(vp);

	for (unsigned int i = 0; i < vp->port.queues.nr_txqs; i++)
		if (vp->port.txqs[i])
			__atomic_store_n(&vp->port.txqs[i]->lacks, now, __ATOMIC_RELAXED);
}

int vhost_vrings_publish(struct vhost_port *vp)
{
	bool up = false;
	int rc;

	vhost_vrings_tell_lacks(vp);
	for (unsigned int i = 0; i < 2 * vp->nr_pairs; i++) {
		struct vhost_vring *vring = &vp->vrings[i];
		unsigned int nr_queues = i % 2 ? vp->port.queues.nr_rxqs : vp->port.queues.nr_txqs;

		if (vring->active || !complete(vp, vring) || i / 2 >= nr_queues)
			continue;
		rc = make_ring(vp, i);
		if (rc == -EAGAIN)
			continue;
		if (rc)
			return rc;
		hand_out(vring);
	}
	for (unsigned int i = 0; i < 2 * vp->nr_pairs; i++)
		up |= vp->vrings[i].active != NULL;
	net_port_set_link(&vp->port, up, up, 0);
	return 0;
}
