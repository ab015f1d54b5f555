/* The labels of a context: static ones, and what an OpenTelemetry resource says of itself. By Prometheus' convention
 * job is service.namespace/service.name and instance is service.instance.id: without them two services that count the
 * same thing would be one series. */
#include <stdlib.h>

#include "hosts/fluent-bit/metrics_private.h"

/* ---- the key: count of labels, then length, length, name, value of each, then the attributes in the same form
 * ---------- */

static bool label_put(struct buf *key, struct view name, struct view value)
{
    uint32_t n[2] = {(uint32_t)name.n, (uint32_t)value.n};
    return buf_append(key, n, sizeof n) && buf_append(key, name.p, name.n) && buf_append(key, value.p, value.n);
}

static bool label_next(struct view *rest, gcw_label *out)
{
    uint32_t n[2];
    if (rest->n < sizeof n)
        return false;
    memcpy(n, rest->p, sizeof n);
    const char *p = rest->p + sizeof n;
    *out = (gcw_label){p, n[0], p + n[0], n[1]};
    size_t all = sizeof n + n[0] + n[1];
    *rest = view_make(rest->p + all, rest->n - all);
    return true;
}

/* ---- attributes -----------------------------------------------------------------------------------------------------
 */

/* A value as text; false for what has none (nil, lists, maps), and for the empty one. The text lives in `room`, or in
 * the chunk. */
static bool attribute_text(const struct msgpack_value *v, char room[LE_MAX], struct view *out)
{
    switch (v->type) {
    case MSGPACK_STR:
        *out = v->bytes;
        return out->n > 0;
    case MSGPACK_BOOL:
        *out = view_of(v->truth ? "true" : "false");
        return true;
    case MSGPACK_UINT:
        *out = view_make(room, text_u64(room, v->number));
        return true;
    case MSGPACK_INT:
        *out = view_make(room, text_i64(room, (int64_t)v->number));
        return true;
    case MSGPACK_DOUBLE:
        *out = view_make(room, le_text(room, msgpack_double(v), LE_SHORTEST));
        return true;
    case MSGPACK_NIL:
    case MSGPACK_BIN:
    case MSGPACK_EXT:
    case MSGPACK_ARRAY:
    case MSGPACK_MAP:
        break;
    }
    return false;
}

static bool attribute_next(struct cmetrics_list *l, struct view *name, struct msgpack_value *v)
{
    if (l->count == 0)
        return false;
    l->count--;
    *name = cmetrics_text(&l->at);
    return msgpack_next(&l->at, v) && msgpack_skip_rest(&l->at, v);
}

static bool is_identity(struct view name)
{
    return view_is(name, "service.name") || view_is(name, "service.namespace") || view_is(name, "service.instance.id");
}

static bool identity_put(struct metrics *m, uint32_t *count)
{
    struct cmetrics_list l = m->context.resource;
    struct view name, service = {0}, space = {0}, instance = {0};
    struct msgpack_value v;
    while (attribute_next(&l, &name, &v)) {
        struct view text = v.type == MSGPACK_STR ? v.bytes : view_make(NULL, 0);
        if (view_is(name, "service.name"))
            service = text;
        else if (view_is(name, "service.namespace"))
            space = text;
        else if (view_is(name, "service.instance.id"))
            instance = text;
    }
    m->text.n = 0;
    if (service.n > 0 && space.n > 0 && (!buf_append(&m->text, space.p, space.n) || !buf_puts(&m->text, "/")))
        return false;
    if (service.n > 0 &&
        (!buf_append(&m->text, service.p, service.n) || !label_put(&m->key, view_of("job"), buf_view(&m->text))))
        return false;
    *count += (service.n > 0 ? 1u : 0u) + (instance.n > 0 ? 1u : 0u);
    return instance.n == 0 || label_put(&m->key, view_of("instance"), instance);
}

static bool attributes_put(const struct metrics *m, struct buf *key)
{
    struct cmetrics_list l = m->context.resource;
    struct view name, value;
    struct msgpack_value v;
    char room[LE_MAX];
    while (attribute_next(&l, &name, &v))
        if (name.n > 0 && !is_identity(name) && attribute_text(&v, room, &value) && !label_put(key, name, value))
            return false;
    return true;
}

static bool statics_put(const struct metrics *m, struct buf *key, uint32_t *count)
{
    struct cmetrics_list l = m->context.statics;
    for (uint32_t i = 0; i < l.count; i++) {
        struct msgpack_value pair;
        struct msgpack at;
        if (!msgpack_next(&l.at, &pair))
            return true;
        at = l.at;
        if (!msgpack_skip_rest(&l.at, &pair))
            return true;
        if (pair.type != MSGPACK_ARRAY || pair.count < 2)
            continue;
        struct view name = cmetrics_text(&at), value = cmetrics_text(&at);
        if (name.n == 0 || value.n == 0)
            continue;
        if (!label_put(key, name, value))
            return false;
        ++*count;
    }
    return true;
}

static bool key_make(struct metrics *m)
{
    uint32_t count = 0;
    m->key.n = 0;
    if (!buf_append(&m->key, &count, sizeof count) || !statics_put(m, &m->key, &count))
        return false;
    if (m->resource != RESOURCE_NONE && !identity_put(m, &count))
        return false;
    if (m->resource == RESOURCE_TARGET_INFO && !attributes_put(m, &m->key))
        return false;
    memcpy(m->key.p, &count, sizeof count);
    return true;
}

/* ---- source ---------------------------------------------------------------------------------------------------------
 */

static bool labels_read(struct source *s)
{
    struct view rest = s->keyed.key, walk;
    gcw_label unused;
    uint32_t count;
    size_t n = 0;
    memcpy(&count, rest.p, sizeof count);
    rest = view_make(rest.p + sizeof count, rest.n - sizeof count);
    for (walk = rest; label_next(&walk, &unused);)
        n++;
    if (!(s->labels = calloc(n + 1, sizeof *s->labels)))
        return false;
    for (size_t i = 0; i < n; i++)
        (void)label_next(&rest, &s->labels[i]);
    s->count = count;
    s->attributes = n - count;
    return true;
}

gcw_status source_enter(struct metrics *m)
{
    if (!key_make(m))
        return GCW_ERR_NOMEM;
    m->source = (struct source *)keyed_find(&m->sources, &m->source_walk, buf_view(&m->key), m->now_ms);
    if (m->source)
        return GCW_OK;
    struct source *s = keyed_new(sizeof *s, buf_view(&m->key));
    if (!s || !labels_read(s) || !keyed_add(&m->sources, &m->source_walk, &s->keyed, m->now_ms)) {
        if (s)
            source_gone(m, &s->keyed);
        return GCW_ERR_NOMEM;
    }
    m->source = s;
    return GCW_OK;
}

void source_gone(void *metrics, struct keyed *keyed)
{
    struct source *s = (struct source *)keyed;
    keyed_clear(&s->metrics, metric_gone, metrics);
    gcw_series_release(s->target_info);
    free(s->labels);
    free(s);
}

/* Without job and instance there is nothing to join it to. */
static bool told(const struct source *s)
{
    bool named = false;
    for (size_t i = 0; i < s->count; i++) {
        struct view name = view_make(s->labels[i].name, s->labels[i].name_len);
        named |= view_is(name, "job") || view_is(name, "instance");
    }
    return named && s->attributes > 0;
}

gcw_status source_tell(struct metrics *m)
{
    static const gcw_metadata metadata = {GCW_TYPE_GAUGE, "target_info", "Target metadata", NULL};
    struct source *s = m->source;
    int64_t ms = (int64_t)(m->context.newest_ns / 1000000);
    if (m->resource != RESOURCE_TARGET_INFO || ms == 0 || ms <= s->told_ms || !told(s))
        return GCW_OK;
    if (!s->target_info) {
        gcw_error err = {0};
        m->labels.n = 0;
        if (!label_add(m, view_of("__name__"), view_of("target_info")) ||
            !labels_add(m, s->labels, s->count + s->attributes) || !labels_add(m, m->add, m->add_count))
            return GCW_ERR_NOMEM;
        s->target_info = gcw_series_intern(m->writer, m->labels.at, m->labels.n, &metadata, NULL, &err);
        if (!s->target_info)
            return refuse(m, err.code, err.text);
    }
    gcw_status status = sample_put(m, s->target_info, cmetrics_bits_of(1), ms);
    if (status == GCW_OK)
        s->told_ms = ms;
    return status;
}
