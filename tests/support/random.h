/* Chance that is the same in every run (xorshift64). */
#ifndef GCW_TESTS_RANDOM_H
#define GCW_TESTS_RANDOM_H

#include <stdint.h>

static uint64_t random_state = 88172645463325252u;

static inline uint64_t random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static inline uint32_t below(uint32_t n) { return (uint32_t)(random_u64() >> 16) % n; }

#endif
