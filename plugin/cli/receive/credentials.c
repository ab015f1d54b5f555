/* Reading credentials: flags, the token file, the list of credentials. Files are read again when they change, so that a
 * token can be replaced while the receiver runs. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/receive/auth.h"

#define FILE_MAX (1 * MIB)

static void credential_free(struct credential *c)
{
    for (size_t i = 0; i < c->tenant_count; i++)
        free(c->tenants[i].id);
    free(c->tenants);
    if (c->token)
        explicit_bzero(c->token, strlen(c->token));
    free(c->token);
    *c = (struct credential){0};
}

static void listed_free(struct credential *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        credential_free(&list[i]);
    free(list);
}

void auth_free(struct auth *a)
{
    credential_free(&a->flags);
    listed_free(a->listed, a->listed_count);
    *a = (struct auth){0};
}

gcw_status auth_add_tenant(struct credential *c, struct view rule, gcw_error *err)
{
    unsigned signals = ALL_SIGNALS;
    struct view id = rule;
    const char *eq = rule.n ? memchr(rule.p, '=', rule.n) : NULL;
    if (eq) {
        struct view name = view_make(rule.p, (size_t)(eq - rule.p));
        id = view_make(eq + 1, rule.n - name.n - 1);
        signals = view_is(name, "metrics") ? SIGNAL_BIT(GCW_METRICS) : view_is(name, "logs") ? SIGNAL_BIT(GCW_LOGS) : 0;
    }
    if (signals == 0 || id.n == 0 || id.n > TENANT_MAX || memchr(id.p, ':', id.n))
        return error_set(err, GCW_ERR_INVALID,
                         "tenant '%.*s': ID, metrics=ID or logs=ID is wanted, without ':', at most %d "
                         "bytes",
                         VIEW_ARG(rule), TENANT_MAX);
    struct tenant_rule *p = realloc(c->tenants, (c->tenant_count + 1) * sizeof *p);
    if (!p)
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    c->tenants = p;
    char *copy = strndup(id.p, id.n);
    if (!copy)
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    p[c->tenant_count++] = (struct tenant_rule){signals, copy};
    return GCW_OK;
}

gcw_status auth_set_scopes(struct credential *c, struct view list, gcw_error *err)
{
    c->scopes = 0;
    while (list.n > 0) {
        const char *comma = memchr(list.p, ',', list.n);
        size_t n = comma ? (size_t)(comma - list.p) : list.n;
        struct view scope = view_trim(view_make(list.p, n));
        list = comma ? view_make(comma + 1, list.n - n - 1) : view_make(list.p + n, 0);
        const char *colon = scope.n ? memchr(scope.p, ':', scope.n) : NULL;
        if (!colon || colon == scope.p || colon + 1 == scope.p + scope.n)
            return error_set(err, GCW_ERR_INVALID, "scope '%.*s': service:permission is wanted, e.g. metrics:write",
                             VIEW_ARG(scope));
        c->scopes |= view_is(scope, "metrics:write") ? SIGNAL_BIT(GCW_METRICS) : 0;
        c->scopes |= view_is(scope, "logs:write") ? SIGNAL_BIT(GCW_LOGS) : 0;
        c->scopes |= view_is(scope, "set:alloy-data-write") ? ALL_SIGNALS : 0;
    }
    return GCW_OK;
}

gcw_status auth_set_token(struct credential *c, struct view token, gcw_error *err)
{
    token = view_trim(token);
    if (token.n == 0 || memchr(token.p, 0, token.n))
        return error_set(err, GCW_ERR_INVALID, "the token is empty or holds a NUL byte");
    char *copy = strndup(token.p, token.n);
    if (!copy)
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    if (c->token)
        explicit_bzero(c->token, strlen(c->token));
    free(c->token);
    c->token = copy;
    return GCW_OK;
}

/* ---- files --------------------------------------------------------------------------------------------------------
 */

static gcw_status file_read(const char *path, struct buf *out, gcw_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    gcw_status status = fd < 0 ? error_set(err, GCW_ERR_IO, "%s: %s", path, strerror(errno)) : GCW_OK;
    while (status == GCW_OK && out->n <= FILE_MAX) {
        if (!buf_reserve(out, 4096)) {
            status = error_set(err, GCW_ERR_NOMEM, "out of memory");
            break;
        }
        ssize_t n = read(fd, out->p + out->n, out->cap - out->n);
        if (n < 0 && errno != EINTR)
            status = error_set(err, GCW_ERR_IO, "%s: %s", path, strerror(errno));
        else if (n == 0)
            break;
        else
            out->n += n > 0 ? (size_t)n : 0;
    }
    if (status == GCW_OK && out->n > FILE_MAX)
        status = error_set(err, GCW_ERR_TOO_LARGE, "%s: larger than 1 MiB", path);
    if (fd >= 0)
        close(fd);
    return status;
}

/* True if the file is not what it was when last looked at; remembers how it is now. */
static bool file_changed(struct watched_file *f)
{
    struct stat now;
    if (!f->path)
        return false;
    if (stat(f->path, &now) != 0)
        memset(&now, 0, sizeof now);
    const struct stat *was = &f->seen;
    bool same = f->read && was->st_ino == now.st_ino && was->st_dev == now.st_dev && was->st_size == now.st_size &&
                was->st_mtim.tv_sec == now.st_mtim.tv_sec && was->st_mtim.tv_nsec == now.st_mtim.tv_nsec;
    f->seen = now;
    f->read = true;
    return !same;
}

/* [{"token": "...", "tenants": ["123", "logs=456"], "scopes": ["metrics:write"]}, ...] */
static gcw_status credential_parse(struct credential *c, json_t *object, gcw_error *err)
{
    const char *key;
    json_t *value, *item;
    size_t i;
    gcw_status status = GCW_OK;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the array holds as many as the document */
    c->scopes = ALL_SIGNALS;
    if (!json_is_object(object))
        return error_set(err, GCW_ERR_INVALID, "each credential is an object");
    json_object_foreach(object, key, value)
    {
        bool list = json_is_array(value);
        unsigned scopes = 0;
        if (strcmp(key, "token") == 0 && json_is_string(value)) {
            status = auth_set_token(c, view_of(json_string_value(value)), err);
        } else if ((strcmp(key, "tenants") == 0 || strcmp(key, "scopes") == 0) && list) {
            bool tenants = key[0] == 't';
            json_array_foreach(value, i, item)
            {
                struct view text = view_of(json_is_string(item) ? json_string_value(item) : "");
                if (status == GCW_OK)
                    status = tenants ? auth_add_tenant(c, text, err) : auth_set_scopes(c, text, err);
                scopes |= c->scopes;
            }
            if (!tenants)
                c->scopes = scopes;
        } else {
            status = error_set(err, GCW_ERR_INVALID,
                               "'%.100s': a credential has token (text), tenants and scopes (lists)", key);
        }
        if (status != GCW_OK)
            return status;
    }
    return c->token ? GCW_OK : error_set(err, GCW_ERR_INVALID, "a credential without a token");
}

static gcw_status listed_load(struct auth *a, gcw_error *err)
{
    struct buf text = {0};
    json_t *root = NULL;
    json_error_t where;
    struct credential *list = NULL;
    size_t n = 0;
    gcw_status status = file_read(a->credentials_file.path, &text, err);
    if (status != GCW_OK)
        goto out;
    root = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_array(root)) { /* the parser's own words quote the text, and that is a secret */
        status = error_set(err, GCW_ERR_INVALID, "%s: no JSON list of credentials%s", a->credentials_file.path,
                           root ? "" : " (syntax)");
        goto out;
    }
    list = calloc(json_array_size(root) + 1, sizeof *list);
    if (!list)
        status = error_set(err, GCW_ERR_NOMEM, "out of memory");
    while (status == GCW_OK && n < json_array_size(root)) {
        n++;
        status = credential_parse(&list[n - 1], json_array_get(root, n - 1), err);
    }
    if (status == GCW_OK) {
        struct credential *old = a->listed;
        size_t old_count = a->listed_count;
        a->listed = list, a->listed_count = n;
        list = old, n = old_count;
    }
out:
    listed_free(list, list ? n : 0);
    json_decref(root);
    if (text.p)
        explicit_bzero(text.p, text.cap);
    buf_free(&text);
    return status;
}

static gcw_status token_load(struct auth *a, gcw_error *err)
{
    struct buf text = {0};
    gcw_status status = file_read(a->token_file.path, &text, err);
    if (status == GCW_OK)
        status = auth_set_token(&a->flags, buf_view(&text), err);
    if (text.p)
        explicit_bzero(text.p, text.cap);
    buf_free(&text);
    return status;
}

gcw_status auth_refresh(struct auth *a, gcw_error *err)
{
    gcw_status status = GCW_OK;
    if (file_changed(&a->token_file))
        status = token_load(a, err);
    if (file_changed(&a->credentials_file)) {
        gcw_status listed = listed_load(a, status == GCW_OK ? err : NULL);
        status = status == GCW_OK ? listed : status;
    }
    return status;
}
