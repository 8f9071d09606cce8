/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_pci.c - a virtio device on PCI: what it says of itself, bring-up and each of its steps failing, frames, the
 * control queue, the line, interrupts, removal.
 */
#include <unistd.h>

#include "net/virtio/pci.h"
#include "unit.h"

#include "pci_fixture.h"

static uint8_t frame[2048];

static void the_port_is_what_the_device_says(void)
{
	struct quoll_port_info info;
	struct quoll_port_link link;
	struct pfx x;

	pfx_init(&x);
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, ""), 0);
	quoll_port_info(x.w.port, &info);
	CU_ASSERT_STRING_EQUAL(info.driver, "virtio");
	CU_ASSERT_EQUAL(info.mac[5], 0x40);
	CU_ASSERT_EQUAL(info.max_rxqs, 4);
	CU_ASSERT_EQUAL(info.max_entries, 256);
	CU_ASSERT_EQUAL(info.max_mtu, 1500);
	CU_ASSERT_EQUAL(info.max_macs, 15);
	CU_ASSERT_EQUAL(info.rss_types, 0x3f);
	CU_ASSERT_EQUAL(info.rss_table_entries, 128);
	CU_ASSERT_EQUAL(info.offloads, QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO4 |
					       QUOLL_OFFLOAD_RX_SCATTER);
	CU_ASSERT_EQUAL(x.fake.nr_resets, 1);
	CU_ASSERT_FALSE(fake_pci_bus_master(&x.fake.pci));
	CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 1, NULL), 0);
	CU_ASSERT_FALSE(x.fake.agreed & (VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_MRG_RXBUF));
	CU_ASSERT((x.fake.agreed & VIRTIO_F_ACCESS_PLATFORM) != 0);
	quoll_port_link(x.w.port, &link);
	CU_ASSERT(link.up && link.mbit_per_s == 10000);
	pfx_fini(&x);
}

/* Who agrees on the device's mtu has to take frames of it; so with a smaller one of its own a port doesn't. */
static void the_devices_mtu_is_agreed_on_if_the_port_takes_such_frames(void)
{
	static const struct {
		uint16_t device, port;
		bool agreed;
	} cases[] = {
		{1500, 0, true},    {1500, 1499, false}, {1800, 0, false},
		{1800, 1800, true}, {67, 0, false},	 {9217, 0, false},
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct quoll_port_settings settings = {.mtu = cases[i].port};
		struct pfx x;

		pfx_init(&x);
		x.fake.config[10] = (uint8_t)cases[i].device;
		x.fake.config[11] = (uint8_t)(cases[i].device >> 8);
		CU_ASSERT_EQUAL_FATAL(pfx_open(&x, ""), 0);
		CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 1, &settings), 0);
		CU_ASSERT_EQUAL((x.fake.agreed & VIRTIO_NET_F_MTU) != 0, cases[i].agreed);
		pfx_fini(&x);
	}
}

static void frames_go_both_ways(const char *options, bool packed)
{
	struct quoll_buf *bufs[8];
	struct virtio_net_hdr hdr;
	struct pfx x;

	pfx_init(&x);
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, options), 0);
	for (unsigned int start = 0; start < 2; start++) {
		CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 2, NULL), 0);
		CU_ASSERT_EQUAL(!!(x.fake.agreed & VIRTIO_F_RING_PACKED), packed);
		for (unsigned int n = 0; n < 400; n++) {
			unsigned int q = n & 1, kicks = x.fake.nr_kicks[2 * q + 1];

			frame[20] = (uint8_t)n;
			CU_ASSERT_TRUE_FATAL(fake_ring_receive(&x.fake.rings[2 * q], NULL, frame, 100));
			CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(x.w.port, q), bufs, 8), 1);
			CU_ASSERT_EQUAL(bufs[0]->total_bytes, 100);
			CU_ASSERT_FALSE(memcmp(quoll_buf_data(bufs[0]), frame, 100));
			fake_ring_want_kicks(&x.fake.rings[2 * q + 1], n % 3 == 0);
			CU_ASSERT_EQUAL_FATAL(quoll_tx(quoll_port_txq(x.w.port, q), bufs, 1), 1);
			CU_ASSERT_EQUAL(x.fake.nr_kicks[2 * q + 1] - kicks, n % 3 == 0);
			CU_ASSERT_EQUAL(fake_ring_sent(&x.fake.rings[2 * q + 1], &hdr, frame, sizeof(frame)), 100);
			CU_ASSERT_EQUAL(frame[20], (uint8_t)n);
		}
		CU_ASSERT_EQUAL(quoll_port_stop(x.w.port), 0);
		CU_ASSERT_EQUAL(x.fake.status, 0);
	}
	pfx_fini(&x);
}

static void frames_go_both_ways_split(void)
{
	frames_go_both_ways("", false);
}

static void frames_go_both_ways_packed(void)
{
	frames_go_both_ways("?packed=1", true);
}

static void send_one(struct pfx *x, unsigned int q)
{
	struct quoll_buf *buf;

	CU_ASSERT_EQUAL_FATAL(quoll_buf_get(x->w.cache, &buf, 1), 0);
	buf->data_bytes = buf->total_bytes = 60;
	CU_ASSERT_EQUAL_FATAL(quoll_tx(quoll_port_txq(x->w.port, q), &buf, 1), 1);
}

/* It has left its wish to be told behind; test_kick.c has all the places where that may be. */
static void a_device_that_waits_in_vain_is_told(const char *options)
{
	struct virtio_net_hdr hdr;
	struct pfx x;

	pfx_init(&x);
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, options), 0);
	CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 2, NULL), 0);
	for (unsigned int n = 0; n < 200; n++) {
		unsigned int q = n & 1, kicks = x.fake.nr_kicks[2 * q + 1];
		struct fake_ring *ring = &x.fake.rings[2 * q + 1];

		fake_ring_want_kicks(ring, true);
		send_one(&x, q);
		CU_ASSERT_EQUAL(x.fake.nr_kicks[2 * q + 1] - kicks, 1);
		CU_ASSERT_EQUAL(fake_ring_sent(ring, &hdr, frame, sizeof(frame)), 60);
		send_one(&x, q);
		CU_ASSERT_EQUAL(quoll_port_check(x.w.port), 0);
		CU_ASSERT_EQUAL(x.fake.nr_kicks[2 * q + 1] - kicks, 1);
		CU_ASSERT_EQUAL(quoll_port_check(x.w.port), 0);
		CU_ASSERT_EQUAL(x.fake.nr_kicks[2 * q + 1] - kicks, 2);
		CU_ASSERT_EQUAL(fake_ring_sent(ring, &hdr, frame, sizeof(frame)), 60);
		fake_ring_want_kicks(ring, true);
	}
	pfx_fini(&x);
}

static void a_device_that_waits_in_vain_is_told_split(void)
{
	a_device_that_waits_in_vain_is_told("");
}

static void a_device_that_waits_in_vain_is_told_packed(void)
{
	a_device_that_waits_in_vain_is_told("?packed=1");
}

/* Is there such a command among those since the last start? */
static const struct fake_command *find(const struct pfx *x, uint8_t class, uint8_t what)
{
	for (unsigned int i = x->fake.nr_commands; i; i--) {
		const struct fake_command *command = &x->fake.commands[(i - 1) % FAKE_VIRTIO_COMMANDS];

		if (command->class == class && command->what == what)
			return command;
	}
	return NULL;
}

static void settings_become_commands(const char *options)
{
	static const uint8_t macs[4 + 6 + 4 + 12] = {1, 0, 0, 0, 2, 0, 0, 0, 0, 7, 2, 0, 0,
						     0, 1, 0, 0, 0, 0, 8, 3, 0, 0, 0, 0, 9};
	struct quoll_port_settings s = {.promiscuous = true, .nr_macs = 3, .mac = {2, 0, 0, 0, 0, 5}};
	const struct fake_command *command;
	struct pfx x;

	memcpy(s.macs[0], "\1\0\0\0\0\10", 6);
	memcpy(s.macs[1], "\2\0\0\0\0\7", 6);
	memcpy(s.macs[2], "\3\0\0\0\0\11", 6);
	pfx_init(&x);
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, options), 0);
	CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 3, &s), 0);
	command = find(&x, VIRTIO_CTRL_RX, VIRTIO_CTRL_RX_PROMISC);
	CU_ASSERT(command && command->bytes == 1 && command->data[0] == 1);
	command = find(&x, VIRTIO_CTRL_RX, VIRTIO_CTRL_RX_ALLMULTI);
	CU_ASSERT(command && command->bytes == 1 && command->data[0] == 0);
	command = find(&x, VIRTIO_CTRL_MAC, VIRTIO_CTRL_MAC_TABLE_SET);
	CU_ASSERT(command && command->bytes == sizeof(macs) && !memcmp(command->data, macs, sizeof(macs)));
	command = find(&x, VIRTIO_CTRL_MAC, VIRTIO_CTRL_MAC_ADDR_SET);
	CU_ASSERT(command && command->bytes == 6 && !memcmp(command->data, s.mac, 6));
	command = find(&x, VIRTIO_CTRL_MQ, VIRTIO_CTRL_MQ_RSS_CONFIG);
	CU_ASSERT_FATAL(command != NULL);
	CU_ASSERT_EQUAL(command->bytes, 8 + 256 + 3 + 40);
	CU_ASSERT_EQUAL(command->data[0], 0x3f);
	CU_ASSERT_EQUAL(command->data[4], 127);
	CU_ASSERT(command->data[8] == 0 && command->data[10] == 1 && command->data[12] == 2 && command->data[14] == 0);
	CU_ASSERT_EQUAL(command->data[8 + 256], 3);
	CU_ASSERT_EQUAL(command->data[8 + 256 + 2], 40);
	CU_ASSERT_FALSE(memcmp(command->data + 8 + 256 + 3, quoll_rss_key_default, 40));
	CU_ASSERT_PTR_NULL(find(&x, VIRTIO_CTRL_MQ, VIRTIO_CTRL_MQ_PAIRS_SET));
	/* Changed while it runs, more often than the ring is long. */
	for (unsigned int i = 0; i < 40; i++) {
		s.all_multicast = i & 1;
		CU_ASSERT_EQUAL(quoll_port_apply(x.w.port, &s, &x.w.err), 0);
		command = find(&x, VIRTIO_CTRL_RX, VIRTIO_CTRL_RX_ALLMULTI);
		CU_ASSERT(command && command->data[0] == (i & 1));
	}
	pfx_fini(&x);
}

static void settings_become_commands_split(void)
{
	settings_become_commands("");
}

static void settings_become_commands_packed(void)
{
	settings_become_commands("?packed=1");
}

static void without_rss_the_number_of_pairs_is_told(void)
{
	const struct fake_command *command;
	struct pfx x;

	pfx_init(&x);
	x.fake.features &= ~VIRTIO_NET_F_RSS;
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, ""), 0);
	CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 3, NULL), 0);
	command = find(&x, VIRTIO_CTRL_MQ, VIRTIO_CTRL_MQ_PAIRS_SET);
	CU_ASSERT(command && command->bytes == 2 && command->data[0] == 3);
	pfx_fini(&x);
}

static void an_open_that_fails_leaves_nothing(void)
{
	struct pfx x;

	pfx_init(&x);
	x.fake.never_resets = true;
	CU_ASSERT_EQUAL(pfx_open(&x, ""), -ETIMEDOUT);
	x.fake.never_resets = false;
	x.fake.features &= ~VIRTIO_F_ACCESS_PLATFORM;
	CU_ASSERT_EQUAL(pfx_open(&x, ""), -ENOTSUP);
	CU_ASSERT(strstr(x.w.err.hint, "iommu_platform") != NULL);
	x.fake.features |= VIRTIO_F_ACCESS_PLATFORM;
	x.fake.features &= ~VIRTIO_F_VERSION_1;
	CU_ASSERT_EQUAL(pfx_open(&x, ""), -ENOTSUP);
	x.fake.features |= VIRTIO_F_VERSION_1;
	x.fake.features &= ~VIRTIO_F_RING_PACKED;
	CU_ASSERT_EQUAL(pfx_open(&x, "?packed=1"), -ENOTSUP);
	CU_ASSERT_EQUAL(pfx_open(&x, "?packed=2"), -EINVAL);
	x.fake.max_size = 0;
	CU_ASSERT_EQUAL(pfx_open(&x, ""), -EPROTO);
	x.fake.max_size = 256;
	fake_virtio_hide(&x.fake, VIRTIO_PCI_NOTIFY);
	CU_ASSERT_EQUAL(pfx_open(&x, ""), -ENOTSUP);
	CU_ASSERT(strstr(x.w.err.what, "notification") != NULL);
	x.w.port = NULL;
	pfx_fini(&x);
}

/* Whether BAR, place or length: what leads nowhere is as good as missing. */
static void capabilities_that_lead_nowhere_are_none(void)
{
	static const struct {
		uint8_t type;
		unsigned int at;
		uint8_t value;
		const char *missing;
	} lies[] = {
		{VIRTIO_PCI_COMMON, VIRTIO_PCI_CAP_BAR, 6, "common"},
		{VIRTIO_PCI_COMMON, VIRTIO_PCI_CAP_BAR, 1, "common"},
		{VIRTIO_PCI_COMMON, VIRTIO_PCI_CAP_OFFSET + 2, 1, "common"},
		{VIRTIO_PCI_COMMON, VIRTIO_PCI_CAP_OFFSET + 3, 0xff, "common"},
		{VIRTIO_PCI_COMMON, VIRTIO_PCI_CAP_OFFSET, 2, "common"},
		{VIRTIO_PCI_COMMON, VIRTIO_PCI_CAP_BYTES, 8, "common"},
		{VIRTIO_PCI_COMMON, VIRTIO_PCI_CAP_BYTES + 3, 0xff, "common"},
		{VIRTIO_PCI_COMMON, VIRTIO_PCI_CAP_LEN, 8, "common"},
		{VIRTIO_PCI_NOTIFY, VIRTIO_PCI_CAP_LEN, 16, "notification"},
		{VIRTIO_PCI_NOTIFY, VIRTIO_PCI_CAP_OFFSET, 1, "notification"},
		{VIRTIO_PCI_NOTIFY, VIRTIO_PCI_CAP_BYTES + 3, 1, "notification"},
		{VIRTIO_PCI_DEVICE, VIRTIO_PCI_CAP_OFFSET, 2, "device"},
		{VIRTIO_PCI_DEVICE, VIRTIO_PCI_CAP_BAR, 7, "device"},
	};

	for (unsigned int i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct pfx x;

		pfx_init(&x);
		x.fake.pci.config[fake_virtio_cap(lies[i].type) + lies[i].at] = lies[i].value;
		CU_ASSERT_EQUAL(pfx_open(&x, ""), -ENOTSUP);
		CU_ASSERT(strstr(x.w.err.what, lies[i].missing) != NULL);
		x.w.port = NULL;
		pfx_fini(&x);
	}
}

/* Where no answer is expected. */
static void hurry(struct pfx *x)
{
	((struct virtio_pci *)x->w.port)->ctrl_limit_ms = 50;
}

static void a_start_that_fails_gives_all_back(void)
{
	struct pfx x;

	pfx_init(&x);
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, ""), 0);
	x.fake.refuses_features = true;
	CU_ASSERT_EQUAL(pfx_start(&x, 1, NULL), -EPROTO);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(x.w.pool), PFX_BUFS);
	x.fake.refuses_features = false;
	x.fake.refuses_vectors = true;
	CU_ASSERT_EQUAL(pfx_start(&x, 1, NULL), -ENOSPC);
	x.fake.refuses_vectors = false;
	x.fake.notify_off = 1024;
	CU_ASSERT_EQUAL(pfx_start(&x, 1, NULL), -EPROTO);
	x.fake.notify_off = 0;
	x.fake.refuses_commands = true;
	CU_ASSERT_EQUAL(pfx_start(&x, 1, NULL), -EIO);
	x.fake.refuses_commands = false;
	x.fake.mute_ctrl = true;
	hurry(&x);
	CU_ASSERT_EQUAL(pfx_start(&x, 1, NULL), -ETIMEDOUT);
	x.fake.mute_ctrl = false;
	x.fake.ctrl_size = 1;
	CU_ASSERT_EQUAL(pfx_start(&x, 1, NULL), -EPROTO);
	x.fake.ctrl_size = 64;
	x.fake.max_size = 32;
	CU_ASSERT_EQUAL(pfx_start(&x, 1, NULL), -EPROTO);
	x.fake.max_size = 256;
	x.fake.features &= ~VIRTIO_NET_F_CSUM;
	CU_ASSERT_EQUAL(pfx_start(&x, 1, NULL), -EPROTO);
	x.fake.features |= VIRTIO_NET_F_CSUM;
	CU_ASSERT_EQUAL(quoll_pool_nr_free(x.w.pool), PFX_BUFS);
	CU_ASSERT_EQUAL(pfx_start(&x, 1, NULL), 0);
	pfx_fini(&x);
}

static void an_answer_that_comes_late_is_none(const char *options)
{
	struct quoll_port_settings s = {.promiscuous = true};
	struct pfx x;

	pfx_init(&x);
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, options), 0);
	CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 1, NULL), 0);
	hurry(&x);
	x.fake.mute_ctrl = true;
	CU_ASSERT_EQUAL(quoll_port_apply(x.w.port, &s, &x.w.err), -ETIMEDOUT);
	x.fake.mute_ctrl = false;
	fake_virtio_run_ctrl(&x.fake);
	/* Not taken for the next one's. */
	CU_ASSERT_EQUAL(quoll_port_apply(x.w.port, &s, &x.w.err), -ETIMEDOUT);
	CU_ASSERT(strstr(x.w.err.what, "earlier") != NULL);
	CU_ASSERT_EQUAL(quoll_port_stop(x.w.port), 0);
	CU_ASSERT_EQUAL(pfx_start(&x, 1, NULL), 0);
	CU_ASSERT_EQUAL(quoll_port_apply(x.w.port, &s, &x.w.err), 0);
	pfx_fini(&x);
}

static void an_answer_that_comes_late_is_none_split(void)
{
	an_answer_that_comes_late_is_none("");
}

static void an_answer_that_comes_late_is_none_packed(void)
{
	an_answer_that_comes_late_is_none("?packed=1");
}

static void what_is_refused_leaves_the_old_settings(void)
{
	struct quoll_port_settings s = {.promiscuous = true};
	const struct fake_command *command;
	struct pfx x;

	pfx_init(&x);
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, ""), 0);
	CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 1, NULL), 0);
	x.fake.refuses_commands = true;
	CU_ASSERT_EQUAL(quoll_port_apply(x.w.port, &s, &x.w.err), -EIO);
	CU_ASSERT(strstr(x.w.err.what, "refuses") != NULL);
	command = find(&x, VIRTIO_CTRL_RX, VIRTIO_CTRL_RX_PROMISC);
	CU_ASSERT(command && command->data[0] == 0);
	pfx_fini(&x);
}

/* However few of its pairs are used, and with a short one, which goes around often. */
static void the_control_queue_is_behind_all_pairs(void)
{
	static const char *const options[] = {"", "?packed=1"};
	struct quoll_port_settings s = {.promiscuous = true};

	for (unsigned int i = 0; i < 2; i++) {
		struct pfx x;

		pfx_init(&x);
		x.fake.config[8] = 40;
		x.fake.ctrl_at = 80;
		x.fake.ctrl_size = 2;
		CU_ASSERT_EQUAL_FATAL(pfx_open(&x, options[i]), 0);
		CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 2, NULL), 0);
		for (unsigned int n = 0; n < 10; n++) {
			s.promiscuous = n & 1;
			CU_ASSERT_EQUAL(quoll_port_apply(x.w.port, &s, &x.w.err), 0);
			CU_ASSERT_EQUAL(find(&x, VIRTIO_CTRL_RX, VIRTIO_CTRL_RX_PROMISC)->data[0], n & 1);
		}
		pfx_fini(&x);
	}
}

static void queue_pairs_that_cannot_be_are_refused(void)
{
	struct pfx x;

	pfx_init(&x);
	x.fake.config[8] = 0;
	CU_ASSERT_EQUAL(pfx_open(&x, ""), -EPROTO);
	x.fake.config[9] = 0x80;
	CU_ASSERT_EQUAL(pfx_open(&x, ""), -EPROTO);
	x.fake.config[8] = 4;
	x.fake.config[9] = 0;
	/* RSS alone: one pair is used, and the control queue lies where the device has it. */
	x.fake.features &= ~VIRTIO_NET_F_MQ;
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, ""), 0);
	CU_ASSERT_EQUAL(pfx_start(&x, 1, NULL), 0);
	CU_ASSERT(find(&x, VIRTIO_CTRL_RX, VIRTIO_CTRL_RX_PROMISC) != NULL);
	pfx_fini(&x);
}

static void without_a_control_queue_nothing_is_agreed_on_that_needs_it(void)
{
	struct quoll_port_info info;
	struct pfx x;

	pfx_init(&x);
	x.fake.features &= ~VIRTIO_NET_F_CTRL_VQ;
	x.fake.features |= VIRTIO_F_ORDER_PLATFORM;
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, ""), 0);
	quoll_port_info(x.w.port, &info);
	CU_ASSERT(!info.max_macs && info.max_rxqs == 1 && !info.rss_types);
	CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 1, NULL), 0);
	CU_ASSERT_FALSE(x.fake.agreed &
			(VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_MAC_ADDR | VIRTIO_NET_F_MQ | VIRTIO_NET_F_RSS));
	CU_ASSERT((x.fake.agreed & VIRTIO_F_ORDER_PLATFORM) != 0);
	CU_ASSERT_EQUAL(x.fake.nr_commands, 0);
	pfx_fini(&x);
}

static void an_address_that_cannot_be_told_goes_into_the_table(void)
{
	static const uint8_t macs[] = {1, 0, 0, 0, 2, 0, 0, 0, 0, 5, 0, 0, 0, 0};
	struct quoll_port_settings s = {.mac = {2, 0, 0, 0, 0, 5}};
	const struct fake_command *command;
	struct pfx x;

	pfx_init(&x);
	x.fake.features &= ~VIRTIO_NET_F_CTRL_MAC_ADDR;
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, ""), 0);
	CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 1, &s), 0);
	command = find(&x, VIRTIO_CTRL_MAC, VIRTIO_CTRL_MAC_TABLE_SET);
	CU_ASSERT(command && command->bytes == sizeof(macs) && !memcmp(command->data, macs, sizeof(macs)));
	pfx_fini(&x);
}

static void a_device_without_an_address_gets_one(void)
{
	struct quoll_port_info info;
	struct pfx x;

	pfx_init(&x);
	x.fake.config[0] = 0x53;
	CU_ASSERT_EQUAL(pfx_open(&x, ""), -EPROTO);
	memset(x.fake.config, 0, 6);
	CU_ASSERT_EQUAL(pfx_open(&x, ""), -EPROTO);
	x.fake.features &= ~VIRTIO_NET_F_MAC;
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, ""), 0);
	quoll_port_info(x.w.port, &info);
	CU_ASSERT_EQUAL(info.mac[0] & 3, 2);
	CU_ASSERT_EQUAL(pfx_start(&x, 1, NULL), 0);
	pfx_fini(&x);
}

static void a_configuration_that_never_settles_is_not_believed(void)
{
	struct quoll_port_link link;
	struct pfx x;

	pfx_init(&x);
	x.fake.never_settles = true;
	CU_ASSERT_EQUAL(pfx_open(&x, ""), -EIO);
	CU_ASSERT_STRING_EQUAL(x.w.err.stage, "configuration");
	x.fake.never_settles = false;
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, ""), 0);
	CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 1, NULL), 0);
	/* While it runs the line is as it was last known, and looked at again without a further interrupt. */
	x.fake.never_settles = true;
	fake_virtio_set_link(&x.fake, false);
	CU_ASSERT_EQUAL(quoll_port_check(x.w.port), 0);
	quoll_port_link(x.w.port, &link);
	CU_ASSERT(link.up);
	x.fake.never_settles = false;
	CU_ASSERT_EQUAL(quoll_port_check(x.w.port), 0);
	quoll_port_link(x.w.port, &link);
	CU_ASSERT_FALSE(link.up);
	pfx_fini(&x);
}

/* Without news a look at the status now and then is all that registers are read for. */
static void a_quiet_device_is_hardly_looked_at(void)
{
	uint64_t reads;
	struct pfx x;

	pfx_init(&x);
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, ""), 0);
	CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 1, NULL), 0);
	reads = x.fake.trap.nr_reads;
	for (unsigned int i = 0; i < 10 * VIRTIO_CHECKS_A_LOOK; i++)
		CU_ASSERT_EQUAL(quoll_port_check(x.w.port), 0);
	CU_ASSERT_EQUAL(x.fake.trap.nr_reads - reads, 10);
	x.fake.status |= VIRTIO_STATUS_NEEDS_RESET; /* without an interrupt */
	for (unsigned int i = 1; i < VIRTIO_CHECKS_A_LOOK; i++)
		CU_ASSERT_EQUAL(quoll_port_check(x.w.port), 0);
	CU_ASSERT_EQUAL(quoll_port_check(x.w.port), -EIO);
	pfx_fini(&x);
}

static void offloads_are_agreed_on_as_asked_for(void)
{
	struct quoll_port_settings s = {.offloads = QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO4 |
						    QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_RX_SCATTER};
	struct virtio_net_hdr hdr = {.flags = VIRTIO_NET_HDR_DATA_VALID, .nr_bufs = 1};
	struct quoll_buf *buf;
	struct pfx x;

	pfx_init(&x);
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, "?packed=1"), 0);
	CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 1, &s), 0);
	CU_ASSERT_EQUAL(x.fake.agreed & (VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_HOST_TSO4 |
					 VIRTIO_NET_F_MRG_RXBUF),
			VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_MRG_RXBUF);
	CU_ASSERT_FATAL(fake_ring_receive(&x.fake.rings[0], &hdr, frame, 200));
	CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(x.w.port, 0), &buf, 1), 1);
	CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_L4_GOOD);
	buf->flags = QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_IP_CSUM;
	buf->l2_bytes = 14;
	buf->l3_bytes = 20;
	buf->l4_bytes = 20;
	buf->mss = 100;
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(x.w.port, 0), &buf, 1), 1);
	CU_ASSERT_EQUAL(fake_ring_sent(&x.fake.rings[1], &hdr, frame, sizeof(frame)), 200);
	CU_ASSERT_EQUAL(hdr.flags, VIRTIO_NET_HDR_NEEDS_CSUM);
	CU_ASSERT_EQUAL(hdr.gso_type, VIRTIO_NET_GSO_TCPV4);
	CU_ASSERT_EQUAL(quoll_le16_to_cpu(hdr.gso_bytes), 100);
	pfx_fini(&x);
}

static void the_line_is_told_of(void)
{
	struct quoll_port_link link;
	struct quoll_buf *buf;
	struct pfx x;

	pfx_init(&x);
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, ""), 0);
	CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 1, NULL), 0);
	for (unsigned int up = 0; up < 2; up++) {
		fake_virtio_set_link(&x.fake, up);
		CU_ASSERT_EQUAL(quoll_port_check(x.w.port), 0);
		quoll_port_link(x.w.port, &link);
		CU_ASSERT_EQUAL(link.up, up);
	}
	/* And frames wake who sleeps. */
	CU_ASSERT(quoll_rxq_fd(quoll_port_rxq(x.w.port, 0)) >= 0);
	CU_ASSERT_EQUAL(quoll_rxq_arm(quoll_port_rxq(x.w.port, 0)), 0);
	CU_ASSERT(fake_ring_receive(&x.fake.rings[0], NULL, frame, 60));
	CU_ASSERT(fake_ring_wants_interrupt(&x.fake.rings[0], 0));
	CU_ASSERT_EQUAL(x.fake.vectors[0], 1);
	CU_ASSERT_EQUAL(x.fake.vectors[1], VIRTIO_NO_VECTOR);
	quoll_rxq_disarm(quoll_port_rxq(x.w.port, 0));
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(x.w.port, 0), &buf, 1), 1);
	quoll_buf_put(x.w.cache, &buf, 1);
	pfx_fini(&x);
}

enum end { GONE, WANTED_BACK, ERROR, NEEDS_RESET, BROKEN, NR_ENDS };

static void a_device_that_ends_gives_all_back(void)
{
	static const int why[NR_ENDS] = {-ENODEV, -ENODEV, -EIO, -EIO, -EIO};
	struct quoll_buf *bufs[8];

	for (unsigned int end = 0; end < NR_ENDS; end++) {
		struct pfx x;

		pfx_init(&x);
		CU_ASSERT_EQUAL_FATAL(pfx_open(&x, end & 1 ? "?packed=1" : ""), 0);
		CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 1, NULL), 0);
		CU_ASSERT(fake_ring_receive(&x.fake.rings[0], NULL, frame, 60));
		CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(x.w.port, 0), bufs, 8), 1);
		CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(x.w.port, 0), bufs, 1), 1);
		if (end == GONE)
			fake_pci_yank(&x.fake.pci);
		else if (end == WANTED_BACK)
			fake_pci_request_removal(&x.fake.pci);
		else if (end == ERROR)
			fake_pci_report_error(&x.fake.pci);
		else if (end == NEEDS_RESET)
			fake_virtio_set_status(&x.fake, VIRTIO_STATUS_NEEDS_RESET);
		else
			((struct virtq_used *)x.fake.rings[0].device)->idx = 999;
		CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(x.w.port, 0), bufs, 8), 0);
		CU_ASSERT_EQUAL(quoll_port_check(x.w.port), why[end]);
		CU_ASSERT_EQUAL(quoll_port_stop(x.w.port), why[end]);
		CU_ASSERT_EQUAL(quoll_pool_nr_free(x.w.pool), PFX_BUFS);
		pfx_fini(&x);
	}
}

static void one_that_does_not_reset_loses_the_bus(void)
{
	struct pfx x;

	pfx_init(&x);
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, ""), 0);
	CU_ASSERT_EQUAL_FATAL(pfx_start(&x, 1, NULL), 0);
	x.fake.never_resets = true;
	CU_ASSERT_EQUAL(quoll_port_stop(x.w.port), -EIO);
	CU_ASSERT_FALSE(fake_pci_bus_master(&x.fake.pci));
	CU_ASSERT_EQUAL(quoll_pool_nr_free(x.w.pool), PFX_BUFS);
	x.fake.never_resets = false;
	CU_ASSERT_EQUAL(pfx_start(&x, 1, NULL), 0);
	CU_ASSERT(fake_ring_receive(&x.fake.rings[0], NULL, frame, 60));
	pfx_fini(&x);
}

static const struct unit_test tests[] = {
	{"the port is what the device says", the_port_is_what_the_device_says},
	{"the device's mtu is agreed on if the port takes such frames",
	 the_devices_mtu_is_agreed_on_if_the_port_takes_such_frames},
	{"split: frames go both ways", frames_go_both_ways_split},
	{"packed: frames go both ways", frames_go_both_ways_packed},
	{"split: a device that waits in vain is told", a_device_that_waits_in_vain_is_told_split},
	{"packed: a device that waits in vain is told", a_device_that_waits_in_vain_is_told_packed},
	{"split: settings become commands", settings_become_commands_split},
	{"packed: settings become commands", settings_become_commands_packed},
	{"without RSS the number of pairs is told", without_rss_the_number_of_pairs_is_told},
	{"an open that fails leaves nothing", an_open_that_fails_leaves_nothing},
	{"capabilities that lead nowhere are none", capabilities_that_lead_nowhere_are_none},
	{"a start that fails gives all back", a_start_that_fails_gives_all_back},
	{"split: an answer that comes late is none", an_answer_that_comes_late_is_none_split},
	{"packed: an answer that comes late is none", an_answer_that_comes_late_is_none_packed},
	{"what is refused leaves the old settings", what_is_refused_leaves_the_old_settings},
	{"the control queue is behind all pairs", the_control_queue_is_behind_all_pairs},
	{"queue pairs that cannot be are refused", queue_pairs_that_cannot_be_are_refused},
	{"without a control queue nothing is agreed on that needs it",
	 without_a_control_queue_nothing_is_agreed_on_that_needs_it},
	{"an address that cannot be told goes into the table", an_address_that_cannot_be_told_goes_into_the_table},
	{"a device without an address gets one", a_device_without_an_address_gets_one},
	{"a configuration that never settles is not believed", a_configuration_that_never_settles_is_not_believed},
	{"a quiet device is hardly looked at", a_quiet_device_is_hardly_looked_at},
	{"offloads are agreed on as asked for", offloads_are_agreed_on_as_asked_for},
	{"the line is told of", the_line_is_told_of},
	{"a device that ends gives all back", a_device_that_ends_gives_all_back},
	{"one that does not reset loses the bus", one_that_does_not_reset_loses_the_bus},
};

UNIT_MAIN("virtio pci", tests)
