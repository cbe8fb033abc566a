/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faultq - records of faults, written one after the other into a queue in memory.
 *
 * A record waits in a small buffer until those before it are written. A buffer that is full
 * loses what comes; so does a queue that is full, until software clears the overflow, and
 * with what comes what has waited. A queue that is switched off is busy until the record
 * under way is written.
 *
 * With faultq.drops, the buffer is emptied at one record a cycle for as long as a write
 * waits for its acknowledgement, instead of once: what was there or comes then is lost.
 */
#include "iommu_model/arch.h"

#include <string.h>

static void pop(struct faultq *q)
{
    if (q->count == 0)
        return;
    q->first = (q->first + 1) % FAULTQ_DEPTH_MAX;
    q->count--;
}

/* What was to leave the buffer up to this cycle has left. */
static void drop_up_to(struct iommu *m, cycle_t now)
{
    struct faultq *q = &m->faultq;
    for (; q->pop_at <= now && q->pop_at <= q->pop_to; q->pop_at++) {
        m->stats.fault_lost += q->count > 0 && !q->head_is_ours;
        q->head_is_ours = false;
        pop(q);
    }
}

static uint32_t in_cycles(const struct iommu *m, uint64_t ps)
{
    return (uint32_t)cycle_at_or_after(ps, m->config.iommu.period_ps);
}

/* A remote memory takes the record now and says when it holds it (faultq_written); what
 * finds no room is not sent. */
static void start_remote(struct iommu *m, cycle_t issued)
{
    struct faultq *q                    = &m->faultq;
    const struct memport_remote *remote = m->config.remote;
    q->unwritten                        = ((q->tail + 1) & (q->entries - 1)) == q->head;
    q->pop_to                           = CYCLE_NEVER - 1;
    if (!m->config.faultq.drops)
        q->pop_at = CYCLE_NEVER;
    if (q->unwritten)
        faultq_written(m, issued);
    else
        remote->write(remote->self, MEMPORT_FAULT_RECORD,
                      q->base + (uint64_t)q->tail * sizeof q->writing, q->writing,
                      sizeof q->writing, cycle_time(issued, m->config.iommu.period_ps));
}

void faultq_written(struct iommu *m, cycle_t now)
{
    struct faultq *q = &m->faultq;
    q->pop_to        = now;
    if (!m->config.faultq.drops && q->head_is_ours)
        q->pop_at = now;
    iommu_schedule(m, ITEM_FAULTQ, now + m->config.faultq.complete_cycles);
}

/* Writes the oldest, which came in this cycle or has waited until now. */
static void start(struct iommu *m, cycle_t now)
{
    struct faultq *q        = &m->faultq;
    const cycle_t issued    = now + m->config.faultq.issue_cycles;
    const cycle_t acked     = issued + in_cycles(m, m->config.write_ps);
    const cycle_t first_pop = m->config.faultq.drops ? issued + 1 : acked;
    q->busy                 = true;
    q->head_is_ours         = true;
    q->pop_at               = first_pop;
    q->pop_to               = acked;
    memcpy(q->writing, q->record[q->first], sizeof q->writing);
    if (m->config.remote != NULL) {
        start_remote(m, issued);
        return;
    }
    if (m->watcher != NULL && m->watcher->write_issued != NULL)
        m->watcher->write_issued(m->watcher->self,
                                 q->base + (uint64_t)q->tail * sizeof q->writing,
                                 FAULTQ_WORDS, issued, acked);
    iommu_schedule(m, ITEM_FAULTQ, acked + m->config.faultq.complete_cycles);
}

void faultq_push(struct iommu *m, const uint64_t record[FAULTQ_WORDS], cycle_t cycle)
{
    struct faultq *q = &m->faultq;
    if (cycle < q->last)
        cycle = q->last;
    q->last = cycle;
    if (!q->enabled || q->overflow) {
        m->stats.fault_lost++;
        return;
    }
    drop_up_to(m, cycle - 1);
    if (q->count == m->config.faultq.depth) {
        m->stats.fault_lost++;
        return;
    }
    memcpy(q->record[(q->first + q->count) % FAULTQ_DEPTH_MAX], record,
           sizeof q->record[0]);
    q->count++;
    if (!q->busy)
        start(m, cycle);
}

static void write_record(struct iommu *m, cycle_t now)
{
    struct faultq *q    = &m->faultq;
    const uint32_t next = (q->tail + 1) & (q->entries - 1);
    const bool lost     = m->config.remote != NULL ? q->unwritten : next == q->head;
    if (lost) {
        q->overflow = true;
        m->stats.fault_lost++;
    } else {
        if (m->config.remote == NULL)
            memory_device_write(m->memory, q->base + (uint64_t)q->tail * sizeof q->writing,
                                q->writing, sizeof q->writing);
        q->tail = next;
        m->stats.fault_recorded++;
    }
    if (m->watcher != NULL && m->watcher->fault_written != NULL && !lost)
        m->watcher->fault_written(m->watcher->self, q->tail, now);
    q->written(m, lost, now);
}

/* The buffer, without the record that is being written. */
static void lose_waiting(struct iommu *m)
{
    struct faultq *q = &m->faultq;
    m->stats.fault_lost += q->count - q->head_is_ours;
    q->count        = 0;
    q->head_is_ours = false;
    q->pop_at       = CYCLE_NEVER;
}

void faultq_stop(struct iommu *m)
{
    m->faultq.enabled = false;
    lose_waiting(m);
}

void faultq_start(struct iommu *m, uint64_t base, uint32_t entries)
{
    struct faultq *q = &m->faultq;
    CHECK(!q->enabled);
    q->orphan   = q->busy;
    q->base     = base;
    q->entries  = entries;
    q->tail     = 0;
    q->overflow = false;
    q->enabled  = true;
}

void faultq_run(struct iommu *m, cycle_t now)
{
    struct faultq *q = &m->faultq;
    drop_up_to(m, now);
    if (q->orphan)
        m->stats.fault_lost++;
    else
        write_record(m, now);
    q->busy = q->orphan = false;
    if (q->overflow)
        lose_waiting(m);
    /* Faults are announced a little ahead of their cycle: the newest may be still to come.
     */
    if (q->count > 0 && q->enabled && !q->overflow)
        start(m, q->count == 1 ? cycle_max(now, q->last) : now);
}
