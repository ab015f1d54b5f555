/* Remote write 1.0: a TimeSeries entry with one sample, and metadata, as wire bytes.
 *
 * Each sample is an entry of its own, as Prometheus sends it: the order of samples is kept whatever series they belong
 * to, and a receiver that drops an entry drops one sample. Numbers: proto/remote1.proto. */
#include "codec/wire.h"

enum {
    KEY_TIMESERIES = 0x0a,  /* WriteRequest.timeseries = 1 */
    KEY_METADATA = 0x1a,    /* WriteRequest.metadata = 3 */
    KEY_SAMPLES = 0x12,     /* TimeSeries.samples = 2 */
    KEY_EXEMPLARS = 0x1a,   /* TimeSeries.exemplars = 3: its labels are a label block */
    KEY_HISTOGRAMS = 0x22,  /* TimeSeries.histograms = 4 */
    KEY_HIST_TIME = 0x78,   /* Histogram.timestamp = 15 */
    KEY_EX_VALUE = 0x11,    /* Exemplar.value = 2 */
    KEY_EX_TIME = 0x18,     /* Exemplar.timestamp = 3 */
    KEY_VALUE = 0x09,       /* Sample.value = 1, fixed64 */
    KEY_TIMESTAMP = 0x10,   /* Sample.timestamp = 2, int64: negative takes ten bytes */
    KEY_META_TYPE = 0x08,   /* MetricMetadata.type = 1 */
    KEY_META_FAMILY = 0x12, /* .metric_family_name = 2 */
    KEY_META_HELP = 0x22,   /* .help = 4 */
    KEY_META_UNIT = 0x2a,   /* .unit = 5 */
};

/* Two numbers a sample, lengths and times: without calls. */
static inline size_t varint_size_inline(uint64_t v)
{
    return ((size_t)(64 - __builtin_clzll(v | 1)) * 9 + 64) / 64; /* seven bits a byte */
}

static inline uint8_t *varint_put_inline(uint8_t *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

/* proto3 leaves zero out; -0.0 has a bit set and is written. */
static size_t sample_size(uint64_t value_bits, int64_t time_ms)
{
    return (value_bits ? 9 : 0) + (time_ms ? 1 + varint_size_inline((uint64_t)time_ms) : 0);
}

size_t rw1_sample_size(size_t block_len, uint64_t value_bits, int64_t time_ms)
{
    size_t series = block_len + 2 + sample_size(value_bits, time_ms);
    return 1 + varint_size(series) + series;
}

void rw1_sample_put(struct buf *out, struct view block, uint64_t value_bits, int64_t time_ms)
{
    size_t sample = sample_size(value_bits, time_ms); /* at most 20: one length byte */
    uint8_t *p = out->p + out->n;
    *p++ = KEY_TIMESERIES;
    p = varint_put_inline(p, block.n + 2 + sample);
    memcpy(p, block.p, block.n);
    p += block.n;
    *p++ = KEY_SAMPLES;
    *p++ = (uint8_t)sample;
    if (value_bits) {
        *p++ = KEY_VALUE;
        p = wire_fixed64(p, value_bits);
    }
    if (time_ms) {
        *p++ = KEY_TIMESTAMP;
        p = varint_put_inline(p, (uint64_t)time_ms);
    }
    out->n = (size_t)(p - out->p);
}

static uint8_t *sample_put(uint8_t *p, uint64_t value_bits, int64_t time_ms)
{
    if (value_bits) {
        *p++ = KEY_VALUE;
        p = wire_fixed64(p, value_bits);
    }
    if (time_ms) {
        *p++ = KEY_TIMESTAMP;
        p = wire_varint(p, (uint64_t)time_ms);
    }
    return p;
}

/* The parts behind the labels, to be put behind them when their length is known. */
static bool point_tail(struct buf *out, const struct point *pt)
{
    if (!buf_reserve(out, pt->histogram.n + 48))
        return false;
    uint8_t *p = out->p + out->n;
    if (pt->histogram.n == 0) {
        *p++ = KEY_SAMPLES;
        *p++ = (uint8_t)sample_size(pt->value_bits, pt->time_ms);
        p = sample_put(p, pt->value_bits, pt->time_ms);
    } else {
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): buf_reserve() made the room */
        *p++ = KEY_HISTOGRAMS;
        p = wire_varint(p, pt->histogram.n + (pt->time_ms ? 1 + varint_size((uint64_t)pt->time_ms) : 0));
        memcpy(p, pt->histogram.p, pt->histogram.n);
        p += pt->histogram.n;
        if (pt->time_ms) {
            *p++ = KEY_HIST_TIME;
            p = wire_varint(p, (uint64_t)pt->time_ms);
        }
    }
    out->n = (size_t)(p - out->p);
    struct view rest = pt->exemplars;
    for (struct exemplar e; exemplar_next(&rest, &e);) {
        size_t n = e.block.n + (e.value_bits ? 9 : 0) + 1 + varint_size((uint64_t)e.time_ms);
        if (!buf_reserve(out, n + 11))
            return false;
        p = out->p + out->n;
        *p++ = KEY_EXEMPLARS;
        p = wire_varint(p, n);
        if (e.block.n)
            memcpy(p, e.block.p, e.block.n);
        p += e.block.n;
        if (e.value_bits) {
            *p++ = KEY_EX_VALUE;
            p = wire_fixed64(p, e.value_bits);
        }
        *p++ = KEY_EX_TIME;
        out->n = (size_t)(wire_varint(p, (uint64_t)e.time_ms) - out->p);
    }
    return true;
}

bool rw1_point_put(struct buf *out, struct view block, const struct point *pt)
{
    struct buf tail = {0};
    bool ok = point_tail(&tail, pt) && buf_reserve(out, block.n + tail.n + 11);
    if (ok) {
        uint8_t *p = out->p + out->n;
        *p++ = KEY_TIMESERIES;
        p = wire_varint(p, block.n + tail.n);
        if (block.n)
            memcpy(p, block.p, block.n);
        memcpy(p + block.n, tail.p, tail.n);
        out->n = (size_t)(p - out->p) + block.n + tail.n;
    }
    buf_free(&tail);
    return ok;
}

static size_t text_size(struct view v) { return v.n ? 1 + varint_size(v.n) + v.n : 0; }

static size_t metadata_size(gcw_metric_type type, struct view family, struct view help, struct view unit)
{
    return (type ? 2 : 0) + text_size(family) + text_size(help) + text_size(unit);
}

size_t rw1_metadata_size(gcw_metric_type type, struct view family, struct view help, struct view unit)
{
    size_t n = metadata_size(type, family, help, unit);
    return 1 + varint_size(n) + n;
}

static uint8_t *text_put(uint8_t *p, uint8_t key, struct view v)
{
    if (v.n == 0)
        return p;
    *p++ = key;
    p = varint_put(p, v.n);
    memcpy(p, v.p, v.n);
    return p + v.n;
}

void rw1_metadata_put(struct buf *out, gcw_metric_type type, struct view family, struct view help, struct view unit)
{
    uint8_t *p = out->p + out->n;
    *p++ = KEY_METADATA;
    p = varint_put(p, metadata_size(type, family, help, unit));
    if (type) {
        *p++ = KEY_META_TYPE;
        *p++ = (uint8_t)type;
    }
    p = text_put(p, KEY_META_FAMILY, family);
    p = text_put(p, KEY_META_HELP, help);
    p = text_put(p, KEY_META_UNIT, unit);
    out->n = (size_t)(p - out->p);
}
