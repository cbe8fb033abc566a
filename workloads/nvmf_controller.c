/* SPDX-License-Identifier: Apache-2.0 */
#include "workloads/nvmf_controller.h"

#include <string.h>

#include "sim/base/lg2.h"

enum {
    VERSION           = 0x00020100, /* 2.1, which Linux's target says it is. */
    CONTROLLER_ID     = 1,
    READY_500_MS      = 15,                     /* CAP.TO. */
    COMMAND_SETS      = NVME_CAP_CSS_SHIFT,     /* The NVM command set, */
    ALL_SETS          = NVME_CAP_CSS_SHIFT + 6, /* and others: CC.CSS 6 takes them all. */
    KEEP_ALIVE_100_MS = 10,
    ANA_GROUP         = 16, /* Where the first group of that log is, and its parts. */
    ANA_GROUP_STATE   = ANA_GROUP + 16,
    ANA_GROUP_IDS     = ANA_GROUP + 32,
};

static const uint64_t eui64 = UINT64_C(0x0100003412005500);

void nvmf_controller_init(struct nvmf_controller *c, const struct nvmf_config *config,
                          unsigned queues, uint64_t blocks, unsigned block_lg2)
{
    *c = (struct nvmf_controller){ .entries      = config->queue_entries,
                                   .queues       = queues,
                                   .inline_bytes = config->inline_kib << 10,
                                   .max_bytes    = config->max_transfer_kib << 10,
                                   .blocks       = blocks,
                                   .block_lg2    = block_lg2 };
}

uint16_t nvmf_controller_admits(const struct nvmf_controller *c, unsigned queue)
{
    const bool ready = c->connected[queue] && (c->csts & NVME_CSTS_RDY) != 0;
    return ready ? NVME_SUCCESS : NVME_COMMAND_SEQUENCE;
}

/* ---- Fabrics commands ------------------------------------------------------------------
 */

static uint16_t connect(struct nvmf_controller *c, unsigned queue,
                        const struct nvme_sqe *sqe, const void *data, uint32_t bytes,
                        struct nvmf_answer *answer)
{
    struct nvmf_connect_data d;
    const uint32_t id = sqe->cdw[0] >> 16, entries = (sqe->cdw[1] & 0xffff) + 1;
    const uint32_t most = queue == 0 ? NVMF_ADMIN_ENTRIES : c->entries;
    if ((sqe->cdw[0] & 0xffff) != 0 || bytes < sizeof d)
        return NVMF_CONNECT_FORMAT;
    memcpy(&d, data, sizeof d);
    const uint16_t wants = queue == 0 ? NVMF_CONTROLLER_ANY : CONTROLLER_ID;
    if (id != queue || id > c->queues || entries < 2 || entries > most
        || d.controller != wants)
        return NVMF_CONNECT_INVALID;
    if (c->connected[queue] || (queue > 0 && (c->csts & NVME_CSTS_RDY) == 0))
        return NVME_COMMAND_SEQUENCE;
    if (queue == 0)
        c->keep_alive_ms = sqe->cdw[2];
    c->connected[queue] = true;
    answer->result      = CONTROLLER_ID;
    return NVME_SUCCESS;
}

static uint16_t property_get(const struct nvmf_controller *c, const struct nvme_sqe *sqe,
                             struct nvmf_answer *answer)
{
    const bool wide = (sqe->cdw[0] & 7) == NVMF_PROPERTY_8_BYTES;
    if (wide != (sqe->cdw[1] == NVME_CAP))
        return NVME_INVALID_FIELD;
    switch (sqe->cdw[1]) {
    case NVME_CAP:
        answer->result = (c->entries - 1) | (uint64_t)READY_500_MS << NVME_CAP_TO_SHIFT
                         | UINT64_C(1) << COMMAND_SETS | UINT64_C(1) << ALL_SETS;
        return NVME_SUCCESS;
    case NVME_VS:
        answer->result = VERSION;
        return NVME_SUCCESS;
    case NVME_CC:
        answer->result = c->cc;
        return NVME_SUCCESS;
    case NVME_CSTS:
        answer->result = c->csts;
        return NVME_SUCCESS;
    default:
        return NVME_INVALID_FIELD;
    }
}

static uint16_t property_set(struct nvmf_controller *c, const struct nvme_sqe *sqe)
{
    if ((sqe->cdw[0] & 7) != 0 || sqe->cdw[1] != NVME_CC)
        return NVME_INVALID_FIELD;
    c->cc   = sqe->cdw[2];
    c->csts = (c->cc & NVME_CC_EN) != 0 ? NVME_CSTS_RDY : 0;
    if ((c->cc >> NVME_CC_SHN_SHIFT & 3) != 0)
        c->csts = (c->csts & ~(uint32_t)NVME_CSTS_SHST_MASK) | NVME_CSTS_SHST_COMPLETE;
    return NVME_SUCCESS;
}

/* ---- Admin commands --------------------------------------------------------------------
 */

static void put(struct nvmf_answer *a, uint32_t at, uint64_t value, unsigned bytes)
{
    CHECK(at + bytes <= sizeof a->data);
    for (unsigned i = 0; i < bytes; i++)
        a->data[at + i] = (uint8_t)(value >> 8 * i);
}

static void put_text(struct nvmf_answer *a, uint32_t at, const char *text, uint32_t bytes)
{
    const size_t length = strlen(text);
    memset(a->data + at, ' ', bytes);
    memcpy(a->data + at, text, length < bytes ? length : bytes);
}

static void identify_controller(const struct nvmf_controller *c, struct nvmf_answer *a)
{
    put_text(a, NVME_IDCTRL_SERIAL, "0", 20);
    put_text(a, NVME_IDCTRL_MODEL, "iovasim", 40);
    put_text(a, NVME_IDCTRL_FIRM, "1", 8);
    put(a, NVME_IDCTRL_RAB, 6, 1);
    put(a, NVME_IDCTRL_MDTS, lg2_ceil(c->max_bytes >> NVME_PAGE_LG2), 1);
    put(a, NVME_IDCTRL_CNTLID, CONTROLLER_ID, 2);
    put(a, NVME_IDCTRL_VER, VERSION, 4);
    put(a, NVME_IDCTRL_KAS, KEEP_ALIVE_100_MS, 2);
    put(a, NVME_IDCTRL_SQES, NVME_SQE_LG2 << 4 | NVME_SQE_LG2, 1);
    put(a, NVME_IDCTRL_CQES, NVME_CQE_LG2 << 4 | NVME_CQE_LG2, 1);
    put(a, NVME_IDCTRL_MAXCMD, c->entries, 2);
    put(a, NVME_IDCTRL_NN, 1, 4);
    put(a, NVME_IDCTRL_ONCS, NVME_ONCS_DATASET | NVME_ONCS_ZEROES, 2);
    put(a, NVME_IDCTRL_SGLS, NVME_SGLS_BYTE | NVME_SGLS_KEYED | NVME_SGLS_OFFSET, 4);
    put(a, NVME_IDCTRL_IOCCSZ, (NVMF_COMMAND_BYTES + c->inline_bytes) / 16, 4);
    put(a, NVME_IDCTRL_IORCSZ, NVMF_RESPONSE_BYTES / 16, 4);
}

static void identify_namespace(const struct nvmf_controller *c, struct nvmf_answer *a)
{
    put(a, NVME_IDNS_NSZE, c->blocks, 8);
    put(a, NVME_IDNS_NCAP, c->blocks, 8);
    put(a, NVME_IDNS_NUSE, c->blocks, 8);
    put(a, NVME_IDNS_EUI64, eui64, 8);
    put(a, NVME_IDNS_LBAF, (uint64_t)c->block_lg2 << NVME_LBAF_SHIFT, 4);
}

static uint16_t identify(const struct nvmf_controller *c, const struct nvme_sqe *sqe,
                         struct nvmf_answer *a)
{
    const uint8_t what = (uint8_t)sqe->cdw[0];
    const bool named = what == NVME_IDENTIFY_NAMESPACE || what == NVME_IDENTIFY_DESCRIPTORS
                       || what == NVME_IDENTIFY_INDEPENDENT;
    a->bytes = NVME_IDENTIFY_BYTES;
    if (named && sqe->nsid != 1)
        return NVME_INVALID_NAMESPACE;
    switch (what) {
    case NVME_IDENTIFY_NAMESPACE:
        identify_namespace(c, a);
        return NVME_SUCCESS;
    case NVME_IDENTIFY_CONTROLLER:
        identify_controller(c, a);
        return NVME_SUCCESS;
    case NVME_IDENTIFY_ACTIVE:
        put(a, 0, sqe->nsid < 1, 4);
        return NVME_SUCCESS;
    case NVME_IDENTIFY_DESCRIPTORS:
        put(a, 0, NVME_NIDT_EUI64 | 8 << 8, 4);
        put(a, 4, eui64, 8);
        return NVME_SUCCESS;
    case NVME_IDENTIFY_COMMAND_SET: /* Nothing is bounded but by MDTS. */
        return NVME_SUCCESS;
    case NVME_IDENTIFY_INDEPENDENT:
        put(a, 14, 1, 1); /* The namespace is ready. */
        return NVME_SUCCESS;
    default:
        return NVME_INVALID_FIELD;
    }
}

static void log_effects(struct nvmf_answer *a)
{
    static const uint16_t command[] = {
        NVME_ADMIN_GET_LOG,     NVME_ADMIN_IDENTIFY,   NVME_ADMIN_SET_FEATURES,
        NVME_ADMIN_ASYNC_EVENT, NVME_ADMIN_KEEP_ALIVE, 256 + NVME_FLUSH,
        256 + NVME_WRITE,       256 + NVME_READ,       256 + NVME_WRITE_ZEROES,
        256 + NVME_DATASET,
    };
    for (unsigned i = 0; i < sizeof command / sizeof command[0]; i++)
        put(a, 4u * command[i], NVME_EFFECTS_SUPPORTED, 4);
}

/* One group, of the one namespace. */
static void log_ana(struct nvmf_answer *a)
{
    put(a, 8, 1, 2);
    put(a, ANA_GROUP, 1, 4);
    put(a, ANA_GROUP + 4, 1, 4);
    put(a, ANA_GROUP_STATE, NVME_ANA_OPTIMIZED, 1);
    put(a, ANA_GROUP_IDS, 1, 4);
}

static uint16_t get_log(const struct nvme_sqe *sqe, struct nvmf_answer *a)
{
    const uint64_t dwords =
        (sqe->cdw[0] >> 16 | (uint64_t)(sqe->cdw[1] & 0xffff) << 16) + 1;
    if (dwords * 4 > sizeof a->data)
        return NVME_INVALID_FIELD;
    a->bytes = (uint32_t)dwords * 4;
    switch ((uint8_t)sqe->cdw[0]) {
    case NVME_LOG_HEALTH: /* Nothing is wrong, and nothing was counted. */
        return NVME_SUCCESS;
    case NVME_LOG_EFFECTS:
        log_effects(a);
        return NVME_SUCCESS;
    case NVME_LOG_ANA:
        log_ana(a);
        return NVME_SUCCESS;
    default:
        return NVME_INVALID_FIELD;
    }
}

static uint16_t set_features(const struct nvmf_controller *c, const struct nvme_sqe *sqe,
                             struct nvmf_answer *answer)
{
    const uint32_t queues = c->queues - 1;
    switch ((uint8_t)sqe->cdw[0]) {
    case NVME_FEATURE_QUEUES:
        answer->result = queues | queues << 16;
        return NVME_SUCCESS;
    case NVME_FEATURE_EVENTS:
        answer->result = sqe->cdw[1];
        return NVME_SUCCESS;
    default:
        return NVME_INVALID_FIELD;
    }
}

static uint16_t execute(struct nvmf_controller *c, unsigned queue,
                        const struct nvme_sqe *sqe, const void *data, uint32_t bytes,
                        struct nvmf_answer *answer)
{
    const bool fabrics = sqe->opcode == NVMF_FABRICS;
    if (fabrics && sqe->nsid == NVMF_CONNECT)
        return connect(c, queue, sqe, data, bytes, answer);
    if (!c->connected[queue])
        return NVME_COMMAND_SEQUENCE;
    if (queue > 0)
        return NVME_INVALID_OPCODE; /* Properties are the admin queue's. */
    if (fabrics && sqe->nsid == NVMF_PROPERTY_GET)
        return property_get(c, sqe, answer);
    if (fabrics)
        return sqe->nsid == NVMF_PROPERTY_SET ? property_set(c, sqe) : NVME_INVALID_OPCODE;
    if ((c->csts & NVME_CSTS_RDY) == 0)
        return NVME_COMMAND_SEQUENCE;
    switch (sqe->opcode) {
    case NVME_ADMIN_IDENTIFY:
        return identify(c, sqe, answer);
    case NVME_ADMIN_GET_LOG:
        return get_log(sqe, answer);
    case NVME_ADMIN_SET_FEATURES:
        return set_features(c, sqe, answer);
    case NVME_ADMIN_KEEP_ALIVE:
        return NVME_SUCCESS;
    default:
        return NVME_INVALID_OPCODE;
    }
}

uint16_t nvmf_controller_execute(struct nvmf_controller *c, unsigned queue,
                                 const struct nvme_sqe *sqe, const void *data,
                                 uint32_t bytes, uint32_t room, struct nvmf_answer *answer)
{
    memset(answer, 0, sizeof *answer);
    CHECK(queue <= c->queues);
    uint16_t status = execute(c, queue, sqe, data, bytes, answer);
    if (status == NVME_SUCCESS && answer->bytes > room)
        status = NVME_SGL_LENGTH_INVALID;
    if (status != NVME_SUCCESS)
        answer->bytes = 0;
    return status;
}
