/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare_plot - cost against exposure as an SVG image: a point for each policy, the best
 * ones joined by a line.
 *
 * The axis of reach is logarithmic; nothing at all and all of memory have a column of their
 * own at its ends. A name stands beside its point where there is room for it.
 */
#include <math.h>
#include <string.h>

#include "sim/app/compare.h"
#include "sim/app/text.h"

enum {
    WIDTH  = 860,
    HEIGHT = 560,
    LEFT   = 70,
    RIGHT  = 30,
    TOP    = 80,
    BOTTOM = 70,
    COLUMN = 84, /* Of what is not on the logarithmic axis. */
    LETTER = 8,
    LINE   = 14,
};

struct point {
    double x, y;
    const struct compare_job *job;
};

struct plot {
    FILE *out;
    double decades_first, decades; /* Powers of ten of the axis of reach. */
    double cycles_most, cycles_step;
    struct point point[COMPARE_JOBS_MAX];
    const struct point *front[COMPARE_JOBS_MAX]; /* The best of them, by reach. */
    unsigned points, fronts;
    struct box {
        double left, top, right, bottom;
    } taken[2 * COMPARE_JOBS_MAX];
    unsigned taken_count;
};

static double axis_left(void)
{
    return LEFT + COLUMN;
}

static double axis_right(void)
{
    return WIDTH - RIGHT - COLUMN;
}

static double x_of(const struct plot *p, double reach)
{
    if (reach <= 0.0)
        return LEFT + COLUMN / 3.0;
    if (isinf(reach))
        return WIDTH - RIGHT - COLUMN / 3.0;
    return axis_left()
           + (log10(reach) - p->decades_first) / p->decades * (axis_right() - axis_left());
}

static double y_of(const struct plot *p, double cycles)
{
    return HEIGHT - BOTTOM - cycles / p->cycles_most * (HEIGHT - TOP - BOTTOM);
}

static void label(const struct plot *p, double x, double y, const char *kind,
                  const char *text)
{
    fprintf(p->out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, kind,
            text);
}

/* ---- Scales
 * ------------------------------------------------------------------------------ */

static void choose_scales(struct plot *p, struct compare_job *const *job, unsigned jobs)
{
    double least = INFINITY, most = 0.0, cycles = 0.0;
    for (unsigned i = 0; i < jobs; i++) {
        if (job[i]->outcome != MACHINE_RAN)
            continue;
        const double reach = compare_reach(job[i]);
        const double cost  = job[i]->metric[METRIC_ID_cpu_cycles_per_io];
        cycles             = cost > cycles ? cost : cycles;
        if (reach <= 0.0 || isinf(reach))
            continue;
        least = reach < least ? reach : least;
        most  = reach > most ? reach : most;
    }
    p->decades_first = most == 0.0 ? 0.0 : floor(log10(least));
    p->decades       = most == 0.0 ? 1.0 : fmax(1.0, ceil(log10(most)) - p->decades_first);
    p->cycles_step   = pow(10.0, floor(log10(fmax(cycles, 10.0))));
    if (cycles / p->cycles_step < 2.0)
        p->cycles_step /= 5.0;
    else if (cycles / p->cycles_step < 5.0)
        p->cycles_step /= 2.0;
    p->cycles_most = p->cycles_step * ceil(fmax(cycles, 10.0) * 1.02 / p->cycles_step);
}

/* ---- The frame
 * --------------------------------------------------------------------------- */

static void open_svg(const struct plot *p, const char *title)
{
    fprintf(
        p->out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
        "viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"Flush policies: cycles against "
        "exposure\">\n"
        "<style>text{font:12px system-ui,'DejaVu Sans',Arial,sans-serif;fill:#1f2933}"
        ".title{font-size:17px;font-weight:600}.grey{fill:#616e7c}"
        ".mid{fill:#616e7c;text-anchor:middle}.end{fill:#616e7c;text-anchor:end}"
        ".name{fill:#1f2933}.best{font-weight:600}</style>\n"
        "<rect width=\"%d\" height=\"%d\" rx=\"8\" fill=\"#ffffff\"/>\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    label(p, 24, 34, "title",
          "CPU cycles of an I/O against what the device can still reach");
    fputs("<text x=\"24\" y=\"54\" class=\"grey\">", p->out);
    for (const char *c = title; *c != '\0'; c++)
        fputs(*c == '&' ? "&amp;" : *c == '<' ? "&lt;" : (char[]){ *c, '\0' }, p->out);
    fputs("</text>\n", p->out);
}

static void grid_line(const struct plot *p, double x1, double y1, double x2, double y2)
{
    fprintf(p->out,
            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#e1e5ea\"/>\n",
            x1, y1, x2, y2);
}

static void frame(const struct plot *p)
{
    char text[32];
    const double foot = HEIGHT - BOTTOM;
    for (double c = 0.0; c <= p->cycles_most * 1.001; c += p->cycles_step) {
        grid_line(p, LEFT, y_of(p, c), WIDTH - RIGHT, y_of(p, c));
        snprintf(text, sizeof text, "%.0f", c);
        label(p, LEFT - 8, y_of(p, c) + 4, "end", text);
    }
    for (double d = 0.0; d <= p->decades; d += 1.0) {
        const double reach = pow(10.0, p->decades_first + d);
        grid_line(p, x_of(p, reach), TOP, x_of(p, reach), foot);
        double shown      = reach;
        const char letter = text_thousands(&shown);
        snprintf(text, sizeof text, letter == 0 ? "%g" : "%g%c", shown, letter);
        label(p, x_of(p, reach), foot + 18, "mid", text);
    }
    label(p, x_of(p, 0.0), foot + 18, "mid", "nothing");
    label(p, x_of(p, INFINITY), foot + 18, "mid", "all");
    label(p, WIDTH / 2.0, foot + 42, "mid",
          "page-microseconds for each I/O: pages given back and pools that stay reachable");
    label(p, LEFT - 8, TOP - 10, "grey", "cycles");
}

/* ---- Points and names
 * -------------------------------------------------------------------- */

/* Whether the line from a to the right, to c, passes through the box. */
static bool crosses(const struct point *a, const struct point *c, const struct box *b)
{
    const double from = fmax(a->x, b->left), to = fmin(c->x, b->right);
    if (from > to)
        return false;
    const double slope = c->x > a->x ? (c->y - a->y) / (c->x - a->x) : 0.0;
    const double y1 = a->y + slope * (from - a->x), y2 = a->y + slope * (to - a->x);
    return fmin(y1, y2) < b->bottom && fmax(y1, y2) > b->top;
}

static bool is_free(const struct plot *p, const struct box *b)
{
    for (unsigned i = 1; i < p->fronts; i++)
        if (crosses(p->front[i - 1], p->front[i], b))
            return false;
    for (unsigned i = 0; i < p->taken_count; i++) {
        const struct box *t = &p->taken[i];
        if (b->left < t->right && t->left < b->right && b->top < t->bottom
            && t->top < b->bottom)
            return false;
    }
    return b->left >= LEFT - 4.0 && b->right <= WIDTH - 4.0 && b->top >= TOP - LINE
           && b->bottom <= HEIGHT - BOTTOM + 4.0;
}

static void take(struct plot *p, struct box b)
{
    p->taken[p->taken_count++] = b;
}

enum { SHIFTS = 60, AWAY = 6, AWAY_STEP = 80 };

/* To the right, to the left, then further and further above and below; then all that
 * further away. */
static struct box find_room(const struct plot *p, const struct point *pt, double width)
{
    struct box b = { 0 };
    for (unsigned attempt = 0; attempt < SHIFTS * AWAY; attempt++) {
        const unsigned n  = attempt % SHIFTS;
        const double away = 8.0 + attempt / SHIFTS * (double)AWAY_STEP;
        const double shift =
            (n / 4 + 1) / 2 * (double)LINE * ((n / 4) % 2 == 0 ? 1.0 : -1.0);
        b.left   = n % 2 == 0 ? pt->x + away : pt->x - away - width;
        b.top    = pt->y - LINE / 2.0 + shift + (n % 4 >= 2 ? LINE / 2.0 : 0.0);
        b.right  = b.left + width;
        b.bottom = b.top + LINE;
        if (is_free(p, &b))
            break;
    }
    return b;
}

static void place_name(struct plot *p, const struct point *pt)
{
    const char *name   = pt->job->policy->name;
    const struct box b = find_room(p, pt, LETTER * (double)strlen(name));
    take(p, b);
    if (fabs(b.top + LINE / 2.0 - pt->y) > LINE || b.left > pt->x + LINE
        || b.right < pt->x - LINE)
        fprintf(p->out,
                "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#9aa5b1\" "
                "stroke-width=\"0.7\"/>\n",
                pt->x, pt->y, b.left < pt->x ? b.right : b.left, b.top + LINE / 2.0);
    label(p, b.left, b.bottom - 3.0, pt->job->cheap ? "name best" : "name", name);
}

static void collect(struct plot *p, struct compare_job *const *job, unsigned jobs)
{
    for (unsigned i = 0; i < jobs; i++) {
        if (job[i]->outcome != MACHINE_RAN)
            continue;
        struct point *pt = &p->point[p->points++];
        *pt =
            (struct point){ x_of(p, compare_reach(job[i])),
                            y_of(p, job[i]->metric[METRIC_ID_cpu_cycles_per_io]), job[i] };
        take(p, (struct box){ pt->x - 5.0, pt->y - 5.0, pt->x + 5.0, pt->y + 5.0 });
    }
}

static const struct point *next_best(const struct plot *p, double reach)
{
    const struct point *best = NULL;
    for (unsigned i = 0; i < p->points; i++) {
        const struct point *pt = &p->point[i];
        if (pt->job->cheap && compare_reach(pt->job) > reach
            && (best == NULL || compare_reach(pt->job) < compare_reach(best->job)))
            best = pt;
    }
    return best;
}

static void front(struct plot *p)
{
    const struct point *pt = next_best(p, -1.0);
    fputs("<polyline fill=\"none\" stroke=\"#2f6db5\" stroke-width=\"1.5\" points=\"",
          p->out);
    for (; pt != NULL; pt = next_best(p, compare_reach(pt->job))) {
        p->front[p->fronts++] = pt;
        fprintf(p->out, "%.1f,%.1f ", pt->x, pt->y);
    }
    fputs("\"/>\n", p->out);
}

void compare_plot(struct compare_job *const *job, unsigned jobs, const char *title,
                  FILE *out)
{
    struct plot p = { .out = out };
    CHECK(jobs <= COMPARE_JOBS_MAX);
    choose_scales(&p, job, jobs);
    open_svg(&p, title);
    frame(&p);
    collect(&p, job, jobs);
    front(&p);
    for (unsigned i = 0; i < p.points; i++)
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\" fill=\"%s\"/>\n",
                p.point[i].x, p.point[i].y, p.point[i].job->cheap ? "#2f6db5" : "#dd6b20");
    for (unsigned i = 0; i < p.points; i++)
        place_name(&p, &p.point[i]);
    fputs("</svg>\n", out);
}
