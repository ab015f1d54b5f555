/* CMetrics contexts to samples in the writer's memory, as a scrape makes them: the same series each time.
 *
 *     bench_cmetrics [--series N] [--rounds N]
 *
 * A third of the series are counters with four labels, a third gauges with one, a third belong to histograms of ten
 * buckets; every fiftieth metric is another. Counted is the CPU time of the thread that hands chunks over: decoding,
 * finding the series, appending. The writer encodes and sends to a port where nobody listens, by policy dropping the
 * oldest. First is the round in which every series is new. */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "common.h"
#include "hosts/fluent-bit/metrics.h"

#define PER_METRIC 50 /* label sets */
#define BUCKETS    10
#define ROUNDS_MAX 200
#define START_NS   UINT64_C(1700000000000000123)

static void put(struct buf *b, const void *p, size_t n)
{
    if (!buf_append(b, p, n))
        die("out of memory");
}

static void put_number(struct buf *b, uint8_t first, uint64_t v, size_t bytes)
{
    uint8_t out[9] = {first};
    for (size_t i = 0; i < bytes; i++)
        out[1 + i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
    put(b, out, bytes + 1);
}

static void put_u64(struct buf *b, uint64_t v) { put_number(b, 0xcf, v, 8); }
static void put_map(struct buf *b, uint8_t n) { put_number(b, (uint8_t)(0x80 | n), 0, 0); }
static void put_array(struct buf *b, uint32_t n) { put_number(b, 0xdd, n, 4); }

static void put_double(struct buf *b, double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    put_number(b, 0xcb, bits, 8);
}

static void put_text(struct buf *b, const char *text)
{
    put_number(b, 0xd9, strlen(text), 1);
    put(b, text, strlen(text));
}

enum kind { COUNTERS, GAUGES, HISTOGRAMS, KINDS };
static const uint8_t types[KINDS] = {0, 1, 2}, labels[KINDS] = {4, 1, 2};

static void put_meta(struct buf *b, enum kind kind, uint64_t number)
{
    char name[64];
    snprintf(name, sizeof name, "metric_%llu_total", (unsigned long long)number);
    put_map(b, kind == HISTOGRAMS ? 5 : 4);
    put_text(b, "ver"), put_u64(b, 2);
    put_text(b, "type"), put_u64(b, types[kind]);
    put_text(b, "opts"), put_map(b, 5);
    put_text(b, "ns"), put_text(b, "bench");
    put_text(b, "ss"), put_text(b, "");
    put_text(b, "name"), put_text(b, name);
    put_text(b, "desc"), put_text(b, "What this metric counts, in about as many words as it takes.");
    put_text(b, "unit"), put_text(b, "");
    put_text(b, "labels"), put_array(b, labels[kind]);
    for (uint8_t i = 0; i < labels[kind]; i++)
        put_text(b, (const char *const[]){"instance", "method", "path", "code"}[i]);
    if (kind != HISTOGRAMS)
        return;
    put_text(b, "buckets"), put_array(b, BUCKETS);
    for (int i = 0; i < BUCKETS; i++)
        put_double(b, 0.005 * (1 << i));
}

static void put_histogram(struct buf *b, uint64_t round)
{
    put_text(b, "histogram"), put_map(b, 3);
    put_text(b, "buckets"), put_array(b, BUCKETS + 1);
    for (uint64_t i = 0; i <= BUCKETS; i++)
        put_u64(b, round + i * 10);
    put_text(b, "sum"), put_double(b, (double)round * 1.5);
    put_text(b, "count"), put_u64(b, round + BUCKETS * 10);
}

static void put_value(struct buf *b, enum kind kind, uint64_t number, uint64_t round)
{
    char text[4][48];
    snprintf(text[0], sizeof text[0], "10.0.%llu.%llu:9100", (unsigned long long)(number / 250),
             (unsigned long long)(number % 250));
    snprintf(text[1], sizeof text[1], "%s", number & 1 ? "GET" : "POST");
    snprintf(text[2], sizeof text[2], "/api/v1/things/%llu", (unsigned long long)(number % PER_METRIC));
    snprintf(text[3], sizeof text[3], "%s", number & 1 ? "200" : "500");
    put_map(b, 4);
    put_text(b, "ts"), put_u64(b, START_NS + round * 1000000000);
    if (kind == HISTOGRAMS)
        put_histogram(b, round);
    else
        put_text(b, "value"), put_double(b, (double)(round * 3 + number));
    put_text(b, "labels"), put_array(b, labels[kind]);
    for (uint8_t i = 0; i < labels[kind]; i++)
        put_text(b, text[i]);
    put_text(b, "hash"), put_u64(b, number * 0x9e3779b97f4a7c15);
}

/* One context; returns how many samples are in it. */
static uint64_t context_make(struct buf *b, uint64_t series, uint64_t round)
{
    static const uint64_t samples[KINDS] = {1, 1, BUCKETS + 3};
    uint64_t count[KINDS], all = 0;
    uint32_t metrics = 0;
    for (int k = 0; k < KINDS; k++) {
        count[k] = series / KINDS / samples[k];
        metrics += (uint32_t)((count[k] + PER_METRIC - 1) / PER_METRIC);
        all += count[k] * samples[k];
    }
    b->n = 0;
    put_map(b, 2);
    put_text(b, "meta"), put_map(b, 0);
    put_text(b, "metrics"), put_array(b, metrics);
    for (int k = 0; k < KINDS; k++)
        for (uint64_t i = 0; i < count[k]; i++) {
            if (i % PER_METRIC == 0) {
                put_map(b, 2);
                put_text(b, "meta"), put_meta(b, (enum kind)k, (uint64_t)k * 1000000 + i / PER_METRIC);
                put_text(b, "values");
                put_array(b, (uint32_t)(count[k] - i < PER_METRIC ? count[k] - i : PER_METRIC));
            }
            put_value(b, (enum kind)k, i, round);
        }
    return all;
}

static gcw_writer *writer_of(void)
{
    static const char *const options[][2] = {{"metrics_url", "http://127.0.0.1:9/push"},
                                             {"overflow", "drop_oldest"},
                                             {"retry_min", "1h"},
                                             {"retry_max", "1h"},
                                             {"log_level", "error"},
                                             {"memory_limit", "64MiB"}};
    gcw_error err;
    gcw_config *c = gcw_config_new();
    for (size_t i = 0; c && i < sizeof options / sizeof options[0]; i++)
        if (gcw_config_set(c, options[i][0], options[i][1], &err) != GCW_OK)
            die("%s", err.text);
    gcw_writer *w = gcw_writer_open(c, NULL, &err);
    gcw_config_free(c);
    if (!w)
        die("%s", err.text);
    return w;
}

static double round_ns(struct metrics *m, const struct buf *b, uint64_t samples)
{
    struct chunk_count count;
    size_t done;
    uint64_t start = thread_ns();
    gcw_status status = metrics_chunk(m, b->p, b->n, NULL, NULL, &done, &count);
    double ns = (double)(thread_ns() - start);
    if (status != GCW_OK || count.records != samples)
        die("%llu samples instead of %llu: %s", (unsigned long long)count.records, (unsigned long long)samples,
            gcw_strerror(status));
    return ns / (double)samples;
}

int main(int argc, char **argv)
{
    const uint64_t series = arg_number(argc, argv, "--series", 10000), rounds = arg_number(argc, argv, "--rounds", 30);
    double ns[ROUNDS_MAX], first = 0, sum = 0;
    struct buf b = {0};
    if (rounds > ROUNDS_MAX)
        die("--rounds: at most %d", ROUNDS_MAX);
    gcw_writer *w = writer_of();
    gcw_error err;
    uint64_t before = malloc_bytes(), samples = context_make(&b, series, 0);
    struct metrics *m = metrics_new(w, &(struct metrics_options){0}, NULL, NULL, &err);
    if (!m)
        die("%s", err.text);
    first = round_ns(m, &b, samples);
    uint64_t memory = malloc_bytes() - before - b.cap;
    for (uint64_t k = 0; k < rounds; k++) {
        samples = context_make(&b, series, k + 1);
        sum += ns[k] = round_ns(m, &b, samples);
    }
    printf("{\"samples\":%llu,\"chunk_bytes\":%zu,\"first_ns\":%.1f,\"mean_ns\":%.1f,\"least_ns\":%.1f,"
           "\"memory_per_series\":%.0f}\n",
           (unsigned long long)samples, b.n, first, sum / (double)rounds, least(ns, rounds),
           (double)memory / (double)samples);
    metrics_free(m);
    gcw_writer_close(w, 0, NULL);
    buf_free(&b);
    return 0;
}
