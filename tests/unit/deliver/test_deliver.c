/* The delivery machine against a virtual clock and network. */
#include "machine.h"

#define LOG_LINES 64

struct world {
    struct machine m;
    struct {
        uint32_t route;
        uint64_t seq;
        unsigned attempt;
    } sent[256];
    size_t sent_count;
    struct {
        uint32_t from, count;
    } sliced[64];
    size_t slice_count;
    char log[LOG_LINES][256];
    size_t log_count;
};

static void on_send(void *ctx, const struct sealed *s, unsigned attempt)
{
    struct world *w = ctx;
    assert_true(w->sent_count < 256);
    w->sent[w->sent_count].route = s->route;
    w->sent[w->sent_count].seq = s->batch_seq;
    w->sent[w->sent_count++].attempt = attempt;
}
/* Half of a body is half its bytes; what it holds does not matter here. Of what is sent in 1.0 instead of 2.0, two fit
 * at a time, and record 3 cannot be said. */
static struct sealed *on_part(void *ctx, const struct sealed *s, struct part *p)
{
    struct world *w = ctx;
    struct sealed *out = sealed_new("slice", 5);
    assert_non_null(out);
    if (p->protocol != s->protocol) {
        p->count = MIN(p->count, 2u);
        p->unsaid = p->from <= 3 && p->from + p->count > 3;
    }
    out->route = s->route;
    out->signal = s->signal;
    out->tenant = s->tenant;
    out->batch_seq = s->batch_seq;
    out->protocol = p->protocol;
    out->records = p->count - p->unsaid;
    out->raw_len = s->raw_len / s->records * p->count;
    w->sliced[w->slice_count].from = p->from;
    w->sliced[w->slice_count++].count = p->count;
    if (p->count > p->unsaid)
        return out;
    sealed_free(out);
    return NULL;
}
static void on_log(void *ctx, gcw_log_level level, const char *text)
{
    struct world *w = ctx;
    (void)level;
    if (w->log_count < LOG_LINES)
        strncpy(w->log[w->log_count], text, sizeof w->log[0] - 1);
    w->log_count++;
}

static struct world *world_new(uint64_t max_age_ms, unsigned in_flight)
{
    struct world *w = calloc(1, sizeof *w);
    const struct deliver_config c = {.max_age_ms = max_age_ms, .max_in_flight = in_flight, .split_rejected = true};
    machine_open(&w->m, &c, on_send, on_part, on_log);
    return w;
}

static void world_free(struct world *w)
{
    machine_close(&w->m);
    free(w);
}

static void push(struct world *w, gcw_signal signal, uint32_t route, uint64_t seq)
{
    struct sealed *s = sealed_new("body", 4);
    s->signal = signal;
    s->route = route;
    s->batch_seq = seq;
    s->records = 10;
    s->raw_len = 1000000;
    s->tenant = "t";
    s->sealed_mono_ms = w->m.now;
    s->charge = 100;
    assert_true(deliver_push(w->m.deliver, s));
}

static void answer(struct world *w, uint32_t route, int status, const char *body, const char *retry_after)
{
    struct answer a = {.end = END_ANSWERED, .status = status};
    strcpy(a.text, body);
    strcpy(a.retry_after, retry_after);
    deliver_answer(w->m.deliver, route, &a, w->m.now, 0);
}

static void test_route_sends_in_order_one_at_a_time(void **state)
{
    (void)state;
    struct world *w = world_new(0, 8);
    push(w, GCW_METRICS, 0, 1);
    push(w, GCW_METRICS, 0, 2);
    deliver_run(w->m.deliver, w->m.now);
    assert_int_equal(w->sent_count, 1);
    answer(w, 0, 200, "", "");
    deliver_run(w->m.deliver, w->m.now);
    assert_int_equal(w->sent_count, 2);
    assert_int_equal(w->sent[1].seq, 2);
    answer(w, 0, 204, "", "");
    assert_int_equal(w->m.outcome[GCW_DELIVERED], 20);
    assert_int_equal(w->m.released, 2);
    world_free(w);
}

static void test_failing_route_does_not_hold_up_another(void **state)
{
    (void)state;
    struct world *w = world_new(0, 1);
    push(w, GCW_METRICS, 0, 1);
    push(w, GCW_LOGS, 1, 1);
    deliver_run(w->m.deliver, w->m.now);
    assert_int_equal(w->sent_count, 1);
    answer(w, w->sent[0].route, 503, "", "");
    uint64_t next = deliver_run(w->m.deliver, w->m.now);
    assert_int_equal(w->sent_count, 2);
    assert_int_not_equal(w->sent[0].route, w->sent[1].route);
    assert_int_equal(next, w->m.now + 500);
    answer(w, w->sent[1].route, w->sent[1].route == 1 ? 204 : 200, "", "");
    w->m.now += 500;
    deliver_run(w->m.deliver, w->m.now);
    assert_int_equal(w->sent_count, 3);
    assert_int_equal(w->sent[2].attempt, 1);
    world_free(w);
}

static void test_retry_waits_longer_each_time_and_follows_retry_after(void **state)
{
    (void)state;
    struct world *w = world_new(0, 8);
    push(w, GCW_METRICS, 0, 1);
    uint64_t want[] = {500, 1000, 2000, 4000};
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        deliver_run(w->m.deliver, w->m.now);
        answer(w, 0, 500, "", "");
        assert_int_equal(deliver_run(w->m.deliver, w->m.now), w->m.now + want[i]);
        w->m.now += want[i];
    }
    deliver_run(w->m.deliver, w->m.now);
    answer(w, 0, 429, "", "30");
    assert_int_equal(deliver_run(w->m.deliver, w->m.now), w->m.now + 30000);
    w->m.now += 30000;
    deliver_run(w->m.deliver, w->m.now);
    answer(w, 0, 429, "", "999999");
    assert_int_equal(deliver_run(w->m.deliver, w->m.now), w->m.now + 300000);
    world_free(w);
}

static void test_parked_route_keeps_data_says_so_once_and_goes_on_at_once(void **state)
{
    (void)state;
    struct world *w = world_new(0, 8);
    push(w, GCW_METRICS, 0, 1);
    for (int i = 0; i < 3; i++) {
        deliver_run(w->m.deliver, w->m.now);
        answer(w, 0, 401, "invalid scope requested", "");
        assert_int_equal(deliver_run(w->m.deliver, w->m.now), w->m.now + 60000);
        w->m.now += 60000;
    }
    assert_int_equal(w->log_count, 1);
    assert_non_null(strstr(w->log[0], "scope"));
    deliver_run(w->m.deliver, w->m.now);
    answer(w, 0, 401, "", "");
    size_t sent = w->sent_count;
    deliver_unpark(w->m.deliver, w->m.now);
    deliver_run(w->m.deliver, w->m.now);
    assert_int_equal(w->sent_count, sent + 1);
    answer(w, 0, 200, "", "");
    assert_int_equal(w->m.outcome[GCW_DELIVERED], 10);
    assert_int_equal(w->log_count, 2); /* and that it works again */
    world_free(w);
}

static void test_partial_acceptance_is_counted_from_the_servers_words(void **state)
{
    (void)state;
    struct world *w = world_new(0, 8);
    push(w, GCW_LOGS, 0, 1);
    deliver_run(w->m.deliver, w->m.now);
    answer(w, 0, 400, "user 'fake', total ignored: 3 out of 10 for stream: {a=\"b\"}", "");
    assert_int_equal(w->m.outcome[GCW_REJECTED], 3);
    assert_int_equal(w->m.outcome[GCW_DELIVERED], 7);
    world_free(w);
}

/* Answers 413 to everything above `most` records, for one request of ten. */
static void take_at_most(struct world *w, uint32_t most)
{
    for (int i = 0; i < 40 && !queue_empty(w->m.queue, 0); i++) {
        size_t before = w->sent_count;
        w->m.now += 10;
        deliver_run(w->m.deliver, w->m.now);
        if (w->sent_count == before)
            return;
        uint32_t count = w->slice_count ? w->sliced[w->slice_count - 1].count : 10;
        answer(w, 0, count > most ? 413 : 200, "", "");
    }
}

static void test_too_large_is_sent_in_parts_and_the_limit_is_kept(void **state)
{
    (void)state;
    struct world *w = world_new(0, 8);
    push(w, GCW_METRICS, 0, 1);
    take_at_most(w, 5);
    assert_int_equal(w->m.outcome[GCW_DELIVERED], 10);
    assert_int_equal(w->sent_count, 3); /* ten, five, five */
    assert_int_equal(w->m.released, 3); /* two slices and the request */
    push(w, GCW_METRICS, 0, 2);
    take_at_most(w, 5);
    assert_int_equal(w->sent_count, 5); /* what was learned is kept */
    assert_int_equal(w->m.outcome[GCW_DELIVERED], 20);
    world_free(w);
}

static void test_parts_cover_every_record_once_in_order(void **state)
{
    (void)state;
    struct world *w = world_new(0, 8);
    push(w, GCW_METRICS, 0, 1);
    take_at_most(w, 3);
    uint32_t next = 0;
    for (size_t i = 0; i < w->slice_count; i++)
        if (w->sliced[i].count <= 3) {
            assert_int_equal(w->sliced[i].from, next);
            next += w->sliced[i].count;
        }
    assert_int_equal(next, 10);
    assert_int_equal(w->m.outcome[GCW_DELIVERED], 10);
    world_free(w);
}

static void test_single_record_that_is_too_large_is_rejected_and_the_rest_goes_on(void **state)
{
    (void)state;
    struct world *w = world_new(0, 8);
    push(w, GCW_METRICS, 0, 1);
    take_at_most(w, 0);
    assert_int_equal(w->m.outcome[GCW_REJECTED], 10);
    assert_true(queue_empty(w->m.queue, 0));
    world_free(w);
}

static void test_rate_limit_that_never_lets_a_request_pass_is_met_with_less(void **state)
{
    (void)state;
    struct world *w = world_new(0, 8);
    push(w, GCW_LOGS, 0, 1);
    for (int i = 0; i < 12 && !queue_empty(w->m.queue, 0); i++) {
        w->m.now += 600000;
        deliver_run(w->m.deliver, w->m.now);
        uint32_t count = w->slice_count ? w->sliced[w->slice_count - 1].count : 10;
        answer(w, 0, count > 5 ? 429 : 204, count > 5 ? "ingestion rate limit exceeded" : "", "");
    }
    assert_int_equal(w->m.outcome[GCW_DELIVERED], 10);
    assert_true(w->sent_count >= 6 && w->sliced[0].count == 5); /* four in vain, then halves */
    world_free(w);
}

static void test_expired_requests_are_counted_and_make_way(void **state)
{
    (void)state;
    struct world *w = world_new(10000, 8);
    push(w, GCW_METRICS, 0, 1);
    deliver_run(w->m.deliver, w->m.now);
    answer(w, 0, 503, "", "");
    w->m.now += 10000;
    push(w, GCW_METRICS, 0, 2);
    deliver_run(w->m.deliver, w->m.now);
    assert_int_equal(w->m.outcome[GCW_EXPIRED], 10);
    assert_int_equal(w->sent[w->sent_count - 1].seq, 2);
    world_free(w);
}

static void test_eviction_takes_the_oldest_that_is_not_in_flight(void **state)
{
    (void)state;
    struct world *w = world_new(0, 1);
    push(w, GCW_METRICS, 0, 1);
    deliver_run(w->m.deliver, w->m.now);
    w->m.now++;
    push(w, GCW_METRICS, 0, 2);
    w->m.now++;
    push(w, GCW_METRICS, 0, 3);
    assert_int_equal(deliver_evict(w->m.deliver, 100), 100);
    assert_int_equal(w->m.outcome[GCW_DROPPED], 10);
    answer(w, 0, 200, "", "");
    deliver_run(w->m.deliver, w->m.now);
    assert_int_equal(w->sent[w->sent_count - 1].seq, 3);
    world_free(w);
}

static void test_every_status_has_a_verdict(void **state)
{
    (void)state;
    struct sealed *s = sealed_new("", 0);
    s->records = 5;
    for (int signal = 0; signal < GCW_SIGNALS; signal++)
        for (int status = 100; status < 1000; status++) {
            struct answer a = {.end = END_ANSWERED, .status = status};
            s->signal = (gcw_signal)signal;
            struct verdict v = answer_judge(s, &a, false, 0);
            assert_non_null(v.row);
            if (v.action == ACTION_DELIVERED)
                assert_true(signal == GCW_METRICS ? status / 100 == 2 : status == 204 || status == 200);
            if (status == 429 || (status / 100 == 5 && status != 501))
                assert_true(v.action == ACTION_RETRY || v.action == ACTION_ABATE);
            if (status == 401 || status == 403 || status == 404 || status / 100 == 3)
                assert_int_equal(v.action, ACTION_PARK);
        }
    sealed_free(s);
}

static void test_retry_after_takes_both_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } rows[] = {
        {"120", 120000},
        {" 5 ", 5000},
        {"0", 0},
        {"", 0},
        {"soon", 0},
        {"-1", 0},
        {"Tue, 14 Nov 2023 22:13:30 GMT", 10000},
        {"Tue, 14 Nov 2023 22:13:10 GMT", 0},
        {"Tue, 14 Foo 2023 22:13:30 GMT", 0},
    };
    struct sealed *s = sealed_new("", 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct answer a = {.end = END_ANSWERED, .status = 429};
        strcpy(a.retry_after, rows[i].text);
        assert_int_equal(answer_judge(s, &a, false, INT64_C(1700000000000)).retry_after_ms, rows[i].ms);
    }
    sealed_free(s);
}

static void test_backoff_grows_to_its_bound_and_jitter_only_lengthens(void **state)
{
    (void)state;
    const struct backoff_config c = {500, 300000, 60000};
    uint64_t before = 0;
    for (unsigned i = 1; i < 200; i++) {
        uint64_t least = backoff_delay(&c, i, 0), most = backoff_delay(&c, i, UINT32_MAX);
        assert_true(least >= before && least <= c.max_ms);
        assert_true(most >= least && most <= least + least / 4);
        before = least;
    }
    assert_int_equal(backoff_delay(&c, 1, 0), 500);
    assert_int_equal(before, 300000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_route_sends_in_order_one_at_a_time),
        cmocka_unit_test(test_failing_route_does_not_hold_up_another),
        cmocka_unit_test(test_retry_waits_longer_each_time_and_follows_retry_after),
        cmocka_unit_test(test_parked_route_keeps_data_says_so_once_and_goes_on_at_once),
        cmocka_unit_test(test_partial_acceptance_is_counted_from_the_servers_words),
        cmocka_unit_test(test_too_large_is_sent_in_parts_and_the_limit_is_kept),
        cmocka_unit_test(test_parts_cover_every_record_once_in_order),
        cmocka_unit_test(test_single_record_that_is_too_large_is_rejected_and_the_rest_goes_on),
        cmocka_unit_test(test_rate_limit_that_never_lets_a_request_pass_is_met_with_less),
        cmocka_unit_test(test_expired_requests_are_counted_and_make_way),
        cmocka_unit_test(test_eviction_takes_the_oldest_that_is_not_in_flight),
        cmocka_unit_test(test_every_status_has_a_verdict),
        cmocka_unit_test(test_retry_after_takes_both_forms),
        cmocka_unit_test(test_backoff_grows_to_its_bound_and_jitter_only_lengthens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
