/* The streams that records go to. Each set of values asks the writer for its stream once; after that a table finds the
 * handle by the values. The table is bounded: a stream that gives way is released, and asked for again if its values
 * come back. */
#ifndef GCW_HOSTS_FLUENT_BIT_STREAMS_H
#define GCW_HOSTS_FLUENT_BIT_STREAMS_H

#include "base/base.h"

struct streams;
struct streams *streams_new(void); /* NULL = out of memory */
void streams_free(struct streams *s);

/* NULL: not in the table. */
gcw_stream *streams_find(struct streams *s, struct view key);
/* Takes the handle over; out of memory it is not remembered, and released. False then. */
bool streams_keep(struct streams *s, struct view key, gcw_stream *stream);
/* Lets go of all, to make room with the writer. False if there were none, or they have been used less than once each
 * since the last time: a writer at its bound must not cost every record its look-up. */
bool streams_let_go(struct streams *s);

#endif
