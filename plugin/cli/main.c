/* gcw: finds the subcommand and runs it. */
#include <string.h>

#include "cli/cli.h"
#include "include/gcw.h"

/* The command named by the first words of argv, and how many words that took; the longest name wins. */
static const struct cli_command *command_find(int argc, char **argv, int *words)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const char *name = cli_commands[i].name, *blank = strchr(name, ' ');
        size_t first = blank ? (size_t)(blank - name) : strlen(name);
        if (argc < 1 || strlen(argv[0]) != first || strncmp(argv[0], name, first) != 0)
            continue;
        *words = blank ? 2 : 1;
        if (!blank || (argc > 1 && strcmp(argv[1], blank + 1) == 0))
            return &cli_commands[i];
    }
    return NULL;
}

static int help(int argc, char **argv)
{
    int words;
    if (argc == 0) {
        help_overview(stdout);
        return EXIT_ALL_DELIVERED;
    }
    if (strcmp(argv[0], "options") == 0 || strcmp(argv[0], "answers") == 0 || strcmp(argv[0], "man") == 0)
        return help_reference(argc, argv);
    const struct cli_command *c = command_find(argc, argv, &words);
    if (!c) {
        fprintf(stderr, "gcw help: no such command: %s\n", argv[0]);
        return EXIT_USAGE;
    }
    help_command(stdout, c);
    return EXIT_ALL_DELIVERED;
}

int main(int argc, char **argv)
{
    int words;
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0)
        return help_version();
    if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return help(argc - 2, argv + 2);
    const struct cli_command *c = command_find(argc - 1, argv + 1, &words);
    if (c)
        return c->main(argc - words, argv + words);
    if (argc > 1)
        fprintf(stderr, "gcw: no such command: %s%s%s\n\n", argv[1], argc > 2 ? " " : "", argc > 2 ? argv[2] : "");
    help_overview(stderr);
    return EXIT_USAGE;
}
