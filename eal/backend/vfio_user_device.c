/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio_user_device.c - the device behind a vfio-user socket: regions, interrupts, reset, its end.
 *
 * What the server says of the regions is read once, at open, and their files are kept from then on. A file is looked at
 * before it is mapped. A server that has not sealed it may still make it smaller: quoll_device_bus_error().
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>
#include <linux/vfio.h>

#include "backend/vfio.h"
#include "backend/vfio_user.h"

#define MAX_VECTORS 65536u /* MSI-X has 2048 at most, other buses are free */
/* A region's description with 200 sparse areas; QUOLL_REGION_MAX_AREAS of them are used. */
#define REGION_INFO_BYTES 4096u

/* @fds: of the whole region, or one for each area; @nr_fds tells */
struct vfio_user_region {
	struct quoll_region_info info;
	uint64_t fd_offset;
	unsigned int nr_fds;
	int fds[QUOLL_REGION_MAX_AREAS];
};

/* What dev->priv points at. */
struct vfio_user_device {
	struct vfio_user_session *session;
	struct vfio_user_region *regions;
};

static struct vfio_user_session *session_of(const struct quoll_device *dev)
{
	return ((const struct vfio_user_device *)dev->priv)->session;
}

static struct vfio_user_region *region_of(const struct quoll_device *dev, unsigned int idx)
{
	return ((const struct vfio_user_device *)dev->priv)->regions + idx;
}

/* Files of the server's choice: what close() may wait for is not waited for. */
static void close_all(const struct vfio_user_session *s, const int *fds, unsigned int nr_fds)
{
	for (unsigned int i = 0; i < nr_fds; i++)
		closer_close(fds[i], s->conn.owner);
}

/*
 * Which files the areas are in. A region that comes without a file is accessed by message only, whatever its flags say.
 * Takes the fds. Return: 0, -EPROTO if their number fits neither.
 */
static int region_take_fds(const struct vfio_user_session *s, struct vfio_user_region *region, const int *fds,
			   unsigned int nr_fds)
{
	bool mappable = region->info.flags & QUOLL_REGION_MMAP;
	unsigned int nr_areas = region->info.nr_areas;
	unsigned int keep = nr_fds < QUOLL_REGION_MAX_AREAS ? nr_fds : QUOLL_REGION_MAX_AREAS;
	bool fits = nr_fds <= 1 || nr_fds == nr_areas || (nr_fds > nr_areas && nr_areas == QUOLL_REGION_MAX_AREAS);

	if (!fits || (nr_fds && !mappable)) {
		close_all(s, fds, nr_fds);
		return -EPROTO;
	}
	if (!nr_fds) {
		region->info.flags &= ~QUOLL_REGION_MMAP;
		region->info.nr_areas = 0;
	}
	memcpy(region->fds, fds, keep * sizeof(*fds));
	region->nr_fds = keep;
	close_all(s, fds + keep, nr_fds - keep);
	return 0;
}

static int region_read_info(struct vfio_user_session *s, unsigned int idx, struct vfio_user_region *region)
{
	struct vuser_region_info head = {.argsz = REGION_INFO_BYTES, .index = idx};
	uint8_t answer[REGION_INFO_BYTES];
	int fds[VUSER_MAX_FDS];
	struct vfio_user_call call = {
		.command = VUSER_DEVICE_GET_REGION_INFO,
		.head = &head,
		.head_bytes = sizeof(head),
		.rest = answer,
		.rest_min = sizeof(head),
		.rest_room = sizeof(answer),
		.fds_in = fds,
		.max_fds = VUSER_MAX_FDS,
	};
	bool msix_mappable; /* said by the kernel; a server's list of areas leaves out what it traps */
	int rc;

	rc = vfio_user_call(s, &call);
	if (rc == -EINVAL && !vfio_user_is_dead(s))
		return 0; /* an index without a region; size 0 says so */
	if (rc)
		return rc;
	memcpy(&head, answer, sizeof(head));
	rc = head.index == idx && head.argsz <= REGION_INFO_BYTES ? 0 : -EPROTO;
	if (!rc)
		rc = vfio_region_info_parse(answer, call.rest_bytes, &region->info, &region->fd_offset, &msix_mappable);
	if (!rc)
		return region_take_fds(s, region, fds, call.nr_fds_in);
	close_all(s, fds, call.nr_fds_in);
	return rc;
}

static int regions_read(struct quoll_device *dev, struct quoll_error *err)
{
	struct vfio_user_session *s = session_of(dev);
	int rc;

	for (unsigned int i = 0; i < dev->info.nr_regions; i++) {
		rc = region_read_info(s, i, region_of(dev, i));
		if (!rc)
			continue;
		if (vfio_user_is_dead(s))
			return vfio_user_explain(s, rc, "open", "a region's description", err);
		return quoll_error_set(err, -rc, "open", dev->name, "what the server says of region %u makes no sense",
				       i);
	}
	return 0;
}

static int device_describe(struct quoll_device *dev, struct quoll_error *err)
{
	struct vuser_device_info info = {.argsz = sizeof(info)};
	struct vfio_user_device *vdev = dev->priv;
	uint8_t more[256]; /* later versions of the protocol */
	struct vfio_user_call call = {
		.command = VUSER_DEVICE_GET_INFO,
		.head = &info,
		.head_bytes = sizeof(info),
		.reply = &info,
		.reply_bytes = sizeof(info),
		.rest = more,
		.rest_room = sizeof(more),
	};
	int rc;

	rc = vfio_user_call(vdev->session, &call);
	if (rc)
		return vfio_user_explain(vdev->session, rc, "open", "the device's description", err);
	rc = vfio_device_info_take(dev, info.flags, info.nr_regions, info.nr_irqs, err);
	if (rc)
		return rc;
	vdev->regions = calloc(info.nr_regions ? info.nr_regions : 1, sizeof(*vdev->regions));
	return vdev->regions ? 0 : quoll_error_set(err, ENOMEM, "open", dev->name, "out of memory");
}

int vfio_user_device_open(struct quoll_device *dev, struct quoll_error *err)
{
	struct vfio_user_device *vdev = calloc(1, sizeof(*vdev));
	int rc;

	if (!vdev)
		return quoll_error_set(err, ENOMEM, "open", dev->name, "out of memory");
	vdev->session = dev->group->priv;
	dev->priv = vdev;
	vfio_user_hurry(vdev->session);
	rc = device_describe(dev, err);
	if (!rc)
		rc = regions_read(dev, err);
	vfio_user_unhurry(vdev->session);
	if (rc)
		vfio_user_device_close(dev);
	return rc;
}

void vfio_user_device_close(struct quoll_device *dev)
{
	struct vfio_user_device *vdev = dev->priv;

	for (unsigned int i = 0; vdev->regions && i < dev->info.nr_regions; i++)
		close_all(vdev->session, vdev->regions[i].fds, vdev->regions[i].nr_fds);
	free(vdev->regions);
	free(vdev);
	dev->priv = NULL;
}

int vfio_user_device_reset(struct quoll_device *dev)
{
	struct vfio_user_call call = {.command = VUSER_DEVICE_RESET};

	return vfio_user_call(session_of(dev), &call);
}

int vfio_user_device_watch(struct quoll_device *dev, int epoll_fd)
{
	struct vfio_user_session *s = session_of(dev);
	/* Where the server has a socket for its commands, this one is of interest to a sleeper only when it closes. */
	struct epoll_event closed = {.events = EPOLLRDHUP}, command = {.events = EPOLLIN | EPOLLRDHUP};

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->conn.fd, s->twin.fd < 0 ? &command : &closed))
		return -errno;
	if (s->twin.fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->twin.fd, &command))
		return -errno;
	return 0;
}

unsigned int vfio_user_device_events(struct quoll_device *dev)
{
	return vfio_user_idle(session_of(dev)) ? QUOLL_DEVICE_GONE : 0;
}

int vfio_user_region_info(struct quoll_device *dev, unsigned int idx, struct quoll_region_info *info)
{
	*info = region_of(dev, idx)->info;
	return 0;
}

/*
 * Is there a file, and is what will be mapped in it. Return: 0; -EPROTO; -EPERM: it has huge pages, of which the kernel
 * maps whole ones only, and rounds up: with MAP_FIXED over whatever lies behind.
 */
static int file_check(struct quoll_device *dev, unsigned int idx, int fd, uint64_t end)
{
	const struct quoll_env *env = &dev->group->ioas->env;
	struct statfs fs;
	struct stat st;
	int seals;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < end) {
		quoll_log(env, QUOLL_LOG_WARN, "vfio-user", "%s: the file of region %u is none, or too small for it",
			  dev->name, idx);
		return -EPROTO;
	}
	if (fstatfs(fd, &fs) || fs.f_type == HUGETLBFS_MAGIC) {
		quoll_log(env, QUOLL_LOG_WARN, "vfio-user",
			  "%s: the file of region %u has huge pages: it cannot be mapped", dev->name, idx);
		return -EPERM;
	}
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		quoll_log(env, QUOLL_LOG_INFO, "vfio-user",
			  "%s: the file of region %u is not sealed: if the server shrinks it, access is SIGBUS",
			  dev->name, idx);
	return 0;
}

int vfio_user_region_map(struct quoll_device *dev, unsigned int idx, uint64_t offset, uint64_t len, void *va)
{
	const struct vfio_user_region *region = region_of(dev, idx);
	int prot = vfio_region_prot(&region->info);
	unsigned int area = 0;
	uint64_t end;
	int fd, rc;

	if (vfio_user_is_dead(session_of(dev)))
		return -ENODEV;
	while (region->nr_fds > 1 && area < region->nr_fds - 1 && region->info.areas[area].offset != offset)
		area++;
	fd = region->fds[area];
	if (offset > INT64_MAX || len > INT64_MAX - offset || region->fd_offset > INT64_MAX - offset - len)
		return -EOVERFLOW;
	/* Without the rest of the last page, which may lie behind the file's end. */
	end = offset + len > region->info.size_bytes ? region->info.size_bytes : offset + len;
	rc = file_check(dev, idx, fd, region->fd_offset + end);
	if (rc)
		return rc;
	if (mmap(va, len, prot, MAP_SHARED | MAP_FIXED, fd, (off_t)(region->fd_offset + offset)) == MAP_FAILED)
		return -errno;
	return 0;
}

static int region_piece(struct vfio_user_session *s, const struct vuser_region_access *access, void *buf, bool write)
{
	struct vuser_region_access echo;
	struct vfio_user_call call = {
		.command = write ? VUSER_REGION_WRITE : VUSER_REGION_READ,
		.head = access,
		.head_bytes = sizeof(*access),
		.data = buf,
		.data_bytes = write ? access->count : 0,
		.reply = &echo,
		.reply_bytes = sizeof(echo),
		.rest = buf,
		.rest_min = write ? 0 : access->count,
		.rest_room = write ? 0 : access->count,
	};
	int rc = vfio_user_call(s, &call);

	if (!rc && memcmp(&echo, access, sizeof(echo)))
		return vfio_user_end(s, -EPROTO);
	return rc;
}

int vfio_user_region_rw(struct quoll_device *dev, unsigned int idx, uint64_t offset, void *buf, size_t len, bool write)
{
	struct vfio_user_session *s = session_of(dev);
	struct vuser_region_access access = {.offset = offset, .region = idx};
	uint32_t most = s->caps.max_data_bytes < VFIO_USER_PIECE_BYTES ? s->caps.max_data_bytes : VFIO_USER_PIECE_BYTES;
	uint8_t *at = buf;
	int rc = 0;

	while (!rc && len) {
		access.count = len < most ? (uint32_t)len : most;
		rc = region_piece(s, &access, at, write);
		at += access.count;
		access.offset += access.count;
		len -= access.count;
	}
	return rc;
}

int vfio_user_irq_info(struct quoll_device *dev, unsigned int idx, struct quoll_irq_info *info)
{
	struct vuser_irq_info irq = {.argsz = sizeof(irq), .index = idx};
	struct vfio_user_session *s = session_of(dev);
	struct vfio_user_call call = {
		.command = VUSER_DEVICE_GET_IRQ_INFO,
		.head = &irq,
		.head_bytes = sizeof(irq),
		.reply = &irq,
		.reply_bytes = sizeof(irq),
	};
	int rc;

	memset(info, 0, sizeof(*info));
	rc = vfio_user_call(s, &call);
	if (rc == -EINVAL && !vfio_user_is_dead(s))
		return 0; /* an index that the device lacks */
	if (rc)
		return rc;
	if (irq.index != idx || irq.count > MAX_VECTORS)
		return -EPROTO;
	info->nr_vectors = irq.count;
	info->flags = vfio_irq_flags(irq.flags);
	return 0;
}

static int irqs_send(struct vfio_user_session *s, const struct vuser_irq_set *set, const int *eventfds)
{
	struct vfio_user_call call = {
		.command = VUSER_DEVICE_SET_IRQS,
		.head = set,
		.head_bytes = sizeof(*set),
		.fds = eventfds,
		.nr_fds = eventfds ? set->count : 0,
	};

	return vfio_user_call(s, &call);
}

/* How many of the eventfds at the front go into one message: all there, or all missing. */
static unsigned int irq_run(const int *eventfds, unsigned int nr, uint32_t max_fds)
{
	unsigned int run = 1;

	while (run < nr && (eventfds[run] < 0) == (eventfds[0] < 0) && (eventfds[0] < 0 || run < max_fds))
		run++;
	return run;
}

int vfio_user_irq_set(struct quoll_device *dev, unsigned int idx, unsigned int first, unsigned int nr,
		      const int *eventfds)
{
	struct vfio_user_session *s = session_of(dev);
	uint32_t max_fds = s->caps.max_msg_fds < VUSER_MAX_FDS ? s->caps.max_msg_fds : VUSER_MAX_FDS;
	struct vuser_irq_set set = {
		.argsz = sizeof(set),
		.flags = (nr ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE) | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = idx,
		.start = first,
	};
	unsigned int done = 0;
	int rc = 0;

	if (!nr) {
		set.start = 0;
		return irqs_send(s, &set, NULL);
	}
	for (unsigned int run; done < nr; done += run) {
		run = irq_run(eventfds + done, nr - done, max_fds);
		set.start = first + done;
		set.count = run;
		/* No fds take the vectors' eventfds away. */
		rc = eventfds[done] >= 0 && !max_fds ? -ENOTSUP
						     : irqs_send(s, &set, eventfds[done] < 0 ? NULL : eventfds + done);
		if (rc)
			break;
	}
	if (done >= nr)
		return 0;
	/* Not half of it: what was set must not signal eventfds that the caller may close. */
	set.start = first;
	set.count = done;
	if (done)
		irqs_send(s, &set, NULL);
	return rc;
}

int vfio_user_irq_unmask(struct quoll_device *dev, unsigned int idx, unsigned int vector)
{
	struct vuser_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK,
		.index = idx,
		.start = vector,
		.count = 1,
	};

	return irqs_send(session_of(dev), &set, NULL);
}
