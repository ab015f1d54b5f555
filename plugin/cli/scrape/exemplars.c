/* Exemplars of a series, from scrape to scrape. */
#include "cli/scrape/scrape.h"

static uint64_t exemplar_hash(const gcw_exemplar *e)
{
    uint64_t h = hash_bytes(&e->value, sizeof e->value, e->label_count);
    for (size_t i = 0; i < e->label_count; i++) {
        h = hash_bytes(e->labels[i].name, e->labels[i].name_len, h);
        h = hash_bytes(e->labels[i].value, e->labels[i].value_len, h);
    }
    return h ? h : 1; /* 0: none was sent */
}

void exemplars_sift(struct scraped *series, struct exposition_sample *s, int64_t time_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->exemplar_count; i++) {
        const gcw_exemplar *e = &s->exemplars[i];
        const uint64_t hash = exemplar_hash(e);
        const bool timed = e->time_ms != EXPOSITION_NO_TIME;
        const int64_t ms = timed ? e->time_ms : time_ms;
        bool known = hash == series->exemplar && (!timed || ms == series->exemplar_ms);
        if (known || (series->exemplar && ms < series->exemplar_ms))
            continue;
        series->exemplar = hash;
        series->exemplar_ms = ms;
        s->exemplars[kept++] = *e;
    }
    s->exemplar_count = kept;
}
