/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/difference.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/text.h"
#include "sim/base/check.h"

static bool same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool ignored(const char *key, const char *const *ignore)
{
    for (; ignore != NULL && *ignore != NULL; ignore++)
        if (fnmatch(*ignore, key, 0) == 0)
            return true;
    return false;
}

/* Takes over key, before and after. */
static void add(struct differences *d, const struct result_run *run,
                const char *const *ignore, char *key, char *before, char *after)
{
    struct difference *one = d->one;
    const bool skip        = same(before, after) || ignored(key, ignore);
    while (!skip && one < d->one + d->count
           && (strcmp(one->key, key) != 0 || !same(one->before, before)
               || !same(one->after, after)))
        one++;
    if (skip || one < d->one + d->count) {
        if (!skip)
            one->runs++;
        free(key);
        free(before);
        free(after);
        return;
    }
    d->one = realloc(d->one, (d->count + 1) * sizeof *d->one);
    CHECK(d->one != NULL);
    d->changed += before != NULL && after != NULL;
    d->one[d->count++] = (struct difference){ key, before, after, 1, run->name };
}

/* A parameter's value as it is typed; NULL: there is none. */
static char *value_text(const json_t *value)
{
    if (value == NULL)
        return NULL;
    if (json_is_string(value))
        return text_make("%s", json_string_value(value));
    return json_dumps(value, JSON_ENCODE_ANY);
}

static void add_table(struct differences *d, const struct result_run *run,
                      const char *const *ignore, const char *prefix, const json_t *before,
                      const json_t *after)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)before, name, value)
    {
        add(d, run, ignore, text_make("%s.%s", prefix, name), value_text(value),
            value_text(json_object_get(after, name)));
    }
    json_object_foreach((json_t *)after, name, value)
    {
        if (json_object_get(before, name) == NULL)
            add(d, run, ignore, text_make("%s.%s", prefix, name), NULL, value_text(value));
    }
}

static void add_config(struct differences *d, const struct result_run *a,
                       const struct result_run *b, const char *const *ignore)
{
    const char *prefix;
    json_t *table;
    json_object_foreach((json_t *)a->config, prefix, table)
    {
        if (json_is_object(table))
            add_table(d, a, ignore, prefix, table, json_object_get(b->config, prefix));
    }
    json_object_foreach((json_t *)b->config, prefix, table)
    {
        if (json_is_object(table) && json_object_get(a->config, prefix) == NULL)
            add_table(d, a, ignore, prefix, NULL, table);
    }
}

static void add_traces(struct differences *d, const struct result_run *a,
                       const struct result_run *b, const char *const *ignore)
{
    static const char *const key[] = { "sha256", "records" };
    const size_t left = json_array_size(a->traces), right = json_array_size(b->traces);
    add(d, a, ignore, text_make("traces"), text_make("%zu", left), text_make("%zu", right));
    for (size_t i = 0; i < left && i < right; i++)
        for (unsigned k = 0; k < sizeof key / sizeof key[0]; k++)
            add(d, a, ignore, text_make("trace %zu %s", i + 1, key[k]),
                value_text(json_object_get(json_array_get(a->traces, i), key[k])),
                value_text(json_object_get(json_array_get(b->traces, i), key[k])));
}

void differences_add(struct differences *d, const struct result_run *before,
                     const struct result_run *after, const char *const *ignore)
{
    const struct {
        const char *key, *before, *after;
    } word[] = { { "preset", before->preset, after->preset },
                 { "policy", before->policy, after->policy },
                 { "api", before->api, after->api } };
    for (unsigned i = 0; i < sizeof word / sizeof word[0]; i++)
        add(d, before, ignore, text_make("%s", word[i].key),
            text_make("%s", word[i].before), text_make("%s", word[i].after));
    add(d, before, ignore, text_make("cpus"), text_make("%" PRIu64, before->cpus),
        text_make("%" PRIu64, after->cpus));
    add(d, before, ignore, text_make("seed"), text_make("%" PRIu64, before->seed),
        text_make("%" PRIu64, after->seed));
    add_traces(d, before, after, ignore);
    add_config(d, before, after, ignore);
}

void differences_free(struct differences *d)
{
    for (unsigned i = 0; i < d->count; i++) {
        free(d->one[i].key);
        free(d->one[i].before);
        free(d->one[i].after);
    }
    free(d->one);
    *d = (struct differences){ NULL, 0, 0 };
}

static void put_one(const struct difference *one, unsigned runs, FILE *out)
{
    if (one->before != NULL && one->after != NULL)
        fprintf(out, "%s: %s -> %s", one->key, one->before, one->after);
    else
        fprintf(out, "%s: %s, only %s knows it", one->key,
                one->before != NULL ? one->before : one->after,
                one->before != NULL ? "the first" : "the second");
    if (runs == 1)
        fputc('\n', out);
    else if (one->runs == runs)
        fputs(" (all runs)\n", out);
    else if (one->runs == 1)
        fprintf(out, " (%s)\n", one->run);
    else
        fprintf(out, " (%u of %u runs: %s, ...)\n", one->runs, runs, one->run);
}

void differences_put(const struct differences *d, unsigned runs, const char *bullet,
                     FILE *out)
{
    for (unsigned i = 0; i < d->count; i++) {
        fputs(bullet, out);
        put_one(&d->one[i], runs, out);
    }
}
