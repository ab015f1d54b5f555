/* The JSON-line reader: one pass over the line lists the members of its object, then the keys asked for are looked up.
 */
#include <stdlib.h>

#include "input/input.h"
#include "input/json_scan.h"

/* A configured key: which it is, and where its text goes. */
struct wanted {
    char *path, *as;
    size_t path_len, as_len;
    bool dotted;
};

struct json_reader {
    const struct time_format *time_format;
    struct wanted *keys; /* [0] time, [1] line, then labels, then metadata; path NULL = not asked for */
    struct json_value *found;
    gcw_label *out;
    size_t label_count, metadata_count;
    struct json_member *members; /* of the line's object */
    size_t member_count, member_cap;
    struct buf text; /* decoded texts of this line */
};

enum { KEY_TIME, KEY_LINE, KEY_LABELS };

/* ---- configuration ----------------------------------------------------------------------------------------------- */

static bool wanted_set(struct wanted *w, const char *path, const char *as)
{
    if (!path)
        return true;
    w->path = strdup(path);
    w->as = strdup(as ? as : path);
    if (!w->path || !w->as)
        return false;
    w->path_len = strlen(path);
    w->as_len = strlen(w->as);
    w->dotted = strchr(path, '.') != NULL;
    return true;
}

static size_t key_count(const struct json_reader *r) { return KEY_LABELS + r->label_count + r->metadata_count; }

static bool reader_set(struct json_reader *r, const struct json_line_config *c)
{
    r->time_format = c->time_format;
    r->label_count = c->label_count;
    r->metadata_count = c->metadata_count;
    r->keys = calloc(key_count(r), sizeof *r->keys);
    r->found = calloc(key_count(r), sizeof *r->found);
    r->out = calloc(key_count(r), sizeof *r->out);
    if (!r->keys || !r->found || !r->out)
        return false;
    bool ok = wanted_set(&r->keys[KEY_TIME], c->time_key, NULL) && wanted_set(&r->keys[KEY_LINE], c->line_key, NULL);
    for (size_t i = 0; i < c->label_count; i++)
        ok = ok && wanted_set(&r->keys[KEY_LABELS + i], c->labels[i].path, c->labels[i].as);
    for (size_t i = 0; i < c->metadata_count; i++)
        ok = ok && wanted_set(&r->keys[KEY_LABELS + c->label_count + i], c->metadata[i].path, c->metadata[i].as);
    return ok;
}

struct json_reader *json_reader_new(const struct json_line_config *c)
{
    ENSURE(!c->time_key || c->time_format);
    struct json_reader *r = calloc(1, sizeof *r);
    if (r && !reader_set(r, c)) {
        json_reader_free(r);
        return NULL;
    }
    return r;
}

void json_reader_free(struct json_reader *r)
{
    if (!r)
        return;
    for (size_t i = 0; r->keys && i < key_count(r); i++) {
        free(r->keys[i].path);
        free(r->keys[i].as);
    }
    free(r->keys);
    free(r->found);
    free(r->out);
    free(r->members);
    buf_free(&r->text);
    free(r);
}

/* ---- looking up -------------------------------------------------------------------------------------------------- */

static bool members_add(struct json_reader *r, const struct json_member *m)
{
    if (r->member_count == r->member_cap) {
        size_t cap = MAX(r->member_cap * 2, (size_t)32);
        struct json_member *p = realloc(r->members, cap * sizeof *p);
        if (!p)
            return false;
        r->members = p;
        r->member_cap = cap;
    }
    r->members[r->member_count++] = *m;
    return true;
}

/* Rare: a key written with escapes is compared character by character of what it stands for. */
static bool key_escaped_is(const struct json_value *key, struct view name)
{
    if (key->raw.n < name.n || key->raw.n > 6 * name.n)
        return false;
    char small[256], *text = key->raw.n <= sizeof small ? small : malloc(key->raw.n);
    bool same = text && view_eq(view_make(text, json_text_copy(key, text)), name);
    if (text != small)
        free(text);
    return same;
}

static bool key_is(const struct json_value *key, struct view name)
{
    return key->escaped ? key_escaped_is(key, name) : view_eq(key->raw, name);
}

/* The member of that name in an object's (checked) text; of several the last. */
static bool object_find(struct view object, struct view name, struct json_value *out)
{
    struct json_scan scan = json_scan_of(object);
    struct json_member m;
    bool found = false;
    if (!json_object_enter(&scan))
        return false;
    for (bool first = true; json_member_read(&scan, first, &m); first = false)
        if (key_is(&m.key, name)) {
            *out = m.value;
            found = true;
        }
    return found;
}

static bool members_find(const struct json_reader *r, struct view name, struct json_value *out)
{
    for (size_t i = r->member_count; i > 0; i--)
        if (key_is(&r->members[i - 1].key, name)) {
            *out = r->members[i - 1].value;
            return true;
        }
    return false;
}

static struct view path_step(struct view *path)
{
    const char *dot = memchr(path->p, '.', path->n);
    struct view step = view_make(path->p, dot ? (size_t)(dot - path->p) : path->n);
    size_t used = step.n + (dot ? 1 : 0);
    *path = view_make(path->p + used, path->n - used);
    return step;
}

/* The whole name first, then step by step into objects. */
static bool path_find(const struct json_reader *r, const struct wanted *w, struct json_value *out)
{
    struct view path = view_make(w->path, w->path_len);
    if (members_find(r, path, out))
        return true;
    if (!w->dotted || !members_find(r, path_step(&path), out))
        return false;
    while (path.n > 0) {
        struct view object = out->raw;
        if (out->kind != KIND_OBJECT || !object_find(object, path_step(&path), out))
            return false;
    }
    return true;
}

/* ---- a line ------------------------------------------------------------------------------------------------------ */

static gcw_status line_scan(struct json_reader *r, struct view line, gcw_error *err)
{
    struct json_scan scan = json_scan_of(line);
    struct json_member m;
    r->member_count = 0;
    if (json_object_enter(&scan)) {
        for (bool first = true; json_member_read(&scan, first, &m); first = false)
            if (!members_add(r, &m))
                return error_set(err, GCW_ERR_NOMEM, "out of memory");
        if (!scan.why)
            json_text_end(&scan);
    }
    if (scan.why)
        return error_set(err, GCW_ERR_INVALID, "column %zu: %s", (size_t)(scan.p - scan.start) + 1, scan.why);
    return GCW_OK;
}

/* Finds all keys first: then the room their texts need is known, and no text moves when the next is decoded. */
static gcw_status keys_find(struct json_reader *r, gcw_error *err)
{
    size_t room = 1;
    for (size_t i = 0; i < key_count(r); i++) {
        struct json_value *v = &r->found[i];
        if (!r->keys[i].path || !path_find(r, &r->keys[i], v))
            *v = (struct json_value){.kind = KIND_NULL};
        room += json_text_needs_copy(v) ? v->raw.n : 0;
    }
    r->text.n = 0;
    return buf_reserve(&r->text, room) ? GCW_OK : error_set(err, GCW_ERR_NOMEM, "out of memory");
}

static struct view text_of(struct json_reader *r, const struct json_value *v)
{
    if (!json_text_needs_copy(v))
        return v->raw;
    char *out = (char *)r->text.p + r->text.n;
    size_t n = json_text_copy(v, out);
    r->text.n += n;
    return view_make(out, n);
}

/* Found keys of a range, as labels; null counts as missing. */
static size_t labels_fill(struct json_reader *r, size_t from, size_t count, gcw_label *out)
{
    size_t n = 0;
    for (size_t i = from; i < from + count; i++) {
        if (r->found[i].kind == KIND_NULL)
            continue;
        struct view text = text_of(r, &r->found[i]);
        out[n++] = (gcw_label){r->keys[i].as, r->keys[i].as_len, text.p, text.n};
    }
    return n;
}

static gcw_status time_fill(struct json_reader *r, struct json_line *out, gcw_error *err)
{
    const struct json_value *v = &r->found[KEY_TIME];
    if (v->kind == KIND_NULL)
        return GCW_OK;
    struct view text = text_of(r, v);
    bool scalar = v->kind == KIND_STRING || v->kind == KIND_NUMBER;
    out->has_time = scalar && time_parse(r->time_format, text, &out->time_ns);
    if (out->has_time)
        return GCW_OK;
    return error_set(err, GCW_ERR_INVALID, "time key %s: \"%.*s\" is no time of the format asked for, or out of range",
                     r->keys[KEY_TIME].path, VIEW_ARG(text));
}

gcw_status json_reader_parse(struct json_reader *r, struct view line, struct json_line *out, gcw_error *err)
{
    *out = (struct json_line){.line = line, .labels = r->out, .metadata = r->out};
    gcw_status status = line_scan(r, line, err);
    if (status == GCW_OK)
        status = keys_find(r, err);
    if (status != GCW_OK)
        return status;
    if (r->found[KEY_LINE].kind != KIND_NULL)
        out->line = text_of(r, &r->found[KEY_LINE]);
    out->label_count = labels_fill(r, KEY_LABELS, r->label_count, out->labels);
    out->metadata = r->out + out->label_count;
    out->metadata_count = labels_fill(r, KEY_LABELS + r->label_count, r->metadata_count, out->metadata);
    return time_fill(r, out, err);
}
