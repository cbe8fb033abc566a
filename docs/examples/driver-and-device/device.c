/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device - the checksum engine as hardware: a state machine that is stepped when its port
 * has an answer or room, or when a register was written.
 */
#include <string.h>

#include "checksum.h"

enum { TAG_WRITE = CHECKSUM_LENGTH_MAX }; /* The tag of a read is its offset. */

/* The read at an offset of the data: not too long, and not across 4 KiB. */
static uint32_t bytes_at(const struct checksum_device *d, uint32_t offset)
{
    const uint64_t address = d->source + offset;
    const uint32_t left    = d->length - offset;
    const uint32_t page    = (uint32_t)(PORT_BYTES_MAX - address % PORT_BYTES_MAX);
    const uint32_t most    = left < page ? left : page;
    return most < CHECKSUM_READ_BYTES ? most : CHECKSUM_READ_BYTES;
}

static void submit_reads(struct checksum_device *d, sim_time_t now)
{
    struct port *port = iovasim_port(d->slot);
    while (d->asked < d->length
           && d->asked - d->answered < CHECKSUM_READS * CHECKSUM_READ_BYTES
           && port_ready(port, PORT_READ)) {
        const struct port_request r = { .kind      = PORT_READ,
                                        .iova      = d->source + d->asked,
                                        .bytes     = bytes_at(d, d->asked),
                                        .tag       = d->asked,
                                        .requester = iovasim_requester(d->slot),
                                        .data      = (uint8_t *)d->data + d->asked };
        port_submit(port, &r, now);
        d->asked += r.bytes;
    }
}

static uint64_t sum_of(const struct checksum_device *d)
{
    uint32_t sum = 0, word;
    for (uint32_t at = 0; at < d->length; at += (uint32_t)sizeof word) {
        memcpy(&word, (const uint8_t *)d->data + at, sizeof word);
        sum += word;
    }
    return sum;
}

/* The result, and behind it the interrupt: writes keep their order. */
static void submit_writes(struct checksum_device *d, sim_time_t now)
{
    struct port *port = iovasim_port(d->slot);
    while (d->written < 2 && port_ready(port, PORT_WRITE)) {
        struct port_request r = { .kind      = PORT_WRITE,
                                  .iova      = d->result,
                                  .bytes     = sizeof d->record,
                                  .requester = iovasim_requester(d->slot),
                                  .data      = d->record };
        if (d->written == 1)
            r = iovasim_message(d->slot, d->vector >> 8 & 0xff, &d->message);
        r.tag = TAG_WRITE;
        port_submit(port, &r, now);
        d->written++;
        d->writes_out++;
    }
}

static void take_answers(struct checksum_device *d, sim_time_t now)
{
    struct port_response answer;
    while (port_take(iovasim_port(d->slot), &answer, now)) {
        if (answer.tag == TAG_WRITE) {
            d->writes_out--;
            continue;
        }
        d->answered += bytes_at(d, answer.tag);
        d->refused |= answer.status != PORT_OK;
    }
}

static void step(void *self, sim_time_t now)
{
    struct checksum_device *d = self;
    take_answers(d, now);
    if (d->state == CHECKSUM_READING) {
        submit_reads(d, now);
        if (d->answered == d->length) {
            d->record[0] = sum_of(d);
            d->record[1] = d->refused ? CHECKSUM_BAD : CHECKSUM_GOOD;
            d->message   = d->vector & 0xff;
            d->written   = 0;
            d->state     = CHECKSUM_WRITING;
        }
    }
    if (d->state == CHECKSUM_WRITING) {
        submit_writes(d, now);
        if (d->written == 2 && d->writes_out == 0)
            d->state = CHECKSUM_IDLE;
    }
}

static void ring(struct checksum_device *d, sim_time_t now)
{
    if (d->state != CHECKSUM_IDLE || d->length == 0 || d->length > CHECKSUM_LENGTH_MAX)
        return;
    memset(d->data, 0, sizeof d->data);
    d->asked = d->answered = 0;
    d->refused             = false;
    d->state               = CHECKSUM_READING;
    iovasim_wake(d->slot, now);
}

static void write_register(void *self, uint32_t offset, uint64_t value, unsigned bytes,
                           sim_time_t now)
{
    struct checksum_device *d = self;
    (void)bytes;
    switch (offset) {
    case CHECKSUM_SOURCE:
        d->source = value;
        break;
    case CHECKSUM_RESULT:
        d->result = value;
        break;
    case CHECKSUM_LENGTH:
        d->length = (uint32_t)value & ~3u;
        break;
    case CHECKSUM_VECTOR:
        d->vector = (uint32_t)value;
        break;
    case CHECKSUM_GO:
        ring(d, now);
        break;
    default: /* As hardware does with what it does not know. */
        break;
    }
}

static uint64_t read_register(void *self, uint32_t offset, unsigned bytes, sim_time_t now)
{
    const struct checksum_device *d = self;
    (void)bytes;
    (void)now;
    return offset == CHECKSUM_GO ? d->state != CHECKSUM_IDLE : 0;
}

static void reset(void *self, struct iovasim_slot *slot)
{
    struct checksum_device *d = self;
    *d                        = (struct checksum_device){ .slot = slot };
}

static bool idle(const void *self)
{
    const struct checksum_device *d = self;
    return d->state == CHECKSUM_IDLE;
}

const struct iovasim_device_ops checksum_device_ops = { .reset = reset,
                                                        .write = write_register,
                                                        .read  = read_register,
                                                        .step  = step,
                                                        .idle  = idle };
