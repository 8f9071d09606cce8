/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plan.c - see plan.h: arithmetic and small parsers.
 */
#include <errno.h>
#include <stdbool.h>

#include <quoll/addr.h>

#include "plan.h"

/* Ethernet header and two VLAN tags, which a device may leave in; FCS, which it may write before it takes it off. */
#define FRAME_OVERHEAD_BYTES (14u + 8u + 4u)
#define MIN_ROOM_BYTES 2048u /* the usual receive buffer size of NICs */
#define ROOM_STEP_BYTES 1024u

unsigned int plan_out_port(unsigned int nr_ports, unsigned int port)
{
	return nr_ports == 1 ? port : port ^ 1;
}

void plan_queues(unsigned int nr_ports, unsigned int nr_queues, unsigned int nr_threads, struct plan_queue *queues)
{
	unsigned int nr = 0, total = nr_ports * nr_queues, step = nr_ports == 1 ? 1 : 2;

	for (unsigned int first = 0; first < nr_ports; first += step)
		for (unsigned int q = 0; q < nr_queues; q++)
			for (unsigned int port = first; port < first + step; port++, nr++)
				queues[nr] = (struct plan_queue){port, q, plan_out_port(nr_ports, port),
								 nr * nr_threads / total};
}

uint32_t plan_nr_bufs(uint32_t nr_ring_entries, unsigned int nr_threads, uint32_t cache_size, unsigned int burst)
{
	return nr_ring_entries + nr_threads * (cache_size + 2 * burst);
}

uint32_t plan_buf_bytes(unsigned int mtu)
{
	uint32_t room = mtu + FRAME_OVERHEAD_BYTES;

	if (room < MIN_ROOM_BYTES)
		room = MIN_ROOM_BYTES;
	return PLAN_HEADROOM_BYTES + (room + ROOM_STEP_BYTES - 1) / ROOM_STEP_BYTES * ROOM_STEP_BYTES;
}

int plan_parse_macs(const char *text, uint8_t macs[][6], unsigned int max)
{
	for (unsigned int nr = 0;; nr++) {
		if (nr == max)
			return -ERANGE;
		for (unsigned int i = 0; i < 6; i++, text += 2) {
			if ((i && *text++ != ':') || quoll_hex_digit(text[0]) < 0 || quoll_hex_digit(text[1]) < 0)
				return -EINVAL;
			macs[nr][i] = (uint8_t)(quoll_hex_digit(text[0]) << 4 | quoll_hex_digit(text[1]));
		}
		if (!*text)
			return (int)nr + 1;
		if (*text++ != ',')
			return -EINVAL;
	}
}
