/* A queue directory with one segment file, damaged in any way: opening it, reading back and closing never fail an
 * assertion, and what was found has ended in the end. Input: how the file is made, then what is changed in it;
 * checksums would stop a fuzzer that had to make one itself. */
#include <stdlib.h>

#include "queue/segment.h"

#define FILE_MAX (SEGMENT_DATA + 8 * 400 + SEGMENT_TRAILER)

static struct {
    uint8_t p[FILE_MAX + 8];
    size_t n;
} file;

/* Byte 0: records, mark, trailer; then a byte a record, its size. */
static size_t file_make(const uint8_t *data, size_t size)
{
    const struct segment_head h = {.number = 1, .id = {GCW_LOGS, 0, 1, "t"}};
    size_t used = 1, records = data[0] & 7;
    struct segment_trailer t = {.boot = 3};
    memset(&file, 0, sizeof file);
    segment_head_put(file.p, &h);
    file.n = SEGMENT_DATA;
    for (size_t i = 0; i < records && used < size; i++, used++) {
        struct segment_record r = {.boot = 3, .seq = i + 1, .records = 5, .len = data[used], .raw_len = data[used]};
        r.body_crc = crc32c(0, file.p + file.n + SEGMENT_RECORD_HEAD, r.len);
        segment_record_put(file.p + file.n, &r);
        file.n += segment_record_size(r.len);
        amount_add(&t.total, (struct amount){1, 5, r.len});
        const struct segment_mark m = {i + 1, file.n, t.total};
        if (i == 0 && (data[0] & 8))
            segment_mark_put(file.p + segment_mark_at(1), &m);
    }
    if (data[0] & 16) {
        segment_trailer_put(file.p + file.n, &t);
        file.n += SEGMENT_TRAILER;
    }
    return used;
}

/* Three bytes each: where, and what is flipped there; 0 cuts the file. */
static void file_damage(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i + 3 <= size; i += 3) {
        size_t at = ((size_t)data[i] << 8 | data[i + 1]) % FILE_MAX;
        file.p[at] ^= data[i + 2];
        if (data[i + 2] == 0)
            file.n = MIN(file.n, at);
    }
}

static int f_open(void *ctx, const char *name, enum disk_mode mode)
{
    return (void)ctx, (void)name, mode == DISK_CREATE ? -28 : 1;
}
static void f_close(void *ctx, int f) { (void)ctx, (void)f; }
static int64_t f_read(void *ctx, int f, void *p, size_t n, uint64_t at)
{
    (void)ctx, (void)f;
    n = at < file.n ? MIN(n, file.n - at) : 0;
    if (n)
        memcpy(p, file.p + at, n);
    return (int64_t)n;
}
static int64_t f_write(void *ctx, int f, const void *p, size_t n, uint64_t at)
{
    return (void)ctx, (void)f, (void)p, (void)at, (int64_t)n;
}
static int64_t f_size(void *ctx, int f) { return (void)ctx, (void)f, (int64_t)file.n; }
static int f_truncate(void *ctx, int f, uint64_t n) { return (void)ctx, (void)f, (void)n, 0; }
static int f_sync(void *ctx, int f) { return (void)ctx, (void)f, 0; }
static int f_sync_dir(void *ctx) { return (void)ctx, 0; }
static int f_remove(void *ctx, const char *name) { return (void)ctx, (void)name, 0; }
static int f_list(void *ctx, void (*each)(void *user, const char *name), void *user)
{
    (void)ctx;
    each(user, "a.seg");
    return 0;
}

static bool take(void *ctx, uint64_t bytes) { return (void)ctx, bytes < 100 * MIB; }
static void unload(void *ctx, struct sealed *s, uint64_t charge) { (void)ctx, (void)charge, sealed_free(s); }
static void durable(void *ctx, struct sealed *s) { (void)ctx, (void)s; }
static void lost(void *ctx, const struct queue_loss *loss, const struct receipt_share *shares, uint32_t n)
{
    (void)shares, (void)n;
    *(uint64_t *)ctx += loss->requests;
}
static void say(void *ctx, gcw_log_level level, const char *text) { (void)ctx, (void)level, (void)text; }
static uint32_t route_of(void *ctx, const struct route_id *id) { return (void)ctx, (void)id, 0; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t ended = 0;
    const struct disk_ops disk = {NULL,       f_open, f_close,    f_read,   f_write, f_size,
                                  f_truncate, f_sync, f_sync_dir, f_remove, f_list};
    const struct queue_config c = {.mode = QUEUE_SPILL, .disk_limit = MIB, .disk = &disk};
    const struct queue_ops ops = {&ended, take, unload, durable, lost, say};
    if (size == 0)
        return 0;
    size_t used = file_make(data, size);
    file_damage(data + used, size - used);
    struct queue *q = queue_new(&c, &ops);
    gcw_error err;
    const struct sealed *head;
    struct queue_gauges g, g2;
    if (!q)
        return 0;
    if (queue_recover(q, route_of, NULL, 1000, 2000, &err) == GCW_OK && queue_routes(q) > 0) {
        queue_gauges(q, GCW_METRICS, &g);
        queue_gauges(q, GCW_LOGS, &g2);
        while (queue_head(q, 0, &head) == QUEUE_READY) {
            sealed_free(queue_pop(q, 0));
            ended++;
        }
        ENSURE(ended == g.recovered_requests + g2.recovered_requests || queue_head(q, 0, &head) == QUEUE_BLOCKED);
    }
    queue_free(q);
    return 0;
}
