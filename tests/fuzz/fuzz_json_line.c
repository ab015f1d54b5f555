/* Fuzz target: the JSON-line reader takes any bytes, agrees with jansson on what is JSON, and on the line's text when
 * that is a string. Where jansson refuses a number it can't hold or a NUL in a key, or lets a raw NUL behind a number
 * pass, the reader may differ. */
#include <jansson.h>
#include <stdlib.h>

#include "input/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct json_key labels[] = {{"level", "level"}, {"a.b", "ab"}, {"k8s.pod.name", "pod"}};
static const struct json_key metadata[] = {{"trace_id", "trace_id"}, {"msg", "msg"}};

/* Every byte handed out can be read. */
static void texts_check(const struct json_line *l)
{
    uint64_t h = hash_bytes(l->line.p, l->line.n, 0);
    for (size_t i = 0; i < l->label_count; i++)
        h += hash_bytes(l->labels[i].value, l->labels[i].value_len, h) + l->labels[i].name_len;
    for (size_t i = 0; i < l->metadata_count; i++)
        h += hash_bytes(l->metadata[i].value, l->metadata[i].value_len, h) + l->metadata[i].name_len;
    volatile uint64_t used = h;
    (void)used;
}

static void verdict_check(struct view line, bool ok, const struct json_line *out)
{
    json_error_t e;
    json_t *j = json_loadb(line.p, line.n, JSON_ALLOW_NUL, &e);
    enum json_error_code code = j ? json_error_unknown : json_error_code(&e);
    bool comparable = code != json_error_numeric_overflow && code != json_error_null_byte_in_key;
    if (comparable && !(j && line.n > 0 && memchr(line.p, 0, line.n)))
        ENSURE(ok == json_is_object(j));
    const json_t *msg = json_object_get(j, "msg");
    if (ok && json_is_string(msg))
        ENSURE(view_eq(out->line, view_make(json_string_value(msg), json_string_length(msg))));
    json_decref(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const formats[] = {"auto", "rfc3339", "unix_s", "%Y-%m-%dT%H:%M:%S.%f%z"};
    if (size == 0)
        return 0;
    struct time_format *f = time_format_new(formats[data[0] % ARRAY_LEN(formats)], NULL);
    const struct json_line_config with_time = {.time_key = "ts",
                                               .time_format = f,
                                               .line_key = "msg",
                                               .labels = labels,
                                               .label_count = ARRAY_LEN(labels),
                                               .metadata = metadata,
                                               .metadata_count = ARRAY_LEN(metadata)};
    struct json_line_config plain = with_time;
    plain.time_key = NULL;
    struct json_reader *timed = json_reader_new(&with_time), *r = json_reader_new(&plain);
    ENSURE(f && r && timed);
    char *line = malloc(size); /* its end is the end of memory */
    ENSURE(line);
    memcpy(line, data + 1, size - 1);
    struct view text = view_make(line, size - 1);
    struct json_line out;
    int64_t ns;
    bool ok = json_reader_parse(r, text, &out, NULL) == GCW_OK;
    verdict_check(text, ok, &out);
    texts_check(&out);
    gcw_status status = json_reader_parse(timed, text, &out, NULL);
    ENSURE(ok || status == GCW_ERR_INVALID);
    texts_check(&out);
    (void)time_parse(f, text, &ns);
    free(line);
    json_reader_free(timed);
    json_reader_free(r);
    time_format_free(f);
    return 0;
}
