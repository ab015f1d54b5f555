/* What a parser of one format is to exposition.c. */
#ifndef GCW_INPUT_PARSER_H
#define GCW_INPUT_PARSER_H

#include "input/input.h"

struct parser {
    void *(*open)(const struct exposition_options *o, const struct exposition_handler *h); /* copies both */
    void (*free)(void *state);
    gcw_status (*feed)(void *state, const char *data, size_t n);
    gcw_status (*end)(void *state);
};

extern const struct parser parser_text, parser_protobuf;

/* The first message of a delimited protobuf exposition, as far as `head` shows it. */
bool protobuf_starts(struct view head);

#endif
