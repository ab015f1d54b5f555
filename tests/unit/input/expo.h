/* Messages of the protobuf exposition for tests, packed by the generated code. */
#ifndef TEST_EXPO_H
#define TEST_EXPO_H

#include <stdlib.h>

#include "base/base.h"
#include "metrics.pb-c.h"

typedef Gcw__Exposition__Metric expo_metric;

static inline ProtobufCBinaryData expo_bytes(struct view v)
{
    return (ProtobufCBinaryData){v.n, (uint8_t *)(uintptr_t)v.p};
}
static inline ProtobufCBinaryData expo_text(const char *s) { return expo_bytes(view_of(s)); }

static inline void expo_varint(struct buf *out, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    ENSURE(buf_append(out, bytes, n));
}

/* A family, with its length in front. */
static inline void expo_family(struct buf *out, const char *name, const char *help, const char *unit, int type,
                               expo_metric *const *metrics, size_t count)
{
    Gcw__Exposition__MetricFamily f = GCW__EXPOSITION__METRIC_FAMILY__INIT;
    ProtobufCBinaryData *packed = calloc(count + 1, sizeof *packed);
    ENSURE(packed);
    for (size_t i = 0; i < count; i++) {
        packed[i].data = malloc(gcw__exposition__metric__get_packed_size(metrics[i]) + 1);
        ENSURE(packed[i].data);
        packed[i].len = gcw__exposition__metric__pack(metrics[i], packed[i].data);
    }
    f.name = expo_text(name);
    f.help = expo_text(help);
    f.unit = expo_text(unit);
    f.type = (Gcw__Exposition__MetricType)type;
    f.metric = packed;
    f.n_metric = count;
    size_t n = gcw__exposition__metric_family__get_packed_size(&f);
    expo_varint(out, n);
    ENSURE(buf_reserve(out, n));
    out->n += gcw__exposition__metric_family__pack(&f, out->p + out->n);
    for (size_t i = 0; i < count; i++)
        free(packed[i].data);
    free(packed);
}

#endif
