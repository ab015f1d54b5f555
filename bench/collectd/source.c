/* A collectd plugin for bench/collectd/run: dispatches Rounds values of each of Identifiers as fast as the write
 * threads take them, then asks collectd to stop. Its write callback counts, so that it knows what has gone through. */
#include <daemon/collectd.h>

#include <daemon/configfile.h>
#include <daemon/plugin.h>

#include <stdatomic.h>
#include <unistd.h>

#define AHEAD 2000 /* value lists in collectd's queue at most */

static int identifiers = 1000, rounds = 100;
static _Atomic long written;

static int on_config(oconfig_item_t *block)
{
    for (int i = 0; i < block->children_num; i++) {
        oconfig_item_t *item = &block->children[i];
        if (strcasecmp(item->key, "Identifiers") == 0)
            cf_util_get_int(item, &identifiers);
        else if (strcasecmp(item->key, "Rounds") == 0)
            cf_util_get_int(item, &rounds);
    }
    return 0;
}

static int on_write(const data_set_t *ds, const value_list_t *vl, user_data_t *ud)
{
    (void)ds, (void)vl, (void)ud;
    atomic_fetch_add(&written, 1);
    return 0;
}

static void wait_below(long ahead, long dispatched)
{
    while (dispatched - atomic_load(&written) > ahead)
        usleep(500);
}

static int on_read(void)
{
    static int done;
    long dispatched = 0;
    if (done++)
        return 0;
    cdtime_t start = TIME_T_TO_CDTIME_T(time(NULL) - rounds - 60);
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < identifiers; i++) {
            value_t value = {.gauge = r + i * 0.001};
            value_list_t vl = VALUE_LIST_INIT;
            vl.values = &value;
            vl.values_len = 1;
            vl.time = start + TIME_T_TO_CDTIME_T(r);
            vl.interval = TIME_T_TO_CDTIME_T(3600);
            snprintf(vl.host, sizeof vl.host, "host-%d", i % 10);
            snprintf(vl.plugin, sizeof vl.plugin, "bench");
            snprintf(vl.plugin_instance, sizeof vl.plugin_instance, "instance-%d", i);
            snprintf(vl.type, sizeof vl.type, "gauge");
            snprintf(vl.type_instance, sizeof vl.type_instance, "value");
            plugin_dispatch_values(&vl);
            wait_below(AHEAD, ++dispatched);
        }
    wait_below(0, dispatched);
    kill(getpid(), SIGTERM);
    return 0;
}

__attribute__((visibility("default"))) void module_register(void)
{
    plugin_register_complex_config("bench_source", on_config);
    plugin_register_write("bench_source", on_write, NULL);
    plugin_register_read("bench_source", on_read);
}
