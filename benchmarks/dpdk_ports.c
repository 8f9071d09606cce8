/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dpdk_ports.c - the peer of bench_ports for rings: two ports of DPDK's net_ring in the same bare loop, with as many
 * packets on the way. Independent of Quoll.
 *
 * Once as the driver is, and once with the port of each packet set as it comes in: from DPDK 24.07 on net_ring does
 * that itself, before it did not, and only then do both sides hand out packets that say where they came from.
 *
 *   dpdk_ports [EAL OPTION...]
 */
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_version.h>
#include <stdio.h>

#include "sort.h"

#define PACKETS (1u << 23) /* a run */
#define ON_THE_WAY 512
#define BURST 32
#define ENTRIES 1024
#define NR_BUFS 8192
#define CACHE_SIZE 512
#define BUF_BYTES 2176
#define RUNS 5

static inline __attribute__((always_inline)) uint64_t forward(uint16_t from, uint16_t to, bool set_port)
{
	struct rte_mbuf *bufs[BURST];
	uint16_t n = rte_eth_rx_burst(from, 0, bufs, BURST), sent;

	for (uint16_t i = 0; set_port && i < n; i++)
		bufs[i]->port = from;
	sent = rte_eth_tx_burst(to, 0, bufs, n);
	if (unlikely(sent < n))
		rte_pktmbuf_free_bulk(bufs + sent, n - sent);
	return sent;
}

static inline __attribute__((always_inline)) double run(bool set_port)
{
	uint64_t begin = rte_rdtsc(), done = 0;

	while (done < PACKETS)
		done += forward(0, 1, set_port) + forward(1, 0, set_port);
	return (double)(rte_rdtsc() - begin) / (double)done;
}

static void print_case(const char *name, double *ticks, const char *end)
{
	sort_doubles(ticks, RUNS);
	printf("  {\"name\": \"%s\", \"median_ticks_per_packet\": %.4f, \"min_ticks_per_packet\": %.4f, "
	       "\"max_ticks_per_packet\": %.4f}%s\n",
	       name, ticks[RUNS / 2], ticks[0], ticks[RUNS - 1], end);
}

static int start_port(uint16_t port, struct rte_mempool *pool)
{
	struct rte_eth_conf conf = {0};
	int rc = rte_eth_dev_configure(port, 1, 1, &conf);

	if (!rc)
		rc = rte_eth_rx_queue_setup(port, 0, ENTRIES, SOCKET_ID_ANY, NULL, pool);
	if (!rc)
		rc = rte_eth_tx_queue_setup(port, 0, ENTRIES, SOCKET_ID_ANY, NULL);
	return rc ? rc : rte_eth_dev_start(port);
}

static int prepare(void)
{
	struct rte_mempool *pool = rte_pktmbuf_pool_create("bufs", NR_BUFS, CACHE_SIZE, 0, BUF_BYTES, SOCKET_ID_ANY);
	int rc = pool ? 0 : -rte_errno;

	for (uint16_t port = 0; !rc && port < 2; port++)
		rc = start_port(port, pool);
	for (unsigned int i = 0; !rc && i < ON_THE_WAY; i++) {
		struct rte_mbuf *buf = rte_pktmbuf_alloc(pool);

		if (!buf)
			return -ENOBUFS;
		buf->pkt_len = buf->data_len = 64;
		rc = rte_eth_tx_burst(i % 2, 0, &buf, 1) == 1 ? 0 : -EIO;
	}
	return rc;
}

int main(int argc, char **argv)
{
	double plain[RUNS], with_port[RUNS];
	int rc = rte_eal_init(argc, argv) < 0 ? -rte_errno : prepare();

	if (rc) {
		fprintf(stderr, "dpdk_ports: %s (it takes --vdev net_ring0 --vdev net_ring1)\n", rte_strerror(-rc));
		return 1;
	}
	for (int i = -1; i < RUNS; i++) { /* the first warms up */
		plain[i < 0 ? 0 : i] = run(false);
		with_port[i < 0 ? 0 : i] = run(true);
	}
	printf("{\n \"program\": \"dpdk_ports\", \"version\": \"%s\", \"cases\": [\n", rte_version());
	print_case("ring", plain, ",");
	print_case("ring_port", with_port, "");
	printf(" ]\n}\n");
	return 0;
}
