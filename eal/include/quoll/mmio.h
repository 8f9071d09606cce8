/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmio.h - the only way to touch device registers, and the barriers between memory and devices.
 *
 * Registers are little-endian (PCI). A pointer comes from quoll_region_ptr() and is good until the region is unmapped.
 * Each barrier below names what it pairs with on the device's side.
 */
#ifndef QUOLL_MMIO_H
#define QUOLL_MMIO_H

#include <quoll/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * quoll_dma_wmb() - earlier writes to DMA memory are seen by the device before later ones
 *
 * Pairs with the device's ordered read of a descriptor after it has read the flag, phase or index that this store
 * publishes. Coherent memory on x86 needs no instruction for store-store order, only the compiler's.
 */
static inline void quoll_dma_wmb(void)
{
#if defined(__x86_64__)
	__asm__ volatile("" ::: "memory");
#elif defined(__aarch64__)
	__asm__ volatile("dmb oshst" ::: "memory");
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/**
 * quoll_dma_rmb() - what was read from DMA memory before is older than what is read after
 *
 * Pairs with the device's ordered writes: body of a completion first, then the phase or done bit that says it is whole.
 */
static inline void quoll_dma_rmb(void)
{
#if defined(__x86_64__)
	__asm__ volatile("" ::: "memory");
#elif defined(__aarch64__)
	__asm__ volatile("dmb oshld" ::: "memory");
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/**
 * quoll_dma_mb() - full fence, stores before it against loads after it
 *
 * Pairs with the device's store-load order in doorbell buffers and event suppression: we store an index, then load the
 * event index; it stores the event index, then loads ours. Once a batch at most.
 */
static inline void quoll_dma_mb(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/**
 * quoll_mmio_wmb() - earlier writes to DMA memory are seen by the device before a later register write
 *
 * Pairs with the device's DMA read of what a doorbell announces. On x86 stores to uncached memory are not reordered
 * with earlier stores to write-back memory, so the compiler's order is enough; write-combining mappings are not used.
 */
static inline void quoll_mmio_wmb(void)
{
#if defined(__aarch64__)
	__asm__ volatile("dsb st" ::: "memory");
#else
	quoll_dma_wmb();
#endif
}

static inline uint8_t quoll_mmio_read8(const volatile void *reg)
{
	return *(const volatile uint8_t *)reg;
}

static inline uint16_t quoll_mmio_read16(const volatile void *reg)
{
	return quoll_le16_to_cpu(*(const volatile uint16_t *)reg);
}

static inline uint32_t quoll_mmio_read32(const volatile void *reg)
{
	return quoll_le32_to_cpu(*(const volatile uint32_t *)reg);
}

/* One 64-bit access; use quoll_mmio_read64_lohi() where the specification allows 32-bit accesses only. */
static inline uint64_t quoll_mmio_read64(const volatile void *reg)
{
	return quoll_le64_to_cpu(*(const volatile uint64_t *)reg);
}

static inline uint64_t quoll_mmio_read64_lohi(const volatile void *reg)
{
	uint64_t lo = quoll_mmio_read32(reg);

	return lo | (uint64_t)quoll_mmio_read32((const volatile uint8_t *)reg + 4) << 32;
}

static inline void quoll_mmio_write8(volatile void *reg, uint8_t v)
{
	*(volatile uint8_t *)reg = v;
}

static inline void quoll_mmio_write16(volatile void *reg, uint16_t v)
{
	*(volatile uint16_t *)reg = quoll_cpu_to_le16(v);
}

static inline void quoll_mmio_write32(volatile void *reg, uint32_t v)
{
	*(volatile uint32_t *)reg = quoll_cpu_to_le32(v);
}

static inline void quoll_mmio_write64(volatile void *reg, uint64_t v)
{
	*(volatile uint64_t *)reg = quoll_cpu_to_le64(v);
}

static inline void quoll_mmio_write64_lohi(volatile void *reg, uint64_t v)
{
	quoll_mmio_write32(reg, (uint32_t)v);
	quoll_mmio_write32((volatile uint8_t *)reg + 4, (uint32_t)(v >> 32));
}

#ifdef __cplusplus
}
#endif
#endif
