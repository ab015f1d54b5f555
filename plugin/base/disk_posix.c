/* The real directory: openat() below a descriptor of it, so that it is the one that was locked. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"

#define LOCK_NAME "lock"

struct posix {
    char *path;
    int dir, lock;
    bool read_only;
};

static void handles_close(struct posix *p)
{
    if (p->lock >= 0)
        close(p->lock);
    if (p->dir >= 0)
        close(p->dir);
    p->lock = p->dir = -1;
}

/* Two locks on one file: flock() keeps a second writer out; the shared one is a mark that others can see without taking
 * anything (F_OFD_GETLK), so that looking at a directory never gets in the way of a writer that starts. */
static int lock_take(struct posix *p)
{
    struct flock mark = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    /* read-only, as the file system may become: a file open for writing would be in the way */
    p->lock = openat(p->dir, LOCK_NAME, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (p->lock < 0 || flock(p->lock, LOCK_EX | LOCK_NB) != 0)
        return -errno;
    return fcntl(p->lock, F_OFD_SETLK, &mark) == 0 ? 0 : -errno;
}

static int lock_look(struct posix *p)
{
    struct flock mark = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    p->lock = openat(p->dir, LOCK_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (p->lock < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fcntl(p->lock, F_OFD_GETLK, &mark) != 0)
        return -errno;
    return mark.l_type == F_UNLCK ? 0 : -EWOULDBLOCK;
}

/* 0, or -errno; -EPERM: others may write to it; -EWOULDBLOCK: locked. */
static int handles_open(struct posix *p)
{
    struct stat st = {0};
    if (!p->read_only && mkdir(p->path, 0700) != 0 && errno != EEXIST)
        return -errno;
    p->dir = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = p->dir < 0 || fstat(p->dir, &st) != 0 ? -errno : 0;
    if (rc == 0 && !p->read_only && (st.st_mode & (S_IWGRP | S_IWOTH)))
        rc = -EPERM;
    if (rc == 0)
        rc = p->read_only ? lock_look(p) : lock_take(p);
    if (rc < 0 && !(p->read_only && rc == -EWOULDBLOCK))
        handles_close(p);
    return rc;
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

static int posix_open_file(void *ctx, const char *name, enum disk_mode mode)
{
    static const int flags[] = {
        [DISK_READ] = O_RDONLY, [DISK_WRITE] = O_RDWR, [DISK_CREATE] = O_RDWR | O_CREAT | O_EXCL};
    struct posix *p = ctx;
    int file = p->dir < 0 ? -1 : openat(p->dir, name, flags[mode] | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0 && mode == DISK_CREATE && (p->dir < 0 || errno == ENOENT)) {
        handles_close(p); /* the directory is gone: made again */
        int rc = handles_open(p);
        if (rc < 0)
            return rc;
        file = openat(p->dir, name, flags[mode] | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
    if (file >= 0)
        return file;
    return p->dir < 0 ? -ENOENT : -errno;
}

static void posix_close_file(void *ctx, int file)
{
    (void)ctx;
    close(file);
}

static int64_t posix_read(void *ctx, int file, void *out, size_t n, uint64_t at)
{
    size_t done = 0;
    (void)ctx;
    while (done < n) {
        ssize_t got = pread(file, (char *)out + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (int64_t)done;
}

static int64_t posix_write(void *ctx, int file, const void *p, size_t n, uint64_t at)
{
    size_t done = 0;
    (void)ctx;
    while (done < n) {
        ssize_t put = pwrite(file, (const char *)p + done, n - done, (off_t)(at + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? -errno : -EIO;
        done += (size_t)put;
    }
    return (int64_t)n;
}

static int64_t posix_size(void *ctx, int file)
{
    struct stat st;
    (void)ctx;
    return fstat(file, &st) == 0 ? (int64_t)st.st_size : -errno;
}

static int posix_truncate(void *ctx, int file, uint64_t size)
{
    (void)ctx;
    return ftruncate(file, (off_t)size) == 0 ? 0 : -errno;
}

/* A file without a name would be synced to nowhere. */
static int posix_sync(void *ctx, int file)
{
    struct stat st;
    (void)ctx;
    if (fdatasync(file) != 0 || fstat(file, &st) != 0)
        return -errno;
    return st.st_nlink > 0 ? 0 : -ENOENT;
}

static int posix_sync_dir(void *ctx)
{
    const struct posix *p = ctx;
    return p->dir >= 0 && fsync(p->dir) == 0 ? 0 : p->dir < 0 ? -ENOENT : -errno;
}

static int posix_remove(void *ctx, const char *name)
{
    const struct posix *p = ctx;
    return p->dir >= 0 && unlinkat(p->dir, name, 0) == 0 ? 0 : p->dir < 0 ? -ENOENT : -errno;
}

static int posix_list(void *ctx, void (*each)(void *user, const char *name), void *user)
{
    const struct posix *p = ctx;
    int copy = p->dir < 0 ? -1 : openat(p->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d) {
        int rc = p->dir < 0 ? -ENOENT : -errno;
        if (copy >= 0)
            close(copy);
        return rc;
    }
    errno = 0;
    for (const struct dirent *e; (e = readdir(d)); errno = 0)
        if (e->d_name[0] != '.' && strcmp(e->d_name, LOCK_NAME) != 0)
            each(user, e->d_name);
    int rc = -errno;
    closedir(d);
    return rc;
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static void open_error(const char *path, int rc, gcw_error *err)
{
    if (rc == -EWOULDBLOCK)
        error_set(err, GCW_ERR_IO, "queue directory %s: another process or writer uses it", path);
    else if (rc == -EPERM)
        error_set(err, GCW_ERR_INVALID, "queue directory %s: group or others may write to it; chmod go-w it", path);
    else
        error_set(err, GCW_ERR_IO, "queue directory %s: %s", path, errno_text(-rc));
}

bool disk_posix_open(const char *path, bool read_only, struct disk_ops *out, bool *locked, gcw_error *err)
{
    struct posix *p = calloc(1, sizeof *p);
    *locked = false;
    if (!p || !(p->path = strdup(path))) {
        free(p);
        error_set(err, GCW_ERR_NOMEM, "out of memory");
        return false;
    }
    p->dir = p->lock = -1;
    p->read_only = read_only;
    int rc = handles_open(p);
    *locked = rc == -EWOULDBLOCK;
    if (rc < 0 && !(read_only && *locked)) {
        open_error(path, rc, err);
        free(p->path);
        free(p);
        return false;
    }
    *out = (struct disk_ops){p,          posix_open_file, posix_close_file, posix_read,     posix_write,
                             posix_size, posix_truncate,  posix_sync,       posix_sync_dir, posix_remove,
                             posix_list};
    return true;
}

void disk_posix_close(struct disk_ops *disk)
{
    struct posix *p = disk->ctx;
    if (!p)
        return;
    handles_close(p);
    free(p->path);
    free(p);
    disk->ctx = NULL;
}
