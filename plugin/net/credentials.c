/* The token: from a file, which may be replaced while we run, or given. One copy, locked in memory and left out of core
 * dumps where the system lets us, wiped when replaced and at the end. It never reaches a message. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/private.h"

#define TOKEN_MAX 8192
#define USERS_MAX 8

struct secret {
    char token[TOKEN_MAX + 1];
    char pair[USERS_MAX][(TOKEN_MAX + 256) / 3 * 4 + 8]; /* base64 of user:token, for redaction */
};

struct credentials {
    const struct logger *log;
    char *path;
    struct secret *secret; /* its own mapping */
    char *users[USERS_MAX];
    size_t user_count;
    struct stat seen;
    uint64_t check_ms, next_ms;
    bool complained;
};

static void base64(char *out, const char *user, const char *token)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t u = strlen(user), n = u + 1 + strlen(token), o = 0;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t w = 0;
        for (size_t k = 0; k < 3; k++) {
            size_t at = i + k;
            uint8_t c = at >= n ? 0 : at < u ? (uint8_t)user[at] : at == u ? ':' : (uint8_t)token[at - u - 1];
            w = w << 8 | c;
        }
        for (int k = 0; k < 4; k++)
            out[o++] = i + (size_t)k > n ? '=' : digits[w >> (18 - 6 * k) & 63];
    }
    out[o] = 0;
}

static void pairs_update(struct credentials *c)
{
    for (size_t i = 0; i < c->user_count; i++)
        if (strlen(c->users[i]) <= 200)
            base64(c->secret->pair[i], c->users[i], c->secret->token);
}

void credentials_know_user(struct credentials *c, const char *user)
{
    for (size_t i = 0; i < c->user_count; i++)
        if (strcmp(c->users[i], user) == 0)
            return;
    if (c->user_count == USERS_MAX || !(c->users[c->user_count] = strdup(user)))
        return;
    c->user_count++;
    pairs_update(c);
}

/* Why the text is no token; NULL if it is one. */
static const char *token_trouble(struct view t)
{
    if (t.n == 0)
        return "it is empty";
    if (t.n > TOKEN_MAX)
        return "it is longer than 8 KiB";
    for (size_t i = 0; i < t.n; i++)
        if ((uint8_t)t.p[i] <= 0x20 || t.p[i] == 0x7f)
            return "it has blanks or control characters in it";
    return NULL;
}

static const char *token_set(struct credentials *c, struct view t, bool *changed)
{
    const char *trouble = token_trouble(t);
    if (trouble)
        return trouble;
    *changed = !view_is(t, c->secret->token);
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): token_trouble() refuses an empty one */
    memcpy(c->secret->token, t.p, t.n);
    explicit_bzero(c->secret->token + t.n, sizeof c->secret->token - t.n);
    pairs_update(c);
    return NULL;
}

static const char *file_load(struct credentials *c, bool *changed)
{
    char text[TOKEN_MAX + 64];
    int fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return strerror(errno);
    ssize_t n = fstat(fd, &c->seen) == 0 ? read(fd, text, sizeof text) : -1;
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
    if (stat(c->path, &st) == 0 && same_file(&st, &c->seen))
        return false;
    const char *trouble = file_load(c, &changed);
    if (trouble && !c->complained)
        log_line(c->log, GCW_LOG_WARN, "token_file %s: %s; the token read before stays in use", c->path, trouble);
    c->complained = trouble != NULL;
    if (changed)
        log_line(c->log, GCW_LOG_INFO, "token_file %s: another token is in use now", c->path);
    return changed;
}

struct credentials *credentials_new(const struct net_config *cfg, const struct logger *log, gcw_error *err)
{
    struct credentials *c = calloc(1, sizeof *c);
    struct secret *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!c || s == MAP_FAILED || !(c->path = strdup(cfg->token_file))) {
        free(c);
        error_set(err, GCW_ERR_NOMEM, "out of memory");
        return NULL;
    }
    mlock(s, sizeof *s); /* best effort: the limit may be small */
    madvise(s, sizeof *s, MADV_DONTDUMP);
    c->secret = s;
    c->log = log;
    c->check_ms = cfg->token_check_ms;
    bool changed;
    const char *trouble = *c->path      ? file_load(c, &changed)
                          : *cfg->token ? token_set(c, view_of(cfg->token), &changed)
                                        : NULL;
    if (trouble) {
        error_set(err, GCW_ERR_INVALID, "%s%s: %s", *c->path ? "token_file " : "token", c->path, trouble);
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
    for (size_t i = 0; i < c->user_count; i++)
        free(c->users[i]);
    free(c->path);
    free(c);
}

const char *credentials_token(const struct credentials *c) { return c->secret->token; }

static void blank_all(char *text, size_t n, const char *secret)
{
    size_t m = strlen(secret);
    if (m == 0)
        return;
    for (char *p = text; (p = memmem(p, n - (size_t)(p - text), secret, m)); p += m)
        memset(p, '*', m);
}

void credentials_redact(const struct credentials *c, char *text, size_t n)
{
    blank_all(text, n, c->secret->token);
    for (size_t i = 0; i < c->user_count; i++)
        blank_all(text, n, c->secret->pair[i]);
}
