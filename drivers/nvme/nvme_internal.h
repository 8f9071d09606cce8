/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvme_internal.h - the driver's objects. Hot fields come first, on cache lines that are asserted; what set-up and
 * errors need is fenced off behind them.
 *
 * Who may touch what: struct quoll_nvme belongs to the controller's thread, except @dead and what nvme_ctrl_check()
 * guards; a queue belongs to its own thread.
 */
#ifndef QUOLL_NVME_INTERNAL_H
#define QUOLL_NVME_INTERNAL_H

#include <pthread.h>
#include <string.h>

#include <nvme/types.h>

#include <quoll/clock.h>
#include <quoll/env.h>
#include <quoll/mmio.h>
#include <quoll/pci.h>
#include <quoll/wait.h>

#include "nvme.h"
#include "nvme_wire.h"
#include "prp.h"

#define NVME_MAX_NAMESPACES 8192u
#define NVME_NS_TABLE_SIZE 64u
#define NVME_LBA_SHIFT_MIN 9u
#define NVME_LBA_SHIFT_MAX 16u
#define NVME_CHECK_PERIOD_NS 1000000u
/* Of CSTS, where registers are not mapped; events of the device are looked at as often as ever. */
#define NVME_CSTS_BY_MESSAGE_PERIOD_NS 100000000u
/* A queue that never has an empty poll looks at the clock this often, in polls. */
#define NVME_BUSY_POLLS 256u
#define NVME_NO_PARENT UINT16_MAX
/* A queue looks at what is in flight so often within a time-out. */
#define NVME_WATCHES 8u
#define NVME_MAX_RESUBMITS 3u
#define NVME_IDLE_PERIODS 8u
#define NVME_DEFAULT_RESETS 10u
#define NVME_MAX_RESETS 64u

/*
 * A namespace: one line for prep, then what only set-up reads. The short way of prep has one look at @short_lbas: 0
 * while there is no I/O (then @refuse says why) or where boundaries need arithmetic; never more than @nr_lbas. The
 * controller's thread may set it to 0 while queues run.
 */
struct nvme_namespace {
	uint32_t nsid;
	uint32_t short_lbas;
	uint64_t nr_lbas;
	uint64_t boundary_mask; /* where the boundary is a power of two: the bits that must not change within a command
				 */
	uint32_t lba_shift;
	int32_t refuse;
	uint32_t max_lbas; /* of one command */
	uint32_t boundary_lbas;
	uint64_t boundary_recip;
	uint32_t metadata_bytes;
	struct nvme_id_ns *id;
} QUOLL_CACHE_ALIGNED;

static_assert(sizeof(struct nvme_namespace) == QUOLL_CACHE_LINE_BYTES, "a namespace is one line");

/* The namespaces of a controller as it told of them once. */
struct nvme_ns_set {
	struct nvme_ns_set *older; /* what it replaced; kept as long as queues may still point there */
	unsigned int nr;
	struct nvme_namespace *ns;			  /* ascending by id */
	struct nvme_namespace *table[NVME_NS_TABLE_SIZE]; /* low ids, by id */
};

/* Reads a set, one Identify command after the other. */
struct nvme_ns_reader {
	struct nvme_ns_set *set; /* once the list is complete */
	uint32_t *ids;
	unsigned int nr_ids;
	unsigned int i; /* namespace that is asked for */
	uint8_t cns;	/* what is asked for */
	bool done;
};

/* Commands on their way in the admin queue: one that somebody waits for, one of a reset's steps, Abort commands. */
#define NVME_ADMIN_WAITED 0u
#define NVME_ADMIN_STEP 1u
#define NVME_ADMIN_ABORTS 2u
#define NVME_ADMIN_SLOTS 8u /* a power of two: the low bits of a CID */

struct nvme_admin_slot {
	bool busy; /* sent and not answered */
	uint16_t cid;
	uint32_t dw0;
	uint32_t dw3;
	uint64_t sent; /* when, in ticks */
};

struct nvme_admin {
	union nvme_sq_slot *sq;
	struct nvme_cqe *cq;
	quoll_iova_t sq_iova;
	quoll_iova_t cq_iova;
	volatile void *sq_db; /* NULL: not mapped, by message */
	volatile void *cq_db;
	struct prp_list list; /* one page */
	void *data;	      /* one page that the controller may write */
	quoll_iova_t data_iova;
	unsigned int entries;
	unsigned int sq_tail;
	unsigned int cq_head;
	unsigned int phase;
	uint16_t next_cid;
	unsigned int nr_busy;
	struct nvme_admin_slot slots[NVME_ADMIN_SLOTS];
	unsigned int nr_strays; /* completions that answered nothing */
	uint64_t timeout_ns;
};

/* reset.c: a reset's step that is waited for; NONE: no reset. */
enum nvme_reset_stage {
	NVME_RESET_NONE,
	NVME_RESET_QUIESCE,
	NVME_RESET_DISABLE,
	NVME_RESET_ENABLE,
	NVME_RESET_IDENTIFY,
	NVME_RESET_QUEUES,
	NVME_RESET_DOORBELLS,
	NVME_RESET_NAMESPACES,
};

struct nvme_reset {
	enum nvme_reset_stage stage;
	uint64_t since; /* the stage began; in ticks */
	uint64_t limit_ticks;
	bool asked; /* the stage's command is on its way */
	struct nvme_ns_reader reader;
	/* After that, for queues: the one that is being created again, and how far that is. */
	struct quoll_nvme_queue *queue;
	bool queue_has_cq;
	uint64_t nr_done;
	uint64_t nr_ns_changes;
	/* Of those that nobody has asked for: when the last @max_own began; more within @own_ticks are too many. */
	uint64_t own_starts[NVME_MAX_RESETS];
	uint64_t own_ticks;
	unsigned int max_own;
	uint64_t nr_own;
};

/* An Abort command that is on its way. @queue: whose; NULL: nobody's any more. */
struct nvme_abort {
	bool used;
	struct quoll_nvme_queue *queue;
};

/* doorbell.c: Doorbell Buffer Config. A page each, in the order of the doorbells. */
struct nvme_doorbells {
	enum quoll_nvme_shadow wanted;
	bool on;
	quoll_le32 *shadows; /* the controller reads them */
	quoll_le32 *events;  /* it writes them */
	quoll_iova_t shadows_iova;
	quoll_iova_t events_iova;
};

struct quoll_nvme {
	/* Shared with the queues' threads; see nvme_ctrl_check(). */
	struct {
		int dead; /* 0, or the -errno that ended it; set once, with release order, after bus mastering is off */
		uint64_t last_check;
		uint64_t last_csts;
		uint32_t reset_nr;     /* of the last reset that began */
		uint32_t stopped_nr;   /* of the last reset that has cut the device off from memory */
		uint32_t reset_wanted; /* by a queue, or by what was seen; changes under @lock */
		bool resetting;	       /* under @lock: fatal status and not ready are no news */
		uint32_t idle_periods; /* of @idle_ticks, in which somebody looked and nobody called ctrl_poll */
		uint64_t idle_since;   /* the last of them began; under @lock */
		uint64_t nr_timeouts;
	} QUOLL_CACHE_ALIGNED shared;

	/* Of whoever checks. Registers may be messages, so it may be held for as long as a server takes to answer. */
	pthread_mutex_t lock QUOLL_CACHE_ALIGNED;
	struct quoll_device *dev;
	struct quoll_heap *heap;
	struct quoll_region *bar;
	volatile uint8_t *regs; /* NULL: registers are not mapped, by message */
	uint64_t bar_bytes;
	const char *name;
	struct quoll_clock clock;
	struct quoll_arena *arena_read;
	struct quoll_arena *arena_rw;
	uint64_t cap;
	uint32_t version;
	unsigned int dstrd;
	uint64_t ready_timeout_ns;
	bool enabled;
	bool dma_off; /* bus mastering is off, or the device was pulled: it can't reach our memory. nvme_set_dma_off()
		       */
	struct nvme_admin admin;
	struct nvme_id_ctrl *id;
	uint32_t max_transfer_bytes;
	uint32_t prp_list_bytes;
	unsigned int max_queue_entries;
	unsigned int max_io_queues;
	unsigned int nr_vectors; /* of MSI-X, enabled and masked; 0 until a queue asks for one */
	int dead_fd; /* eventfd, readable for good once the controller is dead: wakes every queue's thread */
	struct quoll_nvme_queue **queues; /* max_io_queues of them; id is index + 1 */
	bool up;			  /* opened: recovery may begin */
	enum quoll_nvme_recovery recovery;
	uint64_t check_ticks; /* NVME_CHECK_PERIOD_NS, and the other one: a division is too long for a lock */
	uint64_t csts_ticks;
	uint64_t io_timeout_ticks; /* 0: none */
	uint64_t idle_ticks;	   /* a part of the time for which recovery waits for somebody who calls ctrl_poll */
	struct nvme_doorbells doorbells;
	struct nvme_reset reset;
	struct nvme_abort aborts[NVME_ADMIN_SLOTS - NVME_ADMIN_ABORTS];
	uint64_t nr_aborts;
	uint64_t nr_aborted;
	struct nvme_ns_set *set;     /* queues read it, so it changes with release order */
	struct nvme_namespace no_ns; /* id 0, refused: what a queue without a last one points to */
};

/*
 * A command in flight. @expect is the CID that its completion must bear: slot number in the low bits, a generation
 * above them, so that a repeated completion does not fit the slot's next user. NVME_SLOT_FREE is out of a CID's range;
 * with it @expect is the last CID. The other flags are what recover.c thinks of a command; they too are out of a CID's
 * range, so that the hot path, which compares, finds that it is not for it, and prep clears them unseen.
 */
#define NVME_SLOT_FREE (1u << 16)
#define NVME_SLOT_WATCHED (1u << 17) /* seen in flight; @seen is valid */
#define NVME_SLOT_LATE (1u << 18)
#define NVME_SLOT_UNTOLD (1u << 19) /* late, and the caller does not know */
#define NVME_SLOT_ABORT (1u << 20)  /* to be aborted */
#define NVME_SLOT_MAILED (1u << 21) /* its CID was given to the controller's thread */

struct nvme_slot {
	uint64_t user_data;
	uint32_t expect;
	uint16_t parent; /* index into the queue's parents; NVME_NO_PARENT: not part of a split request, or free */
	uint16_t seen;	 /* the watch that saw it first */
};

static_assert(sizeof(struct nvme_slot) == 16, "a slot is a quarter of a line");

/* A split request: what remains to be sent starts at @lba and @iova. Listed while @remaining is not 0. */
struct nvme_parent {
	uint64_t user_data;
	quoll_iova_t iova;
	uint64_t lba;
	const struct nvme_namespace *ns;
	uint32_t remaining;
	uint32_t in_flight;
	int32_t error;
	uint32_t result;
	uint16_t status;
	uint8_t opcode;
	bool dnr;
	bool told;     /* that it is late */
	bool unmapped; /* its memory is the stream's to map before anything is sent */
	uint16_t prev;
	uint16_t next;
} QUOLL_CACHE_ALIGNED;

/* What a poll still has to do for parents, in one word, so that a poll with nothing to do looks at one. */
struct nvme_split {
	uint16_t first;	  /* list of parents with something to send; NVME_NO_PARENT: none */
	uint16_t nr_done; /* that finished, with memory of the stream's to be unmapped */
};

static_assert(sizeof(struct nvme_split) == sizeof(uint32_t), "one word");

static_assert(sizeof(struct nvme_parent) == QUOLL_CACHE_LINE_BYTES, "a split request is one line");

/*
 * Between a queue's thread and the controller's. @state: number of the reset << 2 | one of enum nvme_link_state; CLEAN
 * is followed by CREATED, from the controller's thread, everything else is written by the queue's. @abort: 0, then
 * NVME_ABORT_WANTED | CID from the queue's thread, NVME_ABORT_TAKEN | CID from the controller's, and 0 again once the
 * device has answered.
 */
enum nvme_link_state {
	NVME_LINK_RUNNING,
	NVME_LINK_PAUSED,  /* no doorbell will be written */
	NVME_LINK_CLEAN,   /* rings are as the device wants them at creation */
	NVME_LINK_CREATED, /* the device has the queue */
};

#define NVME_ABORT_WANTED (1u << 16)
#define NVME_ABORT_TAKEN (1u << 17)

struct nvme_link {
	uint32_t state;
	uint32_t abort;
	uint32_t woken; /* wake_fd was written */
} QUOLL_CACHE_ALIGNED;

static inline uint32_t nvme_link_state(uint32_t reset_nr, enum nvme_link_state state)
{
	return reset_nr << 2 | state;
}

/* A doorbell on the long way; in @nr_spared registers were not written, because the shadow was enough. */
struct nvme_bell {
	volatile void *reg; /* NULL: not mapped, by message */
	quoll_le32 *shadow; /* NULL: none */
	quoll_le32 *event;
	uint64_t nr_spared;
};

struct quoll_nvme_queue {
	/* line 0: prep */
	union nvme_sq_slot *sq;
	struct nvme_slot *slots;
	uint16_t *free_slots; /* stack: the slot used last has warm lines */
	const struct nvme_namespace *ns;
	const struct quoll_heap *heap;
	struct prp_list lists;
	uint16_t sq_tail;
	uint16_t nr_free;
	uint16_t last_idx;
	uint16_t list_shift;

	/* line 1: submit and poll */
	volatile void *sq_db; /* NULL: the long way, nvme_queue_ring(); so is cq_db */
	struct nvme_cqe *cq;
	struct nvme_cqe *cq_last;
	volatile void *cq_db;
	uint32_t phase_bit; /* NVME_CQE_PHASE or 0: of entries that are new */
	uint16_t cq_head;
	uint16_t sq_rung; /* tail as the device knows it */
	uint16_t sq_head; /* last one believed */
	uint16_t qid;
	uint16_t slot_mask;
	uint16_t cid_step;
	struct nvme_split split;
	uint32_t busy_polls;
	uint64_t nr_completed;

	/* line 2: split requests, counters */
	struct nvme_parent *parents;
	uint16_t *free_parents;
	uint16_t nr_free_parents;
	uint16_t split_last;
	uint16_t split_reserve;
	uint16_t nr_unmapped; /* of the parents with something to send */
	bool paused;	      /* for a reset */
	int32_t dead;	      /* 0, or the -errno that requests are handed back with */
	uint64_t nr_sq_doorbells;
	uint64_t nr_cq_doorbells;
	uint64_t nr_submitted;
	/*
	 * By parent: memory that is not in the heap, or no bytes; NULL: no stream. While a parent is unmapped its bytes
	 * are in valid_bytes.
	 */
	struct quoll_stream_seg *segs;

	/* line 3: an empty poll looks whether a millisecond is over; then cold */
	uint64_t last_check QUOLL_CACHE_ALIGNED;
	uint64_t check_ticks;
	struct quoll_clock clock;
	uint64_t nr_bad_cid;
	uint64_t nr_bad_sqid;
	uint64_t nr_bad_sqhd;
	struct quoll_nvme *nvme;
	struct quoll_stream *stream;
	bool maps_late;			    /* a map is a system call, which those that are submitted together share */
	struct quoll_stream_seg *done_segs; /* split.nr_done of them */
	const struct nvme_ns_set *set;	    /* what the thread works with; @ns is in it */
	quoll_iova_t sq_iova;
	quoll_iova_t cq_iova;
	uint64_t sq_bytes;
	uint64_t cq_bytes;
	uint64_t lists_bytes;
	unsigned int entries;
	unsigned int nr_slots;
	unsigned int abandon_cursor;
	uint32_t sink; /* where doorbells go once the queue is paused or dead */
	bool sq_created;
	bool cq_created;
	uint32_t rings_nr; /* the last reset when they were created */

	/* recover.c */
	uint32_t reset_nr; /* the reset that it knows of */
	bool stale;	   /* namespaces have changed: nothing is kept */
	bool draining;	   /* paused: answers are taken, until so many completions were */
	uint64_t drain_until;
	bool resumed;	  /* a reset is over, and arm has not said so yet */
	bool untold;	  /* perhaps a slot is */
	bool wants_abort; /* perhaps a slot does */
	uint16_t nr_watches;
	int32_t quarantine;   /* slot that is free, but whose CID the device may still be asked to abort; -1: none */
	uint64_t watch_ticks; /* 0: no time-out */
	uint64_t last_watch;
	union nvme_sq_slot *saved; /* by slot, what was submitted; NULL: not to be sent again */
	uint8_t *nr_resubmits;	   /* by slot */
	uint64_t nr_timeouts;
	uint64_t nr_resubmitted;

	/* queue_sleep.c; without interrupts vector is 0 and all are -1 */
	bool attached; /* irq_fd to vector */
	unsigned int vector;
	int irq_fd;
	int wake_fd;  /* by the controller's thread, for a reset */
	int watch_fd; /* timer: time to look at what is in flight */
	int sleep_fd; /* epoll set: irq_fd, wake_fd, watch_fd, the device's events, the controller's dead_fd */

	struct nvme_bell bells[2] QUOLL_CACHE_ALIGNED; /* SQ tail, CQ head */

	struct nvme_link link;
};

#define NVME_ASSERT_LINE_(field, line)                                                                                 \
	static_assert(offsetof(struct quoll_nvme_queue, field) / QUOLL_CACHE_LINE_BYTES == (line),                     \
		      #field " left its cache line")
NVME_ASSERT_LINE_(sq, 0);
NVME_ASSERT_LINE_(list_shift, 0);
NVME_ASSERT_LINE_(sq_db, 1);
NVME_ASSERT_LINE_(nr_completed, 1);
NVME_ASSERT_LINE_(parents, 2);
NVME_ASSERT_LINE_(segs, 2);
NVME_ASSERT_LINE_(last_check, 3);
NVME_ASSERT_LINE_(clock, 3);
static_assert(offsetof(struct quoll_nvme_queue, sq_db) == QUOLL_CACHE_LINE_BYTES, "line 1 begins with sq_db");

/* controller.c */
uint32_t nvme_reg_read32(struct quoll_nvme *nvme, unsigned int offset);
void nvme_reg_write32(struct quoll_nvme *nvme, unsigned int offset, uint32_t value);
/* Write a doorbell that is not mapped. */
void nvme_doorbell_message(struct quoll_nvme *nvme, uint16_t qid, unsigned int is_cq, uint32_t value);
/* Address of a doorbell, NULL if it is not mapped. */
volatile void *nvme_doorbell_ptr(struct quoll_nvme *nvme, uint16_t qid, unsigned int is_cq);
/*
 * Is the controller still there and healthy? Looks once a millisecond at most, however many queues ask, and never in
 * two threads at once. Return: 0, or the -errno that ended it.
 */
int nvme_ctrl_check(struct quoll_nvme *nvme);
/* End it: DMA off first, then everybody is told. @why: -ENODEV or -EIO. Safe to call again. */
void nvme_ctrl_kill(struct quoll_nvme *nvme, int why);
/* Any thread may read it. */
static inline void nvme_set_dma_off(struct quoll_nvme *nvme, bool off)
{
	__atomic_store_n(&nvme->dma_off, off, __ATOMIC_RELAXED);
}

/* Against whoever checks: for what is marked so in the shared part, bus mastering, and @enabled. */
void nvme_ctrl_lock(struct quoll_nvme *nvme);
void nvme_ctrl_unlock(struct quoll_nvme *nvme);
/* A queue's thread wants a reset, which the controller's thread is to begin. */
void nvme_ctrl_want_reset(struct quoll_nvme *nvme);
/* Nobody has called ctrl_poll for so long that nobody will. */
bool nvme_ctrl_unattended(const struct quoll_nvme *nvme);
/* Somebody has called it. */
void nvme_ctrl_attend(struct quoll_nvme *nvme);
/* Number of Queues: the command, and what its answer grants. */
struct nvme_sqe nvme_queues_cmd(unsigned int wanted);
unsigned int nvme_queues_granted(uint32_t result);
int nvme_ctrl_dead(const struct quoll_nvme *nvme);
/* "CSTS 0x…: …" for messages. */
const char *nvme_csts_text(uint32_t csts);

/* bringup.c */
int nvme_ctrl_read_cap(struct quoll_nvme *nvme, struct quoll_error *err);
int nvme_ctrl_disable(struct quoll_nvme *nvme, struct quoll_error *err);
int nvme_ctrl_enable(struct quoll_nvme *nvme, struct quoll_error *err);
/* The same without waiting: write the registers, then look until it is so. Return: 0, -EAGAIN: not yet, -ENODEV, -EIO.
 */
void nvme_ctrl_disable_begin(struct quoll_nvme *nvme);
int nvme_ctrl_enable_begin(struct quoll_nvme *nvme, struct quoll_error *err);
int nvme_ctrl_ready_look(struct quoll_nvme *nvme, unsigned int want, const char *stage, struct quoll_error *err);
int nvme_ctrl_shutdown(struct quoll_nvme *nvme);

/* admin.c */
int nvme_admin_init(struct quoll_nvme *nvme, const struct quoll_nvme_opts *opts, struct quoll_error *err);
/* Forget ring positions, after the controller was enabled. Return: 0, -EPROTO if its doorbells are outside BAR0. */
int nvme_admin_start(struct quoll_nvme *nvme, struct quoll_error *err);
/* Send a command in a slot that is not busy. Return: false: the ring is full for now. */
bool nvme_admin_send(struct quoll_nvme *nvme, unsigned int idx, const struct nvme_sqe *cmd);
/*
 * Take what has been answered. Return: status of the command in the slot, -EINPROGRESS, or -ETIMEDOUT: it is late, and
 * goes on being busy.
 */
int nvme_admin_answer(struct quoll_nvme *nvme, unsigned int idx, uint32_t *result);
/*
 * Return: 0, positive status, -ETIMEDOUT (the controller is dead or cut off by a reset then), -ECANCELED (cut off by a
 * reset), -ENODEV, -EIO.
 */
int nvme_admin_exec(struct quoll_nvme *nvme, const struct nvme_sqe *cmd, uint32_t *result);
/* Turn what nvme_admin_exec() returned into an error text. Return: -errno. */
int nvme_admin_error(struct quoll_nvme *nvme, int rc, const char *command, struct quoll_error *err);

/* doorbell.c */
/* If it is to be, make the buffers and tell the controller; before any I/O queue. Return: 0 also where there are none.
 */
int nvme_shadow_init(struct quoll_nvme *nvme, struct quoll_error *err);
/* The command, again after each reset, and what follows from its answer, @rc as nvme_admin_exec() returned it. */
struct nvme_sqe nvme_shadow_cmd(const struct quoll_nvme *nvme);
int nvme_shadow_answer(struct quoll_nvme *nvme, int rc, struct quoll_error *err);
/* The queue's doorbells as they are now, at creation and after a reset. */
void nvme_queue_bells_open(struct quoll_nvme_queue *queue);
/* Shadows begin at 0 with the queue, which the controller does not have now. */
void nvme_queue_bells_clear(struct quoll_nvme_queue *queue);
/* The long way: by shadow, mapped register, or message. Entries come before it with quoll_mmio_wmb(). */
void nvme_queue_ring(struct quoll_nvme_queue *queue, unsigned int is_cq, uint32_t value);

/* identify.c */
/* The data will be in nvme->admin.data, which the controller may go on writing: copy it before looking. */
struct nvme_sqe identify_cmd(const struct quoll_nvme *nvme, uint8_t cns, uint32_t nsid);
int identify_controller(struct quoll_nvme *nvme, struct quoll_error *err);
/* After a reset; @rc is what the command's slot said. Return: 0, -EIO: it is not the controller that it was. */
int identify_controller_again(struct quoll_nvme *nvme, int rc, struct quoll_error *err);
/* A text field of a fixed size, made printable and trimmed. @dst has room for @len + 1. */
void nvme_text_copy(char *dst, const char *src, size_t len);

/* namespace.c */
int nvme_namespaces_read(struct quoll_nvme *nvme, struct quoll_error *err);
void nvme_ns_set_free(struct nvme_ns_set *set);
struct nvme_namespace *nvme_ns_lookup(const struct nvme_ns_set *set, uint32_t nsid);
/* What Format and the like may have changed is not to be used any more. */
void nvme_ns_mark_stale(struct quoll_nvme *nvme, uint32_t nsid);
/* Whether both tell of the same namespaces, of the same size and format. */
bool nvme_ns_set_same(const struct nvme_ns_set *a, const struct nvme_ns_set *b);
void nvme_ns_reader_init(struct nvme_ns_reader *reader);
/* What is left is freed; the set too, unless the caller has taken it. */
void nvme_ns_reader_fini(struct nvme_ns_reader *reader);
/* The next command. Return: false: all is read, reader->set is complete. */
bool nvme_ns_reader_next(const struct quoll_nvme *nvme, const struct nvme_ns_reader *reader, struct nvme_sqe *cmd);
/* Its answer, @rc as nvme_admin_exec() returned it. */
int nvme_ns_reader_take(struct quoll_nvme *nvme, struct nvme_ns_reader *reader, int rc, struct quoll_error *err);
/* Fill @ns in from identify data; pure. @csi: command set. */
void nvme_ns_parse(struct nvme_namespace *ns, const struct nvme_id_ns *id, uint8_t csi, uint32_t max_transfer_bytes);

/* queue_setup.c */
/* Create I/O Completion Queue, then Create I/O Submission Queue. */
struct nvme_sqe nvme_queue_create_cmd(const struct quoll_nvme_queue *queue, bool is_sq);

/* A counter of one thread that others may read. */
static inline void nvme_count(uint64_t *counter)
{
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/* reset.c, abort.c: the controller's thread. */
/* Nobody has asked for it. Return: false: it would be one too many, and the controller was given up. */
bool nvme_reset_own(struct quoll_nvme *nvme, const char *why);
/* Whatever there is to do, without waiting. Return: 0, or the -errno that ended the controller. */
int nvme_ctrl_work(struct quoll_nvme *nvme);
/* Wait until no reset goes on and no queue is being created again; or only until the device is cut off from memory. */
int nvme_reset_finish(struct quoll_nvme *nvme);
int nvme_reset_wait_stopped(struct quoll_nvme *nvme);
/* A command was not answered: what enum quoll_nvme_recovery says. Return: true: a reset goes on. */
bool nvme_ctrl_trouble(struct quoll_nvme *nvme, const char *why);
void nvme_abort_work(struct quoll_nvme *nvme);
/* The queue goes; all of them: the device forgets what it was asked. */
void nvme_abort_forget(struct quoll_nvme *nvme, const struct quoll_nvme_queue *queue);
void nvme_abort_forget_all(struct quoll_nvme *nvme);

/* recover.c: the queue's thread. */
/* Once a millisecond, and in each idle poll of a paused queue. Return: completions in @comps now. */
unsigned int nvme_queue_look(struct quoll_nvme_queue *queue, struct quoll_nvme_completion *comps, unsigned int n,
			     unsigned int max);
/* Something waits for the thread in its next look. */
bool nvme_queue_has_news(const struct quoll_nvme_queue *queue);
/* Hand back what is in flight, or what of it is not kept. Return: completions in @comps now. */
unsigned int nvme_queue_hand_back(struct quoll_nvme_queue *queue, struct quoll_nvme_completion *comps, unsigned int n,
				  unsigned int max);
bool nvme_queue_handed_back(const struct quoll_nvme_queue *queue);
/* What a completion answers that does not just fit its slot. */
enum nvme_taken {
	NVME_TAKEN_NOTHING,
	NVME_TAKEN,
	NVME_TAKEN_NOT_REUSABLE, /* in flight no more, but its CID may still be aborted */
};

__attribute__((cold)) enum nvme_taken nvme_queue_take_flagged(struct quoll_nvme_queue *queue, uint32_t cid);
/* Remember the entries before @tail, @nr of them. */
void nvme_queue_save(struct quoll_nvme_queue *queue, uint32_t tail, uint32_t nr);
int nvme_queue_recover_init(struct quoll_nvme_queue *queue, enum quoll_nvme_on_reset on_reset);
void nvme_queue_recover_fini(struct quoll_nvme_queue *queue);

/* queue.c */
bool nvme_queue_completion_is_there(const struct quoll_nvme_queue *queue);

/* queue_sleep.c */
/* From the controller's thread: wake the queue's, so that it looks. */
void nvme_queue_wake(struct quoll_nvme_queue *queue);
/* Find the queue a vector and make its descriptors; undone by nvme_queue_sleep_fini(), also after a failure. */
int nvme_queue_sleep_init(struct quoll_nvme_queue *queue, struct quoll_error *err);
void nvme_queue_sleep_fini(struct quoll_nvme_queue *queue);
/* Of the controller: after the last queue. */
void nvme_vectors_disable(struct quoll_nvme *nvme);

/* split.c: parts of split requests */
struct nvme_io {
	const struct nvme_namespace *ns;
	quoll_iova_t iova;
	uint64_t lba;
	uint32_t nr_lbas;
	uint32_t bytes;
	uint32_t nsid;
	uint8_t opcode;
	uint64_t user_data;
};

static inline bool nvme_split_is_idle(const struct nvme_split *split)
{
	static const struct nvme_split idle = {.first = NVME_NO_PARENT};

	return !memcmp(split, &idle, sizeof(idle));
}

int nvme_split_start(struct quoll_nvme_queue *queue, const struct nvme_io *io);
/* The same for memory that is not in the heap, even if it is a request of one part: @io's IOVA comes from the stream.
 */
int nvme_split_start_streamed(struct quoll_nvme_queue *queue, struct nvme_io *io, const void *va, uint64_t bytes);
/* Devices are away from the memory of all requests that were not finished. */
void nvme_split_unmap_all(struct quoll_nvme_queue *queue);
/* What was streamed of requests that have finished in this poll is unmapped, all at once. */
void nvme_split_unmap_done(struct quoll_nvme_queue *queue);
/*
 * Send on what there is room for, one doorbell. Return: completions in @comps now: @n, and requests with nothing in
 * flight of which nothing may be sent any more.
 */
unsigned int nvme_split_continue(struct quoll_nvme_queue *queue, struct quoll_nvme_completion *comps, unsigned int n,
				 unsigned int max);
/* A part is back. Return: true if that was the last one and @comp is filled in. */
bool nvme_split_part_done(struct quoll_nvme_queue *queue, uint16_t parent, const struct quoll_nvme_completion *part,
			  struct quoll_nvme_completion *comp);
/* Send nothing more of a request that is listed; it comes back with -ECANCELED at least. */
void nvme_split_cancel(struct quoll_nvme_queue *queue, uint16_t idx);
/* A request of which nothing is in flight and nothing more is to be sent. Return: false if there is none left. */
bool nvme_split_abandon(struct quoll_nvme_queue *queue, int error, struct quoll_nvme_completion *comp);

/* Distance from @lba to the next multiple of the namespace's boundary. Division-free. */
static inline uint32_t nvme_boundary_room(const struct nvme_namespace *ns, uint64_t lba)
{
	/* recip = floor((2^64 - 1) / boundary), so the quotient is right or one too small. */
	uint64_t quotient = (uint64_t)(((unsigned __int128)lba * ns->boundary_recip) >> 64);
	uint64_t rest = lba - quotient * ns->boundary_lbas;

	if (rest >= ns->boundary_lbas)
		rest -= ns->boundary_lbas;
	return ns->boundary_lbas - (uint32_t)rest;
}

/* How many of @nr_lbas blocks from @lba the first command may have. */
static inline uint32_t nvme_split_first_lbas(const struct nvme_namespace *ns, uint64_t lba, uint32_t nr_lbas)
{
	uint32_t n = nr_lbas < ns->max_lbas ? nr_lbas : ns->max_lbas;

	if (ns->boundary_lbas) {
		uint32_t room = nvme_boundary_room(ns, lba);

		if (n > room)
			n = room;
	}
	return n;
}

/* Take a free slot; there must be one. Return: its CID; the slot is in flight from now on. */
static inline uint16_t nvme_slot_take(struct quoll_nvme_queue *queue, uint64_t user_data)
{
	uint16_t nr_free = queue->nr_free - 1;
	struct nvme_slot *slot = &queue->slots[queue->free_slots[nr_free]];
	uint16_t cid = (uint16_t)(slot->expect + queue->cid_step);

	queue->nr_free = nr_free;
	slot->expect = cid;
	slot->user_data = user_data;
	return cid;
}

static inline void nvme_sq_advance(struct quoll_nvme_queue *queue, uint16_t tail)
{
	queue->sq_tail = tail == queue->last_idx ? 0 : (uint16_t)(tail + 1);
}

static inline struct prp_list nvme_slot_list(const struct quoll_nvme_queue *queue, uint16_t cid)
{
	size_t off = (size_t)(cid & queue->slot_mask) << queue->list_shift;

	return (struct prp_list){
		.entries = (quoll_le64 *)((char *)queue->lists.entries + off),
		.iova = queue->lists.iova + off,
	};
}

/*
 * One read or write into the submission queue; there must be a free slot. PRP entry 2 is left to the caller. What is
 * always zero in our entries (dwords 2 to 5, 13 to 15) is so since the queue's memory was allocated, and is not written
 * again.
 */
static inline struct nvme_sqe_rw *nvme_queue_push(struct quoll_nvme_queue *queue, const struct nvme_io *io,
						  uint16_t *cid)
{
	uint16_t tail = queue->sq_tail;
	struct nvme_sqe_rw *sqe = &queue->sq[tail].rw;

	*cid = nvme_slot_take(queue, io->user_data);
	nvme_sq_advance(queue, tail);
	sqe->cdw0 = quoll_cpu_to_le32(io->opcode | (uint32_t)*cid << 16);
	sqe->nsid = quoll_cpu_to_le32(io->nsid);
	sqe->slba = quoll_cpu_to_le64(io->lba);
	sqe->nlb = quoll_cpu_to_le32(io->nr_lbas - 1);
	sqe->prp1 = quoll_cpu_to_le64(io->iova);
	return sqe;
}

#endif
