/* Splits a byte stream at LF. Lines that lie whole inside one piece are given out where they are; only a line that
 * crosses pieces is gathered in `tail`, which never grows past max_bytes. How the stream is cut into pieces changes
 * nothing about the lines that come out. */
#include "input/input.h"

static void line_emit(struct lines *l, struct view line, bool cut, line_fn *fn, void *user)
{
    l->number++;
    fn(user, l->number, line, cut);
}

/* A piece that is not a line of its own: behind the tail, or the start of one. */
static gcw_status line_gather(struct lines *l, struct view piece, bool complete, line_fn *fn, void *user)
{
    if (l->skipping) {
        l->skipping = !complete;
        return GCW_OK;
    }
    size_t room = l->max_bytes - l->tail.n;
    bool cut = piece.n > room;
    if (!buf_append(&l->tail, piece.p, MIN(piece.n, room)))
        return GCW_ERR_NOMEM;
    if (cut || complete) {
        l->skipping = !complete;
        line_emit(l, buf_view(&l->tail), cut, fn, user);
        l->tail.n = 0;
    }
    return GCW_OK;
}

gcw_status lines_feed(struct lines *l, const char *data, size_t n, line_fn *fn, void *user)
{
    ENSURE(l->max_bytes > 0 && l->tail.n <= l->max_bytes);
    while (n > 0) {
        const char *lf = memchr(data, '\n', n);
        struct view piece = view_make(data, lf ? (size_t)(lf - data) : n);
        if (lf && l->tail.n == 0 && !l->skipping && piece.n <= l->max_bytes) {
            line_emit(l, piece, false, fn, user);
        } else {
            gcw_status status = line_gather(l, piece, lf != NULL, fn, user);
            if (status != GCW_OK)
                return status;
        }
        size_t used = piece.n + (lf ? 1 : 0);
        data += used;
        n -= used;
    }
    return GCW_OK;
}

gcw_status lines_end(struct lines *l, line_fn *fn, void *user)
{
    if (l->tail.n > 0)
        line_emit(l, buf_view(&l->tail), false, fn, user);
    l->tail.n = 0;
    l->skipping = false;
    return GCW_OK;
}

void lines_free(struct lines *l)
{
    buf_free(&l->tail);
    *l = (struct lines){.max_bytes = l->max_bytes};
}
