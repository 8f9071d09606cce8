/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_watch_life.c - who watches, and when: the thread and its file while streams come and go, fork, threads against
 * each other, and programs that must not watch.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "watch_world.h"

#define TIMEOUT_S 60

static const struct quoll_stream_opts forgets = {.ways = ONLY(CACHED), .cached_watch = QUOLL_CACHED_FORGETS};

enum which { ALL, ASLEEP, SLOWED /* from now on they run only when nobody else wants their CPU */ };

/* Return: how many threads of the process watch. */
static unsigned int nr_watching(enum which which)
{
	const struct sched_param param = {0};
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned int nr = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
	while ((entry = readdir(dir))) {
		char path[300], line[64] = "", *state;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/stat", entry->d_name);
		file = fopen(path, "re");
		state = file && fgets(line, sizeof(line), file) ? strstr(line, "(quoll-watch) ") : NULL;
		if (file)
			fclose(file);
		if (!state || (which == ASLEEP && state[strlen("(quoll-watch) ")] != 'S'))
			continue;
		nr += which != SLOWED || !sched_setscheduler(atoi(entry->d_name), SCHED_IDLE, &param);
	}
	closedir(dir);
	return nr;
}

/* The thread. */

static void one_thread_is_there_while_there_are_streams(void)
{
	struct quoll_stream *second;
	struct world w;

	world_open(&w, &forgets);
	CU_ASSERT_EQUAL(nr_watching(ALL), 0);
	world_close(&w);
	if (is_refused())
		return;
	for (unsigned int i = 0; i < 3; i++) {
		world_open(&w, &cached);
		CU_ASSERT_EQUAL(nr_watching(ALL), 1);
		CU_ASSERT_EQUAL_FATAL(quoll_stream_create(w.fake->ioas, w.heap, &cached, &second, NULL), 0);
		CU_ASSERT_EQUAL(nr_watching(ALL), 1);
		world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
		quoll_stream_destroy(second);
		CU_ASSERT_TRUE_FATAL(unmap(w.outside));
		world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
		CU_ASSERT_EQUAL(world_stats(&w).gone, 1);
		world_close(&w);
		/* a thread is joined a little before it is listed no more */
		alarm(TIMEOUT_S);
		while (nr_watching(ALL))
			sched_yield();
		alarm(0);
	}
}

/* Return: the file at this number is one of that kind. */
static bool is_file(int fd, const char *kind)
{
	char path[64], target[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	return strstr(target, kind);
}

static unsigned int nr_files(const char *kind)
{
	unsigned int nr = 0;

	for (int fd = 3; fd < 256; fd++)
		nr += is_file(fd, kind);
	return nr;
}

/* As a program does that closes all files which it doesn't know. Return: the last one's number. */
static int close_files(const char *kind)
{
	int last = -1;

	for (int fd = 3; fd < 256; fd++)
		if (is_file(fd, kind) && !close(fd))
			last = fd;
	return last;
}

/* What a child does; its exit status. */
static int in_child(struct world *w)
{
	struct quoll_stream *stream;
	struct quoll_stream_seg seg;
	int rc;

	/* The parent's registrations are none of its, and nobody would read of them. */
	if (!unmap(w->outside) || nr_files("[userfaultfd]"))
		return 1;
	if (quoll_stream_create(w->fake->ioas, w->heap, &cached, &stream, NULL))
		return 2;
	for (int i = 0; i < 2; i++) {
		seg = world_seg(w->outside, BYTES, QUOLL_SEG_READ);
		if (quoll_stream_map(stream, &seg, 1) != 1 || seg.way != QUOLL_WAY_CACHED)
			return 3;
		quoll_stream_unmap(stream, &seg, 1);
		if (!unmap(w->outside))
			return 4;
	}
	w->stream = stream;
	rc = world_stats(w).misses == 2 ? 0 : 5;
	quoll_stream_destroy(stream);
	return rc;
}

/* What a child of ours says of @run. */
static int status_of(struct world *w, int (*run)(struct world *w))
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		alarm(TIMEOUT_S);
		_exit(run(w));
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int has_nothing_to_do(struct world *w)
{
	(void)w;
	return nr_files("[userfaultfd]") ? 1 : 0;
}

static void a_forked_child_begins_anew(void)
{
	struct world w;

	if (is_refused())
		return;
#ifdef __SANITIZE_THREAD__
	unit_skip("ThreadSanitizer has no threads in a child of a process with threads");
	return;
#endif
	world_open(&w, &cached);
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(status_of(&w, in_child), 0);
	/* and the parent's goes on */
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).hits, 1);
	CU_ASSERT_TRUE_FATAL(unmap(w.outside));
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).misses, 2);
	world_close(&w);
}

/* What fork() said; a child does nothing until it is killed. */
static pid_t stays(pid_t pid)
{
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

static void stream_and_memory_go(struct world *w, uint8_t *va, size_t bytes, pid_t child)
{
	CU_ASSERT_FATAL(child > 0);
	world_close(w);
	alarm(TIMEOUT_S); /* it would wait for good */
	CU_ASSERT_EQUAL(munmap(va, bytes), 0);
	alarm(0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void nobody_waits_when_the_last_stream_has_gone_and_a_child_has_its_file(void)
{
	uint8_t *va = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct world w;
	pid_t pid;

	if (is_refused())
		return;
	CU_ASSERT_FATAL(va != MAP_FAILED);
	world_open(&w, &cached);
	world_io(&w, va, 2 * PAGE, QUOLL_SEG_READ);
	world_io(&w, va + 4 * PAGE, 2 * PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL_FATAL(munmap(va + 5 * PAGE, PAGE), 0);
	pid = stays(_Fork()); /* so the library does not know */
	stream_and_memory_go(&w, va, 8 * PAGE, pid);
}

/* As free() may do in another thread, under a lock that fork() takes when the library is prepared for it. */
static uint8_t *goes_in_fork;

static void take_away(void)
{
	if (goes_in_fork)
		munmap(goes_in_fork, BYTES);
}

/* Before the library: those who are first are the last to be prepared. */
static __attribute__((constructor)) void be_first(void)
{
	if (pthread_atfork(take_away, NULL, NULL))
		abort();
}

static void memory_can_go_while_somebody_forks(void)
{
	uint8_t *va = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct world w;

	if (is_refused())
		return;
	CU_ASSERT_FATAL(va != MAP_FAILED);
	world_open(&w, &cached);
	world_io(&w, va, BYTES, QUOLL_SEG_READ);
	goes_in_fork = va;
	alarm(TIMEOUT_S); /* it would wait for good */
	CU_ASSERT_EQUAL(status_of(&w, has_nothing_to_do), 0);
	alarm(0);
	goes_in_fork = NULL;
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).gone, 1);
	world_close(&w);
}

/* The kernel goes on watching the part that is new, and tells nobody of it. */
static void memory_that_became_longer_can_go_while_a_child_lives(void)
{
	uint8_t *va = mmap(NULL, 2 * BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct world w;
	pid_t pid;

	if (is_refused())
		return;
	CU_ASSERT_FATAL(va != MAP_FAILED);
	world_open(&w, &cached);
	CU_ASSERT_EQUAL_FATAL(munmap(va + BYTES, BYTES), 0);
	world_io(&w, va, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_PTR_EQUAL_FATAL(mremap(va, BYTES, 2 * BYTES, 0), va);
	pid = stays(fork());
	stream_and_memory_go(&w, va, 2 * BYTES, pid);
}

static void without_its_file_nothing_is_cached(void)
{
	struct quoll_stream_seg seg;
	struct world w;

	if (is_refused())
		return;
	world_open(&w, &bounced);
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	world_io(&w, w.outside + 64 * PAGE, BYTES, QUOLL_SEG_READ);
	CU_ASSERT(close_files("[userfaultfd]") >= 0);
	CU_ASSERT_TRUE_FATAL(unmap(w.outside));
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside + 64 * PAGE, BYTES, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_BOUNCE);
	quoll_stream_unmap(w.stream, &seg, 1);
	CU_ASSERT_EQUAL(world_stats(&w).registrations, 0);
	CU_ASSERT_EQUAL(world_stats(&w).unwatched_errno, EBADF);
	world_close(&w);
	/* the next one has another */
	world_open(&w, &cached);
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_TRUE_FATAL(unmap(w.outside));
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).gone, 1);
	world_close(&w);
}

/* By the number of the one that was closed. */
static void the_programs_own_file_is_let_alone(void)
{
	char bytes[sizeof(struct uffd_msg)] = "mine";
	struct world w;
	int fds[2], fd;

	if (is_refused())
		return;
	world_open(&w, &watched);
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL_FATAL(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	CU_ASSERT_EQUAL(write(fds[1], bytes, sizeof(bytes)), sizeof(bytes));
	fd = close_files("[userfaultfd]");
	CU_ASSERT_EQUAL_FATAL(dup2(fds[0], fd), fd);
	CU_ASSERT_TRUE_FATAL(unmap(w.outside));
	world_close(&w);
	CU_ASSERT_EQUAL(read(fd, bytes, sizeof(bytes)), sizeof(bytes));
	CU_ASSERT_STRING_EQUAL(bytes, "mine");
	close(fds[0]);
	close(fds[1]);
	close(fd);
}

/* Nothing happens after it that the thread would wake up for. */
static void a_stream_can_go_after_its_file(void)
{
	struct world w;

	if (is_refused())
		return;
	world_open(&w, &cached);
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	alarm(TIMEOUT_S);
	while (!nr_watching(ASLEEP))
		sched_yield();
	for (int fd = 3; fd < 256; fd++)
		if (is_file(fd, "[userfaultfd]") || is_file(fd, "[eventfd]"))
			close(fd);
	world_close(&w);
	while (nr_watching(ALL))
		sched_yield();
	alarm(0);
}

/* Without privileges, and where the call is filtered. */

#define NOBODY 65534

static bool become_nobody(void)
{
	return geteuid() || (!setresgid(NOBODY, NOBODY, NOBODY) && !setresuid(NOBODY, NOBODY, NOBODY));
}

static bool forbid_userfaultfd(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = sizeof(filter) / sizeof(*filter), .filter = filter};

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

static int as_nobody(struct world *w)
{
	return become_nobody() ? in_child(w) : 10;
}

static int where_it_is_forbidden(struct world *w)
{
	const struct quoll_stream_opts *bad[] = {&cached, &watched, &bounced};
	struct quoll_stream *stream;
	struct quoll_error err;

	if (!become_nobody() || !forbid_userfaultfd())
		return 10;
	for (int i = 0; i < 3; i++) {
		err = (struct quoll_error){0};
		if (quoll_stream_create(w->fake->ioas, w->heap, bad[i], &stream, &err) != -ENOTSUP)
			return 1 + i;
		if (!strstr(err.what, "userfaultfd") || !strstr(err.hint, "QUOLL_CACHED_FORGETS"))
			return 5 + i;
	}
	if (quoll_stream_create(w->fake->ioas, w->heap, &forgets, &stream, &err))
		return 9;
	quoll_stream_destroy(stream);
	return 0;
}

static void it_needs_no_privileges(void)
{
	struct world w;

	if (is_refused())
		return;
	world_open(&w, &forgets);
	CU_ASSERT_EQUAL(status_of(&w, as_nobody), 0);
	world_close(&w);
}

static void where_it_is_refused_that_is_said(void)
{
	struct world w;

	world_open(&w, &forgets);
	CU_ASSERT_EQUAL(status_of(&w, where_it_is_forbidden), 0);
	world_close(&w);
}

#define NR_APART 17000u

static void so_much_is_watched_and_then_it_begins_anew(void)
{
	uint64_t bytes = 2 * NR_APART * PAGE;
	uint8_t *va = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct quoll_stream_stats before;
	struct world w;

	if (is_refused())
		return;
	CU_ASSERT_FATAL(va != MAP_FAILED);
	world_open(&w, &cached);
	world_io(&w, w.outside, PAGE, QUOLL_SEG_READ);
	for (unsigned int i = 0; i < NR_APART; i++) {
		world_io(&w, va + 2 * i * PAGE, PAGE, QUOLL_SEG_READ);
		if (i % 500 == 0)
			world_io(&w, w.outside, PAGE, QUOLL_SEG_READ); /* not the oldest */
	}
	/* It was in all the time, but for once. */
	CU_ASSERT_EQUAL(world_stats(&w).misses, NR_APART + 2);
	before = world_stats(&w);
	CU_ASSERT(before.gone >= 1);
	CU_ASSERT_TRUE_FATAL(unmap(w.outside));
	world_io(&w, w.outside, PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).gone, before.gone + 1);
	world_close(&w);
	munmap(va, bytes);
}

/* Two threads. */

#define NR_ROUNDS 1000u

struct race {
	uint8_t *va;
	unsigned int unmapped; /* rounds */
	unsigned int mapped;
	bool over;
	bool failed;
};

static void *replace_again_and_again(void *arg)
{
	struct race *race = arg;

	for (unsigned int i = 1; i <= NR_ROUNDS; i++) {
		if (!(i % 2 ? map_at(race->va) : dontneed(race->va)))
			race->failed = true;
		__atomic_store_n(&race->unmapped, i, __ATOMIC_RELEASE);
		while (__atomic_load_n(&race->mapped, __ATOMIC_ACQUIRE) < i)
			sched_yield();
	}
	return NULL;
}

/* The moment that the other thread is back from taking the memory away it is not found any more. */
static void memory_is_not_found_from_its_end_on(void)
{
	struct race race = {0};
	unsigned int found = 0;
	pthread_t thread;
	struct world w;

	if (is_refused())
		return;
	world_open(&w, &watched);
	race.va = w.outside;
	world_io(&w, race.va, BYTES, QUOLL_SEG_WRITE);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, replace_again_and_again, &race), 0);
	for (unsigned int i = 1; i <= NR_ROUNDS; i++) {
		uint64_t misses;

		while (__atomic_load_n(&race.unmapped, __ATOMIC_ACQUIRE) < i) {
			world_io(&w, w.outside + 64 * PAGE, PAGE, QUOLL_SEG_WRITE);
			sched_yield(); /* there may be no CPU for the others else */
		}
		misses = world_stats(&w).misses;
		world_io(&w, race.va, BYTES, QUOLL_SEG_WRITE);
		found += world_stats(&w).misses != misses + 1;
		__atomic_store_n(&race.mapped, i, __ATOMIC_RELEASE);
	}
	CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
	CU_ASSERT_FALSE(race.failed);
	CU_ASSERT_EQUAL(found, 0);
	CU_ASSERT_EQUAL(world_stats(&w).gone, NR_ROUNDS);
	world_close(&w);
}

#define NR_TAKEN 20u	/* by so many the memory is taken before munmap() is back: enough */
#define MAX_TAKEN 2000u /* we have been unlucky */

/* This thread: on one CPU, or again on all that it had. */
static void stay_on_one_cpu(cpu_set_t *before, bool stay)
{
	cpu_set_t here;
	int cpu = sched_getcpu();

	if (stay) {
		CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, sizeof(*before), before), 0);
		CPU_ZERO(&here);
		CPU_SET((unsigned int)cpu, &here);
	}
	CU_ASSERT_EQUAL(sched_setaffinity(0, sizeof(here), stay ? &here : before), 0);
}

static void *unmap_only(void *arg)
{
	struct race *race = arg;

	for (unsigned int i = 1; i <= MAX_TAKEN; i++) {
		while (__atomic_load_n(&race->mapped, __ATOMIC_ACQUIRE) < i)
			sched_yield();
		if (__atomic_load_n(&race->over, __ATOMIC_RELAXED))
			return NULL;
		race->failed |= munmap(race->va, BYTES);
		__atomic_store_n(&race->unmapped, i, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Return: it was given up, but munmap() is not back. */
static bool take_at_once(const struct race *race, unsigned int i)
{
	while (mmap(race->va, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		    0) != race->va)
		;
	return __atomic_load_n(&race->unmapped, __ATOMIC_ACQUIRE) < i;
}

/* Whoever comes by the address while munmap() has not returned elsewhere does not find what was there. */
static void memory_is_not_found_by_who_takes_its_place_at_once(void)
{
	unsigned int found = 0, early = 0, i;
	struct race race = {0};
	pthread_t thread;
	cpu_set_t all;
	struct world w;

	if (is_refused())
		return;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, unmap_only, &race), 0);
	stay_on_one_cpu(&all, true);
	world_open(&w, &cached); /* and so does the thread that it makes */
	CU_ASSERT_EQUAL(nr_watching(SLOWED), 1);
	race.va = w.outside;
	for (i = 1; i <= MAX_TAKEN && early < NR_TAKEN; i++) {
		uint64_t misses;

		world_io(&w, race.va, BYTES, QUOLL_SEG_WRITE);
		misses = world_stats(&w).misses;
		__atomic_store_n(&race.mapped, i, __ATOMIC_RELEASE);
		early += take_at_once(&race, i);
		world_io(&w, race.va, BYTES, QUOLL_SEG_WRITE);
		found += world_stats(&w).misses == misses;
		while (__atomic_load_n(&race.unmapped, __ATOMIC_ACQUIRE) < i)
			sched_yield();
	}
	__atomic_store_n(&race.over, true, __ATOMIC_RELAXED);
	__atomic_store_n(&race.mapped, i, __ATOMIC_RELEASE);
	CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
	CU_ASSERT_FALSE(race.failed);
	CU_ASSERT_EQUAL(found, 0);
	if (!early)
		unit_skip("munmap() was always back before somebody could take the memory");
	world_close(&w);
	stay_on_one_cpu(&all, false);
}

#define NR_STREAMS 3u

struct owner {
	pthread_barrier_t *begin;
	struct quoll_stream *stream;
	uint8_t *va;
	unsigned int bad;
};

static void *do_ios_and_replace(void *arg)
{
	struct owner *owner = arg;
	struct quoll_stream_stats stats;

	pthread_barrier_wait(owner->begin);
	for (unsigned int i = 0; i < 2 * NR_ROUNDS; i++) {
		struct quoll_stream_seg seg = world_seg(owner->va, BYTES, QUOLL_SEG_WRITE);

		if (quoll_stream_map(owner->stream, &seg, 1) == 1)
			quoll_stream_unmap(owner->stream, &seg, 1);
		else
			owner->bad++;
		/* Found once, and then it goes. Not by munmap(): the hole would be anybody's, until it is mapped over.
		 */
		owner->bad += i % 2 && !(i % 4 == 1 ? map_at(owner->va) : dontneed(owner->va));
	}
	quoll_stream_stats(owner->stream, &stats);
	owner->bad += stats.hits != NR_ROUNDS || stats.misses != NR_ROUNDS || stats.gone != NR_ROUNDS - 1;
	return NULL;
}

static void streams_of_several_threads_are_told(void)
{
	struct owner owners[NR_STREAMS];
	pthread_t threads[NR_STREAMS];
	pthread_barrier_t barrier;
	struct world w;

	if (is_refused())
		return;
	world_open(&w, &cached);
	for (unsigned int i = 0; i < NR_STREAMS; i++) {
		owners[i] = (struct owner){.begin = &barrier, .va = w.outside + i * 64 * PAGE};
		CU_ASSERT_EQUAL_FATAL(quoll_stream_create(w.fake->ioas, w.heap, &watched, &owners[i].stream, NULL), 0);
	}
	CU_ASSERT_EQUAL_FATAL(pthread_barrier_init(&barrier, NULL, NR_STREAMS), 0);
	for (unsigned int i = 0; i < NR_STREAMS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, do_ios_and_replace, &owners[i]), 0);
	for (unsigned int i = 0; i < NR_STREAMS; i++) {
		CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
		CU_ASSERT_EQUAL(owners[i].bad, 0);
		quoll_stream_destroy(owners[i].stream);
	}
	pthread_barrier_destroy(&barrier);
	world_close(&w);
}

static const struct unit_test tests[] = {
	{"one thread is there while there are streams", one_thread_is_there_while_there_are_streams},
	{"a forked child begins anew", a_forked_child_begins_anew},
	{"nobody waits when the last stream has gone and a child has its file",
	 nobody_waits_when_the_last_stream_has_gone_and_a_child_has_its_file},
	{"memory can go while somebody forks", memory_can_go_while_somebody_forks},
	{"memory that became longer can go while a child lives", memory_that_became_longer_can_go_while_a_child_lives},
	{"without its file nothing is cached", without_its_file_nothing_is_cached},
	{"the program's own file is let alone", the_programs_own_file_is_let_alone},
	{"a stream can go after its file", a_stream_can_go_after_its_file},
	{"it needs no privileges", it_needs_no_privileges},
	{"where it is refused that is said", where_it_is_refused_that_is_said},
	{"so much is watched, and then it begins anew", so_much_is_watched_and_then_it_begins_anew},
	{"memory is not found from its end on", memory_is_not_found_from_its_end_on},
	{"memory is not found by who takes its place at once", memory_is_not_found_by_who_takes_its_place_at_once},
	{"streams of several threads are told", streams_of_several_threads_are_told},
};

UNIT_MAIN("eal/stream/watch_life", tests)
