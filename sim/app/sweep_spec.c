/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/sweep_spec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/app/text.h"
#include "sim/base/rng.h"

enum method { METHOD_grid, METHOD_list, METHOD_random, METHOD_lhs, METHODS };
static const char *const method_name[METHODS] = { "grid", "list", "random",
                                                  "latin-hypercube" };

#define NUMBER_MAX 9007199254740992.0 /* What a double counts exactly. */

/* The file, half read. */
struct plan {
    struct yaml_file yaml;
    struct sweep *sweep;
    enum method method;
    double samples, seed;
    struct spec base;
    yaml_node_t *axes, *points;
};

/* ---- Axes ---- */

static void add_value(struct sweep_axis *axis, char *value)
{
    axis->value = realloc(axis->value, (axis->values + 2) * sizeof *axis->value);
    CHECK(axis->value != NULL);
    axis->value[axis->values++] = value;
    axis->value[axis->values]   = NULL;
}

static char *value_of(struct plan *p, const char *key, const char *text)
{
    return strcmp(key, "trace") == 0 ? spec_path(p->yaml.path, text)
                                     : text_make("%s", text);
}

static bool read_values(struct plan *p, struct sweep_axis *axis, yaml_node_t *list)
{
    yaml_node_t *item;
    for (unsigned i = 0; (item = yaml_item(&p->yaml, list, i)) != NULL; i++) {
        const char *text = yaml_text(&p->yaml, item, axis->key);
        if (text == NULL)
            return false;
        add_value(axis, value_of(p, axis->key, text));
    }
    return axis->values > 0
           || yaml_refuse(&p->yaml, list, "%s: the list is empty", axis->key);
}

/* Steps and powers of two are values of their own; so are, on a grid, all numbers. */
static bool enumerate(struct plan *p, struct sweep_axis *axis, yaml_node_t *node,
                      double step, bool doubling)
{
    if (doubling && axis->from < 1.0)
        return yaml_refuse(&p->yaml, node, "%s: from: expected at least 1", axis->key);
    for (double at = axis->from; at <= axis->to; at = doubling ? 2.0 * at : at + step) {
        if (axis->values == SWEEP_POINTS_MAX)
            return yaml_refuse(&p->yaml, node, "%s: more than %d values", axis->key,
                               SWEEP_POINTS_MAX);
        add_value(axis, text_make("%.0f", at));
    }
    return true;
}

static bool read_range(struct plan *p, struct sweep_axis *axis, yaml_node_t *map)
{
    struct yaml_file *y = &p->yaml;
    const char *key, *scale = "linear";
    yaml_node_t *value;
    double step = 0.0;
    axis->from = axis->to = -1.0;
    if (!yaml_is_map(y, map, axis->key))
        return false;
    for (unsigned i = 0; yaml_pair(y, map, i, &key, &value); i++) {
        double *const number = strcmp(key, "from") == 0   ? &axis->from
                               : strcmp(key, "to") == 0   ? &axis->to
                               : strcmp(key, "step") == 0 ? &step
                                                          : NULL;
        if (number != NULL) {
            if (!yaml_number(y, value, key, number == &step, NUMBER_MAX, false, number))
                return false;
            if (*number != floor(*number))
                return yaml_refuse(y, value, "%s: expected a whole number", key);
        } else if (strcmp(key, "scale") != 0) {
            return yaml_refuse(y, value, "'%s': expected from, to, step or scale", key);
        } else if ((scale = yaml_text(y, value, key)) == NULL) {
            return false;
        }
    }
    const bool doubling = strcmp(scale, "pow2") == 0;
    axis->log           = strcmp(scale, "log") == 0;
    if (!doubling && !axis->log && strcmp(scale, "linear") != 0)
        return yaml_refuse(y, map, "scale: expected linear, log or pow2, got '%s'", scale);
    if (axis->from < 0.0 || axis->to < axis->from)
        return yaml_refuse(y, map, "%s: expected from and a to that is not smaller",
                           axis->key);
    if (axis->log && (axis->from < 1.0 || p->method == METHOD_grid))
        return yaml_refuse(y, map, "%s: scale log: %s", axis->key,
                           axis->from < 1.0 ? "expected from: at least 1"
                                            : "a grid takes linear and pow2");
    if (doubling || step > 0.0 || p->method == METHOD_grid)
        return enumerate(p, axis, map, step > 0.0 ? step : 1.0, doubling);
    return true;
}

static bool read_axes(struct plan *p)
{
    const char *key;
    yaml_node_t *value;
    if (!yaml_is_map(&p->yaml, p->axes, "axes"))
        return false;
    for (unsigned i = 0; yaml_pair(&p->yaml, p->axes, i, &key, &value); i++) {
        if (i == SWEEP_AXES_MAX)
            return yaml_refuse(&p->yaml, value, "more than %d axes", SWEEP_AXES_MAX);
        struct sweep_axis *axis = &p->sweep->axis[p->sweep->axes++];
        axis->key               = text_make("%s", key);
        if (value->type == YAML_MAPPING_NODE ? !read_range(p, axis, value)
                                             : !read_values(p, axis, value))
            return false;
    }
    return p->sweep->axes > 0
           || yaml_refuse(&p->yaml, p->axes, "axes: expected at least one");
}

/* ---- Points ---- */

/* Open addressing by the line's hash: which lines are there. */
struct seen {
    unsigned *slot; /* A point's number and 1. */
    size_t slots;
};

static uint64_t hash_of(const char *text)
{
    return rng_make(0, text).state;
}

static bool is_new(const struct sweep *s, struct seen *seen, const char *line)
{
    size_t at = hash_of(line) % seen->slots;
    for (; seen->slot[at] != 0; at = (at + 1) % seen->slots)
        if (strcmp(s->line[seen->slot[at] - 1], line) == 0)
            return false;
    seen->slot[at] = s->points + 1;
    return true;
}

/* Takes over the point. */
static void add_point(struct sweep *s, struct seen *seen, struct spec *point)
{
    char *line = spec_line(point);
    s->drawn++;
    if (!is_new(s, seen, line)) {
        spec_free(point);
        free(line);
        return;
    }
    s->point[s->points]  = *point;
    s->line[s->points++] = line;
}

static void room_for(struct sweep *s, struct seen *seen, size_t points)
{
    s->point    = calloc(points, sizeof *s->point);
    s->line     = calloc(points, sizeof *s->line);
    seen->slots = 2 * points + 1;
    seen->slot  = calloc(seen->slots, sizeof *seen->slot);
    CHECK(s->point != NULL && s->line != NULL && seen->slot != NULL);
}

static bool grid_points(struct plan *p, struct seen *seen)
{
    struct sweep *s = p->sweep;
    double all      = 1.0;
    for (unsigned a = 0; a < s->axes; a++)
        all *= s->axis[a].values;
    if (all > SWEEP_POINTS_MAX)
        return yaml_refuse(&p->yaml, p->axes, "%.0f points; at most %d", all,
                           SWEEP_POINTS_MAX);
    room_for(s, seen, (size_t)all);
    for (size_t i = 0; i < (size_t)all; i++) {
        struct spec point;
        size_t rest = i, left = (size_t)all;
        spec_copy(&point, &p->base);
        for (unsigned a = 0; a < s->axes; a++) { /* The last axis changes fastest. */
            left /= s->axis[a].values;
            spec_assign(&point, s->axis[a].key, s->axis[a].value[rest / left]);
            rest %= left;
        }
        add_point(s, seen, &point);
    }
    return true;
}

/* Where a share of 0 .. 1 lies on an axis. */
static void assign_share(struct spec *point, const struct sweep_axis *axis, double share)
{
    if (axis->values > 0) {
        const unsigned at = (unsigned)(share * axis->values); /* Rounded up, perhaps. */
        spec_assign(point, axis->key, axis->value[at < axis->values ? at : at - 1]);
        return;
    }
    const double span = axis->to + 1.0 - axis->from;
    const double at   = axis->log ? axis->from * pow((axis->to + 1.0) / axis->from, share)
                                  : axis->from + share * span;
    char *text        = text_make("%.0f", fmin(floor(at), axis->to));
    spec_assign(point, axis->key, text);
    free(text);
}

static double draw(struct rng *rng)
{
    return (double)(rng_next(rng) >> 11) * 0x1p-53;
}

static void shuffle(struct rng *rng, unsigned *order, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        order[i] = i;
    for (unsigned i = n; i > 1; i--) {
        const unsigned other = rng_below(rng, i), kept = order[i - 1];
        order[i - 1] = order[other];
        order[other] = kept;
    }
}

/* Latin hypercube: each axis is cut into as many strata as there are samples, and each
 * stratum is used once. */
static bool drawn_points(struct plan *p, struct seen *seen)
{
    struct sweep *s   = p->sweep;
    const unsigned n  = (unsigned)p->samples;
    unsigned *stratum = calloc((size_t)n * s->axes, sizeof *stratum);
    struct rng rng[SWEEP_AXES_MAX];
    CHECK(stratum != NULL);
    room_for(s, seen, n);
    for (unsigned a = 0; a < s->axes; a++) { /* An axis more does not move the others. */
        rng[a] = rng_make((uint64_t)p->seed, s->axis[a].key);
        shuffle(&rng[a], stratum + (size_t)a * n, n);
    }
    for (unsigned i = 0; i < n; i++) {
        struct spec point;
        spec_copy(&point, &p->base);
        for (unsigned a = 0; a < s->axes; a++) {
            const double share = draw(&rng[a]);
            assign_share(&point, &s->axis[a],
                         p->method == METHOD_random
                             ? share
                             : (stratum[(size_t)a * n + i] + share) / n);
        }
        add_point(s, seen, &point);
    }
    free(stratum);
    return true;
}

static bool read_point(struct plan *p, struct seen *seen, yaml_node_t *map)
{
    const char *key;
    yaml_node_t *value;
    struct spec point;
    if (!yaml_is_map(&p->yaml, map, "a point"))
        return false;
    spec_copy(&point, &p->base);
    for (unsigned i = 0; yaml_pair(&p->yaml, map, i, &key, &value); i++) {
        const char *text = yaml_text(&p->yaml, value, key);
        if (text == NULL) {
            spec_free(&point);
            return false;
        }
        char *made = value_of(p, key, text);
        spec_assign(&point, key, made);
        free(made);
    }
    add_point(p->sweep, seen, &point);
    return true;
}

/* A list's axes are the keys of its first point: what reports name. */
static void list_axes(struct plan *p, yaml_node_t *first)
{
    const char *key;
    yaml_node_t *value;
    for (unsigned i = 0; i < SWEEP_AXES_MAX && yaml_pair(&p->yaml, first, i, &key, &value);
         i++)
        p->sweep->axis[p->sweep->axes++].key = text_make("%s", key);
}

static bool listed_points(struct plan *p, struct seen *seen)
{
    yaml_node_t *one;
    unsigned n = 0;
    if (p->points == NULL || p->points->type != YAML_SEQUENCE_NODE)
        return yaml_refuse(&p->yaml, p->points, "method list: expected points: and a list");
    while (yaml_item(&p->yaml, p->points, n) != NULL)
        n++;
    if (n == 0 || n > SWEEP_POINTS_MAX)
        return n == 0 ? yaml_refuse(&p->yaml, p->points, "points: the list is empty")
                      : yaml_refuse(&p->yaml, p->points, "%u points; at most %d", n,
                                    SWEEP_POINTS_MAX);
    room_for(p->sweep, seen, n);
    for (unsigned i = 0; (one = yaml_item(&p->yaml, p->points, i)) != NULL; i++)
        if (!read_point(p, seen, one))
            return false;
    list_axes(p, yaml_item(&p->yaml, p->points, 0));
    return true;
}

static bool one_word(const char *word)
{
    return word != NULL && strchr(word, ',') == NULL && strcmp(word, "all") != 0
           && strcmp(word, "both") != 0;
}

static bool check_points(struct plan *p)
{
    for (unsigned i = 0; i < p->sweep->points; i++) {
        const struct spec *s = &p->sweep->point[i];
        if (!one_word(s->policy) || !one_word(s->api)
            || (s->preset != NULL && !one_word(s->preset)))
            return yaml_refuse(&p->yaml, NULL,
                               "a point is one run: expected one policy, one api and one "
                               "preset, in base or as axes");
        if (s->traces == 0)
            return yaml_refuse(&p->yaml, NULL, "expected a trace, in base or as an axis");
    }
    return true;
}

static bool make_points(struct plan *p)
{
    struct seen seen = { NULL, 0 };
    bool made;
    if (p->method != METHOD_list && p->axes == NULL)
        return yaml_refuse(&p->yaml, NULL, "expected axes:");
    if (p->method != METHOD_list && !read_axes(p))
        return false;
    if (p->method == METHOD_list)
        made = listed_points(p, &seen);
    else if (p->method == METHOD_grid)
        made = grid_points(p, &seen);
    else
        made = drawn_points(p, &seen);
    free(seen.slot);
    return made && check_points(p);
}

/* ---- The file ---- */

static bool read_base(struct plan *p, yaml_node_t *map)
{
    const char *key;
    yaml_node_t *value;
    bool known;
    if (!yaml_is_map(&p->yaml, map, "base"))
        return false;
    for (unsigned i = 0; yaml_pair(&p->yaml, map, i, &key, &value); i++) {
        if (!spec_read(&p->base, &p->yaml, key, value, &known))
            return false;
        if (!known)
            return yaml_refuse(&p->yaml, value,
                               "'%s': expected trace, preset, policy, api, cpus, limit, "
                               "seed, attacker or set",
                               key);
    }
    return true;
}

static bool read_method(struct plan *p, yaml_node_t *value)
{
    const char *text = yaml_text(&p->yaml, value, "method");
    if (text == NULL)
        return false;
    for (unsigned m = 0; m < METHODS; m++)
        if (strcmp(text, method_name[m]) == 0) {
            p->method = (enum method)m;
            return true;
        }
    return yaml_refuse(&p->yaml, value,
                       "method: expected grid, list, random or latin-hypercube, got '%s'",
                       text);
}

static bool read_key(struct plan *p, const char *key, yaml_node_t *value)
{
    struct yaml_file *y = &p->yaml;
    const char *text;
    if (strcmp(key, "method") == 0)
        return read_method(p, value);
    if (strcmp(key, "samples") == 0)
        return yaml_number(y, value, key, 1.0, SWEEP_POINTS_MAX, false, &p->samples);
    if (strcmp(key, "seed") == 0)
        return yaml_number(y, value, key, 0.0, NUMBER_MAX, false, &p->seed);
    if (strcmp(key, "base") == 0)
        return read_base(p, value);
    if (strcmp(key, "name") == 0) {
        if ((text = yaml_text(y, value, key)) == NULL)
            return false;
        free(p->sweep->name);
        p->sweep->name = text_make("%s", text);
    } else if (strcmp(key, "axes") == 0) {
        p->axes = value;
    } else if (strcmp(key, "points") == 0) {
        p->points = value;
    } else {
        return yaml_refuse(
            y, value, "'%s': expected name, method, samples, seed, base, axes or points",
            key);
    }
    return true;
}

/* What the method does not use was meant for another one. */
static bool check_method(struct plan *p)
{
    const char *name = method_name[p->method];
    const bool draws = p->method == METHOD_random || p->method == METHOD_lhs;
    const bool list  = p->method == METHOD_list;
    if (draws && p->samples < 1.0)
        return yaml_refuse(&p->yaml, NULL, "method %s: expected samples: N", name);
    if (!draws && p->samples > 0.0)
        return yaml_refuse(&p->yaml, NULL, "method %s: samples: it draws none", name);
    if (list ? p->axes != NULL : p->points != NULL)
        return yaml_refuse(&p->yaml, list ? p->axes : p->points,
                           "method %s: expected %s, got %s", name,
                           list ? "points:" : "axes:", list ? "axes:" : "points:");
    return true;
}

static bool read_plan(struct plan *p)
{
    const char *key;
    yaml_node_t *value;
    for (unsigned i = 0; yaml_pair(&p->yaml, yaml_root(&p->yaml), i, &key, &value); i++)
        if (!read_key(p, key, value))
            return false;
    return check_method(p) && make_points(p);
}

bool sweep_load(struct sweep *s, const char *path, struct error *error)
{
    struct plan p = { .sweep = s };
    *s            = (struct sweep){ .name = text_make("sweep") };
    bool loaded   = yaml_file_open(&p.yaml, path, error);
    if (loaded) {
        loaded = read_plan(&p);
        spec_free(&p.base);
        yaml_file_close(&p.yaml);
    }
    if (!loaded)
        sweep_free(s);
    return loaded;
}

void sweep_free(struct sweep *s)
{
    for (unsigned a = 0; a < s->axes; a++) {
        for (unsigned v = 0; v < s->axis[a].values; v++)
            free(s->axis[a].value[v]);
        free(s->axis[a].value);
        free(s->axis[a].key);
    }
    for (unsigned i = 0; i < s->points; i++) {
        spec_free(&s->point[i]);
        free(s->line[i]);
    }
    free(s->point);
    free(s->line);
    free(s->name);
    *s = (struct sweep){ .name = NULL };
}
