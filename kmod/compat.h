/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compat.h - what one kernel calls otherwise than another. Kbuild looks into the headers for what moved and defines
 * HAVE_*; versions say little, as distributions move things between them. What of VFIO differs is where it is used:
 * pci.c, mainline.c.
 */
#ifndef QUOLL_COMPAT_H
#define QUOLL_COMPAT_H

#include <linux/eventfd.h>
#include <linux/iommu.h>
#include <linux/irqdomain.h>
#include <linux/mm.h>
#include <linux/vfio_pci_core.h>

/* For devices like @dev. Return: an ERR_PTR where there is none. */
static inline struct iommu_domain *compat_domain_alloc(struct device *dev)
{
#ifdef HAVE_PAGING_DOMAIN_ALLOC
	return iommu_paging_domain_alloc(dev);
#else
	struct iommu_domain *domain = iommu_domain_alloc(dev->bus);

	return domain ?: ERR_PTR(-ENODEV);
#endif
}

static inline ssize_t compat_iommu_map_sg(struct iommu_domain *domain, unsigned long iova, struct scatterlist *sg,
					  unsigned int nents, int prot)
{
#ifdef HAVE_IOMMU_MAP_SG_ATOMIC /* it was for whoever can't wait, and this one took no gfp */
	return iommu_map_sg(domain, iova, sg, nents, prot);
#else
	return iommu_map_sg(domain, iova, sg, nents, prot, GFP_KERNEL_ACCOUNT);
#endif
}

/* Whether interrupts of the group's devices reach only who they were set up for; @dev is a member. */
static inline bool compat_isolated_msi(struct iommu_group *group, struct device *dev)
{
#ifdef HAVE_ISOLATED_MSI
	return iommu_group_has_isolated_msi(group);
#else
	return irq_domain_check_msi_remap() || device_iommu_capable(dev, IOMMU_CAP_INTR_REMAP);
#endif
}

/*
 * Of how many pages the process keeps what it sees if they are pinned to be read, when not all can be written. Kernels
 * before 6.2 pin what private memory that was never written to shares with others; a page that can't be written to
 * by itself has nothing to lose.
 */
static inline unsigned long compat_read_pins(unsigned long nr)
{
#ifdef HAVE_LOOSE_READ_PINS
	return 1;
#else
	return nr;
#endif
}

static inline void compat_eventfd_signal(struct eventfd_ctx *ctx)
{
#ifdef HAVE_EVENTFD_SIGNAL_N
	eventfd_signal(ctx, 1);
#else
	eventfd_signal(ctx);
#endif
}

static inline void compat_vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
#ifdef HAVE_VM_FLAGS_SET
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

/* The type of the first argument of class->devnode. */
#ifdef HAVE_DEVNODE_CONST
#define COMPAT_DEVNODE const struct device
#else
#define COMPAT_DEVNODE struct device
#endif

#endif
