/* --confirm and --transactions: what is said on standard output to whoever feeds lines through a pipe and keeps each
 * until it is safe. The words are those of rsyslog's omprog (confirmMessages, useTransactions): OK, DEFER_COMMIT,
 * anything else for "hand it over again"; leading dots say "still at it".
 *
 * In a transaction a line is answered before it is safe. If this process is killed then, rsyslog hands over again only
 * the line it was about to hand over (8.2302), so those answered before it are kept in a journal, a file in queue_dir
 * that a killed process leaves behind whole: the next one reads it first. No sync is needed: when the machine goes
 * down, so does rsyslog, whose own queue then still holds the transaction. */
#ifndef GCW_CLI_CONFIRM_H
#define GCW_CLI_CONFIRM_H

#include "base/base.h"

struct confirm {
    gcw_writer *writer;
    gcw_receipt *receipt; /* of what was handed over and not confirmed; NULL = none */
    uint64_t records;     /* appended under it, as the caller counts them */
    bool in_transaction;
    int journal; /* -1 = none: no queue_dir, or no transactions */
    unsigned dots;
    uint64_t next_dot_ms;
};

/* `journal_dir` may be NULL. */
gcw_status confirm_open(struct confirm *c, gcw_writer *writer, const char *journal_dir, gcw_error *err);
void confirm_close(struct confirm *c);

/* Makes sure there is a receipt to append under. */
gcw_status confirm_begin(struct confirm *c);
/* Waits until everything under the receipt is safe, on disk or delivered; false if some of it was dropped or expired by
 * policy, or a signal came. The receipt and the journal are done with either way. Fewer than `few` records wait for
 * logs_batch_age to pass, so that no request is made of each; what is fed meanwhile makes the next transaction larger.
 */
bool confirm_commit(struct confirm *c, uint64_t few);
gcw_status confirm_journal(struct confirm *c, struct view line);
/* What a killed process left: its lines, up to the first that is not whole. */
gcw_status confirm_leftover(struct confirm *c, struct buf *out);

/* Called while something is waited for. */
void confirm_still_alive(struct confirm *c);
/* One answer; false when nobody listens. */
bool confirm_say(struct confirm *c, const char *text);

#endif
