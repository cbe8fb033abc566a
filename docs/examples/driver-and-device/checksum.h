/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checksum - an engine that sums up memory: what its driver and its hardware both know.
 *
 * The driver writes where the data is, how long it is, and where the result goes, and rings
 * the doorbell. The engine reads the data, adds its 32-bit words, writes a result of 16
 * bytes (the sum, then a status) and sends an interrupt.
 */
#ifndef CHECKSUM_H
#define CHECKSUM_H

#include <iovasim.h>

enum checksum_register {
    CHECKSUM_SOURCE = 0x00, /* 8 bytes: DMA address of the data. */
    CHECKSUM_RESULT = 0x08, /* 8 bytes: DMA address of the result. */
    CHECKSUM_LENGTH = 0x10, /* 4 bytes: up to CHECKSUM_LENGTH_MAX, a multiple of 4. */
    CHECKSUM_VECTOR = 0x14, /* 4 bytes: the CPU in bits 15:8, its vector below. */
    CHECKSUM_GO = 0x18, /* 4 bytes: the doorbell. Reads as 1 while a job is under way. */
};

enum checksum_status { CHECKSUM_GOOD = 1, CHECKSUM_BAD = 2 /* An access was refused. */ };

enum { CHECKSUM_LENGTH_MAX = 4096 };

/* ---- The hardware (device.c) --------------------------------------------------------- */

enum { CHECKSUM_READS = 4 /* Under way at most. */, CHECKSUM_READ_BYTES = 256 };

struct checksum_device {
    struct iovasim_slot *slot;
    uint64_t source, result;
    uint32_t length, vector;
    enum { CHECKSUM_IDLE, CHECKSUM_READING, CHECKSUM_WRITING } state;
    uint32_t asked, answered; /* Bytes of the data. */
    unsigned written;         /* Of the two writes at the end: submitted, */
    unsigned writes_out;      /* and not answered yet. */
    bool refused;
    uint64_t data[CHECKSUM_LENGTH_MAX / 8], record[2];
    uint32_t message;
};

extern const struct iovasim_device_ops checksum_device_ops; /* Its self is the struct. */

/* ---- The driver (driver.c) ----------------------------------------------------------- */

enum { CHECKSUM_BUFFERS = 8 };

struct checksum_driver {
    /* Given by the caller. */
    struct iovasim_slot *slot;
    unsigned jobs;
    bool impatient; /* The planted mistake: unmaps when the engine has begun. */
    /* Its own. */
    phys_addr_t buffer[CHECKSUM_BUFFERS]; /* A page each. */
    uint32_t sum[CHECKSUM_BUFFERS];
    void *result;
    dma_addr_t result_addr;
    bool done;
    unsigned right; /* Jobs whose checksum was right. */
};

extern const struct iovasim_program checksum_program; /* Its self is the struct. */

#endif
