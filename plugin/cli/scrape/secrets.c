/* Passwords and tokens that targets are shown, shared by those that name the same file. */
#include <stdlib.h>

#include "cli/scrape/targets.h"

struct secret_file {
    struct secret_file *next;
    struct secrets *owner;
    const char *key;
    char *path;
    struct credentials *held;
    unsigned users;
};

static struct secret_file *secret_open(struct secrets *s, const char *key, const char *path, gcw_error *err)
{
    const struct secret_source from = {key, path, "", strcmp(key, "password_file") == 0, 0};
    struct secret_file *f = calloc(1, sizeof *f);
    if (!f || !(f->path = strdup(path))) {
        free(f);
        error_set(err, GCW_ERR_NOMEM, "out of memory");
        return NULL;
    }
    if (!(f->held = credentials_new(&from, &s->log, err))) {
        free(f->path);
        free(f);
        return NULL;
    }
    f->owner = s;
    f->key = key;
    f->next = s->first;
    s->first = f;
    return f;
}

struct secret_file *secret_take(struct secrets *s, const char *key, const char *path, gcw_error *err)
{
    struct secret_file *f = s->first;
    while (f && (strcmp(f->key, key) != 0 || strcmp(f->path, path) != 0))
        f = f->next;
    if (!f)
        f = secret_open(s, key, path, err);
    if (f)
        f->users++;
    return f;
}

void secret_give(struct secret_file *f)
{
    if (!f || --f->users > 0)
        return;
    struct secret_file **link = &f->owner->first;
    while (*link != f)
        link = &(*link)->next;
    *link = f->next;
    credentials_free(f->held);
    free(f->path);
    free(f);
}

const char *secret_text(struct secret_file *f)
{
    credentials_refresh(f->held, 0, true);
    return credentials_token(f->held);
}
