/* Hash, clocks, the memory budget, the log line. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"

/* ---- hash ---------------------------------------------------------------------------------------------------- */

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void test_hash_depends_on_every_byte_the_length_and_the_seed(void **state)
{
    (void)state;
    enum { LONGEST = 200 };
    uint8_t text[LONGEST] = {0};
    static uint64_t seen[LONGEST * LONGEST + 2 * LONGEST];
    size_t count = 0;
    for (size_t n = 0; n < LONGEST; n++) {
        seen[count++] = hash_bytes(text, n, 0);
        seen[count++] = hash_bytes(text, n, 1);
        for (size_t i = 0; i < n; i++) {
            text[i] ^= 0x40;
            seen[count++] = hash_bytes(text, n, 0);
            text[i] ^= 0x40;
        }
    }
    qsort(seen, count, sizeof seen[0], compare_u64);
    for (size_t i = 1; i < count; i++)
        assert_true(seen[i] != seen[i - 1]);
}

/* What a block holds is hashed in its order: parts of the same length that change places make another hash. */
static void test_hash_depends_on_the_order_of_parts(void **state)
{
    (void)state;
    char text[129], swapped[129];
    for (size_t part = 1; part <= 32; part *= 2)
        for (size_t at = 0; at + 2 * part < sizeof text; at += part) {
            for (size_t i = 0; i < sizeof text; i++)
                text[i] = (char)('a' + i % 23);
            memcpy(swapped, text, sizeof text);
            memcpy(swapped + at, text + at + part, part);
            memcpy(swapped + at + part, text + at, part);
            for (uint64_t seed = 0; seed < 3; seed++)
                if (hash_bytes(text, sizeof text, seed) == hash_bytes(swapped, sizeof text, seed))
                    fail_msg("seed %llu: two parts of %zu bytes at %zu", (unsigned long long)seed, part, at);
        }
}

/* Part of it ends up in label values: another hash would make other series. */
static void test_hash_is_the_same_in_every_build(void **state)
{
    (void)state;
    char text[300];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)i;
    static const struct {
        size_t n;
        uint64_t hash;
    } rows[] = {{0, UINT64_C(0x3079e053c94f728e)},
                {3, UINT64_C(0x8fd2455f4b0c2786)},
                {8, UINT64_C(0xcf6cf08004e09fd9)},
                {17, UINT64_C(0x511cb9a54cbed074)},
                {300, UINT64_C(0x43b1d1c748623618)}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (hash_bytes(text, rows[i].n, 7) != rows[i].hash)
            fail_msg("%zu bytes: %#llx", rows[i].n, (unsigned long long)hash_bytes(text, rows[i].n, 7));
}

/* Names such as counters give them fill 64 slots evenly, by the low bits and by the high ones. */
static void test_hash_spreads_numbered_names(void **state)
{
    (void)state;
    enum { NAMES = 64000, SLOTS = 64 };
    unsigned low[SLOTS] = {0}, high[SLOTS] = {0};
    for (int i = 0; i < NAMES; i++) {
        char name[32];
        int n = snprintf(name, sizeof name, "instance-%d", i);
        uint64_t h = hash_bytes(name, (size_t)n, 0);
        low[h % SLOTS]++;
        high[h >> 58]++;
    }
    for (int i = 0; i < SLOTS; i++) { /* 1000 expected, standard deviation 31 */
        assert_in_range(low[i], 800, 1200);
        assert_in_range(high[i], 800, 1200);
    }
}

static void test_random_numbers_differ(void **state)
{
    (void)state;
    uint32_t all = 0, some = UINT32_MAX;
    for (int i = 0; i < 64; i++) {
        uint32_t r = random_u32();
        all |= r;
        some &= r;
    }
    assert_int_equal(all, UINT32_MAX); /* each bit is set and clear at times: chance of a false alarm 2^-58 */
    assert_int_equal(some, 0);
}

/* ---- clocks -------------------------------------------------------------------------------------------------- */

static void test_clocks_agree_with_the_systems(void **state)
{
    (void)state;
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    uint64_t mono = clock_mono_ms();
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(mono >= (uint64_t)before.tv_sec * 1000 + (uint64_t)before.tv_nsec / 1000000);
    assert_true(mono <= (uint64_t)after.tv_sec * 1000 + (uint64_t)after.tv_nsec / 1000000);
    clock_gettime(CLOCK_REALTIME, &before);
    int64_t ms = clock_unix_ms(), ns = clock_unix_ns();
    clock_gettime(CLOCK_REALTIME, &after);
    assert_true(ms >= before.tv_sec * 1000 && ms <= after.tv_sec * 1000 + 1000);
    assert_true(ns / 1000000 >= ms && ns <= (int64_t)after.tv_sec * 1000000000 + after.tv_nsec);
}

static void test_deadlines_are_monotonic_and_never_is_far(void **state)
{
    (void)state;
    uint64_t now = clock_mono_ms(), soon = deadline_after(1000);
    assert_true(soon >= now + 1000 && soon <= clock_mono_ms() + 1000);
    assert_int_equal(deadline_after(-1), UINT64_MAX);
    struct timespec ts;
    deadline_timespec(1234567, &ts);
    assert_int_equal(ts.tv_sec, 1234);
    assert_int_equal(ts.tv_nsec, 567000000);
    deadline_timespec(UINT64_MAX, &ts);
    assert_true((uint64_t)ts.tv_sec > now / 1000 + 86400 && ts.tv_nsec >= 0 && ts.tv_nsec < 1000000000);
}

/* ---- budget -------------------------------------------------------------------------------------------------- */

static void test_budget_gives_no_more_than_its_limit(void **state)
{
    (void)state;
    struct budget b = {.limit = 100};
    assert_true(budget_take(&b, 60, 0));
    assert_false(budget_take(&b, 41, 0));
    assert_false(budget_take(&b, 40, 1)); /* one is kept free */
    assert_true(budget_take(&b, 40, 0));
    assert_false(budget_take(&b, 1, 0));
    assert_true(budget_take(&b, 0, 0));
    budget_give(&b, 100);
    assert_false(budget_take(&b, 1, 100));
    assert_false(budget_take(&b, 1, 1000));
    assert_false(budget_take(&b, UINT64_MAX, 0));
    assert_int_equal(b.used, 0);
    b.used = 150; /* charged after the fact */
    assert_false(budget_take(&b, 1, 0));
}

static void *take_and_give(void *ctx)
{
    struct budget *b = ctx;
    uint64_t over = 0;
    for (int i = 0; i < 20000; i++)
        if (budget_take(b, 7, 0)) {
            over += atomic_load(&b->used) > b->limit;
            budget_give(b, 7);
        }
    return (void *)(uintptr_t)over;
}

static void test_budget_holds_between_threads(void **state)
{
    (void)state;
    struct budget b = {.limit = 20}; /* room for two of four */
    pthread_t thread[4];
    for (size_t i = 0; i < ARRAY_LEN(thread); i++)
        assert_int_equal(pthread_create(&thread[i], NULL, take_and_give, &b), 0);
    for (size_t i = 0; i < ARRAY_LEN(thread); i++) {
        void *over;
        pthread_join(thread[i], &over);
        assert_null(over);
    }
    assert_int_equal(b.used, 0);
}

/* Giving back more than was taken is our own mistake: it ends the process at once, and says where. */
/* ---- latch ---------------------------------------------------------------------------------------------------- */

enum { LATCH_THREADS = 4, LATCH_ROUNDS = 20000 };
struct latched {
    struct latch latch;
    uint64_t count; /* not atomic: the latch is all that keeps it right */
    int inside;
};

static void *latch_main(void *arg)
{
    struct latched *l = arg;
    for (int i = 0; i < LATCH_ROUNDS; i++) {
        latch_take(&l->latch);
        ENSURE(l->inside++ == 0);
        l->count++;
        if (i % 1000 == 0)
            sched_yield(); /* others come to wait in the kernel */
        l->inside--;
        latch_give(&l->latch);
    }
    return NULL;
}

static void test_latch_lets_one_thread_in_and_forgets_no_waiter(void **state)
{
    (void)state;
    struct latched l = {0};
    pthread_t thread[LATCH_THREADS];
    latch_take(&l.latch);
    for (int i = 0; i < LATCH_THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, latch_main, &l), 0);
    latch_give(&l.latch);
    for (int i = 0; i < LATCH_THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(l.count, LATCH_THREADS * LATCH_ROUNDS);
    assert_int_equal(l.latch.held, 0);
    assert_int_equal(l.latch.waiters, 0);
}

static void test_broken_promise_ends_the_process_with_words(void **state)
{
    (void)state;
    int pipes[2], status;
    char text[256] = {0};
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        struct budget b = {.limit = 10, .used = 3};
        dup2(pipes[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        budget_give(&b, 4);
        _exit(0);
    }
    close(pipes[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_true(read(pipes[0], text, sizeof text - 1) > 0);
    close(pipes[0]);
    assert_non_null(strstr(text, "system.c:"));
    assert_non_null(strstr(text, "was >= n"));
}

/* ---- log ----------------------------------------------------------------------------------------------------- */

struct lines {
    size_t count;
    gcw_log_level level;
    char last[2048];
};

static void on_line(void *user, gcw_log_level level, const char *text)
{
    struct lines *l = user;
    l->count++;
    l->level = level;
    snprintf(l->last, sizeof l->last, "%s", text);
}

static void test_log_passes_lines_of_its_level_and_worse(void **state)
{
    (void)state;
    for (int set = GCW_LOG_ERROR; set <= GCW_LOG_DEBUG; set++)
        for (int level = GCW_LOG_ERROR; level <= GCW_LOG_DEBUG; level++) {
            struct lines got = {0};
            const struct logger log = {(gcw_log_level)set, on_line, &got};
            log_line(&log, (gcw_log_level)level, "%d", level);
            assert_int_equal(got.count, level <= set);
            if (got.count)
                assert_int_equal(got.level, level);
        }
    log_line(NULL, GCW_LOG_ERROR, "nobody listens");
}

static void test_log_line_is_one_clean_line_of_at_most_a_kib(void **state)
{
    (void)state;
    struct lines got = {0};
    const struct logger log = {GCW_LOG_INFO, on_line, &got};
    log_line(&log, GCW_LOG_INFO, "a\nb%s", "\x1b[2J\r\n");
    assert_string_equal(got.last, "a b [2J");
    char lots[5000];
    memset(lots, 'x', sizeof lots - 1);
    lots[sizeof lots - 1] = 0;
    log_line(&log, GCW_LOG_INFO, "%s", lots);
    assert_int_equal(strlen(got.last), 1023);
    assert_int_equal(got.count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash_depends_on_every_byte_the_length_and_the_seed),
        cmocka_unit_test(test_hash_depends_on_the_order_of_parts),
        cmocka_unit_test(test_hash_is_the_same_in_every_build),
        cmocka_unit_test(test_hash_spreads_numbered_names),
        cmocka_unit_test(test_random_numbers_differ),
        cmocka_unit_test(test_clocks_agree_with_the_systems),
        cmocka_unit_test(test_deadlines_are_monotonic_and_never_is_far),
        cmocka_unit_test(test_budget_gives_no_more_than_its_limit),
        cmocka_unit_test(test_budget_holds_between_threads),
        cmocka_unit_test(test_latch_lets_one_thread_in_and_forgets_no_waiter),
        cmocka_unit_test(test_broken_promise_ends_the_process_with_words),
        cmocka_unit_test(test_log_passes_lines_of_its_level_and_worse),
        cmocka_unit_test(test_log_line_is_one_clean_line_of_at_most_a_kib),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
