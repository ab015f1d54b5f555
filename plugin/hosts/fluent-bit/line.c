/* Lines. One loop walks containers of any depth with a frame each; JSON and the nested part of key=value lines differ
 * in a few strings. */
#include "hosts/fluent-bit/line.h"

#include <stdlib.h>

#include "hosts/fluent-bit/line_keys.h"
#include "hosts/fluent-bit/text.h"

/* How containers look. The second is what the host writes inside key=value lines, which quotes them: "map[a:1 b:[..]]".
 */
struct style {
    const char *map_open, *map_close, *array_open, *array_close;
    char between, colon;
    bool json; /* strings are escaped, keys quoted and unique */
};
static const struct style json_style = {"{", "}", "[", "]", ',', ':', true};
static const struct style words_style = {"\"map[", "]\"", "\"[", "]\"", ' ', ':', false};

/* A container under way. */
struct frame {
    const struct path *node; /* what leaves the line in here; NULL = nothing */
    uint32_t left, index;    /* members to come; the number of the next one */
    uint32_t written;
    bool map, top, twice; /* a key may stand twice */
    size_t first_key;
    uint64_t seen[4]; /* hashes of its keys */
};

struct walk {
    struct line *line;
    const struct style *style;
    struct paths *paths;
    struct buf *out;
    struct msgpack *m;
    bool ascii;
    int depth;
    struct frame frames[LINE_DEPTH_MAX];
};

static inline bool byte_put(struct buf *out, char c)
{
    if (!buf_reserve(out, 1))
        return false;
    out->p[out->n++] = (uint8_t)c;
    return true;
}

static enum line_status stored(bool ok) { return ok ? LINE_OK : LINE_NOMEM; }

void line_free(struct line *line)
{
    buf_free(&line->out);
    buf_free(&line->nested);
    free(line->keys);
    *line = (struct line){0};
}

#define KEPT_BYTES MIB

void line_shrink(struct line *line)
{
    size_t most = MAX(line->out.cap, line->nested.cap);
    if (MAX(most, line->key_cap * sizeof *line->keys) > KEPT_BYTES)
        line_free(line);
}

/* ---- scalars --------------------------------------------------------------------------------------------------- */

static bool number_put(struct buf *out, const struct msgpack_value *v)
{
    if (!buf_reserve(out, 20))
        return false;
    char *p = (char *)out->p + out->n;
    out->n += v->type == MSGPACK_UINT ? text_u64(p, v->number) : text_i64(p, (int64_t)v->number);
    return true;
}

/* Ids and digests travel as bytes; text as bytes too. */
#define BYTES_AS_HEX 64

static bool bytes_quoted(struct walk *w, const struct msgpack_value *v)
{
    if (v->bytes.n > BYTES_AS_HEX || utf8_valid(v->bytes.p, v->bytes.n))
        return text_quoted(w->out, v->bytes, w->ascii, w->m->end);
    return byte_put(w->out, '"') && text_hex(w->out, v->bytes) && byte_put(w->out, '"');
}

static bool ext_quoted(struct buf *out, bool json, struct view bytes)
{
    /* the backslash of \x00 is a backslash of the text */
    bool ok = byte_put(out, '"');
    for (size_t i = 0; ok && i < bytes.n; i++)
        ok = (!json || byte_put(out, '\\')) && text_codes(out, view_make(bytes.p + i, 1));
    return ok && byte_put(out, '"');
}

/* JSON has no word for these: they are strings there. */
static bool double_put(struct buf *out, bool json, double d)
{
    bool quoted = json && (d != d || d - d != 0);
    return (!quoted || byte_put(out, '"')) && text_double(out, d) && (!quoted || byte_put(out, '"'));
}

static enum line_status scalar_put(struct walk *w, const struct msgpack_value *v)
{
    switch (v->type) {
    case MSGPACK_STR:
        if (w->style->json)
            return stored(text_quoted(w->out, v->bytes, w->ascii, w->m->end));
        return stored(byte_put(w->out, '"') && buf_append(w->out, v->bytes.p, v->bytes.n) && byte_put(w->out, '"'));
    case MSGPACK_BIN:
        return stored(bytes_quoted(w, v));
    case MSGPACK_EXT:
        return stored(ext_quoted(w->out, w->style->json, v->bytes));
    case MSGPACK_UINT:
    case MSGPACK_INT:
        return stored(number_put(w->out, v));
    case MSGPACK_DOUBLE:
        return stored(double_put(w->out, w->style->json, msgpack_double(v)));
    case MSGPACK_BOOL:
        return stored(buf_puts(w->out, v->truth ? "true" : "false"));
    case MSGPACK_NIL:
    case MSGPACK_ARRAY:
    case MSGPACK_MAP:
        break;
    }
    return stored(buf_append(w->out, "null", 4));
}

/* ---- the walk -------------------------------------------------------------------------------------------------- */

static enum line_status value_put(struct walk *w, const struct msgpack_value *head, const struct path *node)
{
    bool map = head->type == MSGPACK_MAP;
    if (!map && head->type != MSGPACK_ARRAY)
        return scalar_put(w, head);
    if (w->depth == LINE_DEPTH_MAX) {
        if (!msgpack_skip_rest(w->m, head))
            return LINE_DAMAGED;
        return stored(buf_append(w->out, "null", 4));
    }
    struct frame *f = &w->frames[w->depth++];
    f->top = node && node == w->paths->nodes;
    f->node = node && (node->removed_below || (f->top && node->wanted_below)) ? node : NULL;
    f->left = head->count;
    f->index = f->written = 0;
    f->map = map;
    f->twice = false;
    f->first_key = w->line->key_count;
    memset(f->seen, 0, sizeof f->seen);
    return stored(buf_puts(w->out, map ? w->style->map_open : w->style->array_open));
}

static enum line_status frame_close(struct walk *w)
{
    struct frame *f = &w->frames[--w->depth];
    if (f->twice)
        LINE_TRY(stored(keys_drop_twice(w->line, w->out, f->first_key)));
    w->line->key_count = f->first_key;
    return stored(buf_puts(w->out, f->map ? w->style->map_close : w->style->array_close));
}

static const struct path *node_of_key(const struct walk *w, const struct frame *f, struct view key, uint8_t hash)
{
    if (!f->node)
        return NULL;
    return f->top ? path_of_top_hash(w->paths, key, hash) : path_of_key(w->paths, f->node, key);
}

/* Looks into the value that the reader stands at, on behalf of a key of the record. */
static bool value_capture(struct walk *w, const struct path *node)
{
    struct msgpack at = *w->m;
    return (node->slot < 0 && !node->wanted_below) || paths_capture_value(w->paths, node, &at);
}

/* Passes over a value that leaves the line. */
static enum line_status value_drop(struct walk *w, const struct path *node, bool capture)
{
    return (capture ? paths_capture_value(w->paths, node, w->m) : msgpack_skip(w->m)) ? LINE_OK : LINE_DAMAGED;
}

/* Keys that are no strings cannot stand in JSON: their text is the key. */
static enum line_status odd_key_put(struct walk *w, const struct msgpack_value *key)
{
    if (key->type == MSGPACK_MAP || key->type == MSGPACK_ARRAY) {
        if (!msgpack_skip_rest(w->m, key))
            return LINE_DAMAGED;
        return stored(buf_puts(w->out, key->type == MSGPACK_MAP ? "\"{}\"" : "\"[]\""));
    }
    size_t start = w->out->n;
    LINE_TRY(stored(byte_put(w->out, '"')));
    LINE_TRY(scalar_put(w, key));
    if (w->out->p[start + 1] == '"') { /* it was quoted itself */
        memmove(w->out->p + start, w->out->p + start + 1, w->out->n - start - 1);
        w->out->n--;
        return LINE_OK;
    }
    return stored(byte_put(w->out, '"'));
}

static enum line_status key_put(struct walk *w, struct frame *f, struct view key, uint8_t hash)
{
    if (!w->style->json)
        return stored(buf_append(w->out, key.p, key.n));
    uint64_t bit = UINT64_C(1) << (hash & 63), *word = &f->seen[hash >> 6];
    f->twice |= (*word & bit) != 0;
    *word |= bit;
    return stored(text_quoted(w->out, key, w->ascii, w->m->end));
}

static enum line_status pair_put(struct walk *w, struct frame *f)
{
    struct msgpack_value v;
    const struct path *node = NULL;
    uint8_t hash = 0;
    size_t at = w->out->n;
    if (!msgpack_next(w->m, &v))
        return LINE_DAMAGED;
    bool text = v.type == MSGPACK_STR;
    if (text) {
        hash = key_hash(v.bytes);
        node = node_of_key(w, f, v.bytes, hash);
    }
    if (node && node->removed)
        return value_drop(w, node, f->top);
    if (node && f->top && !value_capture(w, node))
        return LINE_DAMAGED;
    if (f->written++ > 0 && !byte_put(w->out, w->style->between))
        return LINE_NOMEM;
    if (w->style->json && !keys_add(w->line, text ? v.bytes : view_make(NULL, 0), at))
        return LINE_NOMEM;
    LINE_TRY(text ? key_put(w, f, v.bytes, hash) : odd_key_put(w, &v));
    if (!byte_put(w->out, w->style->colon))
        return LINE_NOMEM;
    return msgpack_next(w->m, &v) ? value_put(w, &v, node) : LINE_DAMAGED;
}

static enum line_status element_put(struct walk *w, struct frame *f)
{
    struct msgpack_value v;
    const struct path *node = f->node ? path_of_element(w->paths, f->node, f->index++) : NULL;
    if (node && node->removed)
        return value_drop(w, node, false);
    if (f->written++ > 0 && !byte_put(w->out, w->style->between))
        return LINE_NOMEM;
    return msgpack_next(w->m, &v) ? value_put(w, &v, node) : LINE_DAMAGED;
}

/* One pair or element of the innermost container. */
static enum line_status member_put(struct walk *w)
{
    struct frame *f = &w->frames[w->depth - 1];
    f->left--;
    return f->map ? pair_put(w, f) : element_put(w, f);
}

static enum line_status walk_value(struct walk *w, const struct msgpack_value *head, const struct path *node)
{
    w->depth = 0;
    w->line->key_count = 0;
    LINE_TRY(value_put(w, head, node));
    while (w->depth > 0)
        LINE_TRY(w->frames[w->depth - 1].left > 0 ? member_put(w) : frame_close(w));
    return LINE_OK;
}

/* ---- lines ----------------------------------------------------------------------------------------------------- */

static const struct path *record_node(const struct line_rules *rules)
{
    return rules->paths && rules->paths->count > 0 ? rules->paths->nodes : NULL;
}

/* The one member of a record that has, or keeps, one only. False: there are none, or more, or the bytes are damaged. */
static bool single_member(const struct line_rules *rules, const struct msgpack_value *head, struct msgpack m,
                          const struct path **at_node, struct msgpack *value)
{
    bool found = false;
    const struct path *record = record_node(rules);
    for (uint32_t left = head->count; left > 0; left--) {
        struct msgpack_value k;
        if (!msgpack_next(&m, &k) || !msgpack_skip_rest(&m, &k))
            return false;
        const struct path *node = record && k.type == MSGPACK_STR ? path_of_top_key(rules->paths, k.bytes) : NULL;
        struct msgpack at = m;
        if (!msgpack_skip(&m))
            return false;
        if (node && node->removed)
            continue;
        if (found)
            return false;
        found = true;
        *at_node = node;
        *value = at;
    }
    return found;
}

static enum line_status json_line(struct walk *w, const struct msgpack_value *head, const struct path *node,
                                  struct view *text)
{
    LINE_TRY(walk_value(w, head, node));
    *text = buf_view(w->out);
    return LINE_OK;
}

/* A value of a key=value line. Containers are written in words first and quoted as a whole. */
static enum line_status pair_value(struct walk *w, const struct msgpack_value *head, const struct path *node)
{
    struct line *l = w->line;
    if (head->type == MSGPACK_STR || head->type == MSGPACK_BIN) {
        w->style = &json_style;
        return scalar_put(w, head);
    }
    w->style = &words_style;
    if (head->type != MSGPACK_MAP && head->type != MSGPACK_ARRAY)
        return scalar_put(w, head);
    w->out = &l->nested;
    l->nested.n = 0;
    enum line_status status = walk_value(w, head, node);
    w->out = &l->out;
    LINE_TRY(status);
    struct view inner = view_make((const char *)l->nested.p + 1, l->nested.n - 2); /* without its quotes */
    return stored(text_quoted(&l->out, inner, false, l->nested.p + l->nested.n));
}

/* Keys hold no blanks, quotes or equal signs in logfmt. */
static bool pair_key(struct buf *out, struct view key)
{
    if (!buf_reserve(out, key.n))
        return false;
    for (size_t i = 0, n; i < key.n; i += n) {
        uint8_t c = (uint8_t)key.p[i];
        n = c < 0x80 ? 1 : utf8_sequence(key.p + i, key.n - i);
        if (n == 0 || c <= ' ' || c == '=' || c == '"' || c == 0x7f) {
            out->p[out->n++] = '_';
            n = 1;
            continue;
        }
        for (size_t k = 0; k < n; k++)
            out->p[out->n++] = (uint8_t)key.p[i + k];
    }
    return true;
}

static enum line_status pairs_line(struct walk *w, const struct msgpack_value *head, const struct path *record,
                                   struct view *text)
{
    struct line *l = w->line;
    for (uint32_t left = head->count; left > 0; left--) {
        struct msgpack_value v;
        if (!msgpack_next(w->m, &v) || !msgpack_skip_rest(w->m, &v))
            return LINE_DAMAGED;
        bool word = v.type == MSGPACK_STR; /* the host leaves out other keys too */
        const struct path *node = record && word ? path_of_top_key(w->paths, v.bytes) : NULL;
        if (!word || (node && node->removed)) {
            LINE_TRY(value_drop(w, node, node != NULL));
            continue;
        }
        if (node && !value_capture(w, node))
            return LINE_DAMAGED;
        LINE_TRY(
            stored((l->out.n == 0 || byte_put(&l->out, ' ')) && pair_key(&l->out, v.bytes) && byte_put(&l->out, '=')));
        if (!msgpack_next(w->m, &v))
            return LINE_DAMAGED;
        LINE_TRY(pair_value(w, &v, node));
    }
    *text = buf_view(&l->out);
    return LINE_OK;
}

/* Writes a member's value alone; *m moves behind the record. */
static enum line_status single_line(struct walk *w, const struct line_rules *rules, const struct msgpack_value *head,
                                    const struct path *node, struct msgpack *value, struct view *text)
{
    struct msgpack_value v;
    if (!msgpack_skip_rest(w->m, head) || !msgpack_next(value, &v))
        return LINE_DAMAGED;
    if (v.type == MSGPACK_STR && (rules->format == LINE_KEY_VALUE || rules->single == SINGLE_DROP_RAW)) {
        *text = v.bytes;
        return LINE_OK;
    }
    w->m = value;
    if (rules->format == LINE_JSON)
        return json_line(w, &v, node, text);
    LINE_TRY(pair_value(w, &v, node));
    *text = buf_view(&w->line->out);
    return LINE_OK;
}

enum line_status line_write(struct line *line, const struct line_rules *rules, struct msgpack *m, struct view *text)
{
    struct walk w;
    struct msgpack_value head;
    struct msgpack value;
    const struct path *node = NULL;
    w.line = line;
    w.style = &json_style;
    w.paths = rules->paths;
    w.out = &line->out;
    w.m = m;
    w.ascii = rules->format == LINE_JSON && rules->ascii;
    line->out.n = 0;
    if (rules->paths)
        paths_begin(rules->paths);
    const struct msgpack body = *m;
    if (!msgpack_next(m, &head))
        return LINE_DAMAGED;
    if (head.type == MSGPACK_STR) { /* a body that is text alone: no input of the host makes it */
        *text = head.bytes;
        return LINE_OK;
    }
    if (head.type != MSGPACK_MAP)
        return json_line(&w, &head, NULL, text);
    if (rules->single != SINGLE_KEEP && single_member(rules, &head, *m, &node, &value)) {
        if (rules->paths)
            paths_capture(rules->paths, body);
        return single_line(&w, rules, &head, node, &value, text);
    }
    return rules->format == LINE_JSON ? json_line(&w, &head, record_node(rules), text)
                                      : pairs_line(&w, &head, record_node(rules), text);
}

enum line_status line_value(struct line *line, bool ascii, struct msgpack *m, struct buf *out)
{
    struct walk w;
    struct msgpack_value head;
    if (!msgpack_next(m, &head))
        return LINE_DAMAGED;
    switch (head.type) {
    case MSGPACK_STR:
        return stored(buf_append(out, head.bytes.p, head.bytes.n));
    case MSGPACK_BIN:
        return stored(text_hex(out, head.bytes));
    case MSGPACK_EXT:
        return stored(text_codes(out, head.bytes));
    case MSGPACK_DOUBLE:
        return stored(text_double(out, msgpack_double(&head)));
    case MSGPACK_NIL:
    case MSGPACK_BOOL:
    case MSGPACK_UINT:
    case MSGPACK_INT:
    case MSGPACK_ARRAY:
    case MSGPACK_MAP:
        break;
    }
    w.line = line;
    w.style = &json_style;
    w.paths = NULL;
    w.out = out;
    w.m = m;
    w.ascii = ascii;
    return walk_value(&w, &head, NULL);
}
