/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "sim/app/trace_check.h"

static double share(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 100.0 : 100.0 * (double)part / (double)whole;
}

static void print_rows(const struct trace_check *c)
{
    printf("  %-12s %-12s %-24s %9s %9s %7s  %s\n", "operation", "size", "mapped as",
           "compared", "agree", "differ", "share");
    for (enum trace_op op = 0; op < TRACE_BLOCK_OPS; op++)
        for (unsigned size = 0; size < CHECK_SIZES; size++)
            for (unsigned i = 0; i < c->rows; i++) {
                const struct check_row *r = &c->row[i];
                char way[40];
                if (r->op != op || r->size != size)
                    continue;
                snprintf(way, sizeof way, "%s%s", mapped_way_text(r->way),
                         r->given ? " *" : "");
                printf("  %-12s %-12s %-24s %9" PRIu64 " %9" PRIu64 " %7" PRIu64
                       "  %.3f %%\n",
                       trace_op_name(op), check_size_name(size), way, r->requests, r->agree,
                       r->requests - r->agree, share(r->agree, r->requests));
            }
    printf("  %-12s %-12s %-24s %9" PRIu64 " %9" PRIu64 " %7" PRIu64 "  %.3f %%\n", "all",
           "", "", c->compared, c->agree, c->compared - c->agree,
           share(c->agree, c->compared));
    if (c->given != 0)
        printf(
            "  * one run of memory, of which the recording does not say how many segments "
            "the block\n    layer counted: taken from the recorded choice, %" PRIu64
            " requests; their sizes and unmaps are compared\n",
            c->given);
}

static void print_reasons(const char *what, const uint64_t *reason)
{
    for (unsigned i = CHECK_compared + 1; i < CHECK_REASONS_COUNT; i++)
        if (reason[i] != 0)
            printf("  %8" PRIu64 " %s: %s\n", reason[i], what,
                   check_reason_text((enum check_reason)i));
}

void trace_check_print(const struct trace_check *c, const char *path)
{
    printf("%s (%s)\n", path, c->settings);
    if (c->policy_from == CHECK_FROM_assumed)
        puts(c->translated
                 ? "  strict is assumed: lazy, which it could be as well, maps alike"
                 : "  strict is assumed, as neither name nor addresses say the mode: "
                   "--policy says it");
    if (c->compared != 0)
        print_rows(c);
    else
        printf("  nothing to compare: no request of the NVMe driver\n");
    printf("  %" PRIu64 " requests, %" PRIu64 " compared; %" PRIu64
           " calls that map, %" PRIu64 " for them\n",
           c->requests, c->compared, c->calls, c->call_reason[CHECK_compared]);
    print_reasons("requests", c->reason);
    print_reasons("calls", c->call_reason);
    if (c->no_end != 0)
        printf("  %8" PRIu64
               " requests have no end in the recording: unmaps not compared\n",
               c->no_end);
    if (c->no_unmaps != 0)
        printf("  %8" PRIu64
               " requests were mapped in a way whose unmaps the recording does "
               "not have: not compared\n",
               c->no_unmaps);
    if (c->probe_lost != 0)
        printf("  %8" PRIu64
               " ranges were unmapped as the IOMMU's events say; the probe of "
               "dma_iova_destroy was lost\n",
               c->probe_lost);
    if (c->pool_pages != 0 || c->our_pool_pages != 0)
        printf("  pages for the driver's own lists: %" PRIu64 " recorded, %" PRIu64
               " ours (not compared: they follow from how many lists are in flight)\n",
               c->pool_pages, c->our_pool_pages);
    for (unsigned i = 0; i < c->shown; i++) {
        const struct check_difference *d = &c->difference[i];
        printf("  %s, line %" PRIu64 ": %s of %" PRIu32
               " bytes, %s: recorded %s; ours %s\n",
               path, d->line, trace_op_name(d->op), d->bytes, check_part_name(d->part),
               d->recorded, d->ours);
    }
}

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *rows_json(const struct trace_check *c)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < c->rows; i++) {
        const struct check_row *r = &c->row[i];
        json_array_append_new(
            all, json_pack("{s:s,s:s,s:s,s:b,s:o,s:o}", "operation", trace_op_name(r->op),
                           "size", check_size_name(r->size), "mapped_as",
                           mapped_way_text(r->way), "choice_given", r->given, "compared",
                           number(r->requests), "agree", number(r->agree)));
    }
    return all;
}

static json_t *reasons_json(const uint64_t *reason)
{
    json_t *all = json_object();
    for (unsigned i = CHECK_compared + 1; i < CHECK_REASONS_COUNT; i++)
        json_object_set_new(all, check_reason_name((enum check_reason)i),
                            number(reason[i]));
    return all;
}

static json_t *differences_json(const struct trace_check *c)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < c->shown; i++) {
        const struct check_difference *d = &c->difference[i];
        json_array_append_new(
            all,
            json_pack("{s:o,s:s,s:o,s:s,s:s,s:s}", "line", number(d->line), "operation",
                      trace_op_name(d->op), "bytes", number(d->bytes), "part",
                      check_part_name(d->part), "recorded", d->recorded, "ours", d->ours));
    }
    return all;
}

json_t *trace_check_json(const struct trace_check *c, const char *path)
{
    json_t *file = json_string(path);
    return json_pack(
        "{s:o,s:s,s:s,s:s,s:s,s:s,s:b,s:f,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:"
        "o,s:o,s:o}",
        "file", file != NULL ? file : json_string("?"), "settings", c->settings, "release",
        c->release, "release_from", check_source_name(c->release_from), "policy", c->policy,
        "policy_from", check_source_name(c->policy_from), "good", trace_check_good(c),
        "share_percent", share(c->agree, c->compared + c->call_reason[CHECK_unclaimed]),
        "requests", number(c->requests), "compared", number(c->compared), "agree",
        number(c->agree), "choice_given", number(c->given), "requests_not_compared",
        reasons_json(c->reason), "calls", number(c->calls), "calls_not_compared",
        reasons_json(c->call_reason), "without_end", number(c->no_end), "without_unmaps",
        number(c->no_unmaps), "probes_lost", number(c->probe_lost), "rows", rows_json(c),
        "differences", differences_json(c));
}
