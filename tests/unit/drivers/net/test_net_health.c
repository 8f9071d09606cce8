/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_health.c - links change, ports die: who notices, how often it is looked for, in which order it happens.
 */
#include <pthread.h>

#include "fake_port.h"

static struct fake_port *start_one(struct fix *f)
{
	struct fake_port *fake;

	fix_open(f);
	fake_port_defaults();
	fake = fake_port_open(f);
	fix_start(f, &fake->port, f->caches[0]);
	return fake;
}

static void close_one(struct fix *f, struct fake_port *fake)
{
	quoll_port_close(&fake->port);
	fix_close(f);
}

static void link_is_what_was_set(void)
{
	struct quoll_port_link link;
	struct fix f;
	struct fake_port *fake = start_one(&f);

	quoll_port_link(&fake->port, &link);
	CU_ASSERT_FALSE(link.up);
	net_port_set_link(&fake->port, true, true, 100000);
	quoll_port_link(&fake->port, &link);
	CU_ASSERT_TRUE(link.up);
	CU_ASSERT_TRUE(link.full_duplex);
	CU_ASSERT_EQUAL(link.mbit_per_s, 100000);
	net_port_set_link(&fake->port, true, false, UINT32_MAX);
	quoll_port_link(&fake->port, &link);
	CU_ASSERT_TRUE(link.up);
	CU_ASSERT_FALSE(link.full_duplex);
	CU_ASSERT_EQUAL(link.mbit_per_s, UINT32_MAX);
	CU_ASSERT_EQUAL(link.nr_changes, 1);
	close_one(&f, fake);
}

static void link_changes_are_counted_and_logged(void)
{
	struct quoll_port_link link;
	struct fix f;
	struct fake_port *fake = start_one(&f);

	f.nr_log_lines = 0;
	for (int i = 0; i < 3; i++) {
		net_port_set_link(&fake->port, true, true, 1000);
		net_port_set_link(&fake->port, true, true, 1000); /* no news */
		CU_ASSERT_STRING_EQUAL(f.last_log, "null:: link up, 1000 Mbit/s, full duplex");
		net_port_set_link(&fake->port, false, false, 0);
		CU_ASSERT_STRING_EQUAL(f.last_log, "null:: link down");
	}
	quoll_port_link(&fake->port, &link);
	CU_ASSERT_EQUAL(link.nr_changes, 6);
	CU_ASSERT_EQUAL(f.nr_log_lines, 6);
	close_one(&f, fake);
}

static void warnings_that_come_too_soon_are_counted_in_the_next(void)
{
	struct quoll_pace pace = {.next_ns = UINT64_MAX}; /* too soon, however slow we are */
	struct fix f;
	struct fake_port *fake = start_one(&f);

	f.nr_log_lines = 0;
	for (int i = 0; i < 3; i++)
		CU_ASSERT_FALSE(net_port_warn(&fake->port, &pace, "peer %d gone", i));
	CU_ASSERT_EQUAL(f.nr_log_lines, 0);
	pace.next_ns = 0;
	CU_ASSERT_TRUE(net_port_warn(&fake->port, &pace, "peer %d gone", 3));
	CU_ASSERT_STRING_EQUAL(f.last_warning, "null:: peer 3 gone, 4 times since it was told last");
	CU_ASSERT_TRUE(net_port_warn(&fake->port, &pace, "peer %d gone", 4));
	CU_ASSERT_STRING_EQUAL(f.last_warning, "null:: peer 4 gone");
	CU_ASSERT_EQUAL(f.nr_warnings, 2);
	close_one(&f, fake);
}

static void dma_is_off_before_it_is_dead(void)
{
	struct fix f;
	struct fake_port *fake = start_one(&f);

	f.nr_log_lines = 0;
	net_port_kill(&fake->port, -EIO);
	CU_ASSERT_EQUAL(fake->nr_dma_offs, 1);
	CU_ASSERT_EQUAL(fake->dead_at_dma_off, 0);
	CU_ASSERT_EQUAL(quoll_port_error(&fake->port), -EIO);
	net_port_kill(&fake->port, -ENODEV);
	CU_ASSERT_EQUAL(fake->nr_dma_offs, 1);
	CU_ASSERT_EQUAL(quoll_port_error(&fake->port), -EIO);
	CU_ASSERT_EQUAL(f.nr_log_lines, 1);
	close_one(&f, fake);
}

static void dead_port_stops_and_closes_only(void)
{
	struct quoll_port_settings settings = {0};
	struct fix f;
	struct fake_port *fake = start_one(&f);

	net_port_kill(&fake->port, -ENODEV);
	CU_ASSERT_EQUAL(quoll_port_apply(&fake->port, &settings, &f.err), -ENODEV);
	CU_ASSERT_EQUAL(quoll_port_stop(&fake->port), -ENODEV);
	CU_ASSERT_EQUAL(fake->nr_stops, 1);
	CU_ASSERT_EQUAL(fix_start_with(&f, &fake->port, f.caches[0], 1, NULL), -ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, "gone"));
	CU_ASSERT_EQUAL(quoll_port_check(&fake->port), -ENODEV);
	CU_ASSERT_EQUAL(fake->nr_checks, 0);
	close_one(&f, fake);
}

static void what_check_finds_ends_the_port(void)
{
	struct fix f;
	struct fake_port *fake = start_one(&f);

	CU_ASSERT_EQUAL(quoll_port_check(&fake->port), 0);
	CU_ASSERT_EQUAL(quoll_port_check(&fake->port), 0);
	CU_ASSERT_EQUAL(fake->nr_checks, 2);
	fake->check_rc = -ENODEV;
	CU_ASSERT_EQUAL(quoll_port_check(&fake->port), -ENODEV);
	CU_ASSERT_EQUAL(fake->nr_dma_offs, 1);
	close_one(&f, fake);
}

/* Idle polls look at the clock each time, busy ones now and then, and check at most once a millisecond. */
static void polls_check_when_a_millisecond_is_over(void)
{
	struct quoll_buf *none[32] = {0};
	struct fix f;
	struct fake_port *fake = start_one(&f);
	struct quoll_rxq *rxq = quoll_port_rxq(&fake->port, 0);
	struct quoll_port *port = &fake->port;

	/* The last check was in the future, then long ago: no waiting here. */
	port->shared.last_check = quoll_ticks(&port->clock) + 3600 * port->clock.tick_hz;
	port->shared.check_ticks = UINT64_MAX;
	quoll_rx(rxq, none, 0);
	CU_ASSERT_EQUAL(fake->nr_checks, 0);
	port->shared.check_ticks = quoll_ns_to_ticks(&port->clock, NET_CHECK_PERIOD_NS);
	port->shared.last_check = quoll_ticks(&port->clock) - 2 * port->shared.check_ticks;
	quoll_rx(rxq, none, 0);
	CU_ASSERT_EQUAL(fake->nr_checks, 1);
	port->shared.check_ticks = UINT64_MAX;
	quoll_rx(rxq, none, 0);
	CU_ASSERT_EQUAL(fake->nr_checks, 1);
	port->shared.check_ticks = 0;
	for (unsigned int i = 0; i < 2 * NET_BUSY_POLLS; i++)
		quoll_rx(rxq, none, 32);
	CU_ASSERT_EQUAL(fake->nr_checks, 3);
	close_one(&f, fake);
}

struct killer {
	struct quoll_port *port;
	int why;
	int seen;
};

static void *kill_it(void *arg)
{
	struct killer *k = arg;

	net_port_kill(k->port, k->why);
	k->seen = quoll_port_error(k->port);
	return NULL;
}

static void two_may_kill_at_once(void)
{
	struct killer killers[2];
	pthread_t threads[2];
	struct fix f;
	struct fake_port *fake = start_one(&f);

	for (int i = 0; i < 2; i++) {
		killers[i] = (struct killer){.port = &fake->port, .why = i ? -EIO : -ENODEV};
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, kill_it, &killers[i]), 0);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(fake->nr_dma_offs, 1);
	CU_ASSERT_NOT_EQUAL(killers[0].seen, 0);
	CU_ASSERT_EQUAL(killers[0].seen, killers[1].seen);
	close_one(&f, fake);
}

static const struct unit_test tests[] = {
	{"the link is what was set, as a whole", link_is_what_was_set},
	{"link changes are counted and logged once", link_changes_are_counted_and_logged},
	{"warnings that come too soon are counted in the next", warnings_that_come_too_soon_are_counted_in_the_next},
	{"DMA is off before anybody hears that it is dead, and once", dma_is_off_before_it_is_dead},
	{"a dead port stops and closes, nothing else", dead_port_stops_and_closes_only},
	{"what check finds ends the port", what_check_finds_ends_the_port},
	{"polls check when a millisecond is over", polls_check_when_a_millisecond_is_over},
	{"two threads may kill it at once", two_may_kill_at_once},
};

UNIT_MAIN("drivers/net/net_health", tests)
