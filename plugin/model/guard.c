/* The guard: bounds on the number of live label sets and their memory, and an estimate of how many values each label
 * name has had, so that a refusal can name the label that multiplies them.
 *
 * Values are estimated by linear counting: a bitmap of 4,096 bits a name, one hashed bit set per value seen. It is good
 * to a few percent up to some ten thousand values and saturates above, which is enough to tell the culprit. */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/model.h"

#define NAMES 64 /* label names watched; a set of labels has far fewer different names than this */
#define BITS  4096

struct watched {
    char *name;
    size_t len;
    uint64_t bits[BITS / 64];
};

struct guard {
    pthread_mutex_t lock;
    uint64_t max_count, max_bytes;
    _Atomic uint64_t count, bytes;
    struct watched watched[NAMES];
    size_t names;
};

struct guard *guard_new(uint64_t max_count, uint64_t max_bytes)
{
    struct guard *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    pthread_mutex_init(&g->lock, NULL);
    g->max_count = max_count;
    g->max_bytes = max_bytes;
    return g;
}

void guard_free(struct guard *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->names; i++)
        free(g->watched[i].name);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

static struct watched *name_find(struct guard *g, struct view name)
{
    for (size_t i = 0; i < g->names; i++)
        if (view_eq(view_make(g->watched[i].name, g->watched[i].len), name))
            return &g->watched[i];
    if (g->names == NAMES)
        return NULL;
    struct watched *w = &g->watched[g->names];
    w->name = malloc(name.n);
    if (!w->name)
        return NULL;
    memcpy(w->name, name.p, name.n);
    w->len = name.n;
    g->names++;
    return w;
}

static void observe(struct guard *g, struct view block)
{
    struct view name, value;
    while (block_next(&block, &name, &value)) {
        struct watched *w = name_find(g, name);
        if (!w)
            continue;
        uint64_t bit = hash_bytes(value.p, value.n, 0) % BITS;
        w->bits[bit / 64] |= UINT64_C(1) << (bit % 64);
    }
}

bool guard_admit(struct guard *g, struct view block, uint64_t bytes)
{
    if (!g)
        return true;
    pthread_mutex_lock(&g->lock);
    observe(g, block); /* refused ones too: they are what the explanation is about */
    bool ok = g->count < g->max_count && g->bytes + bytes <= g->max_bytes;
    if (ok) {
        g->count++;
        g->bytes += bytes;
    }
    pthread_mutex_unlock(&g->lock);
    return ok;
}

void guard_leave(struct guard *g, uint64_t count, uint64_t bytes)
{
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    ENSURE(g->count >= count && g->bytes >= bytes);
    g->count -= count;
    g->bytes -= bytes;
    pthread_mutex_unlock(&g->lock);
}

uint64_t guard_count(const struct guard *g) { return g->count; }
uint64_t guard_bytes(const struct guard *g) { return g->bytes; }

static unsigned bits_set(const struct watched *w)
{
    unsigned n = 0;
    for (size_t i = 0; i < ARRAY_LEN(w->bits); i++)
        n += (unsigned)__builtin_popcountll(w->bits[i]);
    return n;
}

void guard_explain(struct guard *g, const char *noun, gcw_error *err)
{
    char memory[32], size[32];
    const struct watched *worst = NULL;
    unsigned most = 0;
    pthread_mutex_lock(&g->lock);
    for (size_t i = 0; i < g->names; i++) {
        unsigned n = bits_set(&g->watched[i]);
        if (n > most)
            most = n, worst = &g->watched[i];
    }
    double seen = most >= BITS ? BITS * 9.0 : -(double)BITS * log(1.0 - (double)most / BITS);
    format_size(memory, sizeof memory, g->bytes);
    format_size(size, sizeof size, g->max_bytes);
    error_set(err, GCW_ERR_LIMIT,
              "too many %s: %" PRIu64 " of %" PRIu64
              ", %s of %s memory; the label \"%.*s\" has the most values (%s%.0f)",
              noun, (uint64_t)g->count, g->max_count, memory, size, worst ? (int)MIN(worst->len, (size_t)100) : 0,
              worst ? worst->name : "", most >= BITS ? "over " : "about ", seen);
    pthread_mutex_unlock(&g->lock);
}
