/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * count_gen.c - a load for counting instructions (tests/instructions): 64-byte frames made and sent to a null: port in
 * bursts of 32, or with `sink` also received and counted, through a ring: port.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen/gen.h"

#define NR_BURSTS 512u

static const uint16_t sizes[] = {64};

static void must(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "count_gen: %s\n", what);
	exit(1);
}

int main(int argc, char **argv)
{
	static struct gen_run run = {
		.opts = {.flow = {.src_ip = {198, 18, 0, 1}, .dst_ip = {198, 19, 0, 1}, .vlan_tci = -1, .nr_flows = 16},
			 .rate = {SHAPE_PPS, 1e9},
			 .sizes = sizes,
			 .nr_sizes = 1,
			 .send = true,
			 .nr_queues = 1,
			 .nr_threads = 1,
			 .burst = 32,
			 .mtu = 1500,
			 .pages = QUOLL_PAGES_4K,
			 .heap_bytes = 512u << 20}};
	static const struct quoll_env env;
	struct quoll_error err = {0};
	struct quoll_addr addr;

	run.opts.receive = argc > 1 && !strcmp(argv[1], "sink");
	run.p.claims.env = &env;
	must(!quoll_addr_parse(run.opts.receive ? "ring:a?loop=1" : "null:", &addr, &err), "address");
	must(!gen_open(&run, &addr, 1, &err), err.what);
	run.sources->phase = SOURCE_MEASURE;
	run.sources->end = run.sources->limit = run.sources->nr_left = UINT64_MAX;
	for (unsigned int i = 0; i < NR_BURSTS; i++) {
		must(source_poll(run.sources) == 32, "a burst was not sent");
		must(!run.sinks || sink_poll(run.sinks) == 32, "a burst did not come back");
	}
	must(!run.sinks || run.sinks->nr_packets == NR_BURSTS * 32, "frames were not ours");
	must(!gen_stop(&run, &err), err.what);
	gen_close(&run);
	printf("items %u\n", NR_BURSTS * 32);
	return 0;
}
