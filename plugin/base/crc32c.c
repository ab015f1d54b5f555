/* CRC-32C: by the processor's instruction where there is one, else by tables of eight bytes a step. */
#include <endian.h>
#include <pthread.h>

#include "base/disk.h"

static uint32_t table[8][256];

static void tables_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ UINT32_C(0x82f63b78) : c >> 1;
        table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 0xff];
}

static inline uint64_t load8(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
    return le64toh(w);
}

static uint32_t by_table(uint32_t c, const uint8_t *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t w = load8(p) ^ c;
        c = 0;
        for (int k = 0; k < 8; k++)
            c ^= table[7 - k][w >> 8 * k & 0xff];
    }
    for (; n; p++, n--)
        c = c >> 8 ^ table[0][(c ^ *p) & 0xff];
    return c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_hardware(uint32_t c, const uint8_t *p, size_t n)
{
    uint64_t wide = c;
    for (; n >= 8; p += 8, n -= 8)
        wide = __builtin_ia32_crc32di(wide, load8(p));
    c = (uint32_t)wide;
    for (; n; p++, n--)
        c = __builtin_ia32_crc32qi(c, *p);
    return c;
}
static bool hardware(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
static uint32_t by_hardware(uint32_t c, const uint8_t *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8)
        c = __crc32cd(c, load8(p));
    for (; n; p++, n--)
        c = __crc32cb(c, *p);
    return c;
}
static bool hardware(void) { return true; }
#else
#define by_hardware by_table
static bool hardware(void) { return false; }
#endif

static uint32_t (*chosen)(uint32_t c, const uint8_t *p, size_t n);

static void choose(void)
{
    tables_fill();
    chosen = hardware() ? by_hardware : by_table;
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose);
    return ~chosen(~crc, p, n);
}
