/* Classic histograms and summaries through the public interface: classic URL PROTOCOL NOW_MS [OPTION VALUE]... Twice,
 * 15 seconds apart, the second time with double the counts. Prints counts as JSON. */
#include <gcw.h>

#include <stdio.h>
#include <stdlib.h>

static gcw_error err;
static int failed;

static void check(gcw_status status)
{
    if (status == GCW_OK)
        return;
    fprintf(stderr, "%s: %s\n", gcw_strerror(status), err.text);
    failed++;
}

static gcw_classic *histogram(gcw_writer *w, const char *name, gcw_metric_type type)
{
    static const double bounds[] = {0.1, 0.5, 1, 2500000};
    const gcw_label labels[] = {GCW_LABEL("__name__", name), GCW_LABEL("job", "classic")};
    const gcw_metadata meta = {type, NULL, "How long it took.", "seconds"};
    gcw_classic *h = gcw_classic_intern(w, labels, 2, bounds, 4, &meta, NULL, &err);
    if (!h)
        check(err.code);
    return h;
}

static void histograms(gcw_writer *w, int64_t now)
{
    static const uint64_t once[] = {1, 2, 3, 4, 0}, twice[] = {2, 4, 6, 8, 0};
    const gcw_label trace[] = {GCW_LABEL("trace_id", "0af7651916cd43dd8448eb211c80319c")};
    const gcw_exemplar slow = {trace, 1, 0.75, now - 1000};
    gcw_classic *took = histogram(w, "cl_seconds", GCW_TYPE_HISTOGRAM),
                *waiting = histogram(w, "cl_waiting", GCW_TYPE_GAUGEHISTOGRAM),
                *ended = histogram(w, "cl_ended", GCW_TYPE_HISTOGRAM);
    for (int k = 0; k < 2 && !failed; k++) {
        gcw_classic_point p = {.time_ms = now - 15000 + k * 15000,
                               .start_ms = now - 60000,
                               .counts = k ? twice : once,
                               .bucket_count = 5,
                               .sum = k ? 25 : 12.5};
        check(gcw_classic_append(waiting, &p, NULL, &err));
        check(k ? gcw_classic_stale(ended, p.time_ms, NULL) : gcw_classic_append(ended, &p, NULL, &err));
        p.exemplars = &slow;
        p.exemplar_count = (size_t)k;
        check(gcw_classic_append(took, &p, NULL, &err));
    }
    gcw_classic_release(took);
    gcw_classic_release(waiting);
    gcw_classic_release(ended);
}

static void summary(gcw_writer *w, int64_t now)
{
    static const double quantiles[] = {0.5, 1}, values[] = {0.25, 4};
    const gcw_label labels[] = {GCW_LABEL("__name__", "cl_summary"), GCW_LABEL("job", "classic")};
    const gcw_metadata meta = {GCW_TYPE_SUMMARY, NULL, "How long it took.", NULL};
    gcw_summary *s = gcw_summary_intern(w, labels, 2, quantiles, 2, &meta, NULL, &err);
    if (!s) {
        check(err.code);
        return;
    }
    check(gcw_summary_append(s, &(gcw_summary_point){now, now - 60000, values, 2, 10, 12.5}, NULL, &err));
    gcw_summary_release(s);
}

int main(int argc, char **argv)
{
    gcw_stats s;
    gcw_config *c = gcw_config_new();
    gcw_writer *w = NULL;
    bool ok = argc >= 4 && gcw_config_set(c, "metrics_url", argv[1], &err) == GCW_OK &&
              gcw_config_set(c, "metrics_protocol", argv[2], &err) == GCW_OK;
    for (int i = 4; ok && i + 1 < argc; i += 2)
        ok = gcw_config_set(c, argv[i], argv[i + 1], &err) == GCW_OK;
    if (!ok || !(w = gcw_writer_open(c, NULL, &err))) {
        fprintf(stderr, "classic URL PROTOCOL NOW_MS [OPTION VALUE]...: %s\n", argc >= 4 ? err.text : "");
        return 2;
    }
    histograms(w, strtoll(argv[3], NULL, 10));
    summary(w, strtoll(argv[3], NULL, 10));
    failed += gcw_writer_close(w, 20000, &s) != GCW_OK;
    const gcw_signal_stats *m = &s.signal[GCW_METRICS];
    printf("{\"failed\":%d,\"accepted\":%llu,\"delivered\":%llu,\"exemplars\":%llu,\"requests\":%llu}\n", failed,
           (unsigned long long)m->accepted, (unsigned long long)m->outcome[GCW_DELIVERED],
           (unsigned long long)m->exemplars_sent, (unsigned long long)m->requests);
    gcw_config_free(c);
    return failed != 0;
}
