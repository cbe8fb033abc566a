/* SPDX-License-Identifier: Apache-2.0 */
/* riscv_commands - the language of the RISC-V IOMMU's command queue (3.1). */
#include "iommu_model/riscv.h"

/* What stands in a command beside the fields that it has. */
#define IOTINVAL_FIELDS                                                                    \
    (mask_lg2(11) | mask_lg2(20) << 12 | RISCV_INVAL_PSCV | RISCV_INVAL_GV                 \
     | mask_lg2(16) << 44)
#define IOTINVAL_ADDRESS (mask_lg2(52) << 10)
#define IOFENCE_FIELDS   (mask_lg2(14) | mask_lg2(32) << 32)
#define IODIR_FIELDS     (mask_lg2(10) | mask_lg2(20) << 12 | RISCV_DIR_DV | mask_lg2(24) << 40)

static void one_page(struct iommu_command *c, uint64_t address)
{
    c->selector.first = address;
    c->selector.last  = address | mask_lg2(12);
}

/* First-stage translations: of the host's address space, or of a virtual machine's. With an
 * address only leaves go (3.1.1): pointers to tables may stay. */
static void decode_vma(struct riscv_command d, struct iommu_command *c)
{
    struct inv_selector *s = &c->selector;
    const bool gv          = d.low & RISCV_INVAL_GV;
    s->mask                = SPACE_STAGES_MASK | (gv ? SPACE_DOMAIN_MASK : 0);
    s->value =
        space_make(gv ? riscv_inval_gscid(d) : 0, 0, gv ? STAGE_1 | STAGE_2 : STAGE_1);
    if (d.low & RISCV_INVAL_PSCV) {
        s->mask |= SPACE_PROCESS_MASK;
        s->value |= space_make(0, riscv_inval_pscid(d), 0);
        s->keep_global = true;
    }
    if (d.low & RISCV_INVAL_AV) {
        one_page(c, riscv_inval_address(d));
        s->at_first_stage = true;
        s->leaf_only      = true;
    }
}

/* Whatever was translated with a second stage: of all virtual machines, or of one. */
static void decode_gvma(struct riscv_command d, struct iommu_command *c)
{
    struct inv_selector *s = &c->selector;
    const bool gv          = d.low & RISCV_INVAL_GV;
    s->mask                = SPACE_STAGE_2 | (gv ? SPACE_DOMAIN_MASK : 0);
    s->value               = SPACE_STAGE_2 | (gv ? riscv_inval_gscid(d) : 0);
    if (gv && (d.low & RISCV_INVAL_AV)) {
        one_page(c, riscv_inval_address(d));
        s->by_guest = true;
    }
}

static void decode_iotinval(struct riscv_command d, struct iommu_command *c)
{
    const uint64_t func = RISCV_CMD_FUNC(d.low);
    c->selector         = (struct inv_selector){ .last = UINT64_MAX };
    if ((d.low & ~IOTINVAL_FIELDS) || (d.high & ~IOTINVAL_ADDRESS)
        || (func == RISCV_GVMA && (d.low & RISCV_INVAL_PSCV)))
        return;
    c->kind = func <= RISCV_GVMA ? COMMAND_IOTLB : COMMAND_ILLEGAL;
    if (func == RISCV_VMA)
        decode_vma(d, c);
    else
        decode_gvma(d, c);
}

static void decode_iofence(const struct riscv *v, struct riscv_command d,
                           struct iommu_command *c)
{
    const bool wsi = d.low & RISCV_FENCE_WSI;
    if ((d.low & ~IOFENCE_FIELDS) || (d.high & ~mask_lg2(62)) || RISCV_CMD_FUNC(d.low) != 0
        || (wsi && !(v->fctl & RISCV_FCTL_WSI)))
        return;
    c->kind       = COMMAND_WAIT;
    c->drains_all = v->config->fence_drains && (d.low & (RISCV_FENCE_PR | RISCV_FENCE_PW));
    c->interrupts = wsi;
    c->writes_status = d.low & RISCV_FENCE_AV;
    c->status_pa     = d.high << 2;
    c->status        = d.low >> 32;
    c->status_bytes  = 4;
}

static bool drop_all(const void *arg, const struct context_entry *e)
{
    (void)arg;
    (void)e;
    return true;
}

static bool drop_of_device(const void *arg, const struct context_entry *e)
{
    const uint64_t *wanted = arg;
    return (uint32_t)e->key == wanted[0];
}

static bool drop_of_process(const void *arg, const struct context_entry *e)
{
    const uint64_t *wanted = arg;
    return e->key == context_key((uint32_t)wanted[0], (uint32_t)wanted[1]);
}

static void decode_iodir(struct riscv_command d, struct iommu_command *c)
{
    const uint64_t func = RISCV_CMD_FUNC(d.low);
    const bool dv       = d.low & RISCV_DIR_DV;
    if ((d.low & ~IODIR_FIELDS) || d.high != 0 || func > RISCV_INVAL_PDT
        || (func == RISCV_INVAL_PDT && !dv)
        || (func == RISCV_INVAL_DDT && riscv_dir_process(d) != 0))
        return;
    c->kind           = COMMAND_CONTEXT;
    c->context_arg[0] = riscv_dir_device(d);
    c->context_arg[1] = riscv_dir_process(d);
    c->process_only   = func == RISCV_INVAL_PDT;
    c->drop_context   = func == RISCV_INVAL_PDT ? drop_of_process
                        : dv                    ? drop_of_device
                                                : drop_all;
}

void riscv_decode(struct iommu *m, const uint64_t *words, struct iommu_command *c)
{
    struct riscv *v              = riscv_front(m);
    const struct riscv_command d = { words[0], words[1] };
    c->kind                      = COMMAND_ILLEGAL;
    switch (RISCV_CMD_OPCODE(d.low)) {
    case RISCV_IOTINVAL:
        decode_iotinval(d, c);
        break;
    case RISCV_IOFENCE:
        decode_iofence(v, d, c);
        break;
    case RISCV_IODIR:
        decode_iodir(d, c);
        break;
    default:
        break;
    }
    c->interrupts &= !m->invq.orphan; /* The new queue's flags are not its. */
    c->unwritable = c->kind == COMMAND_WAIT && c->writes_status
                    && c->status_pa > m->pa_last - c->status_bytes + 1;
    if (c->unwritable)
        c->kind = COMMAND_ILLEGAL;
}

void riscv_illegal(struct iommu *m, const struct iommu_command *c, cycle_t now)
{
    struct riscv *v = riscv_front(m);
    v->cqcsr |= c->unwritable ? RISCV_QUEUE_MF : RISCV_CQ_CMD_ILL;
    if (v->cqcsr & RISCV_QUEUE_IE)
        riscv_interrupt(m, RISCV_CIP, now);
}

void riscv_completed(struct iommu *m, const struct iommu_command *c, cycle_t now)
{
    struct riscv *v = riscv_front(m);
    if (!c->interrupts)
        return;
    v->cqcsr |= RISCV_CQ_FENCE_WIP;
    if (v->cqcsr & RISCV_QUEUE_IE)
        riscv_interrupt(m, RISCV_CIP, now);
}
