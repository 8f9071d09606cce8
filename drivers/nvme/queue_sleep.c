/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue_sleep.c - interrupts for a queue's thread that wants to sleep. The data path knows nothing of them.
 *
 * MSI-X is enabled once, with all vectors masked; a queue's completion queue raises its vector for each completion
 * (Base Specification 2.0, 3.3.3.1 and 5.4), which goes nowhere until arm attaches an eventfd. Vector 0 is the admin
 * queue's, which is polled and has none. The eventfd is attached first and completions looked for after that, so none
 * falls in between.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "nvme_internal.h"

static int vectors_enable(struct quoll_nvme *nvme, struct quoll_error *err)
{
	struct quoll_irq_info info = {0};
	unsigned int nr;
	int *none;
	int rc;

	if (nvme->nr_vectors)
		return 0;
	rc = quoll_irq_info(nvme->dev, QUOLL_PCI_IRQ_MSIX, &info, err);
	if (rc)
		return rc;
	if (info.nr_vectors < 2)
		return quoll_error_set(err, ENOTSUP, "queue", nvme->name,
				       "the device has %u MSI-X vectors; a queue with interrupts needs one of its own "
				       "beside the admin queue's",
				       info.nr_vectors);
	nr = info.nr_vectors <= nvme->max_io_queues ? info.nr_vectors : nvme->max_io_queues + 1;
	none = malloc(nr * sizeof(*none));
	if (!none)
		return quoll_error_set(err, ENOMEM, "queue", nvme->name, "out of memory");
	memset(none, 0xff, nr * sizeof(*none)); /* -1 each */
	rc = quoll_irq_enable(nvme->dev, QUOLL_PCI_IRQ_MSIX, none, nr, err);
	free(none);
	if (!rc)
		nvme->nr_vectors = nr;
	return rc;
}

void nvme_vectors_disable(struct quoll_nvme *nvme)
{
	if (nvme->nr_vectors)
		(void)quoll_irq_disable(nvme->dev, QUOLL_PCI_IRQ_MSIX);
	nvme->nr_vectors = 0;
}

static bool vector_is_used(const struct quoll_nvme *nvme, unsigned int vector)
{
	for (unsigned int i = 0; i < nvme->max_io_queues; i++)
		if (nvme->queues[i] && nvme->queues[i]->vector == vector)
			return true;
	return false;
}

/* Not shared: an interrupt for one queue would wake the other's thread as well, at its busiest. */
static int pick_vector(struct quoll_nvme_queue *queue, struct quoll_error *err)
{
	struct quoll_nvme *nvme = queue->nvme;

	for (unsigned int vector = 1; vector < nvme->nr_vectors; vector++) {
		if (vector_is_used(nvme, vector))
			continue;
		queue->vector = vector;
		return 0;
	}
	quoll_error_set(err, ENOSPC, "queue", nvme->name, "all %u MSI-X vectors for I/O queues are in use",
			nvme->nr_vectors - 1);
	quoll_error_hint(err, "make further queues without interrupts, and poll them");
	return -ENOSPC;
}

int nvme_queue_sleep_init(struct quoll_nvme_queue *queue, struct quoll_error *err)
{
	struct quoll_nvme *nvme = queue->nvme;
	struct epoll_event event = {.events = EPOLLIN};
	int rc = vectors_enable(nvme, err);

	if (!rc)
		rc = pick_vector(queue, err);
	if (rc)
		return rc;
	queue->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	queue->sleep_fd = epoll_create1(EPOLL_CLOEXEC);
	if (queue->irq_fd < 0 || queue->sleep_fd < 0 ||
	    epoll_ctl(queue->sleep_fd, EPOLL_CTL_ADD, queue->irq_fd, &event) ||
	    epoll_ctl(queue->sleep_fd, EPOLL_CTL_ADD, nvme->dead_fd, &event) ||
	    epoll_ctl(queue->sleep_fd, EPOLL_CTL_ADD, quoll_device_event_fd(nvme->dev), &event))
		return quoll_error_set(err, errno, "queue", nvme->name, "nothing to sleep on: %s",
				       strerrordesc_np(errno));
	return 0;
}

void nvme_queue_sleep_fini(struct quoll_nvme_queue *queue)
{
	quoll_nvme_queue_disarm(queue);
	if (queue->sleep_fd >= 0)
		close(queue->sleep_fd);
	if (queue->irq_fd >= 0)
		close(queue->irq_fd);
	queue->sleep_fd = queue->irq_fd = -1;
}

int quoll_nvme_queue_fd(const struct quoll_nvme_queue *queue)
{
	return queue->sleep_fd;
}

/* Of a dead queue. */
static bool all_handed_back(const struct quoll_nvme_queue *queue)
{
	return queue->abandon_cursor >= queue->nr_slots && queue->split_first == NVME_NO_PARENT;
}

static bool completion_is_there(const struct quoll_nvme_queue *queue)
{
	const volatile struct nvme_cqe *next = queue->cq + queue->cq_head;

	return !((quoll_le32_to_cpu(next->cid_status) ^ queue->phase_bit) & NVME_CQE_PHASE);
}

int quoll_nvme_queue_arm(struct quoll_nvme_queue *queue)
{
	int rc;

	if (queue->sleep_fd < 0)
		return -ENOTSUP;
	if (queue->dead)
		return all_handed_back(queue) ? queue->dead : 1;
	if (nvme_ctrl_dead(queue->nvme))
		return 1;
	/* With nothing in flight nothing can complete; the device's events come all the same. */
	if (queue->nr_free == queue->nr_slots)
		return 0;
	rc = quoll_irq_attach(queue->nvme->dev, QUOLL_PCI_IRQ_MSIX, queue->vector, queue->irq_fd);
	if (rc)
		return rc;
	queue->attached = true;
	/* Attaching before looking; pairs with the controller's order of completion entry, then interrupt. */
	quoll_dma_mb();
	return completion_is_there(queue);
}

void quoll_nvme_queue_disarm(struct quoll_nvme_queue *queue)
{
	uint64_t count;

	if (!queue->attached)
		return;
	queue->attached = false;
	/* Afterwards nobody writes the eventfd, so that it is empty for the next time. */
	(void)quoll_irq_attach(queue->nvme->dev, QUOLL_PCI_IRQ_MSIX, queue->vector, -1);
	while (read(queue->irq_fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
		;
}
