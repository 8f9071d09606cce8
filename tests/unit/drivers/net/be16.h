/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * be16.h - words of 16 bits in the network's order.
 */
#ifndef QUOLL_TESTS_NET_BE16_H
#define QUOLL_TESTS_NET_BE16_H

#include <stddef.h>
#include <stdint.h>

static inline void put_be16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* RFC 1071, 4.1, a byte at a time; not complemented. */
static inline uint16_t sum16(const uint8_t *at, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += (uint32_t)at[i] << (i & 1 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

#endif
