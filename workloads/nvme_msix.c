/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_msix - interrupts: coalescing (5.21.1.8), the MSI-X table and its messages.
 *
 * A message is a memory write behind the completion entry that asked for it; the order of
 * posted writes makes it arrive behind it too.
 */
#include "workloads/nvme_core.h"

static void interrupt_raise(struct nvme_ctrl *n, uint32_t vector)
{
    struct nvme_vector *v = &n->vector[vector];
    v->waiting            = 0;
    dueheap_put(&n->timers, NVME_DUE_VECTORS + vector, TIME_NEVER);
    n->stats.interrupt_raised++;
    if (v->entry.control & NVME_MSIX_MASKED) {
        n->stats.interrupt_masked++;
        v->pending = true;
    } else if (v->in_turn) {
        n->stats.interrupt_merged++;
    } else {
        v->in_turn = true;
        nvme_vector_fifo_push(&n->interrupts, v);
    }
}

void nvme_interrupt_note(struct nvme_ctrl *n, uint32_t vector, bool direct, sim_time_t now)
{
    CHECK(vector < n->config.vectors);
    struct nvme_vector *v = &n->vector[vector];
    v->waiting++;
    if (direct || v->direct || n->coalesce_ps == 0 || v->waiting >= n->coalesce_entries)
        interrupt_raise(n, vector);
    else if (v->waiting == 1)
        dueheap_put(&n->timers, NVME_DUE_VECTORS + vector, now + n->coalesce_ps);
}

void nvme_interrupt_expire(struct nvme_ctrl *n, uint32_t vector)
{
    CHECK(vector < n->config.vectors);
    CHECK(n->vector[vector].waiting > 0);
    interrupt_raise(n, vector);
}

/* What is left counts from here on; none is forgotten. */
void nvme_interrupt_taken(struct nvme_ctrl *n, uint32_t vector, sim_time_t now)
{
    struct nvme_vector *v = &n->vector[vector];
    uint32_t left         = 0;
    if (v->waiting == 0)
        return; /* They have had their message, or will. */
    for (uint32_t i = 1; i <= n->config.queues; i++)
        if (n->cq[i].valid && n->cq[i].interrupts && n->cq[i].vector == vector)
            left += nvme_cq_untaken(&n->cq[i]);
    v->waiting = nvme_min(v->waiting, left);
    dueheap_put(&n->timers, NVME_DUE_VECTORS + vector,
                v->waiting == 0 ? TIME_NEVER : now + n->coalesce_ps);
}

void nvme_interrupt_send(struct nvme_ctrl *n, sim_time_t now)
{
    struct nvme_vector *v = nvme_vector_fifo_pop(&n->interrupts);
    CHECK(v->in_turn);
    v->in_turn = false;
    if (v->entry.control & NVME_MSIX_MASKED) { /* Since it was raised. */
        n->stats.interrupt_masked++;
        v->pending = true;
        return;
    }
    struct nvme_tx *tx = nvme_tx_take(n, NVME_TX_INTERRUPT);
    tx->own.message    = v->entry.data;
    n->stats.transaction_interrupt++;
    nvme_tx_submit(n, tx, v->entry.iova & ~UINT64_C(3), sizeof tx->own.message,
                   &tx->own.message, now);
}

/* ---- The table ----------------------------------------------------------------------- */

static uint32_t pending_read(const struct nvme_ctrl *n, uint32_t first)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < 32 && first + i < n->config.vectors; i++)
        bits |= (uint32_t)n->vector[first + i].pending << i;
    return bits;
}

uint32_t nvme_msix_read(const struct nvme_ctrl *n, uint32_t offset)
{
    if (offset >= NVME_MSIX_PENDING)
        return pending_read(n, (offset - NVME_MSIX_PENDING) * 8);
    const uint32_t vector = (offset - NVME_MSIX_TABLE) / sizeof(struct nvme_msix_entry);
    if (vector >= n->config.vectors)
        return 0;
    const struct nvme_msix_entry *e = &n->vector[vector].entry;
    const uint32_t words[4] = { (uint32_t)e->iova, (uint32_t)(e->iova >> 32), e->data,
                                e->control };
    return words[offset / 4 % 4];
}

static void control_write(struct nvme_ctrl *n, struct nvme_vector *v, uint32_t value)
{
    v->entry.control = value & NVME_MSIX_MASKED;
    if (v->entry.control != 0 || !v->pending)
        return;
    v->pending = false;
    if (!v->in_turn) {
        v->in_turn = true;
        nvme_vector_fifo_push(&n->interrupts, v);
    }
}

void nvme_msix_write(struct nvme_ctrl *n, uint32_t offset, uint32_t value)
{
    const uint32_t vector = (offset - NVME_MSIX_TABLE) / sizeof(struct nvme_msix_entry);
    if (vector >= n->config.vectors)
        return; /* Nothing there, or pending bits, which only hardware changes. */
    struct nvme_vector *v = &n->vector[vector];
    switch (offset / 4 % 4) {
    case 0:
        v->entry.iova = (v->entry.iova & ~(uint64_t)UINT32_MAX) | value;
        return;
    case 1:
        v->entry.iova = (v->entry.iova & UINT32_MAX) | (uint64_t)value << 32;
        return;
    case 2:
        v->entry.data = value;
        return;
    default:
        control_write(n, v, value);
    }
}
