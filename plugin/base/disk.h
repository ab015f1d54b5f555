/* A directory as a small table of functions, so that what keeps data in files can be run against a virtual disk.
 * Names are plain file names inside the one directory. Every function returns a value >= 0, or -errno.
 * disk_posix.c is the real one. */
#ifndef GCW_BASE_DISK_H
#define GCW_BASE_DISK_H

#include "base/base.h"

enum disk_mode {
    DISK_READ,   /* must exist */
    DISK_WRITE,  /* must exist; read and write */
    DISK_CREATE, /* must not exist; read and write, mode 0600 */
};

struct disk_ops {
    void *ctx;
    int (*open)(void *ctx, const char *name, enum disk_mode mode); /* a handle */
    void (*close)(void *ctx, int file);
    /* Bytes read: fewer than n at the end of the file only. */
    int64_t (*read)(void *ctx, int file, void *p, size_t n, uint64_t at);
    /* n. On an error any part may have been written. */
    int64_t (*write)(void *ctx, int file, const void *p, size_t n, uint64_t at);
    int64_t (*size)(void *ctx, int file);
    int (*truncate)(void *ctx, int file, uint64_t size);
    int (*sync)(void *ctx, int file); /* content and size survive a loss of power; the name only after sync_dir() */
    int (*sync_dir)(void *ctx);       /* names made and removed */
    int (*remove)(void *ctx, const char *name);
    /* Calls each() for every file, in no order; each() may remove the file. */
    int (*list)(void *ctx, void (*each)(void *user, const char *name), void *user);
};

/* Makes the directory if need be (0700, its parent must exist) and locks it against a second process or writer; a
 * directory that others may write to is refused. The lock is held until disk_posix_close(). False with words in err.
 * `read_only`: the directory must exist, nothing in it is changed or locked; *locked tells whether a writer has it.
 * When the directory vanishes, open(DISK_CREATE) makes and locks it again. */
bool disk_posix_open(const char *path, bool read_only, struct disk_ops *out, bool *locked, gcw_error *err);
void disk_posix_close(struct disk_ops *disk); /* {0} is fine */

/* CRC-32C (Castagnoli), as in iSCSI and ext4; `crc` is that of what came before, 0 at the start. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

#endif
