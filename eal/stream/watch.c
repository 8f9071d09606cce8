/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * watch.c - see memory go away (munmap, mmap over it, mremap, madvise, brk), and mark the registrations of it. One
 * userfaultfd and one thread for the process, from the first cache that joins until the last one leaves; a forked child
 * has neither.
 *
 * Memory is registered for write protection, and none is ever protected: so there are no faults, only the events. Who
 * takes memory away sleeps in the kernel until its event has been read; from then on, which is before it is marked
 * here, anybody may put other memory there and start an I/O. So the thread makes the turn's number odd before it reads,
 * and even, with release, when all that it has read is marked. Who looks for a registration loads the number first,
 * with acquire. If the event was read before (which the end of munmap() tells, and the kernel's locks order), that load
 * can't get a number from before the read: it gets the odd one, and waits, or a later even one, and sees the marks.
 *
 * The events of munmap() come when the memory is gone already, and another thread may get its addresses from mmap()
 * before munmap() has returned. No memory that user space can look at tells of it. But the kernel counts those on their
 * way, from before the memory goes until its event has been read, and the calls that would change registered memory
 * fail while there are some: stream_watch_settle(). Who has got the address has taken the mmap lock after them, so it
 * can't miss them.
 *
 * Whoever holds the lock, and the thread at all times, must not do what raises an event: an unmap waits for the thread.
 * So nothing is allocated or freed there, not even by malloc().
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stream/internal.h"
#include "stream/ranges.h"
#include "stream/watch.h"

/* Each may cut the kernel's areas in two places, and a process has 65,530 of those. */
#define MAX_RANGES 16384u
#define NR_MESSAGES 64u
#define EVENTS (UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE)
#define WRITE_PROTECT UFFD_FEATURE_PAGEFAULT_FLAG_WP
#define OPTIONAL UFFD_FEATURE_WP_HUGETLBFS_SHMEM

static struct {
	pthread_mutex_t users; /* coming and going; never the thread's */
	pthread_mutex_t lock;  /* what follows */
	struct stream_watched *first;
	struct ranges ranges; /* registered */
	/* Nobody reads any more, or from what is not our file. What went then was missed; nothing is cached. */
	bool blind;
	bool stopping;
	int fd;
	void *bell; /* a page that goes away, and so wakes the thread: no file is needed, which somebody may close */
	pthread_t thread;
	int pid; /* whose all this is; 0: nobody's */
	/* Alone in its line, which all that look for registrations have. */
	_Alignas(64) uint64_t turn;
} watch = {.users = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

const uint64_t *stream_watch_turn(void)
{
	return &watch.turn;
}

/* Marking, under the lock. */

static void turn_begin(void)
{
	__atomic_store_n(&watch.turn, watch.turn + 1, __ATOMIC_RELAXED);
}

static void turn_end(void)
{
	/* pairs with the acquire of who looks for a registration: what is marked can be seen */
	__atomic_store_n(&watch.turn, watch.turn + 1, __ATOMIC_RELEASE);
}

static void mark_in(struct stream_watched *watched, uintptr_t first, uintptr_t end)
{
	for (uint32_t i = 0; i < watched->nr_entries; i++) {
		struct stream_entry *entry = &watched->entries[i];
		uint64_t bytes = __atomic_load_n(&entry->bytes, __ATOMIC_RELAXED);
		uintptr_t va = __atomic_load_n(&entry->va, __ATOMIC_RELAXED);

		/* One that is just becoming another may be marked for nothing; what is watched is all there. */
		if (!bytes || va >= end || va + (bytes - 1) < first)
			continue;
		__atomic_store_n(&entry->gone, true, __ATOMIC_RELAXED);
		__atomic_store_n(&watched->marked, watch.turn, __ATOMIC_RELAXED);
	}
}

static void mark(uintptr_t first, uintptr_t end)
{
	for (struct stream_watched *at = watch.first; at; at = at->next)
		mark_in(at, first, end);
}

static void take_event(const struct uffd_msg *msg)
{
	switch (msg->event) {
	case UFFD_EVENT_UNMAP:
		mark(msg->arg.remove.start, msg->arg.remove.end);
		ranges_remove(&watch.ranges, msg->arg.remove.start, msg->arg.remove.end);
		break;
	case UFFD_EVENT_REMOVE:
		mark(msg->arg.remove.start, msg->arg.remove.end);
		break;
	case UFFD_EVENT_REMAP:
		mark(msg->arg.remap.from, msg->arg.remap.from + msg->arg.remap.len);
		/* The new place is registered now. If the old one is not any more, the event of that comes as well. */
		(void)ranges_add(&watch.ranges, msg->arg.remap.to, msg->arg.remap.to + msg->arg.remap.len);
		break;
	default:
		break;
	}
}

static void go_blind(void)
{
	watch.blind = true;
	mark(0, UINTPTR_MAX);
}

enum state { QUIET, CHANGING, NOT_OURS };

/*
 * Whether somebody is taking memory away, or has, and we have not read of it yet: the kernel looks at this first, and
 * then says that no bytes can't be protected. Where the program has closed our file, and maybe has another one of its
 * own by that number, something else is said.
 */
static enum state file_state(void)
{
	struct uffdio_writeprotect nothing = {.range = {.len = 0}};
	int errnum = ioctl(watch.fd, UFFDIO_WRITEPROTECT, &nothing) ? errno : 0;

	return errnum == EINVAL ? QUIET : errnum == EAGAIN ? CHANGING : NOT_OURS;
}

/* Return: false: nothing is seen any more. */
static bool read_events(void)
{
	struct uffd_msg msgs[NR_MESSAGES];
	ssize_t bytes = 0;
	bool ours;

	pthread_mutex_lock(&watch.lock);
	turn_begin();
	/* What is the program's is not read. */
	ours = file_state() != NOT_OURS;
	if (ours)
		bytes = read(watch.fd, msgs, sizeof(msgs));
	for (size_t i = 0; bytes > 0 && i < (size_t)bytes / sizeof(*msgs); i++)
		take_event(&msgs[i]);
	if (!ours || !bytes || (bytes < 0 && errno != EAGAIN && errno != EINTR))
		go_blind();
	turn_end();
	ours = !watch.blind;
	pthread_mutex_unlock(&watch.lock);
	return ours;
}

void stream_watch_settle(void)
{
	enum state state;

	while ((state = file_state()) == CHANGING)
		sched_yield();
	if (QUOLL_LIKELY(state == QUIET))
		return;
	pthread_mutex_lock(&watch.lock);
	if (!watch.blind) {
		turn_begin();
		go_blind();
		turn_end();
	}
	pthread_mutex_unlock(&watch.lock);
}

/* Under the lock. */
static void unregister_all(void)
{
	for (uint32_t i = 0; i < watch.ranges.nr; i++) {
		const struct range *at = &watch.ranges.at[i];
		struct uffdio_range range = {at->first, at->end - at->first};

		(void)ioctl(watch.fd, UFFDIO_UNREGISTER, &range);
	}
	watch.ranges.nr = 0;
}

/*
 * A child that fork() doesn't know of (clone()) may have the file as well, which keeps it alive; so no memory is left
 * registered, and nobody left waiting.
 */
static void let_go(void)
{
	pthread_mutex_lock(&watch.lock);
	unregister_all();
	pthread_mutex_unlock(&watch.lock);
	while (read_events() && file_state() == CHANGING)
		sched_yield();
}

static bool is_stopping(void)
{
	bool stopping;

	pthread_mutex_lock(&watch.lock);
	stopping = watch.stopping;
	pthread_mutex_unlock(&watch.lock);
	return stopping;
}

static void *watch_main(void *arg)
{
	struct pollfd fd = {.fd = watch.fd, .events = POLLIN};

	(void)arg;
	do {
		/* While it waits the file is there, whoever closes it. */
		if (poll(&fd, 1, -1) > 0 && !read_events())
			return NULL;
	} while (!is_stopping());
	let_go();
	return NULL;
}

/* Coming and going. */

static int file_open(void)
{
	int flags = O_CLOEXEC | O_NONBLOCK, fd, dev, why;

	fd = (int)syscall(SYS_userfaultfd, flags | UFFD_USER_MODE_ONLY);
	if (fd >= 0)
		return fd;
	why = -errno;
	/* Where the call is filtered the device may be there. */
	dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		return why;
	fd = ioctl(dev, USERFAULTFD_IOC_NEW, flags | UFFD_USER_MODE_ONLY);
	close(dev);
	return fd < 0 ? why : fd;
}

/* A file answers once, so what it can do is asked of another. */
static int features_read(uint64_t *features)
{
	struct uffdio_api api = {.api = UFFD_API};
	int fd = file_open(), rc = 0;

	if (fd < 0)
		return fd;
	if (ioctl(fd, UFFDIO_API, &api))
		rc = -errno;
	*features = api.features;
	close(fd);
	return rc;
}

static int refuse(int errnum, struct quoll_error *err)
{
	quoll_error_set(err, ENOTSUP, "stream", "cached", "it cannot be seen when memory goes away: userfaultfd: %s",
			strerrordesc_np(errnum));
	quoll_error_hint(err, "let userfaultfd(2) through (seccomp, /dev/userfaultfd), let the memory bounce, or have "
			      "the program call quoll_stream_forget() before memory goes away (QUOLL_CACHED_FORGETS)");
	return -ENOTSUP;
}

static int watched_file_open(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	uint64_t features = 0;
	int rc = features_read(&features);

	if (rc)
		return rc;
	if ((features & (EVENTS | WRITE_PROTECT)) != (EVENTS | WRITE_PROTECT))
		return -EOPNOTSUPP;
	watch.fd = file_open();
	if (watch.fd < 0)
		return watch.fd;
	api.features = EVENTS | WRITE_PROTECT | (features & OPTIONAL);
	return ioctl(watch.fd, UFFDIO_API, &api) ? -errno : 0;
}

static int bell_make(void)
{
	void *page = mmap(NULL, STREAM_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register reg = {.range = {(uintptr_t)page, STREAM_PAGE_BYTES}, .mode = UFFDIO_REGISTER_MODE_WP};

	if (page == MAP_FAILED)
		return -ENOMEM;
	watch.bell = page;
	return ioctl(watch.fd, UFFDIO_REGISTER, &reg) ? -errno : 0;
}

static void bell_ring(void)
{
	if (watch.bell)
		munmap(watch.bell, STREAM_PAGE_BYTES);
	watch.bell = NULL;
}

static void clean_up(void)
{
	if (watch.fd >= 0 && file_state() != NOT_OURS)
		close(watch.fd);
	watch.fd = -1;
	bell_ring(); /* which nobody hears any more */
	ranges_fini(&watch.ranges);
	__atomic_store_n(&watch.pid, 0, __ATOMIC_RELAXED);
}

static int thread_start(void)
{
	sigset_t all, before;
	int rc;

	/* The program's signals are not for it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&watch.thread, NULL, watch_main, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!rc)
		pthread_setname_np(watch.thread, "quoll-watch");
	return -rc;
}

/*
 * Forking. In a child memory is not registered, and there is no thread; it may make streams of its own. The file must
 * not be kept there, or memory that we have lost sight of (mremap() makes it longer without an event) would be
 * registered on and on, and munmap() in the parent wait for good.
 */

static void be_new_in_child(void)
{
	int pid = __atomic_load_n(&watch.pid, __ATOMIC_RELAXED);

	if (!pid || pid == getpid())
		return;
	/* As some thread of the parent's had them. */
	pthread_mutex_init(&watch.users, NULL);
	pthread_mutex_init(&watch.lock, NULL);
	watch.first = NULL;
	watch.turn += watch.turn & 1;
	clean_up();
}

/*
 * Nobody is just coming or going, so that the child knows what it has. The lock is not taken, without which the thread
 * reads no events: fork() will want locks, an allocator's, that may be held by who waits for that.
 */
static void before_fork(void)
{
	pthread_mutex_lock(&watch.users);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&watch.users);
}

static void after_fork_in_child(void)
{
	pthread_mutex_unlock(&watch.users);
	be_new_in_child();
}

/* Under users. */
static int forks_see_to(void)
{
	static bool done;
	int rc = done ? 0 : pthread_atfork(before_fork, after_fork, after_fork_in_child);

	done = !rc;
	return -rc;
}

static int start(void)
{
	int rc = forks_see_to();

	if (!rc)
		rc = watched_file_open();
	watch.blind = watch.stopping = false;
	if (!rc)
		rc = ranges_init(&watch.ranges, MAX_RANGES);
	if (!rc)
		rc = bell_make();
	if (!rc)
		rc = thread_start();
	if (rc) {
		clean_up();
		return rc;
	}
	__atomic_store_n(&watch.pid, getpid(), __ATOMIC_RELAXED);
	return 0;
}

static void stop(void)
{
	pthread_mutex_lock(&watch.lock);
	watch.stopping = true;
	pthread_mutex_unlock(&watch.lock);
	bell_ring();
	pthread_join(watch.thread, NULL);
	clean_up();
}

int stream_watch_join(struct stream_watched *watched, struct quoll_error *err)
{
	int rc = 0;

	be_new_in_child();
	pthread_mutex_lock(&watch.users);
	if (!watch.pid)
		rc = start();
	if (!rc) {
		pthread_mutex_lock(&watch.lock);
		watched->pid = watch.pid;
		watched->next = watch.first;
		watch.first = watched;
		pthread_mutex_unlock(&watch.lock);
	}
	pthread_mutex_unlock(&watch.users);
	return rc ? refuse(-rc, err) : 0;
}

void stream_watch_leave(struct stream_watched *watched)
{
	struct stream_watched **at = &watch.first;
	bool last;

	if (!watched->pid || watched->pid != getpid())
		return;
	pthread_mutex_lock(&watch.users);
	pthread_mutex_lock(&watch.lock);
	while (*at != watched)
		at = &(*at)->next;
	*at = watched->next;
	last = !watch.first;
	pthread_mutex_unlock(&watch.lock);
	if (last)
		stop();
	pthread_mutex_unlock(&watch.users);
}

/* Memory. */

/* Return: 0, -errno. Who has a part of it registered already registers it again. */
static int range_register(uintptr_t va, uint64_t bytes, uint64_t align)
{
	uintptr_t first = va & ~(align - 1), end = (va + bytes + align - 1) & ~(align - 1);
	struct uffdio_register reg = {.range = {first, end - first}, .mode = UFFDIO_REGISTER_MODE_WP};

	if (end <= first)
		return -EINVAL;
	if (ioctl(watch.fd, UFFDIO_REGISTER, &reg))
		return -errno;
	(void)ranges_add(&watch.ranges, first, end);
	return 0;
}

/*
 * Memory stays registered when no cache has it any more: it may again soon, and nobody would know which others overlap
 * it. Before that is too much, all caches begin anew.
 */
static void begin_anew(void)
{
	turn_begin();
	unregister_all();
	mark(0, UINTPTR_MAX);
	turn_end();
}

int stream_watch_memory(uintptr_t va, uint64_t bytes)
{
	/* Of hugepages only whole ones can be registered, and nothing says that it is one. */
	static const uint64_t aligns[] = {STREAM_PAGE_BYTES, 2ull << 20, 1ull << 30};
	int rc = -EINVAL;

	/* Across the call, so that it is in the set before an event takes it out. */
	pthread_mutex_lock(&watch.lock);
	if (watch.blind)
		rc = -EBADF;
	else if (watch.ranges.nr >= MAX_RANGES)
		begin_anew();
	for (unsigned int i = 0; rc == -EINVAL && i < sizeof(aligns) / sizeof(*aligns); i++)
		rc = range_register(va, bytes, aligns[i]);
	pthread_mutex_unlock(&watch.lock);
	return rc;
}

const char *stream_watch_why(int errnum)
{
	switch (errnum) {
	case EINVAL:
		return "memory of its kind cannot be, or there is none";
	case EBUSY:
		return "another userfaultfd has it";
	case EPERM:
		return "it is a file's that this process may not write to";
	case EBADF:
		return "the program has closed the library's userfaultfd";
	default:
		return strerrordesc_np(errnum);
	}
}
