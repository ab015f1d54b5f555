/* A token or password: from a file, which may be replaced while we run, or given. One copy, locked in memory and left
 * out of core dumps where the system lets us, wiped when replaced and at the end. It never reaches a message. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/private.h"

#define TOKEN_MAX   8192
#define PARTIAL_MIN 8 /* so many bytes of a secret at the end of a text that was cut are blanked too */

/* In base64 of "user:token", which Authorization holds, the token looks in one of three ways: by the length of what
 * stands before it, modulo 3. Its first and last character or two are mixed with their neighbours and left out here. */
struct secret {
    char token[TOKEN_MAX + 1];
    char base64[3][TOKEN_MAX / 3 * 4 + 5];
};

struct credentials {
    const struct logger *log;
    const char *key;
    char *path;
    bool blanks;
    struct secret *secret; /* its own mapping */
    struct stat seen;
    uint64_t check_ms, next_ms;
    bool complained;
};

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

/* Whole triples of bytes only. */
static void base64_encode(char *out, const char *text)
{
    for (size_t n = strlen(text); n >= 3; n -= 3, text += 3) {
        uint32_t w = (uint32_t)(uint8_t)text[0] << 16 | (uint32_t)(uint8_t)text[1] << 8 | (uint8_t)text[2];
        for (unsigned shift = 24; shift > 0;)
            *out++ = base64_digits[w >> (shift -= 6) & 63];
    }
    *out = 0;
}

static void forms_update(struct secret *s)
{
    size_t n = strlen(s->token);
    explicit_bzero(s->base64, sizeof s->base64);
    for (size_t before = 0; before < 3; before++)
        base64_encode(s->base64[before], s->token + MIN((3 - before) % 3, n));
}

/* Why the text is no token, or password; NULL if it is one. */
static const char *token_trouble(const struct credentials *c, struct view t)
{
    if (t.n == 0)
        return "it is empty";
    if (t.n > TOKEN_MAX)
        return "it is longer than 8 KiB";
    for (size_t i = 0; i < t.n; i++)
        if ((uint8_t)t.p[i] < 0x20 || t.p[i] == 0x7f || (t.p[i] == ' ' && !c->blanks))
            return c->blanks ? "it has control characters in it" : "it has blanks or control characters in it";
    return NULL;
}

static const char *token_set(struct credentials *c, struct view t, bool *changed)
{
    const char *trouble = token_trouble(c, t);
    if (trouble)
        return trouble;
    *changed = !view_is(t, c->secret->token);
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): token_trouble() refuses an empty one */
    memcpy(c->secret->token, t.p, t.n);
    explicit_bzero(c->secret->token + t.n, sizeof c->secret->token - t.n);
    forms_update(c->secret);
    return NULL;
}

static ssize_t read_whole(int fd, char *text, size_t cap)
{
    size_t n = 0;
    for (ssize_t m; n < cap; n += (size_t)m) {
        m = read(fd, text + n, cap - n);
        if (m < 0 && errno == EINTR)
            m = 0;
        else if (m <= 0)
            return m < 0 ? -1 : (ssize_t)n;
    }
    return (ssize_t)n;
}

static const char *file_load(struct credentials *c, bool *changed)
{
    char text[TOKEN_MAX + 64];
    int fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return strerror(errno);
    ssize_t n = fstat(fd, &c->seen) == 0 ? read_whole(fd, text, sizeof text) : -1;
    const char *trouble = n < 0 ? strerror(errno) : token_set(c, view_trim(view_make(text, (size_t)n)), changed);
    close(fd);
    explicit_bzero(text, sizeof text);
    return trouble;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

bool credentials_refresh(struct credentials *c, uint64_t now_ms, bool at_once)
{
    struct stat st = {0};
    bool changed = false;
    if (!*c->path || (!at_once && now_ms < c->next_ms))
        return false;
    c->next_ms = now_ms + c->check_ms;
    if (stat(c->path, &st) == 0 && (same_file(&st, &c->seen) || !S_ISREG(st.st_mode)))
        return false; /* a pipe gives its content once, and opening it again could wait for ever */
    const char *trouble = file_load(c, &changed);
    if (trouble && !c->complained)
        log_line(c->log, GCW_LOG_WARN, "%s %s: %s; what was read before stays in use", c->key, c->path, trouble);
    c->complained = trouble != NULL;
    if (changed)
        log_line(c->log, GCW_LOG_INFO, "%s %s: what it holds now is in use", c->key, c->path);
    return changed;
}

struct credentials *credentials_new(const struct secret_source *from, const struct logger *log, gcw_error *err)
{
    struct credentials *c = calloc(1, sizeof *c);
    struct secret *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!c || s == MAP_FAILED || !(c->path = strdup(from->path))) {
        if (s != MAP_FAILED)
            munmap(s, sizeof *s);
        free(c);
        error_set(err, GCW_ERR_NOMEM, "out of memory");
        return NULL;
    }
    mlock(s, sizeof *s); /* best effort: the limit may be small */
    madvise(s, sizeof *s, MADV_DONTDUMP);
    c->secret = s;
    c->log = log;
    c->key = from->key;
    c->blanks = from->blanks;
    c->check_ms = from->check_ms;
    bool changed;
    const char *trouble = *c->path       ? file_load(c, &changed)
                          : *from->given ? token_set(c, view_of(from->given), &changed)
                                         : NULL;
    if (trouble) {
        if (*c->path)
            error_set(err, GCW_ERR_INVALID, "%s %s: %s", c->key, c->path, trouble);
        else
            error_set(err, GCW_ERR_INVALID, "token: %s", trouble);
        credentials_free(c);
        return NULL;
    }
    return c;
}

void credentials_free(struct credentials *c)
{
    if (!c)
        return;
    explicit_bzero(c->secret, sizeof *c->secret);
    munmap(c->secret, sizeof *c->secret);
    free(c->path);
    free(c);
}

const char *credentials_token(const struct credentials *c) { return c->secret->token; }

/* ---- redaction --------------------------------------------------------------------------------------------------- */

/* Blanks n bytes at `at`; `around`: with the neighbours that are of these characters, what a code mixed them with. */
static void blank(char *text, size_t len, size_t at, size_t n, const char *around)
{
    size_t end = at + n;
    while (*around && at > 0 && text[at - 1] && strchr(around, text[at - 1]))
        at--;
    while (*around && end < len && text[end] && strchr(around, text[end]))
        end++;
    memset(text + at, '*', end - at);
}

static void blank_all(char *text, size_t n, const char *secret, const char *around)
{
    size_t m = strlen(secret);
    if (m == 0)
        return;
    for (char *p = text; (p = memmem(p, n - (size_t)(p - text), secret, m)); p += m)
        blank(text, n, (size_t)(p - text), m, around);
    for (size_t k = MIN(m - 1, n); k >= PARTIAL_MIN; k--)
        if (memcmp(text + n - k, secret, k) == 0)
            blank(text, n, n - k, k, around);
}

void credentials_redact(const struct credentials *c, char *text, size_t n)
{
    blank_all(text, n, c->secret->token, "");
    for (size_t i = 0; i < ARRAY_LEN(c->secret->base64); i++)
        blank_all(text, n, c->secret->base64[i], base64_digits);
}
