/* Times in log lines to Unix nanoseconds, without floating point and without the process's locale or time zone. */
#include <locale.h>
#include <stdlib.h>
#include <time.h>

#include "input/input.h"
#include "input/number.h"

#define NS_PER_S         1000000000
#define PATTERN_TEXT_MAX 256 /* longer texts are no times */

enum time_kind { TIME_RFC3339, TIME_UNIX, TIME_AUTO, TIME_PATTERN };

struct time_format {
    enum time_kind kind;
    int shift;            /* TIME_UNIX: power of ten from the unit to nanoseconds */
    char *pattern;        /* for strptime, without %f */
    char *pattern_before; /* its part before %f; NULL if there was no %f */
    locale_t c_locale;
};

static const struct {
    const char *name;
    enum time_kind kind;
    int shift;
} names[] = {
    {"rfc3339", TIME_RFC3339, 0}, {"unix_s", TIME_UNIX, 9},  {"unix_ms", TIME_UNIX, 6},
    {"unix_us", TIME_UNIX, 3},    {"unix_ns", TIME_UNIX, 0}, {"auto", TIME_AUTO, 0},
};

static bool ns_from(int64_t seconds, int64_t ns, int64_t *out)
{
    __extension__ __int128 all = (__int128)seconds * NS_PER_S + ns; /* the oldest second overflows without its ns */
    *out = (int64_t)all;
    return all == *out;
}

/* ---- calendar ---------------------------------------------------------------------------------------------------- */

static int days_in_month(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01 in the Gregorian calendar. Years start in March here, so that the leap day is a year's last. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400, year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

/* ---- RFC 3339 ---------------------------------------------------------------------------------------------------- */

/* Exactly n digits at p. */
static bool digits_read(const char *p, size_t n, int *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        *out = *out * 10 + (p[i] - '0');
    }
    return true;
}

/* Digits of a fraction from p on, one to nine; returns their number, 0 if there are none or too many. */
static size_t fraction_read(const char *p, size_t n, int64_t *ns)
{
    size_t i = 0;
    *ns = 0;
    for (; i < n && p[i] >= '0' && p[i] <= '9'; i++)
        *ns = i < 9 ? *ns * 10 + (p[i] - '0') : *ns;
    for (size_t k = i; k < 9; k++)
        *ns *= 10;
    return i <= 9 ? i : 0;
}

/* Z or +hh:mm. */
static bool zone_read(struct view v, int64_t *offset_s)
{
    int hours, minutes;
    *offset_s = 0;
    if (v.n == 1 && (v.p[0] == 'Z' || v.p[0] == 'z'))
        return true;
    if (v.n != 6 || (v.p[0] != '+' && v.p[0] != '-') || v.p[3] != ':' || !digits_read(v.p + 1, 2, &hours) ||
        !digits_read(v.p + 4, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *offset_s = (hours * 3600 + minutes * 60) * (v.p[0] == '-' ? -1 : 1);
    return true;
}

/* 2006-01-02T15:04:05[.fraction]zone; 't' and a blank pass for 'T'. A 60th second is the next minute's first. */
static bool rfc3339_parse(struct view v, int64_t *unix_ns)
{
    int year, month, day, hour, minute, second;
    int64_t ns = 0, offset_s;
    size_t at = 19;
    if (v.n < 20 || v.p[4] != '-' || v.p[7] != '-' || v.p[13] != ':' || v.p[16] != ':' ||
        !(v.p[10] == 'T' || v.p[10] == 't' || v.p[10] == ' '))
        return false;
    if (!digits_read(v.p, 4, &year) || !digits_read(v.p + 5, 2, &month) || !digits_read(v.p + 8, 2, &day) ||
        !digits_read(v.p + 11, 2, &hour) || !digits_read(v.p + 14, 2, &minute) || !digits_read(v.p + 17, 2, &second))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 ||
        second > 60)
        return false;
    if (v.p[at] == '.') {
        size_t digits = fraction_read(v.p + at + 1, v.n - at - 1, &ns);
        if (digits == 0)
            return false;
        at += 1 + digits;
    }
    if (!zone_read(view_make(v.p + at, v.n - at), &offset_s))
        return false;
    int64_t seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset_s;
    return ns_from(seconds, ns, unix_ns);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static bool number_read(struct view v, struct decimal *d)
{
    return v.n > 0 && decimal_scan(v.p, v.p + v.n, d) == v.p + v.n;
}

static bool unix_parse(struct view v, int shift, int64_t *unix_ns)
{
    struct decimal d;
    return number_read(v, &d) && decimal_scaled(&d, shift, unix_ns);
}

/* The unit that puts the time after 1973 and before 5138: each unit has its own three decades. */
static bool auto_parse(struct view v, int64_t *unix_ns)
{
    struct decimal d;
    int64_t whole;
    if (!number_read(v, &d))
        return rfc3339_parse(v, unix_ns);
    if (!decimal_scaled(&d, 0, &whole))
        return false;
    uint64_t size = whole < 0 ? UINT64_C(0) - (uint64_t)whole : (uint64_t)whole;
    int shift = size < UINT64_C(100000000000)         ? 9
                : size < UINT64_C(100000000000000)    ? 6
                : size < UINT64_C(100000000000000000) ? 3
                                                      : 0;
    return decimal_scaled(&d, shift, unix_ns);
}

/* ---- strptime patterns ------------------------------------------------------------------------------------------- */

static bool pattern_read(const struct time_format *f, const char *text, int64_t *unix_ns)
{
    struct tm tm = {.tm_mday = 1};
    const char *end = strptime_l(text, f->pattern, &tm, f->c_locale);
    if (!end || *end || tm.tm_mday < 1 || tm.tm_mday > days_in_month((int64_t)tm.tm_year + 1900, tm.tm_mon + 1))
        return false;
    int64_t days = days_from_civil((int64_t)tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
    int64_t seconds = days * 86400 + tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec - tm.tm_gmtoff;
    return ns_from(seconds, *unix_ns, unix_ns);
}

/* strptime knows no fractions: the part of the pattern before %f finds where the digits are, then the whole is read
 * without them (in one go, as %p needs to know of %I). */
static bool pattern_parse(const struct time_format *f, struct view v, int64_t *unix_ns)
{
    char text[PATTERN_TEXT_MAX];
    if (v.n == 0 || v.n >= sizeof text || memchr(v.p, 0, v.n))
        return false;
    memcpy(text, v.p, v.n);
    text[v.n] = 0;
    *unix_ns = 0;
    if (f->pattern_before) {
        struct tm tm = {0};
        char *at = strptime_l(text, f->pattern_before, &tm, f->c_locale);
        size_t left = at ? strlen(at) : 0, digits = at ? fraction_read(at, left, unix_ns) : 0;
        if (digits == 0)
            return false;
        memmove(at, at + digits, left - digits + 1);
    }
    return pattern_read(f, text, unix_ns);
}

/* What the conversions of a pattern need to be: known to strptime, one %f at most, and a year among them. */
static gcw_status pattern_check(const char *pattern, const char **fraction, gcw_error *err)
{
    bool year = false;
    *fraction = NULL;
    for (const char *p = strchr(pattern, '%'); p; p = strchr(p, '%')) {
        const char *start = p++;
        p += strspn(p, "-_0^#"); /* strftime's flags, which strptime passes over */
        bool modified = p > start + 1 || *p == 'E' || *p == 'O';
        p += *p == 'E' || *p == 'O';
        if (*p == 'f' && !modified) {
            if (*fraction)
                return error_set(err, GCW_ERR_INVALID, "timestamp format \"%s\": %%f stands twice", pattern);
            *fraction = start;
        } else if (*p == 'Z') {
            return error_set(
                err, GCW_ERR_INVALID,
                "timestamp format \"%s\": %%Z reads no zone, as names of zones are ambiguous; use %%z, or write"
                " the name out if the times are UTC",
                pattern);
        } else if (*p == 's') {
            return error_set(err, GCW_ERR_INVALID, "timestamp format \"%s\": %%s depends on the time zone; use unix_s",
                             pattern);
        } else if (*p == 0 || !strchr("aAbBcCdDeFgGhHIjklmMnprRStTuUVwWxXyYz%", *p)) {
            return error_set(err, GCW_ERR_INVALID, "timestamp format \"%s\": %.*s is no conversion of strptime",
                             pattern, (int)(p - start) + (*p != 0), start);
        }
        year |= *p && strchr("YyFDcx", *p);
        p++;
    }
    if (!year)
        return error_set(err, GCW_ERR_INVALID,
                         "timestamp format \"%s\": no year in it (%%Y, %%y, %%F, %%D, %%c or %%x)", pattern);
    return GCW_OK;
}

/* ---- formats ----------------------------------------------------------------------------------------------------- */

static gcw_status pattern_set(struct time_format *f, const char *text, gcw_error *err)
{
    const char *fraction;
    gcw_status status = pattern_check(text, &fraction, err);
    if (status != GCW_OK)
        return status;
    f->kind = TIME_PATTERN;
    f->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    f->pattern = strdup(text);
    if (f->pattern && fraction) {
        size_t before = (size_t)(fraction - text);
        f->pattern_before = strndup(text, before);
        memmove(f->pattern + before, f->pattern + before + 2, strlen(text) - before - 1);
    }
    if (!f->c_locale || !f->pattern || (fraction && !f->pattern_before))
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    return GCW_OK;
}

static gcw_status format_set(struct time_format *f, const char *text, gcw_error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(text, names[i].name) == 0) {
            f->kind = names[i].kind;
            f->shift = names[i].shift;
            return GCW_OK;
        }
    if (strchr(text, '%'))
        return pattern_set(f, text, err);
    return error_set(
        err, GCW_ERR_INVALID,
        "timestamp format \"%s\": allowed are rfc3339, unix_s, unix_ms, unix_us, unix_ns, auto, or a strptime"
        " pattern such as \"%%Y-%%m-%%d %%H:%%M:%%S.%%f\"",
        text);
}

struct time_format *time_format_new(const char *text, gcw_error *err)
{
    struct time_format *f = calloc(1, sizeof *f);
    if (!f) {
        error_set(err, GCW_ERR_NOMEM, "out of memory");
        return NULL;
    }
    if (format_set(f, text, err) != GCW_OK) {
        time_format_free(f);
        return NULL;
    }
    return f;
}

void time_format_free(struct time_format *f)
{
    if (!f)
        return;
    if (f->c_locale)
        freelocale(f->c_locale);
    free(f->pattern);
    free(f->pattern_before);
    free(f);
}

bool time_parse(const struct time_format *f, struct view text, int64_t *unix_ns)
{
    switch (f->kind) {
    case TIME_RFC3339:
        return rfc3339_parse(text, unix_ns);
    case TIME_UNIX:
        return unix_parse(text, f->shift, unix_ns);
    case TIME_AUTO:
        return auto_parse(text, unix_ns);
    case TIME_PATTERN:
        return pattern_parse(f, text, unix_ns);
    }
    return false;
}
