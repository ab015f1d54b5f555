/* Which format an exposition has, by its first and last bytes. */
#include "input/parser.h"

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
    if (protobuf_starts(head))
        return EXPOSITION_PROTOBUF;
    if (tail.n > 0 && tail.p[tail.n - 1] == '\n')
        tail.n--;
    if (ends_with(tail, "\n# EOF") || view_is(tail, "# EOF"))
        return EXPOSITION_OPENMETRICS;
    while (head.n > 0)
        if (line_is_openmetrics(line_next(&head)))
            return EXPOSITION_OPENMETRICS;
    return EXPOSITION_TEXT;
}
