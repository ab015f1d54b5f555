/* Receipts, the journal, and what is said; see confirm.h. */
#include "cli/confirm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cli/push.h"

#define DOT_MS      3000 /* omprog gives up after 10 s of silence (confirmTimeout) */
#define DOTS_MAX    4000 /* an answer may have 4 KiB there */
#define JOURNAL_MAX ((uint64_t)16 * MIB)

static const char *const journal_name[] = {"uncommitted.0", "uncommitted.1"};

void confirm_init(struct confirm *c) { *c = (struct confirm){.turn = {{.file = -1}, {.file = -1}}}; }

gcw_status confirm_open(struct confirm *c, gcw_writer *writer, const char *journal_dir, gcw_error *err)
{
    char path[4096];
    confirm_init(c);
    c->writer = writer;
    for (int i = 0; i < 2 && journal_dir; i++) {
        snprintf(path, sizeof path, "%s/%s", journal_dir, journal_name[i]);
        c->turn[i].file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (c->turn[i].file < 0)
            return error_set(err, GCW_ERR_IO, "%s: %s", path, errno_text(errno));
    }
    return GCW_OK;
}

void confirm_close(struct confirm *c)
{
    for (int i = 0; i < 2; i++) {
        gcw_receipt_free(c->turn[i].receipt);
        if (c->turn[i].file >= 0)
            close(c->turn[i].file);
    }
    confirm_init(c);
}

/* ---- saying ------------------------------------------------------------------------------------------------------ */

bool confirm_say(struct confirm *c, const char *text)
{
    c->dots = 0;
    c->next_dot_ms = 0;
    return puts(text) >= 0 && fflush(stdout) == 0;
}

void confirm_still_alive(struct confirm *c)
{
    uint64_t now = clock_mono_ms();
    if (c->silent)
        return;
    if (c->next_dot_ms == 0)
        c->next_dot_ms = now + DOT_MS;
    if (now < c->next_dot_ms || c->dots >= DOTS_MAX)
        return;
    c->next_dot_ms = now + DOT_MS;
    c->dots++;
    putchar('.');
    fflush(stdout);
}

/* ---- receipts ---------------------------------------------------------------------------------------------------- */

gcw_receipt *confirm_receipt(struct confirm *c)
{
    struct confirm_turn *t = &c->turn[c->now];
    if (!t->receipt)
        t->receipt = gcw_receipt_new(c->writer, GCW_RECEIPT_DURABLE, NULL, NULL, NULL);
    if (!t->receipt)
        t->receipt = gcw_receipt_new(c->writer, GCW_RECEIPT_DELIVERED, NULL, NULL, NULL);
    return t->receipt;
}

/* The turn's records are safe without the journal. */
static bool turn_done(struct confirm_turn *t)
{
    gcw_receipt_free(t->receipt);
    t->receipt = NULL;
    if (t->file >= 0 && t->bytes > 0 && ftruncate(t->file, 0) != 0)
        return false;
    t->bytes = 0;
    return true;
}

static bool turn_wait(struct confirm *c, struct confirm_turn *t)
{
    gcw_receipt_summary s = {0};
    if (!t->receipt)
        return true;
    gcw_receipt_seal(t->receipt);
    gcw_writer_flush(c->writer, 0); /* what was handed over is all there is for now: it need not wait for more */
    while (gcw_receipt_wait(t->receipt, 200, &s) != GCW_OK && !push_interrupted() && c->dots < DOTS_MAX)
        confirm_still_alive(c);
    if (s.complete)
        return turn_done(t) && s.outcome[GCW_DROPPED] + s.outcome[GCW_EXPIRED] == 0;
    if (t->file < 0)
        turn_done(t); /* its lines come again */
    return false;
}

bool confirm_wait(struct confirm *c)
{
    bool other = turn_wait(c, &c->turn[1 - c->now]), safe = turn_wait(c, &c->turn[c->now]) && other;
    return safe && turn_done(&c->turn[0]) && turn_done(&c->turn[1]);
}

void confirm_finish(struct confirm *c, int timeout_ms)
{
    for (int i = 0; i < 2; i++) {
        struct confirm_turn *t = &c->turn[i];
        if (!t->receipt || t->file < 0)
            continue;
        gcw_receipt_seal(t->receipt);
        gcw_writer_flush(c->writer, 0);
        if (gcw_receipt_wait(t->receipt, timeout_ms, NULL) == GCW_OK)
            turn_done(t);
    }
}

bool confirm_commit(struct confirm *c)
{
    const struct confirm_turn *t = &c->turn[c->now];
    if (t->file < 0)
        return confirm_wait(c);
    return fdatasync(t->file) == 0 && confirm_turn(c);
}

bool confirm_turn(struct confirm *c)
{
    struct confirm_turn *t = &c->turn[c->now], *other = &c->turn[1 - c->now];
    if (t->bytes > JOURNAL_MAX)
        return confirm_wait(c);
    if (other->receipt && gcw_receipt_wait(other->receipt, 0, NULL) == GCW_OK && !turn_done(other))
        return false;
    if (t->receipt && !other->receipt) {
        gcw_receipt_seal(t->receipt); /* completes when its batches have closed as usual */
        c->now = 1 - c->now;
    }
    return true;
}

/* ---- journal ----------------------------------------------------------------------------------------------------- */

gcw_status confirm_journal(struct confirm *c, struct view line)
{
    struct confirm_turn *t = &c->turn[c->now];
    char lf[] = "\n";
    const struct iovec part[] = {{(void *)(uintptr_t)line.p, line.n}, {lf, 1}};
    if (t->file < 0)
        return GCW_OK;
    ssize_t n = writev(t->file, part, 2);
    if (n == (ssize_t)(line.n + 1)) {
        t->bytes += (uint64_t)n;
        return GCW_OK;
    }
    /* part of it at most: taken back, so that the next line starts a line */
    if (n > 0 && ftruncate(t->file, (off_t)t->bytes) != 0)
        return GCW_ERR_IO;
    return GCW_ERR_IO;
}

static gcw_status turn_leftover(struct confirm_turn *t, struct buf *out)
{
    struct stat st;
    if (fstat(t->file, &st) != 0)
        return GCW_ERR_IO;
    size_t start = out->n, size = (size_t)st.st_size;
    if (!buf_reserve(out, size))
        return GCW_ERR_NOMEM;
    while (out->n - start < size) {
        ssize_t n = pread(t->file, out->p + out->n, size - (out->n - start), (off_t)(out->n - start));
        if (n <= 0)
            return GCW_ERR_IO;
        out->n += (size_t)n;
    }
    t->bytes = size;
    while (out->n > start && out->p[out->n - 1] != '\n')
        out->n--; /* was not answered, and comes again */
    return GCW_OK;
}

gcw_status confirm_leftover(struct confirm *c, struct buf *out)
{
    struct stat a, b;
    out->n = 0;
    if (c->turn[0].file < 0)
        return GCW_OK;
    if (fstat(c->turn[0].file, &a) != 0 || fstat(c->turn[1].file, &b) != 0)
        return GCW_ERR_IO;
    bool second_is_older = b.st_mtim.tv_sec < a.st_mtim.tv_sec ||
                           (b.st_mtim.tv_sec == a.st_mtim.tv_sec && b.st_mtim.tv_nsec < a.st_mtim.tv_nsec);
    c->now = second_is_older ? 0 : 1;
    gcw_status status = turn_leftover(&c->turn[1 - c->now], out);
    return status == GCW_OK ? turn_leftover(&c->turn[c->now], out) : status;
}
