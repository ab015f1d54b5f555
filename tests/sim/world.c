/* The host and the machine under test, wired as the writer wires them, and the invariants. */
#include <stdarg.h>
#include <stdlib.h>

#include "queue/segment.h"
#include "world.h"

static const char *const tenants[ROUTES_MAX] = {"a", "b", "a", "c"};

static gcw_signal signal_of(uint32_t route) { return route >= 2 ? GCW_LOGS : GCW_METRICS; }

void fail(struct failure *f, const char *fmt, ...)
{
    va_list args;
    if (f->failed)
        return;
    f->failed = true;
    va_start(args, fmt);
    vsnprintf(f->text, sizeof f->text, fmt, args);
    va_end(args);
}

/* ---- what the machine calls -------------------------------------------------------------------------------------- */

static bool memory_take(void *world, uint64_t bytes)
{
    struct world *w = world;
    if (w->memory + bytes > w->set.memory_limit || (w->set.others && chance_of(&w->chance, 3)))
        return false;
    w->memory += bytes;
    return true;
}

static void memory_give(struct world *w, uint64_t bytes)
{
    if (w->memory < bytes)
        fail(w->failure, "more memory given back than was taken");
    w->memory -= MIN(bytes, w->memory);
}

static void on_unload(void *world, struct sealed *s, uint64_t charge)
{
    if (s && s->share_count > 0)
        fail(((struct world *)world)->failure, "a request left memory with its receipt shares");
    sealed_free(s);
    memory_give(world, charge);
}

static void on_durable(void *world, struct sealed *s)
{
    struct world *w = world;
    uint32_t id[BODY_RECORDS_MAX], count = 0;
    if (!body_read(s, id, &count))
        fail(w->failure, "a durable body is not ours");
    for (uint32_t i = 0; i < count; i++)
        if (!w->record[id[i]].ended)
            w->record[id[i]].receipt = true;
}

/* A share in the simulator points to the first id of its request. */
static void shares_end(struct world *w, const struct receipt_share *shares, uint32_t count, uint32_t expected)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t id = (uint32_t)(uintptr_t)shares[i].receipt;
        if (expected && id != expected)
            fail(w->failure, "request of record %u came back with the receipt of %u", expected, id);
        if (!w->held[id])
            fail(w->failure, "the receipt of record %u ended twice", id);
        w->held[id] = false;
    }
}

static void on_lost(void *world, const struct queue_loss *loss, const struct receipt_share *shares, uint32_t count)
{
    struct world *w = world;
    bool policy = strncmp(loss->why, "queue_limit", 11) == 0;
    shares_end(w, shares, count, 0);
    w->lost += loss->records;
    w->lost_total += loss->records;
    if (loss->records == 0)
        return;
    if (w->trace)
        fprintf(w->trace, "      lost %llu of route %u: %s\n", (unsigned long long)loss->records, loss->route,
                loss->why);
    if (policy ? !w->set.drop_oldest : !w->rotten && !w->vanished && !w->lost_power)
        fail(w->failure, "%llu records lost without a cause: %s", (unsigned long long)loss->records, loss->why);
    /* which ones is not told; if an unlinked file comes back without power, they may arrive out of their place */
    for (uint32_t i = 1; i <= w->records; i++)
        if (w->record[i].route == loss->route && !w->record[i].taken && !w->record[i].ended)
            w->record[i].order_ok = true;
}

/* Rejected without an answer: what 1.0 could not say. A process before this one may have told so already, and some may
 * have been taken or refused in 2.0 before the receiver changed: which ones are meant is not told, so those come last.
 */
static void unsaid_end(struct world *w, const uint32_t *id, uint32_t count, uint64_t n)
{
    uint64_t unsayable = 0, left = n;
    for (uint32_t i = 0; i < count; i++)
        unsayable += record_unsayable(id[i]);
    for (int known = 0; known < 2; known++)
        for (uint32_t i = 0; i < count; i++) {
            struct record *r = &w->record[id[i]];
            if (record_unsayable(id[i]) && !r->ended && (r->taken || r->refused) == (bool)known && left > 0)
                r->ended = r->order_ok = true, left--;
        }
    if (n > unsayable)
        fail(w->failure, "%llu records that can be said were given up as if not", (unsigned long long)(n - unsayable));
}

#define SIFT_CREDIT 64 /* refusals that a route may spend on looking for bad records */

/* The end of what was refused whole: bad ones, alone as long as there is credit. */
static void poisoned_end(struct world *w, const struct flight *f, uint64_t n)
{
    if (n != f->count)
        fail(w->failure, "%u records were refused, %llu ended", f->count, (unsigned long long)n);
    for (uint32_t i = 0; i < f->count; i++) {
        struct record *r = &w->record[f->id[i]];
        if (!record_poison(f->id[i]) && w->poison_refusals[f->route] <= SIFT_CREDIT)
            fail(w->failure, "record %u was given up for another that is bad", f->id[i]);
        if (!r->taken)
            r->refused = true;
    }
}

static void on_settle(void *world, const struct settlement *end)
{
    struct world *w = world;
    uint32_t id[BODY_RECORDS_MAX], count = 0, taken = 0;
    const struct sealed *s = end->request;
    w->settled += end->records;
    if (end->records > s->records)
        fail(w->failure, "more records ended than the request holds");
    if (!body_read(s, id, &count))
        return;
    for (uint32_t i = 0; i < count; i++)
        taken += w->record[id[i]].taken;
    if (end->outcome == GCW_DELIVERED && taken < end->records)
        fail(w->failure, "%llu records from %u on ended as delivered, %u were", (unsigned long long)end->records, id[0],
             taken);
    if (end->outcome == GCW_REJECTED && end->http_status == 0)
        unsaid_end(w, id, count, end->records);
    if (end->outcome == GCW_REJECTED && end->http_status == 400 && w->poisoned)
        poisoned_end(w, w->poisoned, end->records);
    if (end->outcome == GCW_DELIVERED || end->outcome == GCW_REJECTED)
        return; /* the receiver knows of these */
    for (uint32_t i = (uint32_t)(count - end->records); i < count; i++)
        w->record[id[i]].ended = w->record[id[i]].order_ok = true;
}

/* A request with something bad in it costs six refusals at the most, what credit there is apart. */
static void poison_cost(struct world *w, uint32_t route)
{
    w->heads[route]++;
    w->bad_heads[route] += w->poison_refusals[route] != w->refusals_before[route];
    w->refusals_before[route] = w->poison_refusals[route];
    if (w->poison_refusals[route] > SIFT_CREDIT + w->heads[route] + 6 * (w->bad_heads[route] + 1))
        fail(w->failure, "%u requests with bad records cost %u refusals", w->bad_heads[route],
             w->poison_refusals[route]);
}

static void on_release(void *world, struct sealed *s)
{
    struct world *w = world;
    uint32_t id[BODY_RECORDS_MAX], count = 0;
    if (s->lanes > 0)
        poison_cost(w, s->route);
    if (body_read(s, id, &count) && s->share_count > 0) {
        shares_end(w, s->shares, s->share_count, id[0]);
        s->share_count = 0;
    }
    uint64_t charge = s->charge;
    sealed_free(s);
    memory_give(w, charge);
}

/* In 1.0 at most seven fit, and some cannot be said. */
static struct sealed *on_part(void *world, const struct sealed *s, struct part *part)
{
    struct world *w = world;
    uint32_t id[BODY_RECORDS_MAX], said[BODY_RECORDS_MAX], all, n = 0;
    bool older = part->protocol != s->protocol;
    part->broken = !body_read(s, id, &all) || part->from + part->count > all;
    part->unsaid = 0;
    if (part->broken)
        return NULL;
    if (older && part->protocol != PROTOCOL_RW1)
        fail(w->failure, "a request is to be sent in a newer protocol");
    part->count = older ? MIN(part->count, 7u) : part->count;
    for (uint32_t i = part->from; i < part->from + part->count; i++)
        if (older && record_unsayable(id[i]))
            part->unsaid++;
        else
            said[n++] = id[i];
    if (n == 0)
        return NULL;
    struct sealed *out = body_make(w, s->route, said, n);
    out->signal = s->signal;
    out->tenant = s->tenant;
    out->batch_seq = s->batch_seq;
    out->protocol = part->protocol;
    out->lanes = 0; /* which a request has not */
    if (memory_take(w, out->charge))
        return out;
    sealed_free(out);
    part->unsaid = 0;
    return NULL;
}

static uint32_t on_random(void *world) { return chance_u32(&((struct world *)world)->chance); }

static void on_log(void *world, gcw_log_level level, const char *text)
{
    struct world *w = world;
    (void)level;
    if (w->trace)
        fprintf(w->trace, "      log: %s\n", text);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void settings_choose(struct settings *s, struct chance *c)
{
    static const enum queue_mode modes[] = {QUEUE_DURABLE, QUEUE_DURABLE, QUEUE_SPILL, QUEUE_MEMORY};
    *s = (struct settings){
        .mode = modes[chance_below(c, 4)],
        .segment_bytes = 4096u << chance_below(c, 4),
        .disk_limit = 65536u << chance_below(c, 5),
        .memory_limit = 14000 + chance_below(c, 65536),
        .max_age_ms = chance_of(c, 4) ? 60000 + chance_below(c, 600000) : 0,
        .spill_after_ms = chance_of(c, 2) ? 1000 + chance_below(c, 20000) : 0,
        .drop_oldest = chance_of(c, 3),
        .others = chance_of(c, 4),
        .routes = 1 + chance_below(c, ROUTES_MAX),
        .in_flight = 1 + chance_below(c, 4),
    };
}

struct world *world_new(uint64_t seed, struct failure *f, FILE *trace)
{
    struct world *w = calloc(1, sizeof *w);
    ENSURE(w);
    w->failure = f;
    w->trace = trace;
    w->chance = chance_new(seed);
    settings_choose(&w->set, &w->chance);
    w->speaks = chance_of(&w->chance, 2) ? SPEAKS_2 : (enum speaks)chance_below(&w->chance, SPEAKS);
    w->vdisk = vdisk_new(&w->chance);
    w->disk = vdisk_ops(w->vdisk);
    w->now_ms = 1000 + chance_below(&w->chance, 100000);
    w->unix_ms = INT64_C(1700000000000);
    if (trace)
        fprintf(trace,
                "speaks %d mode %d disk %llu segment %llu memory %llu age %llu spill %llu drop_oldest %d routes %u "
                "flights %u\n",
                w->speaks, w->set.mode, (unsigned long long)w->set.disk_limit, (unsigned long long)w->set.segment_bytes,
                (unsigned long long)w->set.memory_limit, (unsigned long long)w->set.max_age_ms,
                (unsigned long long)w->set.spill_after_ms, w->set.drop_oldest, w->set.routes, w->set.in_flight);
    world_open(w);
    return w;
}

static uint32_t route_of(void *world, const struct route_id *id)
{
    const struct world *w = world;
    for (uint32_t i = 0; i < w->set.routes; i++)
        if (signal_of(i) == id->signal && strcmp(tenants[i], id->tenant) == 0)
            return i;
    return UINT32_MAX;
}

static bool trace_record(void *ctx, const struct segment_record *r, uint64_t at)
{
    struct world *w = ctx;
    fprintf(w->trace, " %llu@%llu", (unsigned long long)r->seq, (unsigned long long)at);
    return true;
}

static void trace_damage(void *ctx, const struct segment_record *r, uint64_t at, uint64_t bytes)
{
    struct world *w = ctx;
    (void)bytes;
    fprintf(w->trace, " (%s damaged @%llu)", r ? "body" : "head", (unsigned long long)at);
}

static void trace_file(void *ctx, const char *name)
{
    struct world *w = ctx;
    const struct segment_walk walk = {w, true, trace_record, trace_damage};
    uint64_t torn;
    size_t n;
    const uint8_t *p = vdisk_file(w->vdisk, name, &n);
    struct segment_mark m;
    segment_mark_get(p, n, &m);
    fprintf(w->trace, "      %s: %zu bytes, ended %llu up to %llu; seq", name, n, (unsigned long long)m.ended.requests,
            (unsigned long long)m.end);
    int file = w->disk.open(w->disk.ctx, name, DISK_READ);
    if (file >= 0)
        segment_walk(&w->disk, file, SEGMENT_DATA, &walk, &torn);
    fprintf(w->trace, "\n");
}

void world_open(struct world *w)
{
    if (w->trace)
        w->disk.list(w->disk.ctx, trace_file, w);
    const struct queue_config qc = {
        .mode = w->set.mode,
        .disk_limit = w->set.disk_limit,
        .segment_bytes = w->set.segment_bytes,
        .drop_oldest = w->set.drop_oldest,
        .boot = (uint64_t)chance_u32(&w->chance) << 32 | 1,
        .disk = &w->disk,
    };
    const struct queue_ops qo = {w, memory_take, on_unload, on_durable, on_lost, on_log};
    w->metrics_protocol =
        chance_of(&w->chance, 4) ? (enum metrics_protocol)chance_below(&w->chance, 3) : METRICS_PROTOCOL_AUTO;
    const struct deliver_config dc = {{500, 300000, 60000},
                                      w->set.max_age_ms,
                                      w->set.in_flight,
                                      w->set.spill_after_ms,
                                      w->metrics_protocol,
                                      100000,
                                      true};
    const struct deliver_ops dops = {w, receiver_send, on_part, on_settle, on_release, on_random, on_log};
    gcw_error err;
    gcw_status status = GCW_ERR_IO;
    w->memory = w->accepted = w->settled = w->lost = 0;
    memset(w->seq, 0, sizeof w->seq);
    memset(w->poison_refusals, 0, sizeof w->poison_refusals);
    memset(w->heads, 0, sizeof w->heads);
    memset(w->bad_heads, 0, sizeof w->bad_heads);
    memset(w->refusals_before, 0, sizeof w->refusals_before);
    for (int tries = 0; status == GCW_ERR_IO && tries < 50; tries++) { /* a disk in trouble: the host tries again */
        if (tries)
            queue_free(w->queue);
        w->queue = queue_new(&qc, &qo);
        status = queue_recover(w->queue, route_of, w, w->now_ms, w->unix_ms, &err);
        if (tries == 40)
            vdisk_faults(w->vdisk, &(struct disk_faults){0});
    }
    if (status != GCW_OK)
        fail(w->failure, "recovery: %s", err.text);
    w->deliver = deliver_new(&dc, &dops, w->queue);
    w->recovered = 0;
    for (int i = 0; i < GCW_SIGNALS; i++) {
        struct queue_gauges g;
        queue_gauges(w->queue, (gcw_signal)i, &g);
        w->recovered += g.recovered_records;
    }
}

static void flights_end(struct world *w)
{
    for (size_t i = 0; i < FLIGHTS_MAX; i++) {
        struct flight *f = &w->flight[i];
        if (!f->used)
            continue;
        bool taken = chance_of(&w->chance, 2) && w->receiver[f->route].weather == FINE && !w->token_bad &&
                     (f->protocol != PROTOCOL_RW2 || w->speaks == SPEAKS_2);
        for (uint32_t k = 0; k < f->count; k++) {
            if (taken && !w->record[f->id[k]].taken)
                w->receiver[f->route].newest = MAX(w->receiver[f->route].newest, f->id[k]);
            w->record[f->id[k]].taken |= taken;
            w->record[f->id[k]].again_ok = true;
        }
        f->used = false;
        free(f->id);
    }
}

/* What was sent in parts starts again with its first part; what a mark was lost of goes out again. */
static void forgive(struct world *w, bool all)
{
    for (uint32_t i = 1; i <= w->records; i++)
        if (all || w->in_parts[w->record[i].route])
            w->record[i].again_ok |= w->record[i].taken || w->record[i].refused;
}

static void machine_free(struct world *w)
{
    vdisk_off(w->vdisk, true);
    deliver_stop(w->deliver);
    struct failure quiet = {.failed = true};
    struct failure *real = w->failure;
    uint64_t settled = w->settled;
    w->failure = &quiet; /* nobody sees what a dead process does */
    FILE *trace = w->trace;
    w->trace = NULL;
    uint32_t ended;
    for (uint32_t i = 0; i < ROUTES_MAX; i++)
        for (struct sealed *s; (s = queue_abandon(w->queue, i, &ended));)
            sealed_free(s);
    deliver_free(w->deliver);
    queue_free(w->queue);
    w->settled = settled;
    w->failure = real;
    w->trace = trace;
    memset(w->held, 0, sizeof w->held);
    vdisk_off(w->vdisk, false);
}

void world_crash(struct world *w, bool power)
{
    flights_end(w);
    forgive(w, power || vdisk_faulted(w->vdisk));
    w->lost_power |= power;
    w->faulted |= vdisk_faulted(w->vdisk);
    /* a write that failed, its file cut and removed, may be there again without power: nobody had a receipt for it */
    for (uint32_t i = 1; i <= w->records && power && w->faulted; i++)
        w->record[i].order_ok |= !w->record[i].receipt && !w->record[i].taken;
    machine_free(w);
    if (power)
        vdisk_lose_power(w->vdisk);
    world_open(w);
}

void world_close(struct world *w)
{
    flights_end(w);
    forgive(w, vdisk_faulted(w->vdisk));
    deliver_stop(w->deliver);
    queue_close(w->queue, w->now_ms);
    deliver_drop_all(w->deliver, "closed");
    world_check(w);
    if (w->memory != 0)
        fail(w->failure, "%llu bytes of memory are held after closing", (unsigned long long)w->memory);
    deliver_free(w->deliver);
    queue_free(w->queue);
    memset(w->held, 0, sizeof w->held);
}

void world_free(struct world *w)
{
    vdisk_free(w->vdisk);
    free(w);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static void keep_room(struct world *w)
{
    uint64_t half = w->set.memory_limit / 2, wanted = w->wanted, freed = 0;
    w->wanted = 0;
    if (w->set.mode != QUEUE_MEMORY && (wanted || w->memory > half))
        freed = queue_make_room(w->queue, MAX(wanted, w->memory > half ? w->memory - half : 0), w->now_ms);
    if (freed < wanted && w->set.drop_oldest)
        deliver_evict(w->deliver, wanted - freed);
}

/* One round of the delivery thread; the time of the next. */
static uint64_t round_of_delivery(struct world *w)
{
    receiver_step(w);
    uint64_t commit = queue_commit(w->queue, w->now_ms);
    keep_room(w);
    uint64_t next = deliver_run(w->deliver, w->now_ms);
    world_check(w);
    return MIN(MIN(next, commit), receiver_next(w));
}

void world_pass(struct world *w, uint64_t ms)
{
    uint64_t end = w->now_ms + ms;
    for (int rounds = 0; w->now_ms < end && !w->failure->failed; rounds++) {
        uint64_t next = MAX(round_of_delivery(w), w->now_ms + 1), to = MIN(next, end);
        if (rounds > 200000) {
            fail(w->failure, "the machine does not come to rest");
            return;
        }
        w->unix_ms += (int64_t)(to - w->now_ms);
        w->now_ms = to;
    }
    if (!w->failure->failed)
        round_of_delivery(w);
}

#define RESERVE 7000 /* for reading back and slices, as the writer keeps some */

void world_push(struct world *w, uint32_t route, uint32_t count)
{
    uint32_t id[BODY_RECORDS_MAX] = {0};
    if (w->records + count + 1 >= RECORDS_MAX)
        return;
    for (uint32_t i = 0; i < count; i++)
        id[i] = w->records + 1 + i;
    struct sealed *s = body_make(w, route, id, count);
    if (w->memory + s->charge + RESERVE > w->set.memory_limit) {
        w->wanted = s->charge;
        sealed_free(s);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        w->record[++w->records] = (struct record){.route = (uint8_t)route};
    s->signal = signal_of(route);
    s->protocol = s->signal == GCW_METRICS ? deliver_protocol(w->deliver) : PROTOCOL_LOKI_JSON;
    s->tenant = tenants[route];
    s->batch_seq = ++w->seq[route];
    if (chance_of(&w->chance, 2)) {
        s->shares = calloc(1, sizeof *s->shares);
        ENSURE(s->shares);
        s->share_count = 1;
        s->shares[0] = (struct receipt_share){(struct gcw_receipt *)(uintptr_t)id[0], count};
        w->held[id[0]] = true;
    }
    w->memory += s->charge;
    w->accepted += count;
    ENSURE(deliver_push(w->deliver, s));
}

/* ---- what must hold ---------------------------------------------------------------------------------------------- */

void world_check(struct world *w)
{
    uint64_t waiting = 0, came = w->accepted + w->recovered, ended = w->settled + w->lost;
    for (int i = 0; i < GCW_SIGNALS; i++) {
        struct queue_gauges g;
        queue_gauges(w->queue, (gcw_signal)i, &g);
        waiting += g.records;
    }
    if (ended > came || came - ended > waiting)
        fail(w->failure, "the counts do not add up: %llu came, %llu ended, %llu wait", (unsigned long long)came,
             (unsigned long long)ended, (unsigned long long)waiting);
    if (w->memory > w->set.memory_limit)
        fail(w->failure, "memory %llu is over the limit", (unsigned long long)w->memory);
    uint64_t disk = vdisk_bytes(w->vdisk), slack = ROUTES_MAX * 64;
    /* without power, files that were removed may be there again; what is in them is not thrown away */
    bool excused = w->vanished || vdisk_faulted(w->vdisk) || (w->lost_power && !w->set.drop_oldest);
    if (w->set.mode != QUEUE_MEMORY && disk > w->set.disk_limit + slack && !excused)
        fail(w->failure, "disk %llu is over the limit %llu", (unsigned long long)disk,
             (unsigned long long)w->set.disk_limit);
    for (uint32_t i = 0; i < w->set.routes; i++)
        w->in_parts[i] = queue_ended(w->queue, i) > 0;
}

static void check_receipts(struct world *w)
{
    uint64_t gone = 0;
    uint32_t first = 0;
    for (uint32_t i = 1; i <= w->records; i++) {
        const struct record *r = &w->record[i];
        if (r->receipt && !r->taken && !r->refused && !r->ended) {
            gone++;
            first = first ? first : i;
        }
    }
    bool may_lose = w->rotten || w->vanished;
    if (gone > 0 && !may_lose && gone > (w->set.drop_oldest ? w->lost_total : 0))
        fail(w->failure, "%llu records with a receipt never arrived, the first is %u", (unsigned long long)gone, first);
}

void world_settle(struct world *w)
{
    vdisk_faults(w->vdisk, &(struct disk_faults){0});
    w->token_bad = w->set.others = false;
    if (w->metrics_protocol == METRICS_PROTOCOL_2)
        w->speaks = SPEAKS_2; /* else it would rightly wait for ever */
    for (uint32_t i = 0; i < ROUTES_MAX; i++)
        w->receiver[i].weather = FINE;
    deliver_unpark(w->deliver, w->now_ms);
    for (int i = 0; i < 40 && !w->failure->failed; i++) {
        bool empty = true;
        world_pass(w, 60000);
        for (uint32_t k = 0; k < w->set.routes; k++)
            empty &= queue_empty(w->queue, k);
        if (empty)
            break;
        if (i == 39)
            fail(w->failure, "faults have stopped for 40 minutes, and not everything has arrived");
    }
    uint64_t ended = w->settled + w->lost;
    if (!w->failure->failed && w->accepted + w->recovered != ended)
        fail(w->failure, "at the end %llu came, %llu ended", (unsigned long long)(w->accepted + w->recovered),
             (unsigned long long)ended);
    for (uint32_t i = 1; i <= w->records && !w->failure->failed; i++)
        if (w->held[i])
            fail(w->failure, "the receipt of record %u never ended", i);
    check_receipts(w);
}
