/* The frame of the push commands: options to configuration, input to the parser, the end to an exit code. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/push.h"

/* The tool's own defaults. Input is held back by the writer's memory budget, so a small one does: enough to fill a
 * batch, encode one and have some on their way. */
static const struct {
    const char *memory_limit, *batch_bytes;
} defaults[GCW_SIGNALS] = {
    [GCW_METRICS] = {"8MiB", "1MiB"},
    [GCW_LOGS] = {"4MiB", "512KiB"},
};
#define READ_BYTES (256 * KIB)
#define TELL_MAX   10

static volatile sig_atomic_t signals_seen;

static void on_signal(int sig)
{
    (void)sig;
    if (++signals_seen >= 3)
        _exit(130); /* whoever asks three times does not want to wait */
}

bool push_interrupted(void) { return signals_seen > 0; }

/* ---- options -------------------------------------------------------------------------------------------------------
 */

static int fail(const struct push *p, const char *text) { return settings_fail(&p->settings, text); }

static int set_key(struct push *p, const char *key, const char *value)
{
    return settings_key(&p->settings, key, value);
}

static int set_signal_key(struct push *p, const char *what, const char *value)
{
    char key[64];
    snprintf(key, sizeof key, "%s_%s", gcw_signal_name(p->signal), what);
    return set_key(p, key, value);
}

static int add_label(struct push *p, const char *pair)
{
    if (!strchr(pair, '=') || pair[0] == '=')
        return fail(p, "--label: needs NAME=VALUE");
    bool ok = p->labels.n == 0 || buf_puts(&p->labels, ",");
    for (; *pair && ok; pair++)
        ok = (*pair != ',' && *pair != '\\' ? true : buf_puts(&p->labels, "\\")) && buf_append(&p->labels, pair, 1);
    return ok ? 0 : fail(p, "out of memory");
}

static int set_summary(struct push *p, const char *arg)
{
    static const char *const forms[] = {"text", "json", "none"};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        if (strcmp(arg, forms[i]) == 0) {
            p->summary = i == 0 ? SUMMARY_TEXT : i == 1 ? SUMMARY_JSON : SUMMARY_NONE;
            return 0;
        }
    return fail(p, "--summary: text, json or none");
}

static int option_apply(struct push *p, const char *name, const char *arg)
{
    if (strcmp(name, "url") == 0 || strcmp(name, "tenant") == 0)
        return set_signal_key(p, name, arg);
    if (strcmp(name, "token-file") == 0)
        return set_key(p, "token_file", arg);
    if (strcmp(name, "label") == 0)
        return add_label(p, arg);
    if (strcmp(name, "set") == 0)
        return settings_pair(&p->settings, arg);
    p->timeout_given = p->timeout_given || strstr(name, "timeout");
    if (strcmp(name, "timeout") == 0)
        return settings_duration(&p->settings, name, arg, &p->end_timeout_ms);
    if (strcmp(name, "signal-timeout") == 0)
        return settings_duration(&p->settings, name, arg, &p->signal_timeout_ms);
    if (strcmp(name, "summary") == 0)
        return set_summary(p, arg);
    if (strcmp(name, "verbose") == 0)
        return set_key(p, "log_level", "debug");
    if (strcmp(name, "progress") == 0)
        p->progress = true;
    else if (strcmp(name, "quiet") == 0)
        p->quiet = true;
    return 0;
}

bool push_option(struct push *p, const struct cli_option *o, const char *arg, bool *failed)
{
    static const struct cli_option rows[] = {PUSH_OPTIONS};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].name, o->name) == 0) {
            *failed = strcmp(o->name, "config") != 0 && option_apply(p, o->name, arg) != 0;
            return true;
        }
    return false;
}

int push_init(struct push *p, gcw_signal signal, const char *command, const char *overflow, int argc, char **argv)
{
    *p = (struct push){.signal = signal, .end_timeout_ms = 60000, .signal_timeout_ms = 10000};
    p->settings = (struct settings){cli_command_named(command), gcw_config_new()};
    if (!p->settings.config)
        return fail(p, "out of memory");
    /* the tool's own defaults, which file, environment and --set may change */
    if (set_key(p, "memory_limit", defaults[signal].memory_limit) != 0 ||
        set_signal_key(p, "batch_bytes", defaults[signal].batch_bytes) != 0 || set_key(p, "overflow", overflow) != 0 ||
        set_key(p, "log_level", "warn") != 0)
        return -1;
    return settings_load(&p->settings, argc, argv);
}

/* ---- input ---------------------------------------------------------------------------------------------------------
 */

static void tell(struct push *p, uint64_t number, const char *why, struct view text)
{
    if (p->told++ >= TELL_MAX)
        return;
    char clean[120];
    text_clean(clean, sizeof clean, text.p ? text.p : "", text.n);
    fprintf(stderr, "gcw %s: %s:%s%s%s%llu: %s%s%s%s\n", p->settings.command->name, p->file, p->numbered ? " " : "",
            p->numbered ? p->numbered : "", p->numbered ? " " : "", (unsigned long long)number, why,
            text.n ? ": `" : "", clean, text.n ? "`" : "");
    if (p->told == TELL_MAX)
        fprintf(stderr, "gcw %s: further ones like these are counted, not named\n", p->settings.command->name);
}

void push_malformed(struct push *p, uint64_t number, const char *why, struct view text)
{
    p->malformed++;
    tell(p, number, why, text);
}

void push_refused(struct push *p, uint64_t number, const char *why, struct view text)
{
    p->refused++;
    tell(p, number, why, text);
}

void push_metadata(struct push *p, const gcw_metadata *metadata)
{
    gcw_status status;
    do
        status = gcw_metadata_write(p->writer, metadata, NULL, NULL);
    while (status == GCW_ERR_FULL && !push_interrupted() && gcw_writer_flush(p->writer, 50) != GCW_ERR_NOMEM);
}

/* The first piece is read before the parser is told to begin: formats are told apart by head and tail. */
static ssize_t read_piece(int fd, char *data)
{
    ssize_t n;
    do
        n = read(fd, data, READ_BYTES);
    while (n < 0 && errno == EINTR && !push_interrupted());
    return n < 0 && errno == EINTR ? 0 : n;
}

static size_t read_tail(int fd, char *tail, size_t cap)
{
    off_t size = lseek(fd, 0, SEEK_END), at = size > (off_t)cap ? size - (off_t)cap : 0;
    if (size < 0)
        return 0; /* a pipe */
    ssize_t n = pread(fd, tail, cap, at);
    return lseek(fd, 0, SEEK_SET) == 0 && n > 0 ? (size_t)n : 0;
}

static gcw_status read_input(struct push *p, const struct push_source *source, int fd, char *data)
{
    char tail[64];
    size_t tail_len = read_tail(fd, tail, sizeof tail);
    ssize_t n = read_piece(fd, data);
    gcw_status status = source->begin(source->ctx, data, n > 0 ? (size_t)n : 0, tail, tail_len);
    for (; n > 0 && status == GCW_OK; n = push_interrupted() ? 0 : read_piece(fd, data)) {
        atomic_fetch_add(&p->read_bytes, (uint64_t)n);
        status = source->feed(source->ctx, data, (size_t)n);
    }
    if (n < 0) {
        fprintf(stderr, "gcw %s: %s: %s\n", p->settings.command->name, p->file, strerror(errno));
        p->unreadable = true;
    }
    return status == GCW_OK ? source->end(source->ctx) : status;
}

static void push_file(struct push *p, const struct push_source *source, const char *name, char *data)
{
    bool standard_input = strcmp(name, "-") == 0;
    int fd = standard_input ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    p->file = standard_input ? "standard input" : name;
    if (fd < 0) {
        fprintf(stderr, "gcw %s: %s: %s\n", p->settings.command->name, name, strerror(errno));
        p->unreadable = true;
        return;
    }
    gcw_status status = read_input(p, source, fd, data);
    if (status != GCW_OK && status != GCW_ERR_CLOSED)
        fprintf(stderr, "gcw %s: %s: %s\n", p->settings.command->name, p->file, gcw_strerror(status));
    if (!standard_input)
        close(fd);
}

static uint64_t files_size(int files, char **file)
{
    uint64_t sum = 0;
    for (int i = 0; i < files; i++) {
        struct stat st;
        if (strcmp(file[i], "-") == 0 || stat(file[i], &st) != 0 || !S_ISREG(st.st_mode))
            return 0;
        sum += (uint64_t)st.st_size;
    }
    return sum;
}

/* ---- running -------------------------------------------------------------------------------------------------------
 */

static void signals_catch(void)
{
    const struct sigaction act = {.sa_handler = on_signal}; /* no SA_RESTART: read() must return */
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Waits for delivery in short steps, so that a signal shortens the deadline. */
static void wait_for_delivery(struct push *p)
{
    uint64_t now = clock_mono_ms();
    uint64_t deadline = p->end_timeout_ms ? now + p->end_timeout_ms : UINT64_MAX;
    bool hurried = false;
    while (now < deadline) {
        if (push_interrupted() && !hurried) {
            hurried = true;
            deadline = MIN(deadline, now + p->signal_timeout_ms);
        }
        if (signals_seen >= 2 || gcw_writer_flush(p->writer, (int)MIN(deadline - now, (uint64_t)200)) == GCW_OK)
            return;
        now = clock_mono_ms();
    }
}

static int exit_code(const struct push *p, const gcw_stats *s)
{
    const gcw_signal_stats *g = &s->signal[p->signal];
    if (p->unreadable)
        return EXIT_INPUT;
    if (g->outcome[GCW_DELIVERED] + g->pending != g->accepted + g->recovered || p->refused > 0)
        return EXIT_NOT_DELIVERED;
    if (g->pending > 0)
        return EXIT_KEPT;
    return p->malformed > 0 ? EXIT_MALFORMED : EXIT_ALL_DELIVERED;
}

/* Whoever asks for larger batches alone gets the memory that they take. */
static int memory_follow(struct push *p)
{
    char key[64], batch[32], limit[32], more[32];
    uint64_t bytes = 0;
    snprintf(key, sizeof key, "%s_batch_bytes", gcw_signal_name(p->signal));
    if (gcw_config_get(p->settings.config, key, batch, sizeof batch) != GCW_OK ||
        gcw_config_get(p->settings.config, "memory_limit", limit, sizeof limit) != GCW_OK ||
        strcmp(limit, defaults[p->signal].memory_limit) != 0 || !parse_size(view_of(batch), &bytes))
        return 0;
    uint64_t had = 0;
    parse_size(view_of(limit), &had);
    snprintf(more, sizeof more, "%llu", (unsigned long long)MAX(8 * bytes, had));
    return set_key(p, "memory_limit", more);
}

static int config_finish(struct push *p)
{
    if (memory_follow(p) != 0)
        return -1;
    if (p->labels.n > 0 && (!buf_cstr(&p->labels) || set_signal_key(p, "labels", (const char *)p->labels.p) != 0))
        return -1;
    char overflow[32];
    /* blocked appends come back now and then to look for signals */
    if (gcw_config_get(p->settings.config, "overflow", overflow, sizeof overflow) == GCW_OK &&
        (strcmp(overflow, "block") == 0 || strcmp(overflow, "drop_oldest") == 0))
        return set_key(p, "block_timeout", "200ms");
    return 0;
}

int push_work(struct push *p, void (*work)(void *ctx), void *ctx)
{
    gcw_error err;
    signals_catch();
    if (config_finish(p) != 0)
        return EXIT_USAGE;
    if (!(p->writer = gcw_writer_open(p->settings.config, NULL, &err))) {
        fail(p, err.text);
        return EXIT_USAGE;
    }
    progress_start(p);
    work(ctx);
    wait_for_delivery(p);
    gcw_stats stats;
    progress_stop(p);
    gcw_writer_close(p->writer, 0, &stats);
    summary_print(p, &stats);
    return p->until_interrupted && push_interrupted() ? EXIT_ALL_DELIVERED : exit_code(p, &stats);
}

/* Files to read, one after the other. */
struct reading {
    struct push *push;
    const struct push_source *source;
    int files;
    char **file, *data;
};

static void read_files(void *ctx)
{
    struct reading *r = ctx;
    bool ready = !r->source->ready || r->source->ready(r->source->ctx) == GCW_OK;
    r->push->unreadable = !ready;
    for (int i = 0; i < r->files && ready && !push_interrupted(); i++)
        push_file(r->push, r->source, r->file[i], r->data);
}

int push_run(struct push *p, const struct push_source *source, int files, char **file)
{
    char dash[] = "-", *standard_input[] = {dash};
    struct reading r = {p, source, files ? files : 1, files ? file : standard_input, malloc(READ_BYTES)};
    p->total_bytes = files_size(r.files, r.file);
    int code = r.data ? push_work(p, read_files, &r) : EXIT_USAGE;
    free(r.data);
    return code;
}

void push_free(struct push *p)
{
    gcw_config_free(p->settings.config);
    buf_free(&p->labels);
}
