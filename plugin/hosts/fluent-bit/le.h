/* A bucket's bound or a quantile as the text of its label. Receivers compare that text, not the number: the same bound
 * must come out the same, whoever sent it. LE_SHORTEST    the fewest digits that read back as the same double: "0.1",
 * "1", "1000000"; exponents as below. As Prometheus writes it for OTLP, and what client libraries expose, large numbers
 * apart LE_OPENMETRICS "0.1", "1.0", "1e+06": what Prometheus 3 and Alloy make of what they scrape LE_FLUENT_BIT
 * printf's "%.17g", as the built-in output: "0.10000000000000001", "1", "1000000" */
#ifndef GCW_HOSTS_FLUENT_BIT_LE_H
#define GCW_HOSTS_FLUENT_BIT_LE_H

#include <stddef.h>

enum le_format { LE_SHORTEST, LE_OPENMETRICS, LE_FLUENT_BIT, LE_FORMATS };

#define LE_MAX 32
/* Writes v at out (LE_MAX bytes, terminated) and returns the length. */
size_t le_text(char *out, double v, enum le_format format);

#endif
