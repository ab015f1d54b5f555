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
uint64_t clock_mono_us(void) { return (uint64_t)clock_ns(CLOCK_MONOTONIC) / 1000; }
int64_t clock_unix_ns(void) { return clock_ns(CLOCK_REALTIME); }
int64_t clock_unix_ms(void) { return clock_ns(CLOCK_REALTIME) / 1000000; }

uint64_t deadline_after(int timeout_ms) { return timeout_ms < 0 ? UINT64_MAX : clock_mono_ms() + (uint64_t)timeout_ms; }

void deadline_timespec(uint64_t deadline_ms, struct timespec *ts)
{
    /* "never" is a thousand years: condition variables need some time, and time_t may be 32 bits */
    uint64_t capped = MIN(deadline_ms, clock_mono_ms() + UINT64_C(1000) * 1000 * 60 * 60);
    ts->tv_sec = (time_t)(capped / 1000);
    ts->tv_nsec = (long)(capped % 1000) * 1000000;
}

/* Multiply-and-fold, 16 bytes a multiplication in four independent lanes (the shape of wyhash): tables and the choice
 * of lanes need speed and spread, not resistance to an attacker; tables draw their seed per process. Words are read
 * little-endian, so that a hash that becomes part of a label value is the same on every machine. */
static inline uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t load8(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
    return le64toh(w);
}

/* The last 0..8 bytes without reading past them. */
static inline uint64_t load_rest(const uint8_t *p, size_t n)
{
    if (n == 8)
        return load8(p);
    if (n >= 4) {
        uint32_t a, b;
        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
        return (uint64_t)le32toh(a) << 32 | le32toh(b);
    }
    return n ? (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1] : 0;
}

uint64_t hash_bytes(const void *data, size_t n, uint64_t seed)
{
    static const uint64_t k[] = {UINT64_C(0xa0761d6478bd642f), UINT64_C(0xe7037ed1a0b428db),
                                 UINT64_C(0x8ebc6af09c88c6e3), UINT64_C(0x589965cc75374cc3)};
    const uint8_t *p = data;
    /* not the constant its word meets: halves that change places would meet the same two */
    uint64_t h[4] = {seed ^ k[1], seed ^ k[2], seed ^ k[3], seed ^ k[0]};
    size_t left = n;
    for (; left >= 64; p += 64, left -= 64)
        for (unsigned i = 0; i < 4; i++)
            h[i] = fold(load8(p + 16 * i) ^ k[i], load8(p + 16 * i + 8) ^ h[i]);
    for (unsigned i = 0; left >= 16; p += 16, left -= 16, i++)
        h[i & 3] = fold(load8(p) ^ k[i & 3], load8(p + 8) ^ h[i & 3]);
    uint64_t mixed = fold(h[0] ^ k[2], h[1] ^ (uint64_t)n) ^ fold(h[2] ^ k[1], h[3] ^ k[2]);
    uint64_t rest = left > 8 ? load8(p) : 0, end = left > 8 ? load_rest(p + 8, left - 8) : load_rest(p, left);
    return fold(mixed ^ k[2], fold(rest ^ k[0], end ^ k[1]) ^ ((uint64_t)left << 56 | 1));
}

uint32_t random_u32(void)
{
    uint32_t r;
    if (getrandom(&r, sizeof r, GRND_NONBLOCK) == (ssize_t)sizeof r)
        return r;
    int64_t now = clock_unix_ns(); /* early boot: no entropy yet, and jitter needs little */
    return (uint32_t)hash_bytes(&now, sizeof now, (uint64_t)(uintptr_t)&r);
}

const char *errno_text(int code)
{
#ifdef __GLIBC__
    const char *text = strerrordesc_np(code); /* strerror() may share its buffer between threads here */
    return text ? text : "unknown error";
#else
    return strerror(code);
#endif
}

bool budget_take(struct budget *b, uint64_t n, uint64_t headroom)
{
    uint64_t limit = b->limit > headroom ? b->limit - headroom : 0;
    uint64_t used = atomic_load_explicit(&b->used, memory_order_relaxed);
    do
        if (n > limit || used > limit - n)
            return false;
    while (
        !atomic_compare_exchange_weak_explicit(&b->used, &used, used + n, memory_order_relaxed, memory_order_relaxed));
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
