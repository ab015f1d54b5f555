/* Builds chunks as the host does, for tests: MessagePack into a buf, values one by one or from JSON (' stands for ").
 */
#ifndef TEST_HOSTS_PACK_H
#define TEST_HOSTS_PACK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "pack_bytes.h"

static inline void pack_bytes(struct buf *b, const void *p, size_t n) { assert_true(buf_append(b, p, n)); }

static inline void pack_byte(struct buf *b, unsigned byte)
{
    uint8_t c = (uint8_t)byte;
    pack_bytes(b, &c, 1);
}

/* Heads as the host's own packer makes them: the shortest that holds it. */
static inline void pack_head(struct buf *b, uint64_t n, unsigned fix, uint64_t fix_max, unsigned first16)
{
    if (n <= fix_max)
        pack_byte(b, fix | (unsigned)n);
    else
        pack_number(b, n < 65536 ? first16 : first16 + 1, n, n < 65536 ? 2 : 4);
}

static inline void pack_map(struct buf *b, uint64_t n) { pack_head(b, n, 0x80, 15, 0xde); }
static inline void pack_array(struct buf *b, uint64_t n) { pack_head(b, n, 0x90, 15, 0xdc); }

static inline void pack_str_n(struct buf *b, const void *p, size_t n)
{
    if (n > 31 && n < 256)
        pack_number(b, 0xd9, n, 1);
    else
        pack_head(b, n, 0xa0, 31, 0xda);
    pack_bytes(b, p, n);
}
static inline void pack_str(struct buf *b, const char *s) { pack_str_n(b, s, strlen(s)); }

static inline void pack_bin(struct buf *b, const void *p, size_t n)
{
    pack_number(b, 0xc4, n, 1);
    pack_bytes(b, p, n);
}

static inline void pack_uint(struct buf *b, uint64_t v)
{
    if (v < 128)
        pack_byte(b, (unsigned)v);
    else
        pack_number(b,
                    v < 256           ? 0xcc
                    : v < 65536       ? 0xcd
                    : v <= UINT32_MAX ? 0xce
                                      : 0xcf,
                    v,
                    v < 256           ? 1
                    : v < 65536       ? 2
                    : v <= UINT32_MAX ? 4
                                      : 8);
}
static inline void pack_int(struct buf *b, int64_t v)
{
    if (v >= 0)
        pack_uint(b, (uint64_t)v);
    else
        pack_number(b, 0xd3, (uint64_t)v, 8);
}

static inline void pack_double(struct buf *b, double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    pack_number(b, 0xcb, bits, 8);
}

static inline void pack_nil(struct buf *b) { pack_byte(b, 0xc0); }
static inline void pack_bool(struct buf *b, bool v) { pack_byte(b, v ? 0xc3 : 0xc2); }
static inline void pack_ext(struct buf *b, int type, const void *p, size_t n)
{
    pack_number(b, 0xc7, n, 1);
    pack_byte(b, (unsigned)type & 0xff);
    pack_bytes(b, p, n);
}

static inline void pack_time(struct buf *b, uint32_t seconds, uint32_t ns)
{
    pack_number(b, 0xd7, 0, 1); /* fixext 8, type 0 */
    pack_number(b, seconds >> 24, seconds & 0xffffff, 3);
    pack_number(b, ns >> 24, ns & 0xffffff, 3);
}

static inline void pack_json_value(struct buf *b, const json_t *j)
{
    const char *key;
    json_t *v;
    size_t i;
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        pack_map(b, json_object_size(j));
        json_object_foreach((json_t *)(uintptr_t)j, key, v)
        {
            pack_str(b, key);
            pack_json_value(b, v);
        }
        break;
    case JSON_ARRAY:
        pack_array(b, json_array_size(j));
        json_array_foreach(j, i, v) pack_json_value(b, v);
        break;
    case JSON_STRING:
        pack_str_n(b, json_string_value(j), json_string_length(j));
        break;
    case JSON_INTEGER:
        pack_int(b, json_integer_value(j));
        break;
    case JSON_REAL:
        pack_double(b, json_real_value(j));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        pack_bool(b, json_is_true(j));
        break;
    case JSON_NULL:
        pack_nil(b);
        break;
    }
}

static inline void pack_json(struct buf *b, const char *text)
{
    char *copy = strdup(text);
    json_error_t e;
    assert_non_null(copy);
    for (char *p = copy; *p; p++)
        if (*p == '\'')
            *p = '"';
    json_t *j = json_loads(copy, JSON_DECODE_ANY, &e);
    if (!j)
        fail_msg("%s: %s", text, e.text);
    pack_json_value(b, j);
    json_decref(j);
    free(copy);
}

/* [time, body] of old hosts, and [[time, metadata], body]. */
static inline void pack_v1(struct buf *b, uint32_t seconds, uint32_t ns, const char *body)
{
    pack_array(b, 2);
    pack_time(b, seconds, ns);
    pack_json(b, body);
}
static inline void pack_v2(struct buf *b, uint32_t seconds, uint32_t ns, const char *metadata, const char *body)
{
    pack_array(b, 2);
    pack_array(b, 2);
    pack_time(b, seconds, ns);
    pack_json(b, metadata);
    pack_json(b, body);
}

#endif
