/* What OpenTelemetry's log model carries beside a body: the resource and scope of a group, and a record's own fields.
 * They become structured metadata under the names that Loki itself gives them when it takes OTLP. */
#ifndef GCW_HOSTS_FLUENT_BIT_OTEL_H
#define GCW_HOSTS_FLUENT_BIT_OTEL_H

#include "hosts/fluent-bit/event.h"
#include "hosts/fluent-bit/line.h"
#include "hosts/fluent-bit/pairs.h"

/* The group that records stand in. It keeps a copy of what the marker says, as the chunk may go before the group does.
 */
struct otel_group {
    struct buf memory;
    struct msgpack resource, scope; /* the resource's attributes, the scope; at their end if there are none */
    struct pairs pairs;
};

/* `pairs`: whether the group's pairs are wanted. *m stands at the marker's body and moves behind it. */
enum line_status otel_group_start(struct otel_group *g, bool pairs, struct line *line, struct msgpack *m);
void otel_group_end(struct otel_group *g);
void otel_group_free(struct otel_group *g);

/* Adds what a record's metadata says. */
enum line_status otel_record(struct pairs *pairs, struct line *line, struct msgpack metadata);

/* Value of a map's key; at its end if there is none, or no map. */
struct msgpack map_value(struct msgpack map, const char *key);

#endif
