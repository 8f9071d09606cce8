/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio_user.h - what the files of the vfio-user back-end share: a session with a server, the memory it may reach.
 *
 * vfio_user.c: address space, claim, the ops; vfio_user_session.c: connection, commands and their replies;
 * vfio_user_serve.c: the server's commands; vfio_user_device.c: regions, interrupts, reset.
 *
 * One group is one socket is one device. A server is another program: everything it says is checked, every wait is
 * bounded, and what breaks the protocol ends the session: its device is gone then, and that is all that happens.
 */
#ifndef QUOLL_EAL_VFIO_USER_H
#define QUOLL_EAL_VFIO_USER_H

#include <pthread.h>
#include <stdatomic.h>

#include "backend/backend.h"
#include "vfio_user/caps.h"
#include "vfio_user/closer.h"
#include "vfio_user/message.h"

/*
 * How long a server may take for an answer, and for all the answers that a claim or an open needs. A device model
 * answers within microseconds, within milliseconds when the machine is busy; a person waits some seconds. A reset that
 * waits for a disk is the longest of them.
 */
#define VFIO_USER_TIMEOUT_NS 5000000000ull

/*
 * Data of one message. Well below what a socket's buffer holds (208 KiB), so that a command goes out whole even if the
 * server is about to send us one itself, and neither waits for the other to read.
 */
#define VFIO_USER_PIECE_BYTES (64u << 10)

/**
 * struct vfio_user_space - what ioas->priv points at
 * @lock: of the table, which servers' commands read while other threads map
 * @maps: ioas->maps again, but that one belongs to the IOAS's thread alone
 */
struct vfio_user_space {
	pthread_mutex_t lock;
	struct ioas_maps maps;
	uint64_t timeout_ns;
};

/**
 * struct vfio_user_session - what group->priv points at
 * @lock:      one command at a time; registers may be accessed from any thread
 * @conn:      commands and replies; @twin: the server's commands, if it wanted a socket for them, else its fd is -1
 * @caps:      of the server
 * @dead:      0, or -errno once the session is at its end
 * @told:      a file of our memory was sent to the server; @exposed: and what it has of it is marked. The IOAS's thread
 * @budget_ns: while a claim or an open is on its way: when all of it must be done; else 0
 * @nr_served, @nr_refused: commands of the server
 */
struct vfio_user_session {
	struct quoll_ioas *ioas;
	pthread_mutex_t lock;
	struct vuser_conn conn;
	struct vuser_conn twin;
	struct vuser_caps caps;
	atomic_int dead;
	bool told;
	bool exposed;
	uint64_t budget_ns;
	uint16_t next_id;
	uint64_t nr_served;
	uint64_t nr_refused;
	char path[QUOLL_ADDR_MAX_BYTES];
};

/**
 * struct vfio_user_call - a command, and where its reply goes
 * @head, @data, @fds: sent
 * @reply:    the fixed part of the reply, exactly @reply_bytes
 * @rest:     what follows, of @rest_min to @rest_room bytes; @rest_bytes is how much came
 * @max_fds:  how many fds may come; they are put into @fds_in, @nr_fds_in tells how many, and belong to the caller
 */
struct vfio_user_call {
	uint16_t command;
	const void *head;
	uint32_t head_bytes;
	const void *data;
	uint32_t data_bytes;
	const int *fds;
	unsigned int nr_fds;
	void *reply;
	uint32_t reply_bytes;
	void *rest;
	uint32_t rest_min;
	uint32_t rest_room;
	uint32_t rest_bytes;
	int *fds_in;
	unsigned int max_fds;
	unsigned int nr_fds_in;
};

/* Connect to a server and negotiate. Return: 0, -errno with err filled in. */
int vfio_user_session_open(struct quoll_ioas *ioas, const struct quoll_addr *addr, struct vfio_user_session **session,
			   struct quoll_error *err);
void vfio_user_session_close(struct vfio_user_session *s);

/* From now on all calls together may take the time of one; until vfio_user_unhurry(). */
void vfio_user_hurry(struct vfio_user_session *s);
void vfio_user_unhurry(struct vfio_user_session *s);

/*
 * Send a command, wait for its reply. Return: 0; what the server answered as -errno, and the session goes on; or the
 * session is at its end, see vfio_user_is_dead(): -ENODEV: the server is gone, or the session was at its end before;
 * -ETIMEDOUT: no answer in time; -EPROTO: it does not keep to the protocol. Any thread.
 */
int vfio_user_call(struct vfio_user_session *s, struct vfio_user_call *call);

/* End the session: shut the socket, so that the server lets go and sleepers on it wake. Return: what a caller is told.
 */
int vfio_user_end(struct vfio_user_session *s, int rc);

static inline bool vfio_user_is_dead(struct vfio_user_session *s)
{
	return atomic_load_explicit(&s->dead, memory_order_relaxed) != 0;
}

/* Fill err in for an rc of vfio_user_call(): what the server did. Return: -errno, of the session's end if it is there.
 */
int vfio_user_explain(struct vfio_user_session *s, int rc, const char *stage, const char *doing,
		      struct quoll_error *err);

/* Take what has come in without being asked for, a few messages at most. Return: 0, -errno: see vfio_user_is_dead(). */
int vfio_user_idle(struct vfio_user_session *s);

/* Carry out or refuse the command that conn holds, reply to it. Return: 0, -errno if the reply does not go out. */
int vfio_user_serve(struct vfio_user_session *s, struct vuser_conn *conn);

/* The table of what servers may reach. */
int vfio_user_space_add(struct vfio_user_space *space, const struct ioas_mapping *m);
void vfio_user_space_remove(struct vfio_user_space *space, quoll_iova_t iova);
/*
 * Copy out of mapped memory or into it. Return: 0; -EFAULT: not all of it is mapped; -EPERM: not all of it may be read,
 * or written, by devices. Nothing is copied then.
 */
int vfio_user_space_copy(struct vfio_user_space *space, quoll_iova_t iova, void *buf, uint64_t len_bytes, bool write);

int vfio_user_device_open(struct quoll_device *dev, struct quoll_error *err);
void vfio_user_device_close(struct quoll_device *dev);
int vfio_user_device_reset(struct quoll_device *dev);
int vfio_user_device_watch(struct quoll_device *dev, int epoll_fd);
unsigned int vfio_user_device_events(struct quoll_device *dev);
int vfio_user_region_info(struct quoll_device *dev, unsigned int idx, struct quoll_region_info *info);
int vfio_user_region_map(struct quoll_device *dev, unsigned int idx, uint64_t offset, uint64_t len, void *va);
int vfio_user_region_rw(struct quoll_device *dev, unsigned int idx, uint64_t offset, void *buf, size_t len, bool write);
int vfio_user_irq_info(struct quoll_device *dev, unsigned int idx, struct quoll_irq_info *info);
int vfio_user_irq_set(struct quoll_device *dev, unsigned int idx, unsigned int first, unsigned int nr,
		      const int *eventfds);
int vfio_user_irq_unmask(struct quoll_device *dev, unsigned int idx, unsigned int vector);

#endif
