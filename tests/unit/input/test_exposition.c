/* The exposition parser against Prometheus' model/textparse: what its tests accept and refuse, with the reasons given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "transcript.h"

#define TEXT     EXPOSITION_TEXT
#define OM       EXPOSITION_OPENMETRICS
#define PROTOBUF EXPOSITION_PROTOBUF

struct row {
    const char *input, *output;
};

static size_t piece_fixed(void *size) { return *(size_t *)size; }

/* A NUL can't stand in a row: "\x01" stands for it. */
static struct view input_of(const char *text, char *copy, size_t cap)
{
    size_t n = strlen(text);
    assert_true(n < cap);
    for (size_t i = 0; i < n; i++)
        copy[i] = text[i] == 1 ? 0 : text[i];
    return view_make(copy, n);
}

static void row_check(enum exposition_format format, const char *input, const char *output)
{
    char copy[4096], wanted[8192];
    struct view in = input_of(input, copy, sizeof copy), want = input_of(output, wanted, sizeof wanted);
    for (size_t piece = 0; piece <= 3; piece++) {
        struct buf got = transcript_of(format, in, piece ? piece_fixed : NULL, &piece);
        if (!view_eq(buf_view(&got), want))
            print_error("input:\n%s\nin pieces of %zu gave:\n%s\n", input, piece, (char *)got.p);
        assert_int_equal(got.n, want.n);
        assert_memory_equal(got.p, wanted, want.n);
        buf_free(&got);
    }
}

static void rows_check(enum exposition_format format, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        row_check(format, rows[i].input, rows[i].output);
}

/* ---- Prometheus text 0.0.4 --------------------------------------------------------------------------------------- */

static const struct row text_good[] = {
    {"", ""},
    {"\n \n\t\n\r\n", ""},
    {"a 1", "S a 1\n"},
    {"a 1\n", "S a 1\n"},
    {"a 1\r\n", "S a 1\n"},
    {"a\t1", "S a 1\n"},
    {"  a  1  ", "S a 1\n"},
    {"a 1 123", "S a 1 @123\n"},
    {"a 33  \t123123\t", "S a 33 @123123\n"},
    {"a 1 -5\r\n", "S a 1 @-5\n"},
    {"a 1 9223372036854775807", "S a 1 @9223372036854775807\n"},
    {"a 1 -9223372036854775808", "S a 1 @-9223372036854775808\n"},
    {"a{} 1", "S a 1\n"},
    {"a { } 1", "S a 1\n"},
    {"_a:b9 1", "S _a:b9 1\n"},
    {":a 1", "S :a 1\n"},
    {"some:aggregate:rate5m{a_b=\"c\"}\t1", "S some:aggregate:rate5m{a_b=\"c\"} 1\n"},
    {"a{q=\"0\"}1", "S a{q=\"0\"} 1\n"}, /* no blank needed behind the brace */
    {"a{q=\"0.25\",} 1", "S a{q=\"0.25\"} 1\n"},
    {"a{q=\"0.5\",a=\"b\"} 1", "S a{q=\"0.5\",a=\"b\"} 1\n"},
    {"a { q = \"1.0\" , a\t= \"b\" , } 1", "S a{q=\"1.0\",a=\"b\"} 1\n"},
    {"a{q=\"2.0\" a=\"b\"} 1", "S a{q=\"2.0\",a=\"b\"} 1\n"}, /* nor a comma, as Prometheus has it */
    {"a{b=\"\"} 1", "S a{b=\"\"} 1\n"},
    {"a{b=\"c\",b=\"d\"} 1", "S a{b=\"c\",b=\"d\"} 1\n"}, /* the model decides about duplicates */
    {"a{b=\"x\\\\y\\\"z\\n\\q\"} 1", "S a{b=\"x\\\\y\\\"z\\n\\\\q\"} 1\n"},
    {"a{b=\"\\\\\"} 1", "S a{b=\"\\\\\"} 1\n"},
    {"a{b=\"\\\\\",c=\"\\\\\\\\\",d=\"e\"} 1", "S a{b=\"\\\\\",c=\"\\\\\\\\\",d=\"e\"} 1\n"},
    {"a{b=\",}{#= \"} 1", "S a{b=\",}{#= \"} 1\n"},
    {"a{b=\"gr\xc3\xbc\xc3\x9f\xe2\x82\xac\xf0\x9f\x98\x80\"} 1",
     "S a{b=\"gr\xc3\xbc\xc3\x9f\xe2\x82\xac\xf0\x9f\x98\x80\"} 1\n"},
    {"a{b=\"x\x01y\"} 1", "S a{b=\"x\x01y\"} 1\n"},
    {"a{_b=\"c\",__name=\"d\"} 1", "S a{_b=\"c\",__name=\"d\"} 1\n"},
    {"a-1", "S a -1\n"}, /* as Prometheus reads it: the name ends where its letters end */
    /* names in quotes */
    {"{\"go.gc\",quantile=\"0\"} 1", "S go.gc{quantile=\"0\"} 1\n"},
    {"{ \"go.gc\", quantile= \"1.0\", a= \"b\", } 1", "S go.gc{quantile=\"1.0\",a=\"b\"} 1\n"},
    {"{\"go.gc\"} 99 5", "S go.gc 99 @5\n"},
    {"{\"go.gc\",} 99", "S go.gc 99\n"},
    {"{a=\"b\",\"go.gc\"} 99", "S go.gc{a=\"b\"} 99\n"},
    {"m{\"a.b\"=\"c\",\"d \\\"e\" = \"f\"} 1", "S m{a.b=\"c\",d \\\"e=\"f\"} 1\n"},
    {"{\"Heiz\xc3\xb6l 10\xe2\x82\xac \\\"x\\\" {ch\\nc}\",\"s\\n'q' \\\"n\\\"\"=\"6\"} 10.0",
     "S Heiz\xc3\xb6l 10\xe2\x82\xac \\\"x\\\" {ch\\nc}{s\\n'q' \\\"n\\\"=\"6\"} 10\n"},
    /* comments */
    {"#\n#x\n# \n# x\n# HELP\n# TYPE\n#HELP a b\n# HELPa b\n# EOF\n# UNIT a b\n  # y\n# \xff\x01\n", ""},
    {"a 1\n# EOF\nb 2\n", "S a 1\nS b 2\n"},
    /* metadata */
    {"# HELP a b c", "F a unknown help=b c\n"},
    {" \t# \t HELP \t a b  c \r\n", "F a unknown help=b  c \n"},
    {"# HELP a\n", "F a unknown help=\n"},
    {"# HELP a \t \n", "F a unknown help=\n"},
    {"# HELP a  b\n", "F a unknown help= b\n"},
    {"# HELP a x\\\\y\\nz\\\"q\\t\\\n", "F a unknown help=x\\\\y\\nz\\\\\\\"q\\\\t\\\\\n"},
    {"# HELP a foo\x01"
     "bar\n",
     "F a unknown help=foo\xef\xbf\xbd"
     "bar\n"},
    {"# HELP \"go.gc\" x\n# \tTYPE \"go.gc\" summary\n{\"go.gc\"} 1", "F go.gc summary help=x\nS go.gc 1\n"},
    {"# TYPE a counter\na 1\n", "F a counter\nS a 1\n"},
    {"# TYPE a \t gauge \t\r\na 1\n", "F a gauge\nS a 1\n"},
    {"# TYPE a untyped\n# TYPE b histogram\n# TYPE c summary\n", "F a unknown\nF b histogram\nF c summary\n"},
    {"# TYPE a counter\n# HELP a h\n# c\n\na 1\na{x=\"y\"} 2\n", "F a counter help=h\nS a 1\nS a{x=\"y\"} 2\n"},
    {"# HELP a h\nb 1\n# TYPE a gauge\na 2\n", "F a unknown help=h\nS b 1\nF a gauge help=h\nS a 2\n"},
    {"# TYPE a gauge\na 2\n# HELP a h\na 3\n", "F a gauge\nS a 2\nF a gauge help=h\nS a 3\n"},
    {"# TYPE a gauge\na 1\n# TYPE b gauge\nb 2\n# TYPE a gauge\na 3\n",
     "F a gauge\nS a 1\nF b gauge\nS b 2\nF a gauge\nS a 3\n"}, /* once per occurrence */
    {"# TYPE a_total counter\na_total 1\n# TYPE a gauge\na 1\n", "F a_total counter\nS a_total 1\nF a gauge\nS a 1\n"},
};

static void test_text_is_read_as_prometheus_reads_it(void **state)
{
    (void)state;
    rows_check(TEXT, text_good, ARRAY_LEN(text_good));
}

/* Input of one bad line, and the reason. */
static const struct row text_bad[] = {
    {"a", "column 2: expected value, found the end of the line"},
    {"a{b=\"c\"}", "column 9: expected value, found the end of the line"},
    {"a 1 2 3", "column 7: expected the end of the line, found '3'"},
    {"a 1 2.5", "column 5: time \"2.5\" is not an integer of milliseconds"},
    {"a 1 +2", "column 5: time \"+2\" is not an integer of milliseconds"},
    {"a 1 9223372036854775808", "column 5: time \"9223372036854775808\" is not an integer of milliseconds"},
    {"a 0 1_2", "column 5: time \"1_2\" is not an integer of milliseconds"},
    {"a 1 \xef\xbf\xbd", "column 5: time \"\xef\xbf\xbd\" is not an integer of milliseconds"},
    {"a 1 # {b=\"c\"} 1", "column 5: time \"#\" is not an integer of milliseconds"},
    {"a{b='c'} 1", "column 5: expected '\"' before the label value, found '''"},
    {"a{b=", "column 5: expected '\"' before the label value, found the end of the line"},
    {"a{b=c} 1", "column 5: expected '\"' before the label value, found 'c'"},
    {"a{b} 1", "column 4: expected '=' after the label name, found '}'"},
    {"a{b:c=\"d\"} 1", "column 4: expected '=' after the label name, found ':'"},
    {"a{\xff=\"foo\"} 1", "column 3: expected a label name or '}', found byte 0xff"},
    {"a{b=\"\xff\"} 1", "column 5: the label value is not valid UTF-8"},
    {"a{b=\"\\\xff\"} 1", "column 5: the label value is not valid UTF-8"},
    {"a{b=\"\xed\xa0\x80\"} 1", "column 5: the label value is not valid UTF-8"},
    {"a{\"\xff\"=\"\"} 1", "column 3: the quoted name is not valid UTF-8"},
    {"{\"a\", \"b = \"c\"}", "column 13: expected '=' after the label name, found 'c'"},
    {"{\"a\",b\\nc=\"d\"} 1", "column 7: expected '=' after the label name, found '\\\\'"},
    {"{\"a\",\"b\"} 1", "column 6: a second metric name"},
    {"a{\"b\"} 1", "column 3: a second metric name"},
    {"{\"\"} 1", "column 2: empty metric name"},
    {"{\"a\",\"\"=\"b\"} 1", "column 6: empty label name"},
    {"{a=\"ok\"} 1", "column 1: no metric name"},
    {"{} 1", "column 1: no metric name"},
    {"{__name__=\"a\"} 1", "column 2: __name__ among the labels: the name stands before the braces"},
    {"a{__name__=\"a\"} 1", "column 3: __name__ among the labels: the name stands before the braces"},
    {"a{b=\"c\",\"__name__\"=\"a\"} 1", "column 10: __name__ among the labels: the name stands before the braces"},
    {"{A}0", "column 3: expected '=' after the label name, found '}'"},
    {"a{=\"\"} 0", "column 3: expected a label name or '}', found '='"},
    {"a{,} 0", "column 3: expected a label name or '}', found ','"},
    {"a{b=\"c\",,} 0", "column 9: expected a label name or '}', found ','"},
    {"a{1b=\"c\"} 0", "column 3: expected a label name or '}', found '1'"},
    {"a{b=\"c\"", "column 8: expected a label name or '}', found the end of the line"},
    {"a{", "column 3: expected a label name or '}', found the end of the line"},
    {"a{b=\"", "column 5: no closing quote of the label value"},
    {"a{b=\"c} 1", "column 5: no closing quote of the label value"},
    {"a{b=\"c\\", "column 5: no closing quote of the label value"},
    {"a{b=\"c\\\"", "column 5: no closing quote of the label value"},
    {"a{b=\x01\"s\"} 1", "column 5: expected '\"' before the label value, found byte 0x00"},
    {"a{b\x01=\"s\"} 1", "column 4: expected '=' after the label name, found byte 0x00"},
    {"a\x01{b=\"d\"} 1", "column 2: value \"\" is not a number"},
    {"a 0 1\x01", "column 5: time \"1\" is not an integer of milliseconds"},
    {"a true", "column 3: value \"true\" is not a number"},
    {"a 1{", "column 3: value \"1{\" is not a number"},
    {"9a 1", "column 1: expected a metric name, found '9'"},
    {"\xef\xbb\xbf"
     "a 1",
     "column 1: expected a metric name, found byte 0xef"},
    {"=", "column 1: expected a metric name, found '='"},
    {"a.b 1", "column 2: value \".b\" is not a number"},
    {"# TYPE a", "column 9: expected a blank after the metric name, found the end of the line"},
    {"# TYPE a ", "column 10: unknown type \"\""},
    {"# TYPE a info", "column 10: unknown type \"info\""},
    {"# TYPE a Counter", "column 10: unknown type \"Counter\""},
    {"# TYPE a counter x", "column 10: unknown type \"counter x\""},
    {"# TYPE #", "column 8: expected a metric name, found '#'"},
    {"# HELP #", "column 8: expected a metric name, found '#'"},
    {"# HELP ", "column 8: expected a metric name, found the end of the line"},
    {"# HELP a-b c", "column 9: expected a blank after the metric name, found '-'"},
    {"# HELP a \xff", "column 10: the help text is not valid UTF-8"},
    {"# HELP \"a b c", "column 8: no closing quote of the quoted name"},
    {"# HELP \"\" c", "column 8: expected a metric name, found '\\\"'"},
    {"# HELP \"a\x01\" c", "column 8: a NUL in the metric name"},
};

static void bad_rows_check(enum exposition_format format, const char *before, const char *after, const struct row *rows,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char input[1024], output[2048], raw[1024];
        struct buf quoted = {0};
        transcript_text(&quoted, view_of(rows[i].input));
        assert_true(buf_cstr(&quoted));
        snprintf(input, sizeof input, "%s%s\n%s", before, rows[i].input, after);
        snprintf(raw, sizeof raw, "%s", rows[i].output);
        struct buf why = {0}; /* the rows write quotes as the transcript's text does */
        for (const char *p = raw; *p; p++)
            if (!(p[0] == '\\' && (p[1] == '"' || p[1] == '\\')))
                assert_true(buf_append(&why, p, 1));
            else
                assert_true(buf_append(&why, ++p, 1));
        assert_true(buf_cstr(&why));
        snprintf(output, sizeof output, "S good 1\nM 2 %s | %s\nS good 2\n", (char *)why.p, (char *)quoted.p);
        row_check(format, input, output);
        buf_free(&why);
        buf_free(&quoted);
    }
}

static void test_text_bad_lines_are_named_and_skipped(void **state)
{
    (void)state;
    bad_rows_check(TEXT, "good 1\n", "good 2\n", text_bad, ARRAY_LEN(text_bad));
}

/* ---- OpenMetrics 1.0 --------------------------------------------------------------------------------------------- */

#define MISSING_EOF "the input ends without # EOF: it may be cut off | \n"

static const struct row om_good[] = {
    {"# EOF", ""},
    {"# EOF\n", ""},
    {"a 1\n# EOF\n", "S a 1\n"},
    {"a{} 1\n# EOF\n", "S a 1\n"},
    {"a{b=\"c\",} 1\n# EOF\n", "S a{b=\"c\"} 1\n"},
    {"a{b=\"c\",d=\"\\\"e\\\\\\n\"} 1\n# EOF\n", "S a{b=\"c\",d=\"\\\"e\\\\\\n\"} 1\n"},
    {"{\"a.b\",\"c.d\"=\"e\"} 1\n# EOF\n", "S a.b{c.d=\"e\"} 1\n"},
    {"a 1 123.123\n# EOF\n", "S a 1 @123123\n"},
    {"a 1 # {id=\"x\"} 4\n# EOF\n", "S a 1 # {id=\"x\"} 4\n"},
    {"a{b=\"c\"} 1 1520879607.789 # {id=\"x\",\"y.z\"=\"\\\"\"} 5 123.321\n# EOF\n",
     "S a{b=\"c\"} 1 @1520879607789 # {id=\"x\",y.z=\"\\\"\"} 5 @123321\n"},
    {"a 1 # {} 4\n# EOF\n", "S a 1 #  4\n"},
    {"a 1 # {__name__=\"x\"} 4\n# EOF\n", "S a 1 # {__name__=\"x\"} 4\n"},
    {"a nan\nb{q=\"0.9\"} NaN\n# EOF\n", "S a nan:7ff8000000000001\nS b{q=\"0.9\"} nan:7ff8000000000001\n"},
    {"a{b=\"abc\x01\"} 1\n# EOF\n", "S a{b=\"abc\x01\"} 1\n"},
    {"# HELP a_seconds s \\n \\\\ \\\" \\x c\n# TYPE a_seconds summary\n# UNIT a_seconds seconds\na_seconds_sum 1\n# "
     "EOF\n",
     "F a_seconds summary unit=seconds help=s \\n \\\\ \\\" \\\\x c\nS a_seconds_sum 1\n"},
    {"# UNIT a \n# EOF\n", "F a unknown\n"},
    {"# HELP a \n# EOF\n", "F a unknown help=\n"},
    {"# TYPE a gaugehistogram\n# TYPE b info\n# TYPE c stateset\n# TYPE d unknown\n# EOF\n",
     "F a gaugehistogram\nF b info\nF c stateset\nF d unknown\n"},
    {"# TYPE \"a.b\" counter\n{\"a.b_total\"} 1\n# EOF\n", "F a.b counter\nS a.b_total 1\n"},
    {"# HELP a foo\x01"
     "bar\n# EOF\n",
     "F a unknown help=foo\xef\xbf\xbd"
     "bar\n"},
    /* the end */
    {"", "M 1 " MISSING_EOF},
    {"a 1", "S a 1\nM 1 " MISSING_EOF},
    {"a 1\nb 2\n", "S a 1\nS b 2\nM 2 " MISSING_EOF},
    {"# TYPE a gauge\n", "F a gauge\nM 1 " MISSING_EOF},
    {"# EOF\na 1\n\n# EOF\n", "M 2 data after # EOF | a 1\nM 3 data after # EOF | \nM 4 data after # EOF | # EOF\n"},
};

static void test_openmetrics_is_read_as_prometheus_reads_it(void **state)
{
    (void)state;
    rows_check(OM, om_good, ARRAY_LEN(om_good));
}

#define NO_COMMENT "column 1: expected \"# HELP \", \"# TYPE \", \"# UNIT \" or \"# EOF\""

static const struct row om_bad[] = {
    {"", "a blank line, which OpenMetrics does not allow"},
    {" a 1", "column 1: expected a metric name, found a blank"},
    {"a", "column 2: expected a blank, found the end of the line"},
    {"a\t1", "column 2: expected a blank, found byte 0x09"},
    {"a  1", "column 3: expected value, found a blank"},
    {"a 1\t2", "column 3: value \"1 2\" is not a number"},
    {"a 1\r", "column 3: value \"1 \" is not a number"},
    {"a 1 2 ", "column 6: expected the end of the line, found a blank"},
    {"a 1 ", "column 5: time \"\" is not a number of seconds"},
    {"a 1 2 #", "column 6: expected the end of the line, found a blank"},
    {"a 1 2 3", "column 6: expected the end of the line, found a blank"},
    {"a 1 1z", "column 5: time \"1z\" is not a number of seconds"},
    {"a 1 NaN", "column 5: time \"NaN\" is not a number of seconds"},
    {"a 1 -Inf", "column 5: time \"-Inf\" is not a number of seconds"},
    {"a 1 1e300", "column 5: time \"1e300\" is out of range"},
    {"a 1 9223372036854775.808", "column 5: time \"9223372036854775.808\" is out of range"},
    {"a{b=\"c\"}1", "column 9: expected a blank, found '1'"},
    {"a {b=\"c\"} 1", "column 3: value \"{b=\"c\"}\" is not a number"},
    {"a{ b=\"c\"} 1", "column 3: expected a label name or '}', found a blank"},
    {"a{b=\"c\", d=\"e\"} 1", "column 9: expected a label name or '}', found a blank"},
    {"a{b=\"c\"d=\"e\"} 1", "column 8: expected ',' or '}' after the label value, found 'd'"},
    {"a{b=\"c\",,d=\"e\"} 1", "column 9: expected a label name or '}', found ','"},
    {"a{,b=\"c\"} 1", "column 3: expected a label name or '}', found ','"},
    {"a{b=\"c\"", "column 8: expected ',' or '}' after the label value, found the end of the line"},
    {"a{b=\"\xff\"} 1", "column 5: the label value is not valid UTF-8"},
    {"{b=\"c\",} 1", "column 1: no metric name"},
    {"a 1 # {aa=bb}", "column 11: expected '\"' before the label value, found 'b'"},
    {"a 1 # {aa=\"bb\"}", "column 16: expected a blank, found the end of the line"},
    {"a 1 # {aa=\"bb\"} ", "column 17: expected exemplar value, found the end of the line"},
    {"a 1 # {bb}", "column 10: expected '=' after the label name, found '}'"},
    {"a 1 # {\"bb\"} 1", "column 12: expected '=' after the label name, found '}'"},
    {"a 1 # {aa=\"bb\",,cc=\"dd\"} 1", "column 16: expected a label name or '}', found ','"},
    {"a 1 # {aa=\"bb\"} 1_2", "column 17: exemplar value \"1_2\" is not a number"},
    {"a 1 # {aa=\"bb\"} true", "column 17: exemplar value \"true\" is not a number"},
    {"a 1 # {aa=\"bb\"} 4 NaN", "column 19: time \"NaN\" is not a number of seconds"},
    {"a 1 # {aa=\"bb\"} 4 5 6", "column 20: expected the end of the line, found a blank"},
    {"a 1 # {aa=\"\xff\"} 4", "column 11: the label value is not valid UTF-8"},
    {"#", NO_COMMENT},
    {"# H", NO_COMMENT},
    {"# comment", NO_COMMENT},
    {"#\tTYPE c counter", NO_COMMENT},
    {"#  TYPE c counter", NO_COMMENT},
    {"# TYPE", NO_COMMENT},
    {"# EOF ", NO_COMMENT},
    {"#EOF", NO_COMMENT},
    {" # EOF", "column 1: expected a metric name, found a blank"},
    {"# TYPE ", "column 8: expected a metric name, found the end of the line"},
    {"# TYPE m", "column 9: expected a blank after the metric name, found the end of the line"},
    {"# HELP m", "column 9: expected a blank after the metric name, found the end of the line"},
    {"# UNIT m", "column 9: expected a blank after the metric name, found the end of the line"},
    {"# TYPE u untyped", "column 10: unknown type \"untyped\""},
    {"# TYPE c counter ", "column 10: unknown type \"counter \""},
    {"# TYPE c  counter", "column 10: unknown type \" counter\""},
    {"# UNIT metric suffix", "column 15: the name metric does not end in its unit _suffix"},
    {"# UNIT metricsuffix suffix", "column 21: the name metricsuffix does not end in its unit _suffix"},
    {"# UNIT suffix suffix", "column 15: the name suffix does not end in its unit _suffix"},
};

static void test_openmetrics_bad_lines_are_named_and_skipped(void **state)
{
    (void)state;
    bad_rows_check(OM, "good 1\n", "good 2\n# EOF\n", om_bad, ARRAY_LEN(om_bad));
}

static void test_metadata_out_of_place_is_malformed(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"# TYPE a gauge\n# TYPE a counter\na 1\n",
         "M 2 column 8: a second TYPE line of a | # TYPE a counter\nF a gauge\nS a 1\n"},
        {"# TYPE a gauge\na 1\n# TYPE a gauge\n",
         "F a gauge\nS a 1\nM 3 column 8: a second TYPE line of a | # TYPE a gauge\n"},
        {"# HELP a h\n# HELP a i\n", "M 2 column 8: a second HELP line of a | # HELP a i\nF a unknown help=h\n"},
        {"a 1\n# TYPE a gauge\n", "S a 1\nM 2 column 8: TYPE line after samples of a | # TYPE a gauge\n"},
        {"# HELP a h\na_sum 1\n# TYPE a gauge\na 2\n",
         "F a unknown help=h\nS a_sum 1\nM 3 column 8: TYPE line after samples of a | # TYPE a gauge\nS a 2\n"},
        {"{\"a\"} 1\n# TYPE \"a\" gauge\n",
         "S a 1\nM 2 column 8: TYPE line after samples of a | # TYPE \\\"a\\\" gauge\n"},
    };
    rows_check(TEXT, rows, ARRAY_LEN(rows));
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *text;
    uint64_t bits;
} values[] = {
    {"0", 0},
    {"-0", UINT64_C(0x8000000000000000)},
    {"+0.0", 0},
    {"-0e400", UINT64_C(0x8000000000000000)},
    {"1", UINT64_C(0x3ff0000000000000)},
    {"+1", UINT64_C(0x3ff0000000000000)},
    {".5", UINT64_C(0x3fe0000000000000)},
    {"5.", UINT64_C(0x4014000000000000)},
    {"1e0", UINT64_C(0x3ff0000000000000)},
    {"1E+2", UINT64_C(0x4059000000000000)},
    {"1e308", UINT64_C(0x7fe1ccf385ebc8a0)},
    {"1.7976931348623157e308", UINT64_C(0x7fefffffffffffff)},
    {"1.7976931348623158e308", UINT64_C(0x7fefffffffffffff)},
    {"4.9e-324", 1},
    {"2.4703282292062327e-324", 0},
    {"2.4703282292062328e-324", 1},
    {"1e-400", 0},
    {"2.2250738585072011e-308", UINT64_C(0x000fffffffffffff)},
    {"9007199254740993", UINT64_C(0x4340000000000000)},                        /* 2^53 + 1: to even */
    {"9007199254740993.0000000000000000000001", UINT64_C(0x4340000000000001)}, /* and past the half */
    {"9007199254740995", UINT64_C(0x4340000000000002)},
    {"18446744073709551615", UINT64_C(0x43f0000000000000)},
    {"0.1", UINT64_C(0x3fb999999999999a)},
    {"0.30000000000000004", UINT64_C(0x3fd3333333333334)},
    {"12345.678901234567", UINT64_C(0x40c81cd6e63c53d7)},
    {"7.424100000000001e-05", UINT64_C(0x3f13763aab07e73c)},
    {"100000000000000000000000", UINT64_C(0x44b52d02c7e14af6)},
    {"1e23", UINT64_C(0x44b52d02c7e14af6)},
    {"Inf", UINT64_C(0x7ff0000000000000)},
    {"+Inf", UINT64_C(0x7ff0000000000000)},
    {"-inf", UINT64_C(0xfff0000000000000)},
    {"Infinity", UINT64_C(0x7ff0000000000000)},
    {"-iNFINITY", UINT64_C(0xfff0000000000000)},
    {"NaN", UINT64_C(0x7ff8000000000001)},
    {"nan", UINT64_C(0x7ff8000000000001)},
};

static uint64_t value_bits;
static unsigned samples, malformed;

static void value_seen(void *user, const struct exposition_sample *s)
{
    (void)user;
    value_bits = s->value_bits;
    samples++;
}

static void malformed_seen(void *user, uint64_t line, const char *why, struct view text)
{
    (void)user, (void)line, (void)text;
    assert_true(strlen(why) > 10);
    malformed++;
}

static void text_feed(const char *text, size_t n)
{
    const struct exposition_handler h = {.sample = value_seen, .malformed = malformed_seen};
    struct exposition *e = exposition_new(&(struct exposition_options){.format = TEXT}, &h);
    assert_non_null(e);
    samples = malformed = 0;
    assert_int_equal(exposition_feed(e, text, n), GCW_OK);
    assert_int_equal(exposition_end(e), GCW_OK);
    exposition_free(e);
}

static void test_values_have_the_bits_of_the_nearest_double(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        char line[128];
        snprintf(line, sizeof line, "a %s\n", values[i].text);
        text_feed(line, strlen(line));
        if (samples != 1 || value_bits != values[i].bits)
            print_error("%s: %016" PRIx64 " instead of %016" PRIx64 "\n", values[i].text, value_bits, values[i].bits);
        assert_int_equal(samples, 1);
        assert_true(value_bits == values[i].bits);
    }
}

static void test_values_go_refuses_are_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "1e400",  "-1e400",     "1.7976931348623159e308",
        "0x1p-2", "0x10",       "1_000",
        "1e",     "1e+",        "e5",
        ".",      "+",          "-",
        "+.e1",   "+nan",       "-nan",
        "nan(1)", "NaN(0x123)", "infin",
        "in",     "1.2.3",      "1,5",
        "--1",    "1f",         "1d",
        "0b1",    "\xd9\xa1",   "StaleNaN",
        "1e5.5",  "Infinity1",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char line[128];
        snprintf(line, sizeof line, "a %s\n", bad[i]);
        text_feed(line, strlen(line));
        if (samples != 0)
            print_error("%s was taken\n", bad[i]);
        assert_int_equal(samples, 0);
        assert_int_equal(malformed, 1);
    }
}

/* xorshift64*: the same numbers for the same seed. */
static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t seed_of_run(void)
{
    const char *given = getenv("GCW_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)clock_unix_ns();
    print_message("GCW_TEST_SEED=%" PRIu64 "\n", seed);
    return seed | 1;
}

/* The C library (here in the C locale) is the judge. */
static void test_random_values_equal_strtod(void **state)
{
    (void)state;
    static const int digits[] = {17, 17, 16, 15, 6, 3, 19, 25, 40};
    uint64_t seed = seed_of_run();
    for (int i = 0; i < 100000; i++) {
        uint64_t r = random_next(&seed), bits = random_next(&seed);
        if (r & 1) /* near the middle of the exponents, where values are and the short ways work */
            bits = (bits & UINT64_C(0x800fffffffffffff)) | (1023 - 60 + (r >> 8) % 120) << 52;
        double v, back;
        memcpy(&v, &bits, 8);
        if (v != v || v - v != 0)
            continue;
        char line[512] = "a ";
        int n = digits[(r >> 16) % ARRAY_LEN(digits)];
        if ((r >> 1) % 4 == 0)
            snprintf(line + 2, sizeof line - 2, "%.*e", n, v);
        else if ((r >> 1) % 4 == 1)
            snprintf(line + 2, sizeof line - 2, "%.*f", n, v);
        else
            snprintf(line + 2, sizeof line - 2, "%.*g", n, v);
        back = strtod(line + 2, NULL);
        memcpy(&bits, &back, 8);
        if (back - back != 0)
            continue;
        text_feed(line, strlen(line));
        if (samples != 1 || value_bits != bits)
            print_error("%s: %016" PRIx64 " instead of %016" PRIx64 "\n", line, value_bits, bits);
        assert_int_equal(samples, 1);
        assert_true(value_bits == bits);
    }
}

static void test_openmetrics_times_round_to_the_nearest_ms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"0", 0},
        {"-0", 0},
        {"1", 1000},
        {"1.", 1000},
        {".001", 1},
        {"0.0005", 1},
        {"0.00049999999999999999999999999", 0},
        {"0.0005000000000000000000000000001", 1},
        {"-0.0005", -1},
        {"-1.5", -1500},
        {"1520879607.789", 1520879607789}, /* 1520879607788 by way of doubles, cut */
        {"1700000000.001", 1700000000001},
        {"1700000000.0014999", 1700000000001},
        {"1700000000.0015", 1700000000002},
        {"1.7e9", 1700000000000},
        {"17E8", 1700000000000},
        {"170000000000000e-5", 1700000000000},
        {"00000000000000000000000000000001.5", 1500},
        {"1.50000000000000000000000000000000000", 1500},
        {"9223372036854775.807", INT64_MAX},
        {"-9223372036854775.808", INT64_MIN},
        {"1e-999999999999", 0},
        {"0e999999999999", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char input[128], output[128];
        snprintf(input, sizeof input, "a 1 %s\n# EOF\n", rows[i].text);
        snprintf(output, sizeof output, "S a 1 @%" PRId64 "\n", rows[i].ms);
        row_check(OM, input, output);
    }
}

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

static size_t label_count, help_length;

static void wide_seen(void *user, const struct exposition_sample *s)
{
    (void)user;
    label_count = s->count;
    for (size_t i = 1; i < s->count; i++) {
        char name[32], value[32];
        int n = snprintf(name, sizeof name, "label_%zu", i), v = snprintf(value, sizeof value, "v\"%zu", i);
        assert_int_equal(s->labels[i].name_len, n);
        assert_memory_equal(s->labels[i].name, name, (size_t)n);
        assert_int_equal(s->labels[i].value_len, v);
        assert_memory_equal(s->labels[i].value, value, (size_t)v);
    }
}

static void help_seen(void *user, const struct exposition_family *f)
{
    (void)user;
    help_length = strlen(f->help);
}

static void test_ten_thousand_labels_and_a_megabyte_of_help(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_true(buf_puts(&b, "# HELP wide "));
    for (size_t i = 0; i < 2 * MIB; i++)
        assert_true(buf_append(&b, "x", 1));
    assert_true(buf_puts(&b, "\nwide{"));
    for (int i = 1; i <= 10000; i++)
        assert_true(buf_printf(&b, "label_%d=\"v\\\"%d\",", i, i));
    assert_true(buf_puts(&b, "} 1\n"));
    const struct exposition_handler h = {NULL, wide_seen, help_seen, malformed_seen};
    for (size_t piece = 1000; piece <= b.n * 2; piece *= 50) {
        struct exposition *e = exposition_new(&(struct exposition_options){.format = TEXT}, &h);
        label_count = help_length = malformed = 0;
        for (size_t at = 0; at < b.n; at += piece)
            assert_int_equal(exposition_feed(e, (char *)b.p + at, MIN(piece, b.n - at)), GCW_OK);
        assert_int_equal(exposition_end(e), GCW_OK);
        exposition_free(e);
        assert_int_equal(label_count, 10001);
        assert_int_equal(help_length, 2 * MIB);
        assert_int_equal(malformed, 0);
    }
    buf_free(&b);
}

static void test_a_line_past_64_mib_is_malformed_and_the_rest_goes_on(void **state)
{
    (void)state;
    const struct exposition_handler h = {.sample = value_seen, .malformed = malformed_seen};
    struct exposition *e = exposition_new(&(struct exposition_options){.format = TEXT}, &h);
    char *block = malloc(MIB);
    assert_non_null(block);
    memset(block, '#', MIB);
    samples = malformed = 0;
    for (int i = 0; i < 70; i++)
        assert_int_equal(exposition_feed(e, block, MIB), GCW_OK);
    assert_int_equal(exposition_feed(e, "\na 1\n", 5), GCW_OK);
    assert_int_equal(exposition_end(e), GCW_OK);
    assert_int_equal(malformed, 1);
    assert_int_equal(samples, 1);
    free(block);
    exposition_free(e);
}

static void series_seen(void *user, const struct exposition_sample *s)
{
    assert_true(buf_append(user, s->series.p, s->series.n) && buf_puts(user, "|"));
}

static void test_series_text_is_what_stands_before_the_value(void **state)
{
    (void)state;
    static const char input[] = "a 1\n  b{} 2 3\nc{d=\"e\\\"f\", } 4\n{\"g.h\"} 5\n";
    struct buf seen = {0};
    const struct exposition_handler h = {.user = &seen, .sample = series_seen};
    struct exposition *e = exposition_new(&(struct exposition_options){.format = TEXT}, &h);
    assert_int_equal(exposition_feed(e, input, strlen(input)), GCW_OK);
    assert_int_equal(exposition_end(e), GCW_OK);
    assert_true(buf_cstr(&seen));
    assert_string_equal((char *)seen.p, "a|b{}|c{d=\"e\\\"f\", }|{\"g.h\"}|");
    exposition_free(e);
    buf_free(&seen);
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

static size_t piece_random(void *seed) { return 1 + random_next(seed) % 40; }

/* A text made of fragments of lines, good and bad, so that every state of the parser meets every cut. */
static void mixture_make(struct buf *b, uint64_t *seed)
{
    static const char *const parts[] = {
        "http_requests_total",
        "{",
        "}",
        " ",
        "\n",
        "\n",
        "\n",
        "a",
        "{a=\"b\"",
        ",",
        "=\"",
        "\"",
        "\\",
        "\\n",
        "\\\"",
        "1",
        " 12345.678 ",
        " 1700000000000\n",
        "# TYPE ",
        "# HELP ",
        "# UNIT ",
        "# EOF\n",
        "counter\n",
        "a gauge\n",
        "b histogram\n",
        "\"quoted.name\"",
        "\xc3\xa9",
        "\xff",
        " # {trace_id=\"x\"} 0.5 1.2\n",
        "\r\n",
        "\t",
        " NaN\n",
        "1e400\n",
        "#\n",
        "a{cluster=\"prod-eu-west-1\",instance=\"10.1.2.3:9090\",le=\"0.5\"} 1\n",
        "a{cluster=\"prod-eu-west-1\",instance=\"10.1.2.30:9090\",le=\"+Inf\"} 17.25 1700000000\n",
        "a{cluster=\"prod-eu-west-1\", instance=\"10.1.2.3:9090\\\\\", le=\"0.5\"} 3\n",
        "{\"a\",x=\"y\"} 2\n",
        "a 1 1.5\n",
        "# HELP a some help\n",
        "# TYPE a counter\n",
        "a_sum 1\n",
        "__name__=\"x\"",
        "# TYPE a histogram\n",
        "# TYPE a summary\n",
        "a_bucket{x=\"y\",le=\"1\"} 1\n",
        "a_bucket{le=\"1\\n\",x=\"y\"} 1 # {t=\"u\"} 1\n",
        "a_count{x=\"y\"} 1\n",
        "a{x=\"y\",quantile=\"0.5\"} 1\n",
        "a_created{x=\"y\"} 1234567\n",
        "a_created 1234567\n",
        "{\"a_created\",x=\"y\"} 1234567\n",
        "a_total{x=\"y\"} 7 # {t=\"u\\\"\"} 1\n",
    };
    b->n = 0;
    size_t count = 1 + random_next(seed) % 60;
    for (size_t i = 0; i < count; i++)
        assert_true(buf_puts(b, parts[random_next(seed) % ARRAY_LEN(parts)]));
}

static void test_pieces_give_what_the_whole_gives(void **state)
{
    (void)state;
    struct buf input = {0};
    uint64_t seed = seed_of_run();
    size_t one = 1;
    for (int i = 0; i < 4000; i++) {
        mixture_make(&input, &seed);
        enum exposition_format format = i % 2 ? OM : TEXT;
        struct buf whole = transcript_of(format, buf_view(&input), NULL, NULL);
        struct buf bytes = transcript_of(format, buf_view(&input), piece_fixed, &one);
        struct buf random = transcript_of(format, buf_view(&input), piece_random, &seed);
        if (!view_eq(buf_view(&whole), buf_view(&bytes)) || !view_eq(buf_view(&whole), buf_view(&random)))
            print_error("input:\n%.*s\nwhole:\n%s\nbytes:\n%s\nrandom:\n%s\n", VIEW_ARG(buf_view(&input)),
                        (char *)whole.p, (char *)bytes.p, (char *)random.p);
        assert_true(view_eq(buf_view(&whole), buf_view(&bytes)));
        assert_true(view_eq(buf_view(&whole), buf_view(&random)));
        buf_free(&whole);
        buf_free(&bytes);
        buf_free(&random);
    }
    buf_free(&input);
}

/* ---- detection --------------------------------------------------------------------------------------------------- */

static void test_formats_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *head, *tail;
        enum exposition_format format;
    } rows[] = {
        {"", "", TEXT},
        {"a 1\n", "", TEXT},
        {"a 1\n", "a 1\n", TEXT},
        {"a 1\n", "1\n# EOF\n", OM},
        {"a 1\n", "1\n# EOF", OM},
        {"", "# EOF\n", OM},
        {"", "x# EOF\n", TEXT},
        {"", "# EOF\n\n", TEXT},
        {"# TYPE a counter\n", "", TEXT},
        {"# TYPE a untyped\n", "", TEXT},
        {"# TYPE a unknown\n", "", OM},
        {"# HELP a x\n# TYPE a info\na 1\n", "", OM},
        {"# TYPE a stateset\n", "", OM},
        {"# TYPE a gaugehistogram\n", "", OM},
        {"# UNIT a_seconds seconds\n", "", OM},
        {"a 1\n# EOF\n", "", OM},
        {"# HELP a # EOF\n# HELP b info\n", "", TEXT},
        {"\x04\x0a\x01"
         "a\x18\x01",
         "", TEXT}, /* longer than it says */
        {"\x05\x0a\x01"
         "a\x18\x01",
         "", PROTOBUF},
        {"\x05\x0a\x01"
         "a\x18\x01"
         "\x05\x0a",
         "", PROTOBUF},
        {"\x7f\x0a\x01"
         "a\x12\x70"
         "help that goes past the head",
         "", PROTOBUF},
        {"\x7f\x0a\x01"
         "a\x12\x7b"
         "help that goes past the message",
         "", TEXT},
        {"\x7f\x0a\x01"
         "a\x13\x01",
         "", TEXT}, /* no field of a family */
        {"\x7f\x0a\x30"
         "abc",
         "", TEXT},
        {"#\n#aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa*\n", "", TEXT}, /* a length of 35, a name of 35 */
        {"\n\n\n\n\n\n\n\n\n\n\n\n\n\n", "", TEXT},
        {"#\n\tabcdefghi 1\n", "", TEXT},
    };
    assert_int_equal(exposition_detect((struct view){0}, (struct view){0}), TEXT);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(exposition_detect(view_of(rows[i].head), view_of(rows[i].tail)), rows[i].format);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_read_as_prometheus_reads_it),
        cmocka_unit_test(test_text_bad_lines_are_named_and_skipped),
        cmocka_unit_test(test_openmetrics_is_read_as_prometheus_reads_it),
        cmocka_unit_test(test_openmetrics_bad_lines_are_named_and_skipped),
        cmocka_unit_test(test_metadata_out_of_place_is_malformed),
        cmocka_unit_test(test_values_have_the_bits_of_the_nearest_double),
        cmocka_unit_test(test_values_go_refuses_are_malformed),
        cmocka_unit_test(test_random_values_equal_strtod),
        cmocka_unit_test(test_openmetrics_times_round_to_the_nearest_ms),
        cmocka_unit_test(test_ten_thousand_labels_and_a_megabyte_of_help),
        cmocka_unit_test(test_a_line_past_64_mib_is_malformed_and_the_rest_goes_on),
        cmocka_unit_test(test_series_text_is_what_stands_before_the_value),
        cmocka_unit_test(test_pieces_give_what_the_whole_gives),
        cmocka_unit_test(test_formats_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
