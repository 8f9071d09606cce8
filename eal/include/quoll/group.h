/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * group.h - IOMMU groups: describe them, plan and carry out a change of drivers. Claiming is in claim.h.
 *
 * A group is the smallest set of devices that the IOMMU can tell apart, so it is the unit of ownership: it is bound and
 * claimed whole or not at all. Describing and planning need no privilege and change nothing.
 */
#ifndef QUOLL_GROUP_H
#define QUOLL_GROUP_H

#include <stdbool.h>

#include <quoll/addr.h>
#include <quoll/env.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUOLL_NAME_BYTES 64

/* Why a member must not be taken from its kernel driver. */
enum quoll_use_kind {
	QUOLL_USE_MOUNTED,	 /* a file system on it or on a partition of it; detail: device at mount point */
	QUOLL_USE_SWAP,		 /* detail: the swap device */
	QUOLL_USE_HELD,		 /* dm, md, LVM or bcache sit on it; detail: block device and its holder */
	QUOLL_USE_OPEN,		 /* a process has its block device open exclusively, or its controller node */
	QUOLL_USE_ADDRESS,	 /* a network interface that is up and has an address */
	QUOLL_USE_DEFAULT_ROUTE, /* a network interface that carries the default route, directly or through a master */
	QUOLL_USE_ENSLAVED,	 /* a network interface that is up in a bridge, bond or team */
};

struct quoll_use {
	enum quoll_use_kind kind;
	char detail[160];
};

/* Why the members of a group are together. */
enum quoll_group_reason {
	QUOLL_GROUP_ALONE,	   /* one endpoint, nothing to explain */
	QUOLL_GROUP_PCI_BRIDGE,	   /* behind a PCIe-to-PCI bridge, whose requests all carry one requester ID */
	QUOLL_GROUP_MULTIFUNCTION, /* functions of one slot without ACS */
	QUOLL_GROUP_NO_ACS, /* a port above them lacks ACS, so they could reach each other behind the IOMMU's back */
	QUOLL_GROUP_OTHER,  /* not PCI, or no reason visible */
};

/**
 * struct quoll_member - one device of a group
 * @name:        as the bus spells it ("0000:01:00.0")
 * @bus:         "pci", "platform", …
 * @driver:      kernel driver bound to it, or ""
 * @description: vendor and device name (PCI: from libpci's database), or ""
 * @class_name:  "Non-Volatile memory controller", or ""
 * @vendor_id:   PCI ids; 0 elsewhere
 * @device_id:   likewise
 * @class_code:  24 bits: base class, sub-class, interface
 * @numa_node:   -1 if unknown
 * @is_bridge:   PCI header type 1 or 2: never bound by us
 * @for_user:    its present driver hands it to user space: vfio-pci, a variant of it, quoll.ko's
 * @blocks:      its present driver keeps the group from being claimed now
 * @nr_uses:     entries in @uses
 * @uses:        what the machine would lose if it were taken
 */
struct quoll_member {
	char name[QUOLL_NAME_BYTES];
	char bus[16];
	char driver[32];
	char description[128];
	char class_name[64];
	uint16_t vendor_id;
	uint16_t device_id;
	uint32_t class_code;
	int numa_node;
	bool is_bridge;
	bool for_user;
	bool blocks;
	unsigned int nr_uses;
	struct quoll_use *uses;
};

/**
 * struct quoll_group_desc - one group as sysfs tells it
 * @id:         number under /sys/kernel/iommu_groups
 * @reason:     why the members are together
 * @why:        the same as a sentence that names the bridge, slot or port
 * @viable:     every endpoint is with a VFIO driver or with none, so that it can be claimed as it is
 * @blocker:    if not viable: which member, its driver, and what to do
 * @nr_members: at least 1
 * @members:    in the bus's order
 */
struct quoll_group_desc {
	int id;
	enum quoll_group_reason reason;
	char why[192];
	bool viable;
	char blocker[256];
	unsigned int nr_members;
	struct quoll_member *members;
};

struct quoll_group_list {
	unsigned int nr_groups;
	struct quoll_group_desc *groups;
};

/**
 * quoll_groups_read() - describe every group of the machine
 * @list: filled in, ascending by id; freed by quoll_groups_free()
 * @err:  -ENODEV: this machine has no IOMMU groups; the hint says how to switch the IOMMU on for the CPU found
 *
 * Return: 0, -errno. Thread rule: any thread; reads files, may block.
 */
QUOLL_API int quoll_groups_read(const struct quoll_env *env, struct quoll_group_list *list, struct quoll_error *err);

/**
 * quoll_group_read() - describe the one group that a device is in
 * @err: -ENOENT: no such device; -ENODEV: it has no group
 */
QUOLL_API int quoll_group_read(const struct quoll_env *env, const struct quoll_addr *addr,
			       struct quoll_group_list *list, struct quoll_error *err);

QUOLL_API void quoll_groups_free(struct quoll_group_list *list);

QUOLL_API const char *quoll_use_kind_name(enum quoll_use_kind kind);
QUOLL_API const char *quoll_group_reason_name(enum quoll_group_reason reason);

/* What a plan does with a member. */
enum quoll_action {
	QUOLL_ACTION_BIND,  /* take it from its driver (or from none) and give it to plan_step.to */
	QUOLL_ACTION_KEEP,  /* it is where it should be */
	QUOLL_ACTION_LEAVE, /* a bridge, or a driver that does no DMA: does not block, is not touched */
};

/**
 * struct quoll_plan_step - one member's part of a plan
 * @group:    id of its group
 * @member:   the description it is based on; owned by the plan
 * @action:   see enum quoll_action
 * @to:       driver to bind to; "" for a bridge that is only taken from a driver that blocks (shpchp)
 * @blocked:  a use forbids it and @allowed does not cover it
 */
struct quoll_plan_step {
	int group;
	const struct quoll_member *member;
	enum quoll_action action;
	char to[32];
	bool blocked;
};

/**
 * struct quoll_plan - what claiming the given devices means
 * @nr_steps: all members of all groups that the addresses are in
 * @steps:    in the order in which they would be carried out
 * @nr_blocked: steps that forbid the plan
 */
struct quoll_plan {
	unsigned int nr_steps;
	struct quoll_plan_step *steps;
	unsigned int nr_blocked;
	/* private: */
	struct quoll_group_list groups;
};

/**
 * struct quoll_plan_opts - how to plan
 * @driver: VFIO driver for the endpoints, or quoll.ko's, "quoll"; NULL for "vfio-pci"
 * @in_use: take members although they are in use (the command's --in-use); a mounted disk then loses its driver
 */
struct quoll_plan_opts {
	const char *driver;
	bool in_use;
};

/**
 * quoll_plan_make() - work out what binding the groups of these devices would do; changes nothing
 * @addrs: array of @nr_addrs addresses, PCI only so far
 * @opts:  NULL for the defaults
 * @plan:  filled in even if steps are blocked; freed by quoll_plan_free()
 * @err:   only for real failures; a blocked step is not one. -ENOENT: no such device, or @opts->driver is not
 *         loaded (vfio-pci itself is looked for by bind); -ENODEV: no group; -EINVAL: not a PCI address, not a VFIO
 * driver; -ENOTSUP: a member that cannot be bound is in the way
 */
QUOLL_API int quoll_plan_make(const struct quoll_env *env, const struct quoll_addr *const *addrs, unsigned int nr_addrs,
			      const struct quoll_plan_opts *opts, struct quoll_plan *plan, struct quoll_error *err);
QUOLL_API void quoll_plan_free(struct quoll_plan *plan);

/**
 * quoll_bind() - carry a plan out: all endpoints, or none
 * @env:  needs write access to sysfs
 * @plan: refused with -EBUSY, naming member, use and override, if a step is blocked
 * @user: name of the user who gets the group's files, or NULL
 * @err:  what failed, and whether the roll-back was complete
 *
 * The drivers before are recorded under run_root before the first change, for quoll_restore(). On failure the members
 * bound so far go back to where they were. Return: number of members bound, -errno.
 */
QUOLL_API int quoll_bind(const struct quoll_env *env, const struct quoll_plan *plan, const char *user,
			 struct quoll_error *err);

/**
 * struct quoll_restored - one device that restore put back
 * @name: the device
 * @from: the driver it was with
 * @to:   the driver it is with now, "" for none
 * @gone: it is not there any more, and its record is forgotten
 */
struct quoll_restored {
	char name[QUOLL_NAME_BYTES];
	char from[32];
	char to[32];
	bool gone;
};

/**
 * quoll_restore() - put the drivers back that were there before quoll_bind()
 * @addrs:       devices whose whole groups are meant; none (@nr_addrs 0) for all that is recorded
 * @done:        array of what was put back, to be freed with free(); may be NULL
 * @nr_done:     its length; may be NULL
 * @err:         -EBUSY: a group is claimed by a running process, which is named if it can be found
 *
 * Return: 0, -errno; goes on with the other members after a failure and reports the first.
 */
QUOLL_API int quoll_restore(const struct quoll_env *env, const struct quoll_addr *const *addrs, unsigned int nr_addrs,
			    struct quoll_restored **done, unsigned int *nr_done, struct quoll_error *err);

#ifdef __cplusplus
}
#endif
#endif
