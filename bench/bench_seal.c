/* Interned series to sealed requests, without threads or network, beside libsnappy alone on the same bytes.
 *
 *     bench_seal [--series N] [--samples N] [--rounds N] [--batch-bytes N] [--batch-records N] [--labels N]
 *                [--shuffled] [--protocol 1|2] [--symbols] [--set own|pods|target]
 *
 * --labels counts the metric name; above the text bench's 11 there are more of the same length.
 *
 * --symbols keeps series for 2.0 though it is 1.0 that is sealed. The set of series: each with an instance and a pod of
 * its `own`, one instance with `pods`, or one `target`'s histograms.
 *
 * Interns the series, then appends one sample to each, time after
 * time, and seals each batch as it closes. Behind every request, outside that measurement, its body is unpacked and
 * compressed again by snappy alone, in its own clock: both meet the same machine at the same moment, and the same bytes
 * in pieces of the same size. */
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>

#include "batch/batch.h"
#include "common.h"

#define ROUNDS_MAX 32
#define LABELS_MAX 30
#define POD        8    /* the label that makes a series one of its own; the name is the first */
#define STEP       2048 /* appends between two looks for a closed batch: what the look costs vanishes in them */

struct bench {
    struct guard *guard;
    struct intern_table *table;
    struct batcher *batcher;
    struct destination *destination;
    struct sealer *sealer;
    struct interned **series;
    uint64_t count, labels;
    enum protocol protocol;
    bool symbols; /* series are kept as such: where 2.0 is spoken, or hoped for */
    void (*text)(struct series_text *t, uint64_t number);
    struct buf raw, packed;
    uint64_t memory;
};

/* Of one round. */
struct cost {
    uint64_t append_ns, seal_ns, snappy_ns;
    uint64_t samples, requests, bytes_raw, bytes_packed;
};

struct footprint {
    double intern_us, text, block, malloc_bytes, rss_bytes, counted_bytes;
    double sealed_bytes, sealed_rss; /* when all have been sealed: the encoder's buffers as well */
};

static bool take(void *ctx, uint64_t n, bool force)
{
    (void)force;
    ((struct bench *)ctx)->memory += n;
    return true;
}
static void give(void *ctx, uint64_t n) { ((struct bench *)ctx)->memory -= n; }

static void bench_open(struct bench *b, uint64_t series, struct batch_limits limits)
{
    const struct batcher_config c = {{limits, limits}, {1, 1}, 1};
    const struct batcher_ops ops = {b, take, give};
    struct seal_config sc = {.logs = SEAL_PLAIN, .compression_level = 1};
    b->count = series;
    b->guard = guard_new(series, UINT64_MAX);
    b->table = b->guard ? intern_table_new(b->guard, 7, destination_assign) : NULL;
    b->batcher = batcher_new(&c, &ops);
    b->destination = b->batcher ? batcher_destination(b->batcher, GCW_METRICS, "") : NULL;
    if (b->table && b->symbols && !(sc.symbols = intern_table_symbols(b->table)))
        die("out of memory");
    b->sealer = sealer_new(&sc);
    b->series = malloc(series * sizeof(struct interned *));
    if (!b->table || !b->destination || !b->sealer || !b->series)
        die("out of memory");
    memset(b->series, 0, series * sizeof(struct interned *)); /* the host's array must not count as ours */
}

static void bench_close(struct bench *b)
{
    batcher_free(b->batcher);
    sealer_free(b->sealer);
    intern_table_free(b->table);
    guard_free(b->guard);
    buf_free(&b->raw);
    buf_free(&b->packed);
    free(b->series);
}

/* Of a series' labels the metric name, the one that tells it from others, and as many of the rest as are wanted. */
static void labels_pick(const struct series_text *t, gcw_label *out, uint64_t wanted)
{
    static const char names[LABELS_MAX - SERIES_LABELS][16] = {
        "zz_label_01", "zz_label_02", "zz_label_03", "zz_label_04", "zz_label_05", "zz_label_06", "zz_label_07",
        "zz_label_08", "zz_label_09", "zz_label_10", "zz_label_11", "zz_label_12", "zz_label_13", "zz_label_14",
        "zz_label_15", "zz_label_16", "zz_label_17", "zz_label_18", "zz_label_19"};
    uint64_t n = 0, rest = wanted - 2;
    for (unsigned i = 0; i < SERIES_LABELS; i++) {
        bool fixed = i == 0 || i == POD;
        if (fixed || rest > 0)
            out[n++] = t->label[i];
        rest -= !fixed && rest > 0;
    }
    for (unsigned i = 0; n < wanted; i++)
        out[n++] = (gcw_label){names[i], strlen(names[i]), t->path, strlen(t->path)};
}

static struct footprint bench_intern(struct bench *b)
{
    const struct label_rules rules = {GCW_METRICS, LABELS_SANITISE, 1024, 2048, LABELS_MAX, NULL, 0};
    gcw_label labels[LABELS_MAX];
    struct label_scratch scratch = {0};
    uint64_t malloc_before = malloc_bytes(), rss_before = rss_bytes(), blocks = 0, texts = 0, spent = 0;
    for (uint64_t i = 0; i < b->count; i++) {
        struct series_text t;
        gcw_status status;
        bool changed;
        b->text(&t, i);
        labels_pick(&t, labels, b->labels);
        uint64_t start = i % 16 ? 0 : process_ns(); /* each 16th: reading the clock costs as much as interning */
        if (labels_block(&rules, labels, b->labels, &scratch, &changed, NULL) != GCW_OK ||
            !(b->series[i] = intern_acquire(b->table, b->destination, buf_view(&scratch.block), &status)))
            die("series %llu could not be interned", (unsigned long long)i);
        spent += start ? process_ns() - start : 0;
        blocks += b->series[i]->block_len;
        for (uint64_t k = 0; k < b->labels; k++)
            texts += labels[k].name_len + labels[k].value_len;
    }
    label_scratch_free(&scratch);
    const double n = (double)b->count;
    return (struct footprint){
        .intern_us = (double)spent / 1e3 / ((n + 15) / 16),
        .text = (double)texts / n,
        .block = (double)blocks / n,
        .malloc_bytes = (double)(malloc_bytes() - malloc_before) / n,
        .rss_bytes = (double)(rss_bytes() - rss_before) / n,
        .counted_bytes = (double)guard_bytes(b->guard) / n,
    };
}

/* Fisher and Yates; the same order in every run. */
static void shuffle(struct interned **v, uint64_t n)
{
    uint64_t state = 1;
    for (uint64_t i = n - 1; i > 0; i--) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint64_t j = (state >> 33) % (i + 1);
        struct interned *t = v[i];
        v[i] = v[j];
        v[j] = t;
    }
}

/* The request's bytes before compression, through libsnappy alone. */
static void snappy_alone(struct bench *b, const struct sealed *s, struct cost *cost)
{
    size_t n = s->raw_len, packed = snappy_max_compressed_length(n);
    b->raw.n = b->packed.n = 0;
    if (!buf_reserve(&b->raw, n) || !buf_reserve(&b->packed, packed) ||
        snappy_uncompress((const char *)s->body, s->len, (char *)b->raw.p, &n) != SNAPPY_OK || n != s->raw_len)
        die("a sealed request is not %u bytes of snappy", s->raw_len);
    uint64_t start = process_ns();
    snappy_compress((const char *)b->raw.p, n, (char *)b->packed.p, &packed);
    cost->snappy_ns += process_ns() - start;
    if (s->len > packed + packed / 20)
        die("libsnappy came to %zu bytes, the request to %u", packed, s->len);
}

static void seal_ready(struct bench *b, struct cost *cost)
{
    for (;;) {
        struct sealed *s;
        uint64_t start = process_ns();
        struct batch *batch = batcher_next(b->batcher, 0);
        if (batch && !sealer_seal(b->sealer, batch, b->protocol, &s))
            die("out of memory");
        if (batch)
            batch_free(b->batcher, batch);
        cost->seal_ns += process_ns() - start;
        if (!batch)
            return;
        cost->requests++;
        cost->samples += s->records;
        cost->bytes_raw += s->raw_len;
        cost->bytes_packed += s->len;
        snappy_alone(b, s, cost);
        sealed_free(s);
    }
}

static struct cost round_of(struct bench *b, uint64_t samples)
{
    static int64_t time_ms = INT64_C(1700000000000);
    struct cost cost = {0};
    for (uint64_t done = 0; done < samples;) {
        uint64_t start = process_ns(), end = MIN(done + STEP, samples);
        for (; done < end; done++) {
            uint64_t i = done % b->count, bits;
            double value = (double)((i * 7 + (uint64_t)time_ms / 15000) % 1000);
            time_ms += i == 0 ? 15000 : 0;
            memcpy(&bits, &value, sizeof bits);
            if (batch_sample(b->destination, b->series[i], bits, time_ms, NULL) != GCW_OK)
                die("a sample was refused");
        }
        cost.append_ns += process_ns() - start;
        seal_ready(b, &cost);
    }
    batcher_close_all(b->batcher);
    seal_ready(b, &cost);
    if (cost.samples != samples)
        die("%llu samples went in, %llu came out", (unsigned long long)samples, (unsigned long long)cost.samples);
    return cost;
}

static void print(const struct bench *b, const struct footprint *f, const struct cost *cost, uint64_t rounds)
{
    double append[ROUNDS_MAX], total[ROUNDS_MAX], snappy[ROUNDS_MAX], ratio[ROUNDS_MAX];
    for (uint64_t i = 0; i < rounds; i++) {
        const double n = (double)cost[i].samples * 1e3;
        append[i] = (double)cost[i].append_ns / n;
        total[i] = (double)(cost[i].append_ns + cost[i].seal_ns) / n;
        snappy[i] = (double)cost[i].snappy_ns / n;
        ratio[i] = total[i] / snappy[i];
    }
    printf("{\"protocol\":\"%s\",\"series\":%llu,\"labels\":%llu,\"samples\":%llu,\"requests\":%llu,\"bytes_raw\":%llu,"
           "\"bytes_packed\":%llu,",
           protocol_version(b->protocol), (unsigned long long)b->count, (unsigned long long)b->labels,
           (unsigned long long)cost->samples, (unsigned long long)cost->requests, (unsigned long long)cost->bytes_raw,
           (unsigned long long)cost->bytes_packed);
    printf("\"intern_us\":%.4f,\"text_bytes\":%.1f,\"block_bytes\":%.1f,\"malloc_per_series\":%.1f,"
           "\"rss_per_series\":%.1f,\"counted_per_series\":%.1f,\"malloc_per_series_sealed\":%.1f,"
           "\"rss_per_series_sealed\":%.1f,",
           f->intern_us, f->text, f->block, f->malloc_bytes, f->rss_bytes, f->counted_bytes, f->sealed_bytes,
           f->sealed_rss);
    json_array("append_us", append, rounds);
    printf(",");
    json_array("total_us", total, rounds);
    printf(",");
    json_array("snappy_us", snappy, rounds);
    printf(",");
    json_array("ratio", ratio, rounds);
    printf(",\"least_append_us\":%.4f,\"least_total_us\":%.4f,\"least_snappy_us\":%.4f,\"least_ratio\":%.4f}\n",
           least(append, rounds), least(total, rounds), least(snappy, rounds), least(ratio, rounds));
}

static void (*set_of(const char *name))(struct series_text *, uint64_t)
{
    static const struct {
        const char *name;
        void (*text)(struct series_text *t, uint64_t number);
    } sets[] = {{"own", series_text}, {"pods", series_of_pods}, {"target", series_of_target}};
    for (size_t i = 0; i < ARRAY_LEN(sets); i++)
        if (strcmp(sets[i].name, name) == 0)
            return sets[i].text;
    die("--set own, pods or target");
}

int main(int argc, char **argv)
{
    const uint64_t series = arg_number(argc, argv, "--series", 1000000),
                   samples = arg_number(argc, argv, "--samples", series),
                   rounds = arg_number(argc, argv, "--rounds", 3);
    const struct batch_limits limits = {
        arg_number(argc, argv, "--batch-bytes", option_default("metrics_batch_bytes")),
        arg_number(argc, argv, "--batch-records", option_default("metrics_batch_records")),
        UINT64_C(3600) * 1000, /* size closes batches here, never age */
    };
    struct bench b = {0};
    struct cost cost[ROUNDS_MAX];
    b.protocol = arg_number(argc, argv, "--protocol", 1) == 2 ? PROTOCOL_RW2 : PROTOCOL_RW1;
    b.symbols = b.protocol == PROTOCOL_RW2 || arg_flag(argc, argv, "--symbols");
    b.text = set_of(arg_text(argc, argv, "--set", "own"));
    b.labels = arg_number(argc, argv, "--labels", SERIES_LABELS);
    if (rounds > ROUNDS_MAX || b.labels < 2 || b.labels > LABELS_MAX)
        die("--rounds up to %d, --labels 2 to %d", ROUNDS_MAX, LABELS_MAX);
    bench_open(&b, series, limits);
    const uint64_t before = malloc_bytes(), rss_before = rss_bytes();
    struct footprint f = bench_intern(&b);
    if (arg_flag(argc, argv, "--shuffled"))
        shuffle(b.series, b.count);
    round_of(&b, MIN(samples, (uint64_t)100000)); /* buffers grow to their size */
    for (uint64_t i = 0; i < rounds; i++)
        cost[i] = round_of(&b, samples);
    f.sealed_bytes = (double)(malloc_bytes() - before) / (double)series;
    f.sealed_rss = (double)(rss_bytes() - rss_before) / (double)series;
    print(&b, &f, cost, rounds);
    bench_close(&b);
    return 0;
}
