/* Times that coincide are spread over the nanoseconds behind them: Loki keeps one of two entries of a stream that have
 * the same time and text. Which times were seen is remembered in a small table without chains: an old time that is
 * forgotten could repeat, which matters only if the text repeats too. */
#include "input/input.h"

int64_t time_unique(struct unique_times *u, int64_t time_ns)
{
    uint64_t h = (uint64_t)time_ns * UINT64_C(0x9E3779B97F4A7C15);
    struct unique_time *t = &u->slot[h >> (64 - UNIQUE_TIMES_BITS)];
    if (t->time_ns != time_ns || t->count == 0)
        *t = (struct unique_time){.time_ns = time_ns};
    return time_ns + t->count++;
}
