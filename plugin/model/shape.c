/* The short way from labels to a block. */
#include <stdlib.h>

#include "model/shape.h"

void shape_free(struct label_shape *s)
{
    free(s->name);
    free(s->order);
    buf_free(&s->text);
    *s = (struct label_shape){0};
}

static bool reserve(struct label_shape *s, size_t n)
{
    if (n <= s->cap)
        return true;
    struct shape_name *name = realloc(s->name, n * sizeof *name);
    if (name)
        s->name = name;
    uint32_t *order = realloc(s->order, n * sizeof *order);
    if (order)
        s->order = order;
    if (name && order)
        s->cap = n;
    return name && order;
}

void shape_learn(struct label_shape *s, const struct label_rules *rules, const gcw_label *labels, size_t count,
                 const uint32_t *order, size_t total)
{
    s->rules = NULL;
    s->text.n = 0;
    if (!reserve(s, MAX(count, total)))
        return;
    s->metric = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        s->name[i] = (struct shape_name){(uint32_t)s->text.n, (uint32_t)labels[i].name_len};
        if (!buf_append(&s->text, labels[i].name, labels[i].name_len))
            return;
        if (rules->signal == GCW_METRICS && view_is(view_make(labels[i].name, labels[i].name_len), "__name__"))
            s->metric = i;
    }
    memcpy(s->order, order, total * sizeof *order);
    s->rules = rules;
    s->count = count;
    s->total = total;
}

/* Equal bytes of equal length, mostly 2 to 16, without a call. */
static inline bool same(const char *a, const uint8_t *b, size_t n)
{
    uint64_t x, y, u, v;
    if (n < 8 || n > 16)
        return memcmp(a, b, n) == 0;
    memcpy(&x, a, 8), memcpy(&y, b, 8);
    memcpy(&u, a + n - 8, 8), memcpy(&v, b + n - 8, 8);
    return ((x ^ y) | (u ^ v)) == 0;
}

static inline bool names_same(const struct label_shape *s, const gcw_label *labels)
{
    const uint8_t *text = s->text.p;
    bool ok = true;
    for (size_t i = 0; i < s->count && ok; i++)
        ok = labels[i].name_len == s->name[i].len && same(labels[i].name, text + s->name[i].at, s->name[i].len);
    return ok;
}

/* ASCII, there, and not too long: anything else takes the long way, which knows what to do about it. */
static inline bool values_plain(const struct label_shape *s, const gcw_label *labels, size_t *need)
{
    size_t max = s->rules->max_value_bytes, sum = 0;
    for (size_t i = 0; i < s->count; i++) {
        size_t n = labels[i].value_len;
        if (n == 0 || n > max || utf8_ascii_prefix(labels[i].value, n) != n)
            return false;
        sum += n + s->name[i].len + BLOCK_PUT_EXTRA;
    }
    for (size_t i = 0; i < s->rules->static_count; i++)
        sum += s->rules->statics[i].name_len + s->rules->statics[i].value_len + BLOCK_PUT_EXTRA;
    *need = sum;
    return true;
}

static bool metric_name_plain(struct view v)
{
    bool ok = v.n > 0 && !(v.p[0] >= '0' && v.p[0] <= '9');
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        ok &= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ':';
    }
    return ok;
}

bool shape_encode(const struct label_shape *s, const struct label_rules *rules, const gcw_label *labels, size_t count,
                  struct buf *block, struct view *metric_name)
{
    size_t need;
    if (s->rules != rules || s->count != count || !names_same(s, labels) || !values_plain(s, labels, &need))
        return false;
    if (s->metric != SIZE_MAX) {
        *metric_name = view_make(labels[s->metric].value, labels[s->metric].value_len);
        if (!metric_name_plain(*metric_name))
            return false;
    }
    block->n = 0;
    if (!buf_reserve(block, need))
        return false;
    uint8_t *p = block->p;
    for (size_t i = 0; i < s->total; i++) {
        uint32_t k = s->order[i];
        const gcw_label *l = k & SHAPE_STATIC ? &rules->statics[k & ~SHAPE_STATIC] : &labels[k];
        p = block_put(p, view_make(l->name, l->name_len), view_make(l->value, l->value_len));
    }
    block->n = (size_t)(p - block->p);
    return true;
}
