/* Record accessor patterns, as the host's options are written: text in which $key, $key['sub'], $key['list'][0], $TAG
 * and $TAG[1] stand for what a record has there. */
#ifndef GCW_HOSTS_FLUENT_BIT_ACCESSOR_H
#define GCW_HOSTS_FLUENT_BIT_ACCESSOR_H

#include "hosts/fluent-bit/line.h"

#define ACCESSOR_STEPS_MAX 16

enum part_kind { PART_TEXT, PART_VALUE, PART_TAG, PART_TAG_PART, PART_CAPTURE };

struct accessor_part {
    enum part_kind kind;
    uint32_t number;  /* TAG_PART */
    uint32_t slot;    /* VALUE, once bound */
    struct view text; /* TEXT */
    struct path_step steps[ACCESSOR_STEPS_MAX];
    size_t step_count;
};

struct accessor {
    char *memory; /* what the views point into */
    struct accessor_part *parts;
    size_t count;
};

/* Where values come from while a record is looked at. */
struct source {
    const struct paths *paths; /* captured */
    struct view tag;
    struct line *line;
    bool ascii;
};

/* GCW_ERR_INVALID with what is wrong and what is allowed, without naming the option; GCW_ERR_NOMEM. */
gcw_status accessor_parse(struct accessor *a, struct view pattern, gcw_error *err);
bool accessor_of_steps(struct accessor *a, const struct path_step *steps, size_t count);
void accessor_free(struct accessor *a);

bool accessor_bind(struct accessor *a, struct paths *paths); /* asks for its values */
/* What the host takes out of the line for a pattern: its first part, if that is a value. */
bool accessor_remove(const struct accessor *a, struct paths *paths);
bool accessor_is_one_value(const struct accessor *a);
bool accessor_has(const struct accessor *a, enum part_kind kind);

/* The label name the host makes of a pattern: the keys on the way, joined and mended. */
bool accessor_name(const struct accessor *a, struct buf *out);
/* A label name mended as the host does: byte by byte, '_' before a digit in front. */
bool name_mend(struct buf *out, struct view name);

/* Appends the text; what a record does not have is nothing. */
enum line_status accessor_put(const struct accessor *a, const struct source *from, struct buf *out);
/* The value of the one-value pattern; p NULL if the record has none. */
struct msgpack accessor_value(const struct accessor *a, const struct source *from);

#endif
