/* What a line of OpenMetrics has beside the number. */
#include "cli/push.h"
#include "input/input.h"

gcw_point exemplar_point(const struct exposition_sample *s, int64_t time_ms, gcw_exemplar *e)
{
    *e = (gcw_exemplar){s->exemplar_labels, s->exemplar_label_count, 0,
                        s->exemplar_has_time ? s->exemplar_time_ms : time_ms};
    memcpy(&e->value, &s->exemplar_bits, sizeof e->value);
    return (gcw_point){.time_ms = time_ms, .value_bits = s->value_bits, .exemplars = e, .exemplar_count = 1};
}
