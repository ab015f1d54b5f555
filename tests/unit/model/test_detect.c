/* What is set as Loki's distributor would: service_name, detected_level, the form of structured metadata. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "model/model.h"

static const char *shown(struct view block)
{
    static char text[4096];
    struct view name, value;
    size_t n = 0;
    text[0] = 0;
    while (block_next(&block, &name, &value))
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s=%.*s", n ? "," : "", VIEW_ARG(name), VIEW_ARG(value));
    return text;
}

static void block_make(struct label_scratch *s, const gcw_label *labels, size_t n)
{
    const struct label_rules rules = {GCW_LOGS, LABELS_SANITISE, 1024, 2048, 15, NULL, 0};
    bool changed;
    assert_int_equal(labels_block(&rules, labels, n, s, &changed, NULL), GCW_OK);
}

/* ---- service_name ----------------------------------------------------------------------------------------------- */

static void test_service_name_comes_from_the_first_of_lokis_labels(void **state)
{
    (void)state;
    static const struct {
        const char *labels[8]; /* name, value, ... */
        const char *want;
    } rows[] = {
        {{"job", "j"}, "job=j,service_name=j"},
        {{"job", "j", "app", "a"}, "app=a,job=j,service_name=a"},
        {{"zone", "z", "container", "c", "job", "j"}, "container=c,job=j,service_name=c,zone=z"},
        {{"service", "s", "app", "a"}, "app=a,service=s,service_name=s"},
        {{"host", "h"}, "host=h,service_name=unknown_service"},
        {{"a", "1", "z", "2"}, "a=1,service_name=unknown_service,z=2"},
        {{"service_name", "mine", "app", "a"}, "app=a,service_name=mine"},
    };
    struct label_scratch s = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        gcw_label labels[4];
        size_t n = 0;
        for (; n < 4 && rows[i].labels[2 * n]; n++)
            labels[n] = (gcw_label)GCW_LABEL(rows[i].labels[2 * n], rows[i].labels[2 * n + 1]);
        block_make(&s, labels, n);
        assert_int_equal(labels_add_service(&s, NULL), GCW_OK);
        assert_string_equal(shown(buf_view(&s.block)), rows[i].want);
    }
    label_scratch_free(&s);
}

/* ---- detected_level --------------------------------------------------------------------------------------------- */

static void test_level_is_what_the_server_would_find(void **state)
{
    (void)state;
    static const struct {
        gcw_label label, metadata;
        const char *line, *want;
    } rows[] = {
#define NONE GCW_LABEL("x", "y")
        {GCW_LABEL("level", "WARNING"), NONE, "", "warn"},
        {GCW_LABEL("level", "notice"), NONE, "", "notice"}, /* what is no level stays as it is */
        {GCW_LABEL("Severity", "Err"), GCW_LABEL("level", "info"), "", "error"},
        {NONE, GCW_LABEL("SeverityText", "Information"), "", "info"},
        {NONE, GCW_LABEL("lvl", "CRITICAL"), "level=info", "critical"},
        {NONE, GCW_LABEL("severity_number", "0"), "", "unknown"},
        {NONE, GCW_LABEL("severity_number", "1"), "", "trace"},
        {NONE, GCW_LABEL("severity_number", "8"), "", "debug"},
        {NONE, GCW_LABEL("severity_number", "9"), "", "info"},
        {NONE, GCW_LABEL("severity_number", "16"), "", "warn"},
        {NONE, GCW_LABEL("severity_number", "17"), "", "error"},
        {NONE, GCW_LABEL("severity_number", "24"), "", "fatal"},
        {NONE, GCW_LABEL("severity_number", "25"), "", "unknown"},
        {NONE, GCW_LABEL("severity_number", "many"), "", "info"},
        {GCW_LABEL("level", "info"), GCW_LABEL("detected_level", "warn"), "", ""}, /* it has one */
        {NONE, NONE, "{\"level\":\"ERROR\",\"msg\":\"x\"}", "error"},
        {NONE, NONE, " {\"msg\":\"level\",\"a\":1,\"lvl\" : \"dbg\"} ", "debug"},
        {NONE, NONE, "{\"log\":{\"level\":\"warn\"},\"x\":{}}", "warn"},
        {NONE, NONE, "{\"a\":{\"b\":{\"level\":\"warn\"}}}", "warn"}, /* too deep for a key: a word */
        {NONE, NONE, "{\"a\":{\"b\":{\"level\":\"wrn\"}}}", "unknown"},
        {NONE, NONE, "{\"a\":[{\"level\":\"warn\"}],\"level\":\"fatal\"}", "fatal"}, /* arrays are passed over */
        {NONE, NONE, "{\"level\":3,\"severity\":\"trace\"}", "trace"},
        {NONE, NONE, "{\"level\":\"odd\"}", "unknown"},
        {NONE, NONE, "{\"level\":\"odd\",\"msg\":\"an ERR, no info\"}", "error"}, /* by its words */
        {NONE, NONE, "{\"level\":\"info", "info"},
        {NONE, NONE, "{\"x\":nul,\"lvl\":\"dbg\"}", "unknown"}, /* where the JSON breaks the search ends */
        {NONE, NONE, "{\"l\\u0076l\":\"dbg\"}", "debug"},
        {NONE, NONE, "{\"l\\vl\":1,\"lvl\":\"dbg\"}", "unknown"},
        {NONE, NONE, "{\"q\\\"level\":\"info\",\"log.level\":\"debug\"}", "debug"},
        {NONE, NONE, "ts=1 level=warn msg=\"a level=error b\"", "warn"},
        {NONE, NONE, "ts=1 severity=error LEVEL=inf", "info"}, /* level stands before severity in Loki's list */
        {NONE, NONE, "msg=\"x\" lvl=\"Fatal\"", "fatal"},
        {NONE, NONE, "a plain line: level info", "info"},
        {NONE, NONE, "an errand, errors, misc:error, error-free", "unknown"},
        {NONE, NONE, "[Warning] error", "warn"},
        {NONE, NONE, "x=1 \"y level=dbg", "unknown"}, /* logfmt ends at a quote in a key */
        {NONE, NONE, "level=\"d\\u0062g\"", "debug"},
        {NONE, NONE, "level=odd lvl=dbg", "unknown"},
        {NONE, NONE, "x=1 level", "unknown"},
        {NONE, NONE, "=", "unknown"},
        {NONE, NONE, "level=", "unknown"},
        {NONE, NONE, "", "unknown"},
    };
    struct label_scratch labels = {0}, metadata = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool changed;
        block_make(&labels, &rows[i].label, 1);
        assert_int_equal(metadata_block(LABELS_SANITISE, NULL, &rows[i].metadata, 1, &metadata, &changed, NULL),
                         GCW_OK);
        size_t n = strlen(rows[i].line);
        char *exact = malloc(n + 1); /* without the NUL a sanitizer sees what is read behind the end */
        assert_non_null(exact);
        memcpy(exact, rows[i].line, n);
        struct view got = level_detect(buf_view(&labels.block), buf_view(&metadata.block), view_make(exact, n));
        if (!view_is(got, rows[i].want))
            fail_msg("row %zu (%s): \"%.*s\", not \"%s\"", i, rows[i].line, VIEW_ARG(got), rows[i].want);
        free(exact);
    }
    label_scratch_free(&labels);
    label_scratch_free(&metadata);
}

static void test_any_line_may_be_looked_at_for_its_level(void **state)
{
    (void)state;
    static const char *const pieces[] = {"{", "}", "\"",   "level", "\\", ":", "[", "]", "=", " ", "\"level\":\"warn\"",
                                         ",", "a", "\\\"", "lvl=",  "\t"};
    unsigned seed = 11;
    for (int round = 0; round < 20000; round++) {
        char *text = malloc(400);
        size_t n = 0;
        assert_non_null(text);
        for (int k = rand_r(&seed) % 20; k > 0; k--) {
            const char *piece = pieces[(size_t)rand_r(&seed) % ARRAY_LEN(pieces)];
            memcpy(text + n, piece, strlen(piece));
            n += strlen(piece);
        }
        char *exact = realloc(text, n + 1);
        assert_non_null(exact);
        level_detect(view_of(""), view_of(""), view_make(exact + (n == 0), n));
        free(exact);
    }
}

/* ---- labels that would fail the whole push ---------------------------------------------------------------------- */

static void test_stream_labels_never_hold_the_replacement_character(void **state)
{
    (void)state;
    const gcw_label in[] = {GCW_LABEL("a", "x\xffy"), GCW_LABEL("b", "\xef\xbf\xbd\xef\xbf\xbdz\xc3\xa9\xef\xbf\xbd")};
    struct label_rules rules = {GCW_LOGS, LABELS_SANITISE, 1024, 2048, 15, NULL, 0};
    struct label_scratch s = {0};
    bool changed;
    gcw_error err;
    assert_int_equal(labels_block(&rules, in, 2, &s, &changed, &err), GCW_OK);
    assert_true(changed);
    assert_string_equal(shown(buf_view(&s.block)), "a=x?y,b=??z\xc3\xa9?");
    rules.policy = LABELS_REJECT;
    assert_int_equal(labels_block(&rules, in + 1, 1, &s, &changed, &err), GCW_ERR_INVALID);
    label_scratch_free(&s);
}

/* ---- metadata --------------------------------------------------------------------------------------------------- */

static void test_metadata_values_are_what_the_server_makes_of_them(void **state)
{
    (void)state;
    const gcw_label in[] = {GCW_LABEL("a", "x\xffy\xef\xbf\xbdz"), GCW_LABEL("b", "\xc3\xa9"),
                            GCW_LABEL("c", "\xe2\x82")};
    struct label_scratch s = {0};
    bool changed;
    gcw_error err;
    assert_int_equal(metadata_block(LABELS_SANITISE, NULL, in, ARRAY_LEN(in), &s, &changed, &err), GCW_OK);
    assert_string_equal(shown(buf_view(&s.block)), "a=x y z,b=\xc3\xa9,c= ");
    assert_true(changed);
    assert_int_equal(metadata_block(LABELS_REJECT, NULL, in, 1, &s, &changed, &err), GCW_ERR_INVALID);
    assert_int_equal(metadata_block(LABELS_REJECT, NULL, in + 1, 1, &s, &changed, &err), GCW_OK);
    assert_false(changed);
    label_scratch_free(&s);
}

static void test_metadata_names_with_a_fence_keep_it(void **state)
{
    (void)state;
    const gcw_label in[] = {GCW_LABEL("__x__", "1"), GCW_LABEL("__a.b__", "2"), GCW_LABEL("____", "3"),
                            GCW_LABEL("__y", "4"),   GCW_LABEL("___z__", "5"),  GCW_LABEL("__-q..__", "6")};
    struct label_scratch s = {0};
    bool changed;
    assert_int_equal(metadata_block(LABELS_SANITISE, NULL, in, ARRAY_LEN(in), &s, &changed, NULL), GCW_OK);
    assert_string_equal(shown(buf_view(&s.block)), "__x__=1,__a_b__=2,_y=4,___z__=5,___q___=6");
    assert_int_equal(metadata_block(LABELS_REJECT, NULL, in, 1, &s, &changed, NULL), GCW_OK);
    label_scratch_free(&s);
}

static void test_of_metadata_with_one_name_the_server_s_choice_stays(void **state)
{
    (void)state;
    static const struct {
        const char *pairs[8]; /* name, value, ... */
        const char *want;
    } rows[] = {
        {{"a", "1", "a", "2"}, "a=2"},
        {{"a.b", "1", "a_b", "2"}, "a_b=1"}, /* what was mended wins over what came so */
        {{"a_b", "1", "a.b", "2"}, "a_b=2"},
        {{"a-b", "1", "a.b", "2", "a_b", "3"}, "a_b=2"},
        {{"a.b", "1", "x", "y", "a_b", "2\xff"}, "x=y,a_b=2 "}, /* by its value, too */
    };
    struct label_scratch s = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        gcw_label pairs[4];
        size_t n = 0;
        bool changed;
        for (; n < 4 && rows[i].pairs[2 * n]; n++)
            pairs[n] = (gcw_label)GCW_LABEL(rows[i].pairs[2 * n], rows[i].pairs[2 * n + 1]);
        assert_int_equal(metadata_block(LABELS_SANITISE, NULL, pairs, n, &s, &changed, NULL), GCW_OK);
        assert_string_equal(shown(buf_view(&s.block)), rows[i].want);
        assert_true(changed);
    }
    label_scratch_free(&s);
}

static void test_metadata_of_ours_goes_first_and_fits_in_the_bounds(void **state)
{
    (void)state;
    static char big[64 * 1024];
    char names[200][8];
    gcw_label many[200];
    const gcw_label own = GCW_LABEL("original_timestamp", "5"), same = GCW_LABEL("original.timestamp", "6");
    struct label_scratch s = {0};
    bool changed;
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        snprintf(names[i], sizeof names[i], "n%zu", i);
        many[i] = (gcw_label){names[i], strlen(names[i]), "v", 1};
    }
    size_t pairs = 0;
    struct view name, value;
    assert_int_equal(metadata_block(LABELS_SANITISE, &own, many, ARRAY_LEN(many), &s, &changed, NULL), GCW_OK);
    assert_true(metadata_add(&s, "late", view_of("x"))); /* no room: left out */
    for (struct view b = buf_view(&s.block); block_next(&b, &name, &value); pairs++)
        assert_true(pairs > 0 || view_is(name, "original_timestamp"));
    assert_int_equal(pairs, 128);
    assert_int_equal(metadata_block(LABELS_SANITISE, &own, &same, 1, &s, &changed, NULL), GCW_OK);
    assert_string_equal(shown(buf_view(&s.block)), "original_timestamp=5");
    assert_true(metadata_add(&s, "detected_level", view_of("warn")));
    assert_true(metadata_add(&s, "detected_level", view_of("info")));
    assert_string_equal(shown(buf_view(&s.block)), "original_timestamp=5,detected_level=warn");
    memset(big, 'x', sizeof big);
    many[0].value = big, many[0].value_len = sizeof big - 30;
    assert_int_equal(metadata_block(LABELS_SANITISE, NULL, many, 30, &s, &changed, NULL), GCW_OK);
    uint64_t bytes = 0;
    for (struct view b = buf_view(&s.block); block_next(&b, &name, &value);)
        bytes += name.n + value.n;
    assert_true(bytes <= 64 * KIB);
    assert_true(changed);
    label_scratch_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_service_name_comes_from_the_first_of_lokis_labels),
        cmocka_unit_test(test_level_is_what_the_server_would_find),
        cmocka_unit_test(test_any_line_may_be_looked_at_for_its_level),
        cmocka_unit_test(test_stream_labels_never_hold_the_replacement_character),
        cmocka_unit_test(test_metadata_values_are_what_the_server_makes_of_them),
        cmocka_unit_test(test_metadata_names_with_a_fence_keep_it),
        cmocka_unit_test(test_of_metadata_with_one_name_the_server_s_choice_stays),
        cmocka_unit_test(test_metadata_of_ours_goes_first_and_fits_in_the_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
