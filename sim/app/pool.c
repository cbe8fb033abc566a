/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* CPU_COUNT */
#include "sim/app/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/base/check.h"

enum { WORKERS_MAX = 256, ATTEMPTS = 3, POLL_MS = 200 };

/* Pieces on offer, in memory that all processes see. Which process has a piece is known
 * from the very moment it takes it, so one that is killed at any point loses nothing. */
struct slot {
    _Atomic uint32_t holder; /* FREE, OFFERED, or the number of a worker. */
    uint32_t piece, attempt;
};

enum { FREE, OFFERED, FIRST_WORKER };

/* A process, and where its answers come from. */
struct worker {
    pid_t pid;
    int from;
    char *answer; /* As much as has come: see struct answer. */
    size_t bytes;
};

struct crew {
    const struct pool *pool;
    struct slot *slot;
    unsigned slots;
    int bell[2]; /* A byte for each time that a piece was offered; closed at the end. */
    struct worker worker[WORKERS_MAX];
    unsigned workers;
    struct error *error;
};

/* What comes before an answer's text. */
struct answer {
    uint32_t slot;
    uint64_t length;
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

/* False when there will be no more. */
static bool wait_for_bell(const struct crew *crew)
{
    char byte;
    ssize_t got;
    while ((got = read(crew->bell[0], &byte, 1)) < 0 && errno == EINTR)
        ;
    return got > 0;
}

/* The offered piece of the least number; NULL when another process was quicker. */
static struct slot *claim(const struct crew *crew, uint32_t me)
{
    for (;;) {
        struct slot *first = NULL;
        for (unsigned i = 0; i < crew->slots; i++) {
            struct slot *s = &crew->slot[i];
            if (atomic_load(&s->holder) == OFFERED
                && (first == NULL || s->piece < first->piece))
                first = s;
        }
        uint32_t offered = OFFERED;
        if (first == NULL || atomic_compare_exchange_strong(&first->holder, &offered, me))
            return first;
    }
}

__attribute__((noreturn)) static void serve(const struct crew *crew, uint32_t me, int out,
                                            pid_t parent)
{
    const struct pool *pool = crew->pool;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* It died before it could be asked for. */
        _exit(1);
    signal(SIGINT, SIG_IGN); /* The caller decides. */
    signal(SIGTERM, SIG_DFL);
    if (pool->begin != NULL)
        pool->begin(pool->self);
    while (wait_for_bell(crew)) {
        const struct slot *slot = claim(crew, me);
        if (slot == NULL)
            continue;
        char *text                = pool->work(pool->self, slot->piece);
        const struct answer begin = { .slot   = (uint32_t)(slot - crew->slot),
                                      .length = strlen(text) };
        if (!write_all(out, &begin, sizeof begin) || !write_all(out, text, begin.length))
            _exit(1);
        free(text);
    }
    _exit(0);
}

/* ---- In the caller ---- */

static bool start(struct crew *crew, struct worker *w)
{
    int from[2];
    const pid_t parent = getpid();
    if (pipe(from) != 0)
        return error_set(crew->error, "cannot start a process: %s", strerror(errno));
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        close(crew->bell[1]); /* Else it would not end with the caller's. */
        close(from[0]);
        for (unsigned i = 0; i < crew->workers; i++)
            if (crew->worker[i].pid != 0)
                close(crew->worker[i].from);
        serve(crew, FIRST_WORKER + (uint32_t)(w - crew->worker), from[1], parent);
    }
    close(from[1]);
    if (pid > 0) {
        *w = (struct worker){ .pid = pid, .from = from[0] };
        return true;
    }
    close(from[0]);
    return error_set(crew->error, "cannot start a process: %s", strerror(errno));
}

static int finish(struct worker *w)
{
    int status = 0;
    close(w->from);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
        ;
    free(w->answer);
    *w = (struct worker){ .pid = 0 };
    return status;
}

static void ring(const struct crew *crew)
{
    write_all(crew->bell[1], "", 1);
}

/* As many pieces lie ready as there are workers, so that none waits for this process
 * between two of them: that was a tenth of a sweep of short runs. */
static void offer(struct crew *crew)
{
    unsigned offered = 0;
    for (unsigned i = 0; i < crew->slots; i++)
        offered += atomic_load(&crew->slot[i].holder) == OFFERED;
    for (unsigned i = 0; i < crew->slots && offered < 4 * crew->workers; i++) {
        struct slot *s = &crew->slot[i];
        unsigned piece;
        if (atomic_load(&s->holder) != FREE)
            continue;
        if (!crew->pool->next(crew->pool->self, &piece))
            return;
        s->piece   = piece;
        s->attempt = 1;
        atomic_store(&s->holder, OFFERED);
        ring(crew);
        offered++;
    }
}

static bool pending(const struct crew *crew)
{
    for (unsigned i = 0; i < crew->slots; i++)
        if (atomic_load(&crew->slot[i].holder) != FREE)
            return true;
    return false;
}

/* What the worker that died has in hand; NULL: it died between two pieces. */
static struct slot *held(const struct crew *crew, const struct worker *w)
{
    const uint32_t number = FIRST_WORKER + (uint32_t)(w - crew->worker);
    for (unsigned i = 0; i < crew->slots; i++)
        if (atomic_load(&crew->slot[i].holder) == number)
            return &crew->slot[i];
    return NULL;
}

/* The worker died: its piece is offered again. */
static bool replace(struct crew *crew, struct worker *w)
{
    const int status  = finish(w);
    struct slot *slot = held(crew, w);
    if (slot != NULL && slot->attempt >= ATTEMPTS)
        return error_set(
            crew->error, "piece %u: its process died %u times, at last of %s %d",
            slot->piece, slot->attempt, WIFSIGNALED(status) ? "signal" : "exit status",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    if (slot != NULL) {
        slot->attempt++;
        atomic_store(&slot->holder, OFFERED);
    }
    if (!start(crew, w))
        return false;
    ring(crew); /* If it held none, it may have heard the bell for one. */
    return true;
}

/* The first answer of those that came, when all of it is there; the rest stays. */
static char *whole_answer(struct worker *w, struct answer *begin)
{
    if (w->bytes < sizeof *begin)
        return NULL;
    memcpy(begin, w->answer, sizeof *begin);
    if (w->bytes - sizeof *begin < begin->length)
        return NULL;
    const char *const text = w->answer + sizeof *begin;
    char *const answer     = strndup(text, begin->length);
    CHECK(answer != NULL);
    w->bytes -= sizeof *begin + begin->length;
    memmove(w->answer, text + begin->length, w->bytes);
    return answer;
}

static bool take(struct crew *crew, struct worker *w)
{
    char buffer[1 << 16];
    const ssize_t got = read(w->from, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR)
        return true;
    if (got <= 0)
        return replace(crew, w);
    w->answer = realloc(w->answer, w->bytes + (size_t)got);
    CHECK(w->answer != NULL);
    memcpy(w->answer + w->bytes, buffer, (size_t)got);
    w->bytes += (size_t)got;
    struct answer begin;
    char *text;
    bool fine = true;
    while (fine && (text = whole_answer(w, &begin)) != NULL) {
        struct slot *slot    = &crew->slot[begin.slot];
        const unsigned piece = slot->piece;
        atomic_store(&slot->holder, FREE);
        offer(crew); /* Before this one is put away. */
        fine = crew->pool->done(crew->pool->self, piece, text, crew->error);
        free(text);
    }
    return fine;
}

/* Waits for answers. False when none is due any more, or something failed. */
static bool turn(struct crew *crew, bool *failed)
{
    struct pollfd fd[WORKERS_MAX];
    if (!pending(crew))
        return false;
    for (unsigned i = 0; i < crew->workers; i++)
        fd[i] = (struct pollfd){ .fd = crew->worker[i].from, .events = POLLIN };
    if (poll(fd, crew->workers, POLL_MS) <= 0)
        return true;
    for (unsigned i = 0; !*failed && i < crew->workers; i++)
        *failed = fd[i].revents != 0 && !take(crew, &crew->worker[i]);
    return !*failed;
}

static void dismiss(struct crew *crew, bool at_once)
{
    close(crew->bell[1]);
    for (unsigned i = 0; i < crew->workers; i++) {
        if (crew->worker[i].pid == 0)
            continue;
        if (at_once)
            kill(crew->worker[i].pid, SIGKILL);
        finish(&crew->worker[i]);
    }
    close(crew->bell[0]);
}

enum pool_outcome pool_run(const struct pool *pool, struct error *error)
{
    const unsigned asked = pool->workers == 0 ? pool_cores() : pool->workers;
    const unsigned want  = asked < WORKERS_MAX ? asked : WORKERS_MAX;
    /* Each worker may hold an answered one that was not taken yet, and its next one. */
    const unsigned slots = 8 * want;
    const size_t bytes   = slots * sizeof(struct slot);
    struct crew *crew    = calloc(1, sizeof *crew);
    bool failed = false, stopped = false;
    CHECK(crew != NULL);
    *crew = (struct crew){ .pool = pool, .slots = slots, .error = error };
    keep_memory();
    crew->slot =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (crew->slot == MAP_FAILED || pipe(crew->bell) != 0) {
        error_set(error, "cannot start a process: %s", strerror(errno));
        if (crew->slot != MAP_FAILED)
            munmap(crew->slot, bytes);
        free(crew);
        return POOL_FAILED;
    }
    void (*const before)(int) = signal(SIGPIPE, SIG_IGN);
    while (!failed && crew->workers < want) {
        failed = !start(crew, &crew->worker[crew->workers]);
        crew->workers += !failed;
    }
    if (!failed)
        offer(crew);
    while (!failed && !(stopped = pool->stop != NULL && pool->stop())
           && turn(crew, &failed))
        ;
    dismiss(crew, failed || stopped);
    signal(SIGPIPE, before);
    munmap(crew->slot, bytes);
    free(crew);
    return failed ? POOL_FAILED : stopped ? POOL_STOPPED : POOL_DONE;
}
