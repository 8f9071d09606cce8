/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake.h - a machine in a temporary folder: sysfs, proc and dev as trees of ordinary files, made from a table, and a
 * fake kernel that binds and unbinds on them, and fails when told to.
 */
#ifndef QUOLL_TESTS_GROUP_FAKE_H
#define QUOLL_TESTS_GROUP_FAKE_H

#include "group/internal.h"

enum fake_config {
	CONFIG_PCIE,	    /* endpoint with a PCI Express capability, no ACS */
	CONFIG_PCI,	    /* conventional endpoint */
	CONFIG_ROOT_PORT,   /* without ACS */
	CONFIG_ROOT_ACS,    /* with */
	CONFIG_UPSTREAM,    /* port of a switch */
	CONFIG_DOWN,	    /* downstream port without ACS */
	CONFIG_DOWN_ACS,    /* with */
	CONFIG_PCIE_TO_PCI, /* bridge */
	CONFIG_PCI_BRIDGE,  /* conventional to conventional */
};

struct fake_device {
	const char *path; /* below sys/devices; the last component is its name */
	int group;	  /* -1 for none */
	uint32_t class_code;
	const char *driver; /* native one, bound at first; a '-' before it: native, but not bound; "" for none */
	enum fake_config config;
};

enum fake_failure {
	FAIL_ONCE,   /* operation number fail_at does nothing and fails */
	FAIL_AFTER,  /* it does its work, then fails */
	FAIL_ONWARDS /* it and all that follow do nothing and fail */
};

struct fake {
	char root[64];
	char sys[80], proc[80], dev[80], run[80];
	struct quoll_env env;
	struct group_io io;
	const struct fake_device *devices;
	unsigned int nr_devices;
	struct net_address addresses[8];
	unsigned int nr_addresses;
	/* failures */
	unsigned int nr_ops; /* writes and changes of owner so far */
	unsigned int fail_at;
	enum fake_failure failure;
	const char *refusing;  /* a driver whose probe fails */
	const char *stuck;     /* a driver that does not let go, without an error */
	bool cdevs;	       /* the kernel has files for single VFIO devices, and iommufd: fake_cdevs() */
	bool no_group_files;   /* and none for groups */
	const char *no_native; /* a driver that has no match for its own devices, unless overridden */
	char busy[PATH_BYTES]; /* a node that is open elsewhere */
	int kmod_owned;	       /* a group whose file of quoll.ko's is, if it has a control node; 0: none */
	unsigned int nr_pauses;
	char owned[128]; /* last path given to a user */
	uid_t owner;
	char given[1024]; /* every change of owner: "vfio/2:4711 iommu:4711 " */
};

#define FAKE_USER "quoll-user"
#define FAKE_UID 4711

void fake_open(struct fake *f, const struct fake_device *devices, unsigned int nr_devices);
void fake_close(struct fake *f);
/* paths relative to the root: "proc/swaps" */
void QUOLL_PRINTF(3, 4) fake_file(struct fake *f, const char *path, const char *fmt, ...);
void fake_bytes(struct fake *f, const char *path, const void *data, size_t len);
void fake_dir(struct fake *f, const char *path);
void fake_link(struct fake *f, const char *path, const char *to_path);
void fake_raw_link(struct fake *f, const char *path, const char *target);
void fake_remove(struct fake *f, const char *path);
/* device number n of the table is vfio<n> while it is with a VFIO driver */
void fake_cdevs(struct fake *f);
/* config space as an unprivileged reader sees it */
void fake_hide_capabilities(struct fake *f);
/* a block device in the folder of a device or of another block device; dev is its number, "259:1" */
void fake_block(struct fake *f, const char *parent, const char *name, const char *dev);
/* an interface in the folder of a device; "" for a virtual one */
void fake_nic(struct fake *f, const char *parent, const char *name, bool up);
void fake_address(struct fake *f, const char *nic, const char *text);
void fake_driver(struct fake *f, const char *name);
/* what is bound to what, and each override, as one text */
void fake_state(struct fake *f, char *text, size_t size);
const char *fake_bound(struct fake *f, const char *name, char driver[32]);
/* number of records left */
unsigned int fake_records(struct fake *f);
/* describe the group with this id; the list is to be freed */
struct quoll_group_desc *fake_describe(struct fake *f, int id, struct quoll_group_list *list);
int fake_plan(struct fake *f, const char *address, const struct quoll_plan_opts *opts, struct quoll_plan *plan,
	      struct quoll_error *err);
/* address NULL for all */
int fake_restore(struct fake *f, const char *address, struct quoll_restored **done, unsigned int *nr_done,
		 struct quoll_error *err);
const struct quoll_member *fake_member(const struct quoll_group_desc *desc, const char *name);
bool fake_has_use(const struct quoll_member *m, enum quoll_use_kind kind, const char *piece);

/* The lab's shapes: drive alone, slot of two functions, two old NICs behind a bridge, the ports above them. */
extern const struct fake_device fake_lab[];
extern const unsigned int fake_lab_nr;
#define LAB_DRIVE "0000:01:00.0"
#define LAB_DRIVE_PATH "pci0000:00/0000:00:02.0/0000:01:00.0"
#define LAB_SLOT0 "0000:02:00.0"
#define LAB_SLOT1 "0000:02:00.1"
#define LAB_SLOT0_PATH "pci0000:00/0000:00:03.0/0000:02:00.0"
#define LAB_SLOT1_PATH "pci0000:00/0000:00:03.0/0000:02:00.1"
#define LAB_BRIDGE "0000:03:00.0"
#define LAB_OLD0 "0000:04:01.0"
#define LAB_OLD1 "0000:04:02.0"
#define LAB_OLD1_PATH "pci0000:00/0000:00:04.0/0000:03:00.0/0000:04:02.0"
#define LAB_GROUP_DRIVE 2
#define LAB_GROUP_SLOT 3
#define LAB_GROUP_OLD 4

#endif
