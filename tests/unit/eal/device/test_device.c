/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_device.c - open, close and reset in their order, what a failed open leaves behind, events.
 */
#include <poll.h>

#include "fake_device.h"

static void open_and_close_in_order(void)
{
	struct quoll_region *region;
	struct quoll_device_info info;
	struct fixture f;
	int fds[2] = {0, 0};

	fake_reset();
	fake.config[4] = 0x4; /* somebody left bus mastering on */
	fixture_claim(&f);
	CU_ASSERT_EQUAL_FATAL(quoll_device_open(f.group, FAKE_NAME, &f.dev, NULL), 0);
	CU_ASSERT_STRING_EQUAL(fake.calls, "device_open() command(0) reset(master 0) irq_set(4:1) irq_set(3:1) "
					   "command(0x402) ");
	quoll_device_info(f.dev, &info);
	CU_ASSERT_STRING_EQUAL(info.name, FAKE_NAME);
	CU_ASSERT_EQUAL(info.vendor_id, 0x1b36);
	CU_ASSERT_EQUAL(info.device_id, 0x10);
	CU_ASSERT_EQUAL(info.class_code, 0x010802);
	CU_ASSERT_EQUAL(info.numa_node, -1);
	CU_ASSERT_PTR_EQUAL(quoll_device_ioas(f.dev), f.ioas);

	CU_ASSERT_EQUAL(quoll_irq_enable(f.dev, QUOLL_PCI_IRQ_MSIX, fds, 2, NULL), 0);
	CU_ASSERT_EQUAL(quoll_region_map(f.dev, FAKE_BAR, &region, NULL), 0);
	CU_ASSERT_EQUAL(quoll_pci_bus_master(f.dev, true), 0);
	fake_forget_calls();
	fixture_close(&f);
	CU_ASSERT_STRING_EQUAL(fake.calls, "irq_set(2:0) command(0x402) command(0x400) reset(master 0) irq_set(3:0) "
					   "irq_set(4:0) device_close() release() ioas_close() ");
	CU_ASSERT_EQUAL(fake.config[4], 0);
}

/* With and without a reset: whoever had the device before may have left it running. */
static void bus_mastering_is_off_until_the_driver_wants_it(void)
{
	struct fixture f;

	for (int no_reset = 0; no_reset < 2; no_reset++) {
		fake_reset();
		fake.no_reset = no_reset;
		fake.config[4] = 0x6;
		fixture_claim(&f);
		CU_ASSERT_EQUAL_FATAL(quoll_device_open(f.group, FAKE_NAME, &f.dev, NULL), 0);
		CU_ASSERT_EQUAL(fake.config[4], 0x2);
		CU_ASSERT_PTR_NULL(strstr(fake.calls, "command(0x406)"));
		fixture_close(&f);
	}
}

static int mapped_at_bus_master_off;

static int look_at_maps_on_reset(struct quoll_device *dev)
{
	mapped_at_bus_master_off = (int)dev->nr_maps;
	return fake_device_reset(dev);
}

static void regions_are_unmapped_before_the_reset(void)
{
	struct backend_ops ops = fake_ops;
	struct quoll_region *region;
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	ops.device_reset = look_at_maps_on_reset;
	f.ioas->ops = &ops;
	CU_ASSERT_EQUAL(quoll_region_map(f.dev, FAKE_BAR, &region, NULL), 0);
	mapped_at_bus_master_off = -1;
	fixture_close(&f);
	CU_ASSERT_EQUAL(mapped_at_bus_master_off, 0);
}

static void a_failed_open_leaves_nothing(void)
{
	static const struct {
		const char *call;
		unsigned int skip;
	} steps[] = {{"device_open", 0}, {"reset", 0}, {"irq_set", 0}, {"irq_set", 1}};
	struct fixture f;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		fake_reset();
		fixture_claim(&f);
		fake.fail_call = steps[i].call;
		fake.fail_skip = steps[i].skip;
		fake.fail_rc = -EIO;
		CU_ASSERT_EQUAL(quoll_device_open(f.group, FAKE_NAME, &f.dev, NULL), -EIO);
		CU_ASSERT_PTR_NULL(f.dev);
		CU_ASSERT_EQUAL(fake.config[4] & 6, 0);
		if (i > 0)
			CU_ASSERT_PTR_NOT_NULL(strstr(fake.calls, "device_close() "));
		fake.fail_call = NULL;
		CU_ASSERT_EQUAL(fake.irq_fds[QUOLL_PCI_IRQ_REQ][0], -1);
		CU_ASSERT_EQUAL(quoll_device_open(f.group, FAKE_NAME, &f.dev, NULL), 0);
		fixture_close(&f);
	}
}

static void a_device_opens_once_and_holds_its_group(void)
{
	struct quoll_device *again = NULL;
	struct quoll_error err;
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	CU_ASSERT_EQUAL(quoll_device_open(f.group, FAKE_NAME, &again, &err), -EBUSY);
	CU_ASSERT_PTR_NULL(again);
	CU_ASSERT_EQUAL(quoll_device_open(f.group, "0000:02:00.0", &again, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, FAKE_NAME "\n  other"));
	CU_ASSERT_EQUAL(quoll_group_release(f.group), -EBUSY);
	CU_ASSERT_EQUAL(quoll_device_open(f.group, "other", &again, &err), 0); /* two of one group */
	quoll_device_close(f.dev);
	CU_ASSERT_EQUAL(quoll_group_release(f.group), -EBUSY);
	CU_ASSERT_EQUAL(quoll_device_open(f.group, FAKE_NAME, &f.dev, NULL), 0);
	quoll_device_close(again);
	fixture_close(&f);
}

static void absurd_counts_are_refused(void)
{
	struct quoll_error err;
	struct fixture f;

	fake_reset();
	fake.nr_irqs = 0x40000000;
	fixture_claim(&f);
	CU_ASSERT_EQUAL(quoll_device_open(f.group, FAKE_NAME, &f.dev, &err), -EPROTO);
	CU_ASSERT_PTR_NOT_NULL(strstr(fake.calls, "device_close() "));
	fixture_close(&f);
}

static void a_device_that_does_not_answer_is_not_opened(void)
{
	struct quoll_error err;
	struct fixture f;

	fake_reset();
	fake.config_dead = true;
	fixture_claim(&f);
	CU_ASSERT_EQUAL(quoll_device_open(f.group, FAKE_NAME, &f.dev, &err), -ENODEV);
	CU_ASSERT_PTR_NULL(strstr(fake.calls, "reset"));
	fixture_close(&f);
}

static void reset_is_done_with_bus_mastering_off_and_puts_it_back(void)
{
	struct quoll_error err;
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	quoll_pci_bus_master(f.dev, true);
	fake_forget_calls();
	CU_ASSERT_EQUAL(quoll_device_reset(f.dev, NULL), 0);
	CU_ASSERT_STRING_EQUAL(fake.calls, "command(0x402) reset(master 0) command(0x406) ");
	quoll_pci_bus_master(f.dev, false);
	CU_ASSERT_EQUAL(quoll_device_reset(f.dev, NULL), 0);
	CU_ASSERT_EQUAL(fake.config[4], 2); /* off it was, off it stays */
	fake.fail_call = "reset";
	fake.fail_rc = -EAGAIN;
	quoll_pci_bus_master(f.dev, true);
	CU_ASSERT_EQUAL(quoll_device_reset(f.dev, &err), -EAGAIN);
	CU_ASSERT_EQUAL(fake.config[4], 2);
	fake.fail_call = NULL;
	fixture_close(&f);

	fake_reset();
	fake.no_reset = true;
	fixture_open(&f);
	CU_ASSERT_EQUAL(quoll_device_reset(f.dev, &err), -ENOTTY);
	fixture_close(&f);
	CU_ASSERT_PTR_NULL(strstr(fake.calls, "reset"));
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void events_come_in_and_stay(void)
{
	uint64_t one = 1;
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	CU_ASSERT_EQUAL(quoll_device_events(f.dev), 0);
	CU_ASSERT_FALSE(readable(quoll_device_event_fd(f.dev)));
	CU_ASSERT_EQUAL(write(fake.irq_fds[QUOLL_PCI_IRQ_REQ][0], &one, sizeof(one)), 8);
	CU_ASSERT_TRUE(readable(quoll_device_event_fd(f.dev)));
	CU_ASSERT_EQUAL(quoll_device_events(f.dev), QUOLL_DEVICE_REMOVE_REQUESTED);
	CU_ASSERT_FALSE(readable(quoll_device_event_fd(f.dev)));
	CU_ASSERT_EQUAL(write(fake.irq_fds[QUOLL_PCI_IRQ_ERR][0], &one, sizeof(one)), 8);
	CU_ASSERT_TRUE(readable(quoll_device_event_fd(f.dev)));
	CU_ASSERT_EQUAL(quoll_device_events(f.dev), QUOLL_DEVICE_REMOVE_REQUESTED | QUOLL_DEVICE_ERROR);
	CU_ASSERT_EQUAL(quoll_device_events(f.dev), QUOLL_DEVICE_REMOVE_REQUESTED | QUOLL_DEVICE_ERROR);
	fixture_close(&f);
}

static void a_device_that_is_gone_is_noticed_and_not_reset(void)
{
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	memset(fake.config + 8, 0xff, 4); /* vfio-pci: the ids still read, class and revision do not */
	CU_ASSERT_EQUAL(quoll_device_events(f.dev), QUOLL_DEVICE_GONE);
	fixture_close(&f);
	CU_ASSERT_PTR_NULL(strstr(fake.calls, "reset"));
	CU_ASSERT_PTR_NOT_NULL(strstr(fake.calls, "device_close() "));
}

static void a_device_without_an_error_interrupt_is_fine(void)
{
	struct fixture f;

	fake_reset();
	fake.irqs[QUOLL_PCI_IRQ_ERR].nr_vectors = 0;
	fixture_open(&f);
	CU_ASSERT_EQUAL(fake.irq_fds[QUOLL_PCI_IRQ_ERR][0], -1);
	CU_ASSERT_NOT_EQUAL(fake.irq_fds[QUOLL_PCI_IRQ_REQ][0], -1);
	fixture_close(&f);
	CU_ASSERT_PTR_NULL(strstr(fake.calls, "irq_set(3:0)"));
}

static void other_buses_have_no_config_space(void)
{
	uint32_t value;
	struct fixture f;

	fake_reset();
	fake.bus = QUOLL_BUS_PLATFORM;
	fixture_open(&f);
	CU_ASSERT_EQUAL(quoll_pci_config_read(f.dev, 0, 4, &value), -ENOTSUP);
	CU_ASSERT_EQUAL(quoll_device_events(f.dev), 0);
	CU_ASSERT_EQUAL(quoll_device_reset(f.dev, NULL), 0);
	CU_ASSERT_STRING_EQUAL(fake.calls, "reset(master 0) ");
	fixture_close(&f);
}

static const struct unit_test tests[] = {
	{"bus mastering is off until the driver wants it", bus_mastering_is_off_until_the_driver_wants_it},
	{"open and close in order", open_and_close_in_order},
	{"regions are unmapped before the reset", regions_are_unmapped_before_the_reset},
	{"a failed open leaves nothing", a_failed_open_leaves_nothing},
	{"a device opens once and holds its group", a_device_opens_once_and_holds_its_group},
	{"absurd counts are refused", absurd_counts_are_refused},
	{"a device that does not answer is not opened", a_device_that_does_not_answer_is_not_opened},
	{"reset is done with bus mastering off and puts it back",
	 reset_is_done_with_bus_mastering_off_and_puts_it_back},
	{"events come in and stay", events_come_in_and_stay},
	{"a device that is gone is noticed and not reset", a_device_that_is_gone_is_noticed_and_not_reset},
	{"a device without an error interrupt is fine", a_device_without_an_error_interrupt_is_fine},
	{"other buses have no config space", other_buses_have_no_config_space},
};

UNIT_MAIN("device", tests)
