/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iovasim - the program: finds the command and runs it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sim/app/cmd.h"
#include "sim/app/interrupt.h"
#include "sim/app/version.h"
#include "sim/base/near.h"

static void print_help(FILE *out)
{
    fputs("usage: iovasim COMMAND [ARGUMENT...]\n"
          "\n"
          "A cycle-accurate IOMMU simulator with the Linux DMA-mapping APIs on top.\n"
          "\n"
          "commands:\n",
          out);
    for (unsigned i = 0; cmd_table[i] != NULL; i++)
        fprintf(out, "  %-11s %s\n", cmd_table[i]->name, cmd_table[i]->summary);
    fputs(
        "\n"
        "`iovasim COMMAND --help` explains one. `iovasim --version` prints the version.\n",
        out);
}

static const struct command *find(const char *name)
{
    for (unsigned i = 0; cmd_table[i] != NULL; i++)
        if (strcmp(cmd_table[i]->name, name) == 0)
            return cmd_table[i];
    return NULL;
}

static int no_such(const char *name)
{
    struct near near = near_begin(name);
    for (unsigned i = 0; cmd_table[i] != NULL; i++)
        near_offer(&near, cmd_table[i]->name);
    return command_fail(EXIT_USAGE, "'%s': no such command;%s `iovasim --help` lists them",
                        name, near_hint(&near));
}

/* -h asks for help like --help, before a command and behind it. */
static bool wants_help(const char *argument)
{
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

static int run(int argc, const char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    const bool help = strcmp(argv[1], "help") == 0;
    if (wants_help(argv[1]) || (help && argc == 2)) {
        print_help(stdout);
        return EXIT_FINE;
    }
    if (help) { /* help COMMAND is COMMAND --help. */
        argv[1] = argv[2];
        argv[2] = "--help";
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("iovasim " IOVASIM_VERSION);
        return EXIT_FINE;
    }
    const struct command *command = find(argv[1]);
    if (command == NULL)
        return no_such(argv[1]);
    char name[64]; /* What its own help calls it. */
    snprintf(name, sizeof name, "iovasim %s", command->name);
    argv[1] = name;
    for (int i = 2; i < argc && i <= 3; i++) /* trace SUBCOMMAND -h */
        if (wants_help(argv[i]))
            argv[i] = "--help";
    return command->run(argc - 1, argv + 1);
}

/* A verdict or a table of which a part was lost is none, whichever command printed it. */
int main(int argc, const char **argv)
{
    interrupt_install();
    const int status = run(argc, argv);
    const bool lost  = fflush(stdout) != 0 || ferror(stdout);
    if (lost && (status == EXIT_FINE || status == EXIT_REGRESSED))
        return command_fail(EXIT_USAGE, "standard output: cannot write: %s",
                            strerror(errno));
    return status;
}
