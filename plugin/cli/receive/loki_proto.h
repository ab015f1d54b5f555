/* Private to the receiver: the protobuf form of a Loki push. */
#ifndef GCW_RECEIVE_LOKI_PROTO_H
#define GCW_RECEIVE_LOKI_PROTO_H

#include "cli/receive/judge.h"

/* Fills r->streams from the PushRequest in `message`, which r owns. False: the verdict says why. */
bool loki_proto_decode(struct view message, const struct limits *l, struct loki_request *r, struct verdict *v);

/* {name="value", ...} into pairs (room for loki_labels_bound()), values without escapes appended to `values`, whose
 * room suffices if it is that of the text. False with the column (from 1) and why. */
bool loki_labels_read(struct view text, struct buf *values, struct pair *pairs, size_t *count, size_t *column,
                      const char **why);
size_t loki_labels_bound(struct view text);

#endif
