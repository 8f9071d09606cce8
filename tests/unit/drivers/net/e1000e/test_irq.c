/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>

#include "e1000e_fixture.h"
#include "unit.h"

static struct e1000e_fixture fx;
static uint8_t frame[64];

static bool readable(const struct e1000e_rxq *rxq)
{
	struct pollfd fd = {.fd = quoll_rxq_fd(&rxq->q), .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

static void run(void)
{
	fixture_init(&fx);
	fixture_run(&fx, 0);
	fixture_make_frame(&fx, frame, sizeof(frame), 1);
}

static void frames_while_awake_interrupt_nobody(void)
{
	run();
	for (unsigned int i = 0; i < 10; i++)
		fixture_put(&fx, fixture_pass(&fx, frame, sizeof(frame)));
	CU_ASSERT_EQUAL(fx.fake.nr_interrupts[E1000E_VECTOR_RXQ0], 0);
	CU_ASSERT_FALSE(readable(fx.rxq));
	fixture_fini(&fx);
}

static void a_frame_wakes_a_sleeper_once(void)
{
	struct quoll_buf *bufs[8];

	run();
	for (unsigned int i = 1; i <= 3; i++) {
		CU_ASSERT_EQUAL(quoll_rxq_arm(&fx.rxq->q), 0);
		CU_ASSERT_FALSE(readable(fx.rxq));
		for (unsigned int k = 0; k < 3; k++)
			CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, sizeof(frame)));
		CU_ASSERT_TRUE(readable(fx.rxq));
		CU_ASSERT_EQUAL(fx.fake.nr_interrupts[E1000E_VECTOR_RXQ0], i);
		quoll_rxq_disarm(&fx.rxq->q);
		CU_ASSERT_FALSE(readable(fx.rxq));
		CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, bufs, 8), 3);
		quoll_buf_put(fx.w.cache, bufs, 3);
	}
	fixture_fini(&fx);
}

static void a_frame_that_came_before_arm_is_not_slept_over(void)
{
	run();
	CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, sizeof(frame)));
	CU_ASSERT_EQUAL(quoll_rxq_arm(&fx.rxq->q), 1);
	quoll_rxq_disarm(&fx.rxq->q);
	fixture_put(&fx, fixture_pass(&fx, frame, sizeof(frame)));
	fixture_put(&fx, fixture_pass(&fx, frame, sizeof(frame)));
	fixture_fini(&fx);
}

static void what_was_polled_long_ago_wakes_nobody(void)
{
	run();
	fixture_put(&fx, fixture_pass(&fx, frame, sizeof(frame)));
	CU_ASSERT_EQUAL(quoll_rxq_arm(&fx.rxq->q), 0);
	CU_ASSERT_FALSE(readable(fx.rxq));
	CU_ASSERT_EQUAL(fx.fake.nr_interrupts[E1000E_VECTOR_RXQ0], 0);
	quoll_rxq_disarm(&fx.rxq->q);
	fixture_fini(&fx);
}

static void after_disarm_nobody_is_woken(void)
{
	run();
	CU_ASSERT_EQUAL(quoll_rxq_arm(&fx.rxq->q), 0);
	quoll_rxq_disarm(&fx.rxq->q);
	CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, sizeof(frame)));
	CU_ASSERT_FALSE(readable(fx.rxq));
	fixture_fini(&fx);
}

static void removal_errors_and_the_link_wake_a_sleeper(void)
{
	run();
	CU_ASSERT_EQUAL(quoll_rxq_arm(&fx.rxq->q), 0);
	fake_e1000e_set_link(&fx.fake, false);
	CU_ASSERT_TRUE(readable(fx.rxq));
	quoll_rxq_disarm(&fx.rxq->q);
	CU_ASSERT_EQUAL(fixture_check(&fx), 0);
	CU_ASSERT_FALSE(readable(fx.rxq));
	CU_ASSERT_EQUAL(quoll_rxq_arm(&fx.rxq->q), 0);
	fake_pci_request_removal(&fx.fake.pci);
	CU_ASSERT_TRUE(readable(fx.rxq));
	quoll_rxq_disarm(&fx.rxq->q);
	CU_ASSERT_EQUAL(fixture_check(&fx), -ENODEV);
	CU_ASSERT_EQUAL(quoll_rxq_arm(&fx.rxq->q), 1);
	quoll_rxq_disarm(&fx.rxq->q);
	fixture_fini(&fx);
}

static void nobody_falls_asleep_on_a_device_that_is_gone(void)
{
	run();
	fake_e1000e_yank(&fx.fake);
	CU_ASSERT_EQUAL(quoll_rxq_arm(&fx.rxq->q), 1);
	quoll_rxq_disarm(&fx.rxq->q);
	fixture_fini(&fx);
}

static void each_queue_wakes_its_own_sleeper(void)
{
	struct e1000e_rxq *second;

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 2, 128, NULL), 0);
	second = (struct e1000e_rxq *)quoll_port_rxq(fx.w.port, 1);
	fixture_make_frame(&fx, frame, sizeof(frame), 1); /* no IP: queue 0 */
	CU_ASSERT_EQUAL(quoll_rxq_arm(&fx.rxq->q), 0);
	CU_ASSERT_EQUAL(quoll_rxq_arm(&second->q), 0);
	CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, sizeof(frame)));
	CU_ASSERT_TRUE(readable(fx.rxq));
	CU_ASSERT_FALSE(readable(second));
	quoll_rxq_disarm(&fx.rxq->q);
	fake_e1000e_cause(&fx.fake, E1000E_INT_RXQ0 << 1);
	CU_ASSERT_TRUE(readable(second));
	quoll_rxq_disarm(&second->q);
	fixture_fini(&fx);
}

static void overruns_do_not_wear_out_the_link_interrupt(void)
{
	struct quoll_port_link link;

	run();
	while (fake_e1000e_receive(&fx.fake, frame, sizeof(frame)))
		;
	CU_ASSERT_EQUAL(fx.fake.nr_interrupts[E1000E_VECTOR_OTHER], 1);
	for (unsigned int i = 0; i < 10; i++)
		(void)fake_e1000e_receive(&fx.fake, frame, sizeof(frame));
	CU_ASSERT_EQUAL(fx.fake.nr_interrupts[E1000E_VECTOR_OTHER], 1);
	CU_ASSERT_EQUAL(fixture_check(&fx), 0);
	fake_e1000e_set_link(&fx.fake, false);
	CU_ASSERT_EQUAL(fixture_check(&fx), 0);
	quoll_port_link(fx.w.port, &link);
	CU_ASSERT_FALSE(link.up);
	fixture_fini(&fx);
}

static void without_msix_nobody_can_be_woken_and_it_is_said(void)
{
	fixture_init(&fx);
	fx.fake.pci.nr_msix = 2;
	fixture_run(&fx, 0);
	fixture_make_frame(&fx, frame, sizeof(frame), 1);
	CU_ASSERT_EQUAL(quoll_rxq_fd(&fx.rxq->q), -1);
	CU_ASSERT_EQUAL(quoll_rxq_arm(&fx.rxq->q), -ENOTSUP);
	quoll_rxq_disarm(&fx.rxq->q);
	fixture_put(&fx, fixture_pass(&fx, frame, sizeof(frame)));
	fixture_fini(&fx);
}

static const struct unit_test tests[] = {
	{"frames while awake interrupt nobody", frames_while_awake_interrupt_nobody},
	{"a frame wakes a sleeper, once", a_frame_wakes_a_sleeper_once},
	{"a frame that came before arm is not slept over", a_frame_that_came_before_arm_is_not_slept_over},
	{"what was polled long ago wakes nobody", what_was_polled_long_ago_wakes_nobody},
	{"after disarm nobody is woken", after_disarm_nobody_is_woken},
	{"removal, errors and the link wake a sleeper", removal_errors_and_the_link_wake_a_sleeper},
	{"nobody falls asleep on a device that is gone", nobody_falls_asleep_on_a_device_that_is_gone},
	{"each queue wakes its own sleeper", each_queue_wakes_its_own_sleeper},
	{"overruns do not wear out the link interrupt", overruns_do_not_wear_out_the_link_interrupt},
	{"without MSI-X nobody can be woken, and it is said", without_msix_nobody_can_be_woken_and_it_is_said},
};

UNIT_MAIN("e1000e interrupts", tests)
