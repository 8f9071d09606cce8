/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * user.c - virtio-user:PATH[?queues=N&packed=1&server=1&mac=MAC]: a port whose device is a vhost-user back end.
 *
 * The back end is another program. When it goes, or breaks the rules, the line goes down; queues are taken from their
 * threads, emptied, and given to the next one that is there, with the same features. A thread that polls does that,
 * about once a millisecond, in steps, and waits for nobody: the new back end hears a few messages a step.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <quoll/wait.h>

#include "vfio_user/closer.h"

#include "user.h"

#define BEGIN_NS UINT64_C(10000000000) /* somebody waits for it: open, start, stop */
#define RETURN_NS UINT64_C(5000000000) /* nobody waits, but for another one */
#define RETRY_NS UINT64_C(100000000)
#define PEER_WAIT_NS UINT64_C(30000000000)

/* Connections. */

static int try_connect(const struct virtio_user *u)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd, rc;

	if (strlen(u->path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	strcpy(sa.sun_path, u->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)&sa, sizeof(sa)))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static int try_accept(const struct virtio_user *u)
{
	int fd = accept4(u->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

/* Return: 0, and conn is a connection; -errno: there is nobody. */
static int try_reach(struct virtio_user *u)
{
	int fd;

	/* Whose files can't be closed sends no more of them. */
	if (closer_full(&u->conn))
		return -ENOBUFS;
	fd = u->listen.fd >= 0 ? try_accept(u) : try_connect(u);
	if (fd < 0)
		return fd;
	vhost_conn_init(&u->conn, fd);
	return 0;
}

static int reach_error(const struct virtio_user *u, int rc, struct quoll_error *err)
{
	if (u->listen.fd >= 0) {
		quoll_error_set(err, ETIMEDOUT, "back end", u->v.port.name, "none has connected within %u s",
				(unsigned int)(PEER_WAIT_NS / 1000000000));
		return -ETIMEDOUT;
	}
	quoll_error_set(err, -rc, "back end", u->v.port.name, "no connection: %s", strerrordesc_np(-rc));
	quoll_error_hint(err, "start the back end first, or with server=1 let it connect to us");
	return rc;
}

/* Who listens waits for a while; who connects wants somebody there. */
static int reach(struct virtio_user *u, struct quoll_error *err)
{
	struct quoll_wait wait;
	int rc;

	quoll_wait_start(&wait, &u->v.port.clock, PEER_WAIT_NS);
	do
		rc = try_reach(u);
	while (rc == -EAGAIN && quoll_wait_more(&wait));
	return rc ? reach_error(u, rc, err) : 0;
}

/* Who sleeps wakes up when the back end says something, or is gone. */
static int watch_conn(struct virtio_user *u)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < u->v.port.queues.nr_rxqs; i++)
		rc = virtio_wake_add(&u->v, i, u->conn.fd);
	return rc;
}

static void hang_up(struct virtio_user *u)
{
	/* The socket itself may go later. */
	for (unsigned int i = 0; u->conn.fd >= 0 && i < u->v.port.queues.nr_rxqs; i++)
		virtio_wake_drop(&u->v, i, u->conn.fd);
	vhost_conn_close(&u->conn);
	u->is_fresh = false;
}

/* A part of it, from its first message to its last. Return: 0, -errno. */
static int say_all(struct virtio_user *u, enum user_part part, struct quoll_error *err)
{
	int rc;

	user_session_part(u, part);
	rc = user_session_step(u, fd_socket_now_ns() + BEGIN_NS, err);
	return rc < 0 ? rc : 0;
}

static int begin(struct virtio_port *v, struct quoll_error *err)
{
	struct virtio_user *u = virtio_user(v);
	int rc;

	/* From the open, if it is still there. */
	if (u->is_fresh && !vhost_recv_step(&u->conn))
		return 0;
	hang_up(u);
	rc = reach(u, err);
	if (rc)
		return rc;
	rc = say_all(u, USER_BEGIN, err);
	if (rc)
		hang_up(u);
	u->is_fresh = !rc;
	return rc;
}

/* Memory that back ends get. */

static void chunks_close(struct virtio_user *u)
{
	for (unsigned int i = 0; i < u->nr_chunks; i++)
		close(u->chunks[i].fd);
	u->nr_chunks = 0;
}

/* All that is writable: back ends map nothing else. The heap may change later, so the files are our own. */
static int chunks_keep(struct virtio_user *u, struct quoll_error *err)
{
	struct quoll_heap_chunk chunks[USER_MAX_CHUNKS];
	unsigned int nr = quoll_heap_chunks(net_heap(&u->v.port), chunks, USER_MAX_CHUNKS);

	if (nr > USER_MAX_CHUNKS)
		return quoll_error_set(err, ENOSPC, "memory", u->v.port.name, "the heap has %u pieces, more than %u",
				       nr, USER_MAX_CHUNKS);
	for (unsigned int i = 0; i < nr; i++) {
		if (chunks[i].access != QUOLL_ARENA_DEVICE_READ_WRITE)
			continue;
		chunks[i].fd = fcntl(chunks[i].fd, F_DUPFD_CLOEXEC, 0);
		if (chunks[i].fd < 0)
			return quoll_error_set(err, errno, "memory", u->v.port.name, "no file descriptor is left");
		u->chunks[u->nr_chunks++] = chunks[i];
	}
	return 0;
}

/* Start and stop. */

static int kicks_open(struct virtio_user *u, struct quoll_error *err)
{
	for (unsigned int i = 0; i < u->v.nr_rings; i++) {
		int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

		if (fd < 0)
			return quoll_error_set(err, errno, "start", u->v.port.name, "no eventfd");
		u->v.rings[i].kick_fd = fd;
	}
	return 0;
}

static void kicks_close(struct virtio_user *u)
{
	for (unsigned int i = 0; i < u->v.nr_rings; i++) {
		if (u->v.rings[i].mem && u->v.rings[i].kick_fd >= 0)
			close(u->v.rings[i].kick_fd);
		u->v.rings[i].kick_fd = -1;
	}
}

static int wakes_open(struct virtio_user *u, struct quoll_error *err)
{
	int fds[] = {u->conn.fd, u->tick_fd}, rc = 0;

	/* Without a way back there is nothing that wakes but frames and the end. */
	for (unsigned int i = 0; !rc && i < u->v.port.queues.nr_rxqs; i++)
		rc = virtio_wake_open(&u->v, i, fds, 2, err);
	return rc;
}

static int go(struct virtio_port *v, struct quoll_error *err)
{
	struct virtio_user *u = virtio_user(v);
	int rc = chunks_keep(u, err);

	if (!rc)
		rc = kicks_open(u, err);
	if (!rc)
		rc = wakes_open(u, err);
	if (!rc)
		rc = say_all(u, USER_GO, err);
	if (rc)
		return rc;
	u->state = USER_UP;
	net_port_set_link(&v->port, true, true, 0);
	return 0;
}

static int halt(struct virtio_port *v)
{
	struct virtio_user *u = virtio_user(v);
	int rc = 0;

	/* One that does not answer keeps its mapping of our memory; what it writes there from now on is garbage. */
	if (u->state == USER_UP && say_all(u, USER_HALT, NULL))
		rc = -EIO;
	if (u->state != USER_STOPPED || !u->is_fresh)
		hang_up(u);
	u->state = USER_STOPPED;
	kicks_close(u);
	chunks_close(u);
	net_port_set_link(&v->port, false, false, 0);
	return rc;
}

/* While it runs. */

static void set_tick(const struct virtio_user *u, uint64_t period_ns)
{
	const struct timespec ts = {.tv_sec = (time_t)(period_ns / 1000000000),
				    .tv_nsec = (long)(period_ns % 1000000000)};
	const struct itimerspec spec = {.it_interval = ts, .it_value = ts};

	(void)timerfd_settime(u->tick_fd, 0, &spec, NULL);
}

static void clear_tick(const struct virtio_user *u)
{
	uint64_t count;

	if (read(u->tick_fd, &count, sizeof(count)) < 0)
		return; /* not due */
}

static int lose(struct virtio_user *u, const char *why)
{
	(void)net_port_warn(&u->v.port, &u->lost_pace, "back end lost: %s", why);
	quoll_count(&u->nr_lost, 1);
	net_port_set_link(&u->v.port, false, false, 0);
	hang_up(u);
	if (!u->can_hold)
		return -ENODEV;
	set_tick(u, RETRY_NS);
	u->state = USER_ENDING;
	return virtio_hold(&u->v);
}

static int check_up(struct virtio_user *u)
{
	int rc = 0;

	if (virtio_is_broken(&u->v))
		return lose(u, "it says that it has finished what it never had");
	virtio_look(&u->v);
	/* Nothing is asked that it could answer; what it says on its own is of no interest, and may have no end. */
	for (unsigned int i = 0; i < USER_CHECK_MESSAGES && (rc = vhost_recv_step(&u->conn)) > 0; i++)
		;
	if (rc >= 0)
		return 0;
	return lose(u, rc == -ECONNRESET ? "connection closed" : strerrordesc_np(-rc));
}

static void wake_all(struct virtio_user *u)
{
	static const uint64_t one = 1;

	for (unsigned int i = 0; i < u->v.port.queues.nr_rxqs; i++) {
		const struct virtio_rxq *rxq = (const struct virtio_rxq *)u->v.port.rxqs[i];

		if (write(rxq->call_fd, &one, sizeof(one)) < 0)
			continue; /* full, so it is awake */
	}
}

/* A back end is there again: is it one that we can go on with? */
static int compare(const struct virtio_user *u, struct quoll_error *err)
{
	if (u->v.features & ~u->v.device_features)
		return quoll_error_set(err, EPROTO, "back end", u->v.port.name, "it can do less than the one before");
	if (u->max_pairs < u->v.nr_pairs)
		return quoll_error_set(err, EPROTO, "back end", u->v.port.name, "it has %u queues, %u are in use",
				       u->max_pairs, u->v.nr_pairs);
	return 0;
}

static void check_down(struct virtio_user *u)
{
	uint64_t now = fd_socket_now_ns();

	clear_tick(u);
	if (now < u->retry_ns)
		return;
	u->retry_ns = now + RETRY_NS;
	if (try_reach(u))
		return;
	if (watch_conn(u)) {
		hang_up(u);
		return;
	}
	u->return_by_ns = now + RETURN_NS;
	u->state = USER_RETURNING;
	user_session_part(u, USER_BEGIN);
}

/* Return: 1: it is back; 0: not yet; -errno: not this one. */
static int come_back(struct virtio_user *u, struct quoll_error *err)
{
	int rc = user_session_step(u, 0, err);

	if (!rc && fd_socket_now_ns() >= u->return_by_ns)
		return user_session_expired(u, err);
	if (rc <= 0 || u->talk.part == USER_GO)
		return rc;
	rc = compare(u, err);
	if (!rc)
		user_session_part(u, USER_GO);
	return rc;
}

static void check_returning(struct virtio_user *u)
{
	struct quoll_error err = {0};
	int rc;

	clear_tick(u);
	rc = come_back(u, &err);
	if (!rc)
		return;
	if (rc < 0) {
		quoll_log(net_env(&u->v.port), QUOLL_LOG_WARN, "net", "%s: %s", u->v.port.name, err.what);
		hang_up(u);
		/* Rings may have been touched; and not at once again with one that talks nonsense. */
		virtio_begin_anew(&u->v);
		u->retry_ns = fd_socket_now_ns() + 10 * RETRY_NS;
		u->state = USER_DOWN;
		return;
	}
	set_tick(u, 0);
	u->state = USER_UP;
	virtio_let_go(&u->v);
	net_port_set_link(&u->v.port, true, true, 0);
	wake_all(u);
}

static int user_check(struct quoll_port *port)
{
	struct virtio_user *u = (struct virtio_user *)port;

	if (u->state == USER_UP)
		return check_up(u);
	if (u->state == USER_ENDING && virtio_is_still(&u->v)) {
		virtio_begin_anew(&u->v);
		u->retry_ns = 0;
		u->state = USER_DOWN;
	}
	if (u->state == USER_DOWN)
		check_down(u);
	if (u->state == USER_RETURNING)
		check_returning(u);
	return 0;
}

/* Open and close. */

struct range {
	uint64_t min;
	uint64_t max;
};

static int number(const struct virtio_user *u, const struct quoll_addr *addr, const char *key, struct range range,
		  uint64_t *value, struct quoll_error *err)
{
	const char *text = quoll_addr_option(addr, key);

	if (!text || (!quoll_size_parse(text, value) && *value >= range.min && *value <= range.max))
		return 0;
	return quoll_error_set(err, EINVAL, "address", u->v.port.name, "%s: \"%s\" is not a number from %u to %u", key,
			       text, (unsigned int)range.min, (unsigned int)range.max);
}

/* Six pairs of digits with colons between. */
static bool parse_mac(const char *text, uint8_t *mac)
{
	for (unsigned int i = 0; i < QUOLL_MAC_BYTES; i++, text += 3) {
		int high = quoll_hex_digit(text[0]), low = high < 0 ? -1 : quoll_hex_digit(text[1]);

		if (low < 0 || text[2] != (i + 1 < QUOLL_MAC_BYTES ? ':' : '\0'))
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	return !(mac[0] & 1);
}

static int choose_mac(struct virtio_user *u, const struct quoll_addr *addr, struct quoll_error *err)
{
	const char *text = quoll_addr_option(addr, "mac");
	int rc;

	if (text && !parse_mac(text, u->mac))
		return quoll_error_set(err, EINVAL, "address", u->v.port.name, "mac: \"%s\" is no unicast address",
				       text);
	if (text)
		return 0;
	rc = virtio_random_mac(u->mac);
	return rc ? quoll_error_set(err, -rc, "open", u->v.port.name, "no random address") : 0;
}

static int fds_open(struct virtio_user *u, struct quoll_error *err)
{
	u->dummy_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	u->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (u->dummy_fd < 0 || u->tick_fd < 0)
		return quoll_error_set(err, errno, "open", u->v.port.name, "no file descriptor is left");
	return 0;
}

static void user_close(struct quoll_port *port)
{
	struct virtio_user *u = (struct virtio_user *)port;

	hang_up(u);
	quoll_listen_close(&u->listen);
	if (u->tick_fd >= 0)
		close(u->tick_fd);
	if (u->dummy_fd >= 0)
		close(u->dummy_fd);
	quoll_arena_destroy(u->v.arena);
}

static const struct virtio_transport transport = {.by_piece = true, .begin = begin, .go = go, .halt = halt};

static int user_open(struct quoll_port *port, const struct quoll_addr *addr, struct quoll_error *err)
{
	struct virtio_user *u = (struct virtio_user *)port;
	uint64_t queues = VIRTIO_MAX_PAIRS, packed = 0, server = 0;
	int rc;

	u->v.transport = &transport;
	u->v.max_ring_entries = VIRTIO_MAX_ENTRIES;
	u->conn.fd = u->listen.fd = u->tick_fd = u->dummy_fd = -1;
	u->can_hold = virtio_can_hold();
	strcpy(u->path, addr->target);
	rc = number(u, addr, "queues", (struct range){1, VIRTIO_MAX_PAIRS}, &queues, err);
	if (!rc)
		rc = number(u, addr, "packed", (struct range){0, 1}, &packed, err);
	if (!rc)
		rc = number(u, addr, "server", (struct range){0, 1}, &server, err);
	if (!rc)
		rc = choose_mac(u, addr, err);
	u->v.wants_packed = packed;
	if (!rc)
		rc = fds_open(u, err);
	if (!rc && server)
		rc = quoll_listen_open(u->path, &u->listen, err);
	if (!rc)
		rc = begin(&u->v, err);
	if (!rc) {
		memcpy(u->v.config.mac, u->mac, sizeof(u->mac));
		u->v.config.max_pairs = quoll_cpu_to_le16((uint16_t)(queues < u->max_pairs ? queues : u->max_pairs));
		port->info.tx_writable = true; /* see chunks_keep() */
		rc = virtio_fill_info(&u->v, err);
	}
	if (rc)
		user_close(port);
	return rc;
}

static void user_stats(struct quoll_port *port, struct quoll_port_stats *stats, uint64_t *xstats)
{
	(void)stats;
	xstats[0] += quoll_counted(&((struct virtio_user *)port)->nr_lost);
}

static const char *const options[] = {"queues", "packed", "server", "mac", NULL};
static const char *const xstats[] = {"back_ends_lost", NULL};

const struct net_driver net_virtio_user = {
	.name = "virtio-user",
	.scheme = QUOLL_ADDR_VIRTIO_USER,
	.port_bytes = sizeof(struct virtio_user),
	.options = options,
	.xstats = xstats,
	.open = user_open,
	.close = user_close,
	.start = virtio_start,
	.stop = virtio_stop,
	.stats = user_stats,
	.arm = virtio_arm,
	.disarm = virtio_disarm,
	.check = user_check,
};
