/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_observed - any bytes as a recording for `trace check`. The properties: it is read or
 * refused with one line that names the file; reading again gives the same; and what was
 * read hangs together: every call of a request's chain is its own, and every call is in one
 * chain at most.
 */
#define _GNU_SOURCE /* memfd_create */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim/base/check.h"
#include "traces/observed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned observed_accepted; /* Readings. */

static void check_calls(const struct observed *o)
{
    for (uint32_t i = 0; i < o->calls; i++) {
        const struct observed_call *c = &o->call[i];
        CHECK(c->kind < OBSERVED_KINDS);
        CHECK(c->pieces <= c->pieces_room);
        CHECK(c->outs <= c->outs_room);
        CHECK(c->request == OBSERVED_NONE || c->request < o->requests);
        CHECK(c->device == OBSERVED_NONE || c->device < o->devices);
    }
}

static void check_requests(const struct observed *o)
{
    uint32_t chained = 0;
    for (uint32_t i = 0; i < o->requests; i++) {
        const struct observed_request *r = &o->request[i];
        uint32_t last                    = OBSERVED_NONE;
        CHECK(r->device == OBSERVED_NONE || r->device < o->devices);
        for (uint32_t c = r->first; c != OBSERVED_NONE; c = o->call[c].next) {
            CHECK(c < o->calls);
            CHECK(o->call[c].request == i);
            CHECK(++chained <= o->calls); /* No circle. */
            last = c;
        }
        CHECK(r->last == last);
    }
}

/* What was read, as a number. */
static uint64_t sum_of(const struct observed *o)
{
    uint64_t sum = (uint64_t)o->requests << 32 | o->calls;
    for (uint32_t i = 0; i < o->calls; i++)
        sum = sum * 31 + o->call[i].addr + o->call[i].bytes + o->call[i].request;
    return sum;
}

/* Zero when it was refused. */
static uint64_t read_once(const char *path)
{
    struct observed o;
    struct error error = { "" };
    uint64_t sum       = 0;
    if (observed_read(&o, path, &error)) {
        observed_accepted++;
        check_calls(&o);
        check_requests(&o);
        sum = sum_of(&o);
    } else {
        CHECK(strncmp(error.text, path, strlen(path)) == 0);
        CHECK(strchr(error.text, '\n') == NULL);
    }
    observed_free(&o);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    const int fd = memfd_create("input", MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK(write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    CHECK(read_once(path) == read_once(path));
    close(fd);
    return 0;
}
