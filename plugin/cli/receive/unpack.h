/* Out of the wrapping: snappy block, gzip, raw deflate; and the strict walk over a protobuf message's skeleton. */
#ifndef GCW_RECEIVE_UNPACK_H
#define GCW_RECEIVE_UNPACK_H

#include "base/base.h"

enum unpack_result { UNPACK_OK, UNPACK_BROKEN, UNPACK_TOO_LARGE, UNPACK_NOMEM };

/* All append to `out` at most `max` bytes (0 = any number); `why` gets words, also for TOO_LARGE. */
enum unpack_result snappy_unpack(struct view in, uint64_t max, struct buf *out, gcw_error *why);
enum unpack_result gzip_unpack(struct view in, uint64_t max, struct buf *out, gcw_error *why);
enum unpack_result deflate_unpack(struct view in, uint64_t max, bool strict, struct buf *out, gcw_error *why);

/* The text fields of a request in the order of the wire. protobuf-c hands out C strings, which end at the first
 * NUL; here stands how long they really are. */
struct wire_texts {
    struct view *p;
    size_t n, cap;
};

struct wire_scan {
    struct wire_texts labels;          /* name, value of each Label of a series */
    struct wire_texts exemplar_labels; /* and of an exemplar */
    struct wire_texts metadata;        /* family, help, unit of each MetricMetadata */
    struct wire_texts symbols;         /* of a 2.0 Request */
};

/* Checks what protobuf decoders forgive: unknown fields, a singular field twice, wrong wire types, numbers not in their
 * shortest form. `version` of remote write: 1 or 2. UNPACK_BROKEN with the field and the message in `why`. Free the
 * scan either way. */
enum unpack_result wire_check(struct view message, int version, struct wire_scan *scan, gcw_error *why);
void wire_scan_free(struct wire_scan *scan);

#endif
