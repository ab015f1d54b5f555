/* label_map_path: a JSON file whose objects follow the records' maps, and whose strings are the label names. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "hosts/fluent-bit/rules.h"
#include "input/input.h"

#define FILE_MAX MIB

struct map_reader {
    struct rules *rules;
    const char *option, *path;
    gcw_error *err;
    struct path_step way[ACCESSOR_STEPS_MAX];
};

static gcw_status wrong(const struct map_reader *r, const char *what)
{
    return error_set(r->err, GCW_ERR_INVALID, "%s: %s: %s", r->option, r->path, what);
}

static gcw_status text_of(const struct map_reader *r, const struct json_value *v, char **out)
{
    if (!(*out = malloc(v->raw.n + 1)))
        return error_set(r->err, GCW_ERR_NOMEM, "out of memory");
    (*out)[json_text_copy(v, *out)] = 0;
    return GCW_OK;
}

static gcw_status label_read(const struct map_reader *r, size_t depth, const struct json_value *v)
{
    struct rule rule = {0};
    gcw_status status = text_of(r, v, &rule.name);
    if (status == GCW_OK && !*rule.name)
        status = wrong(r, "a label name is empty");
    else if (status == GCW_OK && accessor_of_steps(&rule.from, r->way, depth))
        return rules_add(r->rules, &rule, r->err);
    else if (status == GCW_OK)
        status = error_set(r->err, GCW_ERR_NOMEM, "out of memory");
    free(rule.name);
    return status;
}

/* Goes no deeper than a way has steps. */
static gcw_status object_read(struct map_reader *r, size_t depth, struct json_scan *scan)
{
    struct json_member m;
    gcw_status status = GCW_OK;
    if (depth == ACCESSOR_STEPS_MAX)
        return wrong(r, "more than 16 objects deep");
    for (bool first = true; status == GCW_OK && json_member_read(scan, first, &m); first = false) {
        char *key;
        if ((status = text_of(r, &m.key, &key)) != GCW_OK)
            return status;
        r->way[depth] = (struct path_step){.key = view_of(key)};
        if (m.value.kind == KIND_STRING)
            status = label_read(r, depth + 1, &m.value);
        else if (m.value.kind == KIND_OBJECT) {
            struct json_scan inner = json_scan_of(m.value.raw);
            status = json_object_enter(&inner) ? object_read(r, depth + 1, &inner) : wrong(r, "no JSON object");
        } else
            status =
                wrong(r, "values are label names or objects of them, as in {\"kubernetes\":{\"pod_name\":\"pod\"}}");
        free(key);
    }
    return status;
}

static gcw_status file_read(const struct map_reader *r, struct buf *text)
{
    FILE *f = fopen(r->path, "re");
    if (!f || !buf_reserve(text, FILE_MAX)) {
        gcw_status status = f ? error_set(r->err, GCW_ERR_NOMEM, "out of memory")
                              : error_set(r->err, GCW_ERR_IO, "%s: %s: %s", r->option, r->path, errno_text(errno));
        if (f)
            fclose(f);
        return status;
    }
    text->n = fread(text->p, 1, FILE_MAX, f);
    bool bad = ferror(f) != 0, long_file = text->n == FILE_MAX;
    fclose(f);
    if (bad)
        return error_set(r->err, GCW_ERR_IO, "%s: %s cannot be read", r->option, r->path);
    return long_file ? wrong(r, "a file of 1 MiB or more") : GCW_OK;
}

gcw_status rules_read_map(struct rules *rules, const char *option, const char *path, gcw_error *err)
{
    struct map_reader r = {.rules = rules, .option = option, .path = path, .err = err};
    struct buf text = {0};
    if (!path)
        return GCW_OK;
    gcw_status status = file_read(&r, &text);
    if (status == GCW_OK) {
        struct json_scan scan = json_scan_of(buf_view(&text));
        if (json_object_enter(&scan))
            status = object_read(&r, 0, &scan);
        if (status == GCW_OK && !scan.why)
            json_text_end(&scan);
        if (status == GCW_OK && scan.why)
            status = error_set(err, GCW_ERR_INVALID, "%s: %s: byte %zu: %s", option, path,
                               (size_t)(scan.p - scan.start) + 1, scan.why);
    }
    buf_free(&text);
    return status;
}
