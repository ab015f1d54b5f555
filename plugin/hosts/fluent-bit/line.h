/* A record's body as a log line: JSON, or key=value pairs as logfmt has them. Written straight from the chunk into a
 * buffer that stays; in constant depth of stack. */
#ifndef GCW_HOSTS_FLUENT_BIT_LINE_H
#define GCW_HOSTS_FLUENT_BIT_LINE_H

#include "hosts/fluent-bit/paths.h"

/* Values deeper than that are written as null; the host's own decoder takes 32. */
#define LINE_DEPTH_MAX 256

enum line_format { LINE_JSON, LINE_KEY_VALUE };
enum line_single { SINGLE_KEEP, SINGLE_DROP, SINGLE_DROP_RAW }; /* what becomes of a key that stands alone */

struct line_rules {
    enum line_format format;
    enum line_single single;
    bool ascii;          /* JSON: beyond ASCII as \uXXXX */
    struct paths *paths; /* what leaves the line, and what is captured on the way; may be NULL */
};

/* A key of a map that is being written. */
struct line_key {
    struct view key; /* p NULL: not a string */
    size_t at;       /* where in the text its pair begins */
    bool dead;       /* stands again further on */
};

/* Holds buffers alone: zero-initialise, free with line_free(). */
struct line {
    struct buf out, nested;
    struct line_key *keys; /* of all maps under way */
    size_t key_count, key_cap;
};

enum line_status { LINE_OK, LINE_DAMAGED, LINE_NOMEM };
/* Ends the function, too, if that did not go well. */
#define LINE_TRY(expr)                                                                                                 \
    do {                                                                                                               \
        enum line_status try_status = (expr);                                                                          \
        if (try_status != LINE_OK)                                                                                     \
            return try_status;                                                                                         \
    } while (0)

/* Writes the value at *m, which moves behind it, and fills the slots of the paths. *text is valid until the next call,
 * and as long as the chunk. */
enum line_status line_write(struct line *line, const struct line_rules *rules, struct msgpack *m, struct view *text);

/* The value as text of a label or of metadata, behind what is in `out`: strings as they are, bytes in hexadecimal,
 * numbers and the like as in JSON, maps and arrays as JSON. */
enum line_status line_value(struct line *line, bool ascii, struct msgpack *m, struct buf *out);

void line_shrink(struct line *line); /* gives back what a record out of the ordinary took */
void line_free(struct line *line);

#endif
