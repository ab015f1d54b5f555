/* Parts of a sealed request: put together they are the whole, each record once, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <snappy-c.h>
#include <zlib.h>

#include "seal.h"

static struct view label_block(struct buf *b, const char *value)
{
    /* Label { name = "n", value } as TimeSeries.labels = 1 */
    size_t n = strlen(value);
    const uint8_t head[] = {0x0a, (uint8_t)(5 + n), 0x0a, 1, 'n', 0x12, (uint8_t)n};
    assert_true(buf_append(b, head, sizeof head) && buf_append(b, value, n));
    return buf_view(b);
}

static void test_metrics_in_parts_are_the_same_bytes(void **state)
{
    (void)state;
    struct buf raw = {0}, joined = {0};
    for (int i = 0; i < 57; i++) {
        struct buf block = {0};
        char value[16];
        snprintf(value, sizeof value, "%d", i * i);
        struct view v = label_block(&block, value);
        assert_true(buf_reserve(&raw, 200));
        rw1_sample_put(&raw, v, (uint64_t)i << 40, 1000 * i - 5);
        if (i == 20)
            rw1_metadata_put(&raw, GCW_TYPE_COUNTER, view_of("n_total"), view_of("help"), view_of(""));
        buf_free(&block);
    }
    struct sealed *s = seal(PROTOCOL_RW1, ENCODING_SNAPPY, &raw, 57);
    s->metadata = 1;
    uint32_t metadata = 0;
    for (uint32_t from = 0, n = 1; from < 57; from += n, n = from % 7 + 1) {
        n = MIN(n, 57 - from);
        struct part cut = {.from = from, .count = n, .protocol = PROTOCOL_RW1};
        struct sealed *part = sealed_part(s, &cut);
        assert_non_null(part);
        assert_false(cut.broken);
        assert_int_equal(part->records, n);
        struct buf bytes = unseal(part);
        metadata += part->metadata;
        assert_true(buf_append(&joined, bytes.p, bytes.n));
        buf_free(&bytes);
        sealed_free(part);
    }
    assert_int_equal(metadata, 1);
    assert_int_equal(joined.n, raw.n); /* the metadata came first instead of in its place */
    sealed_free(s);
    buf_free(&raw);
    buf_free(&joined);
}

static void test_logs_in_parts_are_the_same_entries_of_the_same_streams(void **state)
{
    (void)state;
    static const char whole[] =
        "{\"streams\":[{\"stream\":{\"a\":\"[{\\\"\"},\"values\":[[\"1\",\"x]\\\\\"],[\"2\",\"y\\\"}\"]]},"
        "{\"stream\":{\"b\":\"2\"},\"values\":[[\"3\",\"z\",{\"k\":\"v\"}]]}]}";
    static const char *const parts[] = {
        "{\"streams\":[{\"stream\":{\"a\":\"[{\\\"\"},\"values\":[[\"1\",\"x]\\\\\"]]}]}",
        "{\"streams\":[{\"stream\":{\"a\":\"[{\\\"\"},\"values\":[[\"2\",\"y\\\"}\"]]},{\"stream\":{\"b\":\"2\"},"
        "\"values\":[[\"3\",\"z\",{"
        "\"k\":\"v\"}]]}]}"};
    struct buf raw = {0};
    assert_true(buf_append(&raw, whole, sizeof whole - 1));
    for (int e = 0; e < 2; e++) {
        struct sealed *s = seal(PROTOCOL_LOKI_JSON, e ? ENCODING_GZIP : ENCODING_NONE, &raw, 3);
        for (uint32_t i = 0; i < 2; i++) {
            struct part cut = {.from = i, .count = 1 + i, .protocol = PROTOCOL_LOKI_JSON};
            struct sealed *part = sealed_part(s, &cut);
            assert_non_null(part);
            struct buf bytes = unseal(part);
            assert_int_equal(bytes.n, strlen(parts[i]));
            assert_memory_equal(bytes.p, parts[i], bytes.n);
            buf_free(&bytes);
            sealed_free(part);
        }
        sealed_free(s);
    }
    buf_free(&raw);
}

static void test_bodies_of_others_are_told_as_broken(void **state)
{
    (void)state;
    static const char *const bodies[] = {"",
                                         "{\"streams\":[]}",
                                         "{\"streams\":[{\"stream\":{},\"values\":[[\"1\",\"x\"]",
                                         "nonsense",
                                         "{\"streams\":[{\"stream\":{\"a\":\"",
                                         "{\"streams\":[{\"stream\":{},\"values\":[[[[["};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct buf raw = {0};
        assert_true(buf_append(&raw, bodies[i], strlen(bodies[i])));
        struct sealed *s = seal(PROTOCOL_LOKI_JSON, ENCODING_NONE, &raw, 2);
        struct part cut = {.from = 0, .count = 1, .protocol = PROTOCOL_LOKI_JSON};
        assert_null(sealed_part(s, &cut));
        assert_true(cut.broken);
        s->protocol = PROTOCOL_RW1;
        s->encoding = ENCODING_SNAPPY;
        cut = (struct part){.from = 0, .count = 1, .protocol = PROTOCOL_RW1};
        assert_null(sealed_part(s, &cut));
        assert_true(cut.broken);
        sealed_free(s);
        buf_free(&raw);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_in_parts_are_the_same_bytes),
        cmocka_unit_test(test_logs_in_parts_are_the_same_entries_of_the_same_streams),
        cmocka_unit_test(test_bodies_of_others_are_told_as_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
