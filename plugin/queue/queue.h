/* queue/: sealed requests at rest. Today a memory window: one FIFO per route. The queue owns what is in it; its bytes
 * are counted by the memory budget before they come here. Not locked: it belongs to the delivery thread. */
#ifndef GCW_QUEUE_H
#define GCW_QUEUE_H

#include "codec/codec.h"

struct queue;
struct queue *queue_new(void);
void queue_free(struct queue *q); /* must be empty */

bool queue_push(struct queue *q, struct sealed *s);               /* at the tail of s->route; false = out of memory */
struct sealed *queue_head(const struct queue *q, uint32_t route); /* stays in the queue; NULL = empty */
struct sealed *queue_pop(struct queue *q, uint32_t route);        /* the caller owns it now */
/* Takes out the oldest request (by sealed_mono_ms) that `may_take` allows; NULL if none. For drop_oldest: what is in
 * flight must be passed over. */
struct sealed *queue_take_oldest(struct queue *q, bool (*may_take)(void *ctx, const struct sealed *s), void *ctx);

uint32_t queue_routes(const struct queue *q); /* highest route seen + 1 */
size_t queue_count(const struct queue *q, gcw_signal signal);
uint64_t queue_bytes(const struct queue *q, gcw_signal signal);
const struct sealed *queue_oldest(const struct queue *q, gcw_signal signal);

#endif
