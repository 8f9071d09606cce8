/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * requests.c - the front end's messages, one function each; a table tells what shape they have.
 *
 * All rings are parked while one is served, so each may change what it likes; peer.c hands them out again. What is
 * refused ends the session, unless the front end wanted an answer: then that is it.
 *
 * Source: QEMU, "Vhost-user Protocol", "Front-end message types".
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "ring.h"

#define PROTOCOL_FEATURES                                                                                              \
	(VHOST_PROTOCOL_MQ | VHOST_PROTOCOL_RARP | VHOST_PROTOCOL_REPLY_ACK | VHOST_PROTOCOL_MTU |                     \
	 VHOST_PROTOCOL_INFLIGHT_SHMFD | VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS | VHOST_PROTOCOL_STATUS)
#define STATUS_FEATURES_OK 8u
#define MIN_MTU 68u
/* A function's way of saying that it has answered. */
#define ANSWERED 1

uint64_t vhost_offer(const struct vhost_port *vp)
{
	uint32_t wanted = vp->port.settings.offloads;
	uint64_t offered = VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX |
			   VIRTIO_NET_F_MTU | VHOST_F_PROTOCOL_FEATURES;

	offered |= vp->packed ? VIRTIO_F_RING_PACKED : 0;
	offered |= vp->nr_pairs > 1 ? VIRTIO_NET_F_MQ : 0;
	offered |= wanted & (QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_RX_GSO) ? VIRTIO_NET_F_CSUM : 0;
	offered |= wanted & QUOLL_OFFLOAD_RX_GSO
			   ? VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_HOST_ECN
			   : 0;
	offered |= wanted & QUOLL_OFFLOAD_TX_L4_CSUM ? VIRTIO_NET_F_GUEST_CSUM : 0;
	offered |= wanted & QUOLL_OFFLOAD_TX_TSO4 ? VIRTIO_NET_F_GUEST_TSO4 : 0;
	offered |= wanted & QUOLL_OFFLOAD_TX_TSO6 ? VIRTIO_NET_F_GUEST_TSO6 : 0;
	return offered;
}

static int answer_fd(struct vhost_port *vp, const void *payload, uint32_t bytes, int fd)
{
	struct vhost_out out = {.request = vp->conn.header.request,
				.flags = VHOST_FLAG_REPLY,
				.payload = payload,
				.bytes = bytes,
				.fds = &fd,
				.nr_fds = fd >= 0};
	/* What does not fit into the socket's buffer now is the front end's fault: it never reads. */
	int rc = vhost_send(&vp->conn, &out, 0);

	return rc ? rc : ANSWERED;
}

static int answer(struct vhost_port *vp, uint64_t value)
{
	return answer_fd(vp, &value, sizeof(value), -1);
}

/* The ring that a message is about; NULL: there is no such. */
static struct vhost_vring *vring_of(struct vhost_port *vp, uint64_t idx)
{
	return idx < 2 * vp->nr_pairs ? &vp->vrings[idx] : NULL;
}

static void stop_all(struct vhost_port *vp)
{
	for (unsigned int i = 0; i < 2 * vp->nr_pairs; i++) {
		vhost_vring_stop(&vp->vrings[i]);
		vp->vrings[i].enabled = false;
	}
}

/* Features. */

static int get_features(struct vhost_port *vp)
{
	return answer(vp, vp->offered);
}

static int set_features(struct vhost_port *vp)
{
	uint64_t features = vp->conn.payload.u64;

	if (features & ~vp->offered || !(features & VIRTIO_F_VERSION_1))
		return -EINVAL;
	/* What was read of a ring of another kind is worth nothing. */
	for (unsigned int i = 0; i < 2 * vp->nr_pairs; i++)
		vp->vrings[i].fresh |= !!((features ^ vp->features) & VIRTIO_F_RING_PACKED);
	vp->features = features;
	return 0;
}

static int get_protocol_features(struct vhost_port *vp)
{
	return answer(vp, PROTOCOL_FEATURES);
}

static int set_protocol_features(struct vhost_port *vp)
{
	if (vp->conn.payload.u64 & ~PROTOCOL_FEATURES)
		return -EINVAL;
	vp->protocol = vp->conn.payload.u64;
	return 0;
}

static int get_queue_num(struct vhost_port *vp)
{
	return answer(vp, vp->nr_pairs);
}

static int set_owner(struct vhost_port *vp)
{
	(void)vp;
	return 0;
}

static int reset_owner(struct vhost_port *vp)
{
	stop_all(vp);
	return 0;
}

static int get_status(struct vhost_port *vp)
{
	return answer(vp, vp->status);
}

static int set_status(struct vhost_port *vp)
{
	vp->status = (uint8_t)vp->conn.payload.u64;
	if (!vp->status)
		stop_all(vp);
	return 0;
}

/* Memory. */

static int set_mem_table(struct vhost_port *vp)
{
	const struct vhost_mem_table *table = &vp->conn.payload.table;
	size_t need = offsetof(struct vhost_mem_table, regions) + table->nr_regions * sizeof(table->regions[0]);
	int rc = 0;

	if (table->nr_regions > VHOST_MAX_REGIONS || vp->conn.header.bytes < need ||
	    vp->conn.nr_fds != table->nr_regions)
		return -EINVAL;
	vhost_memory_drop(vp);
	for (unsigned int i = 0; !rc && i < table->nr_regions; i++)
		rc = vhost_memory_add(vp, &table->regions[i], vp->conn.fds[i]);
	if (rc)
		vhost_memory_drop(vp);
	return rc;
}

static int get_max_mem_slots(struct vhost_port *vp)
{
	return answer(vp, VHOST_MAX_SLOTS);
}

static int add_mem_reg(struct vhost_port *vp)
{
	return vp->conn.nr_fds == 1 ? vhost_memory_add(vp, &vp->conn.payload.reg.region, vp->conn.fds[0]) : -EINVAL;
}

static int rem_mem_reg(struct vhost_port *vp)
{
	return vhost_memory_remove(vp, &vp->conn.payload.reg.region);
}

/* Rings. */

static int set_vring_num(struct vhost_port *vp)
{
	struct vhost_vring *vring = vring_of(vp, vp->conn.payload.state.idx);
	uint32_t size = vp->conn.payload.state.num;

	if (!vring || !size || size > VIRTQ_MAX_SIZE)
		return -EINVAL;
	/* What was read of a ring of another size is worth nothing. */
	vring->fresh |= size != vring->size;
	vring->size = size;
	return 0;
}

static int set_vring_addr(struct vhost_port *vp)
{
	struct vhost_vring *vring = vring_of(vp, vp->conn.payload.addr.idx);

	if (!vring)
		return -EINVAL;
	vring->addr = vp->conn.payload.addr;
	vring->has_addr = true;
	return 0;
}

static int set_vring_base(struct vhost_port *vp)
{
	struct vhost_vring *vring = vring_of(vp, vp->conn.payload.state.idx);
	uint32_t base = vp->conn.payload.state.num;

	if (!vring)
		return -EINVAL;
	vring->fresh = true;
	vring->ring.next = (uint16_t)(base & (vp->features & VIRTIO_F_RING_PACKED ? VIRTQ_EVENT_WRAP - 1 : UINT16_MAX));
	vring->ring.wrap = base & VIRTQ_EVENT_WRAP;
	return 0;
}

static int get_vring_base(struct vhost_port *vp)
{
	struct vhost_vring *vring = vring_of(vp, vp->conn.payload.state.idx);
	struct vhost_vring_state state = {.idx = vp->conn.payload.state.idx};

	if (!vring)
		return -EINVAL;
	vhost_vring_stop(vring);
	state.num = vring->ring.next;
	if (vp->features & VIRTIO_F_RING_PACKED) {
		state.num |= vring->ring.wrap ? VIRTQ_EVENT_WRAP : 0;
		state.num |= state.num << 16; /* of what we give back: we keep none */
	}
	vhost_inflight_end(&vring->ring);
	return answer_fd(vp, &state, sizeof(state), -1);
}

static int set_vring_enable(struct vhost_port *vp)
{
	struct vhost_vring *vring = vring_of(vp, vp->conn.payload.state.idx);

	if (!vring || vp->conn.payload.state.num > 1)
		return -EINVAL;
	vring->enabled = vp->conn.payload.state.num;
	return 0;
}

/* The ring and the file of a message about one. Return: NULL: it has none, or another number of files than it says. */
static struct vhost_vring *vring_and_fd(struct vhost_port *vp, int *fd)
{
	uint64_t what = vp->conn.payload.u64;
	unsigned int nr_fds = what & VHOST_VRING_NO_FD ? 0 : 1;

	if (what & ~(uint64_t)(VHOST_VRING_IDX_MASK | VHOST_VRING_NO_FD) || vp->conn.nr_fds != nr_fds)
		return NULL;
	*fd = vp->conn.nr_fds ? vp->conn.fds[0] : -1;
	return vring_of(vp, what & VHOST_VRING_IDX_MASK);
}

static int set_vring_kick(struct vhost_port *vp)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	struct vhost_vring *vring;
	int fd;

	vring = vring_and_fd(vp, &fd);
	/* Only an eventfd is watched: others may let poll() wait as long as they like. */
	if (!vring || (fd >= 0 && !server_signal_prepare(&vring->signal, fd)))
		return -EINVAL;
	vhost_vring_stop(vring);
	vring->started = true;
	if (fd < 0 || vring->epoll_fd < 0)
		return 0;
	if (epoll_ctl(vring->epoll_fd, EPOLL_CTL_ADD, fd, &event))
		return -errno;
	vring->kick_fd = vhost_take_fd(&vp->conn, 0);
	return 0;
}

/* A ring may have been used before there was a way to call, or by a back end that died between giving back and calling:
 * who waits for that call would wait for good, so it is made up for. One too many does no harm. */
static int set_vring_call(struct vhost_port *vp)
{
	struct vhost_vring *vring;
	int fd;

	vring = vring_and_fd(vp, &fd);
	if (!vring || (fd >= 0 && !server_signal_prepare(&vring->signal, fd)))
		return -EINVAL;
	if (vring->call_fd >= 0)
		close(vring->call_fd);
	vring->call_fd = vhost_take_fd(&vp->conn, 0);
	if (vring->call_fd >= 0)
		server_signal(&vring->signal, vring->call_fd);
	return 0;
}

/* We have nothing to say that is not said by ending the session. */
static int set_vring_err(struct vhost_port *vp)
{
	int fd;

	return vring_and_fd(vp, &fd) ? 0 : -EINVAL;
}

/* The network. */

static int set_mtu(struct vhost_port *vp)
{
	uint64_t mtu = vp->conn.payload.u64;

	return mtu >= MIN_MTU && mtu <= vp->port.settings.mtu ? 0 : -EINVAL;
}

static int send_rarp(struct vhost_port *vp)
{
	struct vhost_rxq *q = (struct vhost_rxq *)vp->port.rxqs[0];

	if (!q || __atomic_load_n(&q->rarp, __ATOMIC_ACQUIRE))
		return 0; /* one is on its way */
	memcpy(vp->rarp_mac, vp->conn.payload.bytes, QUOLL_MAC_BYTES);
	/* Pairs with the acquire in rarp(). */
	__atomic_store_n(&q->rarp, 1, __ATOMIC_RELEASE);
	return 0;
}

/* What outlives us. */

static int get_inflight_fd(struct vhost_port *vp)
{
	struct vhost_inflight what = vp->conn.payload.in_flight;
	int fd = vhost_inflight_make(vp, &what), rc;

	if (fd < 0)
		return fd;
	rc = answer_fd(vp, &what, sizeof(what), fd);
	close(fd);
	return rc;
}

static int set_inflight_fd(struct vhost_port *vp)
{
	return vp->conn.nr_fds == 1 ? vhost_inflight_set(vp, &vp->conn.payload.in_flight, vp->conn.fds[0]) : -EINVAL;
}

#define ANY_BYTES UINT32_MAX

/**
 * struct request - a message
 * @bytes:    of its payload
 * @max_fds:  that come with it
 * @protocol: feature that must have been agreed on; 0: none
 */
struct request {
	int (*serve)(struct vhost_port *vp);
	uint32_t bytes;
	unsigned int max_fds;
	uint64_t protocol;
};

#define STATE_BYTES sizeof(struct vhost_vring_state)
static const struct request requests[] = {
	[VHOST_GET_FEATURES] = {get_features, 0, 0, 0},
	[VHOST_SET_FEATURES] = {set_features, 8, 0, 0},
	[VHOST_SET_OWNER] = {set_owner, 0, 0, 0},
	[VHOST_RESET_OWNER] = {reset_owner, 0, 0, 0},
	[VHOST_SET_MEM_TABLE] = {set_mem_table, ANY_BYTES, VHOST_MAX_REGIONS, 0},
	[VHOST_SET_VRING_NUM] = {set_vring_num, STATE_BYTES, 0, 0},
	[VHOST_SET_VRING_ADDR] = {set_vring_addr, sizeof(struct vhost_vring_addr), 0, 0},
	[VHOST_SET_VRING_BASE] = {set_vring_base, STATE_BYTES, 0, 0},
	[VHOST_GET_VRING_BASE] = {get_vring_base, STATE_BYTES, 0, 0},
	[VHOST_SET_VRING_KICK] = {set_vring_kick, 8, 1, 0},
	[VHOST_SET_VRING_CALL] = {set_vring_call, 8, 1, 0},
	[VHOST_SET_VRING_ERR] = {set_vring_err, 8, 1, 0},
	[VHOST_GET_PROTOCOL_FEATURES] = {get_protocol_features, 0, 0, 0},
	[VHOST_SET_PROTOCOL_FEATURES] = {set_protocol_features, 8, 0, 0},
	[VHOST_GET_QUEUE_NUM] = {get_queue_num, 0, 0, VHOST_PROTOCOL_MQ},
	[VHOST_SET_VRING_ENABLE] = {set_vring_enable, STATE_BYTES, 0, 0},
	[VHOST_SEND_RARP] = {send_rarp, 8, 0, VHOST_PROTOCOL_RARP},
	[VHOST_NET_SET_MTU] = {set_mtu, 8, 0, VHOST_PROTOCOL_MTU},
	[VHOST_GET_INFLIGHT_FD] = {get_inflight_fd, sizeof(struct vhost_inflight), 0, VHOST_PROTOCOL_INFLIGHT_SHMFD},
	[VHOST_SET_INFLIGHT_FD] = {set_inflight_fd, sizeof(struct vhost_inflight), 1, VHOST_PROTOCOL_INFLIGHT_SHMFD},
	[VHOST_GET_MAX_MEM_SLOTS] = {get_max_mem_slots, 0, 0, VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS},
	[VHOST_ADD_MEM_REG] = {add_mem_reg, sizeof(struct vhost_mem_reg), 1, VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS},
	/* QEMU sends the file along. */
	[VHOST_REM_MEM_REG] = {rem_mem_reg, sizeof(struct vhost_mem_reg), 1, VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS},
	[VHOST_SET_STATUS] = {set_status, 8, 0, VHOST_PROTOCOL_STATUS},
	[VHOST_GET_STATUS] = {get_status, 0, 0, VHOST_PROTOCOL_STATUS},
};

static const struct request *find(const struct vhost_port *vp)
{
	uint32_t nr = vp->conn.header.request;
	const struct request *request = nr < sizeof(requests) / sizeof(requests[0]) ? &requests[nr] : NULL;

	return request && request->serve && (vp->protocol & request->protocol) == request->protocol ? request : NULL;
}

int vhost_request_serve(struct vhost_port *vp)
{
	struct vhost_conn *conn = &vp->conn;
	const struct request *request = find(vp);
	bool wants_answer = conn->header.flags & VHOST_FLAG_NEED_REPLY && vp->protocol & VHOST_PROTOCOL_REPLY_ACK;
	int rc;

	if (vhost_is_reply(&conn->header))
		return -EPROTO; /* we have asked nothing */
	if (!request ||
	    vhost_expect(conn, request->bytes == ANY_BYTES ? conn->header.bytes : request->bytes, request->max_fds))
		rc = -EPROTO;
	else
		rc = request->serve(vp);
	if (rc == ANSWERED)
		return 0;
	if (rc < 0) {
		quoll_count(&vp->nr_refused, 1);
		if (net_port_warn(&vp->port, &vp->refused_pace, "request %u refused: %s", conn->header.request,
				  strerrordesc_np(-rc)) &&
		    rc == -EPERM)
			quoll_log(net_env(&vp->port), QUOLL_LOG_WARN, "net",
				  "%s: its memory is not sealed against shrinking, and this program has no handler of "
				  "SIGBUS",
				  vp->port.name);
	}
	if (conn->error || (rc && !wants_answer))
		return rc ? rc : conn->error;
	if (!wants_answer)
		return 0;
	rc = answer(vp, !!rc);
	return rc == ANSWERED ? 0 : rc;
}
