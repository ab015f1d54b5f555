/* record.c for metrics: only versions that have a place for it (4.2.3 on) are told what is wanted, see
 * record_metrics.py. */
#define FLBPluginRegister register_logs
#include "record.c"
#undef FLBPluginRegister
#include <malloc.h>

struct definition_4_2_3 {
    struct definition before;
    int event_type;
};

EXPORT int FLBPluginRegister(struct definition *d);
EXPORT int FLBPluginRegister(struct definition *d)
{
    int status = register_logs(d);
    if (malloc_usable_size(d) >= sizeof(struct definition_4_2_3))
        ((struct definition_4_2_3 *)d)->event_type = 2;
    return status;
}
