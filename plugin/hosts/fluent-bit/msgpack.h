/* MessagePack, read straight from somebody else's bytes: nothing is copied, nothing allocated, no tree is built. The
 * reader is a position; every read checks its bounds, so hostile bytes end in `false`, never past the end.
 * https://github.com/msgpack/msgpack/blob/master/spec.md */
#ifndef GCW_HOSTS_FLUENT_BIT_MSGPACK_H
#define GCW_HOSTS_FLUENT_BIT_MSGPACK_H

#include "base/base.h"

struct msgpack {
    const uint8_t *p, *end;
};

enum msgpack_type {
    MSGPACK_NIL,
    MSGPACK_BOOL,
    MSGPACK_UINT,
    MSGPACK_INT,
    MSGPACK_DOUBLE,
    MSGPACK_STR,
    MSGPACK_BIN,
    MSGPACK_EXT,
    MSGPACK_ARRAY,
    MSGPACK_MAP
};

/* One value; of an array or map its head only: `count` values, or pairs, follow. */
struct msgpack_value {
    enum msgpack_type type;
    bool truth;        /* BOOL */
    int8_t ext;        /* EXT: its type */
    uint32_t count;    /* ARRAY, MAP */
    uint64_t number;   /* UINT; INT: as two's complement, always negative; DOUBLE: its bits */
    struct view bytes; /* STR, BIN, EXT: into the reader's bytes */
};

static inline struct msgpack msgpack_over(const void *data, size_t n)
{
    return (struct msgpack){data, n ? (const uint8_t *)data + n : data}; /* NULL + 0 has no meaning */
}
static inline bool msgpack_at_end(const struct msgpack *m) { return m->p == m->end; }
double msgpack_double(const struct msgpack_value *v); /* of UINT, INT or DOUBLE */

/* Reads one value and moves on. False, and the position as it was: the bytes end too early, or begin no value. Fields
 * that the type has no use for are left as they are. */
bool msgpack_next_any(struct msgpack *m, struct msgpack_value *out);
static inline bool msgpack_next(struct msgpack *m, struct msgpack_value *out)
{
    size_t n = m->p < m->end ? *m->p ^ 0xa0u : 32; /* short strings, most of a log, take no call */
    if (n > 31 || (size_t)(m->end - m->p) <= n)
        return msgpack_next_any(m, out);
    out->type = MSGPACK_STR;
    out->bytes = view_make((const char *)m->p + 1, n);
    m->p += n + 1;
    return true;
}
/* Passes over one value with all that is in it; any depth, in constant memory. */
bool msgpack_skip(struct msgpack *m);
/* The same for what belongs to a head that has been read already. */
bool msgpack_skip_rest(struct msgpack *m, const struct msgpack_value *head);

#endif
