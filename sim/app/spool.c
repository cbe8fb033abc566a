/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/spool.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/app/cmd.h"

static int nameless_file(void)
{
    const char *folder = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/iovasim.XXXXXX",
             folder != NULL && folder[0] != '\0' ? folder : "/tmp");
    const int fd = mkstemp(path);
    if (fd >= 0)
        unlink(path);
    return fd;
}

static bool write_all(int fd, const uint8_t *at, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t done = write(fd, at, bytes);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        at += done;
        bytes -= (size_t)done;
    }
    return true;
}

static bool copy(int to, struct error *error)
{
    static uint8_t chunk[1 << 16];
    for (;;) {
        const ssize_t got = read(STDIN_FILENO, chunk, sizeof chunk);
        if (command_interrupted())
            return error_set(error, "interrupted");
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(error, "standard input: cannot read: %s", strerror(errno));
        if (got == 0)
            return true;
        if (!write_all(to, chunk, (size_t)got))
            return error_set(error, "standard input: cannot keep it: %s", strerror(errno));
    }
}

bool spool_standard_input(struct error *error)
{
    if (lseek(STDIN_FILENO, 0, SEEK_SET) == 0)
        return true;
    const int fd = nameless_file();
    if (fd < 0)
        return error_set(error, "standard input: cannot keep it: %s", strerror(errno));
    bool good = copy(fd, error);
    if (good && (dup2(fd, STDIN_FILENO) < 0 || lseek(STDIN_FILENO, 0, SEEK_SET) != 0))
        good = error_set(error, "standard input: cannot keep it: %s", strerror(errno));
    close(fd);
    return good;
}
