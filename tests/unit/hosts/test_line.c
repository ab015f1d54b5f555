/* Lines: what a record's body becomes. */
#include <locale.h>
#include <math.h>

#include "hosts/fluent-bit/accessor.h"
#include "hosts/fluent-bit/text.h"
#include "pack.h"

struct desk {
    struct line line;
    struct paths paths;
    struct line_rules rules;
    struct buf body;
};

static void desk_open(struct desk *d, enum line_format format, const char *remove)
{
    *d = (struct desk){.rules = {.format = format, .ascii = true, .paths = &d->paths}};
    for (struct view list = view_of(remove); list.n > 0;) {
        const char *comma = memchr(list.p, ';', list.n);
        struct view one = view_make(list.p, comma ? (size_t)(comma - list.p) : list.n);
        struct accessor a;
        assert_int_equal(accessor_parse(&a, one, NULL), GCW_OK);
        assert_true(accessor_remove(&a, &d->paths));
        accessor_free(&a);
        one.n += comma != NULL;
        list = view_make(list.p + one.n, list.n - one.n);
    }
}

static void desk_free(struct desk *d)
{
    line_free(&d->line);
    paths_free(&d->paths);
    buf_free(&d->body);
}

static void assert_body(struct desk *d, const char *want)
{
    uint8_t *exact = malloc(d->body.n ? d->body.n : 1); /* the end of the chunk is the end of memory */
    struct view text;
    assert_non_null(exact);
    memcpy(exact, d->body.p, d->body.n);
    struct msgpack m = msgpack_over(exact, d->body.n);
    assert_int_equal(line_write(&d->line, &d->rules, &m, &text), LINE_OK);
    assert_true(msgpack_at_end(&m));
    if (!view_is(text, want))
        fail_msg("%.*s\n  instead of\n%s", (int)text.n, text.p, want);
    free(exact);
    d->body.n = 0;
}

static void assert_line(enum line_format format, const char *remove, const char *body, const char *want)
{
    struct desk d;
    desk_open(&d, format, remove);
    pack_json(&d.body, body);
    assert_body(&d, want);
    desk_free(&d);
}

static void test_json_lines_keep_order_and_types(void **state)
{
    (void)state;
    assert_line(LINE_JSON, NULL, "{}", "{}");
    assert_line(LINE_JSON, NULL, "{'log':'x'}", "{\"log\":\"x\"}");
    assert_line(LINE_JSON, NULL, "{'b':1,'a':[],'c':{},'d':[1,[true,false],null,{'e':''}],'f':-5}",
                "{\"b\":1,\"a\":[],\"c\":{},\"d\":[1,[true,false],null,{\"e\":\"\"}],\"f\":-5}");
}

static void test_integers_are_exact(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, LINE_JSON, NULL);
    pack_array(&d.body, 7);
    pack_uint(&d.body, UINT64_MAX);
    pack_uint(&d.body, (UINT64_C(1) << 53) + 1);
    pack_int(&d.body, INT64_MIN);
    pack_number(&d.body, 0xd0, 0x80, 1);
    pack_number(&d.body, 0xd1, 0x8000, 2);
    pack_number(&d.body, 0xd2, 0x80000000, 4);
    pack_number(&d.body, 0xd3, 7, 8);
    assert_body(&d, "[18446744073709551615,9007199254740993,-9223372036854775808,-128,-32768,-2147483648,7]");
    desk_free(&d);
}

static void test_doubles_are_written_as_the_host_does_but_come_back_as_they_were(void **state)
{
    (void)state;
    static const struct {
        double d;
        const char *text;
    } rows[] = {{0, "0.0"},
                {-0.0, "-0.0"},
                {1, "1.0"},
                {-42, "-42.0"},
                {1e15, "1000000000000000.0"},
                {9e18, "9000000000000000000.0"},
                {-9007199254740992, "-9007199254740992.0"},
                {0.1, "0.1"},
                {9.3, "9.300000000000001"},         /* sixteen digits, as the host's */
                {0.1 + 0.2, "0.30000000000000004"}, /* sixteen would be another number */
                {1e300, "1e+300"},
                {5e-324, "4.940656458412465e-324"},
                {1e-7, "1e-07"},
                {-2.5, "-2.5"},
                {0.0 / 0.0, "\"NaN\""},
                {1.0 / 0.0, "\"Infinity\""},
                {-1.0 / 0.0, "\"-Infinity\""}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct desk d;
        desk_open(&d, LINE_JSON, NULL);
        pack_map(&d.body, 1);
        pack_str(&d.body, "d");
        pack_double(&d.body, rows[i].d);
        char want[100];
        snprintf(want, sizeof want, "{\"d\":%s}", rows[i].text);
        assert_body(&d, want);
        desk_free(&d);
        if (rows[i].d - rows[i].d == 0)
            assert_true(strtod(rows[i].text, NULL) == rows[i].d);
    }
}

/* Against printf and strtod: the same digits where sixteen are the number, else seventeen. */
static void assert_double(double d)
{
    char want[64];
    struct buf got = {0};
    if (d == floor(d) && fabs(d) < 9.2e18)
        snprintf(want, sizeof want, "%.1f", d);
    else {
        snprintf(want, sizeof want, "%.16g", d);
        if (strtod(want, NULL) != d)
            snprintf(want, sizeof want, "%.17g", d);
    }
    assert_true(text_double(&got, d));
    if (!view_is(buf_view(&got), want))
        fail_msg("%a: %.*s instead of %s", d, (int)got.n, (char *)got.p, want);
    buf_free(&got);
}

static void test_doubles_are_those_of_printf(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252;
    for (int i = 0; i < 40000; i++) {
        double d;
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        memcpy(&d, &x, sizeof d);
        if (d - d == 0)
            assert_double(d);
        assert_double((double)(x % 1000000000) / 1000);
        assert_double(-(double)(x % 10000000) / 1e9);
        assert_double((double)(int64_t)x / 1e12);
        assert_double((double)(x % 100000) / (double)(1 + x % 977));
    }
    for (int e = -30; e < 60; e++) /* powers of two have a neighbour that is nearer */
        for (int k = -3; k <= 3; k++) {
            double d = ldexp(1, e);
            for (int i = 0; i < abs(k); i++)
                d = nextafter(d, k < 0 ? 0 : 1e300);
            assert_double(d);
        }
    for (double ten = 1e-6; ten < 1e18; ten *= 10) {
        assert_double(ten);
        assert_double(nextafter(ten, 0));
        assert_double(nextafter(ten, 1e300));
    }
}

static void test_a_locale_with_commas_changes_no_number(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (setlocale(LC_NUMERIC, names[i])) {
            assert_line(LINE_JSON, NULL, "{'d':0.25}", "{\"d\":0.25}");
            setlocale(LC_NUMERIC, "C");
            return;
        }
    printf("SKIPPED: no locale with decimal commas on this machine\n");
    skip();
}

/* Text of any length, with the byte in question at any place, so that each step of the copying loop meets it. */
static void test_every_character_is_escaped_wherever_it_stands(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
        size_t in_n;
    } rows[] = {{"\"", "\\\"", 1},
                {"\\", "\\\\", 1},
                {"\n", "\\n", 1},
                {"\r", "\\r", 1},
                {"\t", "\\t", 1},
                {"\b", "\\b", 1},
                {"\f", "\\f", 1},
                {"\0", "\\u0000", 1},
                {"\x1f", "\\u001f", 1},
                {"\x7f", "\\u007f", 1},
                {"/", "/", 1},
                {"\xc3\xa9", "\\u00e9", 2},
                {"\xe2\x82\xac", "\\u20ac", 3},
                {"\xf0\x9f\x98\x80", "\\ud83d\\ude00", 4},
                {"\xff", "\\ufffd", 1},
                {"\xc3", "\\ufffd", 1},
                {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd", 3}};
    for (size_t r = 0; r < ARRAY_LEN(rows); r++)
        for (size_t before = 0; before < 40; before++)
            for (size_t after = 0; after < 20; after += 7) {
                char in[80], want[120];
                struct desk d;
                memset(in, 'x', sizeof in);
                memcpy(in + before, rows[r].in, rows[r].in_n);
                snprintf(want, sizeof want, "[\"%.*s%s%.*s\"]", (int)before, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                         rows[r].out, (int)after, "xxxxxxxxxxxxxxxxxxxx");
                desk_open(&d, LINE_JSON, NULL);
                pack_array(&d.body, 1);
                pack_str_n(&d.body, in, before + rows[r].in_n + after);
                assert_body(&d, want);
                desk_free(&d);
            }
}

static void test_long_texts_are_whole(void **state)
{
    (void)state;
    for (size_t n = 1000; n < 5000; n += 513) {
        struct desk d;
        struct buf text = {0}, want = {0};
        desk_open(&d, LINE_JSON, NULL);
        pack_bytes(&want, "[\"", 2);
        for (size_t i = 0; i < n; i++) {
            pack_bytes(&text, i % 3 ? "\xc3\xa9" : "\"", i % 3 ? 2 : 1);
            pack_bytes(&want, i % 3 ? "\\u00e9" : "\\\"", i % 3 ? 6 : 2);
        }
        pack_bytes(&want, "\"]", 3);
        pack_array(&d.body, 1);
        pack_str_n(&d.body, text.p, text.n);
        assert_body(&d, (char *)want.p);
        desk_free(&d);
        buf_free(&text);
        buf_free(&want);
    }
}

static void test_lines_may_keep_their_characters(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, LINE_JSON, NULL);
    d.rules.ascii = false;
    pack_array(&d.body, 1);
    pack_str(&d.body, "\xc3\xa9 \xf0\x9f\x98\x80 \xff\"");
    assert_body(&d, "[\"\xc3\xa9 \xf0\x9f\x98\x80 \xef\xbf\xbd\\\"\"]");
    desk_free(&d);
}

static void test_bytes_are_text_or_hexadecimal(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, LINE_JSON, NULL);
    pack_array(&d.body, 4);
    pack_bin(&d.body, "plain \"text\"", 12);
    pack_bin(&d.body, "\x01\xff\xfe\x80", 4);
    pack_bin(&d.body, "", 0);
    pack_ext(&d.body, 5, "\x0a\xff", 2);
    assert_body(&d, "[\"plain \\\"text\\\"\",\"01fffe80\",\"\",\"\\\\x0a\\\\xff\"]");
    char large[80];
    memset(large, 'a', sizeof large);
    large[70] = '\xff';
    pack_bin(&d.body, large, 71);
    assert_body(&d, "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\ufffd\"");
    desk_free(&d);
}

static void test_of_equal_keys_the_last_stays(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, LINE_JSON, NULL);
    static const struct {
        const char *keys, *want; /* a key is a letter, its value its number */
    } rows[] = {{"aa", "{\"a\":1}"},
                {"aba", "{\"b\":1,\"a\":2}"},
                {"abab", "{\"a\":2,\"b\":3}"},
                {"abca", "{\"b\":1,\"c\":2,\"a\":3}"},
                {"abbc", "{\"a\":0,\"b\":2,\"c\":3}"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = strlen(rows[i].keys);
        pack_map(&d.body, n);
        for (size_t k = 0; k < n; k++) {
            pack_str_n(&d.body, rows[i].keys + k, 1);
            pack_uint(&d.body, k);
        }
        assert_body(&d, rows[i].want);
    }
    /* inside, and with values that hold such maps themselves */
    pack_map(&d.body, 2);
    pack_str(&d.body, "k"), pack_map(&d.body, 2);
    pack_str(&d.body, "x"), pack_uint(&d.body, 1), pack_str(&d.body, "x"), pack_uint(&d.body, 2);
    pack_str(&d.body, "l"), pack_map(&d.body, 3);
    pack_str(&d.body, "x"), pack_uint(&d.body, 1), pack_str(&d.body, "y"), pack_nil(&d.body), pack_str(&d.body, "x"),
        pack_uint(&d.body, 3);
    assert_body(&d, "{\"k\":{\"x\":2},\"l\":{\"y\":null,\"x\":3}}");
    desk_free(&d);
}

static void test_many_keys_are_told_apart_quickly(void **state)
{
    (void)state;
    enum { KEYS = 60000 };
    struct desk d;
    struct buf want = {0};
    desk_open(&d, LINE_JSON, NULL);
    pack_map(&d.body, 2 * KEYS);
    for (unsigned twice = 0; twice < 2; twice++)
        for (unsigned i = 0; i < KEYS; i++) {
            char key[16];
            snprintf(key, sizeof key, "k%u", i);
            pack_str(&d.body, key);
            pack_uint(&d.body, twice);
        }
    for (unsigned i = 0; i < KEYS; i++)
        assert_true(buf_printf(&want, "%s\"k%u\":1", i ? "," : "{", i));
    assert_true(buf_puts(&want, "}") && buf_cstr(&want));
    assert_body(&d, (char *)want.p);
    buf_free(&want);
    desk_free(&d);
}

static void test_keys_that_are_no_strings_become_strings(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, LINE_JSON, NULL);
    pack_map(&d.body, 7);
    pack_uint(&d.body, 1), pack_uint(&d.body, 2);
    pack_uint(&d.body, 1), pack_uint(&d.body, 3);
    pack_nil(&d.body), pack_nil(&d.body);
    pack_double(&d.body, 0.5), pack_bool(&d.body, true);
    pack_bin(&d.body, "\xff", 1), pack_str(&d.body, "bin");
    pack_json(&d.body, "{'a':[1]}"), pack_str(&d.body, "map");
    pack_json(&d.body, "[[]]"), pack_str(&d.body, "array");
    assert_body(&d, "{\"1\":2,\"1\":3,\"null\":null,\"0.5\":true,\"ff\":\"bin\",\"{}\":\"map\",\"[]\":\"array\"}");
    desk_free(&d);
}

static void test_depth_costs_no_stack(void **state)
{
    (void)state;
    for (size_t depth = 255; depth < 300; depth++) {
        struct desk d;
        struct buf want = {0};
        desk_open(&d, LINE_JSON, NULL);
        for (size_t i = 0; i < depth; i++)
            pack_array(&d.body, 1);
        pack_uint(&d.body, 7);
        for (size_t i = 0; i < MIN(depth, (size_t)LINE_DEPTH_MAX); i++)
            pack_bytes(&want, "[", 1);
        assert_true(buf_puts(&want, depth > LINE_DEPTH_MAX ? "null" : "7"));
        for (size_t i = 0; i < MIN(depth, (size_t)LINE_DEPTH_MAX); i++)
            pack_bytes(&want, "]", 1);
        assert_true(buf_cstr(&want));
        assert_body(&d, (char *)want.p);
        buf_free(&want);
        desk_free(&d);
    }
    struct desk d;
    struct view text;
    desk_open(&d, LINE_JSON, NULL);
    for (size_t i = 0; i < 2000000; i++) /* nothing but arrays: no value at their end */
        pack_byte(&d.body, 0x91);
    struct msgpack m = msgpack_over(d.body.p, d.body.n);
    assert_int_equal(line_write(&d.line, &d.rules, &m, &text), LINE_DAMAGED);
    desk_free(&d);
}

static void test_every_cut_is_noticed(void **state)
{
    (void)state;
    for (int format = LINE_JSON; format <= LINE_KEY_VALUE; format++)
        for (int single = SINGLE_KEEP; single <= SINGLE_DROP_RAW; single++) {
            struct desk d;
            struct view text;
            desk_open(&d, (enum line_format)format, "$gone;$deep['gone'];$list[1]");
            d.rules.single = (enum line_single)single;
            pack_json(&d.body,
                      "{'log':'some text that is long enough','gone':{'a':1},'deep':{'gone':1,'stays':[1,2.5]},"
                      "'list':[1,[2],{'x':'y'}]}");
            for (size_t n = 0; n < d.body.n; n++) {
                uint8_t *exact = malloc(n ? n : 1);
                assert_non_null(exact);
                memcpy(exact, d.body.p, n);
                struct msgpack m = msgpack_over(exact, n);
                assert_int_equal(line_write(&d.line, &d.rules, &m, &text), LINE_DAMAGED);
                free(exact);
            }
            desk_free(&d);
        }
}

static void test_keys_leave_the_line(void **state)
{
    (void)state;
    assert_line(LINE_JSON, "$a", "{'a':1,'b':2}", "{\"b\":2}");
    assert_line(LINE_JSON, "$b", "{'a':1,'b':2}", "{\"a\":1}");
    assert_line(LINE_JSON, "$a;$b", "{'a':1,'b':2}", "{}");
    assert_line(LINE_JSON, "$c", "{'a':1,'b':2}", "{\"a\":1,\"b\":2}");
    assert_line(LINE_JSON, "$k['x'];$k['y']['z']", "{'k':{'x':1,'y':{'z':1,'w':2},'v':3}}",
                "{\"k\":{\"y\":{\"w\":2},\"v\":3}}");
    assert_line(LINE_JSON, "$k['x']", "{'k':{'x':{'x':1}},'x':{'x':2}}", "{\"k\":{},\"x\":{\"x\":2}}");
    assert_line(LINE_JSON, "$k[1]", "{'k':[1,2,3]}", "{\"k\":[1,3]}");
    assert_line(LINE_JSON, "$k[0]['a'];$k[1]", "{'k':[{'a':1,'b':2},{'a':3}]}", "{\"k\":[{\"b\":2}]}");
    assert_line(LINE_JSON, "$k['x']", "{'k':'no map'}", "{\"k\":\"no map\"}");
    assert_line(LINE_JSON, "$k;$k['x']", "{'k':{'x':1},'l':1}", "{\"l\":1}");
    assert_line(LINE_KEY_VALUE, "$a;$k['x']", "{'a':1,'b':2,'k':{'x':1,'y':2}}", "b=2 k=\"map[y:2]\"");
}

static void assert_single(enum line_format format, enum line_single single, const char *remove, const char *body,
                          const char *want)
{
    struct desk d;
    desk_open(&d, format, remove);
    d.rules.single = single;
    pack_json(&d.body, body);
    assert_body(&d, want);
    desk_free(&d);
}

static void test_a_single_key_is_dropped(void **state)
{
    (void)state;
    assert_single(LINE_JSON, SINGLE_DROP, NULL, "{'log':'a \\\"b'}", "\"a \\\"b\"");
    assert_single(LINE_JSON, SINGLE_DROP_RAW, NULL, "{'log':'a \\\"b'}", "a \"b");
    assert_single(LINE_JSON, SINGLE_DROP_RAW, NULL, "{'log':{'a':1}}", "{\"a\":1}");
    assert_single(LINE_JSON, SINGLE_DROP, NULL, "{'log':5}", "5");
    assert_single(LINE_JSON, SINGLE_DROP, "$x", "{'x':1,'log':'a'}", "\"a\"");
    assert_single(LINE_JSON, SINGLE_DROP_RAW, "$x;$y", "{'x':1,'log':'a','y':[]}", "a");
    assert_single(LINE_JSON, SINGLE_DROP, "$log['x']", "{'log':{'x':1,'y':2}}", "{\"y\":2}");
    assert_single(LINE_JSON, SINGLE_DROP, NULL, "{'log':'a','b':1}", "{\"log\":\"a\",\"b\":1}");
    assert_single(LINE_JSON, SINGLE_DROP, NULL, "{}", "{}");
    assert_single(LINE_JSON, SINGLE_DROP, "$a", "{'a':1}", "{}");
    assert_single(LINE_KEY_VALUE, SINGLE_DROP, NULL, "{'log':'a \\\"b'}", "a \"b");
    assert_single(LINE_KEY_VALUE, SINGLE_DROP, NULL, "{'log':[1,'x']}", "\"[1 \\\"x\\\"]\"");
    assert_single(LINE_KEY_VALUE, SINGLE_DROP, NULL, "{'a':1,'b':2}", "a=1 b=2");
}

static void test_pairs_are_logfmt(void **state)
{
    (void)state;
    assert_line(LINE_KEY_VALUE, NULL, "{}", "");
    assert_line(LINE_KEY_VALUE, NULL, "{'log':'x y','n':1,'t':true,'z':null,'f':0.5,'w':2.0,'e':''}",
                "log=\"x y\" n=1 t=true z=null f=0.5 w=2.0 e=\"\"");
    assert_line(LINE_KEY_VALUE, NULL, "{'a':[1,2,{'b':'c'}],'m':{'x':1,'y':[true]}}",
                "a=\"[1 2 \\\"map[b:\\\"c\\\"]\\\"]\" m=\"map[x:1 y:\\\"[true]\\\"]\"");
    assert_line(LINE_KEY_VALUE, NULL, "{'m':{},'a':[]}", "m=\"map[]\" a=\"[]\"");
    assert_line(LINE_KEY_VALUE, NULL, "{'q':'say \\\"hi\\\"\\n','u':'\xc3\xa9'}",
                "q=\"say \\\"hi\\\"\\n\" u=\"\xc3\xa9\"");
    assert_line(LINE_KEY_VALUE, NULL, "{'a key':1,'b=c':2,'d\\\"':3}", "a_key=1 b_c=2 d_=3");
}

static void test_bodies_that_are_no_maps_are_lines_too(void **state)
{
    (void)state;
    assert_line(LINE_JSON, NULL, "'just text'", "just text");
    assert_line(LINE_KEY_VALUE, "$a", "'just text'", "just text");
    assert_line(LINE_JSON, NULL, "[1,'a']", "[1,\"a\"]");
    assert_line(LINE_KEY_VALUE, NULL, "7", "7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_lines_keep_order_and_types),
        cmocka_unit_test(test_integers_are_exact),
        cmocka_unit_test(test_doubles_are_written_as_the_host_does_but_come_back_as_they_were),
        cmocka_unit_test(test_doubles_are_those_of_printf),
        cmocka_unit_test(test_a_locale_with_commas_changes_no_number),
        cmocka_unit_test(test_every_character_is_escaped_wherever_it_stands),
        cmocka_unit_test(test_long_texts_are_whole),
        cmocka_unit_test(test_lines_may_keep_their_characters),
        cmocka_unit_test(test_bytes_are_text_or_hexadecimal),
        cmocka_unit_test(test_of_equal_keys_the_last_stays),
        cmocka_unit_test(test_many_keys_are_told_apart_quickly),
        cmocka_unit_test(test_keys_that_are_no_strings_become_strings),
        cmocka_unit_test(test_depth_costs_no_stack),
        cmocka_unit_test(test_every_cut_is_noticed),
        cmocka_unit_test(test_keys_leave_the_line),
        cmocka_unit_test(test_a_single_key_is_dropped),
        cmocka_unit_test(test_pairs_are_logfmt),
        cmocka_unit_test(test_bodies_that_are_no_maps_are_lines_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
