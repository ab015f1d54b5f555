/* --confirm and --transactions: what is said on standard output to whoever feeds lines through a pipe and keeps each
 * until it is safe. The words are those of rsyslog's omprog (confirmMessages, useTransactions): OK, DEFER_COMMIT,
 * anything else for "hand it over again"; leading dots say "still at it".
 *
 * Without a journal a commit waits for the receipt of its lines. With one, which transactions in a queue_dir have,
 * lines are written there before they are answered, and a commit waits for its sync alone: so batches fill as ever, and
 * no request is made of every few lines. It also mends a gap: if this process dies within a transaction, rsyslog
 * (8.2302) hands over again only the line it was at; those answered before are in the journal, and the next process
 * takes them up.
 *
 * The journal is two files in turn: one takes lines while the receipt of the other's completes; then that is emptied.
 */
#ifndef GCW_CLI_CONFIRM_H
#define GCW_CLI_CONFIRM_H

#include "base/base.h"

struct confirm {
    gcw_writer *writer;
    struct confirm_turn {
        gcw_receipt *receipt; /* of what was handed over in this turn; NULL = nothing */
        int file;             /* its lines, -1 = no journal */
        uint64_t bytes;
    } turn[2];
    unsigned now;                /* the turn that takes lines */
    bool in_transaction, silent; /* silent: nobody listens, no dots */
    unsigned dots;
    uint64_t next_dot_ms;
};

void confirm_init(struct confirm *c);
/* `journal_dir` may be NULL. */
gcw_status confirm_open(struct confirm *c, gcw_writer *writer, const char *journal_dir, gcw_error *err);
void confirm_close(struct confirm *c);

/* Makes sure there is a receipt to append under, and returns it; NULL = out of memory. */
gcw_receipt *confirm_receipt(struct confirm *c);
gcw_status confirm_journal(struct confirm *c, struct view line);
/* Everything handed over so far is safe; false if it is not, or some of it was dropped or expired by policy, or a
 * signal came. Waits as long as it takes, with dots. */
bool confirm_commit(struct confirm *c);
/* Empties the journal of what needs it no more: part of a commit, and what a journal without transactions needs. */
bool confirm_turn(struct confirm *c);
/* A commit without the journal's help, which is empty afterwards. */
bool confirm_wait(struct confirm *c);
/* At the end: what has a journal is given so long to need it no more. */
void confirm_finish(struct confirm *c, int timeout_ms);
/* What a killed process left: its whole lines, the older file's first. */
gcw_status confirm_leftover(struct confirm *c, struct buf *out);

/* Called while something is waited for. */
void confirm_still_alive(struct confirm *c);
/* One answer; false when nobody listens. */
bool confirm_say(struct confirm *c, const char *text);

#endif
