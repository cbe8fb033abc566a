/* SPDX-License-Identifier: Apache-2.0 */
#include "dma_api/rules.h"

#include <string.h>

#define NAME(id, name, text) name,
#define TEXT(id, name, text) text,
const char *const flush_batch_name[BATCHES] = { FLUSH_BATCHES(NAME) };
const char *const flush_batch_text[BATCHES] = { FLUSH_BATCHES(TEXT) };
const char *const flush_grain_name[GRAINS]  = { FLUSH_GRAINS(NAME) };
const char *const flush_grain_text[GRAINS]  = { FLUSH_GRAINS(TEXT) };

static const char own[] = "own"; /* As the policy has it. */

const char *policy_batch_member(unsigned index)
{
    return index == 0 ? own : index <= BATCHES ? flush_batch_name[index - 1] : NULL;
}

const char *policy_grain_member(unsigned index)
{
    return index == 0 ? own : index <= GRAINS ? flush_grain_name[index - 1] : NULL;
}

const char *policy_sync_member(unsigned index)
{
    static const char *const name[] = { own, "wait", "post", NULL };
    return name[index];
}

const char *policy_choice_member(unsigned index)
{
    static const char *const name[] = { own, "no", "yes", NULL };
    return name[index];
}

static bool policy_check(const void *config, struct error *error)
{
    const struct policy_config *c = config;
    if ((c->ring_entries & (c->ring_entries - 1)) != 0 || c->ring_entries == 1)
        return error_set(error, "policy.ring_entries: expected a power of two, got %u",
                         c->ring_entries);
    if (c->ring_entries != 0 && c->every >= c->ring_entries)
        return error_set(
            error, "policy.every: expected less than policy.ring_entries (%u), got %u",
            c->ring_entries, c->every);
    return true;
}

#define PARAM_OWNER struct policy_config
static const struct param_def policy_params[] = { POLICY_PARAMS(PARAM_ROW) PARAM_END };
const struct param_table policy_param_table   = {
      "policy", "Any flush policy, moved along the axes that it is made of", policy_params,
      sizeof(struct policy_config), policy_check
};

/* The index of a member that is not "own"; false: it is. */
static bool chosen(const char *name, const char *(*member)(unsigned index), unsigned *index)
{
    if (name == NULL || strcmp(name, own) == 0)
        return false;
    for (*index = 1; member(*index) != NULL; ++*index)
        if (strcmp(member(*index), name) == 0) {
            --*index;
            return true;
        }
    return false;
}

enum {
    RING_ENTRIES    = 256,
    RING_TIMEOUT_US = 10000
}; /* Linux's, where a policy has none. */

/* A policy that kept no ring needs the measures of one. */
static void move_batch(struct flush_rules *r, enum flush_batch batch)
{
    r->batch = batch;
    if (batch == BATCH_each || batch == BATCH_never)
        return;
    r->post = false;
    if (r->ring_entries == 0)
        r->ring_entries = RING_ENTRIES;
    if (r->timeout_ps == 0 && r->every == 0 && r->bytes == 0 && batch != BATCH_driver)
        r->timeout_ps = RING_TIMEOUT_US * TIME_US;
}

static void move_limits(struct flush_rules *r, const struct policy_config *c)
{
    if (c->ring_entries != 0)
        r->ring_entries = c->ring_entries;
    if (c->every != 0)
        r->every = c->every;
    if (c->kib != 0)
        r->bytes = (uint64_t)c->kib << 10;
    if (c->timeout_us != 0)
        r->timeout_ps = c->timeout_us * TIME_US;
    if (c->hybrid_pages != 0)
        r->hybrid_pages = c->hybrid_pages;
    while (r->ring_entries != 0 && r->every >= r->ring_entries)
        r->ring_entries *= 2;
}

void flush_rules_move(struct flush_rules *r, const struct policy_config *c)
{
    unsigned index;
    if (c == NULL)
        return;
    if (chosen(c->batch, policy_batch_member, &index))
        move_batch(r, (enum flush_batch)index);
    if (chosen(c->grain, policy_grain_member, &index))
        r->grain = (enum flush_grain)index;
    if (chosen(c->sync, policy_sync_member, &index))
        r->post = index == 1 && r->batch == BATCH_each;
    if (chosen(c->hold, policy_choice_member, &index))
        r->hold = index == 1;
    if (chosen(c->keep_tables, policy_choice_member, &index))
        r->keep_tables = index == 1;
    move_limits(r, c);
    r->hold |= r->post; /* What is posted is not over. */
}
