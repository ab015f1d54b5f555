/* Lists of labels. While text grows it may move, so pairs made of it are kept as offsets: a length with the top bit set
 * says that the pointer is one. */
#include "hosts/fluent-bit/pairs.h"

#include <stdlib.h>

#define IN_TEXT ((size_t)1 << (sizeof(size_t) * 8 - 1))

void pairs_clear(struct pairs *pairs) { pairs->count = pairs->settled = pairs->text.n = 0; }

void pairs_free(struct pairs *pairs)
{
    free(pairs->v);
    buf_free(&pairs->text);
    *pairs = (struct pairs){0};
}

static bool room(struct pairs *pairs, size_t more)
{
    if (pairs->cap - pairs->count >= more)
        return true;
    size_t cap = MAX(pairs->cap * 2, pairs->count + MAX(more, (size_t)16));
    gcw_label *v = realloc(pairs->v, cap * sizeof *v);
    if (!v)
        return false;
    pairs->v = v;
    pairs->cap = cap;
    return true;
}

static void piece_keep(const struct piece *piece, const char **p, size_t *n)
{
    *p = piece->p ? piece->p : (const char *)(uintptr_t)piece->at; /* an offset for now */
    *n = piece->p ? piece->n : piece->n | IN_TEXT;
}

bool pairs_add(struct pairs *pairs, struct piece name, struct piece value)
{
    if (!room(pairs, 1))
        return false;
    gcw_label *l = &pairs->v[pairs->count++];
    piece_keep(&name, &l->name, &l->name_len);
    piece_keep(&value, &l->value, &l->value_len);
    return true;
}

static void piece_settle(const struct pairs *pairs, const char **p, size_t *n)
{
    if (!(*n & IN_TEXT))
        return;
    *n &= ~IN_TEXT;
    *p = *n ? (const char *)pairs->text.p + (uintptr_t)*p : "";
}

void pairs_settle(struct pairs *pairs)
{
    for (; pairs->settled < pairs->count; pairs->settled++) {
        gcw_label *l = &pairs->v[pairs->settled];
        piece_settle(pairs, &l->name, &l->name_len);
        piece_settle(pairs, &l->value, &l->value_len);
    }
}

bool pairs_join(struct pairs *to, const struct pairs *from)
{
    if (from->count == 0)
        return true;
    if (!room(to, from->count))
        return false;
    memcpy(to->v + to->count, from->v, from->count * sizeof *from->v);
    to->count += from->count;
    to->settled = to->count;
    return true;
}
