/* X_created of OpenMetrics 1.0: the start time of the metric's samples, wherever it stands among them; and whatever is
 * odd loses nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "transcript.h"

static size_t piece_fixed(void *size) { return *(size_t *)size; }

struct row {
    const char *input, *output; /* without # EOF */
};

static void row_check(const struct row *row, bool drop)
{
    const struct exposition_options o = {.format = EXPOSITION_OPENMETRICS, .drop_created = drop};
    struct buf input = {0};
    assert_true(buf_puts(&input, row->input) && buf_puts(&input, "# EOF\n"));
    for (size_t piece = 0; piece <= 70; piece += piece < 3 ? 1 : 13) {
        struct buf got = transcript_with(&o, buf_view(&input), piece ? piece_fixed : NULL, &piece);
        if (strcmp((char *)got.p, row->output) != 0)
            print_error("in pieces of %zu\n%s", piece, row->input);
        assert_string_equal((char *)got.p, row->output);
        buf_free(&got);
    }
    buf_free(&input);
}

static void rows_check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        row_check(&rows[i], false);
}

#define C "# TYPE c counter\n"
#define H "# TYPE h histogram\n"
#define S "# TYPE s summary\n"

static const struct row usual[] = {
    {C "c_total 5\nc_created 1700000000.5\n",
     "F c counter\nS c_total 5 since 1700000000500\nS c_created 1700000000.5\n"},
    {C "c_total{a=\"x\"} 5 # {t=\"u\"} 2 3\nc_created{a=\"x\"} 1.5\nc_total{a=\"y\"} 6\nc_created{a=\"y\"} 2.5\n",
     "F c counter\nS c_total{a=\"x\"} 5 since 1500 # {t=\"u\"} 2 @3000\nS c_created{a=\"x\"} 1.5\n"
     "S c_total{a=\"y\"} 6 since 2500\nS c_created{a=\"y\"} 2.5\n"},
    {H "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2 # {t=\"u\"} 9\nh_count 2\nh_sum 10\nh_created 1\n",
     "F h histogram\nS h_bucket{le=\"1\"} 1 since 1000\nS h_bucket{le=\"+Inf\"} 2 since 1000 # {t=\"u\"} 9\n"
     "S h_count 2 since 1000\nS h_sum 10 since 1000\nS h_created 1\n"},
    /* le at the front, in the middle, at the end */
    {H "h_bucket{le=\"1\",a=\"x\",b=\"y\"} 1\nh_bucket{a=\"x\",le=\"2\",b=\"y\"} "
       "2\nh_bucket{a=\"x\",b=\"y\",le=\"+Inf\"} 3\n"
       "h_count{a=\"x\",b=\"y\"} 3\nh_created{a=\"x\",b=\"y\"} 1\n",
     "F h histogram\nS h_bucket{le=\"1\",a=\"x\",b=\"y\"} 1 since 1000\nS h_bucket{a=\"x\",le=\"2\",b=\"y\"} 2 since "
     "1000\n"
     "S h_bucket{a=\"x\",b=\"y\",le=\"+Inf\"} 3 since 1000\nS h_count{a=\"x\",b=\"y\"} 3 since 1000\n"
     "S h_created{a=\"x\",b=\"y\"} 1\n"},
    {S "s{quantile=\"0.5\",a=\"x\"} 7\ns{a=\"x\",quantile=\"0.9\"} 8\ns_sum{a=\"x\"} 9\ns_count{a=\"x\"} "
       "2\ns_created{a=\"x\"} 3\n",
     "F s summary\nS s{quantile=\"0.5\",a=\"x\"} 7 since 3000\nS s{a=\"x\",quantile=\"0.9\"} 8 since 3000\n"
     "S s_sum{a=\"x\"} 9 since 3000\nS s_count{a=\"x\"} 2 since 3000\nS s_created{a=\"x\"} 3\n"},
    /* it may come first */
    {C "c_created 1\nc_total 5\n", "F c counter\nS c_created 1\nS c_total 5 since 1000\n"},
    /* points of different times are different points */
    {C "c_total 5 10\nc_created 1 10\nc_total 2 20\nc_created 15 20\n",
     "F c counter\nS c_total 5 @10000 since 1000\nS c_created 1 @10000\nS c_total 2 @20000 since 15000\n"
     "S c_created 15 @20000\n"},
    {C "c_total 5 10\nc_created 1\n", "F c counter\nS c_total 5 @10000 since 1000\nS c_created 1\n"},
    /* the name in quotes */
    {"# TYPE \"c.d\" counter\n{\"c.d_total\",a=\"x\"} 5\n{\"c.d_created\",a=\"x\"} 1\n{\"c.d_total\"} "
     "6\n{\"c.d_created\"} 2\n",
     "F c.d counter\nS c.d_total{a=\"x\"} 5 since 1000\nS c.d_created{a=\"x\"} 1\nS c.d_total 6 since 2000\nS "
     "c.d_created 2\n"},
    /* escapes in what is compared as it is written */
    {C "c_total{a=\"\\\"x\\n\"} 5\nc_created{a=\"\\\"x\\n\"} 1\n",
     "F c counter\nS c_total{a=\"\\\"x\\n\"} 5 since 1000\nS c_created{a=\"\\\"x\\n\"} 1\n"},
    {C "c_total{} 5\nc_created 1\n", "F c counter\nS c_total 5 since 1000\nS c_created 1\n"},
};

static void test_created_is_the_start_time_of_the_samples_it_stands_with(void **state)
{
    (void)state;
    rows_check(usual, ARRAY_LEN(usual));
}

static const struct row odd[] = {
    /* other labels, another family, no type, a type that does not count */
    {C "c_total{a=\"x\"} 5\nc_created{a=\"y\"} 1\n", "F c counter\nS c_total{a=\"x\"} 5\nS c_created{a=\"y\"} 1\n"},
    {C "c_total{a=\"x\",b=\"y\"} 5\nc_created{a=\"x\"} 1\n",
     "F c counter\nS c_total{a=\"x\",b=\"y\"} 5\nS c_created{a=\"x\"} 1\n"},
    {C "d_total 5\nd_created 1\n", "F c counter\nS d_total 5\nS d_created 1\n"},
    {"c_total 5\nc_created 1\n", "S c_total 5\nS c_created 1\n"},
    {"# TYPE c gauge\nc 5\nc_created 1\n", "F c gauge\nS c 5\nS c_created 1\n"},
    {"# TYPE c gaugehistogram\nc_gcount 5\nc_created 1\n", "F c gaugehistogram\nS c_gcount 5\nS c_created 1\n"},
    /* not next to each other */
    {C "c_total{a=\"x\"} 5\nc_total{a=\"y\"} 6\nc_created{a=\"x\"} 1\nc_created{a=\"y\"} 2\n",
     "F c counter\nS c_total{a=\"x\"} 5\nS c_total{a=\"y\"} 6\nS c_created{a=\"x\"} 1\nS c_created{a=\"y\"} 2\n"},
    {C "c_total 5\n# TYPE d counter\nc_created 1\nd_total 3\n",
     "F c counter\nS c_total 5\nF d counter\nS c_created 1\nS d_total 3\n"},
    {C "c_total 5\nx 1\nc_created 1\n", "F c counter\nS c_total 5\nS x 1\nS c_created 1\n"},
    /* nothing that follows */
    {C "c_total 5\n", "F c counter\nS c_total 5\n"},
    {H "h_bucket{le=\"\\n\"} 1\nh_created 1\n", "F h histogram\nS h_bucket{le=\"\\n\"} 1\nS h_created 1\n"},
    {"# TYPE c counter\n{a=\"x\",\"c_total\"} 5\nc_created{a=\"x\"} 1\n",
     "F c counter\nS c_total{a=\"x\"} 5\nS c_created{a=\"x\"} 1\n"},
    /* no time */
    {C "c_total 5\nc_created NaN\n", "F c counter\nS c_total 5\nS c_created nan:7ff8000000000001\n"},
    {C "c_total 5\nc_created +Inf\n", "F c counter\nS c_total 5\nS c_created inf\n"},
    {C "c_total 5\nc_created -3\n", "F c counter\nS c_total 5\nS c_created -3\n"},
    {C "c_total 5\nc_created 0\n", "F c counter\nS c_total 5\nS c_created 0\n"},
    {C "c_total 5\nc_created 1e300\n", "F c counter\nS c_total 5\nS c_created 1.0000000000000001e+300\n"},
    /* a bad line between does no harm */
    {C "c_total 5\n!\nc_created 1\n",
     "F c counter\nM 3 column 1: expected a metric name, found '!' | !\nS c_total 5 since 1000\nS c_created 1\n"},
};

static void test_whatever_is_odd_loses_nothing_and_has_no_start_time(void **state)
{
    (void)state;
    rows_check(odd, ARRAY_LEN(odd));
}

static void test_created_series_are_left_out_when_asked_for(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {C "c_total 5\nc_created 1\nc_total{a=\"x\"} 6\nc_created{a=\"y\"} 2\n",
         "F c counter\nS c_total 5 since 1000\nS c_total{a=\"x\"} 6\n"},
        {"# TYPE c_created gauge\nc_created 1\n", "F c_created gauge\nS c_created 1\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        row_check(&rows[i], true);
}

/* More buckets than are held: all come through, without a start time. */
static void test_a_metric_larger_than_what_is_held_comes_through(void **state)
{
    (void)state;
    struct buf input = {0};
    const size_t buckets = 20000;
    assert_true(buf_puts(&input, H));
    for (size_t i = 0; i < buckets; i++)
        assert_true(buf_printf(&input, "h_bucket{a=\"x\",le=\"%zu\"} %zu\n", i, i));
    assert_true(buf_puts(&input, "h_created{a=\"x\"} 1\nh_count{a=\"y\"} 1\nh_created{a=\"y\"} 2\n# EOF\n"));
    size_t size = 60000;
    struct buf whole = transcript_of(EXPOSITION_OPENMETRICS, buf_view(&input), NULL, NULL);
    struct buf pieces = transcript_of(EXPOSITION_OPENMETRICS, buf_view(&input), piece_fixed, &size);
    assert_string_equal((char *)whole.p, (char *)pieces.p);
    size_t lines = 0;
    for (const char *p = (char *)whole.p; (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, buckets + 4);
    assert_null(strstr((char *)whole.p, "since 1000\n"));
    assert_non_null(strstr((char *)whole.p, "S h_count{a=\"y\"} 1 since 2000\n"));
    buf_free(&input);
    buf_free(&whole);
    buf_free(&pieces);
}

static void test_a_point_starts_before_its_time_or_at_none(void **state)
{
    (void)state;
    gcw_exemplar e[] = {{.time_ms = EXPOSITION_NO_TIME}, {.time_ms = 7}};
    struct exposition_sample s = {.start_ms = 1000, .value_bits = 5, .exemplars = e, .exemplar_count = 2};
    assert_int_equal(exposition_point(&s, 1001).start_ms, 1000);
    assert_int_equal(e[0].time_ms, 1001);
    assert_int_equal(e[1].time_ms, 7);
    assert_int_equal(exposition_point(&s, 1000).start_ms, 0);
    assert_int_equal(exposition_point(&s, -1).start_ms, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_created_is_the_start_time_of_the_samples_it_stands_with),
        cmocka_unit_test(test_whatever_is_odd_loses_nothing_and_has_no_start_time),
        cmocka_unit_test(test_created_series_are_left_out_when_asked_for),
        cmocka_unit_test(test_a_metric_larger_than_what_is_held_comes_through),
        cmocka_unit_test(test_a_point_starts_before_its_time_or_at_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
