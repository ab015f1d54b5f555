/* Loki's protobuf form: golden bytes, what a decoder of others reads back, parts of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <snappy-c.h>

#include "logproto.pb-c.h"
#include "seal.h"

/* The records [from, from + count) of a request, in its own protocol. */
static struct sealed *slice(const struct sealed *s, uint32_t from, uint32_t count, bool *broken)
{
    struct part part = {.from = from, .count = count, .protocol = s->protocol};
    struct sealed *out = sealed_part(s, &part);
    *broken = part.broken;
    return out;
}

static struct view block_of(struct label_scratch *s, const gcw_label *labels, size_t n)
{
    const struct label_rules rules = {GCW_LOGS, LABELS_SANITISE, 1024, 2048, 100, NULL, 0};
    bool changed;
    assert_int_equal(labels_block(&rules, labels, n, s, &changed, NULL), GCW_OK);
    return buf_view(&s->block);
}

static struct view metadata_of(struct label_scratch *s, const gcw_label *pairs, size_t n)
{
    bool changed;
    assert_int_equal(metadata_block(LABELS_SANITISE, NULL, pairs, n, s, &changed, NULL), GCW_OK);
    return buf_view(&s->block);
}

static const gcw_label a_b[] = {GCW_LABEL("a", "b")};

/* What the bytes are in Loki's own schema: grafana/loki pkg/push/push.proto. */
static void test_one_entry_has_the_golden_bytes(void **state)
{
    (void)state;
    static const char golden[] = "\x0a\x29\x0a\x07{a=\"b\"}\x12\x1e\x0a\x08\x08\x80\xe2\xcf\xaa\x06\x10\x05\x12\x02hi"
                                 "\x1a\x0e\x0a\x08trace_id\x12\x02"
                                 "ab";
    const gcw_label pair[] = {GCW_LABEL("trace_id", "ab")};
    struct label_scratch s = {0}, m = {0};
    struct buf out = {0};
    size_t at;
    assert_true(loki_proto_stream(&out, block_of(&s, a_b, 1), &at));
    assert_true(
        loki_proto_entry(&out, INT64_C(1700000000000000005), view_of("hi"), metadata_of(&m, pair, ARRAY_LEN(pair))));
    assert_true(loki_proto_stream_end(&out, at));
    assert_int_equal(out.n, 43);
    assert_int_equal(out.n, sizeof golden - 1);
    assert_memory_equal(out.p, golden, out.n);
    label_scratch_free(&s);
    label_scratch_free(&m);
    buf_free(&out);
}

static Gcw__Loki__PushRequest *read_back(const struct buf *out)
{
    Gcw__Loki__PushRequest *r = gcw__loki__push_request__unpack(NULL, out->n, out->p);
    assert_non_null(r);
    return r;
}

static void test_labels_are_text_with_escapes(void **state)
{
    (void)state;
    const gcw_label labels[] = {GCW_LABEL("path", "C:\\x"), GCW_LABEL("q", "say \"hi\"\n"),
                                GCW_LABEL("u", "\xc3\xa9\xef\xbf\xbd!"), GCW_LABEL("bad", "\xff")};
    struct label_scratch s = {0};
    struct buf out = {0};
    size_t at;
    assert_true(loki_proto_stream(&out, block_of(&s, labels, ARRAY_LEN(labels)), &at) &&
                loki_proto_entry(&out, 1, view_of(""), view_of("")) && loki_proto_stream_end(&out, at));
    Gcw__Loki__PushRequest *r = read_back(&out);
    assert_string_equal(r->streams[0]->labels,
                        "{bad=\"?\", path=\"C:\\\\x\", q=\"say \\\"hi\\\"\\n\", u=\"\xc3\xa9?!\"}");
    gcw__loki__push_request__free_unpacked(r, NULL);
    label_scratch_free(&s);
    buf_free(&out);
}

static void test_times_before_and_after_1970_have_nanos_that_count_up(void **state)
{
    (void)state;
    static const struct {
        int64_t ns, seconds;
        int32_t nanos;
    } rows[] = {
        {0, 0, 0},
        {1, 0, 1},
        {-1, -1, 999999999},
        {-1000000000, -1, 0},
        {-1000000001, -2, 999999999},
        {INT64_MAX, 9223372036, 854775807},
        {INT64_MIN, -9223372037, 145224192},
        {INT64_C(1700000000123456789), 1700000000, 123456789},
    };
    struct label_scratch s = {0};
    struct buf out = {0};
    size_t at;
    assert_true(loki_proto_stream(&out, block_of(&s, a_b, 1), &at));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(loki_proto_entry(&out, rows[i].ns, view_of("x"), view_of("")));
    assert_true(loki_proto_stream_end(&out, at));
    Gcw__Loki__PushRequest *r = read_back(&out);
    assert_int_equal(r->streams[0]->n_entries, ARRAY_LEN(rows));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(r->streams[0]->entries[i]->timestamp->seconds, rows[i].seconds);
        assert_int_equal(r->streams[0]->entries[i]->timestamp->nanos, rows[i].nanos);
    }
    gcw__loki__push_request__free_unpacked(r, NULL);
    label_scratch_free(&s);
    buf_free(&out);
}

/* ---- anything, there and back ----------------------------------------------------------------------------------- */

static uint64_t random_state;
static uint32_t rnd(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(random_state >> 33) % below;
}

/* Bytes without NUL, as protobuf-c hands out C strings; one in `odd` is any byte, 0 = all ASCII. */
static size_t random_text(char *out, size_t max, uint32_t odd)
{
    size_t n = rnd((uint32_t)max + 1);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(!odd || rnd(odd) ? 0x20 + rnd(0x5f) : 1 + rnd(255));
    return n;
}

static void mended(struct buf *out, struct view v)
{
    out->n = 0;
    assert_true(buf_reserve(out, 3 * v.n + 1));
    out->n = utf8_mend((char *)out->p, v.p, v.n);
    assert_int_equal(out->n, utf8_mended_size(v.p, v.n));
    assert_true(utf8_valid((char *)out->p, out->n));
    assert_true(buf_cstr(out));
}

struct made {
    char line[5000];
    size_t len, pairs;
    int64_t time;
    char value[3][40];
};

static void put_made(struct buf *out, struct made *e, struct label_scratch *m)
{
    static const char *const names[] = {"one", "two", "three"};
    gcw_label pairs[3];
    e->len = random_text(e->line, rnd(4) ? 60 : sizeof e->line - 1, rnd(3) ? 1000 : 4);
    e->time = (int64_t)rnd(1u << 30) * 1000000007 * (rnd(9) ? 1 : -1);
    e->pairs = rnd(4);
    for (size_t i = 0; i < e->pairs; i++) {
        size_t n = 1 + random_text(e->value[i] + 1, sizeof e->value[i] - 2, 0);
        e->value[i][0] = 'v';
        e->value[i][n] = 0;
        pairs[i] = (gcw_label){names[i], strlen(names[i]), e->value[i], n};
    }
    assert_true(loki_proto_entry(out, e->time, view_make(e->line, e->len), metadata_of(m, pairs, e->pairs)));
}

static void check_made(const Gcw__Loki__Entry *got, const struct made *want, struct buf *text)
{
    mended(text, view_make(want->line, want->len));
    assert_string_equal(got->line, (char *)text->p);
    assert_int_equal(got->timestamp->seconds * 1000000000 + got->timestamp->nanos, want->time);
    assert_int_equal(got->n_structured_metadata, want->pairs);
    for (size_t i = 0; i < want->pairs; i++)
        assert_string_equal(got->structured_metadata[i]->value, want->value[i]);
}

#define MADE 40

static void test_any_entries_are_read_back_as_they_were(void **state)
{
    (void)state;
    static struct made made[MADE];
    struct label_scratch s = {0}, m = {0};
    struct buf out = {0}, text = {0};
    uint64_t seed = (uint64_t)clock_unix_ns();
    print_message("seed %llu\n", (unsigned long long)seed);
    random_state = seed;
    for (int round = 0; round < 200; round++) {
        size_t streams = 1 + rnd(3), n = 0, first[4] = {0}, at;
        out.n = 0;
        for (size_t k = 0; k < streams; k++) {
            char id[8];
            snprintf(id, sizeof id, "%zu", k);
            const gcw_label labels[] = {{"id", 2, id, strlen(id)}};
            assert_true(loki_proto_stream(&out, block_of(&s, labels, 1), &at));
            for (size_t entries = rnd(MADE / 3); entries > 0; entries--)
                put_made(&out, &made[n++], &m);
            assert_true(loki_proto_stream_end(&out, at));
            first[k + 1] = n;
        }
        Gcw__Loki__PushRequest *r = read_back(&out);
        assert_int_equal(r->n_streams, streams);
        for (size_t k = 0; k < streams; k++) {
            assert_int_equal(r->streams[k]->n_entries, first[k + 1] - first[k]);
            for (size_t i = first[k]; i < first[k + 1]; i++)
                check_made(r->streams[k]->entries[i - first[k]], &made[i], &text);
        }
        gcw__loki__push_request__free_unpacked(r, NULL);
    }
    label_scratch_free(&s);
    label_scratch_free(&m);
    buf_free(&out);
    buf_free(&text);
}

/* ---- parts ------------------------------------------------------------------------------------------------------ */

static Gcw__Loki__PushRequest *read_sealed(const struct sealed *s)
{
    struct buf raw = unseal(s);
    Gcw__Loki__PushRequest *r = read_back(&raw);
    buf_free(&raw);
    return r;
}

/* Line k is "k", in the stream k / 7, which says so. */
static void build(struct buf *raw, uint32_t lines, struct label_scratch *s)
{
    size_t at = 0;
    for (uint32_t k = 0; k < lines; k++) {
        char id[16], line[16];
        snprintf(id, sizeof id, "%u", k / 7);
        snprintf(line, sizeof line, "%u", k);
        const gcw_label labels[] = {{"id", 2, id, strlen(id)}};
        if (k % 7 == 0)
            assert_true((k == 0 || loki_proto_stream_end(raw, at)) &&
                        loki_proto_stream(raw, block_of(s, labels, 1), &at));
        assert_true(loki_proto_entry(raw, k, view_of(line), view_of("")));
    }
    assert_true(loki_proto_stream_end(raw, at));
}

static void test_parts_hold_each_entry_once_in_its_stream(void **state)
{
    (void)state;
    enum { LINES = 60 };
    struct label_scratch s = {0};
    struct buf raw = {0};
    build(&raw, LINES, &s);
    struct sealed *whole = seal(PROTOCOL_LOKI_PROTO, ENCODING_SNAPPY, &raw, LINES);
    for (uint32_t size = 1; size <= LINES; size += 3) {
        uint32_t k = 0;
        for (uint32_t from = 0; from < LINES; from += size) {
            bool broken;
            struct sealed *part = slice(whole, from, MIN(size, LINES - from), &broken);
            assert_non_null(part);
            assert_int_equal(part->protocol, PROTOCOL_LOKI_PROTO);
            Gcw__Loki__PushRequest *r = read_sealed(part);
            for (size_t i = 0; i < r->n_streams; i++) {
                assert_true(r->streams[i]->n_entries > 0);
                for (size_t e = 0; e < r->streams[i]->n_entries; e++, k++) {
                    char labels[32];
                    snprintf(labels, sizeof labels, "{id=\"%u\"}", k / 7);
                    assert_string_equal(r->streams[i]->labels, labels);
                    assert_int_equal(atoi(r->streams[i]->entries[e]->line), k);
                }
            }
            gcw__loki__push_request__free_unpacked(r, NULL);
            sealed_free(part);
        }
        assert_int_equal(k, LINES);
    }
    bool broken;
    struct sealed *all = slice(whole, 0, LINES, &broken); /* all of it: the same bytes */
    assert_int_equal(all->len, whole->len);
    assert_memory_equal(all->body, whole->body, whole->len);
    sealed_free(all);
    sealed_free(whole);
    label_scratch_free(&s);
    buf_free(&raw);
}

static void test_bodies_of_others_are_told_as_broken(void **state)
{
    (void)state;
    struct label_scratch s = {0};
    struct buf raw = {0};
    build(&raw, 20, &s);
    uint64_t told = 0;
    for (size_t i = 0; i < raw.n; i++) { /* whatever one byte becomes: a part, or told; never a crash */
        uint8_t was = raw.p[i];
        raw.p[i] = (uint8_t)~was;
        struct sealed *q = seal(PROTOCOL_LOKI_PROTO, ENCODING_SNAPPY, &raw, 20);
        bool broken;
        struct sealed *part = slice(q, 3, 10, &broken);
        assert_true(!part == broken);
        told += broken;
        sealed_free(part);
        sealed_free(q);
        raw.p[i] = was;
    }
    assert_true(told > 0);
    for (size_t n = 1; n < raw.n; n++) {
        struct buf cut = {raw.p, n, n};
        struct sealed *q = seal(PROTOCOL_LOKI_PROTO, ENCODING_SNAPPY, &cut, 20);
        bool broken;
        assert_null(slice(q, 0, 1, &broken));
        assert_true(broken);
        sealed_free(q);
    }
    label_scratch_free(&s);
    buf_free(&raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_entry_has_the_golden_bytes),
        cmocka_unit_test(test_labels_are_text_with_escapes),
        cmocka_unit_test(test_times_before_and_after_1970_have_nanos_that_count_up),
        cmocka_unit_test(test_any_entries_are_read_back_as_they_were),
        cmocka_unit_test(test_parts_hold_each_entry_once_in_its_stream),
        cmocka_unit_test(test_bodies_of_others_are_told_as_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
