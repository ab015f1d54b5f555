#include "cli/settings.h"

#include <stdlib.h>

int settings_fail(const struct settings *s, const char *text)
{
    fprintf(stderr, "gcw %s: %s\n", s->command->name, text);
    return -1;
}

int settings_key(const struct settings *s, const char *key, const char *value)
{
    gcw_error err;
    return gcw_config_set(s->config, key, value, &err) == GCW_OK ? 0 : settings_fail(s, err.text);
}

int settings_pair(const struct settings *s, const char *pair)
{
    const char *eq = strchr(pair, '=');
    if (!eq)
        return settings_fail(s, "--set: needs KEY=VALUE");
    char *key = strndup(pair, (size_t)(eq - pair));
    int result = !key ? settings_fail(s, "out of memory")
                 : strcmp(key, "token") == 0
                     ? settings_fail(s, "--set token: a token on the command line can be read by every user of the "
                                        "machine; use --token-file or GCW_TOKEN")
                     : settings_key(s, key, eq + 1);
    free(key);
    return result;
}

int settings_duration(const struct settings *s, const char *option, const char *arg, uint64_t *ms)
{
    if (parse_duration(view_of(arg), ms) && *ms <= INT32_MAX)
        return 0;
    fprintf(stderr, "gcw %s: --%s: \"%s\" is not a duration such as 500ms, 30s or 5m\n", s->command->name, option, arg);
    return -1;
}

static int file_load(const struct settings *s, const char *path)
{
    gcw_error err;
    return gcw_config_load_file(s->config, path, &err) == GCW_OK ? 0 : settings_fail(s, err.text);
}

int settings_load(const struct settings *s, int argc, char **argv)
{
    gcw_error err;
    bool given = false;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *path = NULL;
        if ((strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) && i + 1 < argc)
            path = argv[++i];
        else if (strncmp(argv[i], "--config=", 9) == 0)
            path = argv[i] + 9;
        else if (strncmp(argv[i], "-c", 2) == 0 && argv[i][2])
            path = argv[i] + 2;
        if (path && file_load(s, path) != 0)
            return -1;
        given |= path != NULL;
    }
    const char *path = getenv("GCW_CONFIG");
    if (!given && path && *path && file_load(s, path) != 0)
        return -1;
    return gcw_config_load_env(s->config, &err) == GCW_OK ? 0 : settings_fail(s, err.text);
}

bool settings_option(const struct settings *s, const struct settings_row *rows, size_t count,
                     const struct cli_option *o, const char *arg, bool *failed)
{
    *failed = false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].option, o->name) == 0) {
            *failed = settings_key(s, rows[i].key, arg) != 0;
            return true;
        }
    if (strcmp(o->name, "set") == 0)
        *failed = settings_pair(s, arg) != 0;
    return strcmp(o->name, "set") == 0 || strcmp(o->name, "config") == 0;
}
