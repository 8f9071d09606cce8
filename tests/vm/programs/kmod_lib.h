/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kmod_lib.h - what the programs kmod_*.c are made of: checks, tests by their names, quoll.ko's requests one by one,
 * edu, an NVMe controller's admin queue.
 */
#ifndef KMOD_LIB_H
#define KMOD_LIB_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "quoll_uapi.h"

#define PAGE 4096ull
#define IOVA 0x100000ull
#define EDU_BAR_BYTES (1u << 20)
#define EDU_BUFFER 0x40000u /* on the device, one page, not all of which QEMU 7.2 allows at a time */
#define EDU_BYTES 2048u

void check(bool good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
unsigned int checks_failed(void);

/**
 * struct kmod_test - what a program does that is asked for NAME ADDR, or with @run_with for NAME ADDR MORE
 */
struct kmod_test {
	const char *name;
	void (*run)(const char *addr);
	void (*run_with)(const char *addr, const char *more);
};

/* The test that is asked for, with bus_errors_catch(). Return: main()'s. */
int kmod_main(const struct kmod_test *tests, unsigned int nr_tests, int argc, char **argv);

/* Page-aligned memory of the process, each byte 0xa5. */
void *pages_get(unsigned int nr);
bool all_bytes(const uint8_t *memory, size_t bytes, uint8_t value);
/* VmLck of this process. */
long locked_kb(void);
/* Become nobody. */
int privilege_drop(void);

unsigned int group_number(const char *addr);
/* As open(): -1 and errno. */
int group_open(const char *addr);
/* With its whole chain; free() it. NULL and errno. */
struct quoll_group_info *group_info(int fd, uint32_t group);
void *cap_find(struct quoll_group_info *info, uint16_t id);
/* 0 or -errno */
int dma_map(int fd, const void *va, uint64_t iova, uint64_t bytes, uint32_t flags);
int dma_unmap(int fd, uint64_t iova, uint64_t bytes);
int dma_unmap_all(int fd);
/* A file descriptor or -errno */
int device_open(int fd, const char *addr);
/* Whether the request fails with @errnum. */
bool fails(int fd, unsigned long request, void *arg, int errnum);
/* Whether a process that was sent the group's file gets nothing from it. */
bool passed_fd_refused(int fd, const char *addr);

void *bar_map(int dev, unsigned int index, size_t bytes);
bool bar_refused_in_child(volatile void *bar);
void bus_errors_catch(void);
bool touch_is_bus_error(volatile void *at);
void bus_master(int dev, bool on);
int irq_set(int dev, unsigned int index, int eventfd);

/* @to_memory: from the device into memory. 0, -1: it never ended. */
int edu_dma(volatile uint32_t *bar, uint64_t iova, uint32_t at, uint32_t bytes, bool to_memory);
void edu_dma_tests(int fd, volatile uint32_t *bar, uint8_t *memory);

/* An NVMe controller with its admin queue. */
struct nvme {
	int fd, dev, irq;
	volatile uint32_t *bar;
	uint32_t *sq;
	volatile uint32_t *cq;
	uint8_t *data;
	unsigned int tail;
};

/* The group is claimed, the queue's memory mapped, from IOVA on; the data's is the caller's to map. */
bool nvme_open(struct nvme *admin, const char *addr);
/* At most three commands follow. */
bool nvme_start(struct nvme *admin);
/* Identify the controller into @iova. Return: the completion's status field, -1: no interrupt came. */
int nvme_identify(struct nvme *admin, uint64_t iova);

void test_nvme(const char *addr);
void test_turns(const char *addr);
void test_beside(const char *addr);

#endif
