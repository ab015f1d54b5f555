/* Loki pushes into the judge: JSON, gzip and raw deflate, and protobuf that snappy was taken off of. Every record that
 * comes out is a line of JSON, and a push that was taken whole brings nothing but duplicates when it comes again. */

#include <snappy-c.h>

#include "cli/receive/judge.h"
#include "json_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct verdict judge(struct store *store, const struct limits *limits, struct view body, const char *type,
                            const char *encoding)
{
    struct push p = {.body = body,
                     .content_type = type,
                     .content_encoding = encoding,
                     .tenant = "t",
                     .now_ns = INT64_C(1700000000000000000)};
    struct verdict v = {.want_records = true};
    judge_logs(&p, limits, store, &v);
    ENSURE(v.status == 204 || v.status == 400 || v.status == 413 || v.status == 422 || v.status == 429 ||
           v.status == 500);
    ENSURE(json_lines_check(&v.records) == v.entries);
    return v;
}

/* The first byte chooses the encoding and the limits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const encodings[] = {NULL, "gzip", "deflate", "snappy"};
    struct buf packed = {0};
    struct store store;
    struct limits limits;
    if (size == 0)
        return 0;
    uint8_t how = data[0];
    struct view body = view_make((const char *)data + 1, size - 1);
    limits_init(&limits);
    limits.v[LOGS_DECODED_BYTES] = 1 * MIB;
    limits.v[LOGS_STRICT] = !(how & 4);
    limits.v[LOGS_PAST] = how & 8 ? 0 : limits.v[LOGS_PAST];
    limits.v[LOGS_FUTURE] = how & 16 ? 0 : limits.v[LOGS_FUTURE];
    limits.v[LOGS_LINE_BYTES] = how & 32 ? 4 : 0;
    limits.v[LOGS_STREAMS] = how & 64 ? 1 : 5000;
    limits.v[LOGS_ORDER_WINDOW] = how & 128 ? 0 : 3600000;
    const char *type = (how & 3) == 3 ? "application/x-protobuf" : "application/json";
    if ((how & 3) == 3) {
        size_t n = snappy_max_compressed_length(body.n);
        ENSURE(buf_reserve(&packed, n) && snappy_compress(body.p, body.n, (char *)packed.p, &n) == SNAPPY_OK);
        body = view_make((const char *)packed.p, n);
    }
    store_init(&store);
    struct verdict first = judge(&store, &limits, body, type, encodings[how & 3]);
    struct verdict again = judge(&store, &limits, body, type, encodings[how & 3]);
    if (first.status == 204 && again.status == 204)
        ENSURE(again.duplicates == again.entries && again.entries == first.entries);
    verdict_free(&first);
    verdict_free(&again);
    store_free(&store);
    buf_free(&packed);
    return 0;
}
