/* Native histograms: checked as receivers check them (prometheus model/histogram, Validate), and written as the fields
 * that remote write 1.0 and 2.0 share. Numbers: proto/remote2.proto. */
#include <math.h>

#include "codec/wire.h"

enum {
    KEY_COUNT_INT = 0x08,   /* Histogram.count_int = 1; a member of a oneof is written though it be zero */
    KEY_COUNT_FLOAT = 0x11, /* .count_float = 2 */
    KEY_SUM = 0x19,
    KEY_SCHEMA = 0x20,
    KEY_ZERO_THRESHOLD = 0x29,
    KEY_ZERO_INT = 0x30,
    KEY_ZERO_FLOAT = 0x39,
    KEY_NEGATIVE = 0x42, /* .negative_spans = 8; deltas and counts follow */
    KEY_POSITIVE = 0x5a, /* .positive_spans = 11 */
    KEY_HINT = 0x70,
    KEY_OFFSET = 0x08, /* BucketSpan.offset = 1, zigzag */
    KEY_LENGTH = 0x10,
};

#define BUCKETS_MAX 65536

/* ---- checking -----------------------------------------------------------------------------------------------------
 */

/* Adds the side's observations to *sum. */
static const char *side_check(const gcw_buckets *b, bool is_float, double *sum)
{
    uint64_t length = 0;
    if ((b->span_count > 0 && !b->spans) || (b->count > 0 && !(is_float ? (const void *)b->float_counts : b->counts)))
        return "a pointer is missing";
    for (size_t i = 0; i < b->span_count; i++) {
        if (i > 0 && b->spans[i].offset < 0)
            return "a span behind the first has a negative offset";
        length += b->spans[i].length;
    }
    if (length != b->count)
        return "the spans' lengths do not add up to the number of buckets";
    if (b->count > BUCKETS_MAX)
        return "more than 65536 buckets";
    for (size_t i = 0; i < b->count; i++) {
        if (is_float ? !(b->float_counts[i] >= 0) : b->counts[i] > INT64_MAX)
            return "a bucket's count is not a number, negative or too large";
        *sum += is_float ? b->float_counts[i] : (double)b->counts[i];
    }
    return NULL;
}

static const char *bounds_check(const gcw_histogram *h)
{
    if (h->schema != GCW_CUSTOM_BUCKETS)
        return h->schema < -4 || h->schema > 8 ? "schema is neither -4 to 8 nor custom buckets"
               : h->custom_bound_count > 0     ? "custom bounds with another schema"
                                               : NULL;
    if (h->negative.count > 0 || h->negative.span_count > 0 || h->zero_count > 0 || h->zero_count_float > 0 ||
        h->zero_threshold != 0) /* Prometheus answers 500, which is no refusal */
        return "custom buckets beside negative ones or a zero bucket";
    if (h->custom_bound_count > 0 && !h->custom_bounds)
        return "a pointer is missing";
    for (size_t i = 0; i < h->custom_bound_count; i++)
        if (!isfinite(h->custom_bounds[i]) || (i > 0 && h->custom_bounds[i] <= h->custom_bounds[i - 1]))
            return "custom bounds are not finite and rising";
    int64_t end = 0;
    for (size_t i = 0; i < h->positive.span_count; i++) {
        if (h->positive.spans[i].offset < 0)
            return "a custom bucket below the first";
        end += (int64_t)h->positive.spans[i].offset + h->positive.spans[i].length;
    }
    return end > (int64_t)h->custom_bound_count + 1 ? "a custom bucket past the last bound" : NULL;
}

static bool stale(double sum)
{
    uint64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    return bits == GCW_STALE_BITS;
}

const char *histogram_check(const gcw_histogram *h)
{
    double seen = h->is_float ? h->zero_count_float : (double)h->zero_count;
    const char *why = side_check(&h->positive, h->is_float, &seen);
    why = why ? why : side_check(&h->negative, h->is_float, &seen);
    why = why ? why : bounds_check(h);
    if (why || stale(h->sum))
        return why;
    if (h->reset_hint < GCW_RESET_UNKNOWN || h->reset_hint > GCW_RESET_GAUGE)
        return "no such reset hint";
    if (!(h->zero_threshold >= 0))
        return "zero_threshold is not a number or negative";
    if (h->is_float)
        return h->count_float >= 0 && h->zero_count_float >= 0 ? NULL : "count is not a number or negative";
    /* observations of NaN are counted and lie in no bucket: then the sum is NaN too */
    if (isnan(h->sum) ? seen > (double)h->count : seen != (double)h->count)
        return "the buckets do not add up to the count";
    return NULL;
}

/* ---- writing ------------------------------------------------------------------------------------------------------
 */

static uint64_t bits_of(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits;
}

static uint8_t *double_put(uint8_t *p, uint8_t key, double d)
{
    *p++ = key;
    return wire_fixed64(p, bits_of(d));
}

static bool spans_put(struct buf *out, uint8_t key, const gcw_buckets *b)
{
    if (!buf_reserve(out, b->span_count * 16))
        return false;
    for (size_t i = 0; i < b->span_count; i++) {
        uint8_t body[16], *p = body;
        if (b->spans[i].offset) {
            *p++ = KEY_OFFSET;
            p = wire_varint(p, (uint32_t)zigzag(b->spans[i].offset));
        }
        if (b->spans[i].length) {
            *p++ = KEY_LENGTH;
            p = wire_varint(p, b->spans[i].length);
        }
        uint8_t *q = out->p + out->n;
        *q++ = key;
        *q++ = (uint8_t)(p - body);
        memcpy(q, body, (size_t)(p - body));
        out->n += (size_t)(p - body) + 2;
    }
    return true;
}

/* The first count, then differences. */
static bool deltas_put(struct buf *out, uint8_t key, const gcw_buckets *b)
{
    size_t n = 0;
    int64_t before = 0;
    for (size_t i = 0; i < b->count; before = (int64_t)b->counts[i++])
        n += varint_size(zigzag((int64_t)b->counts[i] - before));
    if (!buf_reserve(out, n + 11))
        return false;
    uint8_t *p = out->p + out->n;
    *p++ = key;
    p = wire_varint(p, n);
    before = 0;
    for (size_t i = 0; i < b->count; before = (int64_t)b->counts[i++])
        p = wire_varint(p, zigzag((int64_t)b->counts[i] - before));
    out->n = (size_t)(p - out->p);
    return true;
}

/* As many 64-bit numbers behind one key. */
static bool doubles_put(struct buf *out, const uint8_t *key, size_t key_len, const double *d, size_t count)
{
    if (!buf_reserve(out, count * 8 + key_len + 10))
        return false;
    uint8_t *p = out->p + out->n;
    memcpy(p, key, key_len);
    p = wire_varint(p + key_len, count * 8);
    for (size_t i = 0; i < count; i++)
        p = wire_fixed64(p, bits_of(d[i]));
    out->n = (size_t)(p - out->p);
    return true;
}

static bool side_put(struct buf *out, uint8_t spans, const gcw_buckets *b, bool is_float)
{
    const uint8_t counts = (uint8_t)(spans + 0x10);
    if (!spans_put(out, spans, b))
        return false;
    if (b->count == 0)
        return true;
    return is_float ? doubles_put(out, &counts, 1, b->float_counts, b->count)
                    : deltas_put(out, (uint8_t)(spans + 8), b);
}

bool histogram_put(struct buf *out, const gcw_histogram *h)
{
    if (!buf_reserve(out, 80))
        return false;
    uint8_t *p = out->p + out->n;
    if (h->is_float) {
        p = double_put(p, KEY_COUNT_FLOAT, h->count_float);
    } else {
        *p++ = KEY_COUNT_INT;
        p = wire_varint(p, h->count);
    }
    if (bits_of(h->sum))
        p = double_put(p, KEY_SUM, h->sum);
    if (h->schema) {
        *p++ = KEY_SCHEMA;
        p = wire_varint(p, (uint32_t)zigzag(h->schema));
    }
    if (bits_of(h->zero_threshold))
        p = double_put(p, KEY_ZERO_THRESHOLD, h->zero_threshold);
    if (h->is_float) {
        p = double_put(p, KEY_ZERO_FLOAT, h->zero_count_float);
    } else {
        *p++ = KEY_ZERO_INT;
        p = wire_varint(p, h->zero_count);
    }
    out->n = (size_t)(p - out->p);
    if (!side_put(out, KEY_NEGATIVE, &h->negative, h->is_float) ||
        !side_put(out, KEY_POSITIVE, &h->positive, h->is_float) || !buf_reserve(out, 2))
        return false;
    if (h->reset_hint) {
        out->p[out->n++] = KEY_HINT;
        out->p[out->n++] = (uint8_t)h->reset_hint;
    }
    return true;
}

bool histogram_bounds_put(struct buf *out, const gcw_histogram *h)
{
    static const uint8_t key[] = {0x82, 0x01}; /* Histogram.custom_values = 16 */
    return h->custom_bound_count == 0 || doubles_put(out, key, sizeof key, h->custom_bounds, h->custom_bound_count);
}

/* ---- exemplars, packed --------------------------------------------------------------------------------------------
 */

bool exemplar_pack(struct buf *out, const struct exemplar *e)
{
    uint64_t head[3] = {e->value_bits, (uint64_t)e->time_ms, e->block.n};
    return buf_append(out, head, sizeof head) && buf_append(out, e->block.p, e->block.n);
}

bool exemplar_next(struct view *packed, struct exemplar *e)
{
    uint64_t head[3];
    if (packed->n < sizeof head)
        return false;
    memcpy(head, packed->p, sizeof head);
    *e = (struct exemplar){head[0], (int64_t)head[1], view_make(packed->p + sizeof head, (size_t)head[2])};
    *packed = view_make(e->block.p + e->block.n, packed->n - sizeof head - e->block.n);
    return true;
}

uint32_t exemplars_count(struct view packed)
{
    struct exemplar e;
    uint32_t n = 0;
    while (exemplar_next(&packed, &e))
        n++;
    return n;
}
