/* Numbered entries under durable receipts, until it is killed. argv: LOGS_URL QUEUE_DIR FIRST COUNT. For each receipt
 * that completed it prints "LAST" of the numbers it covers, on a line of its own, unbuffered: what was printed is safe.
 */
#include <gcw.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PER_RECEIPT 10

static gcw_config *configure(char **argv)
{
    const char *const options[][2] = {
        {"logs_url", argv[1]},        {"queue_dir", argv[2]},     {"overflow", "block"},
        {"logs_batch_age", "10ms"},   {"retry_min", "10ms"},      {"retry_max", "50ms"},
        {"logs_batch_bytes", "8KiB"}, {"memory_limit", "256KiB"}, {"queue_limit", "64MiB"},
        {"logs_compression", "none"}, {"log_level", "error"},     {"park_probe", "100ms"},
    };
    gcw_config *c = gcw_config_new();
    gcw_error err;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (!c || gcw_config_set(c, options[i][0], options[i][1], &err) != GCW_OK) {
            fprintf(stderr, "%s\n", err.text);
            exit(2);
        }
    return c;
}

static int append(gcw_writer *w, gcw_stream *stream, long first, long count)
{
    char text[64];
    gcw_error err;
    gcw_receipt *r = gcw_receipt_new(w, GCW_RECEIPT_DURABLE, NULL, NULL, &err);
    if (!r) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (long i = first; i < first + count; i++) {
        int n = snprintf(text, sizeof text, "number %ld", i);
        if (gcw_entry_append(stream, text, (size_t)n, gcw_now_ns(), NULL, 0, r) != GCW_OK)
            return 1;
    }
    gcw_receipt_seal(r);
    gcw_receipt_summary s;
    if (gcw_receipt_wait(r, 60000, &s) != GCW_OK)
        return 1;
    gcw_receipt_free(r);
    int n = snprintf(text, sizeof text, "%ld\n", first + count - 1);
    return write(STDOUT_FILENO, text, (size_t)n) != n;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    gcw_config *c = configure(argv);
    gcw_error err;
    gcw_writer *w = gcw_writer_open(c, NULL, &err);
    const gcw_label labels[] = {GCW_LABEL("job", "torture")};
    gcw_stream *stream = w ? gcw_stream_intern(w, labels, 1, NULL, &err) : NULL;
    if (!stream) {
        fprintf(stderr, "%s\n", err.text);
        return 2;
    }
    long first = atol(argv[3]), end = first + atol(argv[4]);
    int failed = 0;
    for (; first < end && !failed; first += PER_RECEIPT)
        failed = append(w, stream, first, first + PER_RECEIPT <= end ? PER_RECEIPT : end - first);
    failed |= gcw_writer_close(w, 60000, NULL) != GCW_OK;
    gcw_config_free(c);
    return failed;
}
