/* The labels of a stream as text, {name="value", ...}, read as Loki's label grammar has it (prometheus promql lexer and
 * Go's strconv.Unquote): names bare, values in double quotes, no bare newline, no broken UTF-8. */
#include "cli/receive/loki_proto.h"

struct labels_reader {
    const char *start, *p, *end;
    struct buf *text; /* values without escapes; has room for all of them */
    const char *why;
};

static bool wrong(struct labels_reader *r, const char *why)
{
    r->why = why;
    return false;
}

static void blanks_skip(struct labels_reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

static bool take(struct labels_reader *r, char c)
{
    blanks_skip(r);
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

static bool name_read(struct labels_reader *r, struct view *name)
{
    blanks_skip(r);
    const char *start = r->p;
    for (; r->p < r->end; r->p++) {
        char c = *r->p;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(r->p > start && c >= '0' && c <= '9'))
            break;
    }
    *name = view_make(start, (size_t)(r->p - start));
    return name->n > 0 || wrong(r, "expected identifier");
}

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : 99;
}

static bool number_read(struct labels_reader *r, unsigned digits, int base, uint32_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < digits; i++, r->p++) {
        if (r->p == r->end || digit(*r->p) >= base)
            return false;
        *out = *out * (uint32_t)base + (uint32_t)digit(*r->p);
    }
    return true;
}

static bool put_char(struct buf *out, uint32_t c)
{
    uint8_t b[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 0; c >>= 6)
        b[i] = (uint8_t)(i == 0 ? lead[n] | c : 0x80 | (c & 0x3f));
    return buf_append(out, b, n);
}

/* Behind a backslash. */
static bool escape_read(struct labels_reader *r)
{
    static const char from[] = "abfnrtv\\\"", to[] = "\a\b\f\n\r\t\v\\\"";
    uint32_t c;
    if (r->p == r->end)
        return wrong(r, "escape sequence not terminated");
    const char *simple = strchr(from, *r->p);
    if (*r->p && simple) {
        r->p++;
        return buf_append(r->text, &to[simple - from], 1);
    }
    char kind = *r->p;
    bool octal = kind >= '0' && kind <= '7', wide = kind == 'u' || kind == 'U';
    if (!octal && !wide && kind != 'x')
        return wrong(r, "unknown escape sequence");
    r->p += !octal;
    if (!number_read(r, octal ? 3 : kind == 'x' ? 2 : kind == 'u' ? 4 : 8, octal ? 8 : 16, &c))
        return wrong(r, "illegal character in escape sequence");
    if (wide ? c > 0x10ffff || (c >= 0xd800 && c < 0xe000) : c > 255)
        return wrong(r, "escape sequence is an invalid Unicode code point");
    uint8_t byte = (uint8_t)c;
    return wide ? put_char(r->text, c) : buf_append(r->text, &byte, 1);
}

static bool value_read(struct labels_reader *r, struct view *value)
{
    size_t start = r->text->n;
    if (!take(r, '"'))
        return wrong(r, "expected string");
    while (r->p < r->end && *r->p != '"') {
        size_t n = utf8_sequence(r->p, (size_t)(r->end - r->p));
        if (*r->p == '\n')
            break;
        if (n == 0 || (n == 3 && memcmp(r->p, UTF8_REPLACEMENT, 3) == 0))
            return wrong(r, "invalid UTF-8 rune");
        if (*r->p == '\\') {
            r->p++;
            if (!escape_read(r))
                return false;
            continue;
        }
        if (!buf_append(r->text, r->p, n))
            return wrong(r, "out of memory");
        r->p += n;
    }
    if (r->p == r->end || *r->p++ != '"')
        return wrong(r, "unterminated quoted string");
    *value = view_make((const char *)r->text->p + start, r->text->n - start);
    /* an escaped U+FFFD passes here and fails where Loki reads its own writing */
    return (utf8_valid(value->p, value->n) && !utf8_has_replacement(value->p, value->n)) ||
           wrong(r, "invalid UTF-8 rune");
}

static bool pairs_read(struct labels_reader *r, struct pair *pairs, size_t *count)
{
    *count = 0;
    if (!take(r, '{'))
        return wrong(r, "expected '{'");
    while (!take(r, '}')) {
        struct pair *p = &pairs[*count];
        if (*count > 0 && !take(r, ','))
            return wrong(r, "expected ',' or '}'");
        if (*count > 0 && take(r, '}'))
            break;
        if (!name_read(r, &p->name) || (!take(r, '=') && !wrong(r, "expected '='")) || !value_read(r, &p->value))
            return false;
        ++*count;
    }
    blanks_skip(r);
    return r->p == r->end || wrong(r, "unexpected character behind '}'");
}

bool loki_labels_read(struct view text, struct buf *values, struct pair *pairs, size_t *count, size_t *column,
                      const char **why)
{
    struct labels_reader r = {text.p, text.p, text.p + text.n, values, NULL};
    bool ok = pairs_read(&r, pairs, count);
    *column = (size_t)(r.p - r.start) + 1;
    *why = r.why;
    return ok;
}

size_t loki_labels_bound(struct view text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '=';
    return n;
}
