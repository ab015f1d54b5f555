/* Fuzz target: a chunk of any bytes is walked to its end without a wrong access; every JSON line is JSON (jansson reads
 * it), of valid UTF-8 without control characters; what the writer took is what was counted; going on from a record's
 * border comes to the same. The writer sends nowhere: its receiver does not exist, and what is full is dropped. */
#include <jansson.h>
#include <stdlib.h>

#include "hosts/fluent-bit/event.h"
#include "hosts/fluent-bit/line.h"
#include "hosts/fluent-bit/logs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static gcw_writer *writer;

static const struct logs_options sets[] = {
    {.labels = "job=fuzz"},
    {.labels = "job=fuzz, a=$a, t=$TAG[1], r=$RESOURCE['service.name']",
     .label_keys = "$k['x'],$l[0]",
     .structured_metadata = "m=$METADATA['otlp'], $b",
     .structured_metadata_map_keys = "$k",
     .auto_kubernetes_labels = true},
    {.remove_keys = "a,$k['x'],$l[1]", .drop_single_key = "raw", .escape_unicode = "off"},
    {.line_format = "key_value", .drop_single_key = "on", .label_keys = "$a"},
    {.tenant_id_key = "$a", .otel_metadata = "off"},
};
static struct logs *logs[ARRAY_LEN(sets)];

static void set_up(void)
{
    static const char *const options[][2] = {{"logs_url", "http://127.0.0.1:9"},
                                             {"overflow", "drop_newest"},
                                             {"logs_batch_age", "1h"},
                                             {"memory_limit", "8MiB"},
                                             {"logs_auth", "tenant"},
                                             {"logs_tenant", "home"},
                                             {"log_level", "error"},
                                             {"max_streams", "1000"}};
    gcw_error err = {0};
    gcw_config *c = gcw_config_new();
    for (size_t i = 0; c && i < ARRAY_LEN(options); i++)
        ENSURE(gcw_config_set(c, options[i][0], options[i][1], &err) == GCW_OK);
    ENSURE((writer = gcw_writer_open(c, NULL, &err)));
    gcw_config_free(c);
    for (size_t i = 0; i < ARRAY_LEN(sets); i++)
        ENSURE((logs[i] = logs_new(writer, &sets[i], NULL, NULL, &err)));
}

static void json_check(struct view text)
{
    json_error_t e;
    for (size_t i = 0; i < text.n; i++)
        ENSURE((uint8_t)text.p[i] >= 0x20);
    json_t *j = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    enum json_error_code code = j ? json_error_unknown : json_error_code(&e);
    /* what jansson cannot hold: NUL in keys, integers beyond 64 bits with sign */
    ENSURE(j || code == json_error_null_byte_in_key || code == json_error_numeric_overflow);
    json_decref(j);
}

/* Every record's line by itself. */
static void lines_check(const uint8_t *data, size_t size)
{
    struct line line = {0};
    struct paths paths = {0};
    struct msgpack m = msgpack_over(data, size);
    struct event e;
    enum event_kind kind;
    while ((kind = event_next(&m, &e)) != EVENT_NONE) {
        const struct line_rules rules = {.format = LINE_JSON, .ascii = size & 1, .paths = &paths};
        struct msgpack_value head;
        struct msgpack at = m;
        struct view text;
        if (kind == EVENT_MALFORMED || kind == EVENT_DAMAGED)
            continue;
        bool whole = msgpack_skip(&at),
             map = msgpack_next(&(struct msgpack){m.p, m.end}, &head) && head.type != MSGPACK_STR;
        ENSURE((line_write(&line, &rules, &m, &text) == LINE_OK) == whole);
        if (!whole)
            break;
        ENSURE(m.p == at.p);
        if (map)
            json_check(text);
    }
    line_free(&line);
}

static void chunk_check(struct logs *l, const uint8_t *data, size_t size)
{
    struct chunk_count whole = {0}, parts = {0};
    size_t done = 0;
    ENSURE(logs_chunk(l, data, size, "fuzz.tag", NULL, &done, &whole) == GCW_OK);
    ENSURE(done == size);
    struct msgpack m = msgpack_over(data, size);
    struct event e;
    if (event_next(&m, &e) != EVENT_RECORD || !msgpack_skip(&m))
        return;
    done = (size_t)(m.p - data); /* the first record left out */
    ENSURE(logs_chunk(l, data, size, NULL, NULL, &done, &parts) == GCW_OK);
    ENSURE(whole.records + whole.refused + whole.skipped == parts.records + parts.refused + parts.skipped + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!writer)
        set_up();
    uint8_t *chunk = malloc(size ? size : 1); /* its end is the end of memory */
    ENSURE(chunk);
    if (size > 0)
        memcpy(chunk, data, size);
    lines_check(chunk, size);
    for (size_t i = 0; i < ARRAY_LEN(sets); i++)
        chunk_check(logs[i], chunk, size);
    free(chunk);
    return 0;
}
