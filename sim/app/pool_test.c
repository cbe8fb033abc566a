/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces whose processes die, and pieces that are stopped. */
#include "sim/app/pool.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/base/check.h"
#include "sim/test/program.h"
#include "sim/test/shim.h"

enum { PIECES = 40, MANY = 1000 };

struct job {
    unsigned next,
        deaths; /* deaths: how often a piece kills its process, of those that do. */
    unsigned answers[PIECES];
    char folder[512];
    size_t large;
};

/* Whether this is one of the first attempts at the piece; a file remembers them. */
static bool early(const struct job *job, unsigned piece)
{
    for (unsigned i = 0; i < job->deaths; i++) {
        char path[640];
        snprintf(path, sizeof path, "%s-%u-%u", job->folder, piece, i);
        const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
        if (fd < 0)
            continue;
        close(fd);
        return true;
    }
    return false;
}

static char *work(void *self, unsigned piece)
{
    const struct job *job = self;
    if (piece % 5 == 0 && early(job, piece))
        raise(SIGKILL);
    char *answer = malloc(job->large + 32);
    CHECK(answer != NULL);
    memset(answer, 'x', job->large);
    snprintf(answer + job->large, 32, "%u", piece * piece);
    return answer;
}

static bool next(void *self, unsigned *piece)
{
    struct job *job = self;
    *piece          = job->next;
    return job->next++ < PIECES;
}

static bool done(void *self, unsigned piece, const char *answer, struct error *error)
{
    struct job *job = self;
    (void)error;
    EXPECT_EQUAL(strtoul(answer + job->large, NULL, 10), piece * piece);
    EXPECT_EQUAL(strspn(answer, "x"), job->large);
    job->answers[piece]++;
    return true;
}

static enum pool_outcome run(struct job *job, unsigned workers, bool (*stop)(void),
                             struct error *error)
{
    const struct pool pool = { .workers = workers,
                               .self    = job,
                               .work    = work,
                               .next    = next,
                               .done    = done,
                               .stop    = stop };
    return pool_run(&pool, error);
}

TEST_CASE(pool, every_piece_is_answered_once_though_processes_die)
{
    struct error error = { "" };
    for (unsigned workers = 1; workers <= 4; workers++) {
        struct job job = { .deaths = 2, .large = workers == 2 ? 300000 : 0 };
        char name[32];
        snprintf(name, sizeof name, "pool%u", workers);
        snprintf(job.folder, sizeof job.folder, "%s", program_path(name));
        EXPECT_EQUAL(run(&job, workers, NULL, &error), POOL_DONE);
        for (unsigned i = 0; i < PIECES; i++)
            EXPECT_EQUAL(job.answers[i], 1);
        EXPECT(waitpid(-1, NULL, WNOHANG) < 0); /* No process is left. */
    }
}

TEST_CASE(pool, a_piece_that_always_kills_its_process_is_named)
{
    struct error error = { "" };
    struct job job     = { .deaths = 100 };
    snprintf(job.folder, sizeof job.folder, "%s", program_path("deadly"));
    EXPECT_EQUAL(run(&job, 3, NULL, &error), POOL_FAILED);
    EXPECT_HAS(error.text, "piece ");
    EXPECT_HAS(error.text, "its process died 3 times, at last of signal 9");
    EXPECT(waitpid(-1, NULL, WNOHANG) < 0);
}

static bool at_once(void)
{
    return true;
}

TEST_CASE(pool, stopping_leaves_no_process)
{
    struct error error = { "" };
    struct job job     = { .deaths = 0 };
    EXPECT_EQUAL(run(&job, 2, at_once, &error), POOL_STOPPED);
    EXPECT(waitpid(-1, NULL, WNOHANG) < 0);
}

struct doomed_job {
    unsigned next, deaths, answers[MANY];
    char folder[512];
};

/* Every fourth piece, tried for the first time, sets a fuse: its process dies up to a
 * millisecond later, which may be in any piece after it or between two. */
static char *doomed_work(void *self, unsigned piece)
{
    const struct doomed_job *job = self;
    struct itimerval fuse        = { .it_value = { 0 } };
    char path[640], *answer = malloc(32);
    CHECK(answer != NULL);
    snprintf(path, sizeof path, "%s-%u", job->folder, piece);
    const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (fd < 0) {
        setitimer(ITIMER_REAL, &fuse, NULL); /* It has died once: enough. */
    } else {
        close(fd);
        fuse.it_value.tv_usec = 1 + piece * 2654435761U % 1000;
        if (piece % 4 == 0)
            setitimer(ITIMER_REAL, &fuse, NULL);
    }
    snprintf(answer, 32, "%u %d", piece, fd < 0);
    return answer;
}

static bool doomed_next(void *self, unsigned *piece)
{
    struct doomed_job *job = self;
    *piece                 = job->next;
    return job->next++ < MANY;
}

static bool doomed_done(void *self, unsigned piece, const char *answer, struct error *error)
{
    struct doomed_job *job = self;
    unsigned number, again;
    (void)error;
    EXPECT_EQUAL(sscanf(answer, "%u %u", &number, &again), 2);
    EXPECT_EQUAL(number, piece);
    job->deaths += again;
    job->answers[piece]++;
    return true;
}

TEST_CASE(pool, processes_that_die_at_any_moment_lose_nothing)
{
    static struct doomed_job job;
    struct error error = { "" };
    job                = (struct doomed_job){ .next = 0 };
    snprintf(job.folder, sizeof job.folder, "%s", program_path("doomed"));
    const struct pool pool = { .workers = 3,
                               .self    = &job,
                               .work    = doomed_work,
                               .next    = doomed_next,
                               .done    = doomed_done };
    EXPECT_EQUAL(pool_run(&pool, &error), POOL_DONE);
    EXPECT_TEXT(error.text, "");
    for (unsigned i = 0; i < MANY; i++)
        EXPECT_EQUAL(job.answers[i], 1);
    EXPECT(job.deaths > MANY / 50);
    EXPECT(waitpid(-1, NULL, WNOHANG) < 0);
}
