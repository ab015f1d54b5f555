/* Setting and getting options by the table; making, copying and wiping configurations. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/table.h"

static void *field_of(const gcw_config *c, const struct option_row *row) { return (char *)(uintptr_t)c + row->offset; }

static bool is_text(const struct option_row *row)
{
    return row->kind == KIND_STRING || row->kind == KIND_SECRET || row->kind == KIND_LIST || row->as_text;
}

/* ---- reading values ------------------------------------------------------------------------------------------ */

static gcw_status refuse(const struct option_row *row, const char *value, gcw_error *err)
{
    if (row->kind == KIND_SECRET)
        return error_set(err, GCW_ERR_INVALID, "%s: the value (not shown) is not allowed: %s", row->shown.name,
                         row->shown.allowed);
    return error_set(err, GCW_ERR_INVALID, "%s: \"%.150s\" is not allowed: %s%s%s", row->shown.name, value,
                     row->shown.type, *row->shown.allowed ? ", " : "", row->shown.allowed);
}

static bool read_number(const struct option_row *row, struct view v, uint64_t *out)
{
    bool ok = row->kind == KIND_SIZE       ? parse_size(v, out)
              : row->kind == KIND_DURATION ? parse_duration(v, out)
                                           : parse_u64(v, out);
    return ok && *out >= row->min && *out <= row->max;
}

static int read_choice(const struct option_row *row, const char *value)
{
    for (int i = 0; row->choices[i]; i++)
        if (strcmp(row->choices[i], value) == 0)
            return i;
    return -1;
}

/* Control characters in any text could end a header or a line: none is allowed. */
static bool text_fits(const struct option_row *row, const char *value)
{
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f || (row->kind == KIND_SECRET && *p == ' '))
            return false;
    return !row->choices || read_choice(row, value) >= 0;
}

static void secret_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static gcw_status set_text(gcw_config *c, const struct option_row *row, const char *value, gcw_error *err)
{
    char **field = field_of(c, row), *copy;
    if (!text_fits(row, value))
        return refuse(row, value, err);
    if (!(copy = strdup(value)))
        return error_set(err, GCW_ERR_NOMEM, "out of memory");
    secret_free(*field);
    *field = copy;
    return GCW_OK;
}

static gcw_status set_row(gcw_config *c, const struct option_row *row, const char *value, gcw_error *err)
{
    uint64_t number;
    bool flag;
    int choice;
    if (is_text(row))
        return set_text(c, row, value, err);
    switch (row->kind) {
    case KIND_BOOL:
        if (!parse_bool(view_of(value), &flag))
            return refuse(row, value, err);
        *(bool *)field_of(c, row) = flag;
        return GCW_OK;
    case KIND_ENUM:
        if ((choice = read_choice(row, value)) < 0)
            return refuse(row, value, err);
        *(int *)field_of(c, row) = choice + row->choice_base;
        return GCW_OK;
    case KIND_INT:
    case KIND_SIZE:
    case KIND_DURATION:
        if (!read_number(row, view_of(value), &number))
            return refuse(row, value, err);
        *(uint64_t *)field_of(c, row) = number;
        return GCW_OK;
    case KIND_STRING:
    case KIND_SECRET:
    case KIND_LIST:
        break;
    }
    return GCW_ERR_INVALID;
}

gcw_status gcw_config_set(gcw_config *c, const char *key, const char *value, gcw_error *err)
{
    const struct option_row *row = option_find(view_of(key));
    if (!row)
        return error_set(err, GCW_ERR_INVALID, "unknown option \"%.100s\"; the nearest known one is \"%s\"", key,
                         option_nearest(view_of(key)));
    return set_row(c, row, value, err);
}

gcw_status gcw_config_get(const gcw_config *c, const char *key, char *out, size_t cap)
{
    const struct option_row *row = option_find(view_of(key));
    char text[64];
    if (cap == 0)
        return GCW_ERR_TOO_LARGE;
    out[0] = 0;
    if (!row)
        return GCW_ERR_INVALID;
    const void *field = field_of(c, row);
    const char *shown = text;
    if (is_text(row)) {
        const char *value = *(char *const *)field;
        shown = row->kind == KIND_SECRET && *value ? "***" : value;
    } else if (row->kind == KIND_BOOL) {
        shown = *(const bool *)field ? "on" : "off";
    } else if (row->kind == KIND_ENUM) {
        shown = row->choices[*(const int *)field - row->choice_base];
    } else if (row->kind == KIND_SIZE) {
        format_size(text, sizeof text, *(const uint64_t *)field);
    } else if (row->kind == KIND_DURATION) {
        format_duration(text, sizeof text, *(const uint64_t *)field);
    } else {
        snprintf(text, sizeof text, "%" PRIu64, *(const uint64_t *)field);
    }
    return snprintf(out, cap, "%s", shown) < (int)cap ? GCW_OK : GCW_ERR_TOO_LARGE;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

gcw_config *gcw_config_new(void)
{
    gcw_config *c = calloc(1, sizeof *c);
    for (size_t i = 0; c && i < option_row_count; i++) {
        gcw_error err = {0};
        const struct option_row *row = &option_rows[i];
        gcw_status status = GCW_OK;
        if (is_text(row) && !*row->shown.default_value)
            status = (*(char **)field_of(c, row) = strdup("")) ? GCW_OK : GCW_ERR_NOMEM;
        else
            status = set_row(c, row, row->shown.default_value, &err);
        ENSURE(status != GCW_ERR_INVALID);
        if (status != GCW_OK) {
            gcw_config_free(c);
            return NULL;
        }
    }
    return c;
}

void gcw_config_free(gcw_config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < option_row_count; i++)
        if (is_text(&option_rows[i]))
            secret_free(*(char **)field_of(c, &option_rows[i]));
    free(c);
}

gcw_config *config_copy(const gcw_config *c)
{
    gcw_config *copy = malloc(sizeof *copy);
    if (!copy)
        return NULL;
    *copy = *c;
    bool ok = true;
    for (size_t i = 0; i < option_row_count; i++)
        if (is_text(&option_rows[i])) {
            char **field = field_of(copy, &option_rows[i]);
            *field = strdup(*field);
            ok = ok && *field;
        }
    if (!ok) {
        gcw_config_free(copy);
        return NULL;
    }
    return copy;
}
