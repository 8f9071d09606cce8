/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_irq.c - bounds of interrupt indices and vectors, growing and shrinking, one kind at a time.
 */
#include "fake_device.h"

static const int fds[8] = {10, 11, 12, 13, 14, 15, 16, 17};

static void indices_and_counts_are_bounded(void)
{
	struct quoll_irq_info info;
	struct quoll_error err;
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	CU_ASSERT_EQUAL(quoll_irq_info(f.dev, 5, &info, &err), -ENXIO);
	CU_ASSERT_EQUAL(quoll_irq_info(f.dev, QUOLL_PCI_IRQ_MSIX, &info, &err), 0);
	CU_ASSERT_EQUAL(info.nr_vectors, 8);
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, 5, fds, 1, &err), -ENXIO);
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, UINT32_MAX, fds, 1, &err), -ENXIO);
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_MSIX, fds, 0, &err), -EINVAL);
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_MSIX, fds, 9, &err), -ENOSPC);
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_MSI, fds, 1, &err), -ENOSPC);
	CU_ASSERT_EQUAL(quoll_irq_disable(f.dev, 5), -ENXIO);
	CU_ASSERT_EQUAL(quoll_irq_unmask(f.dev, 5, 0), -ENXIO);
	CU_ASSERT_EQUAL(quoll_irq_unmask(f.dev, QUOLL_PCI_IRQ_INTX, 0), -EINVAL); /* not enabled */
	CU_ASSERT_STRING_EQUAL(fake.calls, FAKE_NO_CALL);
	fixture_close(&f);
}

static void more_vectors_where_they_cannot_grow_take_a_restart(void)
{
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_MSIX, fds, 2, NULL), 0);
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_MSIX, fds, 5, NULL), 0);
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_MSIX, fds + 3, 5, NULL), 0); /* other eventfds */
	CU_ASSERT_STRING_EQUAL(fake.calls, "irq_set(2:2) irq_set(2:0) irq_set(2:5) irq_set(2:5) ");
	CU_ASSERT_EQUAL(fake.irq_fds[QUOLL_PCI_IRQ_MSIX][0], 13);
	CU_ASSERT_EQUAL(fake.irq_fds[QUOLL_PCI_IRQ_MSIX][4], 17);
	fixture_close(&f);
}

static void more_vectors_where_they_can_grow_take_none(void)
{
	struct fixture f;

	fake_reset();
	fake.irqs[QUOLL_PCI_IRQ_MSIX].flags = QUOLL_IRQ_EVENTFD;
	fixture_open(&f);
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_MSIX, fds, 2, NULL), 0);
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_MSIX, fds, 5, NULL), 0);
	CU_ASSERT_STRING_EQUAL(fake.calls, "irq_set(2:2) irq_set(2:5) ");
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_MSIX, fds, 1, NULL), 0);
	CU_ASSERT_EQUAL(fake.irq_fds[QUOLL_PCI_IRQ_MSIX][1], -1); /* none is left signalling */
	CU_ASSERT_PTR_NOT_NULL(strstr(fake.calls, "irq_set(2:0) irq_set(2:1) "));
	fixture_close(&f);
}

static void one_vector_is_attached_and_detached_and_the_others_stay(void)
{
	static const int none[4] = {-1, -1, -1, -1};
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	CU_ASSERT_EQUAL(quoll_irq_attach(f.dev, QUOLL_PCI_IRQ_MSIX, 0, 10), -EINVAL); /* not enabled */
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_MSIX, none, 4, NULL), 0);
	CU_ASSERT_EQUAL(quoll_irq_attach(f.dev, QUOLL_PCI_IRQ_MSIX, 2, 12), 0);
	CU_ASSERT_EQUAL(quoll_irq_attach(f.dev, QUOLL_PCI_IRQ_MSIX, 3, 13), 0);
	CU_ASSERT_EQUAL(fake.irq_fds[QUOLL_PCI_IRQ_MSIX][1], -1);
	CU_ASSERT_EQUAL(fake.irq_fds[QUOLL_PCI_IRQ_MSIX][2], 12);
	CU_ASSERT_EQUAL(quoll_irq_attach(f.dev, QUOLL_PCI_IRQ_MSIX, 2, -1), 0);
	CU_ASSERT_EQUAL(fake.irq_fds[QUOLL_PCI_IRQ_MSIX][2], -1);
	CU_ASSERT_EQUAL(fake.irq_fds[QUOLL_PCI_IRQ_MSIX][3], 13);
	CU_ASSERT_STRING_EQUAL(fake.calls, "irq_set(2:4) irq_set(2:2+1) irq_set(2:3+1) irq_set(2:2+1) ");
	fake_forget_calls();
	CU_ASSERT_EQUAL(quoll_irq_attach(f.dev, QUOLL_PCI_IRQ_MSIX, 4, 14), -EINVAL);
	CU_ASSERT_EQUAL(quoll_irq_attach(f.dev, QUOLL_PCI_IRQ_INTX, 0, 14), -EINVAL);
	CU_ASSERT_EQUAL(quoll_irq_attach(f.dev, QUOLL_PCI_IRQ_REQ, 0, 14), -EBUSY);
	CU_ASSERT_EQUAL(quoll_irq_attach(f.dev, 5, 0, 14), -ENXIO);
	CU_ASSERT_STRING_EQUAL(fake.calls, FAKE_NO_CALL);
	fake.fail_call = "irq_set";
	fake.fail_rc = -ENODEV;
	CU_ASSERT_EQUAL(quoll_irq_attach(f.dev, QUOLL_PCI_IRQ_MSIX, 0, 14), -ENODEV);
	fake.fail_call = NULL;
	CU_ASSERT_EQUAL(quoll_irq_disable(f.dev, QUOLL_PCI_IRQ_MSIX), 0);
	CU_ASSERT_EQUAL(quoll_irq_attach(f.dev, QUOLL_PCI_IRQ_MSIX, 2, 12), -EINVAL);
	fixture_close(&f);
}

static void one_kind_at_a_time(void)
{
	struct quoll_error err;
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_INTX, fds, 1, &err), 0);
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_MSIX, fds, 1, &err), -EBUSY);
	CU_ASSERT_EQUAL(quoll_irq_unmask(f.dev, QUOLL_PCI_IRQ_INTX, 0), 0);
	CU_ASSERT_EQUAL(quoll_irq_unmask(f.dev, QUOLL_PCI_IRQ_INTX, 1), -EINVAL);
	CU_ASSERT_EQUAL(quoll_irq_disable(f.dev, QUOLL_PCI_IRQ_INTX), 0);
	CU_ASSERT_EQUAL(quoll_irq_disable(f.dev, QUOLL_PCI_IRQ_INTX), 0);
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_MSIX, fds, 1, &err), 0);
	CU_ASSERT_STRING_EQUAL(fake.calls,
			       "irq_set(0:1) command(0x2) irq_unmask(0:0) command(0x402) irq_set(0:0) irq_set(2:1) ");
	fixture_close(&f);
}

static void the_devices_own_interrupts_cannot_be_taken(void)
{
	struct quoll_error err;
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_REQ, fds, 1, &err), -EBUSY);
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_ERR, fds, 1, &err), -EBUSY);
	CU_ASSERT_EQUAL(quoll_irq_disable(f.dev, QUOLL_PCI_IRQ_REQ), -EBUSY);
	CU_ASSERT_STRING_EQUAL(fake.calls, FAKE_NO_CALL);
	fixture_close(&f);
}

static void a_failed_enable_leaves_them_off(void)
{
	struct quoll_error err;
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	fake.fail_call = "irq_set";
	fake.fail_rc = -ENOSPC;
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_MSIX, fds, 8, &err), -ENOSPC);
	fake.fail_call = NULL;
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_INTX, fds, 1, &err), 0);
	fake.irqs[QUOLL_PCI_IRQ_MSI] = (struct quoll_irq_info){1, 0};
	CU_ASSERT_EQUAL(quoll_irq_disable(f.dev, QUOLL_PCI_IRQ_INTX), 0);
	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_MSI, fds, 1, &err), -EINVAL); /* no eventfds */
	fixture_close(&f);
}

static const struct unit_test tests[] = {
	{"indices and counts are bounded", indices_and_counts_are_bounded},
	{"more vectors where they cannot grow take a restart", more_vectors_where_they_cannot_grow_take_a_restart},
	{"more vectors where they can grow take none", more_vectors_where_they_can_grow_take_none},
	{"one vector is attached and detached, and the others stay",
	 one_vector_is_attached_and_detached_and_the_others_stay},
	{"one kind at a time", one_kind_at_a_time},
	{"the device's own interrupts cannot be taken", the_devices_own_interrupts_cannot_be_taken},
	{"a failed enable leaves them off", a_failed_enable_leaves_them_off},
};

UNIT_MAIN("interrupts", tests)
