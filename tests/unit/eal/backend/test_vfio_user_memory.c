/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vfio_user_memory.c - memory that a server was sent, once the session with it is over: it may be written to
 * still, so nobody else gets it.
 */
#include <string.h>
#include <sys/mman.h>

#include "vfio_user_world.h"

#define CHUNK_BYTES 65536u

/* Two buffers in one chunk, and the chunk as the server has it mapped. */
struct shared {
	struct quoll_arena *arena;
	uint8_t *kept;
	uint8_t *freed;
	uint8_t *peer;
};

static void *must_alloc(struct quoll_arena *arena, uint64_t bytes)
{
	void *va = NULL;

	CU_ASSERT_EQUAL_FATAL(quoll_arena_alloc(arena, bytes, 4096, &va, NULL), 0);
	return va;
}

static void heap_new(struct world *w, struct shared *s)
{
	struct quoll_heap_opts opts = {
		.pages = QUOLL_PAGES_4K, .numa_node = -1, .ioases = &w->ioas, .nr_ioases = 1, .size_bytes = 1 << 30};

	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(NULL, &opts, &w->heap, &w->err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_create(w->heap, "test", QUOLL_ARENA_DEVICE_READ_WRITE, 0, &s->arena, &w->err),
			      0);
	s->kept = must_alloc(s->arena, 4096);
	s->freed = must_alloc(s->arena, 4096);
}

/* The server is another thread, which has answered and rests. */
static void share(struct world *w, struct shared *s)
{
	heap_new(w, s);
	CU_ASSERT_EQUAL_FATAL(w->server.nr_maps, 1);
	s->peer = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, w->server.maps[0].fd, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(s->peer, MAP_FAILED);
	s->kept[0] = 1;
	CU_ASSERT_EQUAL_FATAL(s->peer[0], 1);
}

/* The session is over: whatever is handed out from now on is out of the server's reach. */
static void check_out_of_reach(struct shared *s)
{
	uint8_t *again;

	CU_ASSERT_EQUAL(quoll_arena_free(s->arena, s->freed, 4096), 0);
	again = must_alloc(s->arena, 4096);
	memset(s->peer, 0xee, CHUNK_BYTES);
	CU_ASSERT_EQUAL(again[0], 0);
	CU_ASSERT_EQUAL(s->kept[0], 0xee); /* what was in use is as it was */
	CU_ASSERT_EQUAL(quoll_arena_free(s->arena, s->kept, 4096), 0);
	again = must_alloc(s->arena, CHUNK_BYTES);
	memset(again, 0x11, CHUNK_BYTES);
	CU_ASSERT_EQUAL(s->peer[0], 0xee);
	munmap(s->peer, CHUNK_BYTES);
}

static void a_server_that_has_hung_up(void)
{
	struct shared s;
	struct world w;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	share(&w, &s);
	fake_server_stop(&w.server);
	CU_ASSERT_EQUAL(quoll_device_events(w.dev), QUOLL_DEVICE_GONE);
	CU_ASSERT_FALSE(quoll_device_is_cut_off(w.dev));
	check_out_of_reach(&s);
	world_close(&w);
}

static void a_server_that_only_was_too_slow(void)
{
	struct shared s;
	struct world w;
	uint32_t value;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	share(&w, &s);
	world_timeout(&w, WORLD_SHORT_NS);
	atomic_store(&w.server.silent, true);
	CU_ASSERT_EQUAL(quoll_pci_config_read(w.dev, 0, 4, &value), -ETIMEDOUT);
	check_out_of_reach(&s);
	world_close(&w);
}

/* Mapped and told again to the next one: the first may have kept it all. */
static void a_server_that_was_released(void)
{
	struct shared s;
	struct world w;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	share(&w, &s);
	quoll_device_close(w.dev);
	CU_ASSERT_EQUAL(quoll_group_release(w.group), 0);
	CU_ASSERT_EQUAL_FATAL(world_claim(&w, w.server.path, &w.group), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_device_open(w.group, w.server.path, &w.dev, &w.err), 0);
	check_out_of_reach(&s);
	world_close(&w);
}

static bool lie_second_map_refused(struct fake_server *server)
{
	struct vuser_out out = vuser_reply_to(&server->conn.header, EPERM);

	if (server->conn.header.command != VUSER_DMA_MAP || !server->nr_maps)
		return false;
	vuser_send(&server->conn, &out, fd_socket_now_ns() + WORLD_LONG_NS);
	return true;
}

static void a_server_that_refuses_the_claim_when_it_has_a_map(void)
{
	struct quoll_group *group;
	struct fake_server second;
	struct quoll_arena *other;
	struct shared s;
	struct world w;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	heap_new(&w, &s);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_create(w.heap, "other", QUOLL_ARENA_DEVICE_READ_WRITE, 0, &other, &w.err), 0);
	must_alloc(other, 4096);
	fake_server_init(&second);
	second.lie = lie_second_map_refused;
	fake_server_start(&second);
	CU_ASSERT_NOT_EQUAL(world_claim(&w, second.path, &group), 0);
	fake_server_stop(&second);
	CU_ASSERT_EQUAL_FATAL(second.nr_maps, 1);
	s.peer = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, second.maps[0].fd, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(s.peer, MAP_FAILED);
	check_out_of_reach(&s);
	fake_server_free(&second);
	world_close(&w);
}

/* Nothing was sent: memory in the hands of the first is used again as ever. */
static void a_server_that_never_got_anything(void)
{
	struct quoll_group *group;
	struct fake_server second;
	struct shared s;
	struct world w;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	share(&w, &s);
	fake_server_init(&second);
	second.version.major = 9;
	fake_server_start(&second);
	CU_ASSERT_NOT_EQUAL(world_claim(&w, second.path, &group), 0);
	fake_server_free(&second);
	CU_ASSERT_EQUAL(quoll_arena_free(s.arena, s.freed, 4096), 0);
	CU_ASSERT_PTR_EQUAL(must_alloc(s.arena, 4096), s.freed);
	munmap(s.peer, CHUNK_BYTES);
	world_close(&w);
}

/* The address space goes on with a second server, and what is placed after the first one's end is not within its reach.
 */
static void memory_that_came_after_the_end_is_used_again(void)
{
	struct quoll_group *group;
	struct fake_server second;
	struct shared s;
	struct world w;
	uint8_t *after;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	share(&w, &s);
	fake_server_init(&second);
	fake_server_start(&second);
	CU_ASSERT_EQUAL_FATAL(world_claim(&w, second.path, &group), 0);
	fake_server_stop(&w.server);
	CU_ASSERT_EQUAL(quoll_device_events(w.dev), QUOLL_DEVICE_GONE);
	after = must_alloc(s.arena, 4096);
	CU_ASSERT(after >= s.kept + CHUNK_BYTES);
	quoll_device_close(w.dev);
	w.dev = NULL;
	CU_ASSERT_EQUAL(quoll_group_release(w.group), 0);
	w.group = group;
	CU_ASSERT_EQUAL(quoll_arena_free(s.arena, after, 4096), 0);
	CU_ASSERT_PTR_EQUAL(must_alloc(s.arena, 4096), after);
	munmap(s.peer, CHUNK_BYTES);
	fake_server_stop(&second);
	fake_server_free(&w.server);
	w.server = second;
	world_close(&w);
}

static const struct unit_test tests[] = {
	{"a server that has hung up", a_server_that_has_hung_up},
	{"a server that only was too slow", a_server_that_only_was_too_slow},
	{"a server that was released", a_server_that_was_released},
	{"a server that refuses the claim when it has a map", a_server_that_refuses_the_claim_when_it_has_a_map},
	{"a server that never got anything", a_server_that_never_got_anything},
	{"memory that came after the end is used again", memory_that_came_after_the_end_is_used_again},
};

UNIT_MAIN("eal/backend/vfio_user_memory", tests)
