/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * irq.c - MSI-X, for sleepers and for the link: a vector a receive queue, one for everything else.
 *
 * All three vectors are attached to eventfds from open to close; the device lets the receive ones through only between
 * arm and disarm (IMS, IMC). Causes are cleared by writing ones to ICR, nothing is cleared or masked automatically.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "e1000e.h"

static bool eventfd_fired(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

void e1000e_irq_close(struct e1000e_port *e)
{
	if (e->has_irqs)
		(void)quoll_irq_disable(e->port.dev, QUOLL_PCI_IRQ_MSIX);
	e->has_irqs = false;
	for (unsigned int i = 0; i < E1000E_USED_VECTORS; i++) {
		if (e->vector_fds[i] >= 0)
			close(e->vector_fds[i]);
		e->vector_fds[i] = -1;
	}
}

int e1000e_irq_open(struct e1000e_port *e, struct quoll_error *err)
{
	int rc;

	for (unsigned int i = 0; i < E1000E_USED_VECTORS; i++) {
		e->vector_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (e->vector_fds[i] < 0)
			return quoll_error_set(err, errno, "interrupt", e->port.name, "no eventfd");
	}
	rc = quoll_irq_enable(e->port.dev, QUOLL_PCI_IRQ_MSIX, e->vector_fds, E1000E_USED_VECTORS, NULL);
	e->has_irqs = !rc;
	/* All the rest works without. */
	if (rc)
		quoll_log(net_env(&e->port), QUOLL_LOG_WARN, "e1000e",
			  "%s: no MSI-X (errno %d): nobody is woken by frames, and the link is polled", e->port.name,
			  -rc);
	return 0;
}

void e1000e_irq_setup(struct e1000e_port *e)
{
	uint32_t ext = e1000e_read(e, E1000E_CTRL_EXT);

	ext &= ~(E1000E_CTRL_EXT_EIAME | E1000E_CTRL_EXT_IAME);
	e1000e_write(e, E1000E_CTRL_EXT, ext | E1000E_CTRL_EXT_PBA_CLR);
	e1000e_write(e, E1000E_IAM, 0);
	e1000e_write(e, E1000E_EIAC, 0);
	e1000e_write(e, E1000E_IVAR,
		     (E1000E_IVAR_VALID | E1000E_VECTOR_RXQ0) << E1000E_IVAR_RXQ0_SHIFT |
			     (E1000E_IVAR_VALID | E1000E_VECTOR_RXQ1) << E1000E_IVAR_RXQ1_SHIFT |
			     (E1000E_IVAR_VALID | E1000E_VECTOR_OTHER) << E1000E_IVAR_OTHER_SHIFT);
	for (unsigned int i = 0; i < E1000E_NR_VECTORS; i++)
		e1000e_write(e, E1000E_EITR + i * 4, 0);
	e1000e_write(e, E1000E_ICR, E1000E_INT_ALL);
	if (e->has_irqs)
		e1000e_write(e, E1000E_IMS, E1000E_INT_LSC | E1000E_INT_OTHER);
}

bool e1000e_irq_other_fired(struct e1000e_port *e)
{
	if (!e->has_irqs)
		return true;
	if (!eventfd_fired(e->vector_fds[E1000E_VECTOR_OTHER]))
		return false;
	/* Before STATUS is read: a change after that raises it anew. */
	e1000e_write(e, E1000E_ICR, E1000E_INT_LSC | E1000E_INT_OTHER);
	return true;
}

static int watch(int set, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

int e1000e_rxq_wake_open(struct e1000e_port *e, unsigned int i, struct quoll_error *err)
{
	int rc, *set = &e->port.rx_fds[i];

	if (!e->has_irqs)
		return 0;
	*set = epoll_create1(EPOLL_CLOEXEC);
	rc = *set < 0 ? -errno : watch(*set, e->vector_fds[E1000E_VECTOR_RXQ0 + i]);
	if (!rc)
		rc = watch(*set, e->vector_fds[E1000E_VECTOR_OTHER]);
	if (!rc)
		rc = watch(*set, quoll_device_event_fd(e->port.dev));
	return rc ? quoll_error_set(err, -rc, "interrupt", e->port.name, "no event set for queue %u", i) : 0;
}

int e1000e_arm(struct quoll_rxq *q)
{
	const struct e1000e_rxq *rxq = (const struct e1000e_rxq *)q;
	struct e1000e_port *e = e1000e_port(q->port);
	uint32_t cause = E1000E_INT_RXQ0 << q->id;

	if (!e->has_irqs)
		return -ENOTSUP;
	if (net_port_dead(q->port))
		return 1;
	(void)eventfd_fired(e->vector_fds[E1000E_VECTOR_RXQ0 + q->id]);
	/*
	 * Frames that came before the cause is cleared are found below, those after it raise it anew. The read makes
	 * sure that both writes have reached the device by then.
	 */
	e1000e_write(e, E1000E_ICR, cause);
	e1000e_write(e, E1000E_IMS, cause);
	if (e1000e_read(e, E1000E_STATUS) == UINT32_MAX)
		return 1;
	return e1000e_rx_ready(rxq);
}

void e1000e_disarm(struct quoll_rxq *q)
{
	struct e1000e_port *e = e1000e_port(q->port);

	if (!e->has_irqs)
		return;
	if (!net_port_dead(q->port))
		e1000e_write(e, E1000E_IMC, E1000E_INT_RXQ0 << q->id);
	(void)eventfd_fired(e->vector_fds[E1000E_VECTOR_RXQ0 + q->id]);
}
