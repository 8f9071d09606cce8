/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * copier.c - see copier.h. As small as a device model for the server library can be: a loop, five callbacks.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quoll/server.h>

#include "copier.h"

#define LEN_MAX (1u << 20)

struct copier {
	struct quoll_server *server;
	uint64_t registers[COPIER_REGISTER_BYTES / sizeof(uint64_t)];
	volatile uint32_t *memory;
	uint8_t buf[LEN_MAX];
};

static uint64_t *reg(struct copier *c, enum copier_register at)
{
	return &c->registers[at / sizeof(uint64_t)];
}

static int reset(void *arg)
{
	struct copier *c = arg;

	memset(c->registers, 0, sizeof(c->registers));
	*reg(c, COPIER_ID) = COPIER_ID_VALUE;
	return 0;
}

static int disconnect(void *arg)
{
	return reset(arg);
}

static int region_read(void *arg, unsigned int idx, uint64_t offset, void *buf, size_t len)
{
	struct copier *c = arg;

	if (idx != COPIER_REGISTERS)
		return -EACCES; /* it is to be mapped */
	memcpy(buf, (uint8_t *)c->registers + offset, len);
	return 0;
}

static int region_write(void *arg, unsigned int idx, uint64_t offset, const void *buf, size_t len)
{
	struct copier *c = arg;

	if (idx != COPIER_REGISTERS || len != sizeof(uint64_t) || offset % len)
		return -EINVAL;
	if (offset == COPIER_START)
		*reg(c, COPIER_STATUS) = COPIER_BUSY;
	else if (offset == COPIER_FROM || offset == COPIER_TO || offset == COPIER_LEN)
		memcpy((uint8_t *)c->registers + offset, buf, len);
	else
		return -EACCES;
	return 0;
}

/* What region_write() has ordered; here, because it may wait for the client. */
static void copy(struct copier *c)
{
	uint64_t len = *reg(c, COPIER_LEN);
	int rc = len > LEN_MAX ? -EINVAL : quoll_server_dma_read(c->server, *reg(c, COPIER_FROM), c->buf, len);

	if (!rc)
		rc = quoll_server_dma_write(c->server, *reg(c, COPIER_TO), c->buf, len);
	*reg(c, COPIER_STATUS) = rc ? COPIER_FAILED : COPIER_DONE;
	*reg(c, COPIER_TIMES) = (uint32_t)*reg(c, COPIER_TIMES) + 1 + ((uint64_t)c->memory[0] << 32);
	quoll_server_irq(c->server, 0, 0);
}

static void serve(struct copier *c)
{
	struct pollfd pfd = {.fd = quoll_server_fd(c->server), .events = POLLIN};

	for (;;) {
		poll(&pfd, 1, quoll_server_pending(c->server) ? 0 : -1);
		quoll_server_poll(c->server);
		if (*reg(c, COPIER_STATUS) == COPIER_BUSY)
			copy(c);
	}
}

static int copier_main(const char *path, int ready)
{
	static const struct quoll_server_ops ops = {
		.disconnect = disconnect, .region_read = region_read, .region_write = region_write, .reset = reset};
	static struct copier c;
	struct quoll_server_device device = {
		.bus = QUOLL_BUS_PLATFORM, .nr_regions = 2, .nr_irqs = 1, .ops = &ops, .arg = &c};
	int fd = memfd_create("copier", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, COPIER_MEMORY_BYTES) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK))
		return 1;
	c.memory = mmap(NULL, COPIER_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (c.memory == MAP_FAILED)
		return 1;
	device.regions[COPIER_REGISTERS] = (struct quoll_server_region){
		.size_bytes = COPIER_REGISTER_BYTES, .flags = QUOLL_REGION_READ | QUOLL_REGION_WRITE, .fd = -1};
	device.regions[COPIER_MEMORY] =
		(struct quoll_server_region){.size_bytes = COPIER_MEMORY_BYTES,
					     .flags = QUOLL_REGION_READ | QUOLL_REGION_WRITE | QUOLL_REGION_MMAP,
					     .fd = fd};
	device.irqs[0] = (struct quoll_irq_info){.nr_vectors = 1, .flags = QUOLL_IRQ_EVENTFD};
	reset(&c);
	if (quoll_server_create(NULL, path, &device, &c.server, NULL) || write(ready, "", 1) != 1)
		return 1;
	serve(&c);
	return 0;
}

pid_t copier_start(const char *path)
{
	int pipes[2];
	char byte;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		abort();
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(copier_main(path, pipes[1]));
	}
	close(pipes[1]);
	if (pid < 0 || read(pipes[0], &byte, 1) != 1)
		abort();
	close(pipes[0]);
	return pid;
}
