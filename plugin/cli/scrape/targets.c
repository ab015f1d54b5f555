/* Which targets there are: lines of files, checked one by one and against each other. */
#include <stdlib.h>

#include "cli/scrape/targets.h"

char *url_instance(const char *url, gcw_error *err)
{
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL, *out = NULL;
    CURLUcode bad = u ? curl_url_set(u, CURLUPART_URL, url, 0) : CURLUE_OUT_OF_MEMORY;
    if (bad == CURLUE_OK)
        bad = curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
    if (bad == CURLUE_OK)
        bad = curl_url_get(u, CURLUPART_HOST, &host, 0);
    if (bad == CURLUE_OK)
        bad = curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    const char *shown = strchr(url, '@') ? "what has an @ in it" : url; /* a password may stand before it */
    if (bad != CURLUE_OK)
        error_set(err, GCW_ERR_INVALID, "\"%.200s\" is no http or https URL: %s", shown, curl_url_strerror(bad));
    else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        error_set(err, GCW_ERR_INVALID, "\"%.200s\" is no http or https URL", shown);
    else if (curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK ||
             curl_url_get(u, CURLUPART_PASSWORD, &user, 0) == CURLUE_OK)
        error_set(err, GCW_ERR_INVALID,
                  "a URL with a user in it (host %.100s), for all to read; what it wants is user and password_file: "
                  "--scrape-user and --scrape-password-file, or on its line in a file of --targets",
                  host);
    else if (asprintf(&out, "%s:%s", host, port) < 0)
        out = NULL, error_set(err, GCW_ERR_NOMEM, "out of memory");
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(user);
    curl_url_cleanup(u);
    return out;
}

/* ---- what belongs together ----------------------------------------------------------------------------------------
 */

static bool own(const struct target_settings *t, enum target_key key, const char *text)
{
    return (t->own & 1u << key) && *text;
}

/* How a target wants us to show who we are is said as a whole: a line that names a token sets a default user aside. */
static void defaults_yield(struct target_settings *t)
{
    const bool user = own(t, KEY_user, t->user) || own(t, KEY_password_file, t->password_file),
               token = own(t, KEY_token_file, t->token_file);
    if (user && !token)
        t->token_file[0] = 0;
    if (token && !own(t, KEY_user, t->user))
        t->user[0] = 0;
    if (token && !own(t, KEY_password_file, t->password_file))
        t->password_file[0] = 0;
}

static gcw_status credentials_check(const struct target_settings *t, gcw_error *err)
{
    if (*t->token_file && (*t->user || *t->password_file))
        return error_set(err, GCW_ERR_INVALID, "token_file, or user and password_file: one of the two");
    if (!*t->user != !*t->password_file)
        return error_set(err, GCW_ERR_INVALID, "user and password_file: one needs the other");
    if (strchr(t->user, ':'))
        return error_set(err, GCW_ERR_INVALID, "user: no ':' is allowed in it");
    if (!*t->cert_file != !*t->key_file)
        return error_set(err, GCW_ERR_INVALID, "cert_file and key_file: one needs the other");
    if ((*t->user || *t->token_file) && !t->cleartext && url_is_clear(t->url))
        return error_set(err, GCW_ERR_INVALID,
                         "%s would go over http in clear text; use https, or say cleartext=on (--scrape-cleartext)",
                         *t->user ? "the password" : "the token");
    return GCW_OK;
}

static gcw_status files_check(const struct target_settings *t, gcw_error *err)
{
    const char *const files[][2] = {{"ca_file", t->ca_file}, {"cert_file", t->cert_file}, {"key_file", t->key_file}};
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (net_check_file(files[i][0], files[i][1], err) != GCW_OK)
            return GCW_ERR_INVALID;
    return GCW_OK;
}

#define TIMEOUT_MS UINT64_C(10000) /* of a scrape, unless the interval is shorter */

gcw_status settings_complete(struct target_settings *t, struct secrets *secrets, gcw_error *err)
{
    char *instance = url_instance(t->url, err);
    if (!instance)
        return GCW_ERR_INVALID;
    bool ok =
        target_label_add(t, view_of("job"), view_of(t->job)) &&
        (target_label_value(t, view_of("instance")) || target_label_add(t, view_of("instance"), view_of(instance)));
    free(instance);
    if (!ok)
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    if (t->timeout_ms == 0)
        t->timeout_ms = MIN(TIMEOUT_MS, t->interval_ms);
    defaults_yield(t);
    gcw_status status = credentials_check(t, err);
    if (status == GCW_OK)
        status = files_check(t, err);
    const char *key = *t->user ? "password_file" : "token_file", *path = *t->user ? t->password_file : t->token_file;
    if (status == GCW_OK && *path && !(t->secret = secret_take(secrets, key, path, err)))
        status = GCW_ERR_INVALID;
    return status;
}

/* ---- the list -----------------------------------------------------------------------------------------------------
 */

static bool same_labels(const struct target_settings *a, const struct target_settings *b)
{
    bool same = a->label_count == b->label_count;
    for (size_t i = 0; i < a->label_count && same; i++) {
        const char *value = target_label_value(b, view_of(a->labels[i].name));
        same = value && strcmp(a->labels[i].value, value) == 0;
    }
    return same;
}

static gcw_status check_among(const struct target_list *l, const struct target_settings *t, gcw_error *err)
{
    if (l->count == TARGETS_MAX)
        return error_set(err, GCW_ERR_INVALID, "at most %d targets", TARGETS_MAX);
    for (size_t i = 0; i < l->count; i++)
        if (same_labels(l->at[i], t))
            return error_set(err, GCW_ERR_INVALID,
                             "%.200s has the same labels as %.200s, their series could not be told apart: give one "
                             "another job, label.instance or label.NAME",
                             t->url, l->at[i]->url);
    return GCW_OK;
}

gcw_status target_list_add(struct target_list *l, struct target_settings *t, struct secrets *secrets, gcw_error *err)
{
    gcw_status status = settings_complete(t, secrets, err);
    if (status == GCW_OK)
        status = check_among(l, t, err);
    struct target_settings **more = status == GCW_OK ? realloc(l->at, (l->count + 1) * sizeof *more) : NULL;
    if (more) {
        l->at = more;
        l->at[l->count++] = t;
        return GCW_OK;
    }
    target_settings_free(t);
    return status == GCW_OK ? error_set(err, GCW_ERR_NOMEM, "out of memory") : status;
}

void target_list_free(struct target_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        target_settings_free(l->at[i]);
    free(l->at);
    *l = (struct target_list){0};
}

/* ---- a file -------------------------------------------------------------------------------------------------------
 */

/* Takes the next word of a line, quotes taken off; *found = there is one. Blanks part words, but not between double
 * quotes, where \" and \\ stand for " and \. */
static gcw_status word_next(struct view *line, struct buf *word, bool *found, gcw_error *err)
{
    bool quoted = false;
    word->n = 0;
    *line = view_trim(*line);
    if (line->n > 0 && line->p[0] == '#')
        line->n = 0;
    *found = line->n > 0;
    while (line->n > 0 && (quoted || (line->p[0] != ' ' && line->p[0] != '\t'))) {
        const char *c = line->p;
        size_t skip = quoted && *c == '\\' && line->n > 1 && (c[1] == '"' || c[1] == '\\') ? 1 : 0;
        bool quote = *c == '"';
        quoted ^= quote;
        if (*c == 0)
            return error_set(err, GCW_ERR_INVALID, "a NUL byte in the line");
        if (!quote && !buf_append(word, c + skip, 1))
            return error_set(err, GCW_ERR_NOMEM, "out of memory");
        *line = view_make(c + skip + 1, line->n - skip - 1);
    }
    return quoted ? error_set(err, GCW_ERR_INVALID, "a quote that is not closed") : GCW_OK;
}

static gcw_status pairs_read(struct target_settings *t, struct view *line, struct buf *word, gcw_error *err)
{
    gcw_status status;
    bool found;
    while ((status = word_next(line, word, &found, err)) == GCW_OK && found) {
        struct view pair = buf_view(word);
        const char *eq = pair.n ? memchr(pair.p, '=', pair.n) : NULL;
        if (!eq || eq == pair.p)
            return error_set(err, GCW_ERR_INVALID,
                             "\"%.*s\": KEY=VALUE is wanted behind the URL; values with blanks in double quotes",
                             VIEW_ARG(pair));
        size_t n = (size_t)(eq - pair.p);
        status = target_settings_put(t, view_make(pair.p, n), view_make(eq + 1, pair.n - n - 1), err);
        if (status != GCW_OK)
            return status;
    }
    return status;
}

static gcw_status line_read(struct target_list *l, const struct target_settings *defaults, struct secrets *secrets,
                            struct view line, struct buf *word, gcw_error *err)
{
    bool found;
    gcw_status status = word_next(&line, word, &found, err);
    if (status != GCW_OK || !found)
        return status;
    struct target_settings *t = target_settings_new(defaults, buf_view(word));
    if (!t)
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    if ((status = pairs_read(t, &line, word, err)) == GCW_OK)
        return target_list_add(l, t, secrets, err);
    target_settings_free(t);
    return status;
}

gcw_status targets_read(struct target_list *l, const struct target_settings *defaults, struct secrets *secrets,
                        const char *name, struct view text, gcw_error *err)
{
    struct buf word = {0};
    gcw_error why = {0};
    gcw_status status = GCW_OK;
    unsigned number = 0;
    text = view_without_bom(text);
    for (struct view line; status == GCW_OK && view_line(&text, &line);) {
        number++;
        if ((status = line_read(l, defaults, secrets, line, &word, &why)) != GCW_OK)
            error_set(err, status, "%s:%u: %s", name, number, why.text);
    }
    buf_free(&word);
    return status;
}
