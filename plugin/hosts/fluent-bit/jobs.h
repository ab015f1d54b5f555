/* Chunks on their way. A flush of the host hands its chunk over and waits, bounded; one worker of ours appends the
 * records; the writer's receipt ends the job. What is not over when the bound has passed is answered with RETRY and
 * kept in mind by its content: the host's next try of the same bytes finds the job and gets its answer, instead of
 * sending it twice.
 *
 *   WAITING ──> RUNNING ──> IN ──> DONE        attached: a flush waits for it, and its bytes are the host's
 *                 │  ^                         detached: that flush has answered RETRY
 *                 v  │ room again
 *               STALLED
 *
 * Everything is under `lock`, but for what the worker does to the job that is RUNNING. */
#ifndef GCW_HOSTS_FLUENT_BIT_JOBS_H
#define GCW_HOSTS_FLUENT_BIT_JOBS_H

#include <pthread.h>

#include "base/base.h"
#include "hosts/fluent-bit/abi.h"
#include "hosts/fluent-bit/logs.h"

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_STALLED, JOB_IN, JOB_DONE };

struct jobs;

struct job {
    struct job *next;      /* in line */
    struct job *next_kept; /* of its bucket, when detached */
    struct jobs *jobs;
    enum job_state state;
    gcw_signal signal;
    bool prompt;   /* the engine waits for it: no lingering */
    bool in_line;  /* in `todo` */
    bool detached; /* its flush has gone: in a bucket */
    bool broken;   /* its rest is lost for want of memory: the next try is answered with RETRY, the one after that
                      begins anew */
    gcw_receipt *receipt; /* NULL: over as soon as it is in memory */
    const char *data, *tag;
    size_t size;
    size_t done;   /* bytes that are through */
    char *own;     /* the chunk and its tag, copied when the flush went before all was through */
    uint64_t hash; /* of the whole chunk and tag */
    uint64_t done_at_ms;
    struct chunk_count count;
    enum flb_answer answer;
};

#define JOB_BUCKETS 256

struct jobs {
    pthread_mutex_t lock;
    pthread_cond_t work;    /* for the worker */
    pthread_cond_t changed; /* for flushes */
    struct job *todo, **todo_end;
    struct job *bucket[JOB_BUCKETS];
    size_t detached;
    uint64_t seed, swept_at_ms;
    bool late;    /* the last flush left without an answer, and nothing has ended since */
    bool closing; /* flushes answer RETRY */
};

struct chunk {
    gcw_signal signal;
    const void *data;
    size_t size;
    const char *tag;
};

bool jobs_init(struct jobs *j);
/* No flush is under way, the worker has ended, no receipt is outstanding. */
void jobs_free(struct jobs *j);

/* The job of an earlier try of this chunk; NULL if there is none. */
struct job *jobs_attach(struct jobs *j, const struct chunk *c);
/* A new one, not in line yet; NULL when out of memory, or when as many wait for their next try as are kept in mind. */
struct job *jobs_new(struct jobs *j, const struct chunk *c);
void jobs_discard(struct job *job); /* one that did not come to run */
/* A flush: puts a new job in line, and waits for at most wait_ms until it is done. The job is not the caller's any
 * more. */
enum flb_answer jobs_run(struct jobs *j, const struct chunk *c, struct job *job, uint64_t wait_ms);
bool jobs_late(struct jobs *j);
/* From now on flushes end at once, with RETRY. */
void jobs_close(struct jobs *j);

/* ---- the worker's side: with the lock held ------------------------------------------------------------------------
 */

/* The job at the head went as far as it could: it is all through (then it leaves the line), or stalled. */
void job_through(struct job *job);
void job_stalled(struct job *job);
/* It is over. Attached: its flush frees it. */
void job_done(struct job *job, enum flb_answer answer);

/* What a receipt's end means to the host. */
enum flb_answer job_answer(const struct job *job, const gcw_receipt_summary *summary, bool closing);
/* A gcw_receipt_new() `done`; `job` is a struct job. */
void job_on_receipt(void *job, const gcw_receipt_summary *summary);

#endif
