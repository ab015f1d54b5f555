/* Chunks recorded from real versions of Fluent Bit: what we make of them beside what its prometheus_remote_write output
 * sent for the same input (tests/fixtures/fluent-bit, see its README). */
#include <ctype.h>

#include "metrics_rig.h"

#define FIXTURES "tests/fixtures/fluent-bit/metrics-"

static struct buf file_read(const char *name, const char *ending)
{
    char path[256];
    struct buf b = {0};
    snprintf(path, sizeof path, FIXTURES "%s.%s", name, ending);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s: cannot be opened; tests run in the project's folder", path);
    for (size_t n = 1; n > 0;) {
        assert_true(buf_reserve(&b, 65536));
        n = fread(b.p + b.n, 1, 65536, f);
        b.n += n;
    }
    fclose(f);
    return b;
}

/* The lines of the built-in output, sorted, each once: it sends repeats again. */
static size_t lines_of(char *text, char **lines, size_t max)
{
    size_t n = 0, kept = 0;
    for (char *save = NULL, *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        assert_true(n < max);
        lines[n++] = l;
    }
    qsort(lines, n, sizeof(char *), rig_by_text);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(lines[kept - 1], lines[i]) != 0)
            lines[kept++] = lines[i];
    return kept;
}

/* Of names only: values and times have points of their own. */
static void names_sanitise(char *line)
{
    bool quoted = false;
    for (char *value = strrchr(line, '"'); line < value; line++) {
        quoted ^= *line == '"';
        if (*line == '.' && !quoted)
            *line = '_';
    }
}

static void metric_sanitise(char *line)
{
    const size_t at = strlen("__name__=\"");
    for (char *p = line + at; *p != '"'; p++)
        if (*p == '.')
            *p = '_';
}

/* An empty label means that there is none. */
static void empty_remove(char *line, const char *label)
{
    char *at = strstr(line, label);
    if (at)
        memmove(at, at + strlen(label), strlen(at + strlen(label)) + 1);
}

/* What differs on purpose: buckets of OpenTelemetry, which the built-in output sends as if they were cumulative, and
 * bounds of exponential histograms, which it computes with more than one rounding. */
static bool on_purpose(const char *line)
{
    return strstr(line, "http_server_duration_bucket") || strstr(line, "batch_size_bucket") ||
           strstr(line, "rpc_time_bucket");
}

static void rig_replay(struct rig *r, const char *name, const struct metrics_options *o)
{
    struct buf chunks = file_read(name, "msgpack");
    rig_open(r, o);
    rig_feed_bytes(r, chunks.p, chunks.n);
    assert_int_equal(r->count.skipped + r->count.refused, 0);
    buf_free(&chunks);
    rig_end(r);
}

static void test_the_same_series_as_of_the_built_in_output(void **state)
{
    (void)state;
    static const char *const names[] = {"scrape-5.1.1", "scrape-4.2.8", "fluentbit-5.1.1", "fluentbit-4.2.8",
                                        "node-5.1.1",   "node-4.2.8",   "otlp-5.1.1",      "otlp-4.2.8"};
    static const struct metrics_options like_it = {
        .sample_time = "source", .delta = "keep", .le_format = LE_FLUENT_BIT, .resource_attributes = "none"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct buf text = file_read(names[i], "series");
        char *want[1000];
        struct rig r;
        size_t n, k = 0;
        assert_true(buf_cstr(&text));
        n = lines_of((char *)text.p, want, ARRAY_LEN(want));
        for (size_t w = 0; w < n; w++) {
            names_sanitise(want[w]);
            metric_sanitise(want[w]);
            empty_remove(want[w], ",room=\"\"");
        }
        qsort(want, n, sizeof(char *), rig_by_text);
        rig_replay(&r, names[i], &like_it);
        for (size_t w = 0; w < n; w++) {
            while (k < r.line_count && on_purpose(r.lines[k]))
                k++;
            if (on_purpose(want[w]))
                continue;
            if (k == r.line_count || strcmp(r.lines[k], want[w]) != 0)
                fail_msg("%s: wanted\n  %s\ngot\n  %s", names[i], want[w], k < r.line_count ? r.lines[k] : "nothing");
            k++;
        }
        while (k < r.line_count && on_purpose(r.lines[k]))
            k++;
        assert_int_equal(k, r.line_count);
        assert_true(n > 5);
        rig_free(&r);
        buf_free(&text);
    }
}

/* The defaults, by hand. %1 and %2 stand for the times of the two exports. */
static void test_opentelemetry_by_default_is_as_prometheus_has_it(void **state)
{
    (void)state;
#define OF ",instance=\"i-1\",job=\"prod/shop\""
    static const char *const want[] = {
        "\"batch_size_bucket\"" OF ",le=\"+Inf\" 5 10",
        "\"batch_size_bucket\"" OF ",le=\"100\" 4 8",
        "\"batch_size_count\"" OF " 5 10",
        "\"batch_size_sum\"" OF " 250 500",
        "\"gc_pause\"" OF ",quantile=\"0.5\" 0.01 0.01",
        "\"gc_pause\"" OF ",quantile=\"0.99\" 0.2 0.2",
        "\"gc_pause_count\"" OF " 7 7",
        "\"gc_pause_sum\"" OF " 0.5 0.5",
        "\"http_server_duration_bucket\"" OF ",le=\"+Inf\",method=\"GET\" 6 7",
        "\"http_server_duration_bucket\"" OF ",le=\"0.1\",method=\"GET\" 1 2",
        "\"http_server_duration_bucket\"" OF ",le=\"0.25\",method=\"GET\" 3 4",
        "\"http_server_duration_bucket\"" OF ",le=\"1\",method=\"GET\" 3 4",
        "\"http_server_duration_count\"" OF ",method=\"GET\" 6 7",
        "\"http_server_duration_sum\"" OF ",method=\"GET\" 7.5 7.5",
        "\"http_server_requests\",http_route=\"/a\"" OF ",ok=\"1\" 10 20",
        "\"http_server_requests\",http_route=\"/b\"" OF " 9007199254740992 9007199254740992",
        "\"jobs_done\"" OF ",queue=\"fast\" 2.5 6",
        "\"jobs_done\"" OF ",queue=\"slow\" 1 2",
        "\"load_ratio\",cpu=\"1\"" OF " 0.1 0.1",
        "\"load_ratio\",cpu=\"2\"" OF " nan nan",
        "\"queue_length\"" OF " -3 -3",
        "\"rpc_new_bucket\"" OF ",le=\"+Inf\" 3 6",
        "\"rpc_new_bucket\"" OF ",le=\"2\" 3 3",
        "\"rpc_new_bucket\"" OF ",le=\"4\" - 6",
        "\"rpc_new_count\"" OF " 3 6",
        "\"rpc_new_sum\"" OF " 9 18",
        "\"rpc_time_bucket\"" OF ",le=\"+Inf\",peer=\"x\" 8 8",
        "\"rpc_time_bucket\"" OF ",le=\"-1\",peer=\"x\" 1 1",
        "\"rpc_time_bucket\"" OF ",le=\"0\",peer=\"x\" 3 3",
        "\"rpc_time_bucket\"" OF ",le=\"1\",peer=\"x\" 4 4",
        "\"rpc_time_bucket\"" OF ",le=\"1.4142135623730951\",peer=\"x\" 4 4",
        "\"rpc_time_bucket\"" OF ",le=\"2\",peer=\"x\" 8 8",
        "\"rpc_time_count\"" OF ",peer=\"x\" 8 8",
        "\"rpc_time_sum\"" OF ",peer=\"x\" 5.5 5.5",
    };
    struct rig r;
    char lines[2 * ARRAY_LEN(want)][200], *sorted[2 * ARRAY_LEN(want)];
    size_t n = 0;
    rig_replay(&r, "otlp-5.1.1", NULL);
    long long first = INT64_MAX;
    for (size_t i = 0; i < r.line_count; i++)
        first = MIN(first, strtoll(strrchr(r.lines[i], '@') + 1, NULL, 10));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        const char *two = strrchr(want[i], ' ') + 1, *one = two - 2;
        while (one[-1] != ' ')
            one--;
        int labels = (int)(one - 1 - want[i]), length = (int)(two - 1 - one);
        const struct {
            const char *text;
            int length;
            long long ms;
        } value[] = {{one, length, first}, {two, (int)strlen(two), first + 1000}};
        for (size_t k = 0; k < 2; k++) {
            char number[32];
            snprintf(number, sizeof number, "%.*s", value[k].length, value[k].text);
            if (strcmp(number, "-") == 0)
                continue;
            if (isdigit((unsigned char)number[0]) || number[0] == '-')
                snprintf(number, sizeof number, "%.17g", strtod(value[k].text, NULL));
            snprintf(lines[n], sizeof lines[n], "__name__=%.*s %s @%lld", labels, want[i], number, value[k].ms);
            sorted[n] = lines[n];
            n++;
        }
    }
    qsort(sorted, n, sizeof(char *), rig_by_text);
    for (size_t i = 0; i < n; i++)
        if (i >= r.line_count || strcmp(sorted[i], r.lines[i]) != 0)
            fail_msg("wanted\n  %s\ngot\n  %s", sorted[i], i < r.line_count ? r.lines[i] : "nothing");
    assert_int_equal(r.line_count, n);
    rig_free(&r);
}

/* Times of the series of a metric, in order. */
static size_t times_of(const struct rig *r, const char *name, long long *ms, size_t max)
{
    char start[100];
    size_t n = 0;
    snprintf(start, sizeof start, "__name__=\"%s\"", name);
    for (size_t i = 0; i < r->line_count; i++)
        if (strncmp(r->lines[i], start, strlen(start)) == 0 && n < max)
            ms[n++] = strtoll(strrchr(r->lines[i], '@') + 1, NULL, 10);
    return n;
}

/* The input was never paused: that is said with the time of the start, each time. uptime is set at each collection. */
static void test_series_of_the_host_itself_stay_alive_when_nothing_changes(void **state)
{
    (void)state;
    long long idle[8], uptime[8];
    struct rig r;
    rig_replay(&r, "fluentbit-5.1.1", NULL);
    size_t idles = times_of(&r, "fluentbit_input_ingestion_paused", idle, 8),
           uptimes = times_of(&r, "fluentbit_uptime", uptime, 8);
    assert_true(uptimes >= 3);
    assert_int_equal(idles, uptimes);
    for (size_t i = 1; i < idles; i++)
        assert_true(idle[i] > idle[i - 1] && idle[i] >= uptime[i]);
    rig_free(&r);
    rig_replay(&r, "fluentbit-5.1.1", &(struct metrics_options){.sample_time = "source"});
    assert_int_equal(times_of(&r, "fluentbit_input_ingestion_paused", idle, 8), 1);
    rig_free(&r);
}

/* demo_seen has a time of its own in the exposition, in whole milliseconds, which a double carried here. */
static void test_a_time_from_the_exposition_arrives_to_the_millisecond_and_once(void **state)
{
    (void)state;
    static const char *const names[] = {"scrape-5.1.1", "scrape-4.2.8"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        long long ms[8];
        struct rig r;
        rig_replay(&r, names[i], NULL);
        assert_int_equal(times_of(&r, "demo_seen", ms, 8), 1);
        assert_true(times_of(&r, "demo_plain", ms, 8) >= 2);
        rig_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_series_as_of_the_built_in_output),
        cmocka_unit_test(test_opentelemetry_by_default_is_as_prometheus_has_it),
        cmocka_unit_test(test_series_of_the_host_itself_stay_alive_when_nothing_changes),
        cmocka_unit_test(test_a_time_from_the_exposition_arrives_to_the_millisecond_and_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
