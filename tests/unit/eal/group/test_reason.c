/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "fake.h"
#include "unit.h"

#define PORT "pci0000:00/0000:00:1c.0"
#define PORT2 "pci0000:00/0000:00:1c.1"
#define SWITCH PORT "/0000:01:00.0"

struct shape {
	const char *what;
	struct fake_device devices[6];
	enum quoll_group_reason reason;
	const char *why; /* as root */
	const char *why_unprivileged;
};

/* Group 1 is the one that is asked about. */
static const struct shape shapes[] = {
	{"one endpoint",
	 {{PORT "/0000:01:00.0", 1, 0x010802, "", CONFIG_PCIE}},
	 QUOLL_GROUP_ALONE,
	 "only device",
	 "only"},
	{"behind a PCIe-to-PCI bridge that is a member",
	 {{PORT, 2, 0x060400, "", CONFIG_ROOT_ACS},
	  {PORT "/0000:01:00.0", 1, 0x060400, "", CONFIG_PCIE_TO_PCI},
	  {PORT "/0000:01:00.0/0000:02:01.0", 1, 0x020000, "", CONFIG_PCI},
	  {PORT "/0000:01:00.0/0000:02:02.0", 1, 0x020000, "", CONFIG_PCI}},
	 QUOLL_GROUP_PCI_BRIDGE,
	 "PCI bridge 0000:01:00.0, whose requests all carry one requester ID",
	 "PCI bridge 0000:01:00.0, whose requests all carry one requester ID (judged without"},
	{"behind two conventional bridges: the upper one counts",
	 {{"pci0000:00/0000:00:1e.0", 1, 0x060401, "", CONFIG_PCI_BRIDGE},
	  {"pci0000:00/0000:00:1e.0/0000:01:00.0", 1, 0x060400, "", CONFIG_PCI_BRIDGE},
	  {"pci0000:00/0000:00:1e.0/0000:01:00.0/0000:02:01.0", 1, 0x020000, "", CONFIG_PCI},
	  {"pci0000:00/0000:00:1e.0/0000:01:02.0", 1, 0x020000, "", CONFIG_PCI}},
	 QUOLL_GROUP_PCI_BRIDGE,
	 "0000:00:1e.0",
	 "0000:00:1e.0"},
	{"functions of one slot",
	 {{PORT, 2, 0x060400, "", CONFIG_ROOT_ACS},
	  {PORT "/0000:01:00.0", 1, 0x010802, "", CONFIG_PCIE},
	  {PORT "/0000:01:00.1", 1, 0x020000, "", CONFIG_PCIE}},
	 QUOLL_GROUP_MULTIFUNCTION,
	 "one slot, 0000:01:00, without ACS",
	 "one slot, 0000:01:00, without ACS"},
	{"root ports that are functions of one slot",
	 {{PORT, 1, 0x060400, "pcieport", CONFIG_ROOT_PORT}, {PORT2, 1, 0x060400, "pcieport", CONFIG_ROOT_PORT}},
	 QUOLL_GROUP_MULTIFUNCTION,
	 "0000:00:1c",
	 "0000:00:1c"},
	{"a root port without ACS is with what is below it",
	 {{PORT, 1, 0x060400, "pcieport", CONFIG_ROOT_PORT}, {PORT "/0000:01:00.0", 1, 0x030000, "", CONFIG_PCIE}},
	 QUOLL_GROUP_NO_ACS,
	 "below port 0000:00:1c.0, which lacks ACS",
	 "below port 0000:00:1c.0, which seems to lack ACS (only root"},
	{"endpoints below a switch whose downstream ports lack ACS",
	 {{PORT, 2, 0x060400, "pcieport", CONFIG_ROOT_ACS},
	  {SWITCH, 2, 0x060400, "pcieport", CONFIG_UPSTREAM},
	  {SWITCH "/0000:02:00.0", 1, 0x060400, "pcieport", CONFIG_DOWN},
	  {SWITCH "/0000:02:00.0/0000:03:00.0", 1, 0x010802, "", CONFIG_PCIE},
	  {SWITCH "/0000:02:01.0/0000:04:00.0", 1, 0x010802, "", CONFIG_PCIE}},
	 QUOLL_GROUP_NO_ACS,
	 "below port 0000:02:00.0, which lacks ACS",
	 "below port 0000:02:00.0, which seems to lack ACS"},
	{"different slots of the root complex",
	 {{"pci0000:00/0000:00:1a.0", 1, 0x0c0320, "", CONFIG_PCI},
	  {"pci0000:00/0000:00:1b.0", 1, 0x040300, "", CONFIG_PCI}},
	 QUOLL_GROUP_OTHER,
	 "does not show",
	 "does not show"},
	{"ports above have ACS, and yet",
	 {{PORT, 2, 0x060400, "pcieport", CONFIG_ROOT_ACS},
	  {PORT "/0000:01:00.0", 1, 0x010802, "", CONFIG_PCIE},
	  {"pci0000:00/0000:00:1b.0", 1, 0x040300, "", CONFIG_PCI}},
	 QUOLL_GROUP_OTHER,
	 "does not show",
	 NULL},
	{"a member on another bus",
	 {{PORT "/0000:01:00.0", 1, 0x010802, "", CONFIG_PCIE}, {"platform/dma", 1, 0, "", CONFIG_PCI}},
	 QUOLL_GROUP_OTHER,
	 "does not show",
	 "does not show"},
};

static void check(struct fake *f, const struct shape *s, enum quoll_group_reason reason, const char *why)
{
	struct quoll_group_list list;
	struct quoll_group_desc *g = fake_describe(f, 1, &list);

	CU_ASSERT_PTR_NOT_NULL_FATAL(g);
	if (g->reason != reason || !strstr(g->why, why)) {
		fprintf(stderr, "%s: %s: %s\n", s->what, quoll_group_reason_name(g->reason), g->why);
		CU_FAIL("wrong reason");
	}
	quoll_groups_free(&list);
}

static void test_shapes(void)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		unsigned int nr = 0;
		struct fake f;

		while (nr < 6 && shapes[i].devices[nr].path)
			nr++;
		fake_open(&f, shapes[i].devices, nr);
		check(&f, &shapes[i], shapes[i].reason, shapes[i].why);
		fake_hide_capabilities(&f);
		if (shapes[i].why_unprivileged)
			check(&f, &shapes[i], shapes[i].reason, shapes[i].why_unprivileged);
		fake_close(&f);
	}
}

/* Capability lists that run in circles or out of config space; a device that answers with all ones. */
static void test_malformed_config(void)
{
	static const struct fake_device devices[] = {
		{PORT, 1, 0x060400, "", CONFIG_ROOT_PORT},
		{PORT "/0000:01:00.0", 1, 0x010802, "", CONFIG_PCIE},
	};
	struct quoll_group_list list;
	struct quoll_group_desc *g;
	uint8_t c[4096] = {0};
	struct fake f;

	fake_open(&f, devices, 2);
	for (int i = 0; i < 6; i++) {
		memset(c, i == 5 ? 0xff : 0, sizeof(c));
		if (i < 5) {
			c[0x0e] = 1;
			c[0x34] = (uint8_t[]){0x40, 0xfc, 0x40, 0x43, 0x00}[i];
			c[0x41] = 0x40;	 /* points at itself */
			c[0xfd] = 0xff;	 /* last entry, points at the end again */
			c[0x102] = 0x01; /* extended list points at itself, then out of config space */
			c[0x103] = i == 2 ? 0xff : 0x10;
		}
		fake_bytes(&f, "sys/devices/" PORT "/config", c, i == 3 ? 0x42 : sizeof(c));
		g = fake_describe(&f, 1, &list);
		CU_ASSERT_PTR_NOT_NULL_FATAL(g);
		CU_ASSERT_EQUAL(g->nr_members, 2);
		CU_ASSERT_TRUE(g->members[0].is_bridge);
		quoll_groups_free(&list);
	}
	fake_close(&f);
}

static void test_is_bdf(void)
{
	static const char *const good[] = {"0000:00:00.0", "abcd:ef:1f.7", "10000:e1:00.0"};
	static const char *const bad[] = {"",
					  "00:00.0",
					  "0000:00:00.8",
					  "0000:00:00.",
					  "0000:00:00.00",
					  "0000:0:00.0",
					  "0000:00:0.0",
					  "000000000:00:00.0",
					  "0000-00:00.0",
					  "pci0000:00",
					  "../0000:00:00.0"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CU_ASSERT_TRUE(is_bdf(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_FALSE(is_bdf(bad[i]));
}

static const struct unit_test tests[] = {
	{"each shape of group gets its reason, with and without privilege", test_shapes},
	{"malformed config space is survived", test_malformed_config},
	{"only PCI addresses are taken for such", test_is_bdf},
};

UNIT_MAIN("eal/group/reason", tests)
