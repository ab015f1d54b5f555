/* Label sets kept as symbols: the same identity, the same blocks, memory that is counted and given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../support/random.h"
#include "model/model.h"

struct fixture {
    struct guard *guard;
    struct intern_table *table;
    struct symbols *symbols;
};

static void open_with(struct fixture *f, uint64_t max_bytes)
{
    f->guard = guard_new(1000000, max_bytes);
    f->table = intern_table_new(f->guard, 7, NULL);
    f->symbols = intern_table_symbols(f->table);
    assert_non_null(f->symbols);
}

static void close_all(struct fixture *f)
{
    intern_table_free(f->table);
    guard_free(f->guard);
}

/* A name, `n` labels of which some have one value, some of many, each `length` long. */
static void block_of(struct buf *out, uint32_t n, uint32_t number, size_t length)
{
    static const struct label_rules rules = {GCW_METRICS, LABELS_SANITISE, 1024, 4096, 64, NULL, 0};
    struct label_scratch s = {0};
    char name[32][16], value[32][256];
    gcw_label labels[33] = {GCW_LABEL("__name__", "some_metric_total")};
    bool changed;
    for (uint32_t i = 0; i < n; i++) {
        snprintf(name[i], sizeof name[i], "l%02u", i);
        int len = snprintf(value[i], sizeof value[i], "%u-%u", i, number % (i + 1));
        for (; (size_t)len < length && len < 255; len++)
            value[i][len] = 'x';
        value[i][len] = 0;
        labels[i + 1] = (gcw_label){name[i], strlen(name[i]), value[i], (size_t)len};
    }
    assert_int_equal(labels_block(&rules, labels, n + 1, &s, &changed, NULL), GCW_OK);
    out->n = 0;
    assert_true(buf_append(out, s.block.p, s.block.n));
    label_scratch_free(&s);
}

static void test_blocks_come_back_whatever_came_before(void **unused)
{
    (void)unused;
    struct fixture f;
    struct buf block[200] = {0};
    struct interned *series[200];
    struct block_maker maker = {0};
    gcw_status status;
    open_with(&f, UINT64_MAX);
    for (uint32_t i = 0; i < 200; i++) {
        block_of(&block[i], below(3) ? 9 : below(32), below(1000), below(3) ? 8 : below(200));
        series[i] = intern_acquire(f.table, NULL, buf_view(&block[i]), &status);
        assert_non_null(series[i]);
        assert_true(view_is(intern_metric_name(f.table, series[i]), "some_metric_total"));
    }
    for (uint32_t n = 0; n < 20000; n++) {
        uint32_t i = below(200);
        assert_true(view_eq(block_remake(&maker, f.symbols, series[i]), buf_view(&block[i])));
    }
    for (uint32_t i = 0; i < 200; i++)
        buf_free(&block[i]);
    block_maker_free(&maker);
    close_all(&f);
}

static void test_the_same_labels_are_one_series_and_others_are_not(void **unused)
{
    (void)unused;
    struct fixture f;
    struct buf a = {0}, b = {0};
    gcw_status status;
    int owner, another;
    open_with(&f, UINT64_MAX);
    block_of(&a, 5, 1, 10);
    block_of(&b, 5, 0, 10);
    struct interned *one = intern_acquire(f.table, &owner, buf_view(&a), &status);
    assert_ptr_equal(one, intern_acquire(f.table, &owner, buf_view(&a), &status));
    struct interned *two = intern_acquire(f.table, &owner, buf_view(&b), &status);
    struct interned *three = intern_acquire(f.table, &another, buf_view(&a), &status);
    assert_true(two && three && two != one && three != one);
    assert_int_equal(guard_count(f.guard), 3);
    buf_free(&a);
    buf_free(&b);
    close_all(&f);
}

static void test_memory_is_counted_and_given_back_when_series_and_texts_went(void **unused)
{
    (void)unused;
    struct fixture f;
    struct interned *series[500];
    struct buf block = {0};
    gcw_status status;
    open_with(&f, UINT64_MAX);
    const uint64_t empty = guard_bytes(f.guard), numbers = symbols_bound(f.symbols);
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 500; i++) {
            block_of(&block, 31, i, 100);
            series[i] = intern_acquire(f.table, NULL, buf_view(&block), &status);
            assert_non_null(series[i]);
        }
        assert_true(guard_bytes(f.guard) > f.symbols->held_bytes);
        for (uint32_t i = 0; i < 500; i++)
            if (intern_release(f.table, series[i]) && intern_reap(f.table, series[i]))
                intern_destroy(f.symbols, series[i]);
        assert_int_equal(guard_count(f.guard), 0);
        assert_int_equal(guard_bytes(f.guard), empty);
        assert_true(f.symbols->idle_bytes > 0);
        assert_false(symbols_sweep(f.symbols, 1000000, MIB)); /* few enough to stay */
        assert_true(symbols_sweep(f.symbols, 1000000, 1000));
        assert_int_equal(f.symbols->idle_bytes, 0);
    }
    assert_true(symbols_bound(f.symbols) < numbers + 1000); /* numbers are given out again */
    buf_free(&block);
    close_all(&f);
}

static void test_texts_count_towards_the_bound_on_memory(void **unused)
{
    (void)unused;
    struct fixture f;
    struct buf block = {0};
    gcw_status status = GCW_OK;
    const uint64_t most = 64 * KIB;
    open_with(&f, most);
    for (uint32_t i = 0; i < 1000 && status == GCW_OK; i++) {
        block_of(&block, 31, i, 200);
        intern_acquire(f.table, NULL, buf_view(&block), &status);
        assert_true(guard_bytes(f.guard) <= most);
    }
    assert_int_equal(status, GCW_ERR_LIMIT);
    buf_free(&block);
    close_all(&f);
}

/* ---- threads: many intern and let go, one uses texts that nobody holds, sweeps, and destroys ---- */

#define THREADS 3
#define ROUNDS  300

struct crowd {
    struct fixture f;
    pthread_mutex_t lock;
    struct interned *gone[THREADS * ROUNDS];
    size_t gone_count;
    _Atomic int running;
};

static void *host(void *user)
{
    struct crowd *c = user;
    struct buf block = {0};
    for (uint32_t i = 0; i < ROUNDS; i++) {
        gcw_status status;
        block_of(&block, 10, i, 12);
        struct interned *e = intern_acquire(c->f.table, NULL, buf_view(&block), &status);
        assert_non_null(e);
        assert_true(view_is(intern_metric_name(c->f.table, e), "some_metric_total"));
        pthread_mutex_lock(&c->lock);
        if (intern_release(c->f.table, e))
            c->gone[c->gone_count++] = e;
        pthread_mutex_unlock(&c->lock);
    }
    buf_free(&block);
    atomic_fetch_sub(&c->running, 1);
    return NULL;
}

static struct interned *take_gone(struct crowd *c)
{
    pthread_mutex_lock(&c->lock);
    struct interned *gone = c->gone_count ? c->gone[--c->gone_count] : NULL;
    pthread_mutex_unlock(&c->lock);
    return gone;
}

static void encoder_round(struct crowd *c, struct block_maker *maker, uint32_t round)
{
    struct buf block = {0};
    struct view name, value;
    symbols_sweep(c->f.symbols, 5, MIB);
    block_of(&block, 10, round, 12);
    for (struct view rest = buf_view(&block); block_next(&rest, &name, &value);)
        assert_true(view_eq(symbols_text(c->f.symbols, symbols_find(c->f.symbols, value)), value));
    for (struct interned *gone; (gone = take_gone(c));) {
        assert_int_equal(block_remake(maker, c->f.symbols, gone).n, gone->block_len);
        if (intern_reap(c->f.table, gone))
            intern_destroy(c->f.symbols, gone);
    }
    buf_free(&block);
}

static void test_threads_intern_while_the_encoder_sweeps(void **unused)
{
    (void)unused;
    struct crowd c = {.lock = PTHREAD_MUTEX_INITIALIZER, .running = THREADS};
    struct block_maker maker = {0};
    pthread_t thread[THREADS];
    open_with(&c.f, UINT64_MAX);
    const uint64_t empty = guard_bytes(c.f.guard);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, host, &c), 0);
    for (uint32_t round = 0; atomic_load(&c.running) > 0; round++)
        encoder_round(&c, &maker, round);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    encoder_round(&c, &maker, 0);
    assert_int_equal(guard_bytes(c.f.guard), empty);
    block_maker_free(&maker);
    close_all(&c.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_come_back_whatever_came_before),
        cmocka_unit_test(test_the_same_labels_are_one_series_and_others_are_not),
        cmocka_unit_test(test_memory_is_counted_and_given_back_when_series_and_texts_went),
        cmocka_unit_test(test_texts_count_towards_the_bound_on_memory),
        cmocka_unit_test(test_threads_intern_while_the_encoder_sweeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
