/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * register_race.c - while one CPU switches a device's registers off and on, another one reads a register of another
 * device, which must say the same each time.
 *
 *   register_race READ OFFSET SWITCHED SECONDS     addresses of PCI functions that no driver has; READ's BAR 0
 *
 * That is a test of the machine: an emulator whose CPUs change to a new memory map one after the other hands an access
 * to another device, or crashes.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct reader {
	const volatile uint32_t *reg;
	uint32_t value;
	uint64_t reads, odd;
	_Atomic bool end;
};

static void *read_on(void *arg)
{
	struct reader *reader = arg;

	for (; !atomic_load_explicit(&reader->end, memory_order_relaxed); reader->reads++)
		reader->odd += *reader->reg != reader->value;
	return NULL;
}

static int open_file(const char *addr, const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", addr, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		err(2, "%s", path);
	return fd;
}

static bool command_write(int config, uint16_t command)
{
	return pwrite(config, &command, sizeof(command), PCI_COMMAND) == sizeof(command);
}

/* Return: how often, 0 if it didn't work. */
static uint32_t switch_on_and_off(int config, time_t seconds)
{
	time_t end = time(NULL) + seconds;
	uint16_t command;
	uint32_t nr = 0;

	if (pread(config, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
		return 0;
	for (; time(NULL) < end; nr++)
		if (!command_write(config, command & ~PCI_COMMAND_MEMORY) ||
		    !command_write(config, command | PCI_COMMAND_MEMORY))
			return 0;
	return nr;
}

int main(int argc, char **argv)
{
	struct reader reader = {0};
	pthread_t thread;
	uint32_t nr;
	void *bar;

	if (argc != 5) {
		fprintf(stderr, "register_race: see the head of its source\n");
		return 2;
	}
	bar = mmap(NULL, 4096, PROT_READ, MAP_SHARED, open_file(argv[1], "resource0"), 0);
	if (bar == MAP_FAILED)
		err(2, "mmap");
	reader.reg = (const volatile uint32_t *)((const char *)bar + (strtoul(argv[2], NULL, 0) & 0xffc));
	reader.value = *reader.reg;
	if (pthread_create(&thread, NULL, read_on, &reader))
		abort();
	nr = switch_on_and_off(open_file(argv[3], "config"), atoi(argv[4]));
	atomic_store(&reader.end, true);
	pthread_join(thread, NULL);
	printf("switched off and on %u times; 0x%x read %llu times, something else %llu times\n", nr, reader.value,
	       (unsigned long long)(reader.reads - reader.odd), (unsigned long long)reader.odd);
	return nr && reader.reads && !reader.odd ? 0 : 1;
}
