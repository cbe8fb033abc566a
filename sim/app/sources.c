/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/sources.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim/app/spool.h"

enum { CPUS_LOOK_AHEAD = 10000 };

static const void *own_config(const struct config *c, const struct generator *generator)
{
    for (unsigned i = 0; gen_table[i] != NULL; i++)
        if (gen_table[i] == generator)
            return c->generator[i];
    UNREACHABLE("a generator is one of the table");
}

bool sources_open(struct trace_reader **reader, const char *path, const char *format,
                  const struct config *config, uint64_t seed, struct error *error)
{
    *reader = NULL;
    if (!generator_is(path))
        return trace_open_as(reader, path, format, error);
    if (format != NULL)
        return error_set(error, "--from: expected no format for %s, got %s", path, format);
    const struct generator *generator = generator_find(path, error);
    return generator != NULL
           && generator_open(reader, generator, &config->gen, own_config(config, generator),
                             seed, error);
}

static void put_params(const struct param_table *table, const void *values, FILE *out)
{
    for (const struct param_def *def = table->def; def->name != NULL; def++)
        if (def->type == PARAM_name)
            fprintf(out, " %s.%s=%s", table->prefix, def->name, param_text(def, values));
        else
            fprintf(out, " %s.%s=%" PRIu64, table->prefix, def->name,
                    param_number(def, values));
}

static bool recipe(const char *path, const struct config *config, uint64_t seed, char *out,
                   size_t bytes, struct error *error)
{
    const struct generator *g = generator_find(path, error);
    if (g == NULL)
        return false;
    FILE *text = fmemopen(out, bytes, "w");
    CHECK(text != NULL);
    fprintf(text, "%s seed=%" PRIu64, path, seed);
    put_params(&gen_param_table, &config->gen, text);
    if (g->params != NULL)
        put_params(g->params, own_config(config, g), text);
    fclose(text);
    return true;
}

bool sources_sha256(const char *path, const struct config *config, uint64_t seed,
                    char sha256[FILE_SHA256_CHARS + 1], struct error *error)
{
    char text[4096];
    if (generator_is(path)) {
        const bool known = recipe(path, config, seed, text, sizeof text, error);
        if (known)
            text_sha256(text, sha256);
        return known;
    }
    if (strcmp(path, TRACE_STANDARD_INPUT) != 0)
        return file_sha256(path, sha256, error);
    return spool_standard_input(error) && file_sha256("/dev/stdin", sha256, error);
}

bool sources_cpus(const struct replay_source *source, unsigned sources, unsigned *cpus,
                  struct error *error)
{
    uint32_t most = 0;
    for (unsigned i = 0; i < sources; i++) {
        struct trace_record record;
        for (unsigned n = 0; n < CPUS_LOOK_AHEAD; n++) {
            const int got = trace_next(source[i].reader, &record, error);
            if (got < 0)
                return false;
            if (got == 0)
                break;
            most = record.cpu > most ? record.cpu : most;
        }
    }
    *cpus = most < ENGINE_CPUS_MAX ? most + 1 : ENGINE_CPUS_MAX;
    return true;
}

bool sources_rdma(const struct replay_source *source, unsigned sources, bool *rdma,
                  struct error *error)
{
    unsigned records = 0, of_rdma = 0;
    for (unsigned i = 0; i < sources; i++) {
        struct trace_record record;
        if (!trace_rewind(source[i].reader, error))
            return false;
        const int got = trace_next(source[i].reader, &record, error);
        if (got < 0 || !trace_rewind(source[i].reader, error))
            return false;
        records += got > 0;
        of_rdma += got > 0 && trace_op_is_rdma(record.op);
    }
    *rdma = of_rdma > 0;
    if (records == 0)
        return error_set(error, "there is no record to replay");
    return of_rdma == 0 || of_rdma == records
           || error_set(error, "traces of block requests and of RDMA work cannot be "
                               "replayed together");
}
