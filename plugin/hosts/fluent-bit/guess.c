/* Looking for misspelt keys. The host cannot list what was given, but it can be asked: so it is asked for every name
 * that is one slip away from one of ours. Some ten thousand questions, a few milliseconds, once. */
#include <stdio.h>

#include "hosts/fluent-bit/settings.h"

#define KEY_MAX 64

/* Every name that means something: gcw's options, the module's, and those carried over; NULL past the end. */
static const char *name_at(size_t index)
{
    const gcw_option *o;
    size_t at = 0;
    for (size_t i = 0; (o = gcw_option_at(i)); i++)
        if (at++ == index)
            return o->name;
    for (size_t i = 0; (o = own_option_at(i)); i++)
        if (at++ == index)
            return o->name;
    return carried_name_at(index - at);
}

static bool is_known(const char *key)
{
    const char *name;
    for (size_t i = 0; (name = name_at(i)); i++)
        if (strcmp(name, key) == 0)
            return true;
    return false;
}

static void ask(const struct reading *r, const char *key, const char *meant)
{
    if (*key && property(r, key) && !is_known(key))
        reading_warn(r, "%s: no such option; %s is meant?", key, meant);
}

/* Asks for head + middle + tail. */
static void ask_of(const struct reading *r, struct view head, const char *middle, const char *tail, const char *meant)
{
    char key[KEY_MAX];
    if (snprintf(key, sizeof key, "%.*s%s%s", VIEW_ARG(head), middle, tail) < KEY_MAX)
        ask(r, key, meant);
}

/* A letter too few, two changed over, one too many or another one, at every place. */
static void ask_slips(const struct reading *r, const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz_-";
    for (size_t i = 0; i <= strlen(name); i++) {
        struct view head = view_make(name, i);
        const char *tail = name + i;
        if (*tail)
            ask_of(r, head, "", tail + 1, name);
        if (tail[0] && tail[1] && tail[0] != tail[1])
            ask_of(r, head, (const char[]){tail[1], tail[0], 0}, tail + 2, name);
        for (const char *c = letters; *c; c++) {
            if (*tail && *tail != *c)
                ask_of(r, head, (const char[]){*c, 0}, tail + 1, name);
            if (i == 0 || name[i - 1] != *c) /* the same name came up one place before */
                ask_of(r, head, (const char[]){*c, 0}, tail, name);
        }
    }
}

/* Written with hyphens, or with nothing between the words. */
static void ask_without_underscores(const struct reading *r, const char *name)
{
    char hyphens[KEY_MAX] = "", joined[KEY_MAX] = "";
    size_t n = 0, underscores = 0, len = strlen(name);
    if (len >= KEY_MAX)
        return;
    for (size_t i = 0; i <= len; i++) {
        underscores += name[i] == '_';
        hyphens[i] = name[i] == '_' ? '-' : name[i];
        if (name[i] != '_')
            joined[n++] = name[i];
    }
    if (underscores > 1) /* a single one is among the slips */
        ask(r, hyphens, name), ask(r, joined, name);
}

/* What people write who know other senders: no slip, another word. */
static const char *const other_words[][2] = {
    {"url", "logs_url or metrics_url"},
    {"endpoint", "logs_url or metrics_url"},
    {"loki_url", "logs_url"},
    {"prometheus_url", "metrics_url"},
    {"remote_write_url", "metrics_url"},
    {"username", "logs_tenant or metrics_tenant"},
    {"user", "logs_tenant or metrics_tenant"},
    {"password", "token_file"},
    {"passwd", "token_file"},
    {"api_key", "token_file"},
    {"password_file", "token_file"},
    {"tenant", "logs_tenant or metrics_tenant"},
    {"insecure", "tls_verify off"},
    {"timeout", "request_timeout"},
};

void guess_misspelt(const struct reading *r)
{
    const char *name;
    for (size_t i = 0; (name = name_at(i)); i++) {
        ask_slips(r, name);
        ask_without_underscores(r, name);
    }
    for (size_t i = 0; i < ARRAY_LEN(other_words); i++)
        ask(r, other_words[i][0], other_words[i][1]);
}
