/* `gcw queue replay` and `gcw queue drop`: send what waits, here or elsewhere; or throw it away. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/queue/queue_cmd.h"

/* ---- replay: a writer that is given nothing but the directory -----------------------------------------------------
 */

struct replay {
    struct settings settings;
    uint64_t timeout_ms;
};

static const struct cli_option replay_rows[] = {
    DESTINATION_OPTIONS,
    CONFIGURATION_OPTIONS,
    {"timeout", 0, "DURATION", "Running", "how long to try (default 10m; 0 = until all is sent); the rest stays"},
    {"verbose", 'v', NULL, "Running", "log what the writer does"},
};

const struct cli_option *queue_replay_options(size_t *count)
{
    *count = ARRAY_LEN(replay_rows);
    return replay_rows;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    (void)sig;
    interrupted = 1;
}

static int replay_set(void *ctx, const struct cli_option *option, const char *arg)
{
    static const struct settings_row rows[] = {DESTINATION_SETTINGS};
    struct replay *r = ctx;
    bool failed;
    if (settings_option(&r->settings, rows, ARRAY_LEN(rows), option, arg, &failed))
        return failed ? -1 : 0;
    if (strcmp(option->name, "verbose") == 0)
        return settings_key(&r->settings, "log_level", "debug");
    return settings_duration(&r->settings, option->name, arg, &r->timeout_ms);
}

static uint64_t outcome_of(const gcw_stats *s, gcw_outcome o)
{
    return s->signal[GCW_METRICS].outcome[o] + s->signal[GCW_LOGS].outcome[o];
}

static int replay_run(struct replay *r)
{
    gcw_error err;
    gcw_stats s;
    gcw_writer *w = gcw_writer_open(r->settings.config, NULL, &err);
    if (!w) {
        settings_fail(&r->settings, err.text);
        return EXIT_USAGE;
    }
    const struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    uint64_t deadline = r->timeout_ms ? clock_mono_ms() + r->timeout_ms : UINT64_MAX;
    do
        gcw_writer_stats(w, &s);
    while (s.signal[GCW_METRICS].pending + s.signal[GCW_LOGS].pending > 0 && !interrupted &&
           clock_mono_ms() < deadline && gcw_writer_flush(w, 200) != GCW_OK);
    gcw_writer_close(w, 0, &s);
    uint64_t found = s.signal[GCW_METRICS].recovered + s.signal[GCW_LOGS].recovered,
             left = s.signal[GCW_METRICS].pending + s.signal[GCW_LOGS].pending;
    printf("found %" PRIu64 " = delivered %" PRIu64 " + rejected %" PRIu64 " + expired %" PRIu64 " + dropped %" PRIu64
           " + left on disk %" PRIu64 "\n",
           found, outcome_of(&s, GCW_DELIVERED), outcome_of(&s, GCW_REJECTED), outcome_of(&s, GCW_EXPIRED),
           outcome_of(&s, GCW_DROPPED), left);
    if (left > 0)
        return EXIT_KEPT;
    return outcome_of(&s, GCW_DELIVERED) == found ? EXIT_ALL_DELIVERED : EXIT_NOT_DELIVERED;
}

int queue_replay_main(int argc, char **argv)
{
    struct replay r = {{cli_command_named("queue replay"), gcw_config_new()}, 600000};
    int code = EXIT_USAGE, first = -1;
    if (!r.settings.config || settings_key(&r.settings, "log_level", "warn") != 0)
        return EXIT_USAGE;
    if (settings_load(&r.settings, argc, argv) == 0)
        first = cli_parse(r.settings.command, argc, argv, replay_set, &r);
    if (first >= 0 && argc - first != 1)
        settings_fail(&r.settings, "needs one directory");
    else if (first >= 0 && settings_key(&r.settings, "queue_dir", argv[first]) == 0)
        code = replay_run(&r);
    gcw_config_free(r.settings.config);
    return code;
}

/* ---- drop ------------------------------------------------------------------------------------------------------- */

struct drop {
    const char *signal, *tenant;
    bool yes;
};

static const struct cli_option drop_rows[] = {
    {"signal", 0, "NAME", "What", "metrics or logs; without it both"},
    {"tenant", 't', "ID", "What", "of this tenant only; \"\" is that of requests without one"},
    {"yes", 'y', NULL, "What", "do it; without it, only what would be dropped is told"},
};

const struct cli_option *queue_drop_options(size_t *count)
{
    *count = ARRAY_LEN(drop_rows);
    return drop_rows;
}

static int drop_set(void *ctx, const struct cli_option *option, const char *arg)
{
    struct drop *d = ctx;
    if (strcmp(option->name, "yes") == 0)
        d->yes = true;
    else if (strcmp(option->name, "tenant") == 0)
        d->tenant = arg;
    else if (strcmp(arg, "metrics") == 0 || strcmp(arg, "logs") == 0)
        d->signal = arg;
    else {
        fprintf(stderr, "gcw queue drop: --signal: metrics or logs\n");
        return -1;
    }
    return 0;
}

static int drop_files(const struct drop *what, struct queue_dir *d)
{
    struct amount sum = {0};
    int code = EXIT_ALL_DELIVERED;
    for (size_t i = 0; i < d->count; i++) {
        const struct queue_file *f = &d->file[i];
        if (!queue_file_is(f, what->signal, what->tenant))
            continue;
        int rc = what->yes ? d->disk.remove(d->disk.ctx, f->name) : 0;
        if (rc < 0) {
            fprintf(stderr, "gcw queue drop: %s: %s\n", f->name, errno_text(-rc));
            code = EXIT_INPUT;
            continue;
        }
        amount_add(&sum, f->waiting);
    }
    if (what->yes)
        d->disk.sync_dir(d->disk.ctx);
    printf("%s %" PRIu64 " records in %" PRIu64 " requests, %" PRIu64 " bytes\n", what->yes ? "dropped" : "would drop",
           sum.records, sum.requests, sum.bytes);
    return code;
}

int queue_drop_main(int argc, char **argv)
{
    struct drop what = {0};
    struct queue_dir d;
    int first = cli_parse(cli_command_named("queue drop"), argc, argv, drop_set, &what);
    if (first < 0)
        return EXIT_USAGE;
    if (argc - first != 1) {
        fprintf(stderr, "gcw queue drop: needs one directory\n");
        return EXIT_USAGE;
    }
    if (!queue_dir_open(&d, "queue drop", argv[first], !what.yes))
        return EXIT_USAGE;
    int code = drop_files(&what, &d);
    queue_dir_close(&d);
    return code;
}
