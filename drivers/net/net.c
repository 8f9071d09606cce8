/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.c - the net that ports hang off, the list of drivers; opening and closing a port.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net_driver.h"
#include "net_guard.h"

/* In the order of the words in meson.build. */
#define NET_DRIVER(name) &net_##name,
static const struct net_driver *const drivers[] = {NET_DRIVERS};
#undef NET_DRIVER

#define NR_DRIVERS (sizeof(drivers) / sizeof(drivers[0]))

struct quoll_net {
	struct quoll_env env;
	struct quoll_heap *heap;
	struct quoll_clock clock;
	struct quoll_port *ports; /* by rising id */
	struct net_guards guards;
};

int quoll_net_create(const struct quoll_env *env, struct quoll_heap *heap, struct quoll_net **result,
		     struct quoll_error *err)
{
	struct quoll_net *net;

	if (!heap)
		return quoll_error_set(err, EINVAL, "net", NULL, "no heap given");
	net = calloc(1, sizeof(*net));
	if (!net)
		return quoll_error_set(err, ENOMEM, "net", NULL, "out of memory");
	if (env)
		net->env = *env;
	net->heap = heap;
	(void)quoll_clock_init(&net->clock); /* a system clock is good enough */
	*result = net;
	return 0;
}

int quoll_net_destroy(struct quoll_net *net)
{
	if (!net)
		return 0;
	if (net->ports)
		return -EBUSY;
	free(net);
	return 0;
}

const struct quoll_env *net_env(const struct quoll_port *port)
{
	return &port->net->env;
}

struct quoll_heap *net_heap(const struct quoll_port *port)
{
	return port->net->heap;
}

struct quoll_port *net_first_port(const struct quoll_port *port)
{
	return port->net->ports;
}

struct net_guards *net_guards(struct quoll_net *net)
{
	return &net->guards;
}

void *net_alloc(size_t bytes)
{
	size_t whole = (bytes + QUOLL_CACHE_LINE_BYTES - 1) / QUOLL_CACHE_LINE_BYTES * QUOLL_CACHE_LINE_BYTES;
	void *mem = aligned_alloc(QUOLL_CACHE_LINE_BYTES, whole);

	return mem ? memset(mem, 0, whole) : NULL;
}

/* Open and close. */

static bool needs_device(enum quoll_addr_scheme scheme)
{
	return scheme == QUOLL_ADDR_PCI || scheme == QUOLL_ADDR_VFIO_USER;
}

static int check_device(const struct quoll_addr *addr, struct quoll_device *dev, struct quoll_error *err)
{
	const char *scheme = quoll_addr_scheme_name(addr->scheme);
	struct quoll_device_info info;

	if (!needs_device(addr->scheme))
		return dev ? quoll_error_set(err, EINVAL, "open", addr->target,
					     "a device was given, and %s: addresses have none", scheme)
			   : 0;
	if (!dev)
		return quoll_error_set(err, EINVAL, "open", addr->target, "%s: addresses need an open device", scheme);
	quoll_device_info(dev, &info);
	if (addr->scheme == QUOLL_ADDR_PCI && strcmp(info.name, addr->target) != 0)
		return quoll_error_set(err, EINVAL, "open", addr->target, "the device given is another one, %s",
				       info.name);
	return 0;
}

static bool is_for(const struct net_driver *driver, const struct quoll_device_info *info)
{
	const struct net_device_id *id = driver->ids;

	if (!id)
		return true;
	for (; id->vendor_id; id++)
		if (info->bus == QUOLL_BUS_PCI && id->vendor_id == info->vendor_id && id->device_id == info->device_id)
			return true;
	return false;
}

/* Without a device: any driver of the scheme. */
static const struct net_driver *find_driver(const struct quoll_addr *addr, struct quoll_device *dev,
					    struct quoll_error *err)
{
	const char *scheme = quoll_addr_scheme_name(addr->scheme);
	struct quoll_device_info info = {0};

	if (dev)
		quoll_device_info(dev, &info);
	for (size_t i = 0; i < NR_DRIVERS; i++)
		if (drivers[i]->scheme == addr->scheme && (!dev || is_for(drivers[i], &info)))
			return drivers[i];
	if (dev)
		quoll_error_set(err, ENOTSUP, "open", info.name,
				"no network driver here knows device %04x:%04x of class %06x", info.vendor_id,
				info.device_id, info.class_code);
	else
		quoll_error_set(err, ENOTSUP, "open", addr->target, "%s: addresses are no network ports here", scheme);
	quoll_error_hint(err, "the drivers there are:");
	for (size_t i = 0; err && i < NR_DRIVERS; i++) {
		size_t used = strlen(err->hint);

		snprintf(err->hint + used, sizeof(err->hint) - used, "%s %s (%s:)", i ? "," : "", drivers[i]->name,
			 quoll_addr_scheme_name(drivers[i]->scheme));
	}
	return NULL;
}

/* Lowest free id, and its place in the list. */
static int insert_port(struct quoll_net *net, struct quoll_port *port)
{
	struct quoll_port **link = &net->ports;
	uint32_t id = 0;

	for (; *link && (*link)->id == id; link = &(*link)->next)
		id++;
	if (id > UINT16_MAX)
		return -ENOSPC;
	port->id = (uint16_t)id;
	port->next = *link;
	*link = port;
	return 0;
}

static void remove_port(struct quoll_port *port)
{
	struct quoll_port **link = &port->net->ports;

	while (*link != port)
		link = &(*link)->next;
	*link = port->next;
}

static void port_free(struct quoll_port *port)
{
	pthread_mutex_destroy(&port->lock);
	free(port);
}

static struct quoll_port *port_new(struct quoll_net *net, const struct net_driver *driver,
				   const struct quoll_addr *addr, struct quoll_device *dev)
{
	struct quoll_port *port = net_alloc(driver->port_bytes);
	struct quoll_device_info info = {.numa_node = -1};

	if (!port)
		return NULL;
	if (dev)
		quoll_device_info(dev, &info);
	port->driver = driver;
	port->net = net;
	port->dev = dev;
	port->clock = net->clock;
	port->shared.check_ticks = quoll_ns_to_ticks(&net->clock, NET_CHECK_PERIOD_NS);
	pthread_mutex_init(&port->lock, NULL);
	quoll_addr_short(addr, port->name, sizeof(port->name));
	port->info.name = port->name;
	port->info.driver = driver->name;
	port->info.memory = driver->memory;
	port->info.numa_node = info.numa_node;
	return port;
}

int net_port_open_driver(struct quoll_net *net, const struct net_driver *driver, const struct quoll_addr *addr,
			 struct quoll_device *dev, struct quoll_port **result, struct quoll_error *err)
{
	static const char *const none[] = {NULL};
	struct quoll_port *port;
	int rc = quoll_addr_options_known(addr, driver->options ? driver->options : none, err);

	if (rc)
		return rc;
	port = port_new(net, driver, addr, dev);
	if (!port)
		return quoll_error_set(err, ENOMEM, "open", addr->target, "out of memory");
	rc = insert_port(net, port);
	if (rc) {
		rc = quoll_error_set(err, -rc, "open", port->name, "%u ports are open, and no more are possible",
				     UINT16_MAX + 1);
		port_free(port);
		return rc;
	}
	rc = driver->open(port, addr, err);
	if (rc) {
		remove_port(port);
		port_free(port);
		return rc;
	}
	quoll_log(&net->env, QUOLL_LOG_DEBUG, "net", "%s: port %u, driver %s", port->name, port->id, driver->name);
	*result = port;
	return 0;
}

int quoll_port_open(struct quoll_net *net, const struct quoll_addr *addr, struct quoll_device *dev,
		    struct quoll_port **port, struct quoll_error *err)
{
	const struct net_driver *driver;
	int rc;

	if (!net || !addr)
		return quoll_error_set(err, EINVAL, "open", NULL, "no net or no address given");
	/* A scheme without a driver is said to be one, whatever else is wrong. */
	if (!find_driver(addr, NULL, err))
		return -ENOTSUP;
	rc = check_device(addr, dev, err);
	if (rc)
		return rc;
	driver = find_driver(addr, dev, err);
	return driver ? net_port_open_driver(net, driver, addr, dev, port, err) : -ENOTSUP;
}

void quoll_port_close(struct quoll_port *port)
{
	if (!port)
		return;
	(void)quoll_port_stop(port);
	port->driver->close(port);
	remove_port(port);
	quoll_log(net_env(port), QUOLL_LOG_DEBUG, "net", "%s: closed", port->name);
	port_free(port);
}
