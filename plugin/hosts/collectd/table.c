/* Identifiers to series. A value list is found by the bytes of its five names, in one of a few shards; then a value
 * costs one append. Writers hold their shard's lock for reading, so they do not wait for each other; what adds or
 * removes entries holds it for writing, so that no series is released under an append.
 *
 * collectd says when an identifier has gone (the missing callback), but names it as its cache does: filter rules that
 * rename values on the way here break that. So an entry that was not written for a whole SWEEP_MS goes too. */
#include "hosts/collectd/host.h"

#define SHARDS   16
#define SLOTS    64 /* of a shard at first; doubled when full */
#define SWEEP_MS (60 * 60 * 1000)

struct entry {
    struct entry *next;
    uint64_t hash;
    size_t key_len, count;
    _Atomic bool written; /* since the last sweep */
    _Atomic cdtime_t last, interval;
    gcw_series **series; /* `count` of them, behind the struct; then the key */
    char *key;
};

struct shard {
    pthread_rwlock_t lock;
    struct entry **slot;
    size_t slots, count; /* slots is a power of two */
    uint64_t swept_ms;
    bool closed;
};

struct table {
    gcw_writer *writer;
    struct shard shard[SHARDS];
};

/* ---- keys -------------------------------------------------------------------------------------------------------- */

#define KEY_ROOM ((size_t)(5 * DATA_MAX_NAME_LEN))

static size_t key_pack(char *out, const value_list_t *vl)
{
    const char *const part[] = {vl->host, vl->plugin, vl->plugin_instance, vl->type, vl->type_instance};
    char *at = out;
    for (size_t i = 0; i < ARRAY_LEN(part); i++) {
        size_t n = strnlen(part[i], DATA_MAX_NAME_LEN - 1);
        memcpy(at, part[i], n);
        at[n] = 0;
        at += n + 1;
    }
    return (size_t)(at - out);
}

static struct shard *shard_of(struct table *t, uint64_t hash) { return &t->shard[hash >> 60]; }
static struct entry **slot_of(const struct shard *s, uint64_t hash) { return &s->slot[hash & (s->slots - 1)]; }

static struct entry **entry_find(const struct shard *s, uint64_t hash, const char *key, size_t key_len)
{
    struct entry **at = slot_of(s, hash);
    while (*at && ((*at)->hash != hash || (*at)->key_len != key_len || memcmp((*at)->key, key, key_len) != 0))
        at = &(*at)->next;
    return at;
}

/* ---- entries: the shard is locked for writing -------------------------------------------------------------------- */

static struct entry *entry_new(gcw_writer *w, uint64_t hash, const char *key, size_t key_len, const data_set_t *ds,
                               const value_list_t *vl, gcw_error *err)
{
    size_t count = vl->values_len;
    struct entry *e = calloc(1, sizeof *e + count * sizeof(gcw_series *) + key_len);
    if (!e)
        return NULL;
    e->hash = hash;
    e->key_len = key_len;
    e->count = count;
    e->series = (gcw_series **)(e + 1);
    e->key = memcpy((char *)(e->series + count), key, key_len);
    struct naming n;
    for (size_t i = 0; i < count; i++) {
        naming_fill(&n, ds, vl, i);
        e->series[i] = gcw_series_intern(w, n.labels, n.count, &n.metadata, NULL, err);
        if (!e->series[i]) {
            while (i > 0)
                gcw_series_release(e->series[--i]);
            free(e);
            return NULL;
        }
    }
    return e;
}

static void entry_remove(struct shard *s, struct entry **at)
{
    struct entry *e = *at;
    *at = e->next;
    s->count--;
    for (size_t i = 0; i < e->count; i++)
        gcw_series_release(e->series[i]);
    free(e);
}

static bool shard_grow(struct shard *s)
{
    size_t slots = s->slots ? s->slots * 2 : SLOTS;
    struct shard larger = {.slot = calloc(slots, sizeof(struct entry *)), .slots = slots};
    if (!larger.slot)
        return false;
    for (size_t i = 0; i < s->slots; i++)
        for (struct entry *e = s->slot[i], *next; e; e = next) {
            next = e->next;
            struct entry **at = slot_of(&larger, e->hash);
            e->next = *at;
            *at = e;
        }
    free(s->slot);
    s->slot = larger.slot;
    s->slots = slots;
    return true;
}

static void shard_sweep(struct shard *s)
{
    uint64_t now = clock_mono_ms();
    if (now - s->swept_ms < SWEEP_MS)
        return;
    s->swept_ms = now;
    for (size_t i = 0; i < s->slots; i++)
        for (struct entry **at = &s->slot[i]; *at;) {
            if (!atomic_exchange(&(*at)->written, false))
                entry_remove(s, at);
            else
                at = &(*at)->next;
        }
}

static gcw_status entry_add(struct table *t, uint64_t hash, const char *key, size_t key_len, const data_set_t *ds,
                            const value_list_t *vl, gcw_error *err)
{
    struct shard *s = shard_of(t, hash);
    gcw_status status = GCW_OK;
    pthread_rwlock_wrlock(&s->lock);
    if (s->closed) {
        status = GCW_ERR_CLOSED;
    } else if (s->count >= s->slots && !shard_grow(s)) {
        status = GCW_ERR_NOMEM;
    } else {
        shard_sweep(s);
        struct entry **at = entry_find(s, hash, key, key_len);
        if (*at && (*at)->count != vl->values_len)
            entry_remove(s, at); /* its type was defined anew */
        err->code = GCW_ERR_NOMEM;
        struct entry *e = *at ? NULL : entry_new(t->writer, hash, key, key_len, ds, vl, err);
        if (e) {
            at = slot_of(s, hash);
            e->next = *at;
            *at = e;
            s->count++;
        } else if (!*at) {
            status = err->code;
        }
    }
    pthread_rwlock_unlock(&s->lock);
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static double value_of(const value_t *v, int ds_type)
{
    switch (ds_type) {
    case DS_TYPE_GAUGE:
        return v->gauge;
    case DS_TYPE_COUNTER:
        return (double)v->counter;
    case DS_TYPE_ABSOLUTE:
        return (double)v->absolute;
    default:
        return (double)v->derive;
    }
}

static gcw_status values_append(struct entry *e, const data_set_t *ds, const value_list_t *vl)
{
    int64_t time_ms = (int64_t)CDTIME_T_TO_MS(vl->time);
    gcw_status status = GCW_OK;
    for (size_t i = 0; i < e->count; i++) {
        gcw_status s = gcw_sample_append(e->series[i], value_of(&vl->values[i], ds->ds[i].type), time_ms, NULL);
        status = status == GCW_OK ? s : status;
    }
    atomic_store_explicit(&e->last, vl->time, memory_order_relaxed);
    atomic_store_explicit(&e->interval, vl->interval, memory_order_relaxed);
    if (!atomic_load_explicit(&e->written, memory_order_relaxed))
        atomic_store_explicit(&e->written, true, memory_order_relaxed);
    return status;
}

gcw_status table_write(struct table *t, const data_set_t *ds, const value_list_t *vl, gcw_error *err)
{
    char key[KEY_ROOM];
    size_t key_len = key_pack(key, vl);
    uint64_t hash = hash_bytes(key, key_len, 0);
    struct shard *s = shard_of(t, hash);
    for (;;) {
        gcw_status status = GCW_ERR_CLOSED;
        bool found = false;
        pthread_rwlock_rdlock(&s->lock);
        if (!s->closed) {
            struct entry *e = *entry_find(s, hash, key, key_len);
            found = e && e->count == vl->values_len;
            status = found ? values_append(e, ds, vl) : GCW_OK;
        }
        pthread_rwlock_unlock(&s->lock);
        if (found || status != GCW_OK)
            return status;
        if ((status = entry_add(t, hash, key, key_len, ds, vl, err)) != GCW_OK)
            return status;
    }
}

/* The marker stands between the last value and the earliest next one. */
static void entry_end(struct entry *e)
{
    int64_t time_ms = (int64_t)CDTIME_T_TO_MS(atomic_load(&e->last) + atomic_load(&e->interval) / 2);
    for (size_t i = 0; i < e->count; i++)
        gcw_sample_append_bits(e->series[i], GCW_STALE_BITS, time_ms, NULL);
}

void table_forget(struct table *t, const value_list_t *vl)
{
    char key[KEY_ROOM];
    size_t key_len = key_pack(key, vl);
    uint64_t hash = hash_bytes(key, key_len, 0);
    struct shard *s = shard_of(t, hash);
    pthread_rwlock_wrlock(&s->lock);
    struct entry **at = entry_find(s, hash, key, key_len);
    if (!s->closed && *at) {
        entry_end(*at);
        entry_remove(s, at);
    }
    pthread_rwlock_unlock(&s->lock);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct table *table_new(gcw_writer *writer)
{
    struct table *t = calloc(1, sizeof *t);
    bool ok = t != NULL;
    for (size_t i = 0; ok && i < SHARDS; i++) {
        struct shard *s = &t->shard[i];
        ok = pthread_rwlock_init(&s->lock, NULL) == 0 && shard_grow(s);
        s->swept_ms = clock_mono_ms();
    }
    if (!ok && t) {
        for (size_t i = 0; i < SHARDS; i++)
            free(t->shard[i].slot);
        free(t);
        return NULL;
    }
    if (t)
        t->writer = writer;
    return t;
}

/* The table itself stays: a thread of some other plugin may still hold a value. */
void table_close(struct table *t)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &t->shard[i];
        pthread_rwlock_wrlock(&s->lock);
        s->closed = true;
        for (size_t k = 0; k < s->slots; k++)
            while (s->slot[k])
                entry_remove(s, &s->slot[k]);
        pthread_rwlock_unlock(&s->lock);
    }
}
