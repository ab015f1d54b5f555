/* The delimited protobuf exposition against Prometheus' protobuf parser: what each type becomes, which histograms are
 * native, which exemplars count; any bytes, in pieces of any size. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "expo.h"
#include "transcript.h"

enum { COUNTER, GAUGE, SUMMARY, UNTYPED, HISTOGRAM, GAUGE_HISTOGRAM };

static size_t piece_fixed(void *size) { return *(size_t *)size; }

static struct buf read_all(struct view input, enum exposition_histograms histograms, size_t piece)
{
    const struct exposition_options o = {.format = EXPOSITION_PROTOBUF, .histograms = histograms};
    return transcript_with(&o, input, piece ? piece_fixed : NULL, &piece);
}

static void bytes_check(struct view input, enum exposition_histograms histograms, const char *want)
{
    for (size_t piece = 0; piece < 8; piece++) {
        struct buf got = read_all(input, histograms, piece);
        assert_string_equal((char *)got.p, want);
        buf_free(&got);
    }
}

/* Checks what has been built, and forgets it. */
static void built_check(struct buf *b, enum exposition_histograms histograms, const char *want)
{
    bytes_check(buf_view(b), histograms, want);
    buf_free(b);
}

/* ---- what messages are made of ------------------------------------------------------------------------------------
 */

typedef Gcw__Exposition__LabelPair pair;
typedef Gcw__Exposition__Exemplar exemplar;
typedef Gcw__Exposition__Timestamp timestamp;
typedef Gcw__Exposition__Histogram histogram;
typedef Gcw__Exposition__Bucket bucket;
typedef Gcw__Exposition__Span span;

#define PAIR(k, v)                                                                                                     \
    {                                                                                                                  \
        PROTOBUF_C_MESSAGE_INIT(&gcw__exposition__label_pair__descriptor), {strlen(k), (uint8_t *)(uintptr_t)(k)},     \
        {                                                                                                              \
            strlen(v), (uint8_t *)(uintptr_t)(v)                                                                       \
        }                                                                                                              \
    }
#define TIME(s, n)                                                                                                     \
    {                                                                                                                  \
        PROTOBUF_C_MESSAGE_INIT(&gcw__exposition__timestamp__descriptor), (s), (n)                                     \
    }
#define BUCKET(count, bound, exemplar, count_float)                                                                    \
    {                                                                                                                  \
        PROTOBUF_C_MESSAGE_INIT(&gcw__exposition__bucket__descriptor), (count), (bound), (exemplar), (count_float)     \
    }
#define SPAN(offset, length)                                                                                           \
    {                                                                                                                  \
        PROTOBUF_C_MESSAGE_INIT(&gcw__exposition__span__descriptor), (offset), (length)                                \
    }

/* One metric of one family. */
static void one(struct buf *b, const char *name, int type, expo_metric *m)
{
    expo_metric *list[] = {m};
    expo_family(b, name, "", "", type, list, 1);
}

static void histogram_one(struct buf *b, int type, histogram *h)
{
    expo_metric m = GCW__EXPOSITION__METRIC__INIT;
    m.histogram = h;
    one(b, "h", type, &m);
}

static exemplar exemplar_of(pair **label, double value, timestamp *t)
{
    exemplar e = GCW__EXPOSITION__EXEMPLAR__INIT;
    e.label = label;
    e.n_label = label ? 1 : 0;
    e.value = value;
    e.timestamp = t;
    return e;
}

/* ---- bytes --------------------------------------------------------------------------------------------------------
 */

#define V(bytes) view_make(bytes, sizeof(bytes) - 1)

/* By hand, from the field numbers of io.prometheus.client: a name, a type, and a metric. */
static void test_the_bytes_of_the_wire(void **state)
{
    (void)state;
    static const char one_and_a_half[] = "\x12\x0a\x01\x61\x18\x01\x22\x0b\x12\x09\x09\0\0\0\0\0\0\xf8\x3f";
    bytes_check(V(one_and_a_half), HISTOGRAMS_NATIVE, "F a gauge\nS a 1.5\n");
    static const char counter[] = "\x41"                             /* 65 bytes */
                                  "\x0a\x03\x63_t"                   /* name = 1 */
                                  "\x12\x02\x68i"                    /* help = 2 */
                                  "\x18\x00"                         /* type = 3 */
                                  "\x22\x2f"                         /* metric = 4 */
                                  "\x0a\x06\x0a\x01\x61\x12\x01\x62" /* label = 1 */
                                  "\x1a\x22"                         /* counter = 3 */
                                  "\x09\0\0\0\0\0\0\xf0\x3f"         /* value = 1 */
                                  "\x12\x11"                         /* exemplar = 2 */
                                  "\x0a\x04\x0a\x00\x12\x00"         /* label = 1, both texts empty */
                                  "\x11\0\0\0\0\0\0\x08\x40"         /* value = 2 */
                                  "\x1a\x00"                         /* timestamp = 3 */
                                  "\x1a\x04\x08\x05\x10\x00"         /* created = 3: seconds = 1, nanos = 2 */
                                  "\x30\xe8\x07"                     /* timestamp_ms = 6 */
                                  "\x2a\x03\x66oo";                  /* unit = 5 */
    assert_int_equal(sizeof counter - 2, 0x41);
    bytes_check(V(counter), HISTOGRAMS_NATIVE,
                "F c_t counter unit=foo help=hi\nS c_t{a=\"b\"} 1 @1000 since 5000 # {=\"\"} 3 @0\n");
}

/* ---- types --------------------------------------------------------------------------------------------------------
 */

static void test_numbers_keep_labels_times_and_metadata(void **state)
{
    (void)state;
    struct buf b = {0};
    pair x = PAIR("x", "quote \" \xc3\xa9"), y = PAIR("y.z", "");
    pair *labels[] = {&x, &y};
    Gcw__Exposition__Number five = GCW__EXPOSITION__NUMBER__INIT, nan_value = GCW__EXPOSITION__NUMBER__INIT;
    expo_metric m = GCW__EXPOSITION__METRIC__INIT, bare = GCW__EXPOSITION__METRIC__INIT;
    uint64_t bits = UINT64_C(0x7ff8000000000001);
    five.value = 5;
    memcpy(&nan_value.value, &bits, sizeof bits);
    m.label = labels;
    m.n_label = 2;
    m.gauge = m.untyped = &five;
    m.timestamp_ms = -7;
    bare.gauge = &nan_value;
    expo_metric *both[] = {&m, &bare};
    expo_family(&b, "g_seconds", "some\nhelp", "seconds", GAUGE, both, 2);
    one(&b, "u", UNTYPED, &m);
    expo_family(&b, "empty", "no metrics", "", GAUGE, NULL, 0); /* Prometheus passes over it */
    built_check(&b, HISTOGRAMS_NATIVE,
                "F g_seconds gauge unit=seconds help=some\\nhelp\n"
                "S g_seconds{x=\"quote \\\" \xc3\xa9\",y.z=\"\"} 5 @-7\nS g_seconds nan:7ff8000000000001\n"
                "F u unknown\nS u{x=\"quote \\\" \xc3\xa9\",y.z=\"\"} 5 @-7\n");
}

static void test_a_summary_is_count_sum_and_quantiles(void **state)
{
    (void)state;
    struct buf b = {0};
    Gcw__Exposition__Quantile half = GCW__EXPOSITION__QUANTILE__INIT, whole = GCW__EXPOSITION__QUANTILE__INIT;
    Gcw__Exposition__Quantile *quantiles[] = {&half, &whole};
    Gcw__Exposition__Summary s = GCW__EXPOSITION__SUMMARY__INIT;
    timestamp t = TIME(1700000000, 123999999);
    expo_metric m = GCW__EXPOSITION__METRIC__INIT;
    half.quantile = 0.5, half.value = 2;
    whole.quantile = 1, whole.value = NAN;
    s.count = 3, s.sum = 7.5;
    s.quantile = quantiles, s.n_quantile = 2;
    s.created = &t;
    m.summary = &s;
    one(&b, "s", SUMMARY, &m);
    s.n_quantile = 0;
    s.created = NULL;
    one(&b, "s", SUMMARY, &m);
    built_check(
        &b, HISTOGRAMS_NATIVE,
        "F s summary\nS s_count 3 since 1700000000123\nS s_sum 7.5 since 1700000000123\n"
        "S s{quantile=\"0.5\"} 2 since 1700000000123\nS s{quantile=\"1.0\"} nan:7ff8000000000000 since 1700000000123\n"
        "F s summary\nS s_count 3\nS s_sum 7.5\n");
}

#define CLASSIC "S h_count 9\nS h_sum 20\nS h_bucket{le=\"0.1\"} 2 # {t=\"u\"} 0.5\nS h_bucket{le=\"1e+06\"} 7\n"

static void test_classic_buckets_end_with_infinity(void **state)
{
    (void)state;
    struct buf b = {0};
    pair t = PAIR("t", "u");
    pair *label[] = {&t};
    exemplar e = exemplar_of(label, 0.5, NULL);
    bucket low = BUCKET(2, 0.1, &e, 0), high = BUCKET(7, 1e6, NULL, 0), inf = BUCKET(9, INFINITY, NULL, 0),
           more = BUCKET(1, 1e9, NULL, 0);
    bucket *buckets[] = {&low, &high, &inf, &more};
    histogram h = GCW__EXPOSITION__HISTOGRAM__INIT;
    h.count = 9, h.sum = 20;
    h.bucket = buckets, h.n_bucket = 2;
    histogram_one(&b, HISTOGRAM, &h);
    h.n_bucket = 4; /* what stands behind +Inf is not looked at */
    histogram_one(&b, HISTOGRAM, &h);
    h.n_bucket = 0;
    histogram_one(&b, GAUGE_HISTOGRAM, &h);
    built_check(&b, HISTOGRAMS_NATIVE,
                "F h histogram\n" CLASSIC "S h_bucket{le=\"+Inf\"} 9\nF h histogram\n" CLASSIC
                "S h_bucket{le=\"+Inf\"} 9\nF h gaugehistogram\nS h_count 9\nS h_sum 20\nS h_bucket{le=\"+Inf\"} 9\n");
    low.count_float = 2.5, h.count_float = 9.5;
    h.n_bucket = 1;
    histogram_one(&b, HISTOGRAM, &h);
    built_check(&b, HISTOGRAMS_NATIVE,
                "F h histogram\nS h_count 9.5\nS h_sum 20\nS h_bucket{le=\"0.1\"} 2.5 # {t=\"u\"} 0.5\n"
                "S h_bucket{le=\"+Inf\"} 9.5\n");
}

/* ---- native histograms --------------------------------------------------------------------------------------------
 */

/* Both kinds of buckets, an exemplar in a classic one, a start. */
struct both {
    pair t;
    pair *label[1];
    timestamp at, created;
    exemplar e;
    bucket low;
    bucket *buckets[1];
    span a, b, c;
    span *positive[2], *negative[1];
    int64_t up[3], down[1];
    histogram h;
};

static void both_make(struct both *k)
{
    *k = (struct both){.t = PAIR("t", "u"),
                       .at = TIME(9, 500000000),
                       .created = TIME(3, 0),
                       .a = SPAN(-2, 2),
                       .b = SPAN(3, 1),
                       .c = SPAN(0, 1),
                       .up = {3, -1, 5},
                       .down = {4},
                       .h = GCW__EXPOSITION__HISTOGRAM__INIT};
    k->label[0] = &k->t;
    k->e = exemplar_of(k->label, 0.5, &k->at);
    k->low = (bucket)BUCKET(2, 0.1, &k->e, 0);
    k->buckets[0] = &k->low;
    k->positive[0] = &k->a, k->positive[1] = &k->b, k->negative[0] = &k->c;
    k->h.count = 17, k->h.sum = 20;
    k->h.bucket = k->buckets, k->h.n_bucket = 1;
    k->h.created = &k->created;
    k->h.schema = 3, k->h.zero_threshold = 0.001, k->h.zero_count = 1;
    k->h.positive_span = k->positive, k->h.n_positive_span = 2;
    k->h.positive_delta = k->up, k->h.n_positive_delta = 3;
    k->h.negative_span = k->negative, k->h.n_negative_span = 1;
    k->h.negative_delta = k->down, k->h.n_negative_delta = 1;
}

#define NATIVE "S h [3 count=17 sum=20 zero=0.001:1 +-2+2 +3+1 3,2,7 -0+1 4] since 3000 # {t=\"u\"} 0.5 @9500\n"
#define BESIDE                                                                                                         \
    "S h_count 17 since 3000\nS h_sum 20 since 3000\nS h_bucket{le=\"0.1\"} 2 since 3000 # {t=\"u\"} "                 \
    "0.5 @9500\nS h_bucket{le=\"+Inf\"} 17 since 3000\n"

static void test_native_buckets_win_unless_both_or_none_are_asked_for(void **state)
{
    (void)state;
    struct both k;
    both_make(&k);
    struct buf b = {0};
    histogram_one(&b, HISTOGRAM, &k.h);
    bytes_check(buf_view(&b), HISTOGRAMS_NATIVE, "F h histogram\n" NATIVE);
    bytes_check(buf_view(&b), HISTOGRAMS_BOTH, "F h histogram\n" NATIVE BESIDE);
    built_check(&b, HISTOGRAMS_CLASSIC, "F h histogram\n" BESIDE);
    k.h.n_bucket = 0; /* nothing classic to be had */
    histogram_one(&b, HISTOGRAM, &k.h);
    built_check(&b, HISTOGRAMS_BOTH,
                "F h histogram\nS h [3 count=17 sum=20 zero=0.001:1 +-2+2 +3+1 3,2,7 -0+1 4] since 3000\n");
}

static void test_float_histograms_have_counts_of_their_own(void **state)
{
    (void)state;
    struct both k;
    both_make(&k);
    struct buf b = {0};
    double up[] = {1.5, 0, 2}, down[] = {0.25};
    k.h.count_float = 4, k.h.zero_count_float = 0.25;
    k.h.positive_count = up, k.h.n_positive_count = 3;
    k.h.negative_count = down, k.h.n_negative_count = 1;
    k.h.n_bucket = 0;
    histogram_one(&b, GAUGE_HISTOGRAM, &k.h);
    built_check(
        &b, HISTOGRAMS_NATIVE,
        "F h gaugehistogram\nS h [float 3 count=4 sum=20 zero=0.001:0.25 +-2+1 +4+1 1.5,2 -0+1 0.25 gauge] since "
        "3000\n");
}

static void test_what_makes_a_histogram_native(void **state)
{
    (void)state;
    static const char classic[] = "F h histogram\nS h_count 0\nS h_sum 0\nS h_bucket{le=\"+Inf\"} 0\n";
    span nothing = SPAN(0, 0);
    span *spans[] = {&nothing};
    histogram h = GCW__EXPOSITION__HISTOGRAM__INIT;
    struct buf b = {0};
    h.schema = 3;
    histogram_one(&b, HISTOGRAM, &h);
    built_check(&b, HISTOGRAMS_NATIVE, classic);
    h.zero_count_float = 1; /* as Prometheus has it: this one does not count */
    histogram_one(&b, HISTOGRAM, &h);
    built_check(&b, HISTOGRAMS_NATIVE, classic);
    h.zero_count_float = 0;
    h.positive_span = spans, h.n_positive_span = 1;
    histogram_one(&b, HISTOGRAM, &h);
    built_check(&b, HISTOGRAMS_NATIVE, "F h histogram\nS h [3 count=0 sum=0 zero=0:0]\n");
    h.n_positive_span = 0;
    h.zero_threshold = 1e-128;
    histogram_one(&b, HISTOGRAM, &h);
    built_check(&b, HISTOGRAMS_NATIVE, "F h histogram\nS h [3 count=0 sum=0 zero=1.0000000000000001e-128:0]\n");
}

static void test_exemplars_of_native_histograms_need_a_time(void **state)
{
    (void)state;
    struct both k;
    both_make(&k);
    struct buf b = {0};
    timestamp late = TIME(20, 0), early = TIME(10, 999999999), far = TIME(INT64_MAX, 0);
    exemplar no_time = exemplar_of(k.label, 1, NULL), second = exemplar_of(k.label, 2, &late),
             first = exemplar_of(NULL, 3, &early), lost = exemplar_of(k.label, 4, &far);
    exemplar *own[] = {&no_time, &second, &first, &lost};
    k.h.exemplars = own, k.h.n_exemplars = 4;
    histogram_one(&b, HISTOGRAM, &k.h);
    built_check(&b, HISTOGRAMS_NATIVE,
                "F h histogram\nS h [3 count=17 sum=20 zero=0.001:1 +-2+2 +3+1 3,2,7 -0+1 4] since 3000 #  3 @10999 # "
                "{t=\"u\"} "
                "2 @20000\n");
    k.h.n_exemplars = 0;
    k.e.timestamp = NULL; /* the bucket's: good for the bucket, not for the histogram */
    histogram_one(&b, HISTOGRAM, &k.h);
    built_check(&b, HISTOGRAMS_BOTH,
                "F h histogram\nS h [3 count=17 sum=20 zero=0.001:1 +-2+2 +3+1 3,2,7 -0+1 4] since 3000\n"
                "S h_count 17 since 3000\nS h_sum 20 since 3000\nS h_bucket{le=\"0.1\"} 2 since 3000 # {t=\"u\"} "
                "0.5\nS h_bucket{le=\"+Inf\"} 17 since 3000\n");
}

/* ---- chance -------------------------------------------------------------------------------------------------------
 */

static uint64_t random_state;
static uint64_t random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}
static uint32_t below(uint32_t n) { return (uint32_t)(random_u64() >> 16) % n; }

static void seed_take(void)
{
    const char *given = getenv("GCW_TEST_SEED");
    random_state = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) * 2654435761u | 1;
    printf("GCW_TEST_SEED=%" PRIu64 "\n", random_state);
}

#define INDEXES 120

/* A histogram as counts by index, written with spans of any kind: empty ones, ones that touch, empty buckets in them.
 */
struct any {
    uint64_t count[INDEXES];
    int32_t from;
    span span[2 * INDEXES];
    span *spans[2 * INDEXES];
    int64_t delta[INDEXES];
    size_t span_count, delta_count;
};

static void any_make(struct any *a)
{
    int64_t before = 0;
    int32_t gap = a->from = (int32_t)below(200) - 100;
    a->span_count = a->delta_count = 0;
    for (size_t i = 0; i < INDEXES; i++) {
        a->count[i] = below(3) ? 0 : random_u64() >> (20 + below(40));
        if (a->count[i] == 0 && below(4)) {
            gap++;
            continue;
        }
        bool begin = a->span_count == 0 || gap > 0 || below(5) == 0;
        if (begin && below(4) == 0) {
            a->span[a->span_count++] = (span)SPAN(gap, 0);
            gap = 0;
        }
        if (begin)
            a->span[a->span_count++] = (span)SPAN(gap, 0);
        gap = 0;
        a->span[a->span_count - 1].length++;
        a->delta[a->delta_count++] = (int64_t)a->count[i] - before;
        before = (int64_t)a->count[i];
    }
    for (size_t i = 0; i < a->span_count; i++)
        a->spans[i] = &a->span[i];
}

struct seen {
    uint64_t count[INDEXES];
    int32_t from;
    size_t histograms;
};

static void seen_sample(void *user, const struct exposition_sample *s)
{
    struct seen *seen = user;
    const gcw_buckets *p = &s->histogram->positive;
    int64_t index = 0;
    size_t k = 0;
    for (size_t i = 0; i < p->span_count; i++) {
        assert_true(p->spans[i].length > 0 && (i == 0 || p->spans[i].offset > 0));
        index += p->spans[i].offset;
        for (uint32_t n = 0; n < p->spans[i].length; n++, index++) {
            assert_true(p->counts[k] > 0);
            assert_in_range(index - seen->from, 0, INDEXES - 1);
            seen->count[index - seen->from] = p->counts[k++];
        }
    }
    assert_int_equal(k, p->count);
    seen->histograms++;
}

static void test_buckets_keep_their_place_and_count_however_the_spans_are_cut(void **state)
{
    (void)state;
    seed_take();
    for (int round = 0; round < 500; round++) {
        static struct any a;
        struct seen seen = {0};
        struct buf b = {0};
        histogram h = GCW__EXPOSITION__HISTOGRAM__INIT;
        any_make(&a);
        seen.from = a.from;
        h.zero_threshold = 1;
        h.positive_span = a.spans, h.n_positive_span = a.span_count;
        h.positive_delta = a.delta, h.n_positive_delta = a.delta_count;
        histogram_one(&b, HISTOGRAM, &h);
        const struct exposition_options o = {.format = EXPOSITION_PROTOBUF};
        const struct exposition_handler handler = {&seen, seen_sample, NULL, NULL};
        struct exposition *e = exposition_new(&o, &handler);
        assert_non_null(e);
        assert_int_equal(exposition_feed(e, (char *)b.p, b.n), GCW_OK);
        assert_int_equal(exposition_end(e), GCW_OK);
        assert_int_equal(seen.histograms, 1);
        assert_memory_equal(seen.count, a.count, sizeof a.count);
        exposition_free(e);
        buf_free(&b);
    }
}

/* ---- what is wrong ------------------------------------------------------------------------------------------------
 */

static void test_bad_metrics_are_named_and_the_rest_is_read(void **state)
{
    (void)state;
    pair empty = PAIR("", "v"), bad_name = PAIR("\xff", "v"), bad_value = PAIR("l", "\xff"),
         name = PAIR("__name__", "v");
    pair *lists[][1] = {{&empty}, {&bad_name}, {&bad_value}, {&name}};
    static const char *const why[] = {"an empty label name", "a label name is not valid UTF-8",
                                      "the value of label l is not valid UTF-8", "__name__ among the labels"};
    Gcw__Exposition__Number five = GCW__EXPOSITION__NUMBER__INIT;
    expo_metric good = GCW__EXPOSITION__METRIC__INIT, bad = GCW__EXPOSITION__METRIC__INIT,
                none = GCW__EXPOSITION__METRIC__INIT;
    struct buf b = {0};
    char want[512];
    good.gauge = bad.gauge = &five;
    five.value = 5;
    for (size_t i = 0; i < ARRAY_LEN(why); i++) {
        expo_metric *metrics[] = {&good, &bad, &good};
        bad.label = lists[i];
        bad.n_label = 1;
        expo_family(&b, "first", "", "", GAUGE, metrics, 1);
        expo_family(&b, "g", "", "", GAUGE, metrics, 3);
        snprintf(want, sizeof want, "F first gauge\nS first 5\nF g gauge\nS g 5\nM 2 metric 2: %s | g\nS g 5\n",
                 why[i]);
        built_check(&b, HISTOGRAMS_NATIVE, want);
    }
    one(&b, "c", COUNTER, &none);
    one(&b, "", GAUGE, &good);
    one(&b, "a\xff", GAUGE, &good);
    one(&b, "t", 6, &good);
    one(&b, "g", GAUGE, &good);
    built_check(
        &b, HISTOGRAMS_NATIVE,
        "F c counter\nM 1 metric 1: no counter in it | c\nM 2 a family without a name | \n"
        "M 3 the name is not valid UTF-8, or has a NUL in it | a\xff\nM 4 unknown type 6 | t\nF g gauge\nS g 5\n");
}

static void test_histograms_whose_parts_contradict_each_other_are_named(void **state)
{
    (void)state;
#define BAD(why) "F h histogram\nM 1 metric 1: a native histogram: " why " | h\n"
    struct both k;
    struct buf b = {0};
    both_make(&k);
    k.h.n_positive_delta = 2;
    histogram_one(&b, HISTOGRAM, &k.h);
    built_check(&b, HISTOGRAMS_NATIVE, BAD("the spans' lengths do not add up to the number of buckets"));
    both_make(&k);
    k.a.length = UINT32_MAX;
    histogram_one(&b, HISTOGRAM, &k.h);
    built_check(&b, HISTOGRAMS_NATIVE, BAD("the spans' lengths do not add up to the number of buckets"));
    both_make(&k);
    k.up[1] = -4;
    histogram_one(&b, HISTOGRAM, &k.h);
    built_check(&b, HISTOGRAMS_NATIVE, BAD("a bucket's count is negative or too large"));
    k.up[1] = INT64_MAX;
    histogram_one(&b, HISTOGRAM, &k.h);
    built_check(&b, HISTOGRAMS_NATIVE, BAD("a bucket's count is negative or too large"));
    both_make(&k);
    k.b.offset = -1;
    histogram_one(&b, HISTOGRAM, &k.h);
    built_check(&b, HISTOGRAMS_NATIVE, BAD("a span behind the first has a negative offset"));
    both_make(&k);
    k.a.offset = 0, k.b.offset = INT32_MAX;
    k.up[0] = 0, k.up[1] = 0;
    k.a.length = 2;
    histogram_one(&b, HISTOGRAM, &k.h);
    built_check(&b, HISTOGRAMS_NATIVE, BAD("its buckets lie too far apart"));
}

static void test_messages_that_are_cut_off_or_broken_are_named(void **state)
{
    (void)state;
    struct both k;
    struct buf b = {0};
    both_make(&k);
    histogram_one(&b, HISTOGRAM, &k.h);
    assert_true(exposition_messages_whole(buf_view(&b)) && exposition_messages_whole(view_make(NULL, 0)));
    for (size_t n = 1; n < b.n; n++) {
        assert_false(exposition_messages_whole(view_make((char *)b.p, n)));
        struct buf got = read_all(view_make((char *)b.p, n), HISTOGRAMS_NATIVE, 3);
        assert_string_equal((char *)got.p, "M 1 the input ends inside this message: it may be cut off | \n");
        buf_free(&got);
    }
    b.p[0]--; /* a byte less than there are: what is behind is another message, which is cut off */
    struct buf got = read_all(buf_view(&b), HISTOGRAMS_NATIVE, 0);
    assert_non_null(strstr((char *)got.p, "M 1 no valid protobuf message MetricFamily | \n"));
    buf_free(&got);
    b.n = 0;
    static const char lost[] = "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f";
    assert_true(buf_append(&b, lost, sizeof lost - 1) && buf_puts(&b, "and so on"));
    built_check(&b, HISTOGRAMS_NATIVE,
                "M 1 where a message's length should be stands something else: the rest is not read | \n");
    bytes_check(V("\0\0\x03\x0a\x01"
                  "a"),
                HISTOGRAMS_NATIVE, "");
}

static void test_a_message_past_64_mib_is_passed_over(void **state)
{
    (void)state;
    struct buf b = {0};
    Gcw__Exposition__Number five = GCW__EXPOSITION__NUMBER__INIT;
    expo_metric m = GCW__EXPOSITION__METRIC__INIT;
    const size_t n = 64 * MIB + 1;
    m.gauge = &five;
    one(&b, "a", GAUGE, &m);
    expo_varint(&b, n);
    assert_true(buf_reserve(&b, n));
    memset(b.p + b.n, 0, n);
    b.n += n;
    one(&b, "b", GAUGE, &m);
    struct buf got = read_all(buf_view(&b), HISTOGRAMS_NATIVE, 1000000);
    assert_string_equal((char *)got.p, "F a gauge\nS a 0\nM 2 longer than 64 MiB | \nF b gauge\nS b 0\n");
    buf_free(&got);
    buf_free(&b);
}

/* Two bytes a bucket on the wire, many more in memory. */
static void test_a_message_that_grows_when_unpacked_is_bounded(void **state)
{
    (void)state;
    struct buf inner = {0}, metric = {0}, b = {0};
    const size_t buckets = 16 * MIB;
    assert_true(buf_reserve(&inner, 2 * buckets));
    for (size_t i = 0; i < buckets; i++) {
        inner.p[inner.n++] = 0x1a;
        inner.p[inner.n++] = 0;
    }
    assert_true(buf_puts(&metric, "\x3a")); /* histogram */
    expo_varint(&metric, inner.n);
    assert_true(buf_append(&metric, inner.p, inner.n));
    struct buf family = {0};
    assert_true(buf_puts(&family, "\x0a\x01h\x18\x04\x22"));
    expo_varint(&family, metric.n);
    assert_true(buf_append(&family, metric.p, metric.n));
    expo_varint(&b, family.n);
    assert_true(buf_append(&b, family.p, family.n));
    struct buf got = read_all(buf_view(&b), HISTOGRAMS_NATIVE, 0);
    assert_string_equal((char *)got.p, "F h histogram\nM 1 metric 1: too large when unpacked | h\n");
    buf_free(&got);
    buf_free(&inner);
    buf_free(&metric);
    buf_free(&family);
    buf_free(&b);
}

/* Good messages with a few bytes changed: nothing but words, and the same in pieces. */
static void test_changed_bytes_harm_nothing(void **state)
{
    (void)state;
    struct both k;
    struct buf b = {0};
    both_make(&k);
    histogram_one(&b, HISTOGRAM, &k.h);
    histogram_one(&b, GAUGE_HISTOGRAM, &k.h);
    seed_take();
    for (int round = 0; round < 3000; round++) {
        struct buf copy = {0};
        assert_true(buf_append(&copy, b.p, b.n));
        for (uint32_t n = 1 + below(3); n > 0; n--)
            copy.p[below((uint32_t)copy.n)] = (uint8_t)random_u64();
        struct buf whole = read_all(buf_view(&copy), HISTOGRAMS_BOTH, 0);
        struct buf pieces = read_all(buf_view(&copy), HISTOGRAMS_BOTH, 1 + below(20));
        assert_string_equal((char *)whole.p, (char *)pieces.p);
        buf_free(&whole);
        buf_free(&pieces);
        buf_free(&copy);
    }
    buf_free(&b);
}

static void key_sample(void *user, const struct exposition_sample *s)
{
    struct buf *seen = user;
    assert_true(buf_append(seen, s->series.p, s->series.n) && buf_puts(seen, "|"));
}

static void test_series_have_keys_that_tell_them_apart(void **state)
{
    (void)state;
    pair plain = PAIR("a", "x\",b=\"y"), a = PAIR("a", "x"), c = PAIR("b", "y");
    pair *tricky[] = {&plain}, *two[] = {&a, &c};
    Gcw__Exposition__Summary s = GCW__EXPOSITION__SUMMARY__INIT;
    Gcw__Exposition__Quantile q = GCW__EXPOSITION__QUANTILE__INIT;
    Gcw__Exposition__Quantile *quantiles[] = {&q};
    expo_metric m = GCW__EXPOSITION__METRIC__INIT, n = GCW__EXPOSITION__METRIC__INIT;
    struct buf b = {0}, seen = {0};
    s.quantile = quantiles, s.n_quantile = 1;
    m.summary = n.summary = &s;
    m.label = tricky, m.n_label = 1;
    n.label = two, n.n_label = 2;
    one(&b, "s", SUMMARY, &m);
    one(&b, "s", SUMMARY, &n);
    const struct exposition_options o = {.format = EXPOSITION_PROTOBUF};
    const struct exposition_handler handler = {&seen, key_sample, NULL, NULL};
    struct exposition *e = exposition_new(&o, &handler);
    assert_non_null(e);
    assert_int_equal(exposition_feed(e, (char *)b.p, b.n), GCW_OK);
    assert_true(buf_cstr(&seen));
    assert_string_equal(
        (char *)seen.p,
        "s_count{a=\"x\\\",b=\\\"y\"}|s_sum{a=\"x\\\",b=\\\"y\"}|s{a=\"x\\\",b=\\\"y\",quantile=\"0.0\"}|"
        "s_count{a=\"x\",b=\"y\"}|s_sum{a=\"x\",b=\"y\"}|s{a=\"x\",b=\"y\",quantile=\"0.0\"}|");
    exposition_free(e);
    buf_free(&b);
    buf_free(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_bytes_of_the_wire),
        cmocka_unit_test(test_numbers_keep_labels_times_and_metadata),
        cmocka_unit_test(test_a_summary_is_count_sum_and_quantiles),
        cmocka_unit_test(test_classic_buckets_end_with_infinity),
        cmocka_unit_test(test_native_buckets_win_unless_both_or_none_are_asked_for),
        cmocka_unit_test(test_float_histograms_have_counts_of_their_own),
        cmocka_unit_test(test_what_makes_a_histogram_native),
        cmocka_unit_test(test_exemplars_of_native_histograms_need_a_time),
        cmocka_unit_test(test_buckets_keep_their_place_and_count_however_the_spans_are_cut),
        cmocka_unit_test(test_bad_metrics_are_named_and_the_rest_is_read),
        cmocka_unit_test(test_histograms_whose_parts_contradict_each_other_are_named),
        cmocka_unit_test(test_messages_that_are_cut_off_or_broken_are_named),
        cmocka_unit_test(test_a_message_past_64_mib_is_passed_over),
        cmocka_unit_test(test_a_message_that_grows_when_unpacked_is_bounded),
        cmocka_unit_test(test_changed_bytes_harm_nothing),
        cmocka_unit_test(test_series_have_keys_that_tell_them_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
