/* Remote write 2.0: what goes in comes out, read by the generated decoder; parts and the same in 1.0 lose nothing. */
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

/* ---- series -------------------------------------------------------------------------------------------------------
 */

#define SERIES 400

struct bench {
    struct guard *guard;
    struct intern_table *table;
    struct symbols *symbols;
    struct families *families;
    struct interned *series[SERIES];
    struct buf block[SERIES];
    struct rw2 *rw2;
    int owner;
};

/* Labels of every kind: few and many, one letter and thousands, the name not always first. */
static void labels_random(struct buf *block, uint32_t number)
{
    const struct label_rules rules = {GCW_METRICS, LABELS_SANITISE, 1024, 4096, 64, NULL, 0};
    struct label_scratch s = {0};
    char name[40], text[40][2][3000];
    gcw_label labels[40];
    bool changed;
    size_t n = 1 + below(number % 7 == 0 ? 38 : 8);
    snprintf(name, sizeof name, "m%u_total", number % 50);
    labels[0] = (gcw_label)GCW_LABEL("__name__", name);
    for (size_t i = 1; i < n; i++) {
        snprintf(text[i][0], sizeof text[i][0], "%c%zu", below(3) ? 'l' : 'A', i);
        int length = below(40) == 0 ? 100 + (int)below(2000) : 1 + (int)below(6);
        memset(text[i][1], 'a' + (int)below(26), (size_t)length);
        text[i][1][length] = 0;
        labels[i] = (gcw_label)GCW_LABEL(text[i][0], text[i][1]);
    }
    assert_int_equal(labels_block(&rules, labels, n, &s, &changed, NULL), GCW_OK);
    assert_true(buf_append(block, s.block.p, s.block.n));
    label_scratch_free(&s);
}

static void bench_open(struct bench *b)
{
    *b = (struct bench){.guard = guard_new(1000000, UINT64_MAX), .families = families_new(1)};
    b->table = intern_table_new(b->guard, 7, NULL);
    b->symbols = intern_table_symbols(b->table);
    b->rw2 = rw2_new(b->symbols);
    for (uint32_t i = 0; i < SERIES; i++) {
        gcw_status status;
        labels_random(&b->block[i], i);
        b->series[i] = intern_acquire(b->table, &b->owner, buf_view(&b->block[i]), &status);
        assert_non_null(b->series[i]);
    }
}

static void bench_close(struct bench *b)
{
    rw2_free(b->rw2);
    for (uint32_t i = 0; i < SERIES; i++)
        buf_free(&b->block[i]);
    intern_table_free(b->table);
    families_free(b->families);
    guard_free(b->guard);
}

/* ---- a request, and what it must hold -----------------------------------------------------------------------------
 */

struct want {
    struct buf block;
    uint64_t bits;
    int64_t time_ms, start_ms;
};

static uint64_t bits_random(void)
{
    static const uint64_t some[] = {0, UINT64_C(1) << 63, GCW_STALE_BITS, UINT64_C(0x7ff8000000000001),
                                    UINT64_C(0x7ff0000000000000)};
    return below(3) ? random_u64() : some[below(ARRAY_LEN(some))];
}

static int64_t time_random(void)
{
    static const int64_t some[] = {0, 1, -1, INT64_MIN, INT64_MAX, INT64_C(1700000000000)};
    return below(3) ? INT64_C(1700000000000) + below(100000) : some[below(ARRAY_LEN(some))];
}

static void want_make(const struct bench *b, struct want *w, struct interned **series)
{
    *w = (struct want){.bits = bits_random(), .time_ms = time_random(), .start_ms = below(3) ? 0 : time_random()};
    uint32_t k = below(SERIES);
    *series = below(4) ? b->series[k] : NULL;
    if (*series)
        assert_true(buf_append(&w->block, b->block[k].p, b->block[k].n));
    else
        labels_random(&w->block, below(100000));
}

/* The request in a buffer of its own. */
static bool request_end(struct rw2 *e, struct buf *raw, uint32_t *families)
{
    const struct buf *whole = rw2_end(e, families);
    raw->n = 0;
    return whole && buf_append(raw, whole->p, whole->n);
}

static void request_make(struct bench *b, struct want *want, uint32_t n, struct buf *raw, uint32_t *families)
{
    assert_true(rw2_begin(b->rw2, b->families, &b->owner));
    for (uint32_t i = 0; i < n; i++) {
        struct interned *series;
        want_make(b, &want[i], &series);
        assert_true(series ? rw2_series(b->rw2, series) : rw2_series_block(b->rw2, buf_view(&want[i].block)));
        const struct point p = {.value_bits = want[i].bits, .time_ms = want[i].time_ms, .start_ms = want[i].start_ms};
        assert_true(p.start_ms ? rw2_point(b->rw2, &p) : rw2_sample(b->rw2, p.value_bits, p.time_ms));
    }
    assert_true(request_end(b->rw2, raw, families));
}

static void wants_free(struct want *want, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        buf_free(&want[i].block);
}

static uint64_t bits_of(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits;
}

/* Every symbol once, the empty one first, none that nothing refers to. */
static void check_symbols(const Gcw__Rw2__Request *r)
{
    bool *used = calloc(r->n_symbols, sizeof *used);
    assert_true(r->n_symbols > 0 && *r->symbols[0] == 0);
    used[0] = true;
    for (size_t i = 0; i < r->n_timeseries; i++) {
        const Gcw__Rw2__TimeSeries *t = r->timeseries[i];
        for (size_t k = 0; k < t->n_labels_refs; k++) {
            assert_true(t->labels_refs[k] < r->n_symbols);
            used[t->labels_refs[k]] = true;
        }
        if (t->metadata) {
            assert_true(t->metadata->help_ref < r->n_symbols && t->metadata->unit_ref < r->n_symbols);
            used[t->metadata->help_ref] = used[t->metadata->unit_ref] = true;
        }
    }
    for (size_t i = 0; i < r->n_symbols; i++) {
        assert_true(used[i]);
        for (size_t k = 0; k < i && i < 500; k++)
            assert_string_not_equal(r->symbols[i], r->symbols[k]);
    }
    free(used);
}

static void check_labels(const Gcw__Rw2__Request *r, const Gcw__Rw2__TimeSeries *t, struct view block)
{
    struct view name, value;
    size_t k = 0;
    for (; block_next(&block, &name, &value); k += 2) {
        assert_true(k + 1 < t->n_labels_refs);
        assert_true(view_is(name, r->symbols[t->labels_refs[k]]));
        assert_true(view_is(value, r->symbols[t->labels_refs[k + 1]]));
    }
    assert_int_equal(k, t->n_labels_refs);
}

static void check_request(const struct buf *raw, const struct want *want, uint32_t n)
{
    Gcw__Rw2__Request *r = gcw__rw2__request__unpack(NULL, raw->n, raw->p);
    assert_non_null(r);
    assert_int_equal(r->n_timeseries, n);
    check_symbols(r);
    for (uint32_t i = 0; i < n; i++) {
        const Gcw__Rw2__TimeSeries *t = r->timeseries[i];
        assert_int_equal(t->n_samples, 1);
        assert_int_equal(t->n_histograms + t->n_exemplars, 0);
        check_labels(r, t, buf_view(&want[i].block));
        assert_true(bits_of(t->samples[0]->value) == want[i].bits);
        assert_true(t->samples[0]->timestamp == want[i].time_ms);
        assert_true(t->samples[0]->start_timestamp == want[i].start_ms);
    }
    gcw__rw2__request__free_unpacked(r, NULL);
}

static void test_random_requests_come_back(void **unused)
{
    (void)unused;
    struct bench b;
    bench_open(&b);
    for (int round = 0; round < 60; round++) {
        struct want want[300];
        struct buf raw = {0};
        uint32_t n = 1 + below(300), families;
        request_make(&b, want, n, &raw, &families);
        check_request(&raw, want, n);
        wants_free(want, n);
        buf_free(&raw);
    }
    bench_close(&b);
}

/* Fact of the wire: a receiver of 1.0 finds nothing in a 2.0 body, and no garbage either. */
static void test_read_as_1_a_request_is_empty(void **unused)
{
    (void)unused;
    struct bench b;
    struct want want[20];
    struct buf raw = {0};
    uint32_t families;
    bench_open(&b);
    request_make(&b, want, 20, &raw, &families);
    Gcw__Rw1__WriteRequest *r = gcw__rw1__write_request__unpack(NULL, raw.n, raw.p);
    assert_non_null(r);
    assert_int_equal(r->n_timeseries + r->n_metadata, 0);
    gcw__rw1__write_request__free_unpacked(r, NULL);
    wants_free(want, 20);
    buf_free(&raw);
    bench_close(&b);
}

static void test_series_that_were_forgotten_leave_no_text_behind(void **unused)
{
    (void)unused;
    struct bench b;
    struct buf raw = {0};
    uint32_t families;
    bench_open(&b);
    for (int round = 0; round < 40; round++) { /* texts by the ten thousand, each used once */
        struct interned *one[2500];
        struct buf block[2500] = {0};
        for (uint32_t i = 0; i < 5000; i++) {
            struct label_scratch s = {0};
            const struct label_rules rules = {GCW_METRICS, LABELS_SANITISE, 1024, 4096, 64, NULL, 0};
            char id[24];
            bool changed;
            gcw_status status;
            snprintf(id, sizeof id, "%016llx", (unsigned long long)random_u64());
            const gcw_label in[] = {GCW_LABEL("__name__", "m"), GCW_LABEL("id", id)};
            assert_int_equal(labels_block(&rules, in, 2, &s, &changed, NULL), GCW_OK);
            if (i % 2)
                assert_non_null(one[i / 2] = intern_acquire(b.table, &b.owner, buf_view(&s.block), &status));
            else
                assert_true(buf_append(&block[i / 2], s.block.p, s.block.n));
            label_scratch_free(&s);
        }
        assert_true(rw2_begin(b.rw2, NULL, NULL));
        for (uint32_t i = 0; i < 2500; i++) {
            assert_true(rw2_series(b.rw2, one[i]) && rw2_sample(b.rw2, i, i));
            assert_true(rw2_series_block(b.rw2, buf_view(&block[i])) && rw2_sample(b.rw2, i, i));
        }
        assert_true(request_end(b.rw2, &raw, &families));
        for (uint32_t i = 0; i < 2500; i++) {
            assert_true(intern_release(b.table, one[i]));
            assert_true(intern_reap(b.table, one[i]));
            intern_destroy(b.symbols, one[i]);
            buf_free(&block[i]);
        }
    }
    assert_true(rw2_memory(b.rw2) < 8 * MIB);
    assert_true(b.symbols->idle_bytes < 8 * MIB);
    buf_free(&raw);
    bench_close(&b);
}

/* ---- metadata -----------------------------------------------------------------------------------------------------
 */

static void describe(struct bench *b)
{
    families_update(b->families, &b->owner, GCW_TYPE_COUNTER, view_of("m1_total"), view_of("Help of one."), view_of(""),
                    1);
    families_update(b->families, &b->owner, GCW_TYPE_COUNTER, view_of("m2"), view_of("Help of two."), view_of("s"), 1);
    families_update(b->families, &b->owner, GCW_TYPE_HISTOGRAM, view_of("m3"), view_of("no counter"), view_of(""), 1);
    families_update(b->families, NULL, GCW_TYPE_GAUGE, view_of("m4_total"), view_of("another's"), view_of(""), 1);
}

static void test_metadata_goes_with_every_series_of_a_family(void **unused)
{
    (void)unused;
    static const struct {
        int type;
        const char *help, *unit;
    } known[] = {{0, "", ""}, {1, "Help of one.", ""}, {1, "Help of two.", "s"}, {0, "", ""}, {0, "", ""}};
    struct bench b;
    struct buf raw = {0};
    uint32_t families;
    bench_open(&b);
    describe(&b);
    for (int round = 0; round < 2; round++) {
        assert_true(rw2_begin(b.rw2, b.families, &b.owner));
        for (uint32_t i = 0; i < 200; i++)
            assert_true(rw2_series(b.rw2, b.series[i]) && rw2_sample(b.rw2, i, i));
        assert_true(request_end(b.rw2, &raw, &families));
        assert_int_equal(families, round == 0 ? 2 : 0); /* counted when they are new */
        Gcw__Rw2__Request *r = gcw__rw2__request__unpack(NULL, raw.n, raw.p);
        check_symbols(r);
        for (uint32_t i = 0; i < 200; i++) {
            const Gcw__Rw2__Metadata *m = r->timeseries[i]->metadata;
            uint32_t k = i % 50 < ARRAY_LEN(known) ? i % 50 : 0;
            assert_int_equal(m ? m->type : 0, known[k].type);
            assert_string_equal(m ? r->symbols[m->help_ref] : "", known[k].help);
            assert_string_equal(m ? r->symbols[m->unit_ref] : "", known[k].unit);
        }
        gcw__rw2__request__free_unpacked(r, NULL);
    }
    buf_free(&raw);
    bench_close(&b);
}

/* ---- parts, and 1.0 -----------------------------------------------------------------------------------------------
 */

static void test_parts_hold_every_record_once_and_their_own_symbols(void **unused)
{
    (void)unused;
    struct bench b;
    bench_open(&b);
    describe(&b);
    for (int round = 0; round < 20; round++) {
        struct want want[200];
        struct buf raw = {0};
        uint32_t n = 1 + below(200), families;
        request_make(&b, want, n, &raw, &families);
        struct sealed *s = seal(PROTOCOL_RW2, ENCODING_SNAPPY, &raw, n);
        for (uint32_t from = 0; from < n;) {
            uint32_t most = 1 + below(40);
            struct part cut = {.from = from, .count = MIN(most, n - from), .protocol = PROTOCOL_RW2};
            struct sealed *part = sealed_part(s, &cut);
            assert_non_null(part);
            assert_int_equal(part->records, cut.count);
            assert_int_equal(part->protocol, PROTOCOL_RW2);
            struct buf bytes = unseal(part);
            check_request(&bytes, want + from, cut.count);
            from += cut.count;
            buf_free(&bytes);
            sealed_free(part);
        }
        sealed_free(s);
        wants_free(want, n);
        buf_free(&raw);
    }
    bench_close(&b);
}

/* The same records in 1.0 as if they had been written so at once. */
static void check_as_1(const struct buf *raw, const struct want *want, uint32_t n)
{
    struct buf expected = {0};
    for (uint32_t i = 0; i < n; i++) {
        assert_true(buf_reserve(&expected, want[i].block.n + 64));
        rw1_sample_put(&expected, buf_view(&want[i].block), want[i].bits, want[i].time_ms);
    }
    assert_true(raw->n >= expected.n);
    assert_memory_equal(raw->p, expected.p, expected.n); /* metadata may follow */
    buf_free(&expected);
}

static void test_in_1_the_records_are_the_same(void **unused)
{
    (void)unused;
    struct bench b;
    bench_open(&b);
    describe(&b);
    for (int round = 0; round < 30; round++) {
        struct want want[300];
        struct buf raw = {0};
        uint32_t n = 1 + below(300), families;
        request_make(&b, want, n, &raw, &families);
        struct sealed *s = seal(PROTOCOL_RW2, ENCODING_SNAPPY, &raw, n);
        for (uint32_t from = 0; from < n;) {
            struct part cut = {.from = from, .count = n - from, .protocol = PROTOCOL_RW1};
            struct sealed *part = sealed_part(s, &cut);
            assert_non_null(part);
            assert_int_equal(cut.unsaid, 0);
            assert_true(cut.count > 0 && part->records == cut.count);
            assert_true(part->raw_len <= MAX(s->raw_len, 128 * KIB) + 64 * KIB);
            assert_int_equal(part->protocol, PROTOCOL_RW1);
            struct buf bytes = unseal(part);
            Gcw__Rw1__WriteRequest *r = gcw__rw1__write_request__unpack(NULL, bytes.n, bytes.p);
            assert_non_null(r);
            assert_int_equal(r->n_timeseries, cut.count);
            assert_int_equal(r->n_metadata, part->metadata);
            gcw__rw1__write_request__free_unpacked(r, NULL);
            check_as_1(&bytes, want + from, cut.count);
            from += cut.count;
            buf_free(&bytes);
            sealed_free(part);
        }
        sealed_free(s);
        wants_free(want, n);
        buf_free(&raw);
    }
    bench_close(&b);
}

static void test_in_1_each_family_is_described_once(void **unused)
{
    (void)unused;
    struct bench b;
    struct buf raw = {0};
    uint32_t families;
    bench_open(&b);
    describe(&b);
    assert_true(rw2_begin(b.rw2, b.families, &b.owner));
    for (uint32_t i = 0; i < 200; i++)
        assert_true(rw2_series(b.rw2, b.series[i]) && rw2_sample(b.rw2, i, i));
    assert_true(request_end(b.rw2, &raw, &families));
    struct sealed *s = seal(PROTOCOL_RW2, ENCODING_SNAPPY, &raw, 200);
    struct part cut = {.count = 200, .protocol = PROTOCOL_RW1};
    struct sealed *part = sealed_part(s, &cut);
    struct buf bytes = unseal(part);
    Gcw__Rw1__WriteRequest *r = gcw__rw1__write_request__unpack(NULL, bytes.n, bytes.p);
    assert_int_equal(r->n_metadata, 2);
    assert_string_equal(r->metadata[0]->metric_family_name, "m1_total");
    assert_string_equal(r->metadata[0]->help, "Help of one.");
    assert_string_equal(r->metadata[1]->metric_family_name, "m2_total");
    assert_string_equal(r->metadata[1]->unit, "s");
    assert_int_equal(r->metadata[1]->type, 1);
    gcw__rw1__write_request__free_unpacked(r, NULL);
    buf_free(&bytes);
    sealed_free(part);
    sealed_free(s);
    buf_free(&raw);
    bench_close(&b);
}

/* Whatever a body on disk has become: told as broken, or read as something; never out of bounds. */
static void test_damaged_bodies_are_told_or_read(void **unused)
{
    (void)unused;
    struct bench b;
    struct want want[30];
    struct buf raw = {0};
    uint32_t families, broken = 0;
    bench_open(&b);
    describe(&b);
    request_make(&b, want, 30, &raw, &families);
    for (int round = 0; round < 4000; round++) {
        struct buf bad = {0};
        assert_true(buf_append(&bad, raw.p, round % 3 ? raw.n : below((uint32_t)raw.n) + 1));
        for (uint32_t flips = 1 + below(3); flips > 0; flips--)
            bad.p[below((uint32_t)bad.n)] ^= (uint8_t)(1u << below(8));
        struct sealed *s = seal(PROTOCOL_RW2, ENCODING_SNAPPY, &bad, 30);
        struct part cut = {.from = below(29), .count = 1, .protocol = round % 2 ? PROTOCOL_RW1 : PROTOCOL_RW2};
        struct sealed *part = sealed_part(s, &cut);
        broken += cut.broken;
        sealed_free(part);
        sealed_free(s);
        buf_free(&bad);
    }
    assert_true(broken > 1000);
    wants_free(want, 30);
    buf_free(&raw);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_requests_come_back),
        cmocka_unit_test(test_read_as_1_a_request_is_empty),
        cmocka_unit_test(test_series_that_were_forgotten_leave_no_text_behind),
        cmocka_unit_test(test_metadata_goes_with_every_series_of_a_family),
        cmocka_unit_test(test_parts_hold_every_record_once_and_their_own_symbols),
        cmocka_unit_test(test_in_1_the_records_are_the_same),
        cmocka_unit_test(test_in_1_each_family_is_described_once),
        cmocka_unit_test(test_damaged_bodies_are_told_or_read),
    };
    return cmocka_run_group_tests_name("codec: remote write 2.0", tests, NULL, NULL);
}
