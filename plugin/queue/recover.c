/* Finding what an earlier writer left: every file's head is read, full files tell their totals in a trailer, the
 * others are scanned and a torn end is cut. Requests are not read into memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "queue/store.h"

struct found {
    char name[SEGMENT_NAME_MAX];
    struct segment_head head;
    struct segment_mark mark;
    enum segment_head_state state;
    uint32_t version;
    uint64_t size;
};

struct seen {
    uint64_t boot, seq, at;
    struct amount amount;
};

/* The segment at hand. A write or sync that failed may have left behind records that were written again to the next
 * segment: where that one's first record is found here, this one ends. */
struct tail {
    struct fifo *fifo;
    struct segment *segment; /* not counted in yet; NULL = none */
    const char *name;
    uint64_t boot, last_seq; /* of its last record */
    struct seen *seen;       /* its records, if it was scanned */
    size_t count, cap;
};

struct recovery {
    struct queue *q;
    struct found *found;
    size_t count, cap;
    struct tail tail;
    bool out_of_memory;
};

static void note_file(void *ctx, const char *name)
{
    struct recovery *r = ctx;
    if (!segment_name_is(name) || r->out_of_memory)
        return;
    if (r->count == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 64;
        struct found *grown = realloc(r->found, cap * sizeof *grown);
        if (!grown) {
            r->out_of_memory = true;
            return;
        }
        r->found = grown;
        r->cap = cap;
    }
    memset(&r->found[r->count], 0, sizeof *r->found);
    snprintf(r->found[r->count++].name, SEGMENT_NAME_MAX, "%s", name);
}

static int head_read(const struct disk_ops *d, struct found *f)
{
    uint8_t block[SEGMENT_DATA];
    int file = d->open(d->ctx, f->name, DISK_READ);
    if (file < 0)
        return file;
    int64_t size = d->size(d->ctx, file);
    int64_t got = size < 0 ? size : d->read(d->ctx, file, block, sizeof block, 0);
    d->close(d->ctx, file);
    if (got < 0)
        return (int)got;
    f->size = (uint64_t)size;
    f->state = segment_head_get(block, (size_t)got, &f->head, &f->version);
    f->head.id.tenant = f->head.tenant;
    segment_mark_get(block, (size_t)got, &f->mark);
    return 0;
}

static int by_route_and_number(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    int d = (int)x->head.id.signal - (int)y->head.id.signal;
    d = d ? d : strcmp(x->head.tenant, y->head.tenant);
    d = d ? d : (int)x->head.id.lanes - (int)y->head.id.lanes;
    d = d ? d : (int)x->head.id.lane - (int)y->head.id.lane;
    return d ? d : (x->head.number > y->head.number) - (x->head.number < y->head.number);
}

/* ---- one file --------------------------------------------------------------------------------------------------- */

struct scan {
    struct recovery *r;
    struct queue *q;
    struct segment *s;
    const char *name;
    gcw_signal signal;
};

static bool see(struct tail *t, const struct segment_record *r, uint64_t at)
{
    if (t->count == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 256;
        struct seen *grown = realloc(t->seen, cap * sizeof *grown);
        if (!grown)
            return false;
        t->seen = grown;
        t->cap = cap;
    }
    t->boot = r->boot;
    t->last_seq = r->seq;
    t->seen[t->count++] = (struct seen){r->boot, r->seq, at, {1, r->records, r->len}};
    return true;
}

static bool scan_record(void *ctx, const struct segment_record *r, uint64_t at)
{
    struct scan *k = ctx;
    if (k->s->total.requests == 0)
        k->s->first_sealed_unix_ms = r->sealed_unix_ms;
    amount_add(&k->s->total, (struct amount){1, r->records, r->len});
    if (at + r->size <= k->s->mark.end)
        amount_add(&k->s->read, (struct amount){1, r->records, r->len});
    k->r->out_of_memory |= !see(&k->r->tail, r, at);
    return !k->r->out_of_memory;
}

static void scan_damage(void *ctx, const struct segment_record *r, uint64_t at, uint64_t bytes)
{
    struct scan *k = ctx;
    if (r) { /* its head is whole: it is counted, and ends as lost when its turn comes */
        scan_record(ctx, r, at);
        return;
    }
    k->q->damaged[k->signal]++;
    store_say(k->q, GCW_LOG_ERROR, "queue: %s is damaged at %llu: %llu bytes are passed over", k->name,
              (unsigned long long)at, (unsigned long long)bytes);
}

/* Totals by the trailer; false = there is none. */
static bool totals_by_trailer(const struct disk_ops *d, int file, uint64_t size, struct segment *s, struct tail *tail)
{
    uint8_t block[SEGMENT_TRAILER];
    struct segment_trailer t;
    if (size < SEGMENT_DATA + SEGMENT_TRAILER ||
        d->read(d->ctx, file, block, sizeof block, size - SEGMENT_TRAILER) != (int64_t)sizeof block ||
        !segment_trailer_get(block, sizeof block, &t))
        return false;
    s->total = t.total;
    s->first_sealed_unix_ms = t.first_sealed_unix_ms;
    s->end = size - SEGMENT_TRAILER;
    s->read = s->mark.ended;
    tail->boot = t.boot;
    tail->last_seq = t.last_seq;
    return true;
}

static int totals_by_scan(const struct scan *k, int file)
{
    const struct disk_ops *d = k->q->disk;
    const struct segment_walk w = {(void *)(uintptr_t)k, true, scan_record, scan_damage};
    uint64_t torn;
    int64_t end = segment_walk(d, file, SEGMENT_DATA, &w, &torn);
    if (end < 0)
        return (int)end;
    k->s->end = (uint64_t)end;
    k->s->mark.ended = k->s->read;
    if (k->r->out_of_memory)
        return -ENOMEM;
    if (torn > 0) {
        store_say(k->q, GCW_LOG_WARN, "queue: %s ends in %llu bytes of a write that was cut short", k->name,
                  (unsigned long long)torn);
        d->truncate(d->ctx, file, (uint64_t)end);
    }
    d->sync(d->ctx, file); /* what was cut off, now or before, must not come back when the power goes */
    return 0;
}

/* Adds a file at the end of its route's chain. What is damaged before the mark is not looked at. */
static int adopt(struct recovery *r, struct fifo *f, const struct found *file)
{
    struct queue *q = r->q;
    const struct disk_ops *d = q->disk;
    struct segment *s = calloc(1, sizeof *s);
    int handle = s ? d->open(d->ctx, file->name, DISK_WRITE) : -ENOMEM;
    if (handle == -EROFS || handle == -EACCES)
        handle = d->open(d->ctx, file->name, DISK_READ);
    if (handle < 0) {
        free(s);
        return handle;
    }
    s->number = file->head.number;
    s->order = ++q->order;
    s->mark = file->mark;
    s->closed = true;
    const struct scan k = {r, q, s, file->name, f->id.signal};
    r->tail.count = 0;
    r->tail.boot = r->tail.last_seq = 0;
    int rc = totals_by_trailer(d, handle, file->size, s, &r->tail) ? 0 : totals_by_scan(&k, handle);
    d->close(d->ctx, handle);
    if (rc < 0) {
        free(s);
        return rc;
    }
    s->synced_end = s->end;
    s->synced = s->total;
    s->file_bytes = MIN(file->size, s->end + SEGMENT_TRAILER);
    q->disk_bytes += s->file_bytes;
    if (f->last)
        f->last->next = s;
    else
        f->first = s;
    f->last = s;
    f->next_number = s->number + 1;
    r->tail.fifo = f;
    r->tail.segment = s;
    r->tail.name = file->name;
    return 0;
}

/* Counts what waits in a new segment; a file in which all has ended goes. */
static void count_in(struct queue *q, struct fifo *f, struct segment *s)
{
    struct amount rest = s->total;
    if (s->read.requests > rest.requests || s->read.records > rest.records || s->read.bytes > rest.bytes)
        s->read = s->mark.ended = (struct amount){0}; /* a mark that cannot be: all of it goes out again */
    amount_sub(&rest, s->read);
    if (rest.requests == 0) {
        store_remove(q, f, s);
        return;
    }
    amount_add(&f->disk, rest);
    amount_add(&q->waiting[f->id.signal], rest);
    amount_add(&q->recovered[f->id.signal], rest);
    if (!f->read) {
        f->read = s;
        f->read_at = MAX(s->mark.end, (uint64_t)SEGMENT_DATA);
    }
}

static bool see_only(void *ctx, const struct segment_record *r, uint64_t at)
{
    struct recovery *recovery = ctx;
    recovery->out_of_memory |= !see(&recovery->tail, r, at);
    return !recovery->out_of_memory;
}

/* A full segment was not scanned: that it holds copies is rare. */
static int see_all(struct recovery *r)
{
    const struct disk_ops *d = r->q->disk;
    const struct segment_walk w = {.ctx = r, .each = see_only};
    uint64_t torn;
    int handle = d->open(d->ctx, r->tail.name, DISK_READ);
    int64_t rc = handle < 0 ? handle : segment_walk(d, handle, SEGMENT_DATA, &w, &torn);
    if (handle >= 0)
        d->close(d->ctx, handle);
    return rc < 0 ? (int)rc : r->out_of_memory ? -ENOMEM : 0;
}

static bool first_record(void *ctx, const struct segment_record *r, uint64_t at)
{
    (void)at;
    *(struct segment_record *)ctx = *r;
    return false;
}

/* Cuts what the file's first record, and with it those behind, is a second copy of. */
static int cut_copies(struct recovery *r, const struct found *file)
{
    const struct disk_ops *d = r->q->disk;
    struct tail *t = &r->tail;
    struct segment *s = t->segment;
    struct segment_record first = {0};
    const struct segment_walk w = {.ctx = &first, .bodies = true, .each = first_record};
    uint64_t torn;
    int handle = d->open(d->ctx, file->name, DISK_READ);
    int64_t rc = handle < 0 ? handle : segment_walk(d, handle, SEGMENT_DATA, &w, &torn);
    if (handle >= 0)
        d->close(d->ctx, handle);
    if (rc < 0 || !first.size || t->boot != first.boot || t->last_seq < first.seq)
        return rc < 0 ? (int)rc : 0;
    rc = t->count == 0 ? see_all(r) : 0;
    for (size_t i = 0; i < t->count && rc >= 0; i++) {
        if (t->seen[i].boot != first.boot || t->seen[i].seq < first.seq)
            continue;
        if (t->seen[i].at < s->mark.end)
            continue; /* it has ended: then the copies are what is too much, and go out again at the worst */
        amount_sub(&s->total, t->seen[i].amount);
        if (t->seen[i].at < s->end)
            s->end = t->seen[i].at;
    }
    if (rc >= 0 && s->end < s->file_bytes) {
        store_cut(r->q, t->fifo, s);
        store_sync_segment(r->q, t->fifo, s);
    }
    return rc < 0 ? (int)rc : 0;
}

/* The segment at hand is settled: its successor, or that it has none, is known. */
static void tail_count_in(struct recovery *r)
{
    if (r->tail.segment)
        count_in(r->q, r->tail.fifo, r->tail.segment);
    r->tail.segment = NULL;
}

/* ---- all -------------------------------------------------------------------------------------------------------- */

static gcw_status refuse_versions(const struct recovery *r, gcw_error *err)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->found[i].state == SEGMENT_OTHER_VERSION)
            return error_set(err, GCW_ERR_UNSUPPORTED,
                             "queue_dir holds %s of format version %u; this is gcw " GCW_VERSION
                             " with version %u. Nothing was changed: send it with the gcw that wrote it, or give "
                             "another queue_dir",
                             r->found[i].name, r->found[i].version, SEGMENT_VERSION);
    return GCW_OK;
}

/* A file whose head is damaged: what is in it cannot be told to a route, and is left to a person. One that holds no
 * record was cut short when it was made, and goes. */
static void leave_damaged(struct recovery *r, const struct found *file)
{
    struct queue *q = r->q;
    struct segment_record first = {0};
    const struct segment_walk w = {.ctx = &first, .each = first_record};
    uint64_t torn;
    int handle = q->disk->open(q->disk->ctx, file->name, DISK_READ);
    int64_t rc = handle < 0 ? handle : segment_walk(q->disk, handle, SEGMENT_DATA, &w, &torn);
    if (handle >= 0)
        q->disk->close(q->disk->ctx, handle);
    if (rc >= 0 && !first.size && q->disk->remove(q->disk->ctx, file->name) == 0)
        return;
    store_say(q, GCW_LOG_ERROR, "queue: the head of %s is damaged; the file is left where it is", file->name);
    q->disk_bytes += file->size;
}

static gcw_status adopt_all(struct recovery *r, uint32_t (*route_of)(void *, const struct route_id *), void *ctx,
                            gcw_error *err)
{
    struct queue *q = r->q;
    for (size_t i = 0; i < r->count; i++) {
        const struct found *file = &r->found[i];
        if (file->state == SEGMENT_DAMAGED) {
            leave_damaged(r, file);
            continue;
        }
        uint32_t route = route_of(ctx, &file->head.id);
        if (route == UINT32_MAX) {
            q->disk_bytes += file->size;
            continue;
        }
        if (!queue_route(q, route, &file->head.id))
            return error_set(err, GCW_ERR_NOMEM, "out of memory");
        int rc = r->tail.segment && r->tail.fifo == q->fifo[route] ? cut_copies(r, file) : 0;
        tail_count_in(r);
        if (rc == 0)
            rc = adopt(r, q->fifo[route], file);
        if (rc < 0)
            return error_set(err, GCW_ERR_IO, "queue_dir: %s: %s", file->name, errno_text(-rc));
    }
    tail_count_in(r);
    store_keep_limit(q);
    return GCW_OK;
}

gcw_status queue_recover(struct queue *q, uint32_t (*route_of)(void *ctx, const struct route_id *id), void *ctx,
                         uint64_t now_ms, int64_t now_unix_ms, gcw_error *err)
{
    struct recovery r = {.q = q};
    gcw_status status = GCW_OK;
    q->unix_less_mono_ms = now_unix_ms - (int64_t)now_ms;
    if (!q->disk)
        return GCW_OK;
    int rc = q->disk->list(q->disk->ctx, note_file, &r);
    for (size_t i = 0; i < r.count && rc == 0; i++)
        rc = head_read(q->disk, &r.found[i]);
    if (r.out_of_memory)
        status = error_set(err, GCW_ERR_NOMEM, "out of memory");
    else if (rc < 0)
        status = error_set(err, GCW_ERR_IO, "queue_dir cannot be read: %s", errno_text(-rc));
    else
        status = refuse_versions(&r, err);
    if (status == GCW_OK && r.count > 0) {
        qsort(r.found, r.count, sizeof *r.found, by_route_and_number);
        for (size_t i = 0; i < r.count; i++)
            r.found[i].head.id.tenant = r.found[i].head.tenant; /* qsort moved them */
        status = adopt_all(&r, route_of, ctx, err);
    }
    free(r.found);
    free(r.tail.seen);
    return status;
}
