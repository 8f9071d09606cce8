/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_fwd.c - the verb: wrong use, its document and its text.
 */
#include <stdlib.h>
#include <string.h>

#include "fwd/fwd.h"
#include "quoll/verbs.h"
#include "unit.h"

static char *out;
static char *errors;

/* Run `quoll fwd ARGS`; what it printed is in out and errors. */
static int fwd(const char *args)
{
	char *copy = strdup(args), *argv[32] = {(char[]){"fwd"}}, *save;
	struct cli cli = {.verb = &verb_fwd};
	size_t out_len, err_len;
	int argc = 1, status;

	free(out);
	free(errors);
	cli.out = open_memstream(&out, &out_len);
	cli.err = open_memstream(&errors, &err_len);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	status = cli_run(&cli, argc, argv);
	fclose(cli.out);
	fclose(cli.err);
	free(copy);
	return status;
}

static json_int_t number(const json_t *object, const char *key)
{
	CU_ASSERT_TRUE(json_is_integer(json_object_get(object, key)));
	return json_integer_value(json_object_get(object, key));
}

static void wrong_use_is_said_to_be_that(void)
{
	static const char *const wrong[] = {
		"",
		"null: null: null:",
		"null: null: --threads 3",
		"null: null: --cores 0,1",
		"null: null: --cores x",
		"null: null: --burst 0",
		"null: null: --burst 100000",
		"null: null: --dst-mac 1:2",
		"null: null: null: null: --dst-mac 02:00:00:00:00:01,02:00:00:00:00:02",
		"null: nonsense",
		"null: null: --buf-bytes 64",
		"ring:x?loop=1 --pages 4k --time 1 --prime 4 --frame-bytes 1515",
		"ring:x?loop=1 --pages 4k --time 1 --prime 4 --frame-bytes 900 --buf-bytes 1000",
	};

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		CU_ASSERT_EQUAL(fwd(wrong[i]), CLI_WRONG_USE);
		CU_ASSERT_PTR_NOT_NULL(strstr(errors, "try: "));
	}
}

/* As an address that is malformed: it names the port, and is wrong use. */
static void a_wrong_option_of_an_address_is_wrong_use(void)
{
	static const char *const wrong[] = {
		"null:?size=5",
		"null:?colour=5",
		"ring:a?loop=2",
		"tap:quoll-t?persist=2",
		"vhost:/nowhere?packed=2",
		"vhost:/nowhere?client=x",
		"vhost:/nowhere?queues=0",
		"virtio-user:/nowhere?queues=0",
		"virtio-user:/nowhere?mac=1",
		"virtio-user:/nowhere?server=2",
		"xdp:lo?mode=fast",
		"xdp:lo?queues=x",
	};

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		char args[128], subject[128];

		snprintf(args, sizeof(args), "--pages 4k %s", wrong[i]);
		snprintf(subject, sizeof(subject), "quoll fwd: %.*s: ", (int)strcspn(wrong[i], "?"), wrong[i]);
		CU_ASSERT_EQUAL(fwd(args), CLI_WRONG_USE);
		if (strncmp(errors, subject, strlen(subject)) != 0)
			printf("%s", errors);
		CU_ASSERT_EQUAL(strncmp(errors, subject, strlen(subject)), 0);
	}
	/* What is there and cannot be used is none. */
	CU_ASSERT_EQUAL(fwd("--pages 4k virtio-user:/nowhere"), CLI_FAILED);
}

static void what_mends_a_heap_that_is_too_small_is_an_option(void)
{
	CU_ASSERT_EQUAL(fwd("null: --pages 4k --heap 64M --bufs 100000 --packets 1"), CLI_FAILED);
	CU_ASSERT_PTR_NOT_NULL(strstr(errors, "ENOSPC"));
	CU_ASSERT_PTR_NOT_NULL(strstr(errors, "\ntry: --heap"));
	CU_ASSERT_EQUAL(fwd("null: --pages 4k --heap 4G --bufs 100000 --packets 1"), CLI_DONE);
}

static void the_document_has_ports_queues_threads_and_pairs(void)
{
	json_t *doc, *queue, *port, *thread, *pair;
	json_int_t busy_ns = 0;
	size_t i;

	CU_ASSERT_EQUAL(fwd("--json --pages 4k --queues 2 --threads 2 --packets 50000 null: null:?size=100"), CLI_DONE);
	doc = json_loads(out, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(doc, "ended_by")), "packets");
	CU_ASSERT(number(doc, "packets") >= 50000);
	CU_ASSERT_EQUAL(number(doc, "bufs_missing"), 0);
	CU_ASSERT(json_real_value(json_object_get(doc, "ticks_per_packet")) > 0);
	CU_ASSERT(json_real_value(json_object_get(doc, "useful_ns_per_packet")) > 0);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(doc, "ports")), 2);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(doc, "queues")), 4);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(doc, "threads")), 2);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(doc, "pairs")), 2);
	queue = json_array_get(json_object_get(doc, "queues"), 3);
	CU_ASSERT_EQUAL(number(queue, "port"), 1);
	CU_ASSERT_EQUAL(number(queue, "out_port"), 0);
	CU_ASSERT_EQUAL(number(queue, "queue"), 1);
	CU_ASSERT_EQUAL(number(queue, "thread"), 1);
	CU_ASSERT_TRUE(json_is_null(json_object_get(queue, "core")));
	port = json_array_get(json_object_get(doc, "ports"), 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(port, "driver")), "null");
	CU_ASSERT_EQUAL(number(port, "tx_bytes"), 100 * number(port, "tx_packets"));
	CU_ASSERT_EQUAL(number(port, "tx_full"), 0);
	pair = json_array_get(json_object_get(doc, "pairs"), 1);
	CU_ASSERT_EQUAL(number(pair, "packets"), number(port, "tx_packets"));
	json_array_foreach(json_object_get(doc, "threads"), i, thread) {
		busy_ns += number(thread, "busy_ns"); /* one of them may have done it all */
	}
	CU_ASSERT(busy_ns > 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(errors, "to #")); /* the map, while it runs */
	json_decref(doc);
}

static void the_text_starts_with_the_map_and_ends_with_the_sums(void)
{
	const char *map, *sums;

	CU_ASSERT_EQUAL(fwd("--pages 4k --packets 1000 --prime 8 ring:x?loop=1 ring:y?loop=1"), CLI_DONE);
	map = strstr(out, "to #");
	sums = strstr(out, "forwarded until packets");
	CU_ASSERT(map && sums && map < sums);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "ring:x"));
	CU_ASSERT_PTR_NOT_NULL(strstr(sums, "tx full"));
	CU_ASSERT_STRING_EQUAL(errors, "");
}

static void what_fails_while_running_still_prints_the_sums(void)
{
	CU_ASSERT_EQUAL(fwd("--pages 4k --prime 100000 ring:x?loop=1"), CLI_FAILED);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "forwarded until error"));
	CU_ASSERT_PTR_NOT_NULL(strstr(errors, "--prime"));
	CU_ASSERT_EQUAL(fwd("--pages 4k null: mem:1G"), CLI_FAILED);
	CU_ASSERT_STRING_EQUAL(out, "");
}

static void the_live_line_names_each_kind_of_drop_that_there_was(void)
{
	struct fwd_totals before = {.packets = 1000, .tx_bytes = 64000, .tx_full = 5}, now = before;
	char line[256];

	now.packets += 3000000;
	now.tx_bytes += 250000000;
	fwd_live_line(&before, &now, 2000000000, line, sizeof(line));
	CU_ASSERT_STRING_EQUAL(line, "1.500 Mpps, 1.000 Gbit/s, 0 dropped");
	now.tx_full += 7;
	now.stats.rx_missed = 2;
	fwd_live_line(&before, &now, 2000000000, line, sizeof(line));
	CU_ASSERT_STRING_EQUAL(line, "1.500 Mpps, 1.000 Gbit/s, 9 dropped (tx_full 7, rx_missed 2)");
	fwd_live_line(&before, &now, 0, line, 10);
	CU_ASSERT_EQUAL(strlen(line), 9);
}

static void buffers_may_be_the_programs_own_memory(void)
{
	json_t *doc;

	CU_ASSERT_EQUAL(fwd("null: ring:x?loop=1 --pages 4k --packets 1000 --buffers stream --json"), 0);
	doc = json_loads(out, 0, NULL);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(doc, "buffers")), "stream");
	CU_ASSERT(number(doc, "packets") >= 1000);
	CU_ASSERT_EQUAL(number(doc, "bufs_missing"), 0);
	/* The CPU moves these ports' bytes. */
	CU_ASSERT_EQUAL(number(json_object_get(doc, "streamed"), "window"), 0);
	CU_ASSERT_EQUAL(number(json_object_get(doc, "streamed"), "bounce"), 0);
	json_decref(doc);
	CU_ASSERT_EQUAL(fwd("null: --buffers heap --pages 4k --packets 10 --json"), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "\"buffers\": \"heap\""));
	CU_ASSERT_EQUAL(fwd("null: --buffers nonsense"), CLI_WRONG_USE);
}

static const struct unit_test tests[] = {
	{"wrong use is said to be that", wrong_use_is_said_to_be_that},
	{"a wrong option of an address is wrong use", a_wrong_option_of_an_address_is_wrong_use},
	{"what mends a heap that is too small is an option", what_mends_a_heap_that_is_too_small_is_an_option},
	{"the document has ports, queues, threads and pairs", the_document_has_ports_queues_threads_and_pairs},
	{"the text starts with the map and ends with the sums", the_text_starts_with_the_map_and_ends_with_the_sums},
	{"what fails while running still prints the sums", what_fails_while_running_still_prints_the_sums},
	{"buffers may be the program's own memory", buffers_may_be_the_programs_own_memory},
	{"the live line names each kind of drop that there was", the_live_line_names_each_kind_of_drop_that_there_was},
};

int main(void)
{
	int status = unit_main("quoll fwd", tests, sizeof(tests) / sizeof(tests[0]));

	free(out);
	free(errors);
	return status;
}
