/* SPDX-License-Identifier: BSD-3-Clause */
/* kmod_lib.c - see kmod_lib.h: requests to quoll.ko, and the edu device of QEMU (its docs/specs/edu.rst). */
#include "kmod_lib.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <linux/pci_regs.h>

#define EDU_DMA_SRC (0x80 / 4)
#define EDU_DMA_DST (0x88 / 4)
#define EDU_DMA_COUNT (0x90 / 4)
#define EDU_DMA_CMD (0x98 / 4)
#define EDU_DMA_START 1u
#define EDU_DMA_TO_MEMORY 2u
#define EDU_DMA_MS 20000

static unsigned int failures;

void check(bool good, const char *fmt, ...)
{
	int errnum = errno;
	va_list ap;

	printf(good ? "ok kmod: " : "not ok kmod: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf(good ? "\n" : "\n    errno %d\n", errnum);
	fflush(stdout);
	failures += !good;
}

unsigned int checks_failed(void)
{
	return failures;
}

int kmod_main(const struct kmod_test *tests, unsigned int nr_tests, int argc, char **argv)
{
	bus_errors_catch();
	for (const struct kmod_test *test = tests; argc > 1 && test < tests + nr_tests; test++) {
		if (strcmp(argv[1], test->name) || argc != (test->run ? 3 : 4))
			continue;
		if (test->run)
			test->run(argv[2]);
		else
			test->run_with(argv[2], argv[3]);
		return failures ? 1 : 0;
	}
	fprintf(stderr, "%s: see the head of its source\n", program_invocation_short_name);
	return 2;
}

void *pages_get(unsigned int nr)
{
	void *memory = mmap(NULL, nr * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memset(memory, 0xa5, nr * PAGE);
}

long locked_kb(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[128];
	long kb = -1;

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "VmLck: %ld", &kb);
	if (file)
		fclose(file);
	return kb;
}

int privilege_drop(void)
{
	return setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534) ? -errno : 0;
}

unsigned int group_number(const char *addr)
{
	char path[128], link[256];
	ssize_t bytes;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", addr);
	bytes = readlink(path, link, sizeof(link) - 1);
	if (bytes < 0)
		abort();
	link[bytes] = '\0';
	return (unsigned int)strtoul(strrchr(link, '/') + 1, NULL, 10);
}

int group_open(const char *addr)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/quoll/%u", group_number(addr));
	return open(path, O_RDWR | O_CLOEXEC);
}

struct quoll_group_info *group_info(int fd, uint32_t group)
{
	uint32_t argsz = sizeof(struct quoll_group_info);

	for (;;) {
		struct quoll_group_info *info = calloc(1, argsz);
		uint32_t room = argsz;

		if (!info)
			abort();
		info->argsz = argsz;
		info->group = group;
		if (ioctl(fd, QUOLL_GROUP_GET_INFO, info)) {
			free(info);
			return NULL;
		}
		argsz = info->argsz;
		if (argsz <= room)
			return info;
		free(info);
	}
}

void *cap_find(struct quoll_group_info *info, uint16_t id)
{
	uint32_t at = info ? info->cap_offset : 0;

	while (at && at + sizeof(struct vfio_info_cap_header) <= info->argsz) {
		struct vfio_info_cap_header *header = (void *)((char *)info + at);

		if (header->id == id)
			return header;
		at = header->next;
	}
	return NULL;
}

int dma_map(int fd, const void *va, uint64_t iova, uint64_t bytes, uint32_t flags)
{
	struct quoll_dma_map map = {
		.argsz = sizeof(map), .flags = flags, .va = (uintptr_t)va, .iova = iova, .size_bytes = bytes};

	return ioctl(fd, QUOLL_GROUP_MAP_DMA, &map) ? -errno : 0;
}

int dma_unmap(int fd, uint64_t iova, uint64_t bytes)
{
	struct quoll_dma_unmap unmap = {.argsz = sizeof(unmap), .iova = iova, .size_bytes = bytes};

	return ioctl(fd, QUOLL_GROUP_UNMAP_DMA, &unmap) ? -errno : 0;
}

int dma_unmap_all(int fd)
{
	struct quoll_dma_unmap unmap = {.argsz = sizeof(unmap), .flags = QUOLL_DMA_UNMAP_ALL};

	return ioctl(fd, QUOLL_GROUP_UNMAP_DMA, &unmap) ? -errno : 0;
}

int device_open(int fd, const char *addr)
{
	struct quoll_device_open open = {.argsz = sizeof(open)};
	int dev;

	snprintf(open.name, sizeof(open.name), "%s", addr);
	dev = ioctl(fd, QUOLL_GROUP_OPEN_DEVICE, &open);
	return dev < 0 ? -errno : dev;
}

bool fails(int fd, unsigned long request, void *arg, int errnum)
{
	return ioctl(fd, request, arg) == -1 && errno == errnum;
}

/* In the other process, which has never had the file but by mail: it runs a program of its own. */
static int receive_and_try(int sock, const char *addr)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&msg))
		return 2;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	if (dma_map(fd, pages_get(1), IOVA, PAGE, QUOLL_DMA_READ) != -EPERM || device_open(fd, addr) != -EPERM)
		return 1;
	return group_info(fd, 0) || errno != EPERM ? 1 : 0;
}

bool passed_fd_refused(int fd, const char *addr)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
	int socks[2], status = 1;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks))
		return false;
	pid = fork();
	if (!pid) {
		close(fd);
		_exit(receive_and_try(socks[1], addr));
	}
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	if (sendmsg(socks[0], &msg, 0) == 1)
		waitpid(pid, &status, 0);
	close(socks[0]);
	close(socks[1]);
	return !status;
}

void *bar_map(int dev, unsigned int index, size_t bytes)
{
	struct vfio_region_info info = {.argsz = sizeof(info), .index = index};
	void *bar;

	if (ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, &info) || info.size < bytes)
		return NULL;
	bar = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, dev, (off_t)info.offset);
	return bar == MAP_FAILED ? NULL : bar;
}

static _Thread_local sigjmp_buf bus_error;

static void on_bus_error(int sig)
{
	siglongjmp(bus_error, sig);
}

void bus_errors_catch(void)
{
	struct sigaction act = {.sa_handler = on_bus_error};

	sigaction(SIGBUS, &act, NULL);
}

bool touch_is_bus_error(volatile void *at)
{
	if (sigsetjmp(bus_error, 1))
		return true;
	(void)*(volatile uint32_t *)at;
	return false;
}

bool bar_refused_in_child(volatile void *bar)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		(void)*(volatile uint32_t *)bar;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

static off_t config_at(unsigned int reg)
{
	return (off_t)(((uint64_t)VFIO_PCI_CONFIG_REGION_INDEX << 40) + reg);
}

void bus_master(int dev, bool on)
{
	uint16_t command = 0;

	if (pread(dev, &command, 2, config_at(PCI_COMMAND)) != 2)
		abort();
	command = on ? command | PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY : command & ~PCI_COMMAND_MASTER;
	if (pwrite(dev, &command, 2, config_at(PCI_COMMAND)) != 2)
		abort();
}

int irq_set(int dev, unsigned int index, int eventfd)
{
	uint32_t bytes = sizeof(struct vfio_irq_set) + sizeof(int32_t);
	struct vfio_irq_set *set = calloc(1, bytes);
	int rc;

	if (!set)
		abort();
	set->argsz = bytes;
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = index;
	set->count = 1;
	memcpy(set->data, &eventfd, sizeof(int32_t));
	rc = ioctl(dev, VFIO_DEVICE_SET_IRQS, set) ? -errno : 0;
	free(set);
	return rc;
}

int edu_dma(volatile uint32_t *bar, uint64_t iova, uint32_t at, uint32_t bytes, bool to_memory)
{
	bar[EDU_DMA_SRC] = to_memory ? at : (uint32_t)iova;
	bar[EDU_DMA_DST] = to_memory ? (uint32_t)iova : at;
	bar[EDU_DMA_COUNT] = bytes;
	bar[EDU_DMA_CMD] = EDU_DMA_START | (to_memory ? EDU_DMA_TO_MEMORY : 0);
	for (unsigned int ms = 0; ms < EDU_DMA_MS; ms++) {
		if (!(bar[EDU_DMA_CMD] & EDU_DMA_START))
			return 0;
		usleep(1000);
	}
	return -1;
}

bool all_bytes(const uint8_t *memory, size_t bytes, uint8_t value)
{
	for (size_t i = 0; i < bytes; i++)
		if (memory[i] != value)
			return false;
	return true;
}

void edu_dma_tests(int fd, volatile uint32_t *bar, uint8_t *memory)
{
	uint8_t *target = pages_get(1);

	for (unsigned int i = 0; i < PAGE; i++)
		memory[i] = (uint8_t)(i * 7 + i / 256);
	check(!dma_map(fd, memory, IOVA, PAGE, QUOLL_DMA_READ) &&
		      !dma_map(fd, target, 2 * IOVA, PAGE, QUOLL_DMA_READ | QUOLL_DMA_WRITE),
	      "a page is mapped for reading, another for both");
	check(!edu_dma(bar, IOVA, EDU_BUFFER, EDU_BYTES, false) &&
		      !edu_dma(bar, 2 * IOVA, EDU_BUFFER, EDU_BYTES, true) && !memcmp(memory, target, EDU_BYTES),
	      "a device copies one into the other");
	memset(memory, 0x11, PAGE);
	edu_dma(bar, IOVA, EDU_BUFFER, EDU_BYTES, true);
	check(all_bytes(memory, PAGE, 0x11), "what is mapped for reading stays as it is when the device writes to it");
	check(!dma_unmap(fd, 2 * IOVA, PAGE), "the other is unmapped");
	memset(target, 0x22, PAGE);
	edu_dma(bar, 2 * IOVA, EDU_BUFFER, EDU_BYTES, true);
	check(all_bytes(target, PAGE, 0x22), "the same device address changes nothing after that");
	check(!dma_unmap(fd, IOVA, PAGE) && !locked_kb(), "nothing is left");
	munmap(target, PAGE);
}
