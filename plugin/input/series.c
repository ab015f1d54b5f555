/* Sample lines of Prometheus text 0.0.4 and OpenMetrics 1.0, as Prometheus' model/textparse reads them, where it is
 * stricter than the written format or looser than it. Differences, all on purpose: a raw line feed can't stand in a
 * quoted string (the written format forbids it), negative times pass in 0.0.4, and names must be valid UTF-8.
 *
 * Hot path: labels point into the line; only a string with a backslash is copied. Vectors may reach behind the line, as
 * far as the caller says that memory is readable; what stands there decides nothing. */
#include "input/series.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "input/number.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* ---- complaints -------------------------------------------------------------------------------------------------- */

const char *series_fail(struct series_parser *s, const char *at, const char *fmt, ...)
{
    char what[WHY_BYTES], text[WHY_BYTES + 32];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    int n = snprintf(text, sizeof text, "column %zu: %s", (size_t)(at - s->line.p) + 1, what);
    text_clean(s->why, sizeof s->why, text, n > 0 ? strlen(text) : 0);
    return NULL;
}

const char *series_expected(struct series_parser *s, const char *at, const char *what)
{
    if (at == s->line.p + s->line.n)
        return series_fail(s, at, "expected %s, found the end of the line", what);
    unsigned char c = (unsigned char)*at;
    if (c > 0x20 && c < 0x7f)
        return series_fail(s, at, "expected %s, found '%c'", what, c);
    if (c == ' ')
        return series_fail(s, at, "expected %s, found a blank", what);
    return series_fail(s, at, "expected %s, found byte 0x%02x", what, c);
}

static const char *out_of_memory(struct series_parser *s)
{
    s->nomem = true;
    return NULL;
}

/* ---- characters -------------------------------------------------------------------------------------------------- */

enum { CHAR_LABEL = 1, CHAR_METRIC = 2, CHAR_DIGIT = 4 };

static const unsigned char classes[256] = {
    ['a' ... 'z'] = CHAR_LABEL | CHAR_METRIC,
    ['A' ... 'Z'] = CHAR_LABEL | CHAR_METRIC,
    ['0' ... '9'] = CHAR_LABEL | CHAR_METRIC | CHAR_DIGIT,
    ['_'] = CHAR_LABEL | CHAR_METRIC,
    [':'] = CHAR_METRIC,
};

static inline unsigned class_of(char c) { return classes[(unsigned char)c]; }
static inline bool is_blank(char c) { return c == ' ' || c == '\t'; }

static inline const char *run_end(const char *p, const char *end, unsigned class)
{
    if (p < end && (class_of(*p) & CHAR_DIGIT))
        return p;
    while (p < end && (class_of(*p) & class))
        p++;
    return p;
}

const char *name_end(const char *p, const char *end) { return run_end(p, end, CHAR_METRIC); }

/* Only 0.0.4 takes blanks between any two tokens, and tabs. */
static inline const char *blanks_skip(const struct series_parser *s, const char *p)
{
    if (s->format == EXPOSITION_TEXT)
        while (p < s->line.p + s->line.n && is_blank(*p))
            p++;
    return p;
}

/* ---- quoted strings ---------------------------------------------------------------------------------------------- */

#ifdef __SSE2__
/* Bits for the bytes at p that are '"' or '\\', and for those >= 0x80. */
static inline unsigned quote_bits(const char *p, unsigned *top)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"')), backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    *top = (unsigned)_mm_movemask_epi8(v);
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(quote, backslash));
}
#endif

/* The first '"' or '\' from p on, or the line's end; *high is set if a byte >= 0x80 stands before it (and may be if one
 * stands behind the line). */
static inline const char *quote_find(const struct series_parser *s, const char *p, bool *high)
{
    const char *end = s->line.p + s->line.n;
#ifdef __SSE2__
    for (; s->readable - p >= 32 && p < end; p += 32) { /* two vectors a step: most values end there, without a guess */
        unsigned top_low, top_high, low = quote_bits(p, &top_low), stop = low | quote_bits(p + 16, &top_high) << 16;
        unsigned top = top_low | top_high << 16;
        if (stop) {
            *high |= (top & (stop - 1) & ~stop) != 0;
            p += __builtin_ctz(stop);
            return p < end ? p : end;
        }
        *high |= top != 0;
    }
#endif
    unsigned char bits = 0;
    for (; p < end && *p != '"' && *p != '\\'; p++)
        bits |= (unsigned char)*p;
    *high |= (bits & 0x80) != 0;
    return p < end ? p : end;
}

size_t text_unescape(char *out, const char *p, size_t n, bool quotes)
{
    size_t o = 0;
    for (size_t i = 0; i < n; i++) {
        char next = p[i] == '\\' && i + 1 < n ? p[i + 1] : 0;
        bool escape = next == '\\' || next == 'n' || (next == '"' && quotes);
        out[o++] = !escape ? p[i] : next == 'n' ? '\n' : next;
        i += escape;
    }
    return o;
}

/* `at` is the first backslash of the string that starts at p. */
static const char *quoted_unescape(struct series_parser *s, const char *p, const char *at, bool *high,
                                   struct view *text)
{
    const char *end = s->line.p + s->line.n, *close = at;
    while (close < end && *close != '"') {
        if (end - close >= 2)
            *high |= (unsigned char)close[1] >= 0x80;
        close = quote_find(s, close + MIN((ptrdiff_t)2, end - close), high);
    }
    if (close == end)
        return end;
    /* the first reservation of a line is for all of its rest, so that earlier strings stay where they are */
    if (!buf_reserve(&s->text, s->text.n == 0 ? (size_t)(end - p) : (size_t)(close - p)))
        return out_of_memory(s);
    char *out = (char *)s->text.p + s->text.n;
    *text = view_make(out, text_unescape(out, p, (size_t)(close - p), true));
    s->text.n += text->n;
    return close;
}

static inline const char *quoted_body(struct series_parser *s, const char *p, struct view *text, const char *what)
{
    const char *end = s->line.p + s->line.n;
    bool high = false;
    const char *close = quote_find(s, p, &high);
    if (close < end && *close == '\\') {
        close = quoted_unescape(s, p, close, &high, text);
        if (!close)
            return NULL;
    } else {
        *text = view_make(p, (size_t)(close - p));
    }
    if (close == end)
        return series_fail(s, p - 1, "no closing quote of the %s", what);
    if (high && !utf8_valid(p, (size_t)(close - p)))
        return series_fail(s, p - 1, "the %s is not valid UTF-8", what);
    return close + 1;
}

const char *quoted_read(struct series_parser *s, const char *p, struct view *text, const char *what)
{
    return quoted_body(s, p + 1, text, what);
}

/* ---- labels ------------------------------------------------------------------------------------------------------ */

static bool labels_grow(struct series_parser *s)
{
    size_t cap = MAX(s->cap * 2, (size_t)2 * HINTS);
    gcw_label *p = realloc(s->labels, cap * sizeof *p);
    s->nomem |= !p;
    if (p) {
        s->labels = p;
        s->cap = cap;
    }
    return p != NULL;
}

enum place { IN_SAMPLE, IN_EXEMPLAR };

/* A quoted string where a label name may stand: behind it ',' or '}' makes it the metric's name. Returns the position
 * behind the string and sets *is_metric. */
static const char *name_quoted(struct series_parser *s, const char *p, enum place place, struct view *name,
                               bool *is_metric)
{
    const char *open = p, *end = s->line.p + s->line.n;
    p = quoted_read(s, p, name, "quoted name");
    if (!p)
        return NULL;
    p = blanks_skip(s, p);
    *is_metric = p < end && (*p == ',' || *p == '}');
    if (name->n == 0)
        return series_fail(s, open, *is_metric ? "empty metric name" : "empty label name");
    if (!*is_metric)
        return p;
    if (place == IN_EXEMPLAR)
        return series_expected(s, p, "'=' after the label name");
    if (s->labels[0].value)
        return series_fail(s, open, "a second metric name");
    s->labels[0].value = name->p;
    s->labels[0].value_len = name->n;
    return p;
}

/* Bare or quoted, and the '="' behind it with whatever blanks are allowed; returns where the value starts. A metric
 * name among the labels is taken note of: then the place behind it is returned and *is_metric set. */
static const char *label_name(struct series_parser *s, const char *p, enum place place, struct view *name,
                              bool *is_metric)
{
    const char *end = s->line.p + s->line.n;
    *is_metric = false;
    if (p < end && *p == '"') {
        p = name_quoted(s, p, place, name, is_metric);
        if (!p || *is_metric)
            return p;
    } else {
        const char *stop = run_end(p, end, CHAR_LABEL);
        if (stop == p)
            return series_expected(s, p, "a label name or '}'");
        *name = view_make(p, (size_t)(stop - p));
        if (s->count < HINTS && place == IN_SAMPLE)
            hint_learn(&s->hints[s->count], *name, end);
        p = blanks_skip(s, stop);
    }
    if (p == end || *p != '=')
        return series_expected(s, p, "'=' after the label name");
    p = blanks_skip(s, p + 1);
    if (p == end || *p != '"')
        return series_expected(s, p, "'\"' before the label value");
    return p + 1;
}

/* From behind '{' to behind '}'. */
static const char *labels_read(struct series_parser *s, const char *p, enum place place)
{
    const char *end = s->line.p + s->line.n;
    if (place == IN_SAMPLE)
        p = labels_predict(s, p);
    for (;;) {
        p = blanks_skip(s, p);
        if (p < end && *p == '}')
            return p + 1;
        struct view name, value;
        bool is_metric;
        p = label_name(s, p, place, &name, &is_metric);
        if (!p)
            return NULL;
        if (is_metric) {
            p += *p == ',';
            continue;
        }
        if (place == IN_SAMPLE && is_name_label(name))
            return series_fail(s, name.p, "__name__ among the labels: the name stands before the braces");
        p = quoted_body(s, p, &value, "label value");
        if (!p || (s->count == s->cap && !labels_grow(s)))
            return NULL;
        s->labels[s->count++] = (gcw_label){name.p, name.n, value.p, value.n};
        p = blanks_skip(s, p);
        if (p < end && *p == ',')
            p++;
        else if (s->format == EXPOSITION_OPENMETRICS && (p == end || *p != '}'))
            return series_expected(s, p, "',' or '}' after the label value"); /* 0.0.4 parsers need no comma */
    }
}

/* ---- name -------------------------------------------------------------------------------------------------------- */

/* Notes whether the name differs from the last sample's, and keeps it past this line. */
static bool name_keep(struct series_parser *s)
{
    struct view name = view_make(s->labels[0].value, s->labels[0].value_len);
    s->name_bare = name.p == s->start;
    s->name_changed = !view_eq(name, buf_view(&s->name));
    if (!s->name_changed)
        return true;
    s->name.n = 0;
    s->nomem |= !buf_append(&s->name, name.p, name.n);
    return !s->nomem;
}

/* The bare name at p. Lines of one metric stand together: a name equal to the last one needs no look at its letters. */
static const char *name_read(const struct series_parser *s, const char *p, const char *end)
{
    size_t n = s->name.n;
    if (s->name_bare && (size_t)(end - p) > n && memcmp(p, s->name.p, n) == 0 && (p[n] == '{' || p[n] == ' '))
        return p + n;
    return name_end(p, end);
}

/* Name and labels; returns what stands behind them. */
static const char *series_read(struct series_parser *s)
{
    const char *p = s->start, *end = s->line.p + s->line.n;
    if (s->cap == 0 && !labels_grow(s))
        return NULL;
    s->labels[0] = (gcw_label){"__name__", 8, NULL, 0};
    s->count = 1;
    s->text.n = 0;
    const char *stop = name_read(s, p, end);
    if (stop > p) {
        s->labels[0].value = p;
        s->labels[0].value_len = (size_t)(stop - p);
        p = blanks_skip(s, stop);
        if (p == end || *p != '{')
            return stop;
    } else if (p == end || *p != '{') {
        return series_expected(s, p, "a metric name");
    }
    p = labels_read(s, p + 1, IN_SAMPLE);
    if (p && !s->labels[0].value)
        return series_fail(s, s->start, "no metric name");
    return p;
}

/* ---- value, time, exemplar --------------------------------------------------------------------------------------- */

/* Ends of tokens behind the labels: 0.0.4 ends them at blanks and tabs, OpenMetrics at blanks. */
static inline bool token_ends(const struct series_parser *s, const char *p, const char *end)
{
    return p == end || *p == ' ' || (*p == '\t' && s->format == EXPOSITION_TEXT);
}

static struct view token_at(const struct series_parser *s, const char *p)
{
    const char *q = p, *end = s->line.p + s->line.n;
    while (!token_ends(s, q, end))
        q++;
    return view_make(p, (size_t)(q - p));
}

/* To the start of the next token, which must be there: blanks at will in 0.0.4, exactly one in OpenMetrics. */
static const char *token_start(struct series_parser *s, const char *p, const char *what)
{
    const char *end = s->line.p + s->line.n;
    if (s->format == EXPOSITION_TEXT)
        p = blanks_skip(s, p);
    else if (p == end || *p != ' ')
        return series_expected(s, p, "a blank");
    else
        p++;
    return token_ends(s, p, end) ? series_expected(s, p, what) : p;
}

static const char *value_read(struct series_parser *s, const char *p, const char *what, uint64_t *bits)
{
    p = token_start(s, p, what);
    if (!p)
        return NULL;
    const char *end = s->line.p + s->line.n;
    struct decimal d;
    const char *stop = decimal_scan(p, end, &d);
    struct view token = stop && token_ends(s, stop, end) ? view_make(p, (size_t)(stop - p)) : token_at(s, p);
    switch (stop == token.p + token.n ? decimal_double(&d, token, bits) : number_double(token, bits)) {
    case NUMBER_OK:
        return token.p + token.n;
    case NUMBER_SYNTAX:
        return series_fail(s, p, "%s \"%.*s\" is not a number", what, VIEW_ARG(token));
    case NUMBER_RANGE:
        return series_fail(s, p, "%s \"%.*s\" is past the range of a double", what, VIEW_ARG(token));
    case NUMBER_NOMEM:
        break;
    }
    return out_of_memory(s);
}

static inline uint64_t word8(const char *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
    return w;
}

static inline bool time_is_last(const struct series_parser *s, const char *p, const char *end)
{
    size_t n = s->time_len;
    return n > 0 && (size_t)(end - p) >= n && word8(p) == word8(s->time_text) &&
           word8(p + n - 8) == word8(s->time_text + n - 8) && token_ends(s, p + n, end);
}

/* Integer milliseconds. */
static const char *time_ms_read(struct series_parser *s, const char *p, int64_t *ms)
{
    if (time_is_last(s, p, s->line.p + s->line.n)) {
        *ms = s->time_ms;
        return p + s->time_len;
    }
    struct view token = token_at(s, p);
    if (*p == '+' || !parse_i64(token, ms))
        return series_fail(s, p, "time \"%.*s\" is not an integer of milliseconds", VIEW_ARG(token));
    s->time_len = token.n >= 8 && token.n <= TIME_TEXT ? token.n : 0;
    s->time_ms = *ms;
    memcpy(s->time_text, token.p, s->time_len);
    return p + token.n;
}

/* Decimal seconds. Rounded from the digits, as seconds * 1000 in doubles lands next to the millisecond meant. */
static const char *time_seconds_read(struct series_parser *s, const char *p, int64_t *ms)
{
    struct view token = token_at(s, p);
    struct decimal d;
    if (token.n == 0 || decimal_scan(p, p + token.n, &d) != p + token.n)
        return series_fail(s, p, "time \"%.*s\" is not a number of seconds", VIEW_ARG(token));
    if (!decimal_scaled(&d, 3, ms))
        return series_fail(s, p, "time \"%.*s\" is out of range", VIEW_ARG(token));
    return p + token.n;
}

static bool exemplar_starts(const struct series_parser *s, const char *p)
{
    return s->line.p + s->line.n - p >= 4 && memcmp(p, " # {", 4) == 0;
}

/* Its labels stand behind those of the sample. */
static const char *exemplar_read(struct series_parser *s, const char *p, struct exposition_sample *out)
{
    size_t count = s->count;
    uint64_t bits = 0;
    p = labels_read(s, p + 4, IN_EXEMPLAR);
    s->exemplar = (gcw_exemplar){s->labels + count, s->count - count, 0, EXPOSITION_NO_TIME};
    s->count = count;
    if (p)
        p = value_read(s, p, "exemplar value", &bits);
    memcpy(&s->exemplar.value, &bits, sizeof bits);
    if (p && p < s->line.p + s->line.n && *p == ' ')
        p = time_seconds_read(s, p + 1, &s->exemplar.time_ms);
    out->exemplars = &s->exemplar;
    out->exemplar_count = 1;
    return p;
}

static const char *tail_text(struct series_parser *s, const char *p, struct exposition_sample *out)
{
    const char *end = s->line.p + s->line.n;
    p = blanks_skip(s, p);
    if (p == end)
        return p;
    out->has_time = true;
    p = time_ms_read(s, p, &out->time_ms);
    return p ? blanks_skip(s, p) : NULL;
}

static const char *tail_openmetrics(struct series_parser *s, const char *p, struct exposition_sample *out)
{
    const char *end = s->line.p + s->line.n;
    if (p < end && *p == ' ' && !exemplar_starts(s, p)) {
        out->has_time = true;
        p = time_seconds_read(s, p + 1, &out->time_ms);
    }
    return p && exemplar_starts(s, p) ? exemplar_read(s, p, out) : p;
}

/* ---- the line ---------------------------------------------------------------------------------------------------- */

bool series_parse(struct series_parser *s, struct view line, struct exposition_sample *out)
{
    const char *end = line.p + line.n;
    size_t foreseen_last = s->foreseen_last;
    s->foreseen_last = 0; /* a line that fails may have changed what is foreseen */
    s->foreseen = false;
    s->line = line;
    s->start = blanks_skip(s, line.p);
    const char *p = series_read(s);
    if (!p)
        return false;
    out->series = view_make(s->start, (size_t)(p - s->start));
    out->has_time = false;
    out->time_ms = 0;
    out->exemplar_count = 0;
    p = value_read(s, p, "value", &out->value_bits);
    if (p && p < end)
        p = s->format == EXPOSITION_TEXT ? tail_text(s, p, out) : tail_openmetrics(s, p, out);
    if (p && p < end)
        p = series_expected(s, p, "the end of the line");
    if (!p || !name_keep(s))
        return false;
    out->labels = s->labels;
    out->count = s->count;
    out->again = s->foreseen && foreseen_last == s->count;
    s->foreseen_last = s->foreseen ? s->count : 0;
    return true;
}

void series_parser_free(struct series_parser *s)
{
    free(s->labels);
    buf_free(&s->text);
    buf_free(&s->name);
    *s = (struct series_parser){.format = s->format};
}
