/* hosts/collectd: a write plugin by collectd's own plugin API (5.x). Values become metrics under the names, labels and
 * types that collectd's write_prometheus gives them, so that dashboards carry over; notifications become log lines.
 *
 *   settings.c   <Plugin grafana_cloud> to a gcw_config
 *   naming.c     a value list's identifier to a metric's name, labels and type
 *   table.c      identifiers to interned series: the write callback's hot path
 *   notice.c     notifications to log entries
 *   module.c     the callbacks, and the one writer they share
 *
 * collectd calls write from several threads, notification from any thread of any plugin, even while it shuts down: the
 * table and the writer are guarded by read-write locks that shutdown takes for writing. */
#ifndef GCW_HOSTS_COLLECTD_HOST_H
#define GCW_HOSTS_COLLECTD_HOST_H

#include <daemon/collectd.h>

#include <daemon/configfile.h>
#include <daemon/plugin.h>

#undef MIN /* <sys/param.h>, by way of collectd.h, has these too */
#undef MAX
#include "base/base.h"

#define PLUGIN_NAME "grafana_cloud"

/* ---- settings.c -------------------------------------------------------------------------------------------------- */

struct settings {
    gcw_config *config;
    uint64_t shutdown_timeout_ms;
    bool report_stats;
};

gcw_status settings_new(struct settings *s, gcw_error *err); /* defaults of this host, then the environment */
/* One <Plugin grafana_cloud> block; several add up. */
gcw_status settings_read(struct settings *s, const oconfig_item_t *block, gcw_error *err);
gcw_status settings_finish(struct settings *s, gcw_error *err);  /* labels of notifications, if none were named */
bool settings_has(const struct settings *s, const char *option); /* it has a value */
void settings_free(struct settings *s);

/* ---- naming.c ---------------------------------------------------------------------------------------------------- */

#define NAMING_LABELS 4
#define NAMING_ROOM   (5 * DATA_MAX_NAME_LEN)

struct naming {
    gcw_label labels[NAMING_LABELS]; /* point into `name` and the value list */
    size_t count;
    gcw_metadata metadata;
    char name[NAMING_ROOM];
    char help[2 * NAMING_ROOM];
};

void naming_fill(struct naming *n, const data_set_t *ds, const value_list_t *vl, size_t index);

/* ---- table.c ----------------------------------------------------------------------------------------------------- */

struct table;
struct table *table_new(gcw_writer *writer);
/* Appends every value of the list; GCW_ERR_CLOSED after table_close(). `err` is filled where interning failed. */
gcw_status table_write(struct table *t, const data_set_t *ds, const value_list_t *vl, gcw_error *err);
/* The identifier has gone: ends its series with a stale marker and releases them. */
void table_forget(struct table *t, const value_list_t *vl);
/* Lets go of every entry, and refuses what still comes. Series handles end with the writer. */
void table_close(struct table *t);

/* ---- notice.c ---------------------------------------------------------------------------------------------------- */

gcw_status notice_write(gcw_writer *writer, const notification_t *n, gcw_error *err);

#endif
