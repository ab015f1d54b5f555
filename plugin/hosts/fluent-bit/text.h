/* Text of single values, as the host writes it: JSON strings, numbers, hexadecimal. All append to a buf and say false
 * when out of memory. */
#ifndef GCW_HOSTS_FLUENT_BIT_TEXT_H
#define GCW_HOSTS_FLUENT_BIT_TEXT_H

#include "base/base.h"

/* Between quotes. `ascii`: everything beyond is written \uXXXX, as the host does. What is not UTF-8 becomes U+FFFD.
 * `limit` is how far bytes may be read, at least text's end: with 16 bytes to spare short texts take one step. */
bool text_quoted(struct buf *out, struct view text, bool ascii, const void *limit);

/* %.16g as the host writes, whole numbers with ".0", and a 17th digit where with 16 it would be another number. */
bool text_double(struct buf *out, double d);
bool text_hex(struct buf *out, struct view bytes);   /* lower case, nothing around */
bool text_codes(struct buf *out, struct view bytes); /* \x0a\xff */

#endif
