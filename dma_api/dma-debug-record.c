/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/dma-debug-record.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static int compare(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int by_address(const struct dma_record *a, const struct dma_record *b)
{
    if (a->dev != b->dev) /* Devices are never walked across. */
        return compare((uintptr_t)a->dev, (uintptr_t)b->dev);
    return a->is.addr != b->is.addr ? compare(a->is.addr, b->is.addr)
                                    : compare(a->serial, b->serial);
}

static int by_owner(const struct dma_record *a, const struct dma_record *b)
{
    return a->owner != b->owner ? compare(a->owner, b->owner)
                                : compare(a->serial, b->serial);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wunused-function"
RB_PROTOTYPE_INTERNAL(dma_addresses, dma_record, by_address, by_address, static)
RB_GENERATE_INTERNAL(dma_addresses, dma_record, by_address, by_address, static)
RB_PROTOTYPE_INTERNAL(dma_owners, dma_record, by_owner, by_owner, static)
RB_GENERATE_INTERNAL(dma_owners, dma_record, by_owner, by_owner, static)
#pragma GCC diagnostic pop

struct dma_debug *dma_debug_new(struct kernel *k)
{
    struct dma_debug *d = calloc(1, sizeof *d);
    CHECK(d != NULL);
    CHECK(k->cpus <= DMA_DEBUG_CPUS_MAX);
    d->kernel = k;
    RB_INIT(&d->addresses);
    RB_INIT(&d->owners);
    return d;
}

void dma_debug_free(struct dma_debug *d)
{
    struct dma_record *r;
    while (d != NULL && (r = RB_ROOT(&d->addresses)) != NULL) {
        RB_REMOVE(dma_addresses, &d->addresses, r);
        free(r);
    }
    free(d);
}

const char *dma_debug_finding(const struct kernel *k)
{
    return k->debug == NULL ? "" : k->debug->finding;
}

/* ---- Places -------------------------------------------------------------------------- */

void dma_site_enter(struct dma_site *site, const char *file, int line)
{
    const struct cpu *cpu         = cpu_this();
    const struct kernel *const k  = cpu->software;
    struct dma_debug *const debug = k == NULL ? NULL : k->debug;
    site->innermost               = NULL;
    if (debug == NULL)
        return;
    CHECK(cpu->id < DMA_DEBUG_CPUS_MAX);
    site->file       = file;
    site->line       = line;
    site->innermost  = &debug->site[cpu->id];
    site->outer      = *site->innermost;
    *site->innermost = site;
}

void dma_site_leave(struct dma_site *site)
{
    if (site->innermost == NULL)
        return;
    CHECK(*site->innermost == site); /* Calls of one CPU end in the opposite order. */
    *site->innermost = site->outer;
}

struct dma_place dma_debug_here(const struct dma_debug *d)
{
    const struct dma_site *site = d->site[cpu_this()->id];
    return site == NULL ? (struct dma_place){ NULL, 0 }
                        : (struct dma_place){ site->file, site->line };
}

static void put_place(FILE *out, struct dma_place at)
{
    if (at.file == NULL)
        fputs("an unknown place", out);
    else
        fprintf(out, "%s:%d", at.file, at.line);
}

/* ---- Findings ------------------------------------------------------------------------ */

static FILE *begin(struct device *dev)
{
    struct dma_debug *d = dev->kernel->debug;
    FILE *out           = fmemopen(d->finding, sizeof d->finding, "w");
    CHECK(out != NULL);
    put_place(out, dma_debug_here(d));
    fprintf(out, ": dma_debug: %s: ", dev->name);
    return out;
}

static void end(struct device *dev, FILE *out)
{
    struct kernel *k = dev->kernel;
    fclose(out);
    k->debug->finding[sizeof k->debug->finding - 1] = '\0';
    k->stats.finding++;
    if (k->finding != NULL)
        k->finding(k->finding_self, k->debug->finding);
}

void dma_debug_say(struct device *dev, const struct dma_record *r, const char *format, ...)
{
    FILE *out = begin(dev);
    va_list args;
    va_start(args, format);
    vfprintf(out, format, args);
    va_end(args);
    if (r != NULL) {
        fputs(r->is.kind == DMA_DEBUG_RANGE ? ", allocated at " : ", mapped at ", out);
        put_place(out, r->at);
    }
    if (r != NULL && r->reused.file != NULL) {
        fputs("; its state was taken for another range at ", out);
        put_place(out, r->reused);
    }
    end(dev, out);
}

void dma_debug_say_none(struct device *dev, const char *does, dma_addr_t addr)
{
    const struct dma_debug *d = dev->kernel->debug;
    FILE *out                 = begin(dev);
    fprintf(out, "%s 0x%" PRIx64, does, addr);
    for (uint64_t back = 1; back <= DMA_DEBUG_GONE && back <= d->went; back++) {
        const unsigned i = (unsigned)((d->went - back) % DMA_DEBUG_GONE);
        if (d->gone[i].dev != dev || d->gone[i].addr != addr)
            continue;
        fputs(", which has been given back at ", out);
        put_place(out, d->gone[i].at);
        end(dev, out);
        return;
    }
    fputs(", which was never mapped", out);
    end(dev, out);
}

/* ---- Records ------------------------------------------------------------------------- */

struct dma_record *dma_record_add(struct device *dev, const struct dma_debug_mapping *m,
                                  uint64_t owner)
{
    struct dma_debug *d  = dev->kernel->debug;
    struct dma_record *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    r->dev    = dev;
    r->is     = *m;
    r->serial = ++d->serial;
    r->owner  = owner;
    r->at     = dma_debug_here(d);
    CHECK(RB_INSERT(dma_addresses, &d->addresses, r) == NULL);
    if (owner != 0)
        CHECK(RB_INSERT(dma_owners, &d->owners, r) == NULL);
    return r;
}

void dma_record_remove(struct dma_record *r)
{
    struct dma_debug *d     = r->dev->kernel->debug;
    const unsigned i        = (unsigned)(d->went++ % DMA_DEBUG_GONE);
    d->gone[i].dev          = r->dev;
    d->gone[i].addr         = r->is.addr;
    d->gone[i].at           = dma_debug_here(d);
    struct dma_record *gone = RB_REMOVE(dma_addresses, &d->addresses, r);
    CHECK(gone == r);
    if (r->owner != 0)
        RB_REMOVE(dma_owners, &d->owners, r);
    free(r);
}

struct dma_record *dma_record_from(struct device *dev, dma_addr_t addr)
{
    struct dma_record key = { .dev = dev, .is.addr = addr };
    struct dma_record *r  = RB_NFIND(dma_addresses, &dev->kernel->debug->addresses, &key);
    return r != NULL && r->dev == dev ? r : NULL;
}

struct dma_record *dma_record_next(struct dma_record *r)
{
    struct dma_record *next = RB_NEXT(dma_addresses, &r->dev->kernel->debug->addresses, r);
    return next != NULL && next->dev == r->dev ? next : NULL;
}

struct dma_record *dma_record_like(struct device *dev, const struct dma_debug_mapping *m)
{
    struct dma_record *best = NULL;
    int best_points         = -1;
    for (struct dma_record *r                  = dma_record_from(dev, m->addr);
         r != NULL && r->is.addr == m->addr; r = dma_record_next(r)) {
        const bool only  = m->kind == DMA_DEBUG_RANGE && r->is.kind != m->kind;
        const int points = 4 * (r->is.kind == m->kind) + 2 * (r->is.size == m->size)
                           + (r->is.dir == m->dir);
        if (points <= best_points || only)
            continue;
        best        = r;
        best_points = points;
    }
    return best;
}

struct dma_record *dma_record_owned(struct dma_debug *d, uint64_t owner)
{
    struct dma_record key = { .owner = owner };
    struct dma_record *r  = RB_NFIND(dma_owners, &d->owners, &key);
    return r != NULL && r->owner == owner ? r : NULL;
}
