/* `gcw queue list` and `gcw queue inspect`: reads, changes nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "cli/queue/queue_cmd.h"

struct look {
    const struct cli_command *command;
    bool json;
};

static const struct cli_option rows[] = {
    {"json", 0, NULL, "Output", "one JSON object a line"},
};

const struct cli_option *queue_list_options(size_t *count)
{
    *count = ARRAY_LEN(rows);
    return rows;
}

const struct cli_option *queue_inspect_options(size_t *count) { return queue_list_options(count); }

static int set(void *ctx, const struct cli_option *option, const char *arg)
{
    (void)option, (void)arg;
    ((struct look *)ctx)->json = true;
    return 0;
}

/* The directory named by the one operand. */
static bool open_dir(struct look *l, const char *name, int argc, char **argv, struct queue_dir *d)
{
    l->command = cli_command_named(name);
    int first = cli_parse(l->command, argc, argv, set, l);
    if (first < 0)
        return false;
    if (argc - first != 1) {
        fprintf(stderr, "gcw %s: needs one directory\n", name);
        return false;
    }
    return queue_dir_open(d, name, argv[first], true);
}

static void age_text(char *out, size_t cap, int64_t since_unix_ms)
{
    int64_t s = (clock_unix_ms() - since_unix_ms) / 1000;
    const struct {
        int64_t seconds;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (s >= units[i].seconds || i + 1 == ARRAY_LEN(units)) {
            snprintf(out, cap, "%" PRId64 "%s", MAX(s, 0) / units[i].seconds, units[i].unit);
            return;
        }
}

struct route_sum {
    const struct queue_file *first; /* of its files */
    struct amount waiting;
    uint64_t files, size, damaged;
    int64_t oldest_unix_ms;
};

static void sum_print(const struct look *l, const struct route_sum *s)
{
    char age[32] = "-";
    const struct route_id *id = &s->first->head.id;
    if (s->waiting.requests > 0)
        age_text(age, sizeof age, s->oldest_unix_ms);
    if (l->json)
        printf("{\"signal\":\"%s\",\"tenant\":\"%s\",\"lane\":%u,\"lanes\":%u,\"requests\":%" PRIu64
               ",\"records\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"oldest_unix_ms\":%" PRId64 ",\"files\":%" PRIu64
               ",\"disk_bytes\":%" PRIu64 ",\"damaged\":%" PRIu64 "}\n",
               gcw_signal_name(id->signal), id->tenant, id->lane, id->lanes, s->waiting.requests, s->waiting.records,
               s->waiting.bytes, s->oldest_unix_ms, s->files, s->size, s->damaged);
    else
        printf("%-8s %-20s %3u/%-3u %10" PRIu64 " %12" PRIu64 " %14" PRIu64 " %8s %6" PRIu64 " %8" PRIu64 "\n",
               gcw_signal_name(id->signal), *id->tenant ? id->tenant : "-", id->lane, id->lanes, s->waiting.requests,
               s->waiting.records, s->waiting.bytes, age, s->files, s->damaged);
}

static bool same_route(const struct queue_file *a, const struct queue_file *b)
{
    return a->head.id.signal == b->head.id.signal && a->head.id.lane == b->head.id.lane &&
           a->head.id.lanes == b->head.id.lanes && strcmp(a->head.tenant, b->head.tenant) == 0;
}

static void sum_add(struct route_sum *s, const struct queue_file *f)
{
    if (s->waiting.requests == 0)
        s->oldest_unix_ms = f->oldest_unix_ms;
    amount_add(&s->waiting, f->waiting);
    s->files++;
    s->size += f->size;
    s->damaged += f->damaged;
}

/* Files that cannot be listed are named; 1 if there are any. */
static int tell_others(const struct look *l, const struct queue_dir *d)
{
    int others = 0;
    for (size_t i = 0; i < d->count; i++)
        if (d->file[i].state != SEGMENT_OK) {
            others = EXIT_NOT_DELIVERED;
            fprintf(stderr, "gcw %s: %s: %s\n", l->command->name, d->file[i].name,
                    d->file[i].state == SEGMENT_OTHER_VERSION ? "written by another version" : "its head is damaged");
        }
    if (d->locked)
        fprintf(stderr, "gcw %s: a writer is using the directory: the figures move\n", l->command->name);
    return others;
}

int queue_list_main(int argc, char **argv)
{
    struct look l = {0};
    struct queue_dir d;
    struct route_sum s = {0};
    if (!open_dir(&l, "queue list", argc, argv, &d))
        return EXIT_USAGE;
    if (!l.json)
        printf("%-8s %-20s %7s %10s %12s %14s %8s %6s %8s\n", "signal", "tenant", "lane", "requests", "records",
               "bytes", "oldest", "files", "damaged");
    for (size_t i = 0; i < d.count; i++) {
        if (d.file[i].state != SEGMENT_OK)
            continue;
        if (s.first && !same_route(s.first, &d.file[i])) {
            sum_print(&l, &s);
            s = (struct route_sum){0};
        }
        s.first = s.first ? s.first : &d.file[i];
        sum_add(&s, &d.file[i]);
    }
    if (s.first)
        sum_print(&l, &s);
    int code = tell_others(&l, &d);
    queue_dir_close(&d);
    return code;
}

/* ---- inspect ---------------------------------------------------------------------------------------------------- */

struct inspect {
    const struct look *look;
    const struct queue_file *file;
};

static void time_text(char out[40], gcw_signal signal, int64_t time)
{
    int64_t per_second = signal == GCW_LOGS ? 1000000000 : 1000;
    time_t seconds = (time_t)(time / per_second - (time % per_second < 0));
    struct tm tm;
    if (!gmtime_r(&seconds, &tm) || strftime(out, 40, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(out, 40, "%" PRId64, time);
}

static bool show_record(void *ctx, const struct segment_record *r, uint64_t at)
{
    const struct inspect *k = ctx;
    static const char *const protocols[PROTOCOLS] = {[PROTOCOL_RW1] = "remote-write-1.0",
                                                     [PROTOCOL_LOKI_JSON] = "loki-json",
                                                     [PROTOCOL_RW2] = "remote-write-2.0",
                                                     [PROTOCOL_LOKI_PROTO] = "loki-protobuf"};
    gcw_signal signal = k->file->head.id.signal;
    const char *state = at + r->size <= k->file->mark.end ? "ended" : "waiting",
               *protocol = r->protocol < ARRAY_LEN(protocols) ? protocols[r->protocol] : "unknown";
    char first[40], last[40];
    time_text(first, signal, r->first_time);
    time_text(last, signal, r->last_time);
    if (k->look->json)
        printf("{\"file\":\"%s\",\"at\":%" PRIu64 ",\"state\":\"%s\",\"protocol\":\"%s\",\"records\":%u,\"bytes\":%u,"
               "\"raw_bytes\":%u,\"sealed_unix_ms\":%" PRId64 ",\"first_time\":%" PRId64 ",\"last_time\":%" PRId64
               "}\n",
               k->file->name, at, state, protocol, r->records, r->len, r->raw_len, r->sealed_unix_ms, r->first_time,
               r->last_time);
    else
        printf("  %10" PRIu64 " %-8s %-16s %8u records %10u bytes  %s .. %s\n", at, state, protocol, r->records, r->len,
               first, last);
    return true;
}

static void show_damage(void *ctx, const struct segment_record *r, uint64_t at, uint64_t bytes)
{
    const struct inspect *k = ctx;
    if (k->look->json)
        printf("{\"file\":\"%s\",\"at\":%" PRIu64 ",\"state\":\"damaged\",\"records\":%u,\"bytes\":%" PRIu64 "}\n",
               k->file->name, at, r ? r->records : 0, bytes);
    else
        printf("  %10" PRIu64 " damaged  %" PRIu64 " bytes%s\n", at, bytes, r ? ", the checksum does not match" : "");
}

int queue_inspect_main(int argc, char **argv)
{
    struct look l = {0};
    struct queue_dir d;
    if (!open_dir(&l, "queue inspect", argc, argv, &d))
        return EXIT_USAGE;
    for (size_t i = 0; i < d.count; i++) {
        const struct queue_file *f = &d.file[i];
        struct inspect k = {&l, f};
        const struct segment_walk w = {&k, true, show_record, show_damage};
        uint64_t torn = 0;
        if (f->state != SEGMENT_OK)
            continue;
        if (!l.json)
            printf("%s: %s of tenant \"%s\", lane %u of %u, file %" PRIu64 "\n", f->name,
                   gcw_signal_name(f->head.id.signal), f->head.tenant, f->head.id.lane, f->head.id.lanes,
                   f->head.number);
        queue_file_walk(&d, f, &w, &torn);
        if (torn > 0 && !l.json)
            printf("  %" PRIu64 " bytes of a write that was cut short\n", torn);
    }
    int code = tell_others(&l, &d);
    queue_dir_close(&d);
    return code;
}
