/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * peer.c - front ends come and go: listening or connecting, one session at a time, the regular check.
 *
 * Nothing here waits for the other side. A message is read when it is whole, and served when no queue's thread uses a
 * ring any more; until then it is held, and the next check goes on.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vfio_user/closer.h"

#include "vhost.h"

/* Messages a check, so that one that floods us does not keep this thread from its queues. */
#define CHECK_MESSAGES 16u
#define RETRY_NS 100000000u

int vhost_peer_open(struct vhost_port *vp, struct quoll_error *err)
{
	vp->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (vp->timer_fd < 0)
		return quoll_error_set(err, errno, "open", vp->port.name, "no timer: %s", strerrordesc_np(errno));
	if (vp->client) {
		vp->listen.fd = -1;
		return 0;
	}
	if (quoll_listen_open(vp->path, &vp->listen, err)) {
		close(vp->timer_fd);
		return -err->errnum;
	}
	return 0;
}

void vhost_peer_close(struct vhost_port *vp)
{
	quoll_listen_close(&vp->listen);
	close(vp->timer_fd);
}

/* Sleepers. */

static void watch_all(struct vhost_port *vp, int op, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	for (unsigned int i = 1; fd >= 0 && i < 2 * vp->nr_pairs; i += 2)
		if (vp->vrings[i].epoll_fd >= 0)
			epoll_ctl(vp->vrings[i].epoll_fd, op, fd, &event);
}

int vhost_watch(struct vhost_port *vp, int epoll_fd)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, vp->timer_fd, &event))
		return -errno;
	event.events = EPOLLIN;
	return vp->listen.fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, vp->listen.fd, &event) ? -errno : 0;
}

/* Time passes for a connection that is to be tried again, and for a message that has begun. */
static void set_timer(struct vhost_port *vp)
{
	bool wanted = vp->connected ? vhost_begun(&vp->conn) : vp->client;
	struct itimerspec spec = {.it_interval.tv_nsec = wanted ? RETRY_NS : 0,
				  .it_value.tv_nsec = wanted ? RETRY_NS : 0};

	if (wanted == vp->timer_runs)
		return;
	vp->timer_runs = wanted;
	timerfd_settime(vp->timer_fd, 0, &spec, NULL);
}

/* Sessions. */

static int try_connect(struct vhost_port *vp)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	strcpy(address.sun_path, vp->path);
	if (!connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		return fd;
	close(fd);
	return -1;
}

static void session_begin(struct vhost_port *vp)
{
	uint64_t now = fd_socket_now_ns();
	int fd;

	/* Whose files can't be closed sends no more of them. */
	if (closer_full(&vp->conn))
		return;
	if (vp->client) {
		if (now < vp->next_try_ns)
			return;
		vp->next_try_ns = now + RETRY_NS;
	}
	fd = vp->client ? try_connect(vp) : accept4(vp->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	vhost_conn_init(&vp->conn, fd);
	vp->connected = true;
	vp->held = vp->leaving = false;
	quoll_count(&vp->nr_sessions, 1);
	watch_all(vp, EPOLL_CTL_DEL, vp->listen.fd); /* others wait, without waking us */
	watch_all(vp, EPOLL_CTL_ADD, fd);
	quoll_log(net_env(&vp->port), QUOLL_LOG_DEBUG, "net", "%s: front end connected", vp->port.name);
}

void vhost_session_end(struct vhost_port *vp)
{
	if (!vp->connected)
		return;
	vhost_conn_close(&vp->conn);
	vhost_vrings_reset(vp);
	vhost_inflight_drop(vp);
	vhost_memory_drop(vp);
	vp->connected = vp->held = vp->leaving = false;
	vp->features = vp->protocol = 0;
	vhost_vrings_tell_lacks(vp);
	vp->status = 0;
	watch_all(vp, EPOLL_CTL_ADD, vp->listen.fd);
	net_port_set_link(&vp->port, false, false, 0);
}

static void leave(struct vhost_port *vp, int why)
{
	vp->leaving = true;
	if (why == -ECONNRESET)
		return;
	quoll_count(&vp->nr_bad_sessions, 1);
	(void)net_port_warn(&vp->port, &vp->bad_pace, "front end sent away: %s", strerrordesc_np(-why));
}

/* What the guest, or its front end, cannot be helped with. */
static bool memory_vanished(const struct vhost_port *vp)
{
	for (unsigned int i = 0; i < vp->memory.nr; i++)
		if (vp->memory.areas[i].guard >= 0 && net_guard_hit(&vp->port, vp->memory.areas[i].guard))
			return true;
	return false;
}

static bool ring_broken(const struct vhost_port *vp)
{
	for (unsigned int i = 0; i < 2 * vp->nr_pairs; i++)
		/* Relaxed: a look, the ring is taken back before anything is done about it. */
		if (__atomic_load_n(&vp->vrings[i].ring.broken, __ATOMIC_RELAXED))
			return true;
	return false;
}

/* The next step of a session. Return: whether there may be another at once. */
static bool step(struct vhost_port *vp)
{
	int rc;

	if (!vp->leaving && !vp->held) {
		rc = vhost_recv_step(&vp->conn);
		if (!rc)
			return false;
		if (rc < 0)
			leave(vp, rc);
		else
			vp->held = true;
	}
	if (!vhost_vrings_park(vp))
		return false;
	if (vp->leaving) {
		vhost_session_end(vp);
		return false;
	}
	vp->held = false;
	rc = vhost_request_serve(vp);
	if (!rc)
		rc = vhost_vrings_publish(vp);
	if (rc)
		leave(vp, rc);
	return true;
}

void vhost_peer_check(struct vhost_port *vp)
{
	if (!vp->connected)
		session_begin(vp);
	if (vp->connected && !vp->leaving) {
		if (memory_vanished(vp))
			leave(vp, -EFAULT);
		else if (ring_broken(vp))
			leave(vp, -EPROTO);
	}
	for (unsigned int i = 0; vp->connected && i < CHECK_MESSAGES && step(vp); i++)
		;
	/* Relaxed: arm looks at it in the same thread, or in one that is woken by what is left. */
	__atomic_store_n(&vp->pending, vp->connected && (vp->leaving || vp->held), __ATOMIC_RELAXED);
	set_timer(vp);
}
