/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * listen.c - a socket's place in the file system: made, taken over from a dead process, removed.
 *
 * A dead process leaves its socket's file behind, and connecting to it is refused. Between that look and taking the
 * place another starter may do the same, so both happen under a lock of the directory (flock): nothing is left behind
 * by it, and the kernel lets go of it whatever becomes of us. A directory that cannot be read is not locked.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <quoll/listen.h>
#include <quoll/wait.h>

#include "../vfio_user/closer.h"

#define BACKLOG 16
#define PATH_BYTES sizeof(((struct sockaddr_un *)0)->sun_path)
/* The lock is held for microseconds; somebody who keeps it does so on purpose. */
#define LOCK_PATIENCE_NS 5000000000ull

static int open_directory(const char *path)
{
	char dir[PATH_BYTES];
	char *slash;

	strcpy(dir, path);
	slash = strrchr(dir, '/');
	if (!slash)
		strcpy(dir, ".");
	else
		slash[slash == dir] = '\0';
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Return: the fd that holds the lock; -ENOTDIR and the like: there is nothing to lock; -EBUSY: somebody keeps it. */
static int lock_directory(const char *path)
{
	struct quoll_clock clock;
	struct quoll_wait wait;
	int fd = open_directory(path);
	bool more = true;

	if (fd < 0)
		return -errno;
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return fd;
	quoll_clock_init(&clock);
	for (quoll_wait_start(&wait, &clock, LOCK_PATIENCE_NS); flock(fd, LOCK_EX | LOCK_NB);
	     more = quoll_wait_more(&wait)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			break; /* a file system without locks */
		if (!more) {
			close(fd);
			return -EBUSY;
		}
	}
	return fd;
}

static void unlock_directory(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* Whether somebody listens there. Return: 0: nobody; -EADDRINUSE; -errno: it can't be told. */
static int probe(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		rc = errno == ECONNREFUSED || errno == ENOENT ? 0 : errno == EAGAIN ? -EADDRINUSE : -errno;
	else
		rc = -EADDRINUSE;
	close(fd);
	return rc;
}

static int in_use(const char *path, struct quoll_error *err)
{
	quoll_error_set(err, EADDRINUSE, "listen", path, "another process listens there");
	quoll_error_hint(err, "end it, or choose another path");
	return -EADDRINUSE;
}

/* Remove what a dead process has left. Return: 0: the place is free. */
static int make_room(const struct sockaddr_un *address, struct quoll_error *err)
{
	const char *path = address->sun_path;
	struct stat st;
	int rc;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : quoll_error_set(err, errno, "listen", path, "%s", strerrordesc_np(errno));
	if (!S_ISSOCK(st.st_mode)) {
		quoll_error_set(err, EEXIST, "listen", path, "there is a file that is no socket");
		quoll_error_hint(err, "choose another path, or remove the file");
		return -EEXIST;
	}
	rc = probe(address);
	if (rc == -EADDRINUSE)
		return in_use(path, err);
	if (rc)
		return quoll_error_set(err, -rc, "listen", path, "cannot see whether somebody listens there: %s",
				       strerrordesc_np(-rc));
	if (unlink(path) && errno != ENOENT)
		return quoll_error_set(err, errno, "listen", path, "cannot remove a dead process's socket: %s",
				       strerrordesc_np(errno));
	return 0;
}

static int bind_and_listen(struct quoll_listen *place, struct quoll_error *err)
{
	const struct sockaddr_un *address = &place->address;
	const char *path = address->sun_path;
	struct stat st;
	int rc;

	/* The file is made with the mode of the socket, from its first moment on and whatever the umask allows. */
	if (fchmod(place->fd, 0600))
		return quoll_error_set(err, errno, "listen", path, "no mode: %s", strerrordesc_np(errno));
	if (bind(place->fd, (const struct sockaddr *)address, sizeof(*address))) {
		rc = errno;
		return rc == EADDRINUSE ? in_use(path, err)
					: quoll_error_set(err, rc, "listen", path, "cannot make the socket: %s",
							  strerrordesc_np(rc));
	}
	if (listen(place->fd, BACKLOG) || lstat(path, &st)) {
		rc = errno;
		unlink(path);
		return quoll_error_set(err, rc, "listen", path, "cannot listen: %s", strerrordesc_np(rc));
	}
	place->dev = st.st_dev;
	place->ino = st.st_ino;
	return 0;
}

int quoll_listen_open(const char *path, struct quoll_listen *place, struct quoll_error *err)
{
	int lock, rc;

	*place = (struct quoll_listen){.fd = -1, .address.sun_family = AF_UNIX};
	if (!*path || strlen(path) >= PATH_BYTES)
		return quoll_error_set(err, ENAMETOOLONG, "listen", path, "a socket's path has 1 to %zu bytes",
				       PATH_BYTES - 1);
	strcpy(place->address.sun_path, path);
	lock = lock_directory(path);
	if (lock == -EBUSY) {
		quoll_error_set(err, EBUSY, "listen", path, "somebody keeps the directory locked (flock)");
		quoll_error_hint(err, "see who, in /proc/locks, or choose a directory that only you can read");
		return -EBUSY;
	}
	place->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (place->fd < 0)
		rc = quoll_error_set(err, errno, "listen", path, "no socket: %s", strerrordesc_np(errno));
	else
		rc = make_room(&place->address, err);
	if (!rc)
		rc = bind_and_listen(place, err);
	if (rc && place->fd >= 0) {
		close(place->fd);
		place->fd = -1;
	}
	unlock_directory(lock);
	return rc;
}

/* To close the listener would be to close what those who wait have sent, and that may take as long as they like.
 * Return: false: somebody is left. */
static bool hang_up_on_all(const struct quoll_listen *place)
{
	int fd;

	/* From here on nobody comes to wait. */
	shutdown(place->fd, SHUT_RDWR);
	while ((fd = accept4(place->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == EINTR || errno == ECONNABORTED) {
		if (fd < 0)
			continue;
		shutdown(fd, SHUT_RDWR);
		closer_close_socket(fd, place);
	}
	/* Else we may open no more files, or something like that. */
	return errno == EAGAIN || errno == EINVAL;
}

void quoll_listen_close(struct quoll_listen *place)
{
	const char *path = place->address.sun_path;
	struct stat st;

	if (place->fd < 0)
		return;
	/*
	 * We still listen: no starter takes the place for free between the look and the removal, and nobody else's
	 * socket has this inode number.
	 */
	if (!lstat(path, &st) && st.st_dev == place->dev && st.st_ino == place->ino)
		unlink(path);
	if (hang_up_on_all(place))
		close(place->fd);
	else
		closer_close(place->fd, place);
	place->fd = -1;
}
