/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * path.c - see path.h.
 *
 * A frame carries the time at which it was due, not the one at which it was sent: what waits, because the port was full
 * or this thread late, has waited, and its latency says so.
 */
#include "path.h"

static void enter(struct source *s, enum source_phase phase)
{
	__atomic_store_n(&s->phase, phase, __ATOMIC_RELEASE);
}

/* What was warm-up counts for nothing: numbers begin anew. */
static void begin_to_measure(struct source *s)
{
	for (uint32_t i = 0; i < s->nr_flows; i++) {
		s->nr_warm_up += s->flows[i].nr_sent;
		s->flows[i].nr_sent = 0;
	}
	s->limit = s->end;
	enter(s, SOURCE_MEASURE);
}

static void finish(struct source *s, uint64_t now)
{
	uint64_t due = (uint64_t)(s->due >> 32);

	if (s->phase == SOURCE_WARM_UP)
		begin_to_measure(s); /* and nothing was */
	s->behind_ticks = now > due ? now - due : 0;
	s->done_ticks = now;
	enter(s, SOURCE_DONE);
}

static uint32_t send_burst(struct source *s, struct quoll_buf *const *bufs, uint32_t n)
{
	uint32_t sent = quoll_tx(s->txq, bufs, n);

	if (QUOLL_LIKELY(sent == n))
		return sent;
	quoll_count(&s->nr_full, 1);
	s->nr_pending = n - sent;
	/* bufs may be pending itself. */
	memmove(s->pending, bufs + sent, s->nr_pending * sizeof(s->pending[0]));
	return sent;
}

/* The frames that are due, up to a burst: how long each is, and when it was due. Return: how many. */
static uint32_t plan_burst(struct source *s, uint64_t now, uint16_t *sizes, uint64_t *dues)
{
	uint32_t n = 0, size = s->size, max = s->nr_left < s->burst ? (uint32_t)s->nr_left : s->burst;
	unsigned __int128 due = s->due;

	while (n < max && (uint64_t)(due >> 32) <= now && (uint64_t)(due >> 32) < s->limit) {
		sizes[n] = s->sizes[size];
		dues[n] = (uint64_t)(due >> 32);
		due += shape_step(&s->pace, sizes[n++]);
		size = size + 1 == s->nr_sizes ? 0 : size + 1;
	}
	return n;
}

static uint64_t fill_burst(struct source *s, struct quoll_buf *const *bufs, uint32_t n, const uint16_t *sizes,
			   const uint64_t *dues)
{
	uint32_t flow = s->flow, size = s->size;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t frame_bytes = sizes[i] - SHAPE_FCS_BYTES;

		flow_fill(&s->layout, &s->flows[flow], dues[i], quoll_buf_data(bufs[i]), frame_bytes);
		bufs[i]->data_bytes = bufs[i]->total_bytes = frame_bytes;
		bytes += frame_bytes;
		s->due += shape_step(&s->pace, sizes[i]);
		flow = flow + 1 == s->nr_flows ? 0 : flow + 1;
		size = size + 1 == s->nr_sizes ? 0 : size + 1;
	}
	s->flow = flow;
	s->size = size;
	return bytes;
}

/* Nothing is due: the phase may be over. */
static __attribute__((noinline)) void look_at_phase(struct source *s, uint64_t now)
{
	if (s->phase == SOURCE_WARM_UP && (uint64_t)(s->due >> 32) >= s->limit)
		begin_to_measure(s);
	else if (s->phase == SOURCE_MEASURE && (!s->nr_left || (uint64_t)(s->due >> 32) >= s->limit))
		finish(s, now);
}

/* The port takes nothing, and may never: the end comes all the same. */
static __attribute__((noinline)) void look_at_end(struct source *s)
{
	uint64_t now = quoll_ticks(&s->clock);

	if (s->phase != SOURCE_DONE && now >= s->end)
		finish(s, now);
}

static void count_burst(struct source *s, uint32_t n, uint64_t bytes)
{
	if (QUOLL_UNLIKELY(s->phase != SOURCE_MEASURE))
		return;
	quoll_count(&s->nr_packets, n);
	quoll_count(&s->nr_bytes, bytes);
	if (s->nr_left != UINT64_MAX)
		s->nr_left -= n;
}

int source_poll(void *arg)
{
	struct quoll_buf *bufs[GEN_MAX_BURST];
	uint64_t dues[GEN_MAX_BURST], now;
	uint16_t sizes[GEN_MAX_BURST];
	struct source *s = arg;
	uint32_t n;

	if (QUOLL_UNLIKELY(s->nr_pending)) {
		n = s->nr_pending;
		s->nr_pending = 0;
		n = send_burst(s, s->pending, n);
		if (s->nr_pending) {
			look_at_end(s);
			return (int)n;
		}
	}
	if (QUOLL_UNLIKELY(s->phase == SOURCE_DONE))
		return 0;
	now = quoll_ticks(&s->clock);
	if (s->unlimited)
		s->due = (unsigned __int128)now << 32;
	if (QUOLL_UNLIKELY(now >= s->end)) { /* what was due and could not be sent stays unsent */
		finish(s, now);
		return 0;
	}
	n = plan_burst(s, now, sizes, dues);
	if (!n) {
		look_at_phase(s, now);
		return 0;
	}
	if (QUOLL_UNLIKELY(quoll_buf_get(s->cache, bufs, n))) {
		quoll_count(&s->nr_no_buf, 1);
		return 0;
	}
	count_burst(s, n, fill_burst(s, bufs, n, sizes, dues));
	send_burst(s, bufs, n);
	return (int)n;
}

/* What is pending was counted when it was filled; it is the last that was, and flows take turns. */
static void uncount_pending(struct source *s)
{
	uint32_t flow = (s->flow + s->nr_flows - s->nr_pending % s->nr_flows) % s->nr_flows;
	uint64_t bytes = 0;

	s->nr_unsent += s->nr_pending;
	/* Of a warm-up that was over only with the end: its flows begin anew then, see begin_to_measure(). */
	if (s->phase == SOURCE_DONE && !s->nr_packets) {
		s->nr_warm_up -= s->nr_pending;
		return;
	}
	for (uint32_t i = 0; i < s->nr_pending; i++) {
		s->flows[flow].nr_sent--;
		bytes += s->pending[i]->total_bytes;
		flow = flow + 1 == s->nr_flows ? 0 : flow + 1;
	}
	if (s->phase == SOURCE_WARM_UP)
		return;
	quoll_count(&s->nr_packets, -(uint64_t)s->nr_pending);
	quoll_count(&s->nr_bytes, -bytes);
}

void source_give_back(struct source *s)
{
	if (s->nr_pending)
		uncount_pending(s);
	for (uint32_t i = 0; i < s->nr_pending; i++)
		quoll_buf_put_chain(s->cache, s->pending[i]);
	s->nr_pending = 0;
}

/* The sink. */

/* Elsewhere than where it was put: a tag more or less, other headers. */
static __attribute__((noinline)) bool look_for_stamp(const struct sink *s, const struct quoll_buf *buf,
						     struct stamp *stamp)
{
	struct quoll_frame f;
	uint32_t at;

	if (quoll_frame_parse(buf, &f) || f.l4 != QUOLL_L4_UDP)
		return false;
	at = (uint32_t)f.l2_bytes + f.l3_bytes + f.l4_bytes;
	return at + STAMP_BYTES <= f.l4_end && (uint64_t)at + STAMP_BYTES <= buf->data_bytes &&
	       stamp_read((uint8_t *)quoll_buf_data(buf) + at, stamp, s->layout.key);
}

static inline bool find_stamp(const struct sink *s, const struct quoll_buf *buf, struct stamp *stamp)
{
	uint32_t at = s->layout.stamp_at;

	if (QUOLL_LIKELY(buf->data_bytes >= at + STAMP_BYTES) &&
	    stamp_read((uint8_t *)quoll_buf_data(buf) + at, stamp, s->layout.key))
		return true;
	return look_for_stamp(s, buf, stamp);
}

/* What a burst counts. Stamps @earliest to @latest are of frames that count; what is later makes no sense. */
struct taken {
	uint64_t earliest;
	uint64_t latest;
	uint64_t packets;
	uint64_t bytes;
	uint64_t warm_up;
	uint64_t foreign;
	uint64_t odd;
	uint32_t links;
};

static inline void take(struct sink *s, const struct quoll_buf *buf, uint64_t now, struct taken *t)
{
	struct stamp stamp;

	t->links |= buf->nr_links;
	if (QUOLL_UNLIKELY(!find_stamp(s, buf, &stamp))) {
		t->foreign++;
		return;
	}
	if (QUOLL_UNLIKELY(stamp.flow - s->first_flow >= s->nr_flows || stamp.due_ticks > t->latest)) {
		t->odd++;
		return;
	}
	if (QUOLL_UNLIKELY(stamp.due_ticks < t->earliest)) {
		t->warm_up++;
		return;
	}
	t->packets++;
	t->bytes += buf->total_bytes;
	track_take(&s->tracks[stamp.flow], stamp.seq);
	if (s->stamps_tell)
		quoll_hist_record(&s->latency, quoll_ticks_to_ns(&s->clock, now - stamp.due_ticks));
}

/* Into the cache whose pool they are of: the other way takes longer. */
static void give_back(struct sink *s, struct quoll_buf *const *bufs, uint32_t n, uint32_t links)
{
	struct quoll_buf_cache *cache = s->caches[0];

	if (bufs[0]->pool == s->caches[1]->pool)
		cache = s->caches[1];
	if (QUOLL_LIKELY(links == 1)) {
		quoll_buf_put(cache, bufs, n);
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		quoll_buf_put_chain(cache, bufs[i]);
}

int sink_poll(void *arg)
{
	struct quoll_buf *bufs[GEN_MAX_BURST];
	struct taken t = {.links = 0};
	struct sink *s = arg;
	uint32_t n = quoll_rx(s->rxq, bufs, s->burst);
	uint64_t now;

	if (!n)
		return 0;
	now = quoll_ticks(&s->clock);
	t.earliest = !s->by_arrival ? s->begin : now < s->begin ? UINT64_MAX : 0;
	t.latest = s->stamps_tell ? now : UINT64_MAX;
	for (uint32_t i = 0; i < n; i++)
		take(s, bufs[i], now, &t);
	give_back(s, bufs, n, t.links);
	quoll_count(&s->nr_packets, t.packets);
	quoll_count(&s->nr_bytes, t.bytes);
	if (QUOLL_UNLIKELY(t.packets != n)) {
		quoll_count(&s->nr_warm_up, t.warm_up);
		quoll_count(&s->nr_foreign, t.foreign);
		quoll_count(&s->nr_odd, t.odd);
	}
	return (int)n;
}
