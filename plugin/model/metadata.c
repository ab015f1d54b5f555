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
        else if (name.p[i] != '_' || (i > fence && name.p[i - 1] == '_'))
            return false;
    }
    return any;
}

struct view metadata_name_normalise(struct view name, struct buf *text)
{
    uint8_t *start = text->p + text->n, *p = start;
    size_t fence = fence_of(name);
    bool any = false, joined = false;
    if (name.n > 0 && name.p[0] >= '0' && name.p[0] <= '9') {
        memcpy(p, "key_", 4);
        p += 4;
    }
    for (size_t i = 0; i < fence; i++)
        *p++ = '_';
    for (size_t i = fence; i < name.n - fence; i++) {
        bool fine = alnum(name.p[i]);
        any |= fine;
        if (fine || !joined)
            *p++ = fine ? (uint8_t)name.p[i] : '_';
        joined = !fine;
    }
    for (size_t i = 0; i < fence; i++)
        *p++ = '_';
    text->n += (size_t)(p - start);
    return view_make((const char *)start, any ? (size_t)(p - start) : 0);
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

enum origin { OURS, AS_GIVEN, MENDED };

/* What of the entry's metadata is in the block. */
struct filling {
    struct label_scratch *scratch;
    size_t pairs, bytes;
    uint8_t origin[PAIRS_MAX]; /* of each pair */
};

struct pair {
    struct view name, value;
    enum origin origin;
};

/* A pair in the block: its place, and where its bytes are. */
struct place {
    size_t index, at, end, bytes;
};

static bool pair_find(const struct label_scratch *s, struct view wanted, struct place *p)
{
    struct view block = buf_view(&s->block), all = block, name, value;
    for (*p = (struct place){0}; block_next(&block, &name, &value); p->index++, p->at = p->end) {
        p->end = all.n - block.n;
        p->bytes = name.n + value.n;
        if (view_eq(name, wanted))
            return true;
    }
    return false;
}

/* Of two with one name in their normal form the last one stays, but one that was mended wins over one that came in its
 * normal form: so does the server's own mending. */
static bool pair_yields(const struct filling *f, const struct place *there, const struct pair *p)
{
    enum origin origin = f->origin[there->index];
    return origin == OURS || (origin == MENDED && p->origin == AS_GIVEN);
}

static void pair_remove(struct filling *f, const struct place *p)
{
    struct buf *block = &f->scratch->block;
    memmove(block->p + p->at, block->p + p->end, block->n - p->end);
    memmove(f->origin + p->index, f->origin + p->index + 1, f->pairs - p->index - 1);
    block->n -= p->end - p->at;
    f->pairs--, f->bytes -= p->bytes;
}

static const char *const name_twice = "left out: the name occurs twice in its normal form";

/* Takes the pair in, or says in *trouble why it was left out, or that another was. False: out of memory. */
static bool pair_put(struct filling *f, const struct pair *p, const char **trouble)
{
    struct buf *block = &f->scratch->block;
    struct place there;
    bool taken = pair_find(f->scratch, p->name, &there);
    size_t bytes = f->bytes - (taken ? there.bytes : 0) + p->name.n + p->value.n;
    *trouble = p->name.n == 0                       ? "left out: the name has no letter or digit"
               : taken && pair_yields(f, &there, p) ? name_twice
               : !taken && f->pairs == PAIRS_MAX    ? "left out: more than 128 pairs"
               : bytes > BYTES_MAX                  ? "left out: more than 64 KiB of metadata"
                                                    : NULL;
    if (*trouble)
        return true;
    if (!buf_reserve(block, p->name.n + p->value.n + BLOCK_PUT_EXTRA))
        return false;
    if (taken) {
        pair_remove(f, &there);
        *trouble = name_twice;
    }
    block->n = (size_t)(block_put(block->p + block->n, p->name, p->value) - block->p);
    f->origin[f->pairs++] = (uint8_t)p->origin;
    f->bytes = bytes;
    return true;
}

bool metadata_add(struct label_scratch *s, const char *name, struct view value)
{
    struct filling f;
    f.scratch = s;
    f.pairs = f.bytes = 0;
    struct view block = buf_view(&s->block), n, v;
    while (block_next(&block, &n, &v)) {
        f.origin[f.pairs++] = OURS; /* stay as they are */
        f.bytes += n.n + v.n;
    }
    const char *trouble;
    return pair_put(&f, &(struct pair){view_of(name), value, OURS}, &trouble);
}

/* The pair in its normal form, `text` holding what is new; *what says what was mended. False: out of memory. */
static bool pair_normalise(const gcw_label *given, struct buf *text, struct pair *p, const char **what)
{
    *p = (struct pair){{given->name, given->name_len}, {given->value, given->value_len}, AS_GIVEN};
    *what = NULL;
    text->n = 0;
    if (!buf_reserve(text, p->name.n + 4 + p->value.n))
        return false;
    if (!value_is_normal(p->value)) {
        p->value = value_normalise(p->value, text);
        *what = "what was not UTF-8 in the value, and U+FFFD, became blanks";
    }
    if (!name_is_normal(p->name)) {
        p->name = metadata_name_normalise(p->name, text);
        *what = "name normalised to [a-zA-Z0-9]+ joined by single underscores";
    }
    p->origin = *what ? MENDED : AS_GIVEN;
    return true;
}

gcw_status metadata_block(enum label_policy policy, const gcw_label *own, const gcw_label *pairs, size_t count,
                          struct label_scratch *s, bool *changed, gcw_error *err)
{
    struct filling f;
    struct pair p;
    const char *what, *trouble;
    f.scratch = s;
    f.pairs = f.bytes = 0;
    *changed = false;
    s->block.n = 0;
    bool ok =
        !own || pair_put(&f, &(struct pair){{own->name, own->name_len}, {own->value, own->value_len}, OURS}, &trouble);
    for (size_t i = 0; i < count && ok; i++) {
        if (pairs[i].value_len == 0)
            continue;
        struct view given = {pairs[i].name, pairs[i].name_len};
        ok = pair_normalise(&pairs[i], &s->text, &p, &what) && pair_put(&f, &p, &trouble);
        if (!ok || (!what && !trouble))
            continue;
        if (policy == LABELS_REJECT)
            return error_set(err, GCW_ERR_INVALID, "metadata \"%.*s\": %s", VIEW_ARG(given), trouble ? trouble : what);
        if (!*changed)
            error_set(err, GCW_OK, "metadata \"%.*s\": %s", VIEW_ARG(given), trouble ? trouble : what);
        *changed = true;
    }
    return ok ? GCW_OK : error_set(err, GCW_ERR_NOMEM, "out of memory");
}
