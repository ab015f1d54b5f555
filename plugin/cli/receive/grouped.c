/* Counting equal error texts. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/receive/grouped.h"

void grouped_add(struct grouped *g, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (size_t i = 0; i < g->n; i++)
        if (strcmp(g->text[i], text) == 0) {
            g->count[i]++;
            return;
        }
    char *copy = g->n < GROUPED_MAX ? strdup(text) : NULL;
    if (!copy) {
        g->more++;
        return;
    }
    g->text[g->n] = copy;
    g->count[g->n++] = 1;
}

void grouped_write(const struct grouped *g, struct buf *out)
{
    if (g->n == 1 && g->count[0] == 1 && g->more == 0) {
        buf_puts(out, g->text[0]);
        return;
    }
    for (size_t i = 0; i < g->n; i++)
        buf_printf(out, "%s%" PRIu64 " errors like: %s", i ? "; " : "", g->count[i], g->text[i]);
    if (g->more)
        buf_printf(out, "; %" PRIu64 " errors not listed", g->more);
}

void grouped_free(struct grouped *g)
{
    for (size_t i = 0; i < g->n; i++)
        free(g->text[i]);
    *g = (struct grouped){0};
}
