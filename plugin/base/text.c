/* Numbers, sizes and durations as text, both ways. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/base.h"

size_t text_u64(char *out, uint64_t v)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    char tmp[20], *p = tmp + sizeof tmp;
    for (; v >= 100; v /= 100)
        p = memcpy(p - 2, pairs + 2 * (v % 100), 2);
    if (v >= 10)
        p = memcpy(p - 2, pairs + 2 * v, 2);
    else
        *--p = (char)('0' + v);
    size_t n = (size_t)(tmp + sizeof tmp - p);
    memcpy(out, p, n);
    return n;
}

size_t text_i64(char *out, int64_t v)
{
    if (v >= 0)
        return text_u64(out, (uint64_t)v);
    out[0] = '-';
    return 1 + text_u64(out + 1, UINT64_C(0) - (uint64_t)v);
}

bool parse_u64(struct view v, uint64_t *out)
{
    uint64_t r = 0;
    if (v.n == 0 || v.n > 20)
        return false;
    for (size_t i = 0; i < v.n; i++) {
        unsigned d = (unsigned)(v.p[i] - '0');
        if (d > 9 || __builtin_mul_overflow(r, UINT64_C(10), &r) || __builtin_add_overflow(r, (uint64_t)d, &r))
            return false;
    }
    *out = r;
    return true;
}

bool parse_i64(struct view v, int64_t *out)
{
    bool negative = v.n > 0 && v.p[0] == '-';
    if (v.n > 0 && (v.p[0] == '-' || v.p[0] == '+'))
        v = view_make(v.p + 1, v.n - 1);
    uint64_t u;
    if (!parse_u64(v, &u) || u > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *out = negative ? (int64_t)(UINT64_C(0) - u) : (int64_t)u;
    return true;
}

bool parse_bool(struct view v, bool *out)
{
    static const char *const yes[] = {"on", "true", "yes", "1"}, *const no[] = {"off", "false", "no", "0"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (view_is(v, yes[i]) || view_is(v, no[i])) {
            *out = view_is(v, yes[i]);
            return true;
        }
    }
    return false;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* A decimal number (digits, at most one point) times the unit behind it. Fractions below one base unit are refused. */
static bool parse_with_unit(struct view v, const struct unit *units, size_t count, uint64_t *out)
{
    size_t digits = 0;
    while (digits < v.n && ((v.p[digits] >= '0' && v.p[digits] <= '9') || v.p[digits] == '.'))
        digits++;
    struct view number = view_make(v.p, digits), name = view_trim(view_make(v.p + digits, v.n - digits));
    const char *point = digits ? memchr(number.p, '.', number.n) : NULL;
    struct view whole = point ? view_make(number.p, (size_t)(point - number.p)) : number;
    uint64_t n;
    if (!parse_u64(whole, &n))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!view_is(name, units[i].name))
            continue;
        if (__builtin_mul_overflow(n, units[i].factor, &n))
            return false;
        if (point) {
            struct view frac = view_make(point + 1, number.n - whole.n - 1);
            uint64_t scale = 1, f;
            if (frac.n > 9 || !parse_u64(frac, &f))
                return false;
            for (size_t k = 0; k < frac.n; k++)
                scale *= 10;
            if (__builtin_mul_overflow(f, units[i].factor, &f) || f % scale != 0 ||
                __builtin_add_overflow(n, f / scale, &n))
                return false;
        }
        *out = n;
        return true;
    }
    return false;
}

static const struct unit sizes[] = {
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"B", 1},
    {"", 1},
    {"g", UINT64_C(1) << 30},
    {"G", UINT64_C(1) << 30},
    {"m", UINT64_C(1) << 20},
    {"M", UINT64_C(1) << 20},
    {"k", UINT64_C(1) << 10},
    {"K", UINT64_C(1) << 10},
    {"TiB", UINT64_C(1) << 40},
};

static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

bool parse_size(struct view v, uint64_t *bytes) { return parse_with_unit(v, sizes, ARRAY_LEN(sizes), bytes); }

bool parse_duration(struct view v, uint64_t *ms)
{
    if (view_is(v, "0")) {
        *ms = 0;
        return true;
    }
    return parse_with_unit(v, durations, ARRAY_LEN(durations), ms);
}

static void format_with_unit(char *out, size_t cap, uint64_t v, const struct unit *units, size_t count)
{
    size_t i = 0;
    while (i + 1 < count && (v == 0 || v % units[i].factor != 0))
        i++;
    snprintf(out, cap, "%" PRIu64 "%s", v / units[i].factor, units[i].name);
}

void format_size(char *out, size_t cap, uint64_t bytes) { format_with_unit(out, cap, bytes, sizes, 4); }

void format_duration(char *out, size_t cap, uint64_t ms)
{
    if (ms == 0)
        snprintf(out, cap, "0");
    else
        format_with_unit(out, cap, ms, durations, ARRAY_LEN(durations));
}

#define NAME_MAX_LEN 64

size_t text_distance(struct view a, struct view b)
{
    size_t row[NAME_MAX_LEN + 1];
    a.n = MIN(a.n, (size_t)NAME_MAX_LEN), b.n = MIN(b.n, (size_t)NAME_MAX_LEN);
    for (size_t k = 0; k <= b.n; k++)
        row[k] = k;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b.n; k++) {
            size_t replaced = diagonal + (a.p[i - 1] != b.p[k - 1]);
            diagonal = row[k];
            row[k] = MIN(replaced, MIN(row[k], row[k - 1]) + 1);
        }
    }
    return row[b.n];
}
