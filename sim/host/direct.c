/* SPDX-License-Identifier: Apache-2.0 */
/* The library's hardened longjmp takes a jump to another stack for a mistake. */
#undef _FORTIFY_SOURCE
#include "sim/host/direct.h"

#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

enum { STACK_BYTES = 256 * 1024, SPARE_STACKS = 16 };

/*
 * Stacks that hosts have given back, for the next ones: a sweep starts hosts by the hundred
 * a second, and with each stack that is unmapped the kernel interrupts the other cores.
 */
static _Atomic(char *) spare[SPARE_STACKS];

/*
 * Where something stands. A context brings a coroutine onto its stack; from then on jumps
 * lead back and forth: they leave the signal mask alone, for which contexts make two system
 * calls. AddressSanitizer, which cannot follow such a jump, gets contexts only.
 */
struct place {
    ucontext_t context;
    jmp_buf jump;
    bool has_jump;
};

struct coroutine {
    struct place here, back; /* Where the coroutine stands, and who resumed it. */
    void (*entry)(void *arg);
    void *arg;
    char *stack; /* One guard page below STACK_BYTES. */
    struct coroutine *next;
    void *fake_stack, *fake_stack_back; /* AddressSanitizer's. */
    const void *bottom_back;
    size_t bytes_back;
};

struct direct_host {
    struct sim_host verbs;
    struct coroutine *first;
};

/* AddressSanitizer has to be told that the stack changes; elsewhere these are empty. */
static void leaving(void **save, const void *bottom, size_t bytes)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(save, bottom, bytes);
#else
    (void)save;
    (void)bottom;
    (void)bytes;
#endif
}

static void arrived(void *saved, const void **bottom, size_t *bytes)
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(saved, bottom, bytes);
#else
    (void)saved;
    (void)bottom;
    (void)bytes;
#endif
}

/* A coroutine is left in the middle of its frames, whose marks would stay where the next
 * one's stack comes to lie. */
static void forget_frames(const char *bottom)
{
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(bottom, STACK_BYTES);
#else
    (void)bottom;
#endif
}

#ifdef __SANITIZE_ADDRESS__
/* Not swapcontext: the sanitizer prints a warning about it. */
static void go(struct place *from, struct place *to)
{
    volatile bool back = false;
    CHECK(getcontext(&from->context) == 0);
    if (back)
        return; /* Somebody came back here. */
    back = true;
    setcontext(&to->context);
}
#else
static void go(struct place *from, struct place *to)
{
    if (_setjmp(from->jump) != 0)
        return; /* Somebody came back here. */
    from->has_jump = true;
    if (to->has_jump)
        _longjmp(to->jump, 1);
    setcontext(&to->context);
}
#endif

static char *stack_bottom(const struct coroutine *c)
{
    return c->stack + sysconf(_SC_PAGESIZE);
}

static char *stack_take(void)
{
    const size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    char *stack        = NULL;
    for (unsigned i = 0; stack == NULL && i < SPARE_STACKS; i++)
        stack = atomic_exchange(&spare[i], NULL);
    if (stack == NULL) {
        stack = mmap(NULL, guard + STACK_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(stack != MAP_FAILED);
        CHECK(mprotect(stack, guard, PROT_NONE) == 0);
    }
    forget_frames(stack + guard);
    return stack;
}

static void stack_put(char *stack)
{
    for (unsigned i = 0; i < SPARE_STACKS; i++) {
        char *none = NULL;
        if (atomic_compare_exchange_strong(&spare[i], &none, stack))
            return;
    }
    munmap(stack, (size_t)sysconf(_SC_PAGESIZE) + STACK_BYTES);
}

/* makecontext hands over ints only, so the pointer travels in two halves. */
static void first_step(unsigned high, unsigned low)
{
    struct coroutine *c = (struct coroutine *)((uintptr_t)high << 32 | low);
    arrived(NULL, &c->bottom_back, &c->bytes_back);
    c->entry(c->arg);
    leaving(NULL, c->bottom_back, c->bytes_back); /* Never to come back here. */
    go(&c->here, &c->back);
}

static void *direct_spawn(void *self, const char *name, void (*entry)(void *arg), void *arg)
{
    struct direct_host *h = self;
    struct coroutine *c   = calloc(1, sizeof *c);
    (void)name;

    CHECK(c != NULL);
    c->stack = stack_take();
    c->entry = entry;
    c->arg   = arg;
    c->next  = h->first;
    h->first = c;
    CHECK(getcontext(&c->here.context) == 0);
    c->here.context.uc_stack.ss_sp   = stack_bottom(c);
    c->here.context.uc_stack.ss_size = STACK_BYTES;
    c->here.context.uc_link          = NULL;
    makecontext(&c->here.context, (void (*)(void))first_step, 2,
                (unsigned)((uintptr_t)c >> 32), (unsigned)(uintptr_t)c);
    return c;
}

static void direct_resume(void *self, void *coroutine)
{
    struct coroutine *c = coroutine;
    (void)self;
    leaving(&c->fake_stack_back, stack_bottom(c), STACK_BYTES);
    go(&c->back, &c->here);
    arrived(c->fake_stack_back, NULL, NULL);
}

static void direct_yield(void *self, void *coroutine)
{
    struct coroutine *c = coroutine;
    (void)self;
    leaving(&c->fake_stack, c->bottom_back, c->bytes_back);
    go(&c->here, &c->back);
    arrived(c->fake_stack, &c->bottom_back, &c->bytes_back);
}

static void direct_advance_to(void *self, sim_time_t now)
{
    (void)self; /* The engine's own time is all there is. */
    (void)now;
}

struct direct_host *direct_host_new(void)
{
    struct direct_host *h = calloc(1, sizeof *h);
    CHECK(h != NULL);
    h->verbs = (struct sim_host){ .name       = "direct",
                                  .self       = h,
                                  .spawn      = direct_spawn,
                                  .resume     = direct_resume,
                                  .yield      = direct_yield,
                                  .advance_to = direct_advance_to };
    return h;
}

const struct sim_host *direct_host_verbs(struct direct_host *h)
{
    return &h->verbs;
}

void direct_host_free(struct direct_host *h)
{
    while (h->first != NULL) {
        struct coroutine *c = h->first;
        h->first            = c->next;
        stack_put(c->stack);
        free(c);
    }
    free(h);
}
