/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_server_irq.c - interrupts of a server: eventfds in pieces, masks, triggers, and what makes no sense.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "server_world.h"

#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER
#define EVENTFDS (VFIO_IRQ_SET_DATA_EVENTFD | TRIGGER)

static void world_begin(struct server_world *w)
{
	world_init(w);
	world_listen(w);
	CU_ASSERT_TRUE_FATAL(world_hello(w) > 0);
}

static int irq_set(struct server_world *w, uint32_t flags, uint32_t index, uint32_t start, uint32_t count)
{
	struct vuser_irq_set set = {
		.argsz = sizeof(set), .flags = flags, .index = index, .start = start, .count = count};

	return world_ask(w, VUSER_DEVICE_SET_IRQS, &set, sizeof(set));
}

static int irq_set_fds(struct server_world *w, uint32_t index, uint32_t start, uint32_t count, const int *fds,
		       unsigned int nr_fds)
{
	struct vuser_irq_set set = {
		.argsz = sizeof(set), .flags = EVENTFDS, .index = index, .start = start, .count = count};

	return world_ask_fds(w, VUSER_DEVICE_SET_IRQS, &set, sizeof(set), fds, nr_fds);
}

/* How often it was signalled since the last look. */
static uint64_t signals(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void interrupts_are_described(void)
{
	struct vuser_irq_info irq = {.argsz = sizeof(irq), .index = QUOLL_PCI_IRQ_MSIX};
	struct server_world w;

	world_begin(&w);
	CU_ASSERT_EQUAL_FATAL(world_ask(&w, VUSER_DEVICE_GET_IRQ_INFO, &irq, sizeof(irq)), sizeof(irq));
	memcpy(&irq, w.client.payload, sizeof(irq));
	CU_ASSERT_EQUAL(irq.count, MODEL_VECTORS);
	CU_ASSERT_EQUAL(irq.flags, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE);
	irq.index = QUOLL_PCI_IRQ_INTX;
	CU_ASSERT_EQUAL_FATAL(world_ask(&w, VUSER_DEVICE_GET_IRQ_INFO, &irq, sizeof(irq)), sizeof(irq));
	memcpy(&irq, w.client.payload, sizeof(irq));
	CU_ASSERT_EQUAL(irq.count, 1);
	CU_ASSERT_EQUAL(irq.flags, VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED);
	irq.index = 5;
	CU_ASSERT_EQUAL(world_ask(&w, VUSER_DEVICE_GET_IRQ_INFO, &irq, sizeof(irq)), -EINVAL);
	irq.index = 0;
	irq.argsz = 15;
	CU_ASSERT_EQUAL(world_ask(&w, VUSER_DEVICE_GET_IRQ_INFO, &irq, sizeof(irq)), -EINVAL);
	world_close(&w);
}

/* As QEMU does it: 8 fds at a time, the last piece with one. */
static void sixty_five_vectors_come_in_pieces(void)
{
	int fds[MODEL_VECTORS];
	struct server_world w;
	unsigned int before;

	world_begin(&w);
	for (unsigned int i = 0; i < MODEL_VECTORS; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	before = open_fds();
	for (unsigned int i = 0; i < MODEL_VECTORS; i += 8) {
		unsigned int n = MODEL_VECTORS - i < 8 ? MODEL_VECTORS - i : 8;

		CU_ASSERT_EQUAL(irq_set_fds(&w, QUOLL_PCI_IRQ_MSIX, i, n, fds + i, n), 0);
	}
	for (unsigned int i = 0; i < MODEL_VECTORS; i++)
		for (unsigned int times = 0; times < i % 3; times++)
			quoll_server_irq(w.server, QUOLL_PCI_IRQ_MSIX, i);
	for (unsigned int i = 0; i < MODEL_VECTORS; i++)
		CU_ASSERT_EQUAL(signals(fds[i]), i % 3);
	/* Some are taken away again, by a message without fds. */
	CU_ASSERT_EQUAL(irq_set_fds(&w, QUOLL_PCI_IRQ_MSIX, 10, 20, NULL, 0), 0);
	for (unsigned int i = 0; i < MODEL_VECTORS; i++)
		quoll_server_irq(w.server, QUOLL_PCI_IRQ_MSIX, i);
	for (unsigned int i = 0; i < MODEL_VECTORS; i++)
		CU_ASSERT_EQUAL(signals(fds[i]), i < 10 || i >= 30);
	/* All of them. */
	CU_ASSERT_EQUAL(irq_set(&w, VFIO_IRQ_SET_DATA_NONE | TRIGGER, QUOLL_PCI_IRQ_MSIX, 0, 0), 0);
	quoll_server_irq(w.server, QUOLL_PCI_IRQ_MSIX, 64);
	CU_ASSERT_EQUAL(signals(fds[64]), 0);
	CU_ASSERT_TRUE(open_fds_become(before)); /* the server holds none of them */
	for (unsigned int i = 0; i < MODEL_VECTORS; i++)
		close(fds[i]);
	world_close(&w);
}

static void a_masked_vector_remembers(void)
{
	const uint32_t mask = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK;
	const uint32_t unmask = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK;
	struct server_world w;
	int fd;

	world_begin(&w);
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CU_ASSERT_EQUAL(irq_set_fds(&w, QUOLL_PCI_IRQ_INTX, 0, 1, &fd, 1), 0);
	CU_ASSERT_EQUAL(irq_set(&w, mask, QUOLL_PCI_IRQ_INTX, 0, 1), 0);
	quoll_server_irq(w.server, QUOLL_PCI_IRQ_INTX, 0);
	quoll_server_irq(w.server, QUOLL_PCI_IRQ_INTX, 0);
	CU_ASSERT_EQUAL(signals(fd), 0);
	CU_ASSERT_EQUAL(irq_set(&w, unmask, QUOLL_PCI_IRQ_INTX, 0, 1), 0);
	CU_ASSERT_EQUAL(signals(fd), 1);
	/* It has masked itself with that. */
	quoll_server_irq(w.server, QUOLL_PCI_IRQ_INTX, 0);
	CU_ASSERT_EQUAL(signals(fd), 0);
	CU_ASSERT_EQUAL(irq_set(&w, unmask, QUOLL_PCI_IRQ_INTX, 0, 1), 0);
	CU_ASSERT_EQUAL(signals(fd), 1);
	CU_ASSERT_EQUAL(irq_set(&w, unmask, QUOLL_PCI_IRQ_INTX, 0, 1), 0);
	CU_ASSERT_EQUAL(signals(fd), 0);
	/* One without eventfd forgets. */
	CU_ASSERT_EQUAL(irq_set_fds(&w, QUOLL_PCI_IRQ_INTX, 0, 1, NULL, 0), 0);
	quoll_server_irq(w.server, QUOLL_PCI_IRQ_INTX, 0);
	CU_ASSERT_EQUAL(irq_set_fds(&w, QUOLL_PCI_IRQ_INTX, 0, 1, &fd, 1), 0);
	CU_ASSERT_EQUAL(signals(fd), 0);
	close(fd);
	world_close(&w);
}

static void a_client_may_trigger_vectors_itself(void)
{
	struct {
		struct vuser_irq_set set;
		uint8_t chosen[4];
	} m = {.set = {.argsz = sizeof(m),
		       .flags = VFIO_IRQ_SET_DATA_BOOL | TRIGGER,
		       .index = QUOLL_PCI_IRQ_MSIX,
		       .start = 3,
		       .count = 4},
	       .chosen = {1, 0, 0, 7}};
	struct server_world w;
	int fds[8];

	world_begin(&w);
	for (unsigned int i = 0; i < 8; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CU_ASSERT_EQUAL(irq_set_fds(&w, QUOLL_PCI_IRQ_MSIX, 0, 8, fds, 8), 0);
	CU_ASSERT_EQUAL(world_ask(&w, VUSER_DEVICE_SET_IRQS, &m, sizeof(m)), 0);
	for (unsigned int i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(signals(fds[i]), i == 3 || i == 6);
	CU_ASSERT_EQUAL(irq_set(&w, VFIO_IRQ_SET_DATA_NONE | TRIGGER, QUOLL_PCI_IRQ_MSIX, 1, 2), 0);
	for (unsigned int i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(signals(fds[i]), i == 1 || i == 2);
	m.set.count = 5; /* one byte is missing */
	CU_ASSERT_EQUAL(world_ask(&w, VUSER_DEVICE_SET_IRQS, &m, sizeof(m)), -EINVAL);
	for (unsigned int i = 0; i < 8; i++)
		close(fds[i]);
	world_close(&w);
}

static void settings_that_make_no_sense_are_refused(void)
{
	static const struct {
		uint32_t flags, index, start, count;
		int rc;
	} rows[] = {
		{EVENTFDS, 5, 0, 1, -EINVAL},
		{EVENTFDS, UINT32_MAX, 0, 1, -EINVAL},
		{EVENTFDS, QUOLL_PCI_IRQ_MSIX, 65, 1, -EINVAL},
		{EVENTFDS, QUOLL_PCI_IRQ_MSIX, 64, 2, -EINVAL},
		{EVENTFDS, QUOLL_PCI_IRQ_MSIX, UINT32_MAX, 2, -EINVAL},
		{EVENTFDS, QUOLL_PCI_IRQ_MSIX, 2, UINT32_MAX, -EINVAL},
		{EVENTFDS, QUOLL_PCI_IRQ_MSIX, 0, 0, -EINVAL},
		{EVENTFDS, QUOLL_PCI_IRQ_MSI, 0, 1, -EINVAL},
		{VFIO_IRQ_SET_DATA_NONE | TRIGGER, QUOLL_PCI_IRQ_MSIX, 1, 0, -EINVAL},
		{VFIO_IRQ_SET_DATA_EVENTFD, QUOLL_PCI_IRQ_MSIX, 0, 1, -EINVAL},
		{TRIGGER, QUOLL_PCI_IRQ_MSIX, 0, 1, -EINVAL},
		{0, QUOLL_PCI_IRQ_MSIX, 0, 1, -EINVAL},
		{UINT32_MAX, QUOLL_PCI_IRQ_MSIX, 0, 1, -EINVAL},
		{EVENTFDS | 1 << 6, QUOLL_PCI_IRQ_MSIX, 0, 1, -EINVAL},
		{EVENTFDS | VFIO_IRQ_SET_DATA_BOOL, QUOLL_PCI_IRQ_MSIX, 0, 1, -EINVAL},
		{VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK, QUOLL_PCI_IRQ_MSIX, 0, 1, -ENOTSUP},
		{VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_UNMASK, QUOLL_PCI_IRQ_INTX, 0, 1, -ENOTSUP},
		{VFIO_IRQ_SET_DATA_BOOL | TRIGGER, QUOLL_PCI_IRQ_MSIX, 0, 1, -EINVAL},
	};
	struct vuser_irq_set set = {.argsz = 19, .flags = EVENTFDS, .index = QUOLL_PCI_IRQ_MSIX, .count = 1};
	struct server_world w;

	world_begin(&w);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CU_ASSERT_EQUAL(irq_set(&w, rows[i].flags, rows[i].index, rows[i].start, rows[i].count), rows[i].rc);
	CU_ASSERT_EQUAL(world_ask(&w, VUSER_DEVICE_SET_IRQS, &set, sizeof(set)), -EINVAL);
	/* Vectors that are not there do no harm either when the device means them. */
	quoll_server_irq(w.server, QUOLL_PCI_IRQ_MSIX, MODEL_VECTORS);
	quoll_server_irq(w.server, 5, 0);
	quoll_server_irq(w.server, UINT32_MAX, UINT32_MAX);
	world_close(&w);
}

static void refuse_files(struct server_world *w)
{
	int pipes[2], others[5], fds[3], event;

	CU_ASSERT_EQUAL_FATAL(pipe2(pipes, O_CLOEXEC), 0);
	event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	others[0] = pipes[1];
	others[1] = w->device.regions[0].fd;
	others[2] = w->client.fd;
	others[3] = open("/dev/null", O_RDWR | O_CLOEXEC);
	others[4] = open(w->dir, O_RDONLY | O_CLOEXEC);
	for (unsigned int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(irq_set_fds(w, QUOLL_PCI_IRQ_MSIX, 0, 1, &others[i], 1), -EINVAL);
	fds[0] = event;
	fds[1] = w->device.regions[0].fd;
	CU_ASSERT_EQUAL(irq_set_fds(w, QUOLL_PCI_IRQ_MSIX, 0, 2, fds, 2), -EINVAL);
	/* Neither is set, and another number than was said is wrong. */
	quoll_server_irq(w->server, QUOLL_PCI_IRQ_MSIX, 0);
	CU_ASSERT_EQUAL(signals(event), 0);
	CU_ASSERT_EQUAL(irq_set_fds(w, QUOLL_PCI_IRQ_MSIX, 0, 3, fds, 2), -EINVAL);
	CU_ASSERT_EQUAL(irq_set_fds(w, QUOLL_PCI_IRQ_MSIX, 0, 1, fds, 2), -EINVAL);
	/* That it was looked at does not signal it. */
	CU_ASSERT_EQUAL(irq_set_fds(w, QUOLL_PCI_IRQ_MSIX, 0, 1, fds, 1), 0);
	CU_ASSERT_EQUAL(signals(event), 0);
	quoll_server_irq(w->server, QUOLL_PCI_IRQ_MSIX, 0);
	CU_ASSERT_EQUAL(signals(event), 1);
	close(pipes[0]);
	close(pipes[1]);
	close(others[3]);
	close(others[4]);
	close(event);
}

static void files_that_are_no_eventfds_are_refused(void)
{
	struct server_world w;

	world_begin(&w);
	refuse_files(&w);
	server_signal_close(&w.server->signal); /* as where the kernel lacks the other way to signal */
	refuse_files(&w);
	world_close(&w);
}

/* Its counter is full, and writing to it would wait. */
static void an_eventfd_that_is_full_holds_nobody_up(void)
{
	const uint64_t most = UINT64_MAX - 1;
	struct server_world w;
	uint64_t n = 0;
	int fd;

	/* With the kernel's way to signal, then without it. */
	for (unsigned int i = 0; i < 2; i++) {
		world_begin(&w);
		if (i)
			server_signal_close(&w.server->signal);
		else
			CU_ASSERT_NOT_EQUAL(w.server->signal.context, 0);
		fd = eventfd(0, EFD_CLOEXEC);
		CU_ASSERT_EQUAL(write(fd, &most, sizeof(most)), sizeof(most));
		CU_ASSERT_EQUAL(irq_set_fds(&w, QUOLL_PCI_IRQ_MSIX, 0, 1, &fd, 1), 0);
		/* What a hostile client would do next. */
		if (!i)
			CU_ASSERT_EQUAL(fcntl(fd, F_SETFL, 0), 0);
		for (unsigned int times = 0; times < 3; times++)
			quoll_server_irq(w.server, QUOLL_PCI_IRQ_MSIX, 0);
		CU_ASSERT_EQUAL(read(fd, &n, sizeof(n)), sizeof(n));
		CU_ASSERT_TRUE(n >= most);
		quoll_server_irq(w.server, QUOLL_PCI_IRQ_MSIX, 0);
		CU_ASSERT_EQUAL(read(fd, &n, sizeof(n)), sizeof(n));
		CU_ASSERT_EQUAL(n, 1);
		close(fd);
		world_close(&w);
	}
}

static void signals_are_never_lost(void)
{
	struct server_world w;
	int fd;

	world_begin(&w);
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CU_ASSERT_EQUAL(irq_set_fds(&w, QUOLL_PCI_IRQ_MSIX, 9, 1, &fd, 1), 0);
	for (unsigned int i = 0; i < 10000; i++)
		quoll_server_irq(w.server, QUOLL_PCI_IRQ_MSIX, 9);
	CU_ASSERT_EQUAL(signals(fd), 10000);
	close(fd);
	world_close(&w);
}

struct signaller {
	struct quoll_server *server;
	atomic_bool stop;
	atomic_uint rounds;
};

static void *signaller_main(void *arg)
{
	struct signaller *s = arg;

	while (!atomic_load(&s->stop)) {
		for (unsigned int v = 0; v < MODEL_VECTORS; v++)
			quoll_server_irq(s->server, QUOLL_PCI_IRQ_MSIX, v);
		atomic_fetch_add(&s->rounds, 1);
	}
	return NULL;
}

/* Two threads signal while clients come, set vectors, take them back, and go. */
static void any_thread_may_signal_at_any_time(void)
{
	struct signaller s = {0};
	pthread_t threads[2];
	struct server_world w;
	unsigned int clients = 0;
	int fds[8];

	world_init(&w);
	world_listen(&w);
	s.server = w.server;
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, signaller_main, &s), 0);
	while (clients < 50 || atomic_load(&s.rounds) < 50) {
		CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
		for (unsigned int i = 0; i < 8; i++)
			fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		for (unsigned int i = 0; i + 8 <= MODEL_VECTORS; i += 8)
			CU_ASSERT_EQUAL(irq_set_fds(&w, QUOLL_PCI_IRQ_MSIX, i, 8, fds, 8), 0);
		CU_ASSERT_EQUAL(irq_set_fds(&w, QUOLL_PCI_IRQ_MSIX, 0, 16, NULL, 0), 0);
		CU_ASSERT_EQUAL(irq_set(&w, VFIO_IRQ_SET_DATA_NONE | TRIGGER, QUOLL_PCI_IRQ_MSIX, 0, 0), 0);
		/* From here on nobody writes to them. */
		for (unsigned int i = 0; i < 8; i++) {
			signals(fds[i]);
			CU_ASSERT_EQUAL(signals(fds[i]), 0);
			close(fds[i]);
		}
		world_hang_up(&w);
		clients++;
	}
	atomic_store(&s.stop, true);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	world_close(&w);
}

static void eventfds_go_with_their_client(void)
{
	struct server_world w;
	int fd;

	world_begin(&w);
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CU_ASSERT_EQUAL(irq_set_fds(&w, QUOLL_PCI_IRQ_MSIX, 3, 1, &fd, 1), 0);
	world_hang_up(&w);
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	quoll_server_irq(w.server, QUOLL_PCI_IRQ_MSIX, 3);
	CU_ASSERT_EQUAL(signals(fd), 0);
	close(fd);
	world_close(&w);
}

static const struct unit_test tests[] = {
	{"interrupts are described", interrupts_are_described},
	{"65 vectors come in pieces", sixty_five_vectors_come_in_pieces},
	{"a masked vector remembers", a_masked_vector_remembers},
	{"a client may trigger vectors itself", a_client_may_trigger_vectors_itself},
	{"settings that make no sense are refused", settings_that_make_no_sense_are_refused},
	{"files that are no eventfds are refused", files_that_are_no_eventfds_are_refused},
	{"an eventfd that is full holds nobody up", an_eventfd_that_is_full_holds_nobody_up},
	{"signals are never lost", signals_are_never_lost},
	{"any thread may signal at any time", any_thread_may_signal_at_any_time},
	{"eventfds go with their client", eventfds_go_with_their_client},
};

UNIT_MAIN("eal/vfio_user/server_irq", tests)
