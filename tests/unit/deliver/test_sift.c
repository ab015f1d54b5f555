/* A receiver that takes all of a request or nothing: the bad records are found, the others arrive in their order, and
 * what is bad all over costs little. */
#include "machine.h"

#define RECORDS_MAX 4096

/* One route; requests of `n` records, numbered through. */
struct world {
    struct machine m;
    uint64_t seq;
    bool bad[RECORDS_MAX], taken[RECORDS_MAX];
    uint32_t pushed, newest;
    struct sealed *flying;
    unsigned sent, refused;
    enum protocol protocol;
};

/* Which records a request or part of one holds. */
struct body {
    uint32_t from, count;
};

static struct body body_of(const struct sealed *s)
{
    struct body b;
    assert_int_equal(s->len, sizeof b);
    memcpy(&b, s->body, sizeof b);
    return b;
}

static struct sealed *request_new(const struct world *w, uint32_t from, uint32_t count)
{
    struct body b = {from, count};
    struct sealed *s = sealed_new(&b, sizeof b);
    assert_non_null(s);
    s->protocol = w->protocol;
    s->records = count;
    s->raw_len = 100 * count;
    s->tenant = "t";
    s->batch_seq = w->seq;
    s->sealed_mono_ms = w->m.now;
    s->charge = 100;
    return s;
}

static void on_send(void *ctx, const struct sealed *s, unsigned attempt)
{
    struct world *w = ctx;
    (void)attempt;
    assert_null(w->flying);
    w->flying = (struct sealed *)(uintptr_t)s;
    w->sent++;
}

static struct sealed *on_part(void *ctx, const struct sealed *s, struct part *p)
{
    struct body whole = body_of(s);
    p->broken = false;
    p->unsaid = 0;
    return request_new(ctx, whole.from + p->from, p->count);
}

static struct world *world_new(bool split_rejected)
{
    struct world *w = calloc(1, sizeof *w);
    const struct deliver_config c = {.max_in_flight = 8, .split_rejected = split_rejected};
    machine_open(&w->m, &c, on_send, on_part, NULL);
    return w;
}

static void world_free(struct world *w)
{
    machine_close(&w->m);
    free(w);
}

static void push(struct world *w, uint32_t count)
{
    w->seq++;
    assert_true(w->pushed + count <= RECORDS_MAX);
    assert_true(deliver_push(w->m.deliver, request_new(w, w->pushed, count)));
    w->pushed += count;
}

static void answer(struct world *w, int status, const char *text)
{
    struct answer a = {.end = END_ANSWERED, .status = status};
    snprintf(a.text, sizeof a.text, "%s", text);
    w->flying = NULL;
    deliver_answer(w->m.deliver, 0, &a, w->m.now, 0);
}

/* As Prometheus does it. False = nothing was in flight. */
static bool step(struct world *w, const char *words)
{
    deliver_run(w->m.deliver, w->m.now);
    if (!w->flying)
        return false;
    struct body b = body_of(w->flying);
    bool good = true;
    for (uint32_t i = b.from; i < b.from + b.count; i++)
        good &= !w->bad[i];
    for (uint32_t i = b.from; i < b.from + b.count && good; i++) {
        assert_false(w->taken[i]);
        assert_true(i >= w->newest);
        w->taken[i] = true;
        w->newest = i;
    }
    w->refused += !good;
    answer(w, good ? 204 : 400, good ? "" : words);
    return true;
}

static void run(struct world *w)
{
    while (step(w, "out of order sample"))
        ;
    assert_int_equal(w->m.outcome[GCW_DELIVERED] + w->m.outcome[GCW_REJECTED], w->pushed);
    uint32_t taken = 0;
    for (uint32_t i = 0; i < w->pushed; i++)
        taken += w->taken[i];
    assert_int_equal(w->m.outcome[GCW_DELIVERED], taken);
}

static void test_one_bad_record_costs_itself_alone_and_a_few_requests(void **state)
{
    (void)state;
    static const uint32_t at[] = {0, 1, 499, 500, 998, 999};
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        struct world *w = world_new(true);
        w->bad[at[i]] = true;
        push(w, 1000);
        push(w, 10); /* waits for its turn */
        run(w);
        assert_int_equal(w->m.outcome[GCW_DELIVERED], 1009);
        assert_int_equal(w->m.outcome[GCW_REJECTED], 1);
        assert_true(w->refused <= 1 + 10 + 1 && w->sent <= 2 * 10 + 4);
        world_free(w);
    }
}

static void test_a_single_bad_record_is_not_sent_again(void **state)
{
    (void)state;
    struct world *w = world_new(true);
    w->bad[0] = true;
    push(w, 1);
    run(w);
    assert_int_equal(w->sent, 1);
    assert_int_equal(w->m.outcome[GCW_REJECTED], 1);
    world_free(w);
}

static void test_what_is_bad_all_over_costs_few_requests(void **state)
{
    (void)state;
    struct world *w = world_new(true);
    memset(w->bad, true, sizeof w->bad);
    for (int i = 0; i < 50; i++)
        push(w, 80);
    run(w);
    assert_int_equal(w->m.outcome[GCW_REJECTED], 4000);
    assert_true(w->sent <= 64 + 5 * 50);
    world_free(w);
}

/* The end of such a backlog: credit is spent, and what is good in it is found by large parts; then it comes back. */
static void test_good_requests_earn_the_search_again(void **state)
{
    (void)state;
    struct world *w = world_new(true);
    memset(w->bad, true, 800);
    for (int i = 0; i < 40; i++)
        push(w, 20);
    run(w);
    unsigned before = w->refused;
    push(w, 20);
    w->bad[801] = true; /* in the first quarter */
    run(w);
    assert_in_range(w->m.outcome[GCW_DELIVERED], 10, 18);
    for (int i = 0; i < 64; i++)
        push(w, 1);
    run(w);
    assert_int_equal(w->refused, before + 2);
    w->bad[w->pushed + 7] = true;
    uint64_t rejected = w->m.outcome[GCW_REJECTED];
    push(w, 1000);
    run(w);
    assert_int_equal(w->m.outcome[GCW_REJECTED], rejected + 1);
    world_free(w);
}

static void test_any_few_bad_records_are_found(void **state)
{
    (void)state;
    unsigned long seed = (unsigned long)clock_mono_ms();
    print_message("seed %lu\n", seed);
    srand((unsigned)seed);
    for (int round = 0; round < 300; round++) {
        struct world *w = world_new(true);
        uint32_t n = 1 + (uint32_t)rand() % 1000, bad = 0;
        for (int k = rand() % 5; k > 0; k--) {
            uint32_t i = (uint32_t)rand() % n;
            bad += !w->bad[i];
            w->bad[i] = true;
        }
        push(w, n);
        push(w, 5);
        run(w);
        assert_int_equal(w->m.outcome[GCW_REJECTED], bad);
        world_free(w);
    }
}

static void test_a_part_that_meets_an_outage_is_sent_again(void **state)
{
    (void)state;
    struct world *w = world_new(true);
    w->bad[7] = true;
    push(w, 100);
    for (int i = 0; deliver_run(w->m.deliver, w->m.now), w->flying; i++) {
        if (i % 2 == 0) {
            answer(w, 503, "busy");
            w->m.now += 300000;
        } else {
            step(w, "out of bounds");
        }
    }
    assert_int_equal(w->m.outcome[GCW_DELIVERED], 99);
    assert_int_equal(w->m.outcome[GCW_REJECTED], 1);
    world_free(w);
}

static void test_nothing_is_sent_again_where_it_is_not_known_that_nothing_was_stored(void **state)
{
    (void)state;
    static const struct {
        bool on;
        enum protocol protocol;
        const char *words;
    } cases[] = {
        {false, PROTOCOL_RW1, "out of order sample"},
        {true, PROTOCOL_RW1, "bad request"},
        {true, PROTOCOL_RW1, "user=t: err: out of order sample. timestamp=..."}, /* Cortex keeps the rest */
        {true, PROTOCOL_RW1, "failed pushing to ingester: err-mimir-sample-out-of-order"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world *w = world_new(cases[i].on);
        w->protocol = cases[i].protocol;
        w->bad[3] = true;
        push(w, 10);
        while (step(w, cases[i].words))
            ;
        assert_int_equal(w->sent, 1);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_bad_record_costs_itself_alone_and_a_few_requests),
        cmocka_unit_test(test_a_single_bad_record_is_not_sent_again),
        cmocka_unit_test(test_what_is_bad_all_over_costs_few_requests),
        cmocka_unit_test(test_good_requests_earn_the_search_again),
        cmocka_unit_test(test_any_few_bad_records_are_found),
        cmocka_unit_test(test_a_part_that_meets_an_outage_is_sent_again),
        cmocka_unit_test(test_nothing_is_sent_again_where_it_is_not_known_that_nothing_was_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
