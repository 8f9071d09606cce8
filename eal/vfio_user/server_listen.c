/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server_listen.c - the socket's place in the file system: made, taken over from a dead server, removed.
 *
 * A dead server leaves its socket's file behind, and connecting to it is refused. Between that look and taking the
 * place another starter may do the same, so both happen under a lock of the directory (flock): nothing is left behind
 * by it, and the kernel lets go of it whatever becomes of us. A directory that cannot be read is not locked.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server_internal.h"

#define BACKLOG 16
/* The lock is held for microseconds; somebody who keeps it does so on purpose. */
#define LOCK_PATIENCE_NS 5000000000ull
#define LOCK_RETRY_NS 1000000

static int open_directory(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
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
	const struct timespec pause = {.tv_nsec = LOCK_RETRY_NS};
	uint64_t until_ns = vuser_now_ns() + LOCK_PATIENCE_NS;
	int fd = open_directory(path);

	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			break; /* a file system without locks */
		if (vuser_now_ns() >= until_ns) {
			close(fd);
			return -EBUSY;
		}
		nanosleep(&pause, NULL);
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
	quoll_error_set(err, EADDRINUSE, "listen", path, "another server listens there");
	quoll_error_hint(err, "end it, or choose another path");
	return -EADDRINUSE;
}

/* Remove what a dead server has left. Return: 0: the place is free. */
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
		return quoll_error_set(err, errno, "listen", path, "cannot remove a dead server's socket: %s",
				       strerrordesc_np(errno));
	return 0;
}

static int bind_and_listen(struct quoll_server *server, struct quoll_error *err)
{
	const struct sockaddr_un *address = &server->address;
	const char *path = address->sun_path;
	struct stat st;
	int rc;

	/* The file is made with the mode of the socket, from its first moment on and whatever the umask allows. */
	if (fchmod(server->listen_fd, 0600))
		return quoll_error_set(err, errno, "listen", path, "no mode: %s", strerrordesc_np(errno));
	if (bind(server->listen_fd, (const struct sockaddr *)address, sizeof(*address))) {
		rc = errno;
		return rc == EADDRINUSE ? in_use(path, err)
					: quoll_error_set(err, rc, "listen", path, "cannot make the socket: %s",
							  strerrordesc_np(rc));
	}
	if (listen(server->listen_fd, BACKLOG) || lstat(path, &st)) {
		rc = errno;
		unlink(path);
		return quoll_error_set(err, rc, "listen", path, "cannot listen: %s", strerrordesc_np(rc));
	}
	server->socket_dev = st.st_dev;
	server->socket_ino = st.st_ino;
	return 0;
}

int server_listen(struct quoll_server *server, struct quoll_error *err)
{
	const char *path = server->address.sun_path;
	int lock = lock_directory(path);
	int rc;

	if (lock == -EBUSY) {
		quoll_error_set(err, EBUSY, "listen", path, "somebody keeps the directory locked (flock)");
		quoll_error_hint(err, "see who, in /proc/locks, or choose a directory that only you can read");
		return -EBUSY;
	}
	server->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->listen_fd < 0)
		rc = quoll_error_set(err, errno, "listen", path, "no socket: %s", strerrordesc_np(errno));
	else
		rc = make_room(&server->address, err);
	if (!rc)
		rc = bind_and_listen(server, err);
	if (rc && server->listen_fd >= 0) {
		close(server->listen_fd);
		server->listen_fd = -1;
	}
	unlock_directory(lock);
	return rc;
}

void server_unlisten(struct quoll_server *server)
{
	const char *path = server->address.sun_path;
	struct stat st;

	if (server->listen_fd < 0)
		return;
	/*
	 * We still listen: no starter takes the place for free between the look and the removal, and nobody else's
	 * socket has this inode number.
	 */
	if (!lstat(path, &st) && st.st_dev == server->socket_dev && st.st_ino == server->socket_ino)
		unlink(path);
	close(server->listen_fd);
	server->listen_fd = -1;
	server->listen_watched = false;
}
