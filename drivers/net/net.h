/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net.h - network ports: receive and transmit a batch at a time, whatever is behind the port.
 *
 * A queue belongs to one thread. Buffers come from the cache that its receive queue was given, and go back to the one
 * of the transmit queue; a thread that receives and sends gives both queues the same cache, and buffers stay warm.
 * Nothing is called back: link changes, errors and removal are found by the polls themselves and asked for with
 * quoll_port_link() and quoll_port_error().
 */
#ifndef QUOLL_NET_H
#define QUOLL_NET_H

#include <stdbool.h>

#include <quoll/addr.h>
#include <quoll/buf_cache.h>
#include <quoll/device.h>

#include "net_queue.h"
#include "net_rss.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUOLL_MAC_BYTES 6
#define QUOLL_PORT_MAX_QUEUES 64
#define QUOLL_PORT_MAX_MACS 16
#define QUOLL_PORT_DEFAULT_MTU 1500
#define QUOLL_PORT_DEFAULT_ENTRIES 512

/* Offloads: what a port can do, and what it is asked to do. What it lacks, net_soft.h does in software. */
#define QUOLL_OFFLOAD_RX_IP_CSUM (1u << 0) /* check IPv4 header checksums: QUOLL_BUF_RX_IP_* */
#define QUOLL_OFFLOAD_RX_L4_CSUM (1u << 1) /* check TCP and UDP checksums: QUOLL_BUF_RX_L4_* */
#define QUOLL_OFFLOAD_TX_IP_CSUM (1u << 2) /* QUOLL_BUF_TX_IP_CSUM */
#define QUOLL_OFFLOAD_TX_L4_CSUM (1u << 3) /* QUOLL_BUF_TX_TCP_CSUM, QUOLL_BUF_TX_UDP_CSUM */
#define QUOLL_OFFLOAD_VLAN_STRIP (1u << 4)
#define QUOLL_OFFLOAD_VLAN_INSERT (1u << 5)
#define QUOLL_OFFLOAD_RX_SCATTER (1u << 6) /* a frame longer than a buffer comes as a chain; else it is dropped */
#define QUOLL_OFFLOAD_TX_TSO4 (1u << 7)	   /* QUOLL_BUF_TX_TSO of TCP over IPv4; takes TX_L4_CSUM, too */
#define QUOLL_OFFLOAD_TX_TSO6 (1u << 8)	   /* the same over IPv6 */
/* What a peer in software left undone comes as it is: QUOLL_BUF_RX_L4_PARTIAL, and with RX_GSO QUOLL_BUF_RX_GSO. */
#define QUOLL_OFFLOAD_RX_GSO (1u << 9)
#define QUOLL_OFFLOAD_RX_TIMESTAMP (1u << 10) /* QUOLL_BUF_RX_TIMESTAMP */
#define QUOLL_OFFLOAD_RX_CSUM (QUOLL_OFFLOAD_RX_IP_CSUM | QUOLL_OFFLOAD_RX_L4_CSUM)
#define QUOLL_OFFLOAD_TX_CSUM (QUOLL_OFFLOAD_TX_IP_CSUM | QUOLL_OFFLOAD_TX_L4_CSUM)
#define QUOLL_OFFLOAD_TX_TSO (QUOLL_OFFLOAD_TX_TSO4 | QUOLL_OFFLOAD_TX_TSO6)

struct quoll_net;
struct quoll_port;

/**
 * quoll_net_create() - what ports hang off: an environment, a heap, and the names of rings
 * @env:  copied; NULL for the ordinary machine
 * @heap: where descriptor rings go; pools of the buffers are in it too. Stays the caller's
 * @net:  freed by quoll_net_destroy()
 */
QUOLL_API int quoll_net_create(const struct quoll_env *env, struct quoll_heap *heap, struct quoll_net **net,
			       struct quoll_error *err);

/**
 * quoll_net_destroy() - Return: 0, or -EBUSY while a port is open (nothing is changed then).
 */
QUOLL_API int quoll_net_destroy(struct quoll_net *net);

/**
 * quoll_net_guarded() - the program has a handler of SIGBUS, which asks quoll_net_bus_error(): ports may map a peer's
 * files though they can get shorter. Thread rule: before ports are opened.
 */
QUOLL_API void quoll_net_guarded(struct quoll_net *net);

/**
 * quoll_net_bus_error() - in a handler of SIGBUS: was it a peer's memory that has vanished?
 * @va: si_addr
 *
 * Return: true: it is empty memory now, go on; the port that it belonged to ends its session at the next check.
 */
QUOLL_API bool quoll_net_bus_error(struct quoll_net *net, void *va);

/**
 * quoll_port_open() - bring a port up as far as it goes without buffers: reset, MAC address, link
 * @addr: null:[?size=BYTES] frames of that size without end, and nowhere; ring:NAME one end of a ring in this process,
 *        the second port of that name is the other end, or with ?loop=1 what is sent comes back; pci: with @dev;
 *        xdp:IFNAME[?queues=A[-B]&zerocopy=auto|on|off&mode=auto|native|generic&busy=N] AF_XDP on an interface of the
 *        kernel's (xdp/README.md); tap:NAME[?persist=0|1] the other end of a TAP interface (tap/README.md);
 *        vhost:PATH[?queues=N&client=1&packed=0] the device of a virtual machine;
 *        virtio-user:PATH a vhost-user back end, which is shown the heap's memory (virtio/README.md)
 * @dev:  the open device of a pci: address, which stays the caller's; NULL for others. Until the port is closed
 *        quoll_device_events() is the port's
 * @port: closed by quoll_port_close()
 * @err:  -ENOTSUP: no driver for that scheme or device; -EINVAL: option; -EBUSY: third port on a ring; -ENODEV: gone;
 *        -ETIMEDOUT, -EIO, -EPROTO: the device does not do as its datasheet says; -ENOMEM, -ENOSPC
 *
 * Thread rule: set-up, may block; ports of one net are opened and closed by one thread at a time. A port belongs to one
 * thread at a time, each of its queues to one, which may be another.
 */
QUOLL_API int quoll_port_open(struct quoll_net *net, const struct quoll_addr *addr, struct quoll_device *dev,
			      struct quoll_port **port, struct quoll_error *err);

/**
 * quoll_port_close() - stop if it runs, quiesce the device (bus mastering off), free
 */
QUOLL_API void quoll_port_close(struct quoll_port *port);

/**
 * struct quoll_port_info - what a port is
 * @name:      the address as the user spells it, without options
 * @driver:    "e1000e", "null", …
 * @mac:       its own address; zeroes if it has none
 * @offloads:  QUOLL_OFFLOAD_* that it can do, each done by the device and none by software
 * @max_rxqs, @max_txqs: how many queues it can have
 * @min_entries, @max_entries: of a ring of descriptors
 * @max_mtu:   longest payload of a frame (without Ethernet header, tag and FCS)
 * @max_macs:  further addresses it can filter in hardware
 * @max_tx_links: longest chain that transmit takes
 * @max_tso_bytes: longest frame with QUOLL_BUF_TX_TSO, headers included; 0 without that
 * @tx_writable: what is sent must lie in an arena of QUOLL_ARENA_DEVICE_READ_WRITE, as who receives it maps no other
 * @memory:    where its buffers may lie
 * @rss_types: QUOLL_RSS_* that it can spread by; 0 if it spreads as it likes, or can't be told
 * @rss_table_entries: of its redirection table, a power of two; 0 if it has none
 * @numa_node: -1 if unknown
 */
struct quoll_port_info {
	const char *name;
	const char *driver;
	uint8_t mac[QUOLL_MAC_BYTES];
	uint32_t offloads;
	unsigned int max_rxqs;
	unsigned int max_txqs;
	unsigned int min_entries;
	unsigned int max_entries;
	unsigned int max_mtu;
	unsigned int max_macs;
	unsigned int max_tx_links;
	unsigned int max_tso_bytes;
	bool tx_writable;
	enum quoll_port_memory memory;
	uint32_t rss_types;
	unsigned int rss_table_entries;
	int numa_node;
};

QUOLL_API void quoll_port_info(const struct quoll_port *port, struct quoll_port_info *info);

/**
 * struct quoll_port_settings - how a port shall be; desired state, applied as a whole
 * @mtu:           0 for QUOLL_PORT_DEFAULT_MTU
 * @offloads:      QUOLL_OFFLOAD_*, each among those in quoll_port_info
 * @promiscuous:   take every frame
 * @all_multicast: take every multicast frame
 * @mac:           own address; zeroes for the device's
 * @nr_macs, @macs: further addresses to take, unicast or multicast
 * @rss:           how frames are spread over receive queues (net_rss.h); zeroes for all types that the port has, the
 *                 default key and a table in which the queues take turns
 */
struct quoll_port_settings {
	unsigned int mtu;
	uint32_t offloads;
	bool promiscuous;
	bool all_multicast;
	uint8_t mac[QUOLL_MAC_BYTES];
	unsigned int nr_macs;
	uint8_t macs[QUOLL_PORT_MAX_MACS][QUOLL_MAC_BYTES];
	struct quoll_rss rss;
};

/**
 * quoll_port_start() - rings, buffers, receiver and transmitter on
 * @settings: NULL for the defaults
 * @err:      -EINVAL: out of range, named; -ENOTSUP: an offload that the port lacks, named; -EBUSY: it runs; -ENOBUFS:
 *            a pool has too few buffers to fill a ring (how many are needed is named); -ENODEV, -EIO, -ETIMEDOUT. With
 *            buffers outside of the heap also -ENOTSUP: this port takes the heap's only, and as quoll_stream_map()
 * Thread rule: the port's thread, before its queues are polled.
 */
QUOLL_API int quoll_port_start(struct quoll_port *port, const struct quoll_port_queues *queues,
			       const struct quoll_port_settings *settings, struct quoll_error *err);

/**
 * quoll_port_apply() - change settings while it runs
 * @err: as quoll_port_start(), but -EINVAL if it does not run; -EBUSY: mtu, offloads, and types and key of rss take a
 *       stop and a start. All or nothing.
 */
QUOLL_API int quoll_port_apply(struct quoll_port *port, const struct quoll_port_settings *settings,
			       struct quoll_error *err);

/**
 * quoll_port_stop() - quiesce; every buffer goes back to its queue's cache, sent or not
 *
 * Thread rule: the port's thread, after its queues' threads have left them.
 * Return: 0; -ETIMEDOUT, -EIO: it did not stop by itself and lost bus mastering instead, or -ENODEV: gone (buffers are
 * back all the same).
 */
QUOLL_API int quoll_port_stop(struct quoll_port *port);

/**
 * quoll_port_rxq(), quoll_port_txq() - the i-th queue of a started port (net_queue.h), NULL past the end; good until it
 * is stopped
 */
QUOLL_API struct quoll_rxq *quoll_port_rxq(struct quoll_port *port, unsigned int i);
QUOLL_API struct quoll_txq *quoll_port_txq(struct quoll_port *port, unsigned int i);

/* State; all of these from any thread. */

/**
 * struct quoll_port_link - the line
 * @nr_changes: how often it went up or down since the port was opened
 */
struct quoll_port_link {
	bool up;
	bool full_duplex;
	uint32_t mbit_per_s;
	uint32_t nr_changes;
};

QUOLL_API void quoll_port_link(const struct quoll_port *port, struct quoll_port_link *link);

/**
 * quoll_port_error() - 0 while all is well; -ENODEV: gone, or the kernel wants it back; -EIO: a fatal error. A port
 * that is dead receives and sends nothing any more and does no DMA; stop and close it.
 */
QUOLL_API int quoll_port_error(const struct quoll_port *port);

/**
 * quoll_port_check() - look at link, events, removal and stalls now; receive queues that are polled do so about once a
 * millisecond. Needed now and then where nobody receives, or where frames are sent while receive queues sleep. Return:
 * quoll_port_error().
 */
QUOLL_API int quoll_port_check(struct quoll_port *port);

/**
 * struct quoll_port_stats - counters since the port was opened
 * @rx_packets, @rx_bytes, @tx_packets, @tx_bytes: frames without FCS, as handed to the caller, as taken from the caller
 * @rx_missed:  dropped by the device, as its ring had no free buffer
 * @rx_no_buf:  the pool had no fresh buffer: frames dropped by the driver, or times that a ring could not be filled up
 * @rx_errors:  dropped by the device: CRC, alignment, length
 * @rx_bad:     dropped by the driver: descriptors that make no sense
 * @tx_bad:     taken and dropped, and in none of the above: see quoll_tx()
 * @tx_errors:  the device could not send
 */
struct quoll_port_stats {
	uint64_t rx_packets;
	uint64_t rx_bytes;
	uint64_t tx_packets;
	uint64_t tx_bytes;
	uint64_t rx_missed;
	uint64_t rx_no_buf;
	uint64_t rx_errors;
	uint64_t rx_bad;
	uint64_t tx_bad;
	uint64_t tx_errors;
};

QUOLL_API void quoll_port_stats(const struct quoll_port *port, struct quoll_port_stats *stats);

#define QUOLL_XSTAT_NAME_BYTES 40

/**
 * struct quoll_port_xstat - a counter by its name
 * @name: "rx_missed" and the others above; "rxq0_packets" and so on, of the queues that there are now, since they were
 *        started; and what only this driver counts
 */
struct quoll_port_xstat {
	char name[QUOLL_XSTAT_NAME_BYTES];
	uint64_t value;
};

/**
 * quoll_port_xstats() - all there is to count
 * @xstats: room for @n; the first @n are filled in. NULL if @n is 0
 *
 * Return: how many there are. The order is the same while the port runs.
 */
QUOLL_API unsigned int quoll_port_xstats(const struct quoll_port *port, struct quoll_port_xstat *xstats,
					 unsigned int n);

#ifdef __cplusplus
}
#endif
#endif
