/* Native histograms, exemplars and start times: byte for byte where the facts are known, and random ones there and
 * back, in remote write 2.0, in parts, and in 1.0. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <snappy-c.h>

#include "../../support/random.h"
#include "remote1.pb-c.h"
#include "remote2.pb-c.h"
#include "seal.h"

#define T INT64_C(1700000000000)

/* ---- making -------------------------------------------------------------------------------------------------------
 */

static void block_make(struct buf *out, const gcw_label *labels, size_t n)
{
    const struct label_rules rules = {GCW_METRICS, LABELS_REJECT, 1024, 2048, 64, NULL, 0};
    struct label_scratch s = {0};
    bool changed;
    out->n = 0;
    assert_int_equal(labels_block(&rules, labels, n, &s, &changed, NULL), GCW_OK);
    assert_true(buf_append(out, s.block.p, s.block.n));
    label_scratch_free(&s);
}

static void exemplar_add(struct buf *packed, const char *name, const char *value, double v, int64_t time_ms)
{
    /* Label { name, value } as labels = 1 */
    struct buf block = {0};
    size_t a = strlen(name), b = strlen(value);
    const uint8_t head[] = {0x0a, (uint8_t)(4 + a + b), 0x0a, (uint8_t)a}, middle[] = {0x12, (uint8_t)b};
    assert_true(buf_append(&block, head, 4) && buf_append(&block, name, a) && buf_append(&block, middle, 2) &&
                buf_append(&block, value, b));
    struct exemplar e = {0, time_ms, buf_view(&block)};
    memcpy(&e.value_bits, &v, 8);
    assert_true(exemplar_pack(packed, &e));
    buf_free(&block);
}

static void assert_hex(const struct buf *b, const char *hex)
{
    struct buf want = {0};
    for (const char *p = hex; *p; p += 2) {
        char byte[3] = {p[0], p[1], 0};
        uint8_t v = (uint8_t)strtoul(byte, NULL, 16);
        assert_true(buf_append(&want, &v, 1));
    }
    assert_int_equal(b->n, want.n);
    assert_memory_equal(b->p, want.p, want.n);
    buf_free(&want);
}

/* The request in a buffer of its own. */
static bool request_end(struct rw2 *e, struct buf *raw, uint32_t *families)
{
    const struct buf *whole = rw2_end(e, families);
    raw->n = 0;
    return whole && buf_append(raw, whole->p, whole->n);
}

static void request_of_one(struct buf *raw, const gcw_label *labels, size_t n, struct families *families,
                           const struct point *p)
{
    struct rw2 *e = rw2_new(NULL);
    struct buf block = {0};
    uint32_t described;
    block_make(&block, labels, n);
    assert_true(rw2_begin(e, families, NULL) && rw2_series_block(e, buf_view(&block)) && rw2_point(e, p) &&
                request_end(e, raw, &described));
    buf_free(&block);
    rw2_free(e);
}

/* ---- vectors ------------------------------------------------------------------------------------------------------
 */

/* A counter with start time, exemplar, metadata. The order of symbols is free: ours names labels, then help, then the
 * exemplar's. */
static void test_counter_with_start_time_exemplar_and_metadata(void **unused)
{
    (void)unused;
    const gcw_label labels[] = {GCW_LABEL("__name__", "http_requests_total"), GCW_LABEL("job", "a")};
    struct families *families = families_new(1);
    struct buf raw = {0}, exemplars = {0};
    struct point p = {.time_ms = T, .start_ms = T - 3600000};
    double v = 42;
    memcpy(&p.value_bits, &v, 8);
    families_update(families, NULL, GCW_TYPE_COUNTER, view_of("http_requests_total"), view_of("Total."), view_of(""),
                    1);
    exemplar_add(&exemplars, "trace_id", "abc", 2.5, T - 1000);
    p.exemplars = buf_view(&exemplars);
    request_of_one(&raw, labels, 2, families, &p);
    assert_hex(&raw, "2200"
                     "2206546f74616c2e"                                               /* 1 Total. */
                     "22085f5f6e616d655f5f2213687474705f72657175657374735f746f74616c" /* 2, 3 */
                     "22036a6f6222016122"                                             /* 4 job, 5 a */
                     "0874726163655f69642203616263"                                   /* 6, 7 */
                     "2a3b0a0402030405"
                     "12170900000000000045401080d095ffbc311880f3b9fdbc31"
                     "22140a0206071100000000000004401898c895ffbc31"
                     "2a0408011801");
    buf_free(&raw);
    buf_free(&exemplars);
    families_free(families);
}

static void histogram_of(struct buf *fields, struct buf *bounds, const gcw_histogram *h, struct point *p)
{
    assert_null(histogram_check(h));
    fields->n = bounds->n = 0;
    assert_true(histogram_put(fields, h) && histogram_bounds_put(bounds, h));
    p->histogram = buf_view(fields);
    p->bounds = buf_view(bounds);
}

static void test_integer_histogram(void **unused)
{
    (void)unused;
    const gcw_label labels[] = {GCW_LABEL("__name__", "lat")};
    const gcw_span spans[] = {{-1, 2}, {3, 1}};
    const uint64_t counts[] = {2, 1, 3};
    const gcw_histogram h = {
        .schema = 3, .count = 6, .sum = 18.4, .zero_threshold = 0.001, .positive = {spans, 2, counts, NULL, 3}};
    struct families *families = families_new(1);
    struct buf raw = {0}, fields = {0}, bounds = {0};
    struct point p = {.time_ms = T};
    families_update(families, NULL, GCW_TYPE_HISTOGRAM, view_of("lat"), view_of(""), view_of(""), 1);
    histogram_of(&fields, &bounds, &h, &p);
    request_of_one(&raw, labels, 1, families, &p);
    assert_hex(&raw, "220022085f5f6e616d655f5f22036c6174"
                     "2a3a0a020102"
                     "1a300806196666666666663240200629fca9f1d24d62503f3000"
                     "5a04080110025a0408061001"
                     "6203040104"
                     "7880d095ffbc31"
                     "2a020803");
    buf_free(&raw);
    buf_free(&fields);
    buf_free(&bounds);
    families_free(families);
}

static void test_custom_buckets(void **unused)
{
    (void)unused;
    const gcw_label labels[] = {GCW_LABEL("__name__", "lat")};
    const gcw_span spans[] = {{0, 3}};
    const uint64_t counts[] = {1, 2, 2};
    const double custom[] = {1, 2};
    const gcw_histogram h = {.schema = GCW_CUSTOM_BUCKETS,
                             .count = 5,
                             .sum = 9.5,
                             .positive = {spans, 1, counts, NULL, 3},
                             .custom_bounds = custom,
                             .custom_bound_count = 2};
    struct families *families = families_new(1);
    struct buf raw = {0}, fields = {0}, bounds = {0};
    struct point p = {.time_ms = T};
    families_update(families, NULL, GCW_TYPE_HISTOGRAM, view_of("lat"), view_of(""), view_of(""), 1);
    histogram_of(&fields, &bounds, &h, &p);
    request_of_one(&raw, labels, 1, families, &p);
    assert_hex(&raw, "220022085f5f6e616d655f5f22036c6174"
                     "2a3c0a020102"
                     "1a320805190000000000002340206930005a0210036203020200"
                     "7880d095ffbc31820110000000000000f03f0000000000000040"
                     "2a020803");
    buf_free(&raw);
    buf_free(&fields);
    buf_free(&bounds);
    families_free(families);
}

/* ---- what is refused ----------------------------------------------------------------------------------------------
 */

static void test_histograms_that_contradict_themselves_are_refused(void **unused)
{
    (void)unused;
    static const gcw_span two[] = {{0, 2}}, back[] = {{0, 1}, {-1, 1}}, low[] = {{-1, 2}}, four[] = {{0, 4}};
    static const uint64_t counts[] = {1, 2, 3, 4};
    static const double floats[] = {1, -2}, falling[] = {2, 1}, unbound[] = {1, INFINITY};
    const gcw_buckets good = {two, 1, counts, NULL, 2};
    const struct {
        const char *words;
        gcw_histogram h;
    } rows[] = {
        {NULL, {.schema = 0, .count = 3, .positive = good}},
        {NULL, {.schema = 0, .count = 4, .sum = NAN, .positive = good}},
        {NULL, {.schema = 8, .count = 7, .zero_count = 1, .positive = good, .negative = good}},
        {"add up to the count", {.schema = 0, .count = 4, .positive = good}},
        {"schema", {.schema = 9, .count = 3, .positive = good}},
        {"schema", {.schema = -5, .count = 3, .positive = good}},
        {"negative offset", {.schema = 0, .count = 3, .positive = {back, 2, counts, NULL, 2}}},
        {"spans", {.schema = 0, .count = 3, .positive = {two, 1, counts, NULL, 3}}},
        {"pointer", {.schema = 0, .count = 3, .positive = {two, 1, NULL, NULL, 2}}},
        {"negative", {.schema = 0, .is_float = true, .positive = {two, 1, NULL, floats, 2}}},
        {"rising", {.schema = -53, .count = 3, .positive = good, .custom_bounds = falling, .custom_bound_count = 2}},
        {"rising", {.schema = -53, .count = 3, .positive = good, .custom_bounds = unbound, .custom_bound_count = 2}},
        {"below the first",
         {.schema = -53,
          .count = 3,
          .positive = {low, 1, counts, NULL, 2},
          .custom_bounds = floats,
          .custom_bound_count = 1}},
        {"past the last",
         {.schema = -53,
          .count = 10,
          .positive = {four, 1, counts, NULL, 4},
          .custom_bounds = floats,
          .custom_bound_count = 1}},
        {"zero bucket",
         {.schema = -53,
          .count = 4,
          .zero_count = 1,
          .positive = good,
          .custom_bounds = floats,
          .custom_bound_count = 1}},
        {"zero bucket",
         {.schema = -53,
          .count = 3,
          .zero_threshold = 0.5,
          .positive = good,
          .custom_bounds = floats,
          .custom_bound_count = 1}},
        {"custom bounds with",
         {.schema = 1, .count = 3, .positive = good, .custom_bounds = floats, .custom_bound_count = 1}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *why = histogram_check(&rows[i].h);
        if (!why != !rows[i].words || (why && !strstr(why, rows[i].words)))
            fail_msg("%zu: %s", i, why ? why : "fine");
    }
}

/* ---- random ones --------------------------------------------------------------------------------------------------
 */

#define SPANS   4
#define BUCKETS 24

struct made {
    gcw_histogram h;
    bool is_histogram, custom;
    gcw_span spans[2][SPANS];
    uint64_t counts[2][BUCKETS];
    double floats[2][BUCKETS], custom_bounds[BUCKETS];
    struct buf block, fields, bounds, exemplars;
    unsigned exemplar_count;
    struct point point;
};

static void side_make(struct made *m, int side)
{
    gcw_buckets b = {m->spans[side], 0, m->counts[side], m->floats[side], 0};
    for (uint32_t n = below(SPANS + 1); n > 0; n--) {
        m->spans[side][b.span_count] =
            (gcw_span){b.span_count || m->custom ? (int32_t)below(3) : (int32_t)below(9) - 4, 1 + below(5)};
        b.count += m->spans[side][b.span_count++].length;
    }
    for (size_t i = 0; i < b.count; i++) {
        m->counts[side][i] = below(5) ? below(1000) : (uint64_t)below(1u << 30) << 20;
        m->floats[side][i] = (double)below(100000) / 7;
        m->h.count += m->counts[side][i];
        m->h.count_float += m->floats[side][i];
    }
    *(side ? &m->h.negative : &m->h.positive) = b;
}

static void custom_make(struct made *m)
{
    m->h.schema = GCW_CUSTOM_BUCKETS;
    m->h.custom_bounds = m->custom_bounds;
    m->h.custom_bound_count = BUCKETS + 2 * SPANS;
    static double bounds[BUCKETS + 2 * SPANS];
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
        bounds[i] = (double)i * 1.5 - 3;
    m->h.custom_bounds = bounds;
}

static void made_make(struct made *m, uint32_t number)
{
    char name[24];
    double v = (double)below(1000) / 3;
    *m = (struct made){.is_histogram = below(2), .point = {.time_ms = T + number}};
    snprintf(name, sizeof name, "m%u", number % 9);
    block_make(&m->block, (const gcw_label[]){GCW_LABEL("__name__", name), GCW_LABEL("job", "x")}, 2);
    m->point.start_ms = below(2) ? T - 1000 : 0;
    memcpy(&m->point.value_bits, &v, 8);
    if (m->is_histogram) {
        m->custom = below(3) == 0;
        m->h.schema = (int)below(13) - 4;
        m->h.is_float = below(2);
        m->h.reset_hint = (gcw_reset_hint)below(4);
        m->h.sum = below(4) ? v : -0.0;
        if (m->custom)
            custom_make(m);
        else
            m->h.zero_count = below(10), m->h.zero_threshold = below(2) ? 1e-9 : 0;
        m->h.zero_count_float = m->h.is_float && !m->custom ? 2.5 : 0;
        m->h.count = m->h.zero_count;
        side_make(m, 0);
        if (!m->custom)
            side_make(m, 1);
        histogram_of(&m->fields, &m->bounds, &m->h, &m->point);
        m->point.value_bits = 0;
    }
    m->exemplar_count = below(4) ? 0 : 1 + below(3);
    for (unsigned i = 0; i < m->exemplar_count; i++)
        exemplar_add(&m->exemplars, i ? "span_id" : "trace_id", name, v + i, T - i - 1);
    m->point.exemplars = buf_view(&m->exemplars);
}

static void made_free(struct made *m)
{
    buf_free(&m->block);
    buf_free(&m->fields);
    buf_free(&m->bounds);
    buf_free(&m->exemplars);
}

static void check_side(const struct made *m, const gcw_buckets *want, size_t spans, Gcw__Rw2__BucketSpan **got,
                       size_t deltas, const int64_t *delta, size_t counts, const double *count)
{
    int64_t sum = 0;
    assert_int_equal(spans, want->span_count);
    for (size_t i = 0; i < spans; i++) {
        assert_int_equal(got[i]->offset, want->spans[i].offset);
        assert_int_equal(got[i]->length, want->spans[i].length);
    }
    assert_int_equal(deltas, m->h.is_float ? 0 : want->count);
    assert_int_equal(counts, m->h.is_float ? want->count : 0);
    for (size_t i = 0; i < deltas; i++)
        assert_true((uint64_t)(sum += delta[i]) == want->counts[i]);
    for (size_t i = 0; i < counts; i++)
        assert_memory_equal(&count[i], &want->float_counts[i], 8);
}

static void check_histogram(const struct made *m, const Gcw__Rw2__Histogram *h, int version)
{
    assert_int_equal(h->schema, m->h.schema);
    assert_int_equal(h->reset_hint, m->h.reset_hint);
    assert_memory_equal(&h->sum, &m->h.sum, 8);
    assert_memory_equal(&h->zero_threshold, &m->h.zero_threshold, 8);
    assert_true(h->timestamp == m->point.time_ms);
    assert_true(h->start_timestamp == (version == 2 ? m->point.start_ms : 0));
    if (m->h.is_float) {
        assert_int_equal(h->count_case, GCW__RW2__HISTOGRAM__COUNT_COUNT_FLOAT);
        assert_int_equal(h->zero_count_case, GCW__RW2__HISTOGRAM__ZERO_COUNT_ZERO_COUNT_FLOAT);
        assert_memory_equal(&h->count_float, &m->h.count_float, 8);
        assert_memory_equal(&h->zero_count_float, &m->h.zero_count_float, 8);
    } else {
        assert_int_equal(h->count_case, GCW__RW2__HISTOGRAM__COUNT_COUNT_INT);
        assert_int_equal(h->zero_count_case, GCW__RW2__HISTOGRAM__ZERO_COUNT_ZERO_COUNT_INT);
        assert_true(h->count_int == m->h.count && h->zero_count_int == m->h.zero_count);
    }
    check_side(m, &m->h.positive, h->n_positive_spans, h->positive_spans, h->n_positive_deltas, h->positive_deltas,
               h->n_positive_counts, h->positive_counts);
    check_side(m, &m->h.negative, h->n_negative_spans, h->negative_spans, h->n_negative_deltas, h->negative_deltas,
               h->n_negative_counts, h->negative_counts);
    assert_int_equal(h->n_custom_values, m->h.custom_bound_count);
    for (size_t i = 0; i < h->n_custom_values; i++)
        assert_memory_equal(&h->custom_values[i], &m->h.custom_bounds[i], 8);
}

static void check_2(const struct buf *raw, const struct made *made, uint32_t n)
{
    Gcw__Rw2__Request *r = gcw__rw2__request__unpack(NULL, raw->n, raw->p);
    assert_non_null(r);
    assert_int_equal(r->n_timeseries, n);
    for (uint32_t i = 0; i < n; i++) {
        const Gcw__Rw2__TimeSeries *t = r->timeseries[i];
        const struct made *m = &made[i];
        assert_int_equal(t->n_samples, !m->is_histogram);
        assert_int_equal(t->n_histograms, m->is_histogram);
        assert_int_equal(t->n_exemplars, m->exemplar_count);
        if (m->is_histogram) {
            check_histogram(m, t->histograms[0], 2);
        } else {
            assert_memory_equal(&t->samples[0]->value, &m->point.value_bits, 8);
            assert_true(t->samples[0]->timestamp == m->point.time_ms);
            assert_true(t->samples[0]->start_timestamp == m->point.start_ms);
        }
        struct view rest = m->point.exemplars;
        struct exemplar e;
        for (size_t k = 0; exemplar_next(&rest, &e); k++) {
            const Gcw__Rw2__Exemplar *x = t->exemplars[k];
            struct view name, value;
            assert_true(block_next(&e.block, &name, &value));
            assert_int_equal(x->n_labels_refs, 2);
            assert_true(view_is(name, r->symbols[x->labels_refs[0]]) && view_is(value, r->symbols[x->labels_refs[1]]));
            assert_memory_equal(&x->value, &e.value_bits, 8);
            assert_true(x->timestamp == e.time_ms);
        }
    }
    gcw__rw2__request__free_unpacked(r, NULL);
}

/* `made` that can be said in 1.0, in order. */
static void check_1(const struct buf *raw, const struct made *made, uint32_t n, bool histograms, bool exemplars)
{
    Gcw__Rw1__WriteRequest *r = gcw__rw1__write_request__unpack(NULL, raw->n, raw->p);
    size_t at = 0;
    assert_non_null(r);
    for (uint32_t i = 0; i < n; i++) {
        const struct made *m = &made[i];
        if (m->is_histogram && (m->custom || !histograms))
            continue;
        assert_true(at < r->n_timeseries);
        const Gcw__Rw1__TimeSeries *t = r->timeseries[at++];
        assert_int_equal(t->n_labels, 2);
        assert_int_equal(t->n_samples, !m->is_histogram);
        assert_int_equal(t->n_histograms, m->is_histogram);
        assert_int_equal(t->n_exemplars, exemplars ? m->exemplar_count : 0);
        if (m->is_histogram)
            check_histogram(m, t->histograms[0], 1);
        else
            assert_true(t->samples[0]->timestamp == m->point.time_ms);
        struct view rest = m->point.exemplars;
        struct exemplar e;
        for (size_t k = 0; k < t->n_exemplars && exemplar_next(&rest, &e); k++) {
            assert_memory_equal(&t->exemplars[k]->value, &e.value_bits, 8);
            assert_true(t->exemplars[k]->timestamp == e.time_ms);
            assert_int_equal(t->exemplars[k]->n_labels, 1);
        }
    }
    assert_int_equal(at, r->n_timeseries);
    gcw__rw1__write_request__free_unpacked(r, NULL);
}

#define RECORDS 80

static void parts_check(const struct sealed *s, const struct made *made, uint32_t n, enum protocol protocol,
                        bool histograms, bool exemplars)
{
    for (uint32_t from = 0; from < n;) {
        uint32_t most = 1 + below(30);
        struct part cut = {.from = from,
                           .count = MIN(most, n - from),
                           .protocol = protocol,
                           .no_histograms = !histograms,
                           .no_exemplars = !exemplars};
        struct sealed *part = sealed_part(s, &cut);
        uint32_t unsaid = 0;
        for (uint32_t i = from; i < from + cut.count && protocol == PROTOCOL_RW1; i++)
            unsaid += made[i].is_histogram && (made[i].custom || !histograms);
        assert_false(cut.broken);
        assert_int_equal(cut.unsaid, unsaid);
        assert_true(!part == (unsaid == cut.count));
        if (part) {
            struct buf bytes = unseal(part);
            assert_int_equal(part->records, cut.count - unsaid);
            if (protocol == PROTOCOL_RW2)
                check_2(&bytes, made + from, cut.count);
            else
                check_1(&bytes, made + from, cut.count, histograms, exemplars);
            buf_free(&bytes);
        }
        sealed_free(part);
        from += cut.count;
    }
}

static void test_random_points_come_back_whole_in_parts_and_in_1(void **unused)
{
    (void)unused;
    static struct made made[RECORDS];
    struct rw2 *e = rw2_new(NULL);
    for (int round = 0; round < 40; round++) {
        struct buf raw = {0};
        uint32_t n = 1 + below(RECORDS), described;
        assert_true(rw2_begin(e, NULL, NULL));
        for (uint32_t i = 0; i < n; i++) {
            made_make(&made[i], i);
            assert_true(rw2_series_block(e, buf_view(&made[i].block)) && rw2_point(e, &made[i].point));
        }
        assert_true(request_end(e, &raw, &described));
        check_2(&raw, made, n);
        struct sealed *s = seal(PROTOCOL_RW2, ENCODING_SNAPPY, &raw, n);
        parts_check(s, made, n, PROTOCOL_RW2, true, true);
        parts_check(s, made, n, PROTOCOL_RW1, true, true);
        parts_check(s, made, n, PROTOCOL_RW1, false, true);
        parts_check(s, made, n, PROTOCOL_RW1, true, false);
        sealed_free(s);
        buf_free(&raw);
        for (uint32_t i = 0; i < n; i++)
            made_free(&made[i]);
    }
    rw2_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counter_with_start_time_exemplar_and_metadata),
        cmocka_unit_test(test_integer_histogram),
        cmocka_unit_test(test_custom_buckets),
        cmocka_unit_test(test_histograms_that_contradict_themselves_are_refused),
        cmocka_unit_test(test_random_points_come_back_whole_in_parts_and_in_1),
    };
    return cmocka_run_group_tests_name("codec: histograms, exemplars, start times", tests, NULL, NULL);
}
