/* SPDX-License-Identifier: Apache-2.0 */
/* Commands in any order, with any sizes: what a target answers to them. */
#include "workloads/nvmf_controller.h"

#include <string.h>

#include "sim/base/rng.h"
#include "sim/test/shim.h"

enum { QUEUES = 3, ENTRIES = 128, BLOCKS = 1000 };

static struct nvmf_controller controller;
static struct nvmf_answer answer;

static void begin(void)
{
    const struct nvmf_config config = { .queue_entries    = ENTRIES,
                                        .inline_kib       = 8,
                                        .max_transfer_kib = 512 };
    nvmf_controller_init(&controller, &config, QUEUES, BLOCKS, 12);
}

static uint16_t give(unsigned queue, const struct nvme_sqe *sqe, const void *data,
                     uint32_t bytes, uint32_t room)
{
    return nvmf_controller_execute(&controller, queue, sqe, data, bytes, room, &answer);
}

static uint16_t connect_as(unsigned queue, uint32_t id, uint32_t size, uint16_t wants)
{
    struct nvmf_connect_data d = { .controller = wants };
    const struct nvme_sqe sqe  = { .opcode = NVMF_FABRICS,
                                   .nsid   = NVMF_CONNECT,
                                   .cdw    = { id << 16, size, 7000 } };
    return give(queue, &sqe, &d, sizeof d, 0);
}

static uint16_t set_cc(uint32_t value)
{
    const struct nvme_sqe sqe = { .opcode = NVMF_FABRICS,
                                  .nsid   = NVMF_PROPERTY_SET,
                                  .cdw    = { 0, NVME_CC, value } };
    return give(0, &sqe, NULL, 0, 0);
}

static uint64_t property(uint32_t size, uint32_t at, uint16_t want)
{
    const struct nvme_sqe sqe = { .opcode = NVMF_FABRICS,
                                  .nsid   = NVMF_PROPERTY_GET,
                                  .cdw    = { size, at } };
    EXPECT_EQUAL(give(0, &sqe, NULL, 0, 0), want);
    return answer.result;
}

static uint16_t admin(uint8_t opcode, uint32_t nsid, uint32_t dword10, uint32_t dword11,
                      uint32_t room)
{
    const struct nvme_sqe sqe = { .opcode = opcode,
                                  .nsid   = nsid,
                                  .cdw    = { dword10, dword11 } };
    return give(0, &sqe, NULL, 0, room);
}

static uint64_t field(uint32_t at, unsigned bytes)
{
    uint64_t value = 0;
    memcpy(&value, answer.data + at, bytes);
    return value;
}

static void make_ready(void)
{
    begin();
    EXPECT_EQUAL(connect_as(0, 0, 31, NVMF_CONTROLLER_ANY), NVME_SUCCESS);
    EXPECT_EQUAL(answer.result, 1);
    EXPECT_EQUAL(set_cc(0x460061), NVME_SUCCESS);
}

TEST_CASE(nvmf_controller, nothing_is_answered_before_its_time)
{
    begin();
    EXPECT_EQUAL(set_cc(0x460061), NVME_COMMAND_SEQUENCE);
    EXPECT_EQUAL(admin(NVME_ADMIN_KEEP_ALIVE, 0, 0, 0, 0), NVME_COMMAND_SEQUENCE);
    EXPECT_EQUAL(nvmf_controller_admits(&controller, 0), NVME_COMMAND_SEQUENCE);
    EXPECT_EQUAL(connect_as(0, 0, 31, NVMF_CONTROLLER_ANY), NVME_SUCCESS);
    EXPECT_EQUAL(controller.keep_alive_ms, 7000);
    EXPECT_EQUAL(connect_as(0, 0, 31, NVMF_CONTROLLER_ANY), NVME_COMMAND_SEQUENCE);
    EXPECT_EQUAL(connect_as(1, 1, 127, 1), NVME_COMMAND_SEQUENCE); /* Not enabled. */
    EXPECT_EQUAL(admin(NVME_ADMIN_IDENTIFY, 0, 1, 0, 4096), NVME_COMMAND_SEQUENCE);
    EXPECT_EQUAL(property(0, NVME_CSTS, NVME_SUCCESS), 0);
    EXPECT_EQUAL(set_cc(0x460061), NVME_SUCCESS);
    EXPECT_EQUAL(property(0, NVME_CSTS, NVME_SUCCESS), NVME_CSTS_RDY);
    EXPECT_EQUAL(admin(NVME_ADMIN_IDENTIFY, 0, 1, 0, 4096), NVME_SUCCESS);
    EXPECT_EQUAL(nvmf_controller_admits(&controller, 1), NVME_COMMAND_SEQUENCE);
    EXPECT_EQUAL(connect_as(1, 1, 127, 1), NVME_SUCCESS);
    EXPECT_EQUAL(controller.keep_alive_ms, 7000);
    EXPECT_EQUAL(nvmf_controller_admits(&controller, 1), NVME_SUCCESS);
    EXPECT_EQUAL(nvmf_controller_admits(&controller, 2), NVME_COMMAND_SEQUENCE);
    EXPECT_EQUAL(set_cc(0x464061), NVME_SUCCESS);
    EXPECT_EQUAL(property(0, NVME_CSTS, NVME_SUCCESS),
                 NVME_CSTS_RDY | NVME_CSTS_SHST_COMPLETE);
    EXPECT_EQUAL(set_cc(0x460060), NVME_SUCCESS);
    EXPECT_EQUAL(nvmf_controller_admits(&controller, 1), NVME_COMMAND_SEQUENCE);
}

TEST_CASE(nvmf_controller, a_queue_is_connected_as_what_it_is)
{
    make_ready();
    EXPECT_EQUAL(connect_as(1, 2, 127, 1), NVMF_CONNECT_INVALID); /* Another's id, */
    EXPECT_EQUAL(connect_as(1, 1, 128, 1), NVMF_CONNECT_INVALID); /* too deep, */
    EXPECT_EQUAL(connect_as(1, 1, 0, 1), NVMF_CONNECT_INVALID);   /* not deep enough, */
    EXPECT_EQUAL(connect_as(1, 1, 127, 2), NVMF_CONNECT_INVALID); /* of whom? */
    EXPECT_EQUAL(connect_as(1, 1, 127, NVMF_CONTROLLER_ANY), NVMF_CONNECT_INVALID);
    EXPECT_EQUAL(connect_as(QUEUES, QUEUES, 1, 1), NVME_SUCCESS);
    struct nvmf_connect_data d = { .controller = 1 };
    struct nvme_sqe sqe        = { .opcode = NVMF_FABRICS,
                                   .nsid   = NVMF_CONNECT,
                                   .cdw    = { 1 << 16 | 1, 127 } };
    EXPECT_EQUAL(give(1, &sqe, &d, sizeof d, 0), NVMF_CONNECT_FORMAT);
    sqe.cdw[0] = 1 << 16;
    EXPECT_EQUAL(give(1, &sqe, &d, sizeof d - 1, 0), NVMF_CONNECT_FORMAT);
    EXPECT_EQUAL(give(1, &sqe, NULL, 0, 0), NVMF_CONNECT_FORMAT);
    EXPECT_EQUAL(give(1, &sqe, &d, sizeof d, 0), NVME_SUCCESS);
    begin();
    EXPECT_EQUAL(connect_as(0, 0, 32, NVMF_CONTROLLER_ANY), NVMF_CONNECT_INVALID);
    EXPECT_EQUAL(connect_as(0, 0, 31, 1), NVMF_CONNECT_INVALID);
}

TEST_CASE(nvmf_controller, properties_are_the_admin_queues_and_of_their_size)
{
    make_ready();
    /* What the recording's target answered: entries, time-out, command sets; its version.
     */
    EXPECT_EQUAL(property(1, NVME_CAP, NVME_SUCCESS), UINT64_C(0x8200f00007f));
    EXPECT_EQUAL(property(0, NVME_VS, NVME_SUCCESS), 0x20100);
    EXPECT_EQUAL(property(0, NVME_CC, NVME_SUCCESS), 0x460061);
    (void)property(0, NVME_CAP, NVME_INVALID_FIELD);
    (void)property(1, NVME_CSTS, NVME_INVALID_FIELD);
    (void)property(0, NVME_ASQ, NVME_INVALID_FIELD);
    EXPECT_EQUAL(connect_as(1, 1, 127, 1), NVME_SUCCESS);
    const struct nvme_sqe get   = { .opcode = NVMF_FABRICS,
                                    .nsid   = NVMF_PROPERTY_GET,
                                    .cdw    = { 0, NVME_VS } };
    const struct nvme_sqe other = { .opcode = NVMF_FABRICS, .nsid = 5 };
    EXPECT_EQUAL(give(1, &get, NULL, 0, 0), NVME_INVALID_OPCODE);
    EXPECT_EQUAL(give(0, &other, NULL, 0, 0), NVME_INVALID_OPCODE);
    EXPECT_EQUAL(admin(NVME_ADMIN_SET_FEATURES, 0, NVME_FEATURE_QUEUES, 0, 0),
                 NVME_SUCCESS);
    EXPECT_EQUAL(answer.result, (QUEUES - 1) | (QUEUES - 1) << 16);
    EXPECT_EQUAL(admin(NVME_ADMIN_SET_FEATURES, 0, 0x42, 0, 0), NVME_INVALID_FIELD);
}

TEST_CASE(nvmf_controller, structures_say_what_there_is_and_fit_into_their_room)
{
    make_ready();
    EXPECT_EQUAL(admin(NVME_ADMIN_IDENTIFY, 0, NVME_IDENTIFY_CONTROLLER, 0, 4096),
                 NVME_SUCCESS);
    EXPECT_EQUAL(field(NVME_IDCTRL_MDTS, 1), 7); /* 512 KiB */
    EXPECT_EQUAL(field(NVME_IDCTRL_IOCCSZ, 4), (64 + 8192) / 16);
    EXPECT_EQUAL(field(NVME_IDCTRL_MAXCMD, 2), ENTRIES);
    EXPECT_EQUAL(field(NVME_IDCTRL_SGLS, 4), 0x100005);
    EXPECT_EQUAL(admin(NVME_ADMIN_IDENTIFY, 1, NVME_IDENTIFY_NAMESPACE, 0, 4096),
                 NVME_SUCCESS);
    EXPECT_EQUAL(field(NVME_IDNS_NSZE, 8), BLOCKS);
    EXPECT_EQUAL(field(NVME_IDNS_LBAF + 2, 1), 12);
    EXPECT_EQUAL(admin(NVME_ADMIN_IDENTIFY, 2, NVME_IDENTIFY_NAMESPACE, 0, 4096),
                 NVME_INVALID_NAMESPACE);
    EXPECT_EQUAL(admin(NVME_ADMIN_IDENTIFY, 0, NVME_IDENTIFY_ACTIVE, 0, 4096),
                 NVME_SUCCESS);
    EXPECT_EQUAL(field(0, 8), 1);
    EXPECT_EQUAL(admin(NVME_ADMIN_IDENTIFY, 1, NVME_IDENTIFY_ACTIVE, 0, 4096),
                 NVME_SUCCESS);
    EXPECT_EQUAL(field(0, 8), 0); /* None behind it. */
    EXPECT_EQUAL(admin(NVME_ADMIN_IDENTIFY, 0, 0x77, 0, 4096), NVME_INVALID_FIELD);
    EXPECT_EQUAL(admin(NVME_ADMIN_IDENTIFY, 0, 1, 0, 4095), NVME_SGL_LENGTH_INVALID);
    EXPECT_EQUAL(answer.bytes, 0);
    EXPECT_EQUAL(admin(NVME_ADMIN_GET_LOG, 0, 0x803000c, 0, 8208), NVME_SUCCESS);
    EXPECT_EQUAL(answer.bytes, 8208);
    EXPECT_EQUAL(field(8, 2), 1);
    EXPECT_EQUAL(field(48, 4), 1);
    EXPECT_EQUAL(admin(NVME_ADMIN_GET_LOG, 0, 0x804000c, 0, 65536), NVME_INVALID_FIELD);
    EXPECT_EQUAL(admin(NVME_ADMIN_GET_LOG, 0, 0xffff000c, 0xffff, 65536),
                 NVME_INVALID_FIELD);
    EXPECT_EQUAL(admin(NVME_ADMIN_GET_LOG, 0, 3, 0, 4096), NVME_INVALID_FIELD);
    EXPECT_EQUAL(admin(NVME_ADMIN_GET_LOG, 0, 0x7f0002, 0, 511), NVME_SGL_LENGTH_INVALID);
    EXPECT_EQUAL(admin(NVME_ADMIN_GET_LOG, 0, 0x2, 0, 4), NVME_SUCCESS);
    EXPECT_EQUAL(answer.bytes, 4);
}

/* Whatever comes, what is answered is bounded, and what is refused has no data. */
TEST_CASE(nvmf_controller, any_command_is_answered_within_its_room)
{
    static uint8_t data[1024];
    struct rng rng = { 7 };
    make_ready();
    for (unsigned i = 0; i < 200000; i++) {
        const uint32_t room  = (uint32_t)(rng_next(&rng) % 12000);
        const uint32_t bytes = (uint32_t)(rng_next(&rng) % (sizeof data + 1));
        struct nvme_sqe sqe;
        uint64_t word[sizeof sqe / 8];
        for (unsigned k = 0; k < sizeof sqe / 8; k++)
            word[k] = rng_next(&rng) & (rng_next(&rng) % 3 == 0 ? 0xff : UINT64_MAX);
        memcpy(&sqe, word, sizeof sqe);
        sqe.opcode = rng_next(&rng) % 2 == 0 ? NVMF_FABRICS : sqe.opcode & 0x1f;
        sqe.nsid   = rng_next(&rng) % 2 == 0 ? sqe.nsid & 7 : sqe.nsid;
        const uint16_t status =
            give((unsigned)(rng_next(&rng) % (QUEUES + 1)), &sqe, data, bytes, room);
        EXPECT(answer.bytes <= sizeof answer.data);
        EXPECT(status != NVME_SUCCESS || answer.bytes <= room);
        EXPECT(status == NVME_SUCCESS || answer.bytes == 0);
    }
}
