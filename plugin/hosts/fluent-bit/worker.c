/* The worker: takes chunks in the order they came and appends their records. When memory is full it keeps its place in
 * the chunk and goes on when there is room. Batches are closed as soon as nobody else has anything to add, so that a
 * host that waits for the receiver's answer does not wait for a batch to fill. */
#include <signal.h>
#include <time.h>

#include "hosts/fluent-bit/instance.h"

#define ROOM_MS  20   /* between tries while memory is full: the writer does not tell when there is room */
#define IDLE_MS  1000 /* between looks at lines nobody came for */
#define STALE_MS 2000
#define TELL_MS  60000

static gcw_status append_metrics(struct instance *in, struct job *job)
{
    struct chunk_count count = {0};
    size_t done = 0;
    gcw_status status =
        metrics_chunk(in->metrics, job->data + job->done, job->size - job->done, job->tag, job->receipt, &done, &count);
    job->done += done;
    job->count.records += count.records;
    job->count.skipped += count.skipped;
    job->count.refused += count.refused;
    return status;
}

static gcw_status append(struct instance *in, struct job *job)
{
    return job->signal == GCW_METRICS
               ? append_metrics(in, job)
               : logs_chunk(in->logs, job->data, job->size, job->tag, job->receipt, &job->done, &job->count);
}

/* What could not be taken, at most once a minute. */
static void tell_damage(struct instance *in, const struct job *job)
{
    struct chunk_count *u = &in->untold;
    uint64_t now = clock_mono_ms();
    u->skipped += job->count.skipped;
    u->refused += job->count.refused;
    if (u->skipped + u->refused == 0 || (in->told_at_ms && now - in->told_at_ms < TELL_MS))
        return;
    say_line(&in->say, GCW_LOG_WARN, "%s: %llu records could not be read and were skipped, %llu were refused",
             gcw_signal_name(job->signal), (unsigned long long)u->skipped, (unsigned long long)u->refused);
    in->told_at_ms = now;
    *u = (struct chunk_count){0};
}

static void pause_until(struct jobs *j, uint64_t deadline_ms)
{
    struct timespec ts;
    deadline_timespec(deadline_ms, &ts);
    pthread_cond_timedwait(&j->work, &j->lock, &ts);
}

/* All of the chunk is in the writer. The receipt may complete at once, and the job be gone then. */
static void through(struct instance *in, struct job *job)
{
    gcw_receipt *receipt = job->receipt;
    tell_damage(in, job);
    pthread_mutex_lock(&in->jobs.lock);
    if (receipt) {
        job_through(job);
    } else {
        const gcw_receipt_summary all = {.complete = true, .records = job->count.records};
        job_done(job, job_answer(job, &all, false));
    }
    pthread_mutex_unlock(&in->jobs.lock);
    if (receipt)
        gcw_receipt_seal(receipt);
}

/* With the lock held, and again when it returns. True: records are in that a flush waits for. */
static bool work_on(struct instance *in, struct job *job)
{
    struct jobs *j = &in->jobs;
    bool waited_for = job->receipt;
    job->state = JOB_RUNNING;
    pthread_mutex_unlock(&j->lock);
    gcw_status status = append(in, job);
    if (status == GCW_OK)
        through(in, job);
    pthread_mutex_lock(&j->lock);
    if (status == GCW_OK)
        return waited_for;
    job_stalled(job);
    if (!j->closing)
        pause_until(j, clock_mono_ms() + ROOM_MS);
    return false;
}

static void close_batches(struct instance *in)
{
    pthread_mutex_unlock(&in->jobs.lock);
    gcw_writer_flush(in->writer, 0);
    pthread_mutex_lock(&in->jobs.lock);
}

static void idle(struct instance *in)
{
    pause_until(&in->jobs, clock_mono_ms() + IDLE_MS);
    pthread_mutex_unlock(&in->jobs.lock);
    say_emit_stale(&in->say, STALE_MS);
    pthread_mutex_lock(&in->jobs.lock);
}

static void *worker_main(void *instance)
{
    struct instance *in = instance;
    struct jobs *j = &in->jobs;
    uint64_t close_at = UINT64_MAX; /* when open batches are to be closed */
    pthread_mutex_lock(&j->lock);
    while (!j->closing) {
        struct job *job = j->todo;
        if (close_at != UINT64_MAX && (clock_mono_ms() >= close_at || (job && job->state == JOB_STALLED))) {
            close_at = UINT64_MAX;
            close_batches(in);
        } else if (job) {
            uint64_t linger = job->prompt ? 0 : in->settings.ack_linger_ms;
            if (work_on(in, job))
                close_at = MIN(close_at, clock_mono_ms() + linger);
        } else if (close_at != UINT64_MAX) {
            pause_until(j, close_at);
        } else {
            idle(in);
        }
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* The host's signal handlers must not run on our thread. */
bool worker_start(struct instance *in)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    in->has_worker = pthread_create(&in->worker, NULL, worker_main, in) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (in->has_worker)
        pthread_setname_np(in->worker, "gcw-fluent-bit");
    return in->has_worker;
}

void worker_stop(struct instance *in)
{
    if (!in->has_worker)
        return;
    jobs_close(&in->jobs);
    pthread_join(in->worker, NULL);
    in->has_worker = false;
}
