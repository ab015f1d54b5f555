/* HELP, TYPE, UNIT and EOF lines, and when their family is complete. Only the family being read is remembered, so
 * memory does not grow with their number; a family may come again later in the stream and is then handed over again. */
#include "input/family.h"

enum keyword { KEYWORD_HELP, KEYWORD_TYPE, KEYWORD_UNIT };

/* One metadata line, taken apart. */
struct meta {
    enum keyword keyword;
    struct view name;
    struct view text;
    const char *name_at, *text_at; /* where they stand in the line */
    gcw_metric_type type;
};

#define IN_TEXT        1u
#define IN_OPENMETRICS 2u

static unsigned format_bit(const struct series_parser *s)
{
    return s->format == EXPOSITION_TEXT ? IN_TEXT : IN_OPENMETRICS;
}

static const struct {
    const char *name;
    enum keyword keyword;
    unsigned formats;
} keywords[] = {
    {"HELP", KEYWORD_HELP, IN_TEXT | IN_OPENMETRICS},
    {"TYPE", KEYWORD_TYPE, IN_TEXT | IN_OPENMETRICS},
    {"UNIT", KEYWORD_UNIT, IN_OPENMETRICS},
};

static const struct {
    const char *name;
    gcw_metric_type type;
    unsigned formats;
} types[] = {
    {"counter", GCW_TYPE_COUNTER, IN_TEXT | IN_OPENMETRICS},
    {"gauge", GCW_TYPE_GAUGE, IN_TEXT | IN_OPENMETRICS},
    {"histogram", GCW_TYPE_HISTOGRAM, IN_TEXT | IN_OPENMETRICS},
    {"summary", GCW_TYPE_SUMMARY, IN_TEXT | IN_OPENMETRICS},
    {"untyped", GCW_TYPE_UNKNOWN, IN_TEXT},
    {"unknown", GCW_TYPE_UNKNOWN, IN_OPENMETRICS},
    {"gaugehistogram", GCW_TYPE_GAUGEHISTOGRAM, IN_OPENMETRICS},
    {"info", GCW_TYPE_INFO, IN_OPENMETRICS},
    {"stateset", GCW_TYPE_STATESET, IN_OPENMETRICS},
};

/* ---- reading a line ---------------------------------------------------------------------------------------------- */

static bool is_blank(const struct series_parser *s, char c)
{
    return c == ' ' || (c == '\t' && s->format == EXPOSITION_TEXT);
}

/* Past the blanks between two words: any number in 0.0.4, exactly one in OpenMetrics. p itself if there is none. */
static const char *gap_end(const struct series_parser *s, const char *p, const char *end)
{
    const char *q = p;
    while (q < end && is_blank(s, *q) && (s->format == EXPOSITION_TEXT || q == p))
        q++;
    return q;
}

/* From '#' to behind the keyword and its blanks; NULL if the line is no metadata. */
static const char *keyword_read(const struct series_parser *s, const char *p, const char *end, enum keyword *keyword)
{
    const char *word = gap_end(s, p + 1, end);
    if (word == p + 1)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++) {
        size_t n = strlen(keywords[i].name);
        if (!(keywords[i].formats & format_bit(s)) ||
            !view_starts(view_make(word, (size_t)(end - word)), keywords[i].name))
            continue;
        *keyword = keywords[i].keyword;
        const char *next = gap_end(s, word + n, end);
        return next > word + n ? next : NULL;
    }
    return NULL;
}

static bool type_read(struct series_parser *s, struct meta *m)
{
    struct view word = s->format == EXPOSITION_TEXT ? view_trim(m->text) : m->text;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if ((types[i].formats & format_bit(s)) && view_is(word, types[i].name)) {
            m->type = types[i].type;
            return true;
        }
    series_fail(s, m->text_at, "unknown type \"%.*s\"", VIEW_ARG(m->text));
    return false;
}

static bool unit_fits(struct series_parser *s, const struct meta *m)
{
    struct view name = m->name, unit = m->text;
    if (unit.n == 0 || (name.n > unit.n && name.p[name.n - unit.n - 1] == '_' &&
                        memcmp(name.p + name.n - unit.n, unit.p, unit.n) == 0))
        return true;
    series_fail(s, m->text_at, "the name %.*s does not end in its unit _%.*s", VIEW_ARG(name), VIEW_ARG(unit));
    return false;
}

static bool text_check(struct series_parser *s, struct meta *m)
{
    switch (m->keyword) {
    case KEYWORD_TYPE:
        return type_read(s, m);
    case KEYWORD_UNIT:
        return unit_fits(s, m);
    case KEYWORD_HELP:
        break;
    }
    if (s->format == EXPOSITION_TEXT && view_trim(m->text).n == 0)
        m->text.n = 0;
    bool valid = utf8_valid(m->text.p, m->text.n);
    if (!valid)
        series_fail(s, m->text_at, "the help text is not valid UTF-8");
    return valid;
}

/* p is behind the keyword. */
static bool meta_read(struct series_parser *s, const char *p, struct meta *m)
{
    const char *end = s->line.p + s->line.n, *stop = p;
    m->name_at = p;
    if (p < end && *p == '"') {
        stop = quoted_read(s, p, &m->name, "quoted name");
        if (!stop)
            return false;
    } else {
        stop = name_end(p, end);
        m->name = view_make(p, (size_t)(stop - p));
    }
    bool text_optional = s->format == EXPOSITION_TEXT && m->keyword == KEYWORD_HELP;
    const char *wrong = NULL;
    if (m->name.n == 0)
        wrong = "a metric name";
    else if (stop == end ? !text_optional : !is_blank(s, *stop))
        wrong = "a blank after the metric name";
    if (wrong) {
        series_expected(s, m->name.n ? stop : p, wrong);
        return false;
    }
    m->text_at = stop < end ? stop + 1 : end;
    m->text = view_make(m->text_at, (size_t)(end - m->text_at));
    if (memchr(m->name.p, 0, m->name.n)) {
        series_fail(s, p, "a NUL in the metric name");
        return false;
    }
    return text_check(s, m);
}

/* ---- the family -------------------------------------------------------------------------------------------------- */

void family_flush(struct family *f, const struct exposition_handler *h)
{
    if (f->pending && h->family) {
        const struct exposition_family out = {
            .type = f->type,
            .name = (const char *)f->name.p,
            .help = f->has_help ? (const char *)f->help.p : NULL,
            .unit = f->unit.n ? (const char *)f->unit.p : NULL,
        };
        h->family(h->user, &out);
    }
    f->pending = false;
}

static bool family_begin(struct family *f, struct view name)
{
    f->type = GCW_TYPE_UNKNOWN;
    f->has_type = f->has_help = f->has_unit = f->sampled = false;
    f->name.n = f->help.n = f->unit.n = 0;
    f->open = buf_append(&f->name, name.p, name.n) && buf_cstr(&f->name);
    return f->open;
}

/* A C string can't hold a NUL: U+FFFD stands for it. */
static bool help_end(struct family *f)
{
    const uint8_t *nul = f->help.n ? memchr(f->help.p, 0, f->help.n) : NULL;
    if (nul) {
        struct buf clean = {0};
        bool ok = true;
        for (size_t i = 0; i < f->help.n && ok; i++)
            ok = f->help.p[i] ? buf_append(&clean, f->help.p + i, 1) : buf_puts(&clean, UTF8_REPLACEMENT);
        buf_free(&f->help);
        f->help = clean;
        if (!ok)
            return false;
    }
    return buf_cstr(&f->help);
}

static bool help_set(struct family *f, struct view text, bool quotes)
{
    f->help.n = 0;
    if (!buf_reserve(&f->help, text.n + 1))
        return false;
    f->help.n = text_unescape((char *)f->help.p, text.p, text.n, quotes);
    return help_end(f);
}

static bool family_set(struct family *f, const struct meta *m, bool quotes)
{
    f->pending = true;
    switch (m->keyword) {
    case KEYWORD_TYPE:
        f->type = m->type;
        return f->has_type = true;
    case KEYWORD_HELP:
        f->has_help = help_set(f, m->text, quotes);
        return f->has_help;
    case KEYWORD_UNIT:
        f->has_unit = buf_append(&f->unit, m->text.p, m->text.n) && buf_cstr(&f->unit);
        return f->has_unit;
    }
    return false;
}

bool family_tell(struct family *f, const struct family_facts *facts, const struct exposition_handler *h)
{
    if (!family_begin(f, facts->name) || !buf_append(&f->help, facts->help.p, facts->help.n) || !help_end(f) ||
        !buf_append(&f->unit, facts->unit.p, facts->unit.n) || !buf_cstr(&f->unit))
        return false;
    f->type = facts->type;
    f->has_help = facts->help.n > 0;
    f->pending = true;
    family_flush(f, h);
    return true;
}

/* Samples of a family carry its name, or the name and one of these. */
static bool name_belongs(struct view sample, struct view family)
{
    static const char *const suffixes[] = {"",         "_bucket", "_sum",    "_count", "_total",
                                           "_created", "_info",   "_gcount", "_gsum"};
    if (sample.n < family.n || memcmp(sample.p, family.p, family.n) != 0)
        return false;
    struct view rest = view_make(sample.p + family.n, sample.n - family.n);
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
        if (view_is(rest, suffixes[i]))
            return true;
    return false;
}

/* A line that may not come at this place: a second one of its kind, or a type after what it is the type of. */
static bool meta_fits(const struct family *f, struct series_parser *s, const struct meta *m, bool same)
{
    const bool seen[] = {[KEYWORD_HELP] = f->has_help, [KEYWORD_TYPE] = f->has_type, [KEYWORD_UNIT] = f->has_unit};
    if (same && seen[m->keyword]) {
        series_fail(s, m->name_at, "a second %s line of %.*s", keywords[m->keyword].name, VIEW_ARG(m->name));
        return false;
    }
    bool late = same ? f->sampled : view_eq(buf_view(&s->name), m->name);
    if (m->keyword == KEYWORD_TYPE && late) {
        series_fail(s, m->name_at, "TYPE line after samples of %.*s", VIEW_ARG(m->name));
        return false;
    }
    return true;
}

enum comment family_comment(struct family *f, struct series_parser *s, struct view line,
                            const struct exposition_handler *h)
{
    struct meta m = {0};
    s->line = line;
    s->text.n = 0;
    const char *hash = memchr(line.p, '#', line.n), *end = line.p + line.n;
    const char *p = keyword_read(s, hash, end, &m.keyword);
    if (!p) {
        if (s->format == EXPOSITION_TEXT)
            return COMMENT_OK;
        if (view_is(line, "# EOF"))
            return COMMENT_EOF;
        series_fail(s, line.p, "expected \"# HELP \", \"# TYPE \", \"# UNIT \" or \"# EOF\"");
        return COMMENT_BAD;
    }
    if (!meta_read(s, p, &m))
        return COMMENT_BAD;
    bool same = f->open && view_eq(buf_view(&f->name), m.name);
    if (!meta_fits(f, s, &m, same))
        return COMMENT_BAD;
    if (!same) {
        family_flush(f, h);
        s->nomem |= !family_begin(f, m.name);
    }
    s->nomem |= !s->nomem && !family_set(f, &m, s->format == EXPOSITION_OPENMETRICS);
    return s->nomem ? COMMENT_BAD : COMMENT_OK;
}

bool family_has(const struct family *f, struct view name) { return f->open && name_belongs(name, buf_view(&f->name)); }

void family_sample(struct family *f, const struct series_parser *s, const struct exposition_handler *h)
{
    if (f->pending)
        family_flush(f, h);
    else if (!s->name_changed)
        return;
    f->sampled |= family_has(f, buf_view(&s->name));
}

void family_free(struct family *f)
{
    buf_free(&f->name);
    buf_free(&f->help);
    buf_free(&f->unit);
    *f = (struct family){0};
}
