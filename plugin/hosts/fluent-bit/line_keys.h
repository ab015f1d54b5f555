/* The keys of maps that are being written, to find those that stand twice. Private to line.c. */
#ifndef GCW_HOSTS_FLUENT_BIT_LINE_KEYS_H
#define GCW_HOSTS_FLUENT_BIT_LINE_KEYS_H

#include "hosts/fluent-bit/line.h"

/* A key whose pair begins at `at` of the text; p NULL for one that is no string. False = out of memory. */
bool keys_add(struct line *l, struct view key, size_t at);

/* At the end of a map whose first key is number `first_key`: of pairs with the same key the last stays, as in the host;
 * the others are moved out of the text. False = out of memory. */
bool keys_drop_twice(struct line *l, struct buf *out, size_t first_key);

#endif
