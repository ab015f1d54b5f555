/* The memory budget at its limit: who waits, and for what. */
#include <time.h>

#include "writer/writer.h"

bool room_init(gcw_writer *w)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->room.cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return pthread_mutex_init(&w->room.lock, NULL) == 0;
}

void room_destroy(gcw_writer *w)
{
    pthread_cond_destroy(&w->room.cond);
    pthread_mutex_destroy(&w->room.lock);
}

void room_signal(gcw_writer *w)
{
    if (atomic_load(&w->room.waiters) == 0)
        return;
    pthread_mutex_lock(&w->room.lock);
    pthread_cond_broadcast(&w->room.cond);
    pthread_mutex_unlock(&w->room.lock);
}

/* Waits for a signal, at most `ms` and not past the deadline; a missed signal costs one such wait. */
static void room_pause(gcw_writer *w, uint64_t ms, uint64_t deadline_ms)
{
    struct timespec ts;
    deadline_timespec(MIN(clock_mono_ms() + ms, deadline_ms), &ts);
    pthread_mutex_lock(&w->room.lock);
    atomic_fetch_add(&w->room.waiters, 1);
    pthread_cond_timedwait(&w->room.cond, &w->room.lock, &ts);
    atomic_fetch_sub(&w->room.waiters, 1);
    pthread_mutex_unlock(&w->room.lock);
}

#define PAUSE_MS 20

static void evict_ask(gcw_writer *w)
{
    atomic_store(&w->room.wanted, w->seal_room);
    transport_wake(w->transport);
}

static bool wait_on(gcw_writer *w, struct room_wait *wait, gcw_status *status)
{
    uint64_t now = clock_mono_ms(), limit = w->config->block_timeout_ms;
    if (wait->deadline_ms == 0)
        wait->deadline_ms = limit ? now + limit : UINT64_MAX;
    if (now >= wait->deadline_ms) {
        *status = GCW_ERR_TIMEOUT;
        return false;
    }
    evict_ask(w);
    room_pause(w, PAUSE_MS, wait->deadline_ms);
    if (atomic_load(&w->closing)) {
        *status = GCW_ERR_CLOSED;
        return false;
    }
    return true;
}

bool room_wait(gcw_writer *w, gcw_signal signal, struct room_wait *wait, gcw_status *status)
{
    if (wait->deadline_ms == 0)
        batcher_close_all(w->batcher); /* memory in half-full batches is of use once it is sealed */
    switch ((enum overflow_policy)w->config->overflow) {
    case OVERFLOW_BLOCK:
    case OVERFLOW_DROP_OLDEST:
        return wait_on(w, wait, status);
    case OVERFLOW_DROP_NEWEST:
        atomic_fetch_add(&w->counters[signal].turned_away[AWAY_NEWEST], wait->records);
        transport_wake(w->transport); /* the delivery thread tells the host */
        *status = GCW_ERR_DROPPED;
        return false;
    case OVERFLOW_ERROR:
        evict_ask(w);
        break;
    }
    *status = GCW_ERR_FULL;
    return false;
}

/* The encoder's: what a sealed request may take, before it is made. Intake leaves `headroom`, so with nothing sealed
 * there is always enough; otherwise delivery frees some, or a policy does. Where chunks were taken beyond the budget
 * (many series let go at once) only sealing gives that back, so it does not wait. */
bool room_take_for_seal(gcw_writer *w, uint64_t bytes)
{
    while (!budget_take(&w->budget, bytes, w->part_room)) {
        if (atomic_load(&w->stop_encoder))
            return false;
        if (atomic_load(&w->forced) > 0) {
            atomic_fetch_add(&w->budget.used, bytes);
            return true;
        }
        evict_ask(w);
        room_pause(w, PAUSE_MS, UINT64_MAX);
    }
    return true;
}
