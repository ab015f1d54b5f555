/* A disk in memory. Of each file it keeps what a reader sees, what would be left without power, and the writes between
 * the two; of the directory, which names were made or removed since it was synced. */
#include <errno.h>
#include <stdlib.h>

#include "sim.h"

#define FILES 512
#define NAME  160

struct bytes {
    uint8_t *p;
    size_t n, cap;
};

struct change {
    uint64_t at;
    uint8_t *p;
    size_t n;
    bool truncate; /* to `at` */
};

struct file {
    char name[NAME];
    bool used, linked;  /* linked: has its name now */
    bool link_synced;   /* its name would be there without power */
    bool stable_linked; /* what the synced directory says */
    struct bytes now, stable;
    struct change *change;
    size_t changes, change_cap;
};

struct vdisk {
    struct chance *chance;
    struct disk_faults faults;
    bool off, faulted;
    struct file file[FILES];
};

struct vdisk *vdisk_new(struct chance *chance)
{
    struct vdisk *d = calloc(1, sizeof *d);
    if (d)
        d->chance = chance;
    return d;
}

static void changes_drop(struct file *f)
{
    for (size_t i = 0; i < f->changes; i++)
        free(f->change[i].p);
    f->changes = 0;
}

static void file_drop(struct file *f)
{
    changes_drop(f);
    free(f->change);
    free(f->now.p);
    free(f->stable.p);
    memset(f, 0, sizeof *f);
}

void vdisk_free(struct vdisk *d)
{
    for (size_t i = 0; i < FILES; i++)
        file_drop(&d->file[i]);
    free(d);
}

void vdisk_faults(struct vdisk *d, const struct disk_faults *f) { d->faults = *f; }
bool vdisk_faulted(const struct vdisk *d) { return d->faulted; }
void vdisk_calm(struct vdisk *d)
{
    d->faults = (struct disk_faults){0};
    d->faulted = false;
}
void vdisk_off(struct vdisk *d, bool off) { d->off = off; }

static void bytes_size(struct bytes *b, size_t n)
{
    if (n > b->cap) {
        b->cap = MAX(n, 2 * b->cap);
        b->p = realloc(b->p, b->cap);
        ENSURE(b->p);
    }
    if (n > b->n)
        memset(b->p + b->n, 0, n - b->n);
    b->n = n;
}

static void bytes_put(struct bytes *b, uint64_t at, const uint8_t *p, size_t n)
{
    if (b->n < at + n)
        bytes_size(b, at + n);
    if (n > 0)
        memcpy(b->p + at, p, n);
}

static void bytes_copy(struct bytes *to, const struct bytes *from)
{
    bytes_size(to, from->n);
    if (from->n > 0)
        memcpy(to->p, from->p, from->n);
}

static void remember(struct file *f, uint64_t at, const void *p, size_t n, bool truncate)
{
    if (f->changes == f->change_cap) {
        f->change_cap = MAX(2 * f->change_cap, (size_t)16);
        f->change = realloc(f->change, f->change_cap * sizeof *f->change);
        ENSURE(f->change);
    }
    struct change *c = &f->change[f->changes++];
    *c = (struct change){.at = at, .n = n, .truncate = truncate};
    if (n > 0) {
        c->p = malloc(n);
        ENSURE(c->p);
        memcpy(c->p, p, n);
    }
}

static struct file *find(struct vdisk *d, const char *name)
{
    for (size_t i = 0; i < FILES; i++)
        if (d->file[i].used && d->file[i].linked && strcmp(d->file[i].name, name) == 0)
            return &d->file[i];
    return NULL;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static bool strikes(struct vdisk *d, uint32_t one_in)
{
    bool hit = chance_of(d->chance, one_in);
    d->faulted |= hit;
    return hit;
}

static int v_open(void *ctx, const char *name, enum disk_mode mode)
{
    struct vdisk *d = ctx;
    if (d->off || strikes(d, d->faults.open_eio))
        return -EIO;
    struct file *f = find(d, name);
    if (mode != DISK_CREATE)
        return f ? (int)(f - d->file) : -ENOENT;
    if (f)
        return -EEXIST;
    for (size_t i = 0; i < FILES; i++)
        if (!d->file[i].used) {
            f = &d->file[i];
            f->used = f->linked = true;
            snprintf(f->name, sizeof f->name, "%s", name);
            return (int)i;
        }
    return -ENOSPC;
}

static void v_close(void *ctx, int file) { (void)ctx, (void)file; }

static int64_t v_read(void *ctx, int file, void *p, size_t n, uint64_t at)
{
    struct vdisk *d = ctx;
    const struct bytes *b = &d->file[file].now;
    if (d->off)
        return -EIO;
    if (at >= b->n)
        return 0;
    n = MIN(n, b->n - at);
    memcpy(p, b->p + at, n);
    return (int64_t)n;
}

static int64_t v_write(void *ctx, int file, const void *p, size_t n, uint64_t at)
{
    struct vdisk *d = ctx;
    struct file *f = &d->file[file];
    if (d->off)
        return -EIO;
    bool full = strikes(d, d->faults.write_enospc), broken = !full && strikes(d, d->faults.write_eio);
    size_t done = full || broken ? chance_below(d->chance, (uint32_t)n + 1) : n;
    bytes_put(&f->now, at, p, done);
    remember(f, at, p, done, false);
    return full ? -ENOSPC : broken ? -EIO : (int64_t)n;
}

static int64_t v_size(void *ctx, int file)
{
    struct vdisk *d = ctx;
    return d->off ? -EIO : (int64_t)d->file[file].now.n;
}

static int v_truncate(void *ctx, int file, uint64_t size)
{
    struct vdisk *d = ctx;
    struct file *f = &d->file[file];
    if (d->off)
        return -EIO;
    bytes_size(&f->now, size);
    remember(f, size, NULL, 0, true);
    return 0;
}

static void apply(struct bytes *b, const struct change *c, size_t n)
{
    if (c->truncate)
        bytes_size(b, c->at);
    else
        bytes_put(b, c->at, c->p, n);
}

/* After an error the kernel may have dropped the pages: a later sync says all is well and does not bring them back. */
static int v_sync(void *ctx, int file)
{
    struct vdisk *d = ctx;
    struct file *f = &d->file[file];
    if (d->off)
        return -EIO;
    if (!f->linked)
        return -ENOENT;
    if (strikes(d, d->faults.sync_eio)) {
        for (size_t i = 0; i < f->changes; i++)
            if (chance_of(d->chance, 2))
                apply(&f->stable, &f->change[i], f->change[i].n);
        changes_drop(f);
        return -EIO;
    }
    for (size_t i = 0; i < f->changes; i++)
        apply(&f->stable, &f->change[i], f->change[i].n);
    changes_drop(f);
    return 0;
}

static int v_sync_dir(void *ctx)
{
    struct vdisk *d = ctx;
    if (d->off || strikes(d, d->faults.sync_eio))
        return -EIO;
    for (size_t i = 0; i < FILES; i++) {
        struct file *f = &d->file[i];
        f->stable_linked = f->linked;
        if (f->used && !f->linked)
            file_drop(f);
    }
    return 0;
}

static int v_remove(void *ctx, const char *name)
{
    struct vdisk *d = ctx;
    struct file *f = d->off ? NULL : find(d, name);
    if (!f)
        return d->off ? -EIO : -ENOENT;
    f->linked = false;
    if (!f->stable_linked)
        file_drop(f);
    return 0;
}

static int v_list(void *ctx, void (*each)(void *user, const char *name), void *user)
{
    struct vdisk *d = ctx;
    if (d->off)
        return -EIO;
    for (size_t i = 0; i < FILES; i++)
        if (d->file[i].used && d->file[i].linked)
            each(user, d->file[i].name);
    return 0;
}

struct disk_ops vdisk_ops(struct vdisk *d)
{
    return (struct disk_ops){d,          v_open, v_close,    v_read,   v_write, v_size,
                             v_truncate, v_sync, v_sync_dir, v_remove, v_list};
}

/* ---- disasters --------------------------------------------------------------------------------------------------- */

static void file_lose_power(struct vdisk *d, struct file *f)
{
    for (size_t i = 0; i < f->changes; i++) {
        const struct change *c = &f->change[i];
        uint32_t fate = chance_below(d->chance, 4); /* lost, torn, or on disk */
        if (fate >= 2)
            apply(&f->stable, c, c->n);
        else if (fate == 1 && !c->truncate)
            apply(&f->stable, c, chance_below(d->chance, (uint32_t)c->n + 1));
    }
    changes_drop(f);
    bytes_copy(&f->now, &f->stable);
}

/* A name that was removed and made again leads to one of the two files, not both. */
static void names_settle(struct vdisk *d)
{
    for (size_t i = 0; i < FILES; i++)
        for (size_t k = i + 1; k < FILES && d->file[i].used; k++)
            if (d->file[k].used && strcmp(d->file[i].name, d->file[k].name) == 0)
                file_drop(&d->file[chance_of(d->chance, 2) ? i : k]);
}

void vdisk_lose_power(struct vdisk *d)
{
    for (size_t i = 0; i < FILES; i++) {
        struct file *f = &d->file[i];
        if (!f->used)
            continue;
        file_lose_power(d, f);
        if (f->linked != f->stable_linked)
            f->linked = chance_of(d->chance, 2);
        f->stable_linked = f->linked;
        if (!f->linked)
            file_drop(f);
    }
    names_settle(d);
}

void vdisk_vanish(struct vdisk *d)
{
    d->faulted = true;
    for (size_t i = 0; i < FILES; i++)
        file_drop(&d->file[i]);
}

uint64_t vdisk_bytes(const struct vdisk *d)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < FILES; i++)
        if (d->file[i].used && d->file[i].linked)
            sum += d->file[i].now.n;
    return sum;
}

bool vdisk_rot(struct vdisk *d, uint64_t from, char *name, size_t cap, uint64_t *at)
{
    size_t start = chance_below(d->chance, FILES);
    for (size_t k = 0; k < FILES; k++) {
        struct file *f = &d->file[(start + k) % FILES];
        if (!f->used || !f->linked || f->now.n <= from)
            continue;
        *at = from + chance_below(d->chance, (uint32_t)(f->now.n - from));
        uint8_t bit = (uint8_t)(1u << chance_below(d->chance, 8));
        f->now.p[*at] ^= bit;
        if (*at < f->stable.n)
            f->stable.p[*at] ^= bit;
        for (size_t i = 0; i < f->changes; i++)
            if (*at >= f->change[i].at && *at < f->change[i].at + f->change[i].n)
                f->change[i].p[*at - f->change[i].at] ^= bit;
        snprintf(name, cap, "%s", f->name);
        return true;
    }
    return false;
}

const uint8_t *vdisk_file(const struct vdisk *d, const char *name, size_t *n)
{
    const struct file *f = find((struct vdisk *)(uintptr_t)d, name);
    *n = f ? f->now.n : 0;
    return f ? f->now.p : NULL;
}
