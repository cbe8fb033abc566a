/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* CPU_COUNT */
#include "sim/app/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/base/check.h"

enum { WORKERS_MAX = 256, ATTEMPTS = 3, POLL_MS = 200 };

/* A process; to: it reads pieces from there, from: and answers there. */
struct worker {
    pid_t pid;
    int to, from;
    bool busy;
    unsigned piece, attempt;
    char *answer; /* As much as has come: a length, then so many bytes. */
    size_t bytes;
};

struct crew {
    const struct pool *pool;
    struct worker worker[WORKERS_MAX];
    unsigned workers;
    struct error *error;
};

unsigned pool_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return (unsigned)CPU_COUNT(&set);
}

/* What a piece has freed, the next one takes: getting fresh pages of the kernel for each
 * took a quarter of a short simulation's time. Workers inherit it. */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

/* ---- In the worker ---- */

static bool read_all(int fd, void *to, size_t bytes)
{
    for (char *at = to; bytes > 0;) {
        const ssize_t got = read(fd, at, bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        bytes -= (size_t)got;
    }
    return true;
}

static bool write_all(int fd, const void *from, size_t bytes)
{
    for (const char *at = from; bytes > 0;) {
        const ssize_t put = write(fd, at, bytes);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        at += put;
        bytes -= (size_t)put;
    }
    return true;
}

__attribute__((noreturn)) static void serve(const struct pool *pool, int in, int out,
                                            pid_t parent)
{
    uint32_t piece;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* It died before it could be asked for. */
        _exit(1);
    signal(SIGINT, SIG_IGN); /* The caller decides. */
    signal(SIGTERM, SIG_DFL);
    if (pool->begin != NULL)
        pool->begin(pool->self);
    while (read_all(in, &piece, sizeof piece)) {
        char *answer          = pool->work(pool->self, piece);
        const uint64_t length = strlen(answer);
        if (!write_all(out, &length, sizeof length) || !write_all(out, answer, length))
            _exit(1);
        free(answer);
    }
    _exit(0);
}

/* ---- In the caller ---- */

/* Ends of other workers' pipes must not live on in a new one: it would keep them open. */
static void close_others(const struct crew *crew)
{
    for (unsigned i = 0; i < crew->workers; i++)
        if (crew->worker[i].pid != 0) {
            close(crew->worker[i].to);
            close(crew->worker[i].from);
        }
}

static bool start(struct crew *crew, struct worker *w)
{
    int to[2], from[2];
    const pid_t parent = getpid();
    if (pipe(to) != 0)
        return error_set(crew->error, "cannot start a process: %s", strerror(errno));
    if (pipe(from) != 0) {
        close(to[0]);
        close(to[1]);
        return error_set(crew->error, "cannot start a process: %s", strerror(errno));
    }
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        close_others(crew);
        close(to[1]);
        close(from[0]);
        serve(crew->pool, to[0], from[1], parent);
    }
    close(to[0]);
    close(from[1]);
    if (pid > 0) {
        *w = (struct worker){ .pid = pid, .to = to[1], .from = from[0] };
        return true;
    }
    close(to[1]);
    close(from[0]);
    return error_set(crew->error, "cannot start a process: %s", strerror(errno));
}

static int finish(struct worker *w)
{
    int status = 0;
    close(w->to);
    close(w->from);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
        ;
    free(w->answer);
    w->answer = NULL;
    w->pid    = 0;
    return status;
}

/* A worker that is gone when it is written to is noticed when it is read from. */
static void hand(struct worker *w, unsigned piece, unsigned attempt)
{
    const uint32_t number = piece;
    w->busy               = true;
    w->piece              = piece;
    w->attempt            = attempt;
    write_all(w->to, &number, sizeof number);
}

static void hand_next(struct crew *crew, struct worker *w)
{
    unsigned piece;
    if (crew->pool->next(crew->pool->self, &piece))
        hand(w, piece, 1);
}

/* The worker died over its piece: another one gets it. */
static bool replace(struct crew *crew, struct worker *w)
{
    const unsigned piece = w->piece, attempt = w->attempt;
    const int status = finish(w);
    if (attempt >= ATTEMPTS)
        return error_set(crew->error,
                         "piece %u: its process died %u times, at last of %s %d", piece,
                         attempt, WIFSIGNALED(status) ? "signal" : "exit status",
                         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    if (!start(crew, w))
        return false;
    hand(w, piece, attempt + 1);
    return true;
}

static bool whole(const struct worker *w)
{
    uint64_t length;
    if (w->bytes < sizeof length)
        return false;
    memcpy(&length, w->answer, sizeof length);
    return w->bytes == sizeof length + length;
}

static bool take(struct crew *crew, struct worker *w)
{
    char buffer[1 << 16];
    const ssize_t got = read(w->from, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR)
        return true;
    if (got <= 0)
        return replace(crew, w);
    w->answer = realloc(w->answer, w->bytes + (size_t)got + 1);
    CHECK(w->answer != NULL);
    memcpy(w->answer + w->bytes, buffer, (size_t)got);
    w->bytes += (size_t)got;
    w->answer[w->bytes] = '\0';
    if (!whole(w))
        return true;
    /* It works on its next one while this one is put away. */
    const unsigned piece = w->piece;
    char *const answer   = w->answer;
    w->answer            = NULL;
    w->bytes             = 0;
    w->busy              = false;
    hand_next(crew, w);
    const bool fine =
        crew->pool->done(crew->pool->self, piece, answer + sizeof(uint64_t), crew->error);
    free(answer);
    return fine;
}

/* Waits for answers. False when none is due any more, or something failed. */
static bool turn(struct crew *crew, bool *failed)
{
    struct pollfd fd[WORKERS_MAX];
    struct worker *of[WORKERS_MAX];
    nfds_t busy = 0;
    for (unsigned i = 0; i < crew->workers; i++)
        if (crew->worker[i].busy) {
            of[busy]   = &crew->worker[i];
            fd[busy++] = (struct pollfd){ .fd = crew->worker[i].from, .events = POLLIN };
        }
    if (busy == 0)
        return false;
    if (poll(fd, busy, POLL_MS) <= 0)
        return true;
    for (nfds_t i = 0; i < busy; i++)
        if (fd[i].revents != 0 && !take(crew, of[i])) {
            *failed = true;
            return false;
        }
    return true;
}

static void dismiss(struct crew *crew)
{
    for (unsigned i = 0; i < crew->workers; i++) {
        if (crew->worker[i].pid == 0)
            continue;
        if (crew->worker[i].busy)
            kill(crew->worker[i].pid, SIGKILL);
        finish(&crew->worker[i]);
    }
}

enum pool_outcome pool_run(const struct pool *pool, struct error *error)
{
    struct crew *crew   = calloc(1, sizeof *crew);
    const unsigned want = pool->workers == 0 ? pool_cores() : pool->workers;
    bool failed         = false;
    CHECK(crew != NULL);
    keep_memory();
    *crew                     = (struct crew){ .pool = pool, .error = error };
    void (*const before)(int) = signal(SIGPIPE, SIG_IGN);
    while (!failed && crew->workers < want && crew->workers < WORKERS_MAX) {
        failed = !start(crew, &crew->worker[crew->workers]);
        crew->workers += !failed;
    }
    for (unsigned i = 0; !failed && i < crew->workers; i++)
        hand_next(crew, &crew->worker[i]);
    bool stopped = false;
    while (!failed && !(stopped = pool->stop != NULL && pool->stop())
           && turn(crew, &failed))
        ;
    dismiss(crew);
    signal(SIGPIPE, before);
    free(crew);
    return failed ? POOL_FAILED : stopped ? POOL_STOPPED : POOL_DONE;
}
