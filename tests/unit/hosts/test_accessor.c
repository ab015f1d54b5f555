/* Record accessor patterns: what is one, what it finds, what a label is called after it. */
#include "hosts/fluent-bit/rules.h"
#include "pack.h"

static const char record[] =
    "{'log':'text','n':7,'f':1.5,'t':true,'z':null,'e':'','a-b':'dash','a/b':'slash',"
    "'kubernetes':{'pod_name':'web-1','labels':{'app.kubernetes.io/name':'web','its':1},'list':['x',"
    "{'y':'deep'},[1,2]]},'_u':'under','TAGS':'key'}";

/* The text of a pattern for the record above, under a tag. */
static void assert_text(const char *pattern, const char *tag, const char *want)
{
    struct accessor a;
    struct paths paths = {0};
    struct line line = {0};
    struct buf body = {0}, out = {0};
    gcw_error err = {0};
    if (accessor_parse(&a, view_of(pattern), &err) != GCW_OK)
        fail_msg("%s", err.text);
    assert_true(accessor_bind(&a, &paths));
    pack_json(&body, record);
    struct source from = {&paths, view_of(tag), &line, true};
    paths_begin(&paths);
    paths_capture(&paths, msgpack_over(body.p, body.n));
    assert_int_equal(accessor_put(&a, &from, &out), LINE_OK);
    if (!view_is(buf_view(&out), want))
        fail_msg("%s: \"%.*s\" instead of \"%s\"", pattern, (int)out.n, (char *)out.p, want);
    accessor_free(&a);
    paths_free(&paths);
    line_free(&line);
    buf_free(&body);
    buf_free(&out);
}

static void test_patterns_find_what_they_name(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *want;
    } rows[] = {{"$log", "text"},
                {"$n", "7"},
                {"$f", "1.5"},
                {"$t", "true"},
                {"$z", "null"},
                {"$e", ""},
                {"$none", ""},
                {"$a-b", "dash"},
                {"$a/b", "slash"},
                {"$_u", "under"},
                {"$kubernetes['pod_name']", "web-1"},
                {"$kubernetes['labels']['app.kubernetes.io/name']", "web"},
                {"$kubernetes['labels']['none']", ""},
                {"$kubernetes['list'][0]", "x"},
                {"$kubernetes['list'][1]['y']", "deep"},
                {"$kubernetes['list'][2][1]", "2"},
                {"$kubernetes['list'][3]", ""},
                {"$kubernetes['list']['x']", ""},
                {"$kubernetes[0]", ""},
                {"$log['x']", ""},
                {"$kubernetes['list'][2]", "[1,2]"},
                {"$kubernetes['labels']", "{\"app.kubernetes.io/name\":\"web\",\"its\":1}"},
                {"$log.x", "text.x"},
                {"$log and $n", "text and 7"},
                {"$log,$n", "text,7"},
                {"$none-", ""},
                {"plain", "plain"},
                {"a$", "a$"},
                {"$1$log", "text"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_text(rows[i].pattern, "a.b", rows[i].want);
}

static void test_tags_are_whole_or_in_parts(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *tag, *want;
    } rows[] = {{"$TAG", "kube.var.log", "kube.var.log"},
                {"$TAG[0]", "kube.var.log", "kube"},
                {"$TAG[2]", "kube.var.log", "log"},
                {"$TAG[3]", "kube.var.log", ""},
                {"$TAG[0]", "kube", "kube"},
                {"$TAG[1]", "kube", ""},
                {"$TAG[1]", "a..b", ""},
                {"$TAG[2]", "a..b", "b"},
                {"$TAG-$log", "x", "x-text"},
                {"$TAG[1].$TAG[0]", "a.b", "b.a"},
                {"$TAGS", "x", "xS"},
                {"$TAG", NULL, ""},
                {"$TAG[0]", NULL, ""},
                {"$TAG[0]", "", ""}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_text(rows[i].pattern, rows[i].tag, rows[i].want);
}

static void test_of_equal_keys_the_last_is_found(void **state)
{
    (void)state;
    struct paths paths = {0};
    struct buf body = {0};
    const struct path_step steps[] = {{.key = {"a", 1}}, {.key = {"b", 1}}};
    uint32_t slot, whole;
    struct msgpack_value v;
    assert_true(paths_want(&paths, steps, 2, &slot) && paths_want(&paths, steps, 1, &whole));
    pack_map(&body, 4);
    pack_str(&body, "a"), pack_json(&body, "{'b':1}");
    pack_str(&body, "a"), pack_map(&body, 2);
    pack_str(&body, "b"), pack_uint(&body, 2), pack_str(&body, "b"), pack_uint(&body, 3);
    pack_str(&body, "c"), pack_nil(&body);
    pack_str(&body, "b"), pack_uint(&body, 9);
    for (int again = 0; again < 2; again++) {
        paths_begin(&paths);
        paths_capture(&paths, msgpack_over(body.p, body.n));
        assert_true(msgpack_next(&paths.slots[slot], &v) && v.number == 3);
    }
    body.n = 0;
    pack_map(&body, 2);
    pack_str(&body, "a"), pack_json(&body, "{'b':1}");
    pack_str(&body, "a"), pack_json(&body, "{'c':1}");
    paths_begin(&paths);
    paths_capture(&paths, msgpack_over(body.p, body.n));
    assert_null(paths.slots[slot].p); /* the last "a" has no "b" */
    assert_non_null(paths.slots[whole].p);
    paths_begin(&paths);
    assert_null(paths.slots[whole].p);
    paths_free(&paths);
    buf_free(&body);
}

static void test_what_is_no_pattern_is_told(void **state)
{
    (void)state;
    static const char *const bad[] = {"$$log", "$[0]",    "$-a",      "$ a",           "$a[",    "$a[]",
                                      "$a[x]", "$a['x]",  "$a['x'",   "$a['x'x]",      "$a[-1]", "$a[1",
                                      "$TAG[", "$TAG[x]", "$TAG[-1]", "$a[1234567890]"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct accessor a;
        gcw_error err = {0};
        if (accessor_parse(&a, view_of(bad[i]), &err) != GCW_ERR_INVALID)
            fail_msg("%s is taken", bad[i]);
        assert_non_null(strstr(err.text, bad[i]));
    }
    char deep[200] = "$a";
    for (int i = 0; i < 16; i++)
        strcat(deep, "['b']");
    struct accessor a;
    assert_int_equal(accessor_parse(&a, view_of(deep), NULL), GCW_ERR_INVALID);
}

static void test_quotes_in_keys_are_doubled(void **state)
{
    (void)state;
    struct accessor a;
    assert_int_equal(accessor_parse(&a, view_of("$a['it''s']"), NULL), GCW_OK);
    assert_true(accessor_is_one_value(&a));
    assert_true(view_is(a.parts[0].steps[1].key, "it's"));
    accessor_free(&a);
}

static void test_labels_are_named_after_the_keys(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *want;
    } rows[] = {{"$log", "log"},
                {"$a-b", "a_b"},
                {"$kubernetes['pod_name']", "kubernetes_pod_name"},
                {"$kubernetes['labels']['app.kubernetes.io/name']", "kubernetes_labels_app_kubernetes_io_name"},
                {"$a['b'][0]", "a_b_0"},
                {"$a.b", "a__b"},
                {"$a['\xc3\xa9']", "a___"},
                {"$TAG", "tag"},
                {"$TAG[1]", "tag_1"},
                {"1x", "_1x"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct accessor a;
        struct buf name = {0};
        assert_int_equal(accessor_parse(&a, view_of(rows[i].pattern), NULL), GCW_OK);
        assert_true(accessor_name(&a, &name) && buf_cstr(&name));
        assert_string_equal((char *)name.p, rows[i].want);
        accessor_free(&a);
        buf_free(&name);
    }
}

static void test_lists_split_at_commas_outside_of_brackets(void **state)
{
    (void)state;
    static const struct {
        const char *list, *want;
    } rows[] = {{"a=b", "a=b|"},
                {" a=b , c = d,,", "a=b|c = d|"},
                {"", ""},
                {" , ,", ""},
                {"$a['x,y'],$b", "$a['x,y']|$b|"},
                {"$a['it''s,'],b=c", "$a['it''s,']|b=c|"},
                {"a=it's,b=c", "a=it's|b=c|"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct view list = view_of(rows[i].list), item;
        struct buf got = {0};
        while (list_next(&list, &item))
            assert_true(buf_printf(&got, "%.*s|", (int)item.n, item.p));
        assert_true(view_is(buf_view(&got), rows[i].want));
        buf_free(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns_find_what_they_name),
        cmocka_unit_test(test_tags_are_whole_or_in_parts),
        cmocka_unit_test(test_of_equal_keys_the_last_is_found),
        cmocka_unit_test(test_what_is_no_pattern_is_told),
        cmocka_unit_test(test_quotes_in_keys_are_doubled),
        cmocka_unit_test(test_labels_are_named_after_the_keys),
        cmocka_unit_test(test_lists_split_at_commas_outside_of_brackets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
