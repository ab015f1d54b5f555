/* A full memory budget: what each overflow policy does to an append, and that every record is counted once. */
#include <time.h>

#include "../../support/host.h"

/* A budget that some ten thousand samples fill. */
#define SMALL "memory_limit", "1MiB", "metrics_batch_bytes", "64KiB", "logs_batch_bytes", "64KiB"
#define MANY  150000

/* What came of each of the appends: value k is the k-th one. */
struct tally {
    uint64_t ok, refused;
    gcw_status other; /* what the ones refused got */
    bool taken[MANY];
    bool arrived[MANY];
};

static void arrived(void *user, const struct request *q, const struct taken *t)
{
    struct tally *tally = user;
    size_t k = (size_t)t->value;
    (void)q;
    assert_true(k < MANY);
    assert_false(tally->arrived[k]); /* once */
    tally->arrived[k] = true;
}

static void append_many(gcw_series *s, struct tally *t, size_t from)
{
    for (size_t k = from; k < MANY; k++) {
        gcw_status status = gcw_sample_append(s, (double)k, 1700000000000 + (int64_t)k, NULL);
        t->taken[k] = status == GCW_OK;
        t->ok += status == GCW_OK;
        t->refused += status != GCW_OK;
        if (status != GCW_OK)
            t->other = status;
    }
}

static void test_error_refuses_at_the_limit_and_delivers_what_it_took(void **state)
{
    (void)state;
    static struct tally t;
    struct host h;
    gcw_stats end;
    host_open(&h, (const char *const[]){SMALL, "overflow", "error", NULL});
    receiver_hold(h.receiver);
    append_many(host_series(&h, "m"), &t, 0);
    assert_int_equal(t.other, GCW_ERR_FULL);
    gcw_signal_stats s = host_stats(&h, GCW_METRICS);
    assert_int_equal(s.accepted, t.ok);
    assert_int_equal(s.refused, t.refused);
    assert_int_equal(s.pending, t.ok);
    assert_ledger(&s);
    receiver_let(h.receiver);
    host_close(&h, WAIT_MS, GCW_OK, &end);
    assert_int_equal(end.signal[GCW_METRICS].outcome[GCW_DELIVERED], t.ok);
    assert_int_equal(end.signal[GCW_METRICS].refused, t.refused);
    receiver_each(h.receiver, GCW_METRICS, arrived, &t);
    assert_memory_equal(t.arrived, t.taken, sizeof t.taken);
    host_free(&h);
}

/* After the receiver took some there is room again, and the memory of everything comes back in the end. */
static void test_error_takes_again_when_there_is_room(void **state)
{
    (void)state;
    static struct tally t;
    struct host h;
    gcw_stats before, after;
    host_open(&h, (const char *const[]){SMALL, "overflow", "error", NULL});
    gcw_series *s = host_series(&h, "m");
    gcw_writer_stats(h.w, &before);
    receiver_hold(h.receiver);
    append_many(s, &t, 0);
    assert_true(t.refused > 0);
    receiver_let(h.receiver);
    assert_int_equal(gcw_writer_flush(h.w, WAIT_MS), GCW_OK);
    gcw_writer_stats(h.w, &after);
    assert_int_equal(after.memory_used, before.memory_used);
    assert_true(after.memory_limit == 1048576 && after.memory_used < after.memory_limit);
    assert_int_equal(gcw_sample_append(s, 0, 0, NULL), GCW_OK);
    host_free(&h);
}

/* Releases take memory that must be there, however full: sealing, which gives it back, must not wait for it. */
static void test_many_series_let_go_at_once_stall_nothing(void **state)
{
    (void)state;
    enum { SERIES = 60000 };
    static gcw_series *series[SERIES];
    struct host h;
    gcw_stats before, after;
    host_open(&h, (const char *const[]){SMALL, "overflow", "error", NULL});
    gcw_series *s = host_series(&h, "m");
    gcw_writer_stats(h.w, &before);
    for (int i = 0; i < SERIES; i++) {
        char name[32];
        snprintf(name, sizeof name, "m_%d", i);
        series[i] = host_series(&h, name);
    }
    for (int i = 0; i < SERIES; i++)
        gcw_series_release(series[i]);
    assert_int_equal(gcw_writer_flush(h.w, WAIT_MS), GCW_OK);
    assert_int_equal(gcw_sample_append(s, 1, 1, NULL), GCW_OK);
    assert_int_equal(gcw_writer_flush(h.w, WAIT_MS), GCW_OK);
    gcw_writer_stats(h.w, &after);
    assert_int_equal(after.memory_used, before.memory_used);
    host_free(&h);
}

static void test_drop_newest_counts_what_it_turned_away_as_dropped(void **state)
{
    (void)state;
    static struct tally t;
    struct host h;
    gcw_stats end;
    host_open(&h, (const char *const[]){SMALL, "overflow", "drop_newest", NULL});
    receiver_hold(h.receiver);
    append_many(host_series(&h, "m"), &t, 0);
    assert_int_equal(t.other, GCW_ERR_DROPPED);
    gcw_signal_stats s = host_stats(&h, GCW_METRICS);
    assert_int_equal(s.accepted, MANY);
    assert_int_equal(s.refused, 0);
    assert_int_equal(s.outcome[GCW_DROPPED], t.refused);
    assert_int_equal(s.pending, t.ok);
    receiver_let(h.receiver);
    host_close(&h, WAIT_MS, GCW_OK, &end);
    assert_int_equal(end.signal[GCW_METRICS].outcome[GCW_DROPPED], t.refused);
    assert_int_equal(end.signal[GCW_METRICS].outcome[GCW_DELIVERED], t.ok);
    receiver_each(h.receiver, GCW_METRICS, arrived, &t);
    assert_memory_equal(t.arrived, t.taken, sizeof t.taken);
    host_free(&h);
}

/* The request on its way stays; what is dropped is one piece right behind it. */
static void test_drop_oldest_takes_all_and_drops_what_stands_first_in_line(void **state)
{
    (void)state;
    static struct tally t;
    struct host h;
    gcw_stats end;
    host_open(&h, (const char *const[]){SMALL, "overflow", "drop_oldest", NULL});
    receiver_hold(h.receiver);
    gcw_series *s = host_series(&h, "m");
    assert_int_equal(gcw_sample_append(s, 0, 1700000000000, NULL), GCW_OK);
    assert_int_equal(gcw_writer_flush(h.w, 0), GCW_ERR_TIMEOUT);
    receiver_await(h.receiver, 1);
    append_many(s, &t, 1);
    assert_int_equal(t.ok, MANY - 1);
    receiver_let(h.receiver);
    host_close(&h, WAIT_MS, GCW_OK, &end);
    uint64_t dropped = end.signal[GCW_METRICS].outcome[GCW_DROPPED];
    assert_int_equal(end.signal[GCW_METRICS].accepted, MANY);
    assert_int_equal(end.signal[GCW_METRICS].refused, 0);
    assert_true(dropped > 0);
    receiver_each(h.receiver, GCW_METRICS, arrived, &t);
    size_t gaps = 0, missing = 0;
    for (size_t k = 0; k < MANY; k++) {
        missing += !t.arrived[k];
        gaps += !t.arrived[k] && (k == 0 || t.arrived[k - 1]);
    }
    assert_int_equal(missing, dropped);
    assert_int_equal(gaps, 1);
    assert_true(t.arrived[0]);
    assert_int_equal(end.signal[GCW_METRICS].outcome[GCW_DELIVERED], MANY - dropped);
    host_free(&h);
}

static void test_block_times_out(void **state)
{
    (void)state;
    static struct tally t;
    struct host h;
    gcw_stats end;
    host_open(&h, (const char *const[]){SMALL, "overflow", "block", "block_timeout", "100ms", NULL});
    receiver_hold(h.receiver);
    gcw_series *s = host_series(&h, "m");
    uint64_t last = 0;
    for (size_t k = 0; k < MANY && t.refused == 0; k++) {
        last = clock_mono_ms();
        t.other = gcw_sample_append(s, (double)k, 1, NULL);
        t.refused += t.other != GCW_OK;
        t.ok += t.other == GCW_OK;
    }
    assert_int_equal(t.other, GCW_ERR_TIMEOUT);
    assert_true(clock_mono_ms() - last >= 100); /* it did wait */
    receiver_let(h.receiver);
    host_close(&h, WAIT_MS, GCW_OK, &end);
    assert_int_equal(end.signal[GCW_METRICS].refused, 1);
    assert_int_equal(end.signal[GCW_METRICS].accepted, t.ok);
    assert_int_equal(end.signal[GCW_METRICS].outcome[GCW_DELIVERED], t.ok);
    host_free(&h);
}

struct appender {
    gcw_series *series;
    struct tally *tally;
    _Atomic size_t done;
    _Atomic gcw_status last;
};

static void *append_till_error(void *ctx)
{
    struct appender *a = ctx;
    gcw_status status = GCW_OK;
    for (size_t k = 0; k < MANY && status == GCW_OK; k++) {
        status = gcw_sample_append(a->series, (double)k, 1700000000000 + (int64_t)k, NULL);
        if (status == GCW_OK)
            atomic_store(&a->done, k + 1);
    }
    atomic_store(&a->last, status);
    return NULL;
}

static bool full(const gcw_signal_stats *s, uint64_t n)
{
    (void)n;
    return s->requests_in_flight == 1;
}

/* Stands until the number of records taken no longer moves while the receiver holds. */
static size_t await_standstill(struct appender *a)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    uint64_t deadline = deadline_after(WAIT_MS);
    size_t before, now = atomic_load(&a->done);
    do {
        assert_true(clock_mono_ms() < deadline);
        before = now;
        nanosleep(&pause, NULL);
    } while ((now = atomic_load(&a->done)) != before || now == 0);
    return now;
}

static void test_block_without_limit_goes_on_when_there_is_room(void **state)
{
    (void)state;
    static struct tally t;
    struct host h;
    gcw_stats end;
    pthread_t thread;
    host_open(&h, (const char *const[]){SMALL, "overflow", "block", "block_timeout", "0", NULL});
    receiver_hold(h.receiver);
    struct appender a = {.series = host_series(&h, "m")};
    assert_int_equal(pthread_create(&thread, NULL, append_till_error, &a), 0);
    host_await(&h, GCW_METRICS, full, 0);
    assert_true(await_standstill(&a) < MANY);
    receiver_let(h.receiver);
    pthread_join(thread, NULL);
    assert_int_equal(a.last, GCW_OK);
    assert_int_equal(a.done, MANY);
    host_close(&h, WAIT_MS, GCW_OK, &end);
    assert_int_equal(end.signal[GCW_METRICS].outcome[GCW_DELIVERED], MANY);
    assert_int_equal(end.signal[GCW_METRICS].refused, 0);
    receiver_each(h.receiver, GCW_METRICS, arrived, &t);
    assert_null(memchr(t.arrived, 0, sizeof t.arrived));
    host_free(&h);
}

static void *close_writer(void *ctx)
{
    struct host *h = ctx;
    gcw_stats end;
    assert_int_equal(gcw_writer_close(h->w, WAIT_MS, &end), GCW_OK);
    assert_int_equal(end.signal[GCW_METRICS].refused, 1);
    assert_int_equal(end.signal[GCW_METRICS].outcome[GCW_DELIVERED], end.signal[GCW_METRICS].accepted);
    return NULL;
}

static void test_block_ends_when_the_writer_closes(void **state)
{
    (void)state;
    struct host h;
    pthread_t appending, closing;
    host_open(&h, (const char *const[]){SMALL, "overflow", "block", "block_timeout", "0", NULL});
    receiver_hold(h.receiver);
    struct appender a = {.series = host_series(&h, "m")};
    assert_int_equal(pthread_create(&appending, NULL, append_till_error, &a), 0);
    host_await(&h, GCW_METRICS, full, 0);
    await_standstill(&a);
    assert_int_equal(pthread_create(&closing, NULL, close_writer, &h), 0);
    pthread_join(appending, NULL);
    assert_int_equal(a.last, GCW_ERR_CLOSED);
    receiver_let(h.receiver); /* not before: the writer lives until the append is out of it */
    pthread_join(closing, NULL);
    h.w = NULL;
    receiver_stop(h.receiver);
    assert_int_equal(receiver_records(h.receiver, GCW_METRICS), a.done);
    host_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_refuses_at_the_limit_and_delivers_what_it_took),
        cmocka_unit_test(test_error_takes_again_when_there_is_room),
        cmocka_unit_test(test_many_series_let_go_at_once_stall_nothing),
        cmocka_unit_test(test_drop_newest_counts_what_it_turned_away_as_dropped),
        cmocka_unit_test(test_drop_oldest_takes_all_and_drops_what_stands_first_in_line),
        cmocka_unit_test(test_block_times_out),
        cmocka_unit_test(test_block_without_limit_goes_on_when_there_is_room),
        cmocka_unit_test(test_block_ends_when_the_writer_closes),
    };
    return cmocka_run_group_tests_name("writer: overflow", tests, NULL, NULL);
}
