/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "sim/app/cmd.h"
#include "sim/app/interrupt.h"

volatile sig_atomic_t interrupt_seen;

static void on_signal(int number)
{
    if (interrupt_seen)
        _exit(128 + number);
    interrupt_seen = 1;
}

void interrupt_install(void)
{
    const struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool command_interrupted(void)
{
    return interrupt_seen != 0;
}

int command_fail(int status, const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fputs("iovasim: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return status;
}
