/* The bytes of a delimited protobuf exposition to messages: each has its length in front. */
#include "input/protobuf.h"

#include <stdio.h>
#include <stdlib.h>

#include "input/parser.h"

#define LENGTH_BYTES_MAX 10        /* of a varint */
#define KEEP_BYTES       (1 * MIB) /* of memory, from one message to the next */

struct protobuf {
    struct family_reader reader;
    struct buf tail;       /* a message that is not complete */
    uint64_t number;       /* of the message at hand, from 1; 0 = none was begun */
    bool within;           /* its length is known */
    uint64_t length, left; /* of its bytes, those that have not come */
    unsigned length_bytes; /* read of the length */
    bool lost;             /* where messages begin is not known any more */
    gcw_status status;
};

static void *protobuf_open(const struct exposition_options *o, const struct exposition_handler *h)
{
    struct protobuf *p = calloc(1, sizeof *p);
    if (p)
        p->reader = (struct family_reader){.handler = *h,
                                           .histograms = o->histograms,
                                           .memory.limit = UNPACKED_BYTES_MAX,
                                           .metric_memory.limit = UNPACKED_BYTES_MAX};
    return p;
}

static void protobuf_free(void *state)
{
    struct protobuf *p = state;
    family_reader_free(&p->reader);
    buf_free(&p->tail);
    free(p);
}

static void complain(struct protobuf *p, const char *why)
{
    const struct exposition_handler *h = &p->reader.handler;
    if (h->malformed)
        h->malformed(h->user, p->number, why, view_of(""));
}

static void message_end(struct protobuf *p, struct view message)
{
    if (p->length > MESSAGE_BYTES_MAX)
        complain(p, "longer than 64 MiB");
    else
        family_read(&p->reader, p->number, message);
    p->status = p->reader.nomem ? GCW_ERR_NOMEM : p->status;
    p->within = false;
    p->length_bytes = 0;
    p->length = 0;
    p->tail.n = 0;
    if (p->tail.cap > KEEP_BYTES)
        buf_free(&p->tail);
}

/* One byte of a length. */
static void length_read(struct protobuf *p, uint8_t byte)
{
    p->number += p->length_bytes == 0;
    if (p->length_bytes == LENGTH_BYTES_MAX - 1 && byte > 1) {
        complain(p, "where a message's length should be stands something else: the rest is not read");
        p->lost = true;
        return;
    }
    p->length |= (uint64_t)(byte & 0x7f) << 7 * p->length_bytes++;
    p->within = (byte & 0x80) == 0;
    p->left = p->length;
    if (p->within && p->length == 0)
        message_end(p, view_make(NULL, 0));
}

/* The next bytes of a message; returns how many. */
static size_t body_read(struct protobuf *p, const char *data, size_t n)
{
    size_t take = (size_t)MIN((uint64_t)n, p->left);
    bool whole = take == p->length;
    if (!whole && p->length <= MESSAGE_BYTES_MAX && !buf_append(&p->tail, data, take))
        p->status = GCW_ERR_NOMEM;
    p->left -= take;
    if (p->left == 0 && p->status == GCW_OK)
        message_end(p, whole ? view_make(data, take) : buf_view(&p->tail));
    return take;
}

static gcw_status protobuf_feed(void *state, const char *data, size_t n)
{
    struct protobuf *p = state;
    for (size_t at = 0; at < n && p->status == GCW_OK && !p->lost;) {
        if (p->within)
            at += body_read(p, data + at, n - at);
        else
            length_read(p, (uint8_t)data[at++]);
    }
    return p->status;
}

static gcw_status protobuf_end(void *state)
{
    struct protobuf *p = state;
    if (p->status == GCW_OK && !p->lost && (p->within || p->length_bytes > 0))
        complain(p, "the input ends inside this message: it may be cut off");
    return p->status;
}

const struct parser parser_protobuf = {protobuf_open, protobuf_free, protobuf_feed, protobuf_end};

/* ---- looked at from outside
 * ----------------------------------------------------------------------------------------------------
 */

/* A varint at *p, which moves behind it; false if it is none, or cut off. */
static bool varint_read(const uint8_t **p, const uint8_t *end, uint64_t *v)
{
    *v = 0;
    for (unsigned i = 0; i < LENGTH_BYTES_MAX && *p < end; i++) {
        uint8_t byte = *(*p)++;
        *v |= (uint64_t)(byte & 0x7f) << 7 * i;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

bool exposition_messages_whole(struct view input)
{
    const uint8_t *p = (const uint8_t *)input.p, *end = input.n ? p + input.n : p;
    for (uint64_t n; p < end; p += n)
        if (!varint_read(&p, end, &n) || n > (uint64_t)(end - p))
            return false;
    return true;
}

enum { KEY_NAME = 0x0a, KEY_HELP = 0x12, KEY_TYPE = 0x18, KEY_METRIC = 0x22, KEY_UNIT = 0x2a };

/* The name that a message begins with, in full, of printable characters; behind it, or NULL. */
static const uint8_t *name_read(const uint8_t *p, const uint8_t *end, uint64_t left)
{
    uint64_t n;
    if (p == end || *p++ != KEY_NAME || !varint_read(&p, end, &n) || n == 0 || n > (size_t)(end - p) || n + 2 > left ||
        !utf8_valid((const char *)p, (size_t)n))
        return NULL;
    for (uint64_t i = 0; i < n; i++)
        if (p[i] < 0x20)
            return NULL;
    return p + n;
}

/* No text looks like this: a length, a name, and behind it nothing but fields of a family, inside that length. */
bool protobuf_starts(struct view head)
{
    if (head.n == 0)
        return false;
    const uint8_t *p = (const uint8_t *)head.p, *end = p + head.n;
    uint64_t left, n;
    if (!varint_read(&p, end, &left))
        return false;
    const uint8_t *message = p, *stop = p + MIN(left, (uint64_t)(end - p));
    p = name_read(p, end, left);
    while (p && p < stop) {
        uint8_t key = *p++;
        if (key != KEY_HELP && key != KEY_TYPE && key != KEY_METRIC && key != KEY_UNIT)
            return false;
        if (!varint_read(&p, stop, &n))
            return stop == end; /* the head ends there */
        if (key == KEY_TYPE)
            continue;
        if (n > left - (uint64_t)(p - message))
            return false;
        p += MIN(n, (uint64_t)(stop - p));
    }
    return p != NULL;
}
