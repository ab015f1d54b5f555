/* Our snappy against the library of that name: what either packs, the other unpacks, to about the same size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <snappy-c.h>

#include "codec/codec.h"

static uint64_t random_state;

static uint32_t random_next(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(random_state >> 33) % below;
}

/* Bytes that repeat more or less: runs, copies from before at any distance, noise. */
static void make_bytes(struct buf *b, size_t n)
{
    uint32_t noise = random_next(8) + 1, alphabet = random_next(250) + 2;
    b->n = 0;
    assert_true(buf_reserve(b, n + 1));
    while (b->n < n) {
        size_t len = random_next(200) + 1;
        uint32_t kind = random_next(noise + 2);
        uint8_t run = (uint8_t)random_next(256);
        size_t from = b->n ? b->n - 1 - random_next((uint32_t)MIN(b->n, (size_t)100000)) : 0;
        for (size_t i = 0; i < len && b->n < n; i++) {
            b->p[b->n] = kind == 0 ? run : kind == 1 && b->n > from ? b->p[from++] : (uint8_t)random_next(alphabet);
            b->n++;
        }
    }
}

/* Entries of one length or two, each like the one before but for a few bytes that come in turns or at random. */
static void make_entries(struct buf *b, size_t n)
{
    const size_t length[2] = {random_next(60) + 8, random_next(60) + 8}, turns = random_next(20) + 1;
    const uint32_t noise = random_next(4) * random_next(20);
    uint8_t entry[68];
    b->n = 0;
    assert_true(buf_reserve(b, n + 1));
    for (size_t i = 0; i < sizeof entry; i++)
        entry[i] = (uint8_t)random_next(256);
    for (size_t k = 0; b->n < n; k++) {
        size_t len = length[random_next(16) == 0];
        len = MIN(len, n - b->n);
        entry[4] = (uint8_t)(k % turns);
        entry[5] = (uint8_t)(k / turns);
        if (random_next(100) < noise)
            entry[random_next(sizeof entry)] = (uint8_t)random_next(256);
        memcpy(b->p + b->n, entry, len);
        b->n += len;
    }
}

/* Into memory of exactly that size, so that a sanitizer sees the first byte too many. */
static void assert_round_trip(const struct buf *in, bool (*pack)(struct buf *out, const struct buf *in))
{
    struct buf exact = {malloc(in->n + 1), in->n, in->n}, packed = {0}, back = {0};
    size_t n = in->n;
    assert_non_null(exact.p);
    exact.p = realloc(exact.p, MAX(in->n, 1u));
    if (in->n)
        memcpy(exact.p, in->p, in->n);
    assert_true(pack(&packed, &exact));
    assert_true(buf_reserve(&back, n + 1));
    assert_int_equal(snappy_validate_compressed_buffer((const char *)packed.p, packed.n), SNAPPY_OK);
    assert_int_equal(snappy_uncompress((const char *)packed.p, packed.n, (char *)back.p, &n), SNAPPY_OK);
    assert_int_equal(n, in->n);
    assert_memory_equal(back.p, in->p, n);
    memset(back.p, 0, n);
    assert_true(snappy_unpack_exact(&back, buf_view(&packed), in->n));
    assert_true(view_eq(buf_view(&back), buf_view(in)));
    assert_false(snappy_unpack_exact(&back, buf_view(&packed), in->n + 1));
    buf_free(&exact), buf_free(&packed), buf_free(&back);
}

static void pack_much(bool (*pack)(struct buf *out, const struct buf *in), void (*make)(struct buf *b, size_t n))
{
    struct buf in = {0};
    random_state = 1;
    for (size_t n = 0; n < 300; n++) {
        make(&in, n);
        assert_round_trip(&in, pack);
    }
    for (int round = 0; round < 200; round++) {
        make(&in, random_next(300000));
        assert_round_trip(&in, pack);
    }
    for (size_t n = 65536 - 40; n < 65536 + 40; n++) { /* around a block's end */
        make(&in, n);
        assert_round_trip(&in, pack);
    }
    make(&in, 100000);
    memset(in.p, 'x', in.n);
    assert_round_trip(&in, pack);
    buf_free(&in);
}

static void test_what_we_pack_both_unpack(void **state)
{
    (void)state;
    pack_much(snappy_pack, make_bytes);
    pack_much(snappy_pack, make_entries);
}

static void test_what_we_pack_of_entries_both_unpack(void **state)
{
    (void)state;
    pack_much(snappy_pack_entries, make_bytes);
    pack_much(snappy_pack_entries, make_entries);
}

static void test_what_the_library_packs_we_unpack(void **state)
{
    (void)state;
    struct buf in = {0}, packed = {0}, back = {0};
    random_state = 2;
    for (int round = 0; round < 200; round++) {
        make_bytes(&in, random_next(200000));
        size_t n = snappy_max_compressed_length(in.n);
        assert_true(buf_reserve(&packed, n));
        assert_int_equal(snappy_compress((const char *)in.p, in.n, (char *)packed.p, &n), SNAPPY_OK);
        assert_true(snappy_unpack_exact(&back, view_make((const char *)packed.p, n), in.n));
        assert_true(view_eq(buf_view(&back), buf_view(&in)));
    }
    buf_free(&in), buf_free(&packed), buf_free(&back);
}

/* Every kind of tag, by hand from the format's description: four-byte lengths and offsets are never packed. */
static void test_every_tag_is_understood(void **state)
{
    (void)state;
    static const char packed[] = "\x0e"
                                 "\xfc\x02\x00\x00\x00"
                                 "abc"          /* literal, length in four bytes */
                                 "\x01\x03"     /* copy of 4 from 3 back, one-byte offset */
                                 "\x0a\x03\x00" /* copy of 3, two bytes */
                                 "\x0f\x03\x00\x00\x00";
    struct buf out = {0};
    assert_true(snappy_unpack_exact(&out, view_make(packed, sizeof packed - 1), 14));
    assert_true(view_is(buf_view(&out), "abcabcabcabcab"));
    buf_free(&out);
}

/* Damaged bytes are refused, or unpack to something of the size wanted; nothing is read or written outside. */
static void test_damage_is_refused_within_bounds(void **state)
{
    (void)state;
    struct buf in = {0}, packed = {0}, back = {0};
    size_t refused = 0;
    random_state = 3;
    for (int round = 0; round < 5000; round++) {
        make_bytes(&in, random_next(2000) + 1);
        assert_true(snappy_pack(&packed, &in));
        size_t n = round % 3 ? packed.n : random_next((uint32_t)packed.n);
        char *exact = malloc(MAX(n, 1u));
        assert_non_null(exact);
        memcpy(exact, packed.p, n);
        for (int k = 0; n > 0 && k < 3; k++)
            exact[random_next((uint32_t)n)] = (char)random_next(256);
        buf_free(&back);
        if (!snappy_unpack_exact(&back, view_make(exact, n), in.n))
            refused++;
        else
            assert_int_equal(back.n, in.n);
        free(exact);
    }
    assert_true(refused > 1000);
    buf_free(&in), buf_free(&packed), buf_free(&back);
}

static void test_packs_about_as_small_as_the_library(void **state)
{
    (void)state;
    struct buf in = {0}, packed = {0};
    for (int i = 0; i < 20000; i++)
        buf_printf(&in, "\n\x1a{\"instance\":\"10.0.%d.%d:9090\",\"path\":\"/api/v1/things/%d\",\"n\":%d}", i % 7,
                   i % 251, i % 97, i * 7919);
    size_t n = snappy_max_compressed_length(in.n);
    char *theirs = malloc(n);
    assert_non_null(theirs);
    assert_int_equal(snappy_compress((const char *)in.p, in.n, theirs, &n), SNAPPY_OK);
    assert_true(snappy_pack(&packed, &in));
    assert_true(packed.n * 100 <= n * 103);
    assert_true(snappy_pack_entries(&packed, &in));
    assert_true(packed.n * 100 <= n * 105);
    free(theirs);
    buf_free(&in), buf_free(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_we_pack_both_unpack),
        cmocka_unit_test(test_what_we_pack_of_entries_both_unpack),
        cmocka_unit_test(test_what_the_library_packs_we_unpack),
        cmocka_unit_test(test_every_tag_is_understood),
        cmocka_unit_test(test_damage_is_refused_within_bounds),
        cmocka_unit_test(test_packs_about_as_small_as_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
