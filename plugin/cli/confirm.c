/* Receipts, the journal, and what is said; see confirm.h. */
#include "cli/confirm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cli/push.h"

#define JOURNAL  "uncommitted"
#define DOT_MS   3000 /* omprog gives up after 10 s of silence (confirmTimeout) */
#define DOTS_MAX 4000 /* an answer may have 4 KiB there */

gcw_status confirm_open(struct confirm *c, gcw_writer *writer, const char *journal_dir, gcw_error *err)
{
    char path[4096];
    *c = (struct confirm){.writer = writer, .journal = -1};
    if (!journal_dir)
        return GCW_OK;
    snprintf(path, sizeof path, "%s/" JOURNAL, journal_dir);
    c->journal = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    return c->journal >= 0 ? GCW_OK : error_set(err, GCW_ERR_IO, "%s: %s", path, errno_text(errno));
}

void confirm_close(struct confirm *c)
{
    gcw_receipt_free(c->receipt);
    c->receipt = NULL;
    if (c->journal >= 0)
        close(c->journal);
    c->journal = -1;
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

gcw_status confirm_begin(struct confirm *c)
{
    if (!c->receipt)
        c->receipt = gcw_receipt_new(c->writer, GCW_RECEIPT_DURABLE, NULL, NULL, NULL);
    if (!c->receipt)
        c->receipt = gcw_receipt_new(c->writer, GCW_RECEIPT_DELIVERED, NULL, NULL, NULL);
    return c->receipt ? GCW_OK : GCW_ERR_NOMEM;
}

bool confirm_commit(struct confirm *c, uint64_t few)
{
    gcw_receipt_summary s = {0};
    if (!c->receipt)
        return true;
    gcw_receipt_seal(c->receipt);
    if (c->records >= few)
        gcw_writer_flush(c->writer, 0);
    c->records = 0;
    while (gcw_receipt_wait(c->receipt, 200, &s) != GCW_OK && !push_interrupted() && c->dots < DOTS_MAX)
        confirm_still_alive(c);
    gcw_receipt_free(c->receipt);
    c->receipt = NULL;
    if (!s.complete)
        return false;
    if (c->journal >= 0 && ftruncate(c->journal, 0) != 0)
        return false;
    return s.outcome[GCW_DROPPED] + s.outcome[GCW_EXPIRED] == 0;
}

/* ---- journal ----------------------------------------------------------------------------------------------------- */

gcw_status confirm_journal(struct confirm *c, struct view line)
{
    struct stat before;
    char lf[] = "\n";
    const struct iovec part[] = {{(void *)(uintptr_t)line.p, line.n}, {lf, 1}};
    if (c->journal < 0)
        return GCW_OK;
    ssize_t n = writev(c->journal, part, 2);
    if (n == (ssize_t)(line.n + 1))
        return GCW_OK;
    /* part of it: taken back, so that the next line starts a line */
    if (n > 0 && fstat(c->journal, &before) == 0 && ftruncate(c->journal, before.st_size - n) != 0)
        return GCW_ERR_IO;
    return GCW_ERR_IO;
}

gcw_status confirm_leftover(struct confirm *c, struct buf *out)
{
    struct stat st;
    out->n = 0;
    if (c->journal < 0)
        return GCW_OK;
    if (fstat(c->journal, &st) != 0)
        return GCW_ERR_IO;
    if (!buf_reserve(out, (size_t)st.st_size))
        return GCW_ERR_NOMEM;
    while (out->n < (size_t)st.st_size) {
        ssize_t n = pread(c->journal, out->p + out->n, (size_t)st.st_size - out->n, (off_t)out->n);
        if (n <= 0)
            return GCW_ERR_IO;
        out->n += (size_t)n;
    }
    while (out->n > 0 && out->p[out->n - 1] != '\n')
        out->n--; /* was not answered, and comes again */
    return GCW_OK;
}
