/* What the bench programs share: clocks that count CPU time, memory of this process, the series they all use, JSON out.
 * Every program prints one JSON object on a line; bench/run puts them together. */
#ifndef GCW_BENCH_COMMON_H
#define GCW_BENCH_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "include/gcw.h"

/* CPU time, so that what else runs on the machine counts as little as possible. */
static inline uint64_t cpu_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}
static inline uint64_t process_ns(void) { return cpu_ns(CLOCK_PROCESS_CPUTIME_ID); }
static inline uint64_t thread_ns(void) { return cpu_ns(CLOCK_THREAD_CPUTIME_ID); }

uint64_t rss_bytes(void);    /* resident now */
uint64_t malloc_bytes(void); /* handed out by malloc and not given back */

/* Ends the program with words on standard error. */
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* `--name N` from the command line, sizes and counts alike; dies on anything else than a positive number. */
uint64_t arg_number(int argc, char **argv, const char *name, uint64_t otherwise);
const char *arg_text(int argc, char **argv, const char *name, const char *otherwise);
bool arg_flag(int argc, char **argv, const char *name);

/* An option's default, so that a bench measures what a user gets. */
uint64_t option_default(const char *name);

/* The series of the text bench: a metric name and ten labels, the same for the same number. */
#define SERIES_LABELS 11
struct series_text {
    char instance[32], le[16], path[40], pod[40], zone[4];
    gcw_label label[SERIES_LABELS];
};
void series_text(struct series_text *t, uint64_t number);
/* The same names, as one target exposes them: what tells it from others is the same for all, values of the rest come in
 * nested turns, as a page of histograms has them. */
void series_of_target(struct series_text *t, uint64_t number);
/* The same names, as one target exposes them that speaks for others: each series has a pod, of a number of its own. */
void series_of_pods(struct series_text *t, uint64_t number);

/* "name":[v,v,...] */
void json_array(const char *name, const double *v, size_t n);
double least(const double *v, size_t n);

#endif
