/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_port.c - an open port: start, apply, stop, its queues.
 *
 * What a caller says is checked here and in net_settings.c before a driver sees it; link and death are in net_health.c,
 * counters in net_stats.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "net_driver.h"
#include "net_stage.h"

/* Start, apply, stop. */

static int refuse_dead(const struct quoll_port *port, const char *stage, struct quoll_error *err)
{
	int dead = quoll_port_error(port);

	if (!dead)
		return 0;
	return quoll_error_set(err, -dead, stage, port->name, "%s",
			       dead == -ENODEV ? "the device is gone, or the kernel wants it back"
					       : "the port was given up after a fatal error");
}

static void keep_queues(struct quoll_port *port, const struct quoll_port_queues *queues)
{
	port->queues = *queues;
	port->queues.entries = net_round_entries(port, queues->entries);
	port->queues.rx_caches = port->rx_caches;
	port->queues.tx_caches = port->tx_caches;
	port->queues.rx_streams = port->queues.tx_streams = NULL; /* the stages' */
	for (unsigned int i = 0; i < queues->nr_rxqs; i++)
		port->rx_caches[i] = queues->rx_caches[i];
	for (unsigned int i = 0; i < queues->nr_txqs; i++)
		port->tx_caches[i] = queues->tx_caches[i];
}

/* With the lock: what the queues counted is kept, then they go. */
static int stop_locked(struct quoll_port *port)
{
	int rc;

	net_add_queues(port, &port->ended);
	rc = port->driver->stop(port);
	net_stages_close(port); /* no device has the buffers any more */
	memset(port->rxqs, 0, sizeof(port->rxqs));
	memset(port->txqs, 0, sizeof(port->txqs));
	return rc;
}

int quoll_port_start(struct quoll_port *port, const struct quoll_port_queues *queues,
		     const struct quoll_port_settings *settings, struct quoll_error *err)
{
	struct quoll_port_settings wanted;
	int rc = refuse_dead(port, "start", err);

	if (rc)
		return rc;
	if (port->running)
		return quoll_error_set(err, EBUSY, "start", port->name, "it runs already");
	rc = net_check_settings(port, settings, queues ? queues->nr_rxqs : 0, &wanted, err);
	if (!rc)
		rc = net_check_queues(port, queues, &wanted, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&port->lock);
	port->settings = wanted;
	keep_queues(port, queues);
	rc = net_stages_open(port, queues, err);
	if (!rc)
		rc = port->driver->start(port, err);
	if (rc) {
		(void)stop_locked(port);
	} else {
		net_stages_enter(port);
		port->running = true;
	}
	pthread_mutex_unlock(&port->lock);
	if (!rc)
		quoll_log(net_env(port), QUOLL_LOG_DEBUG, "net",
			  "%s: started, %u receive and %u transmit queues of %u entries, mtu %u", port->name,
			  port->queues.nr_rxqs, port->queues.nr_txqs, port->queues.entries, port->settings.mtu);
	return rc;
}

/* What can't be changed while frames are on their way. */
static int refuse_restart(const struct quoll_port *port, const struct quoll_port_settings *wanted,
			  struct quoll_error *err)
{
	const struct quoll_port_settings *now = &port->settings;

	if (wanted->mtu != now->mtu)
		return quoll_error_set(err, EBUSY, "apply", port->name, "mtu %u, now %u, takes a stop and a start",
				       wanted->mtu, now->mtu);
	if (wanted->offloads != now->offloads)
		return quoll_error_set(err, EBUSY, "apply", port->name,
				       "offloads %#" PRIx32 ", now %#" PRIx32 ", take a stop and a start",
				       wanted->offloads, now->offloads);
	if (wanted->rss.types != now->rss.types || memcmp(wanted->rss.key, now->rss.key, sizeof(now->rss.key)))
		return quoll_error_set(err, EBUSY, "apply", port->name,
				       "other types or another key for rss take a stop and a start");
	return 0;
}

int quoll_port_apply(struct quoll_port *port, const struct quoll_port_settings *settings, struct quoll_error *err)
{
	struct quoll_port_settings wanted;
	int rc = refuse_dead(port, "apply", err);

	if (rc)
		return rc;
	if (!port->running)
		return quoll_error_set(err, EINVAL, "apply", port->name, "it does not run: start takes the settings");
	rc = net_check_settings(port, settings, port->queues.nr_rxqs, &wanted, err);
	if (!rc)
		rc = refuse_restart(port, &wanted, err);
	if (rc)
		return rc;
	if (port->driver->apply)
		rc = port->driver->apply(port, &wanted, err);
	if (!rc)
		port->settings = wanted;
	return rc;
}

int quoll_port_stop(struct quoll_port *port)
{
	int rc, dead;

	if (!port->running)
		return 0;
	pthread_mutex_lock(&port->lock);
	rc = stop_locked(port);
	port->running = false;
	pthread_mutex_unlock(&port->lock);
	dead = quoll_port_error(port);
	if (!rc && dead)
		rc = dead;
	quoll_log(net_env(port), rc ? QUOLL_LOG_WARN : QUOLL_LOG_DEBUG, "net", "%s: stopped%s%s", port->name,
		  rc ? ": " : "", rc ? strerror(-rc) : "");
	return rc;
}

/* Queues. */

void net_rxq_init(struct quoll_port *port, struct quoll_rxq *rxq, unsigned int i)
{
	rxq->cache = port->queues.rx_caches[i];
	rxq->port = port;
	rxq->polls_left = NET_BUSY_POLLS;
	rxq->id = (uint16_t)i;
	rxq->port_id = port->id;
	port->rxqs[i] = rxq;
	port->rx_fds[i] = -1;
}

void net_txq_init(struct quoll_port *port, struct quoll_txq *txq, unsigned int i)
{
	txq->cache = port->queues.tx_caches[i];
	txq->port = port;
	txq->id = (uint16_t)i;
	txq->port_id = port->id;
	port->txqs[i] = txq;
}

struct quoll_rxq *quoll_port_rxq(struct quoll_port *port, unsigned int i)
{
	return i < QUOLL_PORT_MAX_QUEUES ? port->rxqs[i] : NULL;
}

struct quoll_txq *quoll_port_txq(struct quoll_port *port, unsigned int i)
{
	return i < QUOLL_PORT_MAX_QUEUES ? port->txqs[i] : NULL;
}

/* What can be asked for. */

void quoll_port_info(const struct quoll_port *port, struct quoll_port_info *info)
{
	*info = port->info;
}

int quoll_rxq_fd(const struct quoll_rxq *rxq)
{
	return rxq->port->rx_fds[rxq->id];
}

int quoll_rxq_arm(struct quoll_rxq *rxq)
{
	return rxq->port->driver->arm ? rxq->port->driver->arm(rxq) : -ENOTSUP;
}

void quoll_rxq_disarm(struct quoll_rxq *rxq)
{
	if (rxq->port->driver->disarm)
		rxq->port->driver->disarm(rxq);
}
