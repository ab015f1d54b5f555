/* Chunks: taken from the budget, kept in a small pool between uses. */
#include <stdlib.h>

#include "batch/record.h"

#define POOL_MAX 32 /* one MiB */

static uint64_t chunk_charge(const struct chunk *c) { return sizeof *c + c->cap; }

static struct chunk *pool_take(struct batcher *b)
{
    pthread_mutex_lock(&b->lock);
    struct chunk *c = b->pool;
    if (c) {
        b->pool = c->next;
        b->pool_count--;
    }
    pthread_mutex_unlock(&b->lock);
    return c;
}

struct chunk *chunk_take(struct batcher *b, size_t need, bool force, gcw_status *status)
{
    size_t cap = MAX(need, CHUNK_BYTES - sizeof(struct chunk));
    *status = GCW_ERR_FULL;
    if (!b->ops.take(b->ops.ctx, sizeof(struct chunk) + cap, force))
        return NULL;
    *status = GCW_OK;
    bool standard = sizeof(struct chunk) + cap == CHUNK_BYTES;
    struct chunk *c = standard ? pool_take(b) : NULL;
    if (!c)
        c = malloc(sizeof *c + cap);
    if (!c) {
        b->ops.give(b->ops.ctx, sizeof(struct chunk) + cap);
        *status = GCW_ERR_NOMEM;
        return NULL;
    }
    *c = (struct chunk){.cap = (uint32_t)cap};
    return c;
}

void chunk_give(struct batcher *b, struct chunk *c)
{
    bool standard = chunk_charge(c) == CHUNK_BYTES;
    b->ops.give(b->ops.ctx, chunk_charge(c));
    pthread_mutex_lock(&b->lock);
    if (standard && b->pool_count < POOL_MAX) {
        c->next = b->pool;
        b->pool = c;
        b->pool_count++;
        c = NULL;
    }
    pthread_mutex_unlock(&b->lock);
    free(c);
}

void chunk_pool_free(struct batcher *b)
{
    for (struct chunk *c = b->pool, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    b->pool = NULL;
    b->pool_count = 0;
}
