/* Private to codec/: taking a part out of a request. */
#ifndef GCW_CODEC_SLICE_H
#define GCW_CODEC_SLICE_H

#include "codec/wire.h"

#define PART_LEAST (128 * KIB) /* a part may always be so large, in whatever protocol: it holds any one record */

struct range {
    uint32_t from, end, at; /* records wanted, and the number of the next one met */
    uint32_t metadata;      /* families described in the part */
    uint32_t exemplars, histograms, exemplars_unsaid;
    uint32_t unsaid; /* records of the range that the other protocol has no words for */
    size_t at_most;  /* bytes: `end` comes down to what fits */
    bool no_histograms, no_exemplars;
    bool nomem;
};

static inline bool range_has(struct range *r)
{
    uint32_t at = r->at++;
    return at >= r->from && at < r->end;
}

static inline bool range_nomem(struct range *r)
{
    r->nomem = true;
    return false;
}

/* Each reads a whole body; false = not ours, or r->nomem. */
bool slice_rw2(const struct buf *raw, struct range *r, struct buf *out);
bool rw2_as_rw1(const struct buf *raw, struct range *r, struct buf *out);

#endif
