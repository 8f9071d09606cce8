/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iommufd_group.c - claim of a group through its members' own files, /dev/vfio/devices/vfioN: each is opened, bound to
 * our iommufd and attached to the IOAS; and back.
 *
 * The kernel lets one process at a time bind a device, and none bind a device of a group that another iommufd, or an
 * opened /dev/vfio/N, has part of. All members that are with a VFIO driver are bound at claim, all or none, so the
 * whole group is taken; one without a driver has no file, and the kernel lets nobody else bind it meanwhile.
 *
 * A bound member that nobody has opened still holds the kernel up when that wants it back: its request is listened for
 * along with the events of the group's open devices, and it is let go.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backend/holder.h"
#include "backend/iommufd.h"
#include "backend/memlock.h"
#include "backend/refuse.h"
#include "backend/vfio.h"
#include "group/internal.h"

struct member {
	int fd;	    /* -1: not bound */
	int req_fd; /* the kernel wants it back; -1 while it is open, and where there is no such interrupt */
};

/*
 * group->priv. The lock: devices of a group may each be looked at by a thread of its own, and whichever hears of a
 * member that is wanted lets it go.
 */
struct members {
	pthread_mutex_t lock;
	struct member at[]; /* by the index of the name */
};

static struct member *member_at(const struct quoll_group *group, unsigned int i)
{
	return &((struct members *)group->priv)->at[i];
}

static void members_lock(struct quoll_group *group)
{
	pthread_mutex_lock(&((struct members *)group->priv)->lock);
}

static void members_unlock(struct quoll_group *group)
{
	pthread_mutex_unlock(&((struct members *)group->priv)->lock);
}

static int refuse_no_cdev(const struct quoll_group *group, const char *name, const char *path, struct quoll_error *err)
{
	const struct quoll_env *env = &group->ioas->env;
	char cdev[CDEV_BYTES], leaf[32 + CDEV_BYTES], dev[PATH_BYTES];
	int rc = device_cdev(env, name, cdev);

	if (!rc) {
		snprintf(leaf, sizeof(leaf), "vfio-dev/%s/dev", cdev);
		rc = device_path(env, name, leaf, dev);
	}
	if (!rc && path_exists(dev)) {
		quoll_error_set(err, ENOENT, "claim", name, "%s is missing, though the kernel has it", path);
		quoll_error_hint(err, "in a container, start it with --device %s/iommu --device %s", quoll_env_dev(env),
				 path);
		return -ENOENT;
	}
	quoll_error_set(err, ENOENT, "claim", name, "the kernel has no files for single VFIO devices");
	quoll_error_hint(err, "a kernel (6.6 or newer) built with CONFIG_VFIO_DEVICE_CDEV, or use the back-end vfio");
	return -ENOENT;
}

/* What the kernel says to a group's second owner it says of other faults, too: a holder is looked for first. */
static int refuse_other(const struct quoll_group *group, int id, const struct quoll_addr *addr, int errnum,
			struct quoll_error *err)
{
	struct holder h;

	if (!holder_of_group(&group->ioas->env, id, &h))
		return refuse_busy(&group->ioas->env, id, addr, err);
	if (errnum == EPERM)
		refuse_unsafe_interrupts(addr, err);
	else
		quoll_error_set(err, errnum, "claim", addr->target,
				"the kernel cannot switch a device of group %d on: it does not answer, or its DMA is "
				"not coherent",
				id);
	if (h.hidden)
		quoll_error_append(err, ", or a process that cannot be seen from here has a device of group %d", id);
	return -errnum;
}

/* The member's file is closed again: this process is not to be found as its holder. */
static int refuse_bind(const struct quoll_group *group, int id, const struct quoll_addr *addr, int errnum,
		       struct quoll_error *err)
{
	switch (errnum) {
	case EBUSY: /* the group's file is open */
		return refuse_busy(&group->ioas->env, id, addr, err);
	case EINVAL: /* the device is bound already */
	case EPERM:  /* another of the group is */
		return refuse_other(group, id, addr, errnum, err);
	default:
		return quoll_error_set(err, errnum, "claim", addr->target,
				       "the kernel binds no member of group %d to iommufd: %s", id,
				       strerrordesc_np(errnum));
	}
}

static int member_bind(struct quoll_group *group, unsigned int i, int id, const struct quoll_addr *addr,
		       struct quoll_error *err)
{
	struct iommufd_device_bind bind = {.argsz = sizeof(bind), .iommufd = group->ioas->fd};
	const struct quoll_env *env = &group->ioas->env;
	char cdev[CDEV_BYTES], path[PATH_BYTES];
	int fd, rc;

	rc = device_cdev(env, group->names[i], cdev);
	if (!rc)
		rc = path_make(path, "%s/vfio/devices/%s", quoll_env_dev(env), cdev);
	if (rc)
		return refuse_no_cdev(group, group->names[i], "its file", err);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return refuse_no_cdev(group, group->names[i], path, err);
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		return refuse_permission(path, addr, errno, err);
	if (fd < 0)
		return quoll_error_set(err, errno, "claim", addr->target, "cannot open %s: %s", path,
				       strerrordesc_np(errno));
	if (!ioctl(fd, IOMMUFD_DEVICE_BIND, &bind)) {
		member_at(group, i)->fd = fd;
		return 0;
	}
	rc = errno;
	close(fd);
	return refuse_bind(group, id, addr, rc, err);
}

/* What is mapped is pinned anew for the first group, and must go with what the device reserves. */
static int refuse_attach(const struct quoll_group *group, const char *name, int errnum, struct quoll_error *err)
{
	const struct ioas_maps *maps = &group->ioas->maps;
	uint64_t mapped_bytes = 0;
	struct memlock ml;

	for (unsigned int i = 0; i < maps->nr; i++)
		mapped_bytes += maps->at[i].len_bytes;
	if (errnum == ENOMEM && !memlock_read_user(&group->ioas->env, &ml) && memlock_left(&ml) < mapped_bytes)
		return memlock_refuse(&ml, "iommufd", mapped_bytes, err);
	if ((errnum == EADDRINUSE || errnum == EINVAL) && maps->nr)
		return quoll_error_set(err, EINVAL, "claim", name,
				       "it cannot share this address space: its IOMMU differs, or reserves addresses "
				       "that are mapped already; open another for it");
	return quoll_error_set(err, errnum, "claim", name, "it cannot be attached to the address space: %s",
			       strerrordesc_np(errnum));
}

static int member_attach(struct quoll_group *group, unsigned int i, struct quoll_error *err)
{
	struct iommufd_device_attach attach = {.argsz = sizeof(attach),
					       .pt_id = ((const struct iommufd_ioas *)group->ioas->priv)->id};

	if (ioctl(member_at(group, i)->fd, IOMMUFD_DEVICE_ATTACH, &attach))
		return refuse_attach(group, group->names[i], errno, err);
	return 0;
}

/* Detached first, so that the IOAS is free of it even if the file was passed on to another process. */
static void member_let_go(struct quoll_group *group, unsigned int i)
{
	struct iommufd_device_detach detach = {.argsz = sizeof(detach)};
	struct member *m = member_at(group, i);

	if (m->fd < 0)
		return;
	if (ioctl(m->fd, IOMMUFD_DEVICE_DETACH, &detach))
		quoll_log(&group->ioas->env, QUOLL_LOG_WARN, "iommufd", "%s does not leave its address space: %s",
			  group->names[i], strerrordesc_np(errno));
	close(m->fd);
	if (m->req_fd >= 0)
		close(m->req_fd);
	*m = (struct member){-1, -1};
}

static int watch_in(int epoll_fd, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* Listen for the request for a member that is not open; one without that interrupt (not PCI) is not asked for. */
static void member_watch(struct quoll_group *group, unsigned int i)
{
	struct member *m = member_at(group, i);
	int rc, fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	rc = fd < 0 ? -errno : vfio_irqs_set(m->fd, VFIO_PCI_REQ_IRQ_INDEX, 0, 1, &fd);
	for (unsigned int k = 0; !rc && group->devices && k < group->nr_devices; k++)
		if (k != i && group->devices[k])
			rc = watch_in(group->devices[k]->event_fd, fd);
	if (!rc) {
		m->req_fd = fd;
		return;
	}
	quoll_log(&group->ioas->env, QUOLL_LOG_INFO, "iommufd",
		  "%s: no request for it is heard while it is not open: %s", group->names[i], strerrordesc_np(-rc));
	if (fd >= 0)
		close(fd);
}

static int members_make(struct quoll_group *group)
{
	struct members *members = calloc(1, sizeof(*members) + group->nr_devices * sizeof(members->at[0]));

	if (!members)
		return -ENOMEM;
	pthread_mutex_init(&members->lock, NULL);
	for (unsigned int i = 0; i < group->nr_devices; i++)
		members->at[i] = (struct member){-1, -1};
	group->priv = members;
	return 0;
}

static void members_free(struct quoll_group *group)
{
	for (unsigned int i = group->nr_devices; i-- > 0;)
		member_let_go(group, i);
	pthread_mutex_destroy(&((struct members *)group->priv)->lock);
	free(group->priv);
	group->priv = NULL;
}

static bool has_vfio_driver(const struct quoll_group_desc *desc, const char *name)
{
	for (unsigned int i = 0; i < desc->nr_members; i++)
		if (!strcmp(desc->members[i].name, name))
			return driver_kind_of(desc->members[i].driver) == DRIVER_VFIO;
	return false;
}

static int members_take(struct quoll_group *group, const struct quoll_group_desc *desc, const struct quoll_addr *addr,
			struct quoll_error *err)
{
	unsigned int nr_bound = 0;
	int rc = 0;

	for (unsigned int i = 0; i < group->nr_devices && !rc; i++) {
		if (!has_vfio_driver(desc, group->names[i]))
			continue;
		rc = member_bind(group, i, desc->id, addr, err);
		nr_bound++;
	}
	if (!rc && !nr_bound)
		return refuse_unbound(desc, addr, err);
	for (unsigned int i = 0; i < group->nr_devices && !rc; i++)
		if (member_at(group, i)->fd >= 0)
			rc = member_attach(group, i, err);
	return rc;
}

static int claim_described(struct quoll_group *group, const struct quoll_group_desc *desc,
			   const struct quoll_addr *addr, struct quoll_error *err)
{
	int rc;

	if (!desc->viable)
		return refuse_not_viable(desc, addr, err);
	rc = claim_fill_names(group, desc, addr, err);
	if (rc)
		return rc;
	if (members_make(group)) {
		rc = quoll_error_set(err, ENOMEM, "claim", addr->target, "out of memory");
		goto err_names;
	}
	rc = members_take(group, desc, addr, err);
	if (rc)
		goto err_members;
	for (unsigned int i = 0; i < group->nr_devices; i++)
		if (member_at(group, i)->fd >= 0)
			member_watch(group, i);
	group->id = desc->id;
	return 0;

err_members:
	members_free(group);
err_names:
	claim_forget_names(group);
	return rc;
}

int iommufd_claim(struct quoll_group *group, const struct quoll_addr *addr, struct quoll_error *err)
{
	return claim_by_address(group, addr, claim_described, err);
}

void iommufd_release(struct quoll_group *group)
{
	members_free(group);
	claim_forget_names(group);
}

/* One that got its driver after the claim. */
static int member_join(struct quoll_device *dev, struct quoll_error *err)
{
	const struct quoll_addr addr = {.scheme = QUOLL_ADDR_PCI, .target = dev->name};
	struct quoll_group *group = dev->group;
	char driver[32];
	int rc;

	if (driver_of(&group->ioas->env, dev->name, driver) || driver_kind_of(driver) != DRIVER_VFIO) {
		quoll_error_set(err, ENODEV, "open", dev->name, "not with a VFIO driver, or gone");
		quoll_error_hint(err, "sudo quoll bind %s", dev->name);
		return -ENODEV;
	}
	rc = member_bind(group, dev->index, group->id, &addr, err);
	if (!rc)
		rc = member_attach(group, dev->index, err);
	if (rc)
		member_let_go(group, dev->index);
	return rc;
}

static int member_open(struct quoll_device *dev, struct quoll_error *err)
{
	struct member *m = member_at(dev->group, dev->index);
	int rc = m->fd < 0 ? member_join(dev, err) : 0;

	if (rc)
		return rc;
	dev->fd = m->fd;
	rc = vfio_device_describe(dev, err);
	if (rc) {
		dev->fd = -1;
		return rc;
	}
	/* From now on the device itself listens, which puts its file in the place of this. */
	if (m->req_fd >= 0)
		close(m->req_fd);
	m->req_fd = -1;
	return 0;
}

int iommufd_device_open(struct quoll_device *dev, struct quoll_error *err)
{
	int rc;

	members_lock(dev->group);
	rc = member_open(dev, err);
	members_unlock(dev->group);
	return rc;
}

/* It stays bound, and its file with the group, unless the kernel waits for it: that would ask again, but 10 s later. */
void iommufd_device_close(struct quoll_device *dev)
{
	dev->fd = -1;
	vfio_device_forget(dev);
	members_lock(dev->group);
	if (dev->events & QUOLL_DEVICE_REMOVE_REQUESTED)
		member_let_go(dev->group, dev->index);
	else
		member_watch(dev->group, dev->index);
	members_unlock(dev->group);
}

int iommufd_device_watch(struct quoll_device *dev, int epoll_fd)
{
	struct quoll_group *group = dev->group;
	int rc = 0;

	members_lock(group);
	for (unsigned int i = 0; i < group->nr_devices && !rc; i++)
		if (member_at(group, i)->req_fd >= 0)
			rc = watch_in(epoll_fd, member_at(group, i)->req_fd);
	members_unlock(group);
	return rc;
}

void iommufd_device_serve(struct quoll_device *dev)
{
	struct quoll_group *group = dev->group;
	uint64_t count;

	members_lock(group);
	for (unsigned int i = 0; i < group->nr_devices; i++) {
		struct member *m = member_at(group, i);

		if (m->req_fd < 0 || read(m->req_fd, &count, sizeof(count)) != (ssize_t)sizeof(count))
			continue;
		quoll_log(&group->ioas->env, QUOLL_LOG_WARN, "iommufd",
			  "%s: the kernel wants it back; nobody has opened it, and it is let go", group->names[i]);
		member_let_go(group, i);
	}
	members_unlock(group);
}
