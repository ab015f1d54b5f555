/* The exposition parser: lines in, samples and families out. Holds one line and one family at most. */
#include <stdlib.h>

#include "input/family.h"

#define LINE_BYTES_MAX (64 * MIB)

struct exposition {
    struct exposition_handler handler;
    struct lines lines;
    struct series_parser parser;
    struct family family;
    struct view piece; /* being fed */
    bool eof;          /* # EOF was read */
    gcw_status status;
};

struct exposition *exposition_new(enum exposition_format format, const struct exposition_handler *h)
{
    struct exposition *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->handler = *h;
    e->lines.max_bytes = LINE_BYTES_MAX;
    e->parser.format = format;
    return e;
}

void exposition_free(struct exposition *e)
{
    if (!e)
        return;
    lines_free(&e->lines);
    series_parser_free(&e->parser);
    family_free(&e->family);
    free(e);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void line_malformed(struct exposition *e, uint64_t number, const char *why, struct view line)
{
    if (e->handler.malformed)
        e->handler.malformed(e->handler.user, number, why, line);
}

/* The parser said no: out of memory, or the line is wrong. */
static void line_refused(struct exposition *e, uint64_t number, struct view line)
{
    if (e->parser.nomem)
        e->status = GCW_ERR_NOMEM;
    else
        line_malformed(e, number, e->parser.why, line);
}

static void line_comment(struct exposition *e, uint64_t number, struct view line, struct view content)
{
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

static void line_sample(struct exposition *e, uint64_t number, struct view line, struct view content)
{
    struct exposition_sample sample;
    if (!series_parse(&e->parser, content, &sample)) {
        line_refused(e, number, line);
        return;
    }
    sample.line = number;
    family_sample(&e->family, &e->parser, &e->handler);
    e->handler.sample(e->handler.user, &sample);
}

/* The first byte that says what a line is: blanks before it are 0.0.4's alone. 0 = nothing there. */
static char line_kind(const struct exposition *e, struct view line)
{
    size_t i = 0;
    while (e->parser.format == EXPOSITION_TEXT && i < line.n && (line.p[i] == ' ' || line.p[i] == '\t'))
        i++;
    return i == line.n ? '\n' : line.p[i];
}

/* Lines inside the piece have the rest of it behind them; a gathered line has nothing. */
static const char *readable_end(const struct exposition *e, struct view line)
{
    bool inside = (uintptr_t)line.p >= (uintptr_t)e->piece.p && (uintptr_t)line.p - (uintptr_t)e->piece.p < e->piece.n;
    return inside ? e->piece.p + e->piece.n : line.p + line.n;
}

static void line_read(void *user, uint64_t number, struct view line, bool cut)
{
    struct exposition *e = user;
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

gcw_status exposition_feed(struct exposition *e, const char *data, size_t n)
{
    if (e->status == GCW_OK) {
        e->piece = view_make(data, n);
        gcw_status status = lines_feed(&e->lines, data, n, line_read, e);
        e->piece = view_make(NULL, 0);
        e->status = e->status == GCW_OK ? status : e->status;
    }
    return e->status;
}

gcw_status exposition_end(struct exposition *e)
{
    if (e->status == GCW_OK)
        lines_end(&e->lines, line_read, e);
    if (e->status != GCW_OK)
        return e->status;
    family_flush(&e->family, &e->handler);
    if (e->parser.format == EXPOSITION_OPENMETRICS && !e->eof)
        line_malformed(e, MAX(e->lines.number, (uint64_t)1), "the input ends without # EOF: it may be cut off",
                       view_of(""));
    return GCW_OK;
}

/* ---- detection --------------------------------------------------------------------------------------------------- */

/* Cuts the first line off `text`. */
static struct view line_next(struct view *text)
{
    const char *lf = memchr(text->p, '\n', text->n);
    struct view line = view_make(text->p, lf ? (size_t)(lf - text->p) : text->n);
    size_t used = line.n + (lf ? 1 : 0);
    *text = view_make(text->p + used, text->n - used);
    return line;
}

static bool ends_with(struct view v, const char *suffix)
{
    size_t n = strlen(suffix);
    return v.n >= n && memcmp(v.p + v.n - n, suffix, n) == 0;
}

/* A line that 0.0.4 has no use for. */
static bool line_is_openmetrics(struct view line)
{
    static const char *const types[] = {" unknown", " info", " stateset", " gaugehistogram"};
    if (view_is(line, "# EOF") || view_starts(line, "# UNIT "))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (view_starts(line, "# TYPE ") && ends_with(line, types[i]))
            return true;
    return false;
}

enum exposition_format exposition_detect(struct view head, struct view tail)
{
    if (tail.n > 0 && tail.p[tail.n - 1] == '\n')
        tail.n--;
    if (ends_with(tail, "\n# EOF") || view_is(tail, "# EOF"))
        return EXPOSITION_OPENMETRICS;
    while (head.n > 0)
        if (line_is_openmetrics(line_next(&head)))
            return EXPOSITION_OPENMETRICS;
    return EXPOSITION_TEXT;
}
