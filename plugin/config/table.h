/* Private to config/: the rows behind gcw_option_at(). */
#ifndef GCW_CONFIG_TABLE_H
#define GCW_CONFIG_TABLE_H

#include "config/config.h"

enum option_kind { KIND_STRING, KIND_SECRET, KIND_LIST, KIND_BOOL, KIND_INT, KIND_SIZE, KIND_DURATION, KIND_ENUM };

struct option_row {
    gcw_option shown;
    enum option_kind kind;
    size_t offset; /* in struct gcw_config */
    uint64_t min, max;
    const char *const *choices; /* KIND_ENUM: the value is the index + choice_base; strings when as_text */
    int choice_base;
    bool as_text; /* choices kept as a string */
};

extern const struct option_row option_rows[];
extern const size_t option_row_count;

const struct option_row *option_find(struct view name);
/* The known name nearest to this one. */
const char *option_nearest(struct view name);

#endif
