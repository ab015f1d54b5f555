/* Private to model/: the names of a label set, remembered. Label sets mostly come with the names of the one before, in
 * the same order: then the names are known to be fine and where each goes is known, and only values are looked at. */
#ifndef GCW_MODEL_SHAPE_H
#define GCW_MODEL_SHAPE_H

#include "model/block.h"

struct label_shape {
    const struct label_rules *rules; /* NULL = nothing is remembered */
    size_t count;                    /* names given, static labels not counted */
    size_t total;                    /* labels in the block */
    size_t metric;                   /* which is the metric name; SIZE_MAX = none (logs) */
    size_t cap;
    struct buf metric_name; /* the last one that was found to be plain */
    struct shape_name {
        uint32_t at, len;
    } * name;        /* [count], in text */
    uint32_t *order; /* [total]: label i of those given, or SHAPE_STATIC | i of the static ones */
    struct shape_head {
        uint32_t at, len;
    } * head;        /* [total], in text: key, length and name as they stand in the block, the value's key behind */
    struct buf text; /* with SHAPE_SLACK bytes behind, so that short pieces are copied in whole words */
};
#define SHAPE_SLACK  32
#define SHAPE_STATIC UINT32_C(0x80000000)

/* Remembers labels that went through the long way unchanged. Without memory it remembers nothing. */
void shape_learn(struct label_shape *s, const struct label_rules *rules, const gcw_label *labels, size_t count,
                 const uint32_t *order, size_t total);
/* Encodes the labels into block if their names are the remembered ones and their values need no mending; else false and
 * nothing has happened. */
bool shape_encode(struct label_shape *s, const struct label_rules *rules, const gcw_label *labels, size_t count,
                  struct buf *block, struct view *metric_name);
/* The same for names known to be the remembered ones, and values known to be ASCII with LABEL_SLACK bytes to read
 * behind each. */
bool shape_encode_again(struct label_shape *s, const struct label_rules *rules, const gcw_label *labels, size_t count,
                        struct buf *block, struct view *metric_name);
void shape_free(struct label_shape *s);

#endif
