/* Names, labels and types as collectd's write_prometheus forms them (and collectd_exporter before it): the metric is
 * collectd_<plugin>_<type>_<data source>, the plugin left out where it is the type, the data source where it is
 * "value", with _total behind counters and derives; plugin instance, type instance and host are labels. */
#include "hosts/collectd/host.h"

static bool is_monotonic(int ds_type) { return ds_type == DS_TYPE_COUNTER || ds_type == DS_TYPE_DERIVE; }

static void name_add(struct naming *n, size_t *used, const char *part)
{
    int added = snprintf(n->name + *used, sizeof n->name - *used, "%s%s", *used ? "_" : "", part);
    *used = MIN(*used + (size_t)MAX(added, 0), sizeof n->name - 1);
}

static void name_fill(struct naming *n, const data_source_t *source, const value_list_t *vl)
{
    size_t used = 0;
    name_add(n, &used, "collectd");
    if (strcmp(vl->plugin, vl->type) != 0)
        name_add(n, &used, vl->plugin);
    name_add(n, &used, vl->type);
    if (strcmp(source->name, "value") != 0)
        name_add(n, &used, source->name);
    if (is_monotonic(source->type))
        name_add(n, &used, "total");
}

static void label_add(struct naming *n, const char *name, const char *value)
{
    n->labels[n->count++] = (gcw_label)GCW_LABEL(name, value);
}

void naming_fill(struct naming *n, const data_set_t *ds, const value_list_t *vl, size_t index)
{
    const data_source_t *source = &ds->ds[index];
    name_fill(n, source, vl);
    snprintf(n->help, sizeof n->help, "collectd plugin '%s', type '%s', data source '%s' (%s)", vl->plugin, vl->type,
             source->name, DS_TYPE_TO_STRING(source->type));
    /* an absolute is a counter by type, though without _total: as write_prometheus has it */
    n->metadata =
        (gcw_metadata){.type = source->type == DS_TYPE_GAUGE ? GCW_TYPE_GAUGE : GCW_TYPE_COUNTER, .help = n->help};
    n->count = 0;
    label_add(n, "__name__", n->name);
    bool has_instance = *vl->plugin_instance;
    if (has_instance)
        label_add(n, vl->plugin, vl->plugin_instance);
    if (*vl->type_instance)
        label_add(n, has_instance ? "type" : vl->plugin, vl->type_instance);
    label_add(n, "instance", vl->host);
}
