/* The sealed request and the names its parts have on the wire. */
#include <stdlib.h>

#include "codec/codec.h"

const char *protocol_content_type(enum protocol p)
{
    /* The bare form for 1.0: parameters are legal since remote write 2.0 only. No blank behind the semicolon: receivers
     * split there without trimming, and would take the body for 1.0. */
    static const char *const type[PROTOCOLS] = {
        [PROTOCOL_RW1] = "application/x-protobuf",
        [PROTOCOL_RW2] = "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        [PROTOCOL_LOKI_JSON] = "application/json",
        [PROTOCOL_LOKI_PROTO] = "application/x-protobuf",
    };
    return type[p];
}

const char *protocol_version(enum protocol p)
{
    static const char *const version[PROTOCOLS] = {[PROTOCOL_RW1] = "0.1.0", [PROTOCOL_RW2] = "2.0.0"};
    return version[p];
}

const char *encoding_name(enum encoding e)
{
    static const char *const name[] = {
        [ENCODING_NONE] = NULL,
        [ENCODING_SNAPPY] = "snappy",
        [ENCODING_GZIP] = "gzip",
    };
    return name[e];
}

struct sealed *sealed_blank(size_t len)
{
    ENSURE(len <= UINT32_MAX);
    struct sealed *s = malloc(sizeof *s + len);
    if (s)
        *s = (struct sealed){.lanes = 1, .len = (uint32_t)len};
    return s;
}

struct sealed *sealed_new(const void *body, size_t len)
{
    struct sealed *s = sealed_blank(len);
    if (s && len > 0)
        memcpy(s->body, body, len);
    return s;
}

void sealed_free(struct sealed *s)
{
    if (!s)
        return;
    free(s->shares);
    free(s);
}
