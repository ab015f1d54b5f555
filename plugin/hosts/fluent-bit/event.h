/* The events of a log chunk: MessagePack values back to back, each a record of one of the host's two forms or a marker
 * of a group.
 *
 *     [time, body]                 before 2.1, and what older hosts forward
 *     [[time, metadata], body]     since
 *
 * A time is an ext of type 0 (seconds and nanoseconds), whole seconds, or a double of seconds. Seconds -1 and -2 mark
 * where a group starts and ends: records between them share the resource and scope in the start's body (OpenTelemetry).
 */
#ifndef GCW_HOSTS_FLUENT_BIT_EVENT_H
#define GCW_HOSTS_FLUENT_BIT_EVENT_H

#include "hosts/fluent-bit/msgpack.h"

enum event_kind {
    EVENT_RECORD,
    EVENT_GROUP_START,
    EVENT_GROUP_END,
    EVENT_MALFORMED, /* a whole value, but no event: passed over */
    EVENT_DAMAGED,   /* the bytes from here on are no MessagePack, or end too early; the reader stands at its end */
    EVENT_NONE       /* the end; zeroes that a killed host left behind the last record count as that */
};

struct event {
    int64_t time_ns;
    struct msgpack metadata; /* at the map's head; at its end if there is none */
};

/* Reads up to an event's body, where the reader stands then for the first three kinds: whoever reads the body on finds
 * out whether it is whole. */
enum event_kind event_next(struct msgpack *m, struct event *e);

#endif
