/* One append call through gcw.h, with a writer at work behind it.
 *
 *     bench_append --url BASE-URL [--series N] [--appends N] [--rounds N]
 *
 * Burst: threads append as fast as they can to series of their own, then the writer is flushed, outside the
 * measurement; one and four threads take turns. Counted is the CPU time of the appending threads, not the writer's own.
 * The median is over batches of 64 calls, less what reading the clock costs; the mean comes from rounds without clocks.
 * Paced: bursts that fit the writer's own pool of memory, as an application at work makes them; the calls of malloc
 * made within appends are counted in both. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "allocations.h"
#include "common.h"

#define BATCH       64
#define BOUNDS      10 /* of the classic histogram: a call is 13 samples */
#define THREADS     4
#define ROUNDS_MAX  32
#define LINE_BYTES  306
#define PACED       2000 /* appends between two flushes */
#define PACED_TIMES 60
#define PACED_WARM  10
#define CLOCK_TRIES 2001

/* ---- the appending threads ------------------------------------------------------------------------------------- */

struct bench {
    gcw_writer *writer;
    gcw_series **series;
    gcw_stream *stream;
    gcw_classic *classic;
    char line[LINE_BYTES];
    uint64_t count;
    double clock_ns; /* of one pair of readings */
};

enum call { CALL_SAMPLE, CALL_ENTRY, CALL_WRITE, CALL_CLASSIC };

struct worker {
    const struct bench *bench;
    pthread_t thread;
    pthread_barrier_t *start;
    enum call call;
    bool timed;            /* each batch, for the median */
    uint64_t first, count; /* of the series */
    uint64_t appends;
    uint64_t cpu_ns, allocations, switches;
    float *batch_ns;
    size_t batches;
};

static void refused(gcw_status status) { die("an append was refused: %s", gcw_strerror(status)); }

static inline void append_sample(const struct bench *b, uint64_t i, uint64_t k)
{
    gcw_status status = gcw_sample_append(b->series[i], (double)(k % 1000), (int64_t)(1700000000000 + k), NULL);
    if (status != GCW_OK)
        refused(status);
}

static void batch_of_samples(struct worker *w, uint64_t k)
{
    for (uint64_t end = k + BATCH, i = k % w->count; k < end; k++) {
        append_sample(w->bench, w->first + i, k);
        i = i + 1 == w->count ? 0 : i + 1;
    }
}

static void batch_of_entries(struct worker *w, uint64_t k)
{
    for (uint64_t end = k + BATCH; k < end; k++) {
        gcw_status status = gcw_entry_append(w->bench->stream, w->bench->line, LINE_BYTES,
                                             (int64_t)(1700000000000000000 + k), NULL, 0, NULL);
        if (status != GCW_OK)
            refused(status);
    }
}

static void batch_of_writes(struct worker *w, uint64_t k)
{
    struct series_text t;
    series_text(&t, k / BATCH % w->count); /* one label set a batch: formatting it must not count as ours */
    for (uint64_t end = k + BATCH; k < end; k++) {
        gcw_status status = gcw_sample_write(w->bench->writer, t.label, SERIES_LABELS, (double)(k % 1000),
                                             (int64_t)(1700000000000 + k), NULL, NULL);
        if (status != GCW_OK)
            refused(status);
    }
}

static void batch_of_classics(struct worker *w, uint64_t k)
{
    uint64_t counts[BOUNDS + 1];
    for (size_t i = 0; i <= BOUNDS; i++)
        counts[i] = k + i;
    for (uint64_t end = k + BATCH; k < end; k++) {
        const gcw_classic_point p = {
            .time_ms = (int64_t)(1700000000000 + k), .counts = counts, .bucket_count = BOUNDS + 1, .sum = (double)k};
        gcw_status status = gcw_classic_append(w->bench->classic, &p, NULL, NULL);
        if (status != GCW_OK)
            refused(status);
    }
}

static void *worker_main(void *arg)
{
    static void (*const batch_of[])(struct worker *, uint64_t) = {batch_of_samples, batch_of_entries, batch_of_writes,
                                                                  batch_of_classics};
    struct worker *w = arg;
    struct rusage before, after;
    pthread_barrier_wait(w->start);
    getrusage(RUSAGE_THREAD, &before);
    uint64_t start = thread_ns();
    allocations = 0;
    counting = true;
    for (uint64_t k = 0; k < w->appends; k += BATCH) {
        uint64_t t = w->timed ? thread_ns() : 0;
        batch_of[w->call](w, k);
        if (w->timed)
            w->batch_ns[w->batches++] = (float)(thread_ns() - t);
    }
    counting = false;
    w->cpu_ns = thread_ns() - start;
    getrusage(RUSAGE_THREAD, &after);
    w->allocations = allocations;
    w->switches = (uint64_t)(after.ru_nvcsw - before.ru_nvcsw);
    return NULL;
}

/* ---- rounds ---------------------------------------------------------------------------------------------------- */

struct result {
    double median_ns, p99_ns, cpu_ns, allocations, switches, whole_us;
};

static int by_value(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void flush(const struct bench *b)
{
    gcw_status status = gcw_writer_flush(b->writer, 120000);
    if (status != GCW_OK)
        die("the receiver did not take it: %s", gcw_strerror(status));
}

/* One round of `threads` threads, `appends` calls each; figures per append. */
static struct result round_of(const struct bench *b, enum call call, unsigned threads, uint64_t appends, bool timed)
{
    struct worker worker[THREADS];
    pthread_barrier_t start;
    float *batch_ns = malloc(threads * (appends / BATCH + 1) * sizeof *batch_ns);
    if (!batch_ns)
        die("out of memory");
    pthread_barrier_init(&start, NULL, threads);
    uint64_t process = process_ns();
    for (unsigned i = 0; i < threads; i++) {
        worker[i] = (struct worker){.bench = b,
                                    .start = &start,
                                    .call = call,
                                    .timed = timed,
                                    .first = b->count / threads * i,
                                    .count = b->count / threads,
                                    .appends = appends,
                                    .batch_ns = batch_ns + i * (appends / BATCH)};
        if (pthread_create(&worker[i].thread, NULL, worker_main, &worker[i]) != 0)
            die("a thread could not be started");
    }
    struct result r = {0};
    const double n = (double)(threads * appends);
    size_t batches = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(worker[i].thread, NULL);
        r.cpu_ns += (double)worker[i].cpu_ns / n;
        r.allocations += (double)worker[i].allocations / n;
        r.switches += (double)worker[i].switches / n;
        batches += worker[i].batches;
    }
    flush(b);
    r.whole_us = (double)(process_ns() - process) / n / 1e3;
    if (timed) {
        qsort(batch_ns, batches, sizeof *batch_ns, by_value);
        r.median_ns = ((double)batch_ns[batches / 2] - b->clock_ns) / BATCH;
        r.p99_ns = ((double)batch_ns[batches - batches / 100 - 1] - b->clock_ns) / BATCH;
    }
    free(batch_ns);
    pthread_barrier_destroy(&start);
    return r;
}

/* Each figure's least over the rounds. */
static void keep_least(struct result *best, const struct result *r, bool first)
{
    double *to = &best->median_ns;
    const double *from = &r->median_ns;
    for (size_t i = 0; i < sizeof *r / sizeof(double); i++)
        to[i] = first || from[i] < to[i] ? from[i] : to[i];
}

/* Calls of malloc within appends, once the writer has what it needs: the least and the most of the bursts. */
static void paced(const struct bench *b, uint64_t *total, uint64_t *calls)
{
    *total = *calls = 0;
    for (unsigned i = 0; i < PACED_TIMES; i++) {
        allocations = 0;
        counting = true;
        for (uint64_t k = 0; k < PACED; k++)
            append_sample(b, (i * PACED + k) % b->count, i * PACED + k);
        counting = false;
        flush(b);
        if (i >= PACED_WARM) {
            *total += allocations;
            *calls += PACED;
        }
    }
}

static double clock_cost(void)
{
    float pair[CLOCK_TRIES];
    for (size_t i = 0; i < CLOCK_TRIES; i++) {
        uint64_t t = thread_ns();
        pair[i] = (float)(thread_ns() - t);
    }
    qsort(pair, CLOCK_TRIES, sizeof *pair, by_value);
    return (double)pair[CLOCK_TRIES / 2];
}

/* ---- setting up ------------------------------------------------------------------------------------------------ */

static void bench_open(struct bench *b, const char *url, uint64_t series)
{
    static const char *const options[][2] = {{"memory_limit", "2GiB"},   {"metrics_batch_age", "1h"},
                                             {"logs_batch_age", "1h"},   {"logs_compression", "none"},
                                             {"max_series", "10000000"}, {"interned_memory", "16GiB"}};
    gcw_error err;
    gcw_config *c = gcw_config_new();
    char metrics_url[256];
    snprintf(metrics_url, sizeof metrics_url, "%s/api/v1/push", url);
    if (!c || gcw_config_set(c, "metrics_url", metrics_url, &err) != GCW_OK ||
        gcw_config_set(c, "logs_url", url, &err) != GCW_OK)
        die("--url: %s", err.text);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (gcw_config_set(c, options[i][0], options[i][1], &err) != GCW_OK)
            die("%s", err.text);
    if (!(b->writer = gcw_writer_open(c, NULL, &err)))
        die("%s", err.text);
    gcw_config_free(c);
    b->count = series;
    b->series = malloc(series * sizeof(gcw_series *));
    for (uint64_t i = 0; b->series && i < series; i++) {
        struct series_text t;
        series_text(&t, i);
        if (!(b->series[i] = gcw_series_intern(b->writer, t.label, SERIES_LABELS, NULL, NULL, &err)))
            die("%s", err.text);
    }
    const gcw_label job = GCW_LABEL("job", "bench");
    b->stream = gcw_stream_intern(b->writer, &job, 1, NULL, &err);
    const gcw_label name[] = {GCW_LABEL("__name__", "bench_seconds"), GCW_LABEL("job", "bench")};
    static const double bounds[BOUNDS] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5};
    b->classic = gcw_classic_intern(b->writer, name, 2, bounds, BOUNDS, NULL, NULL, &err);
    for (size_t i = 0; i < LINE_BYTES; i++)
        b->line[i] = i % 12 == 0 ? '"' : (char)('a' + i % 26);
    b->clock_ns = clock_cost();
    if (!b->series || !b->stream || !b->classic)
        die("out of memory");
}

static void print(const char *name, const struct result *r)
{
    printf("\"%s\":{\"median_ns\":%.2f,\"p99_ns\":%.2f,\"cpu_ns\":%.2f,\"allocations_per_million\":%.1f,"
           "\"waits_per_million\":%.1f,\"whole_us\":%.4f},",
           name, r->median_ns, r->p99_ns, r->cpu_ns, r->allocations * 1e6, r->switches * 1e6, r->whole_us);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        enum call call;
        unsigned threads, share; /* an append round's calls divided by it: logs are larger */
    } rows[] = {{"sample_1", CALL_SAMPLE, 1, 1},
                {"sample_4", CALL_SAMPLE, THREADS, 4},
                {"entry_1", CALL_ENTRY, 1, 8},
                {"write_1", CALL_WRITE, 1, 8},
                {"classic_1", CALL_CLASSIC, 1, 16}};
    enum { ROWS = sizeof rows / sizeof rows[0] };
    const char *url = arg_text(argc, argv, "--url", NULL);
    const uint64_t series = arg_number(argc, argv, "--series", 100000),
                   appends = arg_number(argc, argv, "--appends", 1 << 20),
                   rounds = arg_number(argc, argv, "--rounds", 3);
    struct bench b = {0};
    struct result best[ROWS];
    uint64_t allocated, calls;
    if (!url)
        die("bench_append --url URL [--series N] [--appends N] [--rounds N]");
    bench_open(&b, url, series);
    for (uint64_t k = 0; k < rounds; k++)
        for (size_t i = 0; i < ROWS; i++) {
            uint64_t n = (appends / rows[i].share + BATCH - 1) / BATCH * BATCH;
            struct result timed = round_of(&b, rows[i].call, rows[i].threads, n, true),
                          plain = round_of(&b, rows[i].call, rows[i].threads, n, false);
            plain.median_ns = timed.median_ns, plain.p99_ns = timed.p99_ns;
            keep_least(&best[i], &plain, k == 0);
        }
    paced(&b, &allocated, &calls);
    printf("{\"series\":%llu,\"clock_ns\":%.1f,", (unsigned long long)series, b.clock_ns);
    for (size_t i = 0; i < ROWS; i++)
        print(rows[i].name, &best[i]);
    printf("\"paced_allocations\":%llu,\"paced_appends\":%llu}\n", (unsigned long long)allocated,
           (unsigned long long)calls);
    gcw_writer_close(b.writer, 10000, NULL);
    free(b.series);
    return 0;
}
