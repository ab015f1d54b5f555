/* Reading a queue directory without a writer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/queue/queue_cmd.h"

struct listing {
    struct queue_dir *d;
    bool failed;
};

static void note(void *ctx, const char *name)
{
    struct listing *l = ctx;
    if (!segment_name_is(name) || l->failed)
        return;
    struct queue_file *grown = realloc(l->d->file, (l->d->count + 1) * sizeof *grown);
    if (!grown) {
        l->failed = true;
        return;
    }
    l->d->file = grown;
    memset(&grown[l->d->count], 0, sizeof *grown);
    snprintf(grown[l->d->count++].name, SEGMENT_NAME_MAX, "%s", name);
}

static bool add(void *ctx, const struct segment_record *r, uint64_t at)
{
    struct queue_file *f = ctx;
    if (at + r->size <= f->mark.end)
        return true;
    if (f->waiting.requests == 0) {
        f->oldest_unix_ms = r->sealed_unix_ms;
        f->first_time = r->first_time;
        f->last_time = r->last_time;
    }
    f->first_time = MIN(f->first_time, r->first_time);
    f->last_time = MAX(f->last_time, r->last_time);
    amount_add(&f->waiting, (struct amount){1, r->records, r->len});
    return true;
}

static void add_damage(void *ctx, const struct segment_record *r, uint64_t at, uint64_t bytes)
{
    (void)r, (void)at, (void)bytes;
    ((struct queue_file *)ctx)->damaged++;
}

int64_t queue_file_walk(const struct queue_dir *d, const struct queue_file *f, const struct segment_walk *w,
                        uint64_t *torn)
{
    int file = d->disk.open(d->disk.ctx, f->name, DISK_READ);
    if (file < 0)
        return file;
    int64_t end = segment_walk(&d->disk, file, SEGMENT_DATA, w, torn);
    d->disk.close(d->disk.ctx, file);
    return end;
}

static int64_t read_file(const struct queue_dir *d, struct queue_file *f)
{
    uint8_t block[SEGMENT_DATA];
    const struct segment_walk w = {f, true, add, add_damage};
    uint64_t torn;
    int file = d->disk.open(d->disk.ctx, f->name, DISK_READ);
    if (file < 0)
        return file;
    int64_t size = d->disk.size(d->disk.ctx, file), got = d->disk.read(d->disk.ctx, file, block, sizeof block, 0);
    d->disk.close(d->disk.ctx, file);
    if (size < 0 || got < 0)
        return size < 0 ? size : got;
    f->size = (uint64_t)size;
    f->state = segment_head_get(block, (size_t)got, &f->head, &f->version);
    segment_mark_get(block, (size_t)got, &f->mark);
    return f->state == SEGMENT_OK ? queue_file_walk(d, f, &w, &torn) : 0;
}

static int by_route(const void *a, const void *b)
{
    const struct queue_file *x = a, *y = b;
    int c = (int)x->head.id.signal - (int)y->head.id.signal;
    c = c ? c : strcmp(x->head.tenant, y->head.tenant);
    c = c ? c : (int)x->head.id.lanes - (int)y->head.id.lanes;
    c = c ? c : (int)x->head.id.lane - (int)y->head.id.lane;
    return c ? c : (x->head.number > y->head.number) - (x->head.number < y->head.number);
}

bool queue_dir_open(struct queue_dir *d, const char *command, const char *path, bool read_only)
{
    gcw_error err;
    *d = (struct queue_dir){0};
    struct listing l = {d, false};
    if (!disk_posix_open(path, read_only, &d->disk, &d->locked, &err)) {
        fprintf(stderr, "gcw %s: %s\n", command, err.text);
        return false;
    }
    int64_t rc = d->disk.list(d->disk.ctx, note, &l);
    for (size_t i = 0; i < d->count && rc >= 0; i++) {
        rc = read_file(d, &d->file[i]);
        rc = rc == -ENOENT ? 0 : rc; /* a writer at work has removed it */
    }
    if (rc < 0 || l.failed) {
        fprintf(stderr, "gcw %s: %s: %s\n", command, path, l.failed ? "out of memory" : errno_text((int)-rc));
        queue_dir_close(d);
        return false;
    }
    if (d->count > 0)
        qsort(d->file, d->count, sizeof *d->file, by_route);
    for (size_t i = 0; i < d->count; i++)
        d->file[i].head.id.tenant = d->file[i].head.tenant; /* qsort moved them */
    return true;
}

void queue_dir_close(struct queue_dir *d)
{
    free(d->file);
    disk_posix_close(&d->disk);
    *d = (struct queue_dir){0};
}

bool queue_file_is(const struct queue_file *f, const char *signal, const char *tenant)
{
    return f->state == SEGMENT_OK && (!signal || strcmp(signal, gcw_signal_name(f->head.id.signal)) == 0) &&
           (!tenant || strcmp(tenant, f->head.tenant) == 0);
}
