/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_control.c - the control socket: its place, its clients, good and bad ones, and the methods.
 */
#include <errno.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "target_world.h"

static struct target_world world;

static int dial(void)
{
	int fd = control_connect(world.control, NULL);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	return fd;
}

static void start(void)
{
	target_world_init(&world);
	target_world_add(&world, 0, "");
	CU_ASSERT_EQUAL_FATAL(config_add_ns(&world.config, "mem:1M", 3, NULL), 0);
	target_world_start(&world);
}

static void expect(int fd, const char *request, const char *wanted)
{
	char answer[8192];

	CU_ASSERT_TRUE_FATAL(target_world_ask(fd, request, answer, sizeof(answer)));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, wanted));
	if (!strstr(answer, wanted))
		printf("%s -> %s\n", request, answer);
}

static void call(int fd, const char *method, const char *params, const char *wanted)
{
	char request[512];

	snprintf(request, sizeof(request), "{\"jsonrpc\":\"2.0\",\"method\":\"%s\",\"params\":%s,\"id\":1}", method,
		 params);
	expect(fd, request, wanted);
}

static void methods_show_and_change_the_target(void)
{
	int fd;

	start();
	fd = dial();
	call(fd, "target.info", "{}", "\"listeners\":1");
	call(fd, "target.stats", "{}", "\"threads\":[{");
	call(fd, "listener.list", "{}", "\"state\":\"no client\"");
	call(fd, "ns.list", "{}", "[{\"nsid\":3,\"address\":\"mem:1M\",\"block_bytes\":512,\"blocks\":2048");
	call(fd, "ns.add", "{\"address\":\"null:?size=1M&bs=4096\"}", "{\"nsid\":1}");
	call(fd, "ns.add", "{\"address\":\"mem:1M\",\"nsid\":3}",
	     "\"code\":-32000,\"message\":\"mem:1M: NSID 3 is taken\"");
	call(fd, "ns.add", "{\"address\":\"mem:1M\",\"nsid\":257}", "\"code\":-32602");
	call(fd, "ns.add", "{\"address\":\"mem:\"}", "\"code\":-32602");
	call(fd, "ns.add", "{\"address\":\"file:/nonexistent\"}", "\"errno\":\"ENOENT\"");
	call(fd, "ns.remove", "[3]", "{\"nsid\":3}");
	call(fd, "ns.remove", "{\"nsid\":3}", "\"errno\":\"ENOENT\"");
	call(fd, "ns.remove", "{\"nsid\":-1}", "\"code\":-32602");
	call(fd, "ns.list", "{}", "\"result\":[{\"nsid\":1,");
	call(fd, "fault.set", "{\"faults\":[\"delay=1ms\",\"drop\"]}", "{\"faults\":2}");
	call(fd, "fault.set", "{\"faults\":[\"delay\"],\"listener\":0}", "\"code\":-32602");
	call(fd, "fault.set", "{\"faults\":[],\"listener\":1}", "there are listeners 0 to 0");
	call(fd, "fault.set", "{\"faults\":[1]}", "number 1 is no string");
	call(fd, "fault.set", "{\"faults\":[],\"listener\":0}", "{\"faults\":0}");
	call(fd, "target.nothing", "{}", "\"code\":-32601");
	close(fd);
	target_world_end(&world);
}

static void documents_may_come_in_any_pieces(void)
{
	char answer[8192];
	int fd;

	start();
	fd = dial();
	/* Two at once: two lines. */
	CU_ASSERT_TRUE(target_world_ask(fd,
					"{\"jsonrpc\":\"2.0\",\"method\":\"ns.list\",\"id\":1}"
					"{\"jsonrpc\":\"2.0\",\"method\":\"ns.list\",\"id\":2}",
					answer, sizeof(answer)));
	while (!strstr(answer, "\"id\":2}\n")) {
		size_t len = strlen(answer);
		ssize_t got = recv(fd, answer + len, sizeof(answer) - 1 - len, 0);

		CU_ASSERT_TRUE_FATAL(got > 0);
		answer[len + (size_t)got] = '\0';
	}
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\"id\":1}\n{"));
	/* One byte by byte. */
	for (const char *c = "{\"jsonrpc\":\"2.0\",\"method\":\"ns.list\",\"id\":"; *c; c++)
		CU_ASSERT_EQUAL(send(fd, c, 1, 0), 1);
	expect(fd, "7}", "\"id\":7}");
	expect(fd, "hello\n", "\"code\":-32700");
	expect(fd, "{]", "\"code\":-32700");
	expect(fd, "[]", "\"code\":-32600");
	/* A notification has no answer: the next one is that of the request after it. */
	expect(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"ns.list\"}{\"jsonrpc\":\"2.0\",\"method\":\"ns.list\",\"id\":8}",
	       "\"id\":8}");
	close(fd);
	target_world_end(&world);
}

static void clients_that_send_without_end_are_cut_off(void)
{
	static char flood[2 * RPC_MAX_BYTES];
	char answer[64];
	int fd;

	start();
	memset(flood, '[', sizeof(flood) - 1);
	fd = dial();
	CU_ASSERT_FALSE(target_world_ask(fd, flood, answer, sizeof(answer)));
	close(fd);
	fd = dial();
	call(fd, "target.info", "{}", "\"result\"");
	close(fd);
	target_world_end(&world);
}

static void clients_that_read_no_answers_are_cut_off(void)
{
	static const char request[] = "{\"jsonrpc\":\"2.0\",\"method\":\"target.stats\",\"id\":1}";
	unsigned int sent = 0;
	int fd, other;

	start();
	fd = dial();
	while (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0 && sent < 100000)
		sent++;
	CU_ASSERT_TRUE(sent < 100000);
	other = dial();
	call(other, "target.info", "{}", "\"result\"");
	close(other);
	close(fd);
	target_world_end(&world);
}

static void there_are_only_so_many_clients(void)
{
	int fds[CONTROL_MAX_CLIENTS], fd;
	char answer[8];

	start();
	for (unsigned int i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		fds[i] = dial();
		call(fds[i], "target.info", "{}", "\"result\"");
	}
	fd = dial();
	CU_ASSERT_FALSE(target_world_ask(fd, "{", answer, sizeof(answer)));
	close(fd);
	/* One that goes makes room; the next may come before that was seen. */
	close(fds[0]);
	do {
		fd = dial();
		if (target_world_ask(fd, "hello\n", answer, sizeof(answer)))
			break;
		close(fd);
	} while (true);
	close(fd);
	for (unsigned int i = 1; i < CONTROL_MAX_CLIENTS; i++)
		close(fds[i]);
	target_world_end(&world);
}

static void the_socket_is_its_owners_only_and_goes_with_the_target(void)
{
	struct control *second;
	struct quoll_error err;
	struct quoll_loop *loop;
	struct stat st;
	char path[80];
	int fd;

	start();
	CU_ASSERT_EQUAL(stat(world.control, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
	CU_ASSERT_EQUAL_FATAL(quoll_loop_create(NULL, NULL, &loop, NULL), 0);
	CU_ASSERT_EQUAL(control_create(&world.target, world.control, loop, &second, &err), -EADDRINUSE);
	CU_ASSERT_EQUAL(control_create(&world.target, world.dir, loop, &second, &err), -EEXIST);
	snprintf(path, sizeof(path), "%s/none/control", world.dir);
	CU_ASSERT_EQUAL(control_create(&world.target, path, loop, &second, &err), -ENOENT);
	/* The live one is as before. */
	fd = dial();
	call(fd, "target.info", "{}", "\"result\"");
	close(fd);
	quoll_loop_destroy(loop);
	target_world_end(&world);
	CU_ASSERT_EQUAL(control_connect(world.control, &err), -ENOENT);
	CU_ASSERT_TRUE(err.hint[0] != '\0');
}

static void a_dead_targets_socket_is_taken_over(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	target_world_init(&world);
	target_world_add(&world, 0, "");
	strcpy(address.sun_path, world.control);
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	CU_ASSERT_EQUAL(control_connect(world.control, NULL), -ECONNREFUSED);
	target_world_start(&world);
	fd = dial();
	call(fd, "target.info", "{}", "\"result\"");
	close(fd);
	target_world_end(&world);
}

static const struct unit_test tests[] = {
	{"methods show and change the target", methods_show_and_change_the_target},
	{"documents may come in any pieces", documents_may_come_in_any_pieces},
	{"clients that send without end are cut off", clients_that_send_without_end_are_cut_off},
	{"clients that read no answers are cut off", clients_that_read_no_answers_are_cut_off},
	{"there are only so many clients", there_are_only_so_many_clients},
	{"the socket is its owner's only, and goes with the target",
	 the_socket_is_its_owners_only_and_goes_with_the_target},
	{"a dead target's socket is taken over", a_dead_targets_socket_is_taken_over},
};

UNIT_MAIN("apps/target/control", tests)
