/* Decimal numbers as text, independent of the locale: read once into digits and exponent, then made a double (correctly
 * rounded) or an integer of a finer unit (seconds to milliseconds, say) without a detour through floating point. */
#ifndef GCW_INPUT_NUMBER_H
#define GCW_INPUT_NUMBER_H

#include "base/base.h"

struct decimal {
    uint64_t mantissa; /* the first 19 significant digits at most */
    int exponent;      /* of ten, for the mantissa */
    bool negative;
    bool truncated;     /* a digit other than 0 did not fit the mantissa */
    unsigned char next; /* the first digit that did not fit */
};

/* Reads [+-] digits [. digits] [e [+-] digits] with at least one digit before the exponent; returns the end, NULL if no
 * number starts at p. */
const char *decimal_scan(const char *p, const char *end, struct decimal *d);

/* d * 10^shift, rounded to the nearest integer, halves away from zero; false outside int64. */
bool decimal_scaled(const struct decimal *d, int shift, int64_t *out);

enum number_status { NUMBER_OK, NUMBER_SYNTAX, NUMBER_RANGE, NUMBER_NOMEM };

/* The double next to the decimal `text` that decimal_scan() read into d. NUMBER_RANGE past the largest double. */
enum number_status decimal_double(const struct decimal *d, struct view text, uint64_t *bits);

/* A whole token as Prometheus' parsers take it: Go's strconv.ParseFloat without hexadecimal and underscores. Inf and
 * infinity take a sign, nan none, in any case of letters; any NaN becomes 0x7ff8000000000001. */
enum number_status number_double(struct view text, uint64_t *bits);

#endif
