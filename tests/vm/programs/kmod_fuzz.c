/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kmod_fuzz.c - bad input to quoll.ko, at random: every request of quoll_uapi.h, entries and indexes of rings, files of
 * devices.
 *
 *   kmod_fuzz ADDR SECONDS [SEED]      ADDR's group has to be viable; with the SEED that an earlier run has printed it
 *                                      tries the same, as far as threads and time go
 *
 * One process after another ("a life") opens the group and drives it with several threads, which fork now and then.
 * Some lives are killed in the middle of it, others end by themselves and must have no memory locked then. Whoever
 * started them tries to open the group meanwhile.
 *
 * Good is: each request has succeeded and failed at least once, with errnos that its description has; forked children
 * got EPERM from all; each life got the group; each one that was killed ended. What the kernel's log says is for the
 * caller.
 */
#include "kmod_fuzz.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define LARGE_BYTES (2ull << 20)
#define GROUP_MS 30000u /* until the group is free */
#define END_MS 60000	/* until a process has ended */
#define LIMIT_BYTES (24ull << 20)

/* By call: what it may say; any: the description is VFIO's, and has no list. */
static const struct {
	const char *name;
	bool never_fails, never_good, any;
	int errnos[14];
} calls[NR_CALLS] = {
#define STRUCTURE EFAULT, EINVAL, E2BIG
	[GROUP_REQUESTS + 0] = {"group: version", .never_fails = true},
	[GROUP_REQUESTS + 1] = {"group: info", .errnos = {EFAULT, EINVAL, ENOMEM}},
	[GROUP_REQUESTS + 2] = {"group: member", .errnos = {STRUCTURE, ENOENT, ENOMEM}},
	[GROUP_REQUESTS + 3] = {"group: open device", .errnos = {STRUCTURE, ENOENT, EBUSY, EAGAIN, ENOMEM}},
	[GROUP_REQUESTS + 4] = {"group: map", .errnos = {STRUCTURE, EEXIST, ERANGE, ENOMEM, ENOSPC, EINTR}},
	[GROUP_REQUESTS + 5] = {"group: unmap", .errnos = {STRUCTURE, ENOENT}},
	[GROUP_REQUESTS + 6] = {"group: events", .errnos = {STRUCTURE, EBADF}},
	[GROUP_REQUESTS + 7] = {"stream: window", .errnos = {STRUCTURE, EEXIST, ERANGE, ENOMEM}},
	[GROUP_REQUESTS + 8] = {"stream: ring", .errnos = {STRUCTURE, ENOMEM, ENOSPC, ENOENT, EINTR}},
	[GROUP_REQUESTS + 9] = {"stream: ring free", .errnos = {STRUCTURE, ENOENT, EBUSY}},
	[GROUP_REQUESTS + 10] = {"stream: enter", .errnos = {STRUCTURE, ENOENT, EBUSY, EINTR}},
	[GROUP_REQUESTS + 11] = {"stream: register", .errnos = {STRUCTURE, ENOMEM, ENOSPC, ENOENT, EINTR}},
	[GROUP_REQUESTS + 12] = {"stream: unregister", .errnos = {STRUCTURE, ENOENT, EBUSY}},
	[CONTROL_REQUESTS + 0] = {"control: version", .never_fails = true},
	[CONTROL_REQUESTS + 1] = {"control: info", .errnos = {EFAULT, EINVAL, ENOENT, ENOMEM}},
	[CONTROL_REQUESTS + 2] = {"control: member", .errnos = {STRUCTURE, ENOENT, ENOMEM}},
	[CONTROL_REQUESTS + 3] = {"control: the group's", .never_good = true, .errnos = {ENOTTY}},
	[OPEN_GROUP] = {"open", .errnos = {EBUSY}},
	[DEV_INFO] = {"device: info", .any = true},
	[DEV_REGION] = {"device: region", .any = true},
	[DEV_IRQ] = {"device: interrupt", .any = true},
	[DEV_SET_IRQS] = {"device: set interrupts", .any = true},
	[DEV_RESET] = {"device: reset", .any = true},
	[DEV_OTHER] = {"device: not offered", .never_good = true, .errnos = {ENOTTY}},
	[DEV_READ] = {"device: read", .any = true},
	[DEV_WRITE] = {"device: write", .any = true},
	[DEV_MMAP] = {"device: mmap", .any = true},
#define ENTRY EINVAL, ERANGE, EINTR, ENODEV
	[ENTRY_MAP] = {"entry: map", .errnos = {ENTRY, EEXIST, ENOENT, EFAULT, ENOMEM}},
	[ENTRY_REGISTERED] = {"entry: map registered", .errnos = {ENTRY, EEXIST, ENOENT, EFAULT, ENOMEM}},
	[ENTRY_UNMAP] = {"entry: unmap", .errnos = {ENTRY, ENOENT}},
	[ENTRY_FENCE] = {"entry: fence", .errnos = {EINVAL, ENODEV}},
	[ENTRY_OTHER] = {"entry: unknown", .never_good = true, .errnos = {EINVAL}},
};

static _Thread_local struct fuzzer *self;

static void on_bus_error(int sig)
{
	if (!self || !self->touching)
		_exit(4);
	siglongjmp(self->bus_error, sig);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void pause_us(uint32_t us)
{
	nanosleep(&(struct timespec){.tv_nsec = us * 1000l}, NULL);
}

static uint8_t *mapped(size_t pages, int prot, int flags, int fd)
{
	uint8_t *memory = mmap(NULL, pages * PAGE, prot, flags, fd, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

static void areas_make(struct life *life)
{
	const int rw = PROT_READ | PROT_WRITE, anon = MAP_PRIVATE | MAP_ANONYMOUS;
	int memory = memfd_create("fuzz", MFD_CLOEXEC), program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint8_t *large;

	if (ftruncate(memory, AREA_PAGES * PAGE))
		abort();
	life->areas[AREA_PLAIN] = mapped(AREA_PAGES, rw, anon, -1);
	life->areas[AREA_SHARED] = mapped(AREA_PAGES, rw, MAP_SHARED, memory);
	life->areas[AREA_READ_ONLY] = mapped(8, PROT_READ, anon, -1);
	life->areas[AREA_FILE] = mapped(2, PROT_READ, MAP_PRIVATE, program);
	large = mmap(NULL, LARGE_BYTES, rw, anon | MAP_HUGETLB, -1, 0);
	life->areas[AREA_LARGE] = large == MAP_FAILED ? mapped(LARGE_BYTES / PAGE, rw, anon, -1) : large;
	life->areas[AREA_MOVING] = mapped(AREA_PAGES, rw, anon, -1);
	life->areas[AREA_NONE] = mapped(2, PROT_NONE, anon, -1);
	close(program);
	close(memory);
}

/* Two pages of a file, and none behind them. */
static uint8_t *args_map(int memory, int prot)
{
	uint8_t *at = mapped(3, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (mmap(at, 2 * PAGE, prot, MAP_SHARED | MAP_FIXED, memory, 0) == MAP_FAILED)
		abort();
	return at;
}

static void args_make(struct fuzzer *f)
{
	int memory = memfd_create("args", MFD_CLOEXEC);

	if (ftruncate(memory, 2 * PAGE))
		abort();
	f->args = args_map(memory, PROT_READ | PROT_WRITE);
	f->args_twin = args_map(memory, PROT_READ);
	close(memory);
}

/* Memory goes away, comes, changes what it is, while the kernel pins it. */
static void memory_moves(struct fuzzer *f)
{
	uint32_t page = below(f, AREA_PAGES), nr = 1 + below(f, AREA_PAGES - page);
	uint8_t *at = f->life->areas[AREA_MOVING] + page * PAGE;

	switch (below(f, 6)) {
	case 0:
		mmap(at, nr * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	case 1:
		mmap(at, nr * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	case 2:
		mprotect(at, nr * PAGE, PROT_READ);
		break;
	case 3:
		madvise(at, nr * PAGE, MADV_DONTNEED);
		break;
	default:
		mprotect(at, nr * PAGE, PROT_READ | PROT_WRITE);
	}
}

/* The child has the files, and gets nothing from them; some stay for a while. */
static void forks(struct fuzzer *f)
{
	uint32_t stays_us = one_in(f, 3) ? below(f, 100000) : 0;

	if (fork())
		return;
	if (atomic_load(&f->life->over)) /* the file was another one when this child got it */
		_exit(0);
	request_all_refused(f->life, f->args);
	device_refused(f->life, f->args);
	pause_us(stays_us);
	_exit(0);
}

static void *drive(void *arg)
{
	struct fuzzer *f = arg;
	struct life *life = f->life;

	self = f;
	while (!atomic_load(&life->tally->end)) {
		if (one_in(f, life->with_device ? 4 : 64))
			device_use(f);
		else if (f->index < 2 || one_in(f, 3))
			request_some(f);
		else if (one_in(f, 8))
			memory_moves(f);
		else
			for (unsigned int i = 0; i < 16; i++)
				ring_scribble(f);
		if (one_in(f, 1500))
			forks(f);
	}
	/* while others are inside */
	if (!f->index && one_in(f, 2)) {
		atomic_store(&life->over, true);
		dup2(life->null, life->group);
	}
	return NULL;
}

static void nobody(void)
{
	struct rlimit limit = {LIMIT_BYTES, LIMIT_BYTES};

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || privilege_drop())
		abort();
}

static void life_begin(struct life *life, struct fuzzer *first)
{
	uint64_t end = now_ms() + GROUP_MS;

	while ((life->group = group_open(life->addr)) < 0) {
		count(life, OPEN_GROUP, errno);
		if (now_ms() > end)
			_exit(3);
		pause_us(2000);
	}
	count(life, OPEN_GROUP, 0);
	life->control = open("/dev/quoll/control", O_RDWR | O_CLOEXEC);
	life->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	life->events = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	atomic_store(&life->dev, -1);
	life->limited = one_in(first, 4);
	life->with_device = one_in(first, 3);
	life->window = 32ull << 20;
	life->window_bytes = (1ull << 20) << (one_in(first, 20) ? below(first, 15) : below(first, 5));
	areas_make(life);
	if (life->limited)
		nobody();
	if (!one_in(first, 16))
		ask_window(first, life->window, life->window_bytes);
	for (unsigned int i = 0; i < RING_SPARE; i++)
		ring_renew(first, &life->rings[i], i == RING_COMMON ? 128 : 1u << below(first, 9));
}

/* All files go, in one order or another, one while others use it; then nothing is locked. */
static void life_end(struct fuzzer *first)
{
	struct life *life = first->life;
	bool clean;

	while (wait(NULL) > 0 || errno == EINTR)
		;
	atomic_store(&life->over, false);
	if (one_in(first, 4))
		device_close(life);
	dup2(life->null, life->group);
	device_dead(first);
	device_close(life);
	clean = !locked_kb();
	atomic_fetch_add(clean ? &life->tally->clean : &life->tally->leaks, 1);
	_exit(clean ? 0 : 5);
}

static void live(struct tally *tally, const char *addr, bool edu, uint64_t seed)
{
	struct sigaction act = {.sa_handler = on_bus_error, .sa_flags = SA_NODEFER};
	static struct fuzzer fuzzers[NR_THREADS];
	static struct life life;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGBUS, &act, NULL);
	life = (struct life){.tally = tally, .addr = addr, .edu = edu};
	for (unsigned int i = 0; i < NR_THREADS; i++) {
		fuzzers[i] = (struct fuzzer){.life = &life, .index = i, .random = random_next(&seed)};
		args_make(&fuzzers[i]);
	}
	self = &fuzzers[0];
	life_begin(&life, &fuzzers[0]);
	if (!life.with_device)
		atomic_store(&tally->begun, 1);
	for (unsigned int i = 0; i < NR_THREADS; i++)
		if (pthread_create(&fuzzers[i].thread, NULL, drive, &fuzzers[i]))
			abort();
	for (unsigned int i = 0; i < NR_THREADS; i++)
		pthread_join(fuzzers[i].thread, NULL);
	life_end(&fuzzers[0]);
}

/* Return: a process's wait status; a process that doesn't end ends all of this, with what the kernel says of it. */
static int ended(pid_t pid, const char *what)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status = -1;
	struct pollfd waits = {.fd = pidfd, .events = POLLIN};
	int sysrq;

	if (pidfd < 0 || poll(&waits, 1, END_MS) != 1) {
		check(false, "%s ends", what);
		sysrq = open("/proc/sysrq-trigger", O_WRONLY);
		if (write(sysrq, "l", 1) != 1 || write(sysrq, "t", 1) != 1)
			perror("sysrq");
		exit(1);
	}
	waitpid(pid, &status, 0);
	close(pidfd);
	return status;
}

/*
 * Meanwhile somebody else tries to get the group, and gets it only while nobody has it: for some time, @begun: from
 * then on that a life has what it needs, as with a kernel that checks itself that alone takes seconds.
 */
static void rival(struct fuzzer *f, uint32_t ms, bool begun)
{
	uint64_t now = now_ms(), end = now + ms, late = now + GROUP_MS;
	int fd;

	for (; now < end; now = now_ms()) {
		if (begun && !atomic_load(&f->life->tally->begun) && now < late)
			end = now + ms;
		pause_us(1000 + below(f, 30000));
		fd = group_open(f->life->addr);
		count(f->life, OPEN_GROUP, fd < 0 ? errno : 0);
		if (fd >= 0)
			close(fd);
	}
}

static bool pci_is_edu(const char *addr)
{
	char path[128], id[16] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/device", addr);
	file = fopen(path, "re");
	if (!file || !fgets(id, sizeof(id), file))
		abort();
	fclose(file);
	return !strcmp(id, "0x11e8\n");
}

struct lives {
	unsigned int nr, killed, odd;
};

static bool documented(unsigned int which, unsigned int errnum)
{
	if (calls[which].any && errnum < NR_ERRNOS - 1)
		return true;
	for (unsigned int i = 0; i < sizeof(calls[0].errnos) / sizeof(calls[0].errnos[0]); i++)
		if (calls[which].errnos[i] == (int)errnum)
			return true;
	return false;
}

/* How often a call was refused; not by a file that another thread has just closed. */
static uint32_t refusals(struct tally *tally, unsigned int which)
{
	uint32_t nr = 0;

	for (unsigned int i = 1; i < NR_ERRNOS; i++)
		if (i != EBADF || documented(which, i))
			nr += tally->counts[which][i];
	return nr;
}

static bool seen(struct tally *tally, unsigned int which)
{
	return (tally->counts[which][0] || calls[which].never_good) &&
	       (refusals(tally, which) || calls[which].never_fails);
}

static bool all_seen(struct tally *tally)
{
	for (unsigned int i = 0; i < NR_CALLS; i++)
		if (!seen(tally, i))
			return false;
	return tally->clean && tally->in_child[0];
}

static void lives_run(struct fuzzer *f, unsigned int seconds, struct lives *lives)
{
	uint64_t end = now_ms() + seconds * 1000ull, late = end + seconds * 2000ull;
	struct life *life = f->life;
	int status;
	pid_t pid;

	/* a machine that is slow has not had everything then */
	for (; now_ms() < end || (!all_seen(life->tally) && now_ms() < late); lives->nr++) {
		uint64_t seed = random_next(&f->random);
		bool kills = !one_in(f, 3), early = one_in(f, 5);

		atomic_store(&life->tally->begun, 0);
		atomic_store(&life->tally->end, 0);
		fflush(stdout);
		pid = fork();
		if (!pid)
			live(life->tally, life->addr, life->edu, seed);
		rival(f, early ? below(f, 60) : 200 + below(f, 1500), !early);
		if (kills)
			kill(pid, SIGKILL);
		else
			atomic_store(&life->tally->end, 1);
		status = ended(pid, kills ? "a process that was killed" : "a process that was told to end");
		lives->killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		if (status && !(kills && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)) {
			lives->odd++;
			printf("a process with seed 0x%llx ended with status 0x%x\n", (unsigned long long)seed, status);
		}
		while (waitpid(-1, &status, WNOHANG) > 0) /* children of the killed */
			;
	}
	while (wait(NULL) > 0)
		;
}

static void verdict(struct tally *tally, unsigned int which)
{
	uint32_t good = tally->counts[which][0], odd = 0, nr;
	char line[512];
	int at = 0;

	for (unsigned int i = 1; i < NR_ERRNOS; i++) {
		nr = tally->counts[which][i];
		if (!nr || (i == EBADF && !documented(which, i)))
			continue;
		odd += documented(which, i) ? 0 : nr;
		at += snprintf(line + at, sizeof(line) - (size_t)at, " %s%s %u", strerrorname_np((int)i) ?: "?",
			       documented(which, i) ? "" : "(!)", nr);
	}
	line[at] = '\0';
	check(seen(tally, which) && !(good && calls[which].never_good) && !odd, "%s: good %u,%s", calls[which].name,
	      good, at ? line : " nothing else");
}

int main(int argc, char **argv)
{
	struct life life = {0};
	struct fuzzer f = {.life = &life};
	struct lives lives = {0};
	struct tally *tally;
	char *end = NULL;
	unsigned int seconds = argc > 2 ? (unsigned int)strtoul(argv[2], &end, 0) : 0;

	if (argc < 3 || argc > 4 || !seconds || *end || getrandom(&f.random, sizeof(f.random), 0) != sizeof(f.random)) {
		fprintf(stderr, "kmod_fuzz: see the head of its source\n");
		return 2;
	}
	if (argc == 4)
		f.random = strtoull(argv[3], NULL, 0);
	printf("seed 0x%llx\n", (unsigned long long)f.random);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tally == MAP_FAILED)
		abort();
	life.tally = tally;
	life.addr = argv[1];
	life.edu = pci_is_edu(argv[1]);
	lives_run(&f, seconds, &lives);
	check(lives.killed > lives.nr / 4 && !lives.odd,
	      "%u processes had the group, %u of them were killed, %u are odd", lives.nr, lives.killed, lives.odd);
	check(tally->clean && !tally->leaks, "%u that ended had nothing locked then, %u had", tally->clean,
	      tally->leaks);
	check(tally->in_child[0] && !tally->in_child[1], "forked children: %u calls got EPERM, %u did not",
	      tally->in_child[0], tally->in_child[1]);
	for (unsigned int i = 0; i < NR_CALLS; i++)
		verdict(tally, i);
	return checks_failed() ? 1 : 0;
}
