/* Decompression, strict: the whole input is used up, and nothing stands behind it. */
#include <inttypes.h>
#include <snappy-c.h>
#include <zlib.h>

#include "cli/receive/unpack.h"

static enum unpack_result broken(gcw_error *why, const char *text)
{
    error_set(why, GCW_ERR_INVALID, "%s", text);
    return UNPACK_BROKEN;
}

static enum unpack_result too_large(gcw_error *why, uint64_t n, uint64_t max)
{
    error_set(why, GCW_ERR_TOO_LARGE, "%" PRIu64 " vs %" PRIu64, n, max);
    return UNPACK_TOO_LARGE;
}

enum unpack_result snappy_unpack(struct view in, uint64_t max, struct buf *out, gcw_error *why)
{
    size_t n;
    if (view_starts(in, "\xff\x06") && in.n >= 10 && memcmp(in.p + 4, "sNaPpY", 6) == 0)
        return broken(why, "snappy: this is the framed format; remote write wants the block format");
    if (in.n == 0 || snappy_uncompressed_length(in.p, in.n, &n) != SNAPPY_OK)
        return broken(why, "snappy: corrupt input: no length in front");
    if (max && n > max)
        return too_large(why, n, max);
    /* an element of three bytes makes 64 at most: do not reserve what can't come */
    if (n / 64 > in.n)
        return broken(why, "snappy: corrupt input: the length in front is beyond what the body can hold");
    if (!buf_reserve(out, n + 1))
        return UNPACK_NOMEM;
    size_t got = n;
    if (snappy_uncompress(in.p, in.n, (char *)out->p + out->n, &got) != SNAPPY_OK || got != n)
        return broken(why, "snappy: corrupt input");
    out->n += n;
    return UNPACK_OK;
}

/* One zlib stream; *in moves behind it. */
static enum unpack_result inflate_one(struct view *in, int window_bits, uint64_t max, struct buf *out, gcw_error *why)
{
    z_stream z = {0};
    if (inflateInit2(&z, window_bits) != Z_OK)
        return UNPACK_NOMEM;
    enum unpack_result result = UNPACK_OK;
    int rc = Z_OK;
    while (rc != Z_STREAM_END && result == UNPACK_OK) {
        if (!buf_reserve(out, MAX(out->n / 2, 64 * KIB))) {
            result = UNPACK_NOMEM;
            break;
        }
        uInt room = (uInt)MIN(out->cap - out->n, (size_t)1 << 30);
        uInt give = (uInt)MIN(in->n, (size_t)1 << 30);
        z.next_in = (z_const Bytef *)(uintptr_t)in->p;
        z.avail_in = give;
        z.next_out = out->p + out->n;
        z.avail_out = room;
        rc = inflate(&z, Z_NO_FLUSH);
        size_t used = give - z.avail_in, made = room - z.avail_out;
        *in = view_make(in->p + used, in->n - used);
        out->n += made;
        if (max && out->n > max)
            result = too_large(why, max + 1, max);
        else if (rc != Z_OK && rc != Z_STREAM_END)
            result = broken(why, in->n == 0 ? "unexpected EOF" : z.msg ? z.msg : "corrupt input");
        else if (rc == Z_OK && used == 0 && made == 0)
            result = broken(why, "unexpected EOF");
    }
    inflateEnd(&z);
    return result;
}

enum unpack_result gzip_unpack(struct view in, uint64_t max, struct buf *out, gcw_error *why)
{
    do { /* members one behind the other are legal */
        if (!view_starts(in, "\x1f\x8b"))
            return broken(why, out->n ? "gzip: invalid header behind the first member" : "gzip: invalid header");
        enum unpack_result r = inflate_one(&in, 15 + 16, max, out, why);
        if (r != UNPACK_OK)
            return r;
    } while (in.n > 0);
    return UNPACK_OK;
}

enum unpack_result deflate_unpack(struct view in, uint64_t max, bool strict, struct buf *out, gcw_error *why)
{
    bool zlib =
        in.n >= 2 && (in.p[0] & 0x0f) == 8 && (((unsigned char)in.p[0] << 8) + (unsigned char)in.p[1]) % 31 == 0;
    enum unpack_result r = inflate_one(&in, -15, max, out, why);
    if (r == UNPACK_BROKEN && zlib)
        return broken(why, "flate: corrupt input: a zlib header (RFC 1950) where raw deflate (RFC 1951) is wanted");
    if (r == UNPACK_OK && strict && in.n > 0)
        return broken(why, "flate: bytes behind the end of the deflate stream");
    return r;
}
