/* Decimal text to double and to scaled integers. Three ways to a double, each exact: one rounding of exact operands
 * (Clinger), 128-bit integers, and for the rest strtod in the C locale; which one it is does not show in the result. */
#include "input/number.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>

#define MANTISSA_DIGITS 19
#define POW10_MAX       19
#define EXPONENT_CAP    100000000 /* past the longest line: a larger exponent changes nothing more */
#define SIGN_BIT        (UINT64_C(1) << 63)
#define NORMAL_NAN      UINT64_C(0x7ff8000000000001)
#define POSITIVE_INF    UINT64_C(0x7ff0000000000000)

__extension__ typedef unsigned __int128 wide;

static const uint64_t pow10_int[POW10_MAX + 1] = {
    UINT64_C(1),
    UINT64_C(10),
    UINT64_C(100),
    UINT64_C(1000),
    UINT64_C(10000),
    UINT64_C(100000),
    UINT64_C(1000000),
    UINT64_C(10000000),
    UINT64_C(100000000),
    UINT64_C(1000000000),
    UINT64_C(10000000000),
    UINT64_C(100000000000),
    UINT64_C(1000000000000),
    UINT64_C(10000000000000),
    UINT64_C(100000000000000),
    UINT64_C(1000000000000000),
    UINT64_C(10000000000000000),
    UINT64_C(100000000000000000),
    UINT64_C(1000000000000000000),
    UINT64_C(10000000000000000000),
};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bool digit_at(const char *p, const char *end) { return p < end && (unsigned char)(*p - '0') <= 9; }

/* [+-] digits behind the 'e'; NULL without a digit. */
static const char *exponent_scan(const char *p, const char *end, int *exponent)
{
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (!digit_at(p, end))
        return NULL;
    int e = 0;
    for (; digit_at(p, end); p++)
        e = MIN(e * 10 + (*p - '0'), EXPONENT_CAP);
    *exponent += negative ? -e : e;
    return p;
}

/* Digits past the mantissa: they move the exponent and are remembered for rounding. */
static void digit_spill(struct decimal *d, unsigned digit, bool fraction, bool first)
{
    if (first)
        d->next = (unsigned char)digit;
    d->truncated |= digit != 0;
    d->exponent += fraction ? 0 : 1;
}

const char *decimal_scan(const char *p, const char *end, struct decimal *d)
{
    *d = (struct decimal){0};
    if (p < end && (*p == '-' || *p == '+'))
        d->negative = *p++ == '-';
    uint64_t mantissa = 0;
    size_t spilled = 0;
    int significant = 0, decimals = 0;
    bool any = false, fraction = false;
    for (; p < end; p++) {
        unsigned digit = (unsigned char)(*p - '0');
        if (digit <= 9) {
            any = true;
            if (significant < MANTISSA_DIGITS) {
                mantissa = mantissa * 10 + digit;
                significant += mantissa != 0;
                decimals += fraction;
            } else {
                digit_spill(d, digit, fraction, spilled++ == 0);
            }
        } else if (*p == '.' && !fraction) {
            fraction = true;
        } else {
            break;
        }
    }
    d->mantissa = mantissa;
    d->exponent -= decimals;
    if (!any)
        return NULL;
    if (p < end && (*p == 'e' || *p == 'E'))
        return exponent_scan(p + 1, end, &d->exponent);
    return p;
}

/* ---- to integers ------------------------------------------------------------------------------------------------- */

static bool magnitude_scaled(const struct decimal *d, int k, uint64_t *out)
{
    if (d->mantissa == 0 || k < -POW10_MAX) { /* below 19 digits / 10^20: rounds to nothing */
        *out = 0;
        return true;
    }
    if (k > 0)
        return k <= POW10_MAX && !__builtin_mul_overflow(d->mantissa, pow10_int[k], out);
    if (k == 0)
        return !__builtin_add_overflow(d->mantissa, (uint64_t)(d->next >= 5), out);
    /* digits that were cut off can't lift a remainder over the half, which is an integer */
    uint64_t unit = pow10_int[-k], rest = d->mantissa % unit;
    *out = d->mantissa / unit + (rest >= unit - rest);
    return true;
}

bool decimal_scaled(const struct decimal *d, int shift, int64_t *out)
{
    uint64_t u;
    if (!magnitude_scaled(d, d->exponent + shift, &u) || u > (uint64_t)INT64_MAX + (d->negative ? 1 : 0))
        return false;
    *out = d->negative ? (int64_t)(UINT64_C(0) - u) : (int64_t)u;
    return true;
}

/* ---- to doubles -------------------------------------------------------------------------------------------------- */

static uint64_t double_bits(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static int wide_bits(wide x)
{
    uint64_t high = (uint64_t)(x >> 64);
    return high ? 128 - __builtin_clzll(high) : 64 - __builtin_clzll((uint64_t)x);
}

/* x * 2^-scale, rounded to nearest even; `sticky` = something not zero was cut off below x. For results that are
 * normal numbers: |decimal exponent| <= 19 is far from both ends. x has more than 53 bits if sticky. */
static uint64_t bits_from_wide(wide x, int scale, bool sticky)
{
    int bits = wide_bits(x), drop = bits - 53;
    uint64_t top;
    if (drop <= 0) {
        top = (uint64_t)x << -drop;
    } else {
        wide half = (wide)1 << (drop - 1), rest = x & ((half << 1) - 1);
        top = (uint64_t)(x >> drop);
        bool up = rest > half || (rest == half && (sticky || (top & 1)));
        top += up;
    }
    int biased = bits - 1 - scale + 1023;
    uint64_t exponent = (uint64_t)biased;
    return (exponent << 52) + (top - (UINT64_C(1) << 52)); /* a carry out of the fraction lifts the exponent */
}

static bool double_by_clinger(const struct decimal *d, uint64_t *bits)
{
#if FLT_EVAL_METHOD == 0
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (d->truncated || d->mantissa > UINT64_C(1) << 53 || d->exponent < -22 || d->exponent > 22)
        return false;
    double m = (double)d->mantissa;
    *bits = double_bits(d->exponent < 0 ? m / powers[-d->exponent] : m * powers[d->exponent]);
    return true;
#else
    (void)d, (void)bits; /* wider intermediates (x87) would round twice */
    return false;
#endif
}

static bool double_by_integers(const struct decimal *d, uint64_t *bits)
{
    if (d->truncated || d->exponent < -POW10_MAX || d->exponent > POW10_MAX)
        return false;
    if (d->exponent >= 0) {
        *bits = bits_from_wide((wide)d->mantissa * pow10_int[d->exponent], 0, false);
        return true;
    }
    /* numerator of 128 bits by a divisor of 64: the quotient has at least 64 */
    int lead = __builtin_clzll(d->mantissa);
    wide numerator = (wide)(d->mantissa << lead) << 64;
    uint64_t divisor = pow10_int[-d->exponent];
    wide quotient = numerator / divisor;
    *bits = bits_from_wide(quotient, lead + 64, quotient * divisor != numerator);
    return true;
}

/* The rest is rare: 20 digits, 1e-300. newlocale("C") costs nothing in glibc: it has that locale ready. */
static enum number_status double_by_libc(struct view text, uint64_t *bits)
{
    char small[512];
    char *copy = text.n < sizeof small ? small : malloc(text.n + 1);
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    enum number_status status = NUMBER_NOMEM;
    if (copy && c_locale) {
        memcpy(copy, text.p, text.n);
        copy[text.n] = 0;
        double v = strtod_l(copy, NULL, c_locale);
        *bits = double_bits(v) & ~SIGN_BIT;
        status = *bits < POSITIVE_INF ? NUMBER_OK : NUMBER_RANGE;
    }
    if (c_locale)
        freelocale(c_locale);
    if (copy != small)
        free(copy);
    return status;
}

enum number_status decimal_double(const struct decimal *d, struct view text, uint64_t *bits)
{
    enum number_status status = NUMBER_OK;
    if (d->mantissa == 0)
        *bits = 0;
    else if (!double_by_clinger(d, bits) && !double_by_integers(d, bits))
        status = double_by_libc(text, bits);
    if (d->negative)
        *bits |= SIGN_BIT;
    return status;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static bool word_is(struct view v, const char *lower)
{
    if (v.n != strlen(lower))
        return false;
    for (size_t i = 0; i < v.n; i++)
        if ((v.p[i] | 0x20) != lower[i])
            return false;
    return true;
}

enum number_status number_double(struct view text, uint64_t *bits)
{
    struct decimal d;
    const char *end = text.n ? decimal_scan(text.p, text.p + text.n, &d) : NULL;
    if (end == text.p + text.n && end)
        return decimal_double(&d, text, bits);
    *bits = NORMAL_NAN;
    if (word_is(text, "nan"))
        return NUMBER_OK;
    bool sign = text.n > 0 && (text.p[0] == '-' || text.p[0] == '+');
    *bits = POSITIVE_INF | (sign && text.p[0] == '-' ? SIGN_BIT : 0);
    struct view word = sign ? view_make(text.p + 1, text.n - 1) : text;
    return word_is(word, "inf") || word_is(word, "infinity") ? NUMBER_OK : NUMBER_SYNTAX;
}
