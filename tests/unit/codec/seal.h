/* Bodies made into sealed requests, and taken out of them by other code than ours. */
#ifndef TEST_CODEC_SEAL_H
#define TEST_CODEC_SEAL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <snappy-c.h>
#include <zlib.h>

#include "codec/codec.h"

static inline struct sealed *seal(enum protocol protocol, enum encoding encoding, const struct buf *raw,
                                  uint32_t records)
{
    struct buf packed = {0};
    struct gzip *g = gzip_new(1);
    assert_true(encoding == ENCODING_NONE     ? buf_append(&packed, raw->p, raw->n)
                : encoding == ENCODING_SNAPPY ? snappy_pack(&packed, raw)
                                              : gzip_pack(g, &packed, raw));
    struct sealed *s = sealed_new(packed.p, packed.n);
    assert_non_null(s);
    s->signal = protocol == PROTOCOL_RW1 || protocol == PROTOCOL_RW2 ? GCW_METRICS : GCW_LOGS;
    s->protocol = protocol;
    s->encoding = encoding;
    s->records = records;
    s->raw_len = (uint32_t)raw->n;
    s->tenant = "t";
    gzip_free(g);
    buf_free(&packed);
    return s;
}

/* The caller frees it. */
static inline struct buf unseal(const struct sealed *s)
{
    struct buf raw = {0};
    assert_true(buf_reserve(&raw, s->raw_len + 1u));
    raw.n = s->raw_len;
    if (s->encoding == ENCODING_SNAPPY) {
        assert_int_equal(snappy_uncompress((const char *)s->body, s->len, (char *)raw.p, &raw.n), SNAPPY_OK);
    } else if (s->encoding == ENCODING_GZIP) {
        z_stream z = {
            .next_in = (Bytef *)(uintptr_t)s->body, .avail_in = s->len, .next_out = raw.p, .avail_out = s->raw_len};
        assert_int_equal(inflateInit2(&z, 31), Z_OK);
        assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
        inflateEnd(&z);
    } else {
        memcpy(raw.p, s->body, s->len);
    }
    assert_int_equal(raw.n, s->raw_len);
    return raw;
}

#endif
