/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backend.h - what a way into the kernel (or into another process) must offer, and the objects above it.
 *
 * Internal to the eal and its tests. vfio.c, iommufd.c, kmod.c, vfio_user.c each fill one ops table; ioas.c,
 * claim.c, device/ and mem/ call through it. Structures follow linux/vfio.h so that those that speak it share code.
 */
#ifndef QUOLL_EAL_BACKEND_H
#define QUOLL_EAL_BACKEND_H

#include <pthread.h>

#include <quoll/device.h>
#include <quoll/group.h>

#include "backend/maps.h"
#include "stream/pages.h"

#define IOAS_MAX_GROUPS 64
#define IOAS_MAX_WINDOWS 64

struct quoll_heap;

struct quoll_ioas {
	struct quoll_env env;
	const struct backend_ops *ops;
	int fd; /* container, iommufd, or -1 */
	void *priv;
	unsigned int nr_groups;
	struct quoll_group *groups[IOAS_MAX_GROUPS];
	unsigned int nr_windows;
	/* Of attached heaps and of streams, so that the next one finds another place; the first nr_windows are in use.
	 */
	struct quoll_iova_range windows[IOAS_MAX_WINDOWS];
	/* What @window_group has for streaming, until it is released; the part of each stream is a run of its pages. */
	struct quoll_group *window_group; /* NULL: none */
	quoll_iova_t window_iova;
	struct page_runs window_pages;
	unsigned int nr_window_streams;
	pthread_mutex_t maps_lock; /* streams map from threads of their own */
	struct ioas_maps maps;	   /* what is mapped; see forgets_maps */
};

struct quoll_group {
	struct quoll_ioas *ioas;
	int id; /* -1 where there is no IOMMU group behind it */
	int fd;
	void *priv;
	unsigned int nr_devices;
	char (*names)[QUOLL_NAME_BYTES]; /* endpoints only */
	struct quoll_device **devices;	 /* open ones, by the same index; else NULL */
};

struct quoll_device {
	struct quoll_group *group;
	struct quoll_device_info info;
	char name[QUOLL_NAME_BYTES];
	unsigned int index; /* in group->names */
	int fd;
	void *priv;
	int event_fd; /* an epoll set: the two below, and what the back-end adds in device_watch */
	int req_fd;
	int err_fd;
	unsigned int events;
	bool bus_error; /* set by a signal handler, in any thread */
	unsigned int nr_maps;
	struct quoll_region *regions; /* list of mapped ones */
	uint32_t *irqs_enabled;	      /* by interrupt index: how many vectors */
};

/*
 * A window of IOVAs in which memory is mapped for one I/O, by entries of rings that are quoll_uapi.h's. All return 0, a
 * number, or -errno as it has them; a window is there until its group is released.
 */
struct stream_ops {
	int (*window)(const struct quoll_group *group, const struct quoll_iova_range *range);
	int (*ring)(const struct quoll_group *group, void *va, uint64_t bytes, uint32_t nr_entries);
	int (*ring_free)(const struct quoll_group *group, uint32_t ring);
	int (*enter)(const struct quoll_group *group, uint32_t ring, uint32_t nr_entries);
	int (*buffer)(const struct quoll_group *group, void *va, uint64_t bytes, bool write);
	int (*buffer_free)(const struct quoll_group *group, uint32_t buffer);
};

/*
 * All return 0 or a count, else -errno, and fill err in where a person can mend it. ops get checked arguments: indices
 * below the counts in dev->info, lengths that do not wrap.
 */
struct backend_ops {
	const char *name;
	/* mappings are gone when the last group is released: ioas.c makes them again when the next one is claimed */
	bool forgets_maps;
	/* never the one that is taken when no name was given: it goes with other addresses or another driver */
	bool on_request_only;
	/* pinned memory is charged to the user, not to the process */
	bool memlock_per_user;
	/* each group pins and charges the memory for itself */
	bool memlock_per_group;
	/* devices are other processes: one that is gone may still write to what was mapped for it */
	bool device_is_process;
	/* how to get more mappings, after "use larger pages, or "; NULL: VFIO's module parameter */
	const char *maps_hint;
	/* describe: is this way open on this machine, and to whom; no side effect */
	int (*probe)(const struct quoll_env *env, struct quoll_error *err);
	int (*ioas_open)(struct quoll_ioas *ioas, struct quoll_error *err);
	void (*ioas_close)(struct quoll_ioas *ioas);
	int (*ioas_info)(struct quoll_ioas *ioas, struct quoll_ioas_info *info, struct quoll_error *err);
	int (*map)(struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err);
	int (*unmap)(struct quoll_ioas *ioas, quoll_iova_t iova, uint64_t len_bytes);
	/* May be NULL. How memory is mapped for one I/O only. */
	const struct stream_ops *stream;
	/* May be NULL. expose: mark in ioas->maps what a peer whose session is over may still reach. */
	void (*expose)(struct quoll_ioas *ioas);
	/* claim: fills id, fd, names; release undoes it */
	int (*claim)(struct quoll_group *group, const struct quoll_addr *addr, struct quoll_error *err);
	void (*release)(struct quoll_group *group);
	/* device_open: fills fd, info.bus, nr_regions, nr_irqs, can_reset, and numa_node if it is known */
	int (*device_open)(struct quoll_device *dev, struct quoll_error *err);
	void (*device_close)(struct quoll_device *dev);
	int (*device_reset)(struct quoll_device *dev);
	/* May be NULL. device_watch: add to the epoll set what tells of the device's end, level-triggered */
	int (*device_watch)(struct quoll_device *dev, int epoll_fd);
	/* May be NULL. device_serve: before events are told, do what the back-end's own files in that set ask for */
	void (*device_serve)(struct quoll_device *dev);
	/* May be NULL. device_events: QUOLL_DEVICE_* that the back-end knows of; then config space is not asked */
	unsigned int (*device_events)(struct quoll_device *dev);
	int (*region_info)(struct quoll_device *dev, unsigned int idx, struct quoll_region_info *info);
	/* region_map: map one area at exactly va (already reserved) */
	int (*region_map)(struct quoll_device *dev, unsigned int idx, uint64_t offset, uint64_t len, void *va);
	int (*region_rw)(struct quoll_device *dev, unsigned int idx, uint64_t offset, void *buf, size_t len,
			 bool write);
	int (*irq_info)(struct quoll_device *dev, unsigned int idx, struct quoll_irq_info *info);
	/*
	 * irq_set: eventfds of vectors first .. first + nr - 1, -1 for none; others stay as they are; nr 0 switches the
	 * index off. Of an index that is on it is called from any thread.
	 */
	int (*irq_set)(struct quoll_device *dev, unsigned int idx, unsigned int first, unsigned int nr,
		       const int *eventfds);
	int (*irq_unmask)(struct quoll_device *dev, unsigned int idx, unsigned int vector);
};

extern const struct backend_ops backend_vfio;
extern const struct backend_ops backend_iommufd;
extern const struct backend_ops backend_kmod;
extern const struct backend_ops backend_vfio_user;

/* NULL-terminated, best first. */
extern const struct backend_ops *const backends[];

/*
 * For heaps and streams: as the ops, after limits were checked against ioas_info (number of mappings, memlock). The
 * number needed and the command that grants it go into err. need_bytes is the whole of what the caller is about to map.
 * While groups stay what they are, any thread may call them.
 */
int ioas_check_limits(struct quoll_ioas *ioas, uint64_t need_bytes, unsigned int need_maps, struct quoll_error *err);
int ioas_map(struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err);
int ioas_unmap(struct quoll_ioas *ioas, quoll_iova_t iova, uint64_t len_bytes);
/* Whether a peer whose session is over may still reach what is mapped at @iova: nobody else is to get that memory. */
bool ioas_is_exposed(struct quoll_ioas *ioas, quoll_iova_t iova);
/* For claim.c, when the first group is attached: map again what a back-end that forgets_maps has lost; all or nothing.
 */
int ioas_remap(struct quoll_ioas *ioas, struct quoll_error *err);
/* Of all windows of IOVAs in use; there must be room. Remove: by where it begins. */
void ioas_window_add(struct quoll_ioas *ioas, const struct quoll_iova_range *window);
void ioas_window_remove(struct quoll_ioas *ioas, quoll_iova_t first);
/* @group goes, and its window for streaming with it, if it has one. */
void ioas_stream_window_forget(struct quoll_ioas *ioas, const struct quoll_group *group);

/* A device's name from an address's target: the whole of it, or "..." and its end where it is too long. */
void device_name_cut(const char *target, char name[QUOLL_NAME_BYTES]);

/* Unit tests put a fake back-end behind an IOAS; quoll_ioas_open() itself calls this. */
int ioas_open_ops(const struct quoll_env *env, const struct backend_ops *ops, struct quoll_ioas **ioas,
		  struct quoll_error *err);

#endif
