/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extension_spec - registers of the extension block: what proposals for IOMMUs add to the
 * architectures, behind a window of its own, for any of them.
 *
 * There is a bank of registers for each CPU, so that none of them needs a lock.
 *
 *   CAP    what is there (EXT_CAP_*)
 *   RING_BASE, RING_LG2   where rings of addresses lie, and the size of each
 *   bank n: FIRST, LAST   the operand: addresses, inclusive
 *           GO            write: an operation on them in a domain; read: 1 while it, or DMA
 *                         translated before it, is under way
 *           QUEUE, TAIL   a queue of commands in memory: its base, with the entries' lg2 in
 *                         bits 11:0; the index behind the last command
 *
 * A command is 32 bytes: first, last, control, and the address of a 32-bit word that
 * becomes 1 when it is over. Commands of a queue are carried out in order, those of
 * different queues at the same time.
 */
#ifndef IOMMU_MODEL_EXTENSION_SPEC_H
#define IOMMU_MODEL_EXTENSION_SPEC_H

#include <stdint.h>

enum {
    EXT_CAP       = 0x00,
    EXT_RING_BASE = 0x08,
    EXT_RING_LG2  = 0x10,
    EXT_BANKS     = 0x1000,
    EXT_BANK      = 0x40,
    EXT_FIRST     = 0x00, /* Of a bank. */
    EXT_LAST      = 0x08,
    EXT_GO        = 0x10,
    EXT_QUEUE     = 0x18,
    EXT_TAIL      = 0x20,
    EXT_BANKS_MAX = 64,

    EXT_COMMAND_LG2 = 5,
};

/* Capabilities. Bits 31:16: ranges that the filter holds. Bits 63:32: the lifetime of
 * cached translations, in ns. */
enum {
    EXT_CAP_VERSIONS = 1 << 0, /* OP_VERSION: a domain's translations are out of date. */
    EXT_CAP_FILTER   = 1 << 1, /* OP_HIDE, OP_SHOW: ranges that look-ups do not see. */
    EXT_CAP_LIFETIME = 1 << 2, /* Cached translations expire. */
    EXT_CAP_ONESHOT  = 1 << 3, /* ... end when every byte of the page has been used. */
    EXT_CAP_RINGS    = 1 << 4, /* ... of a ring end when newer ones of it come. */
    EXT_CAP_QUEUES   = 1 << 5, /* A queue in each bank. */
};
#define EXT_CAP_FILTERS(n)      ((uint64_t)(n) << 16)
#define EXT_CAP_LIFETIME_NS(ns) ((uint64_t)(ns) << 32)
#define ext_cap_filters(cap)    ((uint32_t)((cap) >> 16 & 0xffff))
#define ext_cap_lifetime(cap)   ((uint32_t)((cap) >> 32))

enum ext_operation { EXT_OP_VERSION = 1, EXT_OP_HIDE, EXT_OP_SHOW };

/* GO and a command's control: the domain in bits 31:0, the operation in 39:32, and in bit
 * 40 whether pointers to tables may stay cached. A queue's command has no operation: it
 * drops the range. */
#define EXT_CONTROL(domain, operation) ((uint64_t)(domain) | (uint64_t)(operation) << 32)
#define EXT_LEAF_ONLY                  (UINT64_C(1) << 40)
#define ext_domain(control)            ((uint32_t)(control))
#define ext_operation(control)         ((unsigned)((control) >> 32 & 0xff))

#endif
