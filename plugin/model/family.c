/* What is known of metric families: type, help, unit, by owner and name. Remote write 2.0 sends it with every series,
 * 1.0 each once, again when it changes, and again after a while, as receivers forget (Mimir after 10 minutes,
 * VictoriaMetrics after an hour). Series of one family that contradict each other, or a text that is another one each
 * time, are no reason to send more often. A bound on families and on the bytes of their texts keeps the table small:
 * what is past it is sent in 1.0 only. */
#include <pthread.h>
#include <stdlib.h>

#include "model/model.h"

#define FAMILIES_MAX 65536
#define TEXT_MAX     (16 * MIB)
#define LOOK_AT      8192 /* slots at a time */
#define CHANGE_SHARE 5    /* of the interval: how soon a change may follow what was sent last */

struct families {
    pthread_mutex_t lock;
    size_t count, cap; /* cap: a power of two */
    size_t text_bytes, cursor;
    uint64_t again_ms;
    struct known {
        uint64_t name, content,
            sent;         /* hashes: of name and owner, 0 = empty slot; of what is known; of what was sent */
        uint64_t sent_ms; /* 0 = never */
        const void *owner;
        struct metric_family *family; /* NULL = its texts are not kept */
    } * slot;
    struct metric_family *replaced; /* the reader may hold on to them until it says otherwise */
};

struct families *families_new(uint64_t again_ms)
{
    struct families *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    pthread_mutex_init(&f->lock, NULL);
    f->again_ms = again_ms;
    return f;
}

static size_t family_bytes(const struct metric_family *m)
{
    return sizeof *m + m->name_len + m->help_len + m->unit_len;
}

/* With the table locked, or nobody else left. */
static void replaced_free(struct families *f)
{
    for (struct metric_family *at = f->replaced, *next; at; at = next) {
        next = at->next;
        f->text_bytes -= family_bytes(at);
        free(at);
    }
    f->replaced = NULL;
}

void families_free(struct families *f)
{
    if (!f)
        return;
    replaced_free(f);
    for (size_t i = 0; i < f->cap; i++)
        free(f->slot[i].family);
    free(f->slot);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static uint64_t name_hash(const void *owner, struct view name)
{
    return hash_bytes(name.p, name.n, (uint64_t)(uintptr_t)owner) | 1;
}

static struct known *slot_find(const struct known *slot, size_t cap, uint64_t name)
{
    size_t k = (size_t)name & (cap - 1);
    while (slot[k].name != 0 && slot[k].name != name)
        k = (k + 1) & (cap - 1);
    return (struct known *)(uintptr_t)&slot[k];
}

static bool families_grow(struct families *f)
{
    size_t cap = f->cap ? f->cap * 2 : 256;
    struct known *slot = calloc(cap, sizeof *slot);
    if (!slot)
        return false;
    for (size_t i = 0; i < f->cap; i++)
        if (f->slot[i].name)
            *slot_find(slot, cap, f->slot[i].name) = f->slot[i];
    free(f->slot);
    f->slot = slot;
    f->cap = cap;
    return true;
}

static struct metric_family *family_new(struct families *f, gcw_metric_type type, struct view name, struct view help,
                                        struct view unit)
{
    size_t n = sizeof(struct metric_family) + name.n + help.n + unit.n;
    struct metric_family *made = f->text_bytes + n <= TEXT_MAX ? malloc(n) : NULL;
    if (!made)
        return NULL;
    *made = (struct metric_family){
        .type = type, .name_len = (uint32_t)name.n, .help_len = (uint32_t)help.n, .unit_len = (uint32_t)unit.n};
    const struct view texts[] = {help, unit, name};
    char *p = made->text;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i].n)
            memcpy(p, texts[i].p, texts[i].n);
        p += texts[i].n;
    }
    f->text_bytes += n;
    return made;
}

static bool is_due(const struct families *f, const struct known *k, uint64_t now_ms)
{
    uint64_t wait = k->sent == k->content ? f->again_ms : f->again_ms / CHANGE_SHARE;
    return k->sent_ms == 0 || now_ms >= k->sent_ms + wait;
}

static void sent_now(struct known *k, uint64_t now_ms)
{
    k->sent = k->content;
    k->sent_ms = MAX(now_ms, UINT64_C(1));
}

bool families_update(struct families *f, const void *owner, gcw_metric_type type, struct view name, struct view help,
                     struct view unit, uint64_t now_ms)
{
    uint64_t key = name_hash(owner, name);
    uint64_t content = hash_bytes(unit.p, unit.n, hash_bytes(help.p, help.n, (uint64_t)type));
    bool due = false;
    pthread_mutex_lock(&f->lock);
    if (f->count * 4 < f->cap * 3 || families_grow(f)) {
        struct known *k = slot_find(f->slot, f->cap, key);
        if (k->name == 0 && f->count < FAMILIES_MAX) {
            *k = (struct known){.name = key, .content = ~content, .owner = owner};
            f->count++;
        }
        if (k->name && k->content != content) {
            if (k->family) {
                k->family->next = f->replaced;
                f->replaced = k->family;
            }
            k->family = family_new(f, type, name, help, unit);
            k->content = content;
        }
        due = k->name && is_due(f, k, now_ms);
        if (due)
            sent_now(k, now_ms);
    }
    pthread_mutex_unlock(&f->lock);
    return due;
}

void families_unsent(struct families *f, const void *owner, struct view name)
{
    pthread_mutex_lock(&f->lock);
    struct known *k = f->cap ? slot_find(f->slot, f->cap, name_hash(owner, name)) : NULL;
    if (k && k->name)
        k->sent_ms = 0;
    pthread_mutex_unlock(&f->lock);
}

bool families_due(struct families *f, uint64_t now_ms, struct buf *text, struct family_due *out)
{
    bool found = false;
    pthread_mutex_lock(&f->lock);
    for (size_t n = MIN(f->cap, (size_t)LOOK_AT); n > 0 && !found; n--) {
        struct known *k = &f->slot[f->cursor++ & (f->cap - 1)];
        const struct metric_family *m = k->family;
        text->n = 0;
        if (!m || !is_due(f, k, now_ms) || !buf_append(text, m->text, family_bytes(m) - sizeof *m))
            continue;
        const char *p = (const char *)text->p;
        *out = (struct family_due){k->owner, m->type, view_make(p + m->help_len + m->unit_len, m->name_len),
                                   view_make(p, m->help_len), view_make(p + m->help_len, m->unit_len)};
        sent_now(k, now_ms);
        found = true;
    }
    pthread_mutex_unlock(&f->lock);
    return found;
}

void families_let_go(struct families *f)
{
    pthread_mutex_lock(&f->lock);
    replaced_free(f);
    pthread_mutex_unlock(&f->lock);
}

/* With the table locked; NULL = not known, or its texts are not. */
static struct known *known_find(const struct families *f, const void *owner, struct view name)
{
    struct known *k = f->cap ? slot_find(f->slot, f->cap, name_hash(owner, name)) : NULL;
    return k && k->family ? k : NULL;
}

/* Which names beside its own the series of a family have (OpenMetrics 1.0, suffixes by type). */
static const struct {
    const char *suffix;
    unsigned types;
} suffixes[] = {
#define T(type) (1u << GCW_TYPE_##type)
    {"_total", T(COUNTER)},
    {"_bucket", T(HISTOGRAM) | T(GAUGEHISTOGRAM)},
    {"_count", T(HISTOGRAM) | T(SUMMARY)},
    {"_sum", T(HISTOGRAM) | T(SUMMARY)},
    {"_gcount", T(GAUGEHISTOGRAM)},
    {"_gsum", T(GAUGEHISTOGRAM)},
    {"_created", T(COUNTER) | T(HISTOGRAM) | T(SUMMARY)},
    {"_info", T(INFO)},
#undef T
};

struct view family_name_of(struct view metric, gcw_metric_type type)
{
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        size_t n = strlen(suffixes[i].suffix);
        if ((suffixes[i].types >> type & 1) && type != GCW_TYPE_COUNTER && metric.n > n &&
            memcmp(metric.p + metric.n - n, suffixes[i].suffix, n) == 0)
            return view_make(metric.p, metric.n - n);
    }
    return metric;
}

struct metric_family *families_find(struct families *f, const void *owner, struct view metric)
{
    pthread_mutex_lock(&f->lock);
    struct known *k = known_find(f, owner, metric);
    for (size_t i = 0; i < ARRAY_LEN(suffixes) && !k; i++) {
        size_t n = strlen(suffixes[i].suffix);
        if (metric.n <= n || memcmp(metric.p + metric.n - n, suffixes[i].suffix, n) != 0)
            continue;
        k = known_find(f, owner, view_make(metric.p, metric.n - n));
        if (k && !(suffixes[i].types >> k->family->type & 1))
            k = NULL;
    }
    struct metric_family *found = k ? k->family : NULL;
    pthread_mutex_unlock(&f->lock);
    return found;
}
