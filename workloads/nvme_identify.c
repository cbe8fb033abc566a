/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_identify - the identify data structures (5.15).
 *
 * There is one buffer: a command waits until the last write of the one before has left it.
 */
#include <string.h>

#include "workloads/nvme_core.h"

enum { ENTRY_SIZES_SHIFT = 4 };

/* The name by which hosts tell namespaces apart; it means nothing. */
#define NAMESPACE_EUI64 UINT64_C(0x0100000000000001)

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value);
    put16(at + 2, value >> 16);
}

static void put64(uint8_t *at, uint64_t value)
{
    put32(at, (uint32_t)value);
    put32(at + 4, (uint32_t)(value >> 32));
}

/* Text is padded with blanks. */
static void put_text(uint8_t *at, uint32_t bytes, const char *text)
{
    const size_t length = strlen(text);
    CHECK(length <= bytes);
    memset(at, ' ', bytes);
    memcpy(at, text, length);
}

static void fill_controller(const struct nvme_ctrl *n, uint8_t *at)
{
    static const char name[] = "nqn.2014-08.org.nvmexpress:uuid:00000000-0000-0000-0000-"
                               "000000000001";
    put_text(at + NVME_IDCTRL_SERIAL, 20, "1");
    put_text(at + NVME_IDCTRL_MODEL, 40, "iovasim NVMe controller");
    put_text(at + NVME_IDCTRL_FIRM, 8, "1");
    at[NVME_IDCTRL_RAB]  = (uint8_t)lg2_floor(n->config.burst);
    at[NVME_IDCTRL_MDTS] = (uint8_t)n->config.transfer_pages_lg2;
    put32(at + NVME_IDCTRL_VER, NVME_VERSION_1_4);
    at[NVME_IDCTRL_SQES] = NVME_SQE_LG2 | NVME_SQE_LG2 << ENTRY_SIZES_SHIFT;
    at[NVME_IDCTRL_CQES] = NVME_CQE_LG2 | NVME_CQE_LG2 << ENTRY_SIZES_SHIFT;
    put16(at + NVME_IDCTRL_MAXCMD, n->config.commands);
    put32(at + NVME_IDCTRL_NN, 1);
    put16(at + NVME_IDCTRL_ONCS, NVME_ONCS_DATASET | NVME_ONCS_ZEROES);
    put32(at + NVME_IDCTRL_SGLS, (n->config.sgl ? NVME_SGLS_BYTE : 0)
                                     | (nvme_metadata_sgl(n) ? NVME_SGLS_METADATA : 0));
    memcpy(at + NVME_IDCTRL_SUBNQN, name, sizeof name);
}

static void fill_namespace(const struct nvme_ctrl *n, uint8_t *at)
{
    const uint32_t metadata = n->config.metadata_bytes;
    put64(at + NVME_IDNS_NSZE, nvme_blocks(n));
    put64(at + NVME_IDNS_NCAP, nvme_blocks(n));
    put64(at + NVME_IDNS_NUSE, nvme_blocks(n));
    at[NVME_IDNS_MC] = metadata > 0 ? NVME_MC_BUFFER : 0;
    put64(at + NVME_IDNS_EUI64, NAMESPACE_EUI64);
    put32(at + NVME_IDNS_LBAF,
          lg2_floor(n->config.block_bytes) << NVME_LBAF_SHIFT | metadata);
}

static void fill_descriptors(uint8_t *at)
{
    at[0] = NVME_NIDT_EUI64;
    at[1] = sizeof(uint64_t);
    put64(at + 4, NAMESPACE_EUI64);
}

static void fill(struct nvme_ctrl *n, const struct nvme_command *c)
{
    uint8_t *at = n->identify_buffer;
    memset(at, 0, sizeof n->identify_buffer);
    switch (c->sqe.cdw[0] & 0xff) {
    case NVME_IDENTIFY_NAMESPACE:
        fill_namespace(n, at);
        return;
    case NVME_IDENTIFY_CONTROLLER:
        fill_controller(n, at);
        return;
    case NVME_IDENTIFY_ACTIVE:
        put32(at, c->sqe.nsid == 0); /* The one namespace, if its id is above the given. */
        return;
    case NVME_IDENTIFY_DESCRIPTORS:
        fill_descriptors(at);
        return;
    default:
        UNREACHABLE("nvme_identify_run lets no other structure pass");
    }
}

uint16_t nvme_identify_run(struct nvme_ctrl *n, struct nvme_command *c, sim_time_t now)
{
    (void)now;
    const uint32_t structure = c->sqe.cdw[0] & 0xff;
    const bool named =
        structure == NVME_IDENTIFY_NAMESPACE || structure == NVME_IDENTIFY_DESCRIPTORS;
    if (structure > NVME_IDENTIFY_DESCRIPTORS)
        return NVME_INVALID_FIELD;
    if (named && c->sqe.nsid != 1)
        return NVME_INVALID_NAMESPACE;
    if (structure == NVME_IDENTIFY_ACTIVE && c->sqe.nsid >= UINT32_MAX - 1)
        return NVME_INVALID_NAMESPACE;
    nvme_command_fifo_push(&n->identify_wait, c);
    return NVME_UNFINISHED;
}

bool nvme_identify_pump(struct nvme_ctrl *n)
{
    if (nvme_command_fifo_empty(&n->identify_wait) || n->identify_now != NULL
        || n->identify_writes > 0)
        return false;
    struct nvme_command *c = nvme_command_fifo_pop(&n->identify_wait);
    fill(n, c);
    n->identify_now = c;
    c->payload      = n->identify_buffer;
    c->data.arrived = NVME_IDENTIFY_BYTES;
    const uint16_t status =
        nvme_data_start(n, c, NVME_FLOW_TO_HOST, NVME_IDENTIFY_BYTES, 0);
    if (status != NVME_UNFINISHED)
        nvme_command_fail(n, c, status);
    return true;
}
