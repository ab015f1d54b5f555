/* gcw push logs: lines to entries. */
#include <stdlib.h>

#include "cli/push.h"
#include "input/input.h"

static const struct cli_option options[] = {
    {"json", 'j', NULL, "JSON lines", "lines are JSON objects; implied by the options below"},
    {"timestamp-key", 0, "KEY", "JSON lines", "take the entry's time from this key; a path a.b.c reaches into objects"},
    {"timestamp-format", 0, "FORMAT", "JSON lines",
     "auto (default: a number by its size, else RFC 3339), rfc3339, unix_s, unix_ms, unix_us, unix_ns, or a "
     "strptime(3) "
     "pattern with %f for a fraction; without a zone UTC"},
    {"label-key", 0, "KEY[=NAME]", "JSON lines", "make this key a label; may be repeated"},
    {"metadata-key", 0, "KEY[=NAME]", "JSON lines", "make this key structured metadata; may be repeated"},
    {"line-key", 0, "KEY", "JSON lines", "the entry is this key's value, not the whole line"},
    {"confirm", 0, NULL, "Input",
     "write OK on standard output when ready, and for each line once it is safe: on disk and synced with queue_dir, "
     "else "
     "delivered. Whoever feeds the lines may forget them then (rsyslog's omprog with confirmMessages)"},
    PUSH_OPTIONS,
};

const struct cli_option *push_logs_options(size_t *count)
{
    *count = ARRAY_LEN(options);
    return options;
}

#define KEYS_MAX 64

struct logs {
    struct push push;
    struct json_line_config json;
    struct json_key labels[KEYS_MAX], metadata[KEYS_MAX];
    const char *time_format;
    bool is_json;
    struct lines lines;
    struct json_reader *reader;
    gcw_stream *stream; /* of entries without labels of their own */
    int64_t now_ns;     /* when the piece at hand was read */
    int64_t last_ns;
    bool confirm;
    gcw_receipt *receipt; /* of the piece at hand, with --confirm */
    uint64_t unconfirmed; /* lines in it */
};

static int fail(const char *text)
{
    fprintf(stderr, "gcw push logs: %s\n", text);
    return -1;
}

/* KEY or KEY=NAME; the argument lives as long as argv. */
static int add_key(struct json_key *keys, size_t *count, const char *arg)
{
    char *eq = strchr(arg, '=');
    if (*count == KEYS_MAX)
        return fail("at most 64 keys");
    char *path = eq ? strndup(arg, (size_t)(eq - arg)) : strdup(arg);
    if (!path)
        return fail("out of memory");
    keys[(*count)++] = (struct json_key){path, eq ? eq + 1 : path};
    return 0;
}

static int set(void *ctx, const struct cli_option *o, const char *arg)
{
    struct logs *l = ctx;
    bool failed = false;
    if (push_option(&l->push, o, arg, &failed))
        return failed ? -1 : 0;
    if (strcmp(o->name, "confirm") == 0) {
        l->confirm = true;
        l->push.summary = SUMMARY_NONE;
        return 0;
    }
    l->is_json = true;
    if (strcmp(o->name, "timestamp-key") == 0)
        l->json.time_key = arg;
    else if (strcmp(o->name, "timestamp-format") == 0)
        l->time_format = arg;
    else if (strcmp(o->name, "line-key") == 0)
        l->json.line_key = arg;
    else if (strcmp(o->name, "label-key") == 0)
        return add_key(l->labels, &l->json.label_count, arg);
    else if (strcmp(o->name, "metadata-key") == 0)
        return add_key(l->metadata, &l->json.metadata_count, arg);
    return 0;
}

/* ---- lines to writer
 * ------------------------------------------------------------------------------------------------- */

/* A line without a time has that of its piece. Two never get the same: Loki keeps one of two equal entries. */
static int64_t now_unique(struct logs *l)
{
    l->last_ns = MAX(l->now_ns, l->last_ns + 1);
    return l->last_ns;
}

static gcw_status append(struct logs *l, const struct json_line *j, int64_t time_ns, gcw_error *err)
{
    if (j->label_count > 0)
        return gcw_entry_write(l->push.writer, j->labels, j->label_count, j->line.p, j->line.n, time_ns, j->metadata,
                               j->metadata_count, l->receipt, err);
    if (!l->stream && !(l->stream = gcw_stream_intern(l->push.writer, NULL, 0, NULL, err)))
        return GCW_ERR_INVALID;
    gcw_status status =
        gcw_entry_append(l->stream, j->line.p, j->line.n, time_ns, j->metadata, j->metadata_count, l->receipt);
    if (status != GCW_OK)
        *err = (gcw_error){.code = status};
    return status;
}

static void on_line(void *ctx, uint64_t number, struct view line, bool cut)
{
    struct logs *l = ctx;
    struct json_line j = {.line = line};
    gcw_error err; /* of half a KiB: not cleared for every line */
    gcw_status status;
    err.text[0] = 0;
    l->unconfirmed++;
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        j.line.n--;
    if (cut)
        push_malformed(&l->push, number, "longer than 16 MiB: cut", (struct view){0});
    if (l->reader && json_reader_parse(l->reader, j.line, &j, &err) != GCW_OK) {
        push_malformed(&l->push, number, err.text, line);
        return;
    }
    int64_t time_ns = j.has_time ? j.time_ns : now_unique(l);
    do
        status = append(l, &j, time_ns, &err);
    while (status == GCW_ERR_TIMEOUT && !push_interrupted());
    if (status != GCW_OK && status != GCW_ERR_DROPPED)
        push_refused(&l->push, number,
                     status == GCW_ERR_TIMEOUT ? "not read any more: interrupted"
                     : *err.text               ? err.text
                                               : gcw_strerror(status));
}

/* ---- --confirm: one receipt for each piece that is read ---------------------------------------------------------- */

static gcw_status receipt_open(struct logs *l)
{
    gcw_error err;
    l->unconfirmed = 0;
    if (!l->confirm)
        return GCW_OK;
    l->receipt = gcw_receipt_new(l->push.writer, GCW_RECEIPT_DURABLE, NULL, NULL, NULL);
    if (!l->receipt)
        l->receipt = gcw_receipt_new(l->push.writer, GCW_RECEIPT_DELIVERED, NULL, NULL, &err);
    return l->receipt ? GCW_OK : GCW_ERR_NOMEM;
}

/* Lines that can never be delivered (malformed, refused, rejected) are confirmed too: to hand them over again would not
 * help, and the summary counts them. */
static gcw_status receipt_close(struct logs *l, gcw_status status)
{
    gcw_receipt_summary s = {0};
    if (!l->receipt)
        return status;
    gcw_receipt_seal(l->receipt);
    gcw_writer_flush(l->push.writer, 0); /* what was read is all there is for now: it need not wait for more */
    while (gcw_receipt_wait(l->receipt, 200, &s) != GCW_OK && !push_interrupted())
        ;
    gcw_receipt_free(l->receipt);
    l->receipt = NULL;
    bool safe = s.complete && s.outcome[GCW_DROPPED] + s.outcome[GCW_EXPIRED] == 0;
    for (; l->unconfirmed > 0; l->unconfirmed--)
        puts(safe ? "OK" : "not delivered");
    return fflush(stdout) == 0 ? status : GCW_ERR_IO;
}

static void ready(void *ctx)
{
    const struct logs *l = ctx;
    if (l->confirm)
        puts("OK");
    fflush(stdout);
}

static gcw_status begin(void *ctx, const char *head, size_t head_len, const char *tail, size_t tail_len)
{
    struct logs *l = ctx;
    (void)head, (void)head_len, (void)tail, (void)tail_len;
    lines_free(&l->lines);
    l->lines = (struct lines){.max_bytes = 16 * MIB};
    return GCW_OK;
}

static gcw_status feed(void *ctx, const char *data, size_t n)
{
    struct logs *l = ctx;
    gcw_status status = receipt_open(l);
    l->now_ns = gcw_now_ns();
    return status == GCW_OK ? receipt_close(l, lines_feed(&l->lines, data, n, on_line, l)) : status;
}

static gcw_status end(void *ctx)
{
    struct logs *l = ctx;
    gcw_status status = push_interrupted() ? GCW_OK : receipt_open(l);
    return push_interrupted() || status != GCW_OK ? status : receipt_close(l, lines_end(&l->lines, on_line, l));
}

/* ---- start
 * ------------------------------------------------------------------------------------------------------------- */

static int json_open(struct logs *l)
{
    gcw_error err;
    if (!l->is_json)
        return 0;
    if (l->time_format && !l->json.time_key)
        return fail("--timestamp-format needs --timestamp-key");
    if (l->json.time_key && !(l->json.time_format = time_format_new(l->time_format ? l->time_format : "auto", &err)))
        return fail(err.text);
    l->json.labels = l->labels;
    l->json.metadata = l->metadata;
    l->reader = json_reader_new(&l->json);
    return l->reader ? 0 : fail("out of memory");
}

static int default_label(struct logs *l)
{
    char configured[16];
    gcw_config_get(l->push.settings.config, "logs_labels", configured, sizeof configured);
    if (l->push.labels.n > 0 || *configured || l->json.label_count > 0)
        return 0;
    return buf_puts(&l->push.labels, "job=gcw") ? 0 : fail("out of memory");
}

static void keys_free(struct json_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((char *)(uintptr_t)keys[i].path);
}

int push_logs_main(int argc, char **argv)
{
    struct logs l = {0};
    const struct push_source source = {&l, ready, begin, feed, end};
    int code = EXIT_USAGE;
    if (push_init(&l.push, GCW_LOGS, "push logs", argc, argv) == 0) {
        int first = cli_parse(l.push.settings.command, argc, argv, set, &l);
        if (first >= 0 && json_open(&l) == 0 && default_label(&l) == 0)
            code = push_run(&l.push, &source, argc - first, argv + first);
    }
    lines_free(&l.lines);
    json_reader_free(l.reader);
    time_format_free((struct time_format *)(uintptr_t)l.json.time_format);
    keys_free(l.labels, l.json.label_count);
    keys_free(l.metadata, l.json.metadata_count);
    push_free(&l.push);
    return code;
}
