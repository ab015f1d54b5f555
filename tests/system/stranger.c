/* A stranger's program: only gcw.h, several threads, metrics and logs, receipts, reports. argv: METRICS_URL LOGS_URL
 * RECORDS. */
#include <gcw.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 4

struct job {
    gcw_writer *writer;
    gcw_receipt *receipt;
    int number, records, failed;
};

struct totals {
    uint64_t outcome[GCW_OUTCOMES];
};

static void on_report(void *user, const gcw_report *r) { ((struct totals *)user)->outcome[r->outcome] += r->records; }

static void *produce(void *ctx)
{
    struct job *j = ctx;
    char name[16];
    snprintf(name, sizeof name, "%d", j->number);
    const gcw_label labels[] = {GCW_LABEL("__name__", "stranger_total"), GCW_LABEL("thread", name)};
    const gcw_label lazy[] = {GCW_LABEL("__name__", "stranger_lazy"), GCW_LABEL("thread", name)};
    const gcw_label meta[] = {GCW_LABEL("trace_id", "abc")};
    const gcw_metadata about = {GCW_TYPE_COUNTER, NULL, "How strange.", NULL};
    int64_t now_ms = gcw_now_ms(), now_ns = gcw_now_ns();
    gcw_error err;
    gcw_series *series = gcw_series_intern(j->writer, labels, 2, &about, NULL, &err);
    gcw_stream *stream = gcw_stream_intern(j->writer, labels + 1, 1, NULL, &err);
    if (!series || !stream) {
        fprintf(stderr, "%s\n", err.text);
        j->failed = 1;
        return NULL;
    }
    for (int i = 0; i < j->records; i++) {
        j->failed |= gcw_sample_append(series, i, now_ms - j->records + i, j->receipt) != GCW_OK;
        j->failed |= gcw_entry_append(stream, "a line", 6, now_ns + i, meta, 1, j->receipt) != GCW_OK;
        j->failed |= gcw_sample_write(j->writer, lazy, 2, i, now_ms - j->records + i, j->receipt, &err) != GCW_OK;
    }
    gcw_series_release(series);
    gcw_stream_release(stream);
    return NULL;
}

int main(int argc, char **argv)
{
    struct totals totals = {{0}};
    gcw_callbacks callbacks = {.user = &totals, .report = on_report};
    gcw_config *config = gcw_config_new();
    gcw_error err;
    if (argc != 4 || gcw_config_set(config, "metrics_url", argv[1], &err) != GCW_OK ||
        gcw_config_set(config, "logs_url", argv[2], &err) != GCW_OK ||
        gcw_config_set(config, "overflow", "block", &err) != GCW_OK ||
        gcw_config_set(config, "metrics_batch_age", "200ms", &err) != GCW_OK)
        return 2;
    gcw_writer *writer = gcw_writer_open(config, &callbacks, &err);
    gcw_config_free(config);
    if (!writer) {
        fprintf(stderr, "%s\n", err.text);
        return 2;
    }
    gcw_receipt *receipt = gcw_receipt_new(writer, GCW_RECEIPT_DELIVERED, NULL, NULL, &err);
    pthread_t thread[THREADS];
    struct job job[THREADS];
    int failed = 0;
    for (int i = 0; i < THREADS; i++) {
        job[i] = (struct job){writer, receipt, i, atoi(argv[3]), 0};
        pthread_create(&thread[i], NULL, produce, &job[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        gcw_stats while_running;
        gcw_writer_stats(writer, &while_running);
        pthread_join(thread[i], NULL);
        failed |= job[i].failed;
    }
    gcw_receipt_seal(receipt);
    gcw_receipt_summary sum;
    gcw_stats stats;
    gcw_status flushed = gcw_writer_flush(writer, 60000), waited = gcw_receipt_wait(receipt, 60000, &sum);
    gcw_status closed = gcw_writer_close(writer, 5000, &stats);
    gcw_receipt_free(receipt);
    printf("{\"failed\":%d,\"flushed\":%d,\"waited\":%d,\"closed\":%d,\"receipt\":%llu,\"receipt_delivered\":%llu,"
           "\"reported\":%llu,"
           "\"accepted\":%llu,\"delivered\":%llu,\"pending\":%llu}\n",
           failed, flushed, waited, closed, (unsigned long long)sum.records,
           (unsigned long long)sum.outcome[GCW_DELIVERED], (unsigned long long)totals.outcome[GCW_DELIVERED],
           (unsigned long long)(stats.signal[0].accepted + stats.signal[1].accepted),
           (unsigned long long)(stats.signal[0].outcome[GCW_DELIVERED] + stats.signal[1].outcome[GCW_DELIVERED]),
           (unsigned long long)(stats.signal[0].pending + stats.signal[1].pending));
    return failed;
}
