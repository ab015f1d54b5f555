/* The simulator: queue/ and deliver/ against a virtual clock, disk and receiver, single-threaded, from one seed.
 *
 * A schedule is a list of actions, made from a seed. Each action carries a seed of its own for what chance decides
 * while it lasts, so that a schedule runs the same with some of its actions taken out: that is how a failure is shrunk.
 */
#ifndef GCW_SIM_H
#define GCW_SIM_H

#include <stdio.h>

#include "deliver/deliver.h"

/* ---- chance ------------------------------------------------------------------------------------------------------ */

struct chance {
    uint64_t state;
};
uint32_t chance_u32(struct chance *c);
uint32_t chance_below(struct chance *c, uint32_t n); /* 0 .. n-1 */
bool chance_of(struct chance *c, uint32_t one_in);   /* 0 = never */
struct chance chance_new(uint64_t seed);

/* ---- failing: the first failure of a run is kept, the run goes on to its end ------------------------------------- */

struct failure {
    bool failed;
    char text[400];
};
void fail(struct failure *f, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- disk: files with what is synced and what is not ------------------------------------------------------------- */

struct disk_faults {
    uint32_t write_enospc, write_eio, sync_eio, open_eio; /* one in so many; 0 = never */
};

struct vdisk;
struct vdisk *vdisk_new(struct chance *chance);
void vdisk_free(struct vdisk *d);
struct disk_ops vdisk_ops(struct vdisk *d);
void vdisk_faults(struct vdisk *d, const struct disk_faults *f);
bool vdisk_faulted(const struct vdisk *d); /* any fault since the last vdisk_calm() */
void vdisk_calm(struct vdisk *d);
void vdisk_off(struct vdisk *d, bool off); /* nothing reaches it: the process is dead */
void vdisk_lose_power(struct vdisk *d);    /* what is not synced is kept, lost or torn */
void vdisk_vanish(struct vdisk *d);        /* the directory is removed */
uint64_t vdisk_bytes(const struct vdisk *d);
/* Flips a bit of a random file at or behind offset `from`; false = there is none. */
bool vdisk_rot(struct vdisk *d, uint64_t from, char *name, size_t cap, uint64_t *at);
/* The bytes of a file now. */
const uint8_t *vdisk_file(const struct vdisk *d, const char *name, size_t *n);

/* ---- schedules --------------------------------------------------------------------------------------------------- */

enum act {
    ACT_PUSH,
    ACT_TICK,
    ACT_WEATHER,
    ACT_DISK,
    ACT_KILL,
    ACT_POWER,
    ACT_RESTART,
    ACT_CLOCK,
    ACT_TOKEN,
    ACT_ROT,
    ACT_ROOM,
    ACT_EVICT,
    ACT_VANISH,
    ACT_RECEIVER,
    ACTS
};

struct move {
    enum act act;
    uint32_t seed;
};

#define SCHEDULE_MAX 200

struct schedule {
    uint64_t seed; /* of the settings */
    size_t count;
    struct move action[SCHEDULE_MAX];
};

void schedule_make(struct schedule *s, uint64_t seed);
/* Runs it; false with the failure's words. `trace` (may be NULL) gets a line an action. */
bool schedule_run(const struct schedule *s, struct failure *f, FILE *trace);
/* Takes out actions as long as it still fails. */
void schedule_shrink(struct schedule *s);

#endif
