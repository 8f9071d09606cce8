/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net.c - opening and closing ports: what is refused, what each port is told apart by, what goes at the end.
 */
#include "net_fixture.h"

static void no_heap_is_refused(void)
{
	struct quoll_error err = {0};
	struct quoll_net *net;

	CU_ASSERT_EQUAL(quoll_net_create(NULL, NULL, &net, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "heap"));
}

static void net_stays_while_a_port_is_open(void)
{
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fix_port(&f, "null:");
	CU_ASSERT_EQUAL(quoll_net_destroy(f.net), -EBUSY);
	quoll_port_close(port);
	fix_close(&f);
}

static void schemes_without_a_driver_are_named(void)
{
	/* The second is a device's, and no driver here takes it: to say that a device is missing would lead astray. */
	static const char *const addrs[] = {"file:/tmp/x", "vfio-user:/tmp/x"};
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(fix_port_try(&f, addrs[i], &port), -ENOTSUP);
		CU_ASSERT_PTR_NOT_NULL(
			strstr(f.err.what, i ? "vfio-user: addresses are no" : "file: addresses are no"));
		CU_ASSERT_PTR_NOT_NULL(strstr(f.err.hint, "null (null:)"));
	}
	fix_close(&f);
}

static void pci_addresses_need_a_device(void)
{
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	CU_ASSERT_EQUAL(fix_port_try(&f, "0000:01:00.0", &port), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, "device"));
	fix_close(&f);
}

static void other_addresses_take_no_device(void)
{
	struct quoll_port *port = NULL;
	struct quoll_addr addr;
	struct fix f;

	fix_open(&f);
	CU_ASSERT_EQUAL(quoll_addr_parse("null:", &addr, NULL), 0);
	/* Not looked into: any pointer will do. */
	CU_ASSERT_EQUAL(quoll_port_open(f.net, &addr, (struct quoll_device *)&f, &port, &f.err), -EINVAL);
	CU_ASSERT_PTR_NULL(port);
	fix_close(&f);
}

static void unknown_options_are_refused_by_name(void)
{
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	CU_ASSERT_EQUAL(fix_port_try(&f, "null:?length=64", &port), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, "length"));
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.hint, "size"));
	fix_close(&f);
}

static void name_is_the_address_without_options(void)
{
	struct quoll_port_info info;
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fix_port(&f, "null:?size=100");
	quoll_port_info(port, &info);
	CU_ASSERT_STRING_EQUAL(info.name, "null:");
	CU_ASSERT_STRING_EQUAL(info.driver, "null");
	CU_ASSERT_EQUAL(info.numa_node, -1);
	quoll_port_close(port);
	fix_close(&f);
}

/* quoll_buf.port tells ports apart: no two open ones have the same id, and ids come back. */
static void open_ports_have_ids_of_their_own(void)
{
	struct quoll_port *ports[4];
	struct quoll_buf *buf;
	unsigned int seen = 0;
	struct fix f;

	fix_open(&f);
	for (int i = 0; i < 4; i++)
		ports[i] = fix_port(&f, "null:");
	quoll_port_close(ports[1]);
	ports[1] = fix_port(&f, "null:");
	for (int i = 0; i < 4; i++) {
		fix_start(&f, ports[i], f.caches[0]);
		CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(ports[i], 0), &buf, 1), 1);
		CU_ASSERT(buf->port < 4);
		seen |= 1u << buf->port;
		quoll_buf_put(f.caches[0], &buf, 1);
	}
	CU_ASSERT_EQUAL(seen, 0xf);
	for (int i = 0; i < 4; i++)
		quoll_port_close(ports[i]);
	fix_close(&f);
}

static void nothing_is_closed_quietly(void)
{
	quoll_port_close(NULL);
	CU_ASSERT_EQUAL(quoll_net_destroy(NULL), 0);
}

static const struct unit_test tests[] = {
	{"a net without a heap is refused", no_heap_is_refused},
	{"a net stays while a port is open", net_stays_while_a_port_is_open},
	{"schemes without a driver are named, with the drivers there are", schemes_without_a_driver_are_named},
	{"PCI addresses need a device", pci_addresses_need_a_device},
	{"other addresses take no device", other_addresses_take_no_device},
	{"unknown options are refused by name", unknown_options_are_refused_by_name},
	{"a port's name is its address without options", name_is_the_address_without_options},
	{"open ports have ids of their own", open_ports_have_ids_of_their_own},
	{"closing nothing does nothing", nothing_is_closed_quietly},
};

UNIT_MAIN("drivers/net/net", tests)
