/* Memory that comes in small parts and goes at once, up to a limit. protobuf-c unpacks into one too. */
#ifndef GCW_INPUT_ARENA_H
#define GCW_INPUT_ARENA_H

#include <protobuf-c/protobuf-c.h>

#include "base/base.h"

/* Zero-initialise, set `limit`; free with arena_free(). */
struct arena {
    struct arena_chunk *chunk; /* being used; the ones before hang on it */
    size_t used;               /* of it */
    size_t total, limit;       /* bytes of all chunks */
    bool full, nomem;          /* why the last NULL */
};

void *arena_alloc(struct arena *a, size_t n); /* aligned for anything; NULL = past the limit, or out of memory */
void arena_reset(struct arena *a); /* what it gave out is gone; a chunk of the usual size stays for the next */
void arena_free(struct arena *a);
ProtobufCAllocator arena_allocator(struct arena *a);

#endif
