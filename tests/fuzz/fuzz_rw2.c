/* A remote write 2.0 body as a queue file may hold it, whatever it has become: parts of it, and the same in 1.0. What
 * comes out is a message, and holds as many entries as it says. */
#include <snappy-c.h>
#include <stdlib.h>

#include "codec/codec.h"
#include "remote1.pb-c.h"
#include "remote2.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void part_check(const struct sealed *part, enum protocol protocol)
{
    size_t entries = 0;
    if (protocol == PROTOCOL_RW2) {
        Gcw__Rw2__Request *r = gcw__rw2__request__unpack(NULL, part->len, part->body);
        entries = r ? r->n_timeseries : part->records; /* texts need not be UTF-8, messages inside not whole */
        if (r)
            gcw__rw2__request__free_unpacked(r, NULL);
    } else {
        Gcw__Rw1__WriteRequest *r = gcw__rw1__write_request__unpack(NULL, part->len, part->body);
        entries = r ? r->n_timeseries : part->records;
        if (r)
            gcw__rw1__write_request__free_unpacked(r, NULL);
    }
    ENSURE(entries == part->records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 3)
        return 0;
    struct sealed *s = sealed_new(data + 3, n - 3);
    ENSURE(s);
    s->protocol = PROTOCOL_RW2;
    s->encoding = ENCODING_NONE;
    s->raw_len = s->len;
    s->records = data[0] % 16u + 1;
    s->tenant = "";
    uint32_t from = data[1] % s->records, count = 1 + data[2] % (s->records - from);
    for (int i = 0; i < 4; i++) {
        struct part cut = {.from = from,
                           .count = count,
                           .protocol = i ? PROTOCOL_RW1 : PROTOCOL_RW2,
                           .no_histograms = i == 2,
                           .no_exemplars = i == 3};
        struct sealed *part = sealed_part(s, &cut);
        ENSURE(!part || (!cut.broken && part->records == cut.count - cut.unsaid));
        if (part)
            part_check(part, cut.protocol);
        sealed_free(part);
    }
    sealed_free(s);
    return 0;
}
