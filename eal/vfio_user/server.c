/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server.c - a vfio-user server: made and unmade, clients that come and go, the poll.
 *
 * Who connects is a visitor at first, and becomes the client with its first message, VERSION, if there is none. A
 * visitor that comes while a client is alive is answered with an error, one that comes while the device still lets go
 * of the last client's memory waits. So neither silence nor a reconnect that is quicker than the clean-up does harm.
 *
 * Nothing here waits: a message that is not there yet, a reply that is not taken yet, a device that is not done yet are
 * looked at again in the next poll, and a timer in the event set bounds what a client may keep us in.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "closer.h"
#include "server_internal.h"

#define NS_PER_S 1000000000ull
#define ACCEPT_AGAIN_NS NS_PER_S
#define HUNG_UP (EPOLLRDHUP | EPOLLHUP | EPOLLERR)
#define MAX_EVENTS (3 + SERVER_VISITORS)

/* What an event is about. */
enum {
	ABOUT_LISTENER,
	ABOUT_TIMER,
	ABOUT_CLIENT,
	ABOUT_VISITOR, /* and its number */
};

static int contradiction(const char *path, unsigned int idx, const char *what, struct quoll_error *err)
{
	return quoll_error_set(err, EINVAL, "listen", path, "device: region %u: %s", idx, what);
}

static bool areas_fit(const struct quoll_server_region *region)
{
	uint64_t behind = 0;

	if (region->nr_areas > QUOLL_REGION_MAX_AREAS)
		return false;
	for (unsigned int i = 0; i < region->nr_areas; i++) {
		const struct quoll_region_area *area = &region->areas[i];

		if (!area->size_bytes || (area->offset | area->size_bytes) % SERVER_PAGE_BYTES)
			return false;
		if (area->offset < behind || area->offset > region->size_bytes ||
		    area->size_bytes > region->size_bytes - area->offset)
			return false;
		behind = area->offset + area->size_bytes;
	}
	return true;
}

/* Why the region can't lie in its file; NULL: it can. */
static const char *region_file_fault(const struct quoll_server_region *region)
{
	struct stat st;
	int seals = fcntl(region->fd, F_GET_SEALS);

	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return "its file is not sealed against shrinking";
	if (fstat(region->fd, &st) || region->fd_offset % SERVER_PAGE_BYTES ||
	    region->fd_offset > (uint64_t)st.st_size || region->size_bytes > (uint64_t)st.st_size - region->fd_offset)
		return "it is not in its file, or not on a page";
	return NULL;
}

static int region_check(const char *path, const struct quoll_server_device *device, unsigned int idx,
			struct quoll_error *err)
{
	const struct quoll_server_region *region = &device->regions[idx];
	const char *fault;

	if (region->flags & ~(QUOLL_REGION_READ | QUOLL_REGION_WRITE | QUOLL_REGION_MMAP))
		return contradiction(path, idx, "unknown flags", err);
	if (!region->size_bytes && region->flags)
		return contradiction(path, idx, "it does not exist, but has flags", err);
	if ((region->flags & QUOLL_REGION_READ && !device->ops->region_read) ||
	    (region->flags & QUOLL_REGION_WRITE && !device->ops->region_write))
		return contradiction(path, idx, "nothing to read or write it with", err);
	if (!(region->flags & QUOLL_REGION_MMAP))
		return 0;
	if (!areas_fit(region))
		return contradiction(path, idx, "areas overlap, lie outside or off pages, or are not in order", err);
	fault = region_file_fault(region);
	return fault ? contradiction(path, idx, fault, err) : 0;
}

static int device_check(const char *path, const struct quoll_server_device *device, struct quoll_error *err)
{
	const unsigned int irq_flags =
		QUOLL_IRQ_EVENTFD | QUOLL_IRQ_MASKABLE | QUOLL_IRQ_AUTOMASKED | QUOLL_IRQ_NORESIZE;
	int rc = 0;

	if (!device->ops || (device->bus != QUOLL_BUS_PCI && device->bus != QUOLL_BUS_PLATFORM) ||
	    device->nr_regions > QUOLL_SERVER_MAX_REGIONS || device->nr_irqs > QUOLL_SERVER_MAX_IRQS)
		return quoll_error_set(err, EINVAL, "listen", path,
				       "device: no ops, an unknown bus, or too many regions or interrupts");
	if (device->bus == QUOLL_BUS_PCI &&
	    (device->nr_regions <= VFIO_PCI_CONFIG_REGION_INDEX || device->nr_irqs <= VFIO_PCI_MSIX_IRQ_INDEX ||
	     !device->regions[VFIO_PCI_CONFIG_REGION_INDEX].size_bytes))
		return quoll_error_set(err, EINVAL, "listen", path, "device: PCI, yet without config space");
	for (unsigned int i = 0; !rc && i < device->nr_regions; i++)
		rc = region_check(path, device, i, err);
	for (unsigned int i = 0; !rc && i < device->nr_irqs; i++)
		if (device->irqs[i].nr_vectors > QUOLL_SERVER_MAX_VECTORS || device->irqs[i].flags & ~irq_flags)
			rc = quoll_error_set(err, EINVAL, "listen", path,
					     "device: interrupt %u: unknown flags, or too many vectors", i);
	return rc;
}

static int watch(struct quoll_server *server, int op, int fd, uint32_t events, uint32_t about)
{
	struct epoll_event event = {.events = events, .data.u32 = about};

	return epoll_ctl(server->epoll_fd, op, fd, &event) ? -errno : 0;
}

/* What of the client's socket there is to wait for. */
static void watch_client(struct quoll_server *server)
{
	uint32_t events = EPOLLRDHUP;

	if (server->state != SERVER_SERVING)
		return;
	if (vuser_is_posting(&server->conn))
		events |= EPOLLOUT;
	else if (!server->waiting)
		events |= EPOLLIN;
	if (events != server->watched && !watch(server, EPOLL_CTL_MOD, server->conn.fd, events, ABOUT_CLIENT))
		server->watched = events;
}

static void watch_listener(struct quoll_server *server, bool on)
{
	if (server->listen.fd < 0 || server->listen_watched == on)
		return;
	if (!watch(server, EPOLL_CTL_MOD, server->listen.fd, on ? EPOLLIN : 0, ABOUT_LISTENER))
		server->listen_watched = on;
}

/* Out of the event set first: the socket itself may go later. */
static void conn_close(struct quoll_server *server, struct vuser_conn *conn)
{
	epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
	vuser_conn_close(conn);
}

static void visitor_close(struct quoll_server *server, struct server_visitor *visitor)
{
	if (visitor->there)
		conn_close(server, &visitor->conn);
	visitor->there = false;
}

/* The client is at its end. The device is told in the polls that follow. */
static void leave(struct quoll_server *server)
{
	struct vuser_conn *conn = &server->conn;
	bool hung_up = !conn->error || conn->error == -ECONNRESET || conn->error == -ECONNABORTED;

	if (conn->nr_protocol_errors && !hung_up)
		server->stats.protocol_errors++;
	quoll_log(&server->env, hung_up ? QUOLL_LOG_INFO : QUOLL_LOG_WARN, "vfio-user", "%s: session ended: %s",
		  server->listen.address.sun_path, hung_up ? "hung up" : strerrordesc_np(-conn->error));
	conn_close(server, conn);
	server_held_drop(server);
	server_irqs_drop(server);
	server->waiting = false;
	server->state = SERVER_LEAVING;
}

/* Return: how much was done. */
static unsigned int leave_go_on(struct quoll_server *server)
{
	const struct quoll_server_ops *ops = server->device.ops;

	if (server->introduced && ops->disconnect && ops->disconnect(server->device.arg) == -EAGAIN)
		return 0;
	server->introduced = false;
	server_maps_drop(server);
	server->state = SERVER_FREE;
	return 1;
}

/* A visitor with its first message becomes the client. */
static void admit(struct quoll_server *server, struct server_visitor *visitor)
{
	server->conn = visitor->conn;
	visitor->there = false;
	server->state = SERVER_SERVING;
	server->watched = 0;
	if (watch(server, EPOLL_CTL_MOD, server->conn.fd, EPOLLRDHUP, ABOUT_CLIENT))
		vuser_conn_fail(&server->conn, -ENOMEM);
	else
		server->watched = EPOLLRDHUP;
	if (server_serve_version(server)) {
		leave(server);
		return;
	}
	server->stats.clients++;
	quoll_log(&server->env, QUOLL_LOG_INFO, "vfio-user", "%s: a client is there", server->listen.address.sun_path);
}

static void refuse(struct quoll_server *server, struct server_visitor *visitor)
{
	server->stats.refused++;
	server_refuse(&visitor->conn, EBUSY);
	visitor_close(server, visitor);
}

/* Whether the client has hung up; what it has sent before may still be there to be served. */
static bool client_hung_up(const struct quoll_server *server)
{
	struct pollfd pfd = {.fd = server->conn.fd, .events = POLLRDHUP};

	return poll(&pfd, 1, 0) > 0;
}

/* It waits for the last client to be gone. What more it has to say is of no interest now, only whether it stays. */
static void visitor_park(struct quoll_server *server, struct server_visitor *visitor)
{
	if (!visitor->parked && watch(server, EPOLL_CTL_MOD, visitor->conn.fd, EPOLLRDHUP,
				      (uint32_t)(ABOUT_VISITOR + (visitor - server->visitors))))
		visitor_close(server, visitor);
	visitor->parked = true;
}

static unsigned int visitor_step(struct quoll_server *server, struct server_visitor *visitor, uint32_t events)
{
	int rc = 0;

	if (visitor->parked && events & HUNG_UP)
		rc = -ECONNRESET;
	else if (visitor->parked)
		rc = 1;
	else if (events)
		rc = vuser_recv_step(&visitor->conn);
	if (rc < 0)
		visitor_close(server, visitor);
	if (rc <= 0)
		return rc < 0;
	if (server->state == SERVER_FREE)
		admit(server, visitor);
	else if (server->state == SERVER_SERVING && !client_hung_up(server))
		refuse(server, visitor);
	else
		visitor_park(server, visitor);
	return !visitor->there;
}

static struct server_visitor *visitor_place(struct quoll_server *server)
{
	for (unsigned int i = 0; i < SERVER_VISITORS; i++)
		if (!server->visitors[i].there)
			return &server->visitors[i];
	return NULL;
}

static void visitor_begin(struct quoll_server *server, struct server_visitor *visitor, int fd)
{
	vuser_conn_init(&visitor->conn, fd);
	visitor->conn.stall_ns = server->stall_ns;
	visitor->conn.owner = server;
	visitor->since_ns = fd_socket_now_ns();
	visitor->there = true;
	visitor->parked = false;
	if (watch(server, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP,
		  (uint32_t)(ABOUT_VISITOR + (visitor - server->visitors))))
		visitor_close(server, visitor);
}

/* As many as there is place for; the others wait in the socket's queue. */
static unsigned int accept_all(struct quoll_server *server)
{
	struct server_visitor *visitor;
	unsigned int n = 0;
	int fd;

	/* Whose clients' files can't be closed takes no more of them. */
	if (closer_full(server)) {
		server->accept_again_ns = fd_socket_now_ns() + ACCEPT_AGAIN_NS;
		return 0;
	}
	while ((visitor = visitor_place(server))) {
		fd = accept4(server->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			visitor_begin(server, visitor, fd);
			n++;
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		/* Out of files or memory, most likely: looked at again when the timer says so, not in every poll. */
		if (errno != EAGAIN)
			server->accept_again_ns = fd_socket_now_ns() + ACCEPT_AGAIN_NS;
		break;
	}
	return n;
}

/* The next message of the client, whether it came early or is in the socket. Return: as vuser_recv_step(). */
static int client_next(struct quoll_server *server)
{
	return server_held_next(server) ? 1 : vuser_recv_step(&server->conn);
}

static unsigned int client_serve(struct quoll_server *server)
{
	unsigned int n = 0;
	int rc = 0;

	while (n < SERVER_POLL_MESSAGES) {
		if (!server->waiting) {
			rc = client_next(server);
			if (rc <= 0)
				break;
		}
		rc = server_serve(server);
		server->waiting = rc == -EAGAIN;
		if (rc)
			break;
		n++;
		if (vuser_is_posting(&server->conn))
			break;
	}
	return n;
}

static unsigned int client_step(struct quoll_server *server, uint32_t events)
{
	struct vuser_conn *conn = &server->conn;
	unsigned int n = 0;
	bool blocked;

	if (__atomic_load_n(&server->bus_error, __ATOMIC_RELAXED) && !conn->error) {
		conn->nr_protocol_errors++;
		vuser_conn_fail(conn, -EFAULT);
	}
	blocked = vuser_flush(conn) == 0;
	if ((blocked || server->waiting) && events & HUNG_UP)
		vuser_conn_fail(conn, -ECONNRESET);
	if (!conn->error && !blocked && (events || server->waiting || server->held))
		n = client_serve(server);
	if (conn->error && server->state == SERVER_SERVING) {
		leave(server);
		n++;
	}
	return n;
}

static void visitors_expire(struct quoll_server *server)
{
	uint64_t now = fd_socket_now_ns();

	for (unsigned int i = 0; i < SERVER_VISITORS; i++) {
		struct server_visitor *visitor = &server->visitors[i];

		if (visitor->there && !visitor->parked && now - visitor->since_ns >= server->stall_ns)
			visitor_close(server, visitor);
	}
}

static void earlier(uint64_t *when, uint64_t other)
{
	if (other < *when)
		*when = other;
}

/* When a poll is needed though nothing comes in. UINT64_MAX: not. */
static uint64_t deadline(const struct quoll_server *server)
{
	uint64_t when = UINT64_MAX;

	if (server->state == SERVER_SERVING && vuser_is_posting(&server->conn))
		earlier(&when, server->conn.unsent_ns + server->stall_ns);
	else if (server->state == SERVER_SERVING && vuser_begun_ns(&server->conn))
		earlier(&when, vuser_begun_ns(&server->conn) + server->stall_ns);
	for (unsigned int i = 0; i < SERVER_VISITORS; i++)
		if (server->visitors[i].there && !server->visitors[i].parked)
			earlier(&when, server->visitors[i].since_ns + server->stall_ns);
	if (server->accept_again_ns)
		earlier(&when, server->accept_again_ns);
	return when;
}

static void set_timer(struct quoll_server *server)
{
	uint64_t when = deadline(server);
	struct itimerspec spec = {0};

	if (when == server->timer_ns)
		return;
	if (when != UINT64_MAX) {
		spec.it_value.tv_sec = (time_t)(when / NS_PER_S);
		spec.it_value.tv_nsec = (long)(when % NS_PER_S);
	}
	if (!timerfd_settime(server->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL))
		server->timer_ns = when;
}

/* The timer has rung. */
static void timer_rung(struct quoll_server *server)
{
	uint64_t times;

	if (read(server->timer_fd, &times, sizeof(times)) < 0)
		return;
	server->timer_ns = UINT64_MAX;
	if (server->accept_again_ns && fd_socket_now_ns() >= server->accept_again_ns)
		server->accept_again_ns = 0;
	visitors_expire(server);
}

unsigned int quoll_server_poll(struct quoll_server *server)
{
	struct epoll_event events[MAX_EVENTS];
	uint32_t about[MAX_EVENTS] = {0};
	unsigned int handled = 0;
	int n = epoll_wait(server->epoll_fd, events, MAX_EVENTS, 0);

	__atomic_store_n(&server->thread, pthread_self(), __ATOMIC_RELAXED);
	server->dma_waited_ns = 0;
	for (int i = 0; i < n; i++)
		about[events[i].data.u32] = events[i].events;
	if (about[ABOUT_TIMER]) {
		timer_rung(server);
		about[ABOUT_CLIENT] |= EPOLLIN; /* it may be late */
	}
	if (server->state == SERVER_SERVING)
		handled += client_step(server, about[ABOUT_CLIENT]);
	if (server->state == SERVER_LEAVING)
		handled += leave_go_on(server);
	if (about[ABOUT_LISTENER] && server->listen.fd >= 0)
		handled += accept_all(server);
	for (unsigned int i = 0; i < SERVER_VISITORS; i++)
		if (server->visitors[i].there)
			handled += visitor_step(server, &server->visitors[i], about[ABOUT_VISITOR + i]);
	watch_client(server);
	watch_listener(server, visitor_place(server) && !server->accept_again_ns);
	set_timer(server);
	return handled;
}

int quoll_server_fd(const struct quoll_server *server)
{
	return server->epoll_fd;
}

bool quoll_server_pending(const struct quoll_server *server)
{
	return server->waiting || server->held || server->state == SERVER_LEAVING ||
	       (server->state == SERVER_SERVING &&
		(server->conn.error || __atomic_load_n(&server->bus_error, __ATOMIC_RELAXED)));
}

int quoll_server_region_fd(struct quoll_server *server, unsigned int idx, int fd)
{
	struct quoll_server_region region;

	/* One that is about to be introduced has seen nothing yet, one that leaves sees nothing any more. */
	if (server->state == SERVER_SERVING && server->introduced)
		return -EBUSY;
	if (idx >= server->device.nr_regions || !(server->device.regions[idx].flags & QUOLL_REGION_MMAP))
		return -EINVAL;
	region = server->device.regions[idx];
	region.fd = fd;
	if (region_file_fault(&region))
		return -EINVAL;
	server->device.regions[idx].fd = fd;
	return 0;
}

void quoll_server_hang_up(struct quoll_server *server)
{
	if (quoll_server_connected(server))
		vuser_conn_fail(&server->conn, -ECONNABORTED);
}

bool quoll_server_connected(const struct quoll_server *server)
{
	return server->state == SERVER_SERVING && !server->conn.error;
}

void quoll_server_stop(struct quoll_server *server)
{
	for (unsigned int i = 0; i < SERVER_VISITORS; i++)
		visitor_close(server, &server->visitors[i]);
	quoll_listen_close(&server->listen);
	server->listen_watched = false;
}

void quoll_server_stats(const struct quoll_server *server, struct quoll_server_stats *stats)
{
	*stats = server->stats;
}

static int caps_print(struct quoll_server *server)
{
	struct vuser_caps caps;

	vuser_caps_default(&caps);
	caps.max_msg_fds = SERVER_MSG_FDS;
	caps.max_dma_maps = SERVER_DMA_MAPS;
	caps.write_multiple = true;
	server->caps_text = vuser_caps_print(&caps);
	return server->caps_text ? 0 : -ENOMEM;
}

/* The event set, with timer and listener. */
static int events_create(struct quoll_server *server)
{
	int rc;

	server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (server->epoll_fd < 0)
		return -errno;
	server->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (server->timer_fd < 0)
		return -errno;
	server->timer_ns = UINT64_MAX;
	rc = watch(server, EPOLL_CTL_ADD, server->timer_fd, EPOLLIN, ABOUT_TIMER);
	if (!rc)
		rc = watch(server, EPOLL_CTL_ADD, server->listen.fd, EPOLLIN, ABOUT_LISTENER);
	server->listen_watched = !rc;
	return rc;
}

static struct quoll_server *server_new(const struct quoll_env *env, const struct quoll_server_device *device)
{
	struct quoll_server *server = calloc(1, sizeof(*server));

	if (!server)
		return NULL;
	if (env)
		server->env = *env;
	server->device = *device;
	server_maps_init(server);
	server->listen.fd = server->epoll_fd = server->timer_fd = server->conn.fd = -1;
	server->stall_ns = VUSER_STALL_NS;
	server->dma_timeout_ns = SERVER_DMA_TIMEOUT_NS;
	server->dma_round_ns = SERVER_DMA_ROUND_NS;
	server->dma_left_ns = SERVER_DMA_TIMEOUT_NS;
	server->dma_left_at_ns = fd_socket_now_ns();
	server->held_tail = &server->held;
	return server;
}

int quoll_server_create(const struct quoll_env *env, const char *path, const struct quoll_server_device *device,
			struct quoll_server **server, struct quoll_error *err)
{
	struct quoll_server *s;
	int rc = device_check(path, device, err);

	if (rc)
		return rc;
	s = server_new(env, device);
	if (!s)
		return quoll_error_set(err, ENOMEM, "listen", path, "out of memory");
	rc = server_irqs_create(s);
	if (!rc)
		rc = caps_print(s);
	if (rc) {
		quoll_error_set(err, -rc, "listen", path, "out of memory");
	} else {
		rc = quoll_listen_open(path, &s->listen, err);
		if (!rc && (rc = events_create(s)))
			quoll_error_set(err, -rc, "listen", path, "no event set: %s", strerrordesc_np(-rc));
	}
	if (rc) {
		quoll_server_destroy(s);
		return rc;
	}
	*server = s;
	return 0;
}

void quoll_server_destroy(struct quoll_server *server)
{
	if (!server)
		return;
	quoll_server_stop(server);
	if (server->state == SERVER_SERVING)
		leave(server);
	if (server->state == SERVER_LEAVING)
		leave_go_on(server);
	server_maps_drop(server);
	server_irqs_destroy(server);
	if (server->timer_fd >= 0)
		close(server->timer_fd);
	if (server->epoll_fd >= 0)
		close(server->epoll_fd);
	free(server->caps_text);
	free(server->data);
	free(server);
}
