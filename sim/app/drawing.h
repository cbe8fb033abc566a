/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drawing - what `iovasim replay` draws of its runs: --timeline, --vcd and the window of
 * both.
 *
 *     drawing_begin(&d, e);      after experiment_parse: the files can be written
 *     experiment_run(e);
 *     drawing_finish(&d, done, error);      in any case
 */
#ifndef SIM_APP_DRAWING_H
#define SIM_APP_DRAWING_H

#include "sim/app/experiment.h"
#include "sim/app/output.h"
#include "sim/scope/timeline.h"
#include "sim/scope/waves.h"

struct drawing {
    /* The words of the options; NULL: not given. */
    const char *timeline, *vcd, *window_text;

    struct scope_window window;
    struct output timeline_file, vcd_file;
    struct timeline *drawn;
    struct waves *waves;
};

/* A part of the replay's time: "LENGTH", "FROM+LENGTH" (each with ns, us, ms or s) or
 * "all".
 */
bool window_parse(const char *text, struct scope_window *window, struct error *error);

bool drawing_begin(struct drawing *d, struct experiment *e);

/* The files appear if all has gone well (done), and not at all otherwise. */
bool drawing_finish(struct drawing *d, bool done, struct error *error);

#endif
