/* Records of Fluent Bit to entries: what one costs from the host's chunk to the writer's memory, line included.
 *
 *     bench_records --url BASE-URL [--records N] [--rounds N] [--row NAME]
 *
 * A chunk is built once and taken again and again by this thread, whose CPU time is counted; the writer's own threads,
 * which encode and send, are not. Between rounds the writer is flushed. */
#include <stdlib.h>
#include <string.h>

#include "allocations.h"
#include "base/base.h"
#include "common.h"
#include "hosts/fluent-bit/logs.h"

#define CHUNK_RECORDS 4000 /* about what the host hands over at a time */

/* ---- chunks ---------------------------------------------------------------------------------------------------- */

static void put(struct buf *b, const void *p, size_t n)
{
    if (!buf_append(b, p, n))
        die("out of memory");
}
static void put_byte(struct buf *b, unsigned c) { put(b, &(uint8_t){(uint8_t)c}, 1); }
static void put_text(struct buf *b, const char *text)
{
    size_t n = strlen(text);
    if (n < 32)
        put_byte(b, 0xa0 | (unsigned)n);
    else {
        put_byte(b, 0xda);
        put_byte(b, (unsigned)n >> 8);
        put_byte(b, (unsigned)n & 0xff);
    }
    put(b, text, n);
}
static void put_head(struct buf *b, uint64_t i)
{
    put(b, "\x92\x92\xd7\x00\x69\x00\x00\x00", 8);
    for (int shift = 24; shift >= 0; shift -= 8)
        put_byte(b, (unsigned)(i >> shift) & 0xff);
    put_byte(b, 0x80);
}

/* A request log of 12 keys, 306 bytes as JSON. */
static void put_record(struct buf *b, uint64_t i)
{
    static const char *const levels[] = {"info", "info", "warn", "error"};
    char id[40], pod[32];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)(i * 0x9e3779b97f4a7c15u));
    snprintf(pod, sizeof pod, "checkout-%04llu", (unsigned long long)(i % 16));
    put_head(b, i);
    put_byte(b, 0x8c);
    put_text(b, "time"), put_text(b, "2026-01-01T00:00:00.123456Z");
    put_text(b, "level"), put_text(b, levels[i % 4]);
    put_text(b, "msg"), put_text(b, "request done: \"POST /api/v1/cart/items HTTP/1.1\" by customer, one item added");
    put_text(b, "method"), put_text(b, "POST");
    put_text(b, "status"), put_byte(b, 0xcc), put_byte(b, 200);
    put_text(b, "bytes"), put_byte(b, 0xcd), put_byte(b, 0x12), put_byte(b, (unsigned)i & 0xff);
    put_text(b, "duration_us"), put_byte(b, 0xcd), put_byte(b, 0x2a), put_byte(b, (unsigned)i & 0xff);
    put_text(b, "trace"), put_text(b, id);
    put_text(b, "pod"), put_text(b, pod);
    put_text(b, "stream"), put_text(b, "stdout");
    put_text(b, "cached"), put_byte(b, 0xc2);
    put_text(b, "retries"), put_byte(b, (unsigned)i & 3);
}

/* A line as tail has it, 306 bytes in all once it is {"log":"..."}. */
static void put_line(struct buf *b, uint64_t i)
{
    char line[400];
    int n = snprintf(line, sizeof line,
                     "{\"ts\":\"2026-01-01T00:00:00.123456Z\",\"level\":\"info\",\"seq\":%llu,\"msg\":\"",
                     (unsigned long long)i);
    while (n < 272)
        line[n] = (char)('a' + n % 26), n++;
    memcpy(line + n, "\"}", 3);
    put_head(b, i);
    put_byte(b, 0x81);
    put_text(b, "log"), put_text(b, line);
}

/* ---- rounds ---------------------------------------------------------------------------------------------------- */

struct row {
    const char *name;
    void (*put)(struct buf *b, uint64_t i);
    struct logs_options options;
};

static const struct row rows[] = {
    {"fields", put_record, {.labels = "job=bench"}},
    {"line", put_line, {.labels = "job=bench"}},
    {"line_raw", put_line, {.labels = "job=bench", .drop_single_key = "raw"}},
    {"labels_of_record", put_record, {.labels = "job=bench, level=$level, pod=$pod"}},
    {"metadata_of_record", put_record, {.labels = "job=bench, level=$level", .structured_metadata = "trace=$trace"}},
    {"key_value", put_record, {.labels = "job=bench", .line_format = "key_value"}},
};

static gcw_writer *writer_open(const char *url)
{
    static const char *const options[][2] = {
        {"memory_limit", "2GiB"}, {"logs_batch_age", "1h"}, {"logs_compression", "none"}};
    gcw_error err;
    gcw_config *c = gcw_config_new();
    if (!c || gcw_config_set(c, "logs_url", url, &err) != GCW_OK)
        die("--url: %s", c ? err.text : "out of memory");
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (gcw_config_set(c, options[i][0], options[i][1], &err) != GCW_OK)
            die("%s", err.text);
    gcw_writer *w = gcw_writer_open(c, NULL, &err);
    if (!w)
        die("%s", err.text);
    gcw_config_free(c);
    return w;
}

static double round_ns(struct logs *l, const struct buf *chunk, uint64_t chunks)
{
    uint64_t start = thread_ns();
    allocations = 0;
    counting = true;
    for (uint64_t i = 0; i < chunks; i++) {
        struct chunk_count count = {0};
        size_t done = 0;
        if (logs_chunk(l, chunk->p, chunk->n, "kube.var.log", NULL, &done, &count) != GCW_OK ||
            count.records != CHUNK_RECORDS)
            die("a record was not taken");
    }
    counting = false;
    return (double)(thread_ns() - start) / (double)(chunks * CHUNK_RECORDS);
}

int main(int argc, char **argv)
{
    const char *url = arg_text(argc, argv, "--url", NULL), *row = arg_text(argc, argv, "--row", NULL);
    const uint64_t chunks = arg_number(argc, argv, "--records", 200000) / CHUNK_RECORDS + 1,
                   rounds = arg_number(argc, argv, "--rounds", 5);
    if (!url)
        die("bench_records --url URL [--records N] [--rounds N] [--row NAME]");
    gcw_writer *w = writer_open(url);
    unsigned printed = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (row && strcmp(row, rows[i].name) != 0)
            continue;
        struct buf chunk = {0};
        gcw_error err;
        struct logs *l = logs_new(w, &rows[i].options, NULL, NULL, &err);
        if (!l)
            die("%s", err.text);
        for (uint64_t k = 0; k < CHUNK_RECORDS; k++)
            rows[i].put(&chunk, k);
        double best = 0;
        uint64_t calls = 0;
        for (uint64_t k = 0; k < rounds; k++) {
            double ns = round_ns(l, &chunk, chunks);
            if (k == 0 || ns < best)
                best = ns, calls = allocations;
            if (gcw_writer_flush(w, 120000) != GCW_OK)
                die("the receiver did not take it");
        }
        printf("%s\"%s\":{\"ns\":%.1f,\"allocations_per_million\":%.1f}", printed++ ? "," : "{", rows[i].name, best,
               (double)calls * 1e6 / (double)(chunks * CHUNK_RECORDS));
        logs_free(l);
        buf_free(&chunk);
    }
    printf("}\n");
    gcw_writer_close(w, 10000, NULL);
    return 0;
}
