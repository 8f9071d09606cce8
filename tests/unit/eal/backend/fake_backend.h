/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_backend.h - a back-end without a kernel: a PCI device with a 256-byte config space, BAR 0 behind a memfd, and
 * interrupts; it records each call, and fails, or lies, where a test tells it to.
 */
#ifndef QUOLL_TESTS_FAKE_BACKEND_H
#define QUOLL_TESTS_FAKE_BACKEND_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <quoll/pci.h>

#include "backend/backend.h"

#define FAKE_BAR_BYTES 0x4000
#define FAKE_BAR 0
#define FAKE_CALLS_BYTES 4096
#define FAKE_MAX_MAPS 256
#define FAKE_NO_CALL ""

struct fake {
	char calls[FAKE_CALLS_BYTES]; /* "claim map release ", in the order in which they came */
	const char *fail_call;	      /* this call fails with fail_rc, once */
	unsigned int fail_skip;	      /* but works so many times before */
	int fail_rc;
	uint8_t config[256];
	bool config_dead; /* reads are all ones */
	bool no_reset;
	enum quoll_bus bus;
	unsigned int nr_irqs;
	int bar_fd;
	struct quoll_region_info bar;
	struct quoll_irq_info irqs[5];
	int irq_fds[5][8];
	unsigned int nr_mapped;
	struct ioas_mapping mapped[FAKE_MAX_MAPS];
	struct quoll_ioas_info info;
	int next_group;
};

static struct fake fake;

static int fake_call(const char *fmt, ...)
{
	size_t used = strlen(fake.calls), name;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fake.calls + used, sizeof(fake.calls) - used, fmt, ap);
	va_end(ap);
	name = strcspn(fake.calls + used, "(");
	if (fake.fail_call && strlen(fake.fail_call) == name && !strncmp(fake.calls + used, fake.fail_call, name)) {
		if (fake.fail_skip--)
			return 0;
		fake.fail_call = NULL;
		return fake.fail_rc;
	}
	return 0;
}

static int fake_probe(const struct quoll_env *env, struct quoll_error *err)
{
	(void)env;
	(void)err;
	return fake_call("probe() ");
}

static int fake_ioas_open(struct quoll_ioas *ioas, struct quoll_error *err)
{
	(void)ioas;
	(void)err;
	return fake_call("ioas_open() ");
}

static void fake_ioas_close(struct quoll_ioas *ioas)
{
	(void)ioas;
	fake_call("ioas_close() ");
}

static int fake_ioas_info(struct quoll_ioas *ioas, struct quoll_ioas_info *info, struct quoll_error *err)
{
	(void)ioas;
	(void)err;
	*info = fake.info;
	return 0;
}

static int fake_map(struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err)
{
	int rc = fake_call("map(%#llx) ", (unsigned long long)m->iova);

	(void)ioas;
	(void)err;
	if (!rc)
		fake.mapped[fake.nr_mapped++] = *m;
	return rc;
}

static int fake_unmap(struct quoll_ioas *ioas, quoll_iova_t iova, uint64_t len_bytes)
{
	int rc = fake_call("unmap(%#llx) ", (unsigned long long)iova);

	(void)ioas;
	if (rc)
		return rc;
	for (unsigned int i = 0; i < fake.nr_mapped; i++)
		if (fake.mapped[i].iova == iova && fake.mapped[i].len_bytes == len_bytes) {
			fake.mapped[i] = fake.mapped[--fake.nr_mapped];
			return 0;
		}
	return -ENOENT;
}

static int fake_claim(struct quoll_group *group, const struct quoll_addr *addr, struct quoll_error *err)
{
	int rc = fake_call("claim() ");

	(void)err;
	if (rc)
		return rc;
	group->id = fake.next_group++;
	group->nr_devices = 2;
	group->names = calloc(2, sizeof(*group->names));
	if (!group->names)
		return -ENOMEM;
	snprintf(group->names[0], QUOLL_NAME_BYTES, "%s", addr->target);
	snprintf(group->names[1], QUOLL_NAME_BYTES, "other");
	return 0;
}

static void fake_release(struct quoll_group *group)
{
	free(group->names);
	fake.nr_mapped = 0; /* forgets_maps */
	fake_call("release() ");
}

static int fake_device_open(struct quoll_device *dev, struct quoll_error *err)
{
	(void)err;
	dev->info.bus = fake.bus;
	dev->info.nr_regions = 9;
	dev->info.nr_irqs = fake.nr_irqs;
	dev->info.can_reset = !fake.no_reset;
	return fake_call("device_open() ");
}

static void fake_device_close(struct quoll_device *dev)
{
	(void)dev;
	fake_call("device_close() ");
}

static int fake_device_reset(struct quoll_device *dev)
{
	(void)dev;
	return fake_call("reset(master %d) ", fake.config[4] >> 2 & 1);
}

static int fake_region_info(struct quoll_device *dev, unsigned int idx, struct quoll_region_info *info)
{
	(void)dev;
	memset(info, 0, sizeof(*info));
	if (idx == FAKE_BAR)
		*info = fake.bar;
	if (idx == QUOLL_PCI_CONFIG) {
		info->size_bytes = sizeof(fake.config);
		info->flags = QUOLL_REGION_READ | QUOLL_REGION_WRITE;
	}
	return 0;
}

static int fake_region_map(struct quoll_device *dev, unsigned int idx, uint64_t offset, uint64_t len, void *va)
{
	int rc = fake_call("region_map(%u+%#llx) ", idx, (unsigned long long)offset);

	(void)dev;
	if (rc)
		return rc;
	if (mmap(va, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fake.bar_fd, (off_t)offset) == MAP_FAILED)
		return -errno;
	return 0;
}

static int fake_region_rw(struct quoll_device *dev, unsigned int idx, uint64_t offset, void *buf, size_t len,
			  bool write)
{
	(void)dev;
	if (idx != QUOLL_PCI_CONFIG)
		return (write ? pwrite(fake.bar_fd, buf, len, (off_t)offset)
			      : pread(fake.bar_fd, buf, len, (off_t)offset)) == (ssize_t)len
			       ? 0
			       : -EIO;
	if (write && offset == 4 && len == 2)
		fake_call("command(%#x) ", quoll_le16_to_cpu(*(const quoll_le16 *)buf));
	if (write)
		memcpy(fake.config + offset, buf, len);
	else if (fake.config_dead)
		memset(buf, 0xff, len);
	else
		memcpy(buf, fake.config + offset, len);
	return 0;
}

static int fake_irq_info(struct quoll_device *dev, unsigned int idx, struct quoll_irq_info *info)
{
	(void)dev;
	*info = fake.irqs[idx];
	return 0;
}

static int fake_irq_set(struct quoll_device *dev, unsigned int idx, unsigned int first, unsigned int nr,
			const int *eventfds)
{
	int rc = first ? fake_call("irq_set(%u:%u+%u) ", idx, first, nr) : fake_call("irq_set(%u:%u) ", idx, nr);

	(void)dev;
	for (unsigned int i = 0; !rc && i < 8; i++)
		if (!nr || (i >= first && i < first + nr))
			fake.irq_fds[idx][i] = nr ? eventfds[i - first] : -1;
	return rc;
}

static int fake_irq_unmask(struct quoll_device *dev, unsigned int idx, unsigned int vector)
{
	(void)dev;
	return fake_call("irq_unmask(%u:%u) ", idx, vector);
}

static const struct backend_ops fake_ops = {
	.name = "fake",
	.forgets_maps = true,
	.probe = fake_probe,
	.ioas_open = fake_ioas_open,
	.ioas_close = fake_ioas_close,
	.ioas_info = fake_ioas_info,
	.map = fake_map,
	.unmap = fake_unmap,
	.claim = fake_claim,
	.release = fake_release,
	.device_open = fake_device_open,
	.device_close = fake_device_close,
	.device_reset = fake_device_reset,
	.region_info = fake_region_info,
	.region_map = fake_region_map,
	.region_rw = fake_region_rw,
	.irq_info = fake_irq_info,
	.irq_set = fake_irq_set,
	.irq_unmask = fake_irq_unmask,
};

/* A fresh, well-behaved back-end: NVMe-like, MSI-X of 8 vectors, BAR 0 mappable as a whole. */
static void fake_reset(void)
{
	if (fake.bar_fd > 0)
		close(fake.bar_fd);
	memset(&fake, 0, sizeof(fake));
	fake.config[0] = 0x36;
	fake.config[1] = 0x1b;
	fake.config[2] = 0x10;
	fake.config[9] = 2;
	fake.config[10] = 8;
	fake.config[11] = 1;
	fake.nr_irqs = 5;
	fake.next_group = 7;
	fake.irqs[QUOLL_PCI_IRQ_INTX] =
		(struct quoll_irq_info){1, QUOLL_IRQ_EVENTFD | QUOLL_IRQ_MASKABLE | QUOLL_IRQ_AUTOMASKED};
	fake.irqs[QUOLL_PCI_IRQ_MSIX] = (struct quoll_irq_info){8, QUOLL_IRQ_EVENTFD | QUOLL_IRQ_NORESIZE};
	fake.irqs[QUOLL_PCI_IRQ_ERR] = (struct quoll_irq_info){1, QUOLL_IRQ_EVENTFD};
	fake.irqs[QUOLL_PCI_IRQ_REQ] = (struct quoll_irq_info){1, QUOLL_IRQ_EVENTFD};
	memset(fake.irq_fds, 0xff, sizeof(fake.irq_fds));
	fake.bar_fd = memfd_create("bar0", MFD_CLOEXEC);
	if (fake.bar_fd < 0 || ftruncate(fake.bar_fd, FAKE_BAR_BYTES))
		abort();
	fake.bar.size_bytes = FAKE_BAR_BYTES;
	fake.bar.flags = QUOLL_REGION_READ | QUOLL_REGION_WRITE | QUOLL_REGION_MMAP;
	fake.bar.nr_areas = 1;
	fake.bar.areas[0].size_bytes = FAKE_BAR_BYTES;
	fake.info.page_sizes = 4096;
	fake.info.maps_avail = UINT32_MAX;
	fake.info.memlock_bytes = UINT64_MAX;
	fake.info.nr_ranges = 1;
	fake.info.ranges[0].last = (1ull << 39) - 1;
}

static inline void fake_forget_calls(void)
{
	fake.calls[0] = '\0';
}

static inline void fake_address(struct quoll_addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	addr->scheme = QUOLL_ADDR_PCI;
	addr->target = "0000:01:00.0";
}

#endif
