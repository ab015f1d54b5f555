/* The line of progress on a terminal, and the summary at the end. */
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "cli/push.h"

#define EVERY_MS 250

/* "12.3 MB": for people, powers of ten as disks and networks count. */
static const char *human(char *out, size_t cap, uint64_t bytes)
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB"};
    double v = (double)bytes;
    size_t i = 0;
    for (; v >= 1000 && i + 1 < ARRAY_LEN(unit); i++)
        v /= 1000;
    snprintf(out, cap, i == 0 ? "%.0f %s" : "%.1f %s", v, unit[i]);
    return out;
}

static void show(struct push *p, uint64_t *last_records, uint64_t *last_ms)
{
    gcw_stats s;
    gcw_writer_stats(p->writer, &s);
    const gcw_signal_stats *g = &s.signal[p->signal];
    uint64_t now = clock_mono_ms(), bytes = atomic_load(&p->read_bytes), step = MAX(now - *last_ms, 1);
    double rate = (double)(g->accepted - *last_records) * 1000.0 / (double)step;
    char read[16], left[32] = "", retries[64] = "";
    if (p->total_bytes > 0 && bytes > 0 && now > p->started_ms) {
        uint64_t eta = (p->total_bytes - MIN(bytes, p->total_bytes)) * (now - p->started_ms) / bytes / 1000;
        snprintf(left, sizeof left, " %3.0f%% ETA %" PRIu64 "s", 100.0 * (double)bytes / (double)p->total_bytes, eta);
    }
    if (g->retries > 0)
        snprintf(retries, sizeof retries, ", %" PRIu64 " retries%s", g->retries, g->parked ? " (parked)" : "");
    fprintf(stderr, "\r\033[K%s%s, %" PRIu64 " records, %.0f/s, %" PRIu64 " pending, %" PRIu64 " in flight%s",
            human(read, sizeof read, bytes), left, g->accepted, rate, g->pending, g->requests_in_flight, retries);
    fflush(stderr);
    *last_records = g->accepted;
    *last_ms = now;
}

static void *progress_main(void *ctx)
{
    struct push *p = ctx;
    uint64_t records = 0, last = p->started_ms, next = p->started_ms + EVERY_MS;
    const struct timespec nap = {.tv_nsec = 50000000};
    while (!atomic_load(&p->done)) {
        nanosleep(&nap, NULL);
        if (clock_mono_ms() < next)
            continue;
        next += EVERY_MS;
        show(p, &records, &last);
    }
    fprintf(stderr, "\r\033[K");
    return NULL;
}

void progress_start(struct push *p)
{
    p->started_ms = clock_mono_ms();
    if (p->quiet || !(p->progress || isatty(STDERR_FILENO)))
        return;
    p->thread_runs = pthread_create(&p->thread, NULL, progress_main, p) == 0;
}

void progress_stop(struct push *p)
{
    atomic_store(&p->done, true);
    if (p->thread_runs)
        pthread_join(p->thread, NULL);
    p->thread_runs = false;
}

/* ---- summary -------------------------------------------------------------------------------------------------------
 */

static void summary_json(const struct push *p, const gcw_stats *all, uint64_t ms)
{
    const gcw_signal_stats *g = &all->signal[p->signal];
    printf("{\"signal\":\"%s\",\"in\":%" PRIu64 ",\"recovered\":%" PRIu64 ",\"on_disk\":%" PRIu64
           ",\"delivered\":%" PRIu64 ",\"rejected\":%" PRIu64 ",\"expired\":%" PRIu64 ",\"dropped\":%" PRIu64
           ",\"refused\":%" PRIu64 ",\"malformed_lines\":%" PRIu64 ",\"changed\":%" PRIu64 ",\"metadata\":%" PRIu64
           ",\"exemplars\":%" PRIu64 ",\"exemplars_left_out\":%" PRIu64 ",\"histograms\":%" PRIu64
           ",\"histograms_left_out\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"retries\":%" PRIu64
           ",\"bytes_read\":%" PRIu64 ",\"bytes_raw\":%" PRIu64 ",\"bytes_sent\":%" PRIu64 ",\"disk_syncs\":%" PRIu64
           ",\"milliseconds\":%" PRIu64 "}\n",
           gcw_signal_name(p->signal), g->accepted + p->refused, g->recovered, g->pending, g->outcome[GCW_DELIVERED],
           g->outcome[GCW_REJECTED], g->outcome[GCW_EXPIRED], g->outcome[GCW_DROPPED], p->refused, p->malformed,
           g->changed, g->metadata_sent, g->exemplars_sent, g->exemplars_left_out, g->histograms_sent,
           g->histograms_left_out, g->requests, g->retries, atomic_load(&p->read_bytes), g->bytes_raw, g->bytes_sent,
           all->disk_syncs, ms);
}

static void summary_text(const struct push *p, const gcw_signal_stats *g, uint64_t ms)
{
    char read[16], sent[16], found[64] = "", kept[64] = "";
    if (g->recovered > 0)
        snprintf(found, sizeof found, " + found on disk %" PRIu64, g->recovered);
    if (g->pending > 0)
        snprintf(kept, sizeof kept, " + kept on disk %" PRIu64, g->pending);
    fprintf(stderr,
            "%s: in %" PRIu64 "%s = delivered %" PRIu64 " + rejected %" PRIu64 " + expired %" PRIu64
            " + dropped %" PRIu64 " + refused %" PRIu64 "%s; malformed lines %" PRIu64 "\n"
            "read %s, sent %s in %" PRIu64 " requests, %" PRIu64 " of them retries, in %.1f s\n",
            gcw_signal_name(p->signal), g->accepted + p->refused, found, g->outcome[GCW_DELIVERED],
            g->outcome[GCW_REJECTED], g->outcome[GCW_EXPIRED], g->outcome[GCW_DROPPED], p->refused, kept, p->malformed,
            human(read, sizeof read, atomic_load(&p->read_bytes)), human(sent, sizeof sent, g->bytes_sent), g->requests,
            g->retries, (double)ms / 1000.0);
    if (g->exemplars_sent + g->exemplars_left_out + g->histograms_sent + g->histograms_left_out > 0)
        fprintf(stderr,
                "exemplars: sent %" PRIu64 ", left out %" PRIu64 "; native histograms: sent %" PRIu64
                ", left out %" PRIu64 "\n",
                g->exemplars_sent, g->exemplars_left_out, g->histograms_sent, g->histograms_left_out);
    if (g->outcome[GCW_DELIVERED] != g->accepted + g->recovered && *g->last_error)
        fprintf(stderr, "last error: %s\n", g->last_error);
}

void summary_print(const struct push *p, const gcw_stats *s)
{
    uint64_t ms = clock_mono_ms() - p->started_ms;
    if (p->summary == SUMMARY_JSON)
        summary_json(p, s, ms);
    else if (p->summary == SUMMARY_TEXT && !p->quiet)
        summary_text(p, &s->signal[p->signal], ms);
}
