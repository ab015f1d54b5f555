/* The machine for tests: without a disk, and at rest until it is run. What is sent, and what a part is, each test says
 * itself; its world begins with this. */
#ifndef TEST_DELIVER_MACHINE_H
#define TEST_DELIVER_MACHINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "deliver/deliver.h"

#define HOUR UINT64_C(3600000)

struct machine {
    struct queue *queue;
    struct deliver *deliver;
    uint64_t now;
    uint64_t outcome[GCW_OUTCOMES];
    size_t released;
};

static inline void machine_settle(void *ctx, const struct settlement *end)
{
    ((struct machine *)ctx)->outcome[end->outcome] += end->records;
}

static inline void machine_release(void *ctx, struct sealed *s)
{
    ((struct machine *)ctx)->released++;
    sealed_free(s);
}

static inline uint32_t no_jitter(void *ctx)
{
    (void)ctx;
    return 0;
}

static inline void no_log(void *ctx, gcw_log_level level, const char *text) { (void)ctx, (void)level, (void)text; }

/* `c`: its backoff and offer_ms may be left out. `log` may be NULL. */
static inline void machine_open(struct machine *m, const struct deliver_config *c,
                                void (*send)(void *ctx, const struct sealed *s, unsigned attempt),
                                struct sealed *(*part)(void *ctx, const struct sealed *s, struct part *p),
                                void (*log)(void *ctx, gcw_log_level level, const char *text))
{
    struct deliver_config config = *c;
    const struct deliver_ops ops = {m, send, part, machine_settle, machine_release, no_jitter, log ? log : no_log};
    const struct queue_config qc = {.mode = QUEUE_MEMORY};
    const struct queue_ops qops = {.ctx = m};
    config.backoff = (struct backoff_config){500, 300000, 60000};
    config.offer_ms = HOUR;
    m->now = 1000;
    m->queue = queue_new(&qc, &qops);
    m->deliver = deliver_new(&config, &ops, m->queue);
}

static inline void machine_close(struct machine *m)
{
    deliver_stop(m->deliver);
    deliver_drop_all(m->deliver, "end of test");
    deliver_free(m->deliver);
    queue_free(m->queue);
}

#endif
