/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * leak.h - forward so many packets, in bursts of changing size, that a leak of one in a thousand empties the pool.
 */
#ifndef QUOLL_TESTS_LEAK_H
#define QUOLL_TESTS_LEAK_H

#include "net_fixture.h"

/*
 * 10^8; under sanitizers, which make each packet a hundred times as dear, and without optimisation, 10^6. QUOLL_PACKETS
 * in the environment says otherwise.
 */
static inline uint64_t leak_packets(void)
{
	const char *wish = getenv("QUOLL_PACKETS");

	if (wish)
		return strtoull(wish, NULL, 0);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
	return 1000000;
#else
	return 100000000;
#endif
}

/* Return: how many arrived, n unless the ports stop moving. */
static inline uint64_t leak_forward(struct quoll_rxq *rxq, struct quoll_txq *txq, uint64_t n)
{
	static const unsigned int bursts[] = {32, 64, 1, 31, 128, 7, 255, 32};
	struct quoll_buf *bufs[256];
	unsigned int turn = 0, idle = 0;
	uint64_t done = 0;

	while (done < n && idle < 1000000) {
		unsigned int want = bursts[turn++ % 8], got, sent = 0;

		if (want > n - done)
			want = (unsigned int)(n - done);
		got = quoll_rx(rxq, bufs, want);
		idle = got ? 0 : idle + 1;
		while (sent < got && idle < 1000000) {
			unsigned int k = quoll_tx(txq, bufs + sent, got - sent);

			idle = k ? 0 : idle + 1;
			sent += k;
		}
		done += sent;
	}
	return done;
}

#endif
