/* cli/queue: `gcw queue list | inspect | replay | drop`, what waits in a queue directory, for people. */
#ifndef GCW_CLI_QUEUE_H
#define GCW_CLI_QUEUE_H

#include "cli/settings.h"
#include "queue/queue.h"

const struct cli_option *queue_list_options(size_t *count);
const struct cli_option *queue_inspect_options(size_t *count);
const struct cli_option *queue_replay_options(size_t *count);
const struct cli_option *queue_drop_options(size_t *count);
int queue_list_main(int argc, char **argv);
int queue_inspect_main(int argc, char **argv);
int queue_replay_main(int argc, char **argv);
int queue_drop_main(int argc, char **argv);

/* One segment file, read. */
struct queue_file {
    char name[SEGMENT_NAME_MAX];
    enum segment_head_state state;
    uint32_t version;
    struct segment_head head;
    struct segment_mark mark;
    uint64_t size;
    struct amount waiting;
    uint64_t damaged; /* records and stretches */
    int64_t oldest_unix_ms, first_time, last_time;
};

struct queue_dir {
    struct disk_ops disk;
    bool locked;             /* a writer is using it */
    struct queue_file *file; /* by route and number */
    size_t count;
};

/* Reads every file, bodies too, so that what is counted can be sent. False with words on standard error. */
bool queue_dir_open(struct queue_dir *d, const char *command, const char *path, bool read_only);
void queue_dir_close(struct queue_dir *d);

/* Walks one file's records; see segment_walk(). */
int64_t queue_file_walk(const struct queue_dir *d, const struct queue_file *f, const struct segment_walk *w,
                        uint64_t *torn);

/* "metrics", "tenant", lane: whether the file is of the chosen route; NULL = any. */
bool queue_file_is(const struct queue_file *f, const char *signal, const char *tenant);

#endif
