/* Structured metadata of log entries: names in Loki's normal form, within Loki's default bounds. */
#include "model/block.h"

#define PAIRS_MAX 128
#define BYTES_MAX (64 * KIB)

static bool alnum(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

static bool name_is_normal(struct view name)
{
    bool any = false;
    if (name.n == 0 || (name.p[0] >= '0' && name.p[0] <= '9'))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        if (alnum(name.p[i]))
            any = true;
        else if (name.p[i] != '_' || (i > 0 && name.p[i - 1] == '_'))
            return false;
    }
    return any;
}

struct view metadata_name_normalise(struct view name, struct buf *text)
{
    uint8_t *start = text->p + text->n, *p = start;
    bool any = false;
    if (name.n > 0 && name.p[0] >= '0' && name.p[0] <= '9') {
        memcpy(p, "key_", 4);
        p += 4;
    }
    for (size_t i = 0; i < name.n; i++) {
        bool fine = alnum(name.p[i]);
        any |= fine;
        if (fine)
            *p++ = (uint8_t)name.p[i];
        else if (p == start || p[-1] != '_')
            *p++ = '_';
    }
    text->n += (size_t)(p - start);
    return view_make((const char *)start, any ? (size_t)(p - start) : 0);
}

static bool name_taken(const struct label_scratch *s, struct view name)
{
    struct view block = buf_view(&s->block), n, v;
    while (block_next(&block, &n, &v))
        if (view_eq(n, name))
            return true;
    return false;
}

/* Why the pair cannot stand as it is; NULL = it can, with *name in normal form. */
static const char *pair_trouble(struct label_scratch *s, struct view *name, struct view value, size_t pairs,
                                size_t bytes)
{
    if (!name_is_normal(*name))
        *name = metadata_name_normalise(*name, &s->text);
    if (name->n == 0)
        return "the name has no letter or digit";
    if (pairs == PAIRS_MAX)
        return "more than 128 pairs";
    if (bytes + name->n + value.n > BYTES_MAX)
        return "more than 64 KiB of metadata";
    return name_taken(s, *name) ? "the name occurs twice in its normal form" : NULL;
}

gcw_status metadata_block(enum label_policy policy, const gcw_label *pairs, size_t count, struct label_scratch *s,
                          bool *changed, gcw_error *err)
{
    size_t need = 0, text = 0, kept = 0, bytes = 0;
    *changed = false;
    s->block.n = s->text.n = 0;
    for (size_t i = 0; i < count; i++) {
        need += pairs[i].name_len + 4 + pairs[i].value_len + BLOCK_PUT_EXTRA;
        text += pairs[i].name_len + 4;
    }
    if (!buf_reserve(&s->block, need) || !buf_reserve(&s->text, text))
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        struct view given = {pairs[i].name, pairs[i].name_len}, name = given,
                    value = {pairs[i].value, pairs[i].value_len};
        if (value.n == 0)
            continue;
        const char *trouble = pair_trouble(s, &name, value, kept, bytes);
        bool mended = trouble || !view_eq(name, given);
        if (mended && policy == LABELS_REJECT)
            return error_set(err, GCW_ERR_INVALID, "metadata \"%.*s\": %s", VIEW_ARG(given),
                             trouble ? trouble : "the name is not [a-zA-Z][a-zA-Z0-9]* joined by single underscores");
        if (mended && !*changed)
            error_set(err, GCW_OK, "metadata \"%.*s\": %s%s", VIEW_ARG(given),
                      trouble ? "left out: " : "name normalised", trouble ? trouble : "");
        *changed |= mended;
        if (trouble)
            continue;
        s->block.n = (size_t)(block_put(s->block.p + s->block.n, name, value) - s->block.p);
        kept++, bytes += name.n + value.n;
    }
    return GCW_OK;
}
