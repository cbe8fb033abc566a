/* SPDX-License-Identifier: Apache-2.0 */
/*
 * invq - the queue of invalidation commands: fetch, carry out, complete in order.
 *
 * A wait command that follows a draining invalidation is held until the DMA of every
 * translation looked up before that invalidation has reached memory. (Epochs: each look-up
 * belongs to the present one, a draining invalidation opens the next.)
 *
 * A queue that is switched off is busy until the command at hand is done and the read under
 * way has come; what was fetched and not begun stays undone. One that is switched on before
 * that begins behind it.
 */
#include "iommu_model/arch.h"

#include <string.h>

enum { FETCH_LINE_BYTES = 64 };

static uint32_t commands_to_fetch(const struct iommu *m)
{
    const struct invq *q = &m->invq;
    uint32_t n           = (q->tail - q->head) & (q->entries - 1);
    const uint32_t line  = FETCH_LINE_BYTES / q->entry_bytes;
    const uint32_t room  = line - q->head % line; /* A read stays in one line. */
    n                    = n < room ? n : room;
    return n < m->config.invq.fetch_commands ? n : m->config.invq.fetch_commands;
}

static void fetch(struct iommu *m, cycle_t presented)
{
    struct invq *q = &m->invq;
    q->state       = INVQ_FETCHING;
    q->fetched     = commands_to_fetch(m);
    q->next        = 0;
    q->late = q->void_fetch = false;
    iommu_read(m, MEMPORT_INVQ, q->base + (uint64_t)q->head * q->entry_bytes,
               q->fetched * q->entry_bytes / 8, presented);
}

/* From the one that is carried out, or would be next, to the tail. */
static uint32_t commands_queued(const struct invq *q)
{
    const bool none_yet  = q->state == INVQ_IDLE || q->state == INVQ_FETCHING || q->orphan;
    const uint32_t first = none_yet ? q->head : q->current;
    return q->enabled ? (q->tail - first) & (q->entries - 1) : 0;
}

void invq_measure(struct iommu *m, cycle_t now)
{
    struct invq *q = &m->invq;
    if (now > q->queued_since) { /* The time up to now belongs to the old length. */
        m->stats.queued_cycles += q->queued * (now - q->queued_since);
        q->queued_since = now;
    }
    q->queued = commands_queued(q);
    if (q->queued > q->queued_most)
        q->queued_most = q->queued;
}

void invq_kick(struct iommu *m, cycle_t now)
{
    const struct invq *q = &m->invq;
    invq_measure(m, now);
    if (q->enabled && !q->halted && !q->timed_out && q->state == INVQ_IDLE
        && q->head != q->tail)
        fetch(m, cycle_max(now + m->config.invq.start_cycles, q->ready_at));
}

static void go_on(struct iommu *m, cycle_t now)
{
    struct invq *q = &m->invq;
    q->state       = INVQ_EXECUTING;
    q->orphan      = false;
    q->ready_at    = now + m->config.invq.next_cycles;
    if (q->next < q->fetched)
        iommu_schedule(m, ITEM_INVQ, now + m->config.invq.execute_cycles);
    else if (q->head != q->tail && q->enabled && !q->halted && !q->timed_out)
        fetch(m, q->ready_at);
    else
        q->state = INVQ_IDLE;
}

static void move_head(struct iommu *m, cycle_t now)
{
    struct invq *q = &m->invq;
    q->head        = (q->head + 1) & (q->entries - 1);
    if (m->watcher != NULL && m->watcher->head_moved != NULL)
        m->watcher->head_moved(m->watcher->self, q->head, now);
}

static void complete(struct iommu *m, const struct iommu_command *c, cycle_t now)
{
    struct invq *q = &m->invq;
    if (m->watcher != NULL && m->watcher->command_done != NULL)
        m->watcher->command_done(m->watcher->self, q->current, now);
    if (!m->config.invq.early_head && !q->orphan)
        move_head(m, now);
    q->fence_armed = q->late = false;
    q->next++;
    q->current = (q->current + 1) & (q->entries - 1);
    m->stats.command++;
    invq_measure(m, now);
    if (!c->writes_status) /* Else when the status is there. */
        m->arch->completed(m, c, now);
}

static void decode(struct iommu *m, struct iommu_command *c)
{
    const struct invq *q = &m->invq;
    *c                   = (struct iommu_command){ .kind = COMMAND_NOTHING };
    m->arch->decode(m, &q->data[q->next * q->entry_bytes / 8], c);
}

bool invq_invalidates(struct iommu *m, cycle_t now)
{
    struct iommu_command c;
    if (m->invq.state != INVQ_EXECUTING
        || wheel_item_due(&m->wheel, item_single(m, ITEM_INVQ)) != now)
        return false;
    decode(m, &c);
    return c.kind == COMMAND_IOTLB;
}

/* ---- Effects
 * ----------------------------------------------------------------------------- */

void iommu_tell_invalidated(struct iommu *m, const struct inv_selector *selector)
{
    if (m->watcher != NULL && m->watcher->invalidated != NULL)
        m->watcher->invalidated(m->watcher->self, selector);
}

void iommu_invalidate_translations(struct iommu *m, const struct inv_selector *selector)
{
    if (iotlb_is_deaf(&m->iotlb, selector))
        return;
    iommu_tell_invalidated(m, selector);
    iotlb_invalidate(&m->iotlb, selector);
    if (!selector->leaf_only)
        walkcache_invalidate(&m->walkcache, selector);
    walker_flush(m, selector);
}

/*
 * The drain waits for what was looked up so far; look-ups from now on belong to a new
 * epoch, so that it need not wait for them. An epoch with nothing under way stays the
 * present one: the drain then is of those before it. If the oldest epoch is a whole ring
 * behind, new look-ups join the present one, which is only slower.
 */
uint32_t iommu_begin_drain(struct iommu *m)
{
    const bool empty     = m->epoch_open[m->epoch % IOMMU_EPOCHS] == 0;
    const uint32_t epoch = empty ? m->epoch - 1 : m->epoch;
    if (!empty && m->epoch - m->oldest + 1 < IOMMU_EPOCHS)
        m->epoch++;
    return epoch;
}

bool iommu_drained(const struct iommu *m, uint32_t epoch)
{
    return m->oldest > epoch
           || (m->oldest == epoch && m->epoch_open[epoch % IOMMU_EPOCHS] == 0);
}

static void begin_drain(struct iommu *m)
{
    m->invq.drain       = true;
    m->invq.drain_epoch = iommu_begin_drain(m);
}

static void invalidate_iotlb(struct iommu *m, const struct iommu_command *c)
{
    iommu_invalidate_translations(m, &c->selector);
    m->stats.command_iotlb++;
    if (c->drain)
        begin_drain(m);
}

static void invalidate_contexts(struct iommu *m, const struct iommu_command *c, cycle_t now)
{
    if (!c->process_only)
        context_cache_invalidate(&m->device_contexts, c->drop_context, c->context_arg);
    if (!c->device_only)
        context_cache_invalidate(&m->process_contexts, c->drop_context, c->context_arg);
    context_walk_flush(m);
    iommu_tell_invalidated(m, NULL);
    m->contexts_dropped++;
    if (m->config.context.refetch)
        walker_refetch(m, now);
    m->stats.command_context++;
}

static void issue_write(struct iommu *m, const struct iommu_command *c, cycle_t now)
{
    const cycle_t issued = now + m->config.invq.write_cycles;
    const cycle_t due =
        issued + cycle_at_or_after(m->config.write_ps, m->config.iommu.period_ps);
    if (m->watcher != NULL && m->watcher->write_issued != NULL)
        m->watcher->write_issued(m->watcher->self, c->status_pa, 1, issued, due);
    const struct memport_remote *remote = m->config.remote;
    *write_ring_push(&m->invq.writes) =
        (struct invq_write){ remote == NULL ? due : CYCLE_NEVER, c->status_pa, c->status,
                             c->status_bytes, c->interrupts };
    if (remote != NULL)
        remote->write(remote->self, MEMPORT_STATUS, c->status_pa, &c->status,
                      c->status_bytes, cycle_time(issued, m->config.iommu.period_ps));
    iommu_schedule(m, ITEM_WRITE, write_ring_front(&m->invq.writes)->due);
}

/* A wait that neither writes nor interrupts: a device before it has not answered. */
static void give_wait_up(struct iommu *m, cycle_t now)
{
    static const struct iommu_command aborted = { .kind = COMMAND_WAIT };
    m->stats.command_wait++;
    complete(m, &aborted, now);
    go_on(m, now);
}

/* False: the command has to be tried again, when the drain is over or a write is through.
 */
static bool pass_wait(struct iommu *m, const struct iommu_command *c, cycle_t now)
{
    struct invq *q = &m->invq;
    if (q->late) {
        give_wait_up(m, now);
        return true;
    }
    if (c->drains_all && !q->fence_armed) {
        q->fence_armed = true;
        begin_drain(m);
    }
    if (q->drain && !iommu_drained(m, q->drain_epoch)) {
        q->state       = INVQ_DRAINING;
        q->drain_since = now;
        return false;
    }
    q->drain = false;
    if (q->sent_count > 0) {
        q->state       = INVQ_DEVICES;
        q->drain_since = now;
        return false;
    }
    if (c->writes_status && write_ring_full(&q->writes)) {
        q->state = INVQ_WRITING;
        return false;
    }
    m->stats.command_wait++;
    complete(m, c, now);
    if (c->writes_status)
        issue_write(m, c, now);
    if (c->writes_status && m->config.invq.write_waits)
        q->state = INVQ_WRITING;
    else
        go_on(m, now);
    return true;
}

/* ---- Device TLBs
 * ------------------------------------------------------------------------- */

static uint32_t under_way(const struct invq *q, uint16_t requester)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < ATS_ITAGS; i++)
        n += q->sent[i].in_use && q->sent[i].requester == requester;
    return n;
}

static unsigned free_tag(const struct invq *q)
{
    unsigned i = 0;
    while (i < ATS_ITAGS && q->sent[i].in_use)
        i++;
    return i;
}

static cycle_t timeout_cycles(const struct iommu *m)
{
    return cycle_at_or_after(m->config.invq.device_timeout_us * TIME_US,
                             m->config.iommu.period_ps);
}

/* A message that no client knows a device for gets lost, and its time will run out. */
static void deliver(struct iommu *m, const struct port_invalidation *i, cycle_t now)
{
    const sim_time_t time = cycle_time(now, m->config.iommu.period_ps);
    for (uint32_t c = 0; c < m->client_count; c++)
        if (m->client[c].invalidate != NULL
            && m->client[c].invalidate(m->client[c].invalidate_self, i, time))
            return;
}

/* False: there is no tag for it; it is tried again when an answer has come. */
static bool send_device(struct iommu *m, const struct iommu_command *c, cycle_t now)
{
    struct invq *q             = &m->invq;
    struct port_invalidation i = c->device;
    const unsigned tag         = free_tag(q);
    if (tag == ATS_ITAGS || under_way(q, i.requester) >= c->device_depth) {
        q->state       = INVQ_TAGS;
        q->drain_since = now;
        return false;
    }
    i.itag       = (uint8_t)tag;
    q->sent[tag] = (struct invq_sent){ .in_use    = true,
                                       .requester = i.requester,
                                       .sent      = now,
                                       .deadline  = now + timeout_cycles(m) };
    q->sent_count++;
    iommu_schedule(m, ITEM_DEVICES, q->sent[tag].deadline);
    deliver(m, &i, now);
    m->stats.command_device++;
    return true;
}

static void settle_sent(struct iommu *m, struct invq_sent *s)
{
    const uint32_t item = item_single(m, ITEM_DEVICES);
    s->in_use           = false;
    if (--m->invq.sent_count == 0 && wheel_item_due(&m->wheel, item) != CYCLE_NEVER)
        wheel_remove(&m->wheel, item);
}

/* Who waits for an answer may go on. */
static void try_again(struct iommu *m, cycle_t now)
{
    const struct invq *q = &m->invq;
    if (q->state == INVQ_TAGS || (q->state == INVQ_DEVICES && q->sent_count == 0))
        iommu_schedule(m, ITEM_INVQ, now);
}

void invq_answered(struct iommu *m, uint16_t requester, uint32_t itags,
                   unsigned completions, cycle_t now)
{
    bool wrong = false;
    for (; itags != 0; itags &= itags - 1) {
        struct invq_sent *s = &m->invq.sent[__builtin_ctz(itags)];
        if (!s->in_use || s->requester != requester) {
            wrong = true;
            continue;
        }
        if (++s->answers < completions)
            continue;
        m->stats.device_answer_cycles += now - s->sent;
        settle_sent(m, s);
    }
    if (wrong && m->arch->device_wrong != NULL)
        m->arch->device_wrong(m, requester, now);
    try_again(m, now);
}

/* What has not come to its turn stays in the queue, and is fetched again when software has
 * cleared the error. */
static void forget_fetched(struct iommu *m)
{
    struct invq *q     = &m->invq;
    const bool is_done = q->state == INVQ_WRITING && m->config.invq.write_waits;
    q->void_fetch      = q->state == INVQ_FETCHING;
    if (q->next < q->fetched)
        q->fetched = q->next + !is_done;
}

/* A wait under way is given up: at once where it stands for the devices, else when it is
 * carried out, or tried again. A status is written when no device has to answer. */
static void abort_wait(struct iommu *m, cycle_t now)
{
    struct invq *q = &m->invq;
    CHECK(q->state != INVQ_WRITING);
    if (q->state == INVQ_DEVICES) {
        m->stats.device_wait_cycles += now - q->drain_since;
        give_wait_up(m, now);
    } else {
        q->late = q->state == INVQ_EXECUTING || q->state == INVQ_DRAINING;
    }
}

void invq_devices_run(struct iommu *m, cycle_t now)
{
    struct invq *q = &m->invq;
    cycle_t next   = CYCLE_NEVER;
    bool late      = false;
    for (unsigned i = 0; i < ATS_ITAGS; i++) {
        struct invq_sent *s = &q->sent[i];
        if (s->in_use && s->deadline <= now) {
            late = true;
            settle_sent(m, s);
            m->stats.device_late++;
            q->timed_out = true;
            m->arch->device_late(m, s->requester, now);
        } else if (s->in_use && s->deadline < next) {
            next = s->deadline;
        }
    }
    if (late) {
        forget_fetched(m);
        abort_wait(m, now);
    }
    try_again(m, now);
    if (next != CYCLE_NEVER)
        iommu_schedule(m, ITEM_DEVICES, next);
}

void invq_stop(struct iommu *m)
{
    m->invq.enabled = false;
    forget_fetched(m);
}

/* The one at hand, which may have to be tried again, whatever its width was. */
static void keep_at_hand(struct invq *q)
{
    const uint32_t words = q->entry_bytes / 8;
    if (q->next < q->fetched)
        memmove(q->data, &q->data[q->next * words], q->entry_bytes);
    memset(&q->data[words], 0, sizeof q->data - q->entry_bytes);
    q->fetched -= q->next;
    q->next = 0;
}

void invq_start(struct iommu *m, uint64_t base, uint32_t entries, uint32_t entry_bytes)
{
    struct invq *q = &m->invq;
    CHECK(!q->enabled);
    q->orphan = invq_busy(q);
    if (q->orphan && q->state != INVQ_FETCHING)
        keep_at_hand(q);
    q->base        = base;
    q->entries     = entries;
    q->entry_bytes = entry_bytes;
    q->head        = 0;
    q->enabled     = true;
}

/* It stands at the head, for software to see. */
static void stop_at_illegal(struct iommu *m, const struct iommu_command *c, cycle_t now)
{
    struct invq *q = &m->invq;
    m->stats.command++;
    m->stats.command_other++;
    if (q->orphan) { /* There is nobody to tell. */
        q->next++;
        go_on(m, now);
        return;
    }
    q->halted = true;
    q->state  = INVQ_IDLE;
    q->head   = q->current;
    invq_measure(m, now);
    m->arch->illegal(m, c, now);
}

static void execute(struct iommu *m, cycle_t now)
{
    struct iommu_command c;
    decode(m, &c);
    switch (c.kind) {
    case COMMAND_WAIT:
        pass_wait(m, &c, now);
        return;
    case COMMAND_ILLEGAL:
        stop_at_illegal(m, &c, now);
        return;
    case COMMAND_IOTLB:
        invalidate_iotlb(m, &c);
        break;
    case COMMAND_CONTEXT:
        invalidate_contexts(m, &c, now);
        break;
    case COMMAND_DEVICE:
        if (!send_device(m, &c, now))
            return;
        break;
    case COMMAND_NOTHING:
        m->stats.command_other++;
        break;
    }
    complete(m, &c, now);
    go_on(m, now);
}

/* There is no memory where the queue should be. */
static void fetch_failed(struct iommu *m, cycle_t now)
{
    static const struct iommu_command none = { .kind       = COMMAND_ILLEGAL,
                                               .unwritable = true };
    m->invq.halted                         = true;
    m->invq.state                          = INVQ_IDLE;
    m->arch->illegal(m, &none, now);
}

void invq_run(struct iommu *m, cycle_t now)
{
    struct invq *q = &m->invq;
    if (q->state == INVQ_FETCHING) {
        memcpy(q->data, memport_arrived(&m->memport, MEMPORT_INVQ, now), sizeof q->data);
        iommu_schedule(m, ITEM_MEMPORT, memport_due(&m->memport, m->asked_cycle));
        if (q->void_fetch) {
            q->state    = INVQ_IDLE;
            q->orphan   = false;
            q->ready_at = now + m->config.invq.next_cycles;
            invq_kick(m, now);
            return;
        }
        if (m->memport.read[MEMPORT_INVQ].failed) {
            fetch_failed(m, now);
            return;
        }
        q->current = q->head;
        if (m->config.invq.early_head)
            move_head(m, now + 1);
        go_on(m, now);
        return;
    }
    if (q->state == INVQ_DRAINING)
        m->stats.drain_cycles += now - q->drain_since;
    if (q->state == INVQ_DEVICES)
        m->stats.device_wait_cycles += now - q->drain_since;
    if (q->state == INVQ_TAGS)
        m->stats.device_full_cycles += now - q->drain_since;
    q->state = INVQ_EXECUTING;
    execute(m, now);
}

void invq_retired(struct iommu *m, cycle_t now)
{
    if (m->invq.state == INVQ_DRAINING && iommu_drained(m, m->invq.drain_epoch))
        iommu_schedule(m, ITEM_INVQ, now);
}

void invq_written(struct iommu *m, cycle_t now)
{
    struct write_ring *r = &m->invq.writes;
    uint32_t i           = 0;
    while (write_ring_at(r, i)->due != CYCLE_NEVER)
        i++;
    write_ring_at(r, i)->due = now;
    iommu_schedule(m, ITEM_WRITE, write_ring_front(r)->due);
}

void invq_write_done(struct iommu *m, cycle_t now)
{
    static const struct iommu_command written = { .kind       = COMMAND_WAIT,
                                                  .interrupts = true };
    struct write_ring *r                      = &m->invq.writes;
    const struct invq_write w                 = *write_ring_front(r);
    CHECK(w.due == now);
    if (m->config.remote == NULL)
        memory_device_write(m->memory, w.pa, &w.data, w.bytes);
    write_ring_pop(r);
    if (w.interrupts)
        m->arch->completed(m, &written, now);
    if (!write_ring_empty(r))
        iommu_schedule(m, ITEM_WRITE, write_ring_front(r)->due);
    if (m->invq.state != INVQ_WRITING)
        return;
    if (m->config.invq.write_waits) /* Acknowledged: on to the next command. */
        go_on(m, now);
    else /* There was no room: try the wait again. */
        iommu_schedule(m, ITEM_INVQ, now);
}
