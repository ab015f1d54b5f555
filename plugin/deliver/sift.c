/* Prometheus takes all of a remote write 1.0 request or nothing: one sample that is out of order, too old, or another
 * value for a time it has, and it throws away the whole. Nothing was stored then, so the same records may go again, in
 * their order, in parts: halves of halves until what is refused stands alone. Each sample is judged as if it had come
 * by itself, which is what remote write 2.0 does.
 *
 * One bad sample among n costs about log2(n) requests more. That must not be what becomes of data that is bad all over,
 * such as a backlog that is too old altogether: a route has some refusals to spend, and gets one back with each request
 * that has ended. When they are spent, a request is sent in a few large parts at the most, and what is refused then
 * goes unsearched. */
#include "deliver/lane.h"

#define CREDIT 64
#define PARTS  4 /* of a request, without credit */

bool lane_sift(struct lane *l, const struct sealed *sent, uint32_t ended)
{
    bool whole = ended == 0 && !l->sifted, credit = l->sift_spent < CREDIT;
    l->sift_spent += credit && !PLANTED(sift_without_end);
    if (sent->records <= 1 || l->unsliceable || (!credit && !whole))
        return false;
    l->sifted = true;
    l->refused_to = ended + l->span;
    l->span = MAX(l->span / 2, 1u);
    return true;
}

uint32_t lane_sift_span(const struct lane *l, const struct sealed *head, uint32_t ended)
{
    if (l->refused_to > ended) /* and what was sent of that was taken: the rest is not all good */
        return MAX((l->refused_to - ended) / 2, 1u);
    return l->sifted && l->sift_spent == CREDIT ? (head->records + PARTS - 1) / PARTS : UINT32_MAX;
}

void lane_sift_end(struct lane *l) { l->sift_spent -= l->sift_spent > 0; }
