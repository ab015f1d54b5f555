/* The stream of a record: labels from rules, from the record's kubernetes labels, or the default one. */
#ifndef GCW_HOSTS_FLUENT_BIT_LABELS_H
#define GCW_HOSTS_FLUENT_BIT_LABELS_H

#include "hosts/fluent-bit/rules.h"
#include "hosts/fluent-bit/streams.h"

struct labels {
    gcw_writer *writer;
    struct rules rules;
    bool kubernetes;
    uint32_t kubernetes_slot;
    bool varies;       /* by record or tag */
    gcw_stream *fixed; /* of those that do not */
    struct streams *streams;
    struct buf key; /* the record's values, each behind its length */
    gcw_label *set; /* room to put a label set together */
    size_t set_cap;
};

/* Once the rules are in: asks for what they need. False = out of memory. */
bool labels_bind(struct labels *l, struct paths *paths, bool by_tenant);
void labels_free(struct labels *l);

/* The stream of the record that `from` has captured; valid until the next call. NULL with `err`. `tenant` "" = the
 * writer's own. */
gcw_stream *labels_stream(struct labels *l, const struct source *from, const char *tenant, gcw_error *err);

#endif
