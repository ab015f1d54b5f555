/* Log chunks of Fluent Bit: each record becomes one entry of a Loki stream. Options, lines and labels are those of its
 * own loki output, so that a configuration carries over; doc/fluent-bit-records.md tells what they do and where ours
 * differ. */
#ifndef GCW_HOSTS_FLUENT_BIT_LOGS_H
#define GCW_HOSTS_FLUENT_BIT_LOGS_H

#include "base/base.h"

/* As the user wrote them, NULL = not given; they need not outlive logs_new(). */
struct logs_options {
    const char *labels;                       /* "job=app, pod=$kubernetes['pod_name'], $level" */
    const char *label_keys;                   /* "$level, $kubernetes['host']" */
    const char *label_map_path;               /* a JSON file: {"kubernetes": {"pod_name": "pod"}} */
    const char *structured_metadata;          /* as labels */
    const char *structured_metadata_map_keys; /* "$kubernetes['labels']": each pair of that map */
    const char *remove_keys;                  /* "stream, $kubernetes['pod_id']" */
    const char *tenant_id_key;                /* "$kubernetes['namespace_name']" */
    const char *drop_single_key;              /* off | on | raw */
    const char *line_format;                  /* json | key_value */
    const char *otel_metadata;                /* on | off: what OpenTelemetry's log model carries beside the body */
    const char *escape_unicode;               /* on | off: whether JSON lines are ASCII, as the host's are */
    const char *remove_label_keys;            /* on | off: whether keys that became labels or metadata leave the line */
    bool auto_kubernetes_labels;
};

struct logs;

/* Parses and checks. An error names key, value and what is allowed. `warn` (may be NULL) gets, during this call and
 * later ones, what is accepted but will not do what it seems to. The writer outlives the logs. */
struct logs *logs_new(gcw_writer *writer, const struct logs_options *options,
                      void (*warn)(void *user, const char *text), void *user, gcw_error *err);
void logs_free(struct logs *logs); /* NULL is fine */

struct chunk_count {
    uint64_t records; /* taken by the writer */
    uint64_t skipped; /* no record: not of its form, or the bytes at the end of a damaged chunk (one) */
    uint64_t refused; /* by the writer for good: too large, a limit, a label that cannot be */
};

/* Takes a chunk from `*done` on (0 = from its start) and moves `*done` behind what is through; adds to *count. Stops at
 * the first append that may succeed later (GCW_ERR_FULL, _TIMEOUT, _NOMEM) or never will again (_CLOSED) and returns
 * that: the same call with the same chunk, wherever it lies by then, goes on from there. GCW_OK: all of it is through,
 * whatever was skipped or refused. `tag` may be NULL. One thread at a time per `struct logs`; needs an ordinary stack.
 */
gcw_status logs_chunk(struct logs *logs, const void *data, size_t size, const char *tag, gcw_receipt *receipt,
                      size_t *done, struct chunk_count *count);

#endif
