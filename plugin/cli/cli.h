/* cli/: the command-line tool. One row type describes every option of every subcommand: the parser, --help and the man
 * pages are made from it. */
#ifndef GCW_CLI_H
#define GCW_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct cli_option {
    const char *name;  /* long name, without the dashes */
    char short_name;   /* 0 = none */
    const char *arg;   /* what the argument stands for, e.g. "FILE"; NULL = takes none */
    const char *group; /* heading it stands under; options of one group stand together */
    const char *help;  /* a sentence or a few */
};

struct cli_command {
    const char *name;     /* "push metrics" */
    const char *summary;  /* one line */
    const char *synopsis; /* what stands behind the name in the usage line */
    const char *text;     /* paragraphs, separated by empty lines */
    const char *examples; /* lines, each a command; NULL = none */
    const struct cli_option *(*options)(size_t *count);
    int (*main)(int argc, char **argv); /* argv[0] is the command's last word */
};

/* main.c: every subcommand. */
extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;
const struct cli_command *cli_command_named(const char *name); /* must be in the table */

/* Exit codes of the tool; 1 and 3 say that something was lost, 0 that nothing was. */
enum {
    EXIT_ALL_DELIVERED = 0,
    EXIT_NOT_DELIVERED = 1, /* records rejected, expired, dropped or refused */
    EXIT_USAGE = 2,         /* command line, configuration, credentials file */
    EXIT_MALFORMED = 3,     /* all records delivered, but input lines were skipped */
    EXIT_INPUT = 4,         /* an input file could not be read */
    EXIT_KEPT = 5,          /* nothing was lost, but some of it waits in the queue directory */
};
struct cli_exit {
    int code;
    const char *meaning;
};
const struct cli_exit *cli_exits(size_t *count);

/* options.c: parses long and short options by the rows; `set` gets each, in order, and says on failure what is wrong on
 * standard error itself. Returns the index of the first operand, or -1. --help is answered here: prints and exits 0. */
int cli_parse(const struct cli_command *command, int argc, char **argv,
              int (*set)(void *ctx, const struct cli_option *option, const char *arg), void *ctx);

/* help.c */
void help_command(FILE *out, const struct cli_command *command);
void help_overview(FILE *out);
int help_version(void);
/* `gcw help options [--markdown]`, `gcw help answers [--markdown]`, `gcw help man gcw|gcw.conf` */
int help_reference(int argc, char **argv);
void help_answers(FILE *out, bool markdown); /* answers.c */
void help_man_gcw(FILE *out);                /* gcw(1), roff */
void help_man_conf(FILE *out);               /* gcw.conf(5), roff */

#endif
