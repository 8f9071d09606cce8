/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * listener.c - function and server in one poller.
 *
 * The server costs a system call a look. While doorbells come as messages it is looked at in each round that finds
 * nothing else; while they come by memory, every LOOK_NS. Asleep, the loop waits for the server's and the back ends'
 * file descriptors. Doorbells that are only memory wake nobody: then a second poller, which can't be armed, keeps the
 * loop's sleeps short.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <quoll/pci.h>

#include "listener.h"
#include "quoll/guard.h"

#define LOOK_NS 20000u
/* Enough for a round to wait for memory that is reached by messages: a few hundred of them. */
#define ROUND_WAIT_NS 20000000u

/**
 * struct listener - one socket
 * @epoll_fd:   the server's file descriptor and those of the back ends
 * @nr_syncs:   of the controller, when the back ends were last added to it
 * @look_ticks: between two looks at the server; @look_due: the next
 * @slow_looks: not 0: the host's memory was reached by messages of late, until so many looks have come without one
 * @hung_up:    the client was sent away because of an injected fault
 */
struct listener {
	struct tgt_pcie *pcie;
	struct quoll_server *server;
	uint64_t look_ticks;
	uint64_t look_due;
	const struct quoll_clock *clock;
	struct quoll_poller poller;
	struct quoll_poller nap;
	struct quoll_loop *loop;
	int epoll_fd;
	uint32_t nr_syncs;
	unsigned int slow_looks;
	bool hung_up;
	struct config_listener config;
	struct tgt_fault faults[CONFIG_MAX_FAULTS];
	unsigned int nr_faults;
};

static void on_irq(void *arg, unsigned int vector)
{
	const struct listener *listener = arg;

	quoll_server_irq(listener->server, QUOLL_PCI_IRQ_MSIX, vector);
}

static int on_doorbells(void *arg, int fd)
{
	const struct listener *listener = arg;

	return quoll_server_region_fd(listener->server, QUOLL_PCI_BAR0, fd);
}

/* The thread has waited for the host: others shall have their turn between two commands, not after hundreds. */
static int paced(struct listener *listener, int rc)
{
	bool enough = quoll_server_waited_ns(listener->server) >= ROUND_WAIT_NS;

	listener->slow_looks = 2;
	tgt_pcie_pace(listener->pcie, enough ? TGT_MQ_STOP : TGT_MQ_ONE);
	return rc;
}

static int on_dma_read(void *arg, uint64_t iova, void *dst, size_t len)
{
	struct listener *listener = arg;

	return paced(listener, quoll_server_dma_read(listener->server, iova, dst, len));
}

static int on_dma_write(void *arg, uint64_t iova, const void *src, size_t len)
{
	struct listener *listener = arg;

	return paced(listener, quoll_server_dma_write(listener->server, iova, src, len));
}

static const struct tgt_pcie_ops pcie_ops = {
	.irq = on_irq, .doorbells = on_doorbells, .dma_read = on_dma_read, .dma_write = on_dma_write};

static int nap_poll(void *arg)
{
	(void)arg;
	return 0;
}

/* The loop may sleep for long unless doorbells wake nobody. */
static void follow_bell(struct listener *listener)
{
	bool nap = tgt_pcie_bell(listener->pcie) == TGT_BELL_SILENT;

	if (nap == (listener->nap.loop != NULL))
		return;
	if (nap)
		(void)quoll_loop_add(listener->loop, &listener->nap); /* fails for a poller with a file only */
	else
		quoll_loop_remove(&listener->nap);
}

static __attribute__((noinline)) unsigned int look_at_server(struct listener *listener, uint64_t now)
{
	unsigned int n = quoll_server_poll(listener->server);

	if (listener->slow_looks)
		tgt_pcie_pace(listener->pcie, --listener->slow_looks ? TGT_MQ_ONE : TGT_MQ_FULL);
	listener->look_due = now + listener->look_ticks;
	if (!tgt_pcie_gone(listener->pcie)) {
		listener->hung_up = false;
	} else if (!listener->hung_up) {
		listener->hung_up = true;
		quoll_server_hang_up(listener->server);
	}
	follow_bell(listener);
	return n;
}

static int listener_poll(void *arg)
{
	struct listener *listener = arg;
	unsigned int n = tgt_pcie_poll(listener->pcie);
	uint64_t now = quoll_ticks(listener->clock);

	if (now >= listener->look_due || (!n && tgt_pcie_bell(listener->pcie) <= TGT_BELL_MESSAGE))
		n += look_at_server(listener, now);
	return (int)n;
}

static int listener_arm(void *arg)
{
	struct listener *listener = arg;
	uint32_t nr_syncs = tgt_pcie_ctrl(listener->pcie)->nr_syncs;

	if (nr_syncs != listener->nr_syncs) {
		tgt_pcie_watch(listener->pcie, listener->epoll_fd);
		listener->nr_syncs = nr_syncs;
	}
	if (quoll_server_pending(listener->server))
		return 1;
	return tgt_pcie_arm(listener->pcie);
}

static void listener_disarm(void *arg)
{
	struct listener *listener = arg;

	tgt_pcie_disarm(listener->pcie);
	listener->look_due = 0; /* it may be what woke us */
}

static int listener_join(struct listener *listener, struct quoll_error *err)
{
	struct epoll_event event = {.events = EPOLLIN};
	int rc = 0;

	listener->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (listener->epoll_fd < 0 ||
	    epoll_ctl(listener->epoll_fd, EPOLL_CTL_ADD, quoll_server_fd(listener->server), &event))
		rc = -errno;
	listener->poller = (struct quoll_poller){
		.poll = listener_poll,
		.arm = listener_arm,
		.disarm = listener_disarm,
		.arg = listener,
		.fd = listener->epoll_fd,
	};
	listener->nap = (struct quoll_poller){.poll = nap_poll, .fd = -1};
	if (!rc)
		rc = quoll_loop_add(listener->loop, &listener->poller);
	return rc ? quoll_error_set(err, -rc, "listen", listener->config.text, "can't be polled") : 0;
}

/* After success or failure of whatever was made before. */
static void listener_free(struct listener *listener)
{
	if (listener->poller.loop)
		quoll_loop_remove(&listener->poller);
	if (listener->nap.loop)
		quoll_loop_remove(&listener->nap);
	if (listener->server) {
		guard_remove_server(listener->server);
		quoll_server_destroy(listener->server);
	}
	if (listener->epoll_fd >= 0)
		close(listener->epoll_fd);
	if (listener->pcie)
		tgt_pcie_destroy(listener->pcie);
	free(listener);
}

int listener_create(struct tgt_subsys *subsys, const struct config_listener *config, struct quoll_loop *loop,
		    struct listener **listener, struct quoll_error *err)
{
	struct listener *made = calloc(1, sizeof(*made));
	struct tgt_pcie_opts opts = {.ops = &pcie_ops, .arg = made, .mapped = config->mapped};
	struct quoll_server_device device;
	int rc;

	if (!made)
		return quoll_error_set(err, ENOMEM, "listen", config->text, "out of memory");
	made->config = *config;
	made->loop = loop;
	made->epoll_fd = -1;
	rc = tgt_pcie_create(subsys, &opts, &made->pcie, err);
	if (!rc) {
		made->clock = &tgt_pcie_ctrl(made->pcie)->clock;
		made->look_ticks = quoll_ns_to_ticks(made->clock, LOOK_NS);
		tgt_pcie_describe(made->pcie, &device);
		device.unsealed = true;
		rc = quoll_server_create(&subsys->env, config->path, &device, &made->server, err);
	}
	/* Before anybody is served: clients come in by polls. */
	if (!rc && !guard_add_server(made->server))
		rc = quoll_error_set(err, ENOSPC, "listen", config->text, "no handler of SIGBUS");
	if (!rc)
		rc = listener_join(made, err);
	if (rc)
		listener_free(made);
	else
		*listener = made;
	return rc;
}

const struct config_listener *listener_config(const struct listener *listener)
{
	return &listener->config;
}

void listener_stats(const struct listener *listener, struct listener_stats *stats)
{
	const struct tgt_ctrl *ctrl = tgt_pcie_ctrl(listener->pcie);

	*stats = (struct listener_stats){
		.connected = quoll_server_connected(listener->server),
		.ready = tgt_pcie_ready(listener->pcie),
		.nr_queues = tgt_pcie_nr_queues(listener->pcie),
		.cntlid = ctrl->cntlid,
		.counters = ctrl->counters,
		.nr_errors = ctrl->nr_errors,
	};
	quoll_server_stats(listener->server, &stats->server);
	for (unsigned int i = 0; i < listener->nr_faults; i++)
		stats->fault_hits += listener->faults[i].hits;
}

/* The table stays where it is, because commands that were picked point into it. */
void listener_faults(struct listener *listener, const struct tgt_fault *faults, unsigned int nr)
{
	memcpy(listener->faults, faults, nr * sizeof(*faults));
	listener->nr_faults = nr;
	tgt_ctrl_faults(tgt_pcie_ctrl(listener->pcie), listener->faults, nr);
}

void listener_drain(struct listener *listener)
{
	quoll_server_stop(listener->server);
	tgt_pcie_hold(listener->pcie);
}

bool listener_drained(const struct listener *listener)
{
	return !tgt_ctrl_busy(tgt_pcie_ctrl(listener->pcie));
}

int listener_destroy(struct listener *listener, unsigned int wait_ms)
{
	uint64_t until = quoll_ticks(listener->clock) + quoll_ns_to_ticks(listener->clock, wait_ms * 1000000ull);

	while (tgt_pcie_end(listener->pcie)) {
		if (quoll_ticks(listener->clock) >= until) {
			tgt_pcie_abandon(listener->pcie);
			guard_remove_server(listener->server);
			quoll_server_destroy(listener->server);
			return -ETIMEDOUT;
		}
		tgt_pcie_poll(listener->pcie);
	}
	listener_free(listener);
	return 0;
}
