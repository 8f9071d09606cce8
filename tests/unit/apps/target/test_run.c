/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_run.c - a whole target with Quoll's own driver as its host, in one process: mapped and trapped doorbells, all
 * back ends, hosts one after the other and side by side, namespaces that come while a host is there, the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/stat.h>
#include <time.h>

#include "nvme/session.h"

#include "target_world.h"

#define LBAS 8u

static struct target_world world;

/* A host: a session with one queue and a page of data. */
struct client {
	struct nvme_session session;
	struct quoll_nvme_queue *queue;
	struct quoll_arena *arena;
	uint8_t *data;
};

static void open_client(struct client *client, unsigned int listener)
{
	const struct nvme_session_opts opts = {.pages = QUOLL_PAGES_4K};
	struct quoll_error err = {0};
	struct quoll_addr addr;
	int rc;

	CU_ASSERT_EQUAL_FATAL(quoll_addr_parse(world.listener[listener], &addr, &err), 0);
	rc = nvme_session_open(NULL, &addr, &opts, &client->session, &err);
	if (rc)
		printf("%s: %s\n", err.subject, err.what);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	CU_ASSERT_EQUAL_FATAL(quoll_nvme_queue_create(client->session.nvme, NULL, &client->queue, &err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_create(client->session.heap, "data", QUOLL_ARENA_DEVICE_READ_WRITE, 1 << 20,
						 &client->arena, &err),
			      0);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_alloc(client->arena, 65536, 4096, (void **)&client->data, &err), 0);
}

static void close_client(struct client *client)
{
	quoll_nvme_queue_destroy(client->queue);
	quoll_arena_destroy(client->arena);
	CU_ASSERT_EQUAL(nvme_session_close(&client->session), 0);
}

/* Wait for one completion. Return: status; -errno of the queue. */
static int reap(struct client *client)
{
	struct quoll_nvme_completion comp;
	time_t until = time(NULL) + 20;

	quoll_nvme_submit(client->queue);
	while (!quoll_nvme_poll(client->queue, &comp, 1))
		if (time(NULL) >= until)
			return -ETIMEDOUT;
	return comp.error ? comp.error : comp.status;
}

static int do_write(struct client *client, uint32_t nsid, uint64_t lba)
{
	CU_ASSERT_EQUAL(quoll_nvme_prep_write(client->queue, nsid, client->data, lba, LBAS, 1), 0);
	return reap(client);
}

static int do_read(struct client *client, uint32_t nsid, uint64_t lba)
{
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(client->queue, nsid, client->data, lba, LBAS, 1), 0);
	return reap(client);
}

static void rpc(const char *request, const char *wanted)
{
	char answer[8192];
	int fd = control_connect(world.control, NULL);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_TRUE_FATAL(target_world_ask(fd, request, answer, sizeof(answer)));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, wanted));
	close(fd);
}

static void a_file(char *path, char *text, size_t bytes, const char *options)
{
	int fd;

	snprintf(path, 64, "%s/disk", world.dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	CU_ASSERT_TRUE_FATAL(fd >= 0 && !ftruncate(fd, 1 << 20));
	close(fd);
	snprintf(text, bytes, "file:%s%s", path, options);
}

/* Both ways to listen, all back ends, both formats. */
static void add_all(char *path)
{
	char text[96];

	target_world_init(&world);
	target_world_add(&world, 0, "?doorbells=mapped");
	target_world_add(&world, 1, "?doorbells=trapped");
	a_file(path, text, sizeof(text), "?bs=4096");
	CU_ASSERT_EQUAL_FATAL(config_add_ns(&world.config, "mem:1M", 0, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(config_add_ns(&world.config, text, 0, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(config_add_ns(&world.config, "null:?size=1M", 0, NULL), 0);
}

static void use_all(struct client *client, unsigned int seed)
{
	for (uint32_t nsid = 1; nsid <= 3; nsid++) {
		size_t bytes = nsid == 2 ? 8 * 4096 : 8 * 512;

		for (unsigned int i = 0; i < 20; i++) {
			memset(client->data, (int)(seed + i), bytes);
			CU_ASSERT_EQUAL(do_write(client, nsid, i * LBAS), 0);
		}
		CU_ASSERT_EQUAL(quoll_nvme_prep_flush(client->queue, nsid, 1), 0);
		CU_ASSERT_EQUAL(reap(client), 0);
		for (unsigned int i = 0; i < 20; i++) {
			memset(client->data, 0xee, bytes);
			CU_ASSERT_EQUAL(do_read(client, nsid, i * LBAS), 0);
			CU_ASSERT_EQUAL(client->data[0], nsid == 3 ? 0xee : (uint8_t)(seed + i));
			CU_ASSERT_EQUAL(client->data[bytes - 1], nsid == 3 ? 0xee : (uint8_t)(seed + i));
		}
	}
}

static void hosts_come_one_after_the_other(void)
{
	struct client client;
	char path[64];

	add_all(path);
	target_world_start(&world);
	for (unsigned int round = 0; round < 3; round++)
		for (unsigned int i = 0; i < 2; i++) {
			open_client(&client, i);
			use_all(&client, 10 * round + i);
			close_client(&client);
		}
	unlink(path);
	target_world_end(&world);
	for (unsigned int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(world.stats[i].server.clients, 3);
		CU_ASSERT_EQUAL(world.stats[i].counters.reads, 3 * 60);
		CU_ASSERT_EQUAL(world.stats[i].counters.writes, 3 * 60);
		CU_ASSERT_EQUAL(world.stats[i].nr_errors, 0);
	}
}

static void hosts_share_namespaces_side_by_side(void)
{
	struct client one, two;
	char path[64];

	add_all(path);
	target_world_start(&world);
	open_client(&one, 0);
	open_client(&two, 1);
	for (uint8_t i = 0; i < 50; i++) {
		memset(one.data, i, 4096);
		CU_ASSERT_EQUAL(do_write(&one, 1, 8), 0);
		CU_ASSERT_EQUAL(do_read(&two, 1, 8), 0);
		CU_ASSERT_EQUAL(two.data[77], i);
	}
	close_client(&one);
	close_client(&two);
	unlink(path);
	target_world_end(&world);
}

/* Each on blocks of its own: back ends don't lock. */
static void listeners_are_dealt_out_over_threads(void)
{
	struct client one, two;
	char path[64];

	add_all(path);
	world.config.nr_threads = 2;
	target_world_start(&world);
	open_client(&one, 0);
	open_client(&two, 1);
	rpc("{\"jsonrpc\":\"2.0\",\"method\":\"listener.list\",\"id\":1}", "\"thread\":1");
	for (uint8_t i = 0; i < 50; i++) {
		memset(one.data, i, 4096);
		memset(two.data, ~i, 4096);
		CU_ASSERT_EQUAL(do_write(&one, 1, 8), 0);
		CU_ASSERT_EQUAL(do_write(&two, 1, 16), 0);
		CU_ASSERT_EQUAL(do_read(&one, 1, 8), 0);
		CU_ASSERT_EQUAL(do_read(&two, 1, 16), 0);
		CU_ASSERT_EQUAL(one.data[77], i);
		CU_ASSERT_EQUAL(two.data[77], (uint8_t)~i);
	}
	close_client(&one);
	close_client(&two);
	unlink(path);
	target_world_end(&world);
}

static void one_host_at_a_time_has_a_listener(void)
{
	const struct nvme_session_opts opts = {.pages = QUOLL_PAGES_4K};
	struct quoll_error err = {0};
	struct nvme_session second;
	struct client client;
	struct quoll_addr addr;
	char path[64];

	add_all(path);
	target_world_start(&world);
	open_client(&client, 0);
	CU_ASSERT_EQUAL_FATAL(quoll_addr_parse(world.listener[0], &addr, &err), 0);
	CU_ASSERT_NOT_EQUAL(nvme_session_open(NULL, &addr, &opts, &second, &err), 0);
	CU_ASSERT_EQUAL(do_read(&client, 1, 0), 0);
	close_client(&client);
	open_client(&client, 0);
	close_client(&client);
	unlink(path);
	target_world_end(&world);
	CU_ASSERT_EQUAL(world.stats[0].server.refused, 1);
}

/* Get Log Page, Changed Namespace List: its first entry. */
static uint32_t changed_namespace(struct client *client)
{
	struct quoll_nvme_cmd cmd = {
		.opcode = nvme_admin_get_log_page,
		.nsid = 0xffffffff,
		.data = client->data,
		.data_bytes = 4096,
		.cdw10 = NVME_LOG_LID_CHANGED_NS | 1023u << 16,
	};
	quoll_le32 first;

	CU_ASSERT_EQUAL(quoll_nvme_admin(client->session.nvme, &cmd, NULL), 0);
	memcpy(&first, client->data, sizeof(first));
	return quoll_le32_to_cpu(first);
}

static void namespaces_come_and_go_while_a_host_is_there(void)
{
	struct client client;
	char path[64];

	add_all(path);
	target_world_start(&world);
	open_client(&client, 1);
	CU_ASSERT_EQUAL(changed_namespace(&client), 0);
	rpc("{\"jsonrpc\":\"2.0\",\"method\":\"ns.add\",\"params\":[\"mem:1M\",9],\"id\":1}", "{\"nsid\":9}");
	CU_ASSERT_EQUAL(changed_namespace(&client), 9);
	CU_ASSERT_EQUAL(changed_namespace(&client), 0);
	rpc("{\"jsonrpc\":\"2.0\",\"method\":\"ns.remove\",\"params\":[2],\"id\":1}", "{\"nsid\":2}");
	CU_ASSERT_EQUAL(changed_namespace(&client), 2);
	CU_ASSERT_EQUAL(do_read(&client, 2, 0), NVME_SC_INVALID_FIELD);
	/* Its file is free for others at once: nothing was in flight. */
	rpc("{\"jsonrpc\":\"2.0\",\"method\":\"listener.list\",\"id\":1}", "\"state\":\"enabled\"");
	close_client(&client);
	unlink(path);
	target_world_end(&world);
}

static void faults_are_set_while_it_runs(void)
{
	struct client client;
	char path[64];

	add_all(path);
	target_world_start(&world);
	open_client(&client, 0);
	rpc("{\"jsonrpc\":\"2.0\",\"method\":\"fault.set\",\"params\":[[\"status=0x281,op=read,count=2\"]],\"id\":1}",
	    "{\"faults\":1}");
	CU_ASSERT_EQUAL(do_read(&client, 1, 0), 0x281);
	CU_ASSERT_EQUAL(do_read(&client, 1, 0), 0x281);
	CU_ASSERT_EQUAL(do_read(&client, 1, 0), 0);
	rpc("{\"jsonrpc\":\"2.0\",\"method\":\"listener.list\",\"id\":1}", "\"faults_injected\":2");
	rpc("{\"jsonrpc\":\"2.0\",\"method\":\"fault.set\",\"params\":[[\"gone,op=read\"],0],\"id\":1}",
	    "{\"faults\":1}");
	CU_ASSERT_EQUAL(do_read(&client, 1, 0), -ENODEV);
	rpc("{\"jsonrpc\":\"2.0\",\"method\":\"fault.set\",\"params\":[[]],\"id\":1}", "{\"faults\":0}");
	quoll_nvme_queue_destroy(client.queue);
	quoll_arena_destroy(client.arena);
	nvme_session_close(&client.session);
	open_client(&client, 0);
	CU_ASSERT_EQUAL(do_read(&client, 1, 0), 0);
	close_client(&client);
	unlink(path);
	target_world_end(&world);
}

static void the_end_comes_with_a_host_there_and_commands_in_flight(void)
{
	struct quoll_nvme_completion comps[32];
	struct client client;
	unsigned int nr_sent = 0, nr_back = 0;
	time_t until = time(NULL) + 20;
	char path[64];
	bool ended = false;

	add_all(path);
	target_world_start(&world);
	open_client(&client, 0);
	/* Writes to the file without end; every one comes back, done or with an error of the queue. */
	while ((!ended || nr_back < nr_sent) && time(NULL) < until) {
		unsigned int n;

		while (!ended && nr_sent - nr_back < 32 &&
		       !quoll_nvme_prep_write(client.queue, 2, client.data, nr_sent % 128, 1, nr_sent))
			nr_sent++;
		quoll_nvme_submit(client.queue);
		n = quoll_nvme_poll(client.queue, comps, 32);
		for (unsigned int i = 0; i < n; i++) {
			CU_ASSERT_TRUE(!comps[i].error || comps[i].error == -ENODEV);
			ended = ended || comps[i].error;
		}
		nr_back += n;
		if (nr_back > 1000 && !world.target.config->never_sleep) {
			kill(getpid(), SIGTERM);
			world.config.never_sleep = true; /* once */
		}
	}
	CU_ASSERT_TRUE(ended);
	CU_ASSERT_EQUAL(nr_back, nr_sent);
	pthread_join(world.thread, NULL);
	CU_ASSERT_EQUAL(world.ran, 0);
	CU_ASSERT_EQUAL(world.closed, 0);
	quoll_nvme_queue_destroy(client.queue);
	quoll_arena_destroy(client.arena);
	nvme_session_close(&client.session);
	unlink(path);
	CU_ASSERT_EQUAL(rmdir(world.dir), 0);
}

/* Both are there before its loop runs, so that the second is read right behind the first. */
static void run_with_two_signals(void)
{
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, &before);
	kill(getpid(), SIGINT);
	kill(getpid(), SIGTERM);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&world.thread, NULL, target_world_main, &world), 0);
	pthread_join(world.thread, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	CU_ASSERT_EQUAL(world.closed, 0);
	CU_ASSERT_EQUAL(rmdir(world.dir), 0);
}

static void a_second_signal_with_nothing_in_flight_is_a_clean_end(void)
{
	target_world_init(&world);
	target_world_add(&world, 0, "");
	world.target.config = &world.config;
	CU_ASSERT_EQUAL_FATAL(target_open(&world.target, &world.err), 0);
	run_with_two_signals();
	CU_ASSERT_EQUAL(world.ran, 0);
}

/* A poller that keeps its thread, from the moment that it is told to until it is let go. */
static sem_t taken, let_go;
static int keep_thread;

static int keeping_poll(void *arg)
{
	(void)arg;
	if (__atomic_load_n(&keep_thread, __ATOMIC_ACQUIRE)) {
		__atomic_store_n(&keep_thread, 0, __ATOMIC_RELAXED);
		sem_post(&taken);
		while (sem_wait(&let_go))
			;
	}
	return 0;
}

static void start_with_a_thread_that_is_kept(struct quoll_poller *poller)
{
	*poller = (struct quoll_poller){.poll = keeping_poll, .fd = -1};
	sem_init(&taken, 0, 0);
	sem_init(&let_go, 0, 0);
	target_world_init(&world);
	target_world_add(&world, 0, "");
	target_world_add(&world, 1, "");
	world.config.nr_threads = 2;
	world.target.config = &world.config;
	CU_ASSERT_EQUAL_FATAL(target_open(&world.target, &world.err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_loop_add(worker_loop(world.target.workers[1]), poller), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&world.thread, NULL, target_world_main, &world), 0);
	__atomic_store_n(&keep_thread, 1, __ATOMIC_RELEASE);
	CU_ASSERT_EQUAL_FATAL(sem_wait(&taken), 0);
}

static void a_thread_that_is_kept_does_not_keep_the_main_one(void)
{
	static const char list[] = "{\"jsonrpc\":\"2.0\",\"method\":\"listener.list\",\"id\":1}";
	static const char faults[] =
		"{\"jsonrpc\":\"2.0\",\"method\":\"fault.set\",\"params\":[[\"gone\"],%u],\"id\":1}";
	struct quoll_poller poller;
	char text[128];

	start_with_a_thread_that_is_kept(&poller);
	rpc(list, "not answering");
	rpc(list, "no client"); /* the other */
	snprintf(text, sizeof(text), faults, 1);
	rpc(text, "does not answer");
	snprintf(text, sizeof(text), faults, 0);
	rpc(text, "{\"faults\":1}");
	/* The signal is heard, too, and what it asks for is done in the end. */
	kill(getpid(), SIGTERM);
	rpc(list, "not answering");
	sem_post(&let_go);
	pthread_join(world.thread, NULL);
	CU_ASSERT_EQUAL(world.ran, 0);
	CU_ASSERT_EQUAL(world.closed, 0);
	CU_ASSERT_EQUAL(rmdir(world.dir), 0);
	sem_destroy(&taken);
	sem_destroy(&let_go);
}

/* With trapped doorbells and nothing to do the target sleeps; and so does this host, in turn. */
static void hosts_that_sleep_are_woken_by_interrupts(void)
{
	const struct quoll_nvme_queue_opts opts = {.interrupts = true};
	struct client client;
	struct quoll_error err;
	char path[64];

	add_all(path);
	target_world_start(&world);
	for (unsigned int listener = 0; listener < 2; listener++) {
		open_client(&client, listener);
		quoll_nvme_queue_destroy(client.queue);
		CU_ASSERT_EQUAL_FATAL(quoll_nvme_queue_create(client.session.nvme, &opts, &client.queue, &err), 0);
		for (unsigned int i = 0; i < 50; i++) {
			struct pollfd fd = {.fd = quoll_nvme_queue_fd(client.queue), .events = POLLIN};
			struct quoll_nvme_completion comp = {.status = 0xffff};

			CU_ASSERT_EQUAL(quoll_nvme_prep_write(client.queue, 2, client.data, i, 1, i), 0);
			quoll_nvme_submit(client.queue);
			while (!quoll_nvme_poll(client.queue, &comp, 1)) {
				if (!quoll_nvme_queue_arm(client.queue))
					CU_ASSERT_EQUAL_FATAL(poll(&fd, 1, 20000), 1);
				quoll_nvme_queue_disarm(client.queue);
			}
			CU_ASSERT_EQUAL(comp.status, 0);
			CU_ASSERT_EQUAL(comp.user_data, i);
		}
		close_client(&client);
	}
	unlink(path);
	target_world_end(&world);
}

static void what_cannot_be_opened_leaves_nothing_behind(void)
{
	struct quoll_error err = {0};

	target_world_init(&world);
	target_world_add(&world, 0, "");
	world.target.config = &world.config;
	CU_ASSERT_EQUAL(config_add_ns(&world.config, "file:/nonexistent", 0, NULL), 0);
	CU_ASSERT_EQUAL(target_open(&world.target, &err), -ENOENT);
	CU_ASSERT_EQUAL(target_close(&world.target, &err), 0);
	/* A second listener that can't be: the first one's socket goes too. */
	memset(&world.target, 0, sizeof(world.target));
	world.target.config = &world.config;
	world.config.nr_ns = 0;
	CU_ASSERT_EQUAL_FATAL(config_add_listener(&world.config, "vfio-user:/nonexistent/x", NULL), 0);
	CU_ASSERT_EQUAL(target_open(&world.target, &err), -ENOENT);
	CU_ASSERT_EQUAL(target_close(&world.target, &err), 0);
	CU_ASSERT_EQUAL(rmdir(world.dir), 0);
}

static const struct unit_test tests[] = {
	{"hosts come one after the other", hosts_come_one_after_the_other},
	{"hosts share namespaces side by side", hosts_share_namespaces_side_by_side},
	{"listeners are dealt out over threads", listeners_are_dealt_out_over_threads},
	{"one host at a time has a listener", one_host_at_a_time_has_a_listener},
	{"namespaces come and go while a host is there", namespaces_come_and_go_while_a_host_is_there},
	{"faults are set while it runs", faults_are_set_while_it_runs},
	{"the end comes with a host there and commands in flight",
	 the_end_comes_with_a_host_there_and_commands_in_flight},
	{"a second signal with nothing in flight is a clean end",
	 a_second_signal_with_nothing_in_flight_is_a_clean_end},
	{"a thread that is kept does not keep the main one", a_thread_that_is_kept_does_not_keep_the_main_one},
	{"hosts that sleep are woken by interrupts", hosts_that_sleep_are_woken_by_interrupts},
	{"what cannot be opened leaves nothing behind", what_cannot_be_opened_leaves_nothing_behind},
};

UNIT_MAIN("apps/target/run", tests)
