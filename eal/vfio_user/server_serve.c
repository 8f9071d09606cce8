/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server_serve.c - the commands of a vfio-user client: version, what the device is like, its registers, reset.
 *
 * Each command is looked at in the connection's buffer, which the client cannot reach, and its numbers are checked
 * before the device model sees them. What makes no sense is answered with an error; the session goes on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/vfio.h>

#include "server_internal.h"

#define MAX_ERRNO 4095
#define REGION_ASK_MAX_BYTES 4096u

static struct vuser_out error_reply(const struct vuser_header *header, int rc)
{
	return vuser_reply_to(header, rc < -MAX_ERRNO || rc > 0 ? EIO : -rc);
}

void server_refuse(struct vuser_conn *conn, int errnum)
{
	struct vuser_out out = vuser_reply_to(&conn->header, errnum);

	/* Whatever of it the socket does not take is lost: it is the first that goes out there. */
	if (vuser_is_command(&conn->header) && vuser_wants_reply(&conn->header))
		vuser_post(conn, &out);
}

static int reply(struct quoll_server *server, const struct vuser_out *out)
{
	if (!vuser_wants_reply(&server->conn.header))
		return server->conn.error;
	return vuser_post(&server->conn, out);
}

static void reply_head(struct quoll_server *server, struct vuser_out *out, const void *head, uint32_t head_bytes)
{
	memcpy(server->head, head, head_bytes);
	out->head = server->head;
	out->head_bytes = head_bytes;
}

/* Agree on a version, or say why not. Return: 0; -errno for the client. */
static int version_agree(struct quoll_server *server, struct vuser_version *version)
{
	struct vuser_conn *conn = &server->conn;
	int rc;

	if (!vuser_is_command(&conn->header) || conn->header.command != VUSER_VERSION)
		return -EINVAL;
	if (vuser_expect(conn, sizeof(*version), sizeof(*version) + VUSER_CAPS_MAX_BYTES, 0))
		return -EINVAL;
	memcpy(version, conn->payload, sizeof(*version));
	if (version->major != VUSER_MAJOR)
		return -EINVAL;
	rc = vuser_caps_parse(conn->payload + sizeof(*version), conn->payload_bytes - sizeof(*version), &server->caps);
	if (rc)
		return rc == -EPROTO ? -EINVAL : rc;
	server->dma_layout = version->minor ? DMA_LAYOUT_WIDE : DMA_LAYOUT_UNKNOWN;
	if (version->minor > VUSER_MINOR)
		version->minor = VUSER_MINOR;
	return 0;
}

int server_serve_version(struct quoll_server *server)
{
	const struct quoll_server_ops *ops = server->device.ops;
	struct vuser_out out = vuser_reply_to(&server->conn.header, 0);
	struct vuser_version version;
	int rc;

	server->stats.messages++;
	rc = version_agree(server, &version);
	if (rc) {
		server->stats.protocol_errors++;
	} else if (ops->connect && (rc = ops->connect(server->device.arg))) {
		server->stats.refused++;
	} else {
		server->introduced = true;
	}
	if (rc) {
		server->stats.errors++;
		server_refuse(&server->conn, error_reply(&server->conn.header, rc).error);
		return rc;
	}
	out.head = &version;
	out.head_bytes = sizeof(version);
	out.data = server->caps_text;
	out.data_bytes = (uint32_t)strlen(server->caps_text) + 1;
	return reply(server, &out);
}

static int serve_device_info(struct quoll_server *server, struct vuser_out *out)
{
	const struct quoll_server_device *device = &server->device;
	struct vuser_conn *conn = &server->conn;
	struct vuser_device_info info;

	if (vuser_expect(conn, sizeof(info), sizeof(info), 0))
		return -EINVAL;
	memcpy(&info, conn->payload, sizeof(info));
	if (info.argsz < sizeof(info))
		return -EINVAL;
	info = (struct vuser_device_info){
		.argsz = sizeof(info),
		.flags = (device->bus == QUOLL_BUS_PCI ? VFIO_DEVICE_FLAGS_PCI : VFIO_DEVICE_FLAGS_PLATFORM) |
			 (device->ops->reset ? VFIO_DEVICE_FLAGS_RESET : 0),
		.nr_regions = device->nr_regions,
		.nr_irqs = device->nr_irqs,
	};
	reply_head(server, out, &info, sizeof(info));
	return 0;
}

/* A region's description, with its areas if it has such. */
struct region_answer {
	struct vuser_region_info head;
	struct vfio_info_cap_header cap;
	uint32_t nr_areas;
	uint32_t reserved;
	struct vfio_region_sparse_mmap_area areas[QUOLL_REGION_MAX_AREAS];
};
_Static_assert(offsetof(struct region_answer, areas) == 48, "as the specification has it");
_Static_assert(sizeof(struct region_answer) <= SERVER_HEAD_BYTES, "there must be room for it");

/* Return: how long the whole is. */
static uint32_t region_describe(const struct quoll_server_region *region, bool mappable, struct region_answer *answer)
{
	struct vuser_region_info *head = &answer->head;

	head->flags = (region->flags & QUOLL_REGION_READ ? VFIO_REGION_INFO_FLAG_READ : 0) |
		      (region->flags & QUOLL_REGION_WRITE ? VFIO_REGION_INFO_FLAG_WRITE : 0);
	head->size_bytes = region->size_bytes;
	if (!mappable)
		return sizeof(*head);
	head->flags |= VFIO_REGION_INFO_FLAG_MMAP;
	head->offset = region->fd_offset;
	if (!region->nr_areas)
		return sizeof(*head);
	head->flags |= VFIO_REGION_INFO_FLAG_CAPS;
	/* Also where the answer ends before it: QEMU looks at it before it asks again, with more room. */
	head->cap_offset = offsetof(struct region_answer, cap);
	answer->cap = (struct vfio_info_cap_header){.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP, .version = 1};
	answer->nr_areas = region->nr_areas;
	for (unsigned int i = 0; i < region->nr_areas; i++) {
		answer->areas[i].offset = region->areas[i].offset;
		answer->areas[i].size = region->areas[i].size_bytes;
	}
	return (uint32_t)(offsetof(struct region_answer, areas) + region->nr_areas * sizeof(answer->areas[0]));
}

static int serve_region_info(struct quoll_server *server, struct vuser_out *out)
{
	const struct quoll_server_region *region;
	struct vuser_conn *conn = &server->conn;
	struct region_answer answer = {0};
	struct vuser_region_info ask;
	uint32_t bytes;

	/* libvfio-user's client sends the room for the answer with the question. */
	if (vuser_expect(conn, sizeof(ask), REGION_ASK_MAX_BYTES, 0))
		return -EINVAL;
	memcpy(&ask, conn->payload, sizeof(ask));
	if (ask.argsz < sizeof(ask) || ask.index >= server->device.nr_regions)
		return -EINVAL;
	region = &server->device.regions[ask.index];
	/* A client that takes no fds gets a region to be accessed by message. */
	bytes = region_describe(region, region->flags & QUOLL_REGION_MMAP && server->caps.max_msg_fds, &answer);
	answer.head.index = ask.index;
	answer.head.argsz = bytes;
	if (ask.argsz < bytes) {
		/* Without the file: libvfio-user's client does not expect one yet, and takes it for an error. */
		reply_head(server, out, &answer, sizeof(answer.head));
		return 0;
	}
	if (answer.head.flags & VFIO_REGION_INFO_FLAG_MMAP) {
		out->fds = &region->fd;
		out->nr_fds = 1;
	}
	reply_head(server, out, &answer, bytes);
	return 0;
}

/* Whether a client may access the region there, in this way. */
static int access_check(const struct quoll_server *server, uint32_t idx, uint64_t offset, uint32_t count,
			unsigned int flag)
{
	const struct quoll_server_region *region;

	if (idx >= server->device.nr_regions || !count || count > VUSER_DEFAULT_DATA_BYTES)
		return -EINVAL;
	region = &server->device.regions[idx];
	if (offset > region->size_bytes || count > region->size_bytes - offset)
		return -EINVAL;
	return region->flags & flag ? 0 : -EACCES;
}

/* Zeroed, so that a model which leaves something out does not tell what was there before. */
static int data_room(struct quoll_server *server, uint32_t bytes)
{
	if (bytes > server->data_room) {
		uint8_t *data = realloc(server->data, bytes);

		if (!data)
			return -ENOMEM;
		server->data = data;
		server->data_room = bytes;
	}
	memset(server->data, 0, bytes);
	return 0;
}

static int serve_region_read(struct quoll_server *server, struct vuser_out *out)
{
	const struct quoll_server_ops *ops = server->device.ops;
	struct vuser_conn *conn = &server->conn;
	struct vuser_region_access access;
	int rc;

	if (vuser_expect(conn, sizeof(access), sizeof(access), 0))
		return -EINVAL;
	memcpy(&access, conn->payload, sizeof(access));
	rc = access_check(server, access.region, access.offset, access.count, QUOLL_REGION_READ);
	if (!rc)
		rc = data_room(server, access.count);
	if (rc)
		return rc;
	server->reading = true;
	rc = ops->region_read(server->device.arg, access.region, access.offset, server->data, access.count);
	server->reading = false;
	if (rc)
		return rc;
	reply_head(server, out, &access, sizeof(access));
	out->data = server->data;
	out->data_bytes = access.count;
	return 0;
}

static int serve_region_write(struct quoll_server *server, struct vuser_out *out)
{
	const struct quoll_server_ops *ops = server->device.ops;
	struct vuser_conn *conn = &server->conn;
	struct vuser_region_access access;
	int rc;

	if (vuser_expect(conn, sizeof(access), UINT32_MAX, 0))
		return -EINVAL;
	memcpy(&access, conn->payload, sizeof(access));
	if (access.count != conn->payload_bytes - sizeof(access))
		return -EINVAL;
	rc = access_check(server, access.region, access.offset, access.count, QUOLL_REGION_WRITE);
	if (!rc)
		rc = ops->region_write(server->device.arg, access.region, access.offset, conn->payload + sizeof(access),
				       access.count);
	if (rc)
		return rc;
	reply_head(server, out, &access, sizeof(access));
	return 0;
}

/*
 * The reply has the number of those that were done, in order; what comes behind one that fails is not. Where one waits
 * it goes on later.
 */
static int serve_write_multi(struct quoll_server *server, struct vuser_out *out)
{
	const struct quoll_server_ops *ops = server->device.ops;
	struct vuser_conn *conn = &server->conn;
	struct vuser_write_multi multi;
	struct vuser_write_one one;
	int rc = 0;
	uint64_t done = server->waiting ? server->nr_written : 0;

	if (vuser_expect(conn, sizeof(multi), UINT32_MAX, 0))
		return -EINVAL;
	memcpy(&multi, conn->payload, sizeof(multi));
	/* QEMU sends room for 200, however many there are. */
	if (multi.nr_writes > (conn->payload_bytes - sizeof(multi)) / sizeof(one))
		return -EINVAL;
	for (; done < multi.nr_writes && !rc; done += !rc) {
		memcpy(&one, conn->payload + sizeof(multi) + done * sizeof(one), sizeof(one));
		rc = one.count > sizeof(one.data) ? -EINVAL : 0;
		if (!rc)
			rc = access_check(server, one.region, one.offset, one.count, QUOLL_REGION_WRITE);
		if (!rc)
			rc = ops->region_write(server->device.arg, one.region, one.offset, one.data, one.count);
	}
	if (rc == -EAGAIN) {
		server->nr_written = done;
		return rc;
	}
	if (rc)
		server->stats.errors++;
	multi.nr_writes = done;
	reply_head(server, out, &multi, sizeof(multi));
	return 0;
}

static int serve_reset(struct quoll_server *server)
{
	const struct quoll_server_ops *ops = server->device.ops;

	if (vuser_expect(&server->conn, 0, 0, 0))
		return -EINVAL;
	return ops->reset ? ops->reset(server->device.arg) : -ENOTSUP;
}

/* Only these may keep the client waiting, however often a model says -EAGAIN elsewhere. */
static bool may_wait(uint16_t command)
{
	return command == VUSER_DMA_UNMAP || command == VUSER_DEVICE_RESET || command == VUSER_REGION_WRITE ||
	       command == VUSER_REGION_WRITE_MULTI;
}

static int dispatch(struct quoll_server *server, struct vuser_out *out)
{
	switch (server->conn.header.command) {
	case VUSER_DMA_MAP:
		return server_dma_map(server);
	case VUSER_DMA_UNMAP:
		return server_dma_unmap(server, out);
	case VUSER_DEVICE_GET_INFO:
		return serve_device_info(server, out);
	case VUSER_DEVICE_GET_REGION_INFO:
		return serve_region_info(server, out);
	case VUSER_DEVICE_GET_IRQ_INFO:
		return server_irq_info(server, out);
	case VUSER_DEVICE_SET_IRQS:
		return server_irq_set(server);
	case VUSER_REGION_READ:
		return serve_region_read(server, out);
	case VUSER_REGION_WRITE:
		return serve_region_write(server, out);
	case VUSER_REGION_WRITE_MULTI:
		return serve_write_multi(server, out);
	case VUSER_DEVICE_RESET:
		return serve_reset(server);
	case VUSER_VERSION:
		return -EINVAL; /* once is enough */
	default:
		return -ENOTSUP;
	}
}

/* Make of a command's result what is counted and replied. */
static void finish(struct quoll_server *server, int rc, struct vuser_out *out)
{
	const struct vuser_header *header = &server->conn.header;

	server->stats.messages++;
	if (!rc)
		return;
	server->stats.errors++;
	*out = error_reply(header, rc);
	quoll_log(&server->env, QUOLL_LOG_DEBUG, "vfio-user", "%s: command %u is answered with an error: %s",
		  server->listen.address.sun_path, header->command, strerrordesc_np((int)out->error));
}

int server_serve_read(struct quoll_server *server, uint64_t deadline_ns)
{
	struct vuser_conn *conn = &server->conn;
	struct vuser_out out = vuser_reply_to(&conn->header, 0);

	finish(server, serve_region_read(server, &out), &out);
	return vuser_wants_reply(&conn->header) ? vuser_send(conn, &out, deadline_ns) : 0;
}

int server_serve(struct quoll_server *server)
{
	struct vuser_conn *conn = &server->conn;
	struct vuser_out out = vuser_reply_to(&conn->header, 0);
	int rc;

	if (!vuser_is_command(&conn->header)) {
		conn->nr_protocol_errors++;
		return vuser_conn_fail(conn, -EPROTO); /* a reply that nobody waits for */
	}
	rc = dispatch(server, &out);
	if (conn->error)
		return conn->error; /* while the device reached for memory */
	if (rc == -EAGAIN && may_wait(conn->header.command))
		return rc;
	finish(server, rc, &out);
	return reply(server, &out);
}
