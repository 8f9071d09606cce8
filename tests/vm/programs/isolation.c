/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * isolation.c - two devices, two I/O address spaces, one process: a NIC is made to write where it may not.
 *
 *   isolation --log                all faults that the kernel's log still has
 *   isolation NIC DISK INTERFACE   both with vfio-pci, the NIC an 82574L; INTERFACE is the kernel's end of its line
 *
 * Heap P is attached to both address spaces, heap N to the disk's alone; the disk's queues are in N. The NIC's
 * registers are written here and not by its driver, as a driver cannot be made to misbehave: one receive descriptor
 * points into N, at memory that devices may only read, and, as the control, at memory that they may write; with
 * quoll.ko also at memory of a stream's, mapped and after that. What the kernel's log says of it is read through
 * fault.h, and which buffer it was through where.h. One line a check, as tests/lib.sh has them; exits 1 if one failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_packet.h>

#include <quoll/fault.h>
#include <quoll/heap.h>
#include <quoll/mmio.h>
#include <quoll/pci.h>
#include <quoll/where.h>

#include "net/e1000e/e1000e_regs.h"
#include "nvme/nvme.h"

#define TXD_CMD_EOP_IFCS_RS 0x0b000000u
#define DESC_DONE 1u

#define NR_DESCS 8u
#define BUF_BYTES 2048u
#define FRAME_BYTES 512u
#define ETHERTYPE 0x88b5 /* for local experiments */
#define PATTERN 0x5a
#define WAIT_MS 15000u
#define HEAP_BYTES (32ull << 20)

/* Receive and transmit descriptors, legacy: 82574 datasheet 7.1.4, 7.2.10; the device's byte order is the host's here.
 */
struct rx_desc {
	uint64_t iova;
	uint16_t length;
	uint16_t checksum;
	uint8_t status;
	uint8_t errors;
	uint16_t special;
};

struct tx_desc {
	uint64_t iova;
	uint32_t length_cmd;
	uint32_t status;
};

struct bench {
	struct quoll_ioas *nic_ioas, *disk_ioas;
	struct quoll_group *nic_group, *disk_group;
	struct quoll_device *nic, *disk;
	struct quoll_heap *shared, *own; /* P and N */
	struct quoll_arena *shared_rw, *shared_ro, *own_rw;
	struct quoll_stream *stream; /* of the NIC's; NULL: there is none */
	struct quoll_nvme *nvme;
	struct quoll_region *regs;
	struct quoll_fault_log *log;
	const char *nic_name;
	uint8_t mac[6];
	int packet; /* socket at the other end of the line */
	volatile struct rx_desc *rx;
	volatile struct tx_desc *tx;
};

static int failures;
static struct quoll_error err;

static void check(bool good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void check(bool good, const char *fmt, ...)
{
	va_list ap;

	printf(good ? "ok isolation: " : "not ok isolation: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	failures += !good;
	fflush(stdout);
}

/* Set-up that everything else needs: 0 or the end. */
static void must(int rc, const char *what)
{
	if (!rc)
		return;
	printf("not ok isolation: %s: %s: %s (%s)\ntry: %s\n", what, err.subject, err.what, strerror(-rc), err.hint);
	exit(1);
}

static void claim(const char *name, struct quoll_ioas **ioas, struct quoll_group **group, struct quoll_device **dev)
{
	struct quoll_addr addr;

	must(quoll_addr_parse(name, &addr, &err), "address");
	must(quoll_ioas_open(NULL, getenv("QUOLL_BACKEND"), ioas, &err), "address space");
	must(quoll_group_claim(*ioas, &addr, group, &err), "claim");
	must(quoll_device_open(*group, addr.target, dev, &err), "open");
}

static struct quoll_heap *heap(struct quoll_ioas *const *ioases, unsigned int nr)
{
	struct quoll_heap_opts opts = {
		.size_bytes = HEAP_BYTES, .pages = QUOLL_PAGES_4K, .numa_node = -1, .ioases = ioases, .nr_ioases = nr};
	struct quoll_heap *made = NULL;

	must(quoll_heap_create(NULL, &opts, &made, &err), "heap");
	return made;
}

static void *memory(struct quoll_arena *arena, uint64_t bytes)
{
	void *va = NULL;

	must(quoll_arena_alloc(arena, bytes, 4096, &va, &err), "memory");
	return va;
}

static quoll_iova_t iova_of(const struct quoll_heap *from, const volatile void *va)
{
	return quoll_heap_iova(from, (const void *)(uintptr_t)va, 1);
}

static void set_up(struct bench *b, char **argv)
{
	struct quoll_ioas *both[2];
	struct quoll_heap_info p, n;

	claim(argv[1], &b->nic_ioas, &b->nic_group, &b->nic);
	claim(argv[2], &b->disk_ioas, &b->disk_group, &b->disk);
	both[0] = b->nic_ioas;
	both[1] = b->disk_ioas;
	b->shared = heap(both, 2);
	b->own = heap(&b->disk_ioas, 1);
	must(quoll_arena_create(b->shared, "shared rw", QUOLL_ARENA_DEVICE_READ_WRITE, 4 << 20, &b->shared_rw, &err),
	     "arena");
	must(quoll_arena_create(b->shared, "shared ro", QUOLL_ARENA_DEVICE_READ, 4 << 20, &b->shared_ro, &err),
	     "arena");
	must(quoll_arena_create(b->own, "own", QUOLL_ARENA_DEVICE_READ_WRITE, 4 << 20, &b->own_rw, &err), "arena");
	must(quoll_nvme_open(b->disk, b->own, NULL, &b->nvme, &err), "drive");
	must(quoll_fault_log_open(NULL, QUOLL_FAULT_NOW, &b->log, &err), "log");

	quoll_heap_info(b->shared, &p);
	quoll_heap_info(b->own, &n);
	check(p.nr_ioases == 2, "a heap is attached to the address spaces of NIC and disk, at one IOVA (0x%" PRIx64 ")",
	      p.iova);
	check(n.nr_ioases == 1 && (n.iova + n.size_bytes <= p.iova || p.iova + p.size_bytes <= n.iova),
	      "the disk's own heap (0x%" PRIx64 ") has IOVAs that are not mapped for the NIC", n.iova);
}

static uint32_t reg_read(struct bench *b, unsigned int reg)
{
	return quoll_mmio_read32(quoll_region_ptr(b->regs, reg, 4));
}

static void reg_write(struct bench *b, unsigned int reg, uint32_t value)
{
	quoll_mmio_write32(quoll_region_ptr(b->regs, reg, 4), value);
}

static bool wait_for(bool (*condition)(struct bench *b), struct bench *b)
{
	for (unsigned int ms = 0; ms < WAIT_MS; ms++) {
		if (condition(b))
			return true;
		usleep(1000);
	}
	return false;
}

static bool link_is_up(struct bench *b)
{
	return reg_read(b, E1000E_STATUS) & E1000E_STATUS_LU;
}

static bool is_reset(struct bench *b)
{
	return !(reg_read(b, E1000E_CTRL) & E1000E_CTRL_RST);
}

static void set_up_nic(struct bench *b, const char *interface)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET};
	uint32_t low, high;

	must(quoll_region_map(b->nic, QUOLL_PCI_BAR0, &b->regs, &err), "registers");
	/*
	 * What the kernel's driver left goes now, as the function has no reset of its own: its kind of descriptors too,
	 * which QEMU's reset keeps.
	 */
	reg_write(b, E1000E_IMC, UINT32_MAX);
	reg_write(b, E1000E_CTRL, reg_read(b, E1000E_CTRL) | E1000E_CTRL_RST);
	check(wait_for(is_reset, b), "the NIC can be reset");
	reg_write(b, E1000E_RFCTL, 0);
	must(quoll_pci_bus_master(b->nic, true), "bus mastering");
	low = reg_read(b, E1000E_RAL);
	high = reg_read(b, E1000E_RAH);
	for (unsigned int i = 0; i < 6; i++)
		b->mac[i] = (uint8_t)((i < 4 ? low >> 8 * i : high >> 8 * (i - 4)) & 0xff);
	b->rx = memory(b->shared_rw, 4096);
	b->tx = memory(b->shared_rw, 4096);
	reg_write(b, E1000E_IMC, UINT32_MAX);
	reg_write(b, E1000E_CTRL, reg_read(b, E1000E_CTRL) | E1000E_CTRL_SLU);
	reg_write(b, E1000E_RDBAL, (uint32_t)iova_of(b->shared, b->rx));
	reg_write(b, E1000E_RDBAH, (uint32_t)(iova_of(b->shared, b->rx) >> 32));
	reg_write(b, E1000E_RDLEN, NR_DESCS * sizeof(struct rx_desc));
	reg_write(b, E1000E_TDBAL, (uint32_t)iova_of(b->shared, b->tx));
	reg_write(b, E1000E_TDBAH, (uint32_t)(iova_of(b->shared, b->tx) >> 32));
	reg_write(b, E1000E_TDLEN, NR_DESCS * sizeof(struct tx_desc));
	check(wait_for(link_is_up, b), "the NIC's line is up");

	to.sll_ifindex = (int)if_nametoindex(interface);
	to.sll_protocol = htons(ETHERTYPE);
	b->packet = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETHERTYPE));
	if (!to.sll_ifindex || b->packet < 0 || bind(b->packet, (struct sockaddr *)&to, sizeof(to)))
		must(quoll_error_set(&err, errno, "socket", interface, "cannot be bound"), "other end");
}

static void fill_frame(const struct bench *b, uint8_t *frame)
{
	memcpy(frame, b->mac, 6);
	memcpy(frame + 6, "\x02\0\0\0\0\1", 6);
	frame[12] = ETHERTYPE >> 8;
	frame[13] = ETHERTYPE & 0xff;
	for (unsigned int i = 14; i < FRAME_BYTES; i++)
		frame[i] = (uint8_t)(i * 7);
}

static bool received(struct bench *b)
{
	return b->rx[0].status & DESC_DONE;
}

/* Have the NIC receive one frame into buf, which it finds at iova. Return: whether it says that it did. */
static bool receive_into(struct bench *b, quoll_iova_t iova)
{
	uint8_t frame[FRAME_BYTES];
	bool done = false;

	reg_write(b, E1000E_RCTL, 0);
	memset((void *)(uintptr_t)b->rx, 0, NR_DESCS * sizeof(struct rx_desc));
	for (unsigned int i = 0; i < NR_DESCS; i++)
		b->rx[i].iova = iova;
	reg_write(b, E1000E_RDH, 0);
	quoll_mmio_wmb();
	reg_write(b, E1000E_RDT, 1);
	reg_write(b, E1000E_RCTL, E1000E_RCTL_EN | E1000E_RCTL_SECRC);
	fill_frame(b, frame);
	/* Until the line is up at the other end, too, frames are lost: send it until it is there. */
	for (unsigned int i = 0; !done && i < WAIT_MS / 100; i++) {
		if (send(b->packet, frame, sizeof(frame), 0) < 0 && errno != EAGAIN && errno != ENETDOWN &&
		    errno != ENOBUFS)
			break;
		for (unsigned int ms = 0; !done && ms < 100; ms++) {
			done = received(b);
			usleep(1000);
		}
	}
	reg_write(b, E1000E_RCTL, 0);
	return done;
}

static void print_fault(const struct quoll_fault *fault, const struct quoll_where *where)
{
	char line[QUOLL_FAULT_TEXT_BYTES];

	quoll_fault_text(fault, NULL, where, line, sizeof(line));
	printf("    fault: %s\n", line);
}

/* What the NIC reaches first, then the heap that it has nothing to do with. */
static struct quoll_where where_is(const struct bench *b, quoll_iova_t iova)
{
	struct quoll_where where;

	if (b->stream && quoll_stream_where(b->stream, iova, &where))
		return where;
	if (!quoll_heap_where(b->shared, iova, &where))
		(void)quoll_heap_where(b->own, iova, &where);
	return where;
}

/* Wait for the kernel to log a fault of the NIC at that page. Others are shown and passed over. */
static bool fault_at(struct bench *b, quoll_iova_t iova, struct quoll_fault *fault)
{
	for (unsigned int ms = 0; ms < WAIT_MS; ms++) {
		while (quoll_fault_log_next(b->log, fault) == 1) {
			struct quoll_where where = where_is(b, fault->iova);

			print_fault(fault, &where);
			if (quoll_fault_is_of(fault, b->nic_name) && fault->iova >> 12 == iova >> 12)
				return true;
		}
		usleep(1000);
	}
	return false;
}

static bool unchanged(const uint8_t *buf)
{
	for (unsigned int i = 0; i < BUF_BYTES; i++)
		if (buf[i] != PATTERN)
			return false;
	return true;
}

static void check_stopped(struct bench *b, const char *what, const char *arena, uint8_t *buf, quoll_iova_t iova)
{
	struct quoll_where where;
	struct quoll_fault fault;

	memset(buf, PATTERN, BUF_BYTES);
	check(receive_into(b, iova), "%s: the NIC took a frame, and was to write it there", what);
	check(fault_at(b, iova, &fault), "%s: the kernel reports a fault of the NIC, at that address", what);
	check(fault.access == QUOLL_FAULT_WRITE && fault.reason[0], "%s: of a write, with the reason", what);
	where = where_is(b, fault.iova);
	check(where.state == QUOLL_WHERE_IN_USE && !strcmp(where.arena, arena) && where.va == buf &&
		      where.piece == buf && where.piece_bytes == BUF_BYTES,
	      "%s: it is known which buffer that is", what);
	check(unchanged(buf), "%s: the memory is unchanged", what);
}

static void check_control(struct bench *b, uint8_t *buf)
{
	uint8_t frame[FRAME_BYTES];
	struct quoll_fault fault;

	fill_frame(b, frame);
	memset(buf, PATTERN, BUF_BYTES);
	check(receive_into(b, iova_of(b->shared, buf)) && b->rx[0].length == FRAME_BYTES,
	      "memory that both may write: the NIC received a frame");
	check(!memcmp(buf, frame, FRAME_BYTES) && buf[FRAME_BYTES] == PATTERN,
	      "memory that both may write: it is there, byte by byte");
	check(quoll_fault_log_next(b->log, &fault) == 0, "memory that both may write: no fault");
}

/* With quoll.ko: memory that the NIC may write for the time of one I/O, and after it. */
static void check_streamed(struct bench *b)
{
	const struct quoll_stream_opts opts = {.ways = QUOLL_WAY_BIT(QUOLL_WAY_WINDOW)};
	uint8_t *page = aligned_alloc(4096, 4096), frame[FRAME_BYTES];
	struct quoll_stream_seg seg = {.va = page, .bytes = BUF_BYTES, .dir = QUOLL_SEG_WRITE};
	struct quoll_where where;
	struct quoll_fault fault;
	int rc = quoll_stream_create(b->nic_ioas, b->shared, &opts, &b->stream, &err);

	if (rc != -ENOTSUP) {
		must(rc, "stream");
		must(page && quoll_stream_map(b->stream, &seg, 1) == 1 ? 0 : -EIO, "map");
		fill_frame(b, frame);
		memset(page, PATTERN, BUF_BYTES);
		check(receive_into(b, seg.iova) && !memcmp(page, frame, FRAME_BYTES),
		      "memory of a stream: the NIC writes there while it is mapped");
		quoll_stream_unmap(b->stream, &seg, 1);
		memset(page, PATTERN, BUF_BYTES);
		check(receive_into(b, seg.iova) && fault_at(b, seg.iova, &fault) && unchanged(page),
		      "memory of a stream: not any more once it is unmapped, and the kernel reports a fault");
		where = where_is(b, fault.iova);
		check(where.state == QUOLL_WHERE_UNMAPPED && where.va == page && where.piece == page,
		      "memory of a stream: it is known what was there");
		quoll_stream_destroy(b->stream);
		b->stream = NULL;
	}
	free(page);
}

static bool sent(struct bench *b)
{
	return b->tx[0].status & DESC_DONE;
}

/* Device-read memory is what payload is sent from. */
static void check_sends(struct bench *b, uint8_t *buf)
{
	uint8_t frame[BUF_BYTES];
	struct quoll_fault fault;
	ssize_t n = -1;

	fill_frame(b, buf);
	memset(buf, 0xff, 6);
	while (recv(b->packet, frame, sizeof(frame), 0) >= 0)
		;
	b->tx[0] = (struct tx_desc){.iova = iova_of(b->shared, buf), .length_cmd = FRAME_BYTES | TXD_CMD_EOP_IFCS_RS};
	quoll_mmio_wmb();
	/* QEMU 7.2's reset leaves the head where the kernel's driver had it: with that at 1 the ring would be empty. */
	reg_write(b, E1000E_TDT, 0);
	reg_write(b, E1000E_TDH, 0);
	reg_write(b, E1000E_TCTL, E1000E_TCTL_EN | E1000E_TCTL_PSP);
	reg_write(b, E1000E_TDT, 1);
	check(wait_for(sent, b), "device-read memory: the NIC sends from it");
	for (unsigned int ms = 0; n < 0 && ms < WAIT_MS; ms++) {
		n = recv(b->packet, frame, sizeof(frame), 0);
		usleep(1000);
	}
	check(n == FRAME_BYTES && !memcmp(frame, buf, FRAME_BYTES), "device-read memory: the frame arrives");
	check(quoll_fault_log_next(b->log, &fault) == 0, "device-read memory: no fault");
}

/* The disk has gone on meanwhile: from its own heap it writes and reads what the NIC could not reach. */
static void check_disk(struct bench *b, uint8_t *buf)
{
	struct quoll_nvme_completion done = {0};
	struct quoll_nvme_queue *queue = NULL;
	struct quoll_nvme_ns_info ns;
	uint8_t *back = memory(b->own_rw, BUF_BYTES);
	unsigned int good = 0;

	must(quoll_nvme_queue_create(b->nvme, NULL, &queue, &err), "queue");
	must(quoll_nvme_ns_at(b->nvme, 0, &ns), "namespace");
	memset(back, 0, BUF_BYTES);
	for (unsigned int read = 0; read < 2; read++) {
		int rc = read ? quoll_nvme_prep_read(queue, ns.nsid, back, 0, BUF_BYTES / ns.lba_bytes, 0)
			      : quoll_nvme_prep_write(queue, ns.nsid, buf, 0, BUF_BYTES / ns.lba_bytes, 0);

		must(rc, "request");
		quoll_nvme_submit(queue);
		for (unsigned int ms = 0; ms < WAIT_MS && !quoll_nvme_poll(queue, &done, 1); ms++)
			usleep(1000);
		good += !done.error && !done.status;
	}
	check(good == 2 && unchanged(back), "the disk writes and reads that memory, where the NIC was stopped");
	quoll_nvme_queue_destroy(queue);
}

static void tear_down(struct bench *b)
{
	quoll_fault_log_close(b->log);
	close(b->packet);
	quoll_nvme_close(b->nvme);
	quoll_device_close(b->nic);
	quoll_device_close(b->disk);
	quoll_heap_destroy(b->own);
	quoll_heap_destroy(b->shared);
	quoll_group_release(b->nic_group);
	quoll_group_release(b->disk_group);
	check(!quoll_ioas_close(b->nic_ioas) && !quoll_ioas_close(b->disk_ioas), "all is given back");
}

int main(int argc, char **argv)
{
	struct bench b = {0};
	struct quoll_fault fault;
	uint8_t *own, *read_only, *both;

	if (argc == 2 && !strcmp(argv[1], "--log")) {
		must(quoll_fault_log_open(NULL, 0, &b.log, &err), "log");
		while (quoll_fault_log_next(b.log, &fault) == 1)
			print_fault(&fault, NULL);
		quoll_fault_log_close(b.log);
		return 0;
	}
	if (argc != 4) {
		fprintf(stderr, "usage: isolation --log | NIC DISK INTERFACE\n");
		return 2;
	}
	b.nic_name = argv[1];
	set_up(&b, argv);
	set_up_nic(&b, argv[3]);
	own = memory(b.own_rw, BUF_BYTES);
	read_only = memory(b.shared_ro, BUF_BYTES);
	both = memory(b.shared_rw, BUF_BYTES);

	check_control(&b, both);
	check_stopped(&b, "the disk's own heap", "own", own, iova_of(b.own, own));
	check_stopped(&b, "device-read memory", "shared ro", read_only, iova_of(b.shared, read_only));
	check_control(&b, both);
	check_streamed(&b);
	check_sends(&b, read_only);
	check_disk(&b, own);
	tear_down(&b);
	return failures != 0;
}
