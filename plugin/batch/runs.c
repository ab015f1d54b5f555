/* Log entries on their way into a request: gathered by stream, in ascending order, as Loki checks each against the
 * newest before it; by option with times that differ. */
#include <stdlib.h>

#include "batch/runs.h"

/* What is kept of a stream between batches, as its payload. Only the encoder looks at it. */
struct stream_state {
    size_t run;               /* index + 1 while a batch is at hand */
    int64_t base_ns, last_ns; /* the newest entries: the time they came with, and the last one that was given out */
};

static struct stream_state *state_of(struct interned *stream)
{
    struct stream_state *s = stream->payload;
    if (!s && (s = malloc(sizeof *s))) {
        *s = (struct stream_state){0, INT64_MAX, INT64_MIN};
        stream->payload = s;
    }
    return s;
}

/* ---- gathering -------------------------------------------------------------------------------------------------- */

static struct run *run_of(struct runs *r, struct interned *stream)
{
    struct stream_state *s = state_of(stream);
    if (!s)
        return NULL;
    if (s->run > 0)
        return &r->run[s->run - 1];
    if (r->count == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 16;
        struct run *run = realloc(r->run, cap * sizeof *run);
        if (!run)
            return NULL;
        r->run = run;
        r->cap = cap;
    }
    r->run[r->count++] = (struct run){.stream = stream, .ascending = true};
    s->run = r->count;
    return &r->run[r->count - 1];
}

static bool gather(struct runs *r, const struct batch *batch)
{
    for (struct chunk *c = batch->first; c; c = c->next)
        for (uint32_t at = 0; at < c->used; at += chunk_record(c, at)->size) {
            if (chunk_record(c, at)->kind != RECORD_ENTRY)
                continue;
            struct record_entry *e = (struct record_entry *)(void *)(c->data + at);
            struct run *run = run_of(r, e->stream);
            if (!run)
                return false;
            e->next = NULL;
            if (run->last)
                run->last->next = e, run->ascending &= run->last->time_ns <= e->time_ns;
            else
                run->first = e;
            run->last = e;
            run->count++;
            run->bytes += e->line_len + e->metadata_len;
        }
    return true;
}

/* ---- order ------------------------------------------------------------------------------------------------------ */

/* Stable merge sort of src[0..n) by time, with scratch of the same length: equal times keep their order. */
static void sort_entries(struct record_entry **src, struct record_entry **scratch, size_t n)
{
    if (n < 2)
        return;
    size_t half = n / 2, a = 0, b = half, k = 0;
    sort_entries(src, scratch, half);
    sort_entries(src + half, scratch, n - half);
    while (a < half && b < n)
        scratch[k++] = src[b]->time_ns < src[a]->time_ns ? src[b++] : src[a++];
    while (a < half)
        scratch[k++] = src[a++];
    memcpy(src, scratch, k * sizeof(struct record_entry *)); /* what is left of the second half is in place */
}

static bool run_sort(struct runs *r, struct run *run)
{
    size_t n = run->count;
    if (r->order_cap < 2 * n) {
        struct record_entry **order = realloc(r->order, 2 * n * sizeof(struct record_entry *));
        if (!order)
            return false;
        r->order = order;
        r->order_cap = 2 * n;
    }
    size_t i = 0;
    for (struct record_entry *e = run->first; e; e = e->next)
        r->order[i++] = e;
    sort_entries(r->order, r->order + n, n);
    for (i = 0; i + 1 < n; i++)
        r->order[i]->next = r->order[i + 1];
    r->order[n - 1]->next = NULL;
    run->first = r->order[0];
    run->ascending = true;
    return true;
}

/* Entries that came with the same time get a nanosecond more each, in their order; so do those that meet the newest
 * ones of an earlier batch. */
static void run_unique(struct run *run)
{
    const struct stream_state *s = run->stream->payload;
    int64_t last = INT64_MIN;
    run->base_ns = s->base_ns, run->last_ns = s->last_ns;
    for (struct record_entry *e = run->first; e; e = e->next) {
        int64_t came = e->time_ns, time = came;
        if (time <= last && last < INT64_MAX)
            time = last + 1;
        if (time >= s->base_ns && time <= s->last_ns && s->last_ns < INT64_MAX)
            time = s->last_ns + 1;
        e->time_ns = last = time;
        if (time <= s->last_ns)
            continue; /* older than what the stream had: nothing to remember */
        if (time == came)
            run->base_ns = came;
        run->last_ns = time;
    }
}

/* ---- encoding --------------------------------------------------------------------------------------------------- */

static bool put_json(struct buf *out, const struct run *run, bool first)
{
    bool ok = (first || buf_append(out, ",", 1)) && loki_json_stream(out, interned_block(run->stream));
    for (const struct record_entry *e = run->first; e && ok; e = e->next)
        ok = (e == run->first || buf_append(out, ",", 1)) &&
             loki_json_entry(out, e->time_ns, view_make(e->text, e->line_len),
                             view_make(e->text + e->line_len, e->metadata_len));
    return ok && loki_json_stream_end(out);
}

static bool put_proto(struct buf *out, const struct run *run)
{
    size_t at;
    bool ok = loki_proto_stream(out, interned_block(run->stream), &at);
    for (const struct record_entry *e = run->first; e && ok; e = e->next)
        ok = loki_proto_entry(out, e->time_ns, view_make(e->text, e->line_len),
                              view_make(e->text + e->line_len, e->metadata_len));
    return ok && loki_proto_stream_end(out, at);
}

/* The entries in the order they are to be sent, with the times they are to have. */
static bool run_prepare(struct runs *r, struct run *run, struct tally *t)
{
    if (!run->ascending && !run_sort(r, run))
        return false;
    if (r->unique)
        run_unique(run);
    for (const struct record_entry *e = run->first; e; e = e->next)
        tally_time(t, e->time_ns);
    return true;
}

/* Loki answers a push by what became of its last stream: what it drops of others because of their rate, it does not
 * say. So the one that is most likely to meet its limit goes last. */
static void largest_last(struct runs *r)
{
    size_t largest = 0;
    for (size_t i = 1; i < r->count; i++)
        if (r->run[i].bytes >= r->run[largest].bytes)
            largest = i;
    if (r->count == 0 || largest == r->count - 1)
        return;
    struct run last = r->run[largest];
    memmove(&r->run[largest], &r->run[largest + 1], (r->count - largest - 1) * sizeof last);
    r->run[r->count - 1] = last;
}

bool runs_encode(struct runs *r, const struct batch *batch, enum protocol protocol, struct buf *out, struct tally *t)
{
    bool json = protocol == PROTOCOL_LOKI_JSON;
    r->count = 0;
    bool ok = gather(r, batch) && (!json || loki_json_begin(out));
    largest_last(r);
    for (size_t i = 0; i < r->count; i++) {
        ok = ok && run_prepare(r, &r->run[i], t) &&
             (json ? put_json(out, &r->run[i], i == 0) : put_proto(out, &r->run[i]));
        ((struct stream_state *)r->run[i].stream->payload)->run = 0;
    }
    return ok && (!json || loki_json_end(out));
}

void runs_commit(struct runs *r)
{
    for (size_t i = 0; i < r->count && r->unique; i++) {
        struct stream_state *s = r->run[i].stream->payload;
        s->base_ns = r->run[i].base_ns, s->last_ns = r->run[i].last_ns;
    }
    r->count = 0;
}

size_t runs_bytes(const struct runs *r) { return r->cap * sizeof *r->run + r->order_cap * sizeof(void *); }

void runs_free(struct runs *r)
{
    free(r->run);
    free(r->order);
    *r = (struct runs){0};
}
