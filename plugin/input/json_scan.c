/* The JSON scanner. Nesting is kept as one bit a level, so that no text can exhaust the stack. Strings must be valid
 * UTF-8 and escapes name whole characters (no half of a surrogate pair), as text that goes on to Loki must be. */
#include "input/json_scan.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct json_scan json_scan_of(struct view text)
{
    return (struct json_scan){.start = text.p, .p = text.p, .end = text.p + text.n};
}

static bool scan_fail(struct json_scan *s, const char *at, const char *why)
{
    if (!s->why) {
        s->why = why;
        s->p = at;
    }
    return false;
}

static void space_skip(struct json_scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r' || *s->p == '\n'))
        s->p++;
}

static char scan_peek(const struct json_scan *s) { return s->p < s->end ? *s->p : 0; }

static bool scan_over(struct json_scan *s, char c, const char *why)
{
    if (s->p == s->end || *s->p != c)
        return scan_fail(s, s->p, why);
    s->p++;
    return true;
}

/* ---- strings ----------------------------------------------------------------------------------------------------- */

/* The first '"', '\' or control character from p on, or end; *high is set if a byte >= 0x80 was passed. */
static const char *string_stop(const char *p, const char *end, bool *high)
{
    unsigned char bits = 0;
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1f);
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
        unsigned stop = (unsigned)_mm_movemask_epi8(hit), top = (unsigned)_mm_movemask_epi8(v);
        if (stop) {
            *high |= (top & (stop - 1) & ~stop) != 0;
            return p + __builtin_ctz(stop);
        }
        *high |= top != 0;
    }
#endif
    for (; p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20; p++)
        bits |= (unsigned char)*p;
    *high |= bits >= 0x80;
    return p;
}

/* Four hex digits; -1 if they are not. */
static int hex4(const char *p, const char *end)
{
    int v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i], lower = c | 0x20;
        int digit = c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        v = v * 16 + digit;
    }
    return v;
}

/* The code point of the escape \uXXXX (or the pair of them) at p; *used = its bytes. -1 if there is none. */
static int32_t unicode_escape(const char *p, const char *end, size_t *used)
{
    int first = hex4(p + 2, end);
    *used = 6;
    if (first < 0xd800 || first > 0xdfff)
        return first;
    if (first >= 0xdc00 || end - p < 12 || p[6] != '\\' || p[7] != 'u')
        return -1;
    int second = hex4(p + 8, end);
    *used = 12;
    return second >= 0xdc00 && second <= 0xdfff ? 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00) : -1;
}

/* Bytes of the escape at p, 0 if it is none. */
static size_t escape_length(const char *p, const char *end)
{
    if (end - p < 2)
        return 0;
    if (p[1] != 'u')
        return p[1] && strchr("\"\\/bfnrt", p[1]) ? 2 : 0;
    size_t used;
    return unicode_escape(p, end, &used) >= 0 ? used : 0;
}

static bool string_read(struct json_scan *s, struct json_value *out)
{
    const char *start = s->p + 1, *p = start;
    bool high = false;
    *out = (struct json_value){.kind = KIND_STRING};
    while ((p = string_stop(p, s->end, &high)) < s->end && *p == '\\') {
        size_t n = escape_length(p, s->end);
        if (n == 0)
            return scan_fail(s, p, "no such escape");
        out->escaped = true;
        p += n;
    }
    if (p == s->end)
        return scan_fail(s, p, "the string does not end");
    if (*p != '"')
        return scan_fail(s, p, "a control character in a string");
    if (high && !utf8_valid(start, (size_t)(p - start)))
        return scan_fail(s, start, "a string that is not valid UTF-8");
    out->raw = view_make(start, (size_t)(p - start));
    s->p = p + 1;
    return true;
}

static size_t utf8_put(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[n] | c);
    return n;
}

/* One checked escape at *p, decoded to out; moves *p behind it. */
static size_t escape_copy(const char **p, const char *end, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = (*p)[1];
    if (c == 'u') {
        size_t used;
        int32_t code = unicode_escape(*p, end, &used);
        *p += used;
        return utf8_put(out, (uint32_t)code);
    }
    const char *at = strchr(from, c);
    ENSURE(c && at);
    *out = to[at - from];
    *p += 2;
    return 1;
}

static size_t string_copy(struct view raw, char *out)
{
    const char *p = raw.p, *end = raw.p + raw.n;
    size_t o = 0;
    while (p < end) {
        const char *backslash = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((backslash ? backslash : end) - p);
        memcpy(out + o, p, plain);
        o += plain;
        p += plain;
        if (backslash)
            o += escape_copy(&p, end, out + o);
    }
    return o;
}

/* ---- numbers and words ------------------------------------------------------------------------------------------- */

static bool digits_skip(struct json_scan *s)
{
    const char *start = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return s->p > start || scan_fail(s, s->p, "a digit is missing in a number");
}

static bool number_read(struct json_scan *s, struct json_value *out)
{
    const char *start = s->p;
    s->p += *s->p == '-';
    bool zero = scan_peek(s) == '0';
    s->p += zero;
    if (!zero && !digits_skip(s))
        return false;
    if (scan_peek(s) == '.') {
        s->p++;
        if (!digits_skip(s))
            return false;
    }
    if (scan_peek(s) == 'e' || scan_peek(s) == 'E') {
        s->p++;
        s->p += scan_peek(s) == '+' || scan_peek(s) == '-';
        if (!digits_skip(s))
            return false;
    }
    *out = (struct json_value){.kind = KIND_NUMBER, .raw = view_make(start, (size_t)(s->p - start))};
    return true;
}

static bool word_read(struct json_scan *s, struct json_value *out)
{
    static const struct {
        const char *word;
        enum json_kind kind;
    } words[] = {{"true", KIND_BOOLEAN}, {"false", KIND_BOOLEAN}, {"null", KIND_NULL}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (view_starts(view_make(s->p, (size_t)(s->end - s->p)), words[i].word)) {
            *out = (struct json_value){.kind = words[i].kind, .raw = view_make(s->p, strlen(words[i].word))};
            s->p += out->raw.n;
            return true;
        }
    return scan_fail(s, s->p, s->p == s->end ? "a value is missing at the end" : "no value starts with this character");
}

static bool scalar_read(struct json_scan *s, struct json_value *out)
{
    char c = scan_peek(s);
    if (c == '"')
        return string_read(s, out);
    return c == '-' || (c >= '0' && c <= '9') ? number_read(s, out) : word_read(s, out);
}

/* ---- nesting ----------------------------------------------------------------------------------------------------- */

struct nest {
    unsigned depth;
    unsigned char is_object[JSON_DEPTH_MAX / 8];
};

static bool nest_in_object(const struct nest *n)
{
    unsigned level = n->depth - 1;
    return n->is_object[level / 8] >> (level % 8) & 1;
}

static bool nest_enter(struct json_scan *s, struct nest *n)
{
    if (n->depth == JSON_DEPTH_MAX)
        return scan_fail(s, s->p, "nested too deep");
    unsigned char bit = (unsigned char)(1 << (n->depth % 8)), *byte = &n->is_object[n->depth / 8];
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): bits above depth mean nothing */
    *byte = (unsigned char)(*s->p == '{' ? *byte | bit : *byte & ~bit);
    n->depth++;
    s->p++;
    space_skip(s);
    return true;
}

/* "key" : up to where the value starts. */
static bool key_read(struct json_scan *s, struct json_value *key)
{
    space_skip(s);
    if (scan_peek(s) != '"')
        return scan_fail(s, s->p, "a key in quotes is missing");
    if (!string_read(s, key))
        return false;
    space_skip(s);
    if (!scan_over(s, ':', "':' is missing behind a key"))
        return false;
    space_skip(s);
    return true;
}

/* Closing brackets behind a value and the comma that leads to the next one; *done at the end of the outermost. */
static bool nest_leave(struct json_scan *s, struct nest *n, bool *done)
{
    struct json_value key;
    while (n->depth > 0) {
        space_skip(s);
        bool object = nest_in_object(n);
        if (scan_peek(s) == ',') {
            s->p++;
            space_skip(s);
            return !object || key_read(s, &key);
        }
        if (!scan_over(s, object ? '}' : ']', object ? "',' or '}' is missing" : "',' or ']' is missing"))
            return false;
        n->depth--;
    }
    *done = true;
    return true;
}

static bool nested_read(struct json_scan *s, struct json_value *out)
{
    struct nest nest;
    struct json_value inner;
    const char *start = s->p;
    bool done = false;
    nest.depth = 0;
    while (!done) {
        if (scan_peek(s) == '{' || scan_peek(s) == '[') {
            char close = *s->p == '{' ? '}' : ']';
            if (!nest_enter(s, &nest))
                return false;
            if (scan_peek(s) != close) {
                if (close == '}' && !key_read(s, &inner))
                    return false;
                continue;
            }
        } else if (!scalar_read(s, &inner)) {
            return false;
        }
        if (!nest_leave(s, &nest, &done))
            return false;
    }
    *out = (struct json_value){.kind = *start == '{' ? KIND_OBJECT : KIND_ARRAY,
                               .raw = view_make(start, (size_t)(s->p - start))};
    return true;
}

bool json_value_read(struct json_scan *s, struct json_value *out)
{
    space_skip(s);
    return scan_peek(s) == '{' || scan_peek(s) == '[' ? nested_read(s, out) : scalar_read(s, out);
}

/* ---- objects ----------------------------------------------------------------------------------------------------- */

bool json_object_enter(struct json_scan *s)
{
    space_skip(s);
    return scan_over(s, '{', "not a JSON object");
}

bool json_member_read(struct json_scan *s, bool first, struct json_member *m)
{
    space_skip(s);
    if (scan_peek(s) == '}') {
        s->p++;
        return false;
    }
    if (!first && !scan_over(s, ',', "',' or '}' is missing"))
        return false;
    return key_read(s, &m->key) && json_value_read(s, &m->value);
}

bool json_text_end(struct json_scan *s)
{
    space_skip(s);
    return s->p == s->end || scan_fail(s, s->p, "more text behind the object");
}

/* ---- text of values ---------------------------------------------------------------------------------------------- */

bool json_text_needs_copy(const struct json_value *v)
{
    return v->escaped || v->kind == KIND_ARRAY || v->kind == KIND_OBJECT;
}

/* The text of an array or object without white space outside of strings. */
static size_t compact_copy(struct view raw, char *out)
{
    size_t o = 0;
    bool in_string = false;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (!in_string && (c == ' ' || c == '\t' || c == '\r' || c == '\n'))
            continue;
        out[o++] = c;
        if (in_string && c == '\\')
            out[o++] = raw.p[++i];
        else if (c == '"')
            in_string = !in_string;
    }
    return o;
}

size_t json_text_copy(const struct json_value *v, char *out)
{
    if (v->kind == KIND_STRING)
        return string_copy(v->raw, out);
    if (v->kind == KIND_ARRAY || v->kind == KIND_OBJECT)
        return compact_copy(v->raw, out);
    memcpy(out, v->raw.p, v->raw.n);
    return v->raw.n;
}
