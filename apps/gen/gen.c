/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gen.c - `quoll gen`: options, and the order of things. Setting up is in setup.c, the work in path.c and run.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fwd/plan.h"
#include "quoll/cores.h"
#include "quoll/verbs.h"

#include "gen.h"

struct gen_values {
	const char *rate;
	const char *sizes;
	uint64_t nr_flows;
	unsigned int vary;
	const char *src_ip;
	const char *dst_ip;
	uint64_t src_port;
	uint64_t dst_port;
	const char *src_mac;
	const char *dst_mac;
	uint64_t vlan; /* + 1; 0: none */
	uint64_t seconds;
	uint64_t max_packets;
	uint64_t warm_up;
	uint64_t linger_ms;
	bool tx_only;
	bool rx_only;
	bool both;
	bool same_clock;
	uint64_t key;
	uint64_t nr_queues;
	uint64_t nr_threads;
	const char *cores;
	uint64_t burst;
	uint64_t entries;
	unsigned int pages;
	uint64_t heap_bytes;
	uint64_t interval;
};

#define NO_VLAN 4096u
/* Longer than the other end takes to start again, or a line to come up. */
#define LINK_DOWN_NS 10000000000u

static const struct gen_values defaults = {
	.rate = "max",
	.sizes = "64",
	.src_ip = "198.18.0.1", /* RFC 2544: for benchmarks */
	.dst_ip = "198.19.0.1",
	.src_port = 49152,
	.dst_port = 9,
	.vlan = NO_VLAN,
	.linger_ms = 100,
	.nr_queues = 1,
	.nr_threads = 1,
	.burst = 32,
	.interval = 1,
};

#define OPTION(name, kind, field, arg, help, min, max)                                                                 \
	{                                                                                                              \
		name, kind, offsetof(struct gen_values, field), arg, help, min, max                                    \
	}

static const struct cli_option options[] = {
	OPTION("rate", CLI_TEXT, rate, "RATE",
	       "max, or 10Mpps (also pps, kpps), 2.5Gbit/s (bit/s, kbit/s, Mbit/s; FCS included), 40% of the line\n"
	       "(preamble and gap included); max unless told otherwise",
	       0, 0),
	OPTION("size", CLI_TEXT, sizes, "SIZES",
	       "of frames, FCS included: 64, 64-1518 (each, mixed), imix, or 64:7,594:4,1518:1 (with weights)", 0, 0),
	OPTION("flows", CLI_NUMBER, nr_flows, "N",
	       "flows that frames take turns in, in each direction; one a queue unless told otherwise", 1, FLOW_MAX),
	OPTION("vary", CLI_CHOICE, vary, "src-port|dst-port|src-ip|dst-ip|src-mac|dst-mac",
	       "what is counted up from flow to flow; src-port unless told otherwise", 0, 0),
	OPTION("src-ip", CLI_TEXT, src_ip, "IP", "of the first flow, IPv4 or IPv6", 0, 0),
	OPTION("dst-ip", CLI_TEXT, dst_ip, "IP", "likewise", 0, 0),
	OPTION("src-port", CLI_NUMBER, src_port, "N", "UDP port; 49152 unless told otherwise", 0, 65535),
	OPTION("dst-port", CLI_NUMBER, dst_port, "N", "UDP port; 9 (discard) unless told otherwise", 0, 65535),
	OPTION("src-mac", CLI_TEXT, src_mac, "MAC", "the sending port's unless told otherwise", 0, 0),
	OPTION("dst-mac", CLI_TEXT, dst_mac, "MAC", "the receiving port's unless told otherwise", 0, 0),
	OPTION("vlan", CLI_NUMBER, vlan, "ID", "of a tag in every frame; none unless told otherwise", 0, 4095),
	OPTION("time", CLI_NUMBER, seconds, "SECONDS",
	       "how long, after the warm-up; until a signal unless told otherwise", 1, 1000000000),
	OPTION("count", CLI_NUMBER, max_packets, "N", "stop after so many frames, in each direction", 1, 0),
	OPTION("warmup", CLI_NUMBER, warm_up, "SECONDS", "first, which counts for nothing", 0, 1000000),
	OPTION("linger", CLI_NUMBER, linger_ms, "MS",
	       "at the end, wait so long for frames that have not come; 100 unless told otherwise", 0, 1000000),
	OPTION("tx-only", CLI_FLAG, tx_only, NULL, "only send", 0, 0),
	OPTION("rx-only", CLI_FLAG, rx_only, NULL, "only receive: frames of another generator with the same --key", 0,
	       0),
	OPTION("both", CLI_FLAG, both, NULL,
	       "the second port also sends to the first: the same flows, source and destination in each other's place",
	       0, 0),
	OPTION("same-clock", CLI_FLAG, same_clock, NULL,
	       "with --rx-only: the other generator is on this machine, so latencies can be told", 0, 0),
	OPTION("key", CLI_NUMBER, key, "N",
	       "tells frames of one run from those of others; of both ends that shall understand each other", 0, 0),
	OPTION("queues", CLI_NUMBER, nr_queues, "N", "of each port, in each direction; 1 unless told otherwise", 1,
	       QUOLL_PORT_MAX_QUEUES),
	OPTION("threads", CLI_NUMBER, nr_threads, "N",
	       "queues are dealt out over, first those that send, then those that receive; 1 unless told otherwise", 1,
	       GEN_MAX_THREADS),
	OPTION("cores", CLI_TEXT, cores, "LIST", "pin the threads to these, one each", 0, 0),
	OPTION("burst", CLI_NUMBER, burst, "N", "frames at a time, at most; 32 unless told otherwise", 1,
	       GEN_MAX_BURST),
	OPTION("entries", CLI_NUMBER, entries, "N", "descriptors of each ring; 512 unless told otherwise", 1, 1u << 20),
	CLAIMS_OPTION_PAGES(struct gen_values),
	OPTION("heap", CLI_SIZE, heap_bytes, "SIZE", "addresses set aside for DMA memory; 64G unless told otherwise",
	       1u << 20, 0),
	OPTION("stats-interval", CLI_NUMBER, interval, "SECONDS",
	       "of the live line on a terminal; 1 unless told otherwise", 1, 1000000),
	{NULL, CLI_FLAG, 0, NULL, NULL, 0, 0},
};

static void show_live(const char *line)
{
	cli_progress("%s", line);
}

static int take_ips(const struct cli *cli, const struct gen_values *v, struct flow_opts *flow)
{
	flow->v6 = strchr(v->src_ip, ':') && v->src_ip != defaults.src_ip;
	if (v->dst_ip == defaults.dst_ip && flow->v6)
		return cli_wrong(cli, "--dst-ip: an IPv6 address is needed for --src-ip %s", v->src_ip);
	if (inet_pton(flow->v6 ? AF_INET6 : AF_INET, v->src_ip, flow->src_ip) != 1)
		return cli_wrong(cli, "--src-ip %s: not an IP address", v->src_ip);
	if (inet_pton(flow->v6 ? AF_INET6 : AF_INET, v->dst_ip, flow->dst_ip) != 1)
		return cli_wrong(cli, "--dst-ip %s: not an %s address, as --src-ip is", v->dst_ip,
				 flow->v6 ? "IPv6" : "IPv4");
	return 0;
}

static int take_flow(const struct cli *cli, const struct gen_values *v, struct flow_opts *flow)
{
	flow->nr_flows = (unsigned int)(v->nr_flows ? v->nr_flows : v->nr_queues);
	if (flow->nr_flows < v->nr_queues)
		return cli_wrong(cli, "--flows %u: less than one for each of %" PRIu64 " queues", flow->nr_flows,
				 v->nr_queues);
	if (v->both && flow->nr_flows > FLOW_MAX / 2)
		return cli_wrong(cli, "--flows %u: with --both there are %u at most", flow->nr_flows, FLOW_MAX / 2);
	flow->vary = (enum flow_vary)v->vary;
	flow->src_port = (uint16_t)v->src_port;
	flow->dst_port = (uint16_t)v->dst_port;
	flow->vlan_tci = v->vlan == NO_VLAN ? -1 : (int)v->vlan;
	if (v->src_mac && plan_parse_macs(v->src_mac, &flow->src_mac, 1) != 1)
		return cli_wrong(cli, "--src-mac %s: an address looks like 02:00:00:00:00:01", v->src_mac);
	if (flow->src_mac[0] & 1)
		return cli_wrong(cli, "--src-mac %s: a multicast address, which nothing comes from", v->src_mac);
	if (v->dst_mac && plan_parse_macs(v->dst_mac, &flow->dst_mac, 1) != 1)
		return cli_wrong(cli, "--dst-mac %s: an address looks like 02:00:00:00:00:01", v->dst_mac);
	return take_ips(cli, v, flow);
}

static int take_sizes(const struct cli *cli, const struct gen_values *v, struct gen_opts *opts, uint16_t **sizes)
{
	uint32_t least = flow_min_size(&opts->flow), longest = 0;
	int nr = shape_parse_sizes(v->sizes, sizes);

	if (nr <= 0)
		return cli_wrong(cli, "--size %s: %s", v->sizes,
				 nr == -ERANGE ? "sizes are 64 to 16128, their weights 65536 in all"
					       : "like 64, 64-1518, imix or 64:7,594:4,1518:1");
	for (int i = 0; i < nr; i++) {
		if ((*sizes)[i] < least)
			return cli_wrong(cli, "--size %s: frames like that take %u bytes at least", v->sizes, least);
		longest = (*sizes)[i] > longest ? (*sizes)[i] : longest;
	}
	opts->sizes = *sizes;
	opts->nr_sizes = (unsigned int)nr;
	opts->mtu = longest - SHAPE_FCS_BYTES - 14;
	opts->mtu = opts->mtu < QUOLL_PORT_DEFAULT_MTU ? QUOLL_PORT_DEFAULT_MTU : opts->mtu;
	return 0;
}

static int take_directions(const struct cli *cli, const struct gen_values *v, struct gen_opts *opts)
{
	if (v->tx_only && v->rx_only)
		return cli_wrong(cli, "--tx-only and --rx-only: nothing would be left");
	if (cli->nr_args > 1 && (v->tx_only || v->rx_only))
		return cli_wrong(cli, "%s: one port is enough for one direction", cli->args[1]);
	if (v->same_clock && !v->rx_only)
		return cli_wrong(cli, "--same-clock: only with --rx-only");
	if (v->both && cli->nr_args < 2)
		return cli_wrong(cli, "--both: takes two ports");
	opts->send = !v->rx_only;
	opts->receive = !v->tx_only;
	opts->same_clock = v->same_clock;
	opts->both = v->both;
	return 0;
}

static int take_threads(const struct cli *cli, const struct gen_values *v, struct gen_opts *opts)
{
	uint64_t nr = v->nr_queues * (opts->both ? 2 : 1) * (opts->send && opts->receive ? 2 : 1);

	opts->nr_queues = (unsigned int)v->nr_queues;
	opts->nr_threads = (unsigned int)v->nr_threads;
	if (v->nr_threads > nr)
		return cli_wrong(cli, "--threads %" PRIu64 ": there are %" PRIu64 " queues to deal out", v->nr_threads,
				 nr);
	if (v->cores && cores_option(cli, v->cores, opts->cores, GEN_MAX_THREADS, &opts->nr_cores))
		return CLI_WRONG_USE;
	if (opts->nr_cores && opts->nr_cores != opts->nr_threads)
		return cli_wrong(cli, "--cores %s: %u cores for %u threads", v->cores, opts->nr_cores,
				 opts->nr_threads);
	return 0;
}

static int take_options(const struct cli *cli, const struct gen_values *v, struct gen_opts *opts, uint16_t **sizes)
{
	int status = take_directions(cli, v, opts);

	if (!status)
		status = take_threads(cli, v, opts);
	if (!status)
		status = take_flow(cli, v, &opts->flow);
	if (!status)
		status = take_sizes(cli, v, opts, sizes);
	if (status)
		return status;
	if (shape_parse_rate(v->rate, &opts->rate))
		return cli_wrong(cli, "--rate %s: like max, 10Mpps, 2.5Gbit/s or 40%%", v->rate);
	opts->burst = (unsigned int)v->burst;
	opts->entries = (unsigned int)v->entries;
	opts->time_ns = v->seconds * 1000000000u;
	opts->warm_up_ns = v->warm_up * 1000000000u;
	opts->max_packets = v->max_packets;
	opts->linger_ns = v->linger_ms * 1000000u;
	opts->link_down_ns = LINK_DOWN_NS;
	opts->key = v->key;
	opts->pages = (enum quoll_heap_pages)v->pages;
	opts->heap_bytes = v->heap_bytes;
	opts->live_ns = v->interval * 1000000000u;
	opts->live = cli_progress_wanted() ? show_live : NULL;
	opts->say = cli_say;
	opts->say_arg = (void *)(uintptr_t)cli;
	return 0;
}

static int generate(struct cli *cli, struct gen_run *run, const struct quoll_addr *addrs)
{
	struct quoll_error err = {0}, stop_err = {0};
	int status, run_ret, stop_ret;

	if (gen_open(run, addrs, cli->nr_args, &err))
		return cli_addr_error(cli, &err);
	run_ret = gen_loop(run, &err);
	stop_ret = gen_stop(run, &stop_err);
	cli_progress_end();
	status = cli_emit(cli, gen_describe(run), gen_text);
	if (run_ret)
		status = cli_error(cli, &err);
	if (stop_ret)
		status = cli_error(cli, &stop_err);
	return status;
}

static int run_gen(struct cli *cli, const void *values)
{
	struct gen_run *run = calloc(1, sizeof(*run));
	struct quoll_addr *addrs = NULL;
	uint16_t *sizes = NULL;
	struct quoll_error err;
	int status;

	if (!run) {
		quoll_error_set(&err, ENOMEM, "start", "", "out of memory");
		return cli_error(cli, &err);
	}
	run->p.claims.env = &cli->env;
	status = take_options(cli, values, &run->opts, &sizes);
	if (!status)
		status = cli_port_addrs(cli, &addrs);
	if (!status) {
		status = generate(cli, run, addrs);
		gen_close(run);
	}
	free(sizes);
	free(addrs);
	free(run);
	return status;
}

const struct cli_verb verb_gen = {
	.name = "gen",
	.args = "PORT [PORT]",
	.min_args = 1,
	.max_args = GEN_MAX_PORTS,
	.summary = "generate packets, and measure what comes back",
	.details =
		"Sends UDP frames and receives them, on one port, from the first to the second, or with --both also "
		"the\n"
		"other way. Each frame carries\n"
		"flow, sequence number, and the time at which it was due: what was lost, reordered or there twice is\n"
		"told for each flow, and latency counts from when a frame was due, not from when it could be sent, so\n"
		"that a pause costs every frame that it held up. With --rate max every frame is due when it is made.\n"
		"A run that loses frames ends with 0: that is a result, not an error; one whose link stays down\n"
		"for 10 s after frames have passed ends with 1.",
	.has_json = true,
	.options = options,
	.defaults = &defaults,
	.values_bytes = sizeof(defaults),
	.run = run_gen,
};
