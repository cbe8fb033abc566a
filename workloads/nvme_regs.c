/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_regs - the register window (3.1), in accesses of 4 or 8 bytes.
 */
#include "sim/base/mmio.h"
#include "workloads/nvme_core.h"

enum { ADMIN_ENTRIES_MASK = 0x0fff0fff };

static uint64_t capabilities(const struct nvme_ctrl *n)
{
    const uint64_t timeout = (n->config.ready_us + 499999) / 500000;
    return bits_put(n->config.queue_entries - 1, 15, 0) | UINT64_C(1) << NVME_CAP_CQR_SHIFT
           | timeout << NVME_CAP_TO_SHIFT
           | (uint64_t)n->config.doorbell_stride << NVME_CAP_DSTRD_SHIFT
           | UINT64_C(1) << NVME_CAP_CSS_SHIFT;
}

static uint32_t register_read(const struct nvme_ctrl *n, uint32_t offset)
{
    switch (offset) {
    case NVME_CAP:
        return (uint32_t)capabilities(n);
    case NVME_CAP + 4:
        return (uint32_t)(capabilities(n) >> 32);
    case NVME_VS:
        return NVME_VERSION_1_4;
    case NVME_INTMS:
    case NVME_INTMC:
        return n->interrupt_mask;
    case NVME_CC:
        return n->cc;
    case NVME_CSTS:
        return n->csts;
    case NVME_AQA:
        return n->aqa;
    case NVME_ASQ:
        return (uint32_t)n->asq;
    case NVME_ASQ + 4:
        return (uint32_t)(n->asq >> 32);
    case NVME_ACQ:
        return (uint32_t)n->acq;
    case NVME_ACQ + 4:
        return (uint32_t)(n->acq >> 32);
    default:
        return 0; /* Reserved, optional or write-only. */
    }
}

static void configuration_write(struct nvme_ctrl *n, uint32_t value, sim_time_t now)
{
    const uint32_t before = n->cc, risen = value & ~before;
    n->cc = value;
    if (risen & NVME_CC_EN && n->state == NVME_STATE_OFF)
        nvme_enable(n, now);
    else if (before & ~value & NVME_CC_EN)
        nvme_disable(n, now);
    else if (risen & 3u << NVME_CC_SHN_SHIFT)
        nvme_shut_down(n, now);
}

/* Queue addresses are whole pages; the bits below are reserved. */
static void address_write(uint64_t *address, bool high, uint32_t value)
{
    if (high)
        *address = (*address & UINT32_MAX) | (uint64_t)value << 32;
    else
        *address =
            (*address & ~(uint64_t)UINT32_MAX) | (value & ~(uint32_t)(NVME_PAGE_BYTES - 1));
}

static void register_write(struct nvme_ctrl *n, uint32_t offset, uint32_t value,
                           sim_time_t now)
{
    switch (offset) {
    case NVME_INTMS:
        n->interrupt_mask |= value;
        return;
    case NVME_INTMC:
        n->interrupt_mask &= ~value;
        return;
    case NVME_CC:
        configuration_write(n, value, now);
        return;
    case NVME_AQA:
        n->aqa = value & ADMIN_ENTRIES_MASK;
        return;
    case NVME_ASQ:
    case NVME_ASQ + 4:
        address_write(&n->asq, offset != NVME_ASQ, value);
        return;
    case NVME_ACQ:
    case NVME_ACQ + 4:
        address_write(&n->acq, offset != NVME_ACQ, value);
        return;
    default:
        return; /* Reserved or read-only. */
    }
}

static uint32_t window_read(struct nvme_ctrl *n, uint32_t offset)
{
    if (offset < NVME_DOORBELL)
        return register_read(n, offset);
    if (offset >= NVME_MSIX_TABLE && offset < NVME_WINDOW_BYTES)
        return nvme_msix_read(n, offset);
    return 0; /* What reading a doorbell returns is left to the controller. */
}

static void window_write(struct nvme_ctrl *n, uint32_t offset, uint32_t value,
                         sim_time_t now)
{
    if (offset < NVME_DOORBELL) {
        register_write(n, offset, value, now);
    } else if (offset < NVME_MSIX_TABLE) {
        const uint32_t place = offset - NVME_DOORBELL, lg2 = 2 + n->config.doorbell_stride;
        if ((place & mask_lg2(lg2)) == 0)
            nvme_doorbell_write(n, place >> lg2, value, now);
    } else if (offset < NVME_WINDOW_BYTES) {
        nvme_msix_write(n, offset, value);
        nvme_kick(n, now);
    }
}

static uint64_t regs_read(void *self, uint32_t offset, unsigned bytes, sim_time_t now)
{
    (void)now;
    CHECK(bytes == 4 || bytes == 8);
    CHECK(offset % bytes == 0);
    const uint64_t low = window_read(self, offset);
    return bytes == 4 ? low : low | (uint64_t)window_read(self, offset + 4) << 32;
}

static void regs_write(void *self, uint32_t offset, uint64_t value, unsigned bytes,
                       sim_time_t now)
{
    CHECK(bytes == 4 || bytes == 8);
    CHECK(offset % bytes == 0);
    window_write(self, offset, (uint32_t)value, now);
    if (bytes == 8)
        window_write(self, offset + 4, (uint32_t)(value >> 32), now);
}

const struct mmio_ops nvme_mmio_ops = { .write = regs_write, .read = regs_read };
