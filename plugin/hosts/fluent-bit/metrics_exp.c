/* See metrics_exp.h. */
#include "hosts/fluent-bit/metrics_exp.h"

#include <math.h>
#include <stdlib.h>

#define SCALE_MAX 64
#define INDEX_MAX (INT64_C(1) << 40) /* indices are 32 bits wide on the wire */

void exp_free(struct exp_histogram *h)
{
    free(h->positive.count);
    free(h->negative.count);
    *h = (struct exp_histogram){0};
}

/* Index of the bucket at a scale coarser by `shift` steps: rounded down. */
static int64_t coarser(int64_t index, int shift) { return index >> shift; }

/* Steps until [first, last] is EXP_SIDE_MAX buckets or fewer. */
static int steps_to_fit(int64_t first, int64_t last)
{
    int shift = 0;
    while (coarser(last, shift) - coarser(first, shift) >= EXP_SIDE_MAX)
        shift++;
    return shift;
}

static int64_t side_last(const struct exp_side *s) { return s->first + (int64_t)s->n - 1; }

/* Makes room for [first, last], which hold what is in s. */
static bool side_cover(struct exp_side *s, int64_t first, int64_t last)
{
    size_t n = (size_t)(last - first + 1), before = s->n ? (size_t)(s->first - first) : 0;
    if (s->n == n && before == 0)
        return true;
    uint64_t *count = calloc(n, sizeof *count);
    if (!count)
        return false;
    for (size_t i = 0; i < s->n; i++)
        count[before + i] = s->count[i];
    free(s->count);
    *s = (struct exp_side){first, n, count};
    return true;
}

static void side_coarsen(struct exp_side *s, int shift)
{
    if (s->n == 0 || shift == 0)
        return;
    int64_t first = coarser(s->first, shift), last = coarser(side_last(s), shift);
    for (size_t i = 0; i < s->n; i++) { /* in place: what is written to has been read */
        uint64_t c = s->count[i];
        s->count[i] = 0;
        s->count[coarser(s->first + (int64_t)i, shift) - first] += c;
    }
    s->first = first;
    s->n = (size_t)(last - first + 1);
}

static void coarsen(struct exp_histogram *h, int shift)
{
    side_coarsen(&h->positive, shift);
    side_coarsen(&h->negative, shift);
    h->scale -= shift;
}

/* ---- load ---------------------------------------------------------------------------------------------------------
 */

static bool side_load(struct exp_side *s, struct cmetrics_list buckets, int64_t offset, int shift)
{
    if (buckets.count == 0)
        return true;
    int64_t last = offset + (int64_t)buckets.count - 1;
    if (!side_cover(s, coarser(offset, shift), coarser(last, shift)))
        return false;
    for (uint32_t i = 0; i < buckets.count; i++)
        s->count[coarser(offset + (int64_t)i, shift) - s->first] += cmetrics_count(&buckets.at);
    return true;
}

static bool index_fits(int64_t i) { return i > -INDEX_MAX && i < INDEX_MAX; }

gcw_status exp_load(struct exp_histogram *h, const struct cmetrics_exp_histogram *from)
{
    if (from->scale < -SCALE_MAX || from->scale > SCALE_MAX || !index_fits(from->positive_offset) ||
        !index_fits(from->negative_offset))
        return GCW_ERR_INVALID;
    int64_t positive = from->positive_offset + (int64_t)from->positive.count,
            negative = from->negative_offset + (int64_t)from->negative.count;
    int a = steps_to_fit(from->positive_offset, positive), b = steps_to_fit(from->negative_offset, negative),
        shift = MAX(a, b);
    exp_free(h);
    h->scale = (int)from->scale - shift;
    h->zero_count = from->zero_count;
    h->count = from->count;
    h->zero_threshold = cmetrics_double_of(from->zero_threshold_bits);
    h->sum = cmetrics_double_of(from->sum_bits);
    h->sum_set = from->sum_set != 0;
    bool loaded = side_load(&h->positive, from->positive, from->positive_offset, shift) &&
                  side_load(&h->negative, from->negative, from->negative_offset, shift);
    return loaded ? GCW_OK : GCW_ERR_NOMEM;
}

/* ---- add ----------------------------------------------------------------------------------------------------------
 */

static int steps_together(const struct exp_side *a, const struct exp_side *b)
{
    if (a->n == 0 || b->n == 0)
        return 0;
    return steps_to_fit(MIN(a->first, b->first), MAX(side_last(a), side_last(b)));
}

static bool side_add(struct exp_side *to, const struct exp_side *more)
{
    if (more->n == 0)
        return true;
    int64_t first = to->n ? MIN(to->first, more->first) : more->first,
            last = to->n ? MAX(side_last(to), side_last(more)) : side_last(more);
    if (!side_cover(to, first, last))
        return false;
    for (size_t i = 0; i < more->n; i++)
        to->count[more->first - first + (int64_t)i] += more->count[i];
    return true;
}

gcw_status exp_add(struct exp_histogram *to, struct exp_histogram *more)
{
    bool empty = to->positive.n == 0 && to->negative.n == 0;
    if (empty)
        to->scale = more->scale;
    int scale = MIN(to->scale, more->scale);
    coarsen(to, to->scale - scale);
    coarsen(more, more->scale - scale);
    int a = steps_together(&to->positive, &more->positive), b = steps_together(&to->negative, &more->negative),
        shift = MAX(a, b);
    coarsen(to, shift);
    coarsen(more, shift);
    if (!side_add(&to->positive, &more->positive) || !side_add(&to->negative, &more->negative))
        return GCW_ERR_NOMEM;
    to->zero_threshold = MAX(to->zero_threshold, more->zero_threshold);
    to->zero_count += more->zero_count;
    to->count += more->count;
    to->sum += more->sum;
    to->sum_set |= more->sum_set;
    return GCW_OK;
}

/* ---- bounds -------------------------------------------------------------------------------------------------------
 */

/* base^index with one rounding, so that a bound is the same at every scale that has it. */
static double power(int scale, int64_t index) { return exp2(ldexp((double)index, -scale)); }

/* A bound takes the place of those not below it (underflow, a wide zero bucket); one beyond all doubles is what +Inf is
 * for. */
static size_t bound_put(struct exp_bound *out, size_t n, double le, uint64_t count)
{
    if (!isfinite(le))
        return n;
    while (n > 0 && !(out[n - 1].le < le))
        n--;
    out[n] = (struct exp_bound){le, count};
    return n + 1;
}

/* Where the zero bucket stands: between the sides if there are both, by itself if there is neither, or if it was used.
 */
static bool zero_shown(const struct exp_histogram *h)
{
    return h->zero_count > 0 || h->zero_threshold > 0 || (h->positive.n > 0) == (h->negative.n > 0);
}

size_t exp_bounds(const struct exp_histogram *h, struct exp_bound *out)
{
    uint64_t count = 0;
    size_t n = 0;
    for (size_t i = h->negative.n; i-- > 0;) {
        double le = -power(h->scale, h->negative.first + (int64_t)i);
        count += h->negative.count[i];
        n = bound_put(out, n, le, count);
    }
    if (zero_shown(h)) {
        if (h->zero_threshold > 0)
            n = bound_put(out, n, -h->zero_threshold, count);
        count += h->zero_count;
        n = bound_put(out, n, 0, count);
        if (h->zero_threshold > 0)
            n = bound_put(out, n, h->zero_threshold, count);
    }
    for (size_t i = 0; i < h->positive.n; i++) {
        count += h->positive.count[i];
        n = bound_put(out, n, power(h->scale, h->positive.first + (int64_t)i + 1), count);
    }
    return n;
}
