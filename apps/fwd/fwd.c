/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fwd.c - `quoll fwd`: options, and the order of things. Setting up is in setup.c, forwarding in run.c and path.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "quoll/cores.h"
#include "quoll/verbs.h"

#include "fwd.h"

#define ETHERNET_HEADER_BYTES 14
#define MIN_BUF_BYTES 512 /* headroom and two MAC addresses, whatever else */

struct fwd_values {
	uint64_t nr_queues;
	uint64_t nr_threads;
	const char *cores;
	uint64_t burst;
	uint64_t entries;
	uint64_t nr_bufs;
	uint64_t buf_bytes;
	uint64_t mtu;
	bool offloads;
	bool rewrite;
	const char *dst_macs;
	bool no_promisc;
	uint64_t seconds;
	uint64_t max_packets;
	uint64_t nr_prime;
	uint64_t frame_bytes;
	bool never_sleep;
	unsigned int pages;
	unsigned int buffers;
	uint64_t heap_bytes;
	uint64_t interval;
};

static const struct fwd_values defaults = {
	.nr_queues = 1,
	.nr_threads = 1,
	.burst = 32,
	.frame_bytes = 60,
	.interval = 1,
};

#define NUMBER(name, field, arg, help, min, max)                                                                       \
	{                                                                                                              \
		name, CLI_NUMBER, offsetof(struct fwd_values, field), arg, help, min, max                              \
	}

static const struct cli_option options[] = {
	NUMBER("queues", nr_queues, "N", "of each port, in each direction; 1 unless told otherwise", 1,
	       QUOLL_PORT_MAX_QUEUES),
	NUMBER("threads", nr_threads, "N", "queues are dealt out over; 1 unless told otherwise", 1, FWD_MAX_THREADS),
	{"cores", CLI_TEXT, offsetof(struct fwd_values, cores), "LIST",
	 "pin the threads to these, one each: 2,3 or 2-5; else they are not pinned", 0, 0},
	NUMBER("burst", burst, "N", "frames received and sent at a time, at most; 32 unless told otherwise", 1,
	       FWD_MAX_BURST),
	NUMBER("entries", entries, "N", "descriptors of each ring; 512 unless told otherwise", 1, 1u << 20),
	NUMBER("bufs", nr_bufs, "N", "buffers in all; enough for rings, bursts and caches unless told otherwise", 1,
	       1u << 28),
	{"buf-bytes", CLI_SIZE, offsetof(struct fwd_values, buf_bytes), "SIZE",
	 "of each buffer, 128 of them headroom; enough for a frame unless told otherwise.\n"
	 "Longer frames come in several buffers where the port can do that",
	 MIN_BUF_BYTES, 1u << 20},
	NUMBER("mtu", mtu, "N", "longest payload of a frame; 1500 unless told otherwise", 68, 65535),
	{"offloads", CLI_FLAG, offsetof(struct fwd_values, offloads), NULL,
	 "take frames with checksums and segmentation left undone from tap:, vhost: and virtio-user: ports;\n"
	 "a port that does it gets them as they are, for others it is done here",
	 0, 0},
	{"mac-rewrite", CLI_FLAG, offsetof(struct fwd_values, rewrite), NULL,
	 "frames get the outgoing port's own address as their source", 0, 0},
	{"dst-mac", CLI_TEXT, offsetof(struct fwd_values, dst_macs), "MAC[,MAC…]",
	 "and this destination: one for all, or one a port, of frames that leave by it", 0, 0},
	{"no-promisc", CLI_FLAG, offsetof(struct fwd_values, no_promisc), NULL,
	 "receive only what is addressed to the port; else it takes every frame", 0, 0},
	NUMBER("time", seconds, "SECONDS", "how long; until a signal unless told otherwise", 1, 1000000000),
	NUMBER("packets", max_packets, "N", "stop after so many; exact with one thread, within a burst a thread else",
	       1, 0),
	NUMBER("prime", nr_prime, "N", "frames that each queue sends before the start: what a ring shall carry round",
	       1, 1u << 20),
	NUMBER("frame-bytes", frame_bytes, "N", "of those, without FCS; 60 unless told otherwise", 60, 9000),
	{"never-sleep", CLI_FLAG, offsetof(struct fwd_values, never_sleep), NULL,
	 "poll without end: a CPU a thread, for the lowest latency", 0, 0},
	BUFFERS_OPTION(struct fwd_values),
	CLAIMS_OPTION_PAGES(struct fwd_values),
	{"heap", CLI_SIZE, offsetof(struct fwd_values, heap_bytes), "SIZE",
	 "addresses set aside for DMA memory, which is placed as needed; 64G unless told otherwise.\n"
	 "Less where ulimit -v is in force",
	 1u << 20, 0},
	NUMBER("stats-interval", interval, "SECONDS", "of the live line on a terminal; 1 unless told otherwise", 1,
	       1000000),
	{NULL, CLI_FLAG, 0, NULL, NULL, 0, 0},
};

static void show_live(const char *line)
{
	cli_progress("%s", line);
}

static int take_lists(const struct cli *cli, const struct fwd_values *v, struct fwd_opts *opts)
{
	int status, nr;

	status = v->cores ? cores_option(cli, v->cores, opts->cores, FWD_MAX_THREADS, &opts->nr_cores) : 0;
	if (status)
		return status;
	if (opts->nr_cores && opts->nr_cores != opts->nr_threads)
		return cli_wrong(cli, "--cores %s: %u cores for %u threads", v->cores, opts->nr_cores,
				 opts->nr_threads);
	nr = v->dst_macs ? plan_parse_macs(v->dst_macs, opts->dst_macs, FWD_MAX_PORTS) : 0;
	if (nr < 0)
		return cli_wrong(cli, "--dst-mac %s: %s", v->dst_macs,
				 nr == -ERANGE ? "too many" : "an address looks like 02:00:00:00:00:01");
	if (nr > 1 && (unsigned int)nr != cli->nr_args)
		return cli_wrong(cli, "--dst-mac %s: %d addresses for %u ports", v->dst_macs, nr, cli->nr_args);
	opts->nr_dst_macs = (unsigned int)nr;
	return 0;
}

/* What --prime writes must fit a buffer, and what is sent a frame of the port: else it is dropped, and nothing goes
 * round. */
static int check_prime(const struct cli *cli, const struct fwd_values *v)
{
	uint64_t mtu = v->mtu ? v->mtu : QUOLL_PORT_DEFAULT_MTU;

	if (!v->nr_prime)
		return 0;
	if (v->frame_bytes > mtu + ETHERNET_HEADER_BYTES)
		return cli_wrong(cli, "--frame-bytes %" PRIu64 ": too long for an mtu of %" PRIu64, v->frame_bytes,
				 mtu);
	if (v->buf_bytes && v->frame_bytes > v->buf_bytes - PLAN_HEADROOM_BYTES)
		return cli_wrong(cli, "--frame-bytes %" PRIu64 ": a buffer of --buf-bytes has room for %" PRIu64,
				 v->frame_bytes, v->buf_bytes - PLAN_HEADROOM_BYTES);
	return 0;
}

static int take_options(const struct cli *cli, const struct fwd_values *v, struct fwd_opts *opts)
{
	unsigned int nr_paths = cli->nr_args * (unsigned int)v->nr_queues;
	int status;

	if (cli->nr_args > 1 && cli->nr_args % 2)
		return cli_wrong(cli, "%s: has no partner; ports come in pairs, or one alone",
				 cli->args[cli->nr_args - 1]);
	if (v->nr_threads > nr_paths)
		return cli_wrong(cli, "--threads %" PRIu64 ": there are %u queues to deal out", v->nr_threads,
				 nr_paths);
	status = check_prime(cli, v);
	if (status)
		return status;
	opts->nr_queues = (unsigned int)v->nr_queues;
	opts->nr_threads = (unsigned int)v->nr_threads;
	opts->burst = (unsigned int)v->burst;
	opts->entries = (unsigned int)v->entries;
	opts->nr_bufs = (uint32_t)v->nr_bufs;
	opts->buf_bytes = (uint32_t)v->buf_bytes;
	opts->mtu = (unsigned int)v->mtu;
	opts->promiscuous = !v->no_promisc;
	opts->offloads = v->offloads;
	opts->rewrite = v->rewrite || v->dst_macs;
	opts->time_ns = v->seconds * 1000000000u;
	opts->max_packets = v->max_packets;
	opts->nr_prime = (unsigned int)v->nr_prime;
	opts->frame_bytes = (unsigned int)v->frame_bytes;
	opts->never_sleep = v->never_sleep;
	opts->pages = (enum quoll_heap_pages)v->pages;
	opts->buffers = (enum buffers_where)v->buffers;
	opts->heap_bytes = v->heap_bytes;
	opts->live_ns = v->interval * 1000000000u;
	opts->live = cli_progress_wanted() ? show_live : NULL;
	opts->say = cli_say;
	opts->say_arg = (void *)(uintptr_t)cli;
	return take_lists(cli, v, opts);
}

/* A queue whose port is at another node than the core that polls it crosses between them for each frame. */
static void warn_of_nodes(const struct cli *cli, const struct fwd_run *run)
{
	for (unsigned int i = 0; i < run->nr_paths; i++) {
		const struct plan_queue *plan = &run->paths[i].plan;
		const struct ports_thread *thread = &run->p.threads[plan->thread];
		const struct ports_port *port = &run->p.ports[plan->port];

		if (port->info.numa_node >= 0 && thread->node >= 0 && port->info.numa_node != thread->node)
			fprintf(cli->err,
				"quoll fwd: warning: %s is at NUMA node %d, core %d of thread %u at node %d: every "
				"frame crosses between them\n",
				port->info.name, port->info.numa_node, thread->core, plan->thread, thread->node);
	}
}

static int forward(struct cli *cli, struct fwd_run *run, const struct quoll_addr *addrs)
{
	struct quoll_error err = {0}, stop_err = {0};
	int status, run_ret, stop_ret;

	if (fwd_open(run, addrs, cli->nr_args, &err))
		return cli_addr_error(cli, &err);
	status = cli_emit_start(cli, fwd_describe_map(run), fwd_map_text);
	if (status)
		return status;
	warn_of_nodes(cli, run);
	run_ret = fwd_loop(run, &err);
	stop_ret = fwd_stop(run, &stop_err);
	status = cli_emit(cli, fwd_describe(run), fwd_text);
	if (run_ret)
		status = cli_error(cli, &err);
	if (stop_ret)
		status = cli_error(cli, &stop_err);
	return status;
}

static int run_fwd(struct cli *cli, const void *values)
{
	struct fwd_run *run = calloc(1, sizeof(*run));
	struct quoll_addr *addrs = NULL;
	struct quoll_error err;
	int status;

	if (!run) {
		quoll_error_set(&err, ENOMEM, "start", "", "out of memory");
		return cli_error(cli, &err);
	}
	run->p.claims.env = &cli->env;
	status = take_options(cli, values, &run->opts);
	if (!status)
		status = cli_port_addrs(cli, &addrs);
	if (!status) {
		status = forward(cli, run, addrs);
		fwd_close(run);
	}
	free(addrs);
	free(run);
	return status;
}

const struct cli_verb verb_fwd = {
	.name = "fwd",
	.args = "ADDR [ADDR ADDR…]",
	.min_args = 1,
	.max_args = FWD_MAX_PORTS,
	.summary = "forward packets between pairs of ports",
	.details =
		"What comes in on the first port leaves by the second, and the other way round; so do the third and\n"
		"the fourth. A single port sends back what it receives. Frames are not changed unless --mac-rewrite\n"
		"or --dst-mac says so; what a port cannot take at once is dropped and counted.\n"
		"Ports: pci:0000:01:00.0 (bound with quoll bind), xdp:IFNAME (an interface, by AF_XDP),\n"
		"vhost:/run/y.sock[?queues=N&client=1&packed=0] (a virtual machine's network device),\n"
		"tap:NAME (made if it is not there), virtio-user:PATH[?queues=N&packed=1&server=1&mac=MAC] (a\n"
		"vhost-user back end), null:[?size=BYTES], ring:NAME[?loop=1]. The PCI ports of one forwarder share\n"
		"their buffers, and so one address space.\n" BUFFERS_DETAILS
		"Then each PCI port has an address space of its own, and in it what it receives or sends just now.\n"
		"useful_ns_per_packet is the time in polls that forwarded something; polls that found nothing are not\n"
		"counted. Where the CPU's counter counts instructions (QEMU -icount shift=0) it is instructions a "
		"packet.",
	.has_json = true,
	.options = options,
	.defaults = &defaults,
	.values_bytes = sizeof(defaults),
	.run = run_fwd,
};
