#include "hosts/fluent-bit/jobs.h"

#include <stdlib.h>
#include <time.h>

#define MINUTE_MS     (60 * (uint64_t)1000)
#define DETACHED_MOST 16384             /* chunks that are kept in mind for their next try */
#define KEPT_MS       (120 * MINUTE_MS) /* how long their answers are: the host's delays end at 2000 s */
#define KEPT_FULL_MS  (10 * MINUTE_MS)  /* when there are too many */

bool jobs_init(struct jobs *j)
{
    *j = (struct jobs){.seed = (uint64_t)random_u32() << 32 | random_u32()};
    j->todo_end = &j->todo;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    bool ok = pthread_cond_init(&j->work, &monotonic) == 0 && pthread_cond_init(&j->changed, &monotonic) == 0 &&
              pthread_mutex_init(&j->lock, NULL) == 0;
    pthread_condattr_destroy(&monotonic);
    return ok;
}

void jobs_discard(struct job *job)
{
    gcw_receipt_free(job->receipt);
    free(job->own);
    free(job);
}

void jobs_free(struct jobs *j)
{
    for (size_t i = 0; i < JOB_BUCKETS; i++) {
        for (struct job *job = j->bucket[i], *next; job; job = next) {
            next = job->next_kept;
            jobs_discard(job);
        }
    }
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->work);
    pthread_cond_destroy(&j->changed);
}

/* ---- chunks kept in mind ----------------------------------------------------------------------------------------- */

static uint64_t chunk_hash(const struct jobs *j, const struct chunk *c)
{
    return hash_bytes(c->data, c->size, hash_bytes(c->tag, strlen(c->tag), j->seed + (uint64_t)c->signal));
}

static void keep(struct jobs *j, const struct chunk *c, struct job *job)
{
    job->hash = chunk_hash(j, c);
    struct job **bucket = &j->bucket[job->hash % JOB_BUCKETS];
    job->next_kept = *bucket;
    *bucket = job;
    job->detached = true;
    j->detached++;
}

static void unkeep(struct jobs *j, struct job **link)
{
    struct job *job = *link;
    *link = job->next_kept;
    job->next_kept = NULL;
    job->detached = false;
    j->detached--;
}

/* Answers nobody came for: the host gave the chunk up, or has it on disk. */
static void sweep(struct jobs *j)
{
    uint64_t now = clock_mono_ms(), age = j->detached >= DETACHED_MOST ? KEPT_FULL_MS : KEPT_MS;
    if (now - j->swept_at_ms < MINUTE_MS)
        return;
    j->swept_at_ms = now;
    for (size_t i = 0; i < JOB_BUCKETS; i++) {
        for (struct job **link = &j->bucket[i]; *link;) {
            struct job *job = *link;
            if (job->state == JOB_DONE && now - job->done_at_ms > age) {
                unkeep(j, link);
                jobs_discard(job);
            } else {
                link = &job->next_kept;
            }
        }
    }
}

struct job *jobs_attach(struct jobs *j, const struct chunk *c)
{
    struct job *job = NULL;
    pthread_mutex_lock(&j->lock);
    if (j->detached > 0) {
        uint64_t hash = chunk_hash(j, c);
        struct job **link = &j->bucket[hash % JOB_BUCKETS];
        while (*link && ((*link)->hash != hash || (*link)->size != c->size))
            link = &(*link)->next_kept;
        if ((job = *link))
            unkeep(j, link);
    }
    pthread_mutex_unlock(&j->lock);
    return job;
}

struct job *jobs_new(struct jobs *j, const struct chunk *c)
{
    pthread_mutex_lock(&j->lock);
    sweep(j);
    bool full = j->detached >= DETACHED_MOST;
    pthread_mutex_unlock(&j->lock);
    struct job *job = full ? NULL : calloc(1, sizeof *job);
    if (job) {
        job->jobs = j;
        job->signal = c->signal;
        job->data = c->data;
        job->tag = c->tag;
        job->size = c->size;
    }
    return job;
}

/* ---- flushes -------------------------------------------------------------------------------------------------------
 */

static void line_up(struct jobs *j, struct job *job)
{
    job->in_line = true;
    *j->todo_end = job;
    j->todo_end = &job->next;
    pthread_cond_signal(&j->work);
}

static void leave_line(struct jobs *j, struct job *job)
{
    struct job **link = &j->todo;
    while (*link != job)
        link = &(*link)->next;
    *link = job->next;
    if (!*link)
        j->todo_end = link;
    job->next = NULL;
    job->in_line = false;
}

/* The host's bytes are gone when the flush is. All of the chunk: what stands in its front part is of use to the rest.
 */
static bool copy_chunk(struct job *job)
{
    size_t tag = strlen(job->tag) + 1;
    if (job->own)
        return true;
    if (!(job->own = malloc(job->size + tag)))
        return false;
    memcpy(job->own, job->data, job->size);
    memcpy(job->own + job->size, job->tag, tag);
    job->data = job->own;
    job->tag = job->own + job->size;
    return true;
}

/* The bound has passed. True: forget the job, nothing of it is in. *seal is a receipt that the caller seals once it has
 * unlocked. */
static bool detach(struct jobs *j, const struct chunk *c, struct job *job, gcw_receipt **seal)
{
    while (job->state == JOB_RUNNING) /* reads the host's bytes; as long as one chunk takes at the most */
        pthread_cond_wait(&j->changed, &j->lock);
    if (job->state == JOB_DONE)
        return false;
    if (job->state == JOB_IN || ((job->done > 0 || job->own) && copy_chunk(job))) {
        keep(j, c, job);
        return false;
    }
    leave_line(j, job);
    if (job->done == 0 || !job->receipt)
        return true;
    job->state = JOB_IN;
    job->broken = true;
    *seal = job->receipt;
    keep(j, c, job);
    return false;
}

enum flb_answer jobs_run(struct jobs *j, const struct chunk *c, struct job *job, uint64_t wait_ms)
{
    struct timespec ts;
    uint64_t deadline = clock_mono_ms() + wait_ms;
    enum flb_answer answer = FLB_RETRY;
    gcw_receipt *seal = NULL;
    bool over = false;
    deadline_timespec(deadline, &ts);
    pthread_mutex_lock(&j->lock);
    if (!job->in_line && job->state == JOB_WAITING)
        line_up(j, job);
    while (job->state != JOB_DONE && !j->closing && clock_mono_ms() < deadline)
        pthread_cond_timedwait(&j->changed, &j->lock, &ts);
    if (job->state != JOB_DONE)
        over = detach(j, c, job, &seal);
    j->late = job->state != JOB_DONE;
    if (job->state == JOB_DONE) {
        answer = job->answer;
        over = true;
    }
    pthread_mutex_unlock(&j->lock);
    if (seal)
        gcw_receipt_seal(seal);
    if (over)
        jobs_discard(job);
    return answer;
}

bool jobs_late(struct jobs *j)
{
    pthread_mutex_lock(&j->lock);
    bool late = j->late;
    pthread_mutex_unlock(&j->lock);
    return late;
}

void jobs_close(struct jobs *j)
{
    pthread_mutex_lock(&j->lock);
    j->closing = true;
    pthread_cond_broadcast(&j->changed);
    pthread_cond_broadcast(&j->work);
    pthread_mutex_unlock(&j->lock);
}

/* ---- the worker ----------------------------------------------------------------------------------------------------
 */

void job_through(struct job *job)
{
    leave_line(job->jobs, job);
    job->state = JOB_IN;
    free(job->own);
    job->own = NULL;
    pthread_cond_broadcast(&job->jobs->changed);
}

void job_stalled(struct job *job)
{
    job->state = JOB_STALLED;
    pthread_cond_broadcast(&job->jobs->changed);
}

void job_done(struct job *job, enum flb_answer answer)
{
    struct jobs *j = job->jobs;
    if (job->in_line)
        leave_line(j, job);
    job->state = JOB_DONE;
    job->answer = answer;
    job->done_at_ms = clock_mono_ms();
    j->late = false;
    pthread_cond_broadcast(&j->changed);
}

/* Part of a chunk cannot be answered for: what was refused of it was said in the log and counted; sending all of it
 * again would only bring it twice. */
enum flb_answer job_answer(const struct job *job, const gcw_receipt_summary *s, bool closing)
{
    uint64_t bad = s->outcome[GCW_REJECTED] + s->outcome[GCW_EXPIRED] + s->outcome[GCW_DROPPED];
    if (closing && s->outcome[GCW_DROPPED] > 0)
        return FLB_RETRY; /* thrown away because we end, not because of what it is */
    if (job->broken)
        return FLB_RETRY;
    if (s->records == 0)
        return job->count.skipped + job->count.refused > 0 ? FLB_ERROR : FLB_OK;
    return bad == s->records ? FLB_ERROR : FLB_OK;
}

void job_on_receipt(void *user, const gcw_receipt_summary *summary)
{
    struct job *job = user;
    struct jobs *j = job->jobs;
    pthread_mutex_lock(&j->lock);
    if (job->state == JOB_IN)
        job_done(job, job_answer(job, summary, j->closing));
    pthread_mutex_unlock(&j->lock);
}
