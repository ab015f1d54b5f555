/* Streams of records. What varies is written into a key, which finds the stream or else is read back into labels. */
#include "hosts/fluent-bit/labels.h"

#include <stdlib.h>

static const struct path_step kubernetes_labels[] = {{.key = {"kubernetes", 10}}, {.key = {"labels", 6}}};

bool labels_bind(struct labels *l, struct paths *paths, bool by_tenant)
{
    l->varies = by_tenant || l->kubernetes;
    for (size_t i = 0; i < l->rules.count; i++)
        l->varies |= !l->rules.v[i].constant;
    return (l->streams = streams_new()) && rules_bind(&l->rules, paths) &&
           (!l->kubernetes || paths_want(paths, kubernetes_labels, ARRAY_LEN(kubernetes_labels), &l->kubernetes_slot));
}

void labels_free(struct labels *l)
{
    gcw_stream_release(l->fixed);
    streams_free(l->streams);
    rules_free(&l->rules);
    buf_free(&l->key);
    free(l->set);
    *l = (struct labels){0};
}

/* ---- the key --------------------------------------------------------------------------------------------------- */

/* Texts in the key stand behind their length. */
static bool length_put(struct buf *key, size_t *at)
{
    static const uint32_t none = 0;
    *at = key->n;
    return buf_append(key, &none, sizeof none);
}

static void length_set(struct buf *key, size_t at)
{
    uint32_t n = (uint32_t)(key->n - at - sizeof n);
    memcpy(key->p + at, &n, sizeof n);
}

static bool text_put(struct buf *key, struct view text)
{
    size_t at;
    if (!length_put(key, &at) || !buf_append(key, text.p, text.n))
        return false;
    length_set(key, at);
    return true;
}

static struct view text_take(struct view *key)
{
    uint32_t n;
    memcpy(&n, key->p, sizeof n);
    struct view text = view_make(key->p + sizeof n, n);
    *key = view_make(text.p + n, key->n - sizeof n - n);
    return text;
}

/* Pairs of strings of the map $kubernetes['labels'], names mended. */
static bool kubernetes_put(struct labels *l, struct msgpack m)
{
    struct msgpack_value map, key, value;
    if (!m.p || !msgpack_next(&m, &map) || map.type != MSGPACK_MAP)
        return true;
    for (uint32_t i = 0; i < map.count; i++) {
        size_t at;
        if (!msgpack_next(&m, &key) || !msgpack_skip_rest(&m, &key) || !msgpack_next(&m, &value) ||
            !msgpack_skip_rest(&m, &value))
            return true;
        if (key.type != MSGPACK_STR || value.type != MSGPACK_STR || key.bytes.n == 0)
            continue;
        if (!length_put(&l->key, &at) || !name_mend(&l->key, key.bytes))
            return false;
        length_set(&l->key, at);
        if (!text_put(&l->key, value.bytes))
            return false;
    }
    return true;
}

static bool key_make(struct labels *l, const struct source *from, const char *tenant)
{
    l->key.n = 0;
    if (!text_put(&l->key, view_of(tenant)))
        return false;
    for (size_t i = 0; i < l->rules.count; i++) {
        size_t at;
        if (l->rules.v[i].constant)
            continue;
        if (!length_put(&l->key, &at) || accessor_put(&l->rules.v[i].from, from, &l->key) == LINE_NOMEM)
            return false;
        length_set(&l->key, at);
    }
    return !l->kubernetes || kubernetes_put(l, from->paths->slots[l->kubernetes_slot]);
}

/* ---- labels of a key ------------------------------------------------------------------------------------------- */

/* Of labels with the same name the last one with a value counts, as in the host. */
static bool set_put(struct labels *l, size_t *n, struct view name, struct view value)
{
    if (value.n == 0)
        return true;
    size_t i = 0;
    while (i < *n && !view_eq(view_make(l->set[i].name, l->set[i].name_len), name))
        i++;
    if (i == l->set_cap) {
        size_t cap = MAX(l->set_cap * 2, (size_t)16);
        gcw_label *set = realloc(l->set, cap * sizeof *set);
        if (!set)
            return false;
        l->set = set;
        l->set_cap = cap;
    }
    l->set[i] = (gcw_label){name.p, name.n, value.p, value.n};
    *n = MAX(*n, i + 1);
    return true;
}

static bool set_make(struct labels *l, struct view key, size_t *n)
{
    bool ok = true;
    *n = 0;
    for (size_t i = 0; ok && i < l->rules.count; i++) {
        const struct rule *r = &l->rules.v[i];
        ok = set_put(l, n, view_of(r->name), r->constant ? view_of(r->constant) : text_take(&key));
    }
    while (ok && key.n > 0) {
        struct view name = text_take(&key);
        ok = set_put(l, n, name, text_take(&key));
    }
    return ok && (*n > 0 || set_put(l, n, view_of("job"), view_of("fluent-bit")));
}

static gcw_stream *stream_make(struct labels *l, struct view key, const char *tenant, gcw_error *err)
{
    size_t n;
    if (!set_make(l, key, &n)) {
        error_set(err, GCW_ERR_NOMEM, "out of memory");
        return NULL;
    }
    tenant = *tenant ? tenant : NULL;
    gcw_stream *stream = gcw_stream_intern(l->writer, l->set, n, tenant, err);
    if (!stream && err->code == GCW_ERR_LIMIT && streams_let_go(l->streams))
        stream = gcw_stream_intern(l->writer, l->set, n, tenant, err);
    return stream;
}

gcw_stream *labels_stream(struct labels *l, const struct source *from, const char *tenant, gcw_error *err)
{
    if (!l->varies) {
        if (!l->fixed)
            l->fixed = stream_make(l, view_make("", 0), "", err);
        return l->fixed;
    }
    if (!key_make(l, from, tenant)) {
        error_set(err, GCW_ERR_NOMEM, "out of memory");
        return NULL;
    }
    struct view key = buf_view(&l->key), values = key;
    gcw_stream *stream = streams_find(l->streams, key);
    if (stream)
        return stream;
    text_take(&values); /* the tenant */
    stream = stream_make(l, values, tenant, err);
    if (stream && !streams_keep(l->streams, key, stream)) {
        error_set(err, GCW_ERR_NOMEM, "out of memory");
        return NULL;
    }
    return stream;
}
