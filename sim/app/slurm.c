/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/app/slurm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "sim/app/text.h"
#include "sim/base/check.h"

enum { POLL_MS = 200, POLLS_TO_A_LOOK = 10, ROUNDS_WITHOUT_NEWS = 3 };

/* ---- Files ---- */

/* Written whole, on the disk, and only then there. */
static bool put_file(const char *path, const char *text, struct error *error)
{
    char *beside = text_make("%s.%ld", path, (long)getpid());
    const int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    size_t left  = strlen(text);
    bool fine    = fd >= 0;
    while (fine && left > 0) {
        const ssize_t n = write(fd, text, left);
        fine            = n > 0 || (n < 0 && errno == EINTR);
        text += n > 0 ? n : 0;
        left -= n > 0 ? (size_t)n : 0;
    }
    fine = fine && fsync(fd) == 0;
    if (fd >= 0)
        fine = close(fd) == 0 && fine;
    fine = fine && rename(beside, path) == 0;
    if (!fine) {
        error_set(error, "%s: cannot write: %s", path, strerror(errno));
        unlink(beside);
    }
    free(beside);
    return fine;
}

static char *point_path(const char *folder, unsigned point)
{
    return text_make("%s/point-%u.json", folder, point);
}

/* Its text; NULL: there is none, or it is torn, and then it goes. */
static char *get_answer(const char *path)
{
    json_t *answer = json_load_file(path, 0, NULL);
    char *text     = answer == NULL ? NULL : json_dumps(answer, JSON_COMPACT);
    if (answer == NULL)
        unlink(path);
    json_decref(answer);
    return text;
}

/* ---- Slurm's own programs ---- */

/* 'text', whatever is in it; appended to command. */
static char *with_word(char *command, const char *text)
{
    char *word   = text_shell_word(text);
    char *joined = text_make("%s %s", command, word);
    free(word);
    free(command);
    return joined;
}

/* Runs command (freed); the first line that it prints. */
static bool ask(char *command, char line[256], int *status)
{
    FILE *in = popen(command, "r");
    char rest[256];
    line[0] = '\0';
    if (in != NULL && fgets(line, 256, in) == NULL)
        line[0] = '\0';
    while (in != NULL && fgets(rest, sizeof rest, in) != NULL)
        ;
    *status                   = in == NULL ? -1 : pclose(in);
    line[strcspn(line, "\n")] = '\0';
    free(command);
    return *status == 0;
}

/* Whether any task of the job waits or runs; a scheduler that does not answer may have. */
static bool under_way(const char *job)
{
    char line[256];
    int status;
    char *command =
        text_make("squeue --noheader --states=all --format=%%T --jobs=%s 2>&1 | "
                  "grep -E 'PENDING|RUNNING|COMPLETING|CONFIGURING|SUSPENDED|"
                  "REQUEUED|STOPPED|rror: Unable|onnect' | head -n 1",
                  job);
    ask(command, line, &status);
    return line[0] != '\0';
}

static void cancel(const char *job)
{
    char line[256];
    int status;
    ask(text_make("scancel %s 2>/dev/null", job), line, &status);
}

/* The points that are missing, one on a line; how many tasks shall have them. */
static bool write_todo(const struct slurm *s, const char *todo, unsigned *tasks,
                       struct error *error)
{
    char *text;
    size_t bytes;
    unsigned missing = 0;
    FILE *out        = open_memstream(&text, &bytes);
    CHECK(out != NULL);
    for (unsigned i = 0; i < s->points; i++)
        if (!s->done[i])
            missing += fprintf(out, "%u\n", i) > 0;
    fclose(out);
    *tasks          = missing < SLURM_TASKS_MAX ? missing : SLURM_TASKS_MAX;
    const bool fine = put_file(todo, text, error);
    free(text);
    return fine;
}

static bool submit(const struct slurm *s, const char *todo, unsigned tasks, char job[256],
                   struct error *error)
{
    char self[4096], number[16];
    int status;
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(n > 0);
    self[n] = '\0';
    snprintf(number, sizeof number, "%u", tasks);
    char *task    = with_word(strdup("exec"), self);
    task          = with_word(with_word(task, "sweep"), s->spec);
    task          = with_word(with_word(task, "--slurm-task"), todo);
    task          = with_word(with_word(task, "--slurm-folder"), s->folder);
    task          = with_word(with_word(task, "--slurm-tasks"), number);
    char *command = text_make(
        "sbatch --parsable --requeue --ntasks=1 --output=/dev/null --job-name=iovasim "
        "--array=0-%u %s --wrap",
        tasks - 1, s->options);
    command = with_word(command, task);
    free(task);
    if (!ask(command, job, &status))
        return error_set(error, "sbatch did not take the job (status %d)",
                         WIFEXITED(status) ? WEXITSTATUS(status) : status);
    job[strcspn(job, ";")] = '\0'; /* ID;CLUSTER */
    return job[0] >= '0' && job[0] <= '9' ? true
                                          : error_set(error, "sbatch said '%s'", job);
}

/* ---- The collector ---- */

/* Takes over what has come; *news counts. */
static bool collect(struct slurm *s, unsigned *news, struct error *error)
{
    DIR *folder = opendir(s->folder);
    bool fine   = folder != NULL
                || error_set(error, "%s: cannot read: %s", s->folder, strerror(errno));
    const struct dirent *entry;
    while (fine && (entry = readdir(folder)) != NULL) {
        unsigned point;
        int end = 0;
        if (sscanf(entry->d_name, "point-%u.json%n", &point, &end) != 1 || end == 0
            || entry->d_name[end] != '\0' || point >= s->points)
            continue;
        char *path   = point_path(s->folder, point);
        char *answer = s->done[point] ? NULL : get_answer(path);
        if (answer != NULL) {
            fine = s->taken(s->self, point, answer, error);
            *news += fine;
        }
        if (fine && s->done[point])
            unlink(path);
        free(answer);
        free(path);
    }
    if (folder != NULL)
        closedir(folder);
    return fine;
}

static bool complete(const struct slurm *s)
{
    for (unsigned i = 0; i < s->points; i++)
        if (!s->done[i])
            return false;
    return true;
}

/* Until all is there (DONE) or the job has no task any more. */
static enum slurm_outcome follow(struct slurm *s, const char *job, unsigned *news,
                                 struct error *error)
{
    for (unsigned poll = 1;; poll++) {
        const struct timespec nap = { 0, POLL_MS * 1000000L };
        const bool over           = poll % POLLS_TO_A_LOOK == 0 && !under_way(job);
        if (!collect(s, news, error))
            return SLURM_FAILED;
        if (complete(s) || over)
            return SLURM_DONE;
        if (s->stop())
            return SLURM_STOPPED;
        nanosleep(&nap, NULL);
    }
}

static enum slurm_outcome one_round(struct slurm *s, unsigned round, unsigned *news,
                                    struct error *error)
{
    char job[256];
    unsigned tasks;
    char *todo = text_make("%s/todo-%ld-%u", s->folder, (long)getpid(), round);
    enum slurm_outcome outcome = SLURM_FAILED;
    if (write_todo(s, todo, &tasks, error) && submit(s, todo, tasks, job, error)) {
        outcome = follow(s, job, news, error);
        cancel(job); /* Nothing of it is wanted any more. */
    }
    unlink(todo);
    free(todo);
    return outcome;
}

/* What tasks and collectors left that were killed while they wrote; then the folder. */
static void clear(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (strncmp(entry->d_name, "point-", 6) == 0
            || strncmp(entry->d_name, "todo-", 5) == 0)
            unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder != NULL)
        closedir(folder);
    rmdir(path);
}

enum slurm_outcome slurm_run(struct slurm *s, struct error *error)
{
    unsigned news = 0, idle = 0;
    if (mkdir(s->folder, 0777) != 0 && errno != EEXIST) {
        error_set(error, "%s: cannot make: %s", s->folder, strerror(errno));
        return SLURM_FAILED;
    }
    if (!collect(s, &news, error)) /* Of an earlier call that was ended. */
        return SLURM_FAILED;
    for (unsigned round = 1; !complete(s); round++) {
        news                             = 0;
        const enum slurm_outcome outcome = one_round(s, round, &news, error);
        if (outcome != SLURM_DONE)
            return outcome;
        idle = news > 0 ? 0 : idle + 1;
        if (idle == ROUNDS_WITHOUT_NEWS) {
            error_set(error, "slurm: %u jobs in a row have brought no result", idle);
            return SLURM_FAILED;
        }
    }
    clear(s->folder);
    return SLURM_DONE;
}

/* ---- In a task ---- */

bool slurm_task_points(const char *todo, unsigned tasks, const char *folder,
                       unsigned **point, unsigned *points, struct error *error)
{
    const char *index = getenv("SLURM_ARRAY_TASK_ID");
    FILE *in          = fopen(todo, "r");
    unsigned number, line = 0;
    *points = 0;
    *point  = NULL;
    if (index == NULL || in == NULL || tasks == 0) {
        if (in != NULL)
            fclose(in);
        return error_set(error, "%s: expected the list of a job array's task", todo);
    }
    const unsigned mine = (unsigned)strtoul(index, NULL, 10);
    for (; fscanf(in, "%u", &number) == 1; line++) {
        if (line % tasks != mine)
            continue;
        char *path       = point_path(folder, number);
        const bool there = access(path, F_OK) == 0;
        free(path);
        if (there)
            continue;
        *point = realloc(*point, (*points + 1) * sizeof **point);
        CHECK(*point != NULL);
        (*point)[(*points)++] = number;
    }
    fclose(in);
    return true;
}

bool slurm_task_answer(const char *folder, unsigned point, const char *answer,
                       struct error *error)
{
    char *path      = point_path(folder, point);
    const bool fine = put_file(path, answer, error);
    free(path);
    return fine;
}
