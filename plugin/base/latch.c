/* The slow ends of a lock: waiting in the kernel, and waking who waits there. */
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

#define SPINS   64      /* what the holder does takes less than a system call, if the holder runs */
#define WAIT_NS 1000000 /* at the longest, before another look */

static bool take_now(struct latch *l)
{
    uint32_t expected = 0;
    return atomic_load_explicit(&l->held, memory_order_relaxed) == 0 &&
           atomic_compare_exchange_strong_explicit(&l->held, &expected, 1, memory_order_acquire, memory_order_relaxed);
}

static bool spin(struct latch *l)
{
    for (unsigned i = 0; i < SPINS; i++) {
        if (take_now(l))
            return true;
#ifdef __SSE2__
        __builtin_ia32_pause();
#endif
    }
    return false;
}

void latch_wait(struct latch *l)
{
    const struct timespec while_ns = {.tv_nsec = WAIT_NS};
    if (spin(l))
        return;
    atomic_fetch_add_explicit(&l->waiters, 1, memory_order_seq_cst);
    while (!take_now(l)) /* the kernel compares once more: a lock given back meanwhile is not slept upon */
        syscall(SYS_futex, &l->held, FUTEX_WAIT_PRIVATE, 1, &while_ns, NULL, 0);
    atomic_fetch_sub_explicit(&l->waiters, 1, memory_order_relaxed);
}

void latch_wake(struct latch *l) { syscall(SYS_futex, &l->held, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); }
