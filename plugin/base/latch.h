/* A lock around a few dozen instructions, taken for every record: two words, and its common case inline. What a
 * pthread_mutex_t is asked for beside that (its kind, its owner) costs as much as what is done under the lock.
 *
 * Giving it back is a plain store: an exchange, which would tell for sure whether somebody waits, takes as long as
 * taking the lock, as the processor first writes out all that was written under it. So a thread that begins to wait in
 * just that moment may be overlooked; it looks again by itself after WAIT_NS. */
#ifndef GCW_BASE_LATCH_H
#define GCW_BASE_LATCH_H

#include <stdatomic.h>
#include <stdint.h>

/* Zero-initialise; nothing to free. */
struct latch {
    _Atomic uint32_t held, waiters;
};

void latch_wait(struct latch *l);
void latch_wake(struct latch *l);

static inline void latch_take(struct latch *l)
{
    uint32_t expected = 0;
    if (__builtin_expect(!atomic_compare_exchange_strong_explicit(&l->held, &expected, 1, memory_order_acquire,
                                                                  memory_order_relaxed),
                         0))
        latch_wait(l);
}

static inline void latch_give(struct latch *l)
{
    atomic_store_explicit(&l->held, 0, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    if (__builtin_expect(atomic_load_explicit(&l->waiters, memory_order_relaxed) > 0, 0))
        latch_wake(l);
}

#endif
