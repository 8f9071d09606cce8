/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * e1000e_fixture.h - everything from the fake 82574 up to a started port, and down again, for the tests of this folder.
 */
#ifndef QUOLL_TESTS_E1000E_FIXTURE_H
#define QUOLL_TESTS_E1000E_FIXTURE_H

#include "net/e1000e/e1000e.h"

#include "../chains.h"
#include "../pci_world.h"
#include "fake_e1000e.h"

#define FIXTURE_NR_BUFS 2048u
#define FIXTURE_HEADROOM PCI_WORLD_HEADROOM

struct e1000e_fixture {
	struct fake_e1000e fake;
	struct pci_world w;
	struct e1000e_rxq *rxq; /* the first ones, while it runs */
	struct e1000e_txq *txq;
};

/* fake_e1000e_init(), and a pool of FIXTURE_NR_BUFS of 2,048 bytes; tests turn the knobs after that. */
void fixture_init(struct e1000e_fixture *fx);
/* From the IOAS to the open port. Return: what quoll_port_open() did. */
int fixture_open(struct e1000e_fixture *fx);
/* Return: what quoll_port_start() did. */
int fixture_start(struct e1000e_fixture *fx, unsigned int nr_queues, unsigned int entries,
		  const struct quoll_port_settings *settings);
/* Open and start with one queue of 128 entries each way and these offloads; any failure is fatal for the test. */
void fixture_run(struct e1000e_fixture *fx, uint32_t offloads);
/* Stop, and check that every buffer is back. Return: what quoll_port_stop() did. */
int fixture_stop(struct e1000e_fixture *fx);
/* Stop if it runs, close all; no buffer is missing, and the fake saw no violation. */
void fixture_fini(struct e1000e_fixture *fx);

struct quoll_port_stats fixture_stats(const struct e1000e_fixture *fx);

/* A frame for the port's own address, filled with what follows from @seed. */
void fixture_make_frame(const struct e1000e_fixture *fx, uint8_t *frame, uint32_t len, uint32_t seed);
/* An IPv4 frame with TCP or UDP inside and right checksums; @frame has @len bytes, at least 60. */
void fixture_make_ip(const struct e1000e_fixture *fx, uint8_t *frame, uint32_t len, uint8_t proto, uint32_t seed);
/* As a chain of links of at most @link bytes. */
struct quoll_buf *fixture_buf(struct e1000e_fixture *fx, const uint8_t *frame, uint32_t len, uint32_t link);
/* One frame in, and out of the port: NULL if it does not come. */
struct quoll_buf *fixture_pass(struct e1000e_fixture *fx, const uint8_t *frame, uint32_t len);
void fixture_put(struct e1000e_fixture *fx, struct quoll_buf *buf);
/* One poll that is sure to look at the port's health. */
int fixture_check(struct e1000e_fixture *fx);

#endif
