/* The segment files of a route: append, read back, mark what has ended, remove. A file is opened for each use: that is
 * cheap beside the sync, holds no descriptors, and a vanished directory is noticed at once. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "queue/store.h"

void store_say(struct queue *q, gcw_log_level level, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    q->ops.log(q->ops.ctx, level, text);
}

static int file_open(struct queue *q, const struct fifo *f, const struct segment *s, enum disk_mode mode)
{
    char name[SEGMENT_NAME_MAX];
    segment_name(name, &f->id, s->number);
    return q->disk->open(q->disk->ctx, name, mode);
}

struct segment *segment_find(const struct fifo *f, uint64_t number)
{
    struct segment *s = f->first;
    while (s && s->number != number)
        s = s->next;
    return s;
}

void segment_unlink(struct fifo *f, struct segment *s)
{
    struct segment **link = &f->first, *before = NULL;
    while (*link != s)
        before = *link, link = &(*link)->next;
    *link = s->next;
    if (f->last == s)
        f->last = before;
    if (f->read == s) {
        f->read = s->next;
        f->read_at = s->next ? MAX(s->next->mark.end, (uint64_t)SEGMENT_DATA) : 0;
    }
    free(s);
}

static void count_file(struct queue *q, struct segment *s, uint64_t bytes)
{
    q->disk_bytes += bytes - s->file_bytes;
    s->file_bytes = bytes;
}

void store_remove(struct queue *q, struct fifo *f, struct segment *s)
{
    char name[SEGMENT_NAME_MAX];
    segment_name(name, &f->id, s->number);
    q->disk->remove(q->disk->ctx, name); /* one that stays has its mark, and is removed at the next start */
    q->dir_dirty = true;
    count_file(q, s, 0);
    segment_unlink(f, s);
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

void store_close_tail(struct queue *q, struct fifo *f)
{
    struct segment *s = f->last;
    if (!s || s->closed)
        return;
    s->closed = true;
    if (s->total.requests == s->mark.ended.requests) {
        store_remove(q, f, s);
        return;
    }
    uint8_t block[SEGMENT_TRAILER];
    const struct segment_trailer t = {s->total, s->first_sealed_unix_ms, q->boot, s->last_seq};
    segment_trailer_put(block, &t);
    int file = file_open(q, f, s, DISK_WRITE);
    if (file < 0)
        return;
    if (q->disk->write(q->disk->ctx, file, block, sizeof block, s->end) == (int64_t)sizeof block) {
        count_file(q, s, s->end + sizeof block);
        s->dirty = true;
    }
    q->disk->close(q->disk->ctx, file);
}

/* A new tail, with nothing but its head. */
static int tail_new(struct queue *q, struct fifo *f)
{
    struct segment *s = calloc(1, sizeof *s);
    uint8_t head[SEGMENT_DATA];
    if (!s)
        return -ENOMEM;
    s->number = f->next_number++;
    s->order = ++q->order;
    s->end = SEGMENT_DATA;
    s->mark.end = SEGMENT_DATA;
    const struct segment_head h = {.number = s->number, .id = f->id};
    segment_head_put(head, &h);
    int file = file_open(q, f, s, DISK_CREATE);
    int64_t rc = file < 0 ? file : q->disk->write(q->disk->ctx, file, head, sizeof head, 0);
    if (file >= 0)
        q->disk->close(q->disk->ctx, file);
    if (rc < 0) {
        char name[SEGMENT_NAME_MAX];
        segment_name(name, &f->id, s->number);
        if (file >= 0)
            q->disk->remove(q->disk->ctx, name);
        free(s);
        return (int)rc;
    }
    s->dirty = true;
    q->dir_dirty = true;
    count_file(q, s, SEGMENT_DATA);
    if (f->last)
        f->last->next = s;
    else
        f->first = s;
    f->last = s;
    return 0;
}

static int make_space(struct queue *q, uint64_t bytes)
{
    while (q->disk_bytes + bytes > q->config.disk_limit && !PLANTED(ignore_limit))
        if (!q->config.drop_oldest || !evict_oldest_segment(q))
            return -EDQUOT;
    return 0;
}

void store_keep_limit(struct queue *q) { make_space(q, 0); }

/* A tail with room for `size` more. */
static int tail_for(struct queue *q, struct fifo *f, uint64_t size)
{
    if (f->last && !f->last->closed && f->last->total.requests > 0 &&
        f->last->end + size + SEGMENT_TRAILER > q->config.segment_bytes)
        store_close_tail(q, f);
    int rc = make_space(q, size + SEGMENT_DATA + SEGMENT_TRAILER);
    if (rc == 0 && (!f->last || f->last->closed))
        rc = tail_new(q, f);
    return rc;
}

/* After a failed write: what may be of it in the file is cut off, or left as the torn end that it is. */
static void tail_broken(struct queue *q, struct fifo *f, int file)
{
    struct segment *s = f->last;
    if (file >= 0)
        q->disk->truncate(q->disk->ctx, file, s->end);
    s->closed = true;
    if (s->total.requests == s->mark.ended.requests)
        store_remove(q, f, s);
}

static int write_record(struct queue *q, int file, const struct sealed *s, uint64_t at)
{
    uint8_t head[SEGMENT_RECORD_HEAD];
    const struct segment_record r = {
        .boot = q->boot,
        .seq = s->batch_seq,
        .first_time = s->first_time,
        .last_time = s->last_time,
        .sealed_unix_ms = s->sealed_unix_ms,
        .sealed_mono_ms = s->sealed_mono_ms,
        .records = s->records,
        .metadata = s->metadata,
        .exemplars = s->exemplars,
        .histograms = s->histograms,
        .raw_len = s->raw_len,
        .len = s->len,
        .body_crc = crc32c(0, s->body, s->len),
        .protocol = (uint8_t)s->protocol,
        .encoding = (uint8_t)s->encoding,
    };
    segment_record_put(head, &r);
    int64_t rc = q->disk->write(q->disk->ctx, file, head, sizeof head, at);
    if (rc >= 0)
        rc = q->disk->write(q->disk->ctx, file, s->body, s->len, at + sizeof head);
    return rc < 0 ? (int)rc : 0;
}

int store_append(struct queue *q, struct fifo *f, struct sealed *s)
{
    uint64_t size = segment_record_size(s->len);
    int rc = tail_for(q, f, size);
    if (rc < 0)
        return rc;
    struct segment *t = f->last;
    int file = file_open(q, f, t, DISK_WRITE);
    rc = file < 0 ? file : write_record(q, file, s, t->end);
    if (rc < 0)
        tail_broken(q, f, file);
    if (file >= 0)
        q->disk->close(q->disk->ctx, file);
    if (rc < 0)
        return rc;
    s->disk_segment = t->number;
    s->disk_at = t->end;
    s->disk_size = size;
    s->disk_synced = false;
    if (t->total.requests == 0)
        t->first_sealed_unix_ms = s->sealed_unix_ms;
    t->last_seq = s->batch_seq;
    t->end += size;
    amount_add(&t->total, amount_of(s));
    amount_add(&t->read, amount_of(s));
    t->dirty = true;
    count_file(q, t, t->end);
    return 0;
}

void store_cut(struct queue *q, const struct fifo *f, struct segment *s)
{
    int file = file_open(q, f, s, DISK_WRITE);
    if (file < 0)
        return;
    q->disk->truncate(q->disk->ctx, file, s->end);
    q->disk->close(q->disk->ctx, file);
    count_file(q, s, s->end);
}

int store_sync_segment(struct queue *q, const struct fifo *f, struct segment *s)
{
    int file = file_open(q, f, s, DISK_WRITE);
    if (file < 0)
        return file;
    q->syncs++;
    int rc = PLANTED(skip_sync) ? 0 : q->disk->sync(q->disk->ctx, file);
    q->disk->close(q->disk->ctx, file);
    if (rc < 0)
        return rc;
    s->dirty = s->mark_dirty = false;
    s->synced_end = s->end;
    s->synced = s->total;
    return 0;
}

/* ---- ends ------------------------------------------------------------------------------------------------------- */

void store_mark(struct queue *q, struct fifo *f, struct segment *s, uint64_t end, struct amount ended)
{
    if (PLANTED(skip_mark) && ended.requests < s->total.requests - s->mark.ended.requests) {
        amount_add(&s->mark.ended, ended);
        return;
    }
    s->mark.generation++;
    s->mark.end = end;
    amount_add(&s->mark.ended, ended);
    if (s->mark.ended.requests == s->total.requests && (s->closed || s->end > q->config.segment_bytes / 2)) {
        store_remove(q, f, s);
        return;
    }
    uint8_t block[SEGMENT_MARK];
    segment_mark_put(block, &s->mark);
    int file = file_open(q, f, s, DISK_WRITE);
    if (file < 0)
        return; /* at the worst what has ended goes out twice */
    q->disk->write(q->disk->ctx, file, block, sizeof block, segment_mark_at(s->mark.generation));
    q->disk->close(q->disk->ctx, file);
    s->mark_dirty = true;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static bool stop_at_first(void *ctx, const struct segment_record *r, uint64_t at)
{
    (void)r;
    *(uint64_t *)ctx = at;
    return false;
}

/* Where what is on disk only ends in this segment: what lies behind has a copy in RAM. */
static uint64_t read_end(const struct fifo *f, const struct segment *s)
{
    const struct sealed *behind = f->before_disk ? f->before_disk->next : f->head;
    return behind && behind->disk_segment == s->number ? behind->disk_at : s->end;
}

/* The head at the cursor, or the next whole one behind damage. 1 = *r and *at, 0 = none is left, or -errno. */
static int head_at(struct queue *q, const struct fifo *f, struct segment *s, int file, uint64_t *at,
                   struct segment_record *r)
{
    uint8_t head[SEGMENT_RECORD_HEAD];
    uint64_t found = 0, torn, end = read_end(f, s);
    if (*at >= end)
        return 0;
    int64_t got = q->disk->read(q->disk->ctx, file, head, sizeof head, *at);
    if (got < 0)
        return (int)got;
    if (segment_record_get(head, (size_t)got, r))
        return 1;
    const struct segment_walk w = {.ctx = &found, .each = stop_at_first};
    int64_t rc = segment_walk(q->disk, file, *at, &w, &torn);
    if (rc < 0 || found == 0 || found >= end)
        return rc < 0 ? (int)rc : 0;
    *at = found;
    got = q->disk->read(q->disk->ctx, file, head, sizeof head, *at);
    return got < 0 ? (int)got : segment_record_get(head, (size_t)got, r);
}

static struct sealed *sealed_from(const struct queue *q, const struct fifo *f, const struct segment_record *r)
{
    struct sealed *s = sealed_blank(r->len);
    if (!s)
        return NULL;
    bool ours = r->boot == q->boot;
    s->batch_seq = ours ? r->seq : 0;
    s->route = f->route;
    s->signal = f->id.signal;
    s->tenant = f->id.tenant;
    s->lane = f->id.lane;
    s->lanes = f->id.lanes;
    s->protocol = (enum protocol)r->protocol;
    s->encoding = (enum encoding)r->encoding;
    s->records = r->records;
    s->metadata = r->metadata;
    s->exemplars = r->exemplars;
    s->histograms = r->histograms;
    s->raw_len = r->raw_len;
    s->first_time = r->first_time;
    s->last_time = r->last_time;
    s->sealed_unix_ms = r->sealed_unix_ms;
    s->sealed_mono_ms = ours ? r->sealed_mono_ms : (uint64_t)(r->sealed_unix_ms - q->unix_less_mono_ms);
    s->charge = sizeof *s + r->len;
    s->disk_synced = true;
    return s;
}

/* Reads the record at `at` into a request. 0 with *out, 1 = damaged, or -errno. */
static int body_at(struct queue *q, const struct fifo *f, int file, uint64_t at, const struct segment_record *r,
                   struct sealed **out)
{
    uint64_t charge = sizeof **out + r->len;
    if (!q->ops.take(q->ops.ctx, charge) && !PLANTED(over_budget))
        return -ENOBUFS;
    struct sealed *s = sealed_from(q, f, r);
    int64_t got = s ? q->disk->read(q->disk->ctx, file, s->body, r->len, at + r->head) : -ENOMEM;
    bool whole = got == (int64_t)r->len && (PLANTED(skip_checksum) || crc32c(0, s->body, r->len) == r->body_crc) &&
                 r->protocol < PROTOCOLS && r->encoding < ENCODINGS;
    if (whole) {
        s->disk_at = at;
        s->disk_size = r->size;
        *out = s;
        return 0;
    }
    q->ops.unload(q->ops.ctx, s, charge);
    return got < 0 ? (int)got : 1;
}

/* The cursor goes on behind a record: it is not on disk only any more. */
static struct amount pass(struct fifo *f, struct segment *s, uint64_t at, const struct segment_record *r)
{
    const struct amount one = {1, r->records, r->len};
    amount_add(&s->read, one);
    amount_sub(&f->disk, one);
    f->read_at = at + r->size;
    return one;
}

static void say_damage(struct queue *q, const struct fifo *f, const struct segment *s, uint64_t at, char *why,
                       size_t cap)
{
    char name[SEGMENT_NAME_MAX];
    segment_name(name, &f->id, s->number);
    snprintf(why, cap, "damaged on disk: %s at %llu", name, (unsigned long long)at);
    q->damaged[f->id.signal]++;
}

/* A whole head with a damaged body costs that request alone. */
static void lose_record(struct queue *q, struct fifo *f, struct segment *s, uint64_t at, const struct segment_record *r)
{
    char why[256];
    struct promise *p = promise_take(f, s->number, at);
    say_damage(q, f, s, at, why, sizeof why);
    struct amount one = pass(f, s, at, r);
    loss_tell(q, f, one, true, p, why);
    promise_free(p);
    store_mark(q, f, s, at + r->size, one);
}

/* The segment at the cursor has no more records: what its count says beyond them had damaged heads. */
static void leave_segment(struct queue *q, struct fifo *f, struct segment *s)
{
    char why[256];
    struct segment *next = s->next;
    if (s->total.requests > s->read.requests) {
        say_damage(q, f, s, f->read_at, why, sizeof why);
        loss_segment_rest(q, f, s, true, why);
    }
    f->read = next;
    f->read_at = next ? MAX(next->mark.end, (uint64_t)SEGMENT_DATA) : 0;
    if (s->mark.ended.requests == s->total.requests && (s->closed || next))
        store_remove(q, f, s);
}

/* The cursor jumps over damage: what lay there is counted when the segment is left, less what of it had ended. */
static void skip_damage(struct queue *q, struct fifo *f, struct segment *s, uint64_t at)
{
    const struct amount ended = {0, fifo_turn(f), 0};
    amount_add(&s->read, ended);
    amount_sub(&f->disk, ended);
    amount_sub(&q->waiting[f->id.signal], ended);
    f->read_at = at;
}

/* One step of the cursor: 1 = go on with the next, 0 = *out, or -errno. */
static int load_step(struct queue *q, struct fifo *f, struct sealed **out)
{
    struct segment *s = f->read;
    struct segment_record r;
    uint64_t at = f->read_at;
    int file = file_open(q, f, s, DISK_READ);
    if (file == -ENOENT) {
        leave_segment(q, f, s); /* gone: lost, counted */
        return 1;
    }
    int rc = file < 0 ? file : head_at(q, f, s, file, &at, &r);
    if (rc > 0 && at != f->read_at)
        skip_damage(q, f, s, at);
    int damaged = rc > 0 ? body_at(q, f, file, at, &r, out) : 0;
    if (file >= 0)
        q->disk->close(q->disk->ctx, file);
    if (rc < 0 || damaged < 0)
        return rc < 0 ? rc : damaged;
    if (rc == 0)
        leave_segment(q, f, s);
    else if (damaged)
        lose_record(q, f, s, at, &r);
    else {
        (*out)->disk_segment = s->number;
        pass(f, s, at, &r);
        return 0;
    }
    return 1;
}

int store_load(struct queue *q, struct fifo *f, struct sealed **out)
{
    int rc = 1;
    *out = NULL;
    while (rc > 0 && f->disk.requests > 0 && f->read)
        rc = load_step(q, f, out);
    return rc < 0 ? rc : 0;
}
