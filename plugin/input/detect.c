/* Which format an exposition has, by its first and last bytes. */
#include "input/parser.h"

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
    for (struct view line; view_line(&head, &line);)
        if (line_is_openmetrics(line))
            return EXPOSITION_OPENMETRICS;
    return EXPOSITION_TEXT;
}
