/* One of each kind of point through the public interface: points URL PROTOCOL NOW_MS [TENANT]. Prints counts as JSON.
 */
#include <gcw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gcw_writer *w;
static int64_t now;
static int failed;

static uint64_t bits(double d)
{
    uint64_t b;
    memcpy(&b, &d, sizeof b);
    return b;
}

static void append(const char *name, gcw_metric_type type, const gcw_point *p)
{
    const gcw_label labels[] = {{"__name__", 8, name, strlen(name)}, GCW_LABEL("job", "points")};
    const gcw_metadata meta = {type, NULL, "One of a kind.", "points"};
    gcw_error err;
    gcw_series *s = gcw_series_intern(w, labels, 2, &meta, NULL, &err);
    if (!s || gcw_point_append(s, p, NULL, &err) != GCW_OK) {
        fprintf(stderr, "%s: %s\n", name, err.text);
        failed++;
    }
    gcw_series_release(s);
}

static void counter(void)
{
    const gcw_label trace[] = {GCW_LABEL("trace_id", "0af7651916cd43dd8448eb211c80319c")};
    const gcw_exemplar e = {trace, 1, 2.5, now - 1000};
    const gcw_point p = {
        .time_ms = now, .start_ms = now - 60000, .value_bits = bits(42), .exemplars = &e, .exemplar_count = 1};
    append("pt_counter_total", GCW_TYPE_COUNTER, &p);
}

static void histograms(void)
{
    static const gcw_span two[] = {{-1, 2}, {3, 1}}, one[] = {{2, 2}}, three[] = {{0, 3}};
    static const uint64_t counts[] = {2, 1, 3}, negative[] = {4, 5}, custom[] = {1, 2, 2};
    static const double floats[] = {0.5, 1.25, 2}, bounds[] = {1, 2};
    const gcw_histogram whole = {.schema = 3,
                                 .count = 22,
                                 .sum = 18.4,
                                 .zero_threshold = 0.001,
                                 .zero_count = 7,
                                 .positive = {two, 2, counts, NULL, 3},
                                 .negative = {one, 1, negative, NULL, 2}};
    const gcw_histogram floating = {.schema = 0,
                                    .is_float = true,
                                    .reset_hint = GCW_RESET_GAUGE,
                                    .count_float = 4.75,
                                    .sum = -1.5,
                                    .zero_threshold = 0.001,
                                    .zero_count_float = 1,
                                    .positive = {two, 2, NULL, floats, 3}};
    const gcw_histogram own = {.schema = GCW_CUSTOM_BUCKETS,
                               .count = 5,
                               .sum = 9.5,
                               .positive = {three, 1, custom, NULL, 3},
                               .custom_bounds = bounds,
                               .custom_bound_count = 2};
    append("pt_int", GCW_TYPE_HISTOGRAM, &(gcw_point){.time_ms = now, .start_ms = now - 60000, .histogram = &whole});
    append("pt_float", GCW_TYPE_GAUGEHISTOGRAM, &(gcw_point){.time_ms = now, .histogram = &floating});
    append("pt_custom", GCW_TYPE_HISTOGRAM, &(gcw_point){.time_ms = now, .histogram = &own});
}

static void ends(void)
{
    append("pt_ended", GCW_TYPE_GAUGE, &(gcw_point){.time_ms = now - 1000, .value_bits = bits(1)});
    append("pt_ended", GCW_TYPE_GAUGE, &(gcw_point){.time_ms = now, .value_bits = GCW_STALE_BITS});
    append("pt_minus_zero", GCW_TYPE_GAUGE, &(gcw_point){.time_ms = now, .value_bits = bits(-0.0)});
}

/* Nothing of this may go out. */
static void nonsense(void)
{
    static const gcw_span two[] = {{0, 2}};
    static const uint64_t counts[] = {2, 1};
    const gcw_histogram bad = {.schema = 3, .count = 99, .positive = {two, 1, counts, NULL, 2}};
    const gcw_label labels[] = {GCW_LABEL("__name__", "pt_bad")};
    gcw_error err;
    if (gcw_point_write(w, labels, 1, &(gcw_point){.time_ms = now, .histogram = &bad}, NULL, &err) != GCW_ERR_INVALID ||
        !strstr(err.text, "add up"))
        failed++;
}

int main(int argc, char **argv)
{
    gcw_error err;
    gcw_stats s;
    gcw_config *c = gcw_config_new();
    if (argc < 4 || gcw_config_set(c, "metrics_url", argv[1], &err) != GCW_OK ||
        gcw_config_set(c, "metrics_protocol", argv[2], &err) != GCW_OK ||
        gcw_config_set(c, "metrics_tenant", argc > 4 ? argv[4] : "", &err) != GCW_OK ||
        !(w = gcw_writer_open(c, NULL, &err))) {
        fprintf(stderr, "points URL PROTOCOL NOW_MS [TENANT]: %s\n", argc < 4 ? "" : err.text);
        return 2;
    }
    now = strtoll(argv[3], NULL, 10);
    counter();
    histograms();
    ends();
    nonsense();
    failed += gcw_writer_close(w, 20000, &s) != GCW_OK;
    const gcw_signal_stats *m = &s.signal[GCW_METRICS];
    printf(
        "{\"failed\":%d,\"accepted\":%llu,\"refused\":%llu,\"delivered\":%llu,\"rejected\":%llu,\"requests\":%llu}\n",
        failed, (unsigned long long)m->accepted, (unsigned long long)m->refused,
        (unsigned long long)m->outcome[GCW_DELIVERED], (unsigned long long)m->outcome[GCW_REJECTED],
        (unsigned long long)m->requests);
    gcw_config_free(c);
    return failed != 0;
}
