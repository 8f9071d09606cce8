/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server_irq.c - interrupts of a vfio-user server: what SET_IRQS says, masks, and which vectors are signalled.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "server_internal.h"

int server_irqs_create(struct quoll_server *server)
{
	pthread_mutex_init(&server->irq_lock, NULL);
	server_signal_open(&server->signal);
	for (unsigned int i = 0; i < server->device.nr_irqs; i++) {
		unsigned int nr = server->device.irqs[i].nr_vectors;

		server->vectors[i] = calloc(nr ? nr : 1, sizeof(*server->vectors[i]));
		if (!server->vectors[i])
			return -ENOMEM;
		for (unsigned int v = 0; v < nr; v++)
			server->vectors[i][v].eventfd = -1;
	}
	return 0;
}

/* Without an eventfd a vector is as at the beginning. */
static void vector_reset(struct server_vector *vector)
{
	if (vector->eventfd >= 0)
		close(vector->eventfd);
	*vector = (struct server_vector){.eventfd = -1};
}

void server_irqs_drop(struct quoll_server *server)
{
	pthread_mutex_lock(&server->irq_lock);
	for (unsigned int i = 0; i < server->device.nr_irqs; i++)
		for (unsigned int v = 0; server->vectors[i] && v < server->device.irqs[i].nr_vectors; v++)
			vector_reset(&server->vectors[i][v]);
	pthread_mutex_unlock(&server->irq_lock);
}

void server_irqs_destroy(struct quoll_server *server)
{
	server_irqs_drop(server);
	for (unsigned int i = 0; i < server->device.nr_irqs; i++)
		free(server->vectors[i]);
	server_signal_close(&server->signal);
	pthread_mutex_destroy(&server->irq_lock);
}

/* Under the lock. */
static void vector_signal(struct quoll_server *server, struct server_vector *vector, unsigned int flags)
{
	if (vector->masked) {
		vector->pending = true;
		return;
	}
	if (vector->eventfd < 0)
		return;
	server_signal(&server->signal, vector->eventfd);
	vector->masked = flags & QUOLL_IRQ_AUTOMASKED;
}

void quoll_server_irq(struct quoll_server *server, unsigned int idx, unsigned int vector)
{
	if (idx >= server->device.nr_irqs || vector >= server->device.irqs[idx].nr_vectors)
		return;
	pthread_mutex_lock(&server->irq_lock);
	vector_signal(server, &server->vectors[idx][vector], server->device.irqs[idx].flags);
	pthread_mutex_unlock(&server->irq_lock);
}

int server_irq_info(struct quoll_server *server, struct vuser_out *out)
{
	const struct quoll_irq_info *info;
	struct vuser_conn *conn = &server->conn;
	struct vuser_irq_info irq;

	if (vuser_expect(conn, sizeof(irq), sizeof(irq), 0))
		return -EINVAL;
	memcpy(&irq, conn->payload, sizeof(irq));
	if (irq.argsz < sizeof(irq) || irq.index >= server->device.nr_irqs)
		return -EINVAL;
	info = &server->device.irqs[irq.index];
	irq.argsz = sizeof(irq);
	irq.count = info->nr_vectors;
	irq.flags = (info->flags & QUOLL_IRQ_EVENTFD ? VFIO_IRQ_INFO_EVENTFD : 0) |
		    (info->flags & QUOLL_IRQ_MASKABLE ? VFIO_IRQ_INFO_MASKABLE : 0) |
		    (info->flags & QUOLL_IRQ_AUTOMASKED ? VFIO_IRQ_INFO_AUTOMASKED : 0) |
		    (info->flags & QUOLL_IRQ_NORESIZE ? VFIO_IRQ_INFO_NORESIZE : 0);
	memcpy(server->head, &irq, sizeof(irq));
	out->head = server->head;
	out->head_bytes = sizeof(irq);
	return 0;
}

/* One eventfd for each vector, or none at all. */
static int set_eventfds(struct quoll_server *server, const struct vuser_irq_set *set)
{
	struct vuser_conn *conn = &server->conn;
	struct server_vector *vectors = server->vectors[set->index] + set->start;

	if (conn->nr_fds && conn->nr_fds != set->count)
		return -EINVAL;
	for (unsigned int i = 0; i < conn->nr_fds; i++)
		if (!server_signal_prepare(&server->signal, conn->fds[i]))
			return -EINVAL;
	pthread_mutex_lock(&server->irq_lock);
	for (unsigned int i = 0; i < set->count; i++) {
		vector_reset(&vectors[i]);
		vectors[i].eventfd = vuser_take_fd(conn, i);
	}
	pthread_mutex_unlock(&server->irq_lock);
	return 0;
}

/* To vectors of the range that chosen names; NULL: to all of them. */
static void act(struct quoll_server *server, const struct vuser_irq_set *set, const uint8_t *chosen)
{
	struct server_vector *vectors = server->vectors[set->index] + set->start;
	unsigned int flags = server->device.irqs[set->index].flags;

	pthread_mutex_lock(&server->irq_lock);
	for (unsigned int i = 0; i < set->count; i++) {
		if (chosen && !chosen[i])
			continue;
		if (set->flags & VFIO_IRQ_SET_ACTION_MASK) {
			vectors[i].masked = true;
			continue;
		}
		if (set->flags & VFIO_IRQ_SET_ACTION_UNMASK) {
			vectors[i].masked = false;
			if (!vectors[i].pending)
				continue;
			vectors[i].pending = false;
		}
		vector_signal(server, &vectors[i], flags);
	}
	pthread_mutex_unlock(&server->irq_lock);
}

/* Return: 0, if the range and the combination of flags are possible. */
static int set_check(const struct quoll_server *server, const struct vuser_irq_set *set)
{
	uint32_t data = set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK, action = set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
	const struct quoll_irq_info *info;

	if (set->argsz < sizeof(*set) || set->index >= server->device.nr_irqs || set->flags != (data | action))
		return -EINVAL;
	if (__builtin_popcount(data) != 1 || __builtin_popcount(action) != 1)
		return -EINVAL;
	info = &server->device.irqs[set->index];
	if (set->start > info->nr_vectors || set->count > info->nr_vectors - set->start)
		return -EINVAL;
	if (!set->count && (set->start || set->flags != (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER)))
		return -EINVAL;
	if (action != VFIO_IRQ_SET_ACTION_TRIGGER && !(info->flags & QUOLL_IRQ_MASKABLE))
		return -ENOTSUP;
	if (data == VFIO_IRQ_SET_DATA_EVENTFD &&
	    (action != VFIO_IRQ_SET_ACTION_TRIGGER || !(info->flags & QUOLL_IRQ_EVENTFD)))
		return -ENOTSUP;
	return 0;
}

static void reset_all(struct quoll_server *server, unsigned int idx)
{
	pthread_mutex_lock(&server->irq_lock);
	for (unsigned int v = 0; v < server->device.irqs[idx].nr_vectors; v++)
		vector_reset(&server->vectors[idx][v]);
	pthread_mutex_unlock(&server->irq_lock);
}

int server_irq_set(struct quoll_server *server)
{
	struct vuser_conn *conn = &server->conn;
	struct vuser_irq_set set;
	uint32_t data;
	int rc;

	if (vuser_expect(conn, sizeof(set), sizeof(set) + QUOLL_SERVER_MAX_VECTORS, VUSER_MAX_FDS))
		return -EINVAL;
	memcpy(&set, conn->payload, sizeof(set));
	rc = set_check(server, &set);
	if (rc)
		return rc;
	data = set.flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
	if (data == VFIO_IRQ_SET_DATA_EVENTFD)
		return set_eventfds(server, &set);
	if (conn->nr_fds || (data == VFIO_IRQ_SET_DATA_BOOL && conn->payload_bytes - sizeof(set) < set.count))
		return -EINVAL;
	if (!set.count)
		reset_all(server, set.index);
	else
		act(server, &set, data == VFIO_IRQ_SET_DATA_BOOL ? conn->payload + sizeof(set) : NULL);
	return 0;
}
