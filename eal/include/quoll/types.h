/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * types.h - the few types and macros that every other header needs.
 *
 * Owns no state. All of it is safe in C17 and C++17, from any thread.
 */
#ifndef QUOLL_TYPES_H
#define QUOLL_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Marks what the shared library exports; everything else is hidden. */
#define QUOLL_API __attribute__((visibility("default")))
#define QUOLL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define QUOLL_CACHE_LINE_BYTES 64
#define QUOLL_CACHE_ALIGNED __attribute__((aligned(QUOLL_CACHE_LINE_BYTES)))
#define QUOLL_LIKELY(x) __builtin_expect(!!(x), 1)
#define QUOLL_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* The next power of two, @n itself if it is one; 1 for 0. Up to 2^31. */
static inline uint32_t quoll_round_up_pow2(uint32_t n)
{
	return n <= 1 ? 1 : UINT32_C(1) << (32 - __builtin_clz(n - 1));
}

/*
 * An address as a device sees it, behind the IOMMU. Never a virtual and never a physical address: the only sources of
 * one are quoll_heap_iova() and what is derived from its result by adding an offset within the same buffer.
 */
typedef uint64_t quoll_iova_t;
#define QUOLL_IOVA_INVALID ((quoll_iova_t)UINT64_MAX)

/* Little-endian values as they lie in device memory; go through quoll_cpu_to_le32(), quoll_le32_to_cpu() and so on. */
typedef uint16_t quoll_le16;
typedef uint32_t quoll_le32;
typedef uint64_t quoll_le64;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define QUOLL_LE_SWAP_(bits, v) (v)
#else
#define QUOLL_LE_SWAP_(bits, v) __builtin_bswap##bits(v)
#endif

static inline quoll_le16 quoll_cpu_to_le16(uint16_t v)
{
	return QUOLL_LE_SWAP_(16, v);
}

static inline quoll_le32 quoll_cpu_to_le32(uint32_t v)
{
	return QUOLL_LE_SWAP_(32, v);
}

static inline quoll_le64 quoll_cpu_to_le64(uint64_t v)
{
	return QUOLL_LE_SWAP_(64, v);
}

static inline uint16_t quoll_le16_to_cpu(quoll_le16 v)
{
	return QUOLL_LE_SWAP_(16, v);
}

static inline uint32_t quoll_le32_to_cpu(quoll_le32 v)
{
	return QUOLL_LE_SWAP_(32, v);
}

static inline uint64_t quoll_le64_to_cpu(quoll_le64 v)
{
	return QUOLL_LE_SWAP_(64, v);
}

#ifdef __cplusplus
}
#endif
#endif
