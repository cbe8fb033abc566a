/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/spec.h"

#include <stdlib.h>
#include <string.h>

#include "sim/app/text.h"

char *spec_path(const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');
    if (path[0] == '/' || slash == NULL || generator_is(path))
        return text_make("%s", path);
    return text_make("%.*s%s", (int)(slash + 1 - file), file, path);
}

static void push(char ***list, unsigned *count, char *text)
{
    *list = realloc(*list, (*count + 2) * sizeof **list);
    CHECK(*list != NULL);
    (*list)[(*count)++] = text;
    (*list)[*count]     = NULL;
}

static void drop(char ***list, unsigned *count)
{
    for (unsigned i = 0; i < *count; i++)
        free((*list)[i]);
    free(*list);
    *list  = NULL;
    *count = 0;
}

/* The word's place in the spec; NULL: it is none of them. */
static char **word_of(struct spec *s, const char *key)
{
    const struct {
        const char *key;
        char **word;
    } word[] = { { "preset", &s->preset },    { "policy", &s->policy },
                 { "api", &s->api },          { "cpus", &s->cpus },
                 { "limit", &s->limit },      { "seed", &s->seed },
                 { "attacker", &s->attacker } };
    for (unsigned i = 0; i < sizeof word / sizeof word[0]; i++)
        if (strcmp(word[i].key, key) == 0)
            return word[i].word;
    return NULL;
}

static void replace(char **word, char *by)
{
    free(*word);
    *word = by;
}

/* A second value for a parameter takes the place of the first. */
static void set(struct spec *s, const char *key, const char *value)
{
    const size_t n = strlen(key);
    char *text     = text_make("%s=%s", key, value);
    for (unsigned i = 0; i < s->sets; i++)
        if (strncmp(s->set[i], key, n) == 0 && s->set[i][n] == '=') {
            replace(&s->set[i], text);
            return;
        }
    push(&s->set, &s->sets, text);
}

void spec_assign(struct spec *s, const char *key, const char *value)
{
    char **word = word_of(s, key);
    if (word != NULL) {
        replace(word, text_make("%s", value));
    } else if (strcmp(key, "trace") == 0) {
        drop(&s->trace, &s->traces);
        push(&s->trace, &s->traces, text_make("%s", value));
    } else {
        set(s, key, value);
    }
}

/* "a,b" of a list. */
static bool read_word(struct yaml_file *y, const char *key, yaml_node_t *value, char **word)
{
    yaml_node_t *item;
    char *all = NULL;
    for (unsigned i = 0; (item = yaml_item(y, value, i)) != NULL; i++) {
        const char *text = yaml_text(y, item, key);
        if (text == NULL) {
            free(all);
            return false;
        }
        replace(&all, text_make("%s%s%s", i == 0 ? "" : all, i == 0 ? "" : ",", text));
    }
    if (all == NULL)
        return yaml_refuse(y, value, "%s: the list is empty", key);
    replace(word, all);
    return true;
}

static bool read_traces(struct spec *s, struct yaml_file *y, yaml_node_t *value)
{
    yaml_node_t *item;
    drop(&s->trace, &s->traces);
    for (unsigned i = 0; (item = yaml_item(y, value, i)) != NULL; i++) {
        const char *text = yaml_text(y, item, "trace");
        if (text == NULL)
            return false;
        push(&s->trace, &s->traces, spec_path(y->path, text));
    }
    return s->traces > 0 || yaml_refuse(y, value, "trace: the list is empty");
}

static bool read_sets(struct spec *s, struct yaml_file *y, yaml_node_t *map)
{
    const char *key;
    yaml_node_t *value;
    if (!yaml_is_map(y, map, "set"))
        return false;
    for (unsigned i = 0; yaml_pair(y, map, i, &key, &value); i++) {
        const char *text = yaml_text(y, value, key);
        if (text == NULL)
            return false;
        set(s, key, text);
    }
    return true;
}

bool spec_read(struct spec *s, struct yaml_file *y, const char *key, yaml_node_t *value,
               bool *known)
{
    char **word = word_of(s, key);
    *known      = true;
    if (word != NULL)
        return read_word(y, key, value, word);
    if (strcmp(key, "trace") == 0)
        return read_traces(s, y, value);
    if (strcmp(key, "set") == 0)
        return read_sets(s, y, value);
    *known = false;
    return true;
}

static char *copy(const char *text)
{
    return text == NULL ? NULL : text_make("%s", text);
}

void spec_copy(struct spec *to, const struct spec *from)
{
    *to = (struct spec){
        .preset   = copy(from->preset),
        .policy   = copy(from->policy),
        .api      = copy(from->api),
        .cpus     = copy(from->cpus),
        .limit    = copy(from->limit),
        .seed     = copy(from->seed),
        .attacker = copy(from->attacker),
    };
    for (unsigned i = 0; i < from->sets; i++)
        push(&to->set, &to->sets, copy(from->set[i]));
    for (unsigned i = 0; i < from->traces; i++)
        push(&to->trace, &to->traces, copy(from->trace[i]));
}

void spec_free(struct spec *s)
{
    char *const word[] = { s->preset, s->policy, s->api,     s->cpus,
                           s->limit,  s->seed,   s->attacker };
    for (unsigned i = 0; i < sizeof word / sizeof word[0]; i++)
        free(word[i]);
    drop(&s->set, &s->sets);
    drop(&s->trace, &s->traces);
    *s = (struct spec){ .preset = NULL };
}

void spec_apply(const struct spec *s, struct experiment *e)
{
    e->words = (struct experiment_words){
        .preset   = s->preset,
        .api      = s->api,
        .policy   = s->policy,
        .cpus     = s->cpus,
        .limit    = s->limit,
        .seed     = s->seed,
        .attacker = s->attacker,
        .host     = "direct", /* Any number in a process; the same bytes. */
        .progress = "never",
    };
    e->set   = (const char *const *)s->set;
    e->sets  = s->sets;
    e->trace = (const char *const *)s->trace;
}

/* What is in a word never makes two of it. */
static void put_word(const char *text, FILE *out)
{
    char *word = text_shell_word(text);
    fprintf(out, "%s ", word);
    free(word);
}

static void put_option(const char *option, const char *text, FILE *out)
{
    char *word = text_shell_word(text);
    fprintf(out, " %s %s", option, word);
    free(word);
}

void spec_put_words(const struct spec *s, FILE *out)
{
    const struct {
        const char *option, *word;
    } word[] = {
        { "--preset", s->preset }, { "--policy", s->policy }, { "--api", s->api },
        { "--cpus", s->cpus },     { "--limit", s->limit },   { "--seed", s->seed }
    };
    for (unsigned i = 0; i < s->traces; i++) {
        char *trace = text_shell_word(s->trace[i]);
        fprintf(out, "%s%s", i > 0 ? " " : "", trace);
        free(trace);
    }
    for (unsigned i = 0; i < sizeof word / sizeof word[0]; i++)
        if (word[i].word != NULL)
            put_option(word[i].option, word[i].word, out);
    if (s->attacker != NULL && strcmp(s->attacker, "off") != 0)
        fputs(" --attacker", out);
    for (unsigned i = 0; i < s->sets; i++)
        put_option("--set", s->set[i], out);
}

char *spec_line(const struct spec *s)
{
    const char *const word[] = { s->preset, s->policy, s->api,     s->cpus,
                                 s->limit,  s->seed,   s->attacker };
    char *text;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    CHECK(out != NULL);
    for (unsigned i = 0; i < sizeof word / sizeof word[0]; i++)
        put_word(word[i] != NULL ? word[i] : "-", out);
    for (unsigned i = 0; i < s->traces; i++)
        put_word(s->trace[i], out);
    for (unsigned i = 0; i < s->sets; i++)
        put_word(s->set[i], out);
    fclose(out);
    return text;
}
