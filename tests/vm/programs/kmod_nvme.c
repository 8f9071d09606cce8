/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kmod_nvme.c - an NVMe controller by quoll.ko: its registers, MSI-X, the admin queue (NVM Express base
 * specification 2.0: 3.1.3, 4.6, 5.17); and /dev/vfio/N beside it.
 */
#include "kmod_lib.h"

#include <poll.h>
#include <sys/eventfd.h>

#define NVME_CC (0x14 / 4)
#define NVME_CSTS (0x1c / 4)
#define NVME_AQA (0x24 / 4)
#define NVME_ASQ (0x28 / 4)
#define NVME_ACQ (0x30 / 4)
#define NVME_SQ0_TAIL (0x1000 / 4)
#define NVME_CQ0_HEAD (0x1004 / 4)
#define NVME_BAR_BYTES 0x2000
#define NVME_CC_ON 0x00460001u /* 64-byte entries, 16-byte completions, enabled */
#define NVME_QUEUE 4u
#define NVME_WAIT_MS 20000

#define SQ_IOVA IOVA
#define CQ_IOVA (IOVA + PAGE)
#define DATA_IOVA (IOVA + 2 * PAGE)

static bool ready_is(struct nvme *admin, uint32_t ready)
{
	for (unsigned int ms = 0; ms < NVME_WAIT_MS; ms++) {
		if ((admin->bar[NVME_CSTS] & 1) == ready)
			return true;
		usleep(1000);
	}
	return false;
}

bool nvme_start(struct nvme *admin)
{
	memset(admin->sq, 0, PAGE);
	memset((void *)admin->cq, 0, PAGE);
	admin->tail = 0;
	admin->bar[NVME_CC] = 0;
	if (!ready_is(admin, 0))
		return false;
	admin->bar[NVME_AQA] = (NVME_QUEUE - 1) << 16 | (NVME_QUEUE - 1);
	admin->bar[NVME_ASQ] = (uint32_t)SQ_IOVA;
	admin->bar[NVME_ASQ + 1] = 0;
	admin->bar[NVME_ACQ] = (uint32_t)CQ_IOVA;
	admin->bar[NVME_ACQ + 1] = 0;
	admin->bar[NVME_CC] = NVME_CC_ON;
	return ready_is(admin, 1);
}

int nvme_identify(struct nvme *admin, uint64_t iova)
{
	struct pollfd waits = {.fd = admin->irq, .events = POLLIN};
	uint32_t *entry = admin->sq + 16 * admin->tail;
	volatile uint32_t *done = admin->cq + 4 * admin->tail;
	uint64_t count;

	memset(entry, 0, 64);
	entry[0] = 6 | 1u << 16;
	entry[6] = (uint32_t)iova;
	entry[7] = (uint32_t)(iova >> 32);
	entry[10] = 1;
	admin->tail++;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	admin->bar[NVME_SQ0_TAIL] = admin->tail;
	if (poll(&waits, 1, NVME_WAIT_MS) != 1 || read(admin->irq, &count, sizeof(count)) != sizeof(count))
		return -1;
	if (!(done[3] >> 16 & 1))
		return -1;
	admin->bar[NVME_CQ0_HEAD] = admin->tail;
	return (int)(done[3] >> 17);
}

static bool untouched(const uint8_t *data)
{
	for (unsigned int i = 0; i < PAGE; i++)
		if (data[i] != 0xa5)
			return false;
	return true;
}

static void test_commands(struct nvme *admin)
{
	check(nvme_start(admin), "the controller starts, its admin queue in mapped memory");
	check(nvme_identify(admin, DATA_IOVA) == 0 && !memcmp(admin->data + 4, "quoll-nvme", 10),
	      "it identifies itself by DMA, and says so by MSI-X");
	memset(admin->data, 0xa5, PAGE);
	check(!dma_unmap(admin->fd, DATA_IOVA, PAGE) &&
		      !dma_map(admin->fd, admin->data, DATA_IOVA, PAGE, QUOLL_DMA_READ),
	      "the page is mapped again, for reading");
	/* QEMU 7.2 completes such a command as if all were well */
	check(nvme_identify(admin, DATA_IOVA) >= 0 && untouched(admin->data),
	      "a command that writes to it changes nothing");
	check(!dma_unmap(admin->fd, DATA_IOVA, PAGE), "it is unmapped");
	check(nvme_identify(admin, DATA_IOVA) >= 0 && untouched(admin->data),
	      "a command that writes to where it was changes nothing");
	check(!ioctl(admin->dev, VFIO_DEVICE_RESET) && ready_is(admin, 0), "a reset stops the controller");
}

bool nvme_open(struct nvme *admin, const char *addr)
{
	uint8_t *memory = pages_get(2);

	*admin = (struct nvme){.irq = eventfd(0, EFD_CLOEXEC), .fd = group_open(addr)};
	admin->dev = device_open(admin->fd, addr);
	admin->bar = admin->dev < 0 ? NULL : bar_map(admin->dev, 0, NVME_BAR_BYTES);
	if (!admin->bar || dma_map(admin->fd, memory, SQ_IOVA, PAGE, QUOLL_DMA_READ) ||
	    dma_map(admin->fd, memory + PAGE, CQ_IOVA, PAGE, QUOLL_DMA_READ | QUOLL_DMA_WRITE) ||
	    irq_set(admin->dev, VFIO_PCI_MSIX_IRQ_INDEX, admin->irq))
		return false;
	admin->sq = (uint32_t *)memory;
	admin->cq = (volatile uint32_t *)(memory + PAGE);
	bus_master(admin->dev, true);
	return true;
}

void test_nvme(const char *addr)
{
	struct vfio_irq_info irq = {.argsz = sizeof(irq), .index = VFIO_PCI_MSIX_IRQ_INDEX};
	struct vfio_device_info info = {.argsz = sizeof(info)};
	uint32_t id = 0, class = 0;
	struct nvme admin;

	if (!nvme_open(&admin, addr)) {
		check(false, "registers, memory and interrupt are set up");
		return;
	}
	admin.data = pages_get(1);
	check(!dma_map(admin.fd, admin.data, DATA_IOVA, PAGE, QUOLL_DMA_READ | QUOLL_DMA_WRITE),
	      "registers, memory and interrupt are set up");
	check(!ioctl(admin.dev, VFIO_DEVICE_GET_INFO, &info) && info.flags & VFIO_DEVICE_FLAGS_RESET &&
		      info.num_regions >= VFIO_PCI_NUM_REGIONS,
	      "the device describes itself as VFIO's do");
	check(pread(admin.dev, &id, 4, 7ll << 40) == 4 && id != UINT32_MAX &&
		      pread(admin.dev, &class, 4, (7ll << 40) + 8) == 4 && class >> 8 == 0x010802,
	      "its config space is read");
	check(!ioctl(admin.dev, VFIO_DEVICE_GET_IRQ_INFO, &irq) && irq.count > 1 && irq.flags & VFIO_IRQ_INFO_EVENTFD,
	      "it has MSI-X");
	test_commands(&admin);
	close(admin.dev);
	close(admin.fd);
}

/* A device by way of /dev/vfio/N. Return: 0, -errno. */
static int vfio_open(const char *addr, int fds[3])
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/%u", group_number(addr));
	fds[0] = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	fds[1] = open(path, O_RDWR | O_CLOEXEC);
	fds[2] = -1;
	if (fds[0] < 0 || fds[1] < 0 || ioctl(fds[1], VFIO_GROUP_SET_CONTAINER, &fds[0]) ||
	    ioctl(fds[0], VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return -errno;
	fds[2] = ioctl(fds[1], VFIO_GROUP_GET_DEVICE_FD, addr);
	return fds[2] < 0 ? -errno : 0;
}

static void vfio_close(int fds[3])
{
	for (unsigned int i = 3; i-- > 0;)
		if (fds[i] >= 0)
			close(fds[i]);
}

void test_turns(const char *addr)
{
	uint32_t id = 0;
	int fds[3], fd;

	check(!vfio_open(addr, fds) && pread(fds[2], &id, 4, 7ll << 40) == 4, "the device is VFIO's at first");
	fd = group_open(addr);
	check(fd == -1 && errno == EBUSY, "meanwhile the group does not open here");
	vfio_close(fds);
	fd = group_open(addr);
	check(fd >= 0, "then it does");
	check(vfio_open(addr, fds) < 0, "and VFIO does not get the device");
	vfio_close(fds);
	check(device_open(fd, addr) >= 0, "but we do");
	close(fd);
	check(!vfio_open(addr, fds) && pread(fds[2], &id, 4, 7ll << 40) == 4, "and VFIO again after us");
	vfio_close(fds);
}

void test_beside(const char *addr)
{
	int fds[3], fd, dev;

	check(!vfio_open(addr, fds), "the device is VFIO's");
	fd = group_open(addr);
	check(fd >= 0 && device_open(fd, addr) == -EBUSY, "the group opens here, and gives no device");
	dev = ioctl(fds[1], VFIO_GROUP_GET_DEVICE_FD, addr);
	check(dev >= 0, "VFIO goes on giving the device to who has the group");
	close(dev);
	vfio_close(fds);
	check(device_open(fd, addr) >= 0, "after it we do");
	check(vfio_open(addr, fds) < 0, "and VFIO does not");
	vfio_close(fds);
	close(fd);
}
