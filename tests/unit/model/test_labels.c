/* Label sets: checking, mending, interning, the guard. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "model/model.h"

static struct label_rules rules_of(gcw_signal signal, enum label_policy policy)
{
    return (struct label_rules){signal, policy, 16, 64, 10, NULL, 0};
}

/* "a=1,b=2" of the block. */
static const char *shown(const struct label_scratch *s)
{
    static char text[512];
    struct view block = buf_view(&s->block), name, value;
    size_t n = 0;
    text[0] = 0;
    while (block_next(&block, &name, &value))
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s=%.*s", n ? "," : "", VIEW_ARG(name), VIEW_ARG(value));
    return text;
}

static void test_labels_are_sorted_and_empty_values_left_out(void **state)
{
    (void)state;
    const gcw_label in[] = {GCW_LABEL("zone", "z"), GCW_LABEL("__name__", "m"), GCW_LABEL("gone", ""),
                            GCW_LABEL("Zone", "u")};
    struct label_rules r = rules_of(GCW_METRICS, LABELS_REJECT);
    const gcw_label statics[] = {GCW_LABEL("zone", "static"), GCW_LABEL("region", "eu")};
    r.statics = statics;
    r.static_count = 2;
    struct label_scratch s = {0};
    bool changed;
    assert_int_equal(labels_block(&r, in, 4, &s, &changed, NULL), GCW_OK);
    assert_string_equal(shown(&s), "Zone=u,__name__=m,region=eu,zone=z");
    assert_false(changed);
    label_scratch_free(&s);
}

static void test_each_fault_is_mended_or_refused_by_policy(void **state)
{
    (void)state;
    static const struct {
        gcw_signal signal;
        const char *name, *value;
        const char *sanitised; /* NULL = the label is left out */
        bool truncate_takes;
    } rows[] = {
        {GCW_LOGS, "app.kubernetes/x", "v", "app_kubernetes_x=v", false},
        {GCW_LOGS, "9lives", "v", "_9lives=v", false},
        {GCW_LOGS, "a=\"b\",c", "v", "a__b__c=v", false},
        {GCW_LOGS, "__backfill__", "v", NULL, false},
        {GCW_LOGS, "a:b", "v", "a_b=v", false},
        {GCW_LOGS, "\xc3\xa9t\xc3\xa9", "v", "_t_=v", false},
        {GCW_LOGS, "bad",
         "a\xff"
         "b",
         "bad=a?b", false},
        {GCW_METRICS, "bad",
         "a\xff"
         "b",
         "bad=a\xef\xbf\xbd"
         "b",
         false},
        {GCW_LOGS, "seventeen_letters", "v", "seventeen_letter=v", true},
        {GCW_METRICS, "__name__", "my-metric", "__name__=my_metric", false},
        {GCW_METRICS, "__internal", "v", NULL, false},
    };
    static const enum label_policy policies[] = {LABELS_SANITISE, LABELS_TRUNCATE, LABELS_REJECT};
    struct label_scratch s = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t k = 0; k < ARRAY_LEN(policies); k++) {
            bool name = strcmp(rows[i].name, "__name__") == 0;
            const gcw_label in[] = {GCW_LABEL("zz", "1"),
                                    {rows[i].name, strlen(rows[i].name), rows[i].value, strlen(rows[i].value)},
                                    GCW_LABEL("__name__", "m")};
            struct label_rules r = rules_of(rows[i].signal, policies[k]);
            bool changed;
            gcw_error err = {0};
            gcw_status status =
                labels_block(&r, in, rows[i].signal == GCW_METRICS && !name ? 3 : 2, &s, &changed, &err);
            bool takes = policies[k] == LABELS_SANITISE || (policies[k] == LABELS_TRUNCATE && rows[i].truncate_takes);
            assert_int_equal(status, takes ? GCW_OK : GCW_ERR_INVALID);
            assert_true(*err.text);
            if (takes) {
                assert_true(changed);
                assert_true(rows[i].sanitised ? strstr(shown(&s), rows[i].sanitised) != NULL
                                              : strstr(shown(&s), rows[i].name) == NULL);
            }
        }
    label_scratch_free(&s);
}

static void test_long_values_are_cut_at_a_character_and_stay_distinct(void **state)
{
    (void)state;
    char a[300], b[300], first[512];
    for (size_t i = 0; i < 300; i += 2)
        memcpy(a + i, "\xc3\xa4", 2);
    memcpy(b, a, 300);
    memcpy(b + 298, "\xc3\xb6", 2);
    struct label_rules r = rules_of(GCW_LOGS, LABELS_TRUNCATE);
    struct label_scratch s = {0};
    bool changed;
    const gcw_label one = {"v", 1, a, 300}, two = {"v", 1, b, 300};
    assert_int_equal(labels_block(&r, &one, 1, &s, &changed, NULL), GCW_OK);
    strcpy(first, shown(&s));
    assert_true(strlen(first) <= 64 + 2 && utf8_valid(first, strlen(first)));
    assert_int_equal(labels_block(&r, &two, 1, &s, &changed, NULL), GCW_OK);
    assert_string_not_equal(first, shown(&s));
    label_scratch_free(&s);
}

static void test_what_no_policy_takes(void **state)
{
    (void)state;
    const gcw_label twice[] = {GCW_LABEL("a", "1"), GCW_LABEL("a", "2")}, nothing[] = {GCW_LABEL("a", "")},
                    nameless[] = {GCW_LABEL("a", "1")};
    gcw_label many[11];
    char names[11][4];
    struct label_scratch s = {0};
    bool changed;
    gcw_error err;
    struct label_rules logs = rules_of(GCW_LOGS, LABELS_REJECT), metrics = rules_of(GCW_METRICS, LABELS_SANITISE);
    assert_int_equal(labels_block(&logs, twice, 2, &s, &changed, &err), GCW_ERR_INVALID);
    assert_non_null(strstr(err.text, "twice"));
    assert_int_equal(labels_block(&logs, nothing, 1, &s, &changed, &err), GCW_ERR_INVALID);
    assert_int_equal(labels_block(&metrics, nameless, 1, &s, &changed, &err), GCW_ERR_INVALID);
    assert_non_null(strstr(err.text, "__name__"));
    for (int i = 0; i < 11; i++) {
        snprintf(names[i], sizeof names[i], "n%d", i);
        many[i] = (gcw_label){names[i], strlen(names[i]), "v", 1};
    }
    assert_int_equal(labels_block(&logs, many, 10, &s, &changed, &err), GCW_OK);
    assert_int_equal(labels_block(&logs, many, 11, &s, &changed, &err), GCW_ERR_INVALID);
    label_scratch_free(&s);
}

static void test_metadata_names_take_lokis_normal_form(void **state)
{
    (void)state;
    const gcw_label in[] = {GCW_LABEL("trace.id", "1"), GCW_LABEL("a__b", "2"),     GCW_LABEL("7up", "3"),
                            GCW_LABEL(".", "4"),        GCW_LABEL("\xc3\xa9", "5"), GCW_LABEL("trace_id", "6"),
                            GCW_LABEL("empty", "")};
    struct label_scratch s = {0};
    bool changed;
    gcw_error err;
    assert_int_equal(metadata_block(LABELS_SANITISE, NULL, in, ARRAY_LEN(in), &s, &changed, &err), GCW_OK);
    assert_true(changed);
    assert_string_equal(shown(&s), "trace_id=1,a_b=2,key_7up=3");
    assert_int_equal(metadata_block(LABELS_REJECT, NULL, in, 1, &s, &changed, &err), GCW_ERR_INVALID);
    label_scratch_free(&s);
}

static void test_equal_label_sets_share_a_handle_and_the_guard_names_the_culprit(void **state)
{
    (void)state;
    struct guard *g = guard_new(100, 1 << 20);
    struct intern_table *t = intern_table_new(g, 1, NULL);
    struct label_rules r = rules_of(GCW_LOGS, LABELS_SANITISE);
    struct label_scratch s = {0};
    struct interned *kept[100];
    gcw_status status = GCW_OK;
    int n = 0;
    for (; n < 200; n++) {
        char id[16];
        bool changed;
        snprintf(id, sizeof id, "%d", n);
        const gcw_label in[] = {GCW_LABEL("job", "a"), {"request_id", 10, id, strlen(id)}};
        assert_int_equal(labels_block(&r, in, 2, &s, &changed, NULL), GCW_OK);
        struct interned *i = intern_acquire(t, NULL, buf_view(&s.block), &status);
        if (!i)
            break;
        assert_ptr_equal(i, intern_acquire(t, NULL, buf_view(&s.block), &status));
        assert_false(intern_release(t, i));
        kept[n] = i;
    }
    assert_int_equal(n, 100);
    assert_int_equal(status, GCW_ERR_LIMIT);
    gcw_error err;
    guard_explain(g, "streams", &err);
    assert_non_null(strstr(err.text, "request_id"));
    for (int i = 0; i < n; i++) {
        assert_true(intern_release(t, kept[i]));
        assert_true(intern_reap(t, kept[i]));
        intern_destroy(NULL, kept[i]);
    }
    assert_int_equal(guard_count(g), 0);
    assert_int_equal(guard_bytes(g), 0);
    label_scratch_free(&s);
    intern_table_free(t);
    guard_free(g);
}

static void test_fingerprints_remember_in_any_order(void **state)
{
    (void)state;
    struct fingerprints f = {0};
    for (uint64_t round = 0; round < 2; round++)
        for (uint64_t i = 0; i < 5000; i++) {
            uint64_t fp = hash_bytes(&i, sizeof i, 0) * (i != 17); /* a zero among them */
            assert_int_equal(fingerprint_has(&f, fp), round == 1);
            if (round == 0)
                assert_true(fingerprint_add(&f, fp));
        }
    for (uint64_t i = 5000; i-- > 0;) {
        uint64_t fp = hash_bytes(&i, sizeof i, 0) * (i != 17);
        assert_true(fingerprint_has(&f, fp));
    }
    assert_false(fingerprint_has(&f, 12345));
    assert_int_equal(f.count, 5000);
    fingerprints_free(&f);
}

/* What is remembered of the label set before must not show: each is encoded as if it were the first. */
static void test_label_sets_in_a_row_are_encoded_as_each_alone(void **state)
{
    (void)state;
    static const char *const names[] = {
        "__name__", "b", "a", "job", "__reserved", "ends", "0bad", "z_longer_than_eight", "a"};
    static const char *const values[] = {
        "up",
        "v",
        "",
        "caf\xc3\xa9",
        "\xff",
        "0digit first",
        "a value of some length",
        "far too long for the rules of this test, which allow sixty-four bytes in a value"};
    const gcw_label statics[] = {GCW_LABEL("job", "static"), GCW_LABEL("region", "r1")};
    struct label_scratch kept = {0};
    uint64_t random = 42, equal = 0;
    struct label_rules rules[] = {rules_of(GCW_METRICS, LABELS_SANITISE), rules_of(GCW_LOGS, LABELS_SANITISE),
                                  rules_of(GCW_METRICS, LABELS_REJECT)};
    rules[0].statics = statics;
    rules[0].static_count = 2;
    for (int round = 0; round < 20000; round++) {
        gcw_label in[6];
        size_t count = 1 + (random >> 60) % 5, shift = (random >> 50) % 4;
        const struct label_rules *r = &rules[(random >> 40) % 16 % 3];
        for (size_t i = 0; i < count; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            const char *n = names[(random >> 20) % 8 < 6 ? (i + shift) % 4 : (random >> 33) % ARRAY_LEN(names)];
            const char *v = values[(random >> 24) % 8 < 6 ? i % 2 : (random >> 36) % ARRAY_LEN(values)];
            in[i] = (gcw_label)GCW_LABEL(n, v);
        }
        struct label_scratch fresh = {0};
        bool changed1, changed2;
        gcw_error err1 = {0}, err2 = {0};
        gcw_status one = labels_block(r, in, count, &kept, &changed1, &err1),
                   two = labels_block(r, in, count, &fresh, &changed2, &err2);
        assert_int_equal(one, two);
        assert_int_equal(changed1, changed2);
        assert_string_equal(err1.text, err2.text);
        if (one == GCW_OK) {
            assert_true(view_eq(buf_view(&kept.block), buf_view(&fresh.block)));
            if (r->signal == GCW_METRICS)
                assert_true(view_eq(kept.metric_name, fresh.metric_name));
            equal++;
        }
        label_scratch_free(&fresh);
    }
    assert_true(equal > 5000);
    label_scratch_free(&kept);
}

/* Values as labels_again() wants them: in memory that ends LABEL_SLACK bytes behind each. */
enum { AGAIN_VALUES = 7 };
static const char *const again_texts[AGAIN_VALUES] = {
    "v",
    "up",
    "0digit",
    "",
    "seventeen letters",
    "a value of more than thirty-two letters, all of them plain",
    "far too long for the rules of this test, which allow sixty-four bytes in a value"};

static void again_values(char *values[AGAIN_VALUES])
{
    for (size_t i = 0; i < AGAIN_VALUES; i++) {
        size_t n = strlen(again_texts[i]);
        values[i] = malloc(n + LABEL_SLACK);
        assert_non_null(values[i]);
        memset(values[i], '?', n + LABEL_SLACK);
        memcpy(values[i], again_texts[i], n);
    }
}

/* The short way is taken whenever the names are those of the last call, and gives what the long way gives. */
static void test_label_sets_of_the_same_names_are_encoded_as_each_alone(void **state)
{
    (void)state;
    static const char *const names[] = {"zone", "__name__", "b", "job", "__reserved", "b", "a_name_of_17_char"};
    const gcw_label statics[] = {GCW_LABEL("job", "static"), GCW_LABEL("region", "r1")};
    struct label_rules rules[] = {rules_of(GCW_METRICS, LABELS_SANITISE), rules_of(GCW_LOGS, LABELS_SANITISE)};
    struct label_scratch kept = {0};
    uint64_t random = 7, taken = 0, refused = 0;
    size_t count = 0, first = 0;
    char *values[AGAIN_VALUES];
    again_values(values);
    rules[0].statics = statics;
    rules[0].static_count = 2;
    for (int round = 0; round < 20000; round++) {
        const struct label_rules *r = &rules[round / 64 % 2];
        gcw_label in[ARRAY_LEN(names)];
        bool same = count > 0 && (random >> 59) > 0 && round % 64 > 0;
        if (!same) {
            first = (random >> 40) % 8 < 6 ? 0 : (random >> 44) % 3; /* mostly names without a fault */
            count = first == 0 ? 2 + (random >> 50) % 3 : 1 + (random >> 50) % (ARRAY_LEN(names) - first);
        }
        for (size_t i = 0; i < count; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            size_t v = (random >> 33) % 32 < 30 ? (random >> 40) % 6 % 3 + 3 * ((random >> 50) % 2) : 6;
            bool is_name = strcmp(names[first + i], "__name__") == 0;
            v = (v == 3 || is_name) && (random >> 24) % 8 > 0 ? v % 2 : v; /* few without one, or not a metric's */
            in[i] = (gcw_label){names[first + i], strlen(names[first + i]), values[v], strlen(again_texts[v])};
        }
        struct label_scratch fresh = {0};
        bool changed;
        bool again = same && labels_again(r, in, count, &kept);
        if (!again)
            (void)labels_block(r, in, count, &kept, &changed, NULL);
        gcw_status status = labels_block(r, in, count, &fresh, &changed, NULL);
        if (again) {
            assert_int_equal(status, GCW_OK);
            assert_true(view_eq(buf_view(&kept.block), buf_view(&fresh.block)));
            assert_true(r->signal == GCW_LOGS || view_eq(kept.metric_name, fresh.metric_name));
            assert_false(changed);
        }
        taken += again;
        refused += same && !again;
        label_scratch_free(&fresh);
    }
    assert_true(taken > 3000 && refused > 1000);
    label_scratch_free(&kept);
    for (size_t i = 0; i < AGAIN_VALUES; i++)
        free(values[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels_are_sorted_and_empty_values_left_out),
        cmocka_unit_test(test_each_fault_is_mended_or_refused_by_policy),
        cmocka_unit_test(test_long_values_are_cut_at_a_character_and_stay_distinct),
        cmocka_unit_test(test_what_no_policy_takes),
        cmocka_unit_test(test_metadata_names_take_lokis_normal_form),
        cmocka_unit_test(test_equal_label_sets_share_a_handle_and_the_guard_names_the_culprit),
        cmocka_unit_test(test_fingerprints_remember_in_any_order),
        cmocka_unit_test(test_label_sets_in_a_row_are_encoded_as_each_alone),
        cmocka_unit_test(test_label_sets_of_the_same_names_are_encoded_as_each_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
