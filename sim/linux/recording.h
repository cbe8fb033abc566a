/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recording - what a real kernel did, call by call, as docs/linux-check.md describes.
 *
 * Two kinds of file: *.oracle.txt[.gz] has one line for each call of the DMA API with its
 * outcome, *.iova.txt[.gz] one for each call of the allocator of I/O virtual addresses, in
 * the exact order. Reading is strict: whatever is not understood is an error with its line.
 */
#ifndef SIM_LINUX_RECORDING_H
#define SIM_LINUX_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/error.h"

enum row_kind {
    ROW_map,
    ROW_map_sg,
    ROW_map_iova,
    ROW_unmap,
    ROW_unmap_sg,
    ROW_unmap_iova,
    ROW_coherent_alloc,
    ROW_coherent_free,
    ROW_timer,
    ROW_allocate, /* Of the allocator. */
    ROW_release,
    ROW_KINDS,
};
const char *row_kind_name(enum row_kind kind);

static inline bool row_kind_maps(enum row_kind kind)
{
    return kind == ROW_map || kind == ROW_map_sg || kind == ROW_map_iova
           || kind == ROW_coherent_alloc;
}

/* Pieces of memory: links of a range, elements of a list (bytes 0: not recorded), outputs.
 */
struct rec_piece {
    uint64_t addr, bytes, offset;
};

enum rec_inv_kind {
    INV_page,       /* psi */
    INV_domain,     /* dsi */
    INV_global,     /* glob */
    INV_device,     /* dev */
    INV_pasid_page, /* ppsi */
    INV_pasid,      /* pasid */
    INV_other,
};

/* An invalidation descriptor. id: domain or, of a device TLB, the requester. hint: IH or S.
 */
struct rec_inv {
    uint64_t addr;
    uint32_t id, pasid;
    uint8_t kind, am, hint;
};

struct rec_range {
    uint64_t pfn, pages;
};

/* A part of one of the recording's arrays. */
struct rec_list {
    uint32_t first, count;
};

#define NO_ROW UINT32_MAX

enum { REC_SHOWN_MAX = 128 };
enum { NO_DEVICE = 0xff, NO_SPACE = 0xff, REC_DEVICES_MAX = 32, REC_CPUS_MAX = 16 };

struct row {
    uint64_t line, time_us; /* time_us: since the recording began, sections in a chain. */
    uint8_t kind, cpu;
    char context;          /* t, s, h */
    uint8_t dir;           /* enum dma_data_direction */
    uint8_t device, space; /* space: the allocator's, vN. */
    bool queued, flush_all;
    char path;     /* f: a magazine, s: the tree, 0: not recorded. */
    bool nested;   /* What it allocated was credited to a row that it interrupted, or it
                    took another row's in. */
    bool inv_lost; /* Its invalidations are in no line. */
    bool unseen;   /* It takes what no line before has named since a gap in the recording,
                    * in which it may have come into a magazine. */
    bool gap;      /* Something that is not recorded came before its section. */
    uint32_t section;
    uint32_t pair; /* Of an unmap of a list or range: the row that mapped it. */
    uint64_t phys, bytes, iova; /* iova: the outcome of a map, the argument of an unmap. */
    uint64_t pfn, pages, limit;
    uint32_t segments, tables;
    uint32_t elements; /* Of a list: the tracepoint shows the first REC_SHOWN_MAX only. */
    bool has_segments;
    struct rec_list in, out, inv, freed;
};

struct recording {
    char *path;
    bool allocator_only;
    struct row *row;
    uint32_t rows, rows_room;
    struct rec_piece *piece;
    uint32_t pieces, pieces_room;
    struct rec_inv *inv;
    uint32_t invs, invs_room;
    struct rec_range *range;
    uint32_t ranges, ranges_room;
    char (*section)[48];
    uint32_t sections, sections_room;
    struct rec_device {
        char name[16];
        uint16_t requester;
        uint8_t space;      /* NO_SPACE while unknown. */
        uint32_t domain_id; /* 0 while unknown. */
    } device[REC_DEVICES_MAX];
    unsigned devices, cpus, spaces;
};

/* False with FILE, line N and what is wrong. */
bool recording_read(struct recording *r, const char *path, struct error *error);
void recording_free(struct recording *r);

/* Another row, of the newest section; another section. */
struct row *rec_add_row(struct recording *r);
void rec_add_section(struct recording *r, const char *name);

/* "psi:3:fff00000:5:1+..." */
void rec_inv_text(const struct rec_inv *inv, uint32_t count, char *out, size_t bytes);
void rec_range_text(const struct rec_range *range, uint32_t count, char *out, size_t bytes);

#endif
