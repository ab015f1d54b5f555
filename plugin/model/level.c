/* The structured metadata detected_level of a log entry, as Loki's distributor would set it (pkg/distributor,
 * field_detection.go): from a label, else from metadata, else from severity_number, else from a key of a line that is
 * JSON or logfmt. What is found nowhere, or only by words inside a line, is left to the server. */
#include <strings.h>

#include "model/model.h"

/* In the order they are asked for. */
static const char *const level_keys[] = {"level",    "LEVEL",         "Level",         "log.level",    "severity",
                                         "SEVERITY", "Severity",      "SeverityText",  "lvl",          "LVL",
                                         "Lvl",      "severity_text", "Severity_Text", "SEVERITY_TEXT"};

static const struct {
    const char *text, *level;
} aliases[] = {
    {"info", "info"}, {"error", "error"}, {"warn", "warn"},        {"debug", "debug"},       {"warning", "warn"},
    {"err", "error"}, {"trace", "trace"}, {"fatal", "fatal"},      {"critical", "critical"}, {"inf", "info"},
    {"wrn", "warn"},  {"dbg", "debug"},   {"information", "info"}, {"trc", "trace"},
};

static bool same_letters(struct view v, const char *text)
{
    return v.p && v.n == strlen(text) && strncasecmp(v.p, text, v.n) == 0;
}

/* One of the levels; {0} for another word. */
static struct view level_known(struct view v)
{
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        if (same_letters(v, aliases[i].text))
            return view_of(aliases[i].level);
    return view_make(NULL, 0);
}

static struct view level_normal(struct view v)
{
    struct view known = level_known(v);
    return known.n ? known : v;
}

/* Place of a key in the list; its length if it is none of them. */
static size_t key_rank(struct view name, bool any_case)
{
    if (name.n < 3 || name.n > 13 || !strchr("lLsS", name.p[0]))
        return ARRAY_LEN(level_keys);
    for (size_t i = 0; i < ARRAY_LEN(level_keys); i++)
        if (any_case ? same_letters(name, level_keys[i]) : view_is(name, level_keys[i]))
            return i;
    return ARRAY_LEN(level_keys);
}

static struct view level_in_block(struct view block)
{
    size_t best = ARRAY_LEN(level_keys);
    struct view name, value, level = {0};
    while (block_next(&block, &name, &value)) {
        size_t rank = key_rank(name, false);
        if (rank < best)
            best = rank, level = value;
    }
    return level;
}

/* By OpenTelemetry's numbers. */
static struct view level_of_severity(struct view number)
{
    static const char *const names[] = {"trace", "debug", "info", "warn", "error", "fatal"};
    int64_t n;
    if (!parse_i64(number, &n))
        return view_of("info");
    if (n == 0 || n > 24)
        return view_of("unknown");
    return view_of(names[n < 0 ? 0 : (n - 1) / 4]);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static const char *spaces_skip(const char *p, const char *end)
{
    while (p < end && is_space(*p))
        p++;
    return p;
}

/* The text of a JSON string at p, escapes as they are; NULL if it does not end. */
static const char *json_string(const char *p, const char *end, struct view *text)
{
    const char *start = ++p;
    while (p < end && *p != '"')
        p += *p == '\\' ? 2 : 1;
    if (p >= end)
        return NULL;
    *text = view_make(start, (size_t)(p - start));
    return p + 1;
}

#define JSON_DEPTH 2 /* Loki looks no deeper */

/* The first key of the list with a string behind it, in objects down to JSON_DEPTH; arrays are passed over. */
static struct view level_in_json(const char *p, const char *end)
{
    unsigned depth = 0, arrays = 0;
    struct view key = {0};
    for (; p && p < end; p = p ? spaces_skip(p, end) : NULL) {
        struct view text;
        if (*p != '"') {
            depth += *p == '{', depth -= *p == '}' && depth > 0;
            arrays += *p == '[', arrays -= *p == ']' && arrays > 0;
            key.n *= *p == ':'; /* a key is the string before ':', its value the next thing */
            p++;
            continue;
        }
        if (!(p = json_string(p, end, &text)))
            break;
        bool wanted = depth <= JSON_DEPTH && arrays == 0;
        if (wanted && key.n > 0 && key_rank(key, false) < ARRAY_LEN(level_keys))
            return text;
        p = spaces_skip(p, end);
        key = p < end && *p == ':' ? text : view_make(NULL, 0);
    }
    return view_make(NULL, 0);
}

/* key=value and key="value", blanks between; the key that stands first in the list wins. */
static struct view level_in_logfmt(const char *p, const char *end)
{
    size_t best = ARRAY_LEN(level_keys);
    struct view level = {0};
    while (best > 0 && (p = spaces_skip(p, end)) < end) {
        const char *key = p;
        struct view value = {0};
        while (p < end && !is_space(*p) && *p != '=')
            p++;
        size_t rank = p < end && *p == '=' ? key_rank(view_make(key, (size_t)(p - key)), true) : ARRAY_LEN(level_keys);
        if (p < end && *p == '=' && ++p < end && *p == '"') {
            if (!(p = json_string(p, end, &value)))
                break;
        } else {
            const char *start = p;
            while (p < end && !is_space(*p))
                p++;
            value = view_make(start, (size_t)(p - start));
        }
        if (rank < best)
            best = rank, level = value;
    }
    return level;
}

static struct view level_in_line(struct view line)
{
    struct view t = view_trim(line);
    const char *end = t.p + t.n;
    if (t.n > 1 && t.p[0] == '{' && end[-1] == '}')
        return level_known(level_in_json(t.p, end));
    if (t.n > 0 && memchr(t.p, '=', t.n))
        return level_known(level_in_logfmt(t.p, end));
    return view_make(NULL, 0);
}

/* What Loki leaves out of its own guess: metadata that says it already. */
static bool level_given(struct view metadata, struct view *level)
{
    struct view name;
    while (block_next(&metadata, &name, level))
        if (view_is(name, LEVEL_NAME))
            return true;
    return false;
}

struct view level_detect(struct view labels, struct view metadata, struct view line)
{
    struct view level, name, value;
    if (level_given(metadata, &level))
        return view_make(NULL, 0);
    if ((level = level_in_block(labels)).n > 0 || (level = level_in_block(metadata)).n > 0)
        return level_normal(level);
    while (block_next(&metadata, &name, &value))
        if (view_is(name, "severity_number"))
            return level_of_severity(value);
    return level_in_line(line);
}
