/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <quoll/addr.h>

#include "unit.h"

struct good {
	const char *text;
	enum quoll_addr_scheme scheme;
	const char *target;
	const char *host;
	uint16_t port;
	const char *path;
	uint64_t size_bytes;
};

static const struct good good[] = {
	{"pci:0000:01:00.0", QUOLL_ADDR_PCI, "0000:01:00.0", "", 0, "", 0},
	{"0000:01:00.0", QUOLL_ADDR_PCI, "0000:01:00.0", "", 0, "", 0},
	{"01:00.0", QUOLL_ADDR_PCI, "0000:01:00.0", "", 0, "", 0},
	{"pci:C1:1F.7", QUOLL_ADDR_PCI, "0000:c1:1f.7", "", 0, "", 0},
	{"fa:1e.6", QUOLL_ADDR_PCI, "0000:fa:1e.6", "", 0, "", 0},
	{"ABCD:EF:00.1", QUOLL_ADDR_PCI, "abcd:ef:00.1", "", 0, "", 0},
	{"10000:e1:00.0", QUOLL_ADDR_PCI, "10000:e1:00.0", "", 0, "", 0},
	{"00000001:02:03.4", QUOLL_ADDR_PCI, "0001:02:03.4", "", 0, "", 0},
	{"vfio-user:/run/x.sock", QUOLL_ADDR_VFIO_USER, "/run/x.sock", "", 0, "", 0},
	{"vhost:y", QUOLL_ADDR_VHOST, "y", "", 0, "", 0},
	{"virtio-user:/run/y.sock", QUOLL_ADDR_VIRTIO_USER, "/run/y.sock", "", 0, "", 0},
	{"tcp:127.0.0.1:4420/nqn.2014-08.org:x", QUOLL_ADDR_TCP, "127.0.0.1:4420/nqn.2014-08.org:x", "127.0.0.1", 4420,
	 "nqn.2014-08.org:x", 0},
	{"tcp:[fe80::1]:1", QUOLL_ADDR_TCP, "[fe80::1]:1", "fe80::1", 1, "", 0},
	{"tcp:[::ffff:1.2.3.4]:65535/nqn.a", QUOLL_ADDR_TCP, "[::ffff:1.2.3.4]:65535/nqn.a", "::ffff:1.2.3.4", 65535,
	 "nqn.a", 0},
	{"tcp:storage-1.example:8009", QUOLL_ADDR_TCP, "storage-1.example:8009", "storage-1.example", 8009, "", 0},
	{"xdp:eth0", QUOLL_ADDR_XDP, "eth0", "", 0, "", 0},
	{"tap:a", QUOLL_ADDR_TAP, "a", "", 0, "", 0},
	{"packet:enp0s31f6.1234", QUOLL_ADDR_PACKET, "enp0s31f6.1234", "", 0, "", 0},
	{"pcap:in.pcap", QUOLL_ADDR_PCAP, "in.pcap", "", 0, "", 0},
	{"pcap:in.pcap,out.pcap", QUOLL_ADDR_PCAP, "in.pcap", "", 0, "out.pcap", 0},
	{"pcap:,out.pcap", QUOLL_ADDR_PCAP, "", "", 0, "out.pcap", 0},
	{"null:", QUOLL_ADDR_NULL, "", "", 0, "", 0},
	{"ring:r_0-a.b", QUOLL_ADDR_RING, "r_0-a.b", "", 0, "", 0},
	{"mem:1G", QUOLL_ADDR_MEM, "1G", "", 0, "", UINT64_C(1) << 30},
	{"mem:4096", QUOLL_ADDR_MEM, "4096", "", 0, "", 4096},
	{"mem:16777215t", QUOLL_ADDR_MEM, "16777215t", "", 0, "", UINT64_C(16777215) << 40},
	{"file:/tmp/a b,c=d&e:f", QUOLL_ADDR_FILE, "/tmp/a b,c=d&e:f", "", 0, "", 0},
};

static void test_good(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		const struct good *g = &good[i];
		struct quoll_addr addr;
		struct quoll_error err = {0};

		if (quoll_addr_parse(g->text, &addr, &err)) {
			fprintf(stderr, "%s: %s\n", g->text, err.what);
			CU_FAIL("a good address is refused");
			continue;
		}
		CU_ASSERT_EQUAL(addr.scheme, g->scheme);
		CU_ASSERT_STRING_EQUAL(addr.target, g->target);
		CU_ASSERT_STRING_EQUAL(addr.host, g->host);
		CU_ASSERT_STRING_EQUAL(addr.path, g->path);
		CU_ASSERT_EQUAL(addr.port, g->port);
		CU_ASSERT_EQUAL(addr.size_bytes, g->size_bytes);
		CU_ASSERT_EQUAL(addr.nr_options, 0);
		CU_ASSERT_EQUAL(err.errnum, 0);
	}
}

/* position, counted from 1, and a piece of what could stand there */
struct bad {
	const char *text;
	unsigned int position;
	const char *expected;
};

static const struct bad bad[] = {
	{"", 1, "scheme"},
	{":", 1, "scheme"},
	{"pci", 4, "scheme"},
	{"PCI:01:00.0", 1, "scheme"},
	{"pcj:01:00.0", 3, "scheme"},
	{"vfio-usr:/x", 8, "scheme"},
	{"/dev/nvme0", 1, "scheme"},
	{"eth0", 1, "scheme"},
	{" 01:00.0", 1, "scheme"},
	{"pci:", 5, "PCI bus"},
	{"1:00.0", 1, "scheme"},
	{"pci:1:00.0", 6, "PCI bus"},
	{"pci:g1:00.0", 5, "PCI bus"},
	{"001:02:00.0", 4, "PCI domain"},
	{"pci:0x00:02:00.0", 6, "PCI domain"},
	{"000000000:02:00.0", 9, "':'"},
	{"01:00", 6, "'.'"},
	{"01:00.", 7, "function"},
	{"01:00.8", 7, "function"},
	{"01:00.a", 7, "function"},
	{"01:00.00", 8, "end"},
	{"01:00.0 ", 8, "end"},
	{"01:00.0:1", 8, "end"},
	{"01:20.0", 4, "00 to 1f"},
	{"01:ff.0", 4, "00 to 1f"},
	{"01:0.0", 5, "PCI device"},
	{"0000:01.00.0", 8, "':'"},
	{"0000:01:00:0", 11, "'.'"},
	{"0000:", 6, "PCI bus"},
	{"01:00.0?", 9, "name of an option"},
	{"01:00.0?a", 10, "'='"},
	{"01:00.0?a=", 11, "value"},
	{"01:00.0?a=1&", 13, "name of an option"},
	{"01:00.0?a=1&&b=2", 13, "name of an option"},
	{"01:00.0?=1", 9, "name of an option"},
	{"01:00.0?A=1", 9, "name of an option"},
	{"01:00.0?a b=1", 10, "'='"},
	{"01:00.0?a=1&b=2&a=3", 17, "other than a"},
	{"01:00.0?a=&b=1", 11, "value"},
	{"01:00.0\n", 8, "printable"},
	{"file:/a\177", 8, "printable"},
	{"vfio-user:", 11, "path"},
	{"vhost:?a=1", 7, "path"},
	{"file:", 6, "path"},
	{"tcp:", 5, "host"},
	{"tcp::4420", 5, "host"},
	{"tcp:host", 9, "':'"},
	{"tcp:ho st:1", 7, "':'"},
	{"tcp:host:", 10, "port"},
	{"tcp:host:0", 10, "port"},
	{"tcp:host:65536", 10, "port"},
	{"tcp:host:99999999999999999999", 10, "port"},
	{"tcp:host:-1", 10, "port"},
	{"tcp:host:1x", 11, "'/'"},
	{"tcp:host:1/", 12, "nqn."},
	{"tcp:host:1/nqm.x", 14, "nqn."},
	{"tcp:[fe80::1:1", 15, "']'"},
	{"tcp:[fe80::g]:1", 12, "']'"},
	{"tcp:[]:1", 6, "IPv6"},
	{"tcp:[1:2:3]:1", 6, "IPv6"},
	{"tcp:[::1]1", 10, "':'"},
	{"tcp:fe80::1:4420", 10, "port"},
	{"xdp:", 5, "interface"},
	{"xdp:eth/0", 8, "interface"},
	{"tap:..", 5, "interface"},
	{"packet:.", 8, "interface"},
	{"tap:tap%d", 8, "interface"},
	{"pcap:", 6, "file"},
	{"pcap:in,", 9, "second file"},
	{"null:x", 6, "options"},
	{"ring:", 6, "ring"},
	{"ring:a/b", 7, "letter"},
	{"mem:", 5, "size"},
	{"mem:G", 5, "size"},
	{"mem:-1", 5, "size"},
	{"mem:1X", 6, "K, M, G or T"},
	{"mem:1GG", 7, "end of the size"},
	{"mem:1.5G", 6, "K, M, G or T"},
	{"mem:0", 5, "above 0"},
	{"mem:0k", 5, "above 0"},
	{"mem:18446744073709551616", 24, "2^64"},
	{"mem:16777216T", 13, "2^64"},
};

static void test_bad(void)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char where[32];
		struct quoll_addr addr;
		struct quoll_error err = {0};
		int rc = quoll_addr_parse(bad[i].text, &addr, &err);

		snprintf(where, sizeof(where), "character %u ", bad[i].position);
		if (rc != -EINVAL || !strstr(err.what, where) || !strstr(err.what, bad[i].expected)) {
			fprintf(stderr, "\"%s\": %d %s\n", bad[i].text, rc, err.what);
			CU_FAIL("a bad address is not refused as it should be");
		}
		CU_ASSERT_EQUAL(err.errnum, EINVAL);
		CU_ASSERT_STRING_EQUAL(err.stage, "address");
		CU_ASSERT(err.hint[0] || strstr(bad[i].expected, "printable"));
	}
}

static void test_short_form(void)
{
	static const char *const texts[][2] = {
		{"pci:0000:01:00.0", "0000:01:00.0"},
		{"01:00.0", "0000:01:00.0"},
		{"vfio-user:/run/x.sock", "vfio-user:/run/x.sock"},
		{"ring:a?loop=1", "ring:a"},
	};
	struct quoll_addr addr;
	char text[32];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		CU_ASSERT_EQUAL_FATAL(quoll_addr_parse(texts[i][0], &addr, NULL), 0);
		quoll_addr_short(&addr, text, sizeof(text));
		CU_ASSERT_STRING_EQUAL(text, texts[i][1]);
	}
	quoll_addr_short(&addr, text, 4);
	CU_ASSERT_STRING_EQUAL(text, "rin");
}

static void test_unknown_scheme_names_all(void)
{
	struct quoll_addr addr;
	struct quoll_error err = {0};

	CU_ASSERT_EQUAL(quoll_addr_parse("nvme0n1", &addr, &err), -EINVAL);
	for (int s = QUOLL_ADDR_PCI; s <= QUOLL_ADDR_FILE; s++)
		CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, quoll_addr_scheme_name((enum quoll_addr_scheme)s)));
}

static void test_example_for_the_scheme(void)
{
	struct quoll_addr addr;
	struct quoll_error err = {0};

	CU_ASSERT_EQUAL(quoll_addr_parse("0000:0g:00.0", &addr, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "0000:01:00.0"));
	CU_ASSERT_EQUAL(quoll_addr_parse("tcp:x", &addr, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "tcp:192.0.2.1:4420"));
	CU_ASSERT_EQUAL(quoll_addr_parse("tcp:x:1", &addr, &err), 0);
}

static void test_too_long(void)
{
	static const struct {
		const char *scheme;
		size_t fits; /* characters of the target, 0: as many as the whole address has */
	} cases[] = {{"file:", 0}, {"vfio-user:", 107}, {"xdp:", 15}, {"ring:", 63}, {"tcp:h:1/nqn.", 219}};
	struct quoll_addr addr;
	struct quoll_error err;
	char text[2 * QUOLL_ADDR_MAX_BYTES];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t head = strlen(cases[i].scheme);
		size_t fits = cases[i].fits ? cases[i].fits : QUOLL_ADDR_MAX_BYTES - 1 - head;

		memset(text, 'x', sizeof(text));
		memcpy(text, cases[i].scheme, head);
		text[head + fits] = '\0';
		CU_ASSERT_EQUAL(quoll_addr_parse(text, &addr, &err), 0);
		text[head + fits] = 'x';
		text[head + fits + 1] = '\0';
		CU_ASSERT_EQUAL(quoll_addr_parse(text, &addr, &err), -ENAMETOOLONG);
		CU_ASSERT_EQUAL(err.errnum, ENAMETOOLONG);
	}
	memset(text, '1', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	CU_ASSERT_EQUAL(quoll_addr_parse(text, &addr, NULL), -ENAMETOOLONG);
}

static void test_options(void)
{
	static const char *const known[] = {"queues", "mtu", NULL}, *const fewer[] = {"mtu", NULL},
				 *const none[] = {NULL};
	struct quoll_addr addr;
	struct quoll_error err = {0};

	CU_ASSERT_EQUAL(quoll_addr_parse("01:00.0?queues=4&mtu=a=b?c", &addr, &err), 0);
	CU_ASSERT_STRING_EQUAL(addr.target, "0000:01:00.0");
	CU_ASSERT_EQUAL(addr.nr_options, 2);
	CU_ASSERT_STRING_EQUAL(quoll_addr_option(&addr, "queues"), "4");
	CU_ASSERT_STRING_EQUAL(quoll_addr_option(&addr, "mtu"), "a=b?c");
	CU_ASSERT_PTR_NULL(quoll_addr_option(&addr, "queue"));
	CU_ASSERT_EQUAL(quoll_addr_options_known(&addr, known, &err), 0);
	CU_ASSERT_EQUAL(err.errnum, 0);
	CU_ASSERT_EQUAL(quoll_addr_options_known(&addr, fewer, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "\"queues\""));
	CU_ASSERT_STRING_EQUAL(err.hint, "known options: mtu");
	CU_ASSERT_EQUAL(quoll_addr_options_known(&addr, none, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.hint, "");
	CU_ASSERT_EQUAL(quoll_addr_options_known(&addr, none, NULL), -EINVAL);
}

static void test_option_limit(void)
{
	struct quoll_addr addr;
	struct quoll_error err = {0};
	char text[QUOLL_ADDR_MAX_BYTES] = "null:?";

	for (int i = 0; i <= QUOLL_ADDR_MAX_OPTIONS; i++) {
		size_t used = strlen(text);

		snprintf(text + used, sizeof(text) - used, "%so%d=%d", i ? "&" : "", i, i);
		CU_ASSERT_EQUAL(quoll_addr_parse(text, &addr, &err), i < QUOLL_ADDR_MAX_OPTIONS ? 0 : -EINVAL);
	}
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "16 options"));
}

static void test_no_error_wanted(void)
{
	struct quoll_addr addr;

	CU_ASSERT_EQUAL(quoll_addr_parse(NULL, &addr, NULL), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(quoll_addr_parse(bad[i].text, &addr, NULL), -EINVAL);
}

static void test_control_characters_stay_out_of_messages(void)
{
	struct quoll_addr addr;
	struct quoll_error err;

	CU_ASSERT_EQUAL(quoll_addr_parse("01:00.0?a=\033[31m", &addr, &err), -EINVAL);
	CU_ASSERT_PTR_NULL(strchr(err.subject, '\033'));
	CU_ASSERT_PTR_NULL(strchr(err.what, '\033'));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "byte 0x1b"));
}

static void test_sizes(void)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t bytes;
	} cases[] = {
		{"0", 0, 0},
		{"4096", 0, 4096},
		{"4k", 0, 4096},
		{"4K", 0, 4096},
		{"2m", 0, 2u << 20},
		{"1G", 0, 1u << 30},
		{"1T", 0, UINT64_C(1) << 40},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"16777215T", 0, UINT64_C(16777215) << 40},
		{"16777216T", -ERANGE, 0},
		{"99999999999999999999999k", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"k", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"1kb", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1P", -EINVAL, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bytes = 77;

		CU_ASSERT_EQUAL(quoll_size_parse(cases[i].text, &bytes), cases[i].rc);
		CU_ASSERT_EQUAL(bytes, cases[i].rc ? 77 : cases[i].bytes);
	}
}

static void test_hex_digits(void)
{
	static const char digits[] = "0123456789abcdefABCDEF";

	for (int c = -128; c < 128; c++) {
		const char *at = c ? strchr(digits, c) : NULL;
		int value = !at ? -1 : (int)(at - digits) - (at - digits > 15 ? 6 : 0);

		CU_ASSERT_EQUAL(quoll_hex_digit((char)c), value);
	}
}

static const struct unit_test tests[] = {
	{"each scheme is understood, PCI addresses become canonical", test_good},
	{"a malformed address is refused at the wrong character", test_bad},
	{"the short form leaves out options, and pci: for a bare BDF", test_short_form},
	{"an unknown scheme is answered with the known ones", test_unknown_scheme_names_all},
	{"a malformed address is answered with a good one of its kind", test_example_for_the_scheme},
	{"what is too long is refused, one character less is not", test_too_long},
	{"options are found by name, unknown ones are refused", test_options},
	{"more options than fit are refused", test_option_limit},
	{"refusal works without an error object", test_no_error_wanted},
	{"control characters do not get into messages", test_control_characters_stay_out_of_messages},
	{"sizes are powers of 1024 and never wrap", test_sizes},
	{"hexadecimal digits are these and no others", test_hex_digits},
};

UNIT_MAIN("eal/device/addr", tests)
