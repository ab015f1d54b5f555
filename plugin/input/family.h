/* The metadata of the metric family that is being read: HELP, TYPE and UNIT lines that stand together. */
#ifndef GCW_INPUT_FAMILY_H
#define GCW_INPUT_FAMILY_H

#include "input/series.h"

/* Zero-initialise; free with family_free(). */
struct family {
    struct buf name, help, unit; /* C strings */
    gcw_metric_type type;
    bool open; /* there is one */
    bool has_type, has_help, has_unit;
    bool pending; /* holds something the handler has not seen */
    bool sampled; /* samples of it were read */
};

enum comment { COMMENT_OK, COMMENT_EOF, COMMENT_BAD };

/* A line that starts with '#'. COMMENT_BAD: s->why or s->nomem. A line of another family hands the last one over first.
 */
enum comment family_comment(struct family *f, struct series_parser *s, struct view line,
                            const struct exposition_handler *h);
/* A sample was read; its name is s->name. Its family's metadata go out before it. */
void family_sample(struct family *f, const struct series_parser *s, const struct exposition_handler *h);
/* The name is the family's, or that and a suffix that its samples have. */
bool family_has(const struct family *f, struct view name);
/* A family that is known at once, handed over; `unit` and `name` hold no NUL. False = out of memory. */
struct family_facts {
    gcw_metric_type type;
    struct view name, help, unit;
};
bool family_tell(struct family *f, const struct family_facts *facts, const struct exposition_handler *h);
void family_flush(struct family *f, const struct exposition_handler *h);
void family_free(struct family *f);

#endif
