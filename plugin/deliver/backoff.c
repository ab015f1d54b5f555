/* How long to wait before the next attempt. */
#include "deliver/deliver.h"

uint64_t backoff_delay(const struct backoff_config *c, unsigned attempts, uint32_t random)
{
    uint64_t delay = c->min_ms;
    for (unsigned i = 1; i < attempts && delay < c->max_ms; i++)
        delay *= 2;
    delay = MIN(delay, c->max_ms);
    return delay + delay / 4 * (random >> 16) / 0xffff;
}
