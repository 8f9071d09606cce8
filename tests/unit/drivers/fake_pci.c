/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_pci.c - see fake_pci.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <quoll/pci.h>

#include "fake_pci.h"

#define BAR_MAX_BYTES (1u << 20)

void fake_pci_violation(struct fake_pci *pci, const char *fmt, ...)
{
	va_list ap;

	if (pci->nr_violations++)
		return;
	va_start(ap, fmt);
	vsnprintf(pci->violation, sizeof(pci->violation), fmt, ap);
	va_end(ap);
}

uint32_t fake_pci_random(struct fake_pci *pci)
{
	pci->seed = pci->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(pci->seed >> 33);
}

uint32_t fake_pci_reg(const struct fake_pci *pci, uint64_t offset)
{
	return __atomic_load_n((const uint32_t *)(pci->bar + offset), __ATOMIC_ACQUIRE);
}

void fake_pci_reg_set(struct fake_pci *pci, uint64_t offset, uint32_t value)
{
	__atomic_store_n((uint32_t *)(pci->bar + offset), value, __ATOMIC_RELEASE);
}

bool fake_pci_bus_master(const struct fake_pci *pci)
{
	return pci->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}

void *fake_pci_dma(struct fake_pci *pci, quoll_iova_t iova, uint64_t len, bool write)
{
	if (!fake_pci_bus_master(pci)) {
		fake_pci_violation(pci, "DMA at 0x%llx with bus mastering off", (unsigned long long)iova);
		return NULL;
	}
	for (unsigned int i = 0; i < pci->nr_maps; i++) {
		const struct ioas_mapping *m = &pci->maps[i];

		if (iova < m->iova || iova - m->iova >= m->len_bytes || len > m->len_bytes - (iova - m->iova))
			continue;
		if (m->access & (write ? MAP_DEVICE_WRITE : MAP_DEVICE_READ))
			return (char *)m->va + (iova - m->iova);
		fake_pci_violation(pci, "no permission to %s at 0x%llx", write ? "write" : "read",
				   (unsigned long long)iova);
		return NULL;
	}
	if (pci->stream_at) {
		void *va = pci->stream_at(iova, len, write);

		if (va)
			return va;
	}
	fake_pci_violation(pci, "nothing mapped at 0x%llx + 0x%llx", (unsigned long long)iova, (unsigned long long)len);
	return NULL;
}

void fake_pci_yank(struct fake_pci *pci)
{
	pthread_mutex_lock(&pci->lock);
	memset(pci->config, 0xff, sizeof(pci->config));
	for (uint64_t i = 0; i < pci->bar_bytes; i += 4)
		fake_pci_reg_set(pci, i, UINT32_MAX);
	pthread_mutex_unlock(&pci->lock);
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

void fake_pci_request_removal(struct fake_pci *pci)
{
	signal_fd(pci->req_fd);
}

void fake_pci_report_error(struct fake_pci *pci)
{
	signal_fd(pci->err_fd);
}

void fake_pci_interrupt(struct fake_pci *pci, unsigned int vector)
{
	/* A message is a write like any other. */
	if (!fake_pci_bus_master(pci) || vector >= FAKE_PCI_MAX_VECTORS)
		return;
	pci->msix_pending[vector] = pci->msix_fds[vector] < 0 && !pci->forgets_masked;
	if (pci->msix_fds[vector] < 0)
		return;
	pci->nr_interrupts[vector]++;
	signal_fd(pci->msix_fds[vector]);
}

/* Back-end ops. The fake is found through the ioas; one at a time while it opens. */
static struct fake_pci *opening;

static int ops_probe(const struct quoll_env *env, struct quoll_error *err)
{
	(void)env;
	(void)err;
	return 0;
}

static int ops_ioas_open(struct quoll_ioas *ioas, struct quoll_error *err)
{
	(void)err;
	ioas->priv = opening;
	return 0;
}

static void ops_ioas_close(struct quoll_ioas *ioas)
{
	(void)ioas;
}

static int ops_ioas_info(struct quoll_ioas *ioas, struct quoll_ioas_info *info, struct quoll_error *err)
{
	(void)ioas;
	(void)err;
	info->page_sizes = 1ull << 12 | 1ull << 21 | 1ull << 30;
	info->nr_ranges = 1;
	info->ranges[0] = (struct quoll_iova_range){.first = 0, .last = (1ull << 39) - 1};
	info->maps_avail = UINT32_MAX;
	info->memlock_bytes = UINT64_MAX;
	return 0;
}

static int ops_map(struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err)
{
	struct fake_pci *pci = ioas->priv;

	if (pci->nr_maps == FAKE_PCI_MAX_MAPS)
		return quoll_error_set(err, ENOSPC, "map", "fake", "too many mappings");
	pci->maps[pci->nr_maps++] = *m;
	return 0;
}

static int ops_unmap(struct quoll_ioas *ioas, quoll_iova_t iova, uint64_t len_bytes)
{
	struct fake_pci *pci = ioas->priv;

	for (unsigned int i = 0; i < pci->nr_maps; i++) {
		if (pci->maps[i].iova != iova || pci->maps[i].len_bytes != len_bytes)
			continue;
		pci->maps[i] = pci->maps[--pci->nr_maps];
		return 0;
	}
	return -ENOENT;
}

static int ops_claim(struct quoll_group *group, const struct quoll_addr *addr, struct quoll_error *err)
{
	(void)err;
	group->id = 1;
	group->names = calloc(1, sizeof(*group->names));
	group->nr_devices = 1;
	snprintf(group->names[0], sizeof(group->names[0]), "%s", addr->target);
	return 0;
}

static void ops_release(struct quoll_group *group)
{
	free(group->names);
}

static int ops_device_open(struct quoll_device *dev, struct quoll_error *err)
{
	(void)err;
	dev->info.bus = QUOLL_BUS_PCI;
	dev->info.nr_regions = QUOLL_PCI_VGA + 1;
	dev->info.nr_irqs = QUOLL_PCI_IRQ_REQ + 1;
	return 0;
}

static void ops_device_close(struct quoll_device *dev)
{
	(void)dev;
}

static int ops_device_reset(struct quoll_device *dev)
{
	(void)dev;
	return -ENOTTY;
}

static int ops_region_info(struct quoll_device *dev, unsigned int idx, struct quoll_region_info *info)
{
	struct fake_pci *pci = dev->group->ioas->priv;

	if (idx == QUOLL_PCI_CONFIG) {
		info->size_bytes = sizeof(pci->config);
		info->flags = QUOLL_REGION_READ | QUOLL_REGION_WRITE;
	} else if (idx == QUOLL_PCI_BAR0) {
		info->size_bytes = pci->bar_bytes;
		info->flags = QUOLL_REGION_READ | QUOLL_REGION_WRITE;
		if (!pci->bar_by_message) {
			info->flags |= QUOLL_REGION_MMAP;
			info->nr_areas = 1;
			info->areas[0].size_bytes = pci->mappable_bytes ? pci->mappable_bytes : pci->bar_bytes;
		}
	}
	return 0;
}

static int ops_region_map(struct quoll_device *dev, unsigned int idx, uint64_t offset, uint64_t len, void *va)
{
	struct fake_pci *pci = dev->group->ioas->priv;

	(void)idx;
	if (mmap(va, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, pci->bar_fd, (off_t)offset) == MAP_FAILED)
		return -errno;
	if (pci->on_map)
		pci->on_map(pci, va, len);
	return 0;
}

static int ops_region_rw(struct quoll_device *dev, unsigned int idx, uint64_t offset, void *buf, size_t len, bool write)
{
	struct fake_pci *pci = dev->group->ioas->priv;
	uint8_t *at = idx == QUOLL_PCI_CONFIG ? pci->config + offset : pci->bar + offset;

	if (pci->hung_up)
		return -ENODEV;
	pthread_mutex_lock(&pci->lock);
	if (!write)
		memcpy(buf, at, len);
	else if (!(idx == QUOLL_PCI_CONFIG && pci->config[0] == 0xff)) /* nobody takes it any more */
		memcpy(at, buf, len);
	pthread_mutex_unlock(&pci->lock);
	return 0;
}

static int ops_irq_info(struct quoll_device *dev, unsigned int idx, struct quoll_irq_info *info)
{
	const struct fake_pci *pci = dev->group->ioas->priv;

	info->nr_vectors = idx == QUOLL_PCI_IRQ_MSIX ? pci->nr_msix : 1;
	info->flags = QUOLL_IRQ_EVENTFD;
	return 0;
}

/* nr 0 switches all off. */
static void set_msix(struct fake_pci *pci, unsigned int first, unsigned int nr, const int *eventfds)
{
	pci->nr_irq_sets++;
	for (unsigned int i = 0; !nr && i < FAKE_PCI_MAX_VECTORS; i++)
		pci->msix_fds[i] = -1;
	for (unsigned int i = 0; i < nr && first + i < FAKE_PCI_MAX_VECTORS; i++) {
		pci->msix_fds[first + i] = eventfds[i];
		if (eventfds[i] >= 0 && pci->msix_pending[first + i])
			fake_pci_interrupt(pci, first + i);
	}
	if (!nr || first + nr > pci->nr_msix_on)
		pci->nr_msix_on = nr ? first + nr : 0;
}

static int ops_irq_set(struct quoll_device *dev, unsigned int idx, unsigned int first, unsigned int nr,
		       const int *eventfds)
{
	struct fake_pci *pci = dev->group->ioas->priv;
	int fd = nr && !first ? eventfds[0] : -1;

	if (idx == QUOLL_PCI_IRQ_MSIX && pci->irq_rc)
		return pci->irq_rc;
	pthread_mutex_lock(&pci->lock);
	if (idx == QUOLL_PCI_IRQ_MSIX)
		set_msix(pci, first, nr, eventfds);
	pthread_mutex_unlock(&pci->lock);
	if (idx == QUOLL_PCI_IRQ_REQ)
		pci->req_fd = fd;
	if (idx == QUOLL_PCI_IRQ_ERR)
		pci->err_fd = fd;
	return 0;
}

static int ops_irq_unmask(struct quoll_device *dev, unsigned int idx, unsigned int vector)
{
	(void)dev;
	(void)idx;
	(void)vector;
	return 0;
}

static const struct backend_ops pci_ops = {
	.name = "fake",
	.probe = ops_probe,
	.ioas_open = ops_ioas_open,
	.ioas_close = ops_ioas_close,
	.ioas_info = ops_ioas_info,
	.map = ops_map,
	.unmap = ops_unmap,
	.claim = ops_claim,
	.release = ops_release,
	.device_open = ops_device_open,
	.device_close = ops_device_close,
	.device_reset = ops_device_reset,
	.region_info = ops_region_info,
	.region_map = ops_region_map,
	.region_rw = ops_region_rw,
	.irq_info = ops_irq_info,
	.irq_set = ops_irq_set,
	.irq_unmask = ops_irq_unmask,
};

int fake_pci_ioas_open(struct fake_pci *pci, struct quoll_ioas **ioas)
{
	static struct backend_ops process_ops;
	int rc;

	process_ops = pci_ops;
	process_ops.device_is_process = true;
	opening = pci;
	rc = ioas_open_ops(&pci->env, pci->is_process ? &process_ops : &pci_ops, ioas, NULL);
	opening = NULL;
	return rc;
}

int fake_pci_init(struct fake_pci *pci, uint64_t bar_bytes, uint16_t vendor, uint16_t device, uint32_t class_code)
{
	memset(pci, 0, sizeof(*pci));
	pthread_mutex_init(&pci->lock, NULL);
	pci->seed = 1;
	pci->req_fd = -1;
	pci->err_fd = -1;
	for (unsigned int i = 0; i < FAKE_PCI_MAX_VECTORS; i++)
		pci->msix_fds[i] = -1;
	pci->nr_msix = FAKE_PCI_MAX_VECTORS;
	pci->bar_bytes = bar_bytes;
	pci->config[PCI_VENDOR_ID] = (uint8_t)vendor;
	pci->config[PCI_VENDOR_ID + 1] = (uint8_t)(vendor >> 8);
	pci->config[PCI_DEVICE_ID] = (uint8_t)device;
	pci->config[PCI_DEVICE_ID + 1] = (uint8_t)(device >> 8);
	pci->config[PCI_CLASS_PROG] = (uint8_t)class_code;
	pci->config[PCI_CLASS_DEVICE] = (uint8_t)(class_code >> 8);
	pci->config[PCI_CLASS_DEVICE + 1] = (uint8_t)(class_code >> 16);
	pci->bar_fd = memfd_create("fake-bar0", MFD_CLOEXEC);
	if (pci->bar_fd < 0 || ftruncate(pci->bar_fd, BAR_MAX_BYTES))
		return -errno;
	pci->bar = mmap(NULL, BAR_MAX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, pci->bar_fd, 0);
	return pci->bar == MAP_FAILED ? -errno : 0;
}

void fake_pci_fini(struct fake_pci *pci)
{
	munmap(pci->bar, BAR_MAX_BYTES);
	close(pci->bar_fd);
	pthread_mutex_destroy(&pci->lock);
}
