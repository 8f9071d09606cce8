/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rx_to_nvme NIC NVME [N] - write the payload of N UDP packets to a namespace, from LBA 0 on, without a copy: the heap
 * is attached to the address spaces of both devices. A payload as long as a block becomes one; others are ignored.
 */
#include <stdio.h>
#include <stdlib.h>

#include <net/net.h>
#include <nvme/nvme.h>
#include <quoll/loop.h>

#define BURST 32
#define HEADERS_BYTES (14 + 20 + 8) /* Ethernet, IPv4 without options, UDP */
#define HEADROOM_BYTES 130	    /* makes the payload dword aligned, as NVMe wants it */

static struct quoll_loop *loop;
static struct quoll_port *port;
static struct quoll_rxq *rxq;
static struct quoll_buf_cache *cache;
static struct quoll_nvme_queue *queue;
static struct quoll_nvme_ns_info ns;
static unsigned long limit, started, written, failed, ignored;

static bool start_write(struct quoll_buf *buf)
{
	const uint8_t *p = quoll_buf_data(buf);

	return buf->total_bytes == HEADERS_BYTES + ns.lba_bytes && p[12] == 8 && !p[13] && p[14] == 0x45 &&
	       p[23] == 17 && started < limit &&
	       !quoll_nvme_prep_write(queue, ns.nsid, p + HEADERS_BYTES, started, 1, (uintptr_t)buf) && ++started;
}

static int poll(void *arg __attribute__((unused)))
{
	struct quoll_nvme_completion comps[BURST];
	struct quoll_buf *bufs[BURST];
	unsigned int nr_done = quoll_nvme_poll(queue, comps, BURST), nr_new = quoll_rx(rxq, bufs, BURST);

	for (unsigned int i = 0; i < nr_done; i++) {
		quoll_buf_put_chain(cache, (struct quoll_buf *)(uintptr_t)comps[i].user_data);
		*(comps[i].error || comps[i].status ? &failed : &written) += 1;
	}
	for (unsigned int i = 0; i < nr_new; i++)
		if (!start_write(bufs[i])) {
			ignored++;
			quoll_buf_put_chain(cache, bufs[i]);
		}
	quoll_nvme_submit(queue);
	if (failed || written == limit || quoll_port_error(port))
		quoll_loop_stop(loop);
	return (int)(nr_done + nr_new);
}

int main(int argc, char **argv)
{
	struct quoll_addr addr[2];
	struct quoll_ioas *ioas[2]; /* one a device: neither reaches what is the other's alone */
	struct quoll_group *group[2];
	struct quoll_device *dev[2];
	struct quoll_heap_opts shared = {.numa_node = -1, .ioases = ioas, .nr_ioases = 2};
	struct quoll_pool_opts sizes = {.nr_bufs = 4096, .buf_bytes = 2304, .headroom_bytes = HEADROOM_BYTES};
	struct quoll_port_queues queues = {.nr_rxqs = 1, .entries = 1024, .rx_caches = &cache};
	struct quoll_poller poller = {.poll = poll, .fd = -1};
	struct quoll_error err = {.what = "needs a NIC, and an NVMe drive with a namespace"};
	struct quoll_heap *heap;
	struct quoll_arena *arena;
	struct quoll_pool *pool;
	struct quoll_nvme *nvme;
	struct quoll_net *net;
	sigset_t signals;
	int rc = argc < 3;

	for (int i = 0; i < 2 && !rc; i++)
		rc = quoll_addr_parse(argv[i + 1], &addr[i], &err) || quoll_ioas_open(NULL, NULL, &ioas[i], &err) ||
		     quoll_group_claim(ioas[i], &addr[i], &group[i], &err) ||
		     quoll_device_open(group[i], addr[i].target, &dev[i], &err);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	if (rc || quoll_heap_create(NULL, &shared, &heap, &err) || quoll_nvme_open(dev[1], heap, NULL, &nvme, &err) ||
	    quoll_nvme_queue_create(nvme, NULL, &queue, &err) || quoll_nvme_ns_at(nvme, 0, &ns) ||
	    quoll_arena_create(heap, "packets", QUOLL_ARENA_DEVICE_READ_WRITE, 0, &arena, &err) ||
	    quoll_pool_create(arena, &sizes, &pool, &err) || quoll_buf_cache_create(pool, 0, &cache, &err) ||
	    quoll_net_create(NULL, heap, &net, &err) || quoll_port_open(net, &addr[0], dev[0], &port, &err) ||
	    quoll_port_start(port, &queues, NULL, &err) || quoll_loop_create(NULL, NULL, &loop, &err) ||
	    quoll_loop_signals(loop, &signals, NULL, NULL) || quoll_loop_add(loop, &poller)) {
		fprintf(stderr, "%s: %s\n%s\n", err.subject, err.what, err.hint);
		return 1; /* what is open the kernel resets and takes back */
	}
	rxq = quoll_port_rxq(port, 0);
	limit = argc > 3 ? strtoul(argv[3], NULL, 0) : ns.nr_lbas;
	rc = quoll_loop_run(loop) || quoll_port_error(port);
	for (limit = started; written + failed < started;) /* what the disk still reads from */
		poll(NULL);
	quoll_port_close(port);
	quoll_nvme_close(nvme);
	printf("written %lu, failed %lu, ignored %lu\n", written, failed, ignored);
	return rc || failed;
}
