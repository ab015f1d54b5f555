/* Keys that stand twice in a map. JSON readers differ in which of them they take, so one is written. Few keys are
 * compared each with each, many sorted: no map of a chunk costs time by the square of its size. */
#include "hosts/fluent-bit/line_keys.h"

#include <stdlib.h>

bool keys_add(struct line *l, struct view key, size_t at)
{
    if (l->key_count == l->key_cap) {
        size_t cap = MAX(l->key_cap * 2, (size_t)64);
        struct line_key *p = realloc(l->keys, cap * sizeof *p);
        if (!p)
            return false;
        l->keys = p;
        l->key_cap = cap;
    }
    l->keys[l->key_count++] = (struct line_key){key, at, false};
    return true;
}

static int by_key(const void *a, const void *b)
{
    const struct line_key *x = *(struct line_key *const *)a, *y = *(struct line_key *const *)b;
    int order = (x->key.p != NULL) - (y->key.p != NULL);
    if (order == 0)
        order = view_cmp(x->key, y->key);
    return order ? order : (x > y) - (x < y);
}

#define FEW_KEYS 32

static bool many_mark(struct line_key *keys, size_t n)
{
    struct line_key **sorted = malloc(n * sizeof *sorted);
    if (!sorted)
        return false;
    for (size_t i = 0; i < n; i++)
        sorted[i] = &keys[i];
    qsort(sorted, n, sizeof *sorted, by_key);
    for (size_t i = 0; i + 1 < n; i++)
        sorted[i]->dead = sorted[i]->key.p && view_eq(sorted[i]->key, sorted[i + 1]->key);
    free(sorted);
    return true;
}

static bool few_mark(struct line_key *keys, size_t n)
{
    bool any = false;
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n && !keys[i].dead; k++)
            any |= keys[i].dead = keys[i].key.p && view_eq(keys[i].key, keys[k].key);
    return any;
}

bool keys_drop_twice(struct line *l, struct buf *out, size_t first_key)
{
    struct line_key *keys = l->keys + first_key;
    size_t n = l->key_count - first_key;
    if (n <= FEW_KEYS && !few_mark(keys, n))
        return true;
    if (n > FEW_KEYS && !many_mark(keys, n))
        return false;
    uint8_t *d = out->p + keys[0].at;
    bool first = true;
    for (size_t i = 0; i < n; i++) {
        size_t from = keys[i].at, to = i + 1 < n ? keys[i + 1].at : out->n;
        if (keys[i].dead)
            continue;
        if (first && i > 0)
            from++; /* the comma */
        first = false;
        memmove(d, out->p + from, to - from);
        d += to - from;
    }
    out->n = (size_t)(d - out->p);
    return true;
}
