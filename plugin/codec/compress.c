/* gzip, as whole buffers. */
#include <stdio.h>
#include <stdlib.h>
#ifdef HAVE_LIBDEFLATE
#include <libdeflate.h>
#else
#include <zlib.h>
#endif

#include "codec/codec.h"

#ifdef HAVE_LIBDEFLATE

struct gzip {
    struct libdeflate_compressor *c;
};

struct gzip *gzip_new(int level)
{
    struct gzip *g = malloc(sizeof *g);
    if (g && !(g->c = libdeflate_alloc_compressor(level))) {
        free(g);
        g = NULL;
    }
    return g;
}

void gzip_free(struct gzip *g)
{
    if (!g)
        return;
    libdeflate_free_compressor(g->c);
    free(g);
}

bool gzip_pack(struct gzip *g, struct buf *out, const struct buf *in)
{
    out->n = 0;
    if (!buf_reserve(out, libdeflate_gzip_compress_bound(g->c, in->n)))
        return false;
    out->n = libdeflate_gzip_compress(g->c, in->p, in->n, out->p, out->cap);
    return out->n > 0;
}

const char *gzip_backend(void) { return "libdeflate " LIBDEFLATE_VERSION_STRING; }

#else

struct gzip {
    z_stream z;
};

struct gzip *gzip_new(int level)
{
    struct gzip *g = calloc(1, sizeof *g);
    if (g && deflateInit2(&g->z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(g);
        g = NULL;
    }
    return g;
}

void gzip_free(struct gzip *g)
{
    if (!g)
        return;
    deflateEnd(&g->z);
    free(g);
}

bool gzip_pack(struct gzip *g, struct buf *out, const struct buf *in)
{
    out->n = 0;
    if (deflateReset(&g->z) != Z_OK || in->n > UINT32_MAX || !buf_reserve(out, deflateBound(&g->z, (uLong)in->n) + 32))
        return false;
    g->z.next_in = in->p;
    g->z.avail_in = (uInt)in->n;
    g->z.next_out = out->p;
    g->z.avail_out = (uInt)out->cap;
    if (deflate(&g->z, Z_FINISH) != Z_STREAM_END)
        return false;
    out->n = out->cap - g->z.avail_out;
    return true;
}

const char *gzip_backend(void) { return "zlib " ZLIB_VERSION; }

#endif
