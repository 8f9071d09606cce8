/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio_user_session.c - a connection to a vfio-user server: connecting, negotiating, commands and their replies.
 *
 * One command is on its way at a time. While its reply is awaited, commands of the server are carried out, on the same
 * socket or on its own: it may need our memory to answer.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "backend/vfio_user.h"

/* What comes unasked is looked at in poll loops: so much at a time. */
#define IDLE_MESSAGES 16u
#define CONNECT_RETRY_NS 1000000
#define MAX_ERRNO 4095u
/*
 * A server answers within some tens of microseconds, and to be woken takes longer than that where CPUs are virtual: a
 * doorbell after a rest would cost twice as much.
 */
#define STAY_AWAKE_NS 100000u
/* The largest access that must not be cut in two: a 64-bit register. */
#define LEAST_DATA_BYTES 8u

static uint64_t timeout_ns(const struct vfio_user_session *s)
{
	const struct vfio_user_space *space = s->ioas->priv;

	return space->timeout_ns;
}

static uint64_t deadline_ns(const struct vfio_user_session *s)
{
	uint64_t until = fd_socket_now_ns() + timeout_ns(s);

	return s->budget_ns && s->budget_ns < until ? s->budget_ns : until;
}

void vfio_user_hurry(struct vfio_user_session *s)
{
	pthread_mutex_lock(&s->lock);
	s->budget_ns = fd_socket_now_ns() + timeout_ns(s);
	pthread_mutex_unlock(&s->lock);
}

void vfio_user_unhurry(struct vfio_user_session *s)
{
	pthread_mutex_lock(&s->lock);
	s->budget_ns = 0;
	pthread_mutex_unlock(&s->lock);
}

int vfio_user_end(struct vfio_user_session *s, int rc)
{
	int shown = rc == -ETIMEDOUT || rc == -ENOMEM ? rc : rc == -ECONNRESET ? -ENODEV : -EPROTO;

	if (vfio_user_is_dead(s))
		return -ENODEV;
	atomic_store_explicit(&s->dead, shown, memory_order_relaxed);
	shutdown(s->conn.fd, SHUT_RDWR);
	if (s->twin.fd >= 0)
		shutdown(s->twin.fd, SHUT_RDWR);
	quoll_log(&s->ioas->env, QUOLL_LOG_WARN, "vfio-user", "%s: session ended: %s", s->path,
		  rc == -ECONNRESET ? "the server is gone" : strerrordesc_np(-rc));
	return shown;
}

int vfio_user_explain(struct vfio_user_session *s, int rc, const char *stage, const char *doing,
		      struct quoll_error *err)
{
	int dead = atomic_load_explicit(&s->dead, memory_order_relaxed);

	if (!dead)
		return quoll_error_set(err, -rc, stage, s->path, "%s: the server refuses: %s", doing,
				       strerrordesc_np(-rc) ? strerrordesc_np(-rc) : "unknown error");
	switch (dead) {
	case -ETIMEDOUT:
		quoll_error_set(err, ETIMEDOUT, stage, s->path, "%s: the server does not answer in time", doing);
		quoll_error_hint(err, "see whether it hangs, or serves another client: a socket takes one at a time");
		return -ETIMEDOUT;
	case -ENODEV:
		return quoll_error_set(err, ENODEV, stage, s->path, "%s: the server has closed the connection, or died",
				       doing);
	case -ENOMEM:
		return quoll_error_set(err, ENOMEM, stage, s->path, "%s: out of memory", doing);
	default:
		return quoll_error_set(err, EPROTO, stage, s->path,
				       "%s: what the server sends is not the vfio-user protocol, version %d.%d", doing,
				       VUSER_MAJOR, VUSER_MINOR);
	}
}

/* Wait until one of the sockets has something, or a while has gone by. */
static void wait_any(const struct vfio_user_session *s, uint64_t until_ns)
{
	struct pollfd pfds[2] = {{.fd = s->conn.fd, .events = POLLIN}, {.fd = s->twin.fd, .events = POLLIN}};
	uint64_t now = fd_socket_now_ns(), left = until_ns > now ? until_ns - now : 0;
	struct timespec ts = {.tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u)};

	ppoll(pfds, 2, &ts, NULL); /* a negative fd is passed over; the caller looks at clock and sockets again */
}

/* A command of the server on its own socket, if there is one. Return: 1: done, 0: none, -errno. */
static int step_twin(struct vfio_user_session *s)
{
	int rc;

	if (s->twin.fd < 0)
		return 0;
	rc = vuser_recv_step(&s->twin);
	if (rc <= 0)
		return rc;
	if (!vuser_is_command(&s->twin.header))
		return -EPROTO; /* we never ask anything there */
	rc = vfio_user_serve(s, &s->twin);
	return rc ? rc : 1;
}

static int wait_reply(struct vfio_user_session *s, const struct vuser_out *out, uint64_t until_ns)
{
	const struct vuser_header *header = &s->conn.header;
	uint64_t awake_until_ns = fd_socket_now_ns() + STAY_AWAKE_NS, now;
	bool served;
	int rc;

	for (;;) {
		rc = vuser_recv_step(&s->conn);
		if (rc < 0)
			return rc;
		if (rc && !vuser_is_command(header))
			return header->id == out->id && header->command == out->command ? 0 : -EPROTO;
		served = rc > 0;
		if (served && (rc = vfio_user_serve(s, &s->conn)))
			return rc;
		rc = step_twin(s);
		if (rc < 0)
			return rc;
		served |= rc > 0;
		/* Also when the server keeps us busy. */
		now = fd_socket_now_ns();
		if (now >= until_ns)
			return -ETIMEDOUT;
		if (served)
			continue;
		if (now < awake_until_ns)
			(void)sched_yield();
		else
			wait_any(s, until_ns);
	}
}

/* The reply is in s->conn: copy it out. Return: 0, -EPROTO if it is not of the form that the call expects. */
static int take_reply(struct vfio_user_session *s, struct vfio_user_call *call)
{
	struct vuser_conn *conn = &s->conn;

	if (vuser_expect(conn, call->reply_bytes + call->rest_min, call->reply_bytes + call->rest_room, call->max_fds))
		return -EPROTO;
	if (call->reply_bytes)
		memcpy(call->reply, conn->payload, call->reply_bytes);
	call->rest_bytes = conn->payload_bytes - call->reply_bytes;
	if (call->rest_bytes)
		memcpy(call->rest, conn->payload + call->reply_bytes, call->rest_bytes);
	call->nr_fds_in = conn->nr_fds;
	for (unsigned int i = 0; i < call->nr_fds_in; i++)
		call->fds_in[i] = vuser_take_fd(conn, i);
	return 0;
}

static int exchange(struct vfio_user_session *s, struct vfio_user_call *call)
{
	uint64_t until_ns = deadline_ns(s);
	struct vuser_out out = {
		.id = s->next_id++,
		.command = call->command,
		.head = call->head,
		.head_bytes = call->head_bytes,
		.data = call->data,
		.data_bytes = call->data_bytes,
		.fds = call->fds,
		.nr_fds = call->nr_fds,
	};
	uint32_t error;
	int rc;

	rc = vuser_send(&s->conn, &out, until_ns);
	if (!rc)
		rc = wait_reply(s, &out, until_ns);
	if (rc)
		return vfio_user_end(s, rc);
	if (!(s->conn.header.flags & VUSER_ERROR)) {
		rc = take_reply(s, call);
		return rc ? vfio_user_end(s, rc) : 0;
	}
	if (vuser_expect(&s->conn, 0, 0, 0))
		return vfio_user_end(s, -EPROTO);
	error = s->conn.header.error;
	return error && error <= MAX_ERRNO ? -(int)error : -EIO;
}

int vfio_user_call(struct vfio_user_session *s, struct vfio_user_call *call)
{
	int rc;

	call->nr_fds_in = 0;
	pthread_mutex_lock(&s->lock);
	rc = vfio_user_is_dead(s) ? -ENODEV : exchange(s, call);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static int idle_locked(struct vfio_user_session *s)
{
	int rc = 0, twin_rc = 0;

	for (unsigned int i = 0; i < IDLE_MESSAGES; i++) {
		rc = vuser_recv_step(&s->conn);
		if (rc > 0 && !vuser_is_command(&s->conn.header))
			rc = -EPROTO; /* a reply that nobody waits for */
		else if (rc > 0 && !(rc = vfio_user_serve(s, &s->conn)))
			rc = 1;
		if (rc >= 0)
			twin_rc = step_twin(s);
		if (rc < 0 || twin_rc < 0)
			return vfio_user_end(s, rc < 0 ? rc : twin_rc);
		if (!rc && !twin_rc)
			break;
	}
	return 0;
}

int vfio_user_idle(struct vfio_user_session *s)
{
	int rc = 0;

	/* If a thread is in a call, it sees whatever comes. */
	if (pthread_mutex_trylock(&s->lock))
		return vfio_user_is_dead(s) ? -ENODEV : 0;
	rc = vfio_user_is_dead(s) ? -ENODEV : idle_locked(s);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static int connect_refused(const char *path, int errnum, struct quoll_error *err)
{
	switch (errnum) {
	case ENOENT:
		quoll_error_set(err, ENOENT, "claim", path, "there is no such socket");
		quoll_error_hint(err, "start the server first, or mend the path");
		break;
	case ECONNREFUSED:
		quoll_error_set(err, ECONNREFUSED, "claim", path, "nobody listens there");
		quoll_error_hint(err, "start the server: the file is left from an earlier one, or is no socket");
		break;
	case EACCES:
	case EPERM:
		quoll_error_set(err, errnum, "claim", path, "no permission to connect");
		quoll_error_hint(err, "run as the server's user, or have it give you the right to write to %s", path);
		break;
	case EAGAIN:
		quoll_error_set(err, EBUSY, "claim", path, "other clients are waiting for the server already");
		quoll_error_hint(err, "end the client that it serves: a socket takes one at a time");
		return -EBUSY;
	default:
		quoll_error_set(err, errnum, "claim", path, "cannot connect: %s", strerrordesc_np(errnum));
	}
	return -errnum;
}

/* A UNIX socket whose queue is full has no way to tell when it no longer is: try again for a while. */
static int connect_socket(int fd, const struct sockaddr_un *sa, uint64_t until_ns)
{
	const struct timespec pause = {.tv_nsec = CONNECT_RETRY_NS};

	while (connect(fd, (const struct sockaddr *)sa, sizeof(*sa))) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || fd_socket_now_ns() >= until_ns)
			return -errno;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int session_connect(struct vfio_user_session *s, struct quoll_error *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t len = strlen(s->path);
	int fd, rc;

	if (!len || len >= sizeof(sa.sun_path))
		return quoll_error_set(err, ENAMETOOLONG, "claim", s->path, "a socket's path has 1 to %zu bytes",
				       sizeof(sa.sun_path) - 1);
	memcpy(sa.sun_path, s->path, len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return quoll_error_set(err, errno, "claim", s->path, "no socket: %s", strerrordesc_np(errno));
	rc = connect_socket(fd, &sa, deadline_ns(s));
	if (rc) {
		close(fd);
		return connect_refused(s->path, -rc, err);
	}
	vuser_conn_init(&s->conn, fd);
	s->conn.owner = s;
	return 0;
}

/* The socket for the server's commands must be one, or every look at it would be an error. */
static int take_twin(struct vfio_user_session *s, int *fds, unsigned int nr_fds)
{
	unsigned int index = (unsigned int)s->caps.twin_fd_index;
	socklen_t len = sizeof(int);
	int type = 0;

	if (!s->caps.twin_socket)
		return 0;
	if (s->caps.twin_fd_index < 0 || index >= nr_fds)
		return -EPROTO;
	if (getsockopt(fds[index], SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_STREAM)
		return -EPROTO;
	vuser_conn_init(&s->twin, fds[index]);
	s->twin.owner = s;
	fds[index] = -1;
	return 0;
}

static int version_check(struct vfio_user_session *s, const struct vuser_version *version, struct quoll_error *err)
{
	if (version->major != VUSER_MAJOR || version->minor > VUSER_MINOR)
		return quoll_error_set(err, EPROTO, "claim", s->path,
				       "the server speaks vfio-user %u.%u; %d.%d was proposed", version->major,
				       version->minor, VUSER_MAJOR, VUSER_MINOR);
	if (s->caps.max_data_bytes < LEAST_DATA_BYTES)
		return quoll_error_set(err, EPROTO, "claim", s->path,
				       "the server takes %u bytes of data at a time: "
				       "too few for a register",
				       s->caps.max_data_bytes);
	return 0;
}

static int negotiate_with(struct vfio_user_session *s, const char *ours, struct quoll_error *err)
{
	struct vuser_version proposed = {.major = VUSER_MAJOR, .minor = VUSER_MINOR}, version;
	char theirs[VUSER_CAPS_MAX_BYTES];
	int fds[VUSER_MAX_FDS];
	struct vfio_user_call call = {
		.command = VUSER_VERSION,
		.head = &proposed,
		.head_bytes = sizeof(proposed),
		.data = ours,
		.data_bytes = (uint32_t)strlen(ours) + 1,
		.reply = &version,
		.reply_bytes = sizeof(version),
		.rest = theirs,
		.rest_room = sizeof(theirs),
		.fds_in = fds,
		.max_fds = VUSER_MAX_FDS,
	};
	int rc;

	rc = vfio_user_call(s, &call);
	if (rc)
		return vfio_user_explain(s, rc, "claim", "version", err);
	rc = vuser_caps_parse(theirs, call.rest_bytes, &s->caps);
	if (!rc)
		rc = take_twin(s, fds, call.nr_fds_in);
	if (rc)
		quoll_error_set(err, -rc, "claim", s->path, "the capabilities that the server states make no sense");
	else
		rc = version_check(s, &version, err);
	for (unsigned int i = 0; i < call.nr_fds_in; i++)
		if (fds[i] >= 0)
			closer_close(fds[i], s->conn.owner);
	return rc;
}

static int negotiate(struct vfio_user_session *s, struct quoll_error *err)
{
	struct vuser_caps caps;
	char *ours;
	int rc;

	vuser_caps_default(&caps);
	caps.max_msg_fds = VUSER_MAX_FDS;
	caps.twin_socket = true;
	ours = vuser_caps_print(&caps);
	if (!ours)
		return quoll_error_set(err, ENOMEM, "claim", s->path, "out of memory");
	rc = negotiate_with(s, ours, err);
	free(ours);
	return rc;
}

int vfio_user_session_open(struct quoll_ioas *ioas, const struct quoll_addr *addr, struct vfio_user_session **session,
			   struct quoll_error *err)
{
	struct vfio_user_session *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return quoll_error_set(err, ENOMEM, "claim", addr->target, "out of memory");
	s->ioas = ioas;
	pthread_mutex_init(&s->lock, NULL);
	s->conn.fd = s->twin.fd = -1;
	snprintf(s->path, sizeof(s->path), "%s", addr->target);
	vfio_user_hurry(s);
	rc = session_connect(s, err);
	if (!rc)
		rc = negotiate(s, err);
	if (rc) {
		vfio_user_session_close(s);
		return rc;
	}
	*session = s;
	return 0;
}

void vfio_user_session_close(struct vfio_user_session *s)
{
	vuser_conn_close(&s->twin);
	vuser_conn_close(&s->conn);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
