/* Expositions: one face for the parsers of the formats, and what a sample is as a point. */
#include <stdlib.h>

#include "input/parser.h"

struct exposition {
    const struct parser *parser;
    void *state;
};

struct exposition *exposition_new(const struct exposition_options *o, const struct exposition_handler *h)
{
    struct exposition *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->parser = o->format == EXPOSITION_PROTOBUF ? &parser_protobuf : &parser_text;
    e->state = e->parser->open(o, h);
    if (e->state)
        return e;
    free(e);
    return NULL;
}

void exposition_free(struct exposition *e)
{
    if (!e)
        return;
    e->parser->free(e->state);
    free(e);
}

gcw_status exposition_feed(struct exposition *e, const char *data, size_t n)
{
    return e->parser->feed(e->state, data, n);
}

gcw_status exposition_end(struct exposition *e) { return e->parser->end(e->state); }

const char *exposition_numbered(enum exposition_format format)
{
    return format == EXPOSITION_PROTOBUF ? "message" : NULL;
}

gcw_point exposition_point(const struct exposition_sample *s, int64_t time_ms)
{
    for (size_t i = 0; i < s->exemplar_count; i++)
        if (s->exemplars[i].time_ms == EXPOSITION_NO_TIME)
            s->exemplars[i].time_ms = time_ms;
    return (gcw_point){.time_ms = time_ms,
                       .start_ms = s->start_ms < time_ms ? s->start_ms : 0,
                       .value_bits = s->value_bits,
                       .histogram = s->histogram,
                       .exemplars = s->exemplars,
                       .exemplar_count = s->exemplar_count};
}
