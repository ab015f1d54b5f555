/* Any answer has a verdict; what it says was lost is at least one record and at most all. */
#include <stdlib.h>

#include "deliver/deliver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sealed s = {.tenant = "t"};
    struct answer a = {0};
    if (size < 6)
        return 0;
    a.end = (enum attempt_end)(data[0] & 3);
    s.signal = data[0] & 4 ? GCW_LOGS : GCW_METRICS;
    a.status = a.end == END_ANSWERED ? (data[1] << 8 | data[2]) % 1000 : 0;
    s.records = 1u + (uint32_t)(data[3] << 8 | data[4]);
    size_t header = MIN(data[5] % sizeof a.retry_after, size - 6);
    memcpy(a.retry_after, data + 6, header);
    memcpy(a.text, data + 6 + header, MIN(size - 6 - header, (size_t)ANSWER_TEXT));
    a.retry_after[sizeof a.retry_after - 1] = 0;
    struct verdict v = answer_judge(&s, &a, false, INT64_C(1700000000000));
    ENSURE(v.row && *v.row->reason && *v.row->source);
    ENSURE(v.action != ACTION_PARTIAL || (v.lost >= 1 && v.lost <= s.records));
    return 0;
}
