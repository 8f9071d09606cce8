/* SPDX-License-Identifier: BSD-3-Clause */
/* kmod_fuzz_calls.c - the requests of quoll_uapi.h, valid but for one thing in a few; see kmod_fuzz.h. */
#include "kmod_fuzz.h"

#include <pthread.h>
#include <sys/eventfd.h>

#define MAPS_BASE 0x1000000ull
#define LARGE_BYTES (2ull << 20)
#define MSI_BASE 0xfee00000ull

uint64_t random_next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint64_t odd_number(struct fuzzer *f)
{
	static const uint64_t odd[] = {0,
				       1,
				       PAGE - 1,
				       PAGE,
				       PAGE + 1,
				       0x7fffffff,
				       0x80000000,
				       0xffffffff,
				       1ull << 32,
				       MSI_BASE,
				       (1ull << 39) - PAGE,
				       1ull << 39,
				       (1ull << 47) - PAGE,
				       0xffff888000000000ull,
				       1ull << 63,
				       -2 * PAGE,
				       -PAGE,
				       -1ull};
	uint32_t which = below(f, sizeof(odd) / sizeof(odd[0]) + 2);

	if (which < sizeof(odd) / sizeof(odd[0]))
		return odd[which];
	return random_next(&f->random) >> below(f, 64);
}

static const unsigned int area_pages[NR_AREAS] = {
	[AREA_PLAIN] = AREA_PAGES, [AREA_SHARED] = AREA_PAGES, [AREA_READ_ONLY] = 8, [AREA_FILE] = 2,
	[AREA_LARGE] = 512,	   [AREA_MOVING] = AREA_PAGES, [AREA_NONE] = 2,
};

uint64_t some_va(struct fuzzer *f, __u64 *bytes)
{
	enum area area = one_in(f, 3) ? below(f, NR_AREAS) : AREA_PLAIN;
	uint8_t *base = f->life->areas[area];
	uint32_t page = below(f, area_pages[area]);
	uint32_t nr = 1 + (one_in(f, 4) ? below(f, 16) : below(f, 4));

	if (one_in(f, 40))
		base = (uint8_t *)f->life->rings[RING_COMMON].head, page = 0;
	if (one_in(f, 60))
		base = f->bar, page = 0; /* registers are no memory to map */
	if (area == AREA_LARGE && one_in(f, 4)) {
		page = 0;
		nr = 512;
	}
	/* mostly within */
	if (page + nr > area_pages[area] && !one_in(f, 6))
		nr = area_pages[area] - page;
	*bytes = nr * PAGE;
	if (one_in(f, 50))
		*bytes = odd_number(f);
	if (one_in(f, 50))
		return odd_number(f);
	return (uintptr_t)base + page * PAGE;
}

/* Places of the structure, and of the pointer to it, that are wrong. */
static void *arg_misplaced(struct fuzzer *f, uint8_t *at, size_t size)
{
	switch (below(f, 4)) {
	case 0:
		return (void *)(uintptr_t)odd_number(f);
	case 1:
		return f->args + 2 * PAGE - below(f, (uint32_t)size); /* it ends where there is no memory */
	case 2:
		return f->life->areas[AREA_NONE];
	default:
		return f->args_twin + (at - f->args); /* it can be read and not written */
	}
}

void *arg_put(struct fuzzer *f, const void *arg, size_t size)
{
	uint8_t *at = f->args + below(f, PAGE / 8) * 8;
	uint32_t argsz;

	if (one_in(f, 4))
		at = f->args + 2 * PAGE - size; /* nothing behind it */
	memset(at, 0, size + 64 < (size_t)(f->args + 2 * PAGE - at) ? size + 64 : size);
	memcpy(at, arg, size);
	if (!one_in(f, 7))
		return at;
	switch (below(f, 6)) {
	case 0:
		argsz = (uint32_t[]){0,	   4,	 (uint32_t)size - 1, (uint32_t)size + 8, (uint32_t)size + 64,
				     4096, 4097, UINT32_MAX,	     0x80000000}[below(f, 9)];
		memcpy(at, &argsz, sizeof(argsz));
		if (one_in(f, 3))
			f->args[below(f, 2 * PAGE)] = 1;
		break;
	case 1:
		argsz = 1u << below(f, 32);
		memcpy(at + 4, &argsz, 4);
		break;
	case 2:
		at[below(f, (uint32_t)size)] ^= (uint8_t)(1u << below(f, 8));
		break;
	case 3:
		argsz = (uint32_t)odd_number(f);
		memcpy(at + below(f, (uint32_t)size / 4) * 4, &argsz, 4);
		break;
	case 4:
		memcpy(at + below(f, (uint32_t)size / 8) * 8, &(uint64_t){odd_number(f)}, 8);
		break;
	default:
		return arg_misplaced(f, at, size);
	}
	return at;
}

void count(struct life *life, enum call call, int errnum)
{
	if (errnum >= (int)NR_ERRNOS)
		errnum = NR_ERRNOS - 1;
	/* what comes after the end may be another file's answer */
	if (!atomic_load(&life->over))
		atomic_fetch_add_explicit(&life->tally->counts[call][errnum], 1, memory_order_relaxed);
}

int call(struct fuzzer *f, enum call which, int fd, unsigned long request, void *arg)
{
	int rc = ioctl(fd, request, arg), errnum = rc < 0 ? errno : 0;

	count(f->life, which, errnum);
	return rc < 0 ? -errnum : rc;
}

static int group_call(struct fuzzer *f, unsigned long request, void *arg)
{
	return call(f, GROUP_REQUESTS + _IOC_NR(request), f->life->group, request, arg);
}

#define GROUP_CALL(f, request, arg) group_call(f, request, arg_put(f, &(arg), sizeof(arg)))

static void ask(struct fuzzer *f, bool control)
{
	struct quoll_group_device member = {.argsz = sizeof(member), .index = one_in(f, 3) ? below(f, 4) : 0};
	uint32_t room = one_in(f, 2) ? 1024 : sizeof(struct quoll_group_info);
	struct quoll_group_info info = {.argsz = room};
	uint32_t request = below(f, 3);
	int fd = control ? f->life->control : f->life->group;
	enum call which = (control ? CONTROL_REQUESTS : GROUP_REQUESTS) + request;

	if (control)
		info.group = member.group = one_in(f, 4) ? (uint32_t)odd_number(f) : group_number(f->life->addr);
	if (control && one_in(f, 8))
		call(f, CONTROL_REQUESTS + 3, fd, _IO(QUOLL_UAPI_TYPE, 3 + below(f, 250)),
		     arg_put(f, &info, sizeof(info)));
	else if (request == 0)
		call(f, which, fd, QUOLL_GET_VERSION, (void *)(uintptr_t)odd_number(f));
	else if (request == 1)
		call(f, which, fd, QUOLL_GROUP_GET_INFO, arg_put(f, &info, sizeof(info)));
	else
		call(f, which, fd, QUOLL_GROUP_GET_DEVICE, arg_put(f, &member, sizeof(member)));
}

static void ask_open_device(struct fuzzer *f)
{
	struct quoll_device_open open = {.argsz = sizeof(open)};
	int none = -1, dev;

	if (!f->life->with_device && !one_in(f, 100)) /* each takes two resets */
		return;
	snprintf(open.name, sizeof(open.name), "%s", one_in(f, 6) ? "0000:00:00.0" : f->life->addr);
	if (one_in(f, 20))
		memset(open.name, 'x', sizeof(open.name));
	dev = GROUP_CALL(f, QUOLL_GROUP_OPEN_DEVICE, open);
	if (dev >= 0)
		atomic_store(&f->life->tally->begun, 1);
	if (dev >= 0 && !atomic_compare_exchange_strong(&f->life->dev, &none, dev))
		close(dev);
}

/* Where a mapping for good may go: few places, the window, the edges of what there is. */
static uint64_t some_iova(struct fuzzer *f, uint32_t place)
{
	switch (below(f, 24)) {
	case 0:
		return f->life->window + (uint64_t)below(f, 8) * PAGE - 4 * PAGE;
	case 1:
		return f->life->window + f->life->window_bytes + (uint64_t)below(f, 8) * PAGE - 4 * PAGE;
	case 2:
		return MSI_BASE + (uint64_t)below(f, 8) * PAGE - 4 * PAGE;
	case 3:
		return odd_number(f);
	default:
		return MAPS_BASE + place * PAGE;
	}
}

static void ask_map(struct fuzzer *f)
{
	uint32_t place = below(f, HOT_MAPS);
	struct quoll_dma_map map = {.argsz = sizeof(map), .flags = 1 + below(f, 3)};

	map.va = some_va(f, &map.size_bytes);
	map.iova = map.size_bytes == LARGE_BYTES ? MAPS_BASE + LARGE_BYTES * (1 + below(f, 2)) : some_iova(f, place);
	if (!GROUP_CALL(f, QUOLL_GROUP_MAP_DMA, map))
		atomic_store(&f->life->maps[place], (uint32_t)(map.size_bytes / PAGE));
}

static void ask_unmap(struct fuzzer *f)
{
	struct quoll_dma_unmap unmap = {.argsz = sizeof(unmap)};
	uint32_t place = below(f, HOT_MAPS);

	unmap.iova = MAPS_BASE + place * PAGE;
	unmap.size_bytes = atomic_exchange(&f->life->maps[place], 0) * PAGE ?: PAGE;
	if (one_in(f, 8))
		unmap.size_bytes = (1 + below(f, HOT_MAPS)) * PAGE;
	if (one_in(f, 10))
		unmap.iova = MAPS_BASE + LARGE_BYTES * (1 + below(f, 2)), unmap.size_bytes = LARGE_BYTES;
	if (one_in(f, 100))
		unmap = (struct quoll_dma_unmap){.argsz = sizeof(unmap), .flags = QUOLL_DMA_UNMAP_ALL};
	GROUP_CALL(f, QUOLL_GROUP_UNMAP_DMA, unmap);
}

static void ask_events(struct fuzzer *f)
{
	struct quoll_group_events events = {.argsz = sizeof(events), .fd = f->life->events};

	if (one_in(f, 4))
		events.fd = (int[]){-1, f->life->group, 9999, -2}[below(f, 4)];
	GROUP_CALL(f, QUOLL_GROUP_SET_EVENTS, events);
}

void ask_window(struct fuzzer *f, uint64_t iova, uint64_t bytes)
{
	struct quoll_window window = {.argsz = sizeof(window), .iova = iova, .size_bytes = bytes};

	GROUP_CALL(f, QUOLL_STREAM_WINDOW, window);
}

static void ask_some_window(struct fuzzer *f)
{
	uint64_t bytes = one_in(f, 4) ? odd_number(f) : f->life->window_bytes;

	ask_window(f, one_in(f, 4) ? odd_number(f) & ~(PAGE - 1) : f->life->window, bytes);
}

static void ask_register(struct fuzzer *f)
{
	struct quoll_stream_register arg = {.argsz = sizeof(arg), .flags = below(f, 4) ? QUOLL_STREAM_WRITE : 0};
	struct quoll_stream_register *at;
	uint32_t none = 0;

	arg.va = some_va(f, &arg.size_bytes);
	at = arg_put(f, &arg, sizeof(arg));
	/* a place that is taken is a buffer that is not given back before the end */
	if (!group_call(f, QUOLL_STREAM_REGISTER, at))
		atomic_compare_exchange_strong(&f->life->buffers[below(f, NR_BUFFERS)], &none, at->buffer + 1);
}

static void ask_unregister(struct fuzzer *f)
{
	uint32_t place = below(f, NR_BUFFERS), id = atomic_load(&f->life->buffers[place]);
	struct quoll_stream_free arg = {.argsz = sizeof(arg), .id = id ? id - 1 : below(f, 8)};

	if (one_in(f, 20))
		arg.id = (uint32_t)odd_number(f);
	if (!GROUP_CALL(f, QUOLL_STREAM_UNREGISTER, arg))
		atomic_compare_exchange_strong(&f->life->buffers[place], &id, 0);
}

static void ask_ring(struct fuzzer *f)
{
	struct fuzz_ring *ring = &f->life->rings[RING_SPARE];
	struct quoll_stream_ring arg = {.argsz = sizeof(arg), .nr_entries = 1u << below(f, 6)};
	struct quoll_stream_ring *at;

	if (one_in(f, 12))
		arg.nr_entries = (uint32_t)odd_number(f);
	arg.va = one_in(f, 4) ? some_va(f, &arg.size_bytes) : (uintptr_t)f->life->areas[AREA_PLAIN];
	if (one_in(f, 4))
		arg.size_bytes = ring_bytes(arg.nr_entries % 8192);
	else
		arg.size_bytes = AREA_PAGES * PAGE;
	at = arg_put(f, &arg, sizeof(arg));
	if (!group_call(f, QUOLL_STREAM_RING, at))
		atomic_store(&ring->id, at->ring + 1);
}

static void ask_ring_free(struct fuzzer *f)
{
	uint32_t id = atomic_exchange(&f->life->rings[RING_SPARE].id, 0);
	struct quoll_stream_free arg = {.argsz = sizeof(arg), .id = id ? id - 1 : below(f, 16)};

	if (one_in(f, 20))
		arg.id = (uint32_t)odd_number(f);
	GROUP_CALL(f, QUOLL_STREAM_RING_FREE, arg);
}

static void ask_nothing(struct fuzzer *f)
{
	unsigned long request = one_in(f, 2) ? _IO(QUOLL_UAPI_TYPE, 13 + below(f, 200)) : odd_number(f);

	if (_IOC_TYPE(request) == QUOLL_UAPI_TYPE && _IOC_NR(request) >= 13)
		ioctl(f->life->group, request, f->args);
}

/* By weight; entries of rings are the deepest, and half of it. */
static const struct {
	void (*ask)(struct fuzzer *f);
	unsigned int weight;
} requests[] = {
	{ring_use, 50},	     {ask_map, 14},	   {ask_unmap, 12},	 {ask_register, 8},
	{ask_unregister, 5}, {ask_events, 3},	   {ask_ring, 3},	 {ask_ring_free, 3},
	{ask_nothing, 1},    {ask_some_window, 2}, {ask_open_device, 2},
};

void request_some(struct fuzzer *f)
{
	uint32_t at = below(f, 108);

	for (unsigned int i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		if (at < requests[i].weight) {
			requests[i].ask(f);
			return;
		}
		at -= requests[i].weight;
	}
	ask(f, at & 1);
}

void request_all_refused(struct life *life, uint8_t *page)
{
	memset(page, 0, PAGE);
	for (unsigned int i = 0; i < 13; i++) {
		*(uint32_t *)page = 200;
		atomic_fetch_add(&life->tally->in_child[ioctl(life->group, _IO(QUOLL_UAPI_TYPE, i), page) != -1 ||
							errno != EPERM],
				 1);
	}
}
