/* The level a log line tells, found where Loki finds it, byte for byte: in a line in braces by a key of the JSON, in a
 * line with '=' by a key of logfmt, else by the first word that stands for a level. Where Loki's readers give up in the
 * middle of a line, so do these. */
#include "model/level_line.h"

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c; }

static bool same_letters(struct view v, const char *text) /* whatever the locale */
{
    size_t i = 0;
    while (i < v.n && text[i] && lower(v.p[i]) == lower(text[i]))
        i++;
    return i == v.n && !text[i];
}

struct view level_known(struct view word)
{
    static const struct {
        const char *text, *level;
    } aliases[] = {
        {"info", "info"}, {"error", "error"}, {"warn", "warn"},        {"debug", "debug"},       {"warning", "warn"},
        {"err", "error"}, {"trace", "trace"}, {"fatal", "fatal"},      {"critical", "critical"}, {"inf", "info"},
        {"wrn", "warn"},  {"dbg", "debug"},   {"information", "info"}, {"trc", "trace"},
    };
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        if (same_letters(word, aliases[i].text))
            return view_of(aliases[i].level);
    return view_make(NULL, 0);
}

/* ---- escapes ----------------------------------------------------------------------------------------------------- */

/* A text without its escapes, as far as it could be a key or a level; what is not ASCII only counts. */
struct word {
    char text[16];
    size_t n;
};

static void word_put(struct word *w, char c)
{
    if (w->n < sizeof w->text)
        w->text[w->n] = c;
    w->n++;
}

static struct view word_view(const struct word *w) { return view_make(w->text, w->n <= sizeof w->text ? w->n : 0); }

static int hex_digit(char c)
{
    char l = lower(c);
    return c >= '0' && c <= '9' ? c - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* The character behind a backslash at *at; false if there is no such escape. */
static bool escape_read(struct view v, size_t *at, bool json, char *c)
{
    static const char from[] = "\"\\/bfnrt'", to[] = "\"\\/\b\f\n\r\t'";
    int code = 0;
    if (++*at == v.n)
        return false;
    char kind = v.p[(*at)++];
    const char *simple = kind ? strchr(from, kind) : NULL;
    if (simple) {
        *c = to[simple - from];
        return kind != '\'' || !json;
    }
    if (kind != 'u' || v.n - *at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(v.p[(*at)++]);
        if (digit < 0)
            return false;
        code = code * 16 + digit;
    }
    *c = code < 0x80 ? (char)code : '\x7f';
    return true;
}

static bool unescape(struct view v, bool json, struct word *w)
{
    w->n = 0;
    for (size_t i = 0; i < v.n;) {
        char c = v.p[i];
        if (c != '\\')
            i++;
        else if (!escape_read(v, &i, json, &c))
            return false;
        word_put(w, c);
    }
    return true;
}

static const char *string_end(const char *p, const char *end) /* the closing quote, NULL without one */
{
    for (; p < end; p++) {
        if (*p == '"')
            return p;
        p += *p == '\\';
    }
    return NULL;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

#define JSON_DEPTH 2 /* objects in one another that Loki looks into */

enum json_kind { JSON_STRING, JSON_OBJECT, JSON_OTHER };

static const char *blanks_skip(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* Behind the bracket that closes the one at p; other brackets are not looked at. NULL without one. */
static const char *block_end(const char *p, const char *end, char open, char close)
{
    for (unsigned level = 0; p < end; p++) {
        if (*p == '"' && !(p = string_end(p + 1, end)))
            return NULL;
        level += *p == open;
        if (*p == close && --level == 0)
            return p + 1;
    }
    return NULL;
}

/* A number, true, false or null, up to what may stand behind it. */
static const char *literal_end(const char *p, const char *end)
{
    const char *start = p;
    while (p < end && !strchr(" \n\r\t,}]", *p | (*p ? 0 : '0')))
        p++;
    struct view v = view_make(start, (size_t)(p - start));
    bool number = v.n > 0 && ((v.p[0] >= '0' && v.p[0] <= '9') || v.p[0] == '-');
    return number || view_is(v, "true") || view_is(v, "false") || view_is(v, "null") ? p : NULL;
}

/* The value at p; returns what is behind it, NULL if it is none. */
static const char *json_value(const char *p, const char *end, enum json_kind *kind, struct view *value)
{
    if ((p = blanks_skip(p, end)) == end)
        return NULL;
    const char *start = p;
    *kind = *p == '"' ? JSON_STRING : *p == '{' ? JSON_OBJECT : JSON_OTHER;
    if (*p == '"') {
        p = string_end(p + 1, end);
        *value = view_make(start + 1, p ? (size_t)(p - start) - 1 : 0);
        return p ? p + 1 : NULL;
    }
    p = *p == '{' ? block_end(p, end, '{', '}') : *p == '[' ? block_end(p, end, '[', ']') : literal_end(p, end);
    *value = view_make(start, p ? (size_t)(p - start) : 0);
    return p;
}

static bool json_key_wanted(struct view key)
{
    for (size_t i = 0; i < LEVEL_KEYS; i++)
        if (view_is(key, level_keys[i]))
            return true;
    return false;
}

/* A key and the colon behind it; NULL if there is none, or its escapes are wrong. */
static const char *json_key(const char *p, const char *end, bool *wanted)
{
    struct word word;
    const char *close = *p == '"' ? string_end(p + 1, end) : NULL;
    if (!close)
        return NULL;
    struct view key = view_make(p + 1, (size_t)(close - p) - 1);
    if (memchr(key.p, '\\', key.n)) {
        if (!unescape(key, true, &word))
            return NULL;
        key = word_view(&word);
    }
    *wanted = json_key_wanted(key);
    p = blanks_skip(close + 1, end);
    return p < end && *p == ':' ? p + 1 : NULL;
}

/* The first string under one of the keys. False: the search has ended, found or not. */
static bool json_search(struct view object, unsigned depth, struct view *found)
{
    const char *p = object.p, *end = p + object.n;
    if (depth == JSON_DEPTH)
        return true;
    p = blanks_skip(p, end);
    if (p == end || *p != '{')
        return false;
    for (p = blanks_skip(p + 1, end); p < end && *p != '}'; p = blanks_skip(p + 1, end)) {
        enum json_kind kind;
        struct view value;
        bool wanted;
        if (!(p = json_key(p, end, &wanted)) || !(p = json_value(p, end, &kind, &value)))
            return false;
        if (kind == JSON_STRING && wanted) {
            *found = value;
            return false;
        }
        if (kind == JSON_OBJECT && !json_search(value, depth + 1, found))
            return false;
        p = blanks_skip(p, end);
        if (p == end || *p != ',')
            return p < end && *p == '}';
    }
    return p < end;
}

/* ---- logfmt ------------------------------------------------------------------------------------------------------ */

struct logfmt {
    const char *p, *end;
    struct word word; /* a value without its escapes */
};

static bool has_replacement(struct view v)
{
    return utf8_ascii_prefix(v.p, v.n) < v.n && (!utf8_valid(v.p, v.n) || utf8_has_replacement(v.p, v.n));
}

static bool quoted_read(struct logfmt *f, struct view *value)
{
    const char *close = string_end(f->p + 1, f->end);
    if (!close)
        return false;
    *value = view_make(f->p + 1, (size_t)(close - f->p) - 1);
    f->p = close + 1;
    if (!memchr(value->p, '\\', value->n))
        return true;
    if (!unescape(*value, false, &f->word))
        return false;
    *value = word_view(&f->word);
    return true;
}

/* key, key= or key=value; false at the end, and where the line is no logfmt any more. */
static bool logfmt_next(struct logfmt *f, struct view *key, struct view *value)
{
    while (f->p < f->end && (unsigned char)*f->p <= ' ')
        f->p++;
    const char *start = f->p;
    while (f->p < f->end && (unsigned char)*f->p > ' ' && *f->p != '=' && *f->p != '"')
        f->p++;
    *key = view_make(start, (size_t)(f->p - start));
    *value = view_make(start, 0);
    if (key->n == 0 || (f->p < f->end && *f->p == '"') || has_replacement(*key))
        return false;
    if (f->p == f->end || *f->p != '=' || ++f->p == f->end)
        return true;
    if (*f->p == '"')
        return quoted_read(f, value);
    for (start = f->p; f->p < f->end && (unsigned char)*f->p > ' '; f->p++)
        if (*f->p == '=' || *f->p == '"')
            return false;
    *value = view_make(start, (size_t)(f->p - start));
    return true;
}

/* As same_letters(), and U+017F, a long s, is an s. */
static bool key_is(struct view key, const char *text)
{
    size_t i = 0;
    for (; i < key.n && *text; text++) {
        bool long_s = key.n - i >= 2 && memcmp(key.p + i, "\xc5\xbf", 2) == 0;
        if (lower(*text) != (long_s ? 's' : lower(key.p[i])))
            return false;
        i += long_s ? 2 : 1;
    }
    return i == key.n && !*text;
}

/* Of the key that stands first in the list; of several of that, the first. */
static struct view level_in_logfmt(struct view line)
{
    struct logfmt f = {.p = line.p, .end = line.p + line.n};
    size_t best = LEVEL_KEYS;
    struct view key, value, level = {0};
    while (best > 0 && f.p < f.end && logfmt_next(&f, &key, &value)) {
        if (key.n < 3 || key.n > 14 || !strchr("lLsS\xc5", key.p[0]))
            continue;
        for (size_t i = 0; i < best; i++)
            if (key_is(key, level_keys[i]))
                best = i, level = level_known(value);
    }
    return level;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/* What may stand left and right of a word, and what a word may begin with: 0xc4 is the first byte of U+0130. */
enum { LEFT = 1, RIGHT = 2, FIRST = 4 };
static const uint8_t word_class[256] = {
    [' '] = LEFT | RIGHT, ['\t'] = LEFT | RIGHT, ['\n'] = LEFT | RIGHT, ['['] = LEFT | RIGHT, ['('] = LEFT | RIGHT,
    ['{'] = LEFT | RIGHT, ['"'] = LEFT | RIGHT,  ['\''] = LEFT | RIGHT, ['='] = LEFT | RIGHT, ['|'] = LEFT | RIGHT,
    [']'] = RIGHT,        [')'] = RIGHT,         ['}'] = RIGHT,         [':'] = RIGHT,        [','] = RIGHT,
    ['!'] = RIGHT,        ['t'] = FIRST,         ['T'] = FIRST,         ['d'] = FIRST,        ['D'] = FIRST,
    ['f'] = FIRST,        ['F'] = FIRST,         ['c'] = FIRST,         ['C'] = FIRST,        ['e'] = FIRST,
    ['E'] = FIRST,        ['w'] = FIRST,         ['W'] = FIRST,         ['i'] = FIRST,        ['I'] = FIRST,
    [0xc4] = FIRST,
};

/* The letter at p in small, U+0130 among them; *next is behind it. 0 = the end. */
static inline char letter_at(const char *p, const char *end, const char **next)
{
    bool dotted = p + 1 < end && p[0] == '\xc4' && p[1] == '\xb0';
    *next = p + (dotted ? 2 : 1);
    return p == end ? 0 : dotted ? 'i' : lower(*p);
}

static bool word_match(const char *p, const char *end, const char *word)
{
    for (; *word; word++)
        if (letter_at(p, end, &p) != *word)
            return false;
    return p == end || (word_class[(uint8_t)*p] & RIGHT);
}

static struct view level_in_words(struct view line)
{
    static const struct {
        const char *word, *level;
    } words[] = {{"trace", "trace"},       {"debug", "debug"}, {"fatal", "fatal"},
                 {"critical", "critical"}, {"error", "error"}, {"err", "error"},
                 {"warning", "warn"},      {"warn", "warn"},   {"info", "info"}};
    const char *end = line.p + line.n;
    uint8_t before = LEFT;
    for (const char *p = line.p; p < end; p++) {
        uint8_t here = word_class[(uint8_t)*p];
        bool starts = (before & LEFT) && (here & FIRST);
        before = here;
        if (!starts)
            continue;
        const char *next, first = letter_at(p, end, &next);
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            if (words[i].word[0] == first && word_match(p, end, words[i].word))
                return view_of(words[i].level);
    }
    return view_of("unknown");
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static size_t blank_at(const char *p, size_t n) /* length of a blank of Unicode, 0 = it is something else */
{
    static const char *const wide[] = {"\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\xa8",
                                       "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
    if (*p == ' ' || (*p >= '\t' && *p <= '\r'))
        return 1;
    for (size_t i = 0; i < ARRAY_LEN(wide); i++)
        if (view_starts(view_make(p, n), wide[i]))
            return strlen(wide[i]);
    return n >= 3 && memcmp(p, "\xe2\x80", 2) == 0 && (uint8_t)p[2] >= 0x80 && (uint8_t)p[2] <= 0x8a ? 3 : 0;
}

static bool in_braces(struct view line)
{
    size_t step;
    while (line.n > 0 && (step = blank_at(line.p, line.n)) > 0)
        line = view_make(line.p + step, line.n - step);
    while (line.n > 0 && blank_at(line.p + line.n - 1, 1))
        line.n--;
    return line.n > 0 && line.p[0] == '{' && line.p[line.n - 1] == '}';
}

struct view level_in_line(struct view line)
{
    struct view level = {0}, found = {0};
    if (line.n == 0)
        return view_of("unknown");
    if (in_braces(line)) {
        json_search(line, 0, &found);
        level = level_known(found);
    } else if (memchr(line.p, '=', line.n)) {
        level = level_in_logfmt(line);
    }
    return level.n ? level : level_in_words(line);
}
