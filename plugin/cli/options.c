/* Command-line options by table, through getopt_long. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define FIRST_LONG 256 /* getopt's `val` of row 0: above every character */
#define HELP       255

int cli_parse(const struct cli_command *command, int argc, char **argv,
              int (*set)(void *ctx, const struct cli_option *option, const char *arg), void *ctx)
{
    size_t count, shorts = 0;
    const struct cli_option *rows = command->options(&count);
    struct option *longs = calloc(count + 2, sizeof *longs);
    char *letters = calloc(2 * count + 3, 1);
    int at = -1;
    if (!longs || !letters) {
        fprintf(stderr, "gcw: out of memory\n");
        goto out;
    }
    letters[shorts++] = ':';
    for (size_t i = 0; i < count; i++) {
        longs[i] =
            (struct option){rows[i].name, rows[i].arg ? required_argument : no_argument, NULL, FIRST_LONG + (int)i};
        if (rows[i].short_name)
            letters[shorts++] = rows[i].short_name;
        if (rows[i].short_name && rows[i].arg)
            letters[shorts++] = ':';
    }
    longs[count] = (struct option){"help", no_argument, NULL, HELP};
    optind = 0; /* glibc: start afresh, the tool parses more than one argv */
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
        if (c == HELP) {
            help_command(stdout, command);
            exit(EXIT_ALL_DELIVERED);
        }
        const struct cli_option *row = c >= FIRST_LONG ? &rows[c - FIRST_LONG] : NULL;
        for (size_t i = 0; i < count && !row; i++)
            if (rows[i].short_name == c)
                row = &rows[i];
        if (c == ':' || c == '?' || !row) {
            fprintf(stderr, "gcw %s: %s: %s (see `gcw %s --help`)\n", command->name, argv[optind - 1],
                    c == ':' ? "needs an argument" : "no such option", command->name);
            goto out;
        }
        if (set(ctx, row, optarg) != 0)
            goto out;
    }
    at = optind;
out:
    free(longs);
    free(letters);
    return at;
}
