/* Byte ranges, growing buffers, error texts. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"

_Noreturn void ensure_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "gcw: %s:%d: does not hold: %s\n", file, line, what);
    abort();
}

int view_cmp(struct view a, struct view b)
{
    size_t n = MIN(a.n, b.n);
    int c = n ? memcmp(a.p, b.p, n) : 0;
    if (c != 0)
        return c;
    return a.n < b.n ? -1 : a.n > b.n;
}

bool view_starts(struct view a, const char *prefix)
{
    size_t n = strlen(prefix);
    return a.n >= n && memcmp(a.p, prefix, n) == 0;
}

struct view view_trim(struct view a)
{
    while (a.n > 0 && (a.p[0] == ' ' || a.p[0] == '\t' || a.p[0] == '\r' || a.p[0] == '\n'))
        a.p++, a.n--;
    while (a.n > 0 && (a.p[a.n - 1] == ' ' || a.p[a.n - 1] == '\t' || a.p[a.n - 1] == '\r' || a.p[a.n - 1] == '\n'))
        a.n--;
    return a;
}

struct view view_without_bom(struct view a) { return view_starts(a, "\xef\xbb\xbf") ? view_make(a.p + 3, a.n - 3) : a; }

bool view_line(struct view *text, struct view *line)
{
    if (text->n == 0)
        return false;
    const char *lf = memchr(text->p, '\n', text->n);
    *line = view_make(text->p, lf ? (size_t)(lf - text->p) : text->n);
    size_t used = line->n + (lf ? 1 : 0);
    *text = view_make(text->p + used, text->n - used);
    return true;
}

bool buf_grow(struct buf *b, size_t more)
{
    if (more > SIZE_MAX / 2 - b->n)
        return false;
    size_t need = b->n + more;
    if (need <= b->cap)
        return true;
    size_t cap = MAX(b->cap + b->cap / 2, (size_t)256);
    cap = MAX(cap, need);
    uint8_t *p = realloc(b->p, cap);
    if (!p)
        return false;
    b->p = p;
    b->cap = cap;
    return true;
}

void buf_free(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

bool buf_append(struct buf *b, const void *p, size_t n)
{
    if (!buf_reserve(b, n))
        return false;
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    return true;
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    bool ok = n >= 0 && buf_reserve(b, (size_t)n + 1);
    if (ok) {
        vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
    return ok;
}

bool buf_cstr(struct buf *b)
{
    if (!buf_reserve(b, 1))
        return false;
    b->p[b->n] = 0;
    return true;
}

gcw_status error_set(gcw_error *err, gcw_status code, const char *fmt, ...)
{
    if (err) {
        char text[GCW_ERROR_TEXT];
        va_list args;
        va_start(args, fmt);
        vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        err->code = code;
        /* texts quote input: keep them one printable line */
        text_clean(err->text, sizeof err->text, text, strlen(text));
    }
    return code;
}
