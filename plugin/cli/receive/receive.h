/* cli/receive/: `gcw receive`, a local stand-in for Grafana Cloud: takes remote write and Loki pushes, judges them as
 * strictly as the real receivers, or more so, and writes down what it accepted. It shares no code with codec/, so that
 * the two can't be wrong in the same way. */
#ifndef GCW_RECEIVE_H
#define GCW_RECEIVE_H

#include <stddef.h>
#include <stdio.h>

#include "cli/cli.h"

/* Runs the receiver until a signal or a limit ends it; argv[0] is the subcommand. Returns the exit code: 0 a clean
 * stop, 1 it could not serve, 2 wrong usage. */
int receive_main(int argc, char **argv);

/* The rows of its options, for help and man pages. */
const struct cli_option *receive_options(size_t *count);

/* The lists of limits and of misbehaviour that --help shows behind the options. */
void receive_help_lists(FILE *out);

#endif
