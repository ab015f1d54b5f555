/* Doubles as label text. The C library finds the digits; where the point stands is ours, so that no locale gets into a
 * label. */
#include "model/model.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 17

/* When a number is written with an exponent (of its first digit), and whether a whole one gets ".0". */
static const struct style {
    int digits; /* 0 = as few as will do */
    int least, beyond;
    bool point;
} styles[LE_FORMATS] = {
    [LE_SHORTEST] = {0, -5, 17, false},
    [LE_OPENMETRICS] = {0, -5, 6, true},
    [LE_FLUENT_BIT] = {DIGITS_MAX, -5, 17, false},
};

struct decimal {
    char digit[DIGITS_MAX + 1];
    int count, exponent; /* of ten, of the first digit */
};

/* v > 0, rounded to `count` digits; trailing zeros go. */
static void decimal_of(struct decimal *d, double v, int count)
{
    char text[64];
    snprintf(text, sizeof text, "%.*e", count - 1, v);
    d->count = 0;
    char *p = text;
    for (; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9' && d->count < DIGITS_MAX)
            d->digit[d->count++] = *p;
    d->exponent = *p ? (int)strtol(p + 1, NULL, 10) : 0;
    while (d->count > 1 && d->digit[d->count - 1] == '0')
        d->count--;
}

static bool reads_back(const struct decimal *d, double v)
{
    char text[64];
    double back;
    snprintf(text, sizeof text, "%.*se%d", d->count, d->digit, d->exponent - d->count + 1); /* a point is not needed */
    back = strtod(text, NULL);
    return !(back < v) && !(back > v);
}

static void decimal_shortest(struct decimal *d, double v)
{
    int count = 1;
    do
        decimal_of(d, v, count);
    while (!reads_back(d, v) && ++count <= DIGITS_MAX);
}

static char *put_scientific(char *p, const struct decimal *d)
{
    *p++ = d->digit[0];
    if (d->count > 1) {
        *p++ = '.';
        memcpy(p, d->digit + 1, (size_t)d->count - 1);
        p += d->count - 1;
    }
    return p + sprintf(p, "e%c%02d", d->exponent < 0 ? '-' : '+', abs(d->exponent));
}

static char *put_plain(char *p, const struct decimal *d, bool point)
{
    int whole = d->exponent + 1; /* digits before the point */
    if (whole <= 0)
        *p++ = '0';
    for (int i = 0; i < whole; i++)
        *p++ = i < d->count ? d->digit[i] : '0';
    if (whole >= d->count) {
        if (point) {
            *p++ = '.';
            *p++ = '0';
        }
        return p;
    }
    *p++ = '.';
    for (int i = whole; i < d->count; i++)
        *p++ = i < 0 ? '0' : d->digit[i];
    return p;
}

size_t le_text(char *out, double v, enum le_format format)
{
    const struct style *s = &styles[format];
    struct decimal d = {.digit = "0", .count = 1};
    char *p = out;
    if (isnan(v) || isinf(v))
        return (size_t)sprintf(out, "%s", isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
    if (v < 0)
        *p++ = '-';
    if (v != 0 && s->digits)
        decimal_of(&d, fabs(v), s->digits);
    else if (v != 0)
        decimal_shortest(&d, fabs(v));
    if (d.exponent <= s->least || d.exponent >= s->beyond)
        p = put_scientific(p, &d);
    else
        p = put_plain(p, &d, s->point);
    *p = 0;
    return (size_t)(p - out);
}
