/* Where labels and metadata come from: rules read from options, each a name and a constant or a pattern. */
#ifndef GCW_HOSTS_FLUENT_BIT_RULES_H
#define GCW_HOSTS_FLUENT_BIT_RULES_H

#include "hosts/fluent-bit/accessor.h"

struct rule {
    char *name, *constant; /* constant NULL = from the pattern */
    struct accessor from;
};

struct rules {
    struct rule *v;
    size_t count;
};

/* To whom things are said that are accepted but will not do what they seem to. */
struct teller {
    void (*tell)(void *user, const char *text);
    void *user;
};
void teller_say(const struct teller *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The next item of a comma-separated list, trimmed; commas between ' and ' in brackets belong to the item. Empty items
 * are passed over. */
bool list_next(struct view *list, struct view *item);

/* Each of them adds to the rules; the error names the option. `option` is its name, `text` its value (NULL = not
 * given). */
gcw_status rules_read_pairs(struct rules *r, const char *option, const char *text, const struct teller *t,
                            gcw_error *err);
gcw_status rules_read_keys(struct rules *r, const char *option, const char *text, const struct teller *t,
                           gcw_error *err);
/* A JSON file: {"key": {"sub": "label"}} */
gcw_status rules_read_map(struct rules *r, const char *option, const char *path, gcw_error *err);
/* Takes over what `rule` owns, also when it fails. A rule without a name fails for want of memory. */
gcw_status rules_add(struct rules *r, struct rule *rule, gcw_error *err);
void rules_free(struct rules *r);

bool rules_bind(struct rules *r, struct paths *paths);
bool rules_remove(const struct rules *r, struct paths *paths); /* from the line, what they took */

#endif
