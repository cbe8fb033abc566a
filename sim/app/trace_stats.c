/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/trace_stats.h"

#include <inttypes.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/rng.h"

enum { PAGE_LG2 = 12, ALIGN_LEAST = 9, ALIGN_MOST = 21, PAGES_COUNTED_MAX = 4096 };

/* The smallest i with value <= 2^i. */
static unsigned power_above(uint64_t value)
{
    return value <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(value - 1);
}

static unsigned power_of_alignment(uint64_t bits)
{
    const unsigned zeros = bits == 0 ? ALIGN_MOST : (unsigned)__builtin_ctzll(bits);
    return zeros > ALIGN_MOST ? ALIGN_MOST : zeros;
}

/* ---- Reuse
 * -----------------------------------------------------------------------------------------
 */

static uint64_t page_hash(uint64_t page)
{
    struct rng rng = { page };
    return rng_next(&rng);
}

static bool followed(const struct reuse *r, uint64_t hash)
{
    return r->shift == 0 || hash >> (64 - r->shift) == 0;
}

static uint32_t slot_of(const struct reuse *r, uint64_t page, uint64_t hash)
{
    uint32_t at = (uint32_t)(hash % REUSE_SLOTS);
    while (r->slot[at].request != 0 && r->slot[at].page != page)
        at = (at + 1) % REUSE_SLOTS;
    return at;
}

/* Goes on with half of the pages. Those that stay are put in again, which needs no second
 * table: a slot that a page leaves may be the first of its row. */
static void halve(struct reuse *r)
{
    static struct reuse smaller;
    memset(&smaller, 0, sizeof smaller);
    smaller.shift   = r->shift + 1;
    smaller.touched = r->touched;
    memcpy(smaller.again, r->again, sizeof smaller.again);
    for (uint32_t i = 0; i < REUSE_SLOTS; i++) {
        const uint64_t hash = page_hash(r->slot[i].page);
        if (r->slot[i].request == 0 || !followed(&smaller, hash))
            continue;
        const uint32_t at = slot_of(&smaller, r->slot[i].page, hash);
        smaller.slot[at]  = r->slot[i];
        smaller.pages++;
    }
    *r = smaller;
}

static void reuse_touch(struct reuse *r, uint64_t page, uint64_t request)
{
    const uint64_t hash = page_hash(page);
    r->touched++;
    if (!followed(r, hash))
        return;
    const uint32_t at = slot_of(r, page, hash);
    if (r->slot[at].request == request)
        return; /* Twice in one request. */
    if (r->slot[at].request != 0)
        r->again[power_above(request - r->slot[at].request)] += UINT64_C(1) << r->shift;
    else
        r->pages++;
    r->slot[at].page    = page;
    r->slot[at].request = request;
    if (r->pages == REUSE_PAGES_MAX)
        halve(r);
}

uint64_t reuse_distinct(const struct reuse *r)
{
    return (uint64_t)r->pages << r->shift;
}

/* The pages of a range, as many as a request of the usual sizes has. */
static void reuse_range(struct reuse *r, uint64_t first, uint64_t end, uint64_t request)
{
    for (uint64_t page = first, n = 0; page < end && n < PAGES_COUNTED_MAX; page++, n++)
        reuse_touch(r, page, request);
}

/* ---- Counting
 * -------------------------------------------------------------------------------------- */

void trace_stats_init(struct trace_stats *s)
{
    memset(s, 0, sizeof *s);
    for (unsigned i = 0; i < STATS_BOUNDARIES; i++)
        s->boundary[i].bytes = UINT32_C(4096) << 2 * i;
}

static bool has_gap(const struct trace_record *r, uint32_t unit)
{
    for (uint32_t i = 0; i + 1 < r->segment_count; i++)
        if ((r->segment[i].pa + r->segment[i].bytes) % unit != 0
            || r->segment[i + 1].pa % unit != 0)
            return true;
    return false;
}

static void add_memory(struct trace_stats *s, const struct trace_record *r)
{
    if (r->segment_count == 0) {
        s->unknown_memory++;
        return;
    }
    s->segments += r->segment_count;
    s->pieces[power_above(r->segment_count)]++;
    s->one_piece += r->segment_count == 1;
    for (uint32_t i = 0; i < r->segment_count; i++) {
        const struct trace_segment *const g = &r->segment[i];
        const uint64_t end                  = g->pa + g->bytes;
        s->memory_aligned[power_of_alignment(g->pa | end)]++;
        reuse_range(&s->memory, g->pa >> PAGE_LG2, (end + (1 << PAGE_LG2) - 1) >> PAGE_LG2,
                    s->records);
    }
    for (unsigned i = 0; r->segment_count > 1 && i < STATS_BOUNDARIES; i++) {
        if (has_gap(r, s->boundary[i].bytes))
            s->boundary[i].gaps++;
        else
            s->boundary[i].closed++;
    }
}

static void add_medium(struct trace_stats *s, const struct trace_record *r)
{
    const unsigned lg2 = PAGE_LG2 - 9;
    const uint64_t end = r->lba + (r->bytes + TRACE_SECTOR_BYTES - 1) / TRACE_SECTOR_BYTES;
    const uint64_t place = (r->lba | end) << 9;
    s->medium_aligned[power_of_alignment(place)]++;
    /* Pages of different devices are different. */
    const uint64_t device = (uint64_t)r->device << 48;
    reuse_range(&s->medium, device + (r->lba >> lg2),
                device + ((end + (1 << lg2) - 1) >> lg2), s->records);
}

void trace_stats_add(struct trace_stats *s, const struct trace_record *r)
{
    s->records++;
    s->operation[r->op]++;
    s->rdma += trace_op_is_rdma(r->op);
    if (r->depth != 0)
        s->depth[power_above(r->depth)]++;
    else
        s->unknown_depth++;
    if (r->bytes != 0)
        s->sizes[power_above(r->bytes)]++;
    if (!trace_op_moves_data(r->op))
        return;
    s->moving++;
    add_memory(s, r);
    add_medium(s, r);
}

/* ---- Pictures
 * -------------------------------------------------------------------------------------- */

struct bar {
    char label[40];
    uint64_t value;
};

enum { BARS_MAX = 72, BAR_WIDTH = 37 };

struct panel {
    char title[96];
    uint64_t of; /* What shares are of; 0: the sum of the bars. */
    unsigned bars;
    struct bar bar[BARS_MAX];
};

static void bytes_text(char *out, size_t room, uint64_t bytes)
{
    static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    unsigned i                      = 0;
    for (; bytes >= 1024 && bytes % 1024 == 0 && i + 1 < sizeof unit / sizeof unit[0]; i++)
        bytes /= 1024;
    snprintf(out, room, "%" PRIu64 " %s", bytes, unit[i]);
}

static void panel_add(struct panel *p, const char *label, uint64_t value)
{
    CHECK(p->bars < BARS_MAX);
    struct bar *const bar = &p->bar[p->bars++];
    snprintf(bar->label, sizeof bar->label, "%s", label);
    bar->value = value;
}

/* From the first count that is not 0 to the last one. */
static void panel_powers(struct panel *p, const uint64_t count[STATS_POWERS], bool bytes,
                         const char *prefix)
{
    unsigned first = 0, end = STATS_POWERS;
    while (first < end && count[first] == 0)
        first++;
    while (end > first && count[end - 1] == 0)
        end--;
    for (unsigned i = first; i < end; i++) {
        char number[24], label[40];
        if (bytes)
            bytes_text(number, sizeof number, UINT64_C(1) << i);
        else
            snprintf(number, sizeof number, "%" PRIu64, UINT64_C(1) << i);
        snprintf(label, sizeof label, "%s%s", prefix, number);
        panel_add(p, label, count[i]);
    }
}

static void panel_boundaries(struct panel *p, const struct trace_stats *s)
{
    panel_add(p, "one piece", s->one_piece);
    for (unsigned i = 0; s->segments > s->one_piece && i < STATS_BOUNDARIES; i++) {
        char unit[16], label[40];
        bytes_text(unit, sizeof unit, s->boundary[i].bytes);
        snprintf(label, sizeof label, "%s: no gaps", unit);
        panel_add(p, label, s->boundary[i].closed);
        snprintf(label, sizeof label, "%s: gaps", unit);
        panel_add(p, label, s->boundary[i].gaps);
    }
    if (s->unknown_memory != 0)
        panel_add(p, "memory not known", s->unknown_memory);
}

static void panel_reuse(struct panel *p, const struct reuse *r)
{
    panel_powers(p, r->again, false, "after <= ");
    panel_add(p, "first use", reuse_distinct(r));
}

enum panel_kind {
    PANEL_SIZES,
    PANEL_PIECES,
    PANEL_BOUNDARY,
    PANEL_MEMORY_ALIGNED,
    PANEL_MEDIUM_ALIGNED,
    PANEL_DEPTH,
    PANEL_MEMORY_REUSE,
    PANEL_MEDIUM_REUSE,
    PANELS,
};

static void panel_make(struct panel *p, const struct trace_stats *s, enum panel_kind kind)
{
    static const char *const title[PANELS] = {
        [PANEL_SIZES]          = "Size of a request, up to",
        [PANEL_PIECES]         = "Pieces of memory of a request, up to",
        [PANEL_BOUNDARY]       = "Gaps between pieces against a merge boundary, requests",
        [PANEL_MEMORY_ALIGNED] = "Alignment of pieces of memory, both ends",
        [PANEL_MEDIUM_ALIGNED] = "Alignment on the medium, both ends, requests",
        [PANEL_DEPTH]          = "In flight on the CPU right after an issue, up to",
        [PANEL_MEMORY_REUSE]   = "Pages of memory: requests since their last use",
        [PANEL_MEDIUM_REUSE]   = "4 KiB of the medium: requests since their last use",
    };
    p->bars = 0;
    p->of   = kind == PANEL_BOUNDARY ? s->moving : 0;
    snprintf(p->title, sizeof p->title, "%s", title[kind]);
    switch (kind) {
    case PANEL_SIZES:
        panel_powers(p, s->sizes, true, "");
        break;
    case PANEL_PIECES:
        panel_powers(p, s->pieces, false, "");
        break;
    case PANEL_BOUNDARY:
        if (s->moving != 0)
            panel_boundaries(p, s);
        break;
    case PANEL_MEMORY_ALIGNED:
        panel_powers(p, s->memory_aligned, true, "");
        break;
    case PANEL_MEDIUM_ALIGNED:
        panel_powers(p, s->medium_aligned, true, "");
        break;
    case PANEL_DEPTH:
        panel_powers(p, s->depth, false, "");
        if (s->unknown_depth != 0)
            panel_add(p, "not known", s->unknown_depth);
        break;
    case PANEL_MEMORY_REUSE:
    case PANEL_MEDIUM_REUSE: {
        const struct reuse *r = kind == PANEL_MEMORY_REUSE ? &s->memory : &s->medium;
        if (r->touched != 0)
            panel_reuse(p, r);
        if (r->shift != 0)
            snprintf(p->title + strlen(p->title), 32, " (1 of %u sampled)", 1u << r->shift);
        break;
    }
    case PANELS:
        break;
    }
}

static uint64_t panel_total(const struct panel *p, uint64_t *most)
{
    uint64_t total = 0;
    *most          = 1;
    for (unsigned i = 0; i < p->bars; i++) {
        total += p->bar[i].value;
        *most = p->bar[i].value > *most ? p->bar[i].value : *most;
    }
    return total;
}

static void panel_print(const struct panel *p, FILE *out)
{
    static const char full[] = "#####################################";
    uint64_t most;
    const uint64_t sum   = panel_total(p, &most);
    const uint64_t total = p->of != 0 ? p->of : sum;
    if (p->bars == 0)
        return;
    fprintf(out, "\n%s\n", p->title);
    for (unsigned i = 0; i < p->bars; i++) {
        const struct bar *const bar = &p->bar[i];
        const double share          = (double)bar->value / (double)(total != 0 ? total : 1);
        int width = (int)((double)bar->value * BAR_WIDTH / (double)most + 0.5);
        width += width == 0 && bar->value != 0;
        fprintf(out, "  %-20s %12" PRIu64 " %5.1f%%%s%.*s\n", bar->label, bar->value,
                100.0 * share, width != 0 ? " " : "", width, full);
    }
}

void trace_stats_print(const struct trace_stats *s, FILE *out)
{
    struct panel panel;
    fprintf(out, "records   %" PRIu64 "\n", s->records);
    for (enum trace_op op = 0; op < TRACE_OPS; op++)
        if (s->operation[op] != 0)
            fprintf(out, "  %-20s %12" PRIu64 " %5.1f%%\n", trace_op_name(op),
                    s->operation[op],
                    100.0 * (double)s->operation[op] / (double)s->records);
    for (enum panel_kind kind = 0; kind < PANELS; kind++) {
        panel_make(&panel, s, kind);
        panel_print(&panel, out);
    }
}

/* ---- SVG
 * -------------------------------------------------------------------------------------------
 */

enum { ROW_PX = 18, LABEL_PX = 170, BAR_PX = 360, WIDTH_PX = 640, MARGIN_PX = 16 };

static void svg_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '>')
            fputs("&gt;", out);
        else if (*text == '&')
            fputs("&amp;", out);
        else
            fputc(*text, out);
    }
}

static unsigned panel_svg(const struct panel *p, unsigned y, FILE *out)
{
    uint64_t most;
    panel_total(p, &most);
    if (p->bars == 0)
        return y;
    y += 2 * ROW_PX;
    fprintf(out, "<text x=\"%d\" y=\"%u\" font-weight=\"bold\">", MARGIN_PX, y);
    svg_text(out, p->title);
    fputs("</text>\n", out);
    for (unsigned i = 0; i < p->bars; i++) {
        const struct bar *const bar = &p->bar[i];
        y += ROW_PX;
        fprintf(out, "<text x=\"%d\" y=\"%u\" text-anchor=\"end\">", LABEL_PX, y);
        svg_text(out, bar->label);
        fprintf(out,
                "</text><rect x=\"%d\" y=\"%u\" width=\"%.1f\" height=\"12\" "
                "fill=\"#4477aa\"/><text x=\"%.1f\" y=\"%u\">%" PRIu64 "</text>\n",
                LABEL_PX + 8, y - 11, (double)bar->value * BAR_PX / (double)most,
                LABEL_PX + 14 + (double)bar->value * BAR_PX / (double)most, y, bar->value);
    }
    return y;
}

void trace_stats_svg(const struct trace_stats *s, const char *name, FILE *out)
{
    struct panel panel;
    unsigned rows = 2;
    for (enum panel_kind kind = 0; kind < PANELS; kind++) {
        panel_make(&panel, s, kind);
        rows += panel.bars != 0 ? panel.bars + 2 : 0;
    }
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%u\" "
            "font-family=\"sans-serif\" font-size=\"12\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
            "<text x=\"%d\" y=\"%d\">",
            WIDTH_PX, (rows + 1) * ROW_PX, MARGIN_PX, ROW_PX + 4);
    svg_text(out, name);
    fprintf(out, ": %" PRIu64 " records</text>\n", s->records);
    unsigned y = ROW_PX;
    for (enum panel_kind kind = 0; kind < PANELS; kind++) {
        panel_make(&panel, s, kind);
        y = panel_svg(&panel, y, out);
    }
    fputs("</svg>\n", out);
}
