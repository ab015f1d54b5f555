/* Errors told as Loki tells them (pkg/util/errors/errors.go): one alone is sent bare; of several, each distinct text
 * once, with its count. */
#ifndef GCW_RECEIVE_GROUPED_H
#define GCW_RECEIVE_GROUPED_H

#include "base/base.h"

#define GROUPED_MAX 32 /* distinct texts; more are only counted */

struct grouped {
    char *text[GROUPED_MAX];
    uint64_t count[GROUPED_MAX];
    size_t n;
    uint64_t more;
};

void grouped_add(struct grouped *g, const char *fmt, ...) PRINTF_LIKE(2, 3);
void grouped_write(const struct grouped *g, struct buf *out);
void grouped_free(struct grouped *g);

#endif
