/* Metrics chunks through a writer into a receiver: what comes out at the wire, as text. */
#ifndef TEST_METRICS_RIG_H
#define TEST_METRICS_RIG_H

#include <fcntl.h>
#include <unistd.h>

#include "../../support/host.h"
#include "hosts/fluent-bit/metrics.h"
#include "pack_text.h"

struct rig {
    struct host h;
    struct metrics *m;
    struct buf warned;
    struct chunk_count count; /* of all feeds */
    char **lines;             /* after rig_end(): `labels value @time`, sorted */
    size_t line_count;
};

static inline void rig_warn(void *user, const char *text)
{
    struct rig *r = user;
    ENSURE(buf_puts(&r->warned, text) && buf_puts(&r->warned, "\n") && buf_cstr(&r->warned));
}

static inline void rig_open_with(struct rig *r, const struct metrics_options *o, const char *const *options)
{
    gcw_error err = {0};
    *r = (struct rig){0};
    host_open(&r->h, options);
    r->m = metrics_new(r->h.w, o ? o : &(struct metrics_options){0}, rig_warn, r, &err);
    if (!r->m)
        fail_msg("%s", err.text);
}
/* 1.0, where metadata names its family; in 2.0 it belongs to a series. */
static inline void rig_open(struct rig *r, const struct metrics_options *o)
{
    rig_open_with(r, o, (const char *const[]){"metrics_protocol", "1.0", NULL});
}

static inline void rig_feed_bytes(struct rig *r, const void *p, size_t n)
{
    struct chunk_count c;
    size_t done;
    assert_int_equal(metrics_chunk(r->m, p, n, "tag", NULL, &done, &c), GCW_OK);
    assert_int_equal(done, n);
    r->count.records += c.records;
    r->count.skipped += c.skipped;
    r->count.refused += c.refused;
}

/* Contexts as text, see pack_text.h. */
static inline void rig_feed(struct rig *r, const char *text)
{
    struct buf b = {0};
    pack_text(&b, text);
    rig_feed_bytes(r, b.p, b.n);
    buf_free(&b);
}

/* A context of one metric, as most tests want it. Times in seconds: the same number of ns. */
static inline void rig_feed_metric(struct rig *r, const char *meta, const char *values)
{
    struct buf text = {0};
    ENSURE(buf_printf(&text, "{'meta':{},'metrics':[{'meta':%s,'values':%s}]}", meta, values) && buf_cstr(&text));
    rig_feed(r, (const char *)text.p);
    buf_free(&text);
}

static inline void rig_take(void *user, const struct request *q, const struct taken *t)
{
    struct rig *r = user;
    struct buf b = {0};
    (void)q;
    ENSURE(buf_printf(&b, "%s %.17g @%lld", t->labels, t->value, (long long)t->time) && buf_cstr(&b));
    r->lines = realloc(r->lines, (r->line_count + 1) * sizeof(char *));
    ENSURE(r->lines);
    r->lines[r->line_count++] = (char *)b.p;
}

static inline int rig_by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Flushes, closes, and gathers what was taken. */
static inline void rig_end(struct rig *r)
{
    metrics_free(r->m);
    r->m = NULL;
    host_close(&r->h, WAIT_MS, GCW_OK, NULL);
    receiver_each(r->h.receiver, GCW_METRICS, rig_take, r);
    if (r->line_count)
        qsort(r->lines, r->line_count, sizeof(char *), rig_by_text);
}

static inline void rig_free(struct rig *r)
{
    for (size_t i = 0; i < r->line_count; i++)
        free(r->lines[i]);
    free(r->lines);
    buf_free(&r->warned);
    host_free(&r->h);
}

/* Ends the rig: these lines, sorted, and no other. `want` ends with NULL. */
static inline void rig_expect(struct rig *r, const char *const *want)
{
    size_t n = 0;
    rig_end(r);
    for (; want[n]; n++)
        if (n >= r->line_count || strcmp(want[n], r->lines[n]) != 0)
            fail_msg("line %zu: wanted\n  %s\ngot\n  %s", n, want[n], n < r->line_count ? r->lines[n] : "nothing");
    if (r->line_count > n)
        fail_msg("more than was wanted: %s", r->lines[n]);
    assert_int_equal(r->count.records, n);
    rig_free(r);
}
#define EXPECT(r, ...) rig_expect(r, (const char *const[]){__VA_ARGS__, NULL})

#endif
