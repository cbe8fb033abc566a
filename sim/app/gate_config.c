/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/gate.h"
#include "sim/app/yaml_file.h"
#include "sim/base/check.h"

#define DEFAULT_TOLERANCE 0.001
#define MOST_PERCENT      1e6

static struct gate_rule *add_rule(struct gate_config *c, const struct gate_rule *like)
{
    c->rule = realloc(c->rule, (c->rules + 1) * sizeof *c->rule);
    CHECK(c->rule != NULL);
    c->rule[c->rules]       = *like;
    c->rule[c->rules].match = NULL;
    return &c->rule[c->rules++];
}

static const struct gate_rule usual = { .tolerance = DEFAULT_TOLERANCE };

static char *copy(const char *text)
{
    char *made = strdup(text);
    CHECK(made != NULL);
    return made;
}

void gate_config_init(struct gate_config *c)
{
    *c                         = (struct gate_config){ NULL, 0, NULL, NULL };
    add_rule(c, &usual)->match = copy("*");
}

static void free_list(char **list)
{
    for (char **one = list; one != NULL && *one != NULL; one++)
        free(*one);
    free(list);
}

void gate_config_free(struct gate_config *c)
{
    for (unsigned i = 0; i < c->rules; i++)
        free(c->rule[i].match);
    free(c->rule);
    free_list(c->allow_missing);
    free_list(c->ignore_parameters);
    *c = (struct gate_config){ NULL, 0, NULL, NULL };
}

/* ---- The file ---- */

static bool word(struct yaml_file *y, yaml_node_t *node, const char *what,
                 const char *const *words, unsigned *index)
{
    char all[96]     = "";
    const char *text = yaml_text(y, node, what);
    if (text == NULL)
        return false;
    for (*index = 0; words[*index] != NULL; (*index)++) {
        if (strcmp(words[*index], text) == 0)
            return true;
        strcat(strcat(all, *index == 0 ? "" : ", "), words[*index]);
    }
    return yaml_refuse(y, node, "%s: expected one of %s, got '%s'", what, all, text);
}

static bool read_percent(struct yaml_file *y, yaml_node_t *node, struct gate_rule *rule)
{
    if (!yaml_number(y, node, "tolerance", 0.0, MOST_PERCENT, true, &rule->tolerance))
        return false;
    rule->tolerance /= 100.0;
    return true;
}

/* One key of a rule, or of the file's own defaults. */
static bool read_key(struct yaml_file *y, const char *key, yaml_node_t *value,
                     struct gate_rule *rule)
{
    static const char *const better[]   = { "as_metric", "lower", "higher",
                                            "same",      "any",   NULL };
    static const char *const severity[] = { "fail", "warn", "ignore", NULL };
    unsigned index;
    if (strcmp(key, "tolerance") == 0)
        return read_percent(y, value, rule);
    if (strcmp(key, "floor") == 0)
        return yaml_number(y, value, key, 0.0, HUGE_VAL, false, &rule->floor);
    if (strcmp(key, "better") == 0) {
        if (!word(y, value, key, better, &index))
            return false;
        rule->better = (enum gate_better)index;
        return true;
    }
    if (strcmp(key, "severity") == 0) {
        if (!word(y, value, key, severity, &index))
            return false;
        rule->severity = (enum gate_severity)index;
        return true;
    }
    return yaml_refuse(y, value,
                       "'%s': expected tolerance, floor, better or severity (of a rule "
                       "also match; of the file also metrics, allow_missing and "
                       "ignore_parameters)",
                       key);
}

static bool read_rule(struct yaml_file *y, yaml_node_t *node, struct gate_config *c,
                      const struct gate_rule *like)
{
    const char *key, *match = NULL;
    yaml_node_t *value;
    if (!yaml_is_map(y, node, "a rule"))
        return false;
    struct gate_rule *rule = add_rule(c, like);
    for (unsigned i = 0; yaml_pair(y, node, i, &key, &value); i++) {
        if (strcmp(key, "match") != 0) {
            if (!read_key(y, key, value, rule))
                return false;
            continue;
        }
        if ((match = yaml_text(y, value, "match")) == NULL)
            return false;
        rule->match = copy(match);
    }
    return match != NULL || yaml_refuse(y, node, "a rule: expected match: PATTERN");
}

static bool read_list(struct yaml_file *y, yaml_node_t *node, const char *what,
                      char ***list)
{
    unsigned n = 0;
    yaml_node_t *item;
    while ((item = yaml_item(y, node, n)) != NULL) {
        const char *text = yaml_text(y, item, what);
        if (text == NULL)
            return false;
        *list = realloc(*list, (n + 2) * sizeof **list);
        CHECK(*list != NULL);
        (*list)[n++] = copy(text);
        (*list)[n]   = NULL;
    }
    return true;
}

/* What stands outside of rules is for all metrics, wherever it stands. */
static bool read_defaults(struct yaml_file *y, struct gate_config *c,
                          struct gate_rule *defaults, yaml_node_t **rules)
{
    const char *key;
    yaml_node_t *value;
    for (unsigned i = 0; yaml_pair(y, yaml_root(y), i, &key, &value); i++) {
        if (strcmp(key, "metrics") == 0) {
            *rules = value;
        } else if (strcmp(key, "allow_missing") == 0) {
            if (!read_list(y, value, key, &c->allow_missing))
                return false;
        } else if (strcmp(key, "ignore_parameters") == 0) {
            if (!read_list(y, value, key, &c->ignore_parameters))
                return false;
        } else if (!read_key(y, key, value, defaults)) {
            return false;
        }
    }
    return true;
}

static bool read_file(struct yaml_file *y, struct gate_config *c)
{
    struct gate_rule defaults = usual;
    yaml_node_t *rules        = NULL, *one;
    if (!read_defaults(y, c, &defaults, &rules))
        return false;
    if (rules != NULL && rules->type != YAML_SEQUENCE_NODE)
        return yaml_refuse(y, rules, "metrics: expected a list of rules");
    for (unsigned i = 0; rules != NULL && (one = yaml_item(y, rules, i)) != NULL; i++)
        if (!read_rule(y, one, c, &defaults))
            return false;
    add_rule(c, &defaults)->match = copy("*");
    return true;
}

bool gate_config_load(struct gate_config *c, const char *path, struct error *error)
{
    struct yaml_file y;
    *c = (struct gate_config){ NULL, 0, NULL, NULL };
    if (!yaml_file_open(&y, path, error))
        return false;
    const bool read = read_file(&y, c);
    yaml_file_close(&y);
    if (!read)
        gate_config_free(c);
    return read;
}
