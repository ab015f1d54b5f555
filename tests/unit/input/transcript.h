/* What an exposition parser handed over, as text: so that a test compares all of it at once, and piecewise feeding with
 * feeding in one. S = sample, F = family, M = malformed line. Included by one test program or fuzz target at a time. */
#ifndef TEST_TRANSCRIPT_H
#define TEST_TRANSCRIPT_H

#include <inttypes.h>
#include <stdlib.h>

#include "input/input.h"

static void transcript_text(struct buf *b, struct view v)
{
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        bool ok = c == '\n'               ? buf_puts(b, "\\n")
                  : c == '"' || c == '\\' ? buf_printf(b, "\\%c", c)
                                          : buf_append(b, &c, 1);
        ENSURE(ok);
    }
}

/* What is written, and the names of the sample before: `again` is checked against them. */
struct transcript {
    struct buf out, names;
};

static void transcript_again(struct transcript *t, const struct exposition_sample *s)
{
    struct buf names = {0};
    for (size_t i = 0; i < s->count; i++)
        ENSURE(buf_append(&names, s->labels[i].name, s->labels[i].name_len) && buf_append(&names, "", 1));
    ENSURE(!s->again || view_eq(buf_view(&names), buf_view(&t->names)));
    for (size_t i = 0; s->again && i < s->count; i++)
        for (size_t k = 0; k < s->labels[i].value_len + LABEL_SLACK; k++) {
            volatile char c = s->labels[i].value[k]; /* a sanitizer sees whether it may be read */
            ENSURE(k >= s->labels[i].value_len || c >= 0);
        }
    buf_free(&t->names);
    t->names = names;
}

static void transcript_labels(struct buf *b, const gcw_label *labels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ENSURE(buf_puts(b, i ? "," : "{"));
        transcript_text(b, view_make(labels[i].name, labels[i].name_len));
        ENSURE(buf_puts(b, "=\""));
        transcript_text(b, view_make(labels[i].value, labels[i].value_len));
        ENSURE(buf_puts(b, "\""));
    }
    ENSURE(buf_puts(b, count ? "}" : ""));
}

static void transcript_buckets(struct buf *b, const char *side, const gcw_buckets *k, bool is_float)
{
    for (size_t i = 0; i < k->span_count; i++)
        ENSURE(buf_printf(b, " %s%" PRId32 "+%" PRIu32, side, k->spans[i].offset, k->spans[i].length));
    for (size_t i = 0; i < k->count; i++)
        ENSURE(is_float ? buf_printf(b, "%s%.17g", i ? "," : " ", k->float_counts[i])
                        : buf_printf(b, "%s%" PRIu64, i ? "," : " ", k->counts[i]));
}

static void transcript_histogram(struct buf *b, const gcw_histogram *h)
{
    ENSURE(buf_printf(b, "[%s%d", h->is_float ? "float " : "", h->schema));
    ENSURE(h->is_float ? buf_printf(b, " count=%.17g", h->count_float) : buf_printf(b, " count=%" PRIu64, h->count));
    ENSURE(buf_printf(b, " sum=%.17g zero=%.17g:", h->sum, h->zero_threshold));
    ENSURE(h->is_float ? buf_printf(b, "%.17g", h->zero_count_float) : buf_printf(b, "%" PRIu64, h->zero_count));
    transcript_buckets(b, "+", &h->positive, h->is_float);
    transcript_buckets(b, "-", &h->negative, h->is_float);
    ENSURE(buf_puts(b, h->reset_hint == GCW_RESET_GAUGE ? " gauge]" : "]"));
}

static void transcript_sample(void *user, const struct exposition_sample *s)
{
    struct buf *b = &((struct transcript *)user)->out;
    double v;
    transcript_again(user, s);
    memcpy(&v, &s->value_bits, sizeof v);
    ENSURE(buf_puts(b, "S "));
    transcript_text(b, view_make(s->labels[0].value, s->labels[0].value_len));
    transcript_labels(b, s->labels + 1, s->count - 1);
    ENSURE(buf_puts(b, " "));
    if (s->histogram)
        transcript_histogram(b, s->histogram);
    else if (v != v)
        ENSURE(buf_printf(b, "nan:%016" PRIx64, s->value_bits));
    else
        ENSURE(buf_printf(b, "%.17g", v));
    if (s->has_time)
        ENSURE(buf_printf(b, " @%" PRId64, s->time_ms));
    if (s->start_ms)
        ENSURE(buf_printf(b, " since %" PRId64, s->start_ms));
    for (size_t i = 0; i < s->exemplar_count; i++) {
        ENSURE(buf_puts(b, " # "));
        transcript_labels(b, s->exemplars[i].labels, s->exemplars[i].label_count);
        ENSURE(buf_printf(b, " %.17g", s->exemplars[i].value));
        if (s->exemplars[i].time_ms != EXPOSITION_NO_TIME)
            ENSURE(buf_printf(b, " @%" PRId64, s->exemplars[i].time_ms));
    }
    ENSURE(buf_puts(b, "\n"));
}

static void transcript_family(void *user, const struct exposition_family *f)
{
    static const char *const types[] = {"unknown",        "counter", "gauge", "histogram",
                                        "gaugehistogram", "summary", "info",  "stateset"};
    struct buf *b = &((struct transcript *)user)->out;
    ENSURE(buf_puts(b, "F "));
    transcript_text(b, view_of(f->name));
    ENSURE(buf_printf(b, " %s", types[f->type]));
    if (f->unit)
        ENSURE(buf_printf(b, " unit=%s", f->unit));
    if (f->help) {
        ENSURE(buf_puts(b, " help="));
        transcript_text(b, view_of(f->help));
    }
    ENSURE(buf_puts(b, "\n"));
}

static void transcript_malformed(void *user, uint64_t line, const char *why, struct view text)
{
    struct buf *b = &((struct transcript *)user)->out;
    ENSURE(buf_printf(b, "M %" PRIu64 " %s | ", line, why));
    transcript_text(b, text);
    ENSURE(buf_puts(b, "\n"));
}

/* Feeds `input` in pieces whose sizes next() gives, each in memory of its own, so that no read goes past a piece
 * unseen. */
static struct buf transcript_with(const struct exposition_options *o, struct view input, size_t (*next)(void *),
                                  void *user)
{
    struct transcript t = {0};
    const struct exposition_handler h = {&t, transcript_sample, transcript_family, transcript_malformed};
    struct exposition *e = exposition_new(o, &h);
    ENSURE(e);
    while (input.n > 0) {
        size_t asked = next ? next(user) : input.n, n = MIN(asked, input.n);
        char *piece = malloc(n + (n == 0));
        ENSURE(piece);
        memcpy(piece, input.p, n);
        ENSURE(exposition_feed(e, piece, n) == GCW_OK);
        memset(piece, 'x', n);
        free(piece);
        input = view_make(input.p + n, input.n - n);
    }
    ENSURE(exposition_end(e) == GCW_OK && buf_cstr(&t.out));
    exposition_free(e);
    buf_free(&t.names);
    return t.out;
}

static inline struct buf transcript_of(enum exposition_format format, struct view input, size_t (*next)(void *),
                                       void *user)
{
    const struct exposition_options o = {.format = format};
    return transcript_with(&o, input, next, user);
}

#endif
