/* What the judge writes of the records it took: each a line of JSON. */
#ifndef GCW_FUZZ_JSON_LINES_H
#define GCW_FUZZ_JSON_LINES_H

#include <jansson.h>

#include "base/base.h"

/* Every line parses; how many there are. */
static inline uint64_t json_lines_check(const struct buf *records)
{
    uint64_t lines = 0;
    for (size_t at = 0; at < records->n; lines++) {
        const uint8_t *end = memchr(records->p + at, '\n', records->n - at);
        json_error_t error;
        ENSURE(end);
        size_t n = (size_t)(end - records->p) - at;
        json_t *line = json_loadb((const char *)records->p + at, n, JSON_ALLOW_NUL, &error);
        ENSURE(line);
        json_decref(line);
        at += n + 1;
    }
    return lines;
}

#endif
