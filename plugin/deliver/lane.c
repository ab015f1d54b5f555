/* How much of a request a receiver takes at a time: learned from what it turned away. */
#include "deliver/lane.h"

#define ABATE_AFTER 4          /* attempts in vain: a request larger than the burst is refused each time */
#define ABATE_LEAST (64 * KIB) /* guessing stops here: failures have other reasons then */

uint32_t lane_span(const struct lane *l, const struct sealed *head, uint32_t ended)
{
    uint64_t limit = l->too_large ? MAX(l->too_large / 2, 1) : UINT64_MAX;
    uint64_t left = head->records - ended, raw = MAX(head->raw_len, 1u);
    if (l->at_most)
        limit = MIN(limit, l->at_most);
    if (raw > limit && !l->unsliceable)
        left = MIN(left, MAX((uint64_t)head->records * limit / raw, (uint64_t)1));
    return MIN((uint32_t)left, lane_sift_span(l, head, ended));
}

bool lane_halve(struct lane *l, const struct sealed *sent)
{
    l->too_large = l->too_large ? MIN(l->too_large, sent->raw_len) : sent->raw_len;
    if (sent->records <= 1 || l->unsliceable)
        return false;
    l->span = sent->records / 2;
    return true;
}

bool lane_abate(struct lane *l, const struct sealed *sent)
{
    if (l->attempts < ABATE_AFTER || sent->records <= 1 || sent->raw_len <= ABATE_LEAST || l->unsliceable)
        return false;
    l->at_most = MAX(sent->raw_len / 2, ABATE_LEAST);
    l->span = 0;
    return true;
}

void lane_grow(struct lane *l)
{
    l->at_most *= 2;
    if (l->at_most > 64 * MIB)
        l->at_most = 0;
}
