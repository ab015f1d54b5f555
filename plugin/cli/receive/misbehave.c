/* The rule of misbehaviour: one table of keys, read from flags, forms and JSON alike. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/receive/misbehave.h"

const char *const misbehave_help =
    "  status=CODE[:COUNT|:CHANCE]  answer CODE instead of processing; COUNT times, or with a chance such as 0.25\n"
    "  process=on                   process the body all the same before that answer\n"
    "  retry_after=TEXT             Retry-After of that answer: seconds or an HTTP date\n"
    "  location=URL                 Location of that answer\n"
    "  body=SIZE                    size of that answer's body\n"
    "  latency=DURATION             wait before answering (a bare number is milliseconds)\n"
    "  reset=before|after           cut the connection before or after the body was processed\n"
    "  remote_write=1.0|silent|400  know remote write 1.0 alone: answer 2.0 by 415, by 204 without a look, or by 400\n"
    "  slow_read=BYTES              read bodies at so many bytes per second\n"
    "  over=SIZE                    only requests with a body larger than this\n"
    "  hide=on                      answer success although part of the request was refused\n"
    "  match=metrics|logs|TENANT    only these requests\n"
    "  count=N                      so many requests, then all is well again\n"
    "  seed=N                       of the dice, to get the same sequence again\n"
    "  clear=on                     set everything back\n";

void misbehave_init(struct misbehave *m)
{
    *m = (struct misbehave){.status_chance = 1, .random = (uint64_t)random_u32() << 32 | random_u32() | 1};
}

/* ---- values -------------------------------------------------------------------------------------------------------
 */

static bool switch_parse(struct view v, bool *out)
{
    *out = view_is(v, "on") || view_is(v, "true") || view_is(v, "1");
    return *out || view_is(v, "off") || view_is(v, "false") || view_is(v, "0");
}

static bool status_parse(struct misbehave *m, struct view v)
{
    const char *colon = v.n ? memchr(v.p, ':', v.n) : NULL;
    struct view code = view_make(v.p, colon ? (size_t)(colon - v.p) : v.n);
    uint64_t status, count = 0;
    double chance = 1;
    if (!parse_u64(code, &status) || (status != 0 && (status < 200 || status > 999)))
        return false;
    if (colon) {
        struct view rest = view_make(colon + 1, v.n - code.n - 1);
        char text[32], *end;
        if (rest.n > 0 && rest.n < sizeof text && memchr(rest.p, '.', rest.n)) {
            snprintf(text, sizeof text, "%.*s", (int)rest.n, rest.p);
            chance = strtod(text, &end);
            if (*end || !(chance >= 0 && chance <= 1))
                return false;
        } else if (!parse_u64(rest, &count) || count == 0) {
            return false;
        }
    }
    m->status = (int)status;
    m->status_count = count;
    m->status_chance = chance;
    return true;
}

static bool process_parse(struct misbehave *m, struct view v) { return switch_parse(v, &m->process); }
static bool hide_parse(struct misbehave *m, struct view v) { return switch_parse(v, &m->hide); }
static bool slow_parse(struct misbehave *m, struct view v) { return parse_size(v, &m->slow_read); }
static bool over_parse(struct misbehave *m, struct view v) { return parse_size(v, &m->over_bytes); }
static bool count_parse(struct misbehave *m, struct view v) { return parse_u64(v, &m->count); }

static bool body_parse(struct misbehave *m, struct view v)
{
    return parse_size(v, &m->body_bytes) && m->body_bytes <= 1024 * MIB;
}

static bool latency_parse(struct misbehave *m, struct view v)
{
    return (parse_u64(v, &m->latency_ms) || parse_duration(v, &m->latency_ms)) && m->latency_ms <= UINT64_C(86400000);
}

static bool reset_parse(struct misbehave *m, struct view v)
{
    m->reset = view_is(v, "before") ? RESET_BEFORE : view_is(v, "after") ? RESET_AFTER : RESET_NONE;
    return m->reset != RESET_NONE || view_is(v, "none") || v.n == 0;
}

static const char *const speaks_names[] = {
    [SPEAKS_BOTH] = "both", [SPEAKS_1_SILENT] = "silent", [SPEAKS_1_REFUSING] = "1.0", [SPEAKS_1_COMPLAINING] = "400"};

static bool speaks_parse(struct misbehave *m, struct view v)
{
    for (size_t i = 0; i < ARRAY_LEN(speaks_names); i++)
        if (view_is(v, speaks_names[i])) {
            m->speaks = (enum misbehave_speaks)i;
            return true;
        }
    return false;
}

static bool text_parse(char *out, size_t cap, struct view v)
{
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] < 0x20 || v.p[i] == 0x7f) /* it becomes a header */
            return false;
    return v.n < cap && snprintf(out, cap, "%.*s", (int)v.n, v.p ? v.p : "") >= 0;
}

static bool retry_after_parse(struct misbehave *m, struct view v)
{
    return text_parse(m->retry_after, sizeof m->retry_after, v);
}
static bool match_parse(struct misbehave *m, struct view v) { return text_parse(m->match, sizeof m->match, v); }
static bool location_parse(struct misbehave *m, struct view v)
{
    return text_parse(m->location, sizeof m->location, v);
}

static bool seed_parse(struct misbehave *m, struct view v)
{
    uint64_t seed;
    if (!parse_u64(v, &seed))
        return false;
    m->random = hash_bytes(&seed, sizeof seed, 1) | 1;
    return true;
}

static bool clear_parse(struct misbehave *m, struct view v)
{
    bool on;
    if (!switch_parse(v, &on))
        return false;
    if (on)
        misbehave_init(m);
    return true;
}

static const struct key {
    const char *name;
    bool (*parse)(struct misbehave *m, struct view v);
    const char *allowed;
} keys[] = {
    {"status", status_parse, "CODE, CODE:COUNT or CODE:CHANCE (200 to 999; 0 = off)"},
    {"process", process_parse, "on or off"},
    {"retry_after", retry_after_parse, "up to 63 printable characters"},
    {"location", location_parse, "up to 255 printable characters"},
    {"latency", latency_parse, "milliseconds, or 500ms, 2s, 1m; at most a day"},
    {"reset", reset_parse, "before, after or none"},
    {"remote_write", speaks_parse, "both, 1.0, silent or 400"},
    {"slow_read", slow_parse, "bytes per second, e.g. 4096 or 64KiB"},
    {"body", body_parse, "a size up to 1GiB"},
    {"over", over_parse, "a size"},
    {"hide", hide_parse, "on or off"},
    {"match", match_parse, "metrics, logs or a tenant of up to 63 bytes"},
    {"count", count_parse, "a number"},
    {"seed", seed_parse, "a number"},
    {"clear", clear_parse, "on or off"},
};

gcw_status misbehave_set(struct misbehave *m, struct view key, struct view value, gcw_error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (!view_is(key, keys[i].name))
            continue;
        struct misbehave next = *m;
        if (!keys[i].parse(&next, value))
            return error_set(err, GCW_ERR_INVALID, "%s: '%.*s' is not %s", keys[i].name, VIEW_ARG(value),
                             keys[i].allowed);
        *m = next;
        return GCW_OK;
    }
    return error_set(err, GCW_ERR_INVALID,
                     "unknown key '%.*s'; known are status, process, retry_after, location, latency, reset, "
                     "remote_write, slow_read, "
                     "body, over, hide, match, count, seed, clear",
                     VIEW_ARG(key));
}

/* ---- forms and JSON
 * ----------------------------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* application/x-www-form-urlencoded; what is no escape stays as it is. */
static struct view url_decode(char *out, size_t cap, struct view in)
{
    size_t o = 0;
    for (size_t i = 0; i < in.n && o < cap; i++) {
        int high = in.p[i] == '%' && i + 2 < in.n ? hex_digit(in.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(in.p[i + 2]) : -1;
        out[o++] = low >= 0 ? (char)(high << 4 | low) : in.p[i] == '+' ? ' ' : in.p[i];
        i += low >= 0 ? 2 : 0;
    }
    return view_make(out, o);
}

gcw_status misbehave_set_form(struct misbehave *m, struct view list, gcw_error *err)
{
    struct misbehave next = *m;
    char key_text[64], value_text[512];
    while (list.n > 0) {
        const char *end = memchr(list.p, '&', list.n);
        struct view item = view_make(list.p, end ? (size_t)(end - list.p) : list.n);
        list = end ? view_make(end + 1, list.n - item.n - 1) : view_make(list.p + item.n, 0);
        const char *eq = item.n ? memchr(item.p, '=', item.n) : NULL;
        if (item.n == 0)
            continue;
        if (!eq)
            return error_set(err, GCW_ERR_INVALID, "'%.*s': KEY=VALUE is wanted", VIEW_ARG(item));
        size_t n = (size_t)(eq - item.p);
        struct view key = url_decode(key_text, sizeof key_text, view_make(item.p, n));
        struct view value = url_decode(value_text, sizeof value_text, view_make(eq + 1, item.n - n - 1));
        gcw_status status = misbehave_set(&next, view_trim(key), view_trim(value), err);
        if (status != GCW_OK)
            return status;
    }
    *m = next;
    return GCW_OK;
}

gcw_status misbehave_set_json(struct misbehave *m, struct view json, gcw_error *err)
{
    struct misbehave next = *m;
    json_error_t where;
    const char *key;
    json_t *value, *root = json_loadb(json.p ? json.p : "", json.n, JSON_REJECT_DUPLICATES, &where);
    gcw_status status = GCW_OK;
    if (!json_is_object(root))
        status = error_set(err, GCW_ERR_INVALID, "no JSON object of keys and values: %s",
                           root ? "another type" : where.text);
    json_object_foreach(root, key, value)
    {
        char *raw = json_is_string(value) ? strdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
        if (status == GCW_OK)
            status = misbehave_set(&next, view_of(key), view_of(raw), err);
        free(raw);
    }
    json_decref(root);
    if (status == GCW_OK)
        *m = next;
    return status;
}

json_t *misbehave_json(const struct misbehave *m)
{
    static const char *const resets[] = {"none", "before", "after"};
    return json_pack("{s:i, s:I, s:f, s:b, s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:b, s:s, s:I}", "status", m->status,
                     "status_count", (json_int_t)m->status_count, "status_chance", m->status_chance, "process",
                     m->process, "retry_after", m->retry_after, "location", m->location, "latency",
                     (json_int_t)m->latency_ms, "reset", resets[m->reset], "remote_write", speaks_names[m->speaks],
                     "slow_read", (json_int_t)m->slow_read, "body", (json_int_t)m->body_bytes, "over",
                     (json_int_t)m->over_bytes, "hide", m->hide, "match", m->match, "count", (json_int_t)m->count);
}

/* ---- one request
 * ------------------------------------------------------------------------------------------------------ */

static bool matches(const struct misbehave *m, gcw_signal signal, const char *tenant)
{
    return !m->match[0] || strcmp(m->match, signal == GCW_LOGS ? "logs" : "metrics") == 0 ||
           strcmp(m->match, tenant) == 0;
}

/* xorshift64: good enough for dice that a seed repeats. */
static double roll(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (double)(*state >> 11) / 9007199254740992.0;
}

static bool misbehave_any(const struct misbehave *m)
{
    return m->status || m->latency_ms || m->reset != RESET_NONE || m->slow_read || m->hide || m->speaks != SPEAKS_BOTH;
}

struct mischief misbehave_draw(struct misbehave *m, gcw_signal signal, const char *tenant, uint64_t bytes)
{
    struct mischief out = {0};
    if (!misbehave_any(m) || !matches(m, signal, tenant) || (m->over_bytes && bytes <= m->over_bytes))
        return out;
    out = (struct mischief){.process = m->process,
                            .hide = m->hide,
                            .latency_ms = m->latency_ms,
                            .body_bytes = m->body_bytes,
                            .reset = m->reset,
                            .speaks = m->speaks};
    memcpy(out.retry_after, m->retry_after, sizeof out.retry_after);
    memcpy(out.location, m->location, sizeof out.location);
    if (m->status && (m->status_chance >= 1 || roll(&m->random) < m->status_chance)) {
        out.status = m->status;
        if (m->status_count > 0 && --m->status_count == 0)
            m->status = 0;
    }
    if (m->count > 0 && --m->count == 0) {
        uint64_t random = m->random;
        misbehave_init(m);
        m->random = random;
    }
    return out;
}

uint64_t misbehave_slow_read(const struct misbehave *m, gcw_signal signal, const char *tenant)
{
    return matches(m, signal, tenant) ? m->slow_read : 0;
}
