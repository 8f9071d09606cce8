/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server.h - the server's side of vfio-user: a device model, offered on a UNIX socket to one client at a time, any
 * number in sequence.
 *
 * The model says which regions and interrupts it has, and is called when the client touches what is not mapped, offers
 * memory or takes it back. Nothing that a client says reaches the model unchecked: indices, offsets and lengths fit
 * what the model declared, mappings don't overlap, and a file behind one is mapped only if it can't shrink under us
 * (F_SEAL_SHRINK), or if the program catches what comes of that (quoll_server_bus_error()); what isn't mapped is
 * reached by messages.
 *
 * Files that a client sends for nothing, and that are no memory, are closed by a thread: the first of them starts it,
 * one for all of the process, and it stays. A server of whose clients' files too many wait there takes no client.
 *
 * Source: "vfio-user Protocol Specification" 0.2, docs/interop/vfio-user.rst in QEMU.
 * Thread rule: a server, its device and all callbacks belong to one thread; quoll_server_irq() may be called from any.
 */
#ifndef QUOLL_SERVER_H
#define QUOLL_SERVER_H

#include <quoll/device.h>
#include <quoll/env.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUOLL_SERVER_MAX_REGIONS 16u
#define QUOLL_SERVER_MAX_IRQS 8u
#define QUOLL_SERVER_MAX_VECTORS 2048u
/* What of a client's memory is mapped here, unless told otherwise; see struct quoll_server_device. */
#define QUOLL_SERVER_MAPPED 8192u
#define QUOLL_SERVER_MAPPED_BYTES (16ull << 40)

struct quoll_server;

/**
 * struct quoll_server_region - a region of the device
 * @size_bytes: 0: there is none with this index
 * @flags:      QUOLL_REGION_*; with QUOLL_REGION_MMAP clients may map @areas
 * @fd:         the file they lie in, sealed against shrinking; the caller's, open as long as the server, or until
 *              quoll_server_region_fd() names another; -1 without QUOLL_REGION_MMAP
 * @fd_offset:  where the region begins in the file
 * @nr_areas, @areas: pages of the region that may be mapped; none: all of it
 */
struct quoll_server_region {
	uint64_t size_bytes;
	unsigned int flags;
	int fd;
	uint64_t fd_offset;
	unsigned int nr_areas;
	struct quoll_region_area areas[QUOLL_REGION_MAX_AREAS];
};

/* What clients may do to a piece of their memory's mapping here; QUOLL_DMA_READ: the device may read it. */
#define QUOLL_DMA_READ (1u << 0)
#define QUOLL_DMA_WRITE (1u << 1)

/**
 * struct quoll_server_dma - memory that the client offers
 * @iova: where the device finds it; iova + len does not wrap around, and no two overlap
 * @va:   where it is mapped here; NULL: by quoll_server_dma_read() and quoll_server_dma_write() only
 * @prot: QUOLL_DMA_READ, QUOLL_DMA_WRITE
 */
struct quoll_server_dma {
	uint64_t iova;
	uint64_t len;
	void *va;
	unsigned int prot;
};

/**
 * struct quoll_server_ops - the device model
 * @connect:    a client is there, and agreed on a version. Return: 0, or -errno: it is sent away. NULL: 0
 * @disconnect: it is gone, or is to go: let go of its memory. Return: 0, then everything it offered is unmapped;
 *              -EAGAIN: not yet, asked again with each poll
 * @region_read, @region_write: within the region, its flags allow it. Return: 0, or -errno for the client. A region
 *              without flags for it needs none. @region_read also comes while quoll_server_dma_*() waits.
 *              @region_write also -EAGAIN: what it is to stop has not stopped yet; the same write comes again with each
 *              poll, and nothing else of this client, which waits, unless it goes: @disconnect. For short waits: QEMU
 *              holds its big lock meanwhile
 * @dma_map:    the client offers memory. Return: 0, or -errno for the client
 * @dma_unmap:  it takes it back. Return: 0, then it is unmapped; -EAGAIN: something still uses it, asked again with
 *              each poll; the client waits
 * @reset:      Return: 0; -EAGAIN as above; NULL: the device can't be reset
 *
 * Callbacks may call quoll_server_irq() and quoll_server_dma_*(), nothing else of the server; @connect and @disconnect
 * quoll_server_region_fd() as well. But a client that waits
 * for a register access may be unable to answer a DMA message meanwhile (QEMU is, under its lock): what needs memory
 * that is not mapped is better done between polls.
 */
struct quoll_server_ops {
	int (*connect)(void *arg);
	int (*disconnect)(void *arg);
	int (*region_read)(void *arg, unsigned int idx, uint64_t offset, void *buf, size_t len);
	int (*region_write)(void *arg, unsigned int idx, uint64_t offset, const void *buf, size_t len);
	int (*dma_map)(void *arg, const struct quoll_server_dma *dma);
	int (*dma_unmap)(void *arg, const struct quoll_server_dma *dma);
	int (*reset)(void *arg);
};

/**
 * struct quoll_server_device - what is offered
 * @bus:     which bus's numbering regions and interrupts follow: QUOLL_BUS_PCI or QUOLL_BUS_PLATFORM
 * @irqs:    vectors of each index, and QUOLL_IRQ_* flags
 * @unsealed: map memory files of tmpfs and hugetlbfs that the client can cut short too (SPDK's and DPDK's hugepages
 *            can't be sealed): the program has a handler of SIGBUS that calls quoll_server_bus_error()
 * @max_mapped, @max_mapped_bytes: so many pieces and bytes of a client's memory are mapped at a time, 0:
 *            QUOLL_SERVER_MAPPED, QUOLL_SERVER_MAPPED_BYTES. All servers of the process together map at most half of
 *            what the kernel allows it (vm.max_map_count) and 64 TiB, half of its addresses, so that nothing else in it
 *            wants for any. What comes on top is offered all the same and reached by messages
 */
struct quoll_server_device {
	enum quoll_bus bus;
	unsigned int nr_regions;
	struct quoll_server_region regions[QUOLL_SERVER_MAX_REGIONS];
	unsigned int nr_irqs;
	struct quoll_irq_info irqs[QUOLL_SERVER_MAX_IRQS];
	bool unsealed;
	unsigned int max_mapped;
	uint64_t max_mapped_bytes;
	const struct quoll_server_ops *ops;
	void *arg;
};

/**
 * struct quoll_server_stats - counted since the server was made
 * @clients: that agreed on a version, and that the device took
 * @refused: clients that came while one was there, or that the device sent away
 * @errors:  messages that were answered with an error, or would have been had the client wanted a reply
 * @protocol_errors: sessions that ended because of what the client sent
 * @dma_messages: DMA_READ and DMA_WRITE that were sent
 */
struct quoll_server_stats {
	uint64_t clients;
	uint64_t refused;
	uint64_t messages;
	uint64_t errors;
	uint64_t protocol_errors;
	uint64_t dma_messages;
};

/**
 * quoll_server_create() - listen
 * @env:    copied; NULL for the ordinary machine
 * @path:   of the socket. One that nobody listens on is taken over, a live one refused
 * @device: copied
 * @server: freed by quoll_server_destroy()
 * @err:    -EADDRINUSE: somebody listens there; -EINVAL: the device contradicts itself; -EEXIST: a file that is no
 *          socket; -ENAMETOOLONG, -ENOMEM, -EMFILE, -errno
 */
QUOLL_API int quoll_server_create(const struct quoll_env *env, const char *path,
				  const struct quoll_server_device *device, struct quoll_server **server,
				  struct quoll_error *err);

/**
 * quoll_server_destroy() - hang up, unlink the socket
 * A client that is there is cut off: @disconnect is called once more, and must return 0.
 */
QUOLL_API void quoll_server_destroy(struct quoll_server *server);

/**
 * quoll_server_poll() - connections and messages, without waiting but for the client's answers to DMA messages
 * A system call at least: while the device is busy not in each round. Return: how many were handled.
 */
QUOLL_API unsigned int quoll_server_poll(struct quoll_server *server);

/**
 * quoll_server_fd() - becomes readable when poll has something to do; owned by the server
 */
QUOLL_API int quoll_server_fd(const struct quoll_server *server);

/**
 * quoll_server_pending() - poll again soon, though the fd isn't readable: a callback said -EAGAIN, commands came in
 * while a DMA message was waited for, or the client was cut off outside of poll
 */
QUOLL_API bool quoll_server_pending(const struct quoll_server *server);

/**
 * quoll_server_hang_up() - cut the client off, as if it had gone
 */
QUOLL_API void quoll_server_hang_up(struct quoll_server *server);

/**
 * quoll_server_stop() - take no further clients; the one that is there stays
 */
QUOLL_API void quoll_server_stop(struct quoll_server *server);

/**
 * quoll_server_region_fd() - the region lies in another file, for clients to come
 * A client keeps its mappings for as long as it likes: what a region's memory does must not be the next one's, so that
 * each gets a file of its own. For @connect and @disconnect, and while there is no client.
 * Return: 0; -EINVAL: the region is not there, not for mapping, or contradicts the file; -EBUSY: a client may have it.
 */
QUOLL_API int quoll_server_region_fd(struct quoll_server *server, unsigned int idx, int fd);

/**
 * quoll_server_connected() - whether there is a client
 */
QUOLL_API bool quoll_server_connected(const struct quoll_server *server);

/**
 * quoll_server_irq() - signal a vector; one that is masked remembers it, one without eventfd forgets it
 * A system call, which never waits, whatever the client does with its eventfd. Thread rule: any thread, but not while
 * the server is destroyed, and not in a child process of the server's.
 */
QUOLL_API void quoll_server_irq(struct quoll_server *server, unsigned int idx, unsigned int vector);

/**
 * quoll_server_dma_read(), quoll_server_dma_write() - reach memory that is offered but not mapped
 * The client is asked, and waited for, at most 3 s. Its waits together are bounded too: what goes beyond 100 ms from
 * one poll to the next is taken from an allowance of 3 s, which grows back at 1/10 of the time, and which the server's
 * clients share; who has used it up is cut off, with a line in the log, so that others in the thread are served. Its
 * own commands that come in meanwhile are served later, except for a read of a region that comes first: it may be what
 * keeps the client from answering. Return: 0; -EFAULT: not offered, or not with this permission; -ETIMEDOUT,
 * -ECONNRESET: it is cut off; -errno that the client answered.
 */
QUOLL_API int quoll_server_dma_read(struct quoll_server *server, uint64_t iova, void *buf, size_t len);
QUOLL_API int quoll_server_dma_write(struct quoll_server *server, uint64_t iova, const void *buf, size_t len);

/**
 * quoll_server_waited_ns() - how long the client's memory has been waited for since the last poll began
 * For a device that has more to do there: enough for now, others want to be served.
 */
QUOLL_API uint64_t quoll_server_waited_ns(const struct quoll_server *server);

/**
 * quoll_server_bus_error() - for a handler of SIGBUS that the program installs: make of it a client that is cut off
 * @va: what could not be reached (siginfo_t.si_addr)
 *
 * A file that isn't sealed gets shorter, or a sealed one of huge pages loses some: the client punches a hole, and its
 * pool has no other. The mapping of @va is then replaced by memory that reads zeros, and the next poll hangs up.
 * Async-signal-safe. Thread rule: in the thread that polls the server; in any other it says false, as the table of
 * mappings may change meanwhile, so that a handler may ask several servers. Return: false if @va is not of the
 * client's.
 */
QUOLL_API bool quoll_server_bus_error(struct quoll_server *server, void *va);

QUOLL_API void quoll_server_stats(const struct quoll_server *server, struct quoll_server_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
