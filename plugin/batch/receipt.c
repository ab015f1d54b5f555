/* Receipts: counts of what was appended under one and how it ended. References: the owner's, and one for each record
 * that has not ended; the last one frees. */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "batch/batch.h"

struct gcw_receipt {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    gcw_receipt_level level;
    void (*done)(void *user, const gcw_receipt_summary *summary);
    void *user;
    bool sealed, held; /* held: the owner has not freed it */
    bool told;         /* done() was called */
    uint64_t records, ended;
    uint64_t outcome[GCW_OUTCOMES];
};

struct gcw_receipt *receipt_new(gcw_receipt_level level, void (*done)(void *, const gcw_receipt_summary *), void *user)
{
    struct gcw_receipt *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&r->lock, NULL);
    r->level = level;
    r->done = done;
    r->user = user;
    r->held = true;
    return r;
}

static gcw_receipt_summary summary_of(const struct gcw_receipt *r)
{
    bool complete = r->sealed && (r->level == GCW_RECEIPT_QUEUED || r->ended == r->records);
    gcw_receipt_summary s = {.complete = complete, .records = r->records};
    memcpy(s.outcome, r->outcome, sizeof s.outcome);
    return s;
}

/* Unlocks; tells and frees where it is time for either. */
static void unlock_and_finish(struct gcw_receipt *r)
{
    gcw_receipt_summary s = summary_of(r);
    bool tell = s.complete && !r->told;
    r->told |= tell;
    bool last = !r->held && r->ended == r->records;
    void (*done)(void *, const gcw_receipt_summary *) = tell ? r->done : NULL;
    void *user = r->user;
    if (tell)
        pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    if (done)
        done(user, &s);
    if (last) {
        pthread_cond_destroy(&r->changed);
        pthread_mutex_destroy(&r->lock);
        free(r);
    }
}

void receipt_add(struct gcw_receipt *r, uint64_t records)
{
    pthread_mutex_lock(&r->lock);
    r->records += records;
    pthread_mutex_unlock(&r->lock);
}

void receipt_settle(struct gcw_receipt *r, gcw_outcome outcome, uint64_t records)
{
    pthread_mutex_lock(&r->lock);
    r->outcome[outcome] += records;
    r->ended += records;
    ENSURE(r->ended <= r->records);
    unlock_and_finish(r);
}

bool receipt_durable(struct gcw_receipt *r, uint64_t records)
{
    if (r->level == GCW_RECEIPT_DELIVERED)
        return false;
    pthread_mutex_lock(&r->lock);
    r->ended += records;
    ENSURE(r->ended <= r->records);
    unlock_and_finish(r);
    return true;
}

void gcw_receipt_seal(gcw_receipt *r)
{
    pthread_mutex_lock(&r->lock);
    r->sealed = true;
    unlock_and_finish(r);
}

gcw_status gcw_receipt_wait(gcw_receipt *r, int timeout_ms, gcw_receipt_summary *out)
{
    uint64_t deadline = deadline_after(timeout_ms);
    struct timespec ts;
    deadline_timespec(deadline, &ts);
    pthread_mutex_lock(&r->lock);
    while (!summary_of(r).complete && clock_mono_ms() < deadline)
        pthread_cond_timedwait(&r->changed, &r->lock, &ts);
    gcw_receipt_summary s = summary_of(r);
    pthread_mutex_unlock(&r->lock);
    if (out)
        *out = s;
    return s.complete ? GCW_OK : GCW_ERR_TIMEOUT;
}

void gcw_receipt_free(gcw_receipt *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    ENSURE(r->held);
    r->sealed = true;
    r->held = false;
    unlock_and_finish(r);
}
