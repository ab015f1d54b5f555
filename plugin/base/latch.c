/* The slow ends of a lock: waiting in the kernel, and waking who waits there. */
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base.h"

#define SPINS 64 /* what the holder does takes less than a system call, if the holder runs */

/* The kernel compares the word once more: a lock given back meanwhile is not slept upon. */
static void futex(struct latch *l, int op, uint32_t value) { syscall(SYS_futex, &l->state, op, value, NULL, NULL, 0); }

static bool spin(struct latch *l)
{
    for (unsigned i = 0; i < SPINS; i++) {
        uint32_t expected = 0;
        if (atomic_load_explicit(&l->state, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_weak_explicit(&l->state, &expected, 1, memory_order_acquire, memory_order_relaxed))
            return true;
#ifdef __SSE2__
        __builtin_ia32_pause();
#endif
    }
    return false;
}

void latch_wait(struct latch *l)
{
    if (spin(l))
        return;
    /* from here on the lock is held as one that others may wait for too: giving it back wakes one of them */
    while (atomic_exchange_explicit(&l->state, 2, memory_order_acquire) != 0)
        futex(l, FUTEX_WAIT_PRIVATE, 2);
}

void latch_wake(struct latch *l) { futex(l, FUTEX_WAKE_PRIVATE, 1); }
