/* A lock around a few dozen instructions, taken for every record: one word, and its common case inline. What a
 * pthread_mutex_t is asked for beside that (its kind, its owner) costs as much as what is done under the lock. */
#ifndef GCW_BASE_LATCH_H
#define GCW_BASE_LATCH_H

#include <stdatomic.h>
#include <stdint.h>

/* Zero-initialise; nothing to free. */
struct latch {
    _Atomic uint32_t state; /* 0 = free, 1 = held, 2 = held, and somebody may be waiting */
};

void latch_wait(struct latch *l);
void latch_wake(struct latch *l);

static inline void latch_take(struct latch *l)
{
    uint32_t expected = 0;
    if (__builtin_expect(!atomic_compare_exchange_strong_explicit(&l->state, &expected, 1, memory_order_acquire,
                                                                  memory_order_relaxed),
                         0))
        latch_wait(l);
}

static inline void latch_give(struct latch *l)
{
    if (__builtin_expect(atomic_exchange_explicit(&l->state, 0, memory_order_release) == 2, 0))
        latch_wake(l);
}

#endif
