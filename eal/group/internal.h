/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * internal.h - what the files of eal/group/ share: paths below the environment's roots, the way to the kernel that
 * tests replace, the machine's disks and networks, descriptions.
 *
 * Reading goes to the roots directly. Everything that changes the machine, or asks what no file tells, goes through
 * struct group_io, so that a test can put a fake kernel behind a tree of ordinary files.
 */
#ifndef QUOLL_EAL_GROUP_INTERNAL_H
#define QUOLL_EAL_GROUP_INTERNAL_H

#include <stdbool.h>
#include <sys/types.h>

#include <quoll/group.h>

#define PATH_BYTES 1024
#define CDEV_BYTES 16 /* "vfio12" */

/* An address of a network interface, as text for messages. */
struct net_address {
	char interface[32];
	char text[64];
};

/* The kernel behind the files; each returns 0, or a value, or -errno. */
struct group_io {
	void *arg;
	/* write text to a sysfs attribute, in one system call */
	int (*write)(void *arg, const char *path, const char *text);
	/* open a device node, a file descriptor; -EBUSY is what we want to know */
	int (*open_node)(void *arg, const char *path, int flags);
	int (*chown)(void *arg, const char *path, uid_t uid, gid_t gid);
	/* user name to ids; -ENOENT if there is no such user */
	int (*user)(void *arg, const char *name, uid_t *uid, gid_t *gid);
	/* every address of every interface, to be freed with free() */
	int (*addresses)(void *arg, struct net_address **list, unsigned int *nr);
	/* whether somebody has quoll.ko's file of a group open, by what its control node (a path) says: 1, 0, -errno */
	int (*kmod_owned)(void *arg, const char *control, int id);
	/* let time pass between two looks at a condition */
	void (*pause)(void *arg, unsigned int ms);
};

extern const struct group_io group_io_real;

/* paths.c: files below the roots. Lengths that do not fit are -ENAMETOOLONG. */
int QUOLL_PRINTF(2, 3) path_make(char path[PATH_BYTES], const char *fmt, ...);
bool path_exists(const char *path);
bool path_under(const char *path, const char *dir); /* strictly below */
const char *path_last(const char *path);
/* up to size - 1 bytes as a string without line end; zero bytes become spaces. Return: length, -errno */
int file_text(const char *path, char *text, size_t size);
int file_bytes(const char *path, void *buf, size_t size);
/* last component of what a link points to; -ENOENT if there is no link, and name is then "" */
int link_name(const char *path, char *name, size_t size);
/* device's file below /sys/bus/pci/devices */
int device_path(const struct quoll_env *env, const char *name, const char *file, char path[PATH_BYTES]);
/* VFIO's name for a PCI device that is with a VFIO driver: "vfio3", whose file, where there is one, is
 * /dev/vfio/devices/vfio3. -ENOENT: it has none */
int device_cdev(const struct quoll_env *env, const char *name, char cdev[CDEV_BYTES]);
/* of a PCI device; -1 if unknown */
int device_numa_node(const struct quoll_env *env, const char *name);
/* every byte that a terminal could take for a command becomes '?' */
void printable(char *text);

struct name_list {
	unsigned int nr;
	char **names; /* sorted */
};

/* entries of a folder; an empty list and -errno if it cannot be read */
int name_list_read(const char *dir, struct name_list *list);
void name_list_free(struct name_list *list);

/* Room for one more element behind nr of them; arrays grow by doubling, starting with 8. NULL: no memory. */
void *array_grow(void *array, unsigned int nr, size_t element_bytes);

/* drivers.c: what a driver's name tells. */
enum driver_kind {
	DRIVER_NONE,
	DRIVER_VFIO,   /* hands the device to user space */
	DRIVER_NO_DMA, /* holds the device, but does no DMA, so a group is viable with it */
	DRIVER_KERNEL, /* does DMA in the kernel's name: blocks */
};

enum driver_kind driver_kind_of(const char *name);
bool driver_name_valid(const char *name);
/* 0, or -ENOENT with the modprobe that is missing */
int driver_loaded(const struct quoll_env *env, const char *driver, struct quoll_error *err);

/* uses_block.c, uses_net.c: who uses the disks and networks of a device. Read once, asked for each member. */
struct use_list {
	struct quoll_use *uses;
	unsigned int nr;
	int rc; /* -ENOMEM sticks */
};

void QUOLL_PRINTF(3, 4) use_add(struct use_list *list, enum quoll_use_kind kind, const char *fmt, ...);

struct block_map;
struct net_map;

int block_map_read(const struct quoll_env *env, struct block_map **map);
void block_map_free(struct block_map *map);
/* real_path: the device's folder. io: opens disks exclusively as a last question, NULL: don't */
void block_uses(const struct block_map *map, const char *real_path, const struct group_io *io, struct use_list *uses);
int net_map_read(const struct quoll_env *env, const struct group_io *io, struct net_map **map);
void net_map_free(struct net_map *map);
void net_uses(const struct net_map *map, const char *real_path, struct use_list *uses);

/* names.c: libpci's database. */
struct pci_names;
struct pci_names *pci_names_open(void);
void pci_names_close(struct pci_names *names);
void pci_names_find(struct pci_names *names, struct quoll_member *member);

/* reason.c: why the members are together; real_paths in the order of the members. */
#define CONFIG_BYTES 4096

struct config {
	unsigned int len;
	uint8_t bytes[CONFIG_BYTES];
};

enum port_type {
	PORT_UNKNOWN = -1, /* no right to look */
	PORT_CONVENTIONAL = -2,
	PORT_ROOT = 4,
	PORT_UPSTREAM = 5,
	PORT_DOWNSTREAM = 6,
	PORT_PCIE_TO_PCI = 7,
	PORT_PCI_TO_PCIE = 8,
};

enum port_type config_port_type(const struct config *c);
/* 1: has ACS and it is on; 0: has not, or it is off; -1: no right to look */
int config_acs(const struct config *c);
bool is_bdf(const char *name);
bool config_is_bridge(const char *real_path, uint32_t class_code);
void reason_find(struct quoll_group_desc *desc, char *const *real_paths);

/* sysfs.c: descriptions. One describer reads disks, networks and names once for any number of groups. */
struct describer {
	const struct quoll_env *env;
	const struct group_io *io;
	struct pci_names *names;
	struct block_map *blocks;
	struct net_map *nets;
	bool ask_disks; /* open disks exclusively */
	bool nameless;	/* leave libpci's database alone, which takes some milliseconds */
};

int describer_open(struct describer *d, const struct quoll_env *env, const struct group_io *io,
		   struct quoll_error *err);
void describer_close(struct describer *d);
/* adds a group to the list unless it is there */
int describe_group(struct describer *d, int id, struct quoll_group_list *list, struct quoll_error *err);
/* id of a PCI device's group; errors as in quoll_group_read() */
int group_id_of(const struct quoll_env *env, const struct quoll_addr *addr, struct quoll_error *err);
int no_iommu_error(const struct quoll_env *env, struct quoll_error *err);

/* plan.c */
struct planner_args {
	const struct quoll_addr *const *addrs;
	unsigned int nr_addrs;
	const struct quoll_plan_opts *opts;
};

int plan_make(struct describer *d, const struct planner_args *args, struct quoll_plan *plan, struct quoll_error *err);

/* record.c: what was there before a change, a file a device below run_root; not trusted when read. */
struct record {
	char name[QUOLL_NAME_BYTES];
	char driver[32];   /* before, "" for none */
	char override[32]; /* before, "" for none */
	char bound[32];	   /* what bind gave it to, "" for none */
};

/* To whom /dev/iommu was given, and whose it was. */
struct iommu_record {
	uid_t uid;
	uid_t old_uid;
	gid_t old_gid;
};

struct records {
	int dir_fd;
	int lock_fd; /* locked against other processes that bind or restore */
};

/* -ENOENT: create is false and there is nothing, err is then untouched; -EACCES: only root; -EBUSY: another is at it */
int records_open(const struct quoll_env *env, const struct group_io *io, bool create, struct records *records,
		 struct quoll_error *err);
void records_close(struct records *records);
int record_write(const struct records *records, const struct record *record, struct quoll_error *err);
/* -ENOENT: none, err is then untouched; -EINVAL: not as written, or not by us */
int record_read(const struct records *records, const char *name, struct record *record, struct quoll_error *err);
/* text of a record, terminated; what is wrong with it, or NULL. name stays empty */
const char *record_parse(const char *text, struct record *record);
int record_remove(const struct records *records, const char *name);
/* -ENOENT: /dev/iommu was given to nobody, -EINVAL: not as written, or not by us */
int iommu_record_write(const struct records *records, const struct iommu_record *record);
int iommu_record_read(const struct records *records, struct iommu_record *record);
void iommu_record_remove(const struct records *records);
/* names of devices that have one */
int records_list(const struct quoll_env *env, struct name_list *list);

/* driver_change.c: move one device from driver to driver, verified. */
int driver_of(const struct quoll_env *env, const char *name, char driver[32]);
int override_of(const struct quoll_env *env, const char *name, char override[32]);
/* from its present driver to another; to "": to none */
int driver_take(const struct quoll_env *env, const struct group_io *io, const char *name, const char *to,
		struct quoll_error *err);
/* driver and override as recorded; does as much as it can, reports the first failure */
int driver_put_back(const struct quoll_env *env, const struct group_io *io, const struct record *record,
		    struct quoll_error *err);

/*
 * hold.c: groups opened so that nobody claims them while their members change drivers. A device of a claimed group
 * must not be unbound: the kernel would wait for its owner, for ever.
 */
struct holds {
	unsigned int nr;
	struct {
		int id;
		int fd; /* or why not */
	} * held;
};

/* 0: held, or no group of VFIO; -EBUSY: claimed, by whom is in err */
int group_hold(struct holds *holds, const struct quoll_env *env, const struct group_io *io, int id,
	       struct quoll_error *err);
void holds_release(struct holds *holds);

/* bind.c, restore.c: the public functions with the kernel as a parameter. */
int bind_plan(const struct quoll_env *env, const struct group_io *io, const struct quoll_plan *plan, const char *user,
	      struct quoll_error *err);

struct restore_args {
	const struct quoll_addr *const *addrs;
	unsigned int nr_addrs;
	struct quoll_restored **done;
	unsigned int *nr_done;
};

int restore_recorded(const struct quoll_env *env, const struct group_io *io, const struct restore_args *args,
		     struct quoll_error *err);

#endif
