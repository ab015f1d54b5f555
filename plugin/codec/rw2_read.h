/* Private to codec/: remote write 2.0 requests of ours, read back. Each entry holds one sample or histogram. */
#ifndef GCW_CODEC_RW2_READ_H
#define GCW_CODEC_RW2_READ_H

#include "codec/wire.h"

/* The numbers of the wire that reading needs. */
enum {
    REQUEST_SYMBOLS = 4,
    REQUEST_TIMESERIES = 5,
    SERIES_LABELS = 1,
    SERIES_SAMPLES = 2,
    SERIES_HISTOGRAMS = 3,
    SERIES_EXEMPLARS = 4,
    SERIES_METADATA = 5,
    EXEMPLAR_LABELS = 1,
    METADATA_TYPE = 1,
    METADATA_HELP = 3,
    METADATA_UNIT = 4,
};

struct symbol_table {
    const uint8_t *raw;
    uint32_t *at; /* where in raw each one's length stands */
    uint32_t count;
};

/* False: broken, or *nomem. */
bool symbol_table_read(struct symbol_table *t, const struct buf *raw, bool *nomem);
void symbol_table_free(struct symbol_table *t);
struct view symbol_text(const struct symbol_table *t, uint32_t ref); /* ref < count */

struct entry {
    struct wire labels; /* packed refs, each below the table's count, an even number of them */
    struct wire point;  /* the sample or histogram */
    bool histogram;
    struct wire metadata; /* p NULL = none */
    uint32_t exemplars;   /* fields of that number in the entry */
};
/* One entry's parts; false = not of ours. */
bool entry_read(struct wire series, const struct symbol_table *t, struct entry *e);

#endif
