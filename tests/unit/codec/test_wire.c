/* Wire bytes: remote write 1.0 vectors, Loki JSON, compression. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>
#include <snappy-c.h>
#include <zlib.h>

#include "codec/codec.h"
#include "remote1.pb-c.h"

#define T INT64_C(1700000000000)

static void block_of(struct label_scratch *s, const gcw_label *labels, size_t n)
{
    const struct label_rules rules = {GCW_METRICS, LABELS_SANITISE, 1024, 2048, 30, NULL, 0};
    bool changed;
    assert_int_equal(labels_block(&rules, labels, n, s, &changed, NULL), GCW_OK);
}

static void assert_hex(const struct buf *b, const char *hex)
{
    struct buf text = {0};
    for (size_t i = 0; i < b->n; i++)
        buf_printf(&text, "%02x", b->p[i]);
    buf_cstr(&text);
    assert_string_equal((const char *)text.p, hex);
    buf_free(&text);
}

static const gcw_label up[] = {GCW_LABEL("__name__", "up"), GCW_LABEL("job", "a")};

static void test_one_sample_has_the_bytes_of_the_specification(void **state)
{
    (void)state;
    struct label_scratch s = {0};
    struct buf out = {0};
    block_of(&s, up, 2);
    buf_reserve(&out, 256);
    rw1_sample_put(&out, buf_view(&s.block), UINT64_C(0x3ff0000000000000), T);
    assert_hex(&out, "0a2c0a0e0a085f5f6e616d655f5f120275700a080a036a6f62120161121009000000000000f03f1080d095ffbc31");
    assert_int_equal(out.n, rw1_sample_size(s.block.n, UINT64_C(0x3ff0000000000000), T));
    label_scratch_free(&s);
    buf_free(&out);
}

static void test_zero_is_left_out_and_metadata_has_its_bytes(void **state)
{
    (void)state;
    struct label_scratch s = {0};
    struct buf out = {0};
    block_of(&s, up, 2);
    buf_reserve(&out, 256);
    rw1_sample_put(&out, buf_view(&s.block), 0, T);
    assert_hex(&out, "0a230a0e0a085f5f6e616d655f5f120275700a080a036a6f6212016112071080d095ffbc31");
    out.n = 0;
    rw1_metadata_put(&out, GCW_TYPE_COUNTER, view_of("http_requests_total"), view_of("Total."), view_of(""));
    assert_hex(&out, "1a1f08011213687474705f72657175657374735f746f74616c2206546f74616c2e");
    label_scratch_free(&s);
    buf_free(&out);
}

static void test_value_bits_and_times_survive_a_decoder(void **state)
{
    (void)state;
    static const uint64_t bits[] = {0,
                                    1,
                                    UINT64_C(0x8000000000000000),
                                    GCW_STALE_BITS,
                                    UINT64_C(0x7ff8000000000001),
                                    UINT64_C(0x7ff0000000000000),
                                    UINT64_C(0xfff0000000000000),
                                    UINT64_C(0x7fefffffffffffff)};
    static const int64_t times[] = {0, 1, -1, INT64_MIN, INT64_MAX, T};
    struct label_scratch s = {0};
    struct buf out = {0};
    block_of(&s, up, 2);
    for (size_t i = 0; i < ARRAY_LEN(bits); i++)
        for (size_t k = 0; k < ARRAY_LEN(times); k++) {
            size_t before = out.n, size = rw1_sample_size(s.block.n, bits[i], times[k]);
            assert_true(buf_reserve(&out, size));
            rw1_sample_put(&out, buf_view(&s.block), bits[i], times[k]);
            assert_int_equal(out.n - before, size);
        }
    Gcw__Rw1__WriteRequest *r = gcw__rw1__write_request__unpack(NULL, out.n, out.p);
    assert_non_null(r);
    assert_int_equal(r->n_timeseries, ARRAY_LEN(bits) * ARRAY_LEN(times));
    for (size_t i = 0; i < r->n_timeseries; i++) {
        uint64_t got;
        memcpy(&got, &r->timeseries[i]->samples[0]->value, 8);
        assert_true(got == bits[i / ARRAY_LEN(times)]);
        assert_true(r->timeseries[i]->samples[0]->timestamp == times[i % ARRAY_LEN(times)]);
        assert_string_equal(r->timeseries[i]->labels[1]->value, "a");
    }
    gcw__rw1__write_request__free_unpacked(r, NULL);
    label_scratch_free(&s);
    buf_free(&out);
}

/* Slow and plain: what a JSON reader must get back. */
static void expected_text(struct buf *out, const char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = utf8_sequence(p + i, n - i);
        buf_append(out, len ? p + i : "\xef\xbf\xbd", len ? len : 3);
        i += len ? len : utf8_invalid_run(p + i, n - i);
    }
}

static void check_line(const char *line, size_t n)
{
    struct buf body = {0}, want = {0};
    assert_true(loki_json_begin(&body) &&
                loki_json_stream(&body, view_of("\x0a\x06\x0a\x01"
                                                "a"
                                                "\x12\x01"
                                                "b")) &&
                loki_json_entry(&body, -5, view_make(line, n), view_make(NULL, 0)) && loki_json_stream_end(&body) &&
                loki_json_end(&body));
    expected_text(&want, line, n);
    json_t *root = json_loadb((const char *)body.p, body.n, JSON_ALLOW_NUL, NULL);
    assert_non_null(root);
    json_t *stream = json_array_get(json_object_get(root, "streams"), 0),
           *entry = json_array_get(json_object_get(stream, "values"), 0);
    assert_string_equal(json_string_value(json_object_get(json_object_get(stream, "stream"), "a")), "b");
    assert_string_equal(json_string_value(json_array_get(entry, 0)), "-5");
    json_t *text = json_array_get(entry, 1);
    assert_int_equal(json_string_length(text), want.n);
    if (want.n)
        assert_memory_equal(json_string_value(text), want.p, want.n);
    json_decref(root);
    buf_free(&body);
    buf_free(&want);
}

static void test_any_bytes_become_a_json_line_that_reads_back(void **state)
{
    (void)state;
    char bytes[9000];
    unsigned seed = 42;
    for (int b = 0; b < 256; b++)
        for (size_t n = 0; n < 40; n++) {
            memset(bytes, 'x', sizeof bytes);
            bytes[n] = (char)b;
            check_line(bytes, 40);
        }
    for (int round = 0; round < 300; round++) {
        size_t n = (size_t)rand_r(&seed) % sizeof bytes;
        for (size_t i = 0; i < n; i++)
            bytes[i] = (char)(rand_r(&seed) % 4 ? 'a' + rand_r(&seed) % 26 : rand_r(&seed) % 256);
        check_line(bytes, n);
    }
    memset(bytes, '\xc3', sizeof bytes);
    check_line(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = "\xf0\x9f\x99\x82"[(i + 1) % 4]; /* sequences across the steps of the loop */
    check_line(bytes, sizeof bytes);
}

static void test_compressed_bodies_unpack_to_the_same(void **state)
{
    (void)state;
    struct buf in = {0}, out = {0};
    for (int i = 0; i < 20000; i++)
        buf_printf(&in, "line %d of something that repeats;", i * 7919);
    assert_true(snappy_pack(&out, &in));
    char *back = malloc(in.n);
    size_t n = in.n;
    assert_int_equal(snappy_uncompress((const char *)out.p, out.n, back, &n), SNAPPY_OK);
    assert_int_equal(n, in.n);
    assert_memory_equal(back, in.p, n);
    for (int level = 1; level <= 9; level++) {
        struct gzip *g = gzip_new(level);
        assert_non_null(g);
        for (int twice = 0; twice < 2; twice++) {
            z_stream z = {.avail_in = 0};
            assert_true(gzip_pack(g, &out, &in));
            z.next_in = out.p;
            z.avail_in = (uInt)out.n;
            z.next_out = (Bytef *)back;
            z.avail_out = (uInt)in.n;
            assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
            assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
            assert_int_equal(z.total_out, in.n);
            assert_memory_equal(back, in.p, in.n);
            inflateEnd(&z);
        }
        gzip_free(g);
    }
    free(back);
    buf_free(&in);
    buf_free(&out);
}

/* The same by one byte after the other, as the grammar says it. */
static void escape_plainly(struct buf *out, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = utf8_sequence((const char *)p + i, n - i);
        char text[8] = "";
        if (p[i] == '"' || p[i] == '\\')
            snprintf(text, sizeof text, "\\%c", p[i]);
        else if (p[i] < 0x20 && strchr("\b\f\n\r\t", p[i]) && p[i])
            snprintf(text, sizeof text, "\\%c", "btn?fr"[p[i] - '\b']);
        else if (p[i] < 0x20)
            snprintf(text, sizeof text, "\\u%04x", p[i]);
        if (*text) {
            assert_true(buf_puts(out, text));
            i++;
        } else if (len) {
            assert_true(buf_append(out, p + i, len));
            i += len;
        } else {
            assert_true(buf_puts(out, "\xef\xbf\xbd"));
            i += utf8_invalid_run((const char *)p + i, n - i);
        }
    }
}

static void test_escaping_in_blocks_is_escaping_byte_by_byte(void **state)
{
    (void)state;
    uint64_t random = 7;
    for (int round = 0; round < 20000; round++) {
        uint8_t text[300];
        struct buf fast = {0}, plain = {0};
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        size_t n = (random >> 33) % sizeof text, odd = (random >> 50) % 24 + 1;
        for (size_t i = 0; i < n; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            unsigned r = (unsigned)(random >> 40);
            text[i] = r % odd        ? (uint8_t)('a' + r % 26)
                      : (r >> 8) % 3 ? (uint8_t) "\"\\\"{"[(r >> 12) % 4]
                                     : (uint8_t)(r >> 12);
        }
        uint8_t *exact = malloc(n + 1); /* so that a sanitizer sees a byte read behind the end */
        assert_non_null(exact);
        memcpy(exact, text, n);
        assert_true(json_escape(&fast, (const char *)exact, n));
        escape_plainly(&plain, text, n);
        assert_true(view_eq(buf_view(&fast), buf_view(&plain)));
        free(exact);
        buf_free(&fast);
        buf_free(&plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_sample_has_the_bytes_of_the_specification),
        cmocka_unit_test(test_zero_is_left_out_and_metadata_has_its_bytes),
        cmocka_unit_test(test_value_bits_and_times_survive_a_decoder),
        cmocka_unit_test(test_any_bytes_become_a_json_line_that_reads_back),
        cmocka_unit_test(test_compressed_bodies_unpack_to_the_same),
        cmocka_unit_test(test_escaping_in_blocks_is_escaping_byte_by_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
