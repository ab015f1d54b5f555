/* Clocks, hash, random numbers, the memory budget, the log line. */
#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "base/base.h"

static int64_t clock_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

uint64_t clock_mono_ms(void) { return (uint64_t)clock_ns(CLOCK_MONOTONIC) / 1000000; }
int64_t clock_unix_ns(void) { return clock_ns(CLOCK_REALTIME); }
int64_t clock_unix_ms(void) { return clock_ns(CLOCK_REALTIME) / 1000000; }

uint64_t deadline_after(int timeout_ms)
{
    return timeout_ms < 0 ? UINT64_MAX : clock_mono_ms() + (uint64_t)timeout_ms;
}

void deadline_timespec(uint64_t deadline_ms, struct timespec *ts)
{
    /* "never" is a thousand years: condition variables need some time, and time_t may be 32 bits */
    uint64_t capped = MIN(deadline_ms, clock_mono_ms() + UINT64_C(1000) * 1000 * 60 * 60);
    ts->tv_sec = (time_t)(capped / 1000);
    ts->tv_nsec = (long)(capped % 1000) * 1000000;
}

/* Multiply-and-fold over 16 bytes a step (the shape of wyhash): tables and lane choice need speed and spread, not
 * resistance to an attacker; tables draw their seed per process. Words are read little-endian, so that a hash that
 * becomes part of a label value is the same on every machine. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t load(const uint8_t *p, size_t n)
{
    uint64_t w = 0;
    memcpy(&w, p, n);
    return le64toh(w);
}

uint64_t hash_bytes(const void *data, size_t n, uint64_t seed)
{
    const uint64_t k0 = UINT64_C(0xa0761d6478bd642f), k1 = UINT64_C(0xe7037ed1a0b428db), k2 = UINT64_C(0x8ebc6af09c88c6e3);
    const uint8_t *p = data;
    uint64_t h = seed ^ k0, g = seed ^ k2;
    size_t left = n;
    for (; left >= 32; p += 32, left -= 32) {
        h = fold(load(p, 8) ^ k1, load(p + 8, 8) ^ h);
        g = fold(load(p + 16, 8) ^ k2, load(p + 24, 8) ^ g);
    }
    h ^= g;
    if (left >= 16) {
        h = fold(load(p, 8) ^ k1, load(p + 8, 8) ^ h);
        p += 16, left -= 16;
    }
    uint64_t a = load(p, MIN(left, (size_t)8)), b = left > 8 ? load(p + 8, left - 8) : 0;
    return fold(k1 ^ (uint64_t)n, fold(a ^ k2, b ^ h));
}

uint32_t random_u32(void)
{
    uint32_t r;
    if (getrandom(&r, sizeof r, GRND_NONBLOCK) == (ssize_t)sizeof r)
        return r;
    int64_t now = clock_unix_ns(); /* early boot: no entropy yet, and jitter needs little */
    return (uint32_t)hash_bytes(&now, sizeof now, (uint64_t)(uintptr_t)&r);
}

bool budget_take(struct budget *b, uint64_t n, uint64_t headroom)
{
    uint64_t limit = b->limit > headroom ? b->limit - headroom : 0;
    uint64_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
    do
        if (n > limit || used > limit - n)
            return false;
    while (!atomic_compare_exchange_weak_explicit(&b->used, &used, used + n, memory_order_relaxed, memory_order_relaxed));
    return true;
}

void budget_give(struct budget *b, uint64_t n)
{
    uint64_t was = atomic_fetch_sub_explicit(&b->used, n, memory_order_relaxed);
    ENSURE(was >= n);
}

void log_line(const struct logger *log, gcw_log_level level, const char *fmt, ...)
{
    if (!log || level > log->level)
        return;
    char raw[1024], text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(raw, sizeof raw, fmt, args);
    va_end(args);
    text_clean(text, sizeof text, raw, strlen(raw));
    if (log->sink)
        log->sink(log->user, level, text);
    else
        fprintf(stderr, "gcw: %s\n", text);
}
