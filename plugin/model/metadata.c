/* Structured metadata of log entries: names and values in Loki's normal form, within Loki's default bounds. */
#include "model/block.h"

#define PAIRS_MAX 128
#define BYTES_MAX (64 * KIB)

static bool alnum(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

/* ---- names ------------------------------------------------------------------------------------------------------ */

/* __x__: what stands between the underscores of such a name is brought into form, they themselves stay. */
static size_t fence_of(struct view name)
{
    bool fenced = name.n > 4 && memcmp(name.p, "__", 2) == 0 && memcmp(name.p + name.n - 2, "__", 2) == 0;
    return fenced ? 2 : 0;
}

static bool name_is_normal(struct view name)
{
    size_t fence = fence_of(name);
    bool any = false;
    if (name.n == 0 || (name.p[0] >= '0' && name.p[0] <= '9'))
        return false;
    for (size_t i = fence; i < name.n - fence; i++) {
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
    size_t fence = fence_of(name);
    bool any = false;
    if (name.n > 0 && name.p[0] >= '0' && name.p[0] <= '9') {
        memcpy(p, "key_", 4);
        p += 4;
    }
    for (size_t i = 0; i < name.n; i++) {
        bool fine = alnum(name.p[i]), in_fence = i < fence || i >= name.n - fence;
        any |= fine;
        if (fine)
            *p++ = (uint8_t)name.p[i];
        else if (in_fence || p == start || p[-1] != '_')
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

/* ---- values ----------------------------------------------------------------------------------------------------- */

static bool is_replacement(struct view v, size_t i)
{
    return v.n - i >= 3 && memcmp(v.p + i, UTF8_REPLACEMENT, 3) == 0;
}

static bool value_is_normal(struct view value)
{
    return utf8_ascii_prefix(value.p, value.n) == value.n ||
           (utf8_valid(value.p, value.n) && !utf8_has_replacement(value.p, value.n));
}

/* The server makes blanks of what is not UTF-8 and of U+FFFD; done here, an entry sent again stays the same entry. */
static struct view value_normalise(struct view value, struct buf *text)
{
    uint8_t *start = text->p + text->n, *p = start;
    for (size_t i = 0; i < value.n;) {
        size_t good = is_replacement(value, i) ? 0 : utf8_sequence(value.p + i, value.n - i);
        if (good) {
            memcpy(p, value.p + i, good);
            p += good, i += good;
        } else {
            *p++ = ' ';
            i += is_replacement(value, i) ? 3 : utf8_invalid_run(value.p + i, value.n - i);
        }
    }
    text->n += (size_t)(p - start);
    return view_make((const char *)start, (size_t)(p - start));
}

/* ---- pairs ------------------------------------------------------------------------------------------------------ */

/* What of the entry's metadata is in the block. */
struct filling {
    struct label_scratch *scratch;
    size_t pairs, bytes;
};

static struct filling filling_of(struct label_scratch *s)
{
    struct filling f = {s, 0, 0};
    struct view block = buf_view(&s->block), name, value;
    while (block_next(&block, &name, &value))
        f.pairs++, f.bytes += name.n + value.n;
    return f;
}

/* Why the pair cannot stand as it is; NULL = it can. */
static const char *pair_trouble(const struct filling *f, struct view name, struct view value)
{
    if (name.n == 0)
        return "the name has no letter or digit";
    if (f->pairs == PAIRS_MAX)
        return "more than 128 pairs";
    if (f->bytes + name.n + value.n > BYTES_MAX)
        return "more than 64 KiB of metadata";
    return name_taken(f->scratch, name) ? "the name occurs twice in its normal form" : NULL;
}

static bool pair_put(struct filling *f, struct view name, struct view value)
{
    struct buf *block = &f->scratch->block;
    if (!buf_reserve(block, name.n + value.n + BLOCK_PUT_EXTRA))
        return false;
    block->n = (size_t)(block_put(block->p + block->n, name, value) - block->p);
    f->pairs++, f->bytes += name.n + value.n;
    return true;
}

bool metadata_add(struct label_scratch *s, const char *name, struct view value)
{
    struct filling f = filling_of(s);
    return pair_trouble(&f, view_of(name), value) || pair_put(&f, view_of(name), value);
}

gcw_status metadata_block(enum label_policy policy, const gcw_label *own, const gcw_label *pairs, size_t count,
                          struct label_scratch *s, bool *changed, gcw_error *err)
{
    struct filling f = {s, 0, 0};
    *changed = false;
    s->block.n = 0;
    bool ok = !own || pair_put(&f, view_make(own->name, own->name_len), view_make(own->value, own->value_len));
    for (size_t i = 0; i < count && ok; i++) {
        struct view given = {pairs[i].name, pairs[i].name_len}, name = given,
                    value = {pairs[i].value, pairs[i].value_len};
        if (value.n == 0)
            continue;
        s->text.n = 0;
        if (!(ok = buf_reserve(&s->text, name.n + 4 + value.n)))
            break;
        bool name_mended = !name_is_normal(name), value_mended = !value_is_normal(value);
        if (name_mended)
            name = metadata_name_normalise(name, &s->text);
        if (value_mended)
            value = value_normalise(value, &s->text);
        const char *trouble = pair_trouble(&f, name, value);
        bool mended = trouble || name_mended || value_mended;
        if (mended && policy == LABELS_REJECT)
            return error_set(err, GCW_ERR_INVALID, "metadata \"%.*s\": %s", VIEW_ARG(given),
                             trouble        ? trouble
                             : value_mended ? "the value is not UTF-8, or has U+FFFD in it"
                                            : "the name is not [a-zA-Z][a-zA-Z0-9]* joined by single underscores");
        if (mended && !*changed)
            error_set(err, GCW_OK, "metadata \"%.*s\": %s%s", VIEW_ARG(given),
                      trouble       ? "left out: "
                      : name_mended ? "name normalised"
                                    : "what was not UTF-8 in the value became blanks",
                      trouble ? trouble : "");
        *changed |= mended;
        ok = trouble || pair_put(&f, name, value);
    }
    return ok ? GCW_OK : error_set(err, GCW_ERR_NOMEM, "out of memory");
}
