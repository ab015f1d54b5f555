/* gcw push metrics: expositions to samples. */
#include <stdlib.h>

#include "cli/scrape/scrape.h"
#include "writer/writer.h"

static const struct cli_option options[] = {
    {"format", 'f', "FORMAT", "Input",
     "text (Prometheus 0.0.4), openmetrics, protobuf (delimited MetricFamily messages), or auto (default: by what the "
     "input holds)"},
    {"classic-histograms", 0, NULL, "Input",
     "classic buckets too of histograms that have native ones (protobuf); without it these are left out"},
    {"drop-created", 0, NULL, "Input",
     "no series of the _created samples of OpenMetrics: what they say goes as start time of the others, which remote "
     "write 2.0 has a place for"},
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
    bool format_given;
    struct exposition_options input;
    struct exposition *parser;
    struct sample_source *samples;
    bool aside;     /* the last sample went another way than through `samples` */
    int64_t now_ms; /* time of samples without one: when their piece was read */
};

static int set(void *ctx, const struct cli_option *o, const char *arg)
{
    struct metrics *m = ctx;
    static const struct {
        const char *name;
        bool given;
        enum exposition_format format;
    } formats[] = {{"auto", false, EXPOSITION_TEXT},
                   {"text", true, EXPOSITION_TEXT},
                   {"openmetrics", true, EXPOSITION_OPENMETRICS},
                   {"protobuf", true, EXPOSITION_PROTOBUF}};
    bool failed = false;
    if (push_option(&m->push, o, arg, &failed) || scrape_option(&m->scrape, &m->push.settings, o, arg, &failed))
        return failed ? -1 : 0;
    if (strcmp(o->name, "classic-histograms") == 0) {
        m->input.histograms = HISTOGRAMS_BOTH;
        return 0;
    }
    if (strcmp(o->name, "drop-created") == 0) {
        m->input.drop_created = true;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        if (strcmp(arg, formats[i].name) == 0) {
            m->format_given = formats[i].given;
            m->input.format = formats[i].format;
            return 0;
        }
    return settings_fail(&m->push.settings, "--format: auto, text, openmetrics or protobuf");
}

/* ---- parser to writer ----------------------------------------------------------------------------------------------
 */

static gcw_status point_write(struct metrics *m, const struct exposition_sample *s, gcw_error *err)
{
    const gcw_point point = exposition_point(s, s->has_time ? s->time_ms : m->now_ms);
    return gcw_point_write(m->push.writer, s->labels, s->count, &point, NULL, err);
}

static void on_sample(void *ctx, const struct exposition_sample *s)
{
    struct metrics *m = ctx;
    gcw_error err;
    gcw_status status;
    bool again = s->again && !m->aside; /* the source has seen the sample before */
    m->aside = exposition_is_point(s);
    do
        status = m->aside ? point_write(m, s, &err)
                          : sample_source_write(m->samples, s->labels, s->count, again, s->value_bits,
                                                s->has_time ? s->time_ms : m->now_ms, &err);
    while (status == GCW_ERR_TIMEOUT && !push_interrupted()); /* the budget is used up: wait on, unless asked to stop */
    if (status != GCW_OK && status != GCW_ERR_DROPPED)
        push_refused(&m->push, s->number, status == GCW_ERR_TIMEOUT ? "not read any more: interrupted" : err.text,
                     s->series);
}

static void on_family(void *ctx, const struct exposition_family *f)
{
    push_metadata(&((struct metrics *)ctx)->push, &(gcw_metadata){f->type, f->name, f->help, f->unit});
}

static void on_malformed(void *ctx, uint64_t number, const char *why, struct view text)
{
    push_malformed(&((struct metrics *)ctx)->push, number, why, text);
}

static gcw_status begin(void *ctx, const char *head, size_t head_len, const char *tail, size_t tail_len)
{
    struct metrics *m = ctx;
    const struct exposition_handler h = {m, on_sample, on_family, on_malformed};
    if (!m->format_given)
        m->input.format = exposition_detect(view_make(head, head_len), view_make(tail, tail_len));
    exposition_free(m->parser);
    m->parser = exposition_new(&m->input, &h);
    m->push.numbered = exposition_numbered(m->input.format);
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
    m->scrape.input = m->input;
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
    struct metrics m = {.format_given = false};
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
