/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "e1000e_fixture.h"
#include "unit.h"

static struct e1000e_fixture fx;

static void a_port_opens_with_a_reset_and_closes(void)
{
	static const uint8_t mac[6] = {0x02, 0xc3, 0xb2, 0xa1, 0x00, 0x01};

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL(fx.fake.nr_resets, 1);
	CU_ASSERT_STRING_EQUAL(fx.w.port->info.driver, "e1000e");
	CU_ASSERT_EQUAL(memcmp(fx.w.port->info.mac, mac, 6), 0);
	CU_ASSERT_TRUE(fake_pci_bus_master(&fx.fake.pci));
	CU_ASSERT_FALSE(fake_reg(&fx.fake, E1000E_RCTL) & E1000E_RCTL_EN);
	CU_ASSERT_TRUE(fake_reg(&fx.fake, E1000E_CTRL_EXT) & E1000E_CTRL_EXT_DRV_LOAD);
	fixture_fini(&fx); /* checks that bus mastering is off */
}

static void what_an_earlier_driver_left_is_overwritten_even_if_the_reset_keeps_it(void)
{
	static const struct {
		unsigned int reg;
		uint32_t want;
	} regs[] = {
		{E1000E_RCTL, 0},	   {E1000E_MRQC, 0},	     {E1000E_RXCSUM, 0}, {E1000E_VFTA + 4, 0},
		{E1000E_MTA + 127 * 4, 0}, {E1000E_RAH + 15 * 8, 0}, {E1000E_FCRTH, 0},	 {E1000E_IAM, 0},
		{E1000E_EIAC, 0},	   {E1000E_RDTR, 0},
	};

	fixture_init(&fx);
	fx.fake.keeps_registers = true;
	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		fake_pci_reg_set(&fx.fake.pci, regs[i].reg, 0x5a5a5a02);
	fake_pci_reg_set(&fx.fake.pci, E1000E_CTRL, E1000E_CTRL_VME | E1000E_CTRL_RFCE | E1000E_CTRL_FRCSPD);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		CU_ASSERT_EQUAL(fake_reg(&fx.fake, regs[i].reg), regs[i].want);
	CU_ASSERT_EQUAL(fake_reg(&fx.fake, E1000E_CTRL), E1000E_CTRL_SLU);
	fixture_fini(&fx);
}

static void fails(int want, const char *what)
{
	int rc = fixture_open(&fx);

	CU_ASSERT_EQUAL(rc, want);
	CU_ASSERT_PTR_NOT_NULL(strstr(fx.w.err.what, what));
	if (rc != want || !strstr(fx.w.err.what, what))
		printf("open: %d: %s\n", rc, fx.w.err.what);
	fixture_fini(&fx);
}

static void each_step_that_fails_is_told_and_undone(void)
{
	fixture_init(&fx);
	fx.fake.never_resets = true;
	fails(-ETIMEDOUT, "reset did not end");
	fixture_init(&fx);
	fx.fake.no_auto_read = true;
	fails(-ETIMEDOUT, "NVM");
	fixture_init(&fx);
	fx.fake.phy_silent = true;
	fails(-ETIMEDOUT, "MDIC");
	fixture_init(&fx);
	fx.fake.phy_error = true;
	fails(-EIO, "MDIC");
	fixture_init(&fx);
	fx.fake.mac_valid = false;
	fails(-EPROTO, "NVM holds none");
	fixture_init(&fx);
	fx.fake.mac = 0;
	fails(-EPROTO, "NVM holds none");
	fixture_init(&fx);
	fx.fake.mac = 0x01;
	fails(-EPROTO, "NVM holds none");
	fixture_init(&fx);
	fx.fake.pci.bar_bytes = 16384;
	fails(-EPROTO, "BAR 0");
	fixture_init(&fx);
	fx.fake.pci.bar_by_message = true;
	fails(-EPERM, "");
	fixture_init(&fx);
	fx.fake.pci.config[2] = 0xd4;
	fails(-ENOTSUP, "8086:10d4");
}

static void a_device_that_goes_at_any_access_is_said_to_be_gone(void)
{
	unsigned int nr_gone = 0;
	int rc = -ENODEV;

	for (uint32_t n = 1; rc; n += n < 12 ? 1 : 23) {
		fixture_init(&fx);
		fx.fake.gone_after = n;
		rc = fixture_open(&fx);
		/* Writes to what is gone are lost, and the next read shows it. */
		CU_ASSERT(rc == -ENODEV || !rc);
		nr_gone += rc == -ENODEV;
		fixture_fini(&fx);
	}
	CU_ASSERT(nr_gone > 20);
}

static void requests_that_stay_pending_and_firmware_that_keeps_the_mdio_bus_are_lived_with(void)
{
	fixture_init(&fx);
	fx.fake.master_stuck = true;
	fx.fake.no_mdio = true;
	CU_ASSERT_EQUAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL(fx.fake.nr_resets, 1);
	fixture_fini(&fx);
}

static void a_port_opens_again(void)
{
	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	quoll_port_close(fx.w.port);
	fx.w.port = NULL;
	mmio_trap_clear();
	CU_ASSERT_FALSE(fake_pci_bus_master(&fx.fake.pci));
	/* Reset while it had its vectors: it has nothing in hand that it could still want to send. */
	CU_ASSERT_EQUAL(fx.fake.nr_resets, 2);
	CU_ASSERT(fx.fake.nr_msix_at_reset > 0);
	CU_ASSERT_EQUAL(fx.fake.pci.nr_msix_on, 0);
	/* Somebody left it on; the fake does not let itself be reset like that. */
	CU_ASSERT_EQUAL(quoll_pci_bus_master(fx.w.dev, true), 0);
	{
		struct quoll_addr addr;

		CU_ASSERT_EQUAL(quoll_addr_parse("pci:0000:01:00.0", &addr, NULL), 0);
		CU_ASSERT_EQUAL(quoll_port_open(fx.w.net, &addr, fx.w.dev, &fx.w.port, &fx.w.err), 0);
	}
	CU_ASSERT_EQUAL(fx.fake.nr_resets, 3);
	fixture_fini(&fx);
}

static const struct unit_test tests[] = {
	{"a port opens with a reset, and closes", a_port_opens_with_a_reset_and_closes},
	{"what an earlier driver left is overwritten even if the reset keeps it",
	 what_an_earlier_driver_left_is_overwritten_even_if_the_reset_keeps_it},
	{"each step that fails is told and undone", each_step_that_fails_is_told_and_undone},
	{"a device that goes at any access is said to be gone", a_device_that_goes_at_any_access_is_said_to_be_gone},
	{"requests that stay pending and firmware that keeps the MDIO bus are lived with",
	 requests_that_stay_pending_and_firmware_that_keeps_the_mdio_bus_are_lived_with},
	{"a port opens again", a_port_opens_again},
};

UNIT_MAIN("e1000e bring-up", tests)
