/* Events of a log chunk. */
#include "hosts/fluent-bit/event.h"

#include <math.h>

#define NS_PER_S     1000000000
#define SECONDS_MAX  (INT64_MAX / NS_PER_S - 1)
#define GROUP_START  UINT32_MAX /* seconds -1 and -2, as the ext type holds them */
#define GROUP_END    (UINT32_MAX - 1)
#define EVENT_TIME   0
#define EVENT_TIME_N 8

static uint32_t big_endian32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

/* Old data holds nanoseconds beyond a second. */
static int64_t time_of(uint64_t seconds, uint64_t ns)
{
    return (int64_t)MIN(seconds, (uint64_t)SECONDS_MAX) * NS_PER_S + (int64_t)MIN(ns, (uint64_t)NS_PER_S - 1);
}

static bool ext_time(const struct msgpack_value *v, enum event_kind *kind, int64_t *out)
{
    if (v->ext != EVENT_TIME || v->bytes.n != EVENT_TIME_N)
        return false;
    uint32_t seconds = big_endian32(v->bytes.p), ns = big_endian32(v->bytes.p + 4);
    if (ns == 0 && (seconds == GROUP_START || seconds == GROUP_END))
        *kind = seconds == GROUP_START ? EVENT_GROUP_START : EVENT_GROUP_END;
    *out = time_of(seconds, ns);
    return true;
}

static bool double_time(double d, int64_t *out)
{
    if (!(d >= 0))
        return false; /* NaN too */
    double seconds = floor(d);
    *out = seconds >= (double)SECONDS_MAX ? time_of(SECONDS_MAX, 0)
                                          : time_of((uint64_t)seconds, (uint64_t)((d - seconds) * NS_PER_S));
    return true;
}

/* False: no time. */
static bool time_read(const struct msgpack_value *v, enum event_kind *kind, int64_t *out)
{
    *kind = EVENT_RECORD;
    if (v->type == MSGPACK_EXT)
        return ext_time(v, kind, out);
    if (v->type == MSGPACK_DOUBLE)
        return double_time(msgpack_double(v), out);
    if (v->type == MSGPACK_UINT) {
        *out = time_of(v->number, 0);
        return true;
    }
    if (v->type != MSGPACK_INT || (int64_t)v->number < -2)
        return false;
    *kind = (int64_t)v->number == -1 ? EVENT_GROUP_START : EVENT_GROUP_END;
    *out = 0;
    return true;
}

/* What stands before the body. */
static bool head_read(struct msgpack *m, struct event *e, enum event_kind *kind)
{
    struct msgpack_value v;
    if (!msgpack_next(m, &v) || v.type != MSGPACK_ARRAY || v.count != 2 || !msgpack_next(m, &v))
        return false;
    e->metadata = msgpack_over(m->end, 0);
    if (v.type != MSGPACK_ARRAY)
        return time_read(&v, kind, &e->time_ns);
    if (v.count != 2 || !msgpack_next(m, &v) || !time_read(&v, kind, &e->time_ns))
        return false;
    e->metadata = *m;
    return msgpack_next(m, &v) && v.type == MSGPACK_MAP && msgpack_skip_rest(m, &v);
}

static bool padding(const struct msgpack *m)
{
    for (const uint8_t *p = m->p; p < m->end; p++)
        if (*p)
            return false;
    return true;
}

enum event_kind event_next(struct msgpack *m, struct event *e)
{
    const struct msgpack start = *m;
    enum event_kind kind;
    if (msgpack_at_end(m))
        return EVENT_NONE;
    if (head_read(m, e, &kind))
        return kind;
    *m = start;
    if (*m->p == 0 && padding(m)) {
        m->p = m->end;
        return EVENT_NONE;
    }
    if (msgpack_skip(m))
        return EVENT_MALFORMED;
    m->p = m->end;
    return EVENT_DAMAGED;
}
