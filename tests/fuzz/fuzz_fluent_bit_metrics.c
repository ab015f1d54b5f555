/* Fuzz target: metrics chunks of any bytes. The first byte chooses options; the rest is fed twice, as a chunk that
 * comes again and as one cut short, into a writer that sends nowhere. */
#include <stdlib.h>

#include "hosts/fluent-bit/metrics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static gcw_writer *writer_of(void)
{
    static gcw_writer *writer; /* one for all inputs: its threads cost more than an input does */
    static const char *const options[][2] = {{"metrics_url", "http://127.0.0.1:9/push"},
                                             {"overflow", "drop_oldest"},
                                             {"metrics_batch_age", "1h"},
                                             {"retry_min", "1h"},
                                             {"retry_max", "1h"},
                                             {"log_level", "error"},
                                             {"max_series", "20000"}};
    gcw_config *c;
    if (writer)
        return writer;
    ENSURE(c = gcw_config_new());
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        ENSURE(gcw_config_set(c, options[i][0], options[i][1], NULL) == GCW_OK);
    ENSURE(writer = gcw_writer_open(c, NULL, NULL));
    gcw_config_free(c);
    return writer;
}

static void feed(struct metrics *m, const uint8_t *data, size_t size)
{
    struct chunk_count count;
    size_t done = SIZE_MAX;
    gcw_status status = metrics_chunk(m, data, size, NULL, NULL, &done, &count);
    ENSURE(done <= size && (status != GCW_OK || done == size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const times[] = {"auto", "source", "newest"}, *const deltas[] = {"cumulative", "keep"},
                             *const resources[] = {"target_info", "none"};
    if (size == 0)
        return 0;
    const struct metrics_options o = {.sample_time = times[data[0] % 3],
                                      .le_format = (enum le_format)(data[0] / 3 % 3),
                                      .delta = deltas[data[0] / 9 % 2],
                                      .resource_attributes = resources[data[0] / 18 % 2],
                                      .add_label = "env fuzz"};
    struct metrics *m = metrics_new(writer_of(), &o, NULL, NULL, NULL);
    ENSURE(m);
    feed(m, data + 1, size - 1);
    feed(m, data + 1, size - 1);
    feed(m, data + 1, (size - 1) / 2);
    metrics_free(m);
    return 0;
}
