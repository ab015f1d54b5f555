/* `gcw check`: configuration, credentials and URLs tried on the receivers themselves, without storing anything there.
 */
#ifndef GCW_CLI_CHECK_H
#define GCW_CLI_CHECK_H

#include "cli/cli.h"

const struct cli_option *check_options(size_t *count);
int check_main(int argc, char **argv);

#endif
