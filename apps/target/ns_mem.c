/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ns_mem.c - mem:SIZE - a namespace in memory: 2 MiB hugepages where as many are free, else ordinary pages, which the
 * kernel is asked to make large. Requests finish in submit. Gone with the process.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/mman.h>

#include "ns.h"

#define HUGE_BYTES (2ull << 20)
/* From this size on, deallocated memory goes back to the kernel instead of being cleared. */
#define GIVE_BACK_BYTES (1ull << 20)

struct ns_mem {
	struct tgt_ns ns;
	struct tgt_ns_chan chan; /* has no state, serves all */
	uint8_t *va;
	uint64_t map_bytes;
	bool is_huge;
};

static int mem_chan_open(struct tgt_ns *ns, struct tgt_ns_chan **chan, struct quoll_error *err)
{
	struct ns_mem *mem = (struct ns_mem *)ns;

	(void)err;
	*chan = &mem->chan;
	return 0;
}

static void mem_chan_close(struct tgt_ns_chan *chan)
{
	(void)chan;
}

/*
 * Whole pages of a large piece are dropped, and read as zeroes from then on. Not hugepages: those in the pool are
 * promised to this mapping only as long as it has them.
 */
static void mem_clear(const struct ns_mem *mem, uint64_t offset, uint64_t len)
{
	uint64_t start = (offset + 4095) & ~4095ull;
	uint64_t end = (offset + len) & ~4095ull;

	if (!mem->is_huge && len >= GIVE_BACK_BYTES && !madvise(mem->va + start, end - start, MADV_DONTNEED)) {
		memset(mem->va + offset, 0, start - offset);
		memset(mem->va + end, 0, offset + len - end);
		return;
	}
	memset(mem->va + offset, 0, len);
}

static uint16_t mem_run(const struct ns_mem *mem, const struct tgt_req *req)
{
	uint8_t *at = mem->va + req->offset;

	switch (req->op) {
	case TGT_OP_READ:
		tgt_iov_scatter(req->iov, req->nr_iov, at, req->bytes);
		return 0;
	case TGT_OP_WRITE:
		tgt_iov_gather(req->iov, req->nr_iov, at, req->bytes);
		return 0;
	case TGT_OP_COMPARE:
		return tgt_iov_equal(req->iov, req->nr_iov, at, req->bytes)
			       ? 0
			       : TGT_SC_MEDIA(COMPARE_FAILED) | NVME_SC_DNR;
	case TGT_OP_ZEROES:
		mem_clear(mem, req->offset, req->bytes);
		return 0;
	case TGT_OP_DISCARD:
		for (unsigned int i = 0; i < req->nr_iov; i++)
			mem_clear(mem, req->segs[i].extent.offset, req->segs[i].extent.len);
		return 0;
	default: /* TGT_OP_FLUSH: there is nothing that a flush would save */
		return 0;
	}
}

static unsigned int mem_submit(struct tgt_ns_chan *chan, struct tgt_req *const *reqs, unsigned int n,
			       struct tgt_req **done)
{
	const struct ns_mem *mem = (const struct ns_mem *)chan->ns;

	for (unsigned int i = 0; i < n; i++) {
		struct tgt_req *req = reqs[i];

		req->status = mem_run(mem, req);
		done[i] = req;
	}
	return n;
}

static void mem_destroy(struct tgt_ns *ns)
{
	struct ns_mem *mem = (struct ns_mem *)ns;

	munmap(mem->va, mem->map_bytes);
	free(mem);
}

static const struct tgt_ns_ops mem_ops = {
	.chan_open = mem_chan_open,
	.chan_close = mem_chan_close,
	.submit = mem_submit,
	.destroy = mem_destroy,
};

/* Hugepages are reserved by mmap(), so that a page that isn't there is an error here and not a signal later. */
static int mem_map(struct ns_mem *mem, uint64_t bytes)
{
	void *va;

	mem->map_bytes = (bytes + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
	if (mem->map_bytes < bytes)
		return -ENOMEM;
	va = mmap(NULL, mem->map_bytes, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);
	mem->is_huge = va != MAP_FAILED;
	if (!mem->is_huge)
		va = mmap(NULL, mem->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (va == MAP_FAILED)
		return -errno;
	/* A wish; where it isn't granted pages are small. Not part of a core dump either way. */
	if (!mem->is_huge)
		madvise(va, mem->map_bytes, MADV_HUGEPAGE);
	madvise(va, mem->map_bytes, MADV_DONTDUMP);
	mem->va = va;
	return 0;
}

int tgt_ns_mem_open(const struct tgt_ns_spec *spec, struct tgt_ns **ns, struct quoll_error *err)
{
	struct ns_mem *mem = calloc(1, sizeof(*mem));
	int rc = mem ? mem_map(mem, spec->bytes) : -ENOMEM;

	if (rc) {
		free(mem);
		return quoll_error_set(err, -rc, "namespace", spec->text, "%llu bytes of memory are not to be had",
				       (unsigned long long)spec->bytes);
	}
	mem->ns.ops = &mem_ops;
	mem->ns.nr_lbas = spec->bytes >> spec->lba_shift;
	mem->ns.reads_zeroes = true;
	mem->chan = (struct tgt_ns_chan){.ns = &mem->ns, .fd = -1};
	*ns = &mem->ns;
	return 0;
}
