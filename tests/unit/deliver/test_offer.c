/* Choosing between remote write 2.0 and 1.0: what a receiver did not understand is sent again, and nobody flaps. */
#include "machine.h"

#define ROUTES 3

struct world {
    struct machine m;
    struct sent {
        enum protocol protocol;
        uint32_t route, records;
        uint64_t seq;
    } sent[400];
    unsigned sent_count;
    uint64_t seq[ROUTES];
    unsigned said_fall_back, parked;
    bool broken;
};

static void on_send(void *ctx, const struct sealed *s, unsigned attempt)
{
    struct world *w = ctx;
    (void)attempt;
    assert_true(w->sent_count < ARRAY_LEN(w->sent));
    w->sent[w->sent_count++] = (struct sent){s->protocol, s->route, s->records, s->batch_seq};
}

/* As 1.0, four records fit in a request, and the last of a request's ten cannot be said. */
static struct sealed *on_part(void *ctx, const struct sealed *s, struct part *p)
{
    struct world *w = ctx;
    p->broken = w->broken;
    if (w->broken)
        return NULL;
    assert_int_equal(s->protocol, PROTOCOL_RW2);
    assert_int_equal(p->protocol, PROTOCOL_RW1);
    p->count = MIN(p->count, 4u);
    p->unsaid = p->from + p->count == 10;
    if (p->count == p->unsaid)
        return NULL;
    struct sealed *out = sealed_new("part", 4);
    assert_non_null(out);
    out->route = s->route;
    out->tenant = s->tenant;
    out->batch_seq = s->batch_seq;
    out->protocol = p->protocol;
    out->records = p->count - p->unsaid;
    out->raw_len = 100;
    return out;
}

static void on_log(void *ctx, gcw_log_level level, const char *text)
{
    struct world *w = ctx;
    (void)level;
    w->said_fall_back += strstr(text, "remote write 1.0 is spoken from now on") != NULL;
    w->parked += strstr(text, "parked") != NULL;
}

static struct world *world_new(enum metrics_protocol protocol)
{
    struct world *w = calloc(1, sizeof *w);
    const struct deliver_config c = {.max_in_flight = 8, .metrics_protocol = protocol, .split_rejected = true};
    machine_open(&w->m, &c, on_send, on_part, on_log);
    return w;
}

static void world_free(struct world *w)
{
    machine_close(&w->m);
    free(w);
}

static void run(struct world *w) { deliver_run(w->m.deliver, w->m.now); }

static void push_as(struct world *w, uint32_t route, enum protocol protocol)
{
    struct sealed *s = sealed_new("body", 4);
    s->route = route;
    s->protocol = protocol;
    s->batch_seq = ++w->seq[route];
    s->records = 10;
    s->raw_len = 1000;
    s->tenant = "t";
    s->sealed_mono_ms = w->m.now;
    s->charge = 100;
    assert_true(deliver_push(w->m.deliver, s));
    run(w);
}

/* In whatever protocol requests are sealed now. */
static void push(struct world *w, uint32_t route) { push_as(w, route, deliver_protocol(w->m.deliver)); }

static void answer(struct world *w, uint32_t route, int status, int written)
{
    struct answer a = {.end = END_ANSWERED, .status = status, .counted = written >= 0};
    a.written = a.counted ? (uint64_t)written : 0;
    deliver_answer(w->m.deliver, route, &a, w->m.now, 0);
    run(w);
}

static const struct sent *last(const struct world *w) { return &w->sent[w->sent_count - 1]; }

static void test_a_receiver_of_2_gets_2(void **state)
{
    (void)state;
    struct world *w = world_new(METRICS_PROTOCOL_AUTO);
    for (int i = 0; i < 5; i++) {
        push(w, 0);
        assert_int_equal(last(w)->protocol, PROTOCOL_RW2);
        answer(w, 0, 204, 10);
    }
    assert_int_equal(w->m.outcome[GCW_DELIVERED], 50);
    assert_int_equal(w->said_fall_back, 0);
    world_free(w);
}

/* status and counts with which a receiver of 1.0 may answer 2.0 */
static void fall_back(int status)
{
    struct world *w = world_new(METRICS_PROTOCOL_AUTO);
    push(w, 0);
    push(w, 0); /* behind the first, in 2.0 too */
    push(w, 1); /* in flight beside it */
    answer(w, 0, status, -1);
    assert_int_equal(last(w)->protocol, PROTOCOL_RW1);
    assert_int_equal(last(w)->seq, 1);
    assert_int_equal(last(w)->records, 4);
    answer(w, 1, status, -1);
    assert_int_equal(last(w)->route, 1);
    for (int i = 0; i < 3; i++)
        answer(w, 1, 204, -1); /* 4, 4, and 1 of the last two */
    assert_int_equal(w->m.outcome[GCW_DELIVERED], 9);
    assert_int_equal(w->m.outcome[GCW_REJECTED], 1);
    for (int i = 0; i < 6; i++) {
        answer(w, 0, 204, -1);
    }
    assert_int_equal(w->m.outcome[GCW_DELIVERED], 27);
    assert_int_equal(w->m.outcome[GCW_REJECTED], 3);
    assert_int_equal(w->said_fall_back, 1);
    assert_int_equal(deliver_protocol(w->m.deliver), PROTOCOL_RW1);
    world_free(w);
}

static void test_a_silent_success_sends_the_same_again_in_1(void **state)
{
    (void)state;
    fall_back(204);
    fall_back(200);
}

static void test_415_sends_the_same_again_in_1(void **state)
{
    (void)state;
    fall_back(415);
}

static void test_400_to_the_first_offer_sends_the_same_again_in_1(void **state)
{
    (void)state;
    fall_back(400);
    fall_back(406);
    fall_back(422);
}

/* A receiver that breaks over a body it does not know says 500, for ever. One that knew 2.0 before is just in trouble.
 */
static void test_500_again_and_again_to_the_first_offer_is_tried_in_1(void **state)
{
    (void)state;
    for (int proven = 0; proven < 2; proven++) {
        struct world *w = world_new(METRICS_PROTOCOL_AUTO);
        if (proven) {
            push(w, 0);
            answer(w, 0, 204, 10);
        }
        push(w, 0);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(last(w)->protocol, i == 3 && !proven ? PROTOCOL_RW1 : PROTOCOL_RW2);
            answer(w, 0, 500, -1);
            w->m.now += HOUR / 60;
            run(w);
        }
        assert_int_equal(last(w)->protocol, proven ? PROTOCOL_RW2 : PROTOCOL_RW1);
        assert_int_equal(w->m.outcome[GCW_REJECTED], 0);
        world_free(w);
    }
}

static void test_400_of_a_proven_receiver_is_a_word_on_the_data(void **state)
{
    (void)state;
    struct world *w = world_new(METRICS_PROTOCOL_AUTO);
    push(w, 0);
    answer(w, 0, 204, 10);
    push(w, 0);
    answer(w, 0, 400, 7);
    assert_int_equal(w->m.outcome[GCW_DELIVERED], 17);
    assert_int_equal(w->m.outcome[GCW_REJECTED], 3);
    push(w, 0);
    answer(w, 0, 400, -1);
    assert_int_equal(w->m.outcome[GCW_REJECTED], 13);
    assert_int_equal(deliver_protocol(w->m.deliver), PROTOCOL_RW2);
    world_free(w);
}

/* 1.0 for an hour, an offer, for two hours, an offer, ... a day at the most. */
static void test_2_is_offered_again_ever_more_seldom(void **state)
{
    (void)state;
    struct world *w = world_new(METRICS_PROTOCOL_AUTO);
    uint64_t hold = HOUR;
    for (int round = 0; round < 8; round++) {
        assert_int_equal(deliver_protocol(w->m.deliver), PROTOCOL_RW2);
        push(w, 0);
        assert_int_equal(last(w)->protocol, PROTOCOL_RW2);
        answer(w, 0, 204, -1);
        for (int i = 0; i < 3; i++)
            answer(w, 0, 204, -1);
        w->m.now += hold - 1;
        run(w);
        assert_int_equal(deliver_protocol(w->m.deliver), PROTOCOL_RW1);
        push(w, 0);
        assert_int_equal(last(w)->protocol, PROTOCOL_RW1);
        answer(w, 0, 204, -1);
        w->m.now += 1;
        assert_true(deliver_run(w->m.deliver, w->m.now) > w->m.now);
        hold = MIN(2 * hold, 24 * HOUR);
    }
    assert_int_equal(w->said_fall_back, 8);
    world_free(w);
}

static void test_an_updated_receiver_is_found_out(void **state)
{
    (void)state;
    struct world *w = world_new(METRICS_PROTOCOL_AUTO);
    push(w, 0);
    answer(w, 0, 415, -1);
    for (int i = 0; i < 3; i++)
        answer(w, 0, 204, -1);
    w->m.now += HOUR;
    run(w);
    push(w, 0);
    answer(w, 0, 204, 10);
    push(w, 0);
    assert_int_equal(last(w)->protocol, PROTOCOL_RW2);
    world_free(w);
}

static void test_1_means_1_for_what_was_sealed_in_2_as_well(void **state)
{
    (void)state;
    struct world *w = world_new(METRICS_PROTOCOL_1);
    assert_int_equal(deliver_protocol(w->m.deliver), PROTOCOL_RW1);
    push_as(w, 0, PROTOCOL_RW2); /* an earlier writer's */
    assert_int_equal(last(w)->protocol, PROTOCOL_RW1);
    for (int i = 0; i < 3; i++)
        answer(w, 0, 204, -1);
    assert_int_equal(w->m.outcome[GCW_DELIVERED], 9);
    world_free(w);
}

static void test_2_means_2_and_holds_the_data_where_it_is_not_known(void **state)
{
    (void)state;
    static const int statuses[] = {204, 415, 400};
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        struct world *w = world_new(METRICS_PROTOCOL_2);
        push(w, 0);
        answer(w, 0, statuses[i], -1);
        assert_int_equal(w->parked, 1);
        assert_int_equal(w->sent_count, 1);
        w->m.now += 60000;
        run(w);
        assert_int_equal(last(w)->protocol, PROTOCOL_RW2);
        answer(w, 0, 204, 10);
        assert_int_equal(w->m.outcome[GCW_DELIVERED], 10);
        world_free(w);
    }
}

/* A body that cannot be read is not offered for ever. */
static void test_what_cannot_be_transcoded_is_rejected(void **state)
{
    (void)state;
    struct world *w = world_new(METRICS_PROTOCOL_AUTO);
    w->broken = true;
    push(w, 0);
    answer(w, 0, 204, -1);
    assert_int_equal(last(w)->protocol, PROTOCOL_RW2); /* whole: the receiver says what it is */
    answer(w, 0, 204, -1);
    assert_int_equal(w->m.outcome[GCW_REJECTED], 10);
    assert_true(queue_empty(w->m.queue, 0));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_receiver_of_2_gets_2),
        cmocka_unit_test(test_a_silent_success_sends_the_same_again_in_1),
        cmocka_unit_test(test_415_sends_the_same_again_in_1),
        cmocka_unit_test(test_400_to_the_first_offer_sends_the_same_again_in_1),
        cmocka_unit_test(test_500_again_and_again_to_the_first_offer_is_tried_in_1),
        cmocka_unit_test(test_400_of_a_proven_receiver_is_a_word_on_the_data),
        cmocka_unit_test(test_2_is_offered_again_ever_more_seldom),
        cmocka_unit_test(test_an_updated_receiver_is_found_out),
        cmocka_unit_test(test_1_means_1_for_what_was_sealed_in_2_as_well),
        cmocka_unit_test(test_2_means_2_and_holds_the_data_where_it_is_not_known),
        cmocka_unit_test(test_what_cannot_be_transcoded_is_rejected),
    };
    return cmocka_run_group_tests_name("deliver: which remote write", tests, NULL, NULL);
}
