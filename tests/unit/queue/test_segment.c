/* The segment file's bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "queue/segment.h"

static void test_checksum_is_crc32c(void **state)
{
    (void)state;
    static uint8_t zeros[32], ones[32];
    memset(ones, 0xff, sizeof ones);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283); /* the check value of the polynomial */
    assert_int_equal(crc32c(0, zeros, 32), 0x8a9136aa);      /* RFC 3720 B.4 */
    assert_int_equal(crc32c(0, ones, 32), 0x62a8ab43);
    assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

static struct segment_head head(void) { return (struct segment_head){.number = 7, .id = {GCW_LOGS, 2, 4, "tenant-1"}}; }

static void test_head_reads_back_and_one_copy_is_enough(void **state)
{
    (void)state;
    uint8_t block[SEGMENT_DATA];
    const struct segment_head h = head();
    struct segment_head back;
    uint32_t version;
    for (size_t damaged = 0; damaged < 512; damaged += 5) {
        segment_head_put(block, &h);
        block[damaged] ^= 0x40;
        assert_int_equal(segment_head_get(block, sizeof block, &back, &version), SEGMENT_OK);
        assert_int_equal(back.number, 7);
        assert_int_equal(back.id.signal, GCW_LOGS);
        assert_int_equal(back.id.lane, 2);
        assert_int_equal(back.id.lanes, 4);
        assert_string_equal(back.tenant, "tenant-1");
        block[512 + 20] ^= 1;
        block[20] ^= 1;
        assert_int_equal(segment_head_get(block, sizeof block, &back, &version), SEGMENT_DAMAGED);
    }
}

static void test_newer_whole_mark_wins(void **state)
{
    (void)state;
    uint8_t block[SEGMENT_DATA];
    const struct segment_head h = head();
    segment_head_put(block, &h);
    struct segment_mark back;
    segment_mark_get(block, sizeof block, &back);
    assert_int_equal(back.generation, 0);
    assert_int_equal(back.end, SEGMENT_DATA);
    for (uint64_t g = 1; g < 5; g++) {
        const struct segment_mark m = {g, 3000 + g, {g, 10 * g, 100 * g}};
        segment_mark_put(block + segment_mark_at(g), &m);
        segment_mark_get(block, sizeof block, &back);
        assert_int_equal(back.end, 3000 + g);
        assert_int_equal(back.ended.records, 10 * g);
    }
    block[segment_mark_at(4) + 20] ^= 1; /* torn: the one before counts */
    segment_mark_get(block, sizeof block, &back);
    assert_int_equal(back.generation, 3);
}

static void test_record_and_trailer_read_back_and_every_flipped_bit_is_seen(void **state)
{
    (void)state;
    uint8_t block[SEGMENT_RECORD_HEAD], end[SEGMENT_TRAILER];
    const struct segment_record r = {.boot = 1,
                                     .seq = 2,
                                     .sealed_mono_ms = 3,
                                     .first_time = -4,
                                     .last_time = 5,
                                     .sealed_unix_ms = 6,
                                     .records = 7,
                                     .metadata = 8,
                                     .exemplars = 12,
                                     .histograms = 13,
                                     .raw_len = 9,
                                     .len = 10,
                                     .body_crc = 11,
                                     .protocol = 1,
                                     .encoding = 2};
    struct segment_record back;
    segment_record_put(block, &r);
    assert_true(segment_record_get(block, sizeof block, &back));
    assert_int_equal(back.first_time, -4);
    assert_int_equal(back.encoding, 2);
    assert_int_equal(back.metadata, 8);
    assert_int_equal(back.exemplars, 12);
    assert_int_equal(back.histograms, 13);
    assert_int_equal(back.size, segment_record_size(10));
    for (size_t bit = 0; bit < 8 * sizeof block; bit++) {
        block[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(segment_record_get(block, sizeof block, &back));
        block[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    const struct segment_trailer t = {{1, 2, 3}, 4, 5, 6};
    struct segment_trailer t2;
    segment_trailer_put(end, &t);
    assert_true(segment_trailer_get(end, sizeof end, &t2));
    assert_int_equal(t2.last_seq, 6);
    end[30] ^= 1;
    assert_false(segment_trailer_get(end, sizeof end, &t2));
}

static void test_name_is_safe_whatever_the_tenant(void **state)
{
    (void)state;
    char a[SEGMENT_NAME_MAX], b[SEGMENT_NAME_MAX], longer[200];
    memset(longer, 'x', sizeof longer);
    longer[150] = 0;
    const struct route_id odd = {GCW_METRICS, 0, 1, "../..%/a"}, other = {GCW_METRICS, 0, 1, "../..%/b"},
                          wide = {GCW_METRICS, 0, 1, longer};
    segment_name(a, &odd, 1);
    segment_name(b, &other, 1);
    assert_null(strchr(a, '/'));
    assert_true(segment_name_is(a));
    assert_string_not_equal(a, b);
    segment_name(a, &wide, UINT32_MAX);
    assert_true(segment_name_is(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksum_is_crc32c),
        cmocka_unit_test(test_head_reads_back_and_one_copy_is_enough),
        cmocka_unit_test(test_newer_whole_mark_wins),
        cmocka_unit_test(test_record_and_trailer_read_back_and_every_flipped_bit_is_seen),
        cmocka_unit_test(test_name_is_safe_whatever_the_tenant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
