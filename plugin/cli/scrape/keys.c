/* The table of what can be said of a target, and what reads it: options, keys, copies, comparison. */
#include <stdlib.h>

#include "cli/scrape/targets.h"

enum kind { TEXT, FLAG, DURATION, SIZE };

static const struct row {
    const char *key, *option;
    enum kind kind;
    size_t offset;
    uint64_t least, most; /* TEXT: least characters */
    const char *allowed;
} rows[KEY_COUNT] = {
#define AS_ROW(key, option, kind, arg, field, least, most, allowed, help)                                              \
    {key, option, kind, offsetof(struct target_settings, field), least, most, allowed},
    TARGET_KEYS(AS_ROW)
#undef AS_ROW
};

static void *field_of(const struct target_settings *t, const struct row *row)
{
    return (char *)(uintptr_t)t + row->offset;
}

static char *copy_of(struct view v) { return strndup(v.n ? v.p : "", v.n); }

/* ---- life ---------------------------------------------------------------------------------------------------------
 */

bool defaults_init(struct target_settings *t)
{
    bool ok = true;
    *t = (struct target_settings){.interval_ms = 15000, .body_limit = BODY_LIMIT_MIB * MIB};
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (rows[i].kind == TEXT)
            ok = (*(char **)field_of(t, &rows[i]) = strdup(i == KEY_job ? "gcw" : "")) && ok;
    return ok;
}

struct target_settings *target_settings_new(const struct target_settings *defaults, struct view url)
{
    struct target_settings *t = malloc(sizeof *t);
    if (!t)
        return NULL;
    *t = *defaults;
    bool ok = (t->url = copy_of(url));
    for (size_t i = 0; i < KEY_COUNT; i++) {
        char **field = field_of(t, &rows[i]);
        if (rows[i].kind == TEXT)
            ok = (*field = strdup(*field)) && ok;
    }
    if (ok)
        return t;
    target_settings_free(t);
    return NULL;
}

void target_settings_wipe(struct target_settings *t)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (rows[i].kind == TEXT)
            free(*(char **)field_of(t, &rows[i]));
    for (size_t i = 0; i < t->label_count; i++) {
        free(t->labels[i].name);
        free(t->labels[i].value);
    }
    free(t->labels);
    free(t->url);
    secret_give(t->secret);
    *t = (struct target_settings){0};
}

void target_settings_free(struct target_settings *t)
{
    if (!t)
        return;
    target_settings_wipe(t);
    free(t);
}

bool target_settings_equal(const struct target_settings *a, const struct target_settings *b)
{
    bool equal = strcmp(a->url, b->url) == 0 && a->label_count == b->label_count;
    for (size_t i = 0; i < KEY_COUNT && equal; i++) {
        const void *x = field_of(a, &rows[i]), *y = field_of(b, &rows[i]);
        equal = rows[i].kind == TEXT   ? strcmp(*(char *const *)x, *(char *const *)y) == 0
                : rows[i].kind == FLAG ? *(const bool *)x == *(const bool *)y
                                       : *(const uint64_t *)x == *(const uint64_t *)y;
    }
    for (size_t i = 0; i < a->label_count && equal; i++)
        equal =
            strcmp(a->labels[i].name, b->labels[i].name) == 0 && strcmp(a->labels[i].value, b->labels[i].value) == 0;
    return equal;
}

/* ---- one setting --------------------------------------------------------------------------------------------------
 */

static bool is_plain(struct view v)
{
    for (size_t i = 0; i < v.n; i++)
        if ((uint8_t)v.p[i] < 0x20 || v.p[i] == 0x7f)
            return false;
    return true;
}

static bool number_read(const struct row *row, struct view v, uint64_t *out)
{
    return (row->kind == SIZE ? parse_size(v, out) : parse_duration(v, out)) && *out >= row->least && *out <= row->most;
}

/* The error begins behind the name, as the key and the option have another. */
static gcw_status row_set(struct target_settings *t, const struct row *row, struct view value, gcw_error *err)
{
    void *field = field_of(t, row);
    uint64_t number = 0;
    bool flag = false, good = row->kind == TEXT   ? value.n >= row->least && is_plain(value)
                              : row->kind == FLAG ? parse_bool(value, &flag)
                                                  : number_read(row, value, &number);
    if (!good)
        return error_set(err, GCW_ERR_INVALID, "\"%.*s\" is not allowed: %s", VIEW_ARG(value), row->allowed);
    if (row->kind == TEXT) {
        char *copy = copy_of(value);
        if (!copy)
            return error_set(err, GCW_ERR_NOMEM, "out of memory");
        free(*(char **)field);
        *(char **)field = copy;
    } else if (row->kind == FLAG) {
        *(bool *)field = flag;
    } else {
        *(uint64_t *)field = number;
    }
    return GCW_OK;
}

bool target_option(struct target_settings *defaults, const struct settings *s, const char *name, const char *arg,
                   bool *failed)
{
    gcw_error err;
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (strcmp(rows[i].option, name) == 0) {
            *failed = row_set(defaults, &rows[i], view_of(arg ? arg : "on"), &err) != GCW_OK;
            if (*failed)
                fprintf(stderr, "gcw %s: --%s: %s\n", s->command->name, name, err.text);
            return true;
        }
    return false;
}

/* ---- a line's KEY=VALUE -------------------------------------------------------------------------------------------
 */

const char *target_label_value(const struct target_settings *t, struct view name)
{
    for (size_t i = 0; i < t->label_count; i++)
        if (view_is(name, t->labels[i].name))
            return t->labels[i].value;
    return NULL;
}

bool target_label_add(struct target_settings *t, struct view name, struct view value)
{
    struct target_label *more = realloc(t->labels, (t->label_count + 1) * sizeof *more);
    if (!more)
        return false;
    t->labels = more;
    struct target_label *l = &more[t->label_count];
    *l = (struct target_label){copy_of(name), copy_of(value)};
    t->label_count += l->name && l->value;
    if (l->name && l->value)
        return true;
    free(l->name);
    free(l->value);
    return false;
}

static gcw_status label_put(struct target_settings *t, struct view name, struct view value, gcw_error *err)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    bool good = name.n > 0 && name.n <= 100 && !(name.p[0] >= '0' && name.p[0] <= '9') && !view_starts(name, "__");
    for (size_t i = 0; i < name.n && good; i++)
        good = name.p[i] && strchr(letters, name.p[i]);
    if (!good)
        return error_set(err, GCW_ERR_INVALID,
                         "label.%.*s: a label's name is up to 100 letters, digits and _, no digit or two _ in front",
                         VIEW_ARG(name));
    if (view_is(name, "job"))
        return error_set(err, GCW_ERR_INVALID, "label.job: the key for that is job");
    if (value.n == 0 || !is_plain(value) || !utf8_valid(value.p, value.n))
        return error_set(err, GCW_ERR_INVALID, "label.%.*s: \"%.*s\" is not allowed: text in UTF-8", VIEW_ARG(name),
                         VIEW_ARG(value));
    if (target_label_value(t, name))
        return error_set(err, GCW_ERR_INVALID, "label.%.*s: set twice", VIEW_ARG(name));
    if (t->label_count + 2 >= TARGET_LABELS)
        return error_set(err, GCW_ERR_INVALID, "label.%.*s: at most %d labels", VIEW_ARG(name), TARGET_LABELS - 2);
    return target_label_add(t, name, value) ? GCW_OK : error_set(err, GCW_ERR_NOMEM, "out of memory");
}

static const char *key_nearest(struct view key)
{
    const char *nearest = "label.NAME";
    size_t least = memchr(key.p, '.', key.n) ? 0 : SIZE_MAX;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        size_t d = text_distance(key, view_of(rows[i].key));
        if (d < least)
            least = d, nearest = rows[i].key;
    }
    return nearest;
}

gcw_status target_settings_put(struct target_settings *t, struct view key, struct view value, gcw_error *err)
{
    gcw_error why;
    if (view_starts(key, "label."))
        return label_put(t, view_make(key.p + 6, key.n - 6), value, err);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (!view_is(key, rows[i].key))
            continue;
        if (t->own & 1u << i)
            return error_set(err, GCW_ERR_INVALID, "%s: set twice", rows[i].key);
        t->own |= 1u << i;
        gcw_status status = row_set(t, &rows[i], value, &why);
        return status == GCW_OK ? status : error_set(err, status, "%s: %s", rows[i].key, why.text);
    }
    return error_set(err, GCW_ERR_INVALID, "unknown key \"%.*s\"; the nearest known one is \"%s\"", VIEW_ARG(key),
                     key_nearest(key));
}
