/* gcw push logs: lines to entries. */
#include <stdlib.h>

#include "cli/confirm.h"
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
     "else delivered. Whoever feeds the lines may forget them then (rsyslog's omprog with confirmMessages). Leading "
     "dots say that it takes time; anything else than OK that the line was not taken. A line that cannot be parsed is "
     "delivered as it is"},
    {"transactions", 0, NULL, "Input",
     "the same for lines between BEGIN TRANSACTION and COMMIT TRANSACTION: each is answered with DEFER_COMMIT, and the "
     "commit with OK once all are safe (rsyslog's omprog with confirmMessages and useTransactions). With queue_dir "
     "they "
     "are safe as soon as they are in a journal there, which is taken up again after kill -9"},
    {"journal", 0, NULL, "Input",
     "with queue_dir: write lines to a journal there as soon as they are read, and take up after kill -9 what an "
     "earlier "
     "run left in it; then that costs only what still stood in the pipe (syslog-ng's program())"},
    PUSH_OPTIONS,
};

const struct cli_option *push_logs_options(size_t *count)
{
    *count = ARRAY_LEN(options);
    return options;
}

#define KEYS_MAX       64
#define CONFIRM_END_MS 3000

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
    struct buf mended;
    bool confirms, transactions, journal, journal_failing;
    struct confirm confirm;
    gcw_receipt *receipt; /* of the line at hand */
    uint64_t unconfirmed; /* lines of the piece at hand, with --confirm */
    gcw_status failed;    /* of the line at hand: it was not taken, and should come again */
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
    if (strcmp(o->name, "confirm") == 0 || strcmp(o->name, "transactions") == 0) {
        l->confirms = true;
        l->transactions = l->transactions || *o->name == 't';
        l->push.summary = SUMMARY_NONE;
        return 0;
    }
    if (strcmp(o->name, "journal") == 0) {
        l->journal = true;
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

/* ---- lines to writer --------------------------------------------------------------------------------------------- */

/* A line without a time has that of its piece. Two never get the same: Loki keeps one of two equal entries. */
static int64_t now_unique(struct logs *l)
{
    l->last_ns = MAX(l->now_ns, l->last_ns + 1);
    return l->last_ns;
}

static gcw_status append(struct logs *l, const struct json_line *j, int64_t time_ns, gcw_error *err)
{
    gcw_receipt *receipt = l->receipt;
    if (j->label_count > 0)
        return gcw_entry_write(l->push.writer, j->labels, j->label_count, j->line.p, j->line.n, time_ns, j->metadata,
                               j->metadata_count, receipt, err);
    if (!l->stream && !(l->stream = gcw_stream_intern(l->push.writer, NULL, 0, NULL, err))) {
        const gcw_label job = GCW_LABEL("job", "gcw");
        if (!(l->stream = gcw_stream_intern(l->push.writer, &job, 1, NULL, err)))
            return GCW_ERR_INVALID;
    }
    gcw_status status =
        gcw_entry_append(l->stream, j->line.p, j->line.n, time_ns, j->metadata, j->metadata_count, receipt);
    if (status != GCW_OK)
        *err = (gcw_error){.code = status};
    return status;
}

/* The line with every byte that is not UTF-8 as U+FFFD. */
static bool mend(struct logs *l, struct view line)
{
    bool ok = true;
    l->mended.n = 0;
    for (size_t n; line.n > 0 && ok; line.p += n, line.n -= n) {
        n = utf8_sequence(line.p, line.n);
        ok = n > 0 ? buf_append(&l->mended, line.p, n) : buf_puts(&l->mended, "\xEF\xBF\xBD");
        n = n > 0 ? n : utf8_invalid_run(line.p, line.n);
    }
    return ok;
}

/* Senders put bytes of any kind into a JSON text; that alone costs no line. */
static gcw_status parse(struct logs *l, struct view line, struct json_line *j, gcw_error *err)
{
    gcw_status status = json_reader_parse(l->reader, line, j, err);
    if (status == GCW_OK || utf8_valid(line.p, line.n) || !mend(l, line))
        return status;
    return json_reader_parse(l->reader, buf_view(&l->mended), j, err);
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
    if (l->reader && parse(l, j.line, &j, &err) != GCW_OK) {
        push_malformed(&l->push, number, err.text, line);
        if (!l->confirms)
            return;
        err.text[0] = 0;
    }
    int64_t time_ns = j.has_time ? j.time_ns : now_unique(l);
    while ((status = append(l, &j, time_ns, &err)) == GCW_ERR_TIMEOUT && !push_interrupted() && !l->confirm.alone)
        if (l->confirms)
            confirm_still_alive(&l->confirm);
    if (status == GCW_OK || status == GCW_ERR_DROPPED)
        return;
    if (status == GCW_ERR_TIMEOUT || status == GCW_ERR_FULL || status == GCW_ERR_NOMEM || status == GCW_ERR_CLOSED)
        l->failed = status;
    push_refused(&l->push, number,
                 status == GCW_ERR_TIMEOUT ? "not read any more: interrupted"
                 : *err.text               ? err.text
                                           : gcw_strerror(status),
                 (struct view){0});
}

static gcw_status receipt_take(struct logs *l)
{
    l->receipt = confirm_receipt(&l->confirm);
    return l->receipt ? GCW_OK : GCW_ERR_NOMEM;
}

/* ---- --confirm: one receipt for each piece that is read ---------------------------------------------------------- */

/* Lines that can never be delivered (refused, rejected) are confirmed too: to hand them over again would not help, and
 * they are told and counted. */
static gcw_status answer_piece(struct logs *l)
{
    bool safe = confirm_wait(&l->confirm) && l->failed == GCW_OK;
    bool heard = true;
    for (; l->unconfirmed > 0; l->unconfirmed--)
        heard = confirm_say(&l->confirm, safe ? "OK" : "not delivered") && heard;
    l->failed = GCW_OK;
    return heard ? GCW_OK : GCW_ERR_IO;
}

/* ---- --transactions: line by line -------------------------------------------------------------------------------- */

static const char *transaction_line(struct logs *l, uint64_t number, struct view line, bool cut)
{
    if (view_is(line, "BEGIN TRANSACTION")) {
        /* one that is open goes on: what was answered in it does not come again */
        l->confirm.in_transaction = true;
        return "OK";
    }
    if (view_is(line, "COMMIT TRANSACTION")) {
        l->confirm.in_transaction = false;
        return confirm_commit(&l->confirm) ? "OK" : "not delivered";
    }
    l->failed = receipt_take(l);
    if (l->failed == GCW_OK)
        l->failed = confirm_journal(&l->confirm, line);
    if (l->failed == GCW_OK)
        on_line(l, number, line, cut);
    if (l->failed != GCW_OK)
        return gcw_strerror(l->failed);
    if (l->confirm.in_transaction)
        return "DEFER_COMMIT";
    return confirm_commit(&l->confirm) ? "OK" : "not delivered";
}

static void on_transaction_line(void *ctx, uint64_t number, struct view line, bool cut)
{
    struct logs *l = ctx;
    l->failed = GCW_OK;
    const char *answer = transaction_line(l, number, line, cut);
    if (!push_interrupted())
        confirm_say(&l->confirm, answer);
}

/* ---- --journal --------------------------------------------------------------------------------------------------- */

static void on_journal_line(void *ctx, uint64_t number, struct view line, bool cut)
{
    struct logs *l = ctx;
    bool failing = confirm_journal(&l->confirm, line) != GCW_OK;
    if (failing && !l->journal_failing)
        fail("the journal in queue_dir cannot be written: lines go on without it");
    l->journal_failing = failing;
    on_line(l, number, line, cut);
}

/* ---- what an earlier process left -------------------------------------------------------------------------------- */

static void on_leftover_line(void *ctx, uint64_t number, struct view line, bool cut)
{
    struct logs *l = ctx;
    if (!memchr(line.p, 0, line.n)) /* what a file may hold after a power cut */
        on_line(l, number, line, cut);
}

/* The transaction that a killed process had at hand. */
static gcw_status take_up(struct logs *l)
{
    struct buf left = {0};
    struct lines lines = {.max_bytes = 16 * MIB};
    gcw_status status = confirm_leftover(&l->confirm, &left);
    l->now_ns = gcw_now_ns();
    if (status == GCW_OK && left.n > 0)
        status = receipt_take(l);
    if (status == GCW_OK && left.n > 0)
        status = lines_feed(&lines, (const char *)left.p, left.n, on_leftover_line, l);
    if (status == GCW_OK && !confirm_wait(&l->confirm))
        status = GCW_ERR_IO;
    buf_free(&left);
    lines_free(&lines);
    return status;
}

/* ---- input ------------------------------------------------------------------------------------------------------- */

static gcw_status ready(void *ctx)
{
    struct logs *l = ctx;
    char dir[4096] = "";
    gcw_error err = {.code = GCW_OK};
    if (!l->confirms && !l->journal)
        return GCW_OK;
    gcw_config_get(l->push.settings.config, "queue_dir", dir, sizeof dir);
    gcw_status status =
        confirm_open(&l->confirm, l->push.writer, (l->transactions || l->journal) && *dir ? dir : NULL, &err);
    if (status == GCW_OK && l->journal && !*dir)
        status = error_set(&err, GCW_ERR_INVALID, "--journal needs queue_dir");
    if (status == GCW_OK)
        status = take_up(l);
    if (status != GCW_OK)
        fail(*err.text ? err.text : gcw_strerror(status));
    l->failed = GCW_OK;
    l->unconfirmed = 0;
    l->receipt = NULL;
    l->confirm.silent = !l->confirms;
    if (status != GCW_OK || !l->confirms)
        return status;
    return confirm_say(&l->confirm, "OK") ? GCW_OK : GCW_ERR_IO;
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
    l->now_ns = gcw_now_ns();
    if (l->transactions)
        return lines_feed(&l->lines, data, n, on_transaction_line, l);
    gcw_status status = l->confirms || l->journal ? receipt_take(l) : GCW_OK;
    if (status == GCW_OK)
        status = lines_feed(&l->lines, data, n, l->journal ? on_journal_line : on_line, l);
    if (status == GCW_OK && l->journal)
        confirm_turn(&l->confirm);
    return status == GCW_OK && l->confirms ? answer_piece(l) : status;
}

static gcw_status end(void *ctx)
{
    struct logs *l = ctx;
    gcw_status status = GCW_OK;
    l->receipt = NULL;
    if (!push_interrupted() && !l->transactions) {
        status = l->confirms ? receipt_take(l) : GCW_OK;
        if (status == GCW_OK)
            status = lines_end(&l->lines, on_line, l);
        if (status == GCW_OK && l->confirms)
            status = answer_piece(l);
    }
    confirm_finish(&l->confirm, CONFIRM_END_MS);
    return status;
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

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

/* What was confirmed is safe, and what was not comes again: the feeder, which waits for our end, need not wait long. */
static void hurry(struct logs *l)
{
    if (l->confirms && !l->push.timeout_given)
        l->push.end_timeout_ms = l->push.signal_timeout_ms = CONFIRM_END_MS;
}

int push_logs_main(int argc, char **argv)
{
    struct logs l = {.stream = NULL};
    const struct push_source source = {&l, ready, begin, feed, end};
    int code = EXIT_USAGE;
    confirm_init(&l.confirm);
    if (push_init(&l.push, GCW_LOGS, "push logs", "block", argc, argv) == 0) {
        int first = cli_parse(l.push.settings.command, argc, argv, set, &l);
        hurry(&l);
        if (first >= 0 && json_open(&l) == 0 && default_label(&l) == 0)
            code = push_run(&l.push, &source, argc - first, argv + first);
    }
    confirm_close(&l.confirm);
    lines_free(&l.lines);
    buf_free(&l.mended);
    json_reader_free(l.reader);
    time_format_free((struct time_format *)(uintptr_t)l.json.time_format);
    keys_free(l.labels, l.json.label_count);
    keys_free(l.metadata, l.json.metadata_count);
    push_free(&l.push);
    return code;
}
