/* The short way from labels to a block. */
#include <stdlib.h>

#include "model/shape.h"

void shape_free(struct label_shape *s)
{
    free(s->name);
    free(s->order);
    free(s->head);
    buf_free(&s->text);
    buf_free(&s->metric_name);
    *s = (struct label_shape){0};
}

/* What was in the arrays is not kept. */
static bool reserve(struct label_shape *s, size_t n)
{
    if (n <= s->cap)
        return true;
    free(s->name);
    free(s->order);
    free(s->head);
    s->name = malloc(n * sizeof *s->name);
    s->order = malloc(n * sizeof *s->order);
    s->head = malloc(n * sizeof *s->head);
    bool ok = s->name && s->order && s->head;
    s->cap = ok ? n : 0;
    return ok;
}

static struct view name_of(const struct label_rules *rules, const gcw_label *labels, uint32_t k)
{
    const gcw_label *l = k & SHAPE_STATIC ? &rules->statics[k & ~SHAPE_STATIC] : &labels[k];
    return view_make(l->name, l->name_len);
}

static bool names_learn(struct label_shape *s, const gcw_label *labels, size_t count, bool metrics)
{
    s->metric = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        s->name[i] = (struct shape_name){(uint32_t)s->text.n, (uint32_t)labels[i].name_len};
        if (!buf_append(&s->text, labels[i].name, labels[i].name_len))
            return false;
        if (metrics && view_is(view_make(labels[i].name, labels[i].name_len), "__name__"))
            s->metric = i;
    }
    return true;
}

static bool heads_learn(struct label_shape *s, const struct label_rules *rules, const gcw_label *labels)
{
    static const uint8_t slack[SHAPE_SLACK];
    for (size_t i = 0; i < s->total; i++) {
        struct view name = name_of(rules, labels, s->order[i]);
        const uint8_t before[] = {0x0a, (uint8_t)name.n}, behind = 0x12;
        s->head[i] = (struct shape_head){(uint32_t)s->text.n, (uint32_t)name.n + 3};
        if (name.n >= 0x80 || !buf_append(&s->text, before, 2) || !buf_append(&s->text, name.p, name.n) ||
            !buf_append(&s->text, &behind, 1))
            return false;
    }
    return buf_append(&s->text, slack, sizeof slack);
}

void shape_learn(struct label_shape *s, const struct label_rules *rules, const gcw_label *labels, size_t count,
                 const uint32_t *order, size_t total)
{
    s->rules = NULL;
    s->text.n = 0;
    if (!reserve(s, MAX(count, total)))
        return;
    memcpy(s->order, order, total * sizeof *order);
    s->count = count;
    s->total = total;
    if (names_learn(s, labels, count, rules->signal == GCW_METRICS) && heads_learn(s, rules, labels))
        s->rules = rules;
}

static inline uint64_t word8(const void *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
    return w;
}

static inline uint32_t word4(const void *p)
{
    uint32_t w;
    memcpy(&w, p, 4);
    return w;
}

/* Equal bytes of equal length, mostly 2 to 16, without a call. */
static inline bool same(const char *a, const uint8_t *b, size_t n)
{
    if (n > 16)
        return memcmp(a, b, n) == 0;
    if (n >= 8)
        return ((word8(a) ^ word8(b)) | (word8(a + n - 8) ^ word8(b + n - 8))) == 0;
    if (n >= 4)
        return ((word4(a) ^ word4(b)) | (word4(a + n - 4) ^ word4(b + n - 4))) == 0;
    bool ok = true;
    for (size_t i = 0; i < n; i++)
        ok &= (uint8_t)a[i] == b[i];
    return ok;
}

static inline bool ascii(const char *p, size_t n)
{
    const uint64_t high = UINT64_C(0x8080808080808080);
    uint64_t seen = 0;
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8)
            seen |= word8(p + i);
        seen |= word8(p + n - 8);
    } else if (n >= 4) {
        seen = word4(p) | word4(p + n - 4);
    } else {
        for (size_t i = 0; i < n; i++)
            seen |= (uint8_t)p[i];
    }
    return (seen & high) == 0;
}

static inline bool names_same(const struct label_shape *s, const gcw_label *labels)
{
    const uint8_t *text = s->text.p;
    bool ok = true;
    for (size_t i = 0; i < s->count && ok; i++)
        ok = labels[i].name_len == s->name[i].len && same(labels[i].name, text + s->name[i].at, s->name[i].len);
    return ok;
}

static size_t statics_need(const struct label_rules *rules)
{
    size_t sum = 0;
    for (size_t i = 0; i < rules->static_count; i++)
        sum += rules->statics[i].name_len + rules->statics[i].value_len + BLOCK_PUT_EXTRA;
    return sum;
}

/* ASCII, there, and not too long: anything else takes the long way, which knows what to do about it. */
static inline bool values_plain(const struct label_shape *s, const gcw_label *labels, size_t *need)
{
    size_t max = s->rules->max_value_bytes, sum = 0;
    for (size_t i = 0; i < s->count; i++) {
        size_t n = labels[i].value_len;
        if (n == 0 || n > max || !ascii(labels[i].value, n))
            return false;
        sum += n + s->name[i].len + BLOCK_PUT_EXTRA;
    }
    *need = sum + statics_need(s->rules);
    return true;
}

/* Samples of one metric mostly come together: the letters are looked at once. */
static bool metric_name_plain(struct label_shape *s, struct view v)
{
    if (view_eq(v, buf_view(&s->metric_name)))
        return v.n > 0;
    bool ok = v.n > 0 && !(v.p[0] >= '0' && v.p[0] <= '9');
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        ok &= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ':';
    }
    s->metric_name.n = 0;
    return ok && buf_append(&s->metric_name, v.p, v.n);
}

/* A label up to its value: its length, the head, the value's length. What is written too much is written over. */
static inline uint8_t *label_open(uint8_t *p, const uint8_t *head, size_t n, size_t len)
{
    *p++ = 0x0a;
    p = put_len(p, n + len + (len < 0x80 ? 1 : varint_size(len)));
    if (n <= SHAPE_SLACK) {
        memcpy(p, head, 16);
        memcpy(p + 16, head + 16, 16);
    } else {
        memcpy(p, head, n);
    }
    return put_len(p + n, len);
}

static inline uint8_t *value_put_slack(uint8_t *p, const char *value, size_t n)
{
    memcpy(p, value, 16);
    memcpy(p + 16, value + 16, 16);
    if (n > 32)
        memcpy(p + 32, value + 32, n - 32);
    return p + n;
}

static bool metric_name_take(struct label_shape *s, const gcw_label *labels, struct view *metric_name)
{
    if (s->metric == SIZE_MAX)
        return true;
    *metric_name = view_make(labels[s->metric].value, labels[s->metric].value_len);
    return metric_name_plain(s, *metric_name);
}

bool shape_encode_again(struct label_shape *s, const struct label_rules *rules, const gcw_label *labels, size_t count,
                        struct buf *block, struct view *metric_name)
{
    size_t need = s->text.n + statics_need(rules), longest = 0, shortest = SIZE_MAX;
    if (s->rules != rules || s->count != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t n = labels[i].value_len;
        need += n + BLOCK_PUT_EXTRA;
        longest = MAX(longest, n);
        shortest = MIN(shortest, n);
    }
    block->n = 0;
    if (shortest == 0 || longest > rules->max_value_bytes || !metric_name_take(s, labels, metric_name) ||
        !buf_reserve(block, need + SHAPE_SLACK))
        return false;
    uint8_t *p = block->p;
    for (size_t i = 0; i < s->total; i++) {
        uint32_t k = s->order[i];
        const gcw_label *l = k & SHAPE_STATIC ? &rules->statics[k & ~SHAPE_STATIC] : &labels[k];
        p = label_open(p, s->text.p + s->head[i].at, s->head[i].len, l->value_len);
        p = k & SHAPE_STATIC ? put_bytes(p, l->value, l->value_len) : value_put_slack(p, l->value, l->value_len);
    }
    block->n = (size_t)(p - block->p);
    return true;
}

bool shape_encode(struct label_shape *s, const struct label_rules *rules, const gcw_label *labels, size_t count,
                  struct buf *block, struct view *metric_name)
{
    size_t need;
    if (s->rules != rules || s->count != count || !names_same(s, labels) || !values_plain(s, labels, &need))
        return false;
    block->n = 0;
    if (!metric_name_take(s, labels, metric_name) || !buf_reserve(block, need + SHAPE_SLACK))
        return false;
    uint8_t *p = block->p;
    for (size_t i = 0; i < s->total; i++) {
        uint32_t k = s->order[i];
        const gcw_label *l = k & SHAPE_STATIC ? &rules->statics[k & ~SHAPE_STATIC] : &labels[k];
        p = label_open(p, s->text.p + s->head[i].at, s->head[i].len, l->value_len);
        p = put_bytes(p, l->value, l->value_len);
    }
    block->n = (size_t)(p - block->p);
    return true;
}
