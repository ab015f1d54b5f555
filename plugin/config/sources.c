/* Options from a file of `key = value` lines and from the environment. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/table.h"

extern char **environ;

#define FILE_MAX MIB

/* ---- environment --------------------------------------------------------------------------------------------- */

/* Read by the tool and its stand-in receiver, or by tests. */
static bool passed_over(struct view name)
{
    return view_is(name, "GCW_CONFIG") || view_starts(name, "GCW_RECEIVE_") || view_starts(name, "GCW_TEST_");
}

gcw_status gcw_config_load_env(gcw_config *c, gcw_error *err)
{
    for (char **e = environ; e && *e; e++) {
        const char *eq = strchr(*e, '=');
        struct view name = view_make(*e, eq ? (size_t)(eq - *e) : 0);
        char key[64];
        if (!view_starts(name, "GCW_") || passed_over(name))
            continue;
        size_t n = 0;
        for (size_t i = 4; i < name.n && n + 1 < sizeof key; i++)
            key[n++] = (char)tolower((unsigned char)name.p[i]);
        key[n] = 0;
        gcw_error why;
        gcw_status status = gcw_config_set(c, key, eq + 1, &why);
        if (status != GCW_OK)
            return error_set(err, status, "environment variable %.*s: %s", VIEW_ARG(name), why.text);
    }
    return GCW_OK;
}

/* ---- file ------------------------------------------------------------------------------------------------------ */

gcw_status config_file_read(const char *path, struct buf *out, struct stat *st, gcw_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, st) != 0) {
        gcw_status status = error_set(err, GCW_ERR_IO, "%s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return status;
    }
    gcw_status status = GCW_OK;
    if (S_ISDIR(st->st_mode))
        status = error_set(err, GCW_ERR_IO, "%s: is a directory", path);
    for (ssize_t n = 1; n > 0 && status == GCW_OK;) {
        if (!buf_reserve(out, 4096))
            status = error_set(err, GCW_ERR_NOMEM, "out of memory");
        else if ((n = read(fd, out->p + out->n, 4096)) < 0)
            status = error_set(err, GCW_ERR_IO, "%s: %s", path, strerror(errno));
        else if ((out->n += (size_t)n) > FILE_MAX)
            status = error_set(err, GCW_ERR_INVALID, "%s: larger than 1 MiB", path);
    }
    close(fd);
    return status;
}

static struct view unquoted(struct view v)
{
    return v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"' ? view_make(v.p + 1, v.n - 2) : v;
}

/* One line; *row tells which option it set, NULL for none. `why` gets what is wrong without the place. */
static gcw_status line_set(gcw_config *c, struct view line, const struct option_row **row, gcw_error *why)
{
    *row = NULL;
    line = view_trim(line);
    if (line.n == 0 || line.p[0] == '#')
        return GCW_OK;
    const char *eq = memchr(line.p, '=', line.n);
    if (!eq)
        return error_set(why, GCW_ERR_INVALID, "no '=' in the line: `key = value` is wanted");
    struct view key = view_trim(view_make(line.p, (size_t)(eq - line.p)));
    struct view value = unquoted(view_trim(view_make(eq + 1, line.n - (size_t)(eq + 1 - line.p))));
    *row = option_find(key);
    if (!*row)
        return error_set(why, GCW_ERR_INVALID, "unknown option \"%.*s\"; the nearest known one is \"%s\"",
                         VIEW_ARG(key), option_nearest(key));
    if (memchr(value.p, 0, value.n))
        return error_set(why, GCW_ERR_INVALID, "%s: a NUL byte in the value", (*row)->shown.name);
    char *text = strndup(value.p, value.n);
    if (!text)
        return error_set(why, GCW_ERR_NOMEM, "out of memory");
    gcw_status status = gcw_config_set(c, (*row)->shown.name, text, why);
    explicit_bzero(text, value.n);
    free(text);
    return status;
}

static gcw_status lines_set(gcw_config *c, struct view text, bool others_read, gcw_error *why, unsigned *number)
{
    bool *seen = calloc(option_row_count, sizeof *seen);
    gcw_status status = seen ? GCW_OK : GCW_ERR_NOMEM;
    text = view_without_bom(text);
    for (struct view line; status == GCW_OK && view_line(&text, &line);) {
        const struct option_row *row;
        ++*number;
        status = line_set(c, line, &row, why);
        if (status == GCW_OK && row && seen[row - option_rows])
            status = error_set(why, GCW_ERR_INVALID, "%s: set twice in this file", row->shown.name);
        if (status == GCW_OK && row && row->kind == KIND_SECRET && others_read)
            status = error_set(why, GCW_ERR_INVALID,
                               "%s: the file may be read by group or others; chmod 600 it, or use token_file",
                               row->shown.name);
        if (row)
            seen[row - option_rows] = true;
    }
    free(seen);
    return status;
}

gcw_status gcw_config_load_file(gcw_config *c, const char *path, gcw_error *err)
{
    struct buf text = {0};
    struct stat st = {0};
    gcw_status status = config_file_read(path, &text, &st, err);
    if (status == GCW_OK) {
        gcw_error why = {0};
        unsigned number = 0;
        status = lines_set(c, buf_view(&text), S_ISREG(st.st_mode) && (st.st_mode & 077) != 0, &why, &number);
        if (status != GCW_OK)
            error_set(err, status, "%s:%u: %s", path, number, why.text);
    }
    if (text.p)
        explicit_bzero(text.p, text.n);
    buf_free(&text);
    return status;
}
