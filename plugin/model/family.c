/* What is known of metric families: type, help, unit, by owner and name. Remote write 1.0 sends each once, and again
 * when it changes; 2.0 sends it with every series. A bound on families and on the bytes of their texts keeps the table
 * small: what is past it is sent in 1.0 only. */
#include <pthread.h>
#include <stdlib.h>

#include "model/model.h"

#define FAMILIES_MAX 65536
#define TEXT_MAX     (16 * MIB)

struct families {
    pthread_mutex_t lock;
    size_t count, cap; /* cap: a power of two */
    size_t text_bytes;
    struct known {
        uint64_t name, content;       /* hashes; name 0 = empty slot */
        struct metric_family *family; /* NULL = its texts are not kept */
    } * slot;
    struct metric_family *all; /* readers hold on to what has been replaced: freed at the end */
};

struct families *families_new(void)
{
    struct families *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    pthread_mutex_init(&f->lock, NULL);
    return f;
}

void families_free(struct families *f)
{
    if (!f)
        return;
    for (struct metric_family *at = f->all, *next; at; at = next) {
        next = at->next;
        free(at);
    }
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

static struct metric_family *family_new(struct families *f, gcw_metric_type type, struct view help, struct view unit)
{
    size_t n = sizeof(struct metric_family) + help.n + unit.n;
    struct metric_family *made = f->text_bytes + n <= TEXT_MAX ? malloc(n) : NULL;
    if (!made)
        return NULL;
    *made = (struct metric_family){
        .next = f->all, .type = type, .help_len = (uint32_t)help.n, .unit_len = (uint32_t)unit.n, .described = false};
    if (help.n)
        memcpy(made->text, help.p, help.n);
    if (unit.n)
        memcpy(made->text + help.n, unit.p, unit.n);
    f->all = made;
    f->text_bytes += n;
    return made;
}

bool families_update(struct families *f, const void *owner, gcw_metric_type type, struct view name, struct view help,
                     struct view unit)
{
    uint64_t key = name_hash(owner, name);
    uint64_t content = hash_bytes(unit.p, unit.n, hash_bytes(help.p, help.n, (uint64_t)type));
    bool fresh = false;
    pthread_mutex_lock(&f->lock);
    if (f->count * 4 < f->cap * 3 || families_grow(f)) {
        struct known *k = slot_find(f->slot, f->cap, key);
        fresh = k->name ? k->content != content : f->count < FAMILIES_MAX;
        f->count += fresh && !k->name;
        if (fresh)
            *k = (struct known){key, content, family_new(f, type, help, unit)};
    }
    pthread_mutex_unlock(&f->lock);
    return fresh;
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
