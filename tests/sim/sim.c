/* sim: runs schedules, shrinks and prints the first that fails; with --plants shows that planted faults are found. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/plant.h"
#include "sim.h"

static const char *plant = "";

bool planted(const char *name) { return strcmp(plant, name) == 0; }

static const struct {
    const char *name, *what;
} plants[] = {
    {"ack_before_sync", "receipts are given before the sync"},
    {"skip_sync", "files are not synced"},
    {"skip_dir_sync", "the directory is not synced"},
    {"skip_checksum", "bodies are not checked when read back"},
    {"skip_mark", "what has ended is not marked"},
    {"mark_early", "a request is marked as ended when it is sent"},
    {"resend_rejected", "a refused request is sent again"},
    {"drop_on_retry", "a request that should be retried counts as delivered"},
    {"newest_first", "the newest request of a route is sent first"},
    {"skip_split", "a record between two parts of a request is taken as delivered"},
    {"reject_poisoned", "what is refused for one bad record is given up whole"},
    {"sift_without_end", "bad records are looked for at any price"},
    {"trust_silence", "a success without counts is taken for a 2.0 receiver's"},
    {"keep_offering", "a receiver that refuses 2.0 is offered it again at once"},
    {"forget_unsaid", "what 1.0 has no words for is not counted"},
    {"lose_fallen", "what a 1.0 receiver did not understand is not sent again"},
    {"forget_promise", "receipts of requests that leave memory are forgotten"},
    {"over_budget", "a request is read back whether there is memory or not"},
    {"never_unpark", "a parked route does not notice the new token and probes too seldom"},
    {"ignore_limit", "the disk limit is not kept"},
};

/* An assertion of the code under test ends the process: say by which seed. */
static uint64_t running;
static void on_abort(int sig)
{
    (void)sig;
    char text[64];
    int n = snprintf(text, sizeof text, "seed %llu: aborted\n", (unsigned long long)running);
    if (write(STDOUT_FILENO, text, (size_t)n) == n)
        _exit(1);
}

static bool run_seeds(uint64_t from, uint64_t count, uint64_t *bad)
{
    static struct schedule s;
    struct failure f;
    for (uint64_t i = 0; i < count; i++) {
        running = from + i;
        schedule_make(&s, running);
        if (!schedule_run(&s, &f, NULL)) {
            *bad = from + i;
            return false;
        }
    }
    return true;
}

static int show(uint64_t seed)
{
    static struct schedule s;
    struct failure f;
    schedule_make(&s, running = seed);
    size_t before = s.count;
    if (getenv("SIM_TRACE"))
        return !schedule_run(&s, &f, stdout);
    if (schedule_run(&s, &f, NULL)) {
        printf("seed %llu: nothing fails\n", (unsigned long long)seed);
        return 0;
    }
    printf("seed %llu: %s\n", (unsigned long long)seed, f.text);
    schedule_shrink(&s);
    printf("shrunk from %zu actions to %zu:\n", before, s.count);
    schedule_run(&s, &f, stdout);
    printf("%s\n", f.text);
    return 1;
}

/* In a process of its own, as an assertion may well be what finds it. */
static bool try_plant(size_t i, uint64_t seeds)
{
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        uint64_t bad = 0;
        plant = plants[i].name;
        if (!freopen("/dev/null", "w", stderr) || run_seeds(1, seeds, &bad))
            _exit(0);
        printf("seed %llu\n", (unsigned long long)bad);
        fflush(stdout);
        _exit(1);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

/* Each planted fault must be found by some seed. */
static int try_plants(uint64_t seeds)
{
    int missed = 0;
    for (size_t i = 0; i < ARRAY_LEN(plants); i++) {
        printf("%s (%s): ", plants[i].name, plants[i].what);
        bool found = try_plant(i, seeds);
        if (!found)
            printf("NOT FOUND by %llu seeds\n", (unsigned long long)seeds);
        missed += !found;
    }
    printf("%zu of %zu planted faults found\n", ARRAY_LEN(plants) - (size_t)missed, ARRAY_LEN(plants));
    return missed;
}

static double seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int usage(void)
{
    fprintf(stderr, "usage: sim [--seeds N] [--from N]   run schedules from seed FROM (1)\n"
                    "       sim --show SEED [--plant NAME]   shrink and print one\n"
                    "       sim --plants [--seeds N]   see whether planted faults are found\n");
    return 2;
}

int main(int argc, char **argv)
{
    uint64_t count = 20000, from = 1, one = 0, bad;
    bool try = false;
    signal(SIGABRT, on_abort);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--plants") == 0)
            try = true;
        else if (strcmp(argv[i], "--plant") == 0 && value)
            plant = argv[++i];
        else if (strcmp(argv[i], "--seeds") == 0 && value)
            count = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--from") == 0 && value)
            from = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--show") == 0 && value)
            one = strtoull(argv[++i], NULL, 10);
        else
            return usage();
    }
    if (one)
        return show(one);
    if (try)
        return try_plants(count) > 0;
    double start = seconds();
    if (!run_seeds(from, count, &bad))
        return show(bad);
    double spent = seconds() - start;
    printf("%llu schedules from seed %llu, nothing fails; %.0f a second of CPU\n", (unsigned long long)count,
           (unsigned long long)from, (double)count / spent);
    return 0;
}
