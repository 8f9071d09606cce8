/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_server_maps.c - memory that a client offers: mapped where that is safe, offered all the same where it is not,
 * let go of when asked.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>
#include <linux/memfd.h>

#include "server_world.h"

#define RW (VUSER_DMA_READABLE | VUSER_DMA_WRITABLE)

static void world_begin(struct server_world *w)
{
	world_init(w);
	world_listen(w);
	CU_ASSERT_TRUE_FATAL(world_hello(w) > 0);
}

static void sealed_memory_is_mapped_and_shared(void)
{
	struct server_world w;
	uint8_t *ours;
	int fd;

	world_begin(&w);
	fd = world_memfd(0x5000);
	ours = mmap(NULL, 0x5000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(ours, MAP_FAILED);
	CU_ASSERT_EQUAL(world_map(&w, 0x100000, 0x3000, RW, fd, 0x2000), 0);
	CU_ASSERT_EQUAL_FATAL(w.nr_maps, 1);
	CU_ASSERT_EQUAL(w.maps[0].iova, 0x100000);
	CU_ASSERT_EQUAL(w.maps[0].len, 0x3000);
	CU_ASSERT_EQUAL(w.maps[0].prot, QUOLL_DMA_READ | QUOLL_DMA_WRITE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(w.maps[0].va);
	((uint8_t *)w.maps[0].va)[0x1234] = 0x5a;
	CU_ASSERT_EQUAL(ours[0x2000 + 0x1234], 0x5a);
	munmap(ours, 0x5000);
	close(fd);
	CU_ASSERT_EQUAL(world_unmap(&w, 0x100000, 0x3000), 24);
	CU_ASSERT_EQUAL(w.nr_maps, 0);
	world_close(&w);
}

/* /proc/self/maps names what of a file is mapped, and how. */
static bool is_mapped(const void *va, const char *perms)
{
	char line[512], mode[8];
	unsigned long first;
	bool found = false;
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && !found && fgets(line, sizeof(line), maps))
		found = sscanf(line, "%lx-%*x %7s", &first, mode) == 2 && first == (unsigned long)va &&
			!strncmp(mode, perms, strlen(perms));
	if (maps)
		fclose(maps);
	return found;
}

static void a_mapping_has_the_permission_that_was_offered(void)
{
	struct server_world w;
	void *va;
	int fd;

	world_begin(&w);
	fd = world_memfd(0x3000);
	CU_ASSERT_EQUAL(world_map(&w, 0x1000, 0x1000, VUSER_DMA_READABLE, fd, 0), 0);
	CU_ASSERT_EQUAL(world_map(&w, 0x2000, 0x1000, VUSER_DMA_WRITABLE, fd, 0x1000), 0);
	CU_ASSERT_EQUAL_FATAL(w.nr_maps, 2);
	CU_ASSERT_EQUAL(w.maps[0].prot, QUOLL_DMA_READ);
	CU_ASSERT_TRUE(is_mapped(w.maps[0].va, "r--s"));
	CU_ASSERT_EQUAL(w.maps[1].prot, QUOLL_DMA_WRITE);
	CU_ASSERT_TRUE(is_mapped(w.maps[1].va, "-w-s"));
	va = w.maps[0].va;
	CU_ASSERT_EQUAL(world_unmap(&w, 0x1000, 0x1000), 24);
	CU_ASSERT_FALSE(is_mapped(va, "r--s"));
	va = w.maps[0].va;
	world_hang_up(&w);
	CU_ASSERT_FALSE(is_mapped(va, "-w-s"));
	close(fd);
	world_close(&w);
}

static void files_that_cannot_be_trusted_are_not_mapped(void)
{
	struct server_world w;
	int fds[6], pipes[2], last;
	char again[64];

	world_begin(&w);
	fds[0] = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	fds[1] = open(w.dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	fds[2] = world_memfd(0xfff);
	fds[3] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	CU_ASSERT_EQUAL_FATAL(pipe2(pipes, O_CLOEXEC), 0);
	fds[4] = pipes[1];
	/* Only for reading, though it is offered for writing. */
	last = world_memfd(0x1000);
	snprintf(again, sizeof(again), "/proc/self/fd/%d", last);
	fds[5] = open(again, O_RDONLY | O_CLOEXEC);
	CU_ASSERT_TRUE_FATAL(fds[5] >= 0);
	CU_ASSERT_EQUAL(ftruncate(fds[0], 0x1000) | ftruncate(fds[1], 0x1000), 0);
	for (unsigned int i = 0; i < 6; i++) {
		CU_ASSERT_EQUAL(world_map(&w, 0x10000 * (i + 1), 0x1000, RW, fds[i], 0), 0);
		CU_ASSERT_EQUAL_FATAL(w.nr_maps, i + 1);
		CU_ASSERT_PTR_NULL(w.maps[i].va);
	}
	CU_ASSERT_EQUAL(world_map(&w, 0x80000, 0x1000, RW, -1, 0), 0);
	CU_ASSERT_PTR_NULL(w.maps[6].va);
	/* libvfio-user's way to say that the file is to be read and written, not mapped. */
	CU_ASSERT_EQUAL(world_map(&w, 0x90000, 0x1000, RW | 1 << 3, last, 0), 0);
	CU_ASSERT_PTR_NULL(w.maps[7].va);
	CU_ASSERT_EQUAL(world_map(&w, 0xa0000, 0x1000, RW | 1 << 2, last, 0), 0);
	CU_ASSERT_PTR_NOT_NULL(w.maps[8].va);
	for (unsigned int i = 0; i < 6; i++)
		close(fds[i]);
	close(pipes[0]);
	close(last);
	world_close(&w);
}

/* Where the program catches bus errors; still only memory. */
static void unsealed_memory_is_mapped_if_the_program_says_so(void)
{
	int fd = memfd_create("unsealed", MFD_CLOEXEC), disk = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct server_world w;
	struct statfs fs;

	world_init(&w);
	w.fds_before -= 2;
	w.device.unsealed = true;
	world_listen(&w);
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, 0x2000) | fstatfs(disk, &fs), 0);
	CU_ASSERT_EQUAL(world_map(&w, 0x10000, 0x2000, RW, fd, 0), 0);
	CU_ASSERT_EQUAL(world_map(&w, 0x20000, 0x1000, RW, fd, 0x2000), 0);
	CU_ASSERT_EQUAL(world_map(&w, 0x30000, 0x1000, VUSER_DMA_READABLE, disk, 0), 0);
	CU_ASSERT_EQUAL_FATAL(w.nr_maps, 3);
	CU_ASSERT_PTR_NOT_NULL(w.maps[0].va);
	CU_ASSERT_PTR_NULL(w.maps[1].va); /* behind its end */
	CU_ASSERT_EQUAL(w.maps[2].va != NULL, fs.f_type == TMPFS_MAGIC);
	close(fd);
	close(disk);
	world_close(&w);
}

static struct quoll_server *guarded;
static unsigned int nr_bus_errors;

static void on_bus_error(int sig, siginfo_t *info, void *context)
{
	(void)context;
	nr_bus_errors++;
	if (!quoll_server_bus_error(guarded, info->si_addr))
		signal(sig, SIG_DFL);
}

static void *in_another_thread(void *va)
{
	return quoll_server_bus_error(guarded, va) ? va : NULL;
}

static void a_client_that_cuts_its_memory_short_is_cut_off(void)
{
	struct sigaction sa = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO}, before;
	int fd = memfd_create("shrinks", MFD_CLOEXEC);
	struct quoll_server_stats stats;
	volatile uint8_t *bytes;
	struct server_world w;
	void *taken = &w;
	pthread_t thread;

	world_init(&w);
	w.fds_before--;
	w.device.unsealed = true;
	world_listen(&w);
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, 0x3000), 0);
	CU_ASSERT_EQUAL(world_map(&w, 0x10000, 0x3000, RW, fd, 0), 0);
	CU_ASSERT_EQUAL_FATAL(w.nr_maps, 1);
	bytes = w.maps[0].va;
	CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
	guarded = w.server;
	CU_ASSERT_EQUAL(sigaction(SIGBUS, &sa, &before), 0);
	CU_ASSERT_FALSE(quoll_server_bus_error(w.server, &w)); /* nothing of the client's */
	CU_ASSERT_FALSE(quoll_server_bus_error(w.server, (uint8_t *)w.maps[0].va + 0x3000));
	CU_ASSERT_EQUAL(pthread_create(&thread, NULL, in_another_thread, w.maps[0].va), 0);
	CU_ASSERT_EQUAL(pthread_join(thread, &taken), 0);
	CU_ASSERT_PTR_NULL(taken); /* its table may change meanwhile */
	bytes[0] = 1;
	CU_ASSERT_EQUAL(ftruncate(fd, 0x1000), 0);
	bytes[0x2000] = 2;
	CU_ASSERT_EQUAL(bytes[0x2000], 2);
	CU_ASSERT_EQUAL(bytes[0x1000], 0);
	CU_ASSERT_TRUE(quoll_server_pending(w.server));
	world_until(&w, world_is_free);
	CU_ASSERT_EQUAL(w.nr_maps, 0);
	quoll_server_stats(w.server, &stats);
	CU_ASSERT_EQUAL(stats.protocol_errors, 1);
	sigaction(SIGBUS, &before, NULL);
	close(fd);
	world_close(&w);
}

static void a_range_behind_the_end_of_its_file_is_not_mapped(void)
{
	static const struct {
		uint64_t offset, len;
		bool mapped;
	} rows[] = {{0, 0x4000, true},
		    {0x3000, 0x1000, true},
		    {0x3000, 0x2000, false},
		    {0x4000, 0x1000, false},
		    {0x8000, 0x1000, false},
		    {1ull << 63, 0x1000, false},
		    {0ull - 0x1000, 0x1000, false},
		    {0x1000, (1ull << 63) - 0x1000, false},
		    {0, 0ull - 0x200000, false}};
	struct server_world w;
	int fd;

	world_begin(&w);
	fd = world_memfd(0x4000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CU_ASSERT_EQUAL(world_map(&w, 0x100000, rows[i].len, RW, fd, rows[i].offset), 0);
		CU_ASSERT_EQUAL_FATAL(w.nr_maps, 1);
		CU_ASSERT_EQUAL(w.maps[0].va != NULL, rows[i].mapped);
		CU_ASSERT_EQUAL(world_unmap(&w, 0x100000, rows[i].len), 24);
	}
	close(fd);
	world_close(&w);
}

static void maps_that_make_no_sense_are_refused(void)
{
	static const struct {
		struct vuser_dma_map map;
		int rc;
	} rows[] = {
		{{.argsz = 31, .flags = RW, .iova = 0x1000, .size_bytes = 0x1000}, -EINVAL},
		{{.argsz = 32, .flags = 0, .iova = 0x1000, .size_bytes = 0x1000}, -EINVAL},
		{{.argsz = 32, .flags = RW | 1 << 4, .iova = 0x1000, .size_bytes = 0x1000}, -EINVAL},
		{{.argsz = 32, .flags = RW, .iova = 0x1000, .size_bytes = 0}, -EINVAL},
		{{.argsz = 32, .flags = RW, .iova = 0x1001, .size_bytes = 0x1000}, -EINVAL},
		{{.argsz = 32, .flags = RW, .iova = 0x1000, .size_bytes = 0x1001}, -EINVAL},
		{{.argsz = 32, .flags = RW, .iova = 0x1000, .size_bytes = 0x1000, .offset = 8}, -EINVAL},
		{{.argsz = 32, .flags = RW, .iova = 0ull - 0x1000, .size_bytes = 0x1000}, -EINVAL},
		{{.argsz = 32, .flags = RW, .iova = 0x1000, .size_bytes = 0ull - 0x1000}, -EINVAL},
		{{.argsz = 32, .flags = RW, .iova = 0x13000, .size_bytes = 0x1000}, -EEXIST},
		{{.argsz = 32, .flags = RW, .iova = 0xf000, .size_bytes = 0x2000}, -EEXIST},
		{{.argsz = 32, .flags = RW, .iova = 0x8000, .size_bytes = 0x100000}, -EEXIST},
		{{.argsz = 32, .flags = RW, .iova = 0x11000, .size_bytes = 0x1000}, -EEXIST},
		{{.argsz = 32, .flags = RW, .iova = 0xf000, .size_bytes = 0x1000}, 0},
		{{.argsz = 32, .flags = RW, .iova = 0x14000, .size_bytes = 0x1000}, 0},
	};
	struct server_world w;

	world_begin(&w);
	CU_ASSERT_EQUAL(world_map(&w, 0x10000, 0x4000, RW, -1, 0), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CU_ASSERT_EQUAL(world_ask(&w, VUSER_DMA_MAP, &rows[i].map, sizeof(rows[i].map)), rows[i].rc);
	CU_ASSERT_EQUAL(w.nr_maps, 3);
	w.map_rc = -ENOMEM;
	CU_ASSERT_EQUAL(world_map(&w, 0x20000, 0x1000, RW, -1, 0), -ENOMEM);
	w.map_rc = 0;
	CU_ASSERT_EQUAL(world_map(&w, 0x20000, 0x1000, RW, -1, 0), 0);
	world_close(&w);
}

static void only_what_was_mapped_is_unmapped(void)
{
	static const struct {
		uint64_t iova, len;
	} rows[] = {{0x10000, 0x1000},
		    {0x11000, 0x1000},
		    {0x10000, 0x5000},
		    {0x8000, 0x100000},
		    {0x20000, 0x1000},
		    {0x10000, 0},
		    {0, 0},
		    {0, UINT64_MAX}};
	struct vuser_dma_unmap bad = {.argsz = 24, .flags = 1, .iova = 0x10000, .size_bytes = 0x4000};
	struct server_world w;

	world_begin(&w);
	CU_ASSERT_EQUAL(world_map(&w, 0x10000, 0x4000, RW, -1, 0), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CU_ASSERT_EQUAL(world_unmap(&w, rows[i].iova, rows[i].len), -ENOENT);
	CU_ASSERT_EQUAL(world_ask(&w, VUSER_DMA_UNMAP, &bad, sizeof(bad)), -ENOTSUP);
	bad.flags = 0;
	bad.argsz = 23;
	CU_ASSERT_EQUAL(world_ask(&w, VUSER_DMA_UNMAP, &bad, sizeof(bad)), -EINVAL);
	bad.flags = 2;
	bad.argsz = 24;
	CU_ASSERT_EQUAL(world_ask(&w, VUSER_DMA_UNMAP, &bad, sizeof(bad)), -EINVAL);
	CU_ASSERT_EQUAL(w.nr_maps, 1);
	CU_ASSERT_EQUAL(world_unmap(&w, 0x10000, 0x4000), 24);
	CU_ASSERT_EQUAL(w.nr_maps, 0);
	world_close(&w);
}

static void a_client_waits_until_its_memory_is_let_go_of(void)
{
	struct vuser_dma_unmap all = {.argsz = 24, .flags = VFIO_DMA_UNMAP_FLAG_ALL};
	struct server_world w;
	int fd;

	world_begin(&w);
	fd = world_memfd(0x1000);
	for (uint64_t i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(world_map(&w, i << 16, 0x1000, RW, fd, 0), 0);
	w.busy = 2;
	CU_ASSERT_EQUAL(world_unmap(&w, 1 << 16, 0x1000), 24);
	CU_ASSERT_EQUAL(w.busy, 0);
	CU_ASSERT_EQUAL(w.nr_maps, 4);
	w.busy = 7;
	world_send(&w, VUSER_DMA_UNMAP, &all, sizeof(all), NULL, 0);
	while (w.busy > 3)
		quoll_server_poll(w.server);
	CU_ASSERT_TRUE(quoll_server_pending(w.server));
	CU_ASSERT_EQUAL(vuser_recv_step(&w.client), 0);
	CU_ASSERT_EQUAL(world_answer(&w), 24);
	CU_ASSERT_EQUAL(w.nr_maps, 0);
	CU_ASSERT_FALSE(quoll_server_pending(w.server));
	close(fd);
	world_close(&w);
}

static void a_client_that_dies_while_it_waits(void)
{
	struct vuser_dma_unmap unmap = {.argsz = 24, .iova = 0x1000, .size_bytes = 0x1000};
	struct server_world w;

	world_begin(&w);
	CU_ASSERT_EQUAL(world_map(&w, 0x1000, 0x1000, RW, -1, 0), 0);
	w.busy = 20;
	world_send(&w, VUSER_DMA_UNMAP, &unmap, sizeof(unmap), NULL, 0);
	while (w.busy > 17)
		quoll_server_poll(w.server);
	world_hang_up(&w);
	CU_ASSERT_EQUAL(w.busy, 0);
	CU_ASSERT_EQUAL(w.nr_disconnects, 1);
	CU_ASSERT_EQUAL(w.server->nr_maps, 0);
	world_close(&w);
}

static void maps_have_a_limit(void)
{
	struct server_world w;

	world_init(&w);
	w.ops.dma_map = NULL;
	w.ops.dma_unmap = NULL;
	world_listen(&w);
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	/* From above, which moves everything each time. */
	for (uint64_t i = SERVER_DMA_MAPS; i > 0; i--)
		if (world_map(&w, i << 12, 0x1000, RW, -1, 0))
			break;
	CU_ASSERT_EQUAL(w.server->nr_maps, SERVER_DMA_MAPS);
	CU_ASSERT_EQUAL(world_map(&w, 0, 0x1000, RW, -1, 0), -ENOSPC);
	CU_ASSERT_EQUAL(world_unmap(&w, 7 << 12, 0x1000), 24);
	CU_ASSERT_EQUAL(world_map(&w, 0, 0x1000, RW, -1, 0), 0);
	for (unsigned int i = 1; i < w.server->nr_maps; i++)
		if (w.server->maps[i].dma.iova <= w.server->maps[i - 1].dma.iova)
			CU_FAIL("not in order");
	world_close(&w);
}

/* All of the same pages, which costs a client nothing. */
static unsigned int map_pieces(struct server_world *w, unsigned int from, unsigned int n, int fd)
{
	unsigned int nr_mapped = 0;

	for (unsigned int i = from; i < from + n; i++) {
		CU_ASSERT_EQUAL(world_map(w, (i + 1ull) << 20, 0x1000, RW, fd, 0), 0);
		nr_mapped += w->maps[w->nr_maps - 1].va != NULL;
	}
	return nr_mapped;
}

static void what_is_too_much_is_offered_but_not_mapped(void)
{
	struct server_world w;
	int fd;

	world_init(&w);
	w.device.max_mapped = 4;
	w.device.max_mapped_bytes = 0x10000;
	world_listen(&w);
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	fd = world_memfd(0x20000);
	CU_ASSERT_EQUAL(map_pieces(&w, 0, 6, fd), 4);
	CU_ASSERT_EQUAL(w.nr_maps, 6);
	/* It says by mmap() or not at all. */
	CU_ASSERT_EQUAL(world_map(&w, 0x80000000, 0x1000, RW | 1 << 2, fd, 0), -ENOSPC);
	CU_ASSERT_EQUAL(world_unmap(&w, 1 << 20, 0x1000), 24);
	CU_ASSERT_EQUAL(world_map(&w, 0x80000000, 0x1000, RW | 1 << 2, fd, 0), 0);
	CU_ASSERT_EQUAL(world_unmap(&w, 0x80000000, 0x1000), 24);
	/* Bytes: three pages are mapped. */
	CU_ASSERT_EQUAL(world_map(&w, 0x80000000, 0xe000, RW, fd, 0), 0);
	CU_ASSERT_PTR_NULL(w.maps[w.nr_maps - 1].va);
	CU_ASSERT_EQUAL(world_map(&w, 0x90000000, 0xd000, RW, fd, 0), 0);
	CU_ASSERT_PTR_NOT_NULL(w.maps[w.nr_maps - 1].va);
	/* The next client has all of it again; what the device refuses does not count. */
	world_hang_up(&w);
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	w.map_rc = -ENOMEM;
	for (unsigned int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(world_map(&w, 0x1000, 0x1000, RW, fd, 0), -ENOMEM);
	w.map_rc = 0;
	CU_ASSERT_EQUAL(map_pieces(&w, 0, 6, fd), 4);
	close(fd);
	world_close(&w);
}

#ifdef __SANITIZE_THREAD__
#define HAS_ALL_ADDRESSES false
#else
#define HAS_ALL_ADDRESSES true
#endif

/* An mmap() elsewhere works, however much a client wants. */
static void a_sparse_file_does_not_use_the_addresses_up(void)
{
	const uint64_t piece = 1ull << 40;
	unsigned int nr_mapped = 0;
	struct server_world w;
	void *va;
	int fd;

	if (!HAS_ALL_ADDRESSES) {
		unit_skip("ThreadSanitizer leaves a program few addresses");
		return;
	}
	world_begin(&w);
	fd = memfd_create("sparse", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, (off_t)piece) | fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	for (unsigned int i = 0; i < 60; i++) {
		CU_ASSERT_EQUAL(world_map(&w, i * piece, piece, RW, fd, 0), 0);
		nr_mapped += w.maps[w.nr_maps - 1].va != NULL;
	}
	CU_ASSERT_EQUAL(nr_mapped, QUOLL_SERVER_MAPPED_BYTES / piece);
	va = mmap(NULL, 32 * piece, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CU_ASSERT_PTR_NOT_EQUAL(va, MAP_FAILED);
	munmap(va, 32 * piece);
	close(fd);
	world_close(&w);
}

/* As the kernel says, here 20 for the process; half of them are for servers. */
static void all_clients_together_have_half_of_the_mappings(void)
{
	struct server_world one, two;
	struct quoll_env env = {0};
	char proc[80], path[128];
	FILE *file;
	int fd;

	world_init(&one);
	snprintf(proc, sizeof(proc), "%s/proc", one.dir);
	snprintf(path, sizeof(path), "%s/sys", proc);
	CU_ASSERT_EQUAL_FATAL(mkdir(proc, 0700) | mkdir(path, 0700), 0);
	strcat(path, "/vm");
	CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
	strcat(path, "/max_map_count");
	file = fopen(path, "w");
	CU_ASSERT_TRUE_FATAL(file && fputs("20\n", file) >= 0 && !fclose(file));
	env.proc_root = proc;
	CU_ASSERT_EQUAL_FATAL(quoll_server_create(&env, one.path, &one.device, &one.server, NULL), 0);
	CU_ASSERT_TRUE_FATAL(world_hello(&one) > 0);
	world_init(&two);
	CU_ASSERT_EQUAL_FATAL(quoll_server_create(&env, two.path, &two.device, &two.server, NULL), 0);
	CU_ASSERT_TRUE_FATAL(world_hello(&two) > 0);
	fd = world_memfd(0x1000);
	CU_ASSERT_EQUAL(map_pieces(&one, 0, 7, fd), 7);
	CU_ASSERT_EQUAL(map_pieces(&two, 0, 7, fd), 3);
	world_hang_up(&one);
	two.fds_before -= 2; /* both ends */
	CU_ASSERT_EQUAL(map_pieces(&two, 10, 9, fd), 7);
	close(fd);
	unlink(path);
	for (unsigned int i = 0; i < 3; i++) {
		*strrchr(path, '/') = 0;
		CU_ASSERT_EQUAL(rmdir(path), 0);
	}
	world_close(&two);
	world_close(&one);
}

#define HUGE_POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define HUGE_PAGES 2

static long pool_read(const char *path)
{
	FILE *file = fopen(path, "re");
	long nr = -1;

	if (file && fscanf(file, "%ld", &nr) != 1)
		nr = -1;
	if (file)
		fclose(file);
	return nr;
}

static bool pool_write(long nr)
{
	FILE *file = fopen(HUGE_POOL "nr_hugepages", "we");

	return file && fprintf(file, "%ld\n", nr) > 0 && !fclose(file);
}

static long pool_free(void)
{
	return pool_read(HUGE_POOL "free_hugepages") - pool_read(HUGE_POOL "resv_hugepages");
}

/* So many huge pages are free, if need be after the pool was made larger: by so many. Return: -1: they are not. */
static long huge_pages_reserve(void)
{
	long nr = pool_read(HUGE_POOL "nr_hugepages");

	if (nr < 0)
		return -1;
	if (pool_free() >= HUGE_PAGES)
		return 0;
	if (!pool_write(nr + HUGE_PAGES))
		return -1;
	if (pool_free() >= HUGE_PAGES)
		return HUGE_PAGES;
	pool_write(nr);
	return -1;
}

static void huge_pages_give_back(long nr)
{
	if (nr)
		CU_ASSERT_TRUE(pool_write(pool_read(HUGE_POOL "nr_hugepages") - nr));
}

static int huge_memfd(uint64_t bytes)
{
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_HUGE_2MB);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, (off_t)bytes) | fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	return fd;
}

static void pieces_of_huge_pages_are_mapped(void)
{
	long reserved = huge_pages_reserve();
	struct server_world w;
	int fd;

	if (reserved < 0) {
		unit_skip("two pages of 2 MiB: none are free, and the pool can't be made larger (" HUGE_POOL ")");
		return;
	}
	world_begin(&w);
	fd = huge_memfd(HUGE_PAGES * (2 << 20));
	/* Small pieces of one huge page, one over the boundary, the whole, one behind the end. */
	CU_ASSERT_EQUAL(world_map(&w, 0x10000000, 0x1000, RW, fd, 0x3000), 0);
	CU_ASSERT_EQUAL(world_map(&w, 0x20000000, 0x2000, RW, fd, 0x1ff000), 0);
	CU_ASSERT_EQUAL(world_map(&w, 0x30000000, 4 << 20, RW, fd, 0), 0);
	CU_ASSERT_EQUAL(world_map(&w, 0x40000000, 0x2000, RW, fd, 0x3ff000), 0);
	CU_ASSERT_EQUAL_FATAL(w.nr_maps, 4);
	for (unsigned int i = 0; i < 3; i++)
		CU_ASSERT_PTR_NOT_NULL_FATAL(w.maps[i].va);
	CU_ASSERT_PTR_NULL(w.maps[3].va);
	memset(w.maps[0].va, 0x11, 0x1000);
	memset(w.maps[1].va, 0x22, 0x2000);
	CU_ASSERT_EQUAL(((uint8_t *)w.maps[2].va)[0x2fff], 0);
	CU_ASSERT_EQUAL(((uint8_t *)w.maps[2].va)[0x3fff], 0x11);
	CU_ASSERT_EQUAL(((uint8_t *)w.maps[2].va)[0x4000], 0);
	CU_ASSERT_EQUAL(((uint8_t *)w.maps[2].va)[0x200fff], 0x22);
	CU_ASSERT_EQUAL(((uint8_t *)w.maps[2].va)[0x201000], 0);
	close(fd);
	world_close(&w);
	huge_pages_give_back(reserved);
}

/* Behind the end of a file of no length: as it is in a hole for which there is no page. */
static void lose_page(void *va)
{
	int fd = memfd_create("empty", MFD_CLOEXEC);

	CU_ASSERT_EQUAL_FATAL(mmap(va, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0), va);
	close(fd);
}

/* A process may have 65,530 mappings: with each second page replaced by itself this would take two thirds of them. */
static void many_lost_pages_cost_one_mapping(void)
{
	enum { PAGES = 40000 };
	struct sigaction sa = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO}, before;
	int fd = memfd_create("shrinks", MFD_CLOEXEC);
	struct server_world w;
	volatile uint8_t *va;

	world_init(&w);
	w.fds_before--;
	w.device.unsealed = true;
	world_listen(&w);
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, PAGES * 4096), 0);
	CU_ASSERT_EQUAL(world_map(&w, 0x10000, PAGES * 4096, RW, fd, 0), 0);
	va = w.maps[0].va;
	CU_ASSERT_PTR_NOT_NULL_FATAL(va);
	guarded = w.server;
	nr_bus_errors = 0;
	CU_ASSERT_EQUAL_FATAL(sigaction(SIGBUS, &sa, &before), 0);
	CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
	for (size_t i = 0; i < PAGES; i += 2)
		CU_ASSERT_EQUAL(va[i * 4096], 0);
	CU_ASSERT_EQUAL(sigaction(SIGBUS, &before, NULL), 0);
	CU_ASSERT_EQUAL(nr_bus_errors, 1);
	world_until(&w, world_is_free);
	close(fd);
	world_close(&w);
}

static void a_page_that_is_lost_costs_the_client_its_session(void)
{
	struct sigaction sa = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO}, before;
	struct server_world w;
	volatile uint8_t *va;
	int fd;

	world_begin(&w);
	fd = world_memfd(0x3000);
	CU_ASSERT_EQUAL(world_map(&w, 0x10000, 0x1000, RW, -1, 0), 0);
	CU_ASSERT_EQUAL(world_map(&w, 0x20000, 0x3000, RW, fd, 0), 0);
	CU_ASSERT_FALSE(quoll_server_bus_error(w.server, NULL));
	CU_ASSERT_FALSE(quoll_server_bus_error(w.server, &w));
	CU_ASSERT_FALSE(quoll_server_pending(w.server));
	va = w.maps[1].va;
	CU_ASSERT_FALSE(quoll_server_bus_error(w.server, (uint8_t *)w.maps[1].va + 0x3000));
	memset(w.maps[1].va, 0x44, 0x3000);
	lose_page((uint8_t *)w.maps[1].va + 0x1000);
	guarded = w.server;
	nr_bus_errors = 0;
	CU_ASSERT_EQUAL_FATAL(sigaction(SIGBUS, &sa, &before), 0);
	CU_ASSERT_EQUAL(va[0x1fff], 0);
	va[0x1800] = 1;
	CU_ASSERT_EQUAL(sigaction(SIGBUS, &before, NULL), 0);
	CU_ASSERT_EQUAL(nr_bus_errors, 1);
	/* The whole mapping, at once: see below. */
	CU_ASSERT_EQUAL(va[0xfff], 0);
	CU_ASSERT_EQUAL(va[0x2000], 0);
	CU_ASSERT_EQUAL(va[0x1800], 1);
	CU_ASSERT_TRUE(quoll_server_pending(w.server));
	world_until(&w, world_is_free);
	CU_ASSERT_EQUAL(w.server->stats.protocol_errors, 1);
	CU_ASSERT_EQUAL(w.nr_disconnects, 1);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	CU_ASSERT_EQUAL(world_unmap(&w, 0x20000, 0x3000), -ENOENT);
	close(fd);
	world_close(&w);
}

static const struct unit_test tests[] = {
	{"sealed memory is mapped and shared", sealed_memory_is_mapped_and_shared},
	{"a mapping has the permission that was offered", a_mapping_has_the_permission_that_was_offered},
	{"files that cannot be trusted are not mapped", files_that_cannot_be_trusted_are_not_mapped},
	{"unsealed memory is mapped if the program says so", unsealed_memory_is_mapped_if_the_program_says_so},
	{"a client that cuts its memory short is cut off", a_client_that_cuts_its_memory_short_is_cut_off},
	{"a range behind the end of its file is not mapped", a_range_behind_the_end_of_its_file_is_not_mapped},
	{"maps that make no sense are refused", maps_that_make_no_sense_are_refused},
	{"only what was mapped is unmapped", only_what_was_mapped_is_unmapped},
	{"a client waits until its memory is let go of", a_client_waits_until_its_memory_is_let_go_of},
	{"a client that dies while it waits", a_client_that_dies_while_it_waits},
	{"maps have a limit", maps_have_a_limit},
	{"what is too much is offered, but not mapped", what_is_too_much_is_offered_but_not_mapped},
	{"a sparse file does not use the addresses up", a_sparse_file_does_not_use_the_addresses_up},
	{"all clients together have half of the mappings", all_clients_together_have_half_of_the_mappings},
	{"pieces of huge pages are mapped", pieces_of_huge_pages_are_mapped},
	{"a page that is lost costs the client its session", a_page_that_is_lost_costs_the_client_its_session},
	{"many lost pages cost one mapping", many_lost_pages_cost_one_mapping},
};

UNIT_MAIN("eal/vfio_user/server_maps", tests)
