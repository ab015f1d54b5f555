/* Log lines to sealed requests in each form that Loki takes, without threads or network: CPU and bytes.
 *
 *     bench_logs [--file PATH] [--lines N] [--streams N] [--metadata] [--rounds N] [--batch-bytes N]
 *
 * The lines are those of the file, over and over, or lines of JSON and logfmt made here. The forms take turns, so that
 * all meet the same machine. One JSON object: for each form the least CPU per line over the rounds, bytes before and
 * after compression. */
#include <stdlib.h>
#include <string.h>

#include "batch/batch.h"
#include "common.h"

#define ROUNDS_MAX 32
#define STEP       512 /* appends between two looks for a closed batch */

static const struct form {
    const char *name;
    struct seal_config config;
} forms[] = {
    {"json_gzip", {.logs = SEAL_GZIP, .compression_level = 1}},
    {"json_none", {.logs = SEAL_PLAIN, .compression_level = 1}},
    {"protobuf_snappy", {.logs = SEAL_SNAPPY, .compression_level = 1}},
};
#define FORMS (sizeof forms / sizeof forms[0])

struct bench {
    struct guard *guard;
    struct intern_table *table;
    struct batcher *batcher;
    struct destination *destination;
    struct sealer *sealer[FORMS];
    struct interned **stream;
    uint64_t streams;
    struct buf text;
    struct view *line;
    uint64_t lines;
    struct view metadata;
    uint64_t memory;
};

struct cost {
    uint64_t append_ns, seal_ns;
    uint64_t entries, requests, bytes_raw, bytes_packed;
};

static bool take(void *ctx, uint64_t n, bool force)
{
    (void)force;
    ((struct bench *)ctx)->memory += n;
    return true;
}
static void give(void *ctx, uint64_t n) { ((struct bench *)ctx)->memory -= n; }

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void lines_make(struct bench *b, uint64_t n)
{
    static const char *const levels[] = {"info", "warn", "error", "debug"}, *const paths[] = {"/api/v1/orders",
                                                                                              "/login",
                                                                                              "/static/app.js"};
    uint64_t state = 1;
    for (uint64_t i = 0; i < n; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        unsigned r = (unsigned)(state >> 33);
        if (!buf_printf(
                &b->text,
                i % 2
                    ? "{\"time\":\"2026-01-02T03:04:%02u.%06uZ\",\"level\":\"%s\",\"msg\":\"request done\","
                      "\"method\":\"GET\",\"path\":\"%s/%u\",\"status\":%u,\"duration_ms\":%u.%03u,\"remote\":"
                      "\"10.%u.%u.%u\",\"user_agent\":\"Mozilla/5.0 (X11; Linux "
                      "x86_64)\",\"trace_id\":\"%016llx%016llx\"}\n"
                    : "time=2026-01-02T03:04:%02u.%06uZ level=%s msg=\"request done\" method=GET path=%s/%u status=%u "
                      "duration=%u.%03ums remote=10.%u.%u.%u ua=\"Mozilla/5.0 (X11; Linux x86_64)\" "
                      "trace_id=%016llx%016llx\n",
                r % 60, r % 1000000, levels[r % 4], paths[r % 3], r % 5000, r % 5 ? 200u : 404u, r % 700, r % 1000,
                r % 256, (r >> 8) % 256, (r >> 16) % 256, (unsigned long long)state, (unsigned long long)(state * 31)))
            die("out of memory");
    }
}

static void lines_read(struct bench *b, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        die("%s can't be opened", path);
    for (size_t n; buf_reserve(&b->text, MIB) && (n = fread(b->text.p + b->text.n, 1, MIB, f)) > 0;)
        b->text.n += n;
    fclose(f);
}

static void lines_split(struct bench *b)
{
    struct view rest = buf_view(&b->text);
    for (size_t i = 0; i < rest.n; i++)
        b->lines += rest.p[i] == '\n';
    if (b->lines == 0 || !(b->line = malloc(b->lines * sizeof *b->line)))
        die("no lines");
    for (uint64_t i = 0; i < b->lines; i++) {
        size_t n = (size_t)((const char *)memchr(rest.p, '\n', rest.n) - rest.p);
        b->line[i] = view_make(rest.p, n);
        rest = view_make(rest.p + n + 1, rest.n - n - 1);
    }
}

/* ---- running ------------------------------------------------------------------------------------------------------
 */

static void bench_open(struct bench *b, struct batch_limits limits, struct label_scratch *scratch, bool metadata)
{
    const struct batcher_config c = {{limits, limits}, {1, 1}, 1};
    const struct batcher_ops ops = {b, take, give};
    const struct label_rules rules = {GCW_LOGS, LABELS_SANITISE, 1024, 2048, 15, NULL, 0};
    const gcw_label pairs[] = {GCW_LABEL("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
                               GCW_LABEL("span_id", "00f067aa0ba902b7")};
    gcw_status status;
    bool changed;
    b->guard = guard_new(b->streams, UINT64_MAX);
    b->table = b->guard ? intern_table_new(b->guard, 7, destination_assign) : NULL;
    b->batcher = batcher_new(&c, &ops);
    b->destination = b->batcher ? batcher_destination(b->batcher, GCW_LOGS, "") : NULL;
    b->stream = calloc(b->streams, sizeof(struct interned *));
    if (!b->table || !b->destination || !b->stream)
        die("out of memory");
    for (size_t i = 0; i < FORMS; i++)
        if (!(b->sealer[i] = sealer_new(&forms[i].config)))
            die("out of memory");
    for (uint64_t i = 0; i < b->streams; i++) {
        char pod[32];
        snprintf(pod, sizeof pod, "shop-%llu", (unsigned long long)i);
        const gcw_label labels[] = {
            GCW_LABEL("job", "shop"), GCW_LABEL("namespace", "prod"), {"pod", 3, pod, strlen(pod)}};
        if (labels_block(&rules, labels, ARRAY_LEN(labels), scratch, &changed, NULL) != GCW_OK ||
            !(b->stream[i] = intern_acquire(b->table, b->destination, buf_view(&scratch->block), &status)))
            die("a stream could not be interned");
    }
    if (metadata && metadata_block(LABELS_SANITISE, NULL, pairs, ARRAY_LEN(pairs), scratch, &changed, NULL) == GCW_OK)
        b->metadata = buf_view(&scratch->block);
}

static void bench_close(struct bench *b)
{
    batcher_free(b->batcher);
    for (size_t i = 0; i < FORMS; i++)
        sealer_free(b->sealer[i]);
    intern_table_free(b->table);
    guard_free(b->guard);
    buf_free(&b->text);
    free(b->line);
    free(b->stream);
}

static void seal_ready(struct bench *b, size_t form, struct cost *cost)
{
    for (struct batch *batch; (batch = batcher_next(b->batcher, 0));) {
        struct sealed *s;
        uint64_t start = process_ns();
        if (!sealer_seal(b->sealer[form], batch, PROTOCOL_RW1, &s))
            die("out of memory");
        cost->seal_ns += process_ns() - start;
        batch_free(b->batcher, batch);
        cost->requests++;
        cost->entries += s->records;
        cost->bytes_raw += s->raw_len;
        cost->bytes_packed += s->len;
        sealed_free(s);
    }
}

static struct cost round_of(struct bench *b, size_t form, uint64_t entries)
{
    static int64_t time_ns = INT64_C(1700000000000000000);
    struct cost cost = {0};
    for (uint64_t done = 0; done < entries;) {
        uint64_t start = process_ns(), end = MIN(done + STEP, entries);
        for (; done < end; done++)
            if (batch_entry(b->destination, b->stream[done % b->streams], b->line[done % b->lines], b->metadata,
                            time_ns += 1001, NULL) != GCW_OK)
                die("a line was refused");
        cost.append_ns += process_ns() - start;
        seal_ready(b, form, &cost);
    }
    batcher_close_all(b->batcher);
    seal_ready(b, form, &cost);
    if (cost.entries != entries)
        die("%llu lines went in, %llu came out", (unsigned long long)entries, (unsigned long long)cost.entries);
    return cost;
}

static void print_form(const char *name, const struct cost *cost, uint64_t rounds)
{
    double append[ROUNDS_MAX], total[ROUNDS_MAX];
    for (uint64_t i = 0; i < rounds; i++) {
        const double n = (double)cost[i].entries * 1e3;
        append[i] = (double)cost[i].append_ns / n;
        total[i] = (double)(cost[i].append_ns + cost[i].seal_ns) / n;
    }
    printf(",\"%s\":{\"requests\":%llu,\"bytes_raw\":%llu,\"bytes_packed\":%llu,\"bytes_per_line\":%.1f,", name,
           (unsigned long long)cost->requests, (unsigned long long)cost->bytes_raw,
           (unsigned long long)cost->bytes_packed, (double)cost->bytes_packed / (double)cost->entries);
    json_array("total_us", total, rounds);
    printf(",\"least_append_us\":%.4f,\"least_total_us\":%.4f}", least(append, rounds), least(total, rounds));
}

int main(int argc, char **argv)
{
    const uint64_t rounds = arg_number(argc, argv, "--rounds", 5);
    const char *path = arg_text(argc, argv, "--file", "");
    const struct batch_limits limits = {
        arg_number(argc, argv, "--batch-bytes", option_default("logs_batch_bytes")),
        option_default("logs_batch_records"), UINT64_C(3600) * 1000, /* size closes batches here, never age */
    };
    struct bench b = {.streams = arg_number(argc, argv, "--streams", 20)};
    struct label_scratch scratch = {0};
    static struct cost cost[FORMS][ROUNDS_MAX];
    if (rounds > ROUNDS_MAX)
        die("--rounds up to %d", ROUNDS_MAX);
    if (*path)
        lines_read(&b, path);
    else
        lines_make(&b, 20000);
    lines_split(&b);
    const uint64_t lines = arg_number(argc, argv, "--lines", MAX(b.lines, UINT64_C(200000)));
    bench_open(&b, limits, &scratch, arg_flag(argc, argv, "--metadata"));
    for (size_t f = 0; f < FORMS; f++)
        round_of(&b, f, MIN(lines, UINT64_C(20000))); /* buffers grow to their size */
    for (uint64_t i = 0; i < rounds; i++)
        for (size_t f = 0; f < FORMS; f++)
            cost[f][i] = round_of(&b, f, lines);
    printf("{\"lines\":%llu,\"streams\":%llu,\"text_bytes_per_line\":%.1f", (unsigned long long)lines,
           (unsigned long long)b.streams, (double)b.text.n / (double)b.lines - 1);
    for (size_t f = 0; f < FORMS; f++)
        print_form(forms[f].name, cost[f], rounds);
    printf("}\n");
    bench_close(&b);
    label_scratch_free(&scratch);
    return 0;
}
