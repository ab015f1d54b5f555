/* Shared by the bench programs; see common.h. */
#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "common.h"

uint64_t rss_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%lu %lu", &size, &resident) != 2)
        die("/proc/self/statm cannot be read");
    fclose(f);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t malloc_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("bench: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

const char *arg_text(int argc, char **argv, const char *name, const char *otherwise)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return otherwise;
}

uint64_t arg_number(int argc, char **argv, const char *name, uint64_t otherwise)
{
    const char *text = arg_text(argc, argv, name, NULL);
    uint64_t n = otherwise;
    if (text && (!parse_u64(view_of(text), &n) || n == 0))
        die("%s: '%s' is not a positive number", name, text);
    return n;
}

bool arg_flag(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return false;
}

uint64_t option_default(const char *name)
{
    char text[64];
    uint64_t n = 0;
    gcw_config *c = gcw_config_new();
    if (!c || gcw_config_get(c, name, text, sizeof text) != GCW_OK || !parse_size(view_of(text), &n))
        die("option %s: no number", name);
    gcw_config_free(c);
    return n;
}

/* Any odd multiplier spreads consecutive numbers; this one is 2^64 divided by the golden ratio. */
static uint64_t scatter(uint64_t n) { return (n + 1) * UINT64_C(0x9e3779b97f4a7c15) >> 24; }

void series_text(struct series_text *t, uint64_t number)
{
    uint64_t h = scatter(number);
    snprintf(t->instance, sizeof t->instance, "10.%u.%u.%u:9090", (unsigned)(h & 255), (unsigned)(h >> 8 & 255),
             (unsigned)(h >> 16 & 255));
    snprintf(t->le, sizeof t->le, "0.%u", (unsigned)(number % 13));
    snprintf(t->path, sizeof t->path, "/api/v1/things/%u", (unsigned)(number % 97));
    snprintf(t->pod, sizeof t->pod, "api-%010" PRIx64 "-%05" PRIx64, h, number);
    snprintf(t->zone, sizeof t->zone, "%c", "abc"[number % 3]);
    const gcw_label all[SERIES_LABELS] = {
        GCW_LABEL("__name__", "http_request_duration_seconds_bucket"),
        GCW_LABEL("cluster", "prod-eu-west-1"),
        GCW_LABEL("instance", t->instance),
        GCW_LABEL("job", "api"),
        GCW_LABEL("le", t->le),
        GCW_LABEL("method", "GET"),
        GCW_LABEL("namespace", "default"),
        GCW_LABEL("path", t->path),
        GCW_LABEL("pod", t->pod),
        GCW_LABEL("status", "200"),
        GCW_LABEL("zone", t->zone),
    };
    memcpy(t->label, all, sizeof all);
}

void series_of_target(struct series_text *t, uint64_t number)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "DELETE"};
    static const char *const statuses[] = {"200", "204", "400", "404", "500"};
    static const char *const les[] = {"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5",
                                      "1",     "2.5",  "5",     "10",   "30",  "+Inf"};
    uint64_t n = number / 13;
    series_text(t, 0);
    snprintf(t->path, sizeof t->path, "/api/v1/things/%u", (unsigned)(n / 20));
    t->label[4].value = les[number % 13];
    t->label[5].value = methods[n / 5 % 4];
    t->label[9].value = statuses[n % 5];
    for (size_t i = 0; i < SERIES_LABELS; i++)
        t->label[i].value_len = strlen(t->label[i].value);
}

void series_of_pods(struct series_text *t, uint64_t number)
{
    char instance[sizeof t->instance];
    series_text(t, 0);
    memcpy(instance, t->instance, sizeof instance);
    series_text(t, number);
    memcpy(t->instance, instance, sizeof instance);
    t->label[2].value_len = strlen(t->instance);
    snprintf(t->pod, sizeof t->pod, "api-%06" PRIx64, scatter(number) & 0xffffff);
    t->label[8].value_len = strlen(t->pod);
}

void json_array(const char *name, const double *v, size_t n)
{
    printf("\"%s\":[", name);
    for (size_t i = 0; i < n; i++)
        printf("%s%.6g", i ? "," : "", v[i]);
    printf("]");
}

double least(const double *v, size_t n)
{
    double min = v[0];
    for (size_t i = 1; i < n; i++)
        min = v[i] < min ? v[i] : min;
    return min;
}
