/* Schedules: made from a seed, run, shrunk. */
#include <stdlib.h>

#include "world.h"

uint32_t chance_u32(struct chance *c)
{
    c->state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    uint64_t z = c->state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ z >> 31) >> 16);
}
uint32_t chance_below(struct chance *c, uint32_t n) { return n ? chance_u32(c) % n : 0; }
bool chance_of(struct chance *c, uint32_t one_in) { return one_in && chance_below(c, one_in) == 0; }
struct chance chance_new(uint64_t seed) { return (struct chance){seed * UINT64_C(0x2545f4914f6cdd1d) + 1}; }

/* How often each action comes, out of the sum. */
static const struct {
    const char *name;
    uint32_t weight;
} acts[ACTS] = {
    [ACT_PUSH] = {"push", 50},      [ACT_TICK] = {"pass", 40},        [ACT_WEATHER] = {"weather", 12},
    [ACT_DISK] = {"disk", 4},       [ACT_KILL] = {"kill", 4},         [ACT_POWER] = {"power", 3},
    [ACT_RESTART] = {"restart", 3}, [ACT_CLOCK] = {"clock", 2},       [ACT_TOKEN] = {"token", 3},
    [ACT_ROT] = {"rot", 1},         [ACT_ROOM] = {"room", 3},         [ACT_EVICT] = {"evict", 2},
    [ACT_VANISH] = {"vanish", 0},   [ACT_RECEIVER] = {"receiver", 3},
};

static enum act act_choose(struct chance *c)
{
    uint32_t sum = 0, at = 0;
    for (int i = 0; i < ACTS; i++)
        sum += acts[i].weight;
    at = chance_below(c, sum);
    for (int i = 0; i < ACTS; i++) {
        if (at < acts[i].weight)
            return (enum act)i;
        at -= acts[i].weight;
    }
    return ACT_TICK;
}

void schedule_make(struct schedule *s, uint64_t seed)
{
    struct chance c = chance_new(seed ^ UINT64_C(0x5ca1ab1e));
    bool rot = chance_of(&c, 4), vanish = chance_of(&c, 16);
    s->seed = seed;
    s->count = 10 + chance_below(&c, SCHEDULE_MAX - 10);
    for (size_t i = 0; i < s->count; i++) {
        enum act a = act_choose(&c);
        if (a == ACT_ROT && !rot)
            a = ACT_TICK;
        s->action[i] = (struct move){a, chance_u32(&c)};
    }
    if (vanish)
        s->action[chance_below(&c, (uint32_t)s->count)].act = ACT_VANISH;
}

static void rot(struct world *w)
{
    char name[200];
    uint64_t at;
    /* in a head's first copy, in a mark, or anywhere */
    static const uint64_t from[] = {0, 1024, 2048, 2048};
    if (vdisk_rot(w->vdisk, from[chance_below(&w->chance, 4)], name, sizeof name, &at)) {
        w->rotten = true;
        for (uint32_t i = 1; i <= w->records; i++) /* a lost mark sends again, lost heads change the order of none */
            w->record[i].again_ok |= w->record[i].taken || w->record[i].refused;
        if (w->trace)
            fprintf(w->trace, "      a bit of %s at %llu\n", name, (unsigned long long)at);
    }
}

static void disk(struct world *w)
{
    struct disk_faults f = {0};
    switch (chance_below(&w->chance, 5)) {
    case 0:
        f.write_enospc = 1 + chance_below(&w->chance, 4);
        break;
    case 1:
        f.write_eio = 2 + chance_below(&w->chance, 4);
        break;
    case 2:
        f.sync_eio = 1 + chance_below(&w->chance, 4);
        break;
    case 3:
        f.open_eio = 1 + chance_below(&w->chance, 4);
        break;
    default:
        break;
    }
    vdisk_faults(w->vdisk, &f);
}

static void weather(struct world *w)
{
    uint32_t route = chance_below(&w->chance, w->set.routes);
    w->receiver[route].weather = chance_of(&w->chance, 3) ? FINE : (enum weather)chance_below(&w->chance, WEATHERS);
    w->receiver[route].at_most = 1 + chance_below(&w->chance, 10);
    if (w->trace)
        fprintf(w->trace, "      route %u: weather %d\n", route, w->receiver[route].weather);
}

static void token(struct world *w)
{
    w->token_bad = !w->token_bad;
    if (!w->token_bad)
        deliver_unpark(w->deliver, w->now_ms);
}

/* The metrics receiver is updated, or goes back. One that was known to speak 2.0 may not refuse it by a bare 400: that
 * is a word on the data then. */
static void receiver(struct world *w)
{
    static const enum speaks next[] = {SPEAKS_2, SPEAKS_2, SPEAKS_1_SILENT, SPEAKS_1_415};
    w->speaks = next[chance_below(&w->chance, 4)];
    if (w->trace)
        fprintf(w->trace, "      metrics receiver: %d\n", w->speaks);
}

static void vanish(struct world *w)
{
    vdisk_vanish(w->vdisk);
    w->vanished = true;
    for (uint32_t i = 1; i <= w->records; i++)
        w->record[i].again_ok |= w->record[i].taken || w->record[i].refused;
}

static void act(struct world *w, const struct move *a)
{
    w->chance = chance_new(a->seed);
    switch (a->act) {
    case ACT_PUSH:
        world_push(w, chance_below(&w->chance, w->set.routes),
                   1 + chance_below(&w->chance, chance_of(&w->chance, 4) ? 60 : 20));
        break;
    case ACT_TICK:
        world_pass(w, chance_of(&w->chance, 8) ? chance_below(&w->chance, 900000) : chance_below(&w->chance, 3000));
        break;
    case ACT_WEATHER:
        weather(w);
        break;
    case ACT_DISK:
        disk(w);
        break;
    case ACT_KILL:
    case ACT_POWER:
        world_crash(w, a->act == ACT_POWER);
        break;
    case ACT_RESTART:
        world_close(w);
        world_open(w);
        break;
    case ACT_CLOCK:
        w->unix_ms += (int64_t)chance_below(&w->chance, 7200000) - 3600000;
        break;
    case ACT_TOKEN:
        token(w);
        break;
    case ACT_ROT:
        rot(w);
        break;
    case ACT_ROOM:
        queue_make_room(w->queue, chance_below(&w->chance, 40000), w->now_ms);
        break;
    case ACT_EVICT:
        if (w->set.drop_oldest)
            deliver_evict(w->deliver, chance_below(&w->chance, 10000));
        break;
    case ACT_VANISH:
        vanish(w);
        break;
    case ACT_RECEIVER:
        receiver(w);
        break;
    case ACTS:
        break;
    }
}

bool schedule_run(const struct schedule *s, struct failure *f, FILE *trace)
{
    *f = (struct failure){0};
    struct world *w = world_new(s->seed, f, trace);
    for (size_t i = 0; i < s->count && !f->failed; i++) {
        if (trace)
            fprintf(trace, "%4zu %-8s at %llu ms, %u records, memory %llu, disk %llu\n", i, acts[s->action[i].act].name,
                    (unsigned long long)w->now_ms, w->records, (unsigned long long)w->memory,
                    (unsigned long long)vdisk_bytes(w->vdisk));
        act(w, &s->action[i]);
        world_check(w);
    }
    if (!f->failed)
        world_settle(w);
    world_close(w);
    if (!f->failed && !w->rotten && vdisk_bytes(w->vdisk) > 0 && w->set.mode != QUEUE_MEMORY)
        fail(f, "%llu bytes are left on disk after everything has ended", (unsigned long long)vdisk_bytes(w->vdisk));
    world_free(w);
    return !f->failed;
}

/* Halves, quarters, ... single actions are left out as long as something fails. */
void schedule_shrink(struct schedule *s)
{
    struct failure f;
    for (size_t piece = s->count / 2 + 1; piece >= 1; piece /= 2)
        for (size_t at = 0; at < s->count;) {
            struct schedule less = *s;
            size_t n = MIN(piece, s->count - at);
            memmove(less.action + at, less.action + at + n, (s->count - at - n) * sizeof *less.action);
            less.count -= n;
            if (!schedule_run(&less, &f, NULL))
                *s = less;
            else
                at += n;
        }
}
