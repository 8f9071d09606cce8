/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_config.c - what a configuration may say, and how one that is wrong is told of.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target/config.h"
#include "unit.h"

static struct target_config config;
static struct quoll_error err;

static int parse(const char *text)
{
	memset(&config, 0, sizeof(config));
	memset(&err, 0, sizeof(err));
	return config_parse(&config, text, strlen(text), "t.json", &err);
}

static void everything_can_be_said(void)
{
	CU_ASSERT_EQUAL(
		parse("{\"subsystem\": {\"nqn\": \"nqn.2026-01.org.example:x\", \"serial\": \"S1\", \"model\": \"M\"},"
		      " \"namespaces\": [\"mem:1M\", {\"address\": \"file:/x?bs=4096\", \"nsid\": 7}],"
		      " \"listeners\": [\"vfio-user:/a.sock\", {\"address\": \"vfio-user:/b.sock\","
		      "   \"doorbells\": \"trapped\"}, \"vfio-user:/c.sock?doorbells=trapped\","
		      "   {\"address\": \"vfio-user:/d.sock?doorbells=trapped\", \"doorbells\": \"mapped\"}],"
		      " \"faults\": [\"delay=1ms,op=read\", \"drop\"], \"threads\": 2, \"cores\": [4, 6],"
		      " \"never_sleep\": true, \"control\": \"/c\"}"),
		0);
	CU_ASSERT_STRING_EQUAL(config.nqn, "nqn.2026-01.org.example:x");
	CU_ASSERT_STRING_EQUAL(config.serial, "S1");
	CU_ASSERT_STRING_EQUAL(config.model, "M");
	CU_ASSERT_EQUAL(config.nr_ns, 2);
	CU_ASSERT_STRING_EQUAL(config.ns[0].text, "mem:1M");
	CU_ASSERT_EQUAL(config.ns[0].nsid, 0);
	CU_ASSERT_STRING_EQUAL(config.ns[1].text, "file:/x?bs=4096");
	CU_ASSERT_EQUAL(config.ns[1].nsid, 7);
	CU_ASSERT_EQUAL(config.nr_listeners, 4);
	CU_ASSERT_STRING_EQUAL(config.listeners[0].path, "/a.sock");
	CU_ASSERT_TRUE(config.listeners[0].mapped);
	CU_ASSERT_FALSE(config.listeners[1].mapped);
	CU_ASSERT_FALSE(config.listeners[2].mapped);
	CU_ASSERT_STRING_EQUAL(config.listeners[2].path, "/c.sock");
	CU_ASSERT_TRUE(config.listeners[3].mapped);
	CU_ASSERT_EQUAL(config.nr_faults, 2);
	CU_ASSERT_EQUAL(config.faults[1].action, TGT_FAULT_DROP);
	CU_ASSERT_EQUAL(config.nr_threads, 2);
	CU_ASSERT_EQUAL(config.nr_cores, 2);
	CU_ASSERT_EQUAL(config.cores[1], 6);
	CU_ASSERT_TRUE(config.never_sleep);
	CU_ASSERT_STRING_EQUAL(config.control, "/c");
	CU_ASSERT_EQUAL(config_check(&config, &err), 0);
}

static void errors_say_where(void)
{
	static const char *const wrong[][2] = {
		{"", "line 1, column 0: "},
		{"{\"threads\": 1,\n \"cores\": [1,]}", "line 2, column 14: "},
		{"{\"threads\": 1, \"threads\": 2}", "duplicate object key"},
		{"[]", "must be an object"},
		{"{\"treads\": 1}", "there is no key \"treads\"; known are subsystem namespaces listeners"},
		{"{\"threads\": 0}", "threads: must be a whole number from 1 to 64"},
		{"{\"threads\": 1.5}", "threads: must be a whole number"},
		{"{\"threads\": \"2\"}", "threads: must be a whole number"},
		{"{\"cores\": [1, -1]}", "cores[1]: must be a whole number from 0 to 4095"},
		{"{\"never_sleep\": 1}", "never_sleep: must be true or false"},
		{"{\"control\": null}", "control: must be a string"},
		{"{\"subsystem\": {\"nqm\": \"x\"}}", "subsystem: there is no key \"nqm\"; known are nqn serial model"},
		{"{\"subsystem\": {\"serial\": \"123456789012345678901\"}}",
		 "subsystem.serial: is too long: 21 bytes, at most 20"},
		{"{\"subsystem\": {\"model\": \"a\\u0000b\"}}", "line 1, column "},
		{"{\"namespaces\": {}}", "namespaces: must be an array"},
		{"{\"namespaces\": [\"mem:1M\", \"mam:1M\"]}", "namespaces[1]: 'mam:1M': character"},
		{"{\"namespaces\": [{\"nsid\": 1}]}", "namespaces[0]: \"address\" is missing"},
		{"{\"namespaces\": [{\"address\": \"mem:1M\", \"nsid\": 257}]}",
		 "namespaces[0].nsid: must be a whole number from 1 to 256"},
		{"{\"listeners\": [{\"address\": \"vfio-user:/a\", \"doorbells\": \"mirrored\"}]}",
		 "listeners[0].doorbells: must be \"mapped\" or \"trapped\""},
		{"{\"listeners\": [\"vfio-user:/a?doorbell=mapped\"]}", "listeners[0]: "},
		{"{\"listeners\": [\"tcp:127.0.0.1:4420\"]}", "a target can't listen on tcp:"},
		{"{\"faults\": [\"drop\", \"drip\"]}", "faults[1]: 'drip': character 1"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CU_ASSERT_EQUAL(parse(wrong[i][0]), -EINVAL);
		CU_ASSERT_STRING_EQUAL(err.subject, "t.json");
		CU_ASSERT_PTR_NOT_NULL(strstr(err.what, wrong[i][1]));
		if (!strstr(err.what, wrong[i][1]))
			printf("%s: %s\n", wrong[i][0], err.what);
	}
}

static void there_is_an_end_to_each_list(void)
{
	char text[32];

	memset(&config, 0, sizeof(config));
	for (unsigned int i = 0; i < CONFIG_MAX_LISTENERS; i++) {
		snprintf(text, sizeof(text), "vfio-user:/%u", i);
		CU_ASSERT_EQUAL(config_add_listener(&config, text, &err), 0);
	}
	CU_ASSERT_EQUAL(config_add_listener(&config, "vfio-user:/x", &err), -ENOSPC);
	for (unsigned int i = 0; i < TGT_MAX_NAMESPACES; i++)
		CU_ASSERT_EQUAL(config_add_ns(&config, "mem:1M", 0, &err), 0);
	CU_ASSERT_EQUAL(config_add_ns(&config, "mem:1M", 0, &err), -ENOSPC);
	for (unsigned int i = 0; i < CONFIG_MAX_FAULTS; i++)
		CU_ASSERT_EQUAL(config_add_fault(&config, "drop", &err), 0);
	CU_ASSERT_EQUAL(config_add_fault(&config, "drop", &err), -ENOSPC);
}

static void paths_fit_a_socket_address(void)
{
	char text[160];

	memset(&config, 0, sizeof(config));
	snprintf(text, sizeof(text), "vfio-user:/%0106d", 0);
	CU_ASSERT_EQUAL(config_add_listener(&config, text, &err), 0);
	CU_ASSERT_EQUAL(strlen(config.listeners[0].path), 107);
	snprintf(text, sizeof(text), "vfio-user:/%0107d", 0);
	CU_ASSERT_EQUAL(config_add_listener(&config, text, &err), -ENAMETOOLONG);
	CU_ASSERT_EQUAL(config_set_control(&config, text, &err), -EINVAL);
	CU_ASSERT_EQUAL(config_set_control(&config, "", &err), -EINVAL);
	CU_ASSERT_EQUAL(config_set_control(&config, "/c", &err), 0);
}

static void what_does_not_go_together_is_refused(void)
{
	CU_ASSERT_EQUAL(parse("{}"), 0);
	CU_ASSERT_EQUAL(config_check(&config, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "nowhere to listen"));
	CU_ASSERT_EQUAL(parse("{\"listeners\": [\"vfio-user:/a\"], \"cores\": [1, 2]}"), 0);
	CU_ASSERT_EQUAL(config_check(&config, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "2 cores for 1 threads"));
}

static void files_are_read_up_to_a_limit(void)
{
	char path[] = "/tmp/quoll-config-XXXXXX";
	int fd = mkstemp(path);
	char *blank = malloc(CONFIG_MAX_BYTES + 1);

	CU_ASSERT_TRUE_FATAL(fd >= 0 && blank);
	memset(&config, 0, sizeof(config));
	CU_ASSERT_EQUAL(write(fd, "{\"threads\": 3}", 14), 14);
	CU_ASSERT_EQUAL(config_load(&config, path, &err), 0);
	CU_ASSERT_EQUAL(config.nr_threads, 3);
	memset(blank, ' ', CONFIG_MAX_BYTES);
	CU_ASSERT_EQUAL(write(fd, blank, CONFIG_MAX_BYTES), CONFIG_MAX_BYTES);
	CU_ASSERT_EQUAL(config_load(&config, path, &err), -EFBIG);
	close(fd);
	unlink(path);
	free(blank);
	CU_ASSERT_EQUAL(config_load(&config, path, &err), -ENOENT);
	CU_ASSERT_EQUAL(config_load(&config, "/tmp", &err), -EISDIR);
}

static const struct unit_test tests[] = {
	{"everything can be said", everything_can_be_said},
	{"errors say where", errors_say_where},
	{"there is an end to each list", there_is_an_end_to_each_list},
	{"paths fit a socket address", paths_fit_a_socket_address},
	{"what does not go together is refused", what_does_not_go_together_is_refused},
	{"files are read up to a limit", files_are_read_up_to_a_limit},
};

UNIT_MAIN("apps/target/config", tests)
