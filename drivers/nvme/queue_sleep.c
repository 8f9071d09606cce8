/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue_sleep.c - interrupts for a queue's thread that wants to sleep. The data path knows nothing of them.
 *
 * MSI-X is enabled once, with all vectors masked; a queue's completion queue raises its vector for each completion
 * (Base Specification 2.0, 3.3.3.1 and 5.4), which goes nowhere until arm attaches an eventfd. Vector 0 is the admin
 * queue's, which is polled and has none. The eventfd is attached first and completions looked for after that, so none
 * falls in between. A sleeper is woken for its time-outs as well, so that a command that is never answered does not
 * keep it for ever, nor an interrupt that gets lost.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "nvme_internal.h"

#define NS_PER_S 1000000000u

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
	queue->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	queue->watch_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	queue->sleep_fd = epoll_create1(EPOLL_CLOEXEC);
	if (queue->irq_fd < 0 || queue->wake_fd < 0 || queue->watch_fd < 0 || queue->sleep_fd < 0 ||
	    epoll_ctl(queue->sleep_fd, EPOLL_CTL_ADD, queue->irq_fd, &event) ||
	    epoll_ctl(queue->sleep_fd, EPOLL_CTL_ADD, queue->wake_fd, &event) ||
	    epoll_ctl(queue->sleep_fd, EPOLL_CTL_ADD, queue->watch_fd, &event) ||
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
	if (queue->wake_fd >= 0)
		close(queue->wake_fd);
	if (queue->watch_fd >= 0)
		close(queue->watch_fd);
	queue->sleep_fd = queue->irq_fd = queue->wake_fd = queue->watch_fd = -1;
}

int quoll_nvme_queue_fd(const struct quoll_nvme_queue *queue)
{
	return queue->sleep_fd;
}

/* Setting it anew also forgets that it has run out. */
static int watch_set(const struct quoll_nvme_queue *queue, bool on)
{
	uint64_t ns = on ? quoll_ticks_to_ns(&queue->clock, queue->watch_ticks) : 0;
	struct itimerspec when = {.it_value = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)}};

	return timerfd_settime(queue->watch_fd, 0, &when, NULL) ? -errno : 0;
}

int quoll_nvme_queue_arm(struct quoll_nvme_queue *queue)
{
	int rc;

	if (queue->sleep_fd < 0)
		return -ENOTSUP;
	if (queue->dead)
		return nvme_queue_handed_back(queue) ? queue->dead : 1;
	if (nvme_ctrl_dead(queue->nvme) || nvme_queue_has_news(queue))
		return 1;
	/* Prep said -EAGAIN, and nothing but this tells the thread that it may try again. */
	if (queue->resumed) {
		queue->resumed = false;
		return 1;
	}
	/* The controller's thread will write wake_fd; what was answered before the reset is there, or never comes. */
	if (queue->paused)
		return nvme_queue_completion_is_there(queue);
	/* With nothing in flight nothing can complete; the device's events come all the same. */
	if (queue->nr_free == queue->nr_slots)
		return queue->nr_unmapped != 0; /* these wait for other queues' room in the stream */
	rc = quoll_irq_attach(queue->nvme->dev, QUOLL_PCI_IRQ_MSIX, queue->vector, queue->irq_fd);
	if (rc)
		return rc;
	queue->attached = true;
	rc = watch_set(queue, true);
	if (rc)
		return rc;
	/* Attaching before looking; pairs with the controller's order of completion entry, then interrupt. */
	quoll_dma_mb();
	return nvme_queue_completion_is_there(queue);
}

static void fd_drain(int fd)
{
	uint64_t count;

	while (read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
		;
}

void quoll_nvme_queue_disarm(struct quoll_nvme_queue *queue)
{
	/* Written before @woken is set, so that nothing is left that would keep the thread awake. */
	if (__atomic_exchange_n(&queue->link.woken, 0, __ATOMIC_ACQUIRE))
		fd_drain(queue->wake_fd);
	if (!queue->attached)
		return;
	queue->attached = false;
	/* Afterwards nobody writes the eventfd, so that it is empty for the next time. */
	(void)quoll_irq_attach(queue->nvme->dev, QUOLL_PCI_IRQ_MSIX, queue->vector, -1);
	fd_drain(queue->irq_fd);
	(void)watch_set(queue, false);
}

void nvme_queue_wake(struct quoll_nvme_queue *queue)
{
	static const uint64_t one = 1;

	if (queue->wake_fd < 0)
		return;
	if (write(queue->wake_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		quoll_log(quoll_device_env(queue->nvme->dev), QUOLL_LOG_WARN, "nvme", "%s: a sleeper cannot be woken",
			  queue->nvme->name);
	/* Pairs with the exchange in disarm. */
	__atomic_store_n(&queue->link.woken, 1, __ATOMIC_RELEASE);
}
