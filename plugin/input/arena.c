#include "input/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#define CHUNK_BYTES (64 * KIB)

struct arena_chunk {
    struct arena_chunk *before;
    size_t size;
    alignas(max_align_t) uint8_t bytes[];
};

static bool chunk_add(struct arena *a, size_t n)
{
    size_t size = MAX(n, CHUNK_BYTES);
    a->full = size > a->limit || a->total > a->limit - size;
    struct arena_chunk *c = a->full ? NULL : malloc(sizeof *c + size);
    a->nomem = !a->full && !c;
    if (!c)
        return false;
    c->before = a->chunk;
    c->size = size;
    a->chunk = c;
    a->used = 0;
    a->total += size;
    return true;
}

void *arena_alloc(struct arena *a, size_t n)
{
    const size_t align = alignof(max_align_t);
    size_t take = n > SIZE_MAX - align ? SIZE_MAX : (n + align - 1) / align * align;
    if ((!a->chunk || a->chunk->size - a->used < take) && !chunk_add(a, take))
        return NULL;
    void *p = a->chunk->bytes + a->used;
    a->used += take;
    return p;
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *c = a->chunk, *kept = NULL;
    while (c) {
        struct arena_chunk *before = c->before;
        if (!kept && c->size == CHUNK_BYTES)
            kept = c;
        else
            free(c);
        c = before;
    }
    if (kept)
        kept->before = NULL;
    a->chunk = kept;
    a->used = 0;
    a->total = kept ? kept->size : 0;
    a->full = a->nomem = false;
}

void arena_free(struct arena *a)
{
    arena_reset(a);
    free(a->chunk);
    *a = (struct arena){.limit = a->limit};
}

static void *unpack_alloc(void *arena, size_t n) { return arena_alloc(arena, n); }
static void unpack_free(void *arena, void *p)
{
    (void)arena;
    (void)p;
}

ProtobufCAllocator arena_allocator(struct arena *a) { return (ProtobufCAllocator){unpack_alloc, unpack_free, a}; }
