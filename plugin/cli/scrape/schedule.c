/* When a target is scraped, and with what time. */
#include "cli/scrape/scrape.h"

/* How far the target's moment is ahead. */
static uint64_t ahead(int64_t unix_ms, uint64_t interval_ms, uint64_t offset_ms)
{
    uint64_t in = (uint64_t)unix_ms % interval_ms, offset = offset_ms % interval_ms;
    return offset >= in ? offset - in : interval_ms - in + offset;
}

uint64_t schedule_first(uint64_t now_ms, int64_t unix_ms, uint64_t interval_ms, uint64_t offset_ms)
{
    return now_ms + ahead(unix_ms, interval_ms, offset_ms);
}

uint64_t schedule_next(uint64_t due_ms, uint64_t now_ms, uint64_t interval_ms)
{
    uint64_t missed = now_ms > due_ms ? (now_ms - due_ms) / interval_ms : 0;
    return due_ms + (missed + 1) * interval_ms;
}

/* Times that are whole intervals apart compress best; a scrape that is a little early or late is taken for one that is
 * not. Prometheus does the same within 2 ms, at most a hundredth of the interval. */
#define NEAR_MS 2

int64_t schedule_stamp(int64_t unix_ms, uint64_t interval_ms, uint64_t offset_ms)
{
    uint64_t near = MIN((uint64_t)NEAR_MS, interval_ms / 100), early = ahead(unix_ms, interval_ms, offset_ms),
             late = (interval_ms - early) % interval_ms;
    if (early <= near)
        return unix_ms + (int64_t)early;
    return late <= near ? unix_ms - (int64_t)late : unix_ms;
}
