/* Rules from options. */
#include "hosts/fluent-bit/rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void teller_say(const struct teller *t, const char *fmt, ...)
{
    char text[600];
    va_list args;
    if (!t->tell)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    t->tell(t->user, text);
}

void rules_free(struct rules *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->v[i].name);
        free(r->v[i].constant);
        accessor_free(&r->v[i].from);
    }
    free(r->v);
    *r = (struct rules){0};
}

bool rules_bind(struct rules *r, struct paths *paths)
{
    for (size_t i = 0; i < r->count; i++)
        if (!accessor_bind(&r->v[i].from, paths))
            return false;
    return true;
}

bool rules_remove(const struct rules *r, struct paths *paths)
{
    for (size_t i = 0; i < r->count; i++)
        if (!accessor_remove(&r->v[i].from, paths))
            return false;
    return true;
}

static gcw_status no_memory(gcw_error *err) { return error_set(err, GCW_ERR_NOMEM, "out of memory"); }

gcw_status rules_add(struct rules *r, struct rule *rule, gcw_error *err)
{
    struct rule *v = rule->name ? realloc(r->v, (r->count + 1) * sizeof *v) : NULL;
    if (v) {
        r->v = v;
        v[r->count++] = *rule;
        return GCW_OK;
    }
    free(rule->name);
    free(rule->constant);
    accessor_free(&rule->from);
    return no_memory(err);
}

/* ---- lists ----------------------------------------------------------------------------------------------------- */

static size_t item_length(struct view list)
{
    bool quoted = false;
    size_t n = 0;
    for (; n < list.n && (quoted || list.p[n] != ','); n++) {
        if (list.p[n] != '\'')
            continue;
        if (quoted && n + 1 < list.n && list.p[n + 1] == '\'')
            n++; /* a quote in the key */
        else
            quoted = !quoted && n > 0 && list.p[n - 1] == '[';
    }
    return n;
}

bool list_next(struct view *list, struct view *item)
{
    do {
        if (list->n == 0)
            return false;
        size_t n = item_length(*list);
        *item = view_trim(view_make(list->p, n));
        n += n < list->n;
        *list = view_make(list->p + n, list->n - n);
    } while (item->n == 0);
    return true;
}

static gcw_status pattern_read(const char *option, struct view text, struct accessor *a, const struct teller *t,
                               gcw_error *err)
{
    gcw_error why;
    gcw_status status = accessor_parse(a, text, &why);
    if (status != GCW_OK)
        return error_set(err, status, "%s: %s", option, why.text);
    if (accessor_has(a, PART_CAPTURE))
        teller_say(t, "%s: %.*s: $0 to $9 are empty: they stand for what a filter's regular expression found", option,
                   VIEW_ARG(text));
    return GCW_OK;
}

/* $a.b means $a and then ".b", here as in the host; most who write it mean $a['b']. */
static void dot_tell(const char *option, struct view text, const struct accessor *a, const struct teller *t)
{
    for (size_t i = 0; i + 1 < a->count; i++)
        if (a->parts[i].kind == PART_VALUE && a->parts[i + 1].kind == PART_TEXT && a->parts[i + 1].text.n > 1 &&
            a->parts[i + 1].text.p[0] == '.')
            teller_say(t, "%s: %.*s is a key followed by \"%.*s\": nested keys are written $a['b']", option,
                       VIEW_ARG(text), VIEW_ARG(a->parts[i + 1].text));
}

/* $pattern: the name is made of it. */
static gcw_status key_rule(struct rules *r, const char *option, struct view item, const struct teller *t,
                           gcw_error *err)
{
    struct rule rule = {0};
    struct buf name = {0};
    gcw_status status = pattern_read(option, item, &rule.from, t, err);
    if (status != GCW_OK)
        return status;
    dot_tell(option, item, &rule.from, t);
    if (accessor_name(&rule.from, &name) && name.n > 0 && buf_cstr(&name))
        rule.name = (char *)name.p;
    else if (name.n == 0) {
        buf_free(&name);
        accessor_free(&rule.from);
        return error_set(err, GCW_ERR_INVALID, "%s: %.*s has no key to be named after", option, VIEW_ARG(item));
    }
    return rules_add(r, &rule, err);
}

/* name=constant or name=$pattern */
static gcw_status pair_rule(struct rules *r, const char *option, struct view item, const struct teller *t,
                            gcw_error *err)
{
    struct rule rule = {0};
    const char *equal = memchr(item.p, '=', item.n);
    struct view name = equal ? view_trim(view_make(item.p, (size_t)(equal - item.p))) : item;
    struct view value = equal ? view_trim(view_make(equal + 1, item.n - (size_t)(equal + 1 - item.p))) : name;
    if (!equal || name.n == 0 || value.n == 0)
        return error_set(err, GCW_ERR_INVALID,
                         "%s: \"%.*s\": an item is name=text, name=$key or $key; items are separated by commas", option,
                         VIEW_ARG(item));
    if (value.p[0] == '$') {
        gcw_status status = pattern_read(option, value, &rule.from, t, err);
        if (status != GCW_OK)
            return status;
        dot_tell(option, value, &rule.from, t);
    } else {
        if (memchr(value.p, '$', value.n))
            teller_say(t, "%s: %.*s: text that does not begin with '$' is taken as it is", option, VIEW_ARG(item));
        if (!(rule.constant = strndup(value.p, value.n)))
            return no_memory(err);
    }
    rule.name = strndup(name.p, name.n);
    return rules_add(r, &rule, err);
}

gcw_status rules_read_pairs(struct rules *r, const char *option, const char *text, const struct teller *t,
                            gcw_error *err)
{
    gcw_status status = GCW_OK;
    struct view list = view_of(text), item;
    while (status == GCW_OK && list_next(&list, &item))
        status = item.p[0] == '$' ? key_rule(r, option, item, t, err) : pair_rule(r, option, item, t, err);
    return status;
}

gcw_status rules_read_keys(struct rules *r, const char *option, const char *text, const struct teller *t,
                           gcw_error *err)
{
    gcw_status status = GCW_OK;
    struct view list = view_of(text), item;
    while (status == GCW_OK && list_next(&list, &item)) {
        if (item.p[0] != '$')
            return error_set(err, GCW_ERR_INVALID, "%s: \"%.*s\": keys begin with '$', as in $kubernetes['pod_name']",
                             option, VIEW_ARG(item));
        status = key_rule(r, option, item, t, err);
    }
    return status;
}
