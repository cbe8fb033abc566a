/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/test/program.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/base/check.h"

static char folder[] = "/tmp/iovasim-test-XXXXXX";

static void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0)
        fprintf(stderr, "could not remove %s\n", folder);
}

static const char *the_folder(void)
{
    static bool made;
    if (!made) {
        CHECK(mkdtemp(folder) != NULL);
        atexit(remove_folder);
        made = true;
    }
    return folder;
}

const char *program_path(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", the_folder(), name);
    return path;
}

char *program_file(const char *path, size_t *bytes)
{
    struct stat s;
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        return NULL;
    CHECK(fstat(fileno(in), &s) == 0);
    char *data = malloc((size_t)s.st_size + 1);
    CHECK(data != NULL);
    *bytes       = fread(data, 1, (size_t)s.st_size, in);
    data[*bytes] = '\0';
    fclose(in);
    return data;
}

unsigned program_files(const char *part)
{
    unsigned count = 0;
    DIR *dir       = opendir(the_folder());
    CHECK(dir != NULL);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        count += strstr(e->d_name, part) != NULL;
    closedir(dir);
    return count;
}

static void append(char *line, size_t room, const char *text, size_t n)
{
    const size_t used = strlen(line);
    CHECK(used + n < room);
    memcpy(line + used, text, n);
    line[used + n] = '\0';
}

static void expand(char *line, size_t room, const char *arguments)
{
    static const char samples[] = TEST_SOURCE_DIR "/traces/samples/";
    for (const char *at; (at = strchr(arguments, '@')) != NULL;) {
        append(line, room, arguments, (size_t)(at - arguments));
        if (strncmp(at, "@SAMPLE/", 8) == 0) {
            append(line, room, samples, sizeof samples - 1);
            arguments = at + 8;
        } else {
            CHECK(at[1] == '/');
            append(line, room, the_folder(), strlen(the_folder()));
            arguments = at + 1;
        }
    }
    append(line, room, arguments, strlen(arguments));
}

static void read_back(const char *name, char *into, size_t room)
{
    size_t bytes;
    char *data = program_file(program_path(name), &bytes);
    CHECK(data != NULL);
    snprintf(into, room, "%s", data);
    free(data);
}

/* AddressSanitizer's remark about coroutines is not the program's own line. */
static void drop_remark(char *text)
{
    char *at = strstr(text, "WARNING: ASan doesn't fully support makecontext");
    if (at == NULL)
        return;
    while (at > text && at[-1] != '\n')
        at--;
    const char *end = strchr(at, '\n');
    end             = end == NULL ? at + strlen(at) : end + 1;
    memmove(at, end, strlen(end) + 1);
}

void program_run(struct program_result *r, const char *arguments)
{
    char line[8192] = TEST_BINARY_DIR "/iovasim ";
    expand(line, sizeof line, arguments);
    char whole[sizeof line + 512];
    snprintf(whole, sizeof whole, "{ %s ; } >%s/stdout 2>%s/stderr </dev/null", line,
             the_folder(), the_folder());
    const int status = system(whole);
    r->status        = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    read_back("stdout", r->out, sizeof r->out);
    read_back("stderr", r->err, sizeof r->err);
    drop_remark(r->err);
    if (r->status >= 126) /* The shell's: it could not be run, or was killed. */
        fprintf(stderr, "status %d of: %s\n%s", r->status, line, r->err);
    unlink(program_path("stdout"));
    unlink(program_path("stderr"));
}
