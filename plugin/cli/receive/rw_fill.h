/* Private to the decoders of remote write. */
#ifndef GCW_RECEIVE_RW_FILL_H
#define GCW_RECEIVE_RW_FILL_H

#include "cli/receive/judge.h"
#include "cli/receive/unpack.h"
#include "remote1.pb-c.h"
#include "remote2.pb-c.h"

bool rw1_fill(const struct limits *l, struct rw_request *r, struct verdict *v);
bool rw2_fill(const struct limits *l, struct rw_request *r, struct verdict *v);
bool rw_request_reserve(struct rw_request *r, size_t pairs, size_t samples, size_t exemplars, struct verdict *v);

static inline uint64_t rw_bits(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits;
}

/* Mimir drops empty values, and sorts; the strict judge sees labels as they came. */
static inline void rw_label_add(const struct limits *l, struct rw_series *s, struct pair pair)
{
    if (l->v[METRICS_STRICT] || pair.value.n > 0)
        s->labels[s->label_count++] = pair;
}

#endif
