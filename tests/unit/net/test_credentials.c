/* The token's file, watched, and redaction of what holds the token. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/private.h"

#define TOKEN "glc_EXAMPLEtoken"

struct world {
    char folder[32], path[64], next[64];
    struct buf log;
    struct logger logger;
    uint64_t now;
};

static void on_line(void *user, gcw_log_level level, const char *text)
{
    struct world *w = user;
    (void)level;
    assert_true(buf_printf(&w->log, "%s\n", text) && buf_cstr(&w->log));
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->folder, "/tmp/gcw-test-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    snprintf(w->path, sizeof w->path, "%s/token", w->folder);
    snprintf(w->next, sizeof w->next, "%s/next", w->folder);
    w->logger = (struct logger){GCW_LOG_DEBUG, on_line, w};
    assert_true(buf_cstr(&w->log));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    unlink(w->path);
    unlink(w->next);
    rmdir(w->folder);
    buf_free(&w->log);
    free(w);
    return 0;
}

static void put(const char *path, const void *content, size_t n, int how)
{
    int fd = open(path, O_WRONLY | O_CREAT | how, 0600);
    assert_true(fd >= 0 && write(fd, content, n) == (ssize_t)n);
    close(fd);
}

/* As careful programs do: a new file takes the old one's name. */
static void replace(struct world *w, const char *content)
{
    put(w->next, content, strlen(content), O_TRUNC);
    assert_int_equal(rename(w->next, w->path), 0);
}

static struct credentials *try_open(struct world *w, const char *token, const char *path, gcw_error *err)
{
    const struct secret_source from = {"token_file", path, token, false, 1000};
    return credentials_new(&from, &w->logger, err);
}

static struct credentials *open_file(struct world *w)
{
    gcw_error err = {0};
    struct credentials *c = try_open(w, "", w->path, &err);
    if (!c)
        fail_msg("%s", err.text);
    return c;
}

static size_t lines(const struct world *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->log.n; i++)
        n += w->log.p[i] == '\n';
    return n;
}

static bool refresh(struct world *w, struct credentials *c) { return credentials_refresh(c, w->now += 1000, false); }

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static void test_token_is_taken_without_the_blanks_around_it(void **state)
{
    struct world *w = *state;
    static const char *const contents[] = {TOKEN, TOKEN "\n", TOKEN "\r\n", " \t" TOKEN "  \n\n"};
    for (size_t i = 0; i < ARRAY_LEN(contents); i++) {
        replace(w, contents[i]);
        struct credentials *c = open_file(w);
        assert_string_equal(credentials_token(c), TOKEN);
        credentials_free(c);
    }
}

static void test_file_wins_over_a_given_token(void **state)
{
    struct world *w = *state;
    gcw_error err;
    replace(w, TOKEN);
    struct credentials *c = try_open(w, "glc_given", w->path, &err);
    assert_string_equal(credentials_token(c), TOKEN);
    credentials_free(c);
    c = try_open(w, "glc_given", "", &err);
    assert_string_equal(credentials_token(c), "glc_given");
    assert_false(credentials_refresh(c, UINT64_MAX, true));
    credentials_free(c);
    c = try_open(w, "", "", &err);
    assert_string_equal(credentials_token(c), "");
    credentials_free(c);
}

/* What could end a header line and begin another, and what no token is; and the words do not show it. */
static void test_texts_that_are_no_token_are_refused(void **state)
{
    struct world *w = *state;
    char lots[8300];
    memset(lots, 'S', sizeof lots - 1);
    lots[sizeof lots - 1] = 0;
    const char *const rows[][2] = {
        {"", "empty"},
        {" \r\n\t", "empty"},
        {"SECRET\r\nX-Evil: 1", "blanks or control"},
        {"SECRET\nX", "blanks or control"},
        {"SECRET\rX", "blanks or control"},
        {"SECRET two", "blanks or control"},
        {"SECRET\x7f", "blanks or control"},
        {"SECRET\x01", "blanks or control"},
        {lots, "8 KiB"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        gcw_error err = {0};
        replace(w, rows[i][0]);
        assert_null(try_open(w, "", w->path, &err));
        assert_int_equal(err.code, GCW_ERR_INVALID);
        if (!strstr(err.text, rows[i][1]) || !strstr(err.text, w->path))
            fail_msg("row %zu: %s", i, err.text);
        assert_null(strstr(err.text, "SECRET"));
        assert_null(strstr(err.text, "SSSS"));
        if (i >= 2) { /* given: none at all is fine */
            assert_null(try_open(w, rows[i][0], "", &err));
            assert_null(strstr(err.text, "SECRET"));
        }
    }
    put(w->path, "nul\0byte", 8, O_TRUNC);
    gcw_error err;
    assert_null(try_open(w, "", w->path, &err));
    unlink(w->path);
    assert_null(try_open(w, "", w->path, &err));
    assert_non_null(strstr(err.text, "No such file"));
}

static void test_longest_token_fits_and_one_more_does_not(void **state)
{
    struct world *w = *state;
    gcw_error err;
    char *token = malloc(8194);
    memset(token, 'x', 8193);
    token[8193] = 0;
    assert_null(try_open(w, token, "", &err));
    token[8192] = 0;
    struct credentials *c = try_open(w, token, "", &err);
    assert_string_equal(credentials_token(c), token);
    char text[] = "xxxxxxxxxxxxxxxx";
    credentials_redact(c, text, sizeof text - 1); /* may be the beginning of it */
    assert_string_equal(text, "****************");
    credentials_free(c);
    free(token);
}

/* ---- watching --------------------------------------------------------------------------------------------------- */

static void test_another_token_is_noticed_when_it_is_time(void **state)
{
    struct world *w = *state;
    replace(w, TOKEN);
    struct credentials *c = open_file(w);
    assert_false(refresh(w, c));
    replace(w, "glc_other");
    assert_false(credentials_refresh(c, w->now + 999, false));
    assert_string_equal(credentials_token(c), TOKEN);
    assert_true(credentials_refresh(c, w->now + 1000, false));
    assert_string_equal(credentials_token(c), "glc_other");
    assert_false(credentials_refresh(c, w->now + 1001, true));
    replace(w, "glc_third");
    assert_true(credentials_refresh(c, w->now + 1002, true)); /* a 401 came: at once */
    assert_string_equal(credentials_token(c), "glc_third");
    assert_null(strstr((char *)w->log.p, "glc_"));
    credentials_free(c);
}

static void test_same_token_in_another_file_is_no_change(void **state)
{
    struct world *w = *state;
    replace(w, TOKEN);
    struct credentials *c = open_file(w);
    replace(w, TOKEN "\n");
    assert_false(refresh(w, c));
    assert_int_equal(lines(w), 0);
    credentials_free(c);
}

static void test_file_written_in_place_is_read_again(void **state)
{
    struct world *w = *state;
    replace(w, TOKEN);
    struct credentials *c = open_file(w);
    put(w->path, "glc_in_place", 12, O_TRUNC);
    assert_true(refresh(w, c));
    assert_string_equal(credentials_token(c), "glc_in_place");
    credentials_free(c);
}

/* Somebody writes the file slowly, and it is looked at in between. */
static void test_half_written_file_gives_way_to_the_whole(void **state)
{
    struct world *w = *state;
    replace(w, TOKEN);
    struct credentials *c = open_file(w);
    put(w->path, "", 0, O_TRUNC);
    assert_false(refresh(w, c)); /* empty: the old one stays */
    assert_string_equal(credentials_token(c), TOKEN);
    put(w->path, "glc_ne", 6, O_APPEND);
    refresh(w, c);
    put(w->path, "w_token\n", 8, O_APPEND);
    assert_true(refresh(w, c));
    assert_string_equal(credentials_token(c), "glc_new_token");
    assert_false(refresh(w, c));
    credentials_free(c);
}

static void test_trouble_keeps_the_token_and_is_said_once(void **state)
{
    struct world *w = *state;
    replace(w, TOKEN);
    struct credentials *c = open_file(w);
    unlink(w->path);
    for (int i = 0; i < 3; i++)
        assert_false(refresh(w, c));
    assert_string_equal(credentials_token(c), TOKEN);
    assert_int_equal(lines(w), 1);
    assert_non_null(strstr((char *)w->log.p, w->path));
    replace(w, "SECRET with blanks");
    assert_false(refresh(w, c));
    assert_string_equal(credentials_token(c), TOKEN);
    assert_int_equal(lines(w), 1); /* one spell of trouble */
    replace(w, "glc_back");
    assert_true(refresh(w, c));
    assert_int_equal(lines(w), 2);
    replace(w, "");
    assert_false(refresh(w, c));
    assert_int_equal(lines(w), 3);
    assert_null(strstr((char *)w->log.p, "SECRET"));
    assert_null(strstr((char *)w->log.p, "glc_"));
    credentials_free(c);
}

/* A shell's <(...) or a FIFO gives the token once; to open it again would be to wait for another writer, for ever. */
static void test_pipe_is_read_once_to_its_end(void **state)
{
    struct world *w = *state;
    assert_int_equal(mkfifo(w->path, 0600), 0);
    pid_t writer = fork();
    if (writer == 0) {
        int fd = open(w->path, O_WRONLY);
        bool ok = write(fd, "glc_EXA", 7) == 7;
        usleep(20000); /* in two pieces */
        ok = ok && write(fd, "MPLEtoken\n", 10) == 10;
        _exit(ok ? 0 : 1);
    }
    alarm(60); /* it would hang, not fail */
    struct credentials *c = open_file(w);
    assert_string_equal(credentials_token(c), TOKEN);
    struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, w->path, times, 0), 0); /* it looks changed */
    assert_false(refresh(w, c));
    assert_string_equal(credentials_token(c), TOKEN);
    alarm(0);
    assert_int_equal(waitpid(writer, NULL, 0), writer);
    credentials_free(c);
}

/* ---- redaction -------------------------------------------------------------------------------------------------- */

static struct credentials *with_token(struct world *w, const char *token)
{
    gcw_error err;
    struct credentials *c = try_open(w, token, "", &err);
    assert_non_null(c);
    return c;
}

static void check_redaction(const struct credentials *c, const char *text, const char *want)
{
    char *copy = strdup(text); /* of that size, for the sanitizers */
    credentials_redact(c, copy, strlen(copy));
    assert_string_equal(copy, want);
    free(copy);
}

static void test_token_is_blanked_wherever_it_stands(void **state)
{
    struct credentials *c = with_token(*state, TOKEN);
    check_redaction(c, TOKEN, "****************");
    check_redaction(c, "a " TOKEN " b " TOKEN, "a **************** b ****************");
    check_redaction(c, TOKEN TOKEN, "********************************");
    check_redaction(c, "glc_EXAMPLEtokem", "glc_EXAMPLEtokem");
    check_redaction(c, "", "");
    check_redaction(c, "cut: glc_EXAMPLEtoke", "cut: ***************");
    check_redaction(c, "cut: glc_EXAM", "cut: ********");
    check_redaction(c, "glc_EXAMPLE is not at the end", "glc_EXAMPLE is not at the end");
    credentials_free(c);
}

static size_t base64(char *out, const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(text), o = 0;
    for (size_t i = 0; i < n; i += 3) {
        unsigned char b[3] = {(unsigned char)text[i], i + 1 < n ? (unsigned char)text[i + 1] : 0,
                              i + 2 < n ? (unsigned char)text[i + 2] : 0};
        out[o++] = digits[b[0] >> 2];
        out[o++] = digits[(b[0] & 3) << 4 | b[1] >> 4];
        out[o++] = i + 1 < n ? digits[(b[1] & 15) << 2 | b[2] >> 6] : '=';
        out[o++] = i + 2 < n ? digits[b[2] & 63] : '=';
    }
    out[o] = 0;
    return o;
}

/* Whoever the user is: what Authorization: Basic holds is blanked whole, wherever it was cut. */
static void test_base64_of_any_user_and_the_token_is_blanked(void **state)
{
    static const char *const users[] = {"", "1", "12", "123", "1234", "123456", "team-a", "a-tenant-with-a-long-name"};
    static const char *const tokens[] = {TOKEN, "glc_EXAMPLEtoken1", "glc_EXAMPLEtoken12"};
    for (size_t k = 0; k < ARRAY_LEN(tokens); k++) {
        struct credentials *c = with_token(*state, tokens[k]);
        for (size_t i = 0; i < ARRAY_LEN(users); i++) {
            char pair[128], code[200], text[300], *rest;
            snprintf(pair, sizeof pair, "%s:%s", users[i], tokens[k]);
            size_t n = base64(code, pair);
            snprintf(text, sizeof text, "Basic %s, so", code);
            credentials_redact(c, text, strlen(text));
            assert_int_equal(strspn(text + 6, "*"), n);
            assert_string_equal(text + 6 + n, ", so");
            for (size_t cut = n; cut > n - 4; cut--) {
                snprintf(text, sizeof text, "Basic %.*s", (int)cut, code);
                credentials_redact(c, text, strlen(text));
                rest = text + 6;
                assert_int_equal(strspn(rest, "*"), strlen(rest));
            }
        }
        credentials_free(c);
    }
}

static void test_short_or_no_token_harms_nothing(void **state)
{
    struct credentials *c = with_token(*state, "");
    check_redaction(c, "nothing to hide", "nothing to hide");
    credentials_free(c);
    for (const char *token = "wxyz"; *token; token++) {
        c = with_token(*state, token);
        check_redaction(c, "a line without it", "a line without it");
        credentials_free(c);
    }
}

/* Another token: the old one's forms are forgotten, the new one's known. */
static void test_redaction_follows_the_token(void **state)
{
    struct world *w = *state;
    char code[64], text[100];
    replace(w, "glc_old_token");
    struct credentials *c = open_file(w);
    replace(w, TOKEN);
    assert_true(refresh(w, c));
    check_redaction(c, "glc_old_token", "glc_old_token");
    check_redaction(c, TOKEN, "****************");
    base64(code, "123456:" TOKEN);
    snprintf(text, sizeof text, "<%s>", code);
    credentials_redact(c, text, strlen(text));
    assert_int_equal(strspn(text + 1, "*"), strlen(code));
    credentials_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_token_is_taken_without_the_blanks_around_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_wins_over_a_given_token, setup, teardown),
        cmocka_unit_test_setup_teardown(test_texts_that_are_no_token_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_longest_token_fits_and_one_more_does_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_token_is_noticed_when_it_is_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_same_token_in_another_file_is_no_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_written_in_place_is_read_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_written_file_gives_way_to_the_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trouble_keeps_the_token_and_is_said_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipe_is_read_once_to_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_token_is_blanked_wherever_it_stands, setup, teardown),
        cmocka_unit_test_setup_teardown(test_base64_of_any_user_and_the_token_is_blanked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_short_or_no_token_harms_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_redaction_follows_the_token, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
