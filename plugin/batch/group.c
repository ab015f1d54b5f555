/* Groups in a batch: the size of one, and the exemplars that come with it. */
#include "batch/record.h"

/* ---- exemplars: series, length, what exemplar_pack() wrote ----------------------------------------------------------
 */

struct piece {
    uint32_t series, len;
};

bool group_exemplars_put(struct buf *out, uint32_t series, struct view packed)
{
    const struct piece piece = {series, (uint32_t)packed.n};
    return buf_append(out, &piece, sizeof piece) && buf_append(out, packed.p, packed.n);
}

struct view group_exemplars(const struct record_group *r)
{
    const char *p = (const char *)(r->value_bits + r->group->count);
    return view_make(p, r->exemplars_len);
}

struct view group_exemplars_take(struct view *rest, uint32_t series)
{
    struct piece piece;
    if (rest->n < sizeof piece)
        return view_make("", 0);
    memcpy(&piece, rest->p, sizeof piece);
    if (piece.series != series)
        return view_make("", 0);
    struct view packed = view_make(rest->p + sizeof piece, piece.len);
    *rest = view_make(packed.p + packed.n, rest->n - sizeof piece - packed.n);
    return packed;
}

/* ---- size -----------------------------------------------------------------------------------------------------------
 */

uint64_t group_wire(const struct group *g, size_t exemplars)
{
    return g->block_bytes + (uint64_t)g->count * (SAMPLE_WIRE + START_WIRE) + exemplars;
}

gcw_status batch_group_fits(const struct destination *d, const struct group *g, gcw_error *err)
{
    const struct batch_limits *l = &d->batcher->config.limits[d->signal];
    uint64_t wire = group_wire(g, 0);
    if (g->count > l->records)
        return error_set(err, GCW_ERR_TOO_LARGE,
                         "%u series, which are to go in one request: metrics_batch_records allows %llu", g->count,
                         (unsigned long long)l->records);
    if (wire > l->bytes)
        return error_set(err, GCW_ERR_TOO_LARGE,
                         "%u series of %llu bytes, which are to go in one request: metrics_batch_bytes allows %llu",
                         g->count, (unsigned long long)wire, (unsigned long long)l->bytes);
    return GCW_OK;
}
