/* gcw push metrics: exposition text to samples. */
#include <stdlib.h>

#include "cli/scrape/scrape.h"
#include "writer/writer.h"

static const struct cli_option options[] = {
    {"format", 'f', "FORMAT", "Input",
     "text (Prometheus 0.0.4), openmetrics, or auto (default: by what the input holds)"},
    SCRAPE_OPTIONS,
    PUSH_OPTIONS,
};

const struct cli_option *push_metrics_options(size_t *count)
{
    *count = ARRAY_LEN(options);
    return options;
}

struct metrics {
    struct push push;
    struct scrape_options scrape;
    enum { FORMAT_AUTO, FORMAT_TEXT, FORMAT_OPENMETRICS } format;
    struct exposition *parser;
    struct sample_source *samples;
    bool aside;     /* the last sample went another way than through `samples` */
    int64_t now_ms; /* time of samples without one: when their piece was read */
};

static int set(void *ctx, const struct cli_option *o, const char *arg)
{
    struct metrics *m = ctx;
    static const char *const formats[] = {"auto", "text", "openmetrics"};
    bool failed = false;
    if (push_option(&m->push, o, arg, &failed) || scrape_option(&m->scrape, &m->push.settings, o, arg, &failed))
        return failed ? -1 : 0;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (strcmp(arg, formats[i]) == 0) {
            m->format = i == 0 ? FORMAT_AUTO : i == 1 ? FORMAT_TEXT : FORMAT_OPENMETRICS;
            return 0;
        }
    fprintf(stderr, "gcw push metrics: --format: auto, text or openmetrics\n");
    return -1;
}

/* ---- parser to writer ----------------------------------------------------------------------------------------------
 */

static gcw_status exemplar_write(struct metrics *m, const struct exposition_sample *s, gcw_error *err)
{
    gcw_exemplar e;
    const gcw_point point = exemplar_point(s, s->has_time ? s->time_ms : m->now_ms, &e);
    return gcw_point_write(m->push.writer, s->labels, s->count, &point, NULL, err);
}

static void on_sample(void *ctx, const struct exposition_sample *s)
{
    struct metrics *m = ctx;
    gcw_error err;
    gcw_status status;
    bool again = s->again && !m->aside; /* the source has seen the sample before */
    m->aside = s->has_exemplar;
    do
        status = s->has_exemplar ? exemplar_write(m, s, &err)
                                 : sample_source_write(m->samples, s->labels, s->count, again, s->value_bits,
                                                       s->has_time ? s->time_ms : m->now_ms, &err);
    while (status == GCW_ERR_TIMEOUT && !push_interrupted()); /* the budget is used up: wait on, unless asked to stop */
    if (status != GCW_OK && status != GCW_ERR_DROPPED)
        push_refused(&m->push, s->line, status == GCW_ERR_TIMEOUT ? "not read any more: interrupted" : err.text);
}

static void on_family(void *ctx, const struct exposition_family *f)
{
    struct metrics *m = ctx;
    const gcw_metadata meta = {f->type, f->name, f->help, f->unit};
    gcw_status status;
    do
        status = gcw_metadata_write(m->push.writer, &meta, NULL, NULL);
    while (status == GCW_ERR_FULL && !push_interrupted() && gcw_writer_flush(m->push.writer, 50) != GCW_ERR_NOMEM);
}

static void on_malformed(void *ctx, uint64_t line, const char *why, struct view text)
{
    push_malformed(&((struct metrics *)ctx)->push, line, why, text);
}

static gcw_status begin(void *ctx, const char *head, size_t head_len, const char *tail, size_t tail_len)
{
    struct metrics *m = ctx;
    const struct exposition_handler h = {m, on_sample, on_family, on_malformed};
    enum exposition_format format = m->format == FORMAT_AUTO
                                        ? exposition_detect(view_make(head, head_len), view_make(tail, tail_len))
                                    : m->format == FORMAT_TEXT ? EXPOSITION_TEXT
                                                               : EXPOSITION_OPENMETRICS;
    exposition_free(m->parser);
    m->parser = exposition_new(format, &h);
    if (!m->samples)
        m->samples = sample_source_new(m->push.writer);
    return m->parser && m->samples ? GCW_OK : GCW_ERR_NOMEM;
}

static gcw_status feed(void *ctx, const char *data, size_t n)
{
    struct metrics *m = ctx;
    m->now_ms = gcw_now_ms();
    return exposition_feed(m->parser, data, n);
}

static gcw_status end(void *ctx)
{
    struct metrics *m = ctx;
    return push_interrupted() ? GCW_OK : exposition_end(m->parser);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

static void scrape(void *ctx)
{
    struct metrics *m = ctx;
    scrape_run(&m->scrape, &m->push);
}

static int run(struct metrics *m, int files, char **file)
{
    const struct push_source source = {m, NULL, begin, feed, end};
    if (!scrape_asked(&m->scrape))
        return push_run(&m->push, &source, files, file);
    if (files > 0) {
        settings_fail(&m->push.settings, "--scrape, --targets: no files beside it");
        return EXIT_USAGE;
    }
    m->push.until_interrupted = true;
    return scrape_prepare(&m->scrape, &m->push) == 0 ? push_work(&m->push, scrape, m) : EXIT_USAGE;
}

/* A target can't be told to wait while the receiver is away: the newest samples are worth more than the oldest. */
static bool scrapes(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--scrape") == 0 || strncmp(argv[i], "--scrape=", 9) == 0 ||
            strcmp(argv[i], "--targets") == 0 || strncmp(argv[i], "--targets=", 10) == 0)
            return true;
    return false;
}

int push_metrics_main(int argc, char **argv)
{
    struct metrics m = {.format = FORMAT_AUTO};
    const char *overflow = scrapes(argc, argv) ? "drop_oldest" : "block";
    int code = EXIT_USAGE;
    if (push_init(&m.push, GCW_METRICS, "push metrics", overflow, argc, argv) == 0 && scrape_init(&m.scrape)) {
        int first = cli_parse(m.push.settings.command, argc, argv, set, &m);
        if (first >= 0)
            code = run(&m, argc - first, argv + first);
    }
    exposition_free(m.parser);
    sample_source_free(m.samples);
    scrape_free(&m.scrape);
    push_free(&m.push);
    return code;
}
