/* SPDX-License-Identifier: Apache-2.0 */
/* The four files of a run, as the recordings have them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/base/check.h"
#include "sim/test/rtl_fsm_generate.h"
#include "sim/test/trace_fixture.h"

/* A text in memory that becomes FOLDER/NAME_PART.csv.gz. */
struct part {
    FILE *out;
    char *text;
    size_t bytes;
};

static void begin(struct part *p)
{
    p->out = open_memstream(&p->text, &p->bytes);
    CHECK(p->out != NULL);
}

static void end(struct part *p, const struct fsm_generator *g, const char *folder,
                const char *name)
{
    char path[700];
    CHECK(fclose(p->out) == 0);
    const struct fixture_bytes plain = { (uint8_t *)p->text, p->bytes };
    struct fixture_bytes packed      = fixture_gzip(plain);
    snprintf(path, sizeof path, "%s/%s_%s.csv.gz", folder, g->plan.name, name);
    fixture_save(path, packed.data, packed.bytes);
    fixture_free(packed);
    free(p->text);
}

/* ---- Requests --------------------------------------------------------------------------
 */

static const char *stages_name(const struct fsm_device *d)
{
    return d->stages == FSM_S1       ? "S1"
           : d->stages == FSM_S2     ? "S2"
           : d->stages == FSM_NESTED ? "S1+S2"
                                     : "bare";
}

static void write_drawing(FILE *out, const struct fsm_plan *p)
{
    static const char *const mode[] = { "none", "quiesced", "concurrent" };
    fprintf(out,
            "# ddt_levels=%u ndev=%u footprint_pages_per_device=%u superpage_pct=%u "
            "faulty_page_pct=%u write_pct=%u gap_max=%u locality_pct=%u streams=%s "
            "inval_mode=%s inval_every~%u pdt_levels=%u\n",
            p->ddt_levels, p->devices, p->pages, p->superpage_pct, p->faulty_pct,
            p->write_pct, p->gap_max, p->locality_pct,
            p->streams == 1 ? "1(in order)" : "2(AR and AW)", mode[p->invalidation],
            p->every, p->pdt_levels);
}

static void write_header(FILE *out, const struct fsm_generator *g)
{
    const struct fsm_plan *p       = &g->plan;
    const struct rtl_parameters *r = &g->bench.log.parameters;
    fprintf(out,
            "# rtl=state-machines InclPC=%" PRIu64 " MSITrans=0 InclBC=0 InclDBG=0 "
            "iotlb_entries=%u ddtc_entries=%u pdtc_entries=%u\n"
            "# seed=%" PRIu64 " requests=%u mem_read_latency_L=%u "
            "write_resp_latency_LW=%u read_beats_per_cycle=1 mem_max_outstanding=%u\n",
            r->process_contexts, p->iotlb, p->ddtc, p->pdtc, p->seed, p->requests,
            p->read_latency, p->write_latency, p->outstanding);
    write_drawing(out, p);
    fprintf(out,
            "# ddtp=0x%" PRIx64 " cqb=0x%" PRIx64 " fqb=0x%" PRIx64
            " cq_log2=%d fq_log2=%d\n",
            r->ddtp, r->cqb, r->fqb, FSM_QUEUE_LG2, FSM_QUEUE_LG2);
    for (unsigned n = 0; n < p->devices; n++)
        fprintf(out, "# device did=0x%x stage=%s pscid=%u gscid=%u pdt=%d\n",
                g->device[n].id, stages_name(&g->device[n]), g->device[n].target[0].pscid,
                g->device[n].gscid, g->device[n].directory);
}

static void write_request(FILE *out, size_t n, const struct rtl_request *r, uint64_t gap)
{
    fprintf(out,
            "%zu,%s,%" PRIu64 ",%" PRIu64 ",0x%" PRIx64 ",0x%x,%d,0x%x,%d,%" PRIu64
            ",%" PRIu64 ",%s,0x%" PRIx64 ",%u,%d,%d,%u,%d\n",
            n, r->channel == RTL_AR ? "AR" : "AW", r->issued, gap, r->iova, r->device,
            r->has_process, r->process, r->channel == RTL_AW, r->done, r->done - r->issued,
            r->fault ? "FAULT" : "OK", r->pa, r->cause, r->context_hit, r->iotlb_hit,
            r->reads, r->hung);
}

static void write_requests(const struct fsm_generator *g, const char *folder)
{
    cycle_t done[FSM_STREAMS_MAX] = { 0 };
    struct part p;
    begin(&p);
    write_header(p.out, g);
    fprintf(p.out, "idx,channel,issue_cycle,gap,iova,device_id,pv,pid,is_write,"
                   "done_cycle,latency,result,pa,cause,ddtc,iotlb,nreads,watchdog\n");
    for (size_t i = 0; i < g->bench.log.requests; i++) {
        const struct rtl_request *r = &g->bench.log.request[i];
        cycle_t *last               = &done[g->plan.streams == 2 ? r->channel : 0];
        write_request(p.out, i, r, *last == 0 ? 0 : r->issued - *last - 1);
        *last = r->done;
    }
    end(&p, g, folder, "req");
}

/* ---- Memory ----------------------------------------------------------------------------
 */

static void write_image(const struct fsm_generator *g, const char *folder)
{
    struct part p;
    begin(&p);
    fprintf(p.out, "# physical memory image (8-byte words, non-zero only)\n"
                   "addr,value,page_kind\n");
    for (size_t i = 0; i < g->bench.log.words; i++) {
        const struct rtl_store *w = &g->bench.log.word[i];
        fprintf(p.out, "0x%" PRIx64 ",0x%" PRIx64 ",%s\n", w->pa, w->value,
                fsm_tables_kind(&g->tables, w->pa));
    }
    end(&p, g, folder, "image");
}

static void write_accesses(const struct fsm_generator *g, const char *folder)
{
    struct part p;
    begin(&p);
    fprintf(p.out, "n,rw,axi_id,kind,addr,beats,valid_cycle,accept_cycle,"
                   "first_data_cycle,last_cycle\n");
    for (size_t i = 0; i < g->bench.log.accesses; i++) {
        const struct rtl_access *a = &g->bench.log.access[i];
        fprintf(p.out,
                "%zu,%s,%u,%s,0x%" PRIx64 ",%u,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
                "\n",
                i, a->write ? "W" : "R", a->engine, fsm_tables_kind(&g->tables, a->pa),
                a->pa, a->beats, a->presented, a->accepted, a->first, a->last);
    }
    end(&p, g, folder, "mem");
}

/* ---- Events ----------------------------------------------------------------------------
 */

static void write_command(FILE *out, size_t n, const struct rtl_command *c)
{
    fprintf(out,
            "CMD,%" PRIu64 ",idx=%zu,0x%" PRIx64 ",0x%" PRIx64 ",flush_cycle=%" PRId64
            ",cqh_cycle=%" PRIu64 "\n",
            c->fetched, n, c->low, c->high,
            c->flushed == CYCLE_NEVER ? -1 : (int64_t)c->flushed, c->head);
}

static void write_events(const struct fsm_generator *g, const char *folder)
{
    const struct rtl_run *log = &g->bench.log;
    struct part p;
    begin(&p);
    fprintf(p.out, "type,cycle,a,b,c,d,e\n");
    for (size_t i = 0; i < log->stores; i++)
        fprintf(p.out, "MEMW,%" PRIu64 ",0x%" PRIx64 ",0x%" PRIx64 ",,,\n",
                log->store[i].cycle, log->store[i].pa, log->store[i].value);
    for (size_t i = 0; i < log->doorbells; i++)
        fprintf(p.out, "DOORBELL,%" PRIu64 ",cqt=%u,b_cycle=%" PRIu64 ",,,\n",
                log->doorbell[i].cycle, log->doorbell[i].tail, log->doorbell[i].cycle + 3);
    for (size_t i = 0; i < log->commands; i++)
        write_command(p.out, i, &log->command[i]);
    for (size_t i = 0; i < log->faults; i++)
        fprintf(p.out, "FQT,%" PRIu64 ",%u,,,,\n", log->fault[i].cycle, log->fault[i].tail);
    for (size_t i = 0; i < log->requests; i++)
        if (log->request[i].hung)
            fprintf(p.out, "WATCHDOG,%" PRIu64 ",%zu,,,,\n", log->request[i].done, i);
    end(&p, g, folder, "events");
}

void fsm_write(const struct fsm_generator *g, const char *folder)
{
    write_requests(g, folder);
    write_image(g, folder);
    write_events(g, folder);
    write_accesses(g, folder);
}
