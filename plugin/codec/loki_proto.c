/* Loki push as protobuf: labels in the text form {name="value", ..}, entries with a timestamp of seconds and nanos.
 * Numbers: proto/logproto.proto.
 *
 * Lengths stand before what they count. An entry's is worked out first; a stream's is known when its last entry is
 * there, so room for it is left, and what stands behind moves if it came out of another size. */
#include "codec/codec.h"

enum {
    KEY_STREAM = 0x0a,    /* PushRequest.streams = 1 */
    KEY_LABELS = 0x0a,    /* Stream.labels = 1 */
    KEY_ENTRY = 0x12,     /* Stream.entries = 2 */
    KEY_TIMESTAMP = 0x0a, /* Entry.timestamp = 1 */
    KEY_LINE = 0x12,      /* Entry.line = 2 */
    KEY_METADATA = 0x1a,  /* Entry.structured_metadata = 3: LabelPair, with the numbers of a block's Label */
    KEY_BLOCK = 0x0a,     /* what stands in a label block in its place */
    KEY_SECONDS = 0x08,   /* Timestamp.seconds = 1 */
    KEY_NANOS = 0x10,     /* Timestamp.nanos = 2 */
};

#define LENGTH_GUESS 3 /* bytes of a length from 16 KiB to 2 MiB */

/* ---- lengths that come later ------------------------------------------------------------------------------------ */

static bool nest_open(struct buf *out, uint8_t key, size_t *at)
{
    static const uint8_t room[LENGTH_GUESS] = {0};
    bool ok = buf_append(out, &key, 1) && buf_append(out, room, sizeof room);
    *at = out->n;
    return ok;
}

static bool nest_close(struct buf *out, size_t at)
{
    size_t len = out->n - at, width = varint_size(len);
    if (!buf_reserve(out, width))
        return false;
    uint8_t *start = out->p + at - LENGTH_GUESS;
    if (width != LENGTH_GUESS)
        memmove(start + width, out->p + at, len);
    varint_put(start, len);
    out->n = at - LENGTH_GUESS + width + len;
    return true;
}

/* ---- labels ----------------------------------------------------------------------------------------------------- */

/* A string of the label grammar; label sets hold no U+FFFD, which it has no way to say. */
static bool quoted_put(struct buf *out, struct view v)
{
    bool ok = buf_puts(out, "\"");
    for (size_t i = 0, from = 0; i <= v.n && ok; i++) {
        if (i < v.n && v.p[i] != '"' && v.p[i] != '\\' && v.p[i] != '\n')
            continue;
        ok = buf_append(out, v.p + from, i - from) && (i == v.n || buf_puts(out, v.p[i] == '\n' ? "\\n" : "\\"));
        from = i + (i < v.n && v.p[i] == '\n'); /* quote and backslash follow theirs */
    }
    return ok && buf_puts(out, "\"");
}

static bool labels_put(struct buf *out, struct view block)
{
    struct view name, value;
    size_t at;
    bool ok = nest_open(out, KEY_LABELS, &at) && buf_puts(out, "{");
    for (bool first = true; ok && block_next(&block, &name, &value); first = false)
        ok = (first || buf_puts(out, ", ")) && buf_append(out, name.p, name.n) && buf_puts(out, "=") &&
             quoted_put(out, value);
    return ok && buf_puts(out, "}") && nest_close(out, at);
}

bool loki_proto_stream(struct buf *out, struct view block, size_t *at)
{
    return nest_open(out, KEY_STREAM, at) && labels_put(out, block);
}

bool loki_proto_stream_end(struct buf *out, size_t at) { return nest_close(out, at); }

/* ---- entries ---------------------------------------------------------------------------------------------------- */

#define NANOS_IN_SECOND 1000000000

/* Timestamp: nanos count up from the second, before 1970 too. */
struct stamp {
    uint64_t seconds; /* int64, as its varint wants it */
    uint32_t nanos;
    size_t size;
};

static struct stamp stamp_of(int64_t time_ns)
{
    int64_t seconds = time_ns / NANOS_IN_SECOND, nanos = time_ns % NANOS_IN_SECOND;
    if (nanos < 0)
        seconds--, nanos += NANOS_IN_SECOND;
    struct stamp s = {(uint64_t)seconds, (uint32_t)nanos, 0};
    s.size = (s.seconds ? 1 + varint_size(s.seconds) : 0) + (s.nanos ? 1 + varint_size(s.nanos) : 0);
    return s;
}

static uint8_t *stamp_put(uint8_t *p, const struct stamp *s)
{
    *p++ = KEY_TIMESTAMP;
    *p++ = (uint8_t)s->size; /* at most 17 */
    if (s->seconds) {
        *p++ = KEY_SECONDS;
        p = varint_put(p, s->seconds);
    }
    if (s->nanos) {
        *p++ = KEY_NANOS;
        p = varint_put(p, s->nanos);
    }
    return p;
}

/* A label block is what the field wants, but for the key. */
static uint8_t *metadata_put(uint8_t *p, struct view block)
{
    uint8_t *const start = p;
    struct view rest = block, name, value;
    if (block.n > 0)
        memcpy(p, block.p, block.n);
    for (size_t at = 0; block_next(&rest, &name, &value); at = block.n - rest.n) {
        ENSURE(start[at] == KEY_BLOCK);
        start[at] = KEY_METADATA;
    }
    return start + block.n;
}

/* Beside line and metadata: keys and lengths of entry, timestamp and line, and the timestamp. */
#define ENTRY_EXTRA 64

bool loki_proto_entry(struct buf *out, int64_t time_ns, struct view line, struct view metadata)
{
    const struct stamp stamp = stamp_of(time_ns);
    bool valid = utf8_valid(line.p, line.n);
    size_t len = valid ? line.n : utf8_mended_size(line.p, line.n);
    size_t entry = 2 + stamp.size + (len ? 1 + varint_size(len) + len : 0) + metadata.n;
    if (!buf_reserve(out, len + metadata.n + ENTRY_EXTRA))
        return false;
    uint8_t *p = out->p + out->n;
    *p++ = KEY_ENTRY;
    p = stamp_put(varint_put(p, entry), &stamp);
    if (len) {
        *p++ = KEY_LINE;
        p = varint_put(p, len);
        if (valid)
            memcpy(p, line.p, len);
        else
            utf8_mend((char *)p, line.p, line.n);
        p += len;
    }
    p = metadata_put(p, metadata);
    out->n = (size_t)(p - out->p);
    return true;
}
