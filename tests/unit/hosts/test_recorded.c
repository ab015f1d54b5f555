/* Chunks recorded from real versions of Fluent Bit (tests/fixtures/fluent-bit): each comes to the same streams, times,
 * lines and metadata that the host's own loki output made of it in the same run. */
#include <dirent.h>
#include <unistd.h>

#include "../../support/host.h"
#include "hosts/fluent-bit/logs.h"
#include "pack.h"

#define FOLDER "tests/fixtures/fluent-bit"

struct recorded {
    char name[128]; /* NAME-VERSION */
    unsigned version[3];
    char *conf;
    struct buf chunk;
    struct logs_options options;
    const char *tag;
    char map[64]; /* label_map_path, written anew */
};

static void file_read(const char *name, const char *ext, struct buf *out)
{
    char path[300];
    snprintf(path, sizeof path, FOLDER "/%s.%s", name, ext);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s is missing; tests run in the source folder", path);
    assert_true(buf_reserve(out, 1 << 16));
    out->n = fread(out->p, 1, 1 << 16, f);
    assert_true(out->n < 1 << 16);
    fclose(f);
    assert_true(buf_cstr(out));
}

static void map_write(struct recorded *r, const char *text)
{
    snprintf(r->map, sizeof r->map, "/tmp/gcw-label-map-XXXXXX");
    int fd = mkstemp(r->map);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    r->options.label_map_path = r->map;
}

static void option_set(struct recorded *r, const char *key, const char *value)
{
    const struct {
        const char *key, **to;
    } rows[] = {{"tag", &r->tag},
                {"labels", &r->options.labels},
                {"label_keys", &r->options.label_keys},
                {"structured_metadata", &r->options.structured_metadata},
                {"structured_metadata_map_keys", &r->options.structured_metadata_map_keys},
                {"remove_keys", &r->options.remove_keys},
                {"drop_single_key", &r->options.drop_single_key},
                {"line_format", &r->options.line_format}};
    if (strcmp(key, "auto_kubernetes_labels") == 0)
        r->options.auto_kubernetes_labels = true;
    else if (strcmp(key, "label_map_path") == 0)
        map_write(r, value);
    else {
        size_t i = 0;
        while (i < ARRAY_LEN(rows) && strcmp(rows[i].key, key) != 0)
            i++;
        if (i == ARRAY_LEN(rows))
            fail_msg("%s: option %s", r->name, key);
        *rows[i].to = value;
    }
}

static void recorded_read(struct recorded *r, const char *name)
{
    struct buf conf = {0};
    *r = (struct recorded){0};
    snprintf(r->name, sizeof r->name, "%s", name);
    const char *dash = strrchr(name, '-');
    assert_int_equal(sscanf(dash, "-%u.%u.%u", &r->version[0], &r->version[1], &r->version[2]), 3);
    file_read(name, "conf", &conf);
    file_read(name, "msgpack", &r->chunk);
    r->conf = (char *)conf.p;
    for (char *line = strtok(r->conf, "\n"); line; line = strtok(NULL, "\n")) {
        char *space = strchr(line, ' ');
        assert_non_null(space);
        *space = 0;
        option_set(r, line, space + 1);
    }
    /* before 4.0.5 keys of labels left the line only where remove_keys was given */
    bool old = r->version[0] < 4 || (r->version[0] == 4 && r->version[1] == 0 && r->version[2] < 5);
    if (old && !r->options.remove_keys)
        r->options.remove_label_keys = "off";
    /* before 3.2.4 lines kept characters beyond ASCII */
    if (r->version[0] < 3 || (r->version[0] == 3 && (r->version[1] < 2 || (r->version[1] == 2 && r->version[2] < 4))))
        r->options.escape_unicode = "off";
    r->options.otel_metadata = "off"; /* the host sends none */
}

static void recorded_free(struct recorded *r)
{
    if (*r->map)
        remove(r->map);
    free(r->conf);
    buf_free(&r->chunk);
}

/* ---- entries as texts ------------------------------------------------------------------------------------------ */

struct texts {
    char *v[64];
    size_t n;
};

static void texts_free(struct texts *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->v[i]);
}

static void text_add(struct texts *t, const char *labels, const char *time, const char *line, const char *metadata)
{
    assert_true(t->n < ARRAY_LEN(t->v));
    struct buf b = {0};
    assert_true(buf_printf(&b, "%s | %s | %s | %s", labels, time, line, metadata) && buf_cstr(&b));
    t->v[t->n++] = (char *)b.p;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* name="value",... by name */
static char *pairs_text(const json_t *object)
{
    struct texts pairs = {0};
    struct buf b = {0};
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)object, key, v)
    {
        struct buf pair = {0};
        assert_true(buf_printf(&pair, "%s=\"%s\"", key, json_string_value(v)) && buf_cstr(&pair));
        pairs.v[pairs.n++] = (char *)pair.p;
    }
    qsort(pairs.v, pairs.n, sizeof *pairs.v, by_text);
    assert_true(buf_cstr(&b));
    for (size_t i = 0; i < pairs.n; i++)
        assert_true(buf_printf(&b, "%s%s", i ? "," : "", pairs.v[i]) && buf_cstr(&b));
    texts_free(&pairs);
    return (char *)b.p;
}

/* Where the host's own output fails: nothing came of records in groups; of several keys to remove from one map some
 * stayed, so that only labels and times compare. */
enum host_bug { BUG_NONE, BUG_GROUPS, BUG_SIBLINGS };
static enum host_bug bug_of(const char *name)
{
    static const struct {
        const char *name;
        enum host_bug bug;
    } rows[] = {{"otlp-4.0.14", BUG_GROUPS},
                {"otlp-4.2.8", BUG_GROUPS},
                {"pod-1.9.10", BUG_SIBLINGS},
                {"pod-2.2.3", BUG_SIBLINGS}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].bug;
    return BUG_NONE;
}

/* Leaves of each text what stands before the second " | ". */
static void texts_cut(struct texts *t)
{
    for (size_t i = 0; i < t->n; i++) {
        char *bar = strstr(t->v[i], " | ");
        assert_non_null(bar);
        assert_non_null(bar = strstr(bar + 1, " | "));
        *bar = 0;
    }
}

static void expected_read(const char *name, struct texts *t)
{
    struct buf text = {0};
    json_error_t e;
    json_t *stream, *entry;
    size_t i, k;
    file_read(name, "json", &text);
    json_t *all = json_loadb((char *)text.p, text.n, 0, &e);
    if (!all)
        fail_msg("%s: %s", name, e.text);
    json_array_foreach(all, i, stream)
    {
        char *labels = pairs_text(json_object_get(stream, "stream"));
        json_array_foreach(json_object_get(stream, "values"), k, entry)
        {
            char *metadata = pairs_text(json_array_get(entry, 2));
            text_add(t, labels, json_string_value(json_array_get(entry, 0)),
                     json_string_value(json_array_get(entry, 1)), metadata);
            free(metadata);
        }
        free(labels);
    }
    json_decref(all);
    buf_free(&text);
}

/* `extra` is in the order of the wire. */
static char *sorted_pairs(const char *extra)
{
    struct texts pairs = {0};
    struct buf b = {0};
    char *copy = strdup(extra ? extra : "");
    assert_non_null(copy);
    for (char *p = copy; *p;) {
        char *end = strstr(p, "\",");
        while (end && !(end[2] == '_' || (end[2] >= 'a' && end[2] <= 'z'))) /* not within a value that is JSON */
            end = strstr(end + 1, "\",");
        size_t n = end ? (size_t)(end + 1 - p) : strlen(p);
        pairs.v[pairs.n++] = strndup(p, n);
        p += n + (end ? 1 : 0);
    }
    qsort(pairs.v, pairs.n, sizeof *pairs.v, by_text);
    assert_true(buf_cstr(&b));
    for (size_t i = 0; i < pairs.n; i++)
        assert_true(buf_printf(&b, "%s%s", i ? "," : "", pairs.v[i]) && buf_cstr(&b));
    texts_free(&pairs);
    free(copy);
    return (char *)b.p;
}

static void on_entry(void *user, const struct request *q, const struct taken *t)
{
    char time[32], *metadata = sorted_pairs(t->extra);
    (void)q;
    snprintf(time, sizeof time, "%lld", (long long)t->time);
    text_add(user, t->labels, time, t->line, metadata);
    free(metadata);
}

/* What arrives of a chunk under its options. */
static void replay(const struct recorded *r, struct texts *t)
{
    struct host h;
    gcw_error err = {0};
    struct chunk_count count = {0};
    size_t done = 0;
    host_open(&h, NULL);
    struct logs *l = logs_new(h.w, &r->options, NULL, NULL, &err);
    if (!l)
        fail_msg("%s: %s", r->name, err.text);
    assert_int_equal(logs_chunk(l, r->chunk.p, r->chunk.n, r->tag, NULL, &done, &count), GCW_OK);
    assert_int_equal(count.skipped + count.refused, 0);
    logs_free(l);
    host_close(&h, WAIT_MS, GCW_OK, NULL);
    receiver_each(h.receiver, GCW_LOGS, on_entry, t);
    assert_int_equal(t->n, count.records);
    host_free(&h);
}

static void assert_as_recorded(const char *name)
{
    struct recorded r;
    struct texts got = {0}, want = {0};
    if (bug_of(name) == BUG_GROUPS)
        return;
    recorded_read(&r, name);
    expected_read(name, &want);
    replay(&r, &got);
    if (bug_of(name) == BUG_SIBLINGS) {
        texts_cut(&got);
        texts_cut(&want);
    }
    qsort(got.v, got.n, sizeof *got.v, by_text);
    qsort(want.v, want.n, sizeof *want.v, by_text);
    for (size_t i = 0; i < MIN(got.n, want.n); i++)
        if (strcmp(got.v[i], want.v[i]) != 0)
            fail_msg("%s:\n%s\n  instead of\n%s", name, got.v[i], want.v[i]);
    assert_int_equal(got.n, want.n);
    assert_true(got.n > 0);
    texts_free(&got);
    texts_free(&want);
    recorded_free(&r);
}

static int is_conf(const struct dirent *d)
{
    size_t n = strlen(d->d_name);
    return n > 5 && strcmp(d->d_name + n - 5, ".conf") == 0;
}

static void each_recorded(const char *begin, void (*check)(const char *name))
{
    struct dirent **all;
    int n = scandir(FOLDER, &all, is_conf, alphasort), checked = 0;
    if (n <= 0)
        fail_msg("no fixtures in " FOLDER "; tests run in the source folder");
    for (int i = 0; i < n; i++) {
        all[i]->d_name[strlen(all[i]->d_name) - 5] = 0;
        if (strncmp(all[i]->d_name, begin, strlen(begin)) == 0) {
            check(all[i]->d_name);
            checked++;
        }
        free(all[i]);
    }
    free(all);
    assert_true(checked > 0);
}

static void test_recorded_chunks_come_to_what_the_hosts_own_output_sent(void **state)
{
    (void)state;
    each_recorded("", assert_as_recorded);
}

static void assert_otel(const char *name)
{
    struct recorded r;
    struct texts got = {0};
    recorded_read(&r, name);
    r.options.otel_metadata = NULL;
    r.options.labels = "service=$RESOURCE['service.name']";
    replay(&r, &got);
    qsort(got.v, got.n, sizeof *got.v, by_text);
    assert_int_equal(got.n, 2);
    /* versions 4 write nanoseconds of their own making */
    const char *time = bug_of(name) == BUG_GROUPS ? "service=\"shop\" | 1700000000999999999 | "
                                                  : "service=\"shop\" | 1700000000123456789 | ";
    const char *const first[] = {time,
                                 "trace_id=\"0a0b0c0d0e0f00010203040506070809\"",
                                 "span_id=\"0102030405060708\"",
                                 "severity_number=\"9\"",
                                 "severity_text=\"Info\"",
                                 "http_method=\"GET\"",
                                 "n=\"5\"",
                                 "service_name=\"shop\"",
                                 "host_name=\"h1\""};
    for (size_t i = 0; i < ARRAY_LEN(first); i++)
        if (!strstr(got.v[0], first[i]))
            fail_msg("%s: %s\n  lacks %s", name, got.v[0], first[i]);
    assert_non_null(strstr(got.v[1], "severity_text=\"Error\""));
    assert_null(strstr(got.v[1], "trace_id"));
    texts_free(&got);
    recorded_free(&r);
}

static void test_recorded_otlp_carries_its_fields(void **state)
{
    (void)state;
    each_recorded("otlp-", assert_otel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_chunks_come_to_what_the_hosts_own_output_sent),
        cmocka_unit_test(test_recorded_otlp_carries_its_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
