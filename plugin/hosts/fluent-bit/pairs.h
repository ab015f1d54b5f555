/* A list of labels or metadata of one record, with the text they are made of. Filled anew for each record; keeps its
 * memory. */
#ifndef GCW_HOSTS_FLUENT_BIT_PAIRS_H
#define GCW_HOSTS_FLUENT_BIT_PAIRS_H

#include "base/base.h"

struct pairs {
    gcw_label *v;
    size_t count, cap;
    struct buf text; /* pairs whose text is made here hold an offset into it until pairs_settle() */
    size_t settled;  /* pairs up to here hold pointers alone */
};

/* A piece of text: somebody's bytes, or a stretch of `text`. */
struct piece {
    const char *p; /* NULL = in `text`, at `at` */
    size_t at, n;
};
static inline struct piece piece_of(struct view v) { return (struct piece){v.p, 0, v.n}; }
static inline struct piece piece_since(const struct pairs *pairs, size_t at)
{
    return (struct piece){NULL, at, pairs->text.n - at};
}

void pairs_clear(struct pairs *pairs);
bool pairs_add(struct pairs *pairs, struct piece name, struct piece value);
/* Once all are added: turns offsets into pointers. */
void pairs_settle(struct pairs *pairs);
/* Behind `to`'s own, once both are settled. */
bool pairs_join(struct pairs *to, const struct pairs *from);
void pairs_free(struct pairs *pairs);

#endif
