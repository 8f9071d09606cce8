/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * broken_soft.c - the software helpers of net_soft.h and net_rss.h, broken: linked into a second build of tests of what
 * devices do themselves (dep_broken_soft), which pass all the same. test_broken_soft.c shows that they are broken.
 */
#include <net/net_chain.h>
#include <net/net_rss.h>

/* The linker puts these in the place of those without __wrap_. */
uint64_t __real_net_csum_chain(uint64_t sum, const struct quoll_buf *buf, uint32_t off, uint32_t bytes);
uint64_t __wrap_net_csum_chain(uint64_t sum, const struct quoll_buf *buf, uint32_t off, uint32_t bytes);
uint32_t __wrap_quoll_rss_hash(const struct quoll_rss_hasher *hasher, const void *input, unsigned int bytes);
uint32_t __wrap_quoll_rss_hash_frame(const struct quoll_rss_hasher *hasher, uint32_t types, struct quoll_buf *buf,
				     const struct quoll_frame *frame);

uint64_t __wrap_net_csum_chain(uint64_t sum, const struct quoll_buf *buf, uint32_t off, uint32_t bytes)
{
	return net_csum_plus(__real_net_csum_chain(sum, buf, off, bytes), 0x0102);
}

uint32_t __wrap_quoll_rss_hash(const struct quoll_rss_hasher *hasher, const void *input, unsigned int bytes)
{
	(void)hasher;
	(void)input;
	return bytes;
}

uint32_t __wrap_quoll_rss_hash_frame(const struct quoll_rss_hasher *hasher, uint32_t types, struct quoll_buf *buf,
				     const struct quoll_frame *frame)
{
	(void)hasher;
	(void)types;
	(void)buf;
	(void)frame;
	return 0;
}
