/* Text 0.0.4 and OpenMetrics: lines in, samples and families out. Holds one line, one family, and of OpenMetrics the
 * samples of one metric at most. */
#include <stdlib.h>

#include "input/created.h"
#include "input/parser.h"

#define LINE_BYTES_MAX (64 * MIB)

struct text {
    struct exposition_handler handler;
    struct lines lines;
    struct series_parser parser;
    struct family family;
    struct created created;
    struct exposition_sample sample;
    struct view piece; /* being fed */
    bool eof;          /* # EOF was read */
    gcw_status status;
};

static void *text_open(const struct exposition_options *o, const struct exposition_handler *h)
{
    struct text *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->handler = *h;
    e->lines.max_bytes = LINE_BYTES_MAX;
    e->parser.format = o->format;
    created_init(&e->created, o->drop_created, &e->handler);
    return e;
}

static void text_free(void *state)
{
    struct text *e = state;
    lines_free(&e->lines);
    series_parser_free(&e->parser);
    family_free(&e->family);
    created_free(&e->created);
    free(e);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void line_malformed(struct text *e, uint64_t number, const char *why, struct view line)
{
    if (e->handler.malformed)
        e->handler.malformed(e->handler.user, number, why, line);
}

/* The parser said no: out of memory, or the line is wrong. */
static void line_refused(struct text *e, uint64_t number, struct view line)
{
    if (e->parser.nomem)
        e->status = GCW_ERR_NOMEM;
    else
        line_malformed(e, number, e->parser.why, line);
}

static void line_comment(struct text *e, uint64_t number, struct view line, struct view content)
{
    created_flush(&e->created);
    switch (family_comment(&e->family, &e->parser, content, &e->handler)) {
    case COMMENT_OK:
        return;
    case COMMENT_EOF:
        e->eof = true;
        return;
    case COMMENT_BAD:
        line_refused(e, number, line);
        return;
    }
}

/* Lines inside the piece have the rest of it behind them, and stay until its end; a gathered line does neither. */
static bool line_is_inside(const struct text *e, struct view line)
{
    return (uintptr_t)line.p >= (uintptr_t)e->piece.p && (uintptr_t)line.p - (uintptr_t)e->piece.p < e->piece.n;
}

static const char *readable_end(const struct text *e, struct view line)
{
    return line_is_inside(e, line) ? e->piece.p + e->piece.n : line.p + line.n;
}

static void line_sample(struct text *e, uint64_t number, struct view line, struct view content)
{
    struct exposition_sample *sample = &e->sample;
    if (!series_parse(&e->parser, content, sample)) {
        line_refused(e, number, line);
        return;
    }
    sample->number = number;
    family_sample(&e->family, &e->parser, &e->handler);
    if (e->parser.format == EXPOSITION_TEXT)
        e->handler.sample(e->handler.user, sample);
    else if (!created_sample(&e->created, &e->family, &e->parser, sample, line_is_inside(e, line)))
        e->status = GCW_ERR_NOMEM;
}

/* The first byte that says what a line is: blanks before it are 0.0.4's alone. 0 = nothing there. */
static char line_kind(const struct text *e, struct view line)
{
    size_t i = 0;
    while (e->parser.format == EXPOSITION_TEXT && i < line.n && (line.p[i] == ' ' || line.p[i] == '\t'))
        i++;
    return i == line.n ? '\n' : line.p[i];
}

static void line_read(void *user, uint64_t number, struct view line, bool cut)
{
    struct text *e = user;
    bool text = e->parser.format == EXPOSITION_TEXT;
    struct view content = line;
    if (e->status != GCW_OK)
        return;
    if (text && content.n > 0 && content.p[content.n - 1] == '\r')
        content.n--;
    e->parser.readable = readable_end(e, content);
    char kind = line_kind(e, content);
    if (cut)
        line_malformed(e, number, "the line is longer than 64 MiB", line);
    else if (e->eof)
        line_malformed(e, number, "data after # EOF", line);
    else if (kind == '#')
        line_comment(e, number, line, content);
    else if (kind != '\n')
        line_sample(e, number, line, content);
    else if (!text)
        line_malformed(e, number, "a blank line, which OpenMetrics does not allow", line);
}

static gcw_status text_feed(void *state, const char *data, size_t n)
{
    struct text *e = state;
    if (e->status == GCW_OK) {
        e->piece = view_make(data, n);
        gcw_status status = lines_feed(&e->lines, data, n, line_read, e);
        if (!created_settle(&e->created))
            status = GCW_ERR_NOMEM;
        e->piece = view_make(NULL, 0);
        e->status = e->status == GCW_OK ? status : e->status;
    }
    return e->status;
}

static gcw_status text_end(void *state)
{
    struct text *e = state;
    if (e->status == GCW_OK)
        lines_end(&e->lines, line_read, e);
    if (e->status != GCW_OK)
        return e->status;
    created_flush(&e->created);
    family_flush(&e->family, &e->handler);
    if (e->parser.format == EXPOSITION_OPENMETRICS && !e->eof)
        line_malformed(e, MAX(e->lines.number, (uint64_t)1), "the input ends without # EOF: it may be cut off",
                       view_of(""));
    return GCW_OK;
}

const struct parser parser_text = {text_open, text_free, text_feed, text_end};
