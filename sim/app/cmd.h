/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd - the family of iovasim's commands: one file each, sim/app/cmd_X.c, which defines
 * `const struct command cmd_X` whose name is "X".
 */
#ifndef SIM_APP_CMD_H
#define SIM_APP_CMD_H

#include <stdbool.h>

/* Exit statuses of the program. */
enum exit_status {
    EXIT_FINE      = 0,
    EXIT_REGRESSED = 1,   /* gate: a metric became worse */
    EXIT_USAGE     = 2,   /* wrong usage, configuration or output that cannot be written */
    EXIT_INPUT     = 3,   /* a trace or baseline that cannot be read */
    EXIT_CHECK     = 4,   /* one of the simulator's own checks failed */
    EXIT_STOPPED   = 130, /* Ctrl-C */
};

struct command {
    const char *name;
    const char *summary; /* One line for `iovasim --help`. */

    /* argv[0] is the command's name. Returns an exit status; prints its own error line. */
    int (*run)(int argc, const char **argv);
};

extern const struct command *const cmd_table[];

/* "iovasim: TEXT" on standard error; returns status. */
__attribute__((format(printf, 2, 3))) int command_fail(int status, const char *format, ...);

/* Set by Ctrl-C (SIGINT) and SIGTERM; long work polls it and stops cleanly. */
bool command_interrupted(void);

#endif
