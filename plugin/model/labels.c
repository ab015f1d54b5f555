/* From labels as a host gives them to the label block: checked, mended or refused by policy, sorted, encoded.
 *
 * The common case, all names and values fine and already in order, is one pass that looks at each byte once and copies
 * it once. Whatever is off leaves that path for mend(), which either rewrites the text into the scratch or refuses. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/shape.h"

struct label_pair {
    struct view name, value;
    bool mended; /* the name was rewritten: on a collision the original wins */
    uint32_t order;
};

#define NAME_LABEL "__name__"

enum { FIRST = 1, REST = 2, COLON = 4 };

#define LETTER (FIRST | REST)
static const uint8_t name_class[256] = {
    ['0' ... '9'] = REST, ['A' ... 'Z'] = LETTER, ['a' ... 'z'] = LETTER, ['_'] = LETTER, [':'] = COLON,
};

static bool name_fits(struct view v, bool colon)
{
    uint8_t rest = colon ? REST | COLON : REST, ok = 1;
    if (v.n == 0 || !(name_class[(uint8_t)v.p[0]] & (colon ? FIRST | COLON : FIRST)))
        return false;
    for (size_t i = 1; i < v.n; i++)
        ok &= (name_class[(uint8_t)v.p[i]] & rest) != 0;
    return ok;
}

static inline bool is_metric_name(const struct label_rules *r, struct view name)
{
    return r->signal == GCW_METRICS && name.n > 0 && name.p[0] == '_' && name.n == sizeof NAME_LABEL - 1 &&
           memcmp(name.p, NAME_LABEL, name.n) == 0;
}

/* Names with a leading "__" belong to the receivers: Loki's __stream_shard__, __backfill__ and the like alter or fail a
 * push. Of them Mimir's high-availability label is one that senders do set. */
static bool name_reserved(const struct label_rules *r, struct view name)
{
    if (name.n < 2 || name.p[0] != '_' || name.p[1] != '_')
        return false;
    return !is_metric_name(r, name) && !(r->signal == GCW_METRICS && view_is(name, "__replica__"));
}

/* ---- mending ---------------------------------------------------------------------------------------------- */

struct mender {
    const struct label_rules *rules;
    struct label_scratch *scratch;
    bool *changed;
    gcw_error *err;
};

static gcw_status refuse(const struct mender *m, const char *rule, struct view name, struct view value)
{
    return error_set(m->err, GCW_ERR_INVALID, "label \"%.*s\" (value \"%.*s\"): %s", VIEW_ARG(name), VIEW_ARG(value),
                     rule);
}

static void note(const struct mender *m, const char *what, struct view name)
{
    if (!*m->changed)
        error_set(m->err, GCW_OK, "label \"%.*s\": %s", VIEW_ARG(name), what);
    *m->changed = true;
}

/* Text is rewritten at the end of scratch->text, which never moves while pairs point into it: room for every rewrite
 * was made before (see text_room). */
static struct view text_take(struct label_scratch *s, size_t start)
{
    return view_make((const char *)s->text.p + start, s->text.n - start);
}

static struct view name_sanitised(struct label_scratch *s, struct view name, bool colon)
{
    size_t start = s->text.n;
    uint8_t first = name.n ? name_class[(uint8_t)name.p[0]] : 0;
    if (!(first & FIRST) && (first & REST))
        s->text.p[s->text.n++] = '_'; /* a leading digit */
    for (size_t i = 0; i < name.n;) {
        size_t step = MAX(utf8_sequence(name.p + i, name.n - i), (size_t)1); /* one '_' per character, not per byte */
        bool fine = step == 1 && (name_class[(uint8_t)name.p[i]] & (colon ? REST | COLON : REST));
        s->text.p[s->text.n++] = fine ? (uint8_t)name.p[i] : '_';
        i += step;
    }
    return text_take(s, start);
}

/* Loki's reader of labels takes U+FFFD for a broken character, and the whole push with it is refused. */
static bool value_fits(const struct label_rules *r, struct view v)
{
    return utf8_ascii_prefix(v.p, v.n) == v.n ||
           (utf8_valid(v.p, v.n) && (r->signal != GCW_LOGS || !utf8_has_replacement(v.p, v.n)));
}

/* What is not UTF-8 as U+FFFD; for logs, with what was U+FFFD, as '?'. */
static struct view value_mended(const struct label_rules *r, struct label_scratch *s, struct view v)
{
    size_t start = s->text.n;
    s->text.n += utf8_mend((char *)s->text.p + start, v.p, v.n);
    for (char *p, *from = (char *)s->text.p + start; r->signal == GCW_LOGS; from = p + 1) {
        size_t rest = s->text.n - (size_t)(from - (char *)s->text.p);
        if (!(p = memmem(from, rest, UTF8_REPLACEMENT, 3)))
            break;
        *p = '?';
        memmove(p + 1, p + 3, rest - (size_t)(p - from) - 3);
        s->text.n -= 2;
    }
    return text_take(s, start);
}

/* Cut to max bytes; the end becomes a hash of the whole, so that two long values stay two series. */
static struct view value_cut(struct label_scratch *s, struct view v, size_t max)
{
    char tail[20];
    int n = snprintf(tail, sizeof tail, "~%016" PRIx64, hash_bytes(v.p, v.n, 0));
    size_t keep = utf8_cut(v.p, v.n, max > (size_t)n ? max - (size_t)n : 0), start = s->text.n;
    memcpy(s->text.p + s->text.n, v.p, keep);
    s->text.n += keep;
    size_t hash_len = MIN((size_t)n, max - keep);
    memcpy(s->text.p + s->text.n, tail, hash_len);
    s->text.n += hash_len;
    return text_take(s, start);
}

/* Worst case of everything mend() may write for one label: a sanitised name, a mended value (3 bytes for one), a cut
 * one. */
static bool text_room(struct label_scratch *s, const gcw_label *labels, size_t count)
{
    size_t need = 0;
    for (size_t i = 0; i < count; i++)
        need += 2 * labels[i].name_len + 4 * labels[i].value_len + 64;
    s->text.n = 0;
    return buf_reserve(&s->text, need);
}

/* *keep false = leave the label out. */
static gcw_status mend_name(const struct mender *m, struct label_pair *p, bool *keep)
{
    const struct label_rules *r = m->rules;
    struct view given = p->name;
    if (given.n == 0)
        return refuse(m, "the name is empty", p->name, p->value);
    if (!name_fits(p->name, false)) {
        if (r->policy != LABELS_SANITISE)
            return refuse(m, "the name must match [a-zA-Z_][a-zA-Z0-9_]*", p->name, p->value);
        p->name = name_sanitised(m->scratch, p->name, false);
        p->mended = true;
        note(m, "name sanitised: characters outside [a-zA-Z0-9_] became '_'", given);
    }
    if (name_reserved(r, p->name) || (p->mended && is_metric_name(r, p->name))) {
        if (r->policy != LABELS_SANITISE)
            return refuse(m, "names that start with \"__\" are reserved", given, p->value);
        note(m, "left out: names that start with \"__\" are reserved", given);
        *keep = false;
        return GCW_OK;
    }
    if (p->name.n > r->max_name_bytes) {
        if (r->policy == LABELS_REJECT)
            return error_set(m->err, GCW_ERR_INVALID, "label \"%.*s\": the name has %zu bytes, allowed are %zu",
                             VIEW_ARG(given), p->name.n, r->max_name_bytes);
        p->name.n = r->max_name_bytes; /* ASCII by now */
        p->mended = true;
        note(m, "name cut to the largest length allowed", given);
    }
    return GCW_OK;
}

static gcw_status mend_value(const struct mender *m, struct label_pair *p)
{
    const struct label_rules *r = m->rules;
    if (!value_fits(r, p->value)) {
        bool logs = r->signal == GCW_LOGS;
        if (r->policy != LABELS_SANITISE)
            return refuse(
                m, logs ? "the value is not UTF-8, or has U+FFFD in it, which Loki refuses" : "the value is not UTF-8",
                p->name, p->value);
        p->value = value_mended(r, m->scratch, p->value);
        note(m,
             logs ? "value was not UTF-8: what is invalid, and U+FFFD, became '?'"
                  : "value was not UTF-8: what is invalid became U+FFFD",
             p->name);
    }
    if (is_metric_name(r, p->name) && !name_fits(p->value, true)) {
        if (r->policy != LABELS_SANITISE)
            return refuse(m, "a metric name must match [a-zA-Z_:][a-zA-Z0-9_:]*", p->name, p->value);
        note(m, "metric name sanitised: characters outside [a-zA-Z0-9_:] became '_'", p->value);
        p->value = name_sanitised(m->scratch, p->value, true);
    }
    if (p->value.n > r->max_value_bytes) {
        if (r->policy == LABELS_REJECT)
            return error_set(m->err, GCW_ERR_INVALID, "label \"%.*s\": the value has %zu bytes, allowed are %zu",
                             VIEW_ARG(p->name), p->value.n, r->max_value_bytes);
        if (is_metric_name(r, p->name))
            p->value.n = r->max_value_bytes; /* '~' may not stand in a name */
        else
            p->value = value_cut(m->scratch, p->value, r->max_value_bytes);
        note(m, "value cut to the largest length allowed", p->name);
    }
    return GCW_OK;
}

/* ---- gathering -------------------------------------------------------------------------------------------- */

static bool pair_is_fine(const struct label_rules *r, const struct label_pair *p)
{
    if (p->name.n > r->max_name_bytes || p->value.n > r->max_value_bytes || !name_fits(p->name, false))
        return false;
    if (p->name.n >= 2 && p->name.p[0] == '_' && p->name.p[1] == '_') {
        if (is_metric_name(r, p->name))
            return name_fits(p->value, true);
        if (name_reserved(r, p->name))
            return false;
    }
    return value_fits(r, p->value);
}

/* view_cmp() < 0 for names that mostly differ in their first letter. */
static inline bool name_before(struct view a, struct view b)
{
    if (a.n > 0 && b.n > 0 && a.p[0] != b.p[0])
        return (uint8_t)a.p[0] < (uint8_t)b.p[0];
    return view_cmp(a, b) < 0;
}

static gcw_status pairs_gather(const struct mender *m, const gcw_label *labels, size_t count, size_t *pairs,
                               bool *sorted)
{
    struct label_scratch *s = m->scratch;
    bool room = false;
    size_t n = 0;
    *sorted = true;
    for (size_t i = 0; i < count; i++) {
        if (labels[i].value_len == 0 && labels[i].name_len > 0)
            continue; /* an empty value means the label is absent */
        struct label_pair *p = &s->pairs[n];
        *p = (struct label_pair){
            {labels[i].name, labels[i].name_len}, {labels[i].value, labels[i].value_len}, false, (uint32_t)i};
        if (!pair_is_fine(m->rules, p)) {
            if (!room && !(room = text_room(s, labels, count)))
                return error_set(m->err, GCW_ERR_NOMEM, "out of memory");
            bool keep = true;
            gcw_status status = mend_name(m, p, &keep);
            if (status == GCW_OK && keep)
                status = mend_value(m, p);
            if (status != GCW_OK)
                return status;
            if (!keep)
                continue;
        }
        if (n > 0 && *sorted)
            *sorted = name_before(s->pairs[n - 1].name, p->name);
        n++;
    }
    *pairs = n;
    return GCW_OK;
}

/* Static labels yield to those of the series. */
static void pairs_add_statics(const struct label_rules *r, struct label_scratch *s, size_t *count, bool *sorted)
{
    size_t own = *count;
    for (size_t i = 0; i < r->static_count; i++) {
        struct view name = {r->statics[i].name, r->statics[i].name_len};
        bool there = false;
        for (size_t k = 0; k < own && !there; k++)
            there = view_eq(s->pairs[k].name, name);
        if (there)
            continue;
        s->pairs[(*count)++] = (struct label_pair){
            name, {r->statics[i].value, r->statics[i].value_len}, false, SHAPE_STATIC | (uint32_t)i};
        *sorted = false;
    }
}

static int pair_cmp(const void *a, const void *b)
{
    const struct label_pair *x = a, *y = b;
    int c = view_cmp(x->name, y->name);
    if (c == 0)
        c = (int)x->mended - (int)y->mended; /* the original before what was mended into its name */
    if (c == 0)
        c = x->order < y->order ? -1 : x->order > y->order;
    return c;
}

static gcw_status pairs_unique(const struct mender *m, size_t *count)
{
    struct label_pair *p = m->scratch->pairs;
    size_t n = 0;
    for (size_t i = 0; i < *count; i++) {
        if (n > 0 && view_eq(p[n - 1].name, p[i].name)) {
            if (m->rules->policy != LABELS_SANITISE)
                return refuse(m, "the name occurs twice", p[i].name, p[i].value);
            note(m, "the name occurs twice: the first one was kept", p[i].name);
            continue;
        }
        p[n++] = p[i];
    }
    *count = n;
    return GCW_OK;
}

/* ---- encoding --------------------------------------------------------------------------------------------- */

static gcw_status pairs_encode(const struct mender *m, size_t count)
{
    struct label_scratch *s = m->scratch;
    size_t need = 0;
    for (size_t i = 0; i < count; i++)
        need += s->pairs[i].name.n + s->pairs[i].value.n + BLOCK_PUT_EXTRA;
    s->block.n = 0;
    if (!buf_reserve(&s->block, need))
        return error_set(m->err, GCW_ERR_NOMEM, "out of memory");
    uint8_t *p = s->block.p;
    for (size_t i = 0; i < count; i++) {
        struct view name = s->pairs[i].name, value = s->pairs[i].value;
        p = block_put(p, name, value);
    }
    s->block.n = (size_t)(p - s->block.p);
    return GCW_OK;
}

static bool find_metric_name(const struct label_rules *r, struct label_scratch *s, size_t count)
{
    for (size_t i = 0; i < count; i++) /* sorted: behind upper-case names, so near the front */
        if (is_metric_name(r, s->pairs[i].name)) {
            s->metric_name = s->pairs[i].value;
            return true;
        }
    return false;
}

/* Label sets that came through untouched are what the next one is compared with. */
static void learn(struct label_scratch *s, const struct label_rules *rules, const gcw_label *labels, size_t count,
                  size_t n)
{
    uint32_t order[64];
    if (n > ARRAY_LEN(order) || (!s->shape && !(s->shape = calloc(1, sizeof *s->shape))))
        return;
    size_t own = 0;
    for (size_t i = 0; i < n; i++) {
        order[i] = s->pairs[i].order;
        own += !(order[i] & SHAPE_STATIC);
    }
    if (own == count)
        shape_learn(s->shape, rules, labels, count, order, n);
    s->shape_is_last = own == count;
}

bool labels_again(const struct label_rules *rules, const gcw_label *labels, size_t count, struct label_scratch *s)
{
    return s->shape_is_last && shape_encode_again(s->shape, rules, labels, count, &s->block, &s->metric_name);
}

gcw_status labels_block(const struct label_rules *rules, const gcw_label *labels, size_t count, struct label_scratch *s,
                        bool *changed, gcw_error *err)
{
    // cppcheck-suppress ctuuninitvar ; it is an output
    struct mender m = {rules, s, changed, err};
    size_t cap = count + rules->static_count, n = 0;
    bool sorted;
    *changed = false;
    if (s->shape && shape_encode(s->shape, rules, labels, count, &s->block, &s->metric_name)) {
        s->shape_is_last = true;
        return GCW_OK;
    }
    s->shape_is_last = false;
    if (cap > s->cap) {
        struct label_pair *p = realloc(s->pairs, cap * sizeof *p);
        if (!p)
            return error_set(err, GCW_ERR_NOMEM, "out of memory");
        s->pairs = p;
        s->cap = cap;
    }
    gcw_status status = pairs_gather(&m, labels, count, &n, &sorted);
    if (status != GCW_OK)
        return status;
    if (rules->static_count > 0)
        pairs_add_statics(rules, s, &n, &sorted);
    if (!sorted) {
        qsort(s->pairs, n, sizeof *s->pairs, pair_cmp);
        status = pairs_unique(&m, &n);
        if (status != GCW_OK)
            return status;
    }
    if (n > rules->max_labels)
        return error_set(err, GCW_ERR_INVALID, "%zu labels, allowed are %zu (first: \"%.*s\")", n, rules->max_labels,
                         VIEW_ARG(s->pairs[0].name));
    if (n == 0)
        return error_set(err, GCW_ERR_INVALID, "no labels: at least one with a value is needed");
    if (rules->signal == GCW_METRICS && !find_metric_name(rules, s, n))
        return error_set(err, GCW_ERR_INVALID, "no metric name: the label __name__ is missing or empty");
    if (!*changed)
        learn(s, rules, labels, count, n);
    return pairs_encode(&m, n);
}

void label_scratch_free(struct label_scratch *s)
{
    free(s->pairs);
    if (s->shape)
        shape_free(s->shape);
    free(s->shape);
    buf_free(&s->text);
    buf_free(&s->block);
    *s = (struct label_scratch){0};
}
