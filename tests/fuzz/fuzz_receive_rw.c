/* Remote write requests into the judge: raw bodies, and bodies that are wrapped in snappy here, so that the fuzzer gets
 * at the protobuf walk and the judge behind it. Every record that comes out is a line of JSON. */
#include <snappy-c.h>
#include <stdlib.h>

#include "cli/receive/judge.h"
#include "json_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(struct store *store, const struct limits *limits, bool two, struct view body)
{
    struct push p = {.body = body,
                     .content_type =
                         two ? "application/x-protobuf;proto=io.prometheus.write.v2.Request" : "application/x-protobuf",
                     .content_encoding = "snappy",
                     .version = two ? "2.0.0" : "0.1.0",
                     .user_agent = "fuzz/1",
                     .tenant = "t",
                     .now_ns = INT64_C(1700000000000000000)};
    struct verdict v = {.want_records = true};
    judge_metrics(&p, limits, store, &v);
    ENSURE(v.status == 200 || v.status == 400 || v.status == 429);
    json_lines_check(&v.records);
    verdict_free(&v);
}

/* The first byte chooses: raw or wrapped, which limits, which version. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct store store;
    struct limits limits;
    if (size == 0)
        return 0;
    uint8_t how = data[0];
    data++, size--;
    limits_init(&limits);
    limits.v[METRICS_BODY_BYTES] = 1 * MIB;
    limits.v[METRICS_STRICT] = !(how & 2);
    limits.v[METRICS_OUT_OF_ORDER_WINDOW] = how & 4 ? 7200000 : 0;
    limits.v[METRICS_HEAD_WINDOW] = how & 8 ? 0 : 3600000;
    limits.v[METRICS_FUTURE] = how & 16 ? 0 : 600000;
    limits.v[METRICS_SERIES] = how & 32 ? 2 : 0;
    limits.v[METRICS_LABEL_VALUE_BYTES] = how & 64 ? 8 : 0;
    store_init(&store);
    if (how & 1) {
        judge(&store, &limits, how & 128, view_make((const char *)data, size));
    } else {
        size_t packed = snappy_max_compressed_length(size);
        char *body = malloc(packed);
        ENSURE(body && snappy_compress((const char *)data, size, body, &packed) == SNAPPY_OK);
        judge(&store, &limits, how & 128, view_make(body, packed));
        judge(&store, &limits, how & 128, view_make(body, packed)); /* as a retry */
        free(body);
    }
    store_free(&store);
    return 0;
}
